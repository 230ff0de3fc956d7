"""Replay: cases from files, on the reference and the model, against each other and against what they expect."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from rich.console import Console

from skdiff.base.errors import CannotRun
from skdiff.base.paths import command, shell_path
from skdiff.base.words import counted
from skdiff.cases.case_file import Case, load
from skdiff.cases.expectations import MODEL, unmet
from skdiff.cases.fields import LOOKUPS
from skdiff.cases.overlooked import overlooked
from skdiff.cases.validity import not_on
from skdiff.comparison import known_differences
from skdiff.comparison.compare import Mismatch, compare
from skdiff.comparison.mismatch_text import render
from skdiff.findings.explain import explanation
from skdiff.findings.triage import cause
from skdiff.kernel.build import Build
from skdiff.kernel.summary import BuiltKernelSummary
from skdiff.oracles.guarded import Guarded
from skdiff.oracles.interface import Oracle
from skdiff.oracles.model import Model
from skdiff.variants.requirements import unmet_needs

GOOD = ("agreed", "known", "absent")
WORDS = ("agreed", "known", "absent", "mismatch", "unexpected", "gone", "unreadable")


class Replayed(msgspec.Struct):
    """A case: one of WORDS ("absent": this kernel has no such lookup in this configuration), why, and what it needs
    that the kernel is not: then nobody looked at what it expects; `unreachable` says why this kernel cannot reach it,
    `said_by` who said what it expects.
    """

    file: str
    verdict: str
    why: list[str]
    needs: list[str] = []
    unreachable: list[str] = []
    said_by: str = msgspec.field(default="", name="from")


class ReplaySummary(BuiltKernelSummary, kw_only=True):
    """What became of the cases of a replay, and how many expectations each source of them has."""

    cases: list[Replayed]
    expectations: dict[str, int] = msgspec.field(default_factory=dict)

    @property
    def nothing_looked_at(self) -> bool:
        """Whether the kernel has the lookup of no case."""
        return bool(self.cases) and all(case.verdict == "absent" for case in self.cases)

    @property
    def wrong(self) -> list[Replayed]:
        """The cases that are not as they should be."""
        return [case for case in self.cases if case.verdict not in GOOD]


def verdict(case: Case, reference: Oracle, model: Model) -> tuple[str, list[str], Mismatch | None]:
    """("agreed", "mismatch" or "unexpected"; what is unmet; the mismatch) for one case. What it expects is looked at if
    the kernel is what it `needs`.
    """
    outcomes = [reference.run(case.scenario), model.run(case.scenario)]
    mismatch = compare([reference.name, model.name], outcomes)
    if mismatch is not None:
        return "mismatch", list(mismatch.fields), mismatch
    wrong = [] if unmet_needs(case.needs, model.rules, model.config) else unmet(case.expect, case.socks, outcomes[0])
    return ("unexpected" if wrong else "agreed"), wrong, None


def _still_known(
    entry: known_differences.Known, case: Case, traced: Callable[[], Build], model: Model
) -> tuple[str, list[str], Mismatch | None]:
    """Whether a known difference is still what it was ("known"), or has gone ("gone"): then its entry must go too."""
    with Guarded(traced()) as oracle:
        told = explanation(case, oracle, model)
        now = cause(told, oracle.build) if told.mismatch is not None else "no difference"
    if told.mismatch is not None and known_differences.matches(now, [told.mismatch.way], [entry.signature]):
        return "known", [entry.reason], None
    return "gone", [f"listed in {known_differences.KNOWN.name} as {entry.signature}, but shows {now}"], None


def replay(
    paths: Sequence[Path],
    reference: Build,
    kernel: str,
    console: Console,
    say: Callable[[str], None],
    traced: Callable[[], Build],
) -> ReplaySummary:
    """Replay cases of files, print what is wrong; the summary of it. An unreadable file does not stop the others."""
    results: list[Replayed] = []
    expected = 0
    model = Model(reference.rules, reference.config)
    listed = {e.case.resolve(): e for e in known_differences.load() if e.covers(reference.tree.version)}
    with Guarded(reference) as oracle:
        for path in paths:
            try:
                case = load(path)
            except CannotRun as error:
                say(f"skdiff: {error}")
                results.append(Replayed(str(path), "unreadable", [str(error)]))
                continue
            lookup = LOOKUPS[case.scenario.lookup]
            if lookup not in reference.lookups:
                why = [f"{lookup} is not looked at: this kernel has it not in this configuration"]
                results.append(Replayed(str(path), "absent", why))
                continue
            word, why, mismatch = verdict(case, oracle, model)
            if path.resolve() in listed:
                word, why, mismatch = _still_known(listed[path.resolve()], case, traced, model)
            # Nobody has to be told that of what was drawn.
            for line in overlooked(case.scenario, case.socks) if case.said_by != MODEL else ():
                console.print(f"{shell_path(path)}: {line}", markup=False, soft_wrap=True)
            needs = unmet_needs(case.needs, reference.rules, reference.config)
            elsewhere = [] if case.scenario.hostile else not_on(case.scenario, reference.rules)
            said = case.said_by if case.expect and not needs else ""
            expected += bool(case.expect) and not needs
            results.append(Replayed(str(path), word, why, list(needs), list(elsewhere), said))
            if mismatch is not None:
                again = f"{command()} replay --kernel {kernel} {shell_path(path)}"
                text = render(mismatch, case, reference.label, reference.closure, again, rules=reference.rules)
                console.print(f"{shell_path(path)}:\n{text}", markup=False, soft_wrap=True)
            if again := case.again(shell_path(path)):
                console.print(
                    f"{shell_path(path)} is a difference between two kernels; {again}", markup=False, soft_wrap=True
                )
            for line in why if word in ("unexpected", "gone") else ():
                console.print(f"{shell_path(path)}: {line}", markup=False, soft_wrap=True)
    counts = {w: sum(r.verdict == w for r in results) for w in WORDS}
    unchecked = sum(bool(r.needs) for r in results)
    unreachable = sum(bool(r.unreachable) for r in results)
    said_by = Counter(r.said_by for r in results if r.said_by)
    outside = said_by.total() - said_by[MODEL]
    console.print(
        f"Linux {reference.label}: {counted(len(results), 'case')}, "
        + ", ".join(f"{n:,} {w}" for w, n in counts.items() if n or w == "agreed")
        + (f"; {unchecked} expect what another kernel does" if unchecked else "")
        + (f"; {unreachable} can be reached on another kernel only" if unreachable else "")
        + (f"; {outside:,} of {expected:,} expectations come from outside the model" if expected else ""),
        soft_wrap=True,
    )
    return ReplaySummary(kernel=reference.told(), cases=results, expectations={"all": expected, **said_by})
