"""A case as another lookup's: with addresses of the other family."""

from collections.abc import Sequence
from typing import Any

from skdiff.cases.addresses import is_ipv6
from skdiff.cases.normalise import normalise
from skdiff.cases.pools import Raw, of_lookup
from skdiff.cases.scenario import AF_INET6, IPV6_LOOKUPS, Scenario, Sock

_PACKET, _LOOKUP = Scenario._fields.index("packet"), Scenario._fields.index("lookup")
_FAMILY, _IPV6ONLY = Sock._fields.index("family"), Sock._fields.index("ipv6only")


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
    raw = of_lookup(raw_of(scenario))
    raw.head[_LOOKUP] = lookup
    of_lookup(raw)
    to_ipv6 = lookup in IPV6_LOOKUPS and scenario.lookup not in IPV6_LOOKUPS
    for sock, old in zip(raw.socks, scenario.socks, strict=True):
        if to_ipv6 and old.family == AF_INET6 and not old.ipv6only and not is_ipv6(old.rcv_saddr):
            sock[_FAMILY] = AF_INET6  # both lookups find it
        if sock[_FAMILY] != AF_INET6:  # of a listener on an address of IPv6
            sock[_IPV6ONLY] = 0
    return normalise(raw)
