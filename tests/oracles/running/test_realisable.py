"""What the oracle `host` makes of scenarios that are drawn: what real sockets can bring about, and nothing else."""

from random import Random

import pytest

from skdiff.cases import wire
from skdiff.cases.fields import LOOKUPS
from skdiff.cases.scenario import (
    AF_INET6,
    BOUND,
    DEMUX,
    EHASH,
    HELPER,
    KIND_FULL,
    KIND_TIMEWAIT,
    LHASH2,
    NONE,
    PFREE,
    RECEIVE,
    REHASHED,
    TCP_ESTABLISHED,
    TCP_FIN_WAIT1,
    UDP_HASHED,
    Packet,
    Scenario,
)
from skdiff.cases.validity import problems
from skdiff.engines.aimed_events import fresh
from skdiff.oracles.running.drawing import plain_tables, what_changed
from skdiff.oracles.running.namespaces import SLAVE, VRF
from skdiff.oracles.running.realisable import Keys, Nearest
from skdiff.variants.version_rules import EPOCHS
from tests.helpers import connection, listener, scenario, timewait
from tests.udp_cases import bound, connected, grouped

RULES = {name: EPOCHS[name] for name in ("6.1", "6.18")}


def nearest_of(epoch: str) -> Nearest:
    keys = Keys()
    keys.secrets, keys.mixes = {0: 7, 2: 8}, {1: 9}
    return Nearest(RULES[epoch], keys, (0, 1))


def drawn(cases: int, seed: int) -> list[Scenario]:
    random, others = Random(seed), Random(~seed)
    found = []
    for _ in range(cases):
        found.append(wire.decode(fresh(random, others)))
        found.append(wire.other_packet(found[-1], random.randbytes(wire.FRAME_SIZE)))
    return found


@pytest.mark.parametrize("epoch", RULES)
def test_whatever_is_drawn_becomes_a_case_that_sockets_can_make(epoch):
    nearest = nearest_of(epoch)
    for case in drawn(1500, 3):
        made = nearest(case)
        assert problems(made, RULES[epoch]) == []
        assert nearest(made) == made
        assert made.lookup == case.lookup
        assert made.events == ()
        assert made.packet.destructor == (0 if made.packet.sk == NONE else PFREE)
        packet = made.packet
        assert made.caller == HELPER or (packet.skb_iif, packet.sdif) in ((1, 0), (2, 0), (3, 0), (VRF, SLAVE))
        assert not packet.rt_iif or (made.caller, packet.skb_iif) == (RECEIVE, 1)
        assert made.caller != HELPER or packet.skb_iif in (1, 2, 3)
        assert made.hash_secret == {"tcp4": 7, "udp4": 8}.get(LOOKUPS[made.lookup], 0)
        for sock in made.socks:
            assert sock.mc_refuses == 0
            assert sock.hash2 in (BOUND, REHASHED)
            assert sock.bound_dev_if in (0, 1, *((VRF, SLAVE) if made.packet.sdif in (VRF, SLAVE) else ()), 2, 3)
        for number, group in enumerate(made.groups):
            members = [i for i, sock in enumerate(made.socks) if sock.group == number]
            assert (sorted(group.slots), group.num_socks, group.num_closed_socks) == (members, len(members), 0)


def test_without_packets_a_helper_asks_and_without_vrfs_there_is_no_sdif():
    nearest = nearest_of("6.18")
    nearest.by_packets = nearest.vrfs = False
    for case in drawn(300, 9):
        made = nearest(case)
        assert problems(made, RULES["6.18"]) == []
        assert (made.caller, made.packet.sk, made.packet.sdif) == (HELPER, NONE, 0)
        assert not any(net.tcp_l3mdev_accept or net.udp_l3mdev_accept for net in made.netns)


def test_the_one_vrf_stands_for_that_of_the_first_packet_and_its_other_packets_come_by_it_or_by_lo():
    in_vrf = scenario(*(connection(bound_dev_if=device) for device in (3, 2, 1, 0)), packet=Packet(skb_iif=3, sdif=2))
    nearest = nearest_of("6.18")
    made = nearest(in_vrf)
    assert (made.packet.skb_iif, made.packet.sdif) == (VRF, SLAVE)
    assert [sock.bound_dev_if for sock in made.socks] == [VRF, SLAVE, 1, 0]
    assert nearest.asked.changed.total() == 0
    for skb_iif, devices in ((2, (VRF, SLAVE)), (3, (VRF, SLAVE)), (1, (1, 0))):
        other = nearest(in_vrf._replace(packet=Packet(skb_iif=skb_iif)))
        assert (other.packet.skb_iif, other.packet.sdif) == devices
        assert other.socks is made.socks
    plain = nearest(in_vrf._replace(packet=Packet(skb_iif=3, sport=1), socks=in_vrf.socks[:1]))
    assert (plain.packet.skb_iif, plain.packet.sdif, plain.socks[0].bound_dev_if) == (3, 0, 3)


