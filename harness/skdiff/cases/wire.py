"""The fuzzers' wire format: any bytes are a Scenario, zeros the plainest, one byte a field.

A byte indexes its field's table of 256 entries, in which each value of the pool has its weight's share; bytes that are
not there are zeros. Counts come first and everything stands at its fixed place, so that a changed byte changes one
field and moves nothing. The format changes with the pools: kept bytes have their layout beside them (`inputs.py`), and
are never the only copy of a finding.
"""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any, TypeAlias

from skdiff.cases.addresses import other_family
from skdiff.cases.fields import FIELDS, pools
from skdiff.cases.native import module
from skdiff.cases.normalise_events import with_events
from skdiff.cases.other_lookup import raw_of
from skdiff.cases.pools import (
    COUNTS,
    DRAWN_SLOTS,
    DRAWN_SOCKS,
    OTHER,
    OTHER_PROTOCOL,
    OTHER_TABLE,
    SLOT,
    Pool,
    Raw,
    table,
)
from skdiff.cases.record import constants
from skdiff.cases.scenario import IPV6_LOOKUPS, UDP_LOOKUPS, Event, Group, Netns, Packet, Program, Scenario, Sock
from skdiff.cases.udp_event_rules import goes_with_packet
from skdiff.cases.wire_events import (
    DRAWN_EVENTS,
    EVENT_SIZE,
    EVENTS_SIZE,
    EVENTS_TABLES,
    drawn_events,
    written_events,
)


def _tables(pools: Mapping[str, Pool]) -> tuple[tuple[int, ...], ...]:
    return tuple(table(pool) for pool in pools.values())


HEAD, PACKET, NETNS, PROGRAM, GROUP, SOCK = map(pools, (Scenario, Packet, Netns, Program, Group, Sock))
_PROGS: int = constants.MAX_PROGS
COUNTS_MEANT, _HEAD, _PACKET = _tables(COUNTS), _tables(HEAD), _tables(PACKET)
_NETNS = (*_tables(NETNS), *_tables(PROGRAM) * _PROGS)
_GROUP = (*_tables(GROUP), *(table(SLOT),) * DRAWN_SLOTS)
_SOCK = _tables(SOCK)
_FIXED = (*COUNTS_MEANT, *_HEAD, *_PACKET, *_NETNS * constants.MAX_NETNS, *_GROUP * constants.MAX_GROUPS)
FIXED_SIZE = len(_FIXED)
SOCK_SIZE = len(_SOCK)
SIZE = FIXED_SIZE + SOCK_SIZE * DRAWN_SOCKS
HEAD_AT = len(COUNTS_MEANT)
PACKET_AT = HEAD_AT + len(_HEAD)
NETNS_AT = [PACKET_AT + len(_PACKET) + i * len(_NETNS) for i in range(constants.MAX_NETNS)]
GROUPS_AT = [NETNS_AT[-1] + len(_NETNS) + i * len(_GROUP) for i in range(constants.MAX_GROUPS)]
MEANT: tuple[tuple[int, ...], ...] = (*_FIXED, *_SOCK * DRAWN_SOCKS)
MOST = SIZE + EVENTS_SIZE  # bytes of a case with events


def draw(data: bytes, lookups: bytes = b"") -> Raw:
    """The fields that the bytes mean, of any length; those beyond SIZE mean events (`wire_events.py`). See `decode`."""
    return raw_of(module().draw(data, lookups))


def decode(data: bytes, lookups: bytes = b"") -> Scenario:
    """The Scenario that the bytes mean. Total: every string of bytes means a valid one. If there are `lookups`, a byte
    each, what would be of another lookup is of one of these, and each has the same share of all bytes.
    """
    scenario: Scenario = module().draw_valid(data, lookups)
    return with_events(scenario, drawn_events(data[SIZE:])) if len(data) > SIZE else scenario


