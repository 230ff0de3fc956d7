"""A group of many sockets, and packets for it, by which a kernel shows what it hashes with."""

from collections.abc import Iterator
from random import Random

from skdiff.cases.addresses import low_word, mapped
from skdiff.cases.derived import plain_packet
from skdiff.cases.record import constants
from skdiff.cases.scenario import (
    HELPER,
    IPPROTO_TCP,
    IPPROTO_UDP,
    LHASH2,
    TCP_CLOSE,
    TCP_LISTEN,
    UDP_HASHED,
    UDP_LOOKUPS,
    Group,
    Netns,
    Packet,
    Scenario,
    Sock,
)

_HERE, _PORT = mapped(0x0A000002), 80
_OBSERVATIONS = 24  # each of a group of n leaves an n-th of the keys


def calibration(lookup: int, netns: int) -> tuple[Scenario, int]:
    """The scenario, and how many sockets are in its group."""
    udp, members = lookup in UDP_LOOKUPS, constants.MAX_SLOTS
    sock = Sock(
        rcv_saddr=_HERE,
        num=_PORT,
        protocol=IPPROTO_UDP if udp else IPPROTO_TCP,
        state=TCP_CLOSE if udp else TCP_LISTEN,
        hashed=UDP_HASHED if udp else LHASH2,
        netns=netns,
        rcu_free=1,
        reuseport=1,
        group=0,
    )
    return (
        Scenario(
            lookup=lookup,
            caller=HELPER,
            packet=plain_packet(lookup, _HERE)._replace(netns=netns),
            netns=(Netns(), Netns()),
            groups=(Group(num_socks=members, slots=tuple(range(members))),),
            socks=(sock,) * members,
        ),
        members,
    )


def packets(first: Packet) -> Iterator[Packet]:
    """From many peers: the local port alone would tell nothing where it is added to the hash."""
    draw = Random(1)
    for _ in range(_OBSERVATIONS):
        yield first._replace(saddr=mapped(0x0A000000 + draw.randrange(1, 1 << 24)), sport=draw.randrange(1, 1 << 16))


def hashed_words(packet: Packet, lport_added: bool) -> tuple[tuple[int, int, int], int]:
    """What net/ipv4/inet_hashtables.c inet_ehashfn() hashes of a packet that was found by its very address, and what it
    adds to that: see model/hashing.py.
    """
    sport = _as_it_lies(packet.sport, 2)
    ports = sport if lport_added else packet.dport << 16 | sport
    words = (_as_it_lies(low_word(packet.daddr), 4), _as_it_lies(low_word(packet.saddr), 4), ports)
    return words, packet.dport if lport_added else 0


def _as_it_lies(value: int, size: int) -> int:
    """How a little-endian CPU reads the bytes of a value in network order."""
    return int.from_bytes(value.to_bytes(size, "big"), "little")
