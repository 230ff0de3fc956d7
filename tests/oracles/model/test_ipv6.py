"""The lookup of IPv6: what it has in common with IPv4's is in laws.py; here is what it finds, and what it does not."""

from typing import Any

import pytest

from skdiff.cases.addresses import MAPPED_ANY, from_text, mapped, other_family
from skdiff.cases.outcome import SHOWN_SK_LOOKUP
from skdiff.cases.scenario import (
    AF_INET6,
    HASH_PACKET,
    IPPROTO_TCP,
    LEAVE,
    NONE,
    PFREE,
    SK_DROP,
    SK_PASS,
    TCP4,
    TCP6,
    Group,
    Netns,
    Packet,
    Program,
    Scenario,
    Sock,
)
from skdiff.oracles.model.hash_tables import ONE, Tables
from skdiff.oracles.reference import Reference
from skdiff.variants.config import Config
from tests.helpers import HERE, PEER, agree, connection, listener, request, scenario, secret_for, timewait, udp

V6_PEER, V6_HERE, V6_ELSEWHERE = (from_text(f"2001:db8::{n}") for n in (1, 2, 9))
PACKET = Packet(saddr=V6_PEER, daddr=V6_HERE)
ENDS = {"family": AF_INET6, "rcv_saddr": V6_HERE, "daddr": V6_PEER}
EXACT = {"family": AF_INET6, "rcv_saddr": V6_HERE, "ipv6only": 1}
FOUND: dict[str, Any] = {"refcounted": 1, "via": ("established",)}


def ipv6(*socks: Sock, packet: Packet = PACKET, **fields: Any) -> Scenario:
    return scenario(*socks, packet=packet, lookup=TCP6, **fields)


# --- connections ---


@pytest.mark.parametrize("make", [connection, timewait])
def test_a_connection_is_found_with_a_reference(reference: Reference, make: Any) -> None:
    agree(reference, ipv6(make(**ENDS)), sk=0, refcnt={0: 2}, **FOUND)


def test_a_request_is_found_and_keeps_its_listener(reference: Reference) -> None:
    for listens in ({"family": AF_INET6}, {"family": AF_INET6, "ipv6only": 1}):
        case = ipv6(request(**ENDS, listener=1), listener(**listens, refcnt=2))
        agree(reference, case, sk=0, refcnt={0: 2}, **FOUND)


@pytest.mark.parametrize("bit", [0, 31, 32, 63, 64, 95, 96, 127])
@pytest.mark.parametrize("end", ["rcv_saddr", "daddr"])
def test_each_word_of_an_address_counts(reference: Reference, end: str, bit: int) -> None:
    sock = connection(**ENDS | {end: ENDS[end] ^ 1 << bit}, hash_kind=HASH_PACKET)
    agree(reference, ipv6(sock, hostile=1), sk=NONE)
    listens = listener(**EXACT | {"rcv_saddr": V6_HERE ^ 1 << bit})
    agree(reference, ipv6(listens), sk=NONE)


@pytest.mark.parametrize("other", [{"dport": 40001}, {"num": 81}, {"bound_dev_if": 2}, {"netns": 1}])
def test_another_connection_is_not_found(reference: Reference, other: dict[str, int]) -> None:
    agree(reference, ipv6(connection(**ENDS, **other), netns=(Netns(), Netns())), sk=NONE)


def test_neither_lookup_finds_the_other_s_connection(reference: Reference) -> None:
    agree(reference, ipv6(connection(), connection(family=AF_INET6)), sk=NONE)
    agree(reference, scenario(connection(**ENDS)), sk=NONE)
    images = connection(family=AF_INET6, rcv_saddr=other_family(HERE), daddr=other_family(PEER))
    agree(reference, scenario(images, connection(family=AF_INET6)), sk=1, refcnt={1: 2}, **FOUND)


def test_a_packet_with_mapped_addresses_finds_no_ipv4_connection(reference: Reference) -> None:
    """inet6_match() would take it, but sk_ehashfn() gave it the hash of IPv4."""
    own = connection(family=AF_INET6)
    agree(reference, ipv6(own, packet=Packet()), sk=NONE)
    hashed = own._replace(hash_kind=HASH_PACKET)
    agree(reference, ipv6(hashed, packet=Packet(), hostile=1), sk=0, refcnt={0: 2}, **FOUND)


def test_an_ipv6_address_is_127_0_0_6_to_the_lookup_of_ipv4(reference: Reference) -> None:
    packet = Packet(saddr=from_text("127.0.0.6"), daddr=from_text("127.0.0.6"))
    agree(reference, scenario(connection(**ENDS), packet=packet), sk=NONE)
    hashed = connection(**ENDS, hash_kind=HASH_PACKET)
    agree(reference, scenario(hashed, packet=packet, hostile=1), sk=0, refcnt={0: 2}, **FOUND)


# --- listeners ---


