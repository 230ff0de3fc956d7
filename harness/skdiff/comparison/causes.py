"""The cause of a mismatch, in a word: the kernel function in which the sides part, as traced builds show it."""

from collections.abc import Callable, Sequence
from typing import Protocol

from skdiff.cases.outcome import Outcome
from skdiff.cases.scenario import Scenario
from skdiff.cases.steps import Step, parting
from skdiff.comparison.compare import Mismatch
from skdiff.comparison.parting import Parting
from skdiff.comparison.referee import SIDES, Referee, Verdict
from skdiff.comparison.visits import visits_part_in
from skdiff.kernel.build import Build
from skdiff.kernel.call_graph import merged
from skdiff.oracles.model import Model

CauseOf = Callable[[Scenario, Mismatch], str]


class Traced(Protocol):
    """A kernel that can tell its steps: a build of the variant "traced"."""

    build: Build

    def trace(self, scenario: Scenario) -> list[Step]:
        """The steps that lead to its outcome."""
        ...


def causes_of(kernels: Sequence[Traced]) -> CauseOf:
    """What tells the causes of a run: of one kernel, which is compared with its model, or of two."""
    return _with_model(kernels[0]) if len(kernels) == 1 else _of_two(kernels)


def _with_model(kernel: Traced) -> CauseOf:
    build = kernel.build
    model = Model(build.rules, build.config)

    def function(scenario: Scenario, mismatch: Mismatch) -> str:
        return parted_from_model(kernel, model, scenario, (mismatch.outcomes[0], mismatch.outcomes[-1])).function

    return function


def parted_from_model(
    kernel: Traced,
    model: Model,
    scenario: Scenario,
    outcomes: tuple[Outcome, Outcome],
    names: tuple[str, str] = ("", ""),
) -> Parting:
    """Where a kernel and its model, with these outcomes, part."""
    traces, callers = (kernel.trace(scenario), model.trace(scenario)), kernel.build.callers
    visits = visits_part_in(scenario, outcomes, (kernel.trace, model.trace), callers)
    return Parting(names, traces, parting(*traces), callers, scenario, outcomes, model, visits)


def _of_two(kernels: Sequence[Traced]) -> CauseOf:
    referee = Referee(kernels[0].build, kernels[1].build)

    def function(scenario: Scenario, mismatch: Mismatch) -> str:
        verdict = referee.verdict(scenario, mismatch.outcomes)
        if verdict is None or not verdict.unlike:
            return ""  # the rules are the cause, and a mismatch of a referee has them in its name
        steps = (kernels[0].trace(scenario), kernels[1].trace(scenario))
        return parted(scenario, mismatch.outcomes, verdict, steps, kernels, referee).function

    return function


def parted(
    scenario: Scenario,
    outcomes: Sequence[Outcome],
    verdict: Verdict,
    steps: tuple[list[Step], list[Step]],
    kernels: Sequence[Traced],
    referee: Referee,
) -> Parting:
    """The two traces that show best where two kernels part, or one and its model; `steps` are those of the kernels."""
    callers, visits = merged(build.callers for build in referee.builds), ""
    if verdict.unlike:
        side = SIDES.index(verdict.unlike[-1])
        model = referee.turned(side)
        names = (referee.names[side], f"the model of {SIDES[side]}")
        traces = (steps[side], model.trace(scenario))
        both = (outcomes[side], model.run(scenario))
        visits = visits_part_in(scenario, both, (kernels[side].trace, model.trace), callers)
    else:
        model = referee.turned(0, *verdict.words)
        names = ("the model of A", f"the same with {', '.join(verdict.words)}")
        traces = (referee.turned(0).trace(scenario), model.trace(scenario))
        both = (referee.turned(0).run(scenario), model.run(scenario))
    return Parting(names, traces, parting(*traces), callers, scenario, both, model, visits)
