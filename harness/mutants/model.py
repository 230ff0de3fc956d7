"""Mutants of the model, and the cases that tell them from the model.

A mutant is killed by the first case whose Outcome, `via` included, or whose steps are not the model's own: explanations
and the names of findings are made of steps.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import harness.model
from harness import known
from harness.model import Model
from harness.mutants.common import Mutant
from harness.mutants.forked import forked
from harness.mutants.python import Change, Source, install
from harness.outcome import Outcome
from harness.replaying import files
from harness.scenario import NOWHERE, Scenario
from harness.steps import Step
from harness.text import load

MODEL = Path(harness.model.__file__).parent
CPU_SECONDS = 2.0


@dataclass(frozen=True)
class Expected:
    """A case, what it is called, and what the model makes of it."""

    name: str
    scenario: Scenario
    outcome: Outcome
    steps: list[Step]


@dataclass(frozen=True)
class Fate:
    """What became of a mutant: `by` says what killed it and how, "" for a survivor; `case` is the index of the case."""

    by: str = ""
    case: int | None = None

    @property
    def killed(self) -> bool:
        """Whether somebody saw the difference."""
        return bool(self.by)


def sources(folder: Path = MODEL) -> list[Source]:
    """The modules of the model."""
    return [Source(path, "model") for path in sorted(folder.glob("*.py"))]


def cases(paths: Sequence[Path] = ()) -> list[Expected]:
    """The corpus, or the cases of some files and folders, each with its neighbours, as the model has them."""
    found = []
    for path in files(paths):
        name = str(path.relative_to(known.CORPUS) if path.is_relative_to(known.CORPUS) else path)
        for what, scenario in _neighbours(load(path).scenario):
            found.append(Expected(name + what, scenario, Model().run(scenario), Model().trace(scenario)))
    return found


def _neighbours(scenario: Scenario) -> Iterable[tuple[str, Scenario]]:
    """The case, then another packet for the same tables, then other tables: a model keeps tables from case to case."""
    yield "", scenario
    packet = scenario.packet
    back = packet._replace(saddr=packet.daddr, daddr=packet.saddr)
    yield ", with its packet's way back", scenario._replace(hostile=1, packet=back)
    unhashed = tuple(sock._replace(hashed=NOWHERE) for sock in scenario.socks)
    yield ", with empty tables", scenario._replace(hostile=1, socks=unhashed)


def hunt(
    cases: Sequence[Expected], progress: Callable[[int, int], None] = lambda done, of: None
) -> list[tuple[Mutant, Fate]]:
    """Each mutant of the model and its fate, in the order of the text. `progress` is told how many are done, of all."""
    return run([(source, change) for source in sources() for change in source.changes], cases, progress)


def run(
    jobs: Sequence[tuple[Source, Change]],
    cases: Sequence[Expected],
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> list[tuple[Mutant, Fate]]:
    """The fate of some mutants."""
    fates: dict[int, Fate] = {}
    for i, text in forked(len(jobs), lambda i: _attack(*jobs[i], cases), CPU_SECONDS):
        fates[i] = _fate(text)
        progress(len(fates), len(jobs))
    return [(change.mutant, fates[i]) for i, (_, change) in enumerate(jobs)]


def _fate(text: str | None) -> Fate:
    if text is None:
        return Fate("died or hung")
    by, _, case = text.partition("\t")
    return Fate(by, int(case) if case else None)


def _attack(source: Source, change: Change, cases: Sequence[Expected]) -> str:
    """How a mutant is killed and, behind a tab, by which case; "" if it is not. For a child process."""
    at: Any = ""
    try:
        install(source, change, "harness.model")
        from harness.model import Model as Mutated  # loaded anew

        model = Mutated()
        if model.name != Model.name:
            return "name"
        for at, case in enumerate(cases):
            if model.run(case.scenario) != case.outcome:
                return f"outcome\t{at}"
        for at, case in enumerate(cases):
            if model.trace(case.scenario) != case.steps:
                return f"steps\t{at}"
    except Exception as error:  # noqa: BLE001 - a mutant may raise anything
        return f"raised {type(error).__name__}\t{at}"
    return ""
