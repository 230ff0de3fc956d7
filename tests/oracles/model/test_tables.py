"""The tables: the connection's own socket, then listeners on the packet's address, then on the wildcard."""

from typing import Any

import pytest

from skdiff.cases.outcome import SHOWN_SK_REUSEPORT, STUCK
from skdiff.cases.scenario import (
    AF_INET6,
    HASH_PACKET,
    HASH_WRONG,
    INT_MAX,
    KIND_REQUEST,
    LHASH2,
    NOWHERE,
    REFCOUNT_SATURATED,
    SK_DROP,
    SK_REUSEPORT,
    TCP_CLOSE,
    TCP_FIN_WAIT2,
    TCP_LISTEN,
    TCP_SYN_SENT,
    Group,
    Netns,
    Packet,
    Sock,
)
from skdiff.oracles.reference import Reference
from tests.helpers import ELSEWHERE, HERE, PEER, agree, connection, listener, request, scenario, timewait

FOUND: dict[str, Any] = {"refcounted": 1, "via": ("established",)}
EXACT: dict[str, Any] = {"via": ("exact listener",)}
WILDCARD: dict[str, Any] = {"via": ("wildcard listener",)}
NOTHING: dict[str, Any] = {"sk": -1, "via": ("none",)}

# In a VRF: the packet came in by device 3, a slave of master 2. No VRF: by device 1.
VRF = Packet(skb_iif=2, sdif=3)
ACCEPT = (Netns(tcp_l3mdev_accept=1),)

SATURATED = "refcount_warn_saturate: refcount_t: saturated; leaking memory"


# --- nothing ---


def test_without_sockets_nothing_is_found(reference: Reference) -> None:
    agree(reference, scenario(), **NOTHING)


def test_an_unhashed_socket_is_not_found(reference: Reference) -> None:
    agree(reference, scenario(Sock()), **NOTHING)
    agree(reference, scenario(connection(hashed=NOWHERE), listener(hashed=NOWHERE), hostile=1), **NOTHING)


# --- established ---


@pytest.mark.parametrize("state", [1, TCP_SYN_SENT, TCP_FIN_WAIT2])
def test_a_connection_is_found_with_a_reference_in_any_state(reference: Reference, state: int) -> None:
    agree(reference, scenario(connection(state=state)), sk=0, refcnt={0: 2}, **FOUND)


def test_a_timewait_socket_is_found_with_a_reference(reference: Reference) -> None:
    agree(reference, scenario(timewait(refcnt=3)), sk=0, refcnt={0: 4}, **FOUND)


def test_a_request_is_found_with_a_reference_and_keeps_its_listener(reference: Reference) -> None:
    agree(reference, scenario(listener(), request(listener=0)), sk=1, refcnt={1: 2}, **FOUND)


def test_an_ipv6_socket_with_mapped_addresses_is_found(reference: Reference) -> None:
    agree(reference, scenario(connection(family=AF_INET6)), sk=0, refcnt={0: 2}, **FOUND)


@pytest.mark.parametrize("field", ["daddr", "rcv_saddr", "dport", "num"])
def test_each_of_addresses_and_ports_must_be_the_packets(reference: Reference, field: str) -> None:
    other = {"daddr": ELSEWHERE, "rcv_saddr": ELSEWHERE, "dport": 40001, "num": 81}[field]
    agree(reference, scenario(connection(**{field: other})), **NOTHING)


@pytest.mark.parametrize("field", ["daddr", "rcv_saddr", "dport", "num"])
def test_a_colliding_hash_is_not_enough(reference: Reference, field: str) -> None:
    other = {"daddr": ELSEWHERE, "rcv_saddr": ELSEWHERE, "dport": 40001, "num": 81}[field]
    socks = (connection(), connection(**{field: other}, hash_kind=HASH_PACKET))
    agree(reference, scenario(*socks, hostile=1), sk=0, refcnt={0: 2}, **FOUND)


def test_a_socket_with_a_wrong_hash_is_passed_by(reference: Reference) -> None:
    agree(reference, scenario(connection(hash_kind=HASH_WRONG), hostile=1), **NOTHING)