def test_an_address_before_the_wildcard(reference: Reference) -> None:
    exact, wildcard = listener(**EXACT), listener(family=AF_INET6, bound_dev_if=1, incoming_cpu=0)
    agree(reference, ipv6(wildcard, exact), sk=1, via=("exact listener",))
    agree(reference, ipv6(wildcard, exact, packet=PACKET._replace(daddr=V6_ELSEWHERE)), sk=0)


@pytest.mark.parametrize("ipv6only", [0, 1])
def test_the_wildcard_takes_ipv6_whether_or_not_it_takes_ipv4(reference: Reference, ipv6only: int) -> None:
    socks = (listener(family=AF_INET6, ipv6only=ipv6only),)
    agree(reference, ipv6(*socks), sk=0, via=("wildcard listener",))
    agree(reference, scenario(*socks), sk=NONE if ipv6only else 0)


def test_an_ipv4_listener_has_no_ipv6_packet(reference: Reference) -> None:
    agree(reference, ipv6(listener(), listener(rcv_saddr=HERE)), sk=NONE)
    agree(reference, ipv6(listener(), packet=Packet()), sk=NONE)


def test_who_listens_on_a_mapped_wildcard_has_no_ipv6_packet(reference: Reference) -> None:
    """::ffff:0.0.0.0 is 0.0.0.0 to the lookup of IPv4, and an address like any other to that of IPv6."""
    sock = listener(family=AF_INET6, rcv_saddr=MAPPED_ANY)
    agree(reference, ipv6(sock), sk=NONE)
    agree(reference, scenario(sock), sk=0, via=("wildcard listener",))


def test_a_mapped_listener_has_a_packet_with_that_mapped_address(reference: Reference) -> None:
    sock = listener(family=AF_INET6, rcv_saddr=HERE)
    agree(reference, ipv6(sock, packet=Packet()), sk=0, via=("exact listener",))
    agree(reference, ipv6(sock), sk=NONE)


@pytest.mark.parametrize("address", [0, V6_HERE])
@pytest.mark.parametrize("good", [{"bound_dev_if": 1}, {"incoming_cpu": 0}])
def test_a_device_and_a_cpu_are_worth_a_point_each(reference: Reference, address: int, good: dict[str, int]) -> None:
    plain = listener(family=AF_INET6, rcv_saddr=address, ipv6only=int(bool(address)))
    better = plain._replace(**good)
    agree(reference, ipv6(plain, better, plain), sk=1)
    agree(reference, ipv6(better, better, plain), sk=1)


def test_there_is_no_point_for_a_family(reference: Reference) -> None:
    """Two AF_INET6 listeners, and one of AF_INET that IPv4's lookup prefers."""
    socks = (listener(family=AF_INET6), listener(), listener(family=AF_INET6))
    agree(reference, ipv6(*socks), sk=2)
    agree(reference, scenario(*socks), sk=1)


def test_members_of_ipv6_are_met_behind_all_others(reference: Reference) -> None:
    """inet_hash(): AF_INET6 listeners with SO_REUSEPORT are at the end, the first of them first."""
    groups = (
        Group(num_socks=1, bind_inany=1, slots=(0,)),
        Group(reuseport_id=2, num_socks=1, bind_inany=1, slots=(1,)),
    )
    member = listener(family=AF_INET6, reuseport=1)
    alone = (member._replace(group=0), member._replace(group=1))
    agree(reference, ipv6(*alone, groups=groups), sk=0, via=("wildcard listener", "group by hash"))
    agree(reference, ipv6(*alone, listener(family=AF_INET6, bound_dev_if=1), groups=groups), sk=2)


@pytest.mark.parametrize("slot", [0, 1, 2])
@pytest.mark.parametrize("address", [0, V6_HERE])
def test_the_hash_chooses_the_member(reference: Reference, address: int, slot: int) -> None:
    member = listener(family=AF_INET6, rcv_saddr=address, ipv6only=int(bool(address)), reuseport=1, group=0)
    group = Group(num_socks=3, bind_inany=int(not address), slots=(2, 0, 1))
    case = secret_for(ipv6(*[member] * 3, groups=(group,), hash_secret6=7), address, 3, slot)
    agree(reference, case, sk=group.slots[slot])


# --- devices ---


@pytest.mark.parametrize(
    ("packet", "devices"),
    [
        (PACKET._replace(skb_iif=2), {2}),
        (PACKET._replace(skb_iif=1, rt_iif=2), {2}),  # this host's own
        (PACKET._replace(skb_iif=2, sdif=3), {2, 3}),
        (PACKET._replace(skb_iif=2, sdif=2, rt_iif=4), {2}),  # a VRF's own: IPv4 knows 4
    ],
)
def test_the_packet_s_devices(reference: Reference, packet: Packet, devices: set[int]) -> None:
    for device in (1, 2, 3, 4):
        for sock in (connection(**ENDS, bound_dev_if=device), listener(**EXACT, bound_dev_if=device)):
            wanted = 0 if device in devices else NONE
            answer = agree(reference, ipv6(sock, packet=packet), sk=wanted, **_held(sock, wanted))
            assert answer.sk == wanted


