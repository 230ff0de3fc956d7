"""Which socket gets this packet, and why: the steps of a lookup in a reader's words, and where two oracles part."""

from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
from rich.console import Console
from rich.table import Table

from skdiff.cases import case_values
from skdiff.cases.case_file import Case
from skdiff.cases.outcome import Outcome
from skdiff.cases.outcome_fields import OUTCOME_FIELDS
from skdiff.cases.scenario import (
    Scenario,
)
from skdiff.cases.steps import Step, parting
from skdiff.cases.validity import not_on
from skdiff.comparison.compare import Mismatch, compare
from skdiff.comparison.mismatch_text import describe_case, names_of, outcomes_table
from skdiff.comparison.parting import Parting
from skdiff.findings.step_words import step_text
from skdiff.findings.story import story
from skdiff.kernel.build import Build
from skdiff.kernel.summary import BuiltKernelSummary, Kernel
from skdiff.oracles.model import Model
from skdiff.variants.config import Config
from skdiff.variants.version_rules import Rules

TOLD = ("ended", "sk", "refcounted")  # of an outcome, to programs: the others are steps, or stay as they were


class Tracing(Protocol):
    """An oracle that can tell its steps."""

    name: str
    build: Build

    def run(self, scenario: Scenario) -> Outcome:
        """The outcome for a valid scenario."""
        ...

    def trace(self, scenario: Scenario) -> list[Step]:
        """The steps that lead to it."""
        ...


class ToldStep(msgspec.Struct):
    """A step of a summary: the kernel function, and the step in a line."""

    function: str
    text: str


class ExplainSummary(BuiltKernelSummary, kw_only=True):
    """A case in words, whether the kernel can reach it, what happens in sentences, the steps of each oracle and who
    gets the packet by it, the number (from 0) of the first step at which they part and the function in which they do,
    and the name of the mismatch: None, "" and None if they do not.
    """

    words: list[str]
    reachable: bool
    story: list[str]
    steps: dict[str, list[ToldStep]]
    outcomes: dict[str, dict[str, Any]]
    part_at: int | None
    part_in: str
    mismatch: str | None


@dataclass(frozen=True)
class Explanation:
    """A case, how two oracles came to their answers, these, and the mismatch if they differ; the kernel's
    configuration and rules.
    """

    case: Case
    parted: Parting
    outcomes: tuple[Outcome, Outcome]
    mismatch: Mismatch | None
    config: Config
    rules: Rules

    def show(self, console: Console) -> None:
        """Print it: the case, the story, and for a mismatch where the sides part."""
        for line in describe_case(self.case, self.rules, self.config):
            console.print("  " + line, markup=False, soft_wrap=True)
        console.print()
        _, model = self.parted.names
        console.print(f"{model}:" if self.mismatch else "What happens:", markup=False)
        for i, sentence in enumerate(story(self.case, self.parted.traces[1], self.config), 1):
            console.print(f"{i:3}. {sentence}", markup=False, soft_wrap=True)
        if self.mismatch is not None:
            console.print()
            console.print(f"The sides part in {self.parted.function}():", markup=False)
            console.print(side_by_side(self.parted, self.case))
            console.print()
            console.print(outcomes_table(self.mismatch, self.case))

    def summary(self, kernel: Kernel) -> ExplainSummary:
        """The same for programs."""
        socks, _ = names_of(self.case)
        return ExplainSummary(
            kernel=kernel,
            words=describe_case(self.case, self.rules, self.config),
            reachable=not self.case.scenario.hostile and not not_on(self.case.scenario, self.rules, self.config),
            story=story(self.case, self.parted.traces[1], self.config),
            steps={
                name: [ToldStep(step.function, step_text(step, socks)) for step in trace]
                for name, trace in zip(self.parted.names, self.parted.traces, strict=True)
            },
            outcomes={
                name: {field: case_values.show(OUTCOME_FIELDS[field], getattr(outcome, field), socks) for field in TOLD}
                for name, outcome in zip(self.parted.names, self.outcomes, strict=True)
            },
            part_at=self.parted.at,
            part_in=self.parted.function,
            mismatch=None if self.mismatch is None else self.mismatch.signature,
        )


def explanation(case: Case, reference: Tracing, model: Model) -> Explanation:
    """Ask both oracles for their steps and outcomes."""
    names = (reference.name, model.name)
    outcomes = (reference.run(case.scenario), model.run(case.scenario))
    traces = (reference.trace(case.scenario), model.trace(case.scenario))
    parted = Parting(names, traces, parting(*traces), reference.build.callers, case.scenario, outcomes, model)
    return Explanation(case, parted, outcomes, compare(names, outcomes), model.config, model.rules)


def side_by_side(parted: Parting, case: Case) -> Table:
    """Both traces, from a few steps before the parting to a few behind it; `>` marks the first that differs."""
    socks, _ = names_of(case)
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for name in ("step", *parted.names):
        table.add_column(name, overflow="fold")
    longest = max(map(len, parted.traces))
    at = longest if parted.at is None else parted.at
    for i in range(max(0, at - 3), min(longest, at + 4)):
        cells = [step_text(t[i], socks) if i < len(t) else "(over)" for t in parted.traces]
        differs = cells[0] != cells[1]
        table.add_row(
            ">" if i == at else "", str(i + 1), *cells, style="bold red" if i == at else "dim" if differs else ""
        )
    return table
