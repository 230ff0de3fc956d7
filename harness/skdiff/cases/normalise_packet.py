"""A drawn packet as a system can receive one: the part of `normalise.py` that is about the packet alone."""

from skdiff.cases.addresses import other_family
from skdiff.cases.derived import LOOPBACK_IFINDEX, is_routed
from skdiff.cases.fields import positions
from skdiff.cases.pools import HERE, PEER
from skdiff.cases.reachable import MOST_BYTES
from skdiff.cases.scenario import IPV6_LOOKUPS, Packet

_P_DADDR, _P_DOFF, _P_LEN, _P_DATA_LEN, _P_USERS, _P_CLONE_FAILS, _P_PULL_FAILS = positions(
    Packet, "daddr", "doff", "len", "data_len", "users", "clone_fails", "pull_fails"
)
_P_SADDR, _P_RT_IIF, _P_SKB_IIF, _P_SDIF = positions(Packet, "saddr", "rt_iif", "skb_iif", "sdif")
_A_DEVICE = 2  # the first that is not lo


def reachable_packet(packet: list[int], lookup: int) -> None:
    """Let the packet of a lookup be one that a system can receive: whole, unshared, and come in as a real one."""
    packet[_P_USERS], packet[_P_CLONE_FAILS], packet[_P_PULL_FAILS] = 1, 0, 0
    come_in(packet, lookup)
    doff = packet[_P_DOFF] = max(packet[_P_DOFF] & ~3, 20)
    if not doff <= packet[_P_LEN] <= MOST_BYTES:
        packet[_P_LEN] = 60
    if packet[_P_DATA_LEN] > packet[_P_LEN] - doff:
        packet[_P_DATA_LEN] = 0


def come_in(packet: list[int], lookup: int) -> None:
    """Let the packet of a lookup have devices and addresses with which a real one comes in."""
    rt_iif, skb_iif, sdif = packet[_P_RT_IIF], packet[_P_SKB_IIF], packet[_P_SDIF]
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
    packet[_P_RT_IIF], packet[_P_SKB_IIF], packet[_P_SDIF] = rt_iif, skb_iif, sdif
    if skb_iif != (sdif or LOOPBACK_IFINDEX) and not is_routed(lookup, packet[_P_SADDR], packet[_P_DADDR]):
        peer, here = (other_family(PEER), other_family(HERE)) if lookup in IPV6_LOOKUPS else (PEER, HERE)
        if not is_routed(lookup, packet[_P_SADDR], here):
            packet[_P_SADDR] = peer
        if not is_routed(lookup, packet[_P_SADDR], packet[_P_DADDR]):
            packet[_P_DADDR] = here
