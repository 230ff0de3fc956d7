"""Which events a case of UDP can have: a part of `events.py`.

A socket of UDP is freed behind a grace period (SOCK_RCU_FREE), which does not end during a lookup: its memory is nobody
else's before that. What its owner does takes the socket's lock, as connect() does, in whose middle another call waits.
"""

from collections.abc import Iterator, Sequence

from skdiff.cases.addresses import ANY, is_ipv6, is_mapped
from skdiff.cases.derived import UDP_GROUP_KEY, WILDCARDS, is_for_many, is_named
from skdiff.cases.scenario import (
    AF_INET,
    AF_INET6,
    BOUND,
    COMES,
    CONNECTS,
    DISCONNECTS,
    IPV6_LOOKUPS,
    LEAVES,
    LISTENS,
    MOVES,
    NONE,
    REBOUND,
    REPLACED,
    REUSED,
    STALE,
    TCP_CLOSE,
    UDP_HASHED,
    Event,
    Scenario,
    Sock,
)

UDP_ALONE = (CONNECTS, DISCONNECTS, MOVES)
NOT_OF_UDP = (REUSED, LISTENS, REPLACED)
_OF_TABLES = frozenset((*UDP_ALONE, LEAVES, COMES, REBOUND))
_NO_SOCK = Sock()
LEAST_REFERENCES = {LEAVES: 2, MOVES: 2, COMES: 1}  # the tables' and the socket's own
# With the most stores of any kernel: of its group one, of each table one to leave it and one to come into it.
_MOST_STEPS = {LEAVES: 4, COMES: 2, REBOUND: 1, CONNECTS: 9, DISCONNECTS: 9, MOVES: 11}


def in_no_table(event: Event, tables: str) -> str:
    """What is said of a socket that has to be in one of these tables for an action, of any lookup."""
    as_it_will_be = ": who comes is written as it will be then, in its table"
    return f"sk: it is in no table that this can happen in ({tables}){as_it_will_be if event.action == COMES else ''}"


def not_so_many(sock: Sock, least: int, most: int, why: str) -> str:
    """What is said of a socket that has not as many references as an action needs, of any lookup."""
    return (
        f"sk: its refcnt is {sock.refcnt}: this action needs {least} to {most}, {why}; write refcnt = {least} at that"
        " socket"
    )


def most_udp_steps(event: Event, sock: Sock) -> int:
    """How many steps an action has at most that it can stand still behind: one less than it has."""
    in_group = 2 * (event.value > 0) if event.action == COMES else int(sock.group != NONE)
    moved = 2 if event.action == REBOUND and sock.hash2 == STALE else 0
    most = _MOST_STEPS.get(event.action)
    return most - 1 + in_group + moved if most else 0


def wrong_udp_action(s: Scenario, event: Event, later: Sequence[int], most: int) -> Iterator[str]:
    """What is wrong with an action on UDP's tables, a line each; `most` is the most references that a socket has."""
    sock = s.socks[event.sk] if event.sk != NONE else _NO_SOCK
    if event.action in NOT_OF_UDP:
        yield "action: no other CPU does this to a socket of UDP"
        return
    in_tables = sock.hashed == UDP_HASHED or event.action == REBOUND
    if event.action in _OF_TABLES and (not in_tables or sock.no_pprev):
        yield in_no_table(event, "UDP's tables")
    least = LEAST_REFERENCES.get(event.action)
    if least and not least <= sock.refcnt <= most:
        yield not_so_many(sock, least, most, "one of which is the tables'")
    if event.action in (CONNECTS, MOVES) and not 0 <= event.value <= 0xFFFF:
        yield "value: a port is needed"
    if event.action == MOVES and not event.value:
        yield "value: bind() to port 0 is to any that is free (net/ipv4/udp.c udp_lib_get_port())"
    if event.action == COMES:
        if sock.group != NONE or later.count(event.sk) > 1 or is_named(s, event.sk):
            yield "sk: who comes is not there before, for anybody"
        if event.value and not 0 < event.value <= len(s.groups):
            yield "value: a group has a number from 1 on; 0 is none"
    if event.action == CONNECTS and not can_connect(s, sock):
        yield "sk: it does not connect to the packet's sender"
    if event.action in (DISCONNECTS, MOVES) and sock.family == AF_INET6 and is_mapped(sock.daddr):
        yield "sk: it keeps one half of an IPv4 peer's address, which no case says"


def can_connect(s: Scenario, sock: Sock) -> bool:
    """Whether a socket is of the packet's family, and so are its address and the packet's; or is all but connected."""
    if sock.hash2 == STALE and sock.daddr not in WILDCARDS:
        return True
    if s.lookup not in IPV6_LOOKUPS:
        return sock.family == AF_INET
    ours = sock.rcv_saddr == ANY or is_ipv6(sock.rcv_saddr)
    return sock.family == AF_INET6 and ours and is_ipv6(s.packet.saddr) and is_ipv6(s.packet.daddr)


def goes_with_packet(s: Scenario, event: Event) -> bool:
    """Whether an event of a valid case is still one that it can have when the packet has become another one: of all
    actions connect() alone asks for it.
    """
    if event.action != CONNECTS:
        return True
    sock = s.socks[event.sk]
    return can_connect(s, sock) and (bool(s.hostile) or next(_unreachable_connect(s, sock), None) is None)


def _unreachable_connect(s: Scenario, sock: Sock) -> Iterator[str]:
    """Why a socket cannot connect to the packet's sender, a line each."""
    if sock.hash2 == STALE:
        return
    if s.packet.saddr in WILDCARDS:
        yield "a peer is a host: connect() to the wildcard is to this one (net/ipv4/route.c ip_route_connect())"
    if sock.rcv_saddr in WILDCARDS and (is_for_many(s.packet.daddr) or s.packet.daddr in WILDCARDS):
        yield "connect() gives a socket an address of this host (net/ipv4/datagram.c __ip4_datagram_connect())"


def unreachable_udp_action(s: Scenario, event: Event) -> Iterator[str]:
    """Why no other CPU can do this to a lookup of UDP, a line each."""
    sock = s.socks[event.sk] if event.sk != NONE else _NO_SOCK
    if event.action in (LEAVES, REBOUND, DISCONNECTS, MOVES) and sock.hash2 == STALE:
        yield "connect() is in its middle, and has the lock of the socket (net/core/sock.c lock_sock_nested())"
    if event.action == CONNECTS:
        yield from _unreachable_connect(s, sock)
    if event.action == MOVES and (sock.reuseport or sock.group != NONE):
        yield "who has SO_REUSEPORT in bind() comes into a group (net/ipv4/udp.c udp_reuseport_add_sock())"
    if event.action == COMES:
        if sock.state != TCP_CLOSE or sock.hash2 != BOUND or sock.daddr or sock.dport:
            yield "bind() comes before connect() (net/ipv4/af_inet.c __inet_bind())"
        if bool(sock.reuseport) != bool(event.value):
            yield (
                "who has SO_REUSEPORT in bind(), and nobody else, comes into a group"
                " (net/ipv4/udp.c udp_reuseport_add_sock())"
            )
        if event.value and not joins_udp(s, event, sock):
            yield ("a group is for sockets of one address, port and device (net/ipv4/udp.c udp_reuseport_add_sock())")


def joins_udp(s: Scenario, event: Event, sock: Sock) -> bool:
    """Whether a socket fits into the group that it comes into, which has members."""
    members = [other for other in s.socks if other.group == event.value - 1 and other.hashed == UDP_HASHED]
    return bool(members) and all(
        getattr(member, name) == getattr(sock, name) for member in members for name in UDP_GROUP_KEY
    )
