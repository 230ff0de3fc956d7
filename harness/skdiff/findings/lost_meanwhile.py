"""What other CPUs did while a lookup ran, that cost a socket the packet."""

from dataclasses import dataclass

from skdiff.cases.case_file import Case
from skdiff.cases.event_text import action_text
from skdiff.cases.events import brought
from skdiff.cases.outcome import Outcome
from skdiff.cases.scenario import Scenario
from skdiff.comparison.mismatch_text import names_of
from skdiff.findings.changes import without_events
from skdiff.oracles.model import Model


@dataclass(frozen=True)
class Meanwhile:
    """Why a socket lost, in a clause, if events are why, else ""; and the scenario whose steps tell it otherwise:
    without events, if some of them changed the socket, as what the steps say of it holds for what it was by then.
    """

    reason: str
    scenario: Scenario


def lost_meanwhile(case: Case, index: int, outcome: Outcome, model: Model) -> Meanwhile:
    """Whether events are why a socket that does not get the packet, by the `outcome`, lost it: it gets it if one of
    them, or all, do not come about, or, if one brings it, if it is in its table from the beginning.
    """
    s = case.scenario
    fired = [number for number in range(len(s.events)) if outcome.fired >> number & 1]
    names, groups = names_of(case)

    def told(number: int) -> str:
        return f"{action_text(s.events[number], names, groups)} (event {number + 1})"

    for number in fired:
        if model.run(without_events(s, [number])).sk == index:
            return Meanwhile(f"meanwhile, on another CPU, {told(number)}", s)
    if fired and model.run(without_events(s, range(len(s.events)))).sk == index:
        return Meanwhile(f"meanwhile, on another CPU, {' and '.join(map(told, fired))}", s)
    came = next((number for number, event in enumerate(s.events) if index in brought([event])), None)
    if came is not None and came not in fired:
        return Meanwhile(f"it comes into its table by event {came + 1} alone, which does not come about", s)
    standing = s._replace(events=()) if came is not None else without_events(s, fired)
    if came is not None and model.run(standing).sk == index:
        return Meanwhile(f"it came into its table only while the lookup ran, too late to be met (event {came + 1})", s)
    changed = any(index in (s.events[number].sk, s.events[number].other) for number in fired)
    return Meanwhile("", standing if changed else s)
