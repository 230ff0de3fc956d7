"""The running kernel against the model, and against the kernel's text: what of an Outcome it shows is compared."""

from collections.abc import Callable, Sequence
from random import Random

from skdiff.cases.outcome import ABSENT, Outcome
from skdiff.cases.scenario import IPV6_LOOKUPS, Scenario
from skdiff.comparison.compare import Mismatch
from skdiff.comparison.interface import Judge
from skdiff.oracles.model import Model

_BY_HASH = "group by hash"
_SECRETS = 200  # with 16 members the share that one secret hides is 15/16: all of these hide one in 400,000


class JudgeWithHost:
    """Judges the outcomes of the running kernel, first, and of others that `judge` judges; the last one is the model's.

    Of IPv6 packets the running kernel's secrets are not known. Where a group chose by hash, any member will do that the
    model gives with some secret; `by_chance` counts these cases.
    """

    def __init__(self, host: str, judge: Judge, names: Sequence[str], model: Model) -> None:
        self.host, self.by_chance = host, 0
        self._judge, self._names, self._model = judge, (host, *names), model

    def __call__(self, scenario: Scenario, outcomes: Sequence[Outcome]) -> Mismatch | None:
        """The mismatch of a case, None if there is none, or if it could not be brought about."""
        host, *others = outcomes
        found = self._judge(scenario, others)
        if found is not None or host.ended == ABSENT or host.sk == others[-1].sk:
            return found
        if scenario.lookup in IPV6_LOOKUPS and _BY_HASH in others[-1].via and self._with_some_secret(scenario, host.sk):
            self.by_chance += 1
            return None
        return Mismatch(self._names, tuple(outcomes), ("sk",), half_seen=self._names[:1])

    def _with_some_secret(self, scenario: Scenario, wanted: int) -> bool:
        draw: Callable[[int], int] = Random(0).getrandbits
        run = self._model.run
        return any(
            run(scenario._replace(hash_secret=draw(32), hash_secret6=draw(32))).sk == wanted for _ in range(_SECRETS)
        )
