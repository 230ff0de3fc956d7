"""A case as another lookup's: with addresses of the other family, sockets of the other protocol, or both."""

from collections.abc import Sequence
from typing import Any

from skdiff.cases.addresses import is_ipv6
from skdiff.cases.native import of_lookup
from skdiff.cases.normalise import normalise
from skdiff.cases.normalise_events import with_events
from skdiff.cases.places import FAMILY, HASHED, IPV6ONLY, P_DOFF, STATE
from skdiff.cases.pools import Raw
from skdiff.cases.scenario import (
    AF_INET6,
    EHASH,
    IPPROTO_TCP,
    IPV6_LOOKUPS,
    KIND_FULL,
    LHASH2,
    TCP_CLOSE,
    TCP_ESTABLISHED,
    TCP_LISTEN,
    UDP_HASHED,
    UDP_LOOKUPS,
    Packet,
    Scenario,
    Sock,
)

_PACKET = Scenario._fields.index("packet")


def raw_of(scenario: Scenario) -> Raw:
    """The fields of a scenario, to be changed and made a scenario again by `normalise`."""
    fields: list[Any] = list(scenario)
    netns = [(list(net[:-1]), [list(program) for program in net.progs]) for net in scenario.netns]
    groups = [(list(group[:-1]), list(group.slots)) for group in scenario.groups]
    return Raw(fields[:_PACKET], list(scenario.packet), netns, groups, [list(sock) for sock in scenario.socks])


def fitting(scenario: Scenario, lookups: Sequence[int]) -> Scenario:
    """The scenario, if it is of one of these lookups, or else as the first one's."""
    return scenario if scenario.lookup in lookups else as_lookup(scenario, lookups[0])


def as_lookup(scenario: Scenario, lookup: int) -> Scenario:
    """The nearest valid scenario of a lookup: itself if it is of that one."""
    if scenario.lookup == lookup:
        return scenario
    raw = raw_of(of_lookup(of_lookup(scenario)._replace(lookup=lookup)))
    if (lookup in UDP_LOOKUPS) != (scenario.lookup in UDP_LOOKUPS):
        raw.packet[P_DOFF] = Packet().doff  # UDP's own, if it becomes UDP's
        for sock, old in zip(raw.socks, scenario.socks, strict=True):
            _of_other_protocol(sock, old)
    to_ipv6 = lookup in IPV6_LOOKUPS and scenario.lookup not in IPV6_LOOKUPS
    for sock, old in zip(raw.socks, scenario.socks, strict=True):
        if to_ipv6 and old.family == AF_INET6 and not old.ipv6only and not is_ipv6(old.rcv_saddr):
            sock[FAMILY] = AF_INET6  # both lookups find it
        if sock[FAMILY] != AF_INET6:  # of a listener on an address of IPv6
            sock[IPV6ONLY] = 0
    return with_events(normalise(raw), scenario.events)


def _of_other_protocol(sock: list[int], old: Sock) -> None:
    """A connection is a connected socket of UDP, a listener is one that is not connected, and back."""
    if old.hashed == EHASH and old.kind == KIND_FULL and old.protocol == IPPROTO_TCP:
        sock[HASHED], sock[STATE] = UDP_HASHED, TCP_ESTABLISHED
    elif old.hashed == LHASH2:
        sock[STATE] = TCP_CLOSE
    elif old.hashed == UDP_HASHED and old.state == TCP_ESTABLISHED:
        sock[HASHED] = EHASH
    elif old.hashed == UDP_HASHED:
        sock[STATE] = TCP_LISTEN
