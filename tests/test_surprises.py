"""Each case of corpus/surprises breaks the law that one would expect; the law as it is true stands in laws.py."""

from collections import Counter
from dataclasses import replace

import pytest

from skdiff.base.paths import CORPUS
from skdiff.cases import validity
from skdiff.cases.case_file import load
from skdiff.cases.other_lookup import as_lookup
from skdiff.cases.scenario import AF_INET6, LEAVE, NONE, PFREE, SK_DROP, SK_PASS, TCP6, Program
from skdiff.oracles.model import Model
from skdiff.variants.version_rules import Rules
from tests.laws import dif, fits, wants
from tests.transform import closed, dissolved, moved, with_program, without, without_programs

FOLDER = CORPUS / "surprises"
REVERSED = [1, 0]


@pytest.fixture
def said(oracle):
    """A surprise's scenario, the number of its winner, and the winner's name."""

    def said(name):
        case = load(FOLDER / f"{name}.toml")
        winner = oracle.run(case.scenario).sk
        return case.scenario, winner, "none" if winner == NONE else case.socks[winner]

    return said


def _winners(oracle, scenario, secrets):
    """How often each socket wins, over so many secrets of the hash."""
    return Counter(oracle.run(scenario._replace(hash_secret=secret * 0x9E3779B1 % (1 << 32))).sk for secret in secrets)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_a_user_can_meet_it(path):
    case = load(path)
    assert not case.scenario.hostile
    assert validity.problems(case.scenario) == []
    assert case.why
    assert case.found["seen"]
    assert "sk" in case.expect


# The naive law of each pair: (one, the other in reverse order of listen(), who wins in each).
ORDER = [
    ("listen_order_unbound_last", "unbound", "listen_order_device_last", "on_device"),
    ("dual_stack_order_unbound_last", "on_device", "dual_stack_order_device_last", "unbound"),
    ("cpu_weighs_as_much_as_device_cpu_last", "on_cpu", "cpu_weighs_as_much_as_device_device_last", "on_device"),
    ("vrf_and_slave_vrf_last", "on_vrf", "vrf_and_slave_slave_last", "on_slave"),
]


@pytest.mark.parametrize(("one", "wins", "other", "wins_there"), ORDER, ids=[row[0] for row in ORDER])
def test_the_order_of_listen_decides(one, wins, other, wins_there, said):
    scenario, _, winner = said(one)
    again, _, winner_there = said(other)
    assert moved(scenario, REVERSED) == again
    assert (winner, winner_there) == (wins, wins_there)


@pytest.mark.parametrize("name", ["listen_order_unbound_last", "dual_stack_order_device_last"])
def test_who_asked_for_less_wins(name, said):
    scenario, winner, _ = said(name)
    loser = scenario.socks[1 - winner]
    assert fits(scenario, loser)
    assert wants(scenario, loser) > wants(scenario, scenario.socks[winner])


# What is so for IPv6, too: neither a hash nor the order of members has a say.
ALIKE = (
    *("choice_outlives_a_later_drop", "choice_outlives_a_later_null", "connection_bound_alone"),
    *("connection_bound_and_later_unbound", "local_connection_by_address", "local_connection_from_lo"),
    *("member_of_another_device", "vrf_and_slave_slave_last", "vrf_and_slave_vrf_last"),
)


@pytest.mark.parametrize("name", ALIKE)
def test_it_is_so_for_ipv6_too(name, said, oracle):
    scenario, winner, _ = said(name)
    image = as_lookup(scenario, TCP6)
    assert validity.problems(image) == []
    assert {sock.family for sock in image.socks} == {AF_INET6}
    assert oracle.run(image).sk == winner


@pytest.mark.parametrize("name", ["listen_order", "dual_stack_order"])
def test_members_of_ipv6_are_met_in_the_order_of_listen(name, said, oracle):
    """With AF_INET the last one is met first, with AF_INET6 the first one, whichever of them asked for more."""
    for last in ("unbound_last", "device_last"):
        scenario, winner, _ = said(f"{name}_{last}")
        image = as_lookup(scenario, TCP6)
        assert oracle.run(image).sk == 0
        assert winner == (1 if name == "listen_order" else 0)
        assert oracle.run(moved(image, REVERSED)).sk == 0


def test_the_winner_does_not_take_the_packet_s_device(said, oracle):
    scenario, winner, _ = said("member_of_another_device")
    assert not fits(scenario, scenario.socks[winner])
    assert oracle.run(dissolved(scenario)).sk == 1 - winner  # on its own it would not be found


def test_a_cleared_flag_takes_all_or_changes_nothing(said, oracle):
    by_last, _, winner_last = said("reuseport_cleared_by_the_last")
    by_first, _, winner_first = said("reuseport_cleared_by_the_first")
    assert (winner_last, winner_first) == ("last", "first")
    kept = by_last._replace(socks=tuple(sock._replace(reuseport=1) for sock in by_last.socks))
    assert by_first == kept._replace(socks=(by_last.socks[1], by_last.socks[0]))
    shares = _winners(oracle, kept, range(100))
    assert {0, 1} == {*shares}
    assert _winners(oracle, by_first, range(100)) == shares
    assert _winners(oracle, by_last, range(100)) == {1: 100}


