"""The wide engine: fields anywhere in their range, in cases that are valid."""

from collections import defaultdict
from itertools import islice
from random import Random
from typing import Any

import pytest

from skdiff.cases import validity
from skdiff.cases.field_kinds import Kind
from skdiff.cases.fields import FIELDS
from skdiff.cases.scenario import Event, Group, Netns, Packet, Scenario, Sock
from skdiff.cases.valid_values import Counts, valid_range
from skdiff.cases.wire import SIZE, draw
from skdiff.comparison.compare import compare
from skdiff.engines.wide_engine import any_value, scenarios, widen
from skdiff.oracles.model import Model

CASES = 20000
# What a small range is: each of its values has to be met.
SMALL = 32
NAMES = [
    (record, name) for record, fields in FIELDS.items() for name, field in fields.items() if field.kind is not Kind.LIST
]


def records(case: Scenario) -> list[Any]:
    programs = [program for net in case.netns for program in net.progs]
    return [case, case.packet, *case.netns, *programs, *case.groups, *case.socks, *case.events]


@pytest.fixture(scope="module")
def met() -> dict[tuple[Any, str], set[int]]:
    """The values of each field in many cases."""
    values = defaultdict(set)
    for case in islice(scenarios(5), CASES):
        for thing in records(case):
            for name in FIELDS[type(thing)]:
                values[type(thing), name].add(getattr(thing, name))
    return values


@pytest.mark.parametrize(("record", "name"), NAMES, ids=[f"{record.__name__}.{name}" for record, name in NAMES])
def test_every_field_is_met_in_its_whole_range(met: dict[tuple[Any, str], set[int]], record: Any, name: str) -> None:
    """All values of a small range; both ends, and each eighth of a large one that is not in its pool alone."""
    least, most = valid_range(record, name)
    if FIELDS[record][name].kind is Kind.SOCKET:
        most = 15  # of a drawn case, which has 16 sockets at most
    elif name == "num_socks":
        most = 8
    values = met[record, name]
    if name == "num_closed_socks":  # groups of which most are closed are rare
        assert values >= {*range(5)}
        return
    if (record, name) == (
        Event,
        "other",
    ):  # hardly ever is it the last of many sockets that can take another one's place
        assert values >= {*range(-1, 5)}
        return
    assert min(values) == least
    assert max(values) == most
    if FIELDS[record][name].kind is Kind.SIZE:
        assert values == {1 << n for n in range(most.bit_length())}
    elif most - least < SMALL:
        assert values == {*range(least, most + 1)}
    else:
        drawn = values - {value for value, _ in FIELDS[record][name].pool}
        assert {(value - least) * 8 // (most - least + 1) for value in drawn} == {*range(8)}


def test_reachable_cases_leave_the_pools_too() -> None:
    pools = {(record, name): {value for value, _ in FIELDS[record][name].pool} for record, name in NAMES}
    left = set()
    for case in islice(scenarios(6), CASES):
        if not case.hostile:
            for thing in records(case):
                named = ((type(thing), name) for name in FIELDS[type(thing)])
                left.update(at for at in named if at in pools and getattr(thing, at[1]) not in pools[at])
    assert left >= {(Packet, name) for name in ("saddr", "daddr", "sport", "rt_iif", "skb_iif", "sdif", "doff", "len")}
    assert left >= {(Sock, name) for name in ("rcv_saddr", "num", "refcnt", "bound_dev_if", "incoming_cpu", "protocol")}
    assert left >= {(Scenario, "cpu"), (Netns, "hash_mix"), (Group, "returns"), (Group, "verdict")}


def test_wide_cases_are_valid() -> None:
    for case in islice(scenarios(7), 3000):
        assert validity.problems(case) == []


def test_the_seed_fixes_the_cases() -> None:
    assert [*islice(scenarios(8), 50)] == [*islice(scenarios(8), 50)] != [*islice(scenarios(9), 50)]


def test_few_fields_change() -> None:
    """Three at most, each perhaps with another one of its kind, and a packet's length with what is in its pages."""
    random, changed = Random(10), set()
    for _ in range(500):
        data = random.randbytes(SIZE)
        before, after = draw(data), draw(data)
        widen(after, random)
        flat = [[*raw.head, *raw.packet, *_fields(raw)] for raw in (before, after)]
        changed.add(sum(one != other for one, other in zip(*flat, strict=True)))
    assert max(changed) <= 7
    assert {1, 2, 3} <= changed


def _fields(raw: Any) -> list[int]:
    nested = [fields for fields, _ in (*raw.netns, *raw.groups)]
    nested += [program for _, progs in raw.netns for program in progs]
    return [value for fields in (*nested, *raw.socks) for value in fields]


def test_an_index_names_what_is_there() -> None:
    random = Random(11)
    for record, name in NAMES:
        counts = Counts(1, 2, 3)
        least, most = valid_range(record, name, counts)
        for _ in range(20):
            assert least <= any_value(record, name, counts, random) <= most


def test_the_reference_and_the_model_agree_about_them(reference) -> None:
    model = Model()
    for case in islice(scenarios(12), 4000):
        assert compare(["reference", "model"], [reference.run(case), model.run(case)]) is None
