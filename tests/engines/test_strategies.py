"""What Hypothesis draws that other CPUs do, and that it drops what a finding does not need."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from skdiff import engines
from skdiff.campaign.finding_files import Origin
from skdiff.campaign.run import Run
from skdiff.cases.case_file import load
from skdiff.cases.event_fields import ACTIONS, POINTS
from skdiff.cases.outcome import Outcome
from skdiff.cases.scenario import LEAVES, UDP_LOOKUPS, Scenario
from skdiff.cases.udp_event_rules import NOT_OF_UDP, UDP_ALONE
from skdiff.cases.validity import problems
from skdiff.engines.strategies import scenarios
from skdiff.oracles.model import Model

ORIGIN = Origin("test", "", "", 11)
BATCH, BATCHES = 200, 20


def drawn(hostile: bool, look: Callable[[Scenario], None], number: int) -> None:
    @seed(number)
    @settings(
        max_examples=BATCH,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(scenarios(hostile=hostile))
    def batch(scenario: Scenario) -> None:
        look(scenario)

    batch()


@pytest.mark.long
@pytest.mark.parametrize("hostile", [False, True], ids=["reachable", "hostile"])
def test_each_action_and_each_point_is_drawn_of_tcp_and_of_udp(hostile: bool) -> None:
    points, actions = {*POINTS}, {*ACTIONS}
    missing = {
        (udp, what, value)
        for udp, others in ((False, UDP_ALONE), (True, NOT_OF_UDP))
        for what, values in (("point", points), ("action", actions - {*others}))
        for value in values
    }
    assert len(missing) == 2 * len(points) + 2 * len(actions) - len(UDP_ALONE) - len(NOT_OF_UDP)

    def look(scenario: Scenario) -> None:
        assert problems(scenario) == []
        for event in scenario.events:
            udp = scenario.lookup in UDP_LOOKUPS
            missing.difference_update({(udp, "point", event.point), (udp, "action", event.action)})

    for number in range(BATCHES):
        if missing:
            drawn(hostile, look, number)
    assert missing == set()


@pytest.mark.long
@pytest.mark.parametrize("needed", [0, 1], ids=["none", "one"])
def test_hypothesis_drops_the_events_that_a_difference_does_not_need(needed: int, tmp_path: Path) -> None:
    """From the first case with several events on, in which a socket leaves, all cases differ, or those in which one
    leaves.
    """
    first: list[Scenario] = []

    def leave(scenario: Scenario, outcome: Outcome) -> bool:
        return any(e.action == LEAVES and outcome.fired >> i & 1 for i, e in enumerate(scenario.events))

    class Wrong(Model):
        name = "wrong"

        def run(self, scenario: Scenario) -> Outcome:
            outcome = super().run(scenario)
            if not first and len(scenario.events) > 1 and leave(scenario, outcome):
                first.append(scenario)
            differs = first and (not needed or leave(scenario, outcome))
            return outcome._replace(sk=-2) if differs else outcome

    class Once(Run):
        def over(self) -> bool:
            return bool(self.counters().mismatches) or super().over()

    run = Once(lambda: [Model(), Wrong()], ORIGIN, tmp_path, lambda message: None, cases=5000)
    engines.drive("hypothesis", run)
    [found] = run.counters().mismatches
    kept = load(Path(found.file)).scenario
    assert [event.action for event in kept.events] == [LEAVES] * needed
    assert len(kept.events) < len(first[0].events)
