"""Coverage of the kernel's text: which lines and branches of a lookup the corpus reaches, and which nobody can.

gcov counts, in a build of its own without optimisation; a branch is one way out of a condition, each operand of `&&`
and `||` has two. Functions that the driver calls too (the hash functions) count its calls as well.
"""

import gzip
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
from rich.console import Console
from rich.table import Table

from skdiff.base.compiler import is_clang
from skdiff.base.errors import CannotRun
from skdiff.base.files import from_json, read_toml, to_json
from skdiff.base.paths import CORPUS
from skdiff.base.scratch import scratch
from skdiff.cases.scenario import Scenario
from skdiff.kernel.build import Build
from skdiff.kernel.summary import KernelSummary
from skdiff.proof.mutants.common import LISTED, Kind, check_listed, check_needs, holds_for
from skdiff.variants.config import Config

UNREACHED = CORPUS / "unreached.toml"
NUMBERED_BY = "gcc 12"  # the branches of that list


@dataclass(frozen=True)
class Spot:
    """A line, or one branch of it, of the kernel's text; `runs` says how often it was taken. `line` is 1-based, `text`
    that line without the blanks around it, `branch` counts those of a line from 0 (-1 for the line itself), `nth` the
    lines of a function that read the same, `lookups` are those that come to the function.
    """

    file: str
    function: str
    line: int
    text: str
    branch: int
    nth: int
    runs: int
    lookups: tuple[str, ...] = ()

    def __str__(self) -> str:
        what = "line" if self.branch < 0 else f"branch {self.branch}"
        return f"{self.id} {self.file}:{self.line}: {self.function}: {what} of: {self.text}"

    @cached_property
    def id(self) -> str:
        """12 hex digits that name it as long as its line reads as it does, wherever that line is."""
        what = "\0".join((self.function, self.text, str(self.branch), str(self.nth)))
        return sha256(what.encode()).hexdigest()[:12]


class Branch(msgspec.Struct):
    """A branch of a line, as gcov's JSON has it."""

    count: int


class CountedLine(msgspec.Struct):
    """A line, as gcov's JSON has it: the counts of a function that was made several times are in several of these."""

    line_number: int
    count: int
    branches: list[Branch] = []
    function_name: str = ""


class CountedFile(msgspec.Struct):
    """A file, as gcov's JSON has it."""

    file: str
    lines: list[CountedLine]


class Counted(msgspec.Struct):
    """What gcov says: its files, and all of its JSON."""

    files: list[CountedFile]
    text: str = ""


def count_runs(build: Build, *what: str) -> Counted:
    """What gcov says after a run of case files or folders; of "random" and a number of cases; or of "both", the corpus
    and a number of cases of a seed, which is the third word, all as cases of the lookups in a fourth one, if there is.

    Raises CannotRun if gcov is not there or does not understand the compiler's notes.
    """
    gcov = ["llvm-cov", "gcov"] if is_clang(build.compiler) else ["gcov"]
    if shutil.which(gcov[0]) is None:
        raise CannotRun(f"no {gcov[0]}: install it with {build.compiler} to count lines")
    with scratch() as folder:
        shutil.copy(build.folder / "closure.gcno", folder)
        environment = {**os.environ, "GCOV_PREFIX": str(folder), "GCOV_PREFIX_STRIP": "99"}
        command = [sys.executable, "-m", "skdiff.proof.kernel_coverage", str(build.folder), *what]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CannotRun(f"the run that counts lines failed: {done.stderr.strip().splitlines()[-1:]}")
        arguments = ["--json-format", "--branch-probabilities", "--branch-counts", "--stdout", "closure.gcda"]
        found = subprocess.run([*gcov, *arguments], cwd=folder, capture_output=True, text=True, check=False)
        try:
            text = found.stdout.splitlines()[0]
            return msgspec.structs.replace(from_json(text, Counted), text=text)
        except (ValueError, IndexError) as error:
            raise CannotRun(f"{gcov[0]} gave no line counts: {found.stderr.strip()[:200]}") from error


def spots(build: Build, told: Counted) -> list[Spot]:
    """Lines and branches of the kernel's functions that a lookup can reach, in the order of the closure."""
    by_file = {file.file: file.lines for file in told.files}
    found: list[Spot] = []
    for d in build.kernel:
        if not d.lookup or d.kind != "function":
            continue
        texts = (build.tree.path / d.file).read_text(errors="replace").splitlines()
        seen: Counter[str] = Counter()
        merged: dict[int, tuple[int, list[int]]] = {}
        for line in by_file.get(d.file, ()):
            if d.line <= line.line_number <= d.end_line:
                runs, branches = merged.get(line.line_number, (0, []))
                branches += [branch.count for branch in line.branches]
                merged[line.line_number] = runs + line.count, branches
        for number, (runs, branches) in sorted(merged.items()):
            text = texts[number - 1].strip()
            found.append(Spot(d.file, d.function, number, text, -1, seen[text], runs, d.lookups))
            found += [
                Spot(d.file, d.function, number, text, i, seen[text], n, d.lookups) for i, n in enumerate(branches)
            ]
            seen[text] += 1
    return found


