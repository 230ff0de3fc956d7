"""Where a hash chose among the members of a reuseport group: how much of the hash's range each of them has."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from skdiff.base.words import share
from skdiff.cases.outcome import RETURNED, Outcome
from skdiff.cases.scenario import FILTER, NONE, Group, Scenario
from skdiff.cases.steps import Step
from skdiff.comparison.compare import Mismatch, compare
from skdiff.oracles.interface import Oracle
from skdiff.oracles.model import Model
from skdiff.oracles.model.hashing import reciprocal_scale

HASHES = 1 << 32  # net/ipv4/inet_hashtables.c inet_ehashfn(), net/ipv4/udp.c udp_ehashfn(): 32 bits


@dataclass(frozen=True)
class Chance:
    """Who gets the packet (a socket's index, or NONE) for how many of the HASHES, the greatest part first; `parted` is
    how kernel and model differ for another hash than the case's own, None if they agree about all.
    """

    shares: tuple[tuple[int, int], ...]
    parted: Mismatch | None = None


def is_by_hash(steps: Sequence[Step]) -> bool:
    """Whether a hash chose: include/linux/kernel.h reciprocal_scale() was asked for one of several members."""
    return any(step.function == "reciprocal_scale" and step.values[1] > 1 for step in steps)


def chance(scenario: Scenario, kernel: Oracle, model: Model) -> Chance | None:
    """Who gets the packet of a valid scenario for which part of the hash's range, by the kernel; None if no hash chose,
    or if one number does not say it all: then nothing is exact.

    A lookup hashes the packet once: a search in which a group was asked finds somebody, so that the next search, for
    another address, does not come. The hash is one of 32 bits, and net/core/sock_reuseport.c
    reuseport_select_sock_by_hash() asks for reciprocal_scale(hash, members) alone. So the range falls into pieces, in
    each of which every group points to the same member, and one hash of a piece stands for all. Scores, SO_INCOMING_CPU
    and connected members count as they do in the lookup, as each piece is run.
    """
    steps = model.trace(scenario)
    hashes = {step.values[0] for step in steps if step.function == "reciprocal_scale"}
    if not is_by_hash(steps) or len(hashes) != 1:
        return None
    [own] = hashes
    pieces = sorted({0, HASHES, *(edge for group in scenario.groups for edge in _edges(group.num_socks))})
    counts: dict[int, int] = {}
    parted = None
    for first, behind in pairwise(pieces):
        turned = pointed(scenario, own, first)
        outcomes = [kernel.run(turned), model.run(turned)]
        if _hashes(model.trace(turned)) - hashes or outcomes[0].ended != RETURNED:
            return None
        parted = parted or compare([kernel.name, model.name], outcomes)
        sk = _winner(outcomes[0])
        counts[sk] = counts.get(sk, 0) + behind - first
    return Chance(tuple(sorted(counts.items(), key=lambda found: -found[1])), parted)


def _winner(outcome: Outcome) -> int:
    return max(outcome.sk, NONE)


def _hashes(steps: Sequence[Step]) -> set[int]:
    return {step.values[0] for step in steps if step.function == "reciprocal_scale"}


def _edges(members: int) -> list[int]:
    """The first hash that points to each member of a group of so many but the first."""
    return [-(-k * HASHES // members) for k in range(1, members)]


def pointed(scenario: Scenario, own: int, wanted: int) -> Scenario:
    """The scenario, of whose packet the hash is `own`, as if it were `wanted`: the live slots of each group are turned,
    so that the hash points to the member to which the other one would, and the circle from there on is the same. What a
    filter returns is turned along. No other part of a lookup looks at the slots.
    """
    return scenario._replace(groups=tuple(_turned(group, own, wanted) for group in scenario.groups))


def _turned(group: Group, own: int, wanted: int) -> Group:
    members = group.num_socks
    if members < 2:
        return group
    by = reciprocal_scale(wanted, members) - reciprocal_scale(own, members)
    live = tuple(group.slots[(at + by) % members] for at in range(members))
    returns = group.returns
    if group.prog == FILTER and returns < members:
        returns = (returns - by) % members
    return group._replace(slots=live + group.slots[members:], returns=returns)


def chance_text(found: Chance, scenario: Scenario, names: Sequence[str], what: str) -> list[str]:
    """The lines for a reader; `names` are those of the sockets, `what` is "connection" or "datagram"."""
    secret = f"{scenario.hash_secret:#x}"
    if len(found.shares) == 1:
        [(sk, _)] = found.shares
        return [
            f"a hash was asked, but it does not matter here: whatever it is, {winner_name(sk, names)} gets the packet."
        ]
    width = max(len(winner_name(sk, names)) for sk, _ in found.shares)
    return [
        f"the hash of the {what} chose. Its secret is random at each boot (this case has {secret}), so after another"
        " boot it may choose another. All hashes are equally likely, and give the packet to",
        *(f"  {winner_name(sk, names):<{width}} {share(count, HASHES):>8}" for sk, count in found.shares),
    ]


def winner_name(sk: int, names: Sequence[str]) -> str:
    """The name of who gets a packet, "nobody" for none."""
    return names[sk] if sk >= 0 else "nobody"
