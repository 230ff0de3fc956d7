"""The exhaustive engine: all small tables, and every place at which events come about."""

from itertools import islice

import pytest

from skdiff.cases.scenario import AT_TAKEN, COMES, LEAVES, LHASH2, TCP4, TCP6, UDP4, UDP6, Scenario
from skdiff.cases.validity import problems
from skdiff.comparison.compare import compare
from skdiff.engines import exhaustive_engine
from skdiff.engines.exhaustive_engine import MOST_SOCKS, placed, scenarios, tables, tables_from
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
    assert tables_from(0) == TABLES == tables_from(len(TABLES))
    assert tables_from(3) == [*TABLES[3:], *TABLES[:3]]
    assert [*islice(scenarios(TABLES), 50)] == [*islice(scenarios(TABLES), 50)]


def test_those_with_one_event_come_first_and_each_says_of_which_table_it_is() -> None:
    few = [table for table in TABLES if len(table.socks) == 1][:2]
    found = [*scenarios(few)]
    assert [(count, number) for count, number, _ in found] == sorted((count, number) for count, number, _ in found)
    assert {(count, number) for count, number, _ in found} == {(1, 0), (1, 1), (2, 0), (2, 1)}
    assert all(len(case.events) == count for count, _, case in found)
    assert [case for count, number, case in found if (count, number) == (2, 1)] == [*placed(few[1], 2)]


class Short:
    """A run that is over after so many cases."""

    seed, lookups, oracles = 0, (TCP4, TCP6, UDP4, UDP6), (Model(),)

    def __init__(self, most: int) -> None:
        self.left, self.told = most, list[str]()

    def start(self) -> None:
        pass

    def over(self) -> bool:
        return not self.left

    def case(self, scenario: Scenario) -> None:
        self.left -= 1


def test_a_run_says_how_much_of_all_it_had(monkeypatch: pytest.MonkeyPatch) -> None:
    few = [table for table in TABLES if len(table.socks) == 1][:2]
    monkeypatch.setattr(exhaustive_engine, "tables", lambda: iter(few))
    first, one = len([*placed(few[0], 1)]), sum(count == 1 for count, _, _ in scenarios(few))
    every = len([*scenarios(few)])
    for most, told in (
        (0, "not all that can happen: 0 of 2 tables with one event, none with two"),
        (first, "not all that can happen: 1 of 2 tables with one event, none with two"),
        (one, "not all that can happen: all 2 tables with one event, 0 of 2 tables with two"),
        (every, "all that can happen: all 2 tables, with one event and with two"),
    ):
        run = Short(most)
        exhaustive_engine.drive(run)  # type: ignore[arg-type]
        assert run.told == [told]


@pytest.mark.parametrize("lookups", [(TCP4, TCP6), (UDP4, UDP6)])
def test_kernel_and_model_agree_about_the_first(reference, lookups) -> None:
    model = Model()
    for _, _, case in islice(scenarios(tables_from(0, lookups)), 4000):
        assert case.lookup in lookups
        assert compare(("kernel", "model"), (reference.run(case), model.run(case))) is None


def test_it_is_one_of_the_engines() -> None:
    assert callable(exhaustive_engine.drive)
