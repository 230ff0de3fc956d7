"""Step 2: the established table (net/ipv4/inet_hashtables.c __inet_lookup_established(), and IPv6's)."""

from collections.abc import Sequence

from skdiff.cases.scenario import INT_MAX, LEAVES, NONE, REFCOUNT_SATURATED, REUSED
from skdiff.oracles.model.device import inet_sk_bound_dev_eq
from skdiff.oracles.model.state import State, Stuck


def inet_lookup_established(state: State) -> int:
    """__inet_lookup_established(), __inet6_lookup_established(): the socket of this very connection, with a reference.

    It has the packet's two addresses, two ports and namespace, and its device fits (inet_match()). Of several, the one
    hashed last is met first. If that one is dying (no reference left) the search is over: no other is tried. One that
    left the table, or became another connection's, before it had the reference is put back, and the search starts
    anew without it. A chain whose end mark is not its own, or a match that is marked as unhashed though it stays in its
    chain, sends the walk back to the start, each time. Without the rule `unhashed_check` nobody sees that a match left.
    """
    packet, checked = state.packet, state.rules.unhashed_check
    connection = (state.place, state.saddr, state.daddr, packet.sport, packet.dport)
    chain = state.tables.connections.get(connection, ())
    while (index := _first_match(state, chain)) != NONE:
        if not _take_reference(state, index):
            return NONE
        sock = state.socks[index]
        if sock.no_pprev and checked:
            raise Stuck
        left = sock.race == REUSED or (sock.race == LEAVES and checked)
        if not left:
            _look_again(state, index)
            state.via.append("established")
            return index
        sock_gen_put(state, index)
        chain = [other for other in chain if other != index]
    if state.scenario.ehash_nulls_xor:
        raise Stuck
    return NONE


def _take_reference(state: State, index: int) -> bool:
    """A reference to a match, if it has one left. Meanwhile another CPU may take it out of the table, whose own
    reference goes with it.
    """
    taken = refcount_inc_not_zero(state, index)
    if taken and state.socks[index].race == LEAVES and state.refcnt[index] != REFCOUNT_SATURATED:
        state.refcnt[index] -= 1
    state.note("refcount_inc_not_zero", int(taken), state.refcnt[index])
    return taken


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


def refcount_inc_not_zero(state: State, index: int) -> bool:
    """include/linux/refcount.h: takes a reference unless there is none left. A count that would overflow, or has, is
    pinned for good: the object leaks, with a warning, and is never freed.
    """
    count = state.refcnt[index]
    if not count:
        return False
    if count >= INT_MAX:
        state.refcnt[index] = REFCOUNT_SATURATED
        state.warn("refcount_warn_saturate", "refcount_t: saturated; leaking memory")
    else:
        state.refcnt[index] = count + 1
    return True


def sock_gen_put(state: State, index: int) -> None:
    """sock_gen_put(): gives a reference back; whose last one it was is freed, and a request's listener is not known any
    more. A pinned count stays pinned, with a warning.
    """
    if state.refcnt[index] == REFCOUNT_SATURATED:
        state.warn("refcount_warn_saturate", "refcount_t: underflow; use-after-free")
    else:
        state.refcnt[index] -= 1
        if not state.refcnt[index]:
            state.freed |= 1 << index
            state.listener[index] = NONE
    state.note("sock_gen_put", index, state.refcnt[index])
