"""Drawn sockets as UDP's tables can have them: the part of `normalise.py` that is about UDP alone."""

from skdiff.cases.addresses import ANY, as_ipv4, is_ipv6, is_mapped, other_family
from skdiff.cases.derived import WILDCARDS, is_for_many
from skdiff.cases.pools import HERE, PEER, PEER_PORT, PORT
from skdiff.cases.scenario import (
    AF_INET6,
    BOUND,
    EHASH,
    IPPROTO_TCP,
    IPPROTO_UDP,
    KIND_FULL,
    KIND_TIMEWAIT,
    NONE,
    NOWHERE,
    REHASHED,
    STALE,
    TCP_CLOSE,
    TCP_ESTABLISHED,
    UDP_HASHED,
)
from tests.by_python.places import (
    CHANGED,
    DADDR,
    DPORT,
    FAMILY,
    GROUP,
    HASH2,
    HASHED,
    IPV6ONLY,
    KIND,
    LISTENER,
    NETNS,
    NUM,
    P_DADDR,
    P_NETNS,
    P_SK,
    PROTOCOL,
    RCU_FREE,
    RCV_SADDR,
    REUSEPORT,
    STATE,
    SYNCOOKIE,
)


def into_udp_tables(packet: list[int], socks: list[list[int]], hostile: bool) -> None:
    """In a lookup of UDP: sockets of UDP are in UDP's tables if in any, mini sockets that the lookup could not meet are
    sockets of UDP, and what cannot be attached to the packet is not, unless the case is hostile.
    """
    attached = packet[P_SK]
    if attached != NONE and not hostile and not _can_be_attached(socks[attached], packet[P_NETNS]):
        attached = packet[P_SK] = NONE
    for number, sock in enumerate(socks):
        if sock[KIND] != KIND_FULL:
            if number == attached:
                continue
            sock[STATE] = TCP_ESTABLISHED if sock[KIND] == KIND_TIMEWAIT else TCP_CLOSE
            sock[KIND], sock[PROTOCOL], sock[HASHED] = KIND_FULL, IPPROTO_UDP, UDP_HASHED
            sock[SYNCOOKIE], sock[LISTENER] = 0, NONE
            sock[NUM] = sock[NUM] or PORT
        elif sock[PROTOCOL] == IPPROTO_UDP:
            if sock[HASHED] == NOWHERE:
                sock[GROUP] = sock[GROUP] if hostile else NONE
            elif sock[HASHED] != UDP_HASHED:
                if sock[HASHED] == EHASH:
                    sock[STATE] = TCP_ESTABLISHED
                sock[HASHED] = UDP_HASHED
                sock[NUM] = sock[NUM] or PORT


def _can_be_attached(sock: list[int], netns: int) -> bool:
    if sock[NETNS] != netns:
        return False
    if sock[KIND] != KIND_FULL:
        return True
    return sock[HASHED] != NOWHERE and sock[PROTOCOL] in (IPPROTO_TCP, IPPROTO_UDP)


def go_with(packet: list[int], socks: list[list[int]], was: int) -> None:
    """Sockets on the address that was the packet's are on the one that it has now, if their family has it."""
    now = packet[P_DADDR]
    for sock in socks:
        if was not in WILDCARDS and sock[RCV_SADDR] == was and (sock[FAMILY] == AF_INET6 or not is_ipv6(now)):
            sock[RCV_SADDR] = now


def fit_members_address(sock: list[int]) -> None:
    """A member may be connected, which no address for many is of an AF_INET6 socket, and all have one address."""
    if sock[FAMILY] == AF_INET6 and is_mapped(sock[RCV_SADDR]) and is_for_many(sock[RCV_SADDR]):
        sock[RCV_SADDR] = HERE


def settle(sock: list[int]) -> None:
    """Let a socket in UDP's tables be as bind(), connect() and disconnect() leave it, or as connect() has it for others
    to meet if it is STALE. It is connected if it is drawn as TCP_ESTABLISHED.
    """
    sock[RCU_FREE] = 1
    if sock[GROUP] != NONE:
        fit_members_address(sock)
    if sock[HASH2] == STALE:
        _settle_stale(sock)
    elif sock[STATE] == TCP_ESTABLISHED:
        if sock[HASH2] == BOUND and sock[RCV_SADDR] in WILDCARDS:
            sock[HASH2] = REHASHED
        connect(sock)
    else:
        sock[STATE], sock[HASH2] = TCP_CLOSE, BOUND
        if not _remembers(sock):
            sock[DADDR] = sock[DPORT] = 0
        elif sock[RCV_SADDR] == ANY:  # disconnecting has it rehashed
            sock[CHANGED] = sock[REUSEPORT]
    if sock[FAMILY] != AF_INET6 or is_mapped(sock[RCV_SADDR]):
        sock[IPV6ONLY] = 0
    elif sock[HASH2] == BOUND and is_ipv6(sock[RCV_SADDR]):
        sock[IPV6ONLY] = 1


def _settle_stale(sock: list[int]) -> None:
    """An AF_INET socket has its peer by then, or not, as the kernel's version has it: either is drawn."""
    has_peer = sock[FAMILY] == AF_INET6 or sock[DADDR] not in WILDCARDS
    if has_peer and (sock[FAMILY] == AF_INET6 or sock[STATE] in (TCP_CLOSE, TCP_ESTABLISHED)):
        connect(sock)
    else:
        sock[DADDR] = sock[DPORT] = 0
        if sock[RCV_SADDR] in WILDCARDS or is_for_many(sock[RCV_SADDR]):
            sock[RCV_SADDR] = HERE
    late = sock[FAMILY] == AF_INET6 and is_mapped(sock[RCV_SADDR])
    sock[STATE] = TCP_ESTABLISHED if late else TCP_CLOSE


def _remembers(sock: list[int]) -> bool:
    """Whether it has an IPv6 peer that disconnect() has left to it: see reachable_udp.py remembers()."""
    if sock[FAMILY] != AF_INET6 or sock[DPORT] or not is_ipv6(sock[DADDR]):
        return False
    return is_ipv6(sock[RCV_SADDR]) or sock[RCV_SADDR] == ANY


def connect(sock: list[int]) -> None:
    """Both ends of a connection have addresses, of one family, and ports. Any would do; those of a packet are found."""
    ipv6 = is_ipv6(sock[RCV_SADDR]) or (is_ipv6(sock[DADDR]) and sock[RCV_SADDR] in WILDCARDS)
    for place, plain in ((DADDR, PEER), (RCV_SADDR, HERE)):
        if sock[place] in WILDCARDS:
            sock[place] = other_family(plain) if ipv6 else plain
        elif is_ipv6(sock[place]) != ipv6:
            sock[place] = other_family(plain) if ipv6 else as_ipv4(sock[place]) or plain
    tcp = sock[PROTOCOL] == IPPROTO_TCP
    if tcp and is_for_many(sock[DADDR]):
        sock[DADDR] = other_family(PEER) if ipv6 else PEER
    if is_for_many(sock[RCV_SADDR]) and (tcp or sock[HASH2] != BOUND or (not ipv6 and sock[FAMILY] == AF_INET6)):
        sock[RCV_SADDR] = other_family(HERE) if ipv6 else HERE
    sock[DPORT] = sock[DPORT] or PEER_PORT
    if not ipv6:
        sock[IPV6ONLY] = 0
