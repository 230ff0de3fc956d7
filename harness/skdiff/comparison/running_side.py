"""A running kernel as a side of a comparison of two: what it shows, and all else as the model of its rules has it."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

from skdiff.cases.outcome import ABSENT, Outcome
from skdiff.cases.scenario import FOREIGN, Scenario
from skdiff.cases.steps import Step
from skdiff.comparison.compare import Mismatch
from skdiff.comparison.interface import Judge
from skdiff.comparison.referee import Referee
from skdiff.comparison.running_kernel import JudgeWithHost
from skdiff.kernel.build import Build
from skdiff.oracles.model import Model

OF_THE_OTHER = "the other kernel can bring about another case only"


class Asked(Protocol):
    """A running kernel: oracles/running/host.py Host."""

    refusal: str

    @property
    def nearest(self) -> Callable[[Scenario], Scenario]:
        """Makes scenarios that it can bring about."""
        ...

    def run(self, scenario: Scenario) -> Outcome:
        """The outcome of one of these."""
        ...

    def told(self) -> list[str]:
        """What it leaves out."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class RunningSide:
    """An oracle, and one that can tell steps. A case has hash secrets of its own and each kernel others, so a kernel is
    asked about the case with its own, and compared with what the model of its rules makes of that: if it does the
    same, its outcome is what the model makes of the case. So a choice by hash is no difference, but another hash
    function is. Steps are the model's. `refused` counts cases that were not asked, which are ABSENT.
    """

    def __init__(self, host: Asked, build: Build, name: str) -> None:
        self.host, self.build, self.name = host, build, name
        self.refused: Counter[str] = Counter()
        self._model = Model(build.rules, build.config)
        self._judge = JudgeWithHost(name, lambda _, outcomes: None, (Model.name,), self._model)

    def run(self, scenario: Scenario) -> Outcome:
        """The outcome of a scenario that `common` has made."""
        asked = self.host.nearest(scenario)
        if without_keys(asked) != without_keys(scenario):
            return self._absent(OF_THE_OTHER)
        outcome = self.host.run(asked)
        if outcome.ended == ABSENT:
            return self._absent(self.host.refusal)
        as_model = self._model.run(scenario)
        mismatch = self._judge(asked, [outcome, self._model.run(asked)])
        if mismatch is None:
            return as_model
        seen = as_model._replace(**{name: getattr(outcome, name) for name in mismatch.fields})
        # What differs with its own secrets may be what the model says with those of the case.
        return seen if seen != as_model else as_model._replace(sk=FOREIGN)

    def trace(self, scenario: Scenario) -> list[Step]:
        """The steps of the model of its rules."""
        return self._model.trace(scenario)

    def told(self) -> list[str]:
        """What it says of itself, a line each."""
        return [f"{self.name}: {line}" for line in self.host.told()]

    def _absent(self, why: str) -> Outcome:
        self.refused[why] += 1
        return Outcome(ended=ABSENT)


def without_keys(scenario: Scenario) -> Scenario:
    """The scenario without what no two running kernels have in common."""
    netns = tuple(net._replace(hash_mix=0) for net in scenario.netns)
    return scenario._replace(hash_secret=0, hash_secret6=0, udp_size=0, netns=netns)


def common(sides: Sequence[RunningSide]) -> Callable[[Scenario], Scenario]:
    """Makes scenarios that all of these kernels can bring about, if they are able to do the same."""

    def mend(scenario: Scenario) -> Scenario:
        for side in sides:
            scenario = side.host.nearest(scenario)
        return scenario

    return mend


def judge_of_sides(builds: Sequence[Build]) -> Judge:
    """The referee of two kernels, who has nothing to say where one of them was not asked."""
    referee = Referee(builds[0], builds[1])

    def judge(scenario: Scenario, outcomes: Sequence[Outcome]) -> Mismatch | None:
        return None if any(outcome.ended == ABSENT for outcome in outcomes) else referee(scenario, outcomes)

    return judge
