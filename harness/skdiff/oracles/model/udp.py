"""The road of a datagram: udp_rcv() of net/ipv4/udp.c, udpv6_rcv() of net/ipv6/udp.c, and their lookups."""

from collections.abc import Iterable

from skdiff.cases.addresses import ANY, halves
from skdiff.cases.scenario import DEMUX, NONE, TCP_ESTABLISHED
from skdiff.oracles.model import udp_moving
from skdiff.oracles.model.early_demux import early_demux, is_for_group
from skdiff.oracles.model.hash4 import udp_lib_lookup4
from skdiff.oracles.model.reuseport import inet_lookup_reuseport, reuseport_has_conns
from skdiff.oracles.model.score import compute_score
from skdiff.oracles.model.sk_lookup import ask_programs
from skdiff.oracles.model.state import DROP, State
from skdiff.oracles.model.steal import inet_steal_sock, skb_steal_sock
from skdiff.oracles.model.udp_tables import Slots

_IPV4_BROADCAST = 0xFFFFFFFF


def udp_rcv(state: State) -> int:
    """udp_rcv(), __udp4_lib_rcv(), and those of IPv6: a socket on the sk_buff first, perhaps by early demux, and an
    error there ends the lookup; else the tables.

    A datagram to a multicast or broadcast address goes to all sockets that want it, which is not looked at.
    """
    if state.scenario.caller == DEMUX and state.skb_sk == NONE:
        early_demux(state)
    if state.rules.reselect:
        chosen = inet_steal_sock(state)
        state.note(state.functions.steal_sock, chosen)
    else:
        chosen = skb_steal_sock(state)
    if chosen != NONE:
        return NONE if chosen == DROP else chosen
    if _is_for_many(state):
        state.via.append("delivery")
        return NONE
    state.note(state.functions.iif, state.dif)
    chosen = udp_lib_lookup(state)
    state.note(state.functions.lookup_skb, chosen)
    return chosen


def _is_for_many(state: State) -> bool:
    return is_for_group(state) or (state.daddr == _IPV4_BROADCAST and not state.ipv6)


def udp_lib_lookup(state: State) -> int:
    """__udp4_lib_lookup(), __udp6_lib_lookup(): no reference is taken, and an error finds nobody."""
    chosen = _search(state)
    chosen = NONE if chosen == DROP else chosen
    state.note(state.functions.lookup, chosen)
    return chosen


def _search(state: State) -> int:
    """A connected socket of this very connection first (hash4), if the kernel has that table: nothing else is asked
    then. Else who is bound to the packet's address; if that is a connected one, it is the answer. Then programs of
    sk_lookup: what they say, a drop too, takes the place of what was found, be it a drop of a group. Then what was
    found, and else who is on the wildcard. If that gave nobody, or a drop, the fallback.
    """
    chosen = udp_lib_lookup4(state)
    if chosen != NONE:
        return chosen
    exact = udp_lib_lookup2(state, state.daddr, "exact")
    if exact not in (NONE, DROP) and state.socks[exact].state == TCP_ESTABLISHED:
        return exact
    if state.scenario.sk_lookup_enabled:
        found = len(state.via)
        chosen = ask_programs(state, state.rules.udp_sk_lookup_always)
        if chosen != NONE:
            del state.via[:found]
            return chosen
    if exact != NONE:
        return exact
    chosen = udp_lib_lookup2(state, ANY, "wildcard")
    if chosen in (NONE, DROP) and state.rules.lookup1:
        chosen = udp_lib_lookup1(state)
    return chosen


def udp_lib_lookup2(state: State, daddr: int, via: str) -> int:
    """udp4_lib_lookup2(), udp6_lib_lookup2(): the best socket bound to `daddr`; of equals, the one met first."""
    chosen, trace = _best(state, daddr)
    if chosen != NONE:
        state.via[:] = [via, *trace]
    state.note(state.functions.walk, *(halves(daddr) if state.ipv6 else (daddr,)), chosen)
    return chosen


def _best(state: State, daddr: int) -> tuple[int, list[str]]:
    """Each time a socket is the best so far it is the answer as it is, if it is connected; or else its group is asked,
    for which it stands if that has no say. What the group says ends the walk, unless a member of it has been connected
    (has_conns): then it is the answer so far, even a drop, or a member that the packet does not fit. It counts as much
    as the better of the two scores, the asked socket's and its own; a drop, as much as the asked socket.
    """
    chosen, best = NONE, -1 if state.ipv6 else 0
    trace: list[str] = []
    for index in _chain(state, daddr):
        score = _scored(state, index)
        if score <= best:
            continue
        best, sock = score, state.socks[index]
        state.via.clear()
        if sock.state == TCP_ESTABLISHED:
            chosen, trace = index, ["connected"]
            continue
        member = inet_lookup_reuseport(state, index, daddr)
        chosen, trace = (index if member == NONE else member), state.via[:]
        if member == NONE:
            continue
        if not reuseport_has_conns(state, index):
            break
        trace = [*trace, "has_conns"]
        if member != DROP and _is_on(state, member, daddr):
            best = max(best, _scored(state, member))
    return chosen, trace


def _scored(state: State, index: int) -> int:
    score = compute_score(state, state.socks[index])
    state.note(state.functions.score, index, score)
    return score


def _is_on(state: State, index: int, daddr: int) -> bool:
    """Whether what a group chose is on the address that is searched for, and on the packet's port, as who was asked is.
    Who is not in UDP's tables has no port there.
    """
    if state.schedule is not None:
        return udp_moving.is_on(state, state.schedule, index, daddr)
    return index in state.udp_tables.bound[state.place, daddr, state.packet.dport]


def _chain(state: State, daddr: int) -> Iterable[int]:
    if state.schedule is not None:
        return udp_moving.bound(state, state.schedule, daddr)
    if state.foreign:
        return []
    key = (state.place, daddr, state.packet.dport)
    tables = state.udp_tables
    if key not in tables.odd:
        return tables.bound.get(key, [])
    # Whoever is odd has an address: it is the packet's that is looked for.
    slots = Slots(state.scenario, tables, state.rules.udp_pernet)
    return slots.chain(key, slots.searched(state.packet.daddr, state.packet.netns))


def _chain_of_port(state: State) -> Iterable[int]:
    if state.schedule is not None:
        return udp_moving.by_port(state, state.schedule)
    key = (state.place, state.daddr, state.packet.dport)
    return () if state.foreign else state.udp_tables.bound.get(key, ())


def udp_lib_lookup1(state: State) -> int:
    """udp4_lib_lookup1(), udp6_lib_lookup1(): of all sockets on the packet's address, wherever hash2 has them, the
    best; groups are not asked. Somebody must score: a plain socket of IPv6, which has 0, is not found.
    """
    chosen, best = NONE, 0
    for index in _chain_of_port(state):
        score = _scored(state, index)
        if score > best:
            chosen, best = index, score
    if chosen != NONE:
        state.via[:] = ["fallback"]
    state.note(state.functions.fallback, chosen)
    return chosen
