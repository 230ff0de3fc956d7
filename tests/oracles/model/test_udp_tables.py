"""UDP's tables: where bind() and connect() put a socket, in which chain and at which end, and who is found all the same
(net/ipv4/udp.c udp_lib_get_port(), udp_lib_rehash(), udp4_lib_lookup1()).
"""

from dataclasses import replace
from typing import Any

import pytest

from skdiff.cases.addresses import MAPPED_ANY, from_text, mapped
from skdiff.cases.outcome import SHOWN_SK_REUSEPORT
from skdiff.cases.scenario import (
    AF_INET6,
    BOUND,
    HELPER,
    NONE,
    REHASHED,
    SK_DROP,
    SK_REUSEPORT,
    STALE,
    TCP_CLOSE,
    UNSET,
    Group,
    Netns,
    Program,
    Scenario,
    Sock,
)
from skdiff.oracles.model import Model
from skdiff.oracles.model.hashing import portaddr_hash
from skdiff.oracles.reference import Reference
from skdiff.variants.version_rules import Rules
from tests.helpers import ELSEWHERE, HERE, PEER, agree, bound, connected, datagram
from tests.udp_cases import ON_V6, V6_ENDS, V6_HERE, V6_PEER, udp4, udp6

V6 = {"family": AF_INET6}
APART, TOGETHER = 64, 1  # slots of a table: the addresses of these cases have different ones, or all have the only one
VIEW = from_text("127.0.0.6")


@pytest.mark.parametrize("address", [HERE, V6_HERE, VIEW, ELSEWHERE])
def test_addresses_are_in_the_slots_that_these_cases_need(address: int) -> None:
    assert portaddr_hash(address, 80, 0) % APART != portaddr_hash(0, 80, 0) % APART


# --- which end of a chain ---


@pytest.mark.parametrize("make", [udp4, udp6])
@pytest.mark.parametrize("place", [{}, {"bound_dev_if": 1}])
def test_ipv6_sockets_with_so_reuseport_at_bind_are_met_in_the_order_of_bind(
    reference: Reference, make: Any, place: dict[str, int]
) -> None:
    plain, tail = bound(**V6, **place), bound(**V6, **place, reuseport=1)
    agree(reference, make(plain, plain), sk=1)
    agree(reference, make(tail, tail, hostile=1), sk=0)
    # Who has no SO_REUSEPORT is met first, whenever it was bound.
    agree(reference, make(tail, plain, hostile=1), sk=1)
    agree(reference, make(plain, tail, hostile=1), sk=0)


def test_the_flag_counts_as_it_was_at_bind(reference: Reference) -> None:
    was, is_now = bound(**V6, reuseport=0, reuseport_changed=1), bound(**V6, reuseport=1, reuseport_changed=1)
    agree(reference, udp6(was, was, hostile=1), sk=0)
    agree(reference, udp6(is_now, is_now, hostile=1), sk=1)


def test_ipv4_sockets_are_met_from_the_last_one(reference: Reference) -> None:
    agree(reference, udp4(bound(reuseport=1), bound(reuseport=1), hostile=1), sk=1)


@pytest.mark.parametrize(("hash2", "sk"), [(BOUND, 0), (REHASHED, 1)])
@pytest.mark.parametrize(
    ("make", "ends"), [(udp6, V6_ENDS), (udp4, {"family": AF_INET6, "rcv_saddr": HERE, "daddr": PEER})]
)
def test_connect_puts_a_socket_to_the_head_of_its_new_chain(
    reference: Reference, make: Any, ends: dict[str, int], hash2: int, sk: int
) -> None:
    """An AF_INET6 one with SO_REUSEPORT, too, whose place bind() had chosen at the tail."""
    socks = (connected(**ends, reuseport=1), connected(**ends, reuseport=1, hash2=hash2))
    case = make(*socks, udp_size=APART, hostile=1)
    agree(reference, case, sk=sk, via=("exact", "connected"))


def test_connect_leaves_a_socket_where_it_is_if_the_chain_is_the_same(reference: Reference) -> None:
    socks = (connected(**V6_ENDS, reuseport=1), connected(**V6_ENDS, reuseport=1, hash2=REHASHED))
    agree(reference, udp6(*socks, hostile=1), resized=False, sk=0)


# --- in the middle of connect() ---


def test_who_is_not_yet_rehashed_is_found_by_the_port(reference: Reference) -> None:
    """It has its address, and is still in the wildcard's chain."""
    for sock in (bound(rcv_saddr=HERE, hash2=STALE), bound(rcv_saddr=HERE, daddr=PEER, dport=40000, hash2=STALE)):
        case = udp4(sock, udp_size=APART)
        agree(reference, case, sk=0, via=("fallback",))
        agree(reference, case._replace(caller=HELPER), sk=0, via=("fallback",), refcounted=UNSET)
        assert Model(replace(Rules(), lookup1=False)).run(case).sk == NONE
        # Nobody is lost if the two chains are one.
        agree(reference, case._replace(udp_size=TOGETHER), resized=False, sk=0, via=("exact",))
    agree(reference, udp6(bound(**V6_ENDS, dport=40000, hash2=STALE), udp_size=APART), sk=0, via=("fallback",))


