"""Coverage of the kernel's text: which lines and branches of a lookup the corpus reaches, and which nobody can.

gcov counts, in a build of its own without optimisation; a branch is one way out of a condition, each operand of `&&`
and `||` has two. Functions that the driver calls too (the hash functions) count its calls as well.
"""

import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from itertools import chain, islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from skdiff.base.errors import CannotRun
from skdiff.base.paths import CORPUS
from skdiff.cases.scenario import Scenario
from skdiff.kernel.build import Build
from skdiff.kernel.compilation import is_clang
from skdiff.proof.mutants.common import LISTED, check_keys, kernels_of, series

UNREACHED = CORPUS / "unreached.toml"
NUMBERED_BY = "gcc 12"  # the branches of that list
_KEYS = {"function", "ids", "why"}


@dataclass(frozen=True)
class Spot:
    """A line, or one branch of it, of the kernel's text; `runs` says how often it was taken. `line` is 1-based, `text`
    that line without the blanks around it, `branch` counts those of a line from 0 (-1 for the line itself), `nth` the
    lines of a function that read the same.
    """

    file: str
    function: str
    line: int
    text: str
    branch: int
    nth: int
    runs: int

    def __str__(self) -> str:
        what = "line" if self.branch < 0 else f"branch {self.branch}"
        return f"{self.id} {self.file}:{self.line}: {self.function}: {what} of: {self.text}"

    @cached_property
    def id(self) -> str:
        """12 hex digits that name it as long as its line reads as it does, wherever that line is."""
        what = "\0".join((self.function, self.text, str(self.branch), str(self.nth)))
        return sha256(what.encode()).hexdigest()[:12]


def count_runs(build: Build, *what: str) -> dict[str, Any]:
    """What gcov says, as its JSON does, after a run of case files or folders; of "random" and a number of cases; or of
    "both", the corpus and a number of cases of a seed, which is the third word.

    Raises CannotRun if gcov is not there or does not understand the compiler's notes.
    """
    gcov = ["llvm-cov", "gcov"] if is_clang(build.compiler) else ["gcov"]
    if shutil.which(gcov[0]) is None:
        raise CannotRun(f"no {gcov[0]}: install it with {build.compiler} to count lines")
    with tempfile.TemporaryDirectory(prefix="skdiff-") as name:
        folder = Path(name)
        shutil.copy(build.folder / "closure.gcno", folder)
        environment = {**os.environ, "GCOV_PREFIX": name, "GCOV_PREFIX_STRIP": "99"}
        command = [sys.executable, "-m", "skdiff.proof.kernel_coverage", str(build.folder), *what]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CannotRun(f"the run that counts lines failed: {done.stderr.strip().splitlines()[-1:]}")
        arguments = ["--json-format", "--branch-probabilities", "--branch-counts", "--stdout", "closure.gcda"]
        found = subprocess.run([*gcov, *arguments], cwd=folder, capture_output=True, text=True, check=False)
        try:
            told = dict(json.loads(found.stdout.splitlines()[0]))
            told["files"] = list(told["files"])
            return told
        except (ValueError, IndexError, KeyError, TypeError) as error:
            raise CannotRun(f"{gcov[0]} gave no line counts: {found.stderr.strip()[:200]}") from error


def spots(build: Build, told: Mapping[str, Any]) -> list[Spot]:
    """Lines and branches of the kernel's functions that a lookup can reach, in the order of the closure."""
    by_file = {file["file"]: file["lines"] for file in told["files"]}
    found: list[Spot] = []
    for d in build.kernel:
        if not d.lookup or d.kind != "function":
            continue
        texts = (build.tree.path / d.file).read_text(errors="replace").splitlines()
        seen: Counter[str] = Counter()
        merged: dict[int, tuple[int, list[int]]] = {}
        for line in by_file.get(d.file, ()):
            if d.line <= line["line_number"] <= d.end_line:
                runs, branches = merged.get(line["line_number"], (0, []))
                branches += [branch["count"] for branch in line.get("branches", ())]
                merged[line["line_number"]] = runs + line["count"], branches
        for number, (runs, branches) in sorted(merged.items()):
            text = texts[number - 1].strip()
            found.append(Spot(d.file, d.name, number, text, -1, seen[text], runs))
            found += [Spot(d.file, d.name, number, text, i, seen[text], n) for i, n in enumerate(branches)]
            seen[text] += 1
    return found


def judged_unreachable(version: str, path: Path = UNREACHED) -> dict[str, str]:
    """The ids of what no scenario can reach in a kernel of this version, each with the reason: what is listed for its
    series, and all that is listed where nobody has looked at it. Raises CannotRun for a list that cannot be read.
    """
    of = series(version)
    try:
        found: dict[str, str] = {}
        for table in tomllib.loads(path.read_text())["unreached"]:
            check_keys(table, _KEYS)
            if of not in LISTED or of in kernels_of(table):
                found |= dict.fromkeys(table["ids"], str(table["why"]))
        return found
    except (OSError, tomllib.TOMLDecodeError, ValueError, TypeError, KeyError) as error:
        raise CannotRun(f"{path}: not a list of what is unreached: {error}") from error


def note_on_compiler(compiler: str) -> str:
    """What is to be said where another compiler has numbered the branches of the list, "" for nothing."""
    done = subprocess.run([compiler, "-dumpversion"], capture_output=True, text=True, check=False)
    version = "clang" if is_clang(compiler) else f"gcc {done.stdout.strip().partition('.')[0]}"
    if version == NUMBERED_BY:
        return ""
    return f"note: {UNREACHED.name} has the branches as {NUMBERED_BY} numbers them, this is {version}"


