"""Early demux of UDP: a socket for a packet before it has its route (udp_v4_early_demux(), udp_v6_early_demux())."""

from collections.abc import Iterable

from skdiff.cases.addresses import ipv4_view
from skdiff.cases.scenario import EFREE, NONE, PACKET_HOST, PACKET_MULTICAST, PFREE, TCP_ESTABLISHED
from skdiff.oracles.model import udp_moving
from skdiff.oracles.model.device import udp_sk_bound_dev_eq
from skdiff.oracles.model.hash4 import inet_match
from skdiff.oracles.model.references import refcount_inc_not_zero
from skdiff.oracles.model.score import peer_of
from skdiff.oracles.model.state import State
from skdiff.oracles.model.udp_tables import Slots

_HEADER = 8  # bytes: include/uapi/linux/udp.h struct udphdr
_CROWD = 10  # more sockets in a slot of hash than that are too many to look through


def early_demux(state: State) -> None:
    """udp_v4_early_demux(), udp_v6_early_demux(): attaches a socket to the sk_buff, if just this one can be meant.

    The packet must have its header, which is pulled if need be. With the rule `demux_pfree` the socket comes without a
    reference, as those that BPF assigned. Its device is the sk_buff's (skb->dev).
    """
    if not _pull_header(state):
        return
    dif, state.dif = state.dif, state.packet.skb_iif
    chosen = _demux(state)
    state.dif = dif
    if chosen == NONE:
        return
    if state.rules.demux_pfree:
        state.destructor = PFREE
    else:
        if not refcount_inc_not_zero(state, chosen):
            return
        state.destructor = EFREE
    state.skb_sk = chosen
    state.via.append("early demux")


def _pull_header(state: State) -> bool:
    """include/linux/skbuff.h pskb_may_pull()."""
    packet = state.packet
    missing = _HEADER - (packet.len - state.data_len)
    if packet.len < _HEADER or (missing > 0 and packet.pull_fails):
        return False
    state.data_len -= max(missing, 0)
    return True


def _demux(state: State) -> int:
    if state.packet.pkt_type == PACKET_HOST:
        chosen = demux_lookup(state)
        state.note(state.functions.demux, chosen)
        return chosen
    # net/ipv4/igmp.c ip_check_mc_rcu(): a device is in groups alone.
    if state.packet.pkt_type == PACKET_MULTICAST and not state.ipv6 and is_for_group(state):
        chosen = mcast_demux_lookup(state)
        state.note(state.functions.mcast_demux, chosen)
        return chosen
    return NONE


def is_for_group(state: State) -> bool:
    """include/linux/in.h ipv4_is_multicast(), include/net/ipv6.h ipv6_addr_is_multicast(), of the packet's address."""
    return state.daddr >> 120 == 0xFF if state.ipv6 else state.daddr >> 28 == 0xE


def demux_lookup(state: State) -> int:
    """__udp4_lib_demux_lookup(), __udp6_lib_demux_lookup(): only the first socket of the slot of hash2 is looked at,
    whoever that is: it must have this very connection, and of IPv6 be connected.
    """
    for index in _first(state):
        connected = not state.ipv6 or state.socks[index].state == TCP_ESTABLISHED
        if connected and inet_match(state, index):
            return index
    return NONE


def _first(state: State) -> Iterable[int]:
    packet = state.packet
    if state.schedule is not None:
        return udp_moving.first(state, state.schedule)
    slots = Slots(state.scenario, state.udp_tables, state.rules.udp_pernet)
    return slots.everybody(slots.searched(packet.daddr, packet.netns), packet.netns)[:1]


def mcast_demux_lookup(state: State) -> int:
    """__udp4_lib_mcast_demux_lookup(): the only socket that wants the packet. Nobody if there are two, or if too many
    sockets are in the slot of its port.
    """
    if _crowd(state) > _CROWD:
        return NONE
    found = NONE
    for index in _on_port(state):
        if _wants(state, index):
            if found != NONE:
                return NONE
            found = index
    return found


def _crowd(state: State) -> int:
    if state.schedule is not None:
        return udp_moving.crowd(state.schedule)
    return Slots(state.scenario, state.udp_tables, state.rules.udp_pernet).crowd(state.packet.netns)


def _on_port(state: State) -> Iterable[int]:
    if state.schedule is not None:
        return udp_moving.on_port(state, state.schedule)
    return state.udp_tables.ports.get((state.place, state.packet.dport), ())


def _wants(state: State, index: int) -> bool:
    """__udp_is_mcast_sock(): on the packet's address or on none, of its peer or of any, by its device, not ipv6only,
    and in its group.
    """
    sock, packet = state.socks[index], state.packet
    peer, address = peer_of(sock, ipv6=False), ipv4_view(sock.rcv_saddr)
    if (peer and peer != state.saddr) or (sock.dport and sock.dport != packet.sport):
        return False
    if (address and address != state.daddr) or (sock.ipv6only and state.config.ipv6):
        return False
    return udp_sk_bound_dev_eq(state, sock) and not sock.mc_refuses
