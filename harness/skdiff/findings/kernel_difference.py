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
from skdiff.cases.steps import Step
from skdiff.comparison.causes import parted
from skdiff.comparison.compare import Mismatch
from skdiff.comparison.mismatch_text import describe_case, outcomes_table
from skdiff.comparison.parting import Parting
from skdiff.comparison.referee import SIDES, Referee, Verdict, describe_origin
from skdiff.findings import drawing
from skdiff.findings.diff_summary import UNTOLD, Group, Origin, titles
from skdiff.findings.explain import Tracing, side_by_side
from skdiff.findings.listed import ways_in_words
from skdiff.findings.story import story
from skdiff.findings.triage import WIDTH, Described, can_reach, functions_of, sort_by_cause
from skdiff.kernel.build import Build
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
        """What the difference is called, on its own: see `names_of_causes`."""
        return names_of_causes([self])[0]

    @property
    def what(self) -> str:
        """Whose difference it is, as the end of a name: of B ("-B"), of both ("-AB"), and whether they do the same."""
        return f"-{''.join(self.verdict.unlike)}{'-alike' if self.verdict.alike else ''}"

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
        console.print(f"\nThe sides part in {self.parted.function}():", markup=False)
        console.print(side_by_side(self.parted, self.case))
        console.print()
        console.print(outcomes_table(self.mismatch, self.case))

    def report(self, again: str, path: Path, name: str = "", ways: str = "") -> str:
        """The text for the file beside the case at `path`; `again` is the command that shows it again, `name` what the
        finding is called, and `ways` says in a line how all of its cases show it.
        """
        out = StringIO()
        console = Console(file=out, width=WIDTH, color_system=None, highlight=False)
        console.print(f"DIFFERENCE {name or self.name}", markup=False, soft_wrap=True)
        if ways:
            console.print(ways, markup=False, soft_wrap=True)
        for side, build in zip(SIDES, self.builds, strict=True):
            console.print(f"{side}: {describe_side(build)}", markup=False, soft_wrap=True)
        console.print()
        self.show(console)
        console.print(f"\nagain: {command()} {again} {shell_path(path)}", markup=False, soft_wrap=True)
        return out.getvalue()


def describe_side(build: Build) -> str:
    """One side in a line."""
    return f"{build.title}, closure {build.closure[:16]}" if build.has_text and not build.running else build.title


def names_of_causes(differences: Sequence[Difference]) -> list[str]:
    """What the causes of the differences of a run are called: "reselect+no-IPV6" for the rules and options behind it;
    where no known rule is, the kernel function and whose it is: "compute_score-B". A rule that explains all of these,
    though the text does not say so, is their cause: "as-reselect-B".
    """
    odd = [one.verdict for one in differences if one.verdict.unlike and not one.verdict.alike]
    common = [word for word in odd[0].words if all(word in verdict.words for verdict in odd)][:1] if odd else []

    functions = functions_of([one.parted.suspects for one in differences])

    def name(one: Difference, function: str) -> str:
        if not one.verdict.unlike:
            return "+".join(one.verdict.words)
        hint = [] if one.verdict.alike else common
        return (f"as-{hint[0]}" if hint else function) + one.what

    return [name(one, function) for one, function in zip(differences, functions, strict=True)]


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
    where = parted(scenario, outcomes, verdict, steps, kernels, referee)
    return Difference(case, referee.builds, verdict, mismatch, where, steps)


UNTRACED = Verdict((UNTOLD,), ())  # of a finding that could not be traced


def group_by_cause(
    mismatches: Sequence[Finding],
    make: Callable[[], tuple[Build, Build]],
    again: str,
    folder: Path,
    say: Callable[[str], None],
    asked: Sequence[Tracing] = (),
) -> list[Group]:
    """The findings of a run by the rules behind them, each told in its folder; single rules first, then what needs
    several at once, then what no rule explains. Never raises CannotRun: what cannot be told is a group of its own.
    The kernels are those that `make` builds, or `asked`, if there are some.
    """
    known: dict[str, Difference] = {}

    try:
        with ExitStack() as stack:
            builds = make()
            referee = Referee(*builds)
            kernels = asked or [stack.enter_context(Guarded(build)) for build in builds]

            def tell(case: Case) -> Described[Difference] | None:
                found = difference(case, kernels, referee)
                if found is None:
                    return None

                def text(name: str, ways: dict[str, int], path: Path) -> str:
                    return found.report(again, path, name, ways_in_words(ways))

                both = [drawing.Side(*side) for side in zip(SIDES, found.steps, strict=True)]
                reachable = all(can_reach(case, build.rules, build.config) for build in builds)
                return Described(found.parted.suspects, "", found.mismatch.way, found, reachable, text, both)

            def names(shown: Sequence[Described[Difference]]) -> Sequence[str]:
                return names_of_causes([one.told for one in shown])

            left, best = sort_by_cause(mismatches, tell, names, folder)
            known = {name: described.told for name, described in best.items()}
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
            # One that is named by its function has cases that no rule explains, though this one may be as with one.
            step = found.parted.function if found is not None else ""
            by_function = step and finding.signature.startswith(step)
            words = () if verdict.alike or by_function else tuple(w for w in verdict.words if w in common)[:1]
            if found is not None and step and not words:
                function = finding.signature.removesuffix(found.what)
        rules = tuple(Origin(word, describe_origin(word)) for word in words)
        group = Group(rules=rules, unlike=verdict.unlike, alike=verdict.alike, function=function, findings=[])
        groups.setdefault(group.title, group).findings.append(finding)
    return sorted(groups.values(), key=_place)


def _place(group: Group) -> tuple[bool, bool, bool, int]:
    """Where a group stands in a list: what is no difference last, before it what no system can reach; then single
    rules, what needs several at once, and what no rule explains.
    """
    reachable = any(finding.reachable for finding in group.findings)
    return group.alike, not reachable, bool(group.unlike), len(group.rules)
