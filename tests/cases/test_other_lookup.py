"""Drawn fields become valid cases of any lookup, cases of one become cases of another, and nothing is changed twice."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from skdiff.cases import validity, wire
from skdiff.cases.addresses import MAPPED_ANY, from_text, other_family
from skdiff.cases.fields import FIELDS, LOOKUPS
from skdiff.cases.normalise import normalise
from skdiff.cases.other_lookup import as_lookup, raw_of
from skdiff.cases.places import HASHED
from skdiff.cases.pools import OTHER_TABLE, Raw
from skdiff.cases.record import ranges
from skdiff.cases.scenario import (
    AF_INET,
    AF_INET6,
    EDEMUX,
    IPV6_LOOKUPS,
    NONE,
    PFREE,
    TCP4,
    TCP6,
    UDP_LOOKUPS,
    Group,
    Packet,
    Scenario,
    Sock,
)
from skdiff.oracles.model import Model
from tests.arbitrary import ADDRESS, any_bytes, hostile_scenarios
from tests.by_python.wire import of_lookup
from tests.helpers import HERE, PEER, connection, cookie, listener, request, scenario, timewait, udp
from tests.transform import as_ipv4_alone

LOOKUP = list(FIELDS[Scenario]).index("lookup")
lookups = st.sampled_from(sorted(LOOKUPS))
V6_HERE, V6_PEER = from_text("2001:db8::2"), from_text("2001:db8::1")


# Of a group that is on an address for many, one member is in no table, and one is connected.
ON_AN_ADDRESS_FOR_MANY = bytes.fromhex(
    "bd81bf27b318776d80a7f1ac6cb6635f064b6cfa8851f55c61db8760d60e56f7fa157d1bdd90f31233b8aa83b164e24f0962"
    "291c26f0b9489967dae15b4ebd42f7cc6b4709bc8d35514d4d5830c424d1ce929d1b1640ff56f19887b9630480c53ecb923f"
    "c985a8f7d98ef525a8f2638cdf04b763f0093cd0e5a587a18c7c44436041cfc002aee597c204fd27812fb0315f9e2e6fb447"
    "9fd90c86ae183196f92964838a08c701d6ae5fe61a3be540ba7c7b74016d59268e8072b3c270877931ed90f49b1eebd3e457"
    "8b3965887b2c67bb48b87ed639cbfe7d2a730223c5b28b032c13ec58f273bd4e3c45c7d4d17a36ac90d1dc7029fffbce5157"
    "38237fcdb27df3cc879005cf5f2e22f5"
)


@given(any_bytes, lookups)
@example(ON_AN_ADDRESS_FOR_MANY, TCP4)
def test_any_drawn_fields_become_a_valid_case_of_their_lookup(data: bytes, lookup: int) -> None:
    raw = wire.draw(data)
    raw.head[LOOKUP] = lookup
    case = normalise(raw)
    assert case.lookup == lookup
    assert validity.problems(case) == []


@given(any_bytes, lookups, st.data())
def test_with_any_addresses_and_families_too(data: bytes, lookup: int, more: st.DataObject) -> None:
    raw = wire.draw(data)
    raw.head[LOOKUP] = lookup
    for fields in (raw.packet, *raw.socks):
        fields[:2] = more.draw(ADDRESS), more.draw(ADDRESS)
    families = st.sampled_from((AF_INET, AF_INET6))
    for sock in raw.socks:
        sock[Sock._fields.index("family")] = more.draw(families)
    case = normalise(raw)
    assert validity.problems(case) == []
    assert normalise(raw_of(case)) == case


@given(any_bytes | hostile_scenarios().map(wire.near), lookups)
def test_what_is_normalised_stays(data: bytes, lookup: int) -> None:
    case = as_lookup(wire.decode(data), lookup)
    assert normalise(raw_of(case)) == case


@given(hostile_scenarios())
def test_the_fields_of_a_scenario_are_all_there(case: Scenario) -> None:
    raw = raw_of(case)
    assert (
        Scenario(
            *raw.head,
            Packet(*raw.packet),
            tuple(net._replace() for net in case.netns),
            tuple(Group(*fields, tuple(slots)) for fields, slots in raw.groups),
            tuple(Sock(*sock) for sock in raw.socks),
        )
        == case
    )
    assert [[*net[:-1]] for net in case.netns] == [fields for fields, _ in raw.netns]
    assert [[[*program] for program in net.progs] for net in case.netns] == [progs for _, progs in raw.netns]


@given(any_bytes)
def test_the_pools_in_the_family_of_a_lookup_are_its_own_inverse(data: bytes) -> None:
    raw = wire.draw(data)
    for lookup in LOOKUPS:
        raw.head[LOOKUP] = lookup
        once = of_lookup(_copy(raw))
        assert of_lookup(_copy(once)) == raw
        swapped = lookup in IPV6_LOOKUPS
        assert once.packet[:2] == [*map(other_family, raw.packet[:2])] if swapped else once.packet == raw.packet
        assert once == raw or lookup != TCP4
        tables = [sock[HASHED] for sock in raw.socks]
        assert [sock[HASHED] for sock in once.socks] == (
            [OTHER_TABLE.get(table, table) for table in tables] if lookup in UDP_LOOKUPS else tables
        )


def _copy(raw: Raw) -> Raw:
    def copied(value: Any) -> Any:
        return [copied(one) for one in value] if isinstance(value, list) else value

    socks = [list(sock) for sock in raw.socks]
    return raw._replace(head=list(raw.head), packet=list(raw.packet), socks=socks)


@given(any_bytes | hostile_scenarios().map(wire.near), lookups)
def test_a_case_of_another_lookup_is_valid(data: bytes, lookup: int) -> None:
    case = wire.decode(data)
    there = as_lookup(case, lookup)
    assert there.lookup == lookup
    assert there.hostile == case.hostile
    assert validity.problems(there) == []
    assert there is case or case.lookup != lookup
    assert [len(things) for things in (there.netns, there.groups, there.socks)] == [
        len(things) for things in (case.netns, case.groups, case.socks)
    ]


@given(any_bytes)
def test_a_case_of_one_family_comes_back(data: bytes) -> None:
    case = as_ipv4_alone(as_lookup(wire.decode(data), TCP4)._replace(hostile=1))
    there = as_lookup(case, TCP6)
    assert as_lookup(there, TCP4) == case
    assert {sock.family for sock in there.socks} <= {AF_INET6}


@pytest.mark.parametrize(
    ("case", "winner"),
    [
        (scenario(listener()), 0),
        (scenario(listener(num=81), listener(rcv_saddr=HERE)), 1),
        (scenario(connection(), listener()), 0),
        (scenario(timewait()), 0),
        (scenario(request(listener=1), listener()), 0),
        (scenario(cookie(listener=1), listener(), packet=Packet(sk=0, destructor=PFREE)), 1),
        (scenario(connection(refcnt=2), packet=Packet(sk=0, destructor=EDEMUX)), 0),
        (scenario(udp(), packet=Packet(sk=0, destructor=PFREE)), 0),
        (scenario(connection(dport=40001)), NONE),
    ],
)
def test_who_wins_there_wins_here(case: Scenario, winner: int) -> None:
    there = as_lookup(case, TCP6)
    assert (there.packet.saddr, there.packet.daddr) == (other_family(PEER), other_family(HERE))
    assert validity.problems(there) == []
    assert [Model().run(one).sk for one in (case, there, as_lookup(there, TCP4))] == [winner] * 3
    assert as_lookup(there, TCP4) == case


@pytest.mark.parametrize("socks", [(listener(family=AF_INET6),), (connection(family=AF_INET6),)])
def test_what_both_lookups_find_is_found_in_both(socks: tuple[Sock, ...]) -> None:
    there = as_lookup(scenario(*socks), TCP6)
    assert [sock.family for sock in there.socks] == [AF_INET6]
    assert Model().run(there).sk == 0


# --- what becomes of single sockets that no pool has so ---


def normalised(sock: Sock, lookup: int = TCP6, **packet: int) -> Sock:
    case = scenario(sock, listener(family=sock.family), packet=Packet(**packet), lookup=lookup)
    made = normalise(raw_of(case))
    assert validity.problems(made) == []
    return made.socks[0]


@pytest.mark.parametrize("lookup", LOOKUPS)
def test_a_connection_has_both_ends_of_one_family(lookup: int) -> None:
    def ends(**fields: int) -> tuple[int, int]:
        made = normalised(connection(family=AF_INET6, **fields), lookup)
        return made.rcv_saddr, made.daddr

    v6_here, v6_peer = other_family(HERE), other_family(PEER)
    assert ends(rcv_saddr=V6_HERE, daddr=V6_PEER) == (V6_HERE, V6_PEER)
    assert ends(rcv_saddr=V6_HERE, daddr=PEER) == (V6_HERE, v6_peer)
    assert ends(rcv_saddr=V6_HERE, daddr=0) == (V6_HERE, v6_peer)
    assert ends(rcv_saddr=0, daddr=V6_PEER) == (v6_here, V6_PEER)
    assert ends(rcv_saddr=MAPPED_ANY, daddr=V6_PEER) == (v6_here, V6_PEER)
    assert ends(rcv_saddr=MAPPED_ANY, daddr=PEER) == (HERE, PEER)
    assert ends(rcv_saddr=HERE, daddr=MAPPED_ANY) == (HERE, PEER)
    assert ends(rcv_saddr=0, daddr=0) == (HERE, PEER)


def test_an_ipv4_socket_keeps_what_ipv4_has_of_an_address() -> None:
    made = normalised(listener(rcv_saddr=other_family(HERE), ipv6only=1))
    assert (made.rcv_saddr, made.ipv6only) == (HERE, 0)
    assert normalised(listener(rcv_saddr=MAPPED_ANY)).rcv_saddr == 0


@pytest.mark.parametrize(
    ("address", "asked", "only"),
    [(V6_HERE, 0, 1), (HERE, 1, 0), (MAPPED_ANY, 1, 0), (0, 1, 1), (0, 0, 0)],
)
def test_a_listener_on_an_address_is_ipv6only_as_bind_makes_it(address: int, asked: int, only: int) -> None:
    for lookup in LOOKUPS:
        made = normalised(listener(family=AF_INET6, rcv_saddr=address, ipv6only=asked), lookup)
        assert (made.rcv_saddr, made.ipv6only) == (address, only)


@pytest.mark.parametrize(
    ("lookup", "sock", "destructor"),
    [
        (TCP4, connection(family=AF_INET6, refcnt=2), EDEMUX),
        (TCP4, connection(family=AF_INET6, rcv_saddr=V6_HERE, daddr=V6_PEER, refcnt=2), PFREE),
        (TCP6, connection(family=AF_INET6, rcv_saddr=V6_HERE, daddr=V6_PEER, refcnt=2), EDEMUX),
        (TCP6, connection(family=AF_INET6, refcnt=2), PFREE),
        (TCP6, connection(refcnt=2), PFREE),
    ],
)
def test_what_early_demux_cannot_find_bpf_has_assigned(lookup: int, sock: Sock, destructor: int) -> None:
    case = scenario(sock, packet=Packet(sk=0, destructor=EDEMUX), lookup=lookup)
    packet = normalise(raw_of(case)).packet
    assert (packet.destructor, packet.sk) == (destructor, 0)


def test_an_ipv6_packet_from_another_host_has_addresses_that_come_in() -> None:
    v6_here, v6_peer = other_family(HERE), other_family(PEER)

    def ends(saddr: int, daddr: int) -> tuple[int, ...]:
        return normalise(raw_of(scenario(packet=Packet(saddr, daddr, skb_iif=2), lookup=TCP6))).packet[:2]

    assert ends(V6_PEER, V6_HERE) == (V6_PEER, V6_HERE)
    assert ends(1, V6_HERE) == (v6_peer, V6_HERE)
    assert ends(V6_PEER, 1) == (V6_PEER, v6_here)
    assert ends(1, 1) == (v6_peer, v6_here)
    assert ends(V6_PEER, 0) == (V6_PEER, v6_here)
    assert ends(from_text("ff02::1"), from_text("ff02::1")) == (v6_peer, from_text("ff02::1"))
    assert normalise(raw_of(scenario(packet=Packet(1, 1, skb_iif=1), lookup=TCP6))).packet[:2] == (1, 1)


def test_fields_of_addresses_have_their_whole_range() -> None:
    assert {ranges(name)[field] for name, field in (("packet_record", "saddr"), ("sock_record", "rcv_saddr"))} == {
        (0, (1 << 128) - 1)
    }