def test_closing_a_loser_changes_the_winner(said):
    scenario, winner, name = said("loser_listens")
    after, _, name_after = said("loser_closed")
    gone = closed(scenario, 2)
    groups = tuple(group._replace(slots=group.slots[: group.num_socks]) for group in gone.groups)
    assert winner != 2
    assert moved(gone._replace(groups=groups), without(3, 2)) == after
    assert (name, name_after) == ("on_device", "unbound")


def test_a_later_connection_takes_an_earlier_one_s_packets(said):
    scenario, winner, _ = said("connection_bound_and_later_unbound")
    alone, winner_alone, _ = said("connection_bound_alone")
    assert scenario.socks[0].bound_dev_if == dif(scenario)
    assert moved(scenario, without(2, 1)) == alone
    assert (winner, winner_alone) == (1, 0)


def test_assigning_the_winner_makes_another_one_win(said):
    scenario, winner, _ = said("wildcard_group")
    assigned, other, _ = said("wildcard_group_assigned_by_sk_lookup")
    assert with_program(scenario, 0, Program(SK_PASS, winner)) == assigned
    assert other not in (winner, NONE)


@pytest.mark.parametrize(
    ("name", "last", "alone"),
    [
        ("choice_outlives_a_later_null", Program(SK_PASS, NONE), 0),
        ("choice_outlives_a_later_drop", Program(SK_DROP, LEAVE), NONE),
    ],
    ids=["null", "drop"],
)
def test_a_later_program_takes_nothing_back(name, last, alone, said, oracle):
    scenario, winner, _ = said(name)
    first, second = scenario.netns[0].progs
    assert second == last
    assert winner == first.assign
    assert oracle.run(with_program(without_programs(scenario), 0, last)).sk == alone


def test_an_assigned_listener_is_replaced(said, oracle):
    scenario, winner, _ = said("assigned_listener_is_replaced")
    assert scenario.packet.destructor == PFREE
    assert winner not in (scenario.packet.sk, NONE)
    assert oracle.run(dissolved(scenario)).sk == scenario.packet.sk


def test_members_of_one_cpu_share_unevenly(said, oracle):
    blocks, _, name = said("cpu_members_in_blocks")
    turns, _, name_in_turn = said("cpu_members_in_turn")
    assert (name, name_in_turn) == ("cpu0_a", "cpu0_b")
    uneven, even = (_winners(oracle, scenario, range(1000)) for scenario in (blocks, turns))
    assert {*uneven} == {0, 1}
    assert {*even} == {0, 2}
    assert 700 < uneven[0] < 800
    assert 450 < even[0] < 550


def test_the_way_in_is_the_sender_s_choice(said):
    by_address, _, name = said("local_connection_by_address")
    from_lo, _, name_from_lo = said("local_connection_from_lo")
    assert by_address.packet.skb_iif == from_lo.packet.skb_iif == 1
    assert by_address == from_lo._replace(packet=by_address.packet)
    assert (name, name_from_lo) == ("on_eth", "on_lo")


def test_a_member_of_another_multicast_group_gets_the_datagram(said, oracle):
    """Who refuses it wins, but not without early demux's mark, nor without the group."""
    scenario, winner, name = said("multicast_group_chooses_anew")
    assert (name, scenario.socks[winner].mc_refuses) == ("member_of_b", 1)
    assert oracle.run(dissolved(scenario)).sk == 1 - winner
    assert {*_winners(oracle, scenario, range(50))} == {0, 1}


def test_the_last_connected_one_wins_whatever_its_device(said):
    """Where hash4 is; before, the device counts."""
    for last in ("unbound", "device"):
        scenario, winner, name = said(f"connected_twins_{last}_last")
        assert fits(scenario, scenario.socks[winner])
        assert name == "on_device"  # of this kernel, without the rule hash4
        assert Model(replace(Rules(), hash4=True)).run(scenario).sk == 1


def test_a_connection_over_ipv6_is_at_127_0_0_6(said, oracle):
    scenario, winner, _ = said("ipv6_connection_as_127_0_0_6")
    assert winner == 0
    elsewhere = scenario.packet._replace(daddr=scenario.packet.daddr + 1)
    assert oracle.run(scenario._replace(packet=elsewhere)).sk == NONE
    stranger = scenario.packet._replace(saddr=scenario.packet.saddr + 1)
    assert oracle.run(scenario._replace(packet=stranger)).sk == 0


def test_a_program_undoes_a_drop_of_udp_s_group(said, oracle):
    scenario, _, name = said("udp_drop_is_replaced")
    assert name == "assigned"
    assert oracle.run(without_programs(scenario)).sk == NONE


IN_CONNECT = ["udp_drop_and_one_in_connect", "udp_drop_and_one_in_connect-udp6", "udp_drop_and_one_without_peer"]


@pytest.mark.parametrize("name", IN_CONNECT)
def test_a_drop_on_the_wildcard_is_nobody_found(name, said, oracle):
    """The search by the port finds who is being connected, and no member of the group that dropped."""
    scenario, winner, name = said(name)
    assert name == "connecting"
    assert oracle.run(closed(scenario, winner)).sk == NONE
    assert Model(replace(Rules(), lookup1=False)).run(scenario).sk == NONE
