"""What the small tables leave out: for each field of a case, the values of its pool that none of them has.

It is read off the tables themselves, not written down: a value that one of them comes to have is gone from the list.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from skdiff.cases.addresses import other_family
from skdiff.cases.case_values import show
from skdiff.cases.field_kinds import Field, Kind
from skdiff.cases.fields import FIELDS
from skdiff.cases.pools import OTHER, OTHER_PROTOCOL, OTHER_TABLE
from skdiff.cases.scenario import IPV6_LOOKUPS, UDP_LOOKUPS, Event, Group, Netns, Packet, Program, Scenario, Sock
from skdiff.engines.small_tables import Block, Tables

NAMES = {
    Scenario: "",
    Packet: "packet.",
    Netns: "netns.",
    Program: "netns.progs.",
    Group: "group.",
    Sock: "sock.",
    Event: "event.",
}
# Indices are names of things, and of names one is as good as another; lists are told by what they hold.
_NAMES_OF_THINGS = (Kind.SOCKET, Kind.GROUP, Kind.NETNS, Kind.LIST)
_ONE_BY_ONE = 12  # values that are named; of a pool with more, how many


class LeftOut(msgspec.Struct, frozen=True):
    """A field of which the tables have some values only: those that they have, and those that they have not."""

    field: str
    has: tuple[str, ...]
    lacks: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.field}: {_few(self.lacks)} (there is {_few(self.has)})"


def _few(values: tuple[str, ...]) -> str:
    if not values:
        return "nothing"
    return ", ".join(values) if len(values) <= _ONE_BY_ONE else f"{len(values)} values"


def left_out(tables: Tables) -> list[LeftOut]:
    """What the tables of some lookups leave out of the pools, as these lookups have them."""
    seen: dict[tuple[Any, str], set[int]] = {}
    lookups = dict.fromkeys(block.lookup for block in tables.blocks)
    met: set[tuple[int, ...]] = set()
    for block in tables.blocks:
        for thing in _things(block, met):
            for name, value in zip(type(thing)._fields, thing, strict=True):
                if isinstance(value, int):
                    seen.setdefault((type(thing), name), set()).add(value)
    found = []
    for record, fields in FIELDS.items():
        for name, field in fields.items():
            if field.kind in _NAMES_OF_THINGS or field.derived or name == "lookup":
                continue
            has = seen.get((record, name), set())
            pool = dict.fromkeys(value for lookup in lookups for value in _of_lookup(lookup, record, name, field))
            lacks = [value for value in pool if value not in has]
            if lacks:
                words = [tuple(_word(field, value) for value in values) for values in (sorted(has), lacks)]
                found.append(LeftOut(f"{NAMES[record]}{name}", *words))
    return found


def _things(block: Block, met: set[tuple[int, ...]]) -> Iterator[Any]:
    """The records that the tables of a block are made of, each once; of its groups those of the first table."""
    key = (block.lookup, *(id(socks) for things in block.lists for socks in things))
    if key not in met:
        met.add(key)
        yield from (sock for things in block.lists for socks in things for sock in socks)
    for number, case in enumerate(next(block.some(0, 1))):
        yield case
        yield case.packet
        if not number:
            yield from case.netns
            yield from (program for net in case.netns for program in net.progs)
            yield from case.groups
            yield from case.socks


def _of_lookup(lookup: int, record: Any, name: str, field: Field) -> Iterable[int]:
    """The values of a field's pool as a lookup has them: see pools.py of_lookup()."""
    values = [value for value, _ in field.pool]
    if lookup in IPV6_LOOKUPS and field.kind is Kind.ADDRESS:
        return [other_family(value) for value in values]
    if lookup in IPV6_LOOKUPS and name == "family":
        return [OTHER.get(value, value) for value in values]
    if lookup in UDP_LOOKUPS and record is Sock and name in ("protocol", "hashed"):
        return [(OTHER_PROTOCOL if name == "protocol" else OTHER_TABLE).get(value, value) for value in values]
    return values


def _word(field: Field, value: int) -> str:
    return f"{value:#x}" if field.kind is Kind.HEX else str(show(field, value, ()))