def test_an_ipv6_socket_that_scores_nothing_is_not_found_by_the_port(reference: Reference) -> None:
    """The IPv6 fallback wants more than 0, the IPv6 walk more than -1; of IPv4 any socket has that."""
    plain = bound(**ON_V6, hash2=STALE)
    agree(reference, udp6(plain, udp_size=APART, hostile=1), sk=NONE, via=("none",))
    agree(reference, udp6(plain, hostile=1), resized=False, sk=0, via=("exact",))
    for more in ({"bound_dev_if": 1}, {"incoming_cpu": 0}, {"dport": 40000}, {"daddr": V6_PEER}):
        case = udp6(plain._replace(**more), udp_size=APART, hostile=1)
        agree(reference, case, sk=0, via=("fallback",))


def test_the_fallback_takes_the_best_and_asks_no_group(reference: Reference) -> None:
    groups = (Group(num_socks=1, slots=(0,), prog=SK_REUSEPORT, verdict=SK_DROP),)
    stale = bound(rcv_saddr=HERE, hash2=STALE, reuseport=1, group=0)
    case = udp4(stale, groups=groups, udp_size=APART, hostile=1)
    agree(reference, case, sk=0, shown=(), via=("fallback",))
    for socks, sk in (((stale._replace(incoming_cpu=0), stale), 0), ((stale, stale), 1)):
        agree(reference, case._replace(socks=socks), sk=sk, via=("fallback",))


def test_who_is_on_the_wildcard_is_found_first(reference: Reference) -> None:
    stale = bound(rcv_saddr=HERE, hash2=STALE, bound_dev_if=1, incoming_cpu=0)
    agree(reference, udp4(stale, bound(), udp_size=APART), sk=1, via=("wildcard",))


def test_a_drop_on_the_wildcard_goes_on_and_one_on_the_address_does_not(reference: Reference) -> None:
    groups = (Group(num_socks=1, slots=(1,), prog=SK_REUSEPORT, verdict=SK_DROP, bind_inany=1),)
    stale = bound(rcv_saddr=HERE, hash2=STALE)
    for address, sk in ((0, 0), (HERE, NONE)):
        case = udp4(stale, bound(rcv_saddr=address, reuseport=1, group=0), groups=groups, udp_size=APART, hostile=1)
        via = ("fallback",) if sk == 0 else ("exact", "drop")
        agree(reference, case, sk=sk, via=via, ran=(SHOWN_SK_REUSEPORT,))


def test_programs_are_asked_before_the_fallback(reference: Reference) -> None:
    netns = (Netns(run_array=1, progs=(Program(SK_DROP),)),)
    case = udp4(bound(rcv_saddr=HERE, hash2=STALE), udp_size=APART, netns=netns, sk_lookup_enabled=1)
    assert agree(reference, case, sk=NONE, via=("drop",), ran=(1,)).shown[0][0] == 1


# --- an IPv6 address as IPv4 has it ---


def at_view(*socks: Sock, **fields: Any) -> Scenario:
    return udp4(*socks, packet=datagram(saddr=mapped(0x7F000001), daddr=VIEW), **fields)


def test_a_connection_over_ipv6_is_found_at_127_0_0_6(reference: Reference) -> None:
    """Whoever sends to there from the peer's port: its address is no longer asked for (net/ipv6/datagram.c). The socket
    is in the chain of its IPv6 address, so that it is found by the port, or by chance.
    """
    sock = connected(**V6_ENDS, hash2=REHASHED)
    case = at_view(sock, udp_size=APART)
    agree(reference, case, sk=0, via=("fallback",))
    assert Model(replace(Rules(), lookup1=False)).run(case).sk == NONE
    agree(reference, case._replace(udp_size=TOGETHER), resized=False, sk=0, via=("exact", "connected"))
    for packet in (case.packet._replace(sport=40001), case.packet._replace(daddr=HERE)):
        agree(reference, case._replace(packet=packet), sk=NONE)


def test_who_takes_ipv6_alone_is_not_at_127_0_0_6(reference: Reference) -> None:
    """bind() to an IPv6 address makes a socket so; the wildcard and connect() do not."""
    agree(reference, at_view(bound(**ON_V6, ipv6only=1)), sk=NONE)
    agree(reference, at_view(bound(**ON_V6), hostile=1), sk=0)


def test_the_mapped_wildcard_is_ipv4_s_and_an_address_of_ipv6(reference: Reference) -> None:
    sock = bound(**V6, rcv_saddr=MAPPED_ANY)
    agree(reference, udp4(sock), sk=0, via=("wildcard",))
    agree(reference, udp6(sock), sk=NONE)


def test_a_mapped_address_is_found_by_ipv4_as_ipv4_s_own(reference: Reference) -> None:
    both = bound(**V6, rcv_saddr=HERE), bound(rcv_saddr=HERE)
    agree(reference, udp4(*both), sk=1, via=("exact",))  # AF_INET counts one more
    agree(reference, udp4(*both[::-1]), sk=0)
    agree(reference, udp4(both[0]), sk=0)


def test_ipv6_finds_a_disconnected_socket_s_old_peer_only(reference: Reference) -> None:
    """disconnect() forgets an IPv4 peer, not the IPv6 one that compute_score() of IPv6 asks for."""
    left = bound(**V6, daddr=V6_PEER, state=TCP_CLOSE)
    agree(reference, udp6(left), sk=0, via=("wildcard",))
    other = udp6(left)
    other = other._replace(packet=other.packet._replace(saddr=V6_PEER + 1))
    agree(reference, other, sk=NONE)
    agree(reference, udp4(left), sk=0, via=("wildcard",))  # IPv4 asks for none
