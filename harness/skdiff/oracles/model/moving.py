"""The walks of TCP's lookup over chains that change meanwhile (net/ipv4/inet_hashtables.c, and IPv6's)."""

from collections.abc import Iterator

from skdiff.cases.addresses import ipv4_view, is_ipv6, mapped
from skdiff.cases.scenario import AF_INET6, AT_LINK, AT_NODE, EHASH, NONE
from skdiff.oracles.model.chains import Links, Slot, SlotOf
from skdiff.oracles.model.device import inet_sk_bound_dev_eq
from skdiff.oracles.model.events import Schedule
from skdiff.oracles.model.references import refcount_inc_not_zero, sock_gen_put
from skdiff.oracles.model.state import State, Stuck


def walk(schedule: Schedule, chains: Links[SlotOf], slot: SlotOf) -> Iterator[int]:
    """hlist_nulls_for_each_entry_rcu(): each socket that is met, and at last the end mark as its complement. The
    link of a socket is read when it was looked at. It ends: who comes into a chain
    leads to those that were there, and events are few.
    """
    at = NONE
    while True:
        schedule.visit(AT_LINK, at)
        at = chains.head(slot) if at == NONE else chains.next[at]
        schedule.visit(AT_NODE, at)
        yield at
        if at < 0:
            return


def inet_lookup_established(state: State, schedule: Schedule) -> int:
    """__inet_lookup_established(): the socket of this very connection, with a reference.

    A match that has no reference left ends the search. One that is no longer in a chain, or no match any more, when it
    has the reference is put back, and the walk starts anew; so it does if the chain's end is another one's.
    """
    table = state.netns.own_hashinfo ^ int(state.foreign)
    slot = schedule.chains.connected(table)
    before: list[int] = []
    while True:
        found = _walk_established(state, schedule, slot)
        if found is not None:
            return found
        if schedule.left == before:  # nobody has come nearer to an event: each walk is like the last
            raise Stuck
        before = [*schedule.left]


def _walk_established(state: State, schedule: Schedule, slot: Slot) -> int | None:
    """None to start anew."""
    for index in walk(schedule, schedule.chains, slot):
        if index < 0 or not schedule.chains.is_hashed_as(index, state.socks[index], state.ipv6):
            continue
        if not inet_match(state, index):
            continue
        if not refcount_inc_not_zero(state, index):
            return NONE
        unhashed = not schedule.is_hashed(index) or state.socks[index].no_pprev
        if (unhashed and state.rules.unhashed_check) or not inet_match(state, index):
            sock_gen_put(state, index)
            return None
        state.via.append("established")
        return index
    return NONE if ~index == slot[2] else None


def inet_match(state: State, index: int) -> bool:
    """Namespace, both ends and device. Who listens by now has no other end."""
    sock, packet = state.socks[index], state.packet
    if (sock.dport, sock.num) != (packet.sport, packet.dport) or sock.hashed != EHASH:
        return False
    if state.config.net_ns and sock.netns != packet.netns:
        return False
    if state.ipv6:
        ends = sock.family == AF_INET6 and (sock.daddr, sock.rcv_saddr) == (state.saddr, state.daddr)
    else:
        ends = (ipv4_view(sock.daddr), ipv4_view(sock.rcv_saddr)) == (state.saddr, state.daddr)
    if not ends:
        return False
    fits = inet_sk_bound_dev_eq(state, sock)
    state.note(state.functions.match, index, int(fits))
    return fits


def listeners(state: State, schedule: Schedule, daddr: int) -> Iterator[int]:
    """inet_lhash2_lookup(): who is met that listens on this address and the packet's port."""
    packet = state.packet
    table = state.netns.own_hashinfo ^ int(state.foreign)
    address = daddr if state.ipv6 else mapped(daddr)
    slot = schedule.chains.listening(table, address, packet.dport, packet.netns)
    for index in walk(schedule, schedule.chains, slot):
        if index < 0:
            continue
        sock = state.socks[index]
        if sock.num != packet.dport or (state.config.net_ns and sock.netns != packet.netns):
            continue
        if state.ipv6:
            fits = sock.family == AF_INET6 and sock.rcv_saddr == daddr
        else:
            fits = ipv4_view(sock.rcv_saddr) == daddr and not (state.config.ipv6 and is_ipv6(sock.rcv_saddr))
        if fits:
            yield index