def lookup_of(data: bytes, lookups: bytes = b"") -> int:
    """The lookup of the case that bytes of SIZE mean: see `decode`, and `csrc/cases/draw.c` draw_lookup()."""
    lookup = take(data, "head", 0, "lookup")
    return lookups[data[PLACES["head", "lookup"][0]] % len(lookups)] if lookups and lookup not in lookups else lookup


_EVERY = (*MEANT, *EVENTS_TABLES)
_INVERSE = [{value: at for at, value in reversed([*enumerate(table)])} for table in _EVERY]


# What may change with the tables as they are: nothing that a valid case holds against a socket.
FRAME_SIZE = sum(field.frame for record in (Scenario, Packet) for field in FIELDS[record].values())


def other_packet(scenario: Scenario, data: bytes) -> Scenario:
    """Another packet (addresses, ports, devices), CPU and secret for the same tables; `data` has FRAME_SIZE bytes. An
    event that does not go with the packet, as a connect() to its sender may not, is left out.
    """
    found: Scenario = module().draw_frame(scenario, data)
    for event in found.events:
        if not goes_with_packet(found, event):
            return with_events(found._replace(events=()), found.events)
    return found


# Where each field of each thing stands: ("sock", 3, "num") and so on.
_FIELDS = {
    "head": (HEAD_AT, len(HEAD), list(HEAD)),
    "packet": (PACKET_AT, len(PACKET), list(PACKET)),
    "netns": (
        NETNS_AT[0],
        len(_NETNS),
        [*NETNS, *(f"{name}{i}" for i in range(_PROGS) for name in PROGRAM)],
    ),
    "group": (GROUPS_AT[0], len(_GROUP), [*GROUP, *(f"slot{i}" for i in range(DRAWN_SLOTS))]),
    "sock": (FIXED_SIZE, SOCK_SIZE, list(SOCK)),
    "events": (SIZE, 1, ["count"]),
    "event": (SIZE + 1, EVENT_SIZE, list(pools(Event))),
}
PLACES = {
    (kind, name): (start + i, size) for kind, (start, size, names) in _FIELDS.items() for i, name in enumerate(names)
}


# The kinds of things in the order of their bytes, each with how many there are and its fields, each with its values and
# how many of the 256 bytes mean that one.
Layout: TypeAlias = list[tuple[str, int, list[tuple[str, list[tuple[int, int]]]]]]


def layout() -> Layout:
    """What each byte means."""
    many = {"netns": constants.MAX_NETNS, "group": constants.MAX_GROUPS, "sock": DRAWN_SOCKS, "event": DRAWN_EVENTS}
    kinds: Layout = [("count", 1, list(zip(COUNTS, map(_runs, COUNTS_MEANT), strict=True)))]
    for kind, (start, size, names) in _FIELDS.items():
        kinds.append((kind, many.get(kind, 1), list(zip(names, map(_runs, _EVERY[start : start + size]), strict=True))))
    return kinds


def _runs(table: Iterable[int]) -> list[tuple[int, int]]:
    return [(value, sum(1 for _ in same)) for value, same in groupby(table)]


def cut(data: bytearray) -> bytes:
    """Bytes of a case without those that mean nothing: behind the last socket that counts, if there are no events."""
    if len(data) > SIZE and drawn_events(bytes(data[SIZE:])):
        return bytes(data[: SIZE + EVENTS_SIZE])
    return bytes(data[: FIXED_SIZE + COUNTS_MEANT[2][data[2]] * SOCK_SIZE])


def value(at: int, byte_: int) -> int:
    """The value that a byte means at a place."""
    return _EVERY[at][byte_]


def byte(at: int, value_: int) -> int:
    """The first byte that means a value at a place; 0, the plainest, if the value is not in the pool there."""
    return _INVERSE[at].get(value_, 0)


# The same with the meaning of a byte and that of a value, which things of a kind have in common.
_MEANINGS = {place: (start, size, _EVERY[start], _INVERSE[start]) for place, (start, size) in PLACES.items()}


