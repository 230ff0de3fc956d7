"""The wide engine: random cases in which one to three fields have any valid value, not only those of their pools.

Where other CPUs write meanwhile every field of an event has any valid value.
"""

from collections.abc import Iterator
from random import Random
from typing import Any

from skdiff.cases.field_kinds import Kind
from skdiff.cases.fields import FIELDS
from skdiff.cases.normalise import normalise
from skdiff.cases.normalise_events import with_events
from skdiff.cases.pools import Raw
from skdiff.cases.scenario import Event, Group, Netns, Packet, Program, Scenario, Sock
from skdiff.cases.valid_values import Counts, valid_range
from skdiff.cases.wire import SIZE, draw
from skdiff.cases.wire_events import DRAWN_EVENTS
from skdiff.engines.aimed_events import EVENTS_SHARE
from skdiff.engines.interface import Run

MOST_FIELDS = 3
# Kinds whose values sockets and packets compare with each other: a value that only one of them has meets nothing.
_COMPARED = (Kind.ADDRESS, Kind.PORT, Kind.DEVICE, Kind.CPU)
_NAMES = {
    record: [(at, name) for at, (name, field) in enumerate(fields.items()) if field.kind is not Kind.LIST]
    for record, fields in FIELDS.items()
}
_SAME_KIND: dict[Kind, dict[Any, list[tuple[int, str]]]] = {
    kind: {
        record: [(at, name) for at, name in names if FIELDS[record][name].kind is kind]
        for record, names in _NAMES.items()
    }
    for kind in _COMPARED
}
_DATA_LEN, _LEN = (Packet._fields.index(name) for name in ("data_len", "len"))


def drive(run: Run) -> None:
    """Feed scenarios to a run until it is over. The run's seed fixes their sequence."""
    run.start()
    for scenario in scenarios(run.seed, bytes(run.lookups)):
        if run.over():
            return
        run.case(scenario)


def scenarios(seed: int, lookups: bytes = b"") -> Iterator[Scenario]:
    """Valid scenarios without end, of these lookups (see `wire.decode`)."""
    random, others = Random(seed), Random(~seed)
    while True:
        raw = draw(random.randbytes(SIZE), lookups)
        widen(raw, random)
        case = normalise(raw)
        yield with_events(case, any_events(case, others)) if others.random() < EVENTS_SHARE else case


def any_events(case: Scenario, random: Random) -> list[list[int]]:
    """Fields of events, each with any valid value."""
    counts = Counts(len(case.netns), len(case.groups), len(case.socks))
    count = random.randint(1, DRAWN_EVENTS)
    return [[any_value(Event, name, counts, random) for name in FIELDS[Event]] for _ in range(count)]


def widen(raw: Raw, random: Random) -> None:
    """Give one to three fields any valid value. Each kind of record has the same share, however many there are of it.
    Half of the values that sockets and packets compare stand in another field of their kind as well.
    """
    counts = Counts(len(raw.netns), len(raw.groups), len(raw.socks))
    records = _records(raw)
    for _ in range(random.randint(1, MOST_FIELDS)):
        record = random.choice([*records])
        at, name = random.choice(_NAMES[record])
        fields = random.choice(records[record])
        kind = FIELDS[record][name].kind
        value = fields[at] = any_value(record, name, counts, random)
        if kind in _COMPARED and random.getrandbits(1):
            other = random.choice([other for other in records if _SAME_KIND[kind][other]])
            there, _ = random.choice(_SAME_KIND[kind][other])
            random.choice(records[other])[there] = value
        if record is Packet and at == _DATA_LEN:
            fields[_LEN] = max(fields[_LEN], value)


def _records(raw: Raw) -> dict[Any, list[list[int]]]:
    """The records that are there, with the fields of each."""
    records = {
        Scenario: [raw.head],
        Packet: [raw.packet],
        Netns: [fields for fields, _ in raw.netns],
        Program: [program for _, progs in raw.netns for program in progs],
        Group: [fields for fields, _ in raw.groups],
        Sock: raw.socks,
    }
    return {record: things for record, things in records.items() if things}


def any_value(record: Any, name: str, counts: Counts, random: Random) -> int:
    """A valid value of a field: any of its range alike, or one that is next to a power of two or to an end."""
    least, most = valid_range(record, name, counts)
    if FIELDS[record][name].kind is Kind.SIZE:
        return 1 << random.randrange(most.bit_length())
    if random.getrandbits(1):
        return random.randint(least, most)
    power = 1 << random.randrange(most.bit_length() + 1)
    near = random.choice((least, most, power, -power)) + random.randint(-2, 2)
    return min(max(near, least), most)
