"""Addresses as a case has them: IPv6's 128 bits as an int, IPv4's mapped into them, 0 for no address of either."""

from ipaddress import IPv4Address, IPv6Address, ip_address
from struct import pack, unpack

ANY = 0  # 0.0.0.0 and ::
ADDRESS_BYTES = 16
MOST = (1 << 128) - 1
_MAPPED = 0xFFFF << 32  # ::ffff:0:0/96
_LOW = 0xFFFFFFFF
MAPPED_ANY = _MAPPED  # ::ffff:0.0.0.0, which only an AF_INET6 socket can be bound to
_IMAGE = 0x20010DB8_00010002_00030004 << 32  # of the prefix for documentation; no word of it is 0
# include/net/transp_v6.h: what stands for the IPv4 address of a socket that has an IPv6 one, 127.0.0.6.
LOOPBACK4_IPV6 = 0x7F000006


def mapped(ipv4: int) -> int:
    """An IPv4 address, given in host byte order, as a case has it."""
    return _MAPPED | ipv4 if ipv4 else ANY


def is_mapped(address: int) -> bool:
    """include/net/ipv6.h ipv6_addr_v4mapped(): whether it is an IPv4 address in IPv6's form, ::ffff:0.0.0.0 too."""
    return address >> 32 == 0xFFFF


def is_ipv6(address: int) -> bool:
    """Whether it is an address that IPv4 cannot have, and no wildcard."""
    return address >> 32 not in (0, 0xFFFF) or 0 < address <= _LOW


def low_word(address: int) -> int:
    """The last four bytes: of an IPv4 address all of it, in host byte order."""
    return address & _LOW


def halves(address: int) -> tuple[int, int]:
    """The first and the last eight bytes, as signed numbers: a step has its values in 64 bits."""
    first, last = unpack(">qq", address.to_bytes(ADDRESS_BYTES, "big"))
    return first, last


def joined(first: int, last: int) -> int:
    """The address of those halves."""
    return int.from_bytes(pack(">qq", first, last), "big")


def as_ipv4(address: int) -> int:
    """The nearest address that IPv4 has: itself, or its last four bytes, mapped."""
    return mapped(address & _LOW)


def ipv4_view(address: int) -> int:
    """What an AF_INET6 socket with this address has as its IPv4 one, in host byte order. net/ipv6/af_inet6.c
    __inet6_bind(): none for ::, the last word of a mapped one, and 127.0.0.6 for any other.
    """
    return address & _LOW if not address or address >> 32 == 0xFFFF else LOOPBACK4_IPV6


def other_family(address: int) -> int:
    """An address of the other family for one: 2001:db8:1:2:3:4:a.b.c.d for a.b.c.d and back. What is neither stays."""
    if address >> 32 in (0xFFFF, _IMAGE >> 32) and address & _LOW:
        return address ^ _MAPPED ^ _IMAGE
    return address


def text(address: int) -> str:
    """A dotted quad, or IPv6's form; 0.0.0.0 for no address."""
    if not address or (is_mapped(address) and address != MAPPED_ANY):
        return str(IPv4Address(address & _LOW))
    return str(IPv6Address(address))


def with_port(address: int, port: int) -> str:
    """An address and a port, * for none: 10.0.0.1:80, *:80, [2001:db8::1]:80."""
    shown = text(address) if address else "*"
    return f"[{shown}]:{port or '*'}" if ":" in shown else f"{shown}:{port or '*'}"


def from_text(words: str) -> int:
    """The address that a text stands for. Raises ValueError for none."""
    found = ip_address(words)
    if isinstance(found, IPv6Address) and found.scope_id:
        raise ValueError(words)
    return mapped(int(found)) if found.version == 4 else int(found)
