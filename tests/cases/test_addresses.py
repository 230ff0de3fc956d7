"""Addresses of a case: what they are, how they are written, and that nothing is lost on the way."""

import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skdiff.cases import addresses, pools
from skdiff.cases.addresses import (
    ANY,
    MAPPED_ANY,
    MOST,
    as_ipv4,
    from_text,
    halves,
    ipv4_view,
    is_ipv6,
    is_mapped,
    joined,
    low_word,
    mapped,
    other_family,
    text,
    with_port,
)
from tests.arbitrary import ADDRESS, IPV4_ADDRESS, U32

HERE = mapped(0x0A000002)


@given(U32)
def test_an_ipv4_address_is_mapped_and_comes_back(ipv4: int) -> None:
    address = mapped(ipv4)
    assert low_word(address) == ipv4
    assert address == (int(IPv6Address(f"::ffff:{IPv4Address(ipv4)}")) if ipv4 else ANY)
    assert IPv6Address(address).ipv4_mapped == (IPv4Address(ipv4) if ipv4 else None)


@given(ADDRESS)
def test_an_address_is_read_as_it_was_written(address: int) -> None:
    assert from_text(text(address)) == address


@given(ADDRESS)
def test_an_address_is_written_as_everybody_writes_it(address: int) -> None:
    known = IPv6Address(address).ipv4_mapped
    plain = address == ANY or (known is not None and int(known))
    assert text(address) == (str(known or IPv4Address(0)) if plain else str(IPv6Address(address)))


@pytest.mark.parametrize(
    ("words", "address"),
    [
        ("0.0.0.0", ANY),
        ("::", ANY),
        ("10.0.0.2", HERE),
        ("::ffff:10.0.0.2", HERE),
        ("::ffff:0:0", MAPPED_ANY),
        ("::1", 1),
        ("::10.0.0.2", 0x0A000002),
        ("2001:db8::2", 0x20010DB8 << 96 | 2),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", MOST),
    ],
)
def test_what_a_text_stands_for(words: str, address: int) -> None:
    assert from_text(words) == address


@pytest.mark.parametrize("words", ["x", "10.0.0", "10.0.0.256", "fe80:", "fe80::1%eth0", "fe80::1%1", "::g", "1", "*"])
def test_what_is_no_address_is_refused(words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        from_text(words)


@pytest.mark.parametrize(
    ("address", "port", "shown"),
    [
        (HERE, 80, "10.0.0.2:80"),
        (ANY, 80, "*:80"),
        (ANY, 0, "*:*"),
        (HERE, 0, "10.0.0.2:*"),
        (0x20010DB8 << 96 | 2, 80, "[2001:db8::2]:80"),
        (1, 0, "[::1]:*"),
        (MAPPED_ANY, 80, "[::ffff:0:0]:80"),
    ],
)
def test_an_address_of_ipv6_has_brackets_before_its_port(address: int, port: int, shown: str) -> None:
    assert with_port(address, port) == shown.replace("::ffff:0:0", str(IPv6Address(MAPPED_ANY)))


@given(ADDRESS)
def test_halves_are_of_64_bits_and_joined_the_same(address: int) -> None:
    first, last = halves(address)
    assert all(-(1 << 63) <= half < 1 << 63 for half in (first, last))
    assert (first % (1 << 64), last % (1 << 64)) == divmod(address, 1 << 64)
    assert joined(first, last) == address


@given(st.integers(-(1 << 63), (1 << 63) - 1), st.integers(-(1 << 63), (1 << 63) - 1))
def test_what_is_joined_has_these_halves(first: int, last: int) -> None:
    assert halves(joined(first, last)) == (first, last)


@given(ADDRESS)
def test_an_address_is_a_wildcard_or_of_one_family(address: int) -> None:
    assert is_mapped(address) == (IPv6Address(address).ipv4_mapped is not None)
    assert [address == ANY, is_mapped(address), is_ipv6(address)].count(True) == 1


@pytest.mark.parametrize("address", [1, 0xFFFFFFFF, 1 << 32, 0xFFFE << 32, 0x1FFFF << 32, MOST])
def test_what_only_ipv6_has(address: int) -> None:
    assert is_ipv6(address)
    assert as_ipv4(address) == mapped(address & 0xFFFFFFFF)


@given(ADDRESS)
def test_the_nearest_ipv4_address_of_one_is_itself(address: int) -> None:
    near = as_ipv4(address)
    assert as_ipv4(near) == near
    assert not is_ipv6(near)
    assert low_word(near) == low_word(address)
    assert near == address or address == MAPPED_ANY or is_ipv6(address)


@given(ADDRESS)
def test_what_an_ipv6_socket_has_as_its_ipv4_address(address: int) -> None:
    """net/ipv6/af_inet6.c __inet6_bind(): inet_rcv_saddr is 127.0.0.6 for what IPv4 has not."""
    if is_ipv6(address):
        assert IPv4Address(ipv4_view(address)) == IPv4Address("127.0.0.6")
    else:
        assert ipv4_view(address) == low_word(address)


@given(ADDRESS | IPV4_ADDRESS.map(other_family))
def test_the_other_family_of_the_other_family_is_the_address_itself(address: int) -> None:
    assert other_family(other_family(address)) == address


@given(U32.filter(bool))
def test_an_ipv4_address_has_one_of_ipv6_with_the_same_end(ipv4: int) -> None:
    image = other_family(mapped(ipv4))
    assert is_ipv6(image)
    assert IPv6Address(image) in IPv6Network("2001:db8::/32")  # for documentation
    assert as_ipv4(image) == mapped(ipv4)


@pytest.mark.parametrize("address", [ANY, MAPPED_ANY, 1, MOST, 0xFE80 << 112 | 1])
def test_what_is_of_neither_stays(address: int) -> None:
    assert other_family(address) == address


def test_the_addresses_of_the_pools_differ_in_both_families() -> None:
    plain = (pools.PEER, pools.HERE, pools.OTHER_PEER, pools.OTHER_HERE)
    swapped = (pools.SWAPPED_PEER, pools.SWAPPED_HERE, pools.SWAPPED_OTHER_PEER, pools.SWAPPED_OTHER_HERE)
    assert tuple(map(other_family, plain)) == swapped
    assert len({*plain, *swapped, ANY, MAPPED_ANY, mapped(addresses.LOOPBACK4_IPV6)}) == 11
    assert not any(map(is_ipv6, plain))
    assert all(map(is_ipv6, swapped))