def take(data: bytes | bytearray, kind: str, index: int, name: str) -> int:
    """The value of a field in bytes of SIZE, or of MOST."""
    start, size, values, _ = _MEANINGS[kind, name]
    return values[data[start + index * size]]


def put(data: bytearray, kind: str, index: int, name: str, value_: int) -> None:
    """Set a field in bytes of SIZE, or of MOST; a value that its pool lacks becomes the plainest."""
    start, size, _, bytes_ = _MEANINGS[kind, name]
    data[start + index * size] = bytes_.get(value_, 0)


def put_all(data: bytearray, kind: str, index: int, values: Mapping[str, int]) -> None:
    """The same of several fields."""
    for name, value_ in values.items():
        start, size, _, bytes_ = _MEANINGS[kind, name]
        data[start + index * size] = bytes_.get(value_, 0)


def as_put(kind: str, ours: str, theirs: str) -> tuple[int, int, bytes]:
    """Where a field of the first thing of a kind stands, where one of the packet, and for each byte of that the one
    that means the same in the first: what put() makes of what take() tells.
    """
    at, (_, _, values, _) = PLACES["packet", theirs][0], _MEANINGS["packet", theirs]
    start, _, _, bytes_ = _MEANINGS[kind, ours]
    return start, at, bytes(bytes_.get(value, 0) for value in values)


def encode(scenario: Scenario) -> bytes:
    """The canonical bytes of a Scenario. Raises ValueError if a value is not in its field's pool, or if it is no
    scenario that decoding leaves as it is (see normalise.py): the format is for fuzzing, TOML is for keeping.
    """
    data = near(scenario)
    if decode(data) != scenario:
        raise ValueError("this scenario has no wire format: a value is in no pool, or decoding would change it")
    return data


def _swapped(thing: Any) -> Any:
    """A packet or a socket with its addresses in the other family, and a socket of that one."""
    one, other, *rest = thing
    changed = thing._make((other_family(one), other_family(other), *rest))
    return changed._replace(family=OTHER.get(thing.family, thing.family)) if isinstance(thing, Sock) else changed


def near(scenario: Scenario) -> bytes:
    """The bytes of a Scenario with each value that is in no pool as the plainest one: a seed, not a copy. What is more
    than drawn cases have is left out.
    """
    scenario = scenario._replace(socks=scenario.socks[:DRAWN_SOCKS])
    data = bytearray(FIXED_SIZE + len(scenario.socks) * SOCK_SIZE)
    packet, socks = scenario.packet, list(scenario.socks)
    if scenario.lookup in IPV6_LOOKUPS:
        packet, *socks = map(_swapped, (packet, *socks))
    if scenario.lookup in UDP_LOOKUPS:
        socks = [
            sock._replace(
                protocol=OTHER_PROTOCOL.get(sock.protocol, sock.protocol),
                hashed=OTHER_TABLE.get(sock.hashed, sock.hashed),
            )
            for sock in socks
        ]

    def write(at: int, values: Iterable[int]) -> None:
        for i, value in enumerate(values, at):
            data[i] = _INVERSE[i].get(value, 0)

    write(0, (len(scenario.netns), len(scenario.groups), len(scenario.socks)))
    write(HEAD_AT, (getattr(scenario, name) for name in HEAD))
    write(PACKET_AT, packet)
    for at, net in zip(NETNS_AT, scenario.netns, strict=False):
        write(at, [*net[:-1], len(net.progs), *(value for program in net.progs for value in program)])
    for at, group in zip(GROUPS_AT, scenario.groups, strict=False):
        slots = group.slots[:DRAWN_SLOTS]
        write(at, [*group[:-1], len(slots), *slots])
    for i, sock in enumerate(socks):
        write(FIXED_SIZE + i * SOCK_SIZE, sock)
    if scenario.events:
        data = data.ljust(SIZE, b"\0") + written_events(scenario.events)
    return bytes(data)
