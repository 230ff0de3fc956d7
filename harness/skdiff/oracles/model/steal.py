"""Step 1: the socket that already hangs on the sk_buff (skb_steal_sock(), inet_steal_sock(), inet6_steal_sock())."""

from skdiff.cases.scenario import DESTRUCTOR_NONE, IPPROTO_TCP, IPPROTO_UDP, NONE, PFREE, TCP_CLOSE, TCP_LISTEN
from skdiff.oracles.model.reuseport import inet_lookup_reuseport
from skdiff.oracles.model.state import State


def inet_steal_sock(state: State) -> int:
    """include/net/inet_hashtables.h inet_steal_sock(), and inet6_steal_sock().

    A listener that BPF assigned (TCP in LISTEN, UDP in CLOSE) stands for its SO_REUSEPORT group: the group chooses
    anew, with the packet's own address in the hash. Its choice, or its error, takes the listener's place. That choice
    is never refcounted, so a listener that is refcounted all the same gets a warning.
    """
    assigned = state.destructor == PFREE
    index = skb_steal_sock(state)
    if index == NONE:
        return NONE
    sock = state.socks[index]
    if not assigned:
        return index
    listening = {IPPROTO_TCP: TCP_LISTEN, IPPROTO_UDP: TCP_CLOSE}.get(sock.protocol)
    if sock.state != listening:
        return index
    chosen = inet_lookup_reuseport(state, index, state.daddr)
    if chosen == NONE:
        return index
    state.via.append("re-selected")
    if state.refcounted:
        state.warn(state.functions.steal_sock)
    return chosen


def skb_steal_sock(state: State) -> int:
    """include/net/request_sock.h skb_steal_sock(), in sock.h before 6.9: who owns the socket from now on.

    - Not assigned by BPF (the destructor tells): the sk_buff held a reference, and the caller takes it over.
    - Assigned: sockets that are freed by RCU, which only full ones are, come without a reference, all others with one.
    - Assigned, and a request whose SYN cookie BPF has validated (with the rule `syncookie`, and CONFIG_SYN_COOKIES):
      the caller gets the request's listener, without a reference. The request loses its listener and stays on the
      sk_buff, which is the caller's to free.
    """
    index = state.skb_sk
    state.refcounted = 0
    if index == NONE:
        state.note("skb_steal_sock", NONE, 0)
        return NONE
    sock = state.socks[index]
    assigned = state.destructor == PFREE
    if assigned and sock.syncookie and state.rules.syncookie and state.config.syn_cookies:
        owner, state.listener[index] = state.listener[index], NONE
    else:
        owner = index
        state.skb_sk, state.destructor = NONE, DESTRUCTOR_NONE
        state.refcounted = int(not (assigned and sock.rcu_free))
        if assigned:
            state.note("sk_is_refcounted", index, state.refcounted)
    state.note("skb_steal_sock", owner, state.refcounted)
    if owner != NONE:
        state.via.append("stolen")
    return owner
