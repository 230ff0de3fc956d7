"""Mutation of the wire format in the Scenario's terms: make things meet, add and drop them, flip one field.

Works on bytes, in place and field by field, so that it costs microseconds and never has to repair anything: any bytes
are a valid case.
"""

from collections.abc import Callable
from itertools import product
from random import Random

from skdiff.cases import wire
from skdiff.cases.field_kinds import Kind
from skdiff.cases.fields import FIELDS, of_kind
from skdiff.cases.pools import DRAWN_SOCKS
from skdiff.cases.scenario import (
    EDEMUX,
    EHASH,
    FILTER,
    KIND_FULL,
    LHASH2,
    PFREE,
    SK_PASS,
    SK_REUSEPORT,
    TCP_LISTEN,
    Packet,
    Sock,
)
from skdiff.cases.wire import FIXED_SIZE, MOST, SIZE, SOCK_SIZE, put, take
from skdiff.cases.wire_events import DRAWN_EVENTS, EVENT_SIZE
from skdiff.engines.aimed_events import aim, fresh

# Drawn cases are good ones, for the pools have weights: a walk from case to case alone would miss what they hit.
FRESH = 0.5
_N_NETNS, _N_GROUPS, _N_SOCKS = range(3)
# What inet_match() and compute_score() hold against the packet: (field of the socket, field of the packet).
_CONNECTION = (*((name, field.meets) for name, field in FIELDS[Sock].items() if field.meets), ("netns", "netns"))
_PAIRS = (*_CONNECTION, *product(of_kind(Sock, Kind.DEVICE), of_kind(Packet, Kind.DEVICE)))