class _Unreached(msgspec.Struct, forbid_unknown_fields=True):
    function: str
    ids: list[str]
    kind: Kind
    why: str
    kernels: tuple[str, ...] = LISTED
    needs: str = ""
    config: Literal["", "minimal"] = ""

    def __post_init__(self) -> None:
        check_listed(self.kernels)
        check_needs(self.kind, self.needs)


class _List(msgspec.Struct, forbid_unknown_fields=True):
    unreached: list[_Unreached]


def judged_unreachable(
    version: str,
    path: Path = UNREACHED,
    config: Config = Config(),  # noqa: B008  # it is frozen
) -> dict[str, str]:
    """The ids of what no scenario can reach in a kernel of this version, each with the reason: what is listed for its
    series, and all that is listed where nobody has looked at it; what is listed for everything off too, unless the
    configuration is the default one. Raises BadFile for a list that cannot be read.
    """
    found = read_toml(path, _List, "a list of what is unreached").unreached
    return {
        id_: entry.why
        for entry in found
        if holds_for(entry.kernels, entry.config, version, config)
        for id_ in entry.ids
    }


def note_on_compiler(compiler: str) -> str:
    """What is to be said where another compiler has numbered the branches of the list, "" for nothing."""
    done = subprocess.run([compiler, "-dumpversion"], capture_output=True, text=True, check=False)
    version = "clang" if is_clang(compiler) else f"gcc {done.stdout.strip().partition('.')[0]}"
    if version == NUMBERED_BY:
        return ""
    return f"note: {UNREACHED.name} has the branches as {NUMBERED_BY} numbers them, this is {version}"


class Row(msgspec.Struct):
    """A function's [reached, in all] lines and branches; `excused` are those with a reason, `missing` those without;
    `lookups` are those that come to it.
    """

    function: str
    file: str
    lines: tuple[int, int]
    branches: tuple[int, int]
    excused: int
    missing: int
    lookups: tuple[str, ...] = ()


class Reached(KernelSummary, kw_only=True):
    """What cases reached, by function; a line for each line or branch that is missing without a reason, for each that
    was reached though there is a reason, and the ids of reasons for what is no longer there.
    """

    functions: list[Row]
    missing: list[str]
    reached_after_all: list[str]
    gone: list[str]
    good: bool


class TextLine(NamedTuple):
    """A line of the kernel's text: its number, how often it ran (None: nothing to run), its branches that were taken
    and all of them, and why it cannot be reached ("" if it can).
    """

    number: int
    text: str
    runs: int | None
    taken: int
    branches: int
    why: str


class Listing(msgspec.Struct):
    """The text of a function."""

    function: str
    file: str
    lines: list[TextLine]


def summary(found: Sequence[Spot], reasons: Mapping[str, str], listed: bool = True) -> Reached:
    """Lines and branches by function, and what is missing without a reason; `good` if nothing is, and no reason is
    given for what was reached. `listed` says that the reasons are meant for this kernel: else they need not fit it.
    """
    rows = []
    for function in dict.fromkeys(spot.function for spot in found):
        own = [spot for spot in found if spot.function == function]
        lines, branches = [s for s in own if s.branch < 0], [s for s in own if s.branch >= 0]
        rows.append(
            Row(
                function=function,
                file=own[0].file,
                lines=(sum(s.runs > 0 for s in lines), len(lines)),
                branches=(sum(s.runs > 0 for s in branches), len(branches)),
                excused=sum(not s.runs and s.id in reasons for s in own),
                missing=sum(not s.runs and s.id not in reasons for s in own),
                lookups=own[0].lookups,
            )
        )
    missing = [str(spot) for spot in found if not spot.runs and spot.id not in reasons]
    wrong = [str(spot) for spot in found if spot.runs and spot.id in reasons and listed]
    gone = sorted(set(reasons) - {spot.id for spot in found}) if listed else []
    good = not missing and not wrong
    return Reached(functions=rows, missing=missing, reached_after_all=wrong, gone=gone, good=good)


def totals(rows: Iterable[Row]) -> Row:
    """The sums of rows, as a row."""
    rows = list(rows)
    lines, branches = (
        (sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs))
        for pairs in ([row.lines for row in rows], [row.branches for row in rows])
    )
    return Row("all", "", lines, branches, sum(row.excused for row in rows), sum(row.missing for row in rows))


def totals_by_lookup(rows: Sequence[Row]) -> dict[str, Row]:
    """The sums of each lookup's rows. A function that several lookups come to is in the sums of each."""
    names = sorted({name for row in rows for name in row.lookups})
    return {name: totals(row for row in rows if name in row.lookups) for name in names}