def test_source_and_destination_are_not_exchanged(reference: Reference) -> None:
    back = connection(daddr=HERE, rcv_saddr=PEER, dport=80, num=40000)
    agree(reference, scenario(back), **NOTHING)


def test_a_connection_is_found_before_listeners(reference: Reference) -> None:
    socks = (connection(), listener(rcv_saddr=HERE, bound_dev_if=1), listener(rcv_saddr=HERE, bound_dev_if=1))
    agree(reference, scenario(*socks), sk=0, refcnt={0: 2}, **FOUND)


def test_of_several_connections_the_newest_is_found_whatever_their_devices(reference: Reference) -> None:
    bound, unbound = connection(bound_dev_if=1), connection()
    agree(reference, scenario(bound, unbound), sk=1, refcnt={1: 2}, **FOUND)
    agree(reference, scenario(unbound, bound), sk=1, refcnt={1: 2}, **FOUND)


@pytest.mark.parametrize("hostile", [0, 1])
def test_a_newer_connection_that_does_not_fit_is_passed_by(reference: Reference, hostile: int) -> None:
    case = scenario(connection(), connection(bound_dev_if=2), hostile=hostile)
    agree(reference, case, sk=0, refcnt={0: 2}, **FOUND)


def test_a_dying_socket_ends_the_search_but_listeners_are_tried(reference: Reference) -> None:
    socks = (connection(), connection(refcnt=0), listener())
    agree(reference, scenario(*socks, hostile=1), sk=2, **WILDCARD)


def test_a_dying_socket_ends_the_search_with_nothing_without_listeners(reference: Reference) -> None:
    agree(reference, scenario(connection(), connection(refcnt=0), hostile=1), **NOTHING)


def test_a_dying_socket_behind_the_one_found_is_not_met(reference: Reference) -> None:
    case = scenario(connection(refcnt=0), connection(), hostile=1)
    agree(reference, case, sk=1, refcnt={1: 2}, **FOUND)


def test_a_dying_socket_of_another_device_does_not_end_the_search(reference: Reference) -> None:
    case = scenario(connection(), connection(refcnt=0, bound_dev_if=2), hostile=1)
    agree(reference, case, sk=0, refcnt={0: 2}, **FOUND)


@pytest.mark.parametrize(
    ("before", "after", "warns"),
    [
        (INT_MAX - 1, INT_MAX, ()),
        (INT_MAX, REFCOUNT_SATURATED, (SATURATED,)),
        (0x80000000, REFCOUNT_SATURATED, (SATURATED,)),
        (REFCOUNT_SATURATED, REFCOUNT_SATURATED, (SATURATED,)),
        (0xFFFFFFFF, REFCOUNT_SATURATED, (SATURATED,)),
    ],
)
def test_a_reference_count_that_would_overflow_is_pinned_with_a_warning(
    reference: Reference, before: int, after: int, warns: tuple[str, ...]
) -> None:
    case = scenario(connection(refcnt=before), hostile=1)
    agree(reference, case, sk=0, refcnt={0: after}, warns=warns, **FOUND)


# --- walks without an end ---


@pytest.mark.parametrize("xor", [1, 64, 0x40000000])
def test_a_wrong_end_mark_is_looked_for_in_vain_for_ever(reference: Reference, xor: int) -> None:
    agree(reference, scenario(listener(), ehash_nulls_xor=xor, hostile=1), ended=STUCK)


def test_a_wrong_end_mark_behind_the_connection_is_not_met(reference: Reference) -> None:
    case = scenario(connection(), ehash_nulls_xor=1, hostile=1)
    agree(reference, case, sk=0, refcnt={0: 2}, **FOUND)


def test_a_wrong_end_mark_behind_a_dying_connection_is_not_met(reference: Reference) -> None:
    case = scenario(connection(refcnt=0), listener(), ehash_nulls_xor=1, hostile=1)
    agree(reference, case, sk=1, **WILDCARD)


def test_a_match_that_is_marked_as_unhashed_is_tried_for_ever(reference: Reference) -> None:
    agree(reference, scenario(connection(no_pprev=1), listener(), hostile=1), ended=STUCK)