def _held(sock: Sock, winner: int) -> dict[str, Any]:
    return {"refcounted": 1, "refcnt": {0: 2}} if winner == 0 and sock.dport else {}


def test_an_unbound_socket_has_a_vrf_s_packet_if_tcp_accepts_that(reference: Reference) -> None:
    packet = PACKET._replace(skb_iif=2, sdif=3)
    for sock in (connection(**ENDS), listener(family=AF_INET6)):
        agree(reference, ipv6(sock, packet=packet), sk=NONE)
        accepts = ipv6(sock, packet=packet, netns=(Netns(tcp_l3mdev_accept=1),))
        agree(reference, accepts, sk=0, **_held(sock, 0))


# --- programs ---


def test_a_program_is_shown_ipv6_addresses_and_none_of_ipv4(reference: Reference) -> None:
    progs = (Program(SK_PASS, LEAVE), Program(SK_PASS, 0))
    case = ipv6(listener(family=AF_INET6, num=81), **_running(*progs))
    p = case.packet
    shown = tuple(
        (SHOWN_SK_LOOKUP, 0, i, AF_INET6, IPPROTO_TCP, p.saddr, p.sport, p.daddr, p.dport, 1, NONE, 0, 1)
        for i in range(2)
    )
    agree(reference, case, sk=0, shown=shown, via=("sk_lookup",))


def _running(*progs: Program) -> dict[str, Any]:
    return {"netns": (Netns(run_array=1, progs=progs),), "sk_lookup_enabled": 1}


def test_programs_decide_before_listeners_and_behind_connections(reference: Reference) -> None:
    drops = _running(Program(SK_DROP, LEAVE))
    agree(reference, ipv6(listener(**EXACT), **drops), sk=NONE, ran=(SHOWN_SK_LOOKUP,), via=("drop",))
    agree(reference, ipv6(connection(**ENDS), **drops), sk=0, refcnt={0: 2}, **FOUND)


def test_a_program_may_choose_a_listener_that_is_for_ipv6_only(reference: Reference) -> None:
    case = ipv6(listener(family=AF_INET6, ipv6only=1, num=81), listener(**EXACT), **_running(Program(SK_PASS, 0)))
    agree(reference, case, sk=0, ran=(SHOWN_SK_LOOKUP,))


# --- what hangs on the packet ---


@pytest.mark.parametrize(
    "sock",
    [listener(), udp(), listener(**EXACT), connection(refcnt=2), connection(**ENDS, refcnt=2)],
)
def test_what_bpf_assigned_gets_the_packet_whatever_its_family(reference: Reference, sock: Sock) -> None:
    case = ipv6(sock, listener(**EXACT), packet=PACKET._replace(sk=0, destructor=PFREE))
    counted = int(not sock.rcu_free)
    agree(reference, case, sk=0, refcounted=counted, skb_sk=NONE, destructor=0, via=("stolen",))


# --- how the model finds them ---


def test_tables_have_the_addresses_of_their_family() -> None:
    here, peer = 0x0A000002, 0x0A000001
    socks = (
        connection(),
        connection(family=AF_INET6),
        connection(**ENDS),
        listener(**EXACT),
        listener(family=AF_INET6, rcv_saddr=HERE),
        listener(rcv_saddr=mapped(here)),
        listener(family=AF_INET6, rcv_saddr=MAPPED_ANY),
        listener(family=AF_INET6),
        listener(),
    )
    ipv4, six = (Tables(socks, Config(), ipv6=lookup == TCP6) for lookup in (TCP4, TCP6))
    assert ipv4.connections == {(0, peer, here, 40000, 80): [1, 0]}
    assert ipv4.listeners == {(0, here, 80): [5, 4], (0, 0, 80): [8, 7, 6]}
    assert six.connections == {(0, V6_PEER, V6_HERE, 40000, 80): [2]}
    assert six.listeners == {(0, V6_HERE, 80): [3], (0, HERE, 80): [4], (0, MAPPED_ANY, 80): [6], (0, 0, 80): [7]}
    assert Tables(socks[2:3], Config(net_ns=False), ipv6=True).connections == {(ONE, V6_PEER, V6_HERE, 40000, 80): [0]}


def test_a_connection_of_the_other_family_has_the_other_hash() -> None:
    given = connection(**ENDS, hash_kind=HASH_PACKET)
    assert Tables((given,), Config(), ipv6=False).connections == {(0, 0x7F000006, 0x7F000006, 40000, 80): [0]}
    assert Tables((connection(**ENDS),), Config(), ipv6=False).connections == {}
    assert Tables((connection(),), Config(), ipv6=True).connections == {}
