"""UDP's connected sockets by both ends: hash4, from Linux 6.13 on (rule `hash4`)."""

from skdiff.cases.addresses import ipv4_view, is_ipv6, is_mapped, low_word
from skdiff.cases.scenario import AF_INET6, NONE, Sock
from skdiff.oracles.model.device import inet_sk_bound_dev_eq
from skdiff.oracles.model.hashing import inet6_ehashfn, inet_ehashfn
from skdiff.oracles.model.moving import walk
from skdiff.oracles.model.score import peer_of
from skdiff.oracles.model.state import State, Stuck
from skdiff.oracles.model.udp_events import UdpSchedule
from skdiff.oracles.model.udp_tables import Slots


def udp_lib_lookup4(state: State) -> int:
    """udp4_lib_lookup4(), udp6_lib_lookup4(): the socket of this very connection. Of several, the one connected last,
    whatever else it asked for; its device must fit as TCP's must (inet_match()).

    It is asked only if somebody in hash4 has the slot of hash2 in which the packet's address is looked for. A chain
    whose end mark is not its own sends the walk back to the start, each time.
    """
    if not state.rules.hash4 or state.config.base_small:
        return NONE
    if state.schedule is not None:
        return _lookup_meanwhile(state, state.schedule)
    candidates = [] if state.foreign else [i for i in state.udp_tables.connected if _is_in_chain(state, i)]
    if not (candidates or state.scenario.ehash_nulls_xor) or not _is_asked(state):
        return NONE
    for index in candidates:
        if inet_match(state, index):
            state.via.append("connected")
            state.note(state.functions.connected, index)
            return index
    if state.scenario.ehash_nulls_xor:
        raise Stuck
    return NONE


def _lookup_meanwhile(state: State, schedule: UdpSchedule) -> int:
    """The same where others write: a walk that ends in another chain begins anew."""
    tables = schedule.tables
    asked = tables.packet_address_slot(state.packet.daddr, bool(state.foreign))
    slot = tables.packet_connection_slot(bool(state.foreign))
    if not tables.counts.get(asked):
        return NONE
    before: list[int] = []
    met = walk(schedule, tables.hash4, slot)
    while True:
        index = next(met)
        if index < 0:
            if ~index == slot[1]:
                return NONE
            if schedule.left == before:  # nobody has come nearer to an event: each walk is like the last
                raise Stuck
            before = [*schedule.left]
            met = walk(schedule, tables.hash4, slot)
        elif inet_match(state, index):
            state.via.append("connected")
            state.note(state.functions.connected, index)
            return index


def inet_match(state: State, index: int) -> bool:
    """include/net/inet_hashtables.h inet_match(), inet6_match(): namespace, both ends, and a device as TCP wants it."""
    if not _has_connection(state, index):
        return False
    fits = inet_sk_bound_dev_eq(state, state.socks[index])
    state.note(state.functions.match, index, int(fits))
    return fits


def _has_connection(state: State, index: int) -> bool:
    sock, packet = state.socks[index], state.packet
    if state.config.net_ns and sock.netns != packet.netns:
        return False
    if (sock.dport, sock.num) != (packet.sport, packet.dport):
        return False
    if state.ipv6:
        return sock.family == AF_INET6 and (sock.daddr, sock.rcv_saddr) == (state.saddr, state.daddr)
    return (peer_of(sock, ipv6=False), ipv4_view(sock.rcv_saddr)) == (state.saddr, state.daddr)


def _is_in_chain(state: State, index: int) -> bool:
    """Whether a socket with the packet's connection is where that is looked for: if both have IPv4's hash, or both
    IPv6's; or else by chance.
    """
    if not _has_connection(state, index):
        return False
    sock = state.socks[index]
    if _has_ipv6_hash(state, sock) == state.ipv6:
        return True
    packet, mask = state.packet, state.scenario.udp_size - 1
    theirs = (packet.daddr, packet.dport, packet.saddr, packet.sport)
    ours = (sock.rcv_saddr, sock.num, sock.daddr, sock.dport)
    of_packet = _hash6(state, *theirs) if state.ipv6 else _hash4(state, *theirs)
    of_sock = _hash4(state, *ours) if state.ipv6 else _hash6(state, *ours)
    return of_packet & mask == of_sock & mask


def _has_ipv6_hash(state: State, sock: Sock) -> bool:
    """net/ipv6/udp.c udp6_hash4()."""
    return state.config.ipv6 and sock.family == AF_INET6 and not is_mapped(sock.rcv_saddr)


def _hash4(state: State, laddr: int, lport: int, faddr: int, fport: int) -> int:
    """udp_ehashfn(), of addresses of 128 bits."""
    key = state.scenario.hash_secret + state.netns.hash_mix
    peer = 0 if is_ipv6(faddr) else low_word(faddr)
    return inet_ehashfn(key, low_word(laddr), lport, peer, fport, lport_added=False)


def _hash6(state: State, laddr: int, lport: int, faddr: int, fport: int) -> int:
    """udp6_ehashfn()."""
    case = state.scenario
    key = case.hash_secret + state.netns.hash_mix
    return inet6_ehashfn(key, case.hash_secret6, laddr, lport, faddr, fport, lport_added=False)


def _is_asked(state: State) -> bool:
    """udp_has_hash4(): whether the slot of hash2 counts somebody in hash4, of whichever namespace."""
    packet = state.packet
    slots = Slots(state.scenario, state.udp_tables, state.rules.udp_pernet)
    table = slots.table_of(packet.netns) ^ bool(state.foreign)
    searched = slots.searched(packet.daddr, packet.netns)
    return any(
        slots.table_of(slots.netns_of(i)) == table and slots.own(i) == searched for i in state.udp_tables.connected
    )
