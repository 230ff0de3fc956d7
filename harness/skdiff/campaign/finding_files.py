"""Findings on disk: a case and its report, written whole, before anybody is told."""

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from skdiff.base.files import write_whole
from skdiff.base.paths import command, shell_path
from skdiff.campaign.messages import Finding
from skdiff.cases.case_file import Case, dump
from skdiff.cases.scenario import Scenario
from skdiff.comparison.compare import Mismatch
from skdiff.comparison.mismatch_text import render


@dataclass(frozen=True)
class Origin:
    """What a finding says of where it came from; `again` is the command that shows it again, in front of its file."""

    kernel: str
    closure: str
    engine: str
    seed: int
    again: str = "replay --kernel 6.12"


def keep(folder: Path, scenario: Scenario, mismatch: Mismatch, origin: Origin, replace: str = "") -> Finding:
    """Write a finding (see `write_finding`), and return it. If it cannot be written, it has no file but the case
    itself, and the reason: it must not be lost with this process.
    """
    try:
        path = write_finding(folder, scenario, mismatch, origin, replace)
        return Finding(signature=mismatch.signature, file=str(path), count=1)
    except OSError as error:
        text = dump(_case(scenario, mismatch, origin))
        why = error.strerror or str(error)
        return Finding(signature=mismatch.signature, file=replace, count=1, why=why, case=text)


def _case(scenario: Scenario, mismatch: Mismatch, origin: Origin) -> Case:
    found = {
        "date": datetime.now(UTC).date().isoformat(),
        "kernel": origin.kernel,
        "closure": origin.closure,
        "engine": origin.engine,
        "seed": origin.seed,
        "again": origin.again,
        "signature": mismatch.signature,
        "oracles": list(mismatch.names),
        "fields": list(mismatch.fields),
    }
    return Case(scenario, found=found)


def write_finding(folder: Path, scenario: Scenario, mismatch: Mismatch, origin: Origin, replace: str = "") -> Path:
    """Write case.toml and report.txt under `folder`/signature, whole or not at all; returns the case's path.

    A case that another run or worker left there stays: the new one gets a name of its own. `replace` is a file of this
    run.
    """
    case = _case(scenario, mismatch, origin)
    if replace:
        path = Path(replace)
        write_whole(path, dump(case))
    else:
        path = write_case(folder / mismatch.signature[:120], dump(case))
    replay = f"{command()} {origin.again} {shell_path(path)}"
    write_whole(report_of(path), render(mismatch, case, origin.kernel, origin.closure, replay))
    return path


def write_case(folder: Path, text: str) -> Path:
    """Write a case into a folder of findings, under the first name that is free; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        path = folder / ("case.toml" if number == 1 else f"case-{number}.toml")
        if not path.exists() and write_whole(path, text, over=False):
            break
    return path


SAID = "\nthe process said: "  # follows the report of a worker's death


def report_of(path: Path) -> Path:
    """Where the report of a finding's case is."""
    return path.with_name(f"report{path.stem.removeprefix('case')}.txt")


def steps_of(path: Path) -> Path:
    """Where the steps of both sides are, for a finding's case: the page draws it from these. No .json file, since the
    page reads each of these as a summary.
    """
    return path.with_name(f"steps{path.stem.removeprefix('case')}.jsonl")