class Mutator:
    """Changes cases; its sequence is fixed by its seed."""

    def __init__(self, seed: int) -> None:
        self._random, self._others = Random(seed), Random(~seed)
        self._ways: tuple[Callable[[bytearray, int], None], ...] = (
            *(self._flip,) * 4,
            *(self._meet,) * 2,
            *(self._add, self._drop, self._swap, self._attach, self._join, self._listen, self._connect),
            *(self._group_program, self._sk_lookup_program),
            *(self._event, self._aimed_event, self._aimed_event),
        )

    def mutate(self, data: bytes, most: int = MOST) -> bytes:
        """One to three changes of a case, or another case altogether; `most` bounds the result's bytes."""
        if self._random.random() < FRESH:
            return wire.cut(bytearray(fresh(self._random, self._others)))[:most]
        case = bytearray(data[:MOST].ljust(MOST, b"\0"))
        draw = self._random
        for _ in range(1 + (draw.random() < 0.4) + (draw.random() < 0.2)):
            draw.choice(self._ways)(case, self._count(case, _N_SOCKS))
        return wire.cut(case)[:most]

    def cross(self, one: bytes, other: bytes, most: int = MOST) -> bytes:
        """A case with the frame of one and sockets of both, each at its own place or at the other's."""
        a = bytearray(one[:MOST].ljust(MOST, b"\0"))
        b = other[:MOST].ljust(MOST, b"\0")
        draw = self._random
        if draw.random() < 0.5:
            first, second = sorted(draw.sample(range(FIXED_SIZE), 2))
            a[first:second] = b[first:second]
        wanted = self._count(a, _N_SOCKS)
        for i in range(wanted):
            if draw.random() < 0.5:
                theirs = draw.randrange(max(1, self._count(b, _N_SOCKS)))
                a[_at(i) : _at(i + 1)] = b[_at(theirs) : _at(theirs + 1)]
        if draw.random() < 0.5:
            a[SIZE:] = b[SIZE:]
        return wire.cut(a)[:most]

    @staticmethod
    def _count(case: bytes | bytearray, which: int) -> int:
        return wire.value(which, case[which])

    @staticmethod
    def _set_count(case: bytearray, which: int, count: int) -> None:
        case[which] = wire.byte(which, count)

    def _sock(self, count: int) -> int:
        return self._random.randrange(count) if count else 0

    def _flip(self, case: bytearray, count: int) -> None:
        """One field takes another value of its pool."""
        at = self._random.randrange(FIXED_SIZE + count * SOCK_SIZE)
        case[at] = self._random.randrange(256)

    def _meet(self, case: bytearray, count: int) -> None:
        """A socket takes something of the packet, or the packet of the socket."""
        sock = self._sock(count)
        to_sock = self._random.random() < 0.8
        for ours, theirs in self._random.sample(_PAIRS, self._random.choice((1, 2, 5))):
            if to_sock:
                put(case, "sock", sock, ours, take(case, "packet", 0, theirs))
            else:
                put(case, "packet", 0, theirs, take(case, "sock", sock, ours))

    def _add(self, case: bytearray, count: int) -> None:
        """One more socket: any, or a copy of one that is there with one field changed."""
        if count >= DRAWN_SOCKS:
            return
        self._set_count(case, _N_SOCKS, count + 1)
        if count and self._random.random() < 0.7:
            model = self._sock(count)
            case[_at(count) : _at(count + 1)] = case[_at(model) : _at(model + 1)]
            case[_at(count) + self._random.randrange(SOCK_SIZE)] = self._random.randrange(256)
        else:
            case[_at(count) : _at(count + 1)] = self._random.randbytes(SOCK_SIZE)

    def _drop(self, case: bytearray, count: int) -> None:
        """One socket less; those behind it move up."""
        if count:
            sock = self._sock(count)
            del case[_at(sock) : _at(sock + 1)]
            case[SIZE - SOCK_SIZE : SIZE - SOCK_SIZE] = bytes(SOCK_SIZE)
            self._set_count(case, _N_SOCKS, count - 1)

    def _swap(self, case: bytearray, count: int) -> None:
        """Two sockets in the other order: chains are filled in that order."""
        one, other = self._sock(count), self._sock(count)
        kept = case[_at(one) : _at(one + 1)]
        case[_at(one) : _at(one + 1)] = case[_at(other) : _at(other + 1)]
        case[_at(other) : _at(other + 1)] = kept

    def _attach(self, case: bytearray, count: int) -> None:
        """A socket hangs on the sk_buff."""
        put(case, "packet", 0, "sk", self._sock(count))
        put(case, "packet", 0, "destructor", self._random.choice((PFREE, PFREE, EDEMUX)))

    def _join(self, case: bytearray, count: int) -> None:
        """A socket gets into a group, as a live member or with the flag alone."""
        sock, group = self._sock(count), self._random.randrange(2)
        if self._count(case, _N_GROUPS) <= group:
            self._set_count(case, _N_GROUPS, group + 1)
        put(case, "sock", sock, "group", group)
        put(case, "sock", sock, "reuseport", 1)
        slot = self._random.randrange(3)
        put(case, "group", group, f"slot{slot}", sock)
        if take(case, "group", group, "slots") <= slot:
            put(case, "group", group, "slots", slot + 1)
        put(case, "group", group, "num_socks", self._random.randrange(1, slot + 2))

    def _listen(self, case: bytearray, count: int) -> None:
        """A socket listens for the packet, on its address or the wildcard."""
        sock = self._sock(count)
        self._meet_all(case, sock, ("num", "dport"), ("netns", "netns"))
        address = take(case, "packet", 0, "daddr") if self._random.random() < 0.6 else 0
        put(case, "sock", sock, "rcv_saddr", address)
        for name, value in (("hashed", LHASH2), ("kind", KIND_FULL), ("state", TCP_LISTEN), ("ipv6only", 0)):
            put(case, "sock", sock, name, value)

    def _connect(self, case: bytearray, count: int) -> None:
        """A socket is the packet's own connection."""
        sock = self._sock(count)
        self._meet_all(case, sock, *_CONNECTION)
        put(case, "sock", sock, "hashed", EHASH)

    @staticmethod
    def _meet_all(case: bytearray, sock: int, *pairs: tuple[str, str]) -> None:
        for ours, theirs in pairs:
            put(case, "sock", sock, ours, take(case, "packet", 0, theirs))

    def _group_program(self, case: bytearray, count: int) -> None:
        """A group gets a program that chooses somebody."""
        group = self._random.randrange(2)
        put(case, "group", group, "prog", self._random.choice((FILTER, SK_REUSEPORT)))
        put(case, "group", group, "select", self._sock(count))
        put(case, "group", group, "verdict", SK_PASS)

    def _sk_lookup_program(self, case: bytearray, count: int) -> None:
        """The packet's namespace gets a program that assigns a socket."""
        netns = take(case, "packet", 0, "netns") % self._count(case, _N_NETNS)
        number = self._random.randrange(2)
        put(case, "netns", netns, "progs", number + 1)
        put(case, "netns", netns, "run_array", 1)
        put(case, "netns", netns, f"verdict{number}", SK_PASS)
        put(case, "netns", netns, f"assign{number}", self._sock(count))
        put(case, "head", 0, "sk_lookup_enabled", 1)

    def _event(self, case: bytearray, count: int) -> None:
        """One more event, whatever it is, or one less, or another value in one."""
        there, draw = take(case, "events", 0, "count"), self._random
        which = draw.randrange(there + 1)
        at = SIZE + 1 + min(which, DRAWN_EVENTS - 1) * EVENT_SIZE
        if which < there and draw.random() < 0.6:
            case[at + draw.randrange(EVENT_SIZE)] = draw.randrange(256)
        elif there and draw.random() < 0.3:
            put(case, "events", 0, "count", there - 1)
        else:
            case[at : at + EVENT_SIZE] = draw.randbytes(EVENT_SIZE)
            put(case, "events", 0, "count", min(there + 1, DRAWN_EVENTS))

    def _aimed_event(self, case: bytearray, count: int) -> None:
        """Something happens to a socket that the packet meets, where the walk meets it."""
        aim(case, self._random)


def _at(sock: int) -> int:
    return FIXED_SIZE + sock * SOCK_SIZE