def test_a_dying_match_that_is_marked_as_unhashed_ends_the_search(reference: Reference) -> None:
    case = scenario(connection(no_pprev=1, refcnt=0), listener(), hostile=1)
    agree(reference, case, sk=1, **WILDCARD)


def test_the_mark_of_a_socket_that_is_no_match_is_not_looked_at(reference: Reference) -> None:
    socks = (connection(), connection(no_pprev=1, dport=40001, hash_kind=HASH_PACKET), listener(no_pprev=1))
    agree(reference, scenario(*socks, hostile=1), sk=0, refcnt={0: 2}, **FOUND)
    agree(reference, scenario(*socks[1:], hostile=1), sk=1, **WILDCARD)


# --- listeners ---


def test_a_listener_is_found_without_a_reference(reference: Reference) -> None:
    agree(reference, scenario(listener()), sk=0, refcounted=0, **WILDCARD)


@pytest.mark.parametrize(
    "other", [{"num": 81}, {"rcv_saddr": ELSEWHERE}, {"rcv_saddr": PEER}, {"family": AF_INET6, "ipv6only": 1}]
)
def test_a_listener_must_have_port_and_address_and_accept_ipv4(reference: Reference, other: dict[str, int]) -> None:
    agree(reference, scenario(listener(**other)), **NOTHING)


def test_an_exact_listener_is_found_before_any_on_the_wildcard(reference: Reference) -> None:
    exact, wildcard = listener(rcv_saddr=HERE, family=AF_INET6), listener(bound_dev_if=1, incoming_cpu=0)
    agree(reference, scenario(exact, wildcard), sk=0, **EXACT)
    agree(reference, scenario(wildcard, exact), sk=1, **EXACT)


def test_an_exact_listener_of_another_device_leaves_the_wildcard(reference: Reference) -> None:
    agree(reference, scenario(listener(), listener(rcv_saddr=HERE, bound_dev_if=2)), sk=0, **WILDCARD)


def test_a_packet_to_the_wildcard_address_finds_it_as_its_own(reference: Reference) -> None:
    case = scenario(listener(), packet=Packet(daddr=0), hostile=1)
    agree(reference, case, sk=0, **EXACT)


@pytest.mark.parametrize("address", [0, HERE])
def test_of_equal_listeners_the_newest_is_found(reference: Reference, address: int) -> None:
    socks = [listener(rcv_saddr=address)] * 3
    agree(reference, scenario(*socks), sk=2)


BETTER = {
    "a device": ({"bound_dev_if": 1}, {}),
    "AF_INET": ({}, {"family": AF_INET6}),
    "this CPU": ({"incoming_cpu": 2}, {"incoming_cpu": 1}),
    "a device and a CPU": ({"bound_dev_if": 1, "incoming_cpu": 2, "family": AF_INET6}, {}),
    "all three": ({"bound_dev_if": 1, "incoming_cpu": 2}, {"bound_dev_if": 1}),
}


@pytest.mark.parametrize("address", [0, HERE])
@pytest.mark.parametrize(("good", "bad"), BETTER.values(), ids=BETTER)
def test_a_listener_that_asked_for_more_is_better(
    reference: Reference, good: dict[str, int], bad: dict[str, int], address: int
) -> None:
    better, worse = listener(rcv_saddr=address, **good), listener(rcv_saddr=address, **bad)
    agree(reference, scenario(better, worse, cpu=2), sk=0)
    agree(reference, scenario(worse, better, cpu=2), sk=1)


@pytest.mark.parametrize(
    "other", [{"bound_dev_if": 1, "family": AF_INET6}, {"incoming_cpu": 2, "family": AF_INET6}], ids=str
)
def test_what_was_asked_for_counts_the_same_whatever_it_is(reference: Reference, other: dict[str, int]) -> None:
    one, two = listener(), listener(**other)
    agree(reference, scenario(one, two, cpu=2), sk=1)
    agree(reference, scenario(two, one, cpu=2), sk=1)


def test_the_cpu_minus_one_of_a_listener_without_a_cpu_is_never_this_one(reference: Reference) -> None:
    agree(reference, scenario(listener(incoming_cpu=0), listener(incoming_cpu=-1), cpu=0), sk=0)


