"""Drawn cases in C: `csrc/cases/` makes them of bytes and makes them valid, and reads and writes records.

It is compiled once for each state of its text. What a byte means, which members a record has, and what a system gives
to a case that needs something comes from the tables of Python, when it is loaded.
"""

import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from skdiff.base.build_folder import filled, is_whole
from skdiff.base.compiler import compiler, digest, load_module, python_headers, shared_library
from skdiff.base.paths import CASES, CSRC, builds
from skdiff.cases.addresses import ADDRESS_BYTES
from skdiff.cases.derived import CONNECTION, GROUP_KEY, UDP_GROUP_KEY, UDP_HEADER
from skdiff.cases.events import MOST_REFERENCES
from skdiff.cases.field_kinds import Kind
from skdiff.cases.fields import FIELDS, STRUCTS, pools
from skdiff.cases.pools import (
    COUNTS,
    DRAWN_SLOTS,
    DRAWN_SOCKS,
    HERE,
    MANY,
    MANY6,
    PEER,
    PEER_PORT,
    PORT,
    SLOT,
    Pool,
    table,
)
from skdiff.cases.reachable import MOST_BYTES, MOST_CPUS, PLAIN
from skdiff.cases.record import code_of, ffi
from skdiff.cases.scenario import Event, Group, Netns, Packet, Program, Scenario, Sock

MODULE = "_skdiff_cases"
# The order of csrc/cases/records.h.
_KINDS = (Scenario, Packet, Netns, Program, Group, Sock, Event)

# Where a value of the wire format goes: its offset and its size in a record, and 256 values in the record's byte order.
Place = tuple[int, int, bytes]


@cache
def module() -> Any:
    """The compiled module, which has the tables. Raises CannotRun without a compiler and Python's headers."""
    loaded = load_module(MODULE, library())
    give_tables(loaded)
    return loaded


def library(flags: Iterable[str] = ()) -> Path:
    """The file of the compiled module; with other flags another one. Where it stands in the place of its sources, as in
    a packed fuzz target, it is that one.
    """
    sources = sorted(CASES.glob("*.c"))
    if not sources:
        return CASES / f"{MODULE}.so"
    cc, flags = compiler(), tuple(flags)
    texts = [*sources, *sorted(CASES.glob("*.h")), CSRC / "record.h"]
    folder = builds() / f"cases-{digest(texts, cc, flags)[:16]}"
    if not is_whole(folder):
        with filled(folder) as work:
            shared_library(sources, work / f"{MODULE}.so", cc, ("-std=gnu11", "-I", python_headers(), *flags))
    return folder / f"{MODULE}.so"


def give_tables(loaded: Any) -> None:
    """Tell a loaded module what Python's tables say."""
    loaded.tables(
        tuple((record, tuple(_fields(record))) for record in _KINDS),
        format_of_bytes(),
        (DRAWN_SOCKS, DRAWN_SLOTS),
        (HERE, PEER, MANY, MANY6),
        (
            *(PORT, PEER_PORT, PLAIN.doff, PLAIN.len, PLAIN.data_len, UDP_HEADER),
            *(MOST_BYTES, MOST_CPUS, MOST_REFERENCES),
        ),
        tuple(_key(names) for names in (CONNECTION, GROUP_KEY, UDP_GROUP_KEY)),
    )


def _fields(record: Any) -> Iterable[tuple[int, str]]:
    """Where each field of a record is that is no list, and what its type is."""
    for name, field in FIELDS[record].items():
        if field.kind is not Kind.LIST:
            yield _member(STRUCTS[record], name)[0], code_of(STRUCTS[record], name)


def _key(names: Iterable[str]) -> tuple[tuple[int, int], ...]:
    """Where the fields of a socket are that make a key of it."""
    return tuple(_member("sock_record", name) for name in names)


def _member(struct: str, name: str) -> tuple[int, int]:
    """The offset and the size of a member, in bytes."""
    offset = ffi.offsetof(f"struct {struct}", name)
    return offset, ffi.sizeof(dict(ffi.typeof(f"struct {struct}").fields)[name].type)


def format_of_bytes() -> tuple[tuple[Place, ...], ...]:
    """The places of struct format of csrc/cases/rules.h, in its order."""
    return (
        tuple(_place("scenario_record", f"n_{name}", pool) for name, pool in COUNTS.items()),
        *map(_places, (Scenario, Packet, Netns, Program, Group)),
        (_packed((0, 1), SLOT),),
        _places(Sock),
        *(_places(record, frame=True) for record in (Scenario, Packet)),
    )


def _places(record: Any, frame: bool = False) -> tuple[Place, ...]:
    """The places of a record's fields, or only of those that may change with the tables as they are."""
    fields = FIELDS[record]
    return tuple(
        _place(STRUCTS[record], f"n_{name}" if fields[name].kind is Kind.LIST else name, pool)
        for name, pool in pools(record).items()
        if fields[name].frame or not frame
    )


def _place(struct: str, name: str, pool: Pool) -> Place:
    return _packed(_member(struct, name), pool)


def _packed(member: tuple[int, int], pool: Pool) -> Place:
    offset, size = member
    order = "big" if size == ADDRESS_BYTES else sys.byteorder
    values = (value.to_bytes(size, order, signed=value < 0) for value in table(pool))
    return offset, size, b"".join(values)


def encode(scenario: Scenario, buffer: Any) -> None:
    """Write a scenario into a buffer of at least SCENARIO_SIZE bytes. Raises struct.error for a value out of range,
    OverflowError for an address out of range, and IndexError for more of something than the record has room for (see
    `validity.problems`).
    """
    module().encode(scenario, buffer)


def encode_frame(scenario: Scenario, buffer: Any) -> None:
    """Write only what is not in a table: enough where the buffer holds the same tables, groups and events."""
    module().encode_frame(scenario, buffer)


def decode(buffer: Any) -> Scenario:
    """The scenario that `encode` wrote."""
    found: Scenario = module().decode(buffer)
    return found


def of_lookup(scenario: Scenario) -> Scenario:
    """Drawn fields with addresses, families, protocols and tables of the pools as the lookup has them: what is AF_INET
    for IPv4 is AF_INET6 for IPv6, what is TCP's for TCP is UDP's for UDP, and the other way. Its own inverse.
    """
    found: Scenario = module().of_lookup(scenario)
    return found


def with_packet_come_in(scenario: Scenario) -> Scenario:
    """The scenario with devices and addresses with which a real packet comes in, whatever else it has."""
    found: Scenario = module().come_in(scenario)
    return found


def normalised(scenario: Scenario) -> Scenario:
    """The valid scenario nearest to this one, whose fields may have any values of `valid_values.valid_range`: indices
    into range, and for a reachable one, what a real system would have. It is its own nearest one.
    """
    found: Scenario = module().normalise(scenario)
    return found
