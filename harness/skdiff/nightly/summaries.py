"""Summaries: what runs left in a folder (their --json files, and findings beside them), read for a page or an issue.

A folder directly below is one night; files that lie in the folder itself are a night without a name. What is missing or
broken costs one line and nothing else.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skdiff.base.errors import CannotRun
from skdiff.base.files import SCHEMA
from skdiff.campaign.finding_files import report_of, steps_of
from skdiff.cases.case_file import load
from skdiff.findings import drawing
from skdiff.oracles.model import Model
from skdiff.variants import config, version_rules

# A summary that does not name its command is known by a key that no other one has.
_KEYS = {"cases_per_second": "fuzz", "reached_after_all": "coverage", "steps": "nightly"}
_ISSUE_LINES = 400  # of a report in an issue's text; what is longer nobody reads there


@dataclass(frozen=True)
class Summary:
    """One --json file: `kind` is the command that wrote it, `started` its time as it stands there ("" if it has none),
    `night` the folder that it is in.
    """

    path: Path
    night: str
    kind: str
    started: str
    data: Mapping[str, Any]

    @property
    def kernel(self) -> str:
        """The kernel's version, "" if the summary names none."""
        kernel = self.data.get("kernel", self.data.get("version", ""))
        return str(kernel.get("version", "") if isinstance(kernel, dict) else kernel)

    @property
    def config(self) -> str:
        """What differs from the default configuration, "" for nothing."""
        kernel = self.data.get("kernel", "")
        return str(kernel.get("config", "")) if isinstance(kernel, dict) else ""

    @property
    def tree(self) -> str:
        """The path of the tree that somebody gave, "" for a kernel that was fetched."""
        kernel = self.data.get("kernel", "")
        origin = str((kernel if isinstance(kernel, dict) else self.data).get("origin", ""))
        return origin.removeprefix("tree ") if origin.startswith("tree ") else ""

    @property
    def label(self) -> str:
        """The kernel, its tree and its configuration: "6.12.117 (IPV6=n)"."""
        more = ", ".join(word for word in (self.tree, self.config) if word)
        return f"{self.kernel} ({more})" if more else self.kernel

    @property
    def file_name(self) -> str:
        """The kernel as a part of a file's name."""
        tree = re.sub(r"[^\w.+-]+", "-", Path(self.tree).name, flags=re.ASCII)
        return f"{self.kernel}-{tree}" if tree else self.kernel


@dataclass(frozen=True)
class Finding:
    """One difference of one run: its files as text, "" for what is not there; `replay` is the command to repeat it."""

    signature: str
    count: int
    summary: Summary
    path: Path | None
    case: str
    report: str
    replay: str


def collect(folder: Path) -> tuple[list[Summary], list[str]]:
    """All summaries below a folder by time, and a line for each file that is none. Raises CannotRun: no folder."""
    if not folder.is_dir():
        raise CannotRun(f"{folder}: no such folder of summaries")
    found, broken = [], []
    for path in sorted(folder.rglob("*.json")):
        inside = path.relative_to(folder).parts
        try:
            data = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            broken.append(f"{path.relative_to(folder)}: {error}")
            continue
        if not isinstance(data, dict):
            broken.append(f"{path.relative_to(folder)}: not a summary")
            continue
        if data.get("schema", SCHEMA) != SCHEMA:  # those before version 1 had no schema, and the same keys
            broken.append(f"{path.relative_to(folder)}: of another skdiff: schema {data['schema']!r}, not {SCHEMA}")
            continue
        kind = data.get("command") or next((kind for key, kind in _KEYS.items() if key in data), path.stem)
        found.append(Summary(path, inside[0] if len(inside) > 1 else "", str(kind), str(data.get("started", "")), data))
    return sorted(found, key=lambda s: (s.started, str(s.path))), broken


def latest(summaries: Sequence[Summary]) -> str:
    """The night of the newest summary."""
    return max(summaries, key=lambda s: (s.started, s.night)).night if summaries else ""


def findings(summary: Summary, folder: Path) -> Iterator[Finding]:
    """The differences that a summary lists. Raises KeyError, TypeError or ValueError for a list that is none."""
    listed = summary.data.get("mismatches", [])
    if not isinstance(listed, list):
        raise TypeError("its mismatches are no list")
    for entry in listed:
        yield finding_of(entry, summary, folder)
    for entry in summary.data.get("unwritten", []):  # no disk had room for it: the summary itself has the case
        replay = "skdiff replay case.toml"
        yield Finding(str(entry["signature"]), int(entry["count"]), summary, None, str(entry["case"]), "", replay)


