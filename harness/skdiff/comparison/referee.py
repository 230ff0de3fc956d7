"""Kernel against kernel: two references side by side, and the model of each one's rules as their referee."""

from collections.abc import Sequence
from typing import NamedTuple

from skdiff.base.errors import CannotRun
from skdiff.cases.fields import LOOKUPS
from skdiff.cases.outcome import COMPARED, Outcome
from skdiff.cases.scenario import Scenario
from skdiff.comparison.compare import Mismatch, compare
from skdiff.comparison.interface import Judge
from skdiff.kernel.build import Build
from skdiff.oracles.model import Model
from skdiff.variants import config, version_rules
from skdiff.variants.requirements import WORDS, with_one_changed

SIDES = ("A", "B")


class Verdict(NamedTuple):
    """What a referee says of a case. `unlike` are the sides that do not do what the model of their rules does.

    If all do, `words` are the fewest rules and options that make A's outcome into B's when they are turned over in the
    model of A, each as it is in B ("reselect", "no-IPV6"). If one does not, `words` are those of which one alone,
    turned over, would make its model do as it does. `alike`: the kernels do the same, but not what their models do.
    """

    unlike: tuple[str, ...]
    words: tuple[str, ...]
    alike: bool = False

    def __str__(self) -> str:
        """In one word, for a signature."""
        if not self.unlike:
            return "+".join(self.words)
        hint = f"-as-{'-or-'.join(self.words)}" if self.words else ""
        return f"{'alike-' if self.alike else ''}{'+'.join(self.unlike)}-unlike-its-model{hint}"


class Referee:
    """Judges the outcomes of A, of B, and of the models of both (or of the one that serves for both)."""

    def __init__(self, a: Build, b: Build) -> None:
        self.builds = (a, b)
        models = models_of(self.builds)
        self.names = (
            *(f"{side}: Linux {build.label}" for side, build in zip(SIDES, self.builds, strict=True)),
            *(("model",) if len(models) == 1 else (f"model of {side}" for side in SIDES)),
        )
        needs = [[with_one_changed(word, build.rules, build.config)[0] for word in WORDS] for build in self.builds]
        # The rules and options that are not the same on both sides, each as B has it.
        self.differing = tuple(theirs for ours, theirs in zip(*needs, strict=True) if ours != theirs)
        self._turned: dict[tuple[str, ...], Model] = {}

    def __call__(self, scenario: Scenario, outcomes: Sequence[Outcome]) -> Mismatch | None:
        """The mismatch of a case about which the kernels differ, or one of them and its model; None for no such."""
        verdict = self.verdict(scenario, outcomes)
        if verdict is None:
            return None
        differ = compare(self.names[:2], outcomes[:2]) or compare(self.names, outcomes)
        assert differ is not None
        return Mismatch(self.names, tuple(outcomes), differ.fields, str(verdict), verdict.alike)

    def verdict(self, scenario: Scenario, outcomes: Sequence[Outcome]) -> Verdict | None:
        """Why the outcomes of A, B and the models of both differ, None if there is nothing to tell."""
        kernels, models = [o[:COMPARED] for o in outcomes[:2]], [o[:COMPARED] for o in outcomes[2:]]
        theirs = (models[0], models[-1])
        unlike = tuple(side for side, k, m in zip(SIDES, kernels, theirs, strict=True) if k != m)
        alike = kernels[0] == kernels[1]
        if not unlike:
            return None if alike else Verdict((), self._between(scenario, outcomes[1]))
        side = SIDES.index(unlike[-1])
        return Verdict(unlike, self._hints(scenario, side, outcomes[side]), alike)

    def turned(self, side: int, *words: str) -> Model:
        """The model of a side with these words as they are given: a rule or option, no- for off."""
        key = (SIDES[side], *words)
        if key not in self._turned:
            rules, options = self.builds[side].rules, self.builds[side].config
            for word in words:
                need, other_rules, other_options = with_one_changed(word.removeprefix("no-"), rules, options)
                if need != word:
                    rules, options = other_rules, other_options
            self._turned[key] = Model(rules, options)
        return self._turned[key]

    def _between(self, scenario: Scenario, wanted: Outcome) -> tuple[str, ...]:
        """The fewest words that make A's outcome into B's: one, or what is left when none of them can go. Of several
        that will do, the older rules are taken.
        """

        def enough(*words: str) -> bool:
            return self.turned(0, *words).run(scenario)[:COMPARED] == wanted[:COMPARED]

        for word in self.differing:
            if enough(word):
                return (word,)
        words = self.differing
        for word in reversed(self.differing):
            fewer = tuple(w for w in words if w != word)
            words = fewer if enough(*fewer) else words
        return words

    def _hints(self, scenario: Scenario, side: int, wanted: Outcome) -> tuple[str, ...]:
        """The words of which each alone would make a side's model do as the side does."""
        build = self.builds[side]
        words = [opposite(with_one_changed(word, build.rules, build.config)[0]) for word in WORDS]
        return tuple(w for w in words if self.turned(side, w).run(scenario)[:COMPARED] == wanted[:COMPARED])


def opposite(word: str) -> str:
    """The same rule or option the other way."""
    return word.removeprefix("no-") if word.startswith("no-") else f"no-{word}"


def models_of(builds: Sequence[Build], kind: type[Model] = Model) -> list[Model]:
    """The model of each build, one for all that have the same rules and configuration; of the `kind` that is given."""
    return [kind(rules, options) for rules, options in dict.fromkeys((build.rules, build.config) for build in builds)]


def lookups_of(builds: Sequence[Build], wanted: Sequence[str] = ()) -> tuple[str, ...]:
    """The lookups that all of these builds have, or those of them that are wanted. Raises CannotRun for one that a
    build has not.
    """
    for build in builds:
        for name in wanted:
            if name not in build.lookups:
                has = ", ".join(build.lookups)
                raise CannotRun(
                    f"--lookup {name}: Linux {build.label} has no such lookup as it is built here, only {has}"
                )
    return tuple(wanted) or tuple(name for name in LOOKUPS.values() if all(name in build.lookups for build in builds))


def judge_of(builds: Sequence[Build]) -> Judge:
    """What judges the outcomes of these builds, and then of `models_of` them: one has to agree with its model."""
    if len(builds) > 1:
        return Referee(*builds)
    names = (f"Linux {builds[0].label}", Model.name)
    return lambda _, outcomes: compare(names, outcomes)


def label_of(builds: Sequence[Build]) -> str:
    """The labels of builds, for people."""
    return " and ".join(build.label for build in builds)


def closure_of(builds: Sequence[Build]) -> str:
    """The hashes (hex) of their closures."""
    return " ".join(build.closure for build in builds)


def describe_origin(word: str) -> str:
    """Where a rule comes from, as `version_rules.origin` says it; for an option, its name in the kernel."""
    name = word.removeprefix("no-")
    if name in version_rules.NAMES:
        return version_rules.origin(name)
    [option] = [o for o in config.OPTIONS if o.name.upper() == name]
    return " or ".join(f"CONFIG_{kernel}" for kernel in option.metadata["kernel"])