def test_ipv6_listeners_with_so_reuseport_stand_at_the_tail_oldest_first(reference: Reference) -> None:
    tail = listener(family=AF_INET6, reuseport=1)
    agree(reference, scenario(tail, tail, tail, hostile=1), sk=0)
    agree(reference, scenario(listener(family=AF_INET6), tail, hostile=1), sk=0)
    agree(reference, scenario(*[listener(reuseport=1, reuseport_changed=1)] * 2), sk=1)


def test_so_reuseport_in_listen_decides_where_a_listener_stands(reference: Reference) -> None:
    """Held against Linux 6.18.44: 915 of 143,496 lookups differed while the flag of the end decided."""
    later = listener(family=AF_INET6, reuseport=1, reuseport_changed=1)
    agree(reference, scenario(later, later), sk=1)
    before = listener(family=AF_INET6, reuseport=0, reuseport_changed=1, group=0)
    group = Group(num_socks=2, bind_inany=1, slots=(0, 1))
    agree(reference, scenario(before, before, groups=(group,)), sk=0)
    agree(reference, scenario(before, later, groups=(group._replace(num_socks=1, slots=(0,)),)), sk=1)


def test_the_flag_that_sends_a_socket_to_the_tail_is_so_reuseport_on_ipv6_alone(reference: Reference) -> None:
    plain = listener(family=AF_INET6)
    agree(reference, scenario(plain, plain), sk=1)


# --- groups met on the way ---


def test_a_groups_hit_ends_the_walk_before_a_better_listener(reference: Reference) -> None:
    member, better = listener(reuseport=1, group=0), listener(bound_dev_if=1)
    groups = (Group(num_socks=1, bind_inany=1, slots=(1,)),)
    agree(reference, scenario(better, member, groups=groups), sk=1, via=("wildcard listener", "group by hash"))


def test_a_group_is_not_asked_when_a_better_listener_came_first(reference: Reference) -> None:
    groups = (Group(num_socks=1, bind_inany=1, prog=SK_REUSEPORT, verdict=SK_DROP, slots=(0,)),)
    case = scenario(listener(reuseport=1, group=0), listener(bound_dev_if=1), groups=groups)
    agree(reference, case, sk=1, shown=(), **WILDCARD)


def test_a_group_is_not_asked_for_a_listener_that_is_no_better(reference: Reference) -> None:
    groups = (Group(num_socks=1, bind_inany=1, slots=(0,)),)
    agree(reference, scenario(listener(reuseport=1, group=0), listener(), groups=groups), sk=1, shown=(), **WILDCARD)


def test_an_exact_group_is_asked_before_the_wildcard(reference: Reference) -> None:
    groups = (Group(num_socks=1, slots=(0,)),)
    case = scenario(listener(rcv_saddr=HERE, reuseport=1, group=0), listener(), groups=groups)
    agree(reference, case, sk=0, via=("exact listener", "group by hash"))


@pytest.mark.parametrize("address", [0, HERE])
def test_a_drop_ends_the_lookup_with_nothing(reference: Reference, address: int) -> None:
    groups = (Group(num_socks=1, bind_inany=int(not address), prog=SK_REUSEPORT, verdict=SK_DROP, slots=(2,)),)
    better, wildcard = listener(rcv_saddr=address, bound_dev_if=1), listener()
    case = scenario(wildcard, better, listener(rcv_saddr=address, reuseport=1, group=0), groups=groups)
    agree(
        reference,
        case,
        sk=-1,
        via=(f"{'exact' if address else 'wildcard'} listener", "drop"),
        ran=(SHOWN_SK_REUSEPORT,),
    )


# --- devices ---


