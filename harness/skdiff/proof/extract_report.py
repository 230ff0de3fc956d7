"""What `skdiff extract` shows: definitions taken, stand-ins with reasons, how much of what runs is the kernel's."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from skdiff.kernel.build import Build
from skdiff.proof.kernel_coverage import count_runs

CASES = 20_000
# Functions of the driver that stand-ins call while a lookup runs; the rest of it builds and reads the case.
_DRIVER_AT_WORK = ("reference_", "run_")
_NOT_AT_WORK = ("reference_lookup", "reference_race")  # the latter is another CPU


def report(build: Build, coverage: Build) -> dict[str, Any]:
    """The report as data; `coverage` is the same tree built to count the lines that run."""
    return {
        "kernel": build.data(),
        "build": str(build.folder),
        "definitions": [asdict(line) for line in build.kernel],
        "stand_ins": [asdict(line) for line in build.stand_ins],
        "executed": executed(coverage),
    }


def executed(build: Build) -> dict[str, Any]:
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
    return {
        "cases": CASES,
        "kernel_lines": lines_kernel,
        "other_lines": lines_other,
        "share_of_lines": lines_kernel / max(1, lines_kernel + lines_other),
        "share_of_runs": runs_kernel / max(1, runs_kernel + runs_other),
        "other_by_file": by_file,
    }


def line_counts(build: Build, cases: int) -> list[tuple[str, int, int, str]]:
    """(file, line, times run, function) of each line of the closure after `cases` random cases, as gcov counts them.

    Raises CannotRun if gcov is not there or does not understand the compiler's notes.
    """
    return [
        (file["file"], line["line_number"], line["count"], line.get("function_name", ""))
        for file in count_runs(build, "random", str(cases))["files"]
        for line in file["lines"]
    ]


def show(console: Console, report: Mapping[str, Any]) -> None:
    """Print the report."""
    kernel = report["kernel"]
    for title, key, last in (("kernel text", "definitions", "sha256"), ("stand-in", "stand_ins", "reason")):
        table = Table(box=None, pad_edge=False)
        for heading in (title, "kind", "where", last):
            table.add_column(heading, overflow="fold")
        for line in report[key]:
            where = f"{line['file']}:{line['line']}-{line['end_line']}"
            table.add_row(line["name"], line["kind"], where, line[last][:16] if last == "sha256" else line[last])
        console.print(table)
        console.print()
    files = {line["file"] for line in report["definitions"]}
    lines = sum(line["end_line"] - line["line"] + 1 for line in report["definitions"])
    run = report["executed"]
    console.print(
        f"Linux {kernel['version']} ({kernel['origin']}): {len(report['definitions'])} definitions, {lines} lines of"
        f" {len(files)} files; {len(report['stand_ins'])} stand-ins; closure {kernel['closure']}"
    )
    console.print(
        f"of the lines of C that ran in {run['cases']} random lookups, {100 * run['share_of_lines']:.1f} % are the"
        f" kernel's ({run['kernel_lines']} of {run['kernel_lines'] + run['other_lines']}),"
        f" and {100 * run['share_of_runs']:.1f} % of all runs of lines; the rest: "
        + ", ".join(f"{count} in {file}" for file, count in sorted(run["other_by_file"].items()))
    )
    console.print(f"generated C: {report['build']}/closure.c", soft_wrap=True)
