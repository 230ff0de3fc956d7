"""The report page: what runs left in a folder as one HTML file that needs nothing else, for a phone and for a desk.

page_data.py finds the values, the templates beside it make HTML of them and escape them. A summary that is not as it
should be costs a line under "Not read".
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from skdiff.campaign.merge_inputs import Merged
from skdiff.findings.diff_summary import DiffSummary
from skdiff.findings.replay_cases import ReplaySummary
from skdiff.kernel.drift import Drift, RecordedSummary
from skdiff.nightly import page_data
from skdiff.nightly.night import NightSummary
from skdiff.nightly.page_data import AnyFile, many
from skdiff.nightly.summaries import (
    Finding,
    S,
    SummaryFile,
    collect,
    finding_of,
    findings,
    fresh,
    latest,
    of_kind,
    picture,
)
from skdiff.proof.corpus_coverage import CoverageSummary
from skdiff.proof.mutants.report import MutantsSummary
from skdiff.runs.fuzz_run import FuzzSummary

ROWS = 80  # of a table that is made of whatever a summary holds
# These have templates of their own; the values of the others are shown as they stand.
_OWN = (FuzzSummary, MutantsSummary, CoverageSummary, ReplaySummary, NightSummary)
_SPECIAL = (Drift, RecordedSummary, DiffSummary, Merged)


@dataclass(frozen=True)
class Section:
    """A heading with what is below it, as HTML."""

    title: str
    parts: Sequence[Markup]

    @property
    def anchor(self) -> str:
        """The name that a link within the page has for it."""
        return self.title.lower().replace(" ", "-")


@dataclass(frozen=True)
class Fact:
    """One thing to know at once, with its state (see page_data.py)."""

    text: str
    state: str


@dataclass
class _Page:
    """A page in the making; `wrong` has a line for each summary that could not be read.

    Markup() takes what is HTML already: templates, plots.py and Graphviz escape what they are given.
    """

    folder: Path
    summaries: Sequence[AnyFile]
    wrong: list[str]
    found: list[Finding] = field(default_factory=list)
    signatures: dict[Path, set[str]] = field(default_factory=dict)  # of the findings of each summary

    def __post_init__(self) -> None:
        self.night = latest(self.summaries)
        self.tonight = [s for s in self.summaries if s.night == self.night]
        self.names = page_data.kernel_names(self.tonight)
        self.new = fresh(self.summaries, self.folder)
        for run in of_kind(self.summaries, FuzzSummary):
            listed = list(findings(run, self.folder))
            self.signatures[run.path] = {finding.signature for finding in listed}
            self.found += listed if run.night == self.night else []
        self.fuzzed = of_kind(self.tonight, FuzzSummary)

    def each(
        self, kind: type[S], template: str, data: Callable[[SummaryFile[S]], dict[str, Any]] = lambda file: {}
    ) -> list[Markup]:
        """A part for each summary of a kind."""
        return [
            _render(template, data=file.summary, label=file.label, **data(file)) for file in of_kind(self.tonight, kind)
        ]

    def agreement(self) -> list[Markup]:
        """The runs of fuzzing as one table."""
        rows = [page_data.agreement(run, self.names[run.kernel, run.tree]) for run in self.fuzzed]
        return [_render("agreement.html", rows=rows)] if rows else []

    def findings(self) -> list[Markup]:
        """Each difference between a kernel and the model, those that are new with all that is known of them."""
        parts = []
        for finding in self.found:
            new = finding in self.new
            values = {"finding": finding, "new": new, "open": new, "drawing": Markup(picture(finding))}  # noqa: S704
            parts.append(_render("finding.html", **values))
        return parts

    def over_time(self) -> list[Markup]:
        """How the runs of the night went on, and how the nights did."""
        plots = page_data.run_plots(self.fuzzed, self.names) + page_data.history_plots(self.summaries)
        drawn = [Markup(plot) for plot in plots if plot]  # noqa: S704
        nights = len({s.night for s in self.summaries})
        return [_render("over_time.html", plots=drawn, nights=nights)] if drawn else []

    def classes(self) -> list[Markup]:
        """What the drawn cases came to."""
        kernels = page_data.classes(self.fuzzed, self.names)
        return [_render("classes.html", kernels=kernels)] if kernels else []

    def others(self) -> list[Markup]:
        """The runs of commands without a section of their own."""
        rest = [file for file in self.tonight if not isinstance(file.summary, (*_OWN, *_SPECIAL))]
        return [
            *self.each(Drift, "drift.html", page_data.drift),
            *self.each(RecordedSummary, "recorded.html", lambda file: {"name": file.path.stem}),
            *self.each(DiffSummary, "diff.html", self.diff),
            *self.each(Merged, "merge.html"),
            *(_render("anything.html", **page_data.anything(file)) for file in rest),
        ]

    def diff(self, file: SummaryFile[DiffSummary]) -> dict[str, Any]:
        """Two kernels against each other, with the files of each finding."""
        groups = []
        for group in file.summary.groups:
            found = [finding_of(entry, file, self.folder) for entry in sorted(group.findings, key=lambda f: -f.count)]
            files = [
                _render("finding_files.html", finding=f, drawing=Markup(picture(f)), open=False)  # noqa: S704
                for f in found
            ]
            groups.append({"cause": page_data.cause(group), "findings": list(zip(found, files, strict=True))})
        return {"groups": groups, "missing": page_data.missing_rules(file.summary)}

    def sections(self) -> list[Section]:
        """All that have something to show."""
        rows = page_data.nights(self.summaries, self.signatures)
        all_of_them = [
            Section("Steps", self.each(NightSummary, "steps.html", page_data.steps)),
            Section("Agreement", self.agreement()),
            Section("Findings", self.findings()),
            Section("Over time", self.over_time()),
            Section("Classes of cases", self.classes()),
            Section("Replay of the corpus", self.each(ReplaySummary, "replay.html", page_data.replay)),
            Section("Mutants", self.each(MutantsSummary, "mutants.html")),
            Section("Coverage", self.each(CoverageSummary, "coverage.html", page_data.coverage)),
            Section("Other runs", self.others()),
            Section("Kernel text", self.each(CoverageSummary, "text.html", page_data.text)),
            Section("Nights", [_render("nights.html", rows=rows)] if len(rows) > 1 else []),
        ]
        if self.wrong:
            all_of_them.append(Section("Not read", [_render("broken.html", lines=self.wrong)]))
        return [section for section in all_of_them if section.parts]

    def facts(self) -> list[Fact]:
        """What to know at once: what was compared, what differs, and what has no verdict."""
        facts = [Fact(many(len(self.tonight), "summary") + (f" of {self.night}" if self.night else ""), "")]
        cases = sum(map(page_data.cases_of, self.tonight))
        facts.append(Fact(many(cases, "case"), ""))
        steps = [step for night in of_kind(self.tonight, NightSummary) for step in night.summary.steps]
        signatures = {finding.signature for finding in self.found}
        if signatures:
            facts.append(Fact(f"{many(len(signatures), 'difference')}, {len(self.new)} new", "bad"))
        elif cases or any(step.compares and step.ok for step in steps):
            facts.append(Fact("no difference", "good"))
        else:
            facts.append(Fact("nothing was compared", "none"))
        if unsure := sum(map(page_data.without_verdict, self.tonight)):
            facts.append(Fact(f"{unsure} without a verdict: not all of the new text was looked at", "none"))
        if left_out := sum(step.status in page_data.NOT_RUN for step in steps):
            facts.append(Fact(f"{many(left_out, 'step')} left out", "none"))
        if failed := [step.name for step in steps if page_data.state(step) == "bad"]:
            facts.append(Fact(f"not well: {', '.join(failed)}", "bad"))
        if self.wrong:
            facts.append(Fact(f"{len(self.wrong)} not read", "none"))
        return facts


def page(folder: Path) -> tuple[str, str]:
    """The page of a folder of summaries, and a line that says what is on it. Raises CannotRun without the folder."""
    made = _Page(folder, *collect(folder))
    sections, facts = made.sections(), made.facts()
    line = ", ".join(fact.text for fact in facts)
    written = f"{datetime.now(UTC):%Y-%m-%d %H:%M}"
    return str(_render("page.html", sections=sections, facts=facts, line=line, written=written)), line


_TEMPLATES = Environment(
    loader=PackageLoader("skdiff.nightly"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.globals |= {"many": many, "columns": page_data.columns, "most": ROWS, "state": page_data.state}


def _render(template: str, **values: Any) -> Markup:
    """HTML of a template, in which the values are escaped unless they are HTML already."""
    return Markup(_TEMPLATES.get_template(template).render(**values))  # noqa: S704