def summary(found: Sequence[Spot], reasons: Mapping[str, str], listed: bool = True) -> dict[str, Any]:
    """Lines and branches by function, and what is missing without a reason; `good` if nothing is, and no reason is
    given for what was reached. `listed` says that the reasons are meant for this kernel: else they need not fit it.
    """
    rows = []
    for function in dict.fromkeys(spot.function for spot in found):
        own = [spot for spot in found if spot.function == function]
        lines, branches = [s for s in own if s.branch < 0], [s for s in own if s.branch >= 0]
        rows.append(
            {
                "function": function,
                "file": own[0].file,
                "lines": [sum(s.runs > 0 for s in lines), len(lines)],
                "branches": [sum(s.runs > 0 for s in branches), len(branches)],
                "excused": sum(not s.runs and s.id in reasons for s in own),
                "missing": sum(not s.runs and s.id not in reasons for s in own),
            }
        )
    missing = [str(spot) for spot in found if not spot.runs and spot.id not in reasons]
    wrong = [str(spot) for spot in found if spot.runs and spot.id in reasons and listed]
    gone = sorted(set(reasons) - {spot.id for spot in found}) if listed else []
    good = not missing and not wrong
    return {"functions": rows, "missing": missing, "reached_after_all": wrong, "gone": gone, "good": good}


def listing(build: Build, found: Sequence[Spot], reasons: Mapping[str, str]) -> list[dict[str, Any]]:
    """The kernel's text with its counts, a dict for each function that a lookup can reach: `lines` are [number, text,
    runs (None: nothing to run), branches taken, branches, why it cannot be reached ("" if it can)].
    """
    by_function: dict[tuple[str, str], dict[int, list[Spot]]] = {}
    for spot in found:
        by_function.setdefault((spot.file, spot.function), {}).setdefault(spot.line, []).append(spot)
    listed = []
    for d in build.kernel:
        spots_of = by_function.get((d.file, d.name))
        if spots_of is None or d.kind != "function":
            continue
        texts = (build.tree.path / d.file).read_text(errors="replace").splitlines()
        lines: list[list[Any]] = []
        for number in range(d.line, d.end_line + 1):
            here = spots_of.get(number, [])
            runs = sum(s.runs for s in here if s.branch < 0) if here else None
            branches = [s for s in here if s.branch >= 0]
            why = next((reasons[s.id] for s in here if not s.runs and s.id in reasons), "")
            taken = sum(s.runs > 0 for s in branches)
            lines.append([number, texts[number - 1].expandtabs(8), runs, taken, len(branches), why])
        listed.append({"function": d.name, "file": d.file, "lines": lines})
    return listed


def show(console: Console, result: Mapping[str, Any], what: str) -> None:
    """Print the table by function and what is missing."""
    table = Table(box=None, header_style="bold")
    table.add_column(what, no_wrap=True, min_width=30)
    for head in ("lines", "branches", "cannot be reached", "missing"):
        table.add_column(head, justify="right")
    rows = result["functions"]
    totals: dict[str, Any] = {"function": "all"}
    for key in ("lines", "branches"):
        totals[key] = [sum(row[key][i] for row in rows) for i in range(2)]
    for key in ("excused", "missing"):
        totals[key] = sum(row[key] for row in rows)
    for row in (*rows, totals):
        shares = [f"{row[key][0]} of {row[key][1]}" if row[key][1] else "" for key in ("lines", "branches")]
        table.add_row(row["function"], *shares, str(row["excused"] or ""), str(row["missing"] or ""))
    console.print(table)
    for line in result["missing"]:
        console.print(f"not reached: {line}", markup=False, soft_wrap=True)
    for line in result["reached_after_all"]:
        console.print(f"listed as out of reach, but reached: {line}", markup=False, soft_wrap=True)
    for line in result["gone"]:
        console.print(f"listed as out of reach, but no longer there: {line}", markup=False, soft_wrap=True)


def write_html(build: Build, told: Mapping[str, Any], folder: Path) -> Path:
    """The kernel's files with their counts as HTML pages, by gcovr; returns the first page. Raises CannotRun."""
    if shutil.which("gcovr", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}") is None:
        raise CannotRun("no gcovr: install it (pip install gcovr) for the HTML pages")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    kernel = [file for file in told["files"] if (build.tree.path / file["file"]).exists()]
    for line in (line for file in kernel for line in file["lines"]):  # gcov of gcc 14 says more, and gcovr wants it
        line.setdefault("block_ids", [])
        for i, branch in enumerate(line["branches"]):
            branch.setdefault("source_block_id", 0)
            branch.setdefault("destination_block_id", i)
    told = {**told, "files": kernel, "current_working_directory": str(build.tree.path), "format_version": "2"}
    with gzip.open(folder / "closure.gcov.json.gz", "wt") as file:
        json.dump(told, file)
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
    title = f"Linux {build.tree.version}: __inet_lookup_skb()"
    done = subprocess.run(
        [*command, "--html-title", title, str(folder)], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode or not page.exists():
        raise CannotRun(f"gcovr failed: {done.stderr.strip().splitlines()[-1:]}")
    return page


def main() -> None:
    """The process that is counted: the cases, and a normal exit that writes the counts."""
    from skdiff.cases.case_file import load
    from skdiff.cases.find_cases import files
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
    else:
        cases = (load(path).scenario for path in files([Path(first), *map(Path, rest)]))
    for scenario in cases:
        reference.run(scenario)


if __name__ == "__main__":
    main()
