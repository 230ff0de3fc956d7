"""A run of two kernels of which one or both run, and are asked (`diff host 7.3`, `diff vm:6.18 vm:7.3`)."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from msgspec import structs
from rich.console import Console

from skdiff.base.errors import CannotRun
from skdiff.base.files import write_whole
from skdiff.campaign.finding_files import report_of
from skdiff.campaign.messages import Finding
from skdiff.campaign.worker import Subject
from skdiff.cases.case_file import Case, dump, load
from skdiff.cases.outcome import ABSENT
from skdiff.cases.scenario import Scenario
from skdiff.comparison.referee import SIDES, Referee, closure_of, lookups_of, models_of
from skdiff.comparison.running_side import OF_THE_OTHER, RunningSide, common, judge_of_sides
from skdiff.findings import kernel_difference
from skdiff.findings.diff_summary import ComparedCase, DiffSummary, Group
from skdiff.findings.explain import Tracing
from skdiff.findings.reduce import LIMIT, LIMIT_OF_ALL, never_stopped
from skdiff.findings.reduce_findings import reduced, report
from skdiff.findings.replay_on_host import question, why_not
from skdiff.kernel.build import Build
from skdiff.kernel.summary import Kernel
from skdiff.oracles.asked import Mended, built_beside, image_beside, prepare, running_label, with_oracle
from skdiff.oracles.guarded import Guarded
from skdiff.oracles.interface import Oracle
from skdiff.oracles.oracle_words import HOST, is_oracle, kernel_beside
from skdiff.oracles.running.classic_host import ClassicHost
from skdiff.oracles.running.host import Host
from skdiff.runs.diff_run import DiffRequest, job_of
from skdiff.runs.supervised import Say, only, supervised

T = TypeVar("T")


def oracles_of(request: DiffRequest) -> tuple[str, str]:
    """The oracle of each side, "" for a text."""
    a, b = (words if is_oracle(words) else "" for words in (request.a, request.b or ""))
    return a, b


def sides_of(request: DiffRequest, say: Say, variant: str = "") -> tuple[Build, Build]:
    """What each side is held to: a kernel that runs, to the rules of its version. Raises CannotRun."""
    prepare(*oracles_of(request))

    def side(words: str) -> Build:
        if is_oracle(words):
            made = built_beside(words, kernel_beside(words), replace(request.options, config=""), say)
            return replace(made, running=running_label(words, made, say))
        return request.options.build_side(words, variant, say=say)

    return side(request.a), side(request.b or "")


def describe(oracle: str, build: Build, say: Say) -> str:
    """A side in a line. Raises CannotRun."""
    if not oracle:
        return kernel_difference.describe_side(build)
    of_guest = "" if oracle == HOST else f"{image_beside(oracle, build, say).origin}: "
    return of_guest + kernel_difference.describe_side(build)


def diff(request: DiffRequest, builds: tuple[Build, Build], errors: Console, say: Say) -> DiffSummary:
    """Compare on the corpus, then on random cases and mutations of the corpus; what cannot be brought about on both
    sides is said, and not counted as a case. Raises CannotRun.
    """
    lookups = lookups_of(builds, request.lookups)
    for words in only(lookups):
        say(words)
    subjects = [
        Subject.of(made, "" if oracle else "text", oracle)
        for made, oracle in zip(builds, oracles_of(request), strict=True)
    ]
    job = job_of(request, builds, subjects, lookups)
    with supervised(job, closure_of(builds), errors, say) as (_, total):
        groups: list[Group] = []
        found = total.mismatches
        if found:
            say("reducing what was found")
            groups = _told(request, builds, found, say)
        for why, times in sorted(total.unrealised.items(), key=lambda item: -item[1]):
            say(f"{times:6} x not asked: {why}")
        return DiffSummary(
            kernels={side: _summary(o, b) for side, o, b in zip(SIDES, oracles_of(request), builds, strict=True)},
            text=[],
            seed=job.seed,
            cases=total.cases - sum(total.unrealised.values()),
            seconds=round(total.seconds, 3),
            groups=groups,
            differ=any(not group.alike for group in groups),
            unwritten=total.unwritten,
            gave_up=total.gave_up,
            differing=Referee(*builds).differing,
        )


def _summary(oracle: str, build: Build) -> Kernel:
    told = build.told()
    if not oracle:
        return told
    origin = f"{oracle}, beside it Linux {told.version}, {told.origin}"
    return structs.replace(told, version=build.running, origin=origin)


def _with_kernels(request: DiffRequest, builds: tuple[Build, Build], say: Say, work: Callable[[list[Tracing]], T]) -> T:
    """What `work` makes of both sides, asked from here. Raises CannotRun."""
    sides = [*zip(oracles_of(request), builds, sides_of(request, say, "traced"), strict=True)]

    def opened(kernels: list[Tracing]) -> T:
        if len(kernels) == len(sides):
            return work(kernels)
        oracle, made, traced = sides[len(kernels)]
        if not oracle:
            with Guarded(traced) as kernel:
                return opened([*kernels, kernel])

        def asked(host: Host) -> T:
            for line in host.told():
                say(f"{oracle}: {line}")
            host.learn_keys()
            return opened([*kernels, RunningSide(host, made, f"{oracle} {made.label}")])

        return with_oracle(oracle, made, asked, say)

    return opened([])


def _running(kernels: Sequence[Tracing]) -> list[RunningSide]:
    return [kernel for kernel in kernels if isinstance(kernel, RunningSide)]


def _told(request: DiffRequest, builds: tuple[Build, Build], found: Sequence[Finding], say: Say) -> list[Group]:
    """The findings, made small and sorted by cause. Never raises CannotRun."""

    def work(kernels: list[Tracing]) -> list[Group]:
        _reduce(request, builds, found, kernels, say)
        return kernel_difference.group_by_cause(
            found, lambda: builds, request.again, request.findings, say, asked=kernels
        )

    try:
        return _with_kernels(request, builds, say, work)
    except CannotRun as error:
        say(f"not sorted by cause: {error}")
        return kernel_difference.grouped(found, {})


def _reduce(
    request: DiffRequest, builds: Sequence[Build], found: Sequence[Finding], kernels: Sequence[Tracing], say: Say
) -> None:
    mend = common(_running(kernels))
    sides: list[Oracle] = [*kernels, *models_of(builds)]
    oracles = [Mended(mend, side) for side in sides]
    judge, deadline = judge_of_sides(builds), time.monotonic() + LIMIT_OF_ALL
    for finding in found:
        path, left = Path(finding.file), max(deadline - time.monotonic(), 0)
        try:
            done = reduced(load(path), oracles, min(LIMIT, left), never_stopped, judge, request.lookups)
            if done is None or done[1].signature != finding.signature:
                say(f"{finding.file}: does not show its difference again, left as it was found")
                continue
            case = Case(mend(done[0].scenario), done[0].why, done[0].found)
            write_whole(path, dump(case))
            write_whole(report_of(path), report(path, case, done[1], builds, request.again))
            finding.reduced = str(case.found["reduced"])
        except (CannotRun, OSError) as error:
            say(f"{finding.file}: not reduced: {error}")


def compare_cases(
    request: DiffRequest, builds: tuple[Build, Build], cases: Sequence[Case], say: Say
) -> list[tuple[ComparedCase, str]]:
    """Tell about cases from files, instead of looking for some: each with its report. Raises CannotRun."""

    def work(kernels: list[Tracing]) -> list[tuple[ComparedCase, str]]:
        mend, referee = common(_running(kernels)), Referee(*builds)
        return [_compared(request, case, kernels, mend, referee) for case in cases]

    return _with_kernels(request, builds, say, work)


def _compared(
    request: DiffRequest,
    case: Case,
    kernels: Sequence[Tracing],
    mend: Callable[[Scenario], Scenario],
    referee: Referee,
) -> tuple[ComparedCase, str]:
    by_bpf = not any(isinstance(kernel.host, ClassicHost) for kernel in _running(kernels))
    path, asked = case.path, question(case.scenario, by_bpf)
    assert path is not None  # they are of files
    common_case = mend(asked)
    reason = why_not(asked, common_case, by_bpf)
    if not reason and any(kernel.run(common_case).ended == ABSENT for kernel in _running(kernels)):
        reason = next((why for kernel in _running(kernels) for why in kernel.refused), OF_THE_OTHER)
    if reason:
        return ComparedCase(str(path), not_asked=reason), f"{path}: not asked: {reason}\n"
    found = kernel_difference.difference(replace(case, scenario=common_case), kernels, referee)
    if found is None:
        return ComparedCase(str(path)), f"{path}: no difference\n"
    told = ComparedCase(str(path), found.name, found.verdict.alike)
    return told, found.report(request.again, path)
