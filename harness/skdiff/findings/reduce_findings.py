"""The findings of a run and cases of files, made small in their files."""

import contextlib
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from skdiff.base.errors import CannotRun
from skdiff.base.files import write_whole
from skdiff.base.paths import command, shell_path
from skdiff.base.signals import interrupts_noted
from skdiff.base.summary import Summary
from skdiff.campaign.finding_files import SAID, report_of
from skdiff.campaign.messages import Finding
from skdiff.cases.case_file import Case, dump, load
from skdiff.cases.fields import LOOKUPS
from skdiff.cases.scenario import Scenario
from skdiff.comparison.causes import CauseOf, causes_of
from skdiff.comparison.compare import Mismatch, compare
from skdiff.comparison.interface import Judge
from skdiff.comparison.mismatch_text import render
from skdiff.comparison.referee import closure_of, judge_of, label_of, models_of
from skdiff.findings.reduce import LIMIT, LIMIT_OF_ALL, Reduction, never_stopped, reduce
from skdiff.kernel.build import Build
from skdiff.oracles.guarded import Guarded
from skdiff.oracles.interface import Oracle
from skdiff.oracles.model import Model
from skdiff.variants.abilities import lacking

# --- findings --------------------------------------------------------------------------------------------------------


class ReduceSummary(Summary, kw_only=True):
    """A case of a file made small, and written to another: its sockets before and after; how many scenarios were tried,
    and how many of them were kept, in how many seconds; and whether reduction came to its end.
    """

    file: str
    before: int
    after: int
    signature: str
    tried: int
    kept: int
    seconds: float
    finished: bool


def reduced(
    case: Case,
    oracles: Sequence[Oracle],
    limit_seconds: float = LIMIT,
    stopped: Callable[[], bool] = never_stopped,
    judge: Judge | None = None,
    lookups: Sequence[str] = (),
    cause_of: CauseOf | None = None,
) -> tuple[Case, Mismatch, Reduction] | None:
    """The case made small, the mismatch that it shows, and how that went; None if the oracles agree about it, or if the
    judge says so. It stays one of these lookups (() for any), and of the same cause, if `cause_of` tells causes: a
    smaller case may show the same difference for another reason.
    """
    names = [oracle.name for oracle in oracles]

    def shown(scenario: Scenario) -> Mismatch | None:
        outcomes = [oracle.run(scenario) for oracle in oracles]
        return judge(scenario, outcomes) if judge else compare(names, outcomes)

    def differs(scenario: Scenario) -> bool:
        if lookups and LOOKUPS[scenario.lookup] not in lookups:
            return False
        now = shown(scenario)
        if now is None or now.signature != seen[0].signature:
            return False
        if cause_of is not None and cause_of(scenario, now) != cause:
            return False
        seen.append(now)
        return True

    first = shown(case.scenario)
    if first is None:
        return None
    seen = [first]
    cause = cause_of(case.scenario, first) if cause_of is not None else ""
    lacks = lacking(oracle.rules for oracle in oracles if isinstance(oracle, Model))
    reduction = reduce(case.scenario, differs, limit_seconds, stopped, lacks)
    before, after = len(case.scenario.socks), len(reduction.scenario.socks)
    told = f"{before} to {after} socket{'s' * (after != 1)} in {reduction.tried} steps"
    told += "" if reduction.finished else ", stopped early"
    last = seen[-1]
    found = {"signature": last.signature, "oracles": list(last.names), **case.found}
    found |= {"fields": list(last.fields), "reduced": told}
    return Case(reduction.scenario, case.why, found), last, reduction


def report(path: Path, case: Case, mismatch: Mismatch, builds: Sequence[Build], again: str) -> str:
    """The report of a case in a file; `again` is the command that shows it again."""
    return render(mismatch, case, label_of(builds), closure_of(builds), f"{command()} {again} {shell_path(path)}")


