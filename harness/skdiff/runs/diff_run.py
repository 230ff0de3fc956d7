"""A run of one kernel against another, or against itself with a patch; the model of each is the referee."""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from msgspec import structs
from rich.console import Console

from skdiff.base.errors import CannotRun
from skdiff.base.scratch import scratch
from skdiff.campaign.messages import Total
from skdiff.campaign.progress import Counter
from skdiff.campaign.worker import Job, Subject
from skdiff.cases.case_file import Case
from skdiff.comparison.referee import SIDES, Referee, closure_of, lookups_of
from skdiff.engines import TABLES
from skdiff.engines.small_left_out import left_out
from skdiff.findings import kernel_difference, reduce_findings
from skdiff.findings.diff_summary import UNTOLD, ComparedCase, DiffSummary, Group, SmallTables, Worth
from skdiff.kernel import patches as patching
from skdiff.kernel import text_changes
from skdiff.kernel.build import Build
from skdiff.kernel.options import BuildOptions
from skdiff.kernel.source import Tree
from skdiff.oracles.guarded import Guarded
from skdiff.proof import new_text
from skdiff.proof.mutants.mutation_score import scores
from skdiff.runs.supervised import Say, only, random_seed, supervised
from skdiff.runs.table_run import Extent, Sweep, swept


class PatchedSide:
    """A patch series and the copy of A that it is applied to, which is made when A is known, and once."""

    def __init__(self, paths: Sequence[Path], folder: Path) -> None:
        self.patches = patching.series(paths)
        self.words = [f"--patch {shlex.quote(str(path))}" for path in paths]
        self.result: patching.Patched | None = None
        self._folder = folder

    def __call__(self, tree: Tree) -> Tree:
        """The patched copy of a tree."""
        if self.result is None:
            self.result = patching.patched(tree, self.patches, self._folder)
        return self.result.tree

    def files_not_read(self, builds: Sequence[Build]) -> list[str]:
        """The files of the series that the lookup does not read."""
        assert self.result is not None
        read = {line.file for build in builds for line in build.kernel}
        return [file for file in (*self.result.files, *self.result.left_out) if file not in read]

    def changes_nothing(self, builds: tuple[Build, Build]) -> bool:
        """Whether the text of the lookup is the same with the patch. What a stub takes the place of is no part of a
        closure, and a changed one is not "no difference".
        """
        before, after = builds
        return before.closure == after.closure and not text_changes.changes(before.replaced, after.replaced)


@dataclass(frozen=True)
class DiffRequest:
    """What to compare: A, and B or a patch; `cases` and `seconds` say when to stop (0: no bound; `first`: at the
    first difference), `lookups` which are drawn (() for all that both have). With an `extent`, every small table is
    asked instead of a search.
    """

    a: str
    b: str | None
    options: BuildOptions
    patch: PatchedSide | None = None
    seed: int | None = None
    cases: int = 0
    seconds: float = 0
    findings: Path = Path("findings")
    lookups: tuple[str, ...] = ()
    first: bool = False
    extent: Extent | None = None

    def sides(self, variant: str = "", say: Say | None = None) -> tuple[Build, Build]:
        """The builds of both sides."""
        other = self.a if self.patch else self.b
        assert other is not None
        one = self.options.build_side(self.a, variant, say=say)
        return one, self.options.build_side(other, variant, self.patch, say=say)

    @property
    def again(self) -> str:
        """The command that compares the same, without its name. A patch comes first: argparse wants what is no option
        in one piece.
        """
        kernels = [self.a] if self.patch else [self.a, self.b or ""]
        words = [*(self.patch.words if self.patch else ()), *map(shlex.quote, kernels)]
        lookups = [f"--lookup {','.join(self.lookups)}"] if self.lookups else []
        return f"diff {' '.join([*words, *self.options.words(), *lookups])}"

    @property
    def go_on(self) -> str:
        """The command that goes on with a sweep, without its name."""
        assert self.extent is not None
        words = [self.again, "--sweep", *self.extent.words(), f"--findings {shlex.quote(str(self.findings))}"]
        return " ".join([*words, *(["--first"] if self.first else [])])


def job_of(request: DiffRequest, builds: Sequence[Build], subjects: Sequence[Subject], lookups: tuple[str, ...]) -> Job:
    """The search for differences between two kernels, which `subjects` has as its worker is told of them."""
    return Job(
        subjects=tuple(subjects),
        again=request.again,
        variant=builds[0].variant,
        engine="corpus",
        seed=random_seed() if request.seed is None else request.seed,
        cases=request.cases,
        seconds=request.seconds,
        findings=str(request.findings),
        first=request.first,
        lookups=lookups,
    )