def finding_of(entry: Mapping[str, Any], summary: Summary, folder: Path) -> Finding:
    """A difference that a summary lists, with its files. Raises KeyError, TypeError or ValueError for another entry."""
    path = _beside(Path(str(entry["file"])), summary.path.parent, folder)
    case, report = (_text(p) for p in ((path, report_of(path)) if path else (None, None)))
    commands = ("replay: ", "again: ")  # of kernel against model, and of kernel against kernel
    replay = next((line.partition(": ")[2] for line in report.splitlines() if line.startswith(commands)), "")
    replay = replay or f"skdiff replay {entry['file']}"
    return Finding(str(entry["signature"]), int(entry["count"]), summary, path, case, report, replay)


def _beside(named: Path, near: Path, folder: Path) -> Path | None:
    """A case that a run has named, wherever it was moved to since: the longest end of its path that is there."""
    for i in range(len(named.parts) - 1):
        tail = Path(*named.parts[i:])
        for place in (near, folder, Path()) if not tail.is_absolute() else (Path(),):
            if tail.suffix == ".toml" and (place / tail).is_file():
                return place / tail
    return None


def _text(path: Path | None) -> str:
    try:
        return path.read_text(errors="replace") if path is not None else ""
    except OSError:
        return ""


def picture(finding: Finding) -> str:
    """The drawing of a finding's case as SVG, of both sides if the run left their steps, else of the model alone; ""
    where there is no case, or no dot to draw with.
    """
    if finding.path is None:
        return ""
    try:
        case = load(finding.path)
        text = _text(steps_of(finding.path))
        sides = drawing.read_sides(text) if text else []
        sides = sides or [drawing.Side("model", _model(finding.summary).trace(case.scenario))]
        return drawing.svg(case, sides)
    except (CannotRun, OSError, KeyError, TypeError, ValueError, IndexError):  # not the files of this case
        return ""


def _model(summary: Summary) -> Model:
    """The model as the run had it; the default one where the summary does not say."""
    kernel = summary.data.get("kernel")
    rules = kernel.get("rules") if isinstance(kernel, dict) else None
    held = {name: bool(rules[name]) for name in version_rules.NAMES if name in rules} if isinstance(rules, dict) else {}
    return Model(version_rules.Rules(**held), config.parse(summary.config, lambda name: True))


def fresh(summaries: Sequence[Summary], folder: Path) -> list[Finding]:
    """The findings of the newest night that no earlier night has, one of each signature and kernel."""
    night = latest(summaries)
    known: set[tuple[str, str, str]] = set()
    new: dict[tuple[str, str, str], Finding] = {}
    for summary in summaries:
        try:
            for finding in findings(summary, folder):
                name = finding.signature, summary.kernel.rpartition(".")[0], summary.tree
                if summary.night != night:
                    known.add(name)
                else:
                    new.setdefault(name, finding)
        except (KeyError, TypeError, ValueError):  # the page says so
            continue
    return [finding for name, finding in new.items() if name not in known]


def issue(finding: Finding) -> str:
    """The text of an issue for a finding, in Markdown: its first line is the title."""
    lines = finding.report.splitlines()
    if len(lines) > _ISSUE_LINES:
        lines = [*lines[:_ISSUE_LINES], f"({len(lines) - _ISSUE_LINES} more lines)"]
    summary = finding.summary
    parts = [
        f"# {finding.signature}: Linux {summary.label} and the model differ",
        "",
        f"Seen {finding.count:,} times in a run ({summary.data.get('engine', summary.kind)},"
        f" seed {summary.data.get('seed', '?')}, {summary.started or 'no date'}).",
        "",
        "Repeat it, with the case below as `case.toml`:",
        "",
        *_fenced(f"{finding.replay.rpartition(' ')[0]} case.toml", "sh"),
        "",
        *_fenced(finding.case.rstrip() or "the case is not among the files", "toml"),
        "",
        *_fenced("\n".join(lines).rstrip() or "the report is not among the files", "text"),
        "",
        "Is it a bug of the kernel, of the model, or of a stand-in? Once that is known: `skdiff keep`, and if the"
        " difference stays, an entry in `corpus/known.toml`.",
    ]
    return "\n".join(parts) + "\n"


def _fenced(text: str, language: str) -> list[str]:
    """A block of Markdown that nothing in the text can end."""
    fence = "```"
    while fence in text:
        fence += "`"
    return [f"{fence}{language}", text, fence]