def reduce_findings(
    findings: Sequence[Finding],
    make: Callable[[], Sequence[Build]],
    again: str,
    say: Callable[[str], None],
    lookups: Sequence[str] = (),
    traced: Callable[[], Sequence[Build]] | None = None,
    count: Callable[[int, int], None] = lambda done, among: None,
) -> None:
    """Reduce the findings of a run of these lookups (() for any) in their files, and merge those that become the same.
    What cannot be reduced, or not in time, stays as it is; so does what is left at Ctrl-C. Never raises CannotRun.
    With `traced` builds, which tell causes, each case keeps its own, and of each finding one of a cause is kept;
    `count` is told how many are done, of all.

    The findings get `reduced`, and `merged`, the number of their files that have gone.
    """
    deadline = time.monotonic() + LIMIT_OF_ALL
    kept: dict[tuple[str, Scenario], str] = {}
    with interrupts_noted() as stopped, ExitStack() as stack:
        try:
            builds = make()
            oracles: list[Oracle] = [*(stack.enter_context(Guarded(build)) for build in builds), *models_of(builds)]
        except (CannotRun, OSError) as error:
            say(f"not reduced: {error}")
            return
        judge = judge_of(builds)
        cause_of: CauseOf | None = None
        with contextlib.suppress(CannotRun, OSError):  # who sorts them by cause says why
            kernels = [stack.enter_context(Guarded(build)) for build in traced()] if traced else []
            cause_of = causes_of(kernels) if kernels else None
        if cause_of is not None:
            for finding in findings:
                _thin_out(finding, oracles, judge, cause_of)
        todo = [(finding, finding.file) for finding in findings]
        todo += [(finding, other) for finding in findings for other in finding.others]
        for number, (finding, file) in enumerate(todo):
            count(number, len(todo))
            path, left = Path(file), deadline - time.monotonic()
            if left <= 0 or stopped():
                say(f"{len(todo) - number} of {len(todo)} findings are left as they were found")
                return
            try:
                done = reduced(load(path), oracles, min(LIMIT, left), stopped, judge, lookups, cause_of)
                if done is None or done[1].signature != finding.signature:
                    say(f"{file}: does not show its difference again, left as it was found")
                elif (first := kept.setdefault((finding.signature, done[0].scenario), file)) != file:  # of its others
                    _merge(finding, file, first)
                else:
                    _, _, said = report_of(path).read_text().partition(SAID)
                    text = report(path, done[0], done[1], builds, again)
                    write_whole(path, dump(done[0]))
                    write_whole(report_of(path), text + SAID * bool(said) + said)
                    finding.reduced = finding.reduced or str(done[0].found["reduced"])
            except (CannotRun, OSError) as error:
                say(f"{file}: not reduced: {error}")


def _merge(finding: Finding, other: str, into: str = "") -> None:
    """Remove one of the other cases of a finding, which shows what its first case does, or the one `into`."""
    path = Path(other)
    path.unlink(missing_ok=True)
    report_of(path).unlink(missing_ok=True)
    finding.others.remove(other)
    finding.merged += 1
    count = finding.counts.pop(other, 0)
    if into in finding.others:
        finding.counts[into] = finding.counts.get(into, 0) + count


def _thin_out(finding: Finding, oracles: Sequence[Oracle], judge: Judge, cause_of: CauseOf) -> None:
    """Leave one case of each cause among the cases of a finding; one that does not show its difference stays."""
    seen: dict[str, str] = {}
    for file in (finding.file, *finding.others):
        try:
            scenario = load(Path(file)).scenario
            mismatch = judge(scenario, [oracle.run(scenario) for oracle in oracles])
        except (CannotRun, OSError):
            continue  # its turn comes, and then it is told
        if mismatch is None or mismatch.signature != finding.signature:
            continue
        first = seen.setdefault(cause_of(scenario, mismatch), file)
        if first != file:
            _merge(finding, file, first)