def test_without_a_vrf_no_packet_is_one_of_it():
    nearest = nearest_of("6.18")
    nearest.by_vrf = False
    for case in drawn(300, 12):
        made = nearest(case)
        assert problems(made, RULES["6.18"]) == []
        assert made.caller == HELPER or (made.packet.sdif, made.packet.skb_iif in (1, 2, 3)) == (0, True)
        assert {sock.bound_dev_if for sock in made.socks} <= {0, 1, 2, 3}


def test_where_bpf_attaches_nothing_packets_come_without():
    nearest = nearest_of("6.18")
    nearest.by_attaching = False
    found = [nearest(case) for case in drawn(300, 10)]
    assert {made.packet.sk for made in found} == {NONE}
    assert {made.caller for made in found} == {RECEIVE, DEMUX, HELPER}


def test_most_of_what_is_drawn_keeps_its_sockets_and_their_tables():
    nearest = nearest_of("6.18")
    before = after = 0
    for case in drawn(1500, 4):
        made = nearest(case)
        if case.hostile:
            continue
        in_tables = [sock.hashed in (EHASH, LHASH2, UDP_HASHED) for sock in case.socks]
        before += sum(in_tables)
        after += sum(sock.hashed in (EHASH, LHASH2, UDP_HASHED) for sock in made.socks)
        assert len(made.socks) == len(case.socks)
    assert before * 0.95 < after


def test_the_tables_of_a_case_are_kept_for_its_other_packets():
    nearest = nearest_of("6.18")
    first, second = drawn(1, 5)
    assert nearest(first).socks is nearest(second).socks


def test_the_cpu_stays_for_some_tables():
    nearest = nearest_of("6.18")
    nearest.tables_a_cpu = 10
    assert [nearest(case).cpu for case in drawn(40, 6)[::2]] == [0] * 9 + [1] * 10 + [0] * 10 + [1] * 10 + [0]


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


def test_most_of_what_is_drawn_is_asked_as_it_is_and_what_is_not_is_counted():
    nearest = nearest_of("6.18")
    nearest.tables_a_cpu = 64
    for case in drawn(3000, 11):
        nearest(case)
    asked = nearest.asked
    assert asked.drawn == 6000
    assert asked.changed.total() < asked.drawn / 5
    assert all(count and what for what, count in asked.changed.items())


def test_without_programs_of_devices_connections_are_established():
    nearest = nearest_of("6.18")
    nearest.by_attaching = nearest.by_segments = False
    made = [nearest(case) for case in drawn(300, 12)]
    states = {(sock.kind, sock.state) for case in made for sock in case.socks if sock.hashed == EHASH}
    assert states == {(KIND_FULL, TCP_ESTABLISHED)}


@pytest.mark.parametrize(
    ("was", "now", "what"),
    [
        (listener(), listener(refcnt=5, daddr=9), ""),
        (listener(), listener(bound_dev_if=2), "a socket's bound_dev_if"),
        (listener(reuseport_changed=1, reuseport=1), listener(reuseport=1), ""),
        (
            listener(family=AF_INET6, reuseport_changed=1, reuseport=1),
            listener(family=AF_INET6, reuseport=1),
            "a socket's reuseport_changed",
        ),
        (timewait(), timewait(incoming_cpu=3), ""),
        (timewait(), connection(), "a socket's kind"),
        (connection(state=TCP_FIN_WAIT1), connection(), "a socket's state"),
        (connected(hash2=REHASHED), connected(), "a socket's hash2"),
    ],
)
def test_what_a_lookup_reads_is_told_when_it_is_changed(was, now, what):
    assert what_changed(scenario(was), scenario(now)) == what


def test_a_mini_socket_without_a_device_has_its_ends_for_itself():
    later = connection(bound_dev_if=2)
    plain = plain_tables(scenario(timewait(), later), RULES["6.18"], by_helper=False)
    assert [sock.kind for sock in plain.socks] == [KIND_FULL, KIND_FULL]
    plain = plain_tables(scenario(later, timewait()), RULES["6.18"], by_helper=False)
    assert [sock.kind for sock in plain.socks] == [KIND_FULL, KIND_TIMEWAIT]
    plain = plain_tables(scenario(timewait(bound_dev_if=1), later), RULES["6.18"], by_helper=False)
    assert [sock.kind for sock in plain.socks] == [KIND_TIMEWAIT, KIND_FULL]
