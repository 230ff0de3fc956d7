"""The report page: what runs left in a folder as one HTML file that needs nothing else, for a phone and for a desk.

page_data.py finds the values, the templates beside it make HTML of them and escape them. A summary that is not as it
should be costs a line under "Not read".
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, TemplateError
from markupsafe import Markup

from skdiff.nightly import page_data
from skdiff.nightly.page_data import WRONG, many
from skdiff.nightly.summaries import Finding, Summary, collect, finding_of, findings, fresh, latest, picture

ROWS = 80  # of a table that is made of whatever a summary holds
_OWN = {"fuzz", "mutants", "coverage", "replay", "nightly"}  # these have sections of their own
_SPECIAL = {"drift": "drift.html", "diff": "diff.html", "merge": "merge.html"}  # of the other runs


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
    summaries: Sequence[Summary]
    wrong: list[str]
    found: list[Finding] = field(default_factory=list)
    signatures: dict[Path, set[str]] = field(default_factory=dict)  # of the findings of each summary

    def __post_init__(self) -> None:
        self.night = latest(self.summaries)
        self.tonight = [s for s in self.summaries if s.night == self.night]
        self.names = page_data.kernel_names(self.tonight)
        self.new = fresh(self.summaries, self.folder)
        for summary in self.summaries:
            try:
                listed = list(findings(summary, self.folder))
            except WRONG as error:
                if summary.night == self.night:
                    self.not_read(summary, error, "its findings: ")
                continue
            self.signatures[summary.path] = {finding.signature for finding in listed}
            self.found += listed if summary.night == self.night else []

    def kind(self, name: str) -> list[Summary]:
        """The summaries of a command."""
        return [s for s in self.tonight if s.kind == name]

    def not_read(self, summary: Summary, error: Exception, what: str = "") -> None:
        """Add the line for a summary that could not be read."""
        self.wrong.append(f"{summary.path.relative_to(self.folder)}: {what}{type(error).__name__}: {error}")

    def each(self, of: Iterable[Summary], template: str, data: Callable[[Summary], dict[str, Any]]) -> list[Markup]:
        """A part for each summary, of those that can be read."""
        parts = []
        for summary in of:
            try:
                values = {"data": summary.data, "label": summary.label, **data(summary)}
                parts.append(_render(template, **values))
            except (*WRONG, TemplateError) as error:
                self.not_read(summary, error)
        return parts

    def agreement(self) -> list[Markup]:
        """The runs of fuzzing as one table."""
        rows = []
        for summary in self.kind("fuzz"):
            try:
                rows.append(page_data.agreement(summary, self.names[summary.kernel, summary.tree]))
            except WRONG as error:
                self.not_read(summary, error)
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
        plots = page_data.run_plots(self.kind("fuzz"), self.names, self.wrong) + page_data.history_plots(self.summaries)
        drawn = [Markup(plot) for plot in plots if plot]  # noqa: S704
        nights = len({s.night for s in self.summaries})
        return [_render("over_time.html", plots=drawn, nights=nights)] if drawn else []

    def classes(self) -> list[Markup]:
        """What the drawn cases came to."""
        kernels = page_data.classes(self.kind("fuzz"), self.names)
        return [_render("classes.html", kernels=kernels)] if kernels else []

    def others(self) -> list[Markup]:
        """The runs of commands without a section of their own."""
        parts = []
        for kind, template in _SPECIAL.items():
            data = {"drift": self.drift, "diff": self.diff}.get(kind, lambda summary: {})
            parts += self.each(self.kind(kind), template, data)
        rest = [s for s in self.tonight if s.kind not in {*_OWN, *_SPECIAL}]
        return parts + self.each(rest, "anything.html", page_data.anything)

    def drift(self, summary: Summary) -> dict[str, Any]:
        """What a kernel's text became since it was recorded."""
        data = summary.data
        if "recorded" in data:
            return {"name": summary.path.stem}
        return {
            "name": summary.path.stem.removeprefix("drift-"),
            "missing": [f"{name} is not found" for name in data["missing"]],
            "rules": [f"the rule differs: {rule} now" for rule in data["rules"]],
        }

    def diff(self, summary: Summary) -> dict[str, Any]:
        """Two kernels against each other, with the files of each finding."""
        values = page_data.diff(summary)
        for group in values["groups"]:
            for entry in group["findings"]:
                finding = finding_of(entry, summary, self.folder)
                drawn = Markup(picture(finding))  # noqa: S704
                files = _render("finding_files.html", finding=finding, drawing=drawn, open=False)
                group.setdefault("files", []).append((finding.signature, finding.count, files))
        return values

    def sections(self) -> list[Section]:
        """All that have something to show."""
        coverage = self.kind("coverage")
        text = [s for s in coverage if s.data.get("text")]
        rows = page_data.nights(self.summaries, self.signatures)
        all_of_them = [
            Section("Steps", self.each(self.kind("nightly"), "steps.html", page_data.steps)),
            Section("Agreement", self.agreement()),
            Section("Findings", self.findings()),
            Section("Over time", self.over_time()),
            Section("Classes of cases", self.classes()),
            Section("Replay of the corpus", self.each(self.kind("replay"), "replay.html", page_data.replay)),
            Section("Mutants", self.each(self.kind("mutants"), "mutants.html", lambda summary: {})),
            Section("Coverage", self.each(coverage, "coverage.html", page_data.coverage)),
            Section("Other runs", self.others()),
            Section("Kernel text", self.each(text, "text.html", page_data.text)),
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
        steps = [step for summary in self.kind("nightly") for step in page_data.steps_of(summary)]
        signatures = {finding.signature for finding in self.found}
        if signatures:
            facts.append(Fact(f"{many(len(signatures), 'difference')}, {len(self.new)} new", "bad"))
        elif cases or any(step.get("compares") and str(step.get("status")).startswith("ok") for step in steps):
            facts.append(Fact("no difference", "good"))
        else:
            facts.append(Fact("nothing was compared", "none"))
        if unsure := sum(map(page_data.without_verdict, self.tonight)):
            facts.append(Fact(f"{unsure} without a verdict: not all of the new text was looked at", "none"))
        if left_out := sum(step.get("status") in page_data.NOT_RUN for step in steps):
            facts.append(Fact(f"{many(left_out, 'step')} left out", "none"))
        states = [
            (str(step.get("name")), page_data.step_state(str(step["status"]))) for step in steps if "status" in step
        ]
        if failed := [name for name, state in states if state == "bad"]:
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
_TEMPLATES.globals |= {"many": many, "columns": page_data.columns, "most": ROWS}


def _render(template: str, **values: Any) -> Markup:
    """HTML of a template, in which the values are escaped unless they are HTML already. Raises jinja2.TemplateError, or
    what Python does, for values of another shape.
    """
    return Markup(_TEMPLATES.get_template(template).render(**values))  # noqa: S704
