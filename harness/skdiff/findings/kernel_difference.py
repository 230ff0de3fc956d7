"""A difference between two kernels as a person needs it: which rule it comes from, and where the sides part."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console

from skdiff.base.errors import CannotRun
from skdiff.base.paths import command
from skdiff.campaign.messages import Finding, Total
from skdiff.cases.case_file import Case
from skdiff.cases.outcome import ENDED_NAMES, RETURNED
from skdiff.cases.steps import Step, parting
from skdiff.comparison.compare import Mismatch
from skdiff.comparison.mismatch_text import describe_case, outcomes_table, shell_path
from skdiff.comparison.referee import SIDES, Referee, Verdict, describe_origin
from skdiff.findings import drawing
from skdiff.findings.explain import Parting, Tracing, side_by_side, story
from skdiff.findings.triage import WIDTH, Described, sort_by_cause
from skdiff.kernel.build import Build
from skdiff.kernel.call_graph import merged
from skdiff.kernel.text_changes import Change
from skdiff.kernel.unseen import SHOWN, Unseen
from skdiff.oracles.guarded import Guarded
from skdiff.oracles.interface import Oracle
from skdiff.variants import version_rules


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


def titles(found: Sequence[str]) -> list[str]:
    """Rules and options as they are in B, for people: "reselect in B only (Linux 6.6, 9c02bec95954)"."""
    return [
        f"{w.removeprefix('no-')} in {'A' if w.startswith('no-') else 'B'} only ({describe_origin(w)})" for w in found
    ]


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


CAUSES = 5  # changed functions are named beside one that did not change, if there are no more
UNTOLD = Verdict(("?",), ())  # of a finding that could not be traced


@dataclass
class Group:
    """Findings with one cause: `words` are the rules and options, as they are in B, or none for no known rule;
    `unlike` the sides that are not as their models, `function` where they part from them.
    """

    words: tuple[str, ...]
    unlike: tuple[str, ...]
    function: str
    alike: bool
    findings: list[Finding]

    @property
    def title(self) -> str:
        """The group in a line."""
        if self.unlike == UNTOLD.unlike:
            return "not sorted by cause"
        if not self.unlike:
            return titles(self.words)[0] if len(self.words) == 1 else f"{' and '.join(self.words)} at once"
        if self.words:
            origin = describe_origin(self.words[0])
            return f"as if {', '.join(self.words)} ({origin}) in {self.unlike[-1]}, not by its text"
        where = f"in {self.function}()" if self.function else "in no step that shows"
        if self.alike:
            return f"not a difference, but neither as a model says, {where}"
        return f"no known rule, {where}: {' and '.join(self.unlike)} unlike its model"

    def data(self) -> dict[str, Any]:
        """The same for programs."""
        rules = [{"rule": word, "origin": describe_origin(word)} for word in self.words]
        more = {"unlike": list(self.unlike), "alike": self.alike, "function": self.function}
        return {"rules": rules, **more, "findings": [finding.data() for finding in self.findings]}


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
        verdict = found.verdict if found is not None else UNTOLD
        words, function = verdict.words, ""
        if verdict.unlike:
            words = () if verdict.alike else tuple(w for w in verdict.words if w in common)[:1]
            function = found.parted.function if found is not None and not words else ""
        group = Group(words, verdict.unlike, function, verdict.alike, [])
        groups.setdefault(group.title, group).findings.append(finding)
    return sorted(groups.values(), key=lambda g: (bool(g.unlike), g.alike, len(g.words)))


def summary(
    builds: Sequence[Build], changed: Sequence[Change], total: Total, seed: int, groups: Sequence[Group]
) -> dict[str, Any]:
    """A run of `diff` as data; `differ` tells whether the kernels do."""
    return {
        "kernels": {side: {**build.data(), "notes": build.notes} for side, build in zip(SIDES, builds, strict=True)},
        "text": [change._asdict() for change in changed],
        "seed": seed,
        "cases": total.cases,
        "seconds": round(total.seconds, 3),
        "groups": [group.data() for group in groups],
        "differ": any(not group.alike for group in groups),
        "unwritten": [finding.data() for finding in total.unwritten],
        "gave_up": total.gave_up,
    }


def show(
    console: Console,
    result: Mapping[str, Any],
    groups: Sequence[Group],
    referee: Referee,
    left: Unseen | None = None,
) -> None:
    """Print the end of a run: each group with its findings, what no outcome tells of, what was left unseen, and what
    that is worth.
    """

    def line(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    line(f"A and B: {result['cases']:,} cases in {result['seconds']:.1f} s, seed {result['seed']}")
    for lost in result["unwritten"]:
        line(f"{lost['count']:,} x {lost['signature']}: not written ({lost['why']}); this is its case:\n{lost['case']}")
    if result["gave_up"]:
        line(f"ended early: {result['gave_up']}")
    texts = [change["name"] for change in result["text"] if change["kind"] in ("function", "macro") and change["after"]]
    for group in groups:
        below = group.unlike and not group.words and not group.alike and group.function not in texts
        line(group.title + (f" (what changed: {', '.join(texts)})" if below and 0 < len(texts) <= CAUSES else ""))
        for finding in group.findings:
            line(f"{finding.count:8,} x {finding.signature}: {finding.file}")
    shown = {word for group in groups for word in group.words}
    for word in referee.differing:
        if word not in shown:
            silent = word.removeprefix("no-") in version_rules.SILENT
            why = "no outcome can show it" if silent else "no case showed it"
            line(f"{titles([word])[0]}: {why}")
    for side, kernel in result["kernels"].items():
        for note in kernel["notes"]:
            line(f"note on {side}: {note}")
    for rule in result["missing_rules"]:  # some are never seen by an outcome
        line(f"B lacks the rule {rule} of A ({version_rules.origin(rule)}), which a kernel of its version should have")
    for text in left.lines_for_people() if left is not None else ():
        line(text)
    if result["differ"] or result["missing_rules"]:
        return
    scores = result.get("mutants", {})
    of_these, of_all = (scores.get(of, {"mutants": 0, "seen": 0, "survivors": ()}) for of in ("changed", "all"))
    alive = [text for text in of_these["survivors"] if text.startswith(SIDES[1])]
    for text in alive[:SHOWN]:
        line(f"a mutant that the corpus does not tell apart, in {text}")
    if len(alive) > SHOWN:
        line(f"and {len(alive) - SHOWN} more")
    both = (
        f"{of_these['seen']:,} of {of_these['mutants']:,} mutants of the changed functions of both sides are told apart"
    )
    worth = (both,) if of_these["mutants"] else ()
    line((left if left is not None else Unseen()).verdict(f"no difference in {result['cases']:,} cases", *worth))
    if of_all["mutants"]:
        line(f"{of_all['seen']:,} of {of_all['mutants']:,} mutants of all functions are told apart by the corpus")
