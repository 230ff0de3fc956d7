"""The moments of a lookup with events, each as a scenario in which nothing changes from then on.

Another CPU that writes before the first link is read has written before the lookup has seen anything of a table. So a
scenario whose events all come there has the tables as they stand at a moment: after some of the events, in some order,
and in the middle of the last one. A lookup is linearisable if its answer is that of one of these.
"""

from collections.abc import Iterator
from itertools import permutations

from skdiff.cases.event_fields import MOST_VISITS
from skdiff.cases.events import most_steps
from skdiff.cases.scenario import AT_LINK, NONE, Event, Scenario


def moments(scenario: Scenario) -> Iterator[Scenario]:
    """What the tables may be like at some moment of the lookup, whichever of its events come, and in which order. Those
    that never come are still there, for who they bring is in no table before.
    """
    events = range(len(scenario.events))
    yield _with(scenario, ())
    for count in range(1, len(events) + 1):
        for order in permutations(events, count):
            last = scenario.events[order[-1]]
            for steps in range(most_steps(last, scenario.socks) + 1):
                yield _with(scenario, order, steps)


def _with(scenario: Scenario, order: tuple[int, ...], steps: int = 0) -> Scenario:
    """Some events, before all else, and the others never."""
    first = [scenario.events[i]._replace(point=AT_LINK, nth=1, at=NONE, steps=0) for i in order]
    if first:
        first[-1] = first[-1]._replace(steps=steps)
    never = [_never(event) for i, event in enumerate(scenario.events) if i not in order]
    return scenario._replace(events=(*first, *never))


def _never(event: Event) -> Event:
    return event._replace(point=AT_LINK, nth=MOST_VISITS, at=NONE, steps=0)
