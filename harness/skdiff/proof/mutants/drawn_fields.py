"""Fields and bytes to try the C with that makes valid cases of them: drawn ones, and what few drawn ones have."""

from collections.abc import Callable
from random import Random
from typing import Any

from skdiff.cases import wire
from skdiff.cases.addresses import ANY, MAPPED_ANY, mapped
from skdiff.cases.events import MOST_REFERENCES
from skdiff.cases.pools import DRAWN_SOCKS, Raw
from skdiff.cases.reachable import MOST_BYTES, MOST_CPUS
from skdiff.cases.record import constants
from skdiff.cases.scenario import (
    AF_INET,
    AF_INET6,
    BOUND,
    DEMUX,
    EHASH,
    IPPROTO_SCTP,
    IPPROTO_TCP,
    IPPROTO_UDP,
    KIND_FULL,
    KIND_REQUEST,
    KIND_TIMEWAIT,
    LHASH2,
    NONE,
    NOWHERE,
    RECEIVE,
    TCP4,
    TCP6,
    TCP_CLOSE,
    TCP_LISTEN,
    TCP_NEW_SYN_RECV,
    TCP_TIME_WAIT,
    UDP4,
    UDP6,
    UDP_HASHED,
    Packet,
    Scenario,
    Sock,
)
from skdiff.engines.wide_engine import widen

# Where rules begin to hold or cease to: each next to one that the pools have.
_ADDRESSES = (
    *(
        ANY,
        MAPPED_ANY,
        1,
        5,
        0x20010DB8 << 96,
        0x20010DB8 << 96 | 0xFFFFFFFF,
        0xFF01 << 112 | 9,
        0xFF02 << 112 | 9,
        0xFF00 << 112 | 9,
        0xFE80 << 112 | 9,
    ),
    *map(mapped, (0x00000005, 0x00010203, 0xE0000005, 0xE0000105, 0xDFFFFFFF, 0xF0000000, 0xFFFFFFFE, 0xFFFFFFFF)),
)
_LIMITS: dict[Any, dict[str, tuple[int, ...]]] = {
    Scenario: {"cpu": (-1, 0, 1, MOST_CPUS - 1, MOST_CPUS)},
    Packet: {
        "saddr": _ADDRESSES,
        "daddr": _ADDRESSES,
        "rt_iif": (-1, 0, 1, 2),
        "skb_iif": (-1, 0, 1, 2),
        "sdif": (-1, 0, 1, 2),
        "doff": (0, 16, 19, 20, 21, 60),
        "len": (0, 7, 8, 19, 20, MOST_BYTES, MOST_BYTES + 1),
        "data_len": (0, 1, 12, 13, 52, 53, 60),
    },
    Sock: {
        "daddr": _ADDRESSES,
        "rcv_saddr": _ADDRESSES,
        "refcnt": (0, 1, 2, MOST_REFERENCES, MOST_REFERENCES + 1),
        "bound_dev_if": (-1, 0, 1),
        "incoming_cpu": (-2, -1, 0),
        "family": (0, AF_INET, AF_INET + 1, AF_INET6, AF_INET6 + 1),
        "state": (TCP_TIME_WAIT, TCP_CLOSE, TCP_NEW_SYN_RECV),
        "num": (0, 1),
        "dport": (0, 1),
    },
}


def at_limits(raw: Raw, random: Random) -> Raw:
    """Drawn fields, some of which have values next to a limit."""
    things: list[tuple[Any, list[int]]] = [
        (Scenario, raw.head),
        (Packet, raw.packet),
        *((Sock, sock) for sock in raw.socks),
    ]
    for record, fields in things:
        limits = _LIMITS[record]
        for name in random.sample(sorted(limits), min(len(limits), random.randrange(4))):
            fields[record._fields.index(name)] = random.choice(limits[name])
    return raw


def some_bytes(random: Random) -> bytes:
    """Of any length, most of them whole, or nearly."""
    lengths = wire.SIZE, wire.SIZE + 9, wire.SIZE - random.randrange(9), random.randrange(wire.SIZE)
    return random.randbytes(random.choice(lengths))


EXTREMES = (b"", bytes(wire.SIZE), b"\xff" * wire.SIZE)


def widened(random: Random) -> Raw:
    """Fields of which some have any value of their range."""
    raw = wire.draw(random.randbytes(wire.SIZE))
    for _ in range(3):
        widen(raw, random)
    return raw


def limited(random: Random) -> Raw:
    """Fields of which some are next to a limit."""
    return at_limits(wire.draw(random.randbytes(wire.SIZE)), random)


# Next to these begin networks to which, or from which, no packet of another host comes.
_NETWORKS = (0, 1, 0x007FFFFF, 0x00800000, 0x00FFFFFF, 0x01000000, 0xDFFFFFFF, 0xE0000000, 0xE00000FF, 0xE0000100)
_FOR_MANY = (mapped(0xEF010203), 0xFF02 << 112 | 9, mapped(0xFFFFFFFF))
_PLACES = (*_ADDRESSES, *map(mapped, _NETWORKS), 0xFF03 << 112 | 9)


def routed(random: Random) -> Raw:
    """A packet of another host, of which both addresses are next to a limit."""
    raw = wire.draw(random.randbytes(wire.SIZE))
    _set(Scenario, raw.head, hostile=0)
    _set(Packet, raw.packet, saddr=random.choice(_PLACES), daddr=random.choice(_PLACES), skb_iif=random.randrange(4))
    return raw


