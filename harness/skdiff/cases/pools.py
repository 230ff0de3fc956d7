"""The values that cases are drawn from: few addresses, ports, devices and CPUs, so that sockets and packets meet.

A pool has (value, weight) pairs; `fields.py` says which field has which. The first value is the plainest,
which a zero byte and a shrunk example mean.
"""

from typing import NamedTuple

from skdiff.cases.addresses import LOOPBACK4_IPV6, mapped, other_family
from skdiff.cases.scenario import (
    AF_INET,
    AF_INET6,
    IPPROTO_TCP,
    IPPROTO_UDP,
    LHASH2,
    NONE,
    SK_DROP,
    SK_PASS,
    UDP_HASHED,
)

Pool = tuple[tuple[int, int], ...]

# The peer, this host, and one more of each, in IPv4: a lookup of IPv6 has them in the other family
# (`native.of_lookup`). Their bytes differ, so that a missing byte swap is seen.
PEER, HERE, OTHER_PEER, OTHER_HERE = map(mapped, (0x0A000001, 0x0A000002, 0xC0A80105, 0xC0A80106))
# Those of the other family than the packet's.
SWAPPED_PEER, SWAPPED_HERE, SWAPPED_OTHER_PEER, SWAPPED_OTHER_HERE = map(
    other_family, (PEER, HERE, OTHER_PEER, OTHER_HERE)
)
# A group of hosts that a packet may go to, in IPv4 and in IPv6; and what IPv4 takes a socket of IPv6 to be on.
MANY, MANY6, LOOPBACK6 = mapped(0xEF010203), 0xFF0E << 112 | 0xEF010203, mapped(LOOPBACK4_IPV6)
SWAPPED_MANY, SWAPPED_LOOPBACK6 = map(other_family, (MANY, LOOPBACK6))
PEER_PORT, PORT, OTHER_PEER_PORT, OTHER_PORT = 40000, 80, 40001, 8443

FLAG: Pool = ((0, 1), (1, 1))
RARE: Pool = ((0, 15), (1, 1))
SOME: Pool = ((0, 3), (1, 1))
DEVICE: Pool = ((0, 12), (1, 4), (2, 3), (3, 1))
BAD_VERDICT = 2
VERDICT: Pool = ((SK_PASS, 8), (SK_DROP, 3), (BAD_VERDICT, 1))


def index(none: int, first: int, rest: int, most: int) -> Pool:
    """No such thing, the first two with some weight, the others with less."""
    return ((NONE, none), (0, first), (1, first), *((i, rest) for i in range(2, most)))


def table(pool: Pool) -> tuple[int, ...]:
    """256 entries: each value in its pool's order, as many as its weight asks for, one at least."""
    total = sum(weight for _, weight in pool)
    shares = [max(1, weight * 256 // total) for _, weight in pool]
    shares[shares.index(max(shares))] += 256 - sum(shares)
    return tuple(value for (value, _), share in zip(pool, shares, strict=True) for _ in range(share))


SECRETS: Pool = tuple((i * 0x9E3779B1 & 0xFFFFFFFF, 1) for i in range(64))

COUNTS: dict[str, Pool] = {
    "netns": ((1, 1), (2, 1)),
    "groups": ((0, 2), (1, 3), (2, 3), (3, 1), (4, 1)),
    "socks": (
        *((0, 3), (1, 8), (2, 10), (3, 12), (4, 12), (5, 10), (6, 8), (7, 6), (8, 6)),
        *((n, 1) for n in range(9, 17)),
    ),
}
# The most that a drawn case has: those of files may have as many as the record has room for.
DRAWN_SOCKS, DRAWN_SLOTS = 16, 8
SLOT: Pool = tuple((n, 1) for n in range(DRAWN_SOCKS))


class Raw(NamedTuple):
    """The fields of a case as they were drawn, each from its pool: `normalise` makes a Scenario of them.

    A namespace has its fields up to the programs, and the programs'; a group those up to the slots, and the slots.
    """

    head: list[int]
    packet: list[int]
    netns: list[tuple[list[int], list[list[int]]]]
    groups: list[tuple[list[int], list[int]]]
    socks: list[list[int]]


OTHER = {AF_INET: AF_INET6, AF_INET6: AF_INET}
OTHER_PROTOCOL = {IPPROTO_TCP: IPPROTO_UDP, IPPROTO_UDP: IPPROTO_TCP}
OTHER_TABLE = {LHASH2: UDP_HASHED, UDP_HASHED: LHASH2}
