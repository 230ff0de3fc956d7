"""Step 2: the established table, then the listeners (net/ipv4/inet_hashtables.c)."""

from collections.abc import Sequence

from harness.config import Config
from harness.model.reuseport import inet_lookup_reuseport
from harness.model.sk_lookup import inet_lookup_run_sk_lookup
from harness.model.state import ONE, State, Stuck
from harness.scenario import (
    AF_INET,
    AF_INET6,
    EHASH,
    HASH_WRONG,
    INT_MAX,
    LEAVES,
    LHASH2,
    NONE,
    REFCOUNT_SATURATED,
    STAYS,
    Sock,
)

INADDR_ANY = 0


def inet_lookup_established(state: State) -> int:
    """__inet_lookup_established(): the socket of this very connection, with a reference.

    It has the packet's two addresses, two ports and namespace, and its device fits (inet_match()). Of several, the one
    hashed last is met first. If that one is dying (no reference left) the search is over: no other is tried. One that
    left the table, or became another connection's, before it had the reference is put back, and the search starts
    anew without it. A chain whose end mark is not its own, or a match that is marked as unhashed though it stays in its
    chain, sends the walk back to the start, each time. Without the rule `unhashed_check` nobody sees that a match left.
    """
    packet, checked = state.packet, state.rules.unhashed_check
    connection = (state.place, packet.saddr, packet.daddr, packet.sport, packet.dport)
    chain = state.tables.connections.get(connection, ())
    while (index := _first_match(state, chain)) != NONE:
        sock = state.socks[index]
        taken = refcount_inc_not_zero(state, index)
        if taken and sock.race == LEAVES and state.refcnt[index] != REFCOUNT_SATURATED:
            state.refcnt[index] -= 1  # the table's own reference
        state.note("refcount_inc_not_zero", int(taken), state.refcnt[index])
        if not taken:
            return NONE
        if sock.no_pprev and checked:
            raise Stuck
        if sock.race == STAYS or (sock.race == LEAVES and not checked):
            _look_again(state, index)
            state.via.append("established")
            return index
        sock_gen_put(state, index)
        chain = [other for other in chain if other != index]
    if state.scenario.ehash_nulls_xor:
        raise Stuck
    return NONE


def _look_again(state: State, index: int) -> None:
    """inet_match() a second time, now that the socket is held; another connection's has nothing to note."""
    inet_sk_bound_dev_eq(state, state.socks[index])
    state.note("inet_match", index, 1)


def _first_match(state: State, chain: Sequence[int]) -> int:
    for index in chain:
        fits = inet_sk_bound_dev_eq(state, state.socks[index])
        state.note("inet_match", index, int(fits))
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
        state.warn("refcount_warn_saturate")
    else:
        state.refcnt[index] = count + 1
    return True


def sock_gen_put(state: State, index: int) -> None:
    """sock_gen_put(): gives a reference back; whose last one it was is freed. A pinned count stays pinned."""
    if state.refcnt[index] != REFCOUNT_SATURATED:
        state.refcnt[index] -= 1
        state.freed |= (not state.refcnt[index]) << index
    state.note("sock_gen_put", index, state.refcnt[index])


def inet_lookup_listener(state: State) -> int:
    """__inet_lookup_listener(): sk_lookup programs, then listeners on the packet's address, then on the wildcard.

    The programs are asked where any is attached (a static key), and only for TCP's own tables unless the rule
    `sk_lookup_always` holds. Each step's answer is final, a drop as much as a socket. No reference is taken.
    """
    rules = state.rules
    if state.scenario.sk_lookup_enabled:
        chosen = NONE
        if rules.sk_lookup_always or not state.foreign:
            chosen = inet_lookup_run_sk_lookup(state)
            if rules.shared_sk_lookup:
                state.note("inet_lookup_run_sk_lookup", chosen)
        if not rules.shared_sk_lookup:
            state.note("inet_lookup_run_bpf", chosen)
        if chosen != NONE:
            return chosen
    chosen = inet_lhash2_lookup(state, state.packet.daddr, "exact listener")
    state.note("inet_lhash2_lookup", state.packet.daddr, chosen)
    if chosen == NONE:
        chosen = inet_lhash2_lookup(state, INADDR_ANY, "wildcard listener")
        state.note("inet_lhash2_lookup", INADDR_ANY, chosen)
    return chosen