def attached(random: Random) -> Raw:
    """A socket of any kind that hangs on the packet."""
    raw = wire.draw(random.randbytes(wire.SIZE))
    if raw.socks:
        number = random.randrange(len(raw.socks))
        _set(Scenario, raw.head, hostile=0, caller=random.choice((RECEIVE, DEMUX)))
        _set(Packet, raw.packet, sk=number, destructor=random.randrange(5), netns=0)
        sock, other = raw.socks[number], random.randrange(len(raw.socks))
        kind = random.choice((KIND_FULL, KIND_FULL, KIND_REQUEST, KIND_TIMEWAIT))
        _set(Sock, sock, kind=kind, netns=random.choice((0, 0, 0, 1)), refcnt=random.randrange(1, 4))
        _set(Sock, sock, syncookie=random.randrange(2), listener=other)
        random.choice((_nothing, _unbound, _by_cookie, _of_a_group))(raw, sock, raw.socks[other], random)
    return raw


def _nothing(raw: Raw, sock: list[int], other: list[int], random: Random) -> None:
    pass


def _unbound(raw: Raw, sock: list[int], other: list[int], random: Random) -> None:
    _set(Sock, sock, kind=KIND_FULL, netns=0, family=AF_INET6, rcv_saddr=ANY, daddr=ANY, dport=0, ipv6only=1)
    _set(Sock, sock, hashed=random.choice((LHASH2, UDP_HASHED)), hash2=BOUND, group=NONE)


def _by_cookie(raw: Raw, sock: list[int], other: list[int], random: Random) -> None:
    """A request that was made of a cookie, perhaps in another namespace than the packet."""
    netns = random.randrange(2)
    _set(Scenario, raw.head, lookup=random.choice((TCP4, TCP6)))
    _set(Sock, other, kind=KIND_FULL, hashed=LHASH2, protocol=IPPROTO_TCP, state=TCP_LISTEN, group=NONE)
    _set(Sock, other, family=AF_INET6, rcv_saddr=ANY, ipv6only=0, netns=netns)
    _set(Sock, sock, kind=KIND_REQUEST, netns=netns, syncookie=1)


def _of_a_group(raw: Raw, sock: list[int], other: list[int], random: Random) -> None:
    """A socket of UDP whose group may be of another namespace; the packet may be one for many."""
    _set(Scenario, raw.head, lookup=random.choice((UDP4, UDP6)))
    _set(Packet, raw.packet, daddr=random.choice(_FOR_MANY))
    for one, netns in ((other, random.randrange(2)), (sock, 0)):
        _set(Sock, one, kind=KIND_FULL, netns=netns, protocol=IPPROTO_UDP, hashed=UDP_HASHED, hash2=BOUND, group=0)


def unattachable(random: Random) -> Raw:
    """A packet that UDP's early demux sees, perhaps this host's own, with a socket that cannot hang on it."""
    raw = wire.draw(random.randbytes(wire.SIZE))
    if raw.socks:
        number = random.randrange(len(raw.socks))
        _set(Scenario, raw.head, hostile=0, lookup=random.choice((UDP4, UDP6)), caller=DEMUX)
        _set(Packet, raw.packet, sk=number, netns=0)
        if random.randrange(2):
            raw.packet[Packet._fields.index("saddr")] = raw.packet[Packet._fields.index("daddr")]
        protocol, hashed = random.choice(((IPPROTO_UDP, NOWHERE), (IPPROTO_SCTP, NOWHERE), (IPPROTO_SCTP, EHASH)))
        _set(Sock, raw.socks[number], kind=KIND_FULL, netns=0, protocol=protocol, hashed=hashed)
    return raw


def grouped(random: Random) -> Raw:
    """Sockets of UDP in one group on an address for many, of which the first is in no table."""
    raw = wire.draw(random.randbytes(wire.SIZE))
    _set(Scenario, raw.head, hostile=0, lookup=random.choice((TCP4, TCP6)))
    for number, sock in enumerate(raw.socks[:3]):
        _set(Sock, sock, kind=KIND_FULL, protocol=IPPROTO_UDP, family=AF_INET6, netns=0, group=0)
        _set(Sock, sock, hashed=UDP_HASHED if number else NOWHERE, hash2=BOUND, rcv_saddr=random.choice(_FOR_MANY))
    return raw


def crowded(random: Random) -> Raw:
    """More sockets than are drawn, and groups with more slots, in which most of them are."""
    raw = wire.draw(random.randbytes(wire.SIZE))
    count = random.choice((DRAWN_SOCKS, DRAWN_SOCKS + 1, constants.MAX_SOCKS))
    while len(raw.socks) < count:
        raw.socks.extend(wire.draw(random.randbytes(wire.SIZE)).socks)
    del raw.socks[count:]
    kind, group, more = random.randrange(8), random.randrange(2), random.choice((8, 100))
    for sock in raw.socks:
        if random.randrange(4):
            _set(Sock, sock, kind=KIND_FULL, group=group)
        if kind == 0:
            _set(Sock, sock, hashed=random.choice((LHASH2, NOWHERE)), protocol=IPPROTO_TCP)
    for _, slots in raw.groups:
        while len(slots) < constants.MAX_SLOTS and random.randrange(more):
            slots.append(random.randrange(len(raw.socks) or 1))
    return raw


def _set(record: Any, fields: list[int], **values: int) -> None:
    for name, value in values.items():
        fields[record._fields.index(name)] = value


MAKERS: tuple[Callable[[Random], Raw], ...] = (
    widened,
    limited,
    routed,
    attached,
    unattachable,
    grouped,
    crowded,
)
