"""Drawn cases in which others write meanwhile: half of them as the bytes fall, half where the walk meets it.

What happens to a socket that the packet never comes by is seen by nobody, and most sockets of a case are such.
"""

from collections.abc import Callable
from random import Random

from skdiff.cases import wire
from skdiff.cases.scenario import (
    AT_LINK,
    AT_MEMBERS,
    AT_NODE,
    AT_PROGRAM,
    AT_RAN,
    AT_TAKEN,
    AT_TAKING,
    ATTACHED,
    COMES,
    EHASH,
    GOES_ON,
    KIND_FULL,
    KIND_REQUEST,
    LEAVES,
    LHASH2,
    LISTENS,
    NONE,
    REBOUND,
    REPLACED,
    REUSED,
    SK_LOOKUP,
    TCP_LISTEN,
    UDP_LOOKUPS,
)
from skdiff.cases.wire import SIZE, put, put_all, take
from skdiff.cases.wire_events import EVENTS_SIZE
from skdiff.engines.aimed_udp_events import aim_udp, meet, place_event

EVENTS_SHARE = 0.3  # of drawn cases
_N_SOCKS, _N_GROUPS = 2, 1  # among the counts


def fresh(random: Random, others: Random, lookups: bytes = b"") -> bytes:
    """Random bytes of a case, of one of `lookups` if there are some; `others` is the sequence of what other CPUs do in
    a part of them.
    """
    data = random.randbytes(SIZE)
    if others.random() >= EVENTS_SHARE:
        return data
    lookup = wire.lookup_of(data, lookups)
    case = bytearray(data + others.randbytes(EVENTS_SIZE))
    put(case, "head", 0, "lookup", lookup)
    if others.random() < 0.6:
        aim(case, others)
    return bytes(case)


def aim(case: bytearray, draw: Random) -> None:
    """Sockets meet the packet of a case of MOST bytes, and something happens to them where the walk meets them."""
    if take(case, "head", 0, "lookup") in UDP_LOOKUPS:
        aim_udp(case, draw)
        return
    case[_N_SOCKS] = max(case[_N_SOCKS], wire.byte(_N_SOCKS, 3))
    draw.choice(_WAYS)(case, draw)


def _meet(case: bytearray, sock: int, table: int) -> None:
    meet(case, sock)
    put(case, "sock", sock, "hashed", table)
    if table == LHASH2:
        put_all(case, "sock", sock, {"kind": KIND_FULL, "state": TCP_LISTEN, "ipv6only": 0})


def _moves(case: bytearray, draw: Random) -> None:
    """The packet's connection goes, or becomes another one, where the walk meets it."""
    sock = draw.randrange(3)
    _meet(case, sock, EHASH)
    point = draw.choice((AT_LINK, AT_NODE, AT_NODE, AT_TAKING, AT_TAKEN))
    action = draw.choice((LEAVES, LEAVES, REUSED, LISTENS, REBOUND))
    place_event(case, 0, point=point, action=action, sk=sock, at=draw.choice((sock, NONE)), steps=draw.randrange(3))
    if draw.random() < 0.4:
        place_event(
            case, 1, point=draw.choice((AT_LINK, AT_NODE, AT_TAKING)), action=draw.choice((GOES_ON, LEAVES)), sk=sock
        )


def _strays(case: bytearray, draw: Random) -> None:
    """Who stands before the packet's connection in its chain goes into another chain under the walk."""
    _meet(case, 0, EHASH)
    sock = draw.choice((1, 2))
    _meet(case, sock, EHASH)
    fields = {"kind": KIND_FULL, "group": NONE, "dport": take(case, "packet", 0, "dport")}
    put_all(case, "sock", sock, fields)
    put(case, "head", 0, "ehash_size", draw.choice((1, 2)))
    port = 40000 + draw.randrange(2, 5)
    action = draw.choice((LISTENS, REUSED))
    place_event(case, 0, point=AT_NODE, action=action, sk=sock, at=draw.choice((sock, NONE)), value=port)


def _arrives(case: bytearray, draw: Random) -> None:
    """The packet's connection comes while it is looked for, or another one becomes it."""
    sock = draw.randrange(3)
    _meet(case, sock, draw.choice((EHASH, EHASH, LHASH2)))
    port, action = take(case, "packet", 0, "sport"), COMES
    if draw.random() < 0.4:
        put(case, "sock", sock, "dport", take(case, "packet", 0, "dport"))
        action = REUSED
    point = draw.choice((AT_LINK, AT_NODE))
    place_event(
        case, 0, point=point, action=action, sk=sock, value=port, nth=draw.randrange(1, 4), steps=draw.randrange(3)
    )


def _is_replaced(case: bytearray, draw: Random) -> None:
    """A full socket takes the place of the request that the packet is of, or a timewait socket that of a full one."""
    before, listener, other = draw.sample(range(3), 3)
    _meet(case, listener, LHASH2)
    _meet(case, before, EHASH)
    put(case, "sock", before, "kind", draw.choice((KIND_REQUEST, KIND_FULL)))
    put(case, "sock", before, "listener", listener)
    point = draw.choice((AT_LINK, AT_NODE, AT_TAKING, AT_TAKEN))
    place_event(case, 0, point=point, action=REPLACED, sk=before, other=other, steps=draw.randrange(3))
    if draw.random() < 0.4:
        place_event(case, 1, point=draw.choice((AT_LINK, AT_NODE)), action=GOES_ON, nth=draw.randrange(1, 4))


def _regroups(case: bytearray, draw: Random) -> None:
    """Members of the packet's group, and programs, come and go when it is counted, or while a program chooses."""
    count = draw.choice((2, 3, 3))
    for sock in range(count):
        _meet(case, sock, LHASH2)
        put_all(case, "sock", sock, {"reuseport": 1, "reuseport_changed": 0, "group": 0})
    case[_N_GROUPS] = max(case[_N_GROUPS], wire.byte(_N_GROUPS, 1))
    point = draw.choice((AT_MEMBERS, AT_MEMBERS, AT_PROGRAM, AT_RAN, AT_LINK, AT_NODE))
    action = draw.choice((COMES, COMES, LEAVES, LEAVES, ATTACHED, SK_LOOKUP))
    value = draw.randrange(2) if action == SK_LOOKUP else 0
    place_event(case, 0, point=point, action=action, sk=draw.randrange(count), value=value, steps=draw.randrange(3))
    if draw.random() < 0.3:
        place_event(case, 1, point=AT_MEMBERS, action=draw.choice((COMES, LEAVES)), sk=draw.randrange(count))


_WAYS: tuple[Callable[[bytearray, Random], None], ...] = (_moves, _moves, _strays, _arrives, _is_replaced, _regroups)
