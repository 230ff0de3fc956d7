"""Bob Jenkins' lookup3 as the kernel uses it for sockets (include/linux/jhash.h), on ints modulo 2**32."""

from collections.abc import Sequence
from functools import lru_cache
from struct import unpack

from skdiff.cases.addresses import ADDRESS_BYTES, is_ipv6, low_word

_M = 0xFFFFFFFF
_GOLDEN = 0xDEADBEEF


def _rotate(word: int, bits: int) -> int:
    word &= _M  # what is above it is nobody's: sums, xors and shifts to the left carry nothing down
    return word << bits | word >> (32 - bits)


def _mixed(a: int, b: int, c: int) -> tuple[int, int, int]:
    """lookup3's step between two groups of three words."""
    for bits_a, bits_b, bits_c in ((4, 6, 8), (16, 19, 4)):
        a = (a - c) ^ _rotate(c, bits_a)
        c += b
        b = (b - a) ^ _rotate(a, bits_b)
        a += c
        c = (c - b) ^ _rotate(b, bits_c)
        b += a
    return a, b, c


def _final(a: int, b: int, c: int) -> int:
    """lookup3's last step: one word of three."""
    for bits_b, bits_c, bits_a in ((14, 11, 25), (16, 4, 14)):
        c = (c ^ b) - _rotate(b, bits_b)
        a = (a ^ c) - _rotate(c, bits_c)
        b = (b ^ a) - _rotate(a, bits_a)
    return ((c ^ b) - _rotate(b, 24)) & _M


def jhash_3words(a: int, b: int, c: int, initval: int) -> int:
    """lookup3's hash of three 32-bit words. The length goes into the start value, in bytes: 12 here."""
    start = _GOLDEN + 12 + initval
    return _final(a + start, b + start, c + start)


def jhash_1word(a: int, initval: int) -> int:
    """lookup3's hash of one word."""
    start = _GOLDEN + 4 + initval
    return _final(a + start, start, start)


def jhash_4words(words: Sequence[int], initval: int) -> int:
    """jhash2() of four words: of three, and then of the last one."""
    start = _GOLDEN + 16 + initval
    a, b, c = _mixed(*(start + word for word in words[:3]))
    return _final(a + words[3], b, c)


def _words(address: int) -> tuple[int, ...]:
    """How a little-endian CPU reads the four words of an IPv6 address in network order."""
    return unpack("<4I", address.to_bytes(ADDRESS_BYTES, "big"))


@lru_cache(1 << 12)
def _address_hash(address: int, initval: int) -> int:
    """jhash2() of the four words of an IPv6 address. Drawn cases have few addresses and few secrets."""
    return jhash_4words(_words(address), initval)


def _big_endian_word(value: int) -> int:
    """How a little-endian CPU reads the four bytes of an address in network order."""
    return int.from_bytes(value.to_bytes(4, "big"), "little")


def inet_ehashfn(key: int, laddr: int, lport: int, faddr: int, fport: int, lport_added: bool) -> int:
    """net/ipv4/inet_hashtables.c inet_ehashfn(): the hash of a connection, seen from its local end.

    Addresses and ports are in host order here. The kernel hashes them as they lie in the packet, but for the local
    port, which it has in host order already, in the upper half of the third word. The `key` is the boot's secret
    and the namespace's hash_mix, added up. With the rule `lport_added` the local port is not hashed, but added to the
    hash.
    """
    fport_raw = (fport & 0xFF) << 8 | fport >> 8
    ports = fport_raw if lport_added else lport << 16 | fport_raw
    hashed = jhash_3words(_big_endian_word(laddr), _big_endian_word(faddr), ports, key)
    return (hashed + lport) & _M if lport_added else hashed


def inet6_ehashfn(key: int, secret: int, laddr: int, lport: int, faddr: int, fport: int, lport_added: bool) -> int:
    """net/ipv6/inet6_hashtables.c inet6_ehashfn() without the rule `whole_hash6`: as IPv4's, of the last word of the
    local address and of the peer's address hashed with a `secret` of its own.
    """
    fport_raw = (fport & 0xFF) << 8 | fport >> 8
    ports = fport_raw if lport_added else lport << 16 | fport_raw
    hashed = jhash_3words(_words(laddr)[3], _address_hash(faddr, secret), ports, key)
    return (hashed + lport) & _M if lport_added else hashed


def inet6_whole_hash(secret: int, hash_mix: int, laddr: int, lport: int, faddr: int, fport: int) -> int:
    """inet6_ehashfn() with the rule `whole_hash6`: both addresses, whole, and the peer's port, nine words, with one
    secret as start value; hash_mix changes the first word, and the local port is added to the hash.
    """
    ours, theirs = _words(laddr), _words(faddr)
    a, b, c = _mixed(secret + (ours[0] ^ hash_mix), secret + ours[1], secret + ours[2])
    a, b, c = _mixed(a + ours[3], b + theirs[0], c + theirs[1])
    return (_final(a + theirs[2], b + theirs[3], c + ((fport & 0xFF) << 8 | fport >> 8)) + lport) & _M


@lru_cache(1 << 12)
def portaddr_hash(address: int, port: int, hash_mix: int) -> int:
    """What UDP's hash2 is keyed by: include/net/ip.h ipv4_portaddr_hash(), include/net/ipv6.h ipv6_portaddr_hash(). The
    address has 128 bits; a mapped one, and the wildcard, are hashed as IPv4's.
    """
    if is_ipv6(address):
        return _address_hash(address, hash_mix) ^ port
    return jhash_1word(_big_endian_word(low_word(address)), hash_mix) ^ port


def reciprocal_scale(value: int, buckets: int) -> int:
    """include/linux/kernel.h: a 32-bit value spread evenly over 0 .. buckets - 1."""
    return value * buckets >> 32
