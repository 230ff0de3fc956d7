"""Which sockets and groups of UDP system calls can reach, whatever the kernel's version: a part of `reachable.py`.

What is said of connect() holds once it is over; of its middle STALE tells, which other CPUs can meet.
"""

from collections.abc import Iterator, Sequence

from skdiff.cases.addresses import ANY, is_ipv6, is_mapped
from skdiff.cases.derived import WILDCARDS, is_for_many
from skdiff.cases.scenario import (
    AF_INET6,
    BOUND,
    IPPROTO_UDP,
    NONE,
    NOWHERE,
    REHASHED,
    STALE,
    TCP_CLOSE,
    TCP_ESTABLISHED,
    UDP_LOOKUPS,
    Scenario,
    Sock,
)


def udp_sock(sock: Sock) -> Iterator[str]:
    """Why no system has such a socket in UDP's tables, a line each."""
    if not sock.rcu_free:
        yield "a bound UDP socket is SOCK_RCU_FREE (net/ipv4/udp.c udp_lib_get_port())"
    if sock.state not in (TCP_CLOSE, TCP_ESTABLISHED):
        yield "a UDP socket is TCP_ESTABLISHED or TCP_CLOSE (net/ipv4/datagram.c __ip4_datagram_connect())"
    if sock.dport and not has_peer(sock):
        yield "connect() sets a peer's address and port, and disconnect() neither (net/ipv4/udp.c __udp_disconnect())"
    if remembers(sock):
        if sock.rcv_saddr == ANY and sock.group == NONE and sock.reuseport != sock.reuseport_changed:
            yield (
                "who disconnects from the wildcard is rehashed, to the head of its chain, whatever it had in bind()"
                " (net/ipv4/udp.c udp_lib_rehash())"
            )
        return
    if has_peer(sock):
        yield from _ends(sock)
    if is_for_many(sock.rcv_saddr):
        if sock.hash2 != BOUND:
            yield "connect() gives a socket an address of this host (net/ipv4/datagram.c __ip4_datagram_connect())"
        elif has_peer(sock) and sock.family == AF_INET6 and is_mapped(sock.rcv_saddr):
            yield (
                "connect() of an AF_INET6 socket sends from the address that it is bound to, which is no group's"
                " (net/ipv4/route.c ip_route_output_key_hash_rcu())"
            )
    if sock.hash2 == STALE:
        yield from _stale(sock)
    elif has_peer(sock) != (sock.state == TCP_ESTABLISHED):
        yield (
            "who has a peer is TCP_ESTABLISHED, and nobody else"
            " (net/ipv4/datagram.c __ip4_datagram_connect(), net/ipv4/udp.c __udp_disconnect())"
        )
    elif sock.hash2 == REHASHED and not has_peer(sock):
        yield (
            "who was rehashed has a peer: once disconnected, it is on the wildcard again, or where bind() had put it"
            " (net/ipv4/udp.c __udp_disconnect())"
        )


def has_peer(sock: Sock) -> bool:
    """Whether a socket has a peer's address."""
    return sock.daddr not in WILDCARDS


def remembers(sock: Sock) -> bool:
    """Whether a socket is disconnected, and yet has its peer's IPv6 address: net/ipv4/udp.c __udp_disconnect() forgets
    IPv4's alone, and net/ipv6/udp.c compute_score() still asks for it.
    """
    return (
        sock.family == AF_INET6
        and sock.state == TCP_CLOSE
        and sock.hash2 == BOUND
        and is_ipv6(sock.daddr)
        and not sock.dport
        and (is_ipv6(sock.rcv_saddr) or sock.rcv_saddr == ANY)
    )


def _ends(sock: Sock) -> Iterator[str]:
    if sock.rcv_saddr in WILDCARDS:
        yield "connect() gives a socket on the wildcard an address (net/ipv4/datagram.c __ip4_datagram_connect())"
    elif is_ipv6(sock.rcv_saddr) != is_ipv6(sock.daddr):
        yield "both ends of a connection have addresses of one family (net/ipv6/datagram.c __ip6_datagram_connect())"


def _stale(sock: Sock) -> Iterator[str]:
    """In the middle of connect(), between the local address and the rehash for it.

    Of IPv4, net/ipv4/datagram.c __ip4_datagram_connect(): the peer is set before that since Linux 6.13, and after it
    until then; the state is set last. Of IPv6, net/ipv6/datagram.c __ip6_datagram_connect() and
    ip6_datagram_dst_update(): the peer first, the state last. Of an AF_INET6 socket and an IPv4 peer: all that IPv4
    has, the state too, and then the addresses in IPv6's form and the rehash for these.
    """
    if sock.family == AF_INET6 and is_mapped(sock.rcv_saddr):
        if not has_peer(sock) or sock.state != TCP_ESTABLISHED:
            yield (
                "connect() of an AF_INET6 socket to an IPv4 peer rehashes when all else is done"
                " (net/ipv6/datagram.c __ip6_datagram_connect())"
            )
        return
    if sock.state != TCP_CLOSE:
        yield "connect() sets the state when it has rehashed (net/ipv4/datagram.c __ip4_datagram_connect())"
    if sock.family == AF_INET6 and not has_peer(sock):
        yield "connect() sets an IPv6 peer before it rehashes (net/ipv6/datagram.c __ip6_datagram_connect())"


def udp_group(s: Scenario, members: Sequence[int]) -> Iterator[str]:
    """Why no system has a group of such members, which are those of UDP that bind() has put into it."""
    socks = [s.socks[i] for i in members if s.socks[i].protocol == IPPROTO_UDP]
    if s.lookup in UDP_LOOKUPS and len(socks) > 1 and any(sock.hashed == NOWHERE for sock in socks):
        yield "who leaves UDP's tables leaves the group (net/ipv4/udp.c udp_lib_unhash())"
    left = (sock.hash2 != BOUND or (sock.hashed != NOWHERE and has_peer(sock) and not sock.rcv_saddr) for sock in socks)
    if any(left):
        yield "who is rehashed, by connect() from the wildcard, leaves the group (net/ipv4/udp.c udp_lib_rehash())"
