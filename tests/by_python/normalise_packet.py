"""A drawn packet as a system can receive one: the part of `normalise.py` that is about the packet alone."""

from skdiff.cases.addresses import other_family
from skdiff.cases.derived import LOOPBACK_IFINDEX, is_routed, pkt_type_of
from skdiff.cases.pools import HERE, MANY, MANY6, PEER
from skdiff.cases.reachable import MOST_BYTES, PLAIN
from skdiff.cases.scenario import DEMUX, HELPER, IPV6_LOOKUPS, NONE, PACKET_HOST, PACKET_MULTICAST, UDP_LOOKUPS
from tests.by_python.places import (
    P_CLONE_FAILS,
    P_DADDR,
    P_DATA_LEN,
    P_DOFF,
    P_LEN,
    P_PKT_TYPE,
    P_PULL_FAILS,
    P_RT_IIF,
    P_SADDR,
    P_SDIF,
    P_SK,
    P_SKB_IIF,
    P_USERS,
)

_A_DEVICE = 2  # the first that is not lo


def reachable_packet(packet: list[int], lookup: int, caller: int) -> None:
    """Let the packet of a lookup be one that a system can receive: whole, unshared, and come in as a real one."""
    packet[P_USERS], packet[P_CLONE_FAILS], packet[P_PULL_FAILS] = 1, 0, 0
    udp = lookup in UDP_LOOKUPS
    if (
        caller == DEMUX
        and packet[P_PKT_TYPE] == PACKET_MULTICAST
        and pkt_type_of(lookup, packet[P_DADDR]) == PACKET_HOST
    ):
        packet[P_DADDR] = MANY6 if lookup in IPV6_LOOKUPS else MANY
    come_in(packet, lookup, caller)
    if caller == HELPER:
        packet[P_LEN], packet[P_DATA_LEN] = PLAIN.len, PLAIN.data_len
        packet[P_DOFF] = packet[P_DOFF] if udp else PLAIN.doff
        return
    if not udp:
        packet[P_DOFF] = max(packet[P_DOFF] & ~3, 20)
    doff = packet[P_DOFF]
    if not doff <= packet[P_LEN] <= MOST_BYTES:
        packet[P_LEN] = 60
    pulls = caller == DEMUX and packet[P_SK] == NONE
    if packet[P_DATA_LEN] > packet[P_LEN] - (0 if pulls else doff):
        packet[P_DATA_LEN] = 0


def come_in(packet: list[int], lookup: int, caller: int) -> None:
    """Let the packet of a lookup have devices and addresses with which a real one comes in."""
    rt_iif, skb_iif, sdif = packet[P_RT_IIF], packet[P_SKB_IIF], packet[P_SDIF]
    if caller == HELPER:
        packet[P_RT_IIF], packet[P_SKB_IIF] = 0, max(skb_iif, 0)
        packet[P_SDIF], packet[P_PKT_TYPE] = sdif if sdif > LOOPBACK_IFINDEX else 0, PACKET_HOST
        return
    if skb_iif <= 0:
        skb_iif = LOOPBACK_IFINDEX
    if rt_iif < 0:
        rt_iif = 0
    if sdif <= LOOPBACK_IFINDEX:
        sdif = 0
        if rt_iif:
            skb_iif = LOOPBACK_IFINDEX
    else:
        if skb_iif == LOOPBACK_IFINDEX:
            skb_iif = _A_DEVICE
        if rt_iif:
            sdif = skb_iif
    packet[P_RT_IIF], packet[P_SKB_IIF], packet[P_SDIF] = rt_iif, skb_iif, sdif
    peer, here = (other_family(PEER), other_family(HERE)) if lookup in IPV6_LOOKUPS else (PEER, HERE)
    udp = lookup in UDP_LOOKUPS
    if udp and caller != DEMUX and packet[P_SK] == NONE and pkt_type_of(lookup, packet[P_DADDR]) != PACKET_HOST:
        packet[P_DADDR] = here
    if skb_iif != (sdif or LOOPBACK_IFINDEX) and not is_routed(lookup, packet[P_SADDR], packet[P_DADDR]):
        if not is_routed(lookup, packet[P_SADDR], here):
            packet[P_SADDR] = peer
        if not is_routed(lookup, packet[P_SADDR], packet[P_DADDR]):
            packet[P_DADDR] = here
    packet[P_PKT_TYPE] = pkt_type_of(lookup, packet[P_DADDR]) if udp else PACKET_HOST
