"""Bob Jenkins' lookup3 as the kernel uses it for sockets (include/linux/jhash.h), on ints modulo 2**32."""

_M = 0xFFFFFFFF
_GOLDEN = 0xDEADBEEF


def _rotate(word: int, bits: int) -> int:
    word &= _M  # what is above it is nobody's: sums, xors and shifts to the left carry nothing down
    return word << bits | word >> (32 - bits)


def jhash_3words(a: int, b: int, c: int, initval: int) -> int:
    """lookup3's hash of three 32-bit words. The length goes into the start value, in bytes: 12 here."""
    start = _GOLDEN + 12 + initval
    a, b, c = a + start, b + start, c + start
    for bits_b, bits_c, bits_a in ((14, 11, 25), (16, 4, 14)):
        c = (c ^ b) - _rotate(b, bits_b)
        a = (a ^ c) - _rotate(c, bits_c)
        b = (b ^ a) - _rotate(a, bits_a)
    return ((c ^ b) - _rotate(b, 24)) & _M


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


def reciprocal_scale(value: int, buckets: int) -> int:
    """include/linux/kernel.h: a 32-bit value spread evenly over 0 .. buckets - 1."""
    return value * buckets >> 32