@pytest.mark.parametrize("make", [connection, listener])
@pytest.mark.parametrize(
    ("bound", "packet", "netns", "fits"),
    [
        (1, Packet(), Netns(), True),
        (2, Packet(), Netns(), False),
        (0, Packet(), Netns(), True),
        (0, VRF, Netns(), False),
        (0, VRF, ACCEPT[0], True),
        (0, VRF, Netns(udp_l3mdev_accept=1), False),
        (2, VRF, Netns(), True),
        (3, VRF, Netns(), True),
        (1, VRF, Netns(), False),
        (1, VRF, ACCEPT[0], False),
        (1, Packet(rt_iif=2), Netns(), False),
        (2, Packet(rt_iif=2), Netns(), True),
    ],
)
def test_a_bound_socket_wants_the_packets_device_or_its_slave(
    reference: Reference, make: Any, bound: int, packet: Packet, netns: Netns, fits: bool
) -> None:
    case = scenario(make(bound_dev_if=bound), packet=packet, netns=(netns,))
    if not fits:
        agree(reference, case, **NOTHING)
    elif make is connection:
        agree(reference, case, sk=0, refcnt={0: 2}, **FOUND)
    else:
        agree(reference, case, sk=0, **WILDCARD)


def test_master_and_slave_are_equally_good_devices(reference: Reference) -> None:
    master, slave, unbound = listener(bound_dev_if=2), listener(bound_dev_if=3), listener()
    agree(reference, scenario(slave, master, unbound, packet=VRF, netns=ACCEPT), sk=1)
    agree(reference, scenario(master, slave, unbound, packet=VRF, netns=ACCEPT), sk=1)


# --- namespaces and their tables ---

TWO = (Netns(), Netns())


@pytest.mark.parametrize("make", [connection, listener])
def test_a_namespace_with_the_same_hash_mix_keeps_its_sockets(reference: Reference, make: Any) -> None:
    refcounted = int(make is connection)
    own, other = make(netns=1), make(netns=0)
    packet = Packet(netns=1)
    agree(reference, scenario(other, packet=packet, netns=TWO), **NOTHING)
    agree(reference, scenario(other, packet=packet, netns=(Netns(own_hashinfo=1), Netns())), **NOTHING)
    case = scenario(own, other, packet=packet, netns=TWO)
    agree(reference, case, sk=0, refcounted=refcounted, refcnt={0: 1 + refcounted})


@pytest.mark.parametrize("make", [connection, listener])
@pytest.mark.parametrize("own", [0, 1])
@pytest.mark.parametrize("mix", [0, 7])
def test_a_namespace_finds_its_sockets_in_its_tables(reference: Reference, make: Any, own: int, mix: int) -> None:
    refcounted = int(make is connection)
    netns = (Netns(hash_mix=3), Netns(own_hashinfo=own, hash_mix=mix))
    case = scenario(make(netns=1), make(netns=0), packet=Packet(netns=1), netns=netns)
    agree(reference, case, sk=0, refcounted=refcounted, refcnt={0: 1 + refcounted})


@pytest.mark.parametrize("make", [connection, listener])
@pytest.mark.parametrize("own", [0, 1])
def test_the_tables_of_somebody_else_have_none_of_ours(reference: Reference, make: Any, own: int) -> None:
    netns = (Netns(own_hashinfo=own), Netns(own_hashinfo=1 - own))
    case = scenario(make(netns=0), make(netns=1), netns=netns, foreign_hashinfo=1, hostile=1)
    agree(reference, case, **NOTHING)


# --- what only a hostile table has ---


def test_the_state_of_a_listener_is_not_looked_at(reference: Reference) -> None:
    agree(reference, scenario(listener(state=TCP_CLOSE), hostile=1), sk=0, **WILDCARD)


def test_a_listener_without_references_is_found_all_the_same(reference: Reference) -> None:
    agree(reference, scenario(listener(refcnt=0), hostile=1), sk=0, **WILDCARD)


def test_a_connection_among_the_listeners_is_a_listener_there(reference: Reference) -> None:
    agree(reference, scenario(connection(hashed=LHASH2), hostile=1), sk=0, **EXACT)


def test_a_listener_in_ehash_is_a_connection_there(reference: Reference) -> None:
    case = scenario(connection(state=TCP_LISTEN), listener(), hostile=1)
    agree(reference, case, sk=0, refcnt={0: 2}, **FOUND)


def test_a_request_that_lost_its_listener_is_found(reference: Reference) -> None:
    case = scenario(request(), hostile=1)
    assert case.socks[0].kind == KIND_REQUEST
    agree(reference, case, sk=0, refcnt={0: 2}, **FOUND)
