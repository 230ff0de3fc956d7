"""The running kernel against the model, and against the kernel's text: what of an Outcome it shows is compared, which
is the socket and what programs were shown.
"""

from collections.abc import Callable, Iterator, Sequence
from random import Random

from skdiff.cases.outcome import ABSENT, RETURNED, UNSEEN, UNSEEN_SHOWN, Outcome
from skdiff.cases.scenario import IPV6_LOOKUPS, TCP4, Scenario
from skdiff.comparison.compare import Mismatch
from skdiff.comparison.interface import Judge
from skdiff.oracles.model import Model

_TRIES = 200
_MOST_SLOTS = 1 << 16
_MASK = 0xFFFFFFFF


class JudgeWithHost:
    """Judges the outcomes of the running kernel, first, and of others that `judge` judges; the last one is the model's.

    Some of what decides is not known of the running kernel: the secrets that it hashes IPv6 packets with, which a group
    chooses by; and each namespace's hash_mix and the size of its tables, by which sockets of UDP share a chain, whose
    first one early demux takes. Where the sockets are not the same, the running kernel's will do if the model gives it
    with some such values; `by_chance` counts these cases. The key of IPv4's hash, which is the sum of its secret and
    hash_mix, is known and stays. A kernel of a guest that died of a case has `said` its last words.
    """

    def __init__(
        self,
        host: str,
        judge: Judge,
        names: Sequence[str],
        model: Model,
        said: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self.host, self.by_chance = host, 0
        self._said = said
        self._judge, self._names, self._model = judge, (host, *names), model

    def __call__(self, scenario: Scenario, outcomes: Sequence[Outcome]) -> Mismatch | None:
        """The mismatch of a case, None if there is none, or if it could not be brought about."""
        host, *others = outcomes
        found = self._judge(scenario, others)
        if host.ended not in (RETURNED, ABSENT):
            said = tuple(self._said())
            return Mismatch(self._names, tuple(outcomes), ("ended",), half_seen=self._names[:1], said=said)
        if found is not None or host.ended == ABSENT or agrees(host, others[-1]):
            return found
        if any(agrees(host, self._model.run(other)) for other in _with_other_hashes(scenario)):
            self.by_chance += 1
            return None
        fields = ("sk",) if host.sk != others[-1].sk else ("shown",)
        return Mismatch(self._names, tuple(outcomes), fields, half_seen=self._names[:1])


def agrees(host: Outcome, other: Outcome) -> bool:
    """Whether another outcome has the running kernel's socket, and programs were shown the same in both, as far as they
    can see it.
    """
    if host.sk != other.sk:
        return False
    if host.shown == other.shown or host.shown == UNSEEN_SHOWN:
        return True
    if len(host.shown) != len(other.shown):
        return False
    for seen, run in zip(host.shown, other.shown, strict=True):  # a loop: two of three cases come by
        if seen != run:
            if len(seen) != len(run):
                return False
            for one, two in zip(seen, run, strict=True):
                if one != two and one != UNSEEN:
                    return False
    return True


def _with_other_hashes(scenario: Scenario) -> Iterator[Scenario]:
    """The scenario with other values of what is not known of the running kernel; none where that decides nothing."""
    if scenario.lookup == TCP4:
        return
    draw: Callable[[int], int] = Random(0).getrandbits
    for _ in range(_TRIES):
        mix = draw(32)
        netns = tuple(net._replace(hash_mix=net.hash_mix + mix & _MASK) for net in scenario.netns)
        other = scenario._replace(netns=netns, udp_size=_MOST_SLOTS, hash_secret=scenario.hash_secret - mix & _MASK)
        if scenario.lookup in IPV6_LOOKUPS:
            other = other._replace(hash_secret=draw(32), hash_secret6=draw(32))
        yield other
