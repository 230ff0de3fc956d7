"""Step 3: the listeners (net/ipv4/inet_hashtables.c, and IPv6's)."""

from collections.abc import Iterable

from skdiff.cases.addresses import ANY, halves
from skdiff.cases.scenario import NONE
from skdiff.oracles.model import moving
from skdiff.oracles.model.reuseport import inet_lookup_reuseport
from skdiff.oracles.model.score import compute_score
from skdiff.oracles.model.sk_lookup import ask_programs
from skdiff.oracles.model.state import State


def inet_lookup_listener(state: State) -> int:
    """__inet_lookup_listener(), inet6_lookup_listener(): sk_lookup programs, then listeners on the packet's address,
    then on the wildcard.

    The programs are asked where any is attached (a static key), and only for TCP's own tables unless the rule
    `sk_lookup_always` holds. Each step's answer is final, a drop as much as a socket. No reference is taken.
    """
    if state.scenario.sk_lookup_enabled:
        chosen = ask_programs(state, state.rules.sk_lookup_always)
        if chosen != NONE:
            return chosen
    chosen = inet_lhash2_lookup(state, state.daddr, "exact listener")
    if chosen == NONE:
        chosen = inet_lhash2_lookup(state, ANY, "wildcard listener")
    return chosen


def inet_lhash2_lookup(state: State, daddr: int, via: str) -> int:
    """inet_lhash2_lookup(), inet6_lhash2_lookup(): the best listener bound to `daddr`; of equals, the one met first.

    Each time a listener is the best so far its group is asked, and the group's answer ends the search there, though a
    better listener may follow.
    """
    chosen = _best_listener(state, daddr, via)
    state.note(state.functions.walk, *(halves(daddr) if state.ipv6 else (daddr,)), chosen)
    return chosen


def _listeners(state: State, daddr: int) -> Iterable[int]:
    if state.schedule is not None:
        return moving.listeners(state, state.schedule, daddr)
    return state.tables.listeners.get((state.place, daddr, state.packet.dport), ())


def _best_listener(state: State, daddr: int, via: str) -> int:
    best, best_score = NONE, 0
    for index in _listeners(state, daddr):
        score = compute_score(state, state.socks[index])
        state.note(state.functions.score, index, score)
        if score > best_score:
            state.via.append(via)
            member = inet_lookup_reuseport(state, index, daddr)
            if member != NONE:
                return member
            state.via.pop()
            best, best_score = index, score
    if best != NONE:
        state.via.append(via)
    return best