@contextmanager
def patched_side(paths: Sequence[Path]) -> Iterator[PatchedSide]:
    """A patch series, and a folder for the patched copy that is gone afterwards."""
    with scratch() as folder:
        yield PatchedSide(paths, folder)


def diff(
    request: DiffRequest,
    builds: tuple[Build, Build],
    changed: Sequence[text_changes.Change],
    errors: Console,
    say: Say,
) -> DiffSummary:
    """Compare on the corpus, then on random cases and mutations of the corpus; or on every small table. `builds`
    are the sides of the request, `changed` is what differs in their text. Raises CannotRun.
    """

    def sides(variant: str = "") -> tuple[Build, Build]:
        return request.sides(variant, say)

    lookups = lookups_of(builds, request.lookups)
    for words in only(lookups):
        say(words)
    job = job_of(request, builds, [Subject.of(build, epoch="text") for build in builds], lookups)
    with _run(request, builds, job, errors, say) as (total, done):
        groups: list[Group] = []
        found = total.mismatches
        if found:
            say("reducing what was found (Ctrl-C to leave it as it is)")
            with Counter(errors, "reduced") as count:
                reduce_findings.reduce_findings(
                    found, sides, request.again, say, lookups, lambda: sides("traced"), count
                )
        before = done.sorted if done is not None else []
        if found or before:
            groups = kernel_difference.group_by_cause(
                [*found, *before], lambda: sides("traced"), request.again, request.findings, say
            )
        if done is not None and done.gone:
            groups.append(Group(unlike=(UNTOLD,), findings=done.gone))
        summary = DiffSummary(
            kernels={side: build.told() for side, build in zip(SIDES, builds, strict=True)},
            text=list(changed),
            seed=job.seed,
            cases=total.cases,
            seconds=round(total.seconds, 3),
            groups=groups,
            differ=any(not group.alike for group in groups),
            unwritten=total.unwritten,
            gave_up=total.gave_up or (done.why_not() if done is not None else ""),
            missing_rules=[rule for rule in builds[1].missing_rules if getattr(builds[0].text_rules, rule)],
            differing=Referee(*builds).differing,
            swept=_swept(done, request.go_on) if done is not None else None,
        )
        if done is not None:
            done.end([finding for group in groups for finding in group.findings])
        agreed = not (summary.differs or summary.gave_up)
        counted = (lambda: sides("coverage")) if agreed else None
        summary.unseen = new_text.unseen_between(builds, changed, counted, job.seed, say, lookups)
    if agreed and request.extent is None:  # it is what the corpus tells apart, which a sweep does not ask
        summary.mutants = _worth(builds, changed, errors, say)
    return summary


@contextmanager
def _run(
    request: DiffRequest, builds: Sequence[Build], job: Job, errors: Console, say: Say
) -> Iterator[tuple[Total, Sweep | None]]:
    """The run of the workers: a search, or a sweep."""
    if request.extent is None:
        with supervised(job, closure_of(builds), errors, say) as (_, total):
            yield total, None
        return
    alone = structs.replace(job, engine=TABLES, cases=0, seconds=0)
    with swept(builds, alone, request.extent, errors, say) as (done, total):
        yield total, done


def _swept(done: Sweep, again: str) -> SmallTables:
    what_no_table_has = tuple(map(str, left_out(done.made)))
    return SmallTables(done.sockets, done.tables, done.cases, done.done, what_no_table_has, done.of, again)


def _worth(builds: Sequence[Build], changed: Sequence[text_changes.Change], errors: Console, say: Say) -> Worth | None:
    """How many mutants of the functions that changed, in both kernels, and of all in the first one, the corpus tells
    apart; None where there are no mutants.
    """
    try:
        of_these, of_all = scores(builds[0], {change.name for change in changed if change.before}, errors, say)
        if after := {change.name for change in changed if change.after}:
            of_these += scores(builds[1], after, errors, say, SIDES[1], all_too=False)[0]
    except CannotRun as error:
        say(f"no mutants: {error}")
        return None
    return Worth(of_these, of_all)


def compare_cases(request: DiffRequest, cases: Sequence[Case], say: Say) -> Iterator[tuple[ComparedCase, str]]:
    """Tell about cases from files, instead of looking for some: each with its report. Raises CannotRun."""
    builds = request.sides("traced", say)
    referee = Referee(*builds)
    with Guarded(builds[0]) as one, Guarded(builds[1]) as other:
        for case in cases:
            path = case.path
            assert path is not None  # they are of files
            found = kernel_difference.difference(case, (one, other), referee)
            if found is None:
                yield ComparedCase(str(path)), f"{path}: no difference\n"
            else:
                yield ComparedCase(str(path), found.name, found.verdict.alike), found.report(request.again, path)
