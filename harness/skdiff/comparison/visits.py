"""Where two sides come to a point of the lookup differently often: a mistake that shows only while others write.

A link that is read once more than it should be changes nothing, but that the events of a case come earlier. What
follows from that is in another function in each case; the mistake is where the visits differ.
"""

from collections.abc import Callable, Collection, Iterator, Sequence

from skdiff.cases.event_fields import MOST_VISITS
from skdiff.cases.outcome import COMPARED, CRASHED, Outcome
from skdiff.cases.record import constants
from skdiff.cases.scenario import AT_LINK, AT_MEMBERS, AT_NODE, GOES_ON, Event, Scenario
from skdiff.cases.steps import EVENT, Step, of_kernel, parting
from skdiff.comparison.parting import road
from skdiff.kernel.call_graph import Callers
from skdiff.oracles.model.functions import FUNCTIONS

_WALKS = frozenset(
    getattr(functions, what)
    for functions in FUNCTIONS.values()
    for what in ("walk", "established", "connected", "fallback", "demux", "mcast_demux")
)
# Which functions come to a point that no step tells of; visits of the others have one each.
_IN = {AT_LINK: _WALKS, AT_NODE: _WALKS, AT_MEMBERS: frozenset({"reuseport_select_sock"})}
_FEW = 4  # events, of which each is left out; reduced cases have no more

Trace = Callable[[Scenario], list[Step]]


def visits_part_in(scenario: Scenario, outcomes: Sequence[Outcome], traces: Sequence[Trace], callers: Callers) -> str:
    """The kernel function in which two sides come to a point of the case's events differently often, though all their
    steps are the same while nobody else writes, or while others write less, or no matter what they write; "" if there
    is none such, or if the outcomes are the same.
    """
    ours, theirs = outcomes
    if ours[:COMPARED] == theirs[:COMPARED] or CRASHED in (ours.ended, theirs.ended):
        return ""
    points = dict.fromkeys(event.point for event in scenario.events if event.point in _IN)
    for events in _fewer(scenario.events):
        for point in points:
            probes = [Event(point=point, nth=nth, action=GOES_ON) for nth in range(1, MOST_VISITS + 1)]
            case = scenario._replace(events=(*events, *probes)[: constants.MAX_EVENTS])
            one, other = (trace(case) for trace in traces)
            if found := _part_in(one, other, _IN[point], callers):
                return found
    return ""


def _fewer(events: Sequence[Event]) -> Iterator[Sequence[Event]]:
    """None of the events, then all, then all but one: a point may be reached only with some, or only without one."""
    yield ()
    yield events
    if 1 < len(events) <= _FEW:
        yield from ((*events[:i], *events[i + 1 :]) for i in range(len(events)))


def _part_in(one: Sequence[Step], other: Sequence[Step], among: Collection[str], callers: Callers) -> str:
    """The function of these in which one trace has an event more than the other, where no other step differs; or ""."""
    at = parting([*one], [*other])
    if at is None or of_kernel(one) != of_kernel(other):
        return ""
    comes = [trace for trace in (one, other) if at < len(trace) and trace[at].function == EVENT]
    if len(comes) != 1:  # the same visit, of which more or less comes
        return ""
    behind = road(of_kernel(comes[0]), len(of_kernel(comes[0][:at])), callers)
    return next((step.function for step in behind if step.function in among), "")
