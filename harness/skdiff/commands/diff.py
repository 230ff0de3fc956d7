"""skdiff diff."""

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path

from skdiff.base.errors import CannotRun
from skdiff.cases import find_cases
from skdiff.cases.case_file import Case, load
from skdiff.cases.find_cases import NAMING
from skdiff.commands import arguments as common
from skdiff.commands.extent import add_extent, extent_of
from skdiff.commands.finding_reports import show_reports
from skdiff.commands.output import (
    AGREED,
    DIFFERENCE,
    NO_VERDICT,
    console,
    ended,
    errors,
    say,
    say_all,
    show,
    write_json,
)
from skdiff.comparison.referee import SIDES
from skdiff.findings import diff_summary, kernel_difference
from skdiff.kernel import patches, text_changes
from skdiff.oracles.oracle_words import is_oracle
from skdiff.runs import diff_running
from skdiff.runs.diff_run import DiffRequest, PatchedSide, compare_cases, diff, patched_side
from skdiff.runs.supervised import check_writable
from skdiff.runs.table_run import Extent

NAME = "diff"
HELP = "compare two kernels, or two configurations, or a kernel and a patch of it"
DESCRIPTION = (
    "Compare two kernels with each other: on the corpus, then on random cases and mutations of the corpus. The model"
    " with the rules of each kernel is the referee: it says which rules make the difference, or which kernel differs"
    " from its model."
)
EXIT_CODES = "0 no difference; 1 they differ; 2 could not run, or not all of the new text ran"
SECONDS = 20  # of a run, if nothing else is said


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See commands/interface.py."""
    common.add_config(parser)
    common.add_json(parser)
    a_kernel = (
        'a version or the path of a tree, and after it options that only this side has: "6.12 IPV6=n"; or a kernel that'
        " runs: host, vm:7.3, vm:PATH (see fuzz --oracle)"
    )
    parser.add_argument("a", metavar="A", help=a_kernel)
    parser.add_argument("b", metavar="B", nargs="?", help="the same for the other side; not with --patch")
    parser.add_argument(
        "--patch",
        action="append",
        default=[],
        metavar="P",
        help="compare A with A and this patch: a diff, a mail, a mailbox (as b4 am writes it), a folder of patches, or"
        " - for standard input; may be repeated",
    )
    parser.add_argument(
        "paths",
        nargs="*",
        type=common.path,
        default=[],
        metavar="FILE",
        help="compare on these cases instead of searching; the limits, --lookup, --seed and --findings are those of a"
        " search."
        f" {NAMING}",
    )
    common.add_lookup(parser)
    parser.add_argument(
        "--sweep",
        action="store_true",
        help="compare on every small table instead of searching, as `skdiff sweep` does; it goes on where it was"
        " stopped, and no limit or seed is for it",
    )
    add_extent(parser, "with --sweep: ")
    common.add_budget(parser, SECONDS)
    common.add_first(parser)


def run(arguments: argparse.Namespace) -> int:
    """See commands/interface.py."""
    options = common.build_options(arguments)
    if options.epoch:
        raise CannotRun("EPOCH sets the rules of one kernel; diff takes those of both from their texts")
    lookups = common.lookups_of(arguments)
    other, cases = _other_and_cases(arguments)
    if arguments.sweep and (cases or arguments.seconds is not None or arguments.cases or arguments.seed is not None):
        raise CannotRun("--sweep asks every small table: no files, --seconds, --cases or --seed go with it")
    extent = extent_of(arguments)
    if arguments.sweep:
        extent.check()
    elif extent != Extent():
        raise CannotRun("--sockets, --part, --jobs and --state are for --sweep")
    if not cases:
        check_writable(arguments.findings)
    with ExitStack() as stack:
        patch = stack.enter_context(patched_side(_patch_files(arguments))) if arguments.patch else None
        request = DiffRequest(
            arguments.a,
            other,
            options,
            patch,
            seed=arguments.seed,
            cases=arguments.cases,
            seconds=common.seconds_of(arguments, SECONDS),
            findings=arguments.findings,
            lookups=lookups,
            first=arguments.first,
            extent=extent if arguments.sweep else None,
        )
        if other is not None and (is_oracle(arguments.a) or is_oracle(other)):
            if arguments.sweep:
                raise CannotRun(
                    "--sweep is for texts: kernels that run (host, vm:) do not bring every small table about"
                )
            return _compare_running(arguments, request, cases)
        return _compare(arguments, request, cases)


def _other_and_cases(arguments: argparse.Namespace) -> tuple[str | None, list[Case]]:
    """The other side, None for a patch of A, and the cases of files, which are read before anything is built."""
    if not arguments.patch:
        if arguments.b is None:
            raise CannotRun("diff compares A with B, or A with A and a --patch: one of them is missing")
        return arguments.b, [load(path) for path in find_cases.files(arguments.paths)] if arguments.paths else []
    paths: list[Path] = [*([Path(arguments.b)] if arguments.b is not None else []), *arguments.paths]
    try:
        return None, [load(path) for path in find_cases.files(paths)] if paths else []
    except CannotRun as error:
        raise CannotRun(f"{error} (with --patch, A is compared with A and the patch: all behind A is FILE)") from error


def _patch_files(arguments: argparse.Namespace) -> list[Path]:
    """The files of --patch; what comes from standard input is kept with the findings, as printed commands need it."""
    paths = [Path(name) for name in arguments.patch]
    if Path("-") not in paths:
        return paths
    kept: Path = arguments.findings / "patch.mbox"
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(sys.stdin.buffer.read())
    except OSError as error:
        raise CannotRun(f"cannot write {kept}: {error.strerror}") from error
    return [kept if path == Path("-") else path for path in paths]


def _ended(arguments: argparse.Namespace, result: diff_summary.DiffSummary) -> int:
    show_reports([group.findings[0] for group in result.groups if not group.alike])
    diff_summary.show(console, result)
    return ended(arguments, result, result.differs, result.complete)


def _compare(arguments: argparse.Namespace, request: DiffRequest, cases: list[Case]) -> int:
    builds = request.sides(say=say)
    for name, build in zip(SIDES, builds, strict=True):
        show(f"{name}: {kernel_difference.describe_side(build)}")
    if request.patch is not None:
        for file in request.patch.files_not_read(builds):
            show(f"not read by the lookup: {file}")
        if request.patch.changes_nothing(builds):
            return _nothing_to_run(arguments, request.patch)
    if cases:
        say_all(dict.fromkeys(line for build in builds for line in build.unused_stubs))
        return _compare_cases(arguments, request, cases)
    changed = text_changes.changes(builds[0].kernel, builds[1].kernel)
    text_changes.show_changes(console, changed)
    result = diff(request, builds, changed, errors, say)
    return _ended(arguments, result)


def _compare_running(arguments: argparse.Namespace, request: DiffRequest, cases: list[Case]) -> int:
    builds = diff_running.sides_of(request, say)
    for name, oracle, build in zip(SIDES, diff_running.oracles_of(request), builds, strict=True):
        show(f"{name}: {diff_running.describe(oracle, build, say)}")
    if cases:
        compared = diff_running.compare_cases(request, builds, cases, say)
        for _, report in compared:
            console.print(report, markup=False, soft_wrap=True, end="")
        told = diff_summary.CasesSummary(cases=[case for case, _ in compared])
        write_json(arguments, told)
        if told.differs:
            return DIFFERENCE
        return AGREED if any(not case.not_asked for case in told.cases) else NO_VERDICT
    result = diff_running.diff(request, builds, errors, say)
    return _ended(arguments, result)


def _nothing_to_run(arguments: argparse.Namespace, patch: PatchedSide) -> int:
    show("no difference: the patch leaves the text of the lookup as it is, so nothing was run")
    write_json(arguments, diff_summary.UnchangedSummary(patch=patches.label(patch.patches)))
    return AGREED


def _compare_cases(arguments: argparse.Namespace, request: DiffRequest, cases: list[Case]) -> int:
    result = diff_summary.CasesSummary(cases=[])
    for case, report in compare_cases(request, cases, say):
        console.print(report, markup=False, soft_wrap=True, end="")
        result.cases.append(case)
        if request.first and result.differs:
            break
    result.not_run = [str(case.path) for case in cases[len(result.cases) :]]
    for path in result.not_run:
        show(f"{path}: not compared, --first stopped at {result.cases[-1].file}")
    write_json(arguments, result)
    return DIFFERENCE if result.differs else AGREED
