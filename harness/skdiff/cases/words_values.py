"""The values of the format of words: ends of connections, and the two of a packet, as text."""

import re
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from skdiff.cases import addresses
from skdiff.cases.addresses import MAPPED_ANY
from skdiff.cases.case_values import BadError
from skdiff.cases.did_you_mean import instead_of_address, shown

_END = re.compile(r"(?:\[(?P<v6>[^\]]*)\]|(?P<v4>[^:\[\]]*)):(?P<port>[^:]*)")
_MOST_PORT = 65535
# The keys that the raw format has for a packet, of which a case in words has one text.
_OF_RAW = {"saddr": "10.0.0.1", "sport": 40000, "daddr": "10.0.0.2", "dport": 80}


class End(NamedTuple):
    """An address and a port, in host byte order, whether it was written as one of IPv6, in brackets, and whether its
    address was written as *.
    """

    address: int
    port: int
    ipv6: bool
    star: bool = False


def read_end(text: object, where: str) -> End:
    """The end that a text stands for: 10.0.0.2:80, *:80, [2001:db8::2]:80. Raises BadError."""
    if not isinstance(text, str):
        raise BadError(f'{where}: an address with a port is needed, as "10.0.0.2:80", not {shown(text)}')
    match = _END.fullmatch(text.strip())
    if match is None:
        raise BadError(f"{where}: {shown(text)} is no address with a port{_instead(text.strip())}")
    if not re.fullmatch(r"[0-9]{1,5}", match["port"]) or int(match["port"]) > _MOST_PORT:
        raise BadError(f"{where}: {shown(match['port'])} is no port: a number of 0 to {_MOST_PORT}")
    ipv6 = match["v6"] is not None
    address = match["v6"] if ipv6 else match["v4"]
    if address == "*":
        return End(0, int(match["port"]), ipv6, star=True)
    return End(read_address(address, where, ipv6), int(match["port"]), ipv6)


def read_address(text: str, where: str, ipv6: bool) -> int:
    """The address that a text stands for, which is one of IPv6 or of IPv4. Raises BadError."""
    try:
        if not ipv6:
            return addresses.mapped(int(IPv4Address(text)))
        found = IPv6Address(text)
    except ValueError:
        hint = instead_of_address(text)
        raise BadError(f"{where}: {shown(text)} is no address of IPv{6 if ipv6 else 4}{hint}") from None
    if found.scope_id:
        raise BadError(f"{where}: {shown(text)}: an address has no device here; it is the socket's: device = ...")
    return int(found)


def _instead(text: str) -> str:
    """What to write in the place of a text that is no end."""
    if text.isdigit():
        return f'; of all addresses it is "*:{text}", or "[::]:{text}" of IPv6'
    if match := re.fullmatch(r"(.*:.*):(\d+)", text):
        try:
            return f'; an address of IPv6 stands in brackets: "[{IPv6Address(match[1])}]:{match[2]}"'
        except ValueError:
            return '; write "10.0.0.2:80" or "[2001:db8::2]:80"'
    if re.fullmatch(r"[0-9.]+|[0-9a-f:]*::[0-9a-f:.]*", text):
        return f'; its port is missing: "{f"[{text}]" if ":" in text else text}:80"'
    return '; write "10.0.0.2:80" or "[2001:db8::2]:80"'


def read_ends(text: object, where: str) -> tuple[End, End]:
    """Both ends of a packet: 10.0.0.1:40000 -> 10.0.0.2:80. Raises BadError."""
    example = '"10.0.0.1:40000 -> 10.0.0.2:80"'
    if isinstance(text, dict):
        own = [str(text.get(key, default)) for key, default in _OF_RAW.items()]
        example = f'"{own[0]}:{own[1]} -> {own[2]}:{own[3]}"'
        raise BadError(f"{where}: no table here: write packet = {example}, above the first table of the file")
    if not isinstance(text, str):
        raise BadError(f"{where}: {example} is needed, not {shown(text)}")
    parts = re.split(r"\s*->\s*", text.strip())
    if len(parts) != 2:
        raise BadError(f"{where}: {shown(text)}: an arrow between two ends is needed, as {example}")
    for part in parts:
        if part.startswith("*"):
            raise BadError(f"{where}: {shown(part)}: a packet has an address, a wildcard is none")
    source, destination = (read_end(part, where) for part in parts)
    if source.ipv6 != destination.ipv6:
        raise BadError(f"{where}: {shown(text)}: both ends are of IPv4, or both of IPv6 (in brackets)")
    return source, destination


def end_text(end: End) -> str:
    """An end as read_end() reads it."""
    return f"{address_text(end.address, end.ipv6)}:{end.port}"


def address_text(address: int, ipv6: bool) -> str:
    """An address as an end has it, in brackets if it is one of IPv6."""
    if not ipv6:
        return str(IPv4Address(address & 0xFFFFFFFF))
    if addresses.is_mapped(address) and address != MAPPED_ANY:
        return f"[::ffff:{IPv4Address(address & 0xFFFFFFFF)}]"
    if address == MAPPED_ANY:
        return "[::ffff:0.0.0.0]"
    return f"[{IPv6Address(address)}]"
