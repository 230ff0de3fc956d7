"""Step 3: the listeners, and the score that chooses among them (net/ipv4/inet_hashtables.c, and IPv6's)."""

from skdiff.cases.addresses import ANY, halves
from skdiff.cases.scenario import AF_INET, NONE, Sock
from skdiff.oracles.model.device import inet_sk_bound_dev_eq
from skdiff.oracles.model.reuseport import inet_lookup_reuseport
from skdiff.oracles.model.sk_lookup import inet_lookup_run_sk_lookup
from skdiff.oracles.model.state import State


def inet_lookup_listener(state: State) -> int:
    """__inet_lookup_listener(), inet6_lookup_listener(): sk_lookup programs, then listeners on the packet's address,
    then on the wildcard.

    The programs are asked where any is attached (a static key), and only for TCP's own tables unless the rule
    `sk_lookup_always` holds. Each step's answer is final, a drop as much as a socket. No reference is taken.
    """
    rules = state.rules
    if state.scenario.sk_lookup_enabled:
        chosen = NONE
        if rules.sk_lookup_always or not state.foreign:
            chosen = inet_lookup_run_sk_lookup(state)
            if rules.shared_sk_lookup:
                state.note(state.functions.run_sk_lookup, chosen)
        if not rules.shared_sk_lookup:
            state.note(state.functions.run_bpf, chosen)
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
    state.note(state.functions.lhash2, *(halves(daddr) if state.ipv6 else (daddr,)), chosen)
    return chosen


def _best_listener(state: State, daddr: int, via: str) -> int:
    best, best_score = NONE, 0
    packet = state.packet
    for index in state.tables.listeners.get((state.place, daddr, packet.dport), ()):
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


def compute_score(state: State, sock: Sock) -> int:
    """compute_score(): 0 for a listener that may not have the packet, else the better, the more it asked for.

    Of those with the packet's namespace, port and address: the socket must accept IPv4 if the packet is of it (without
    CONFIG_IPV6 all are taken to), and its device must fit. Then 1, and 1 more for each: bound to a device, AF_INET
    rather than AF_INET6, SO_INCOMING_CPU set to this CPU. A lookup of IPv6 has AF_INET6 sockets only.
    """
    if (sock.ipv6only and state.config.ipv6 and not state.ipv6) or not inet_sk_bound_dev_eq(state, sock):
        return 0
    return 1 + bool(sock.bound_dev_if) + (sock.family == AF_INET) + (sock.incoming_cpu == state.cpu)
