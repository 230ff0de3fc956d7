"""Summaries: what runs left in a folder (their --json files, and findings beside them), read for a page or an issue.

A folder directly below is one night; files that lie in the folder itself are a night without a name. What is missing or
broken costs one line and nothing else.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from skdiff.base.errors import CannotRun
from skdiff.base.files import BadFile
from skdiff.base.summary import Kinds, Summary, read_summary
from skdiff.campaign import messages
from skdiff.campaign.finding_files import report_of, steps_of
from skdiff.campaign.merge_inputs import Merged
from skdiff.cases.case_file import load
from skdiff.findings import drawing
from skdiff.findings.diff_summary import CasesSummary, DiffSummary, UnchangedSummary
from skdiff.findings.replay_cases import ReplaySummary
from skdiff.kernel.drift import Drift, RecordedSummary
from skdiff.kernel.summary import Kernel, KernelSummary
from skdiff.nightly.night import NightSummary
from skdiff.oracles.model import Model
from skdiff.proof.corpus_coverage import CoverageSummary
from skdiff.proof.mutants.report import MutantsSummary
from skdiff.runs.fuzz_run import FuzzSummary
from skdiff.variants import config

# What the page shows in a section of its own; the values of other commands are shown as they stand.
KINDS: Kinds = {
    "fuzz": (FuzzSummary,),
    "diff": (DiffSummary, UnchangedSummary, CasesSummary),
    "drift": (Drift, RecordedSummary),
    "replay": (ReplaySummary,),
    "coverage": (CoverageSummary,),
    "mutants": (MutantsSummary,),
    "merge": (Merged,),
    "nightly": (NightSummary,),
}
_ISSUE_LINES = 400  # of a report in an issue's text; what is longer nobody reads there


S = TypeVar("S", bound=Summary, covariant=True)


@dataclass(frozen=True)
class SummaryFile(Generic[S]):
    """One --json file: `night` is the folder that it is in."""

    path: Path
    night: str
    summary: S

    @property
    def about(self) -> Kernel:
        """The kernel that it is about; one without a version if it is about none, or several."""
        return self.summary.about if isinstance(self.summary, KernelSummary) else Kernel()

    @property
    def kernel(self) -> str:
        """The kernel's version, "" if the summary names none."""
        return self.about.version

    @property
    def config(self) -> str:
        """What differs from the default configuration, "" for nothing."""
        return self.about.config

    @property
    def tree(self) -> str:
        """The path of the tree that somebody gave, "" for a kernel that was fetched."""
        return self.about.tree

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
    summary: SummaryFile[Summary]
    path: Path | None
    case: str
    report: str
    replay: str


def collect(folder: Path) -> tuple[list[SummaryFile[Summary]], list[str]]:
    """All summaries below a folder by time, and a line for each file that is none. Raises CannotRun: no folder."""
    if not folder.is_dir():
        raise CannotRun(f"{folder}: no such folder of summaries")
    found, broken = [], []
    for path in sorted(folder.rglob("*.json")):
        inside = path.relative_to(folder).parts
        try:
            summary = read_summary(path, KINDS)
        except BadFile as error:
            broken.append(str(error))
            continue
        found.append(SummaryFile(path, inside[0] if len(inside) > 1 else "", summary))
    return sorted(found, key=lambda s: (s.summary.started, str(s.path))), broken


def of_kind(summaries: Sequence[SummaryFile[Summary]], kind: type[S]) -> list[SummaryFile[S]]:
    """Those of one kind."""
    return [SummaryFile(s.path, s.night, s.summary) for s in summaries if isinstance(s.summary, kind)]


def latest(summaries: Sequence[SummaryFile[Summary]]) -> str:
    """The night of the newest summary."""
    return max(summaries, key=lambda s: (s.summary.started, s.night)).night if summaries else ""


def findings(run: SummaryFile[FuzzSummary], folder: Path) -> Iterator[Finding]:
    """The differences that a run of fuzzing lists."""
    for entry in run.summary.mismatches:
        yield finding_of(entry, run, folder)
    for entry in run.summary.unwritten:  # no disk had room for it: the summary itself has the case
        yield Finding(entry.signature, entry.count, run, None, entry.case, "", "skdiff replay case.toml")


def finding_of(entry: messages.Finding, summary: SummaryFile[Summary], folder: Path) -> Finding:
    """A difference that a summary lists, with its files."""
    path = _beside(Path(entry.file), summary.path.parent, folder)
    case, report = (_text(p) for p in ((path, report_of(path)) if path else (None, None)))
    commands = ("replay: ", "again: ")  # of kernel against model, and of kernel against kernel
    replay = next((line.partition(": ")[2] for line in report.splitlines() if line.startswith(commands)), "")
    replay = replay or f"skdiff replay {shlex.quote(entry.file)}"
    return Finding(entry.signature, entry.count, summary, path, case, report, replay)


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
        kernel = finding.summary.about  # the model is the one that the run had
        model = Model(kernel.rules.plain, config.parse(kernel.config, lambda name: True))
        return drawing.svg(case, sides or [drawing.Side("model", model.trace(case.scenario))])
    except (CannotRun, OSError, KeyError, TypeError, ValueError, IndexError):  # not the files of this case
        return ""


def fresh(summaries: Sequence[SummaryFile[Summary]], folder: Path) -> list[Finding]:
    """The findings of the newest night that no earlier night has, one of each signature and kernel."""
    night = latest(summaries)
    known: set[tuple[str, str, str]] = set()
    new: dict[tuple[str, str, str], Finding] = {}
    for run in of_kind(summaries, FuzzSummary):
        for finding in findings(run, folder):
            name = finding.signature, run.kernel.rpartition(".")[0], run.tree
            if run.night != night:
                known.add(name)
            else:
                new.setdefault(name, finding)
    return [finding for name, finding in new.items() if name not in known]


def issue(finding: Finding) -> str:
    """The text of an issue for a finding, in Markdown: its first line is the title."""
    lines = finding.report.splitlines()
    if len(lines) > _ISSUE_LINES:
        lines = [*lines[:_ISSUE_LINES], f"({len(lines) - _ISSUE_LINES} more lines)"]
    run = finding.summary.summary
    assert isinstance(run, FuzzSummary)
    parts = [
        f"# {finding.signature}: Linux {finding.summary.label} and the model differ",
        "",
        f"Seen {finding.count:,} times in a run ({run.engine}, seed {run.seed}, {run.started or 'no date'}).",
        "",
        "Repeat it, with the case below as `case.toml`:",
        "",
        *_fenced(f"{finding.replay.rpartition(' ')[0]} case.toml", "sh"),
        "",
        *_fenced(finding.case.rstrip() or "the case is not among the files", "toml"),
        "",
        *_fenced("\n".join(lines).rstrip() or "the report is not among the files", "text"),
        "",
        "Is it a bug of the kernel, of the model, or of a stub? Once that is known: `skdiff keep`, and if the"
        " difference stays, an entry in `corpus/known.toml`.",
    ]
    return "\n".join(parts) + "\n"


def _fenced(text: str, language: str) -> list[str]:
    """A block of Markdown that nothing in the text can end."""
    fence = "```"
    while fence in text:
        fence += "`"
    return [f"{fence}{language}", text, fence]
