"""The exhaustive engine: all small tables, and every place at which events come about."""

from itertools import islice

import pytest

from skdiff.cases.scenario import AT_TAKEN, COMES, LEAVES, LHASH2, TCP4, TCP6, UDP4, UDP6
from skdiff.cases.validity import problems
from skdiff.comparison.compare import compare
from skdiff.engines import exhaustive_engine
from skdiff.engines.exhaustive_engine import MOST_SOCKS, placed, scenarios, tables
from skdiff.oracles.model import Model

TABLES = list(tables())


def test_tables_are_all_that_a_system_can_reach_each_once() -> None:
    assert len(set(TABLES)) == len(TABLES)
    assert {table.lookup for table in TABLES} == {TCP4, TCP6, UDP4, UDP6}
    assert {len(table.socks) for table in TABLES} == {*range(1, MOST_SOCKS + 1)}
    assert not any(problems(table) for table in TABLES)


@pytest.mark.parametrize("number", [0, 30, 200, 500])
def test_events_come_about_wherever_they_stand(number: int) -> None:
    cases = list(placed(TABLES[number], 1))
    assert len(set(cases)) == len(cases)
    for case in cases:
        assert not problems(case)
        assert Model().run(case).fired == 1
    for case in islice(placed(TABLES[number], 2), 0, 3000, 7):
        assert not problems(case)
        assert len(case.events) == 2


def test_each_point_of_the_packet_s_own_connection_is_there() -> None:
    [alone] = [table for table in TABLES[:1] if len(table.socks) == 1]
    points = {(event.point, event.nth) for case in placed(alone, 1) for event in case.events if event.action == LEAVES}
    assert (AT_TAKEN, 1) in points
    assert len(points) == 4  # before and behind the one link that leads to it, and around its reference


def test_a_member_comes_into_its_group() -> None:
    groups = [table for table in TABLES if len(table.socks) == 2 and all(s.group == 0 for s in table.socks)]
    found = [case for case in placed(groups[0], 1) if case.events[0].action == COMES and case.events[0].value]
    assert found
    assert all(case.socks[case.events[0].sk].hashed == LHASH2 for case in found)


@pytest.mark.parametrize("lookup", [TCP4, TCP6, UDP4, UDP6])
def test_the_hash_chooses_each_member_of_two_and_of_three(lookup) -> None:
    """A kernel that goes by a number of members which has changed is told by who is chosen."""
    members = [table for table in TABLES if table.lookup == lookup and all(s.group == 0 for s in table.socks)]
    chosen = {count: [Model().run(t).sk for t in members if len(t.socks) == count] for count in (2, 3)}
    assert {*zip(chosen[2], chosen[3], strict=True)} == {(0, 0), (0, 1), (1, 1), (1, 2)}


def test_a_seed_says_where_it_begins_and_the_sequence_is_its_own() -> None:
    assert [*islice(scenarios(0), 50)] == [*islice(scenarios(0), 50)] != [*islice(scenarios(3), 50)]
    assert next(scenarios(len(TABLES))) == next(scenarios(0))


@pytest.mark.parametrize("lookups", [(TCP4, TCP6), (UDP4, UDP6)])
def test_kernel_and_model_agree_about_the_first(reference, lookups) -> None:
    model = Model()
    for case in islice(scenarios(0, lookups), 4000):
        assert case.lookup in lookups
        assert compare(("kernel", "model"), (reference.run(case), model.run(case))) is None


def test_it_is_one_of_the_engines() -> None:
    assert callable(exhaustive_engine.drive)
