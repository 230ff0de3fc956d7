"""Strategies for tests: any valid Scenario, with values from the whole of each field's range."""

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from skdiff.cases import wire
from skdiff.cases.addresses import ANY, MAPPED_ANY, MOST, is_ipv6, mapped
from skdiff.cases.derived import UDP_HEADER
from skdiff.cases.field_kinds import Kind
from skdiff.cases.fields import FIELDS, LOOKUPS
from skdiff.cases.scenario import (
    AF_INET,
    AF_INET6,
    BOUND,
    DEMUX,
    DESTRUCTOR_NONE,
    EHASH,
    HELPER,
    IPPROTO_UDP,
    IPV6_LOOKUPS,
    KIND_FULL,
    KIND_REQUEST,
    LEAVE,
    LHASH2,
    NONE,
    RECEIVE,
    UDP_HASHED,
    UDP_LOOKUPS,
    Group,
    Netns,
    Packet,
    Program,
    Scenario,
    Sock,
)
from skdiff.cases.valid_values import Counts, valid_range
from skdiff.cases.validity import MINI_STATE

U32 = st.integers(0, (1 << 32) - 1)
FLAG = st.integers(0, 1)
IPV4_ADDRESS = U32.map(mapped)
ADDRESS = IPV4_ADDRESS | st.just(MAPPED_ANY) | st.integers(0, MOST)
_LEAST_STATE, _MOST_STATE = valid_range(Sock, "state")
_FULL_STATES = sorted({*range(_LEAST_STATE, _MOST_STATE + 1)} - {*MINI_STATE.values()})

any_bytes = st.binary(max_size=wire.MOST + 8) | st.binary(min_size=wire.SIZE, max_size=wire.SIZE)


def _of_field(record: Any, name: str, counts: Counts) -> SearchStrategy[int]:
    """Any value that a field can have in a case with so many things."""
    least, most = valid_range(record, name, counts)
    if FIELDS[record][name].kind is Kind.SIZE:
        return st.sampled_from([1 << n for n in range(most.bit_length())])
    return st.integers(least, most)


def _draw(draw: DrawFn, record: Any, counts: Counts, special: Mapping[str, SearchStrategy[Any]]) -> Any:
    """A record with these fields, and the others from the whole of their ranges."""
    return record(
        **{name: draw(special[name] if name in special else _of_field(record, name, counts)) for name in record._fields}
    )


@st.composite
def hostile_scenarios(draw: DrawFn) -> Scenario:
    """Any Scenario that the C accepts, of tables that stand still."""
    counts = Counts(draw(st.integers(1, 2)), draw(st.integers(0, 4)), draw(st.integers(0, 16)))
    socks = tuple(draw(_sock(counts)) for _ in range(counts.socks))
    full = [i for i, sock in enumerate(socks) if sock.kind == KIND_FULL]
    lookup = draw(st.sampled_from(sorted(LOOKUPS)))
    caller = draw(st.sampled_from([RECEIVE, HELPER, *([DEMUX] if lookup in UDP_LOOKUPS else [])]))
    return _draw(
        draw,
        Scenario,
        counts,
        {
            "hostile": st.just(1),
            "packet": _packet(counts, lookup, caller),
            "lookup": st.just(lookup),
            "caller": st.just(caller),
            "netns": st.tuples(*[_netns(counts, full)] * counts.netns),
            "groups": st.tuples(*[_group(counts)] * counts.groups),
            "socks": st.just(socks),
            "events": st.just(()),
        },
    )


@st.composite
def _packet(draw: DrawFn, counts: Counts, lookup: int, caller: int) -> Packet:
    length = draw(st.integers(*valid_range(Packet, "len")))
    special = {"len": st.just(length), "data_len": st.integers(0, length)}
    if lookup in UDP_LOOKUPS:
        special["doff"] = st.just(UDP_HEADER)
    if caller == HELPER:
        special |= {"sk": st.just(NONE), "destructor": st.just(DESTRUCTOR_NONE)}
    addresses = ADDRESS if lookup in IPV6_LOOKUPS else IPV4_ADDRESS
    return _draw(draw, Packet, counts, special | dict.fromkeys(("saddr", "daddr"), addresses))


@st.composite
def _sock(draw: DrawFn, counts: Counts) -> Sock:
    kind = draw(st.integers(0, 2))
    full, request = kind == KIND_FULL, kind == KIND_REQUEST
    hashed, no_pprev = draw(st.integers(0, UDP_HASHED if full else EHASH)), draw(FLAG)
    special = {"kind": st.just(kind), "hashed": st.just(hashed), "no_pprev": st.just(no_pprev)}
    if full:
        special["state"] = st.sampled_from(_FULL_STATES)
    else:
        special |= {"state": st.just(MINI_STATE[kind]), "rcu_free": st.just(0), "group": st.just(NONE)}
    if not request:
        special |= {"syncookie": st.just(0), "listener": st.just(NONE)}
    if hashed not in (LHASH2, UDP_HASHED):
        special["reuseport_changed"] = st.just(0)
    if hashed != UDP_HASHED:
        special |= {"hash2": st.just(BOUND), "mc_refuses": st.just(0)}
    family = draw(st.sampled_from([AF_INET, AF_INET6]) | st.integers(*valid_range(Sock, "family")))
    addresses = ADDRESS if family == AF_INET6 else IPV4_ADDRESS
    special |= {"family": st.just(family), "daddr": addresses, "rcv_saddr": addresses}
    if hashed == LHASH2 and family == AF_INET6:
        special["rcv_saddr"] = st.just(address := draw(addresses))
        if is_ipv6(address):
            special["ipv6only"] = st.just(1)
    if hashed == UDP_HASHED:
        special |= {"protocol": st.just(IPPROTO_UDP), "num": st.integers(1, (1 << 16) - 1)}
        special["rcv_saddr"] = st.just(address := draw(addresses))
        if address in (ANY, MAPPED_ANY):
            special["hash2"] = st.just(BOUND)
    return _draw(draw, Sock, counts, special)


@st.composite
def _netns(draw: DrawFn, counts: Counts, full: list[int]) -> Netns:
    program = {"assign": st.sampled_from([LEAVE, NONE, *full])}
    progs = tuple(_draw(draw, Program, counts, program) for _ in range(draw(st.integers(0, 3))))
    return _draw(draw, Netns, counts, {"progs": st.just(progs)})


@st.composite
def _group(draw: DrawFn, counts: Counts) -> Group:
    slots = tuple(draw(st.lists(st.integers(0, counts.socks - 1), max_size=8))) if counts.socks else ()
    live = draw(st.integers(0, len(slots)))
    return _draw(
        draw,
        Group,
        counts,
        {
            "num_socks": st.just(live),
            "num_closed_socks": st.integers(0, len(slots) - live),
            "slots": st.just(slots),
        },
    )


valid_scenarios = st.one_of(any_bytes.map(wire.decode), hostile_scenarios())
