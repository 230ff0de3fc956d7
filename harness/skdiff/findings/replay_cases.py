"""Replay: cases from files, on the reference and the model, against each other and against what they expect."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from skdiff.base.errors import CannotRun
from skdiff.base.paths import command, shell_path
from skdiff.base.words import counted
from skdiff.cases.case_file import Case, load
from skdiff.cases.case_file import told as told_path
from skdiff.cases.event_text import event_text
from skdiff.cases.expectations import MODEL, unmet
from skdiff.cases.fields import LOOKUPS
from skdiff.cases.find_cases import STDIN
from skdiff.cases.overlooked import missed_events, overlooked
from skdiff.cases.validity import not_on
from skdiff.comparison import known_differences
from skdiff.comparison.compare import Mismatch, compare
from skdiff.comparison.mismatch_text import names_of, render
from skdiff.findings.explain import explanation
from skdiff.findings.triage import cause
from skdiff.kernel.build import Build
from skdiff.kernel.summary import BuiltKernelSummary
from skdiff.oracles.guarded import Guarded
from skdiff.oracles.interface import Oracle
from skdiff.oracles.model import Model
from skdiff.variants.requirements import unmet_needs

AGREED, NOT_RUN = "agreed", "not run"
GOOD = (AGREED, "known", "absent")
WORDS = (*GOOD, "mismatch", "unexpected", "gone", "unreadable", NOT_RUN)


class Replayed(msgspec.Struct):
    """A case: one of WORDS ("absent": this kernel has no such lookup in this configuration; "not run": another one was
    wrong before), why, and what it needs that the kernel is not: then nobody looked at what it expects; `unreachable`
    says why this kernel cannot reach it, `said_by` who said what it expects, if it `expects` anything of this kernel,
    `missed` which events (from 1 on) did not come about.
    """

    file: str
    verdict: str
    why: list[str]
    needs: list[str] = []
    unreachable: list[str] = []
    said_by: str = msgspec.field(default="", name="from")
    expects: bool = False
    missed: list[int] = []


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
        return [case for case in self.cases if case.verdict not in (*GOOD, NOT_RUN)]


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


class Report(Protocol):
    """Who is told of a replay: see replay_reports.py."""

    def begin(self, count: int) -> None:
        """Before the first of so many cases."""
        ...

    def case(self, result: Replayed, lines: Sequence[str]) -> None:
        """A case is done; `lines` are for people. Those of a case that could not be read were said before."""
        ...

    def end(self, summary: ReplaySummary) -> None:
        """After the last case."""
        ...


@dataclass(frozen=True)
class _Replay:
    """The oracles of a replay, and what its lines say of the kernel; `listed` are known differences by their files."""

    oracle: Guarded
    model: Model
    kernel: str
    traced: Callable[[], Build]
    listed: Mapping[Path, known_differences.Known]

    def one(self, path: Path) -> tuple[Replayed, list[str]]:
        """What becomes of the case of a file, and what is to be said about it. Raises CannotRun for no case."""
        case, build = load(path), self.oracle.build
        lookup = LOOKUPS[case.scenario.lookup]
        if lookup not in build.lookups:
            why = [f"{lookup} is not looked at: this kernel has it not in this configuration"]
            return Replayed(str(path), "absent", why), []
        word, why, mismatch = verdict(case, self.oracle, self.model)
        if path.resolve() in self.listed:
            word, why, mismatch = _still_known(self.listed[path.resolve()], case, self.traced, self.model)
        place = told_path(path) if path == STDIN else shell_path(path)
        # Nobody has to be told that of what was drawn.
        told = overlooked(case.scenario, case.socks) if case.said_by != MODEL else ()
        lines = [f"{place}: {line}" for line in told]
        needs = unmet_needs(case.needs, build.rules, build.config)
        elsewhere = [] if case.scenario.hostile else not_on(case.scenario, build.rules, build.config)
        said = case.said_by if case.expect and not needs else ""
        expects = bool(case.expect) and not needs
        missed = missed_events(case.scenario, self.model.run(case.scenario)) if case.scenario.events else []
        # A case that says so itself need not be told, unless it is wrong.
        if case.said_by != MODEL and ("fired" not in case.expect or word != AGREED):
            names = names_of(case)
            lines += [
                f"{place}: event {i} does not come about: {event_text(case.scenario.events[i - 1], *names)}."
                for i in missed
            ]
        result = Replayed(str(path), word, why, list(needs), list(elsewhere), said, expects, missed)
        if mismatch is not None:
            again = f"{command()} replay --kernel {self.kernel} {shell_path(path)}"
            rules, config = build.rules, build.config
            text = render(mismatch, case, build.label, build.closure, again, rules=rules, config=config)
            lines.append(f"{place}:\n{text}")
        if again := case.again(place):
            lines.append(f"{place} is a difference between two kernels; {again}")
        return result, lines + [f"{place}: {line}" for line in (why if word in ("unexpected", "gone") else ())]


def replay(
    paths: Sequence[Path],
    reference: Build,
    kernel: str,
    report: Report,
    say: Callable[[str], None],
    traced: Callable[[], Build],
    first: bool = False,
) -> ReplaySummary:
    """Replay cases of files, and report each; the summary of it. An unreadable file does not stop the others, `first`
    does it with the first that differs or is not as expected.
    """
    results: list[Replayed] = []
    listed = {e.case.resolve(): e for e in known_differences.load() if e.covers(reference.tree.version)}
    report.begin(len(paths))
    stopped_by = ""
    with Guarded(reference) as oracle:
        these = _Replay(oracle, Model(reference.rules, reference.config), kernel, traced, listed)
        for path in paths:
            lines: list[str] = []
            if stopped_by:
                result = Replayed(str(path), NOT_RUN, [f"--first stopped at {stopped_by}"])
            else:
                try:
                    result, lines = these.one(path)
                except CannotRun as error:
                    say(f"skdiff: {error}")
                    result = Replayed(str(path), "unreadable", [str(error)])
            if first and result.verdict in ("mismatch", "unexpected", "gone"):
                stopped_by = result.file
            results.append(result)
            report.case(result, lines)
    said_by = Counter(r.said_by for r in results if r.said_by)
    expected = sum(r.expects for r in results)
    summary = ReplaySummary(kernel=reference.told(), cases=results, expectations={"all": expected, **said_by})
    report.end(summary)
    return summary


def summary_line(summary: ReplaySummary) -> str:
    """The end of a replay, for people."""
    results = summary.cases
    counts = {w: sum(r.verdict == w for r in results) for w in WORDS}
    unchecked = sum(bool(r.needs) for r in results)
    unreachable = sum(bool(r.unreachable) for r in results)
    missed = sum(bool(r.missed) for r in results)
    said_by = Counter(r.said_by for r in results if r.said_by)
    outside, expected = said_by.total() - said_by[MODEL], summary.expectations.get("all", 0)
    return (
        f"Linux {summary.kernel.label}: {counted(len(results), 'case')}, "
        + ", ".join(f"{n:,} {w}" for w, n in counts.items() if n or w == AGREED)
        + (f"; {unchecked} expect what another kernel does" if unchecked else "")
        + (f"; {unreachable} can be reached on another kernel only" if unreachable else "")
        + (f"; in {missed:,} some event does not come about" if missed else "")
        + (f"; {outside:,} of {expected:,} expectations come from outside the model" if expected else "")
    )
