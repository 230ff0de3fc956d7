"""What the oracle `host` makes of scenarios that are drawn: what real sockets can bring about, and nothing else."""

from random import Random

import pytest

from skdiff.cases import wire
from skdiff.cases.fields import LOOKUPS
from skdiff.cases.scenario import (
    BOUND,
    EHASH,
    HELPER,
    KIND_FULL,
    LHASH2,
    NONE,
    TCP_ESTABLISHED,
    UDP6,
    UDP_HASHED,
    Scenario,
)
from skdiff.cases.validity import problems
from skdiff.oracles.running.realisable import Keys, Nearest
from skdiff.variants.version_rules import EPOCHS
from tests.udp_cases import bound, connected, grouped

RULES = {name: EPOCHS[name] for name in ("6.1", "6.18")}
REAL_SIZE = 16384


def nearest_of(epoch: str) -> Nearest:
    keys = Keys()
    keys.secrets, keys.mixes = {0: 7, 2: 8}, {(0, 1): 9, (2, 1): 9}
    return Nearest(RULES[epoch], keys, (0, 1), REAL_SIZE)


def drawn(cases: int, seed: int) -> list[Scenario]:
    draw = Random(seed).randbytes
    found = []
    for _ in range(cases):
        found.append(wire.decode(draw(wire.SIZE)))
        found.append(wire.other_packet(found[-1], draw(wire.FRAME_SIZE)))
    return found


@pytest.mark.parametrize("epoch", RULES)
def test_whatever_is_drawn_becomes_a_case_that_sockets_can_make(epoch):
    nearest = nearest_of(epoch)
    for scenario in drawn(1500, 3):
        made = nearest(scenario)
        assert problems(made, RULES[epoch]) == []
        assert nearest(made) == made
        assert (made.caller, made.packet.sk, made.packet.destructor, made.lookup) == (HELPER, NONE, 0, scenario.lookup)
        assert made.packet.skb_iif in (1, 2, 3)
        assert made.hash_secret == {"tcp4": 7, "udp4": 8}.get(LOOKUPS[made.lookup], 0)
        for sock in made.socks:
            if sock.hashed == EHASH:
                assert (sock.kind, sock.state, sock.race) == (KIND_FULL, TCP_ESTABLISHED, 0)
            if sock.hashed in (LHASH2, UDP_HASHED):
                assert sock.hash2 == BOUND
            assert sock.bound_dev_if in (0, 1, 2, 3)
        for number, group in enumerate(made.groups):
            members = tuple(i for i, sock in enumerate(made.socks) if sock.group == number)
            assert (group.slots, group.num_socks, group.num_closed_socks) == (members, len(members), 0)


def test_most_of_what_is_drawn_keeps_its_sockets_and_their_tables():
    nearest = nearest_of("6.18")
    before = after = 0
    for scenario in drawn(1500, 4):
        made = nearest(scenario)
        if scenario.hostile:
            continue
        in_tables = [sock.hashed in (EHASH, LHASH2, UDP_HASHED) for sock in scenario.socks]
        before += sum(in_tables)
        after += sum(sock.hashed in (EHASH, LHASH2, UDP_HASHED) for sock in made.socks)
        assert len(made.socks) == len(scenario.socks)
    assert before * 0.95 < after


def test_the_tables_of_a_case_are_kept_for_its_other_packets():
    nearest = nearest_of("6.18")
    first, second = drawn(1, 5)
    assert nearest(first).socks is nearest(second).socks


def test_the_cpu_stays_for_some_tables():
    nearest = nearest_of("6.18")
    nearest.tables_a_cpu = 10
    assert [nearest(scenario).cpu for scenario in drawn(40, 6)[::2]] == [0] * 9 + [1] * 10 + [0] * 10 + [1] * 10 + [0]


def test_a_connected_member_leaves_its_group_where_connect_takes_it_out():
    case = grouped(
        bound(reuseport=1, group=0, rcv_saddr=0xFFFF0A000002),
        connected(reuseport=1, group=0, rcv_saddr=0xFFFF0A000002),
        bind_inany=0,
        has_conns=1,
    )
    stays, leaves = nearest_of("6.1")(case), nearest_of("6.18")(case)
    assert (stays.groups[0].slots, stays.groups[0].has_conns) == ((0, 1), 1)
    assert (leaves.groups[0].slots, leaves.groups[0].has_conns, leaves.socks[1].group) == ((0,), 1, NONE)


def test_mapped_addresses_in_ipv6_packets_meet_tables_of_their_real_size():
    nearest = nearest_of("6.18")
    sizes = {
        (made.lookup == UDP6 and made.packet.daddr >> 32 == 0xFFFF, made.udp_size)
        for made in map(nearest, drawn(1500, 8))
    }
    assert sizes == {(False, 256), (True, REAL_SIZE)}
