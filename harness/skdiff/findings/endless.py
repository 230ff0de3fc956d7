"""A lookup that does not end: the part of its steps that comes again and again, and where it goes round."""

from collections.abc import Sequence

from skdiff.cases.case_file import Case
from skdiff.cases.record import constants
from skdiff.cases.scenario import NONE
from skdiff.cases.steps import Step
from skdiff.comparison.mismatch_text import names_of
from skdiff.comparison.parting import connection_search
from skdiff.oracles.model.functions import FUNCTIONS

ROUNDS = 3  # that a part of the steps must come again, to be taken for one that never ends


def rounds(steps: Sequence[Step]) -> tuple[int, int]:
    """Where the part that comes again begins in the steps of a lookup that did not end, and how long it is; (the
    number of steps, 0) if none does. Only a trace that is full can show it.
    """
    functions = [step.function for step in steps]
    if len(functions) < constants.MAX_STEPS:
        return len(functions), 0
    for period in range(1, len(functions) // ROUNDS + 1):
        start = len(functions) - period
        while start and functions[start - 1] == functions[start - 1 + period]:
            start -= 1
        if len(functions) - start >= ROUNDS * period:
            return start, period
    return len(functions), 0


def once_round(steps: Sequence[Step]) -> Sequence[Step]:
    """The steps up to the end of the first round."""
    start, period = rounds(steps)
    return steps[: start + period]


def where(case: Case, steps: Sequence[Step]) -> str:
    """Where a lookup with these steps goes round, in a sentence."""
    scenario, functions = case.scenario, FUNCTIONS[case.scenario.lookup]
    search = connection_search(scenario.lookup)
    matched = next((step.values[0] for step in reversed(steps) if step.function == functions.match), NONE)
    if 0 <= matched < len(scenario.socks) and scenario.socks[matched].no_pprev:
        name = names_of(case)[0][matched]
        return (
            f"It does not end: {name} matches, and is marked as unhashed though it stays in its chain (no_pprev):"
            f" {search}() puts it back and begins anew, each time."
        )
    start, period = rounds(steps)
    if scenario.ehash_nulls_xor and not period:
        return (
            f"It does not end: the chain's end mark is not its own (ehash_nulls_xor {scenario.ehash_nulls_xor:#x}),"
            f" which {search}() takes for a walk that has strayed into another chain: it begins anew, each time."
        )
    if period:
        names = dict.fromkeys(f"{step.function}()" for step in steps[start : start + period])
        return f"It does not end: {', '.join(names)}, again and again."
    last = f"behind {steps[-1].function}()" if steps else "from the start on"
    return f"It does not end: {last} no function returns that is watched, so the loop is in one that is called there."
