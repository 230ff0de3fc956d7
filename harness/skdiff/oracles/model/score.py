"""The score that chooses among listeners, and among sockets of UDP: the four compute_score() of the kernel."""

from collections.abc import Mapping
from typing import NamedTuple

from skdiff.cases.addresses import is_ipv6, low_word
from skdiff.cases.scenario import AF_INET, TCP4, TCP6, UDP4, UDP6, Sock
from skdiff.oracles.model.device import inet_sk_bound_dev_eq, udp_sk_bound_dev_eq
from skdiff.oracles.model.state import State


class Weights(NamedTuple):
    """What a socket gets: `refused` if it may not have the packet, else `base` and more for each: being AF_INET, each
    of a peer's address and port that it has, and being bound to a device. SO_INCOMING_CPU always counts 1.
    """

    refused: int
    base: int
    ipv4: int
    peer: int
    device: int


WEIGHTS: Mapping[int, Weights] = {
    TCP4: Weights(refused=0, base=1, ipv4=1, peer=0, device=1),  # net/ipv4/inet_hashtables.c
    TCP6: Weights(refused=0, base=1, ipv4=0, peer=0, device=1),  # net/ipv6/inet6_hashtables.c
    UDP4: Weights(refused=-1, base=1, ipv4=1, peer=4, device=4),  # net/ipv4/udp.c
    UDP6: Weights(refused=-1, base=0, ipv4=0, peer=1, device=1),  # net/ipv6/udp.c
}


def compute_score(state: State, sock: Sock) -> int:
    """compute_score(): the better, the more a socket asked for.

    Of those with the packet's namespace, port and address (of IPv6: AF_INET6 ones): the socket must accept IPv4 if the
    packet is of it (without CONFIG_IPV6 all are taken to), a peer's address or port that a socket of UDP has must be
    the packet's, connected or not, and its device must fit.
    """
    weights = WEIGHTS[state.scenario.lookup]
    if sock.ipv6only and state.config.ipv6 and not state.ipv6:
        return weights.refused
    score = weights.base + (sock.incoming_cpu == state.cpu)
    if sock.family == AF_INET:
        score += weights.ipv4
    if state.udp:
        peer, port = peer_of(sock, state.ipv6), sock.dport
        if (peer and peer != state.saddr) or (port and port != state.packet.sport):
            return weights.refused
        score += weights.peer * (bool(peer) + bool(port))
    if not (udp_sk_bound_dev_eq if state.udp else inet_sk_bound_dev_eq)(state, sock):
        return weights.refused
    return score + weights.device if sock.bound_dev_if else score


def peer_of(sock: Sock, ipv6: bool) -> int:
    """The peer's address that a lookup of a family sees of a UDP socket, as State has addresses, 0 for none: an
    AF_INET6 socket with an IPv6 peer has none of IPv4 (net/ipv6/datagram.c __ip6_datagram_connect()).
    """
    if ipv6:
        return sock.daddr
    return 0 if is_ipv6(sock.daddr) else low_word(sock.daddr)