def listing(build: Build, found: Sequence[Spot], reasons: Mapping[str, str]) -> list[Listing]:
    """The kernel's text with its counts: each function that a lookup can reach."""
    by_function: dict[tuple[str, str], dict[int, list[Spot]]] = {}
    for spot in found:
        by_function.setdefault((spot.file, spot.function), {}).setdefault(spot.line, []).append(spot)
    listed = []
    for d in build.kernel:
        spots_of = by_function.get((d.file, d.function))
        if spots_of is None or d.kind != "function":
            continue
        texts = (build.tree.path / d.file).read_text(errors="replace").splitlines()
        lines: list[TextLine] = []
        for number in range(d.line, d.end_line + 1):
            here = spots_of.get(number, [])
            runs = sum(s.runs for s in here if s.branch < 0) if here else None
            branches = [s for s in here if s.branch >= 0]
            why = next((reasons[s.id] for s in here if not s.runs and s.id in reasons), "")
            taken = sum(s.runs > 0 for s in branches)
            lines.append(TextLine(number, texts[number - 1].expandtabs(8), runs, taken, len(branches), why))
        listed.append(Listing(d.function, d.file, lines))
    return listed


def show(console: Console, result: Reached, what: str) -> None:
    """Print the table by function and what is missing."""
    table = Table(box=None, header_style="bold")
    table.add_column(what, no_wrap=True, min_width=30)
    for head in ("lines", "branches", "cannot be reached", "missing"):
        table.add_column(head, justify="right")
    for row in (*result.functions, totals(result.functions)):
        shares = [f"{reached} of {whole}" if whole else "" for reached, whole in (row.lines, row.branches)]
        table.add_row(row.function, *shares, str(row.excused or ""), str(row.missing or ""))
    console.print(table)
    for name, row in totals_by_lookup(result.functions).items():
        shares = [f"{reached:,} of {whole:,}" for reached, whole in (row.lines, row.branches)]
        left = f"{row.excused} cannot be reached, {row.missing} missing"
        console.print(f"{name}: {shares[0]} lines, {shares[1]} branches; {left}", markup=False, soft_wrap=True)
    for line in result.missing:
        console.print(f"not reached: {line}", markup=False, soft_wrap=True)
    for line in result.reached_after_all:
        console.print(f"listed as out of reach, but reached: {line}", markup=False, soft_wrap=True)
    for line in result.gone:
        console.print(f"listed as out of reach, but no longer there: {line}", markup=False, soft_wrap=True)


def write_html(build: Build, counted: Counted, folder: Path) -> Path:
    """The kernel's files with their counts as HTML pages, by gcovr; returns the first page. Raises CannotRun."""
    if shutil.which("gcovr", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}") is None:
        raise CannotRun("no gcovr: install it (pip install gcovr) for the HTML pages")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    told = from_json(counted.text, dict[str, Any])
    kernel = [file for file in told["files"] if (build.tree.path / file["file"]).exists()]
    for line in (line for file in kernel for line in file["lines"]):  # gcov of gcc 14 says more, and gcovr wants it
        line.setdefault("block_ids", [])
        for i, branch in enumerate(line["branches"]):
            branch.setdefault("source_block_id", 0)
            branch.setdefault("destination_block_id", i)
    told = {**told, "files": kernel, "current_working_directory": str(build.tree.path), "format_version": "2"}
    with gzip.open(folder / "closure.gcov.json.gz", "wt") as file:
        file.write(to_json(told))
    page = folder / "index.html"
    command = [
        sys.executable,
        "-m",
        "gcovr",
        "--use-gcov-files",
        "--root",
        str(build.tree.path),
        "--html-details",
        str(page),
    ]
    title = f"Linux {build.tree.version}: the lookup of sockets"
    done = subprocess.run(
        [*command, "--html-title", title, str(folder)], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode or not page.exists():
        raise CannotRun(f"gcovr failed: {done.stderr.strip().splitlines()[-1:]}")
    return page


def main() -> None:
    """The process that is counted: the cases, and a normal exit that writes the counts."""
    from skdiff.cases.case_file import load
    from skdiff.cases.fields import LOOKUPS
    from skdiff.cases.find_cases import files
    from skdiff.cases.other_lookup import fitting
    from skdiff.engines.corpus_engine import candidates
    from skdiff.findings.keep_cases import drawn
    from skdiff.oracles.reference import Reference

    folder, first, *rest = sys.argv[1:]
    reference = Reference.of(Path(folder))
    cases: Iterable[Scenario]
    if first == "random":
        cases = drawn(int(rest[0]), 0)
    elif first == "both":
        corpus = [load(path).scenario for path in files([])]
        cases = chain(corpus, islice(candidates(corpus, int(rest[1])), int(rest[0])))
        only = [number for number, name in LOOKUPS.items() if name in rest[2].split(",")] if rest[2:] else []
        cases = (fitting(scenario, only) for scenario in cases) if only else cases
    else:
        cases = (load(path).scenario for path in files([Path(first), *map(Path, rest)]))
    for scenario in cases:
        if first == "random":
            reference.run(fitting(scenario, reference.lookups))
        elif scenario.lookup in reference.lookups:
            reference.run(scenario)


if __name__ == "__main__":
    main()
