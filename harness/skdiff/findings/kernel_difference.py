"""A difference between two kernels as a person needs it: which rule it comes from, and where the sides part."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from rich.console import Console

from skdiff.base.errors import CannotRun
from skdiff.base.paths import command, shell_path
from skdiff.campaign.messages import Finding
from skdiff.cases.case_file import Case
from skdiff.cases.outcome import ENDED_NAMES, RETURNED
from skdiff.cases.steps import Step, parting
from skdiff.comparison.compare import Mismatch
from skdiff.comparison.mismatch_text import describe_case, outcomes_table
from skdiff.comparison.referee import SIDES, Referee, Verdict, describe_origin
from skdiff.findings import drawing
from skdiff.findings.diff_summary import UNTOLD, Group, Origin, titles
from skdiff.findings.explain import Parting, Tracing, side_by_side
from skdiff.findings.story import story
from skdiff.findings.triage import WIDTH, Described, sort_by_cause
from skdiff.kernel.build import Build
from skdiff.kernel.call_graph import merged
from skdiff.oracles.guarded import Guarded
from skdiff.oracles.interface import Oracle


@dataclass(frozen=True)
class Difference:
    """A case about which two kernels differ, or one and its model. `parted` are the traces that show it best: those of
    the model of A with and without the rules that explain it, or those of the kernel that is unlike its model, and of
    that model. `steps` are those of the kernels themselves.
    """

    case: Case
    builds: tuple[Build, Build]
    verdict: Verdict
    mismatch: Mismatch
    parted: Parting
    steps: tuple[list[Step], list[Step]]

    @property
    def name(self) -> str:
        """What the difference is called, over seeds: the rules behind it, else whose it is; the kernel function, and
        the first thing that came of it.
        """
        ended = sorted({ENDED_NAMES[o.ended] for o in self.mismatch.outcomes if o.ended != RETURNED})
        what = f"{self.parted.function or 'outcome'}-{ended[0] if ended else self.mismatch.fields[0]}"
        if not self.verdict.unlike:
            return f"{'+'.join(self.verdict.words)}-{what}"
        return f"{'alike-' if self.verdict.alike else ''}{what}-{''.join(self.verdict.unlike)}"

    def why(self) -> str:
        """The verdict in a sentence or two."""
        v = self.verdict
        if not v.unlike:
            named = " and ".join(titles(v.words))
            return f"{named}. Both kernels do what the model of their rules does; with this turned over, A's does as B."
        wrong = " and ".join(v.unlike)
        both = "both kernels do the same, but " if v.alike else ""
        text = f"no known rule: {both}{wrong} {'do' if len(v.unlike) > 1 else 'does'} not as the model of its rules."
        hint = " or ".join(f"{word} ({describe_origin(word)})" for word in v.words)
        return text + (f" {v.unlike[-1]} does as with {hint}." if hint else "")

    def show(self, console: Console) -> None:
        """Print it: the case, why it differs, both stories, the parting, and the outcomes."""
        for line in describe_case(self.case):
            console.print("  " + line, markup=False, soft_wrap=True)
        console.print(f"\nwhy: {self.why()}", markup=False, soft_wrap=True)
        for side, steps, build in zip(SIDES, self.steps, self.builds, strict=True):
            console.print(f"\n{side}:", markup=False)
            for i, sentence in enumerate(story(self.case, steps, build.config), 1):
                console.print(f"{i:3}. {sentence}", markup=False, soft_wrap=True)
        function = f"{self.parted.function}()" if self.parted.function else "nothing that a step shows"
        console.print(f"\nThe sides part in {function}:", markup=False)
        console.print(side_by_side(self.parted, self.case))
        console.print()
        console.print(outcomes_table(self.mismatch, self.case))

    def report(self, again: str, path: Path) -> str:
        """The text for the file beside the case at `path`; `again` is the command that shows it again."""
        out = StringIO()
        console = Console(file=out, width=WIDTH, color_system=None, highlight=False)
        console.print(f"DIFFERENCE {self.name}", markup=False, soft_wrap=True)
        for side, build in zip(SIDES, self.builds, strict=True):
            console.print(f"{side}: {describe_side(build)}", markup=False, soft_wrap=True)
        console.print()
        self.show(console)
        console.print(f"\nagain: {command()} {again} {shell_path(path)}", markup=False, soft_wrap=True)
        return out.getvalue()


def describe_side(build: Build) -> str:
    """One side in a line."""
    return f"{build.title}, closure {build.closure[:16]}"


def difference(case: Case, kernels: Sequence[Tracing], referee: Referee) -> Difference | None:
    """Ask two kernels, builds of the variant "traced", about a case; None if there is nothing to tell."""
    scenario = case.scenario
    models = [referee.turned(side) for side in range(len(SIDES))][-(len(referee.names) - 2) :]
    oracles: list[Oracle] = [*kernels, *models]
    outcomes = [oracle.run(scenario) for oracle in oracles]
    verdict, mismatch = referee.verdict(scenario, outcomes), referee(scenario, outcomes)
    if verdict is None or mismatch is None:
        return None
    steps = (kernels[0].trace(scenario), kernels[1].trace(scenario))
    if verdict.unlike:
        side = SIDES.index(verdict.unlike[-1])
        names = (referee.names[side], f"the model of {SIDES[side]}")
        traces = (steps[side], referee.turned(side).trace(scenario))
    else:
        names = ("the model of A", f"the same with {', '.join(verdict.words)}")
        traces = (referee.turned(0).trace(scenario), referee.turned(0, *verdict.words).trace(scenario))
    callers = merged(build.callers for build in referee.builds)
    parted = Parting(names, traces, parting(*traces), callers)
    return Difference(case, referee.builds, verdict, mismatch, parted, steps)


UNTRACED = Verdict((UNTOLD,), ())  # of a finding that could not be traced


def group_by_cause(
    mismatches: Sequence[Finding],
    make: Callable[[], tuple[Build, Build]],
    again: str,
    folder: Path,
    say: Callable[[str], None],
) -> list[Group]:
    """The findings of a run by the rules behind them, each told in its folder; single rules first, then what needs
    several at once, then what no rule explains. Never raises CannotRun: what cannot be told is a group of its own.
    """
    known: dict[str, Difference] = {}

    try:
        with ExitStack() as stack:
            builds = make()
            referee = Referee(*builds)
            kernels = [stack.enter_context(Guarded(build)) for build in builds]

            def tell(case: Case) -> Described | None:
                found = difference(case, kernels, referee)
                if found is None:
                    return None
                known.setdefault(found.name, found)
                both = [drawing.Side(*side) for side in zip(SIDES, found.steps, strict=True)]
                return Described(found.name, lambda path: found.report(again, path), both)

            left = sort_by_cause(mismatches, tell, folder)
    except (CannotRun, OSError) as error:
        say(f"not sorted by cause: {error}")
        left, known = list(mismatches), {}
    return grouped(left, known)


def grouped(findings: Iterable[Finding], known: dict[str, Difference]) -> list[Group]:
    """The groups of findings whose names are known; a rule that explains all that is not explained is its cause."""
    findings = list(findings)
    odd = [d.verdict for d in known.values() if d.verdict.unlike and not d.verdict.alike]
    common = set(odd[0].words).intersection(*(v.words for v in odd)) if odd else set()
    groups: dict[str, Group] = {}
    for finding in findings:
        found = known.get(finding.signature)
        verdict = found.verdict if found is not None else UNTRACED
        words, function = verdict.words, ""
        if verdict.unlike:
            words = () if verdict.alike else tuple(w for w in verdict.words if w in common)[:1]
            function = found.parted.function if found is not None and not words else ""
        rules = tuple(Origin(word, describe_origin(word)) for word in words)
        group = Group(rules=rules, unlike=verdict.unlike, alike=verdict.alike, function=function, findings=[])
        groups.setdefault(group.title, group).findings.append(finding)
    return sorted(groups.values(), key=lambda g: (bool(g.unlike), g.alike, len(g.rules)))
