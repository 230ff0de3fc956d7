"""Which socket gets this packet, and why: the steps of a lookup in a reader's words, and where two oracles part."""

from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
from rich.console import Console
from rich.table import Table

from skdiff.cases import case_values
from skdiff.cases.case_file import Case
from skdiff.cases.outcome import ENDED_NAMES, RETURNED, Outcome
from skdiff.cases.outcome_fields import OUTCOME_FIELDS
from skdiff.cases.scenario import NONE, Scenario
from skdiff.cases.steps import Step
from skdiff.cases.validity import not_on
from skdiff.comparison.causes import parted_from_model
from skdiff.comparison.compare import Mismatch, compare
from skdiff.comparison.mismatch_text import describe_case, names_of, outcomes_table
from skdiff.comparison.parting import Parting
from skdiff.findings.answer import Answer, Part, RestsOn
from skdiff.findings.step_words import step_text
from skdiff.findings.story import story
from skdiff.findings.sweep import NO_ANSWER, Sweep
from skdiff.kernel.build import Build
from skdiff.kernel.summary import BuiltKernelSummary, Kernel
from skdiff.oracles.model import Model
from skdiff.variants.config import Config
from skdiff.variants.version_rules import NAMES, Rules

TOLD = ("ended", "sk", "refcounted", "fired")  # of an outcome, to programs: the others are steps, or stay as they were


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


class Swept(msgspec.Struct):
    """A range of values of a key: how many values each socket has ("none": nobody, "": no answer), how many the packet
    of the case cannot have, and the first for which kernel and model differ, None for none.
    """

    key: str
    first: str
    last: str
    counts: dict[str, int]
    left_out: int
    differs_at: str | None


class ToldWhyNot(msgspec.Struct):
    """Why a socket did not get the packet, and changes with which it would."""

    sk: str
    reason: str
    changes: list[str]


class ExplainSummary(BuiltKernelSummary, kw_only=True):
    """A case in words, and the kernel's answer: how it `ended`, `sk` and `refcounted` if it returned, the `rules` that
    are on, those on which the answer `rests_on`, the parts that `chance` gives to each socket ([] if no hash was
    asked), what comes `next`, where it goes round if it does not end, what is `unmet` of what the case expects.

    Then whether the kernel can reach the case, what happens in sentences (by the kernel; by the model too, if they
    differ), the steps of each oracle and who gets the packet by it, the number (from 0) of the first step at which they
    part and the function in which they do, and the name of the mismatch: None, "" and None if they do not.
    """

    words: list[str]
    ended: str
    sk: str | None
    refcounted: bool | None
    rules: list[str]
    rests_on: list[RestsOn]
    chance: list[Part]
    next: list[str]
    endless: str
    unmet: list[str]
    why_not: ToldWhyNot | None = None
    sweep: Swept | None = None
    reachable: bool
    story: list[str]
    model_story: list[str]
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

    def show(self, console: Console, answer: Answer | None = None) -> None:
        """Print it: the case and the story; for a mismatch the stories of both, and where the sides part. With an
        `answer`, the configuration and the rules that it rests on come before, and all of it behind but its last line.
        """

        def line(text: str) -> None:
            console.print(text, markup=False, soft_wrap=True)

        if answer is not None:
            line(f"Configuration: {str(self.config) or 'the default'}")
            for text in answer.holds_for():
                line(text)
        for text in describe_case(self.case, self.rules, self.config):
            line("  " + text)
        for number, name in enumerate(self.parted.names):
            if number and self.mismatch is None:
                break
            line("")
            line(f"{name}:" if self.mismatch else "What happens:")
            for i, sentence in enumerate(story(self.case, self.parted.traces[number], self.config), 1):
                line(f"{i:3}. {sentence}")
        if self.mismatch is not None:
            console.print()
            console.print(f"The sides part in {self.parted.function}():", markup=False)
            console.print(side_by_side(self.parted, self.case))
            console.print()
            console.print(outcomes_table(self.mismatch, self.case))
        for at, text in enumerate(answer.behind_the_story() if answer is not None else ()):
            line(text if at else f"\n{text}")

    def summary(self, kernel: Kernel, answer: Answer) -> ExplainSummary:
        """The same for programs."""
        socks, _ = names_of(self.case)
        returned = answer.outcome.ended == RETURNED
        stories = [story(self.case, trace, self.config) for trace in self.parted.traces]
        return ExplainSummary(
            kernel=kernel,
            words=describe_case(self.case, self.rules, self.config),
            ended=ENDED_NAMES[answer.outcome.ended],
            sk=answer.sk if returned and not answer.delivered else None,
            refcounted=bool(answer.outcome.refcounted) if returned else None,
            rules=[name for name in NAMES if getattr(self.rules, name)],
            rests_on=list(answer.rests_on),
            chance=answer.parts,
            next=list(answer.next),
            endless=answer.endless,
            unmet=list(answer.unmet),
            reachable=not self.case.scenario.hostile and not not_on(self.case.scenario, self.rules, self.config),
            story=stories[0],
            model_story=[] if self.mismatch is None else stories[1],
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
    parted = parted_from_model(reference, model, case.scenario, outcomes, names)
    return Explanation(case, parted, outcomes, compare(names, outcomes), model.config, model.rules)


def told_sweep(found: Sweep, case: Case) -> Swept:
    """A range for programs."""
    names = {NONE: "none", NO_ANSWER: ""}
    socks, _ = names_of(case)
    return Swept(
        key=found.range.key,
        first=found.range.text(found.range.first),
        last=found.range.text(found.range.last),
        counts={socks[sk] if sk >= 0 else names[sk]: count for sk, count in found.counts},
        left_out=found.left_out,
        differs_at=None if found.parted is None else found.range.text(found.parted[0]),
    )


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
