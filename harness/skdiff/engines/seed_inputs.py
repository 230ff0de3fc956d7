"""Where a guided run starts: the corpus as wire bytes, in the pools' own addresses and ports."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from skdiff.base.errors import CannotRun
from skdiff.base.paths import CORPUS
from skdiff.cases import wire
from skdiff.cases.addresses import ANY, MAPPED_ANY, is_ipv6, other_family
from skdiff.cases.case_file import load
from skdiff.cases.derived import is_multicast
from skdiff.cases.field_kinds import Kind
from skdiff.cases.fields import of_kind
from skdiff.cases.pools import HERE, LOOPBACK6, MANY, MANY6, OTHER_HERE, OTHER_PORT, PEER, PEER_PORT, PORT
from skdiff.cases.scenario import IPV6_LOOKUPS, Scenario


def seeds(folder: Path = CORPUS) -> Iterator[bytes]:
    """Each readable case of a folder, as near as the wire format gets to it; an unreadable one is no seed."""
    for path in sorted(folder.rglob("*.toml")):
        try:
            yield wire.near(translated(load(path).scenario))
        except CannotRun:  # `skdiff replay` says what is wrong with it
            continue


def translated(scenario: Scenario) -> Scenario:
    """The same case with the pools' addresses and ports: what was the packet's still is, what differed still does."""
    p = scenario.packet
    here, peer = HERE, PEER
    if scenario.lookup in IPV6_LOOKUPS:
        here, peer = other_family(HERE), other_family(PEER)
    if is_multicast(scenario.lookup, p.daddr):
        here = MANY6 if scenario.lookup in IPV6_LOOKUPS else MANY
    elif p.daddr == LOOPBACK6:
        here = LOOPBACK6  # which stands for sockets of IPv6
    addresses = {ANY: ANY, MAPPED_ANY: MAPPED_ANY, p.daddr: here, p.saddr: peer}
    ports = {0: 0, p.dport: PORT, p.sport: PEER_PORT}

    def address(old: int) -> int:
        return addresses.get(old, other_family(OTHER_HERE) if is_ipv6(old) else OTHER_HERE)

    def renamed(thing: Any) -> Any:
        new = {name: address(getattr(thing, name)) for name in of_kind(type(thing), Kind.ADDRESS)}
        new |= {name: ports.get(getattr(thing, name), OTHER_PORT) for name in of_kind(type(thing), Kind.PORT)}
        return thing._replace(**new)

    return scenario._replace(packet=renamed(p), socks=tuple(map(renamed, scenario.socks)))
