"""Strategies for tests: any valid Scenario, with values from the whole of each field's range."""

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from skdiff.cases import wire
from skdiff.cases.fields import FIELDS, Kind, valid_range
from skdiff.cases.scenario import (
    EHASH,
    KIND_FULL,
    KIND_REQUEST,
    LEAVE,
    LEAVES,
    LHASH2,
    NONE,
    Group,
    Netns,
    Packet,
    Program,
    Scenario,
    Sock,
)
from skdiff.cases.validity import MINI_STATE

U32 = st.integers(0, (1 << 32) - 1)
I32 = st.integers(-(1 << 31), (1 << 31) - 1)
FLAG = st.integers(0, 1)
SIZE = st.sampled_from([1 << n for n in range(18)])
_LEAST_STATE, _MOST_STATE = valid_range(Sock, "state")
_FULL_STATES = sorted({*range(_LEAST_STATE, _MOST_STATE + 1)} - {*MINI_STATE.values()})

any_bytes = st.binary(max_size=wire.SIZE + 8) | st.binary(min_size=wire.SIZE, max_size=wire.SIZE)


def _index(count: int, *others: int) -> SearchStrategy[int]:
    return st.sampled_from([*others, *range(count)])


def _of_field(record: Any, name: str) -> SearchStrategy[int]:
    """Any valid value of a field that does not depend on others."""
    kind = FIELDS[record][name].kind
    if kind in (Kind.SOCKET, Kind.GROUP, Kind.NETNS, Kind.LIST):
        raise TypeError(f"{name}: what it may be depends on the case")
    return FLAG if kind is Kind.FLAG else st.integers(*valid_range(record, name))


def _draw(draw: DrawFn, record: Any, special: Mapping[str, SearchStrategy[Any]]) -> Any:
    """A record with these fields, and the others from the whole of their ranges."""
    return record(
        **{name: draw(special[name] if name in special else _of_field(record, name)) for name in record._fields}
    )


@st.composite
def hostile_scenarios(draw: DrawFn) -> Scenario:
    """Any Scenario that the C accepts."""
    n_netns, n_groups, n_socks = draw(st.integers(1, 2)), draw(st.integers(0, 4)), draw(st.integers(0, 16))
    socks = tuple(draw(_sock(n_netns, n_groups, n_socks)) for _ in range(n_socks))
    full = [i for i, sock in enumerate(socks) if sock.kind == KIND_FULL]
    return _draw(
        draw,
        Scenario,
        {
            "ehash_size": SIZE,
            "lhash2_size": SIZE,
            "hostile": st.just(1),
            "packet": _packet(n_netns, n_socks),
            "netns": st.tuples(*[_netns(full)] * n_netns),
            "groups": st.tuples(*[_group(n_socks)] * n_groups),
            "socks": st.just(socks),
        },
    )


@st.composite
def _packet(draw: DrawFn, n_netns: int, n_socks: int) -> Packet:
    length = draw(U32)
    return _draw(
        draw,
        Packet,
        {
            "len": st.just(length),
            "data_len": st.integers(0, length),
            "users": st.integers(1, (1 << 32) - 1),
            "netns": _index(n_netns),
            "sk": _index(n_socks, NONE),
        },
    )


@st.composite
def _sock(draw: DrawFn, n_netns: int, n_groups: int, n_socks: int) -> Sock:
    kind = draw(st.integers(0, 2))
    full, request = kind == KIND_FULL, kind == KIND_REQUEST
    hashed, no_pprev = draw(st.integers(0, 2 if full else 1)), draw(FLAG)
    race = draw(st.integers(0, 2)) if hashed == EHASH and not no_pprev else 0
    nothing = st.just(0)
    return _draw(
        draw,
        Sock,
        {
            "kind": st.just(kind),
            "state": st.sampled_from(_FULL_STATES) if full else st.just(MINI_STATE[kind]),
            "netns": _index(n_netns),
            "rcu_free": FLAG if full else nothing,
            "hashed": st.just(hashed),
            "no_pprev": st.just(no_pprev),
            "race": st.just(race),
            "refcnt": U32.filter(lambda count: count != 1) if race == LEAVES else U32,  # else it may be freed in use
            "reuseport_changed": FLAG if hashed == LHASH2 else nothing,
            "syncookie": FLAG if request else nothing,
            "group": _index(n_groups, NONE) if full else st.just(NONE),
            "listener": _index(n_socks, NONE) if request else st.just(NONE),
        },
    )


@st.composite
def _netns(draw: DrawFn, full: list[int]) -> Netns:
    program = {"assign": st.sampled_from([LEAVE, NONE, *full])}
    progs = tuple(_draw(draw, Program, program) for _ in range(draw(st.integers(0, 3))))
    return _draw(draw, Netns, {"progs": st.just(progs)})


@st.composite
def _group(draw: DrawFn, n_socks: int) -> Group:
    slots = tuple(draw(st.lists(st.integers(0, n_socks - 1), max_size=8))) if n_socks else ()
    live = draw(st.integers(0, len(slots)))
    return _draw(
        draw,
        Group,
        {
            "num_socks": st.just(live),
            "num_closed_socks": st.integers(0, len(slots) - live),
            "select": _index(n_socks, NONE),
            "slots": st.just(slots),
        },
    )


valid_scenarios = st.one_of(any_bytes.map(wire.decode), hostile_scenarios())
