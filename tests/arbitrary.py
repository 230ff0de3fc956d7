"""Strategies for tests: any valid Scenario, with values from the whole of each field's range."""

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from skdiff.cases import wire
from skdiff.cases.scenario import (
    EHASH,
    KIND_FULL,
    KIND_REQUEST,
    LEAVE,
    NONE,
    Group,
    Netns,
    Packet,
    Program,
    Scenario,
    Sock,
)
from skdiff.cases.validity import MINI_STATE

U8, U16, U32 = (st.integers(0, (1 << bits) - 1) for bits in (8, 16, 32))
I32 = st.integers(-(1 << 31), (1 << 31) - 1)
FLAG = st.integers(0, 1)
SIZE = st.sampled_from([1 << n for n in range(18)])
_FULL_STATES = sorted({*range(1, 13)} - {*MINI_STATE.values()})
_PORTS = {"sport": U16, "dport": U16, "num": U16}
_ADDRESSES = {"saddr": U32, "daddr": U32, "rcv_saddr": U32}

any_bytes = st.binary(max_size=wire.SIZE + 8) | st.binary(min_size=wire.SIZE, max_size=wire.SIZE)


def _index(count: int, *others: int) -> SearchStrategy[int]:
    return st.sampled_from([*others, *range(count)])


def _draw(draw: DrawFn, kind: Any, fields: Mapping[str, SearchStrategy[Any]]) -> Any:
    """One of `kind` with these fields, each drawn; fields that are not named are flags."""
    return kind(**{name: draw(fields.get(name, FLAG)) for name in kind._fields})


@st.composite
def hostile_scenarios(draw: DrawFn) -> Scenario:
    """Any Scenario that the C accepts."""
    n_netns, n_groups, n_socks = draw(st.integers(1, 2)), draw(st.integers(0, 4)), draw(st.integers(0, 16))
    socks = tuple(draw(_sock(n_netns, n_groups, n_socks)) for _ in range(n_socks))
    full = [i for i, sock in enumerate(socks) if sock.kind == KIND_FULL]
    return Scenario(
        hash_secret=draw(U32),
        ehash_size=draw(SIZE),
        lhash2_size=draw(SIZE),
        ehash_nulls_xor=draw(U32),
        cpu=draw(I32),
        hostile=1,
        foreign_hashinfo=draw(FLAG),
        sk_lookup_enabled=draw(FLAG),
        packet=draw(_packet(n_netns, n_socks)),
        netns=tuple(draw(_netns(full)) for _ in range(n_netns)),
        groups=tuple(draw(_group(n_socks)) for _ in range(n_groups)),
        socks=socks,
    )


@st.composite
def _packet(draw: DrawFn, n_netns: int, n_socks: int) -> Packet:
    length = draw(U32)
    return _draw(
        draw,
        Packet,
        {
            **_ADDRESSES,
            **_PORTS,
            **dict.fromkeys(("rt_iif", "skb_iif", "sdif"), I32),
            "doff": U32,
            "len": st.just(length),
            "data_len": st.integers(0, length),
            "users": st.integers(1, (1 << 32) - 1),
            "netns": _index(n_netns),
            "destructor": st.integers(0, 3),
            "sk": _index(n_socks, NONE),
        },
    )


@st.composite
def _sock(draw: DrawFn, n_netns: int, n_groups: int, n_socks: int) -> Sock:
    kind = draw(st.integers(0, 2))
    full, request = kind == KIND_FULL, kind == KIND_REQUEST
    hashed, no_pprev = draw(st.integers(0, 2 if full else 1)), draw(FLAG)
    nothing = st.just(0)
    return _draw(
        draw,
        Sock,
        {
            **_ADDRESSES,
            **_PORTS,
            **dict.fromkeys(("bound_dev_if", "incoming_cpu"), I32),
            "refcnt": U32,
            "protocol": U16,
            "hash_kind": st.integers(0, 2),
            "kind": st.just(kind),
            "family": U8,
            "state": st.sampled_from(sorted({*range(1, 13)} - {*MINI_STATE.values()}))
            if full
            else st.just(MINI_STATE[kind]),
            "netns": _index(n_netns),
            "rcu_free": FLAG if full else nothing,
            "hashed": st.just(hashed),
            "no_pprev": st.just(no_pprev),
            "race": st.integers(0, 2) if hashed == EHASH and not no_pprev else st.just(0),
            "syncookie": FLAG if request else nothing,
            "group": _index(n_groups, NONE) if full else st.just(NONE),
            "listener": _index(n_socks, NONE) if request else st.just(NONE),
        },
    )


@st.composite
def _netns(draw: DrawFn, full: list[int]) -> Netns:
    program = {"verdict": U8, "assign": st.sampled_from([LEAVE, NONE, *full])}
    progs = tuple(_draw(draw, Program, program) for _ in range(draw(st.integers(0, 3))))
    return _draw(draw, Netns, {"hash_mix": U32, "progs": st.just(progs)})


@st.composite
def _group(draw: DrawFn, n_socks: int) -> Group:
    slots = tuple(draw(st.lists(st.integers(0, n_socks - 1), max_size=8))) if n_socks else ()
    live = draw(st.integers(0, len(slots)))
    return _draw(
        draw,
        Group,
        {
            "reuseport_id": U32,
            "returns": U32,
            "num_socks": st.just(live),
            "num_closed_socks": st.integers(0, len(slots) - live),
            "incoming_cpu": U16,
            "prog": st.integers(0, 2),
            "verdict": U8,
            "select": _index(n_socks, NONE),
            "slots": st.just(slots),
        },
    )


valid_scenarios = st.one_of(any_bytes.map(wire.decode), hostile_scenarios())
