"""Step 2: the established table (net/ipv4/inet_hashtables.c __inet_lookup_established(), and IPv6's)."""

from collections.abc import Sequence

from skdiff.cases.scenario import NONE
from skdiff.oracles.model import moving
from skdiff.oracles.model.device import inet_sk_bound_dev_eq
from skdiff.oracles.model.references import refcount_inc_not_zero
from skdiff.oracles.model.state import State, Stuck


def inet_lookup_established(state: State) -> int:
    """__inet_lookup_established(), __inet6_lookup_established(): the socket of this very connection, with a reference.

    It has the packet's two addresses, two ports and namespace, and its device fits (inet_match()). Of several, the one
    hashed last is met first. If that one is dying (no reference left) the search is over: no other is tried. A chain
    whose end mark is not its own, or a match that is marked as unhashed though it stays in its chain, sends the walk
    back to the start, each time. Where others write meanwhile the chains are walked as they are (see `moving.py`).
    """
    if state.schedule is not None:
        return moving.inet_lookup_established(state, state.schedule)
    packet, checked = state.packet, state.rules.unhashed_check
    connection = (state.place, state.saddr, state.daddr, packet.sport, packet.dport)
    index = _first_match(state, state.tables.connections.get(connection, ()))
    if index == NONE:
        if state.scenario.ehash_nulls_xor:
            raise Stuck
        return NONE
    if not refcount_inc_not_zero(state, index):
        return NONE
    if state.socks[index].no_pprev and checked:
        raise Stuck
    _look_again(state, index)
    state.via.append("established")
    return index


def _look_again(state: State, index: int) -> None:
    """inet_match() a second time, now that the socket is held; another connection's has nothing to note."""
    inet_sk_bound_dev_eq(state, state.socks[index])
    state.note(state.functions.match, index, 1)


def _first_match(state: State, chain: Sequence[int]) -> int:
    for index in chain:
        fits = inet_sk_bound_dev_eq(state, state.socks[index])
        state.note(state.functions.match, index, int(fits))
        if fits:
            return index
    return NONE
