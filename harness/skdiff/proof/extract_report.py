"""What `skdiff extract` shows: definitions taken, stubs with reasons, how much of what runs is the kernel's."""

import msgspec
from rich.console import Console
from rich.table import Table

from skdiff.kernel.build import Build, Line
from skdiff.kernel.summary import BuiltKernelSummary
from skdiff.proof.kernel_coverage import count_runs

CASES = 20_000
# Functions of the driver that stubs call while a lookup runs; the rest of it builds and reads the case.
_DRIVER_AT_WORK = ("reference_", "run_")
_NOT_AT_WORK = ("reference_lookup", "reference_race")  # the latter is another CPU


class Executed(msgspec.Struct):
    """How many distinct lines of C ran in so many random lookups, the kernel's and others, these by file; and the
    kernel's share of them, and of all runs of lines.
    """

    cases: int
    kernel_lines: int
    other_lines: int
    share_of_lines: float
    share_of_runs: float
    other_by_file: dict[str, int]


class ExtractSummary(BuiltKernelSummary, kw_only=True):
    """What is taken out of a kernel tree: its definitions, the stubs for the rest, the folder of the build, and how
    much of what runs is the kernel's.
    """

    build: str
    definitions: tuple[Line, ...]
    stand_ins: tuple[Line, ...]
    executed: Executed


def report(build: Build, coverage: Build) -> ExtractSummary:
    """The report; `coverage` is the same tree built to count the lines that run."""
    return ExtractSummary(
        kernel=build.told(),
        build=str(build.folder),
        definitions=build.kernel,
        stand_ins=build.stand_ins,
        executed=executed(coverage),
    )


def executed(build: Build) -> Executed:
    """How many lines of C ran during CASES random lookups: distinct ones and runs of lines, the kernel's and not."""
    lines = [(d.file, n) for d in build.kernel if d.lookup for n in range(d.line, d.end_line + 1)]
    kernel, totals = set(lines), {"kernel": [0, 0], "other": [0, 0]}
    by_file: dict[str, int] = {}
    for file, number, count, function in line_counts(build, CASES):
        if not count:
            continue
        driver = file.startswith("csrc/driver/")
        if driver and (not function.startswith(_DRIVER_AT_WORK) or function in _NOT_AT_WORK):
            continue
        ours = file.startswith("csrc/")
        if not ours and (file, number) not in kernel:
            continue
        total = totals["other" if ours else "kernel"]
        total[0] += 1
        total[1] += count
        if ours:
            by_file[file] = by_file.get(file, 0) + 1
    (lines_kernel, runs_kernel), (lines_other, runs_other) = totals["kernel"], totals["other"]
    return Executed(
        cases=CASES,
        kernel_lines=lines_kernel,
        other_lines=lines_other,
        share_of_lines=lines_kernel / max(1, lines_kernel + lines_other),
        share_of_runs=runs_kernel / max(1, runs_kernel + runs_other),
        other_by_file=by_file,
    )


def line_counts(build: Build, cases: int) -> list[tuple[str, int, int, str]]:
    """(file, line, times run, function) of each line of the closure after `cases` random cases, as gcov counts them.

    Raises CannotRun if gcov is not there or does not understand the compiler's notes.
    """
    return [
        (file.file, line.line_number, line.count, line.function_name)
        for file in count_runs(build, "random", str(cases)).files
        for line in file.lines
    ]


def show(console: Console, report: ExtractSummary) -> None:
    """Print the report."""
    for title, rows, last in (("kernel text", report.definitions, "sha256"), ("stub", report.stand_ins, "reason")):
        table = Table(box=None, pad_edge=False)
        for heading in (title, "kind", "where", last):
            table.add_column(heading, overflow="fold")
        for line in rows:
            where = f"{line.file}:{line.line}-{line.end_line}"
            table.add_row(line.name, line.kind, where, line.sha256[:16] if last == "sha256" else line.reason)
        console.print(table)
        console.print()
    files = {line.file for line in report.definitions}
    lines = sum(line.end_line - line.line + 1 for line in report.definitions)
    kernel, run = report.kernel, report.executed
    console.print(
        f"Linux {kernel.version} ({kernel.origin}): {len(report.definitions)} definitions, {lines} lines of"
        f" {len(files)} files; {len(report.stand_ins)} stubs; closure {kernel.closure}"
    )
    console.print(
        f"of the lines of C that ran in {run.cases} random lookups, {100 * run.share_of_lines:.1f} % are the"
        f" kernel's ({run.kernel_lines} of {run.kernel_lines + run.other_lines}),"
        f" and {100 * run.share_of_runs:.1f} % of all runs of lines; the rest: "
        + ", ".join(f"{count} in {file}" for file, count in sorted(run.other_by_file.items()))
    )
    console.print(f"generated C: {report.build}/closure.c", soft_wrap=True)
