"""Drawn cases of UDP in which others write meanwhile, where the walk meets it: a part of `aimed_events.py`."""

from collections.abc import Callable
from random import Random

from skdiff.cases import wire
from skdiff.cases.fields import FIELDS
from skdiff.cases.scenario import (
    AF_INET,
    AT_LINK,
    AT_MEMBERS,
    AT_NODE,
    AT_PROGRAM,
    AT_RAN,
    BOUND,
    COMES,
    CONNECTS,
    DISCONNECTS,
    GOES_ON,
    IPPROTO_TCP,
    KIND_FULL,
    LEAVES,
    LHASH2,
    MOVES,
    NONE,
    REBOUND,
    REHASHED,
    STALE,
    TCP_CLOSE,
    TCP_ESTABLISHED,
    Sock,
)
from skdiff.cases.wire import SOCK_SIZE, put, put_all, take

MEETS = (*((name, field.meets) for name, field in FIELDS[Sock].items() if field.meets), ("netns", "netns"))
_N_SOCKS, _N_GROUPS = 2, 1  # among the counts
_WALKED = (AT_LINK, AT_NODE, AT_NODE)


_MEETS = [wire.as_put("sock", ours, theirs) for ours, theirs in MEETS]


def meet(case: bytearray, sock: int) -> None:
    """What inet_match() and compute_score() hold against the packet is the packet's."""
    for ours, theirs, means in _MEETS:
        case[ours + sock * SOCK_SIZE] = means[case[theirs]]


def place_event(case: bytearray, number: int, **values: int) -> None:
    """Set an event of a case; what is not said of it is plain."""
    put_all(case, "event", number, {"nth": 1, "at": NONE, "steps": 0, **values})
    put(case, "events", 0, "count", number + 1)


def aim_udp(case: bytearray, draw: Random) -> None:
    """Sockets meet the packet of a case of UDP, and something happens to them where a walk meets them."""
    case[_N_SOCKS] = max(case[_N_SOCKS], wire.byte(_N_SOCKS, 3))
    draw.choice(_WAYS)(case, draw)


def _bound(case: bytearray, sock: int, draw: Random, state: int = TCP_CLOSE, hash2: int = BOUND) -> None:
    """A socket on the packet's port; if it is connected, to the packet's sender."""
    wildcard = state == TCP_CLOSE and hash2 == BOUND and draw.random() < 0.5
    meet(case, sock)
    fields = {"hashed": LHASH2, "kind": KIND_FULL, "protocol": IPPROTO_TCP}  # bytes say of UDP what is TCP's
    put_all(case, "sock", sock, {**fields, "state": state, "hash2": hash2, "ipv6only": 0, "group": NONE})
    if wildcard:
        put(case, "sock", sock, "rcv_saddr", 0)
    if state == TCP_CLOSE and hash2 == BOUND:
        put(case, "sock", sock, "dport", 0)
        put(case, "sock", sock, "daddr", 0)
    if draw.random() < 0.7:
        put(case, "sock", sock, "family", AF_INET)
        put(case, "sock", sock, "bound_dev_if", 0)


def _point(draw: Random, *sockets: int) -> dict[str, int]:
    return {
        "point": draw.choice(_WALKED),
        "nth": draw.choice((1, 1, 1, 2, 2, 3, 4)),
        "at": draw.choice((*sockets, NONE)),
    }


def _small(case: bytearray, draw: Random) -> None:
    put(case, "head", 0, "udp_size", draw.choice((1, 2, 2, 4)))


def _connects(case: bytearray, draw: Random) -> None:
    """A bound socket connects to the sender, or does the rest of that, while it is looked for."""
    sock, other = draw.sample(range(3), 2)
    _bound(case, sock, draw, hash2=draw.choice((BOUND, BOUND, STALE)))
    if draw.random() < 0.5:
        _bound(case, other, draw, state=draw.choice((TCP_CLOSE, TCP_ESTABLISHED)))
    _small(case, draw)
    value = take(case, "packet", 0, draw.choice(("sport", "sport", "sport", "dport")))
    place_event(case, 0, action=CONNECTS, sk=sock, value=value, steps=draw.randrange(9), **_point(draw, sock, other))
    if draw.random() < 0.4:
        place_event(case, 1, action=draw.choice((GOES_ON, GOES_ON, DISCONNECTS)), sk=sock, **_point(draw, sock, other))


def _disconnects(case: bytearray, draw: Random) -> None:
    """The packet's connection is dissolved, or leaves, or becomes another one, while it is looked for."""
    sock, other = draw.sample(range(3), 2)
    _bound(case, sock, draw, state=TCP_ESTABLISHED, hash2=draw.choice((BOUND, REHASHED)))
    if draw.random() < 0.6:
        _bound(case, other, draw, state=TCP_ESTABLISHED, hash2=draw.choice((BOUND, REHASHED)))
    _small(case, draw)
    action = draw.choice((DISCONNECTS, DISCONNECTS, LEAVES, MOVES, CONNECTS))
    port = draw.choice((take(case, "packet", 0, "dport"), 40000 + draw.randrange(5)))
    place_event(case, 0, action=action, sk=sock, value=port, steps=draw.randrange(9), **_point(draw, sock, other))
    if draw.random() < 0.5:
        action = draw.choice((CONNECTS, CONNECTS, GOES_ON, MOVES))
        value = draw.choice((take(case, "packet", 0, "sport"), 40000 + draw.randrange(5)))
        place_event(case, 1, action=action, sk=sock, value=value, **_point(draw, sock, other))


