"""The sockets of small tables: each role that a socket can have, and what it can be other than a plain one of it.

All is said for a lookup of TCP or UDP over IPv4; `of_lookup` makes IPv6's of it. Values are those that a rule can tell
apart, by the packets of `small_packets.py`: what fits, what does not, and what asks for nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations, product
from typing import NamedTuple

from skdiff.cases.addresses import ANY, MAPPED_ANY, other_family
from skdiff.cases.pools import (
    HERE,
    OTHER,
    OTHER_HERE,
    OTHER_PEER,
    OTHER_PEER_PORT,
    OTHER_PORT,
    PEER,
    PEER_PORT,
    PORT,
    SWAPPED_HERE,
    SWAPPED_PEER,
)
from skdiff.cases.scenario import (
    AF_INET,
    AF_INET6,
    BOUND,
    EHASH,
    IPPROTO_UDP,
    IPV6_LOOKUPS,
    KIND_REQUEST,
    KIND_TIMEWAIT,
    LHASH2,
    NONE,
    NOWHERE,
    REHASHED,
    STALE,
    TCP_CLOSE,
    TCP_CLOSE_WAIT,
    TCP_ESTABLISHED,
    TCP_LISTEN,
    TCP_NEW_SYN_RECV,
    TCP_TIME_WAIT,
    UDP_HASHED,
    UDP_LOOKUPS,
    Sock,
)

Change = Mapping[str, int]
NO_DEVICE, LO, DIF, SDIF = range(4)  # lo fits no packet but those that come in by it
OTHER_CPU, THIS_CPU = range(2)
JOINS = 0  # as a group: its real number is known when all sockets of the table are


class Role(NamedTuple):
    """What a socket is for a lookup: a plain one, and its `axes`, along each of which it may be another one; with
    `listener`, the socket of another role that it needs (a request's). `searched` tells whether the lookup can find it
    in a table; who is not is only ever attached to the packet, or closed in somebody's group.
    """

    name: str
    plain: Sock
    axes: tuple[tuple[Change, ...], ...]
    searched: bool = True
    listener: str = ""


class Thing(NamedTuple):
    """One socket of a role, or a request behind its listener, which are two; `deviations` counts the axes along which
    it is not plain.
    """

    role: str
    socks: tuple[Sock, ...]
    deviations: int
    searched: bool


def _each(name: str, *values: int) -> tuple[Change, ...]:
    return tuple({name: value} for value in values)


def _ends(family: int, *addresses: int) -> Iterator[Change]:
    for address, only in product(addresses, (0, 1)):
        yield {"family": family, "rcv_saddr": address, "ipv6only": only}


# Bound to an address, or to none; the first one is plain. Of impossible ones `valid` leaves nothing.
_BOUND_TO = (
    *_ends(AF_INET, HERE, ANY, OTHER_HERE),
    *_ends(AF_INET6, HERE, ANY, SWAPPED_HERE, MAPPED_ANY),
    *_ends(AF_INET, SWAPPED_HERE),
)
_CONNECTED = tuple(
    {"family": family, "daddr": daddr, "rcv_saddr": rcv_saddr, "ipv6only": only}
    for family, daddr, rcv_saddr in (
        *((AF_INET, PEER, HERE), (AF_INET, OTHER_PEER, HERE), (AF_INET, PEER, OTHER_HERE)),
        *((AF_INET6, PEER, HERE), (AF_INET6, SWAPPED_PEER, SWAPPED_HERE), (AF_INET, SWAPPED_PEER, SWAPPED_HERE)),
    )
    for only in (0, 1)
)
_REMEMBERED = tuple(
    {"family": family, "daddr": daddr, "rcv_saddr": rcv_saddr, "ipv6only": only}
    for family, daddr, rcv_saddr in (
        *((AF_INET6, SWAPPED_PEER, ANY), (AF_INET6, SWAPPED_PEER, SWAPPED_HERE)),
        *((AF_INET, PEER, ANY), (AF_INET, OTHER_PEER, ANY), (AF_INET, PEER, HERE)),
    )
    for only in (0, 1)
)
_PORTS, _PEER_PORTS = _each("num", PORT, OTHER_PORT), _each("dport", PEER_PORT, OTHER_PEER_PORT)
_NETNS = _each("netns", 0, 1)
_DEVICES = _each("bound_dev_if", NO_DEVICE, DIF, SDIF, LO)
_CPUS = _each("incoming_cpu", NONE, THIS_CPU, OTHER_CPU)
_REFERENCES = _each("refcnt", 1, 2)
_REUSEPORT = tuple(
    {"reuseport": flag, "reuseport_changed": changed, "group": group}
    for group, changed, flag in product((NONE, JOINS), (0, 1), (0, 1))
)
_BOUND_AXES = (_BOUND_TO, _PORTS, _NETNS, _DEVICES, _CPUS, _REUSEPORT)
_CONNECTED_AXES = (_CONNECTED, _PORTS, _PEER_PORTS, _NETNS, _DEVICES, _REFERENCES)

_LISTENER = Sock(rcv_saddr=HERE, state=TCP_LISTEN, rcu_free=1, hashed=LHASH2)
_CONNECTION = Sock(daddr=PEER, rcv_saddr=HERE, dport=PEER_PORT, state=TCP_ESTABLISHED, hashed=EHASH)
_TIMEWAIT = _CONNECTION._replace(kind=KIND_TIMEWAIT, state=TCP_TIME_WAIT)
_REQUEST = _CONNECTION._replace(kind=KIND_REQUEST, state=TCP_NEW_SYN_RECV, listener=0)
_COOKIE = _REQUEST._replace(hashed=NOWHERE, syncookie=1, refcnt=0)
_CLOSED = Sock(rcv_saddr=HERE, group=JOINS)
_UDP = Sock(rcv_saddr=HERE, protocol=IPPROTO_UDP, rcu_free=1, hashed=UDP_HASHED)
_UDP_CONNECTED = _UDP._replace(daddr=PEER, dport=PEER_PORT, state=TCP_ESTABLISHED)

_LISTENERS = Role("listener", _LISTENER, _BOUND_AXES)
_REQUESTS = Role("request", _REQUEST, (_CONNECTED, _DEVICES, _REFERENCES), listener="listener")
_COOKIES = Role("SYN cookie's request", _COOKIE, (_CONNECTED,), searched=False, listener="listener")
_CLOSED_MEMBERS = Role("closed listener", _CLOSED, (_BOUND_TO, _CPUS, _REUSEPORT[4:]), searched=False)
_CONNECTIONS = Role("connection", _CONNECTION, (*_CONNECTED_AXES, _each("state", TCP_ESTABLISHED, TCP_CLOSE_WAIT)))
_TIMEWAITS = Role("timewait", _TIMEWAIT, _CONNECTED_AXES)


def _elsewhere(role: Role, *axes: tuple[Change, ...]) -> Role:
    """A role in a lookup that does not search its table."""
    return role._replace(axes=axes, searched=False)


ROLES_OF_TCP = (
    _LISTENERS,
    _CONNECTIONS,
    _TIMEWAITS,
    _REQUESTS,
    _COOKIES,
    _CLOSED_MEMBERS,
    Role(
        "socket of UDP",
        _UDP._replace(hashed=NOWHERE),
        (_BOUND_TO, _CPUS, _REUSEPORT, _each("state", TCP_CLOSE, TCP_ESTABLISHED)),
        searched=False,
    ),
)
ROLES_OF_UDP = (
    Role("bound", _UDP, (*_BOUND_AXES,)),
    Role(
        "connected",
        _UDP_CONNECTED,
        (
            *(_CONNECTED, _PORTS, (*_PEER_PORTS, {"dport": 0}), _NETNS, _DEVICES, _CPUS, _REUSEPORT),
            _each("hash2", BOUND, REHASHED),
        ),
    ),
    Role(
        "in the middle of connect()",
        _UDP_CONNECTED._replace(hash2=STALE, state=TCP_CLOSE),
        (
            *((*_CONNECTED, {"daddr": ANY, "dport": 0}), _PEER_PORTS, _DEVICES, _CPUS, _each("reuseport", 0, 1)),
            _each("state", TCP_CLOSE, TCP_ESTABLISHED),
        ),
    ),
    Role("disconnected, with its peer's address", _UDP, (_REMEMBERED, _DEVICES, _CPUS, _REUSEPORT)),
    _elsewhere(_LISTENERS, _BOUND_TO, _CPUS, _REUSEPORT),
    _elsewhere(_CONNECTIONS, _CONNECTED),
    _elsewhere(_TIMEWAITS, _CONNECTED),
    _elsewhere(_REQUESTS),
    _COOKIES,
    _CLOSED_MEMBERS,
)


def roles(lookup: int) -> tuple[Role, ...]:
    """The roles of a lookup, as they are of IPv4."""
    return ROLES_OF_UDP if lookup in UDP_LOOKUPS else ROLES_OF_TCP


def things(lookup: int, most: int, valid: Callable[[tuple[Sock, ...]], bool]) -> Iterator[Thing]:
    """The sockets of a lookup that are plain but for `most` of their axes, those that are `valid`."""
    listeners = {
        role.name: [thing.socks[0] for thing in _of_role(lookup, role, 1, valid, ()) if not thing.socks[0].netns]
        for role in roles(lookup)
        if role.name in ("listener", "closed listener")
    }
    seen: set[tuple[Sock, ...]] = set()  # what is said in two ways, or of two roles, is one
    for role in roles(lookup):
        behind = [*listeners["listener"], *listeners["closed listener"]] if role.listener else ()
        for thing in _of_role(lookup, role, most, valid, behind):
            if thing.socks not in seen:
                seen.add(thing.socks)
                yield thing


def _of_role(
    lookup: int, role: Role, most: int, valid: Callable[[tuple[Sock, ...]], bool], listeners: Sequence[Sock]
) -> Iterator[Thing]:
    def made(changes: Iterable[Change]) -> Sock:
        fields: dict[str, int] = {}
        for change in changes:
            fields |= change
        return of_lookup(lookup, role.plain._replace(**fields))

    def things_of(sock: Sock, deviations: int) -> Iterator[Thing]:
        if not role.listener:
            if valid((sock,)):
                yield Thing(role.name, (sock,), deviations, role.searched)
            return
        for away, listener in enumerate(listeners):
            more = deviations + bool(away)
            socks = listener, sock._replace(family=listener.family)
            if more <= most and valid(socks):
                yield Thing(role.name, socks, more, role.searched)

    plains = [axis[0] for axis in role.axes]
    if role.axes:  # the first end that is valid with all else plain
        first = role.axes[0]
        plain = next((end for end in first if any(things_of(made([end, *plains[1:]]), 0))), None)
        if plain is None:
            return
        plains[0] = plain
    others = [[change for change in axis if change != plain] for axis, plain in zip(role.axes, plains, strict=True)]
    for deviations in range(min(most, len(role.axes)) + 1):
        for places in combinations(range(len(role.axes)), deviations):
            for changes in product(*(others[place] for place in places)):
                chosen = plains.copy()
                for place, change in zip(places, changes, strict=True):
                    chosen[place] = change
                yield from things_of(made(chosen), deviations)


def of_lookup(lookup: int, sock: Sock) -> Sock:
    """A socket that is said for IPv4 as the lookup's family has it."""
    if lookup not in IPV6_LOOKUPS:
        return sock
    daddr, rcv_saddr = other_family(sock.daddr), other_family(sock.rcv_saddr)
    return sock._replace(daddr=daddr, rcv_saddr=rcv_saddr, family=OTHER[sock.family])
