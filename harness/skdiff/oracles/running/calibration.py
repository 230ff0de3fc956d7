"""A group of many sockets, and packets for it, by which a kernel shows what it hashes with."""

from collections.abc import Iterator
from random import Random

from skdiff.cases.addresses import low_word, mapped
from skdiff.cases.derived import plain_packet
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
from skdiff.oracles.running.hash_key import MEMBERS

# As a little-endian CPU reads addresses and the peer's port, their first byte is the lowest: SETS of them in a row are
# addresses of hosts, and carry nothing into the next byte.
_HERE, _PORT = mapped(0x0A000002), 80
_FIRST_BYTES = range(1, 64)
SETS, EACH = 64, 8  # of questions; one of them leaves a 32nd of the keys


def calibration(lookup: int, netns: int, number: int) -> Scenario:
    """The scenario of a set of questions: a group of MEMBERS on the address of that set."""
    udp, here = lookup in UDP_LOOKUPS, _further(_HERE, number)
    sock = Sock(
        rcv_saddr=here,
        num=_PORT,
        protocol=IPPROTO_UDP if udp else IPPROTO_TCP,
        state=TCP_CLOSE if udp else TCP_LISTEN,
        hashed=UDP_HASHED if udp else LHASH2,
        netns=netns,
        rcu_free=1,
        reuseport=1,
        group=0,
    )
    return Scenario(
        lookup=lookup,
        caller=HELPER,
        packet=plain_packet(lookup, here)._replace(netns=netns),
        netns=(Netns(), Netns()),
        groups=(Group(num_socks=MEMBERS, slots=tuple(range(MEMBERS))),),
        socks=(sock,) * MEMBERS,
    )


def packets(first: Packet, number: int) -> Iterator[Packet]:
    """Those of a set, from many peers: the local port alone would tell nothing where it is added to the hash."""
    draw = Random(1)
    for _ in range(EACH):
        peer = mapped(draw.choice(_FIRST_BYTES) << 24 | draw.randrange(1 << 24))
        port = draw.choice(_FIRST_BYTES) << 8 | draw.randrange(1 << 8)
        yield first._replace(saddr=_further(peer, number), sport=port + (number << 8))


def _further(address: int, number: int) -> int:
    return address + (number << 24)


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