def _strays(case: bytearray, draw: Random) -> None:
    """Who stands before the packet's socket in its chain goes into another chain under the walk."""
    _bound(case, 0, draw, state=draw.choice((TCP_CLOSE, TCP_ESTABLISHED)))
    sock = draw.choice((1, 2))
    _bound(case, sock, draw, state=draw.choice((TCP_CLOSE, TCP_ESTABLISHED)), hash2=draw.choice((BOUND, REHASHED)))
    _small(case, draw)
    put(case, "sock", sock, "dport", 40000 + draw.randrange(1, 5))
    action = draw.choice((MOVES, CONNECTS, CONNECTS, DISCONNECTS))
    value = 40000 + draw.randrange(5)
    place_event(case, 0, action=action, sk=sock, value=value, point=AT_NODE, at=draw.choice((sock, NONE)))
    if draw.random() < 0.3:
        put(case, "event", 0, "steps", draw.randrange(9))


def _strays_in_hash4(case: bytearray, draw: Random) -> None:
    """Who stands before two sockets of the packet's connection in hash4 connects once more: it is met first, as
    it was connected last. Of the two, hash4 and the score may choose different ones.
    """
    for sock in range(3):
        _bound(case, sock, draw, state=TCP_ESTABLISHED)
    put(case, "sock", 0, "incoming_cpu", take(case, "head", 0, "cpu"))
    put(case, "sock", 1, "incoming_cpu", NONE)
    put(case, "sock", 2, "dport", 40000 + draw.randrange(1, 5))
    put(case, "head", 0, "udp_size", draw.choice((2, 4)))
    action = draw.choice((CONNECTS, CONNECTS, CONNECTS, LEAVES, DISCONNECTS, DISCONNECTS))
    port = draw.choice((take(case, "packet", 0, "sport"), 40000 + draw.randrange(5)))
    point = draw.choice((AT_NODE, AT_NODE, AT_LINK))
    steps = draw.randrange(3) if action == DISCONNECTS else 0
    if action == DISCONNECTS:
        put(case, "sock", 2, "dport", take(case, "packet", 0, "sport"))
    place_event(case, 0, action=action, sk=2, value=port, point=point, at=draw.choice((2, NONE)), steps=steps)


def _arrives(case: bytearray, draw: Random) -> None:
    """A socket comes onto the packet's port while it is looked for."""
    sock, other = draw.sample(range(3), 2)
    _bound(case, sock, draw)
    _small(case, draw)
    action = draw.choice((COMES, MOVES))
    if action == MOVES:
        put(case, "sock", sock, "num", 40000 + draw.randrange(5))
        put(case, "sock", sock, "reuseport", 0)
    value = take(case, "packet", 0, "dport") if action == MOVES else 0
    place_event(case, 0, action=action, sk=sock, value=value, steps=draw.randrange(4), **_point(draw, other))


def _regroups(case: bytearray, draw: Random) -> None:
    """Members of the packet's group come, go, connect or are bound to a device when they are counted, or when a program
    chooses.
    """
    count = draw.choice((2, 3, 3))
    wildcard = draw.random() < 0.5
    for sock in range(count):
        _bound(case, sock, draw)
        in_group = {"reuseport": 1, "reuseport_changed": 0, "group": 0}
        put_all(case, "sock", sock, {**in_group, "bound_dev_if": 0, "family": AF_INET})
        put(case, "sock", sock, "rcv_saddr", 0 if wildcard else take(case, "packet", 0, "daddr"))
    case[_N_GROUPS] = max(case[_N_GROUPS], wire.byte(_N_GROUPS, 1))
    points = (AT_MEMBERS, AT_MEMBERS, AT_PROGRAM, AT_RAN, AT_LINK, AT_NODE)
    action = draw.choice((COMES, COMES, LEAVES, LEAVES, CONNECTS, REBOUND))
    value = take(case, "packet", 0, "sport") if action == CONNECTS else draw.randrange(3)
    sock = draw.randrange(count)
    steps = draw.choice((0, 0, 1, 2, 5))
    place_event(case, 0, point=draw.choice(points), action=action, sk=sock, value=value, steps=steps)
    if draw.random() < 0.3:
        place_event(case, 1, point=AT_MEMBERS, action=draw.choice((COMES, LEAVES)), sk=draw.randrange(count))


_WAYS: tuple[Callable[[bytearray, Random], None], ...] = (
    *(_connects, _connects, _disconnects, _disconnects),
    *(_strays, _strays_in_hash4, _arrives, _regroups),
)