def inet_lhash2_lookup(state: State, daddr: int, via: str) -> int:
    """inet_lhash2_lookup(): the best listener bound to `daddr`; of equals, the one met first.

    Each time a listener is the best so far its group is asked, and the group's answer ends the search there, though a
    better listener may follow.
    """
    best, best_score = NONE, 0
    packet = state.packet
    for index in state.tables.listeners.get((state.place, daddr, packet.dport), ()):
        score = compute_score(state, state.socks[index])
        state.note("compute_score", index, score)
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


def compute_score(state: State, sock: Sock) -> int:
    """compute_score(): 0 for a listener that may not have the packet, else the better, the more it asked for.

    Of those with the packet's namespace, port and address: the socket must accept IPv4 (without CONFIG_IPV6 all are
    taken to), and its device must fit. Then 1, and 1 more for each: bound to a device, AF_INET rather than AF_INET6,
    SO_INCOMING_CPU set to this CPU.
    """
    if (sock.ipv6only and state.config.ipv6) or not inet_sk_bound_dev_eq(state, sock):
        return 0
    return 1 + bool(sock.bound_dev_if) + (sock.family == AF_INET) + (sock.incoming_cpu == state.cpu)


def inet_sk_bound_dev_eq(state: State, sock: Sock) -> bool:
    """include/net/inet_sock.h inet_bound_dev_eq(): a bound socket wants the packet's device, or the one that it came in
    by below an L3 master (`sdif`). An unbound one takes all, but packets of an L3 domain only if
    tcp_l3mdev_accept, which is as good as on without CONFIG_NET_L3_MASTER_DEV.
    """
    bound, sdif = sock.bound_dev_if, state.packet.sdif
    accept = bool(state.netns.tcp_l3mdev_accept) or not state.config.l3mdev
    fits = bound in (state.dif, sdif) if bound else not sdif or accept
    state.note("inet_bound_dev_eq", bound, int(fits))
    return fits


class Tables:
    """Who can be found by what, in the order in which the kernel meets them.

    `connections`: (netns, daddr, rcv_saddr, dport, num) of a socket in ehash; `listeners`: (netns, rcv_saddr, num) of
    one in lhash2; each gives indices of sockets, first met first. The kernel's buckets hold others as well: they match
    nothing, and are not met here. Nor does it matter which namespaces share their tables.
    """

    def __init__(self, socks: tuple[Sock, ...], config: Config) -> None:
        self.socks = socks
        connections: dict[tuple[int, ...], list[int]] = {}
        heads: dict[tuple[int, ...], list[int]] = {}
        tails: dict[tuple[int, ...], list[int]] = {}
        for index, sock in enumerate(socks):
            netns = sock.netns if config.net_ns else ONE
            if sock.hashed == EHASH:
                # inet_ehash_insert(): at the head of its chain. The kernel compares hashes before all else.
                if sock.hash_kind != HASH_WRONG:
                    connection = (netns, sock.daddr, sock.rcv_saddr, sock.dport, sock.num)
                    connections.setdefault(connection, []).append(index)
            elif sock.hashed == LHASH2:
                # __inet_hash(): at the head as well, but for AF_INET6 listeners with SO_REUSEPORT: at the tail, behind
                # all others, so that AF_INET is met before them; this side is only there with CONFIG_IPV6.
                side = tails if config.ipv6 and sock.family == AF_INET6 and sock.reuseport else heads
                side.setdefault((netns, sock.rcv_saddr, sock.num), []).append(index)
        self.connections = {key: indices[::-1] for key, indices in connections.items()}
        self.listeners = {key: indices[::-1] for key, indices in heads.items()}
        for key, indices in tails.items():
            self.listeners.setdefault(key, []).extend(indices)
