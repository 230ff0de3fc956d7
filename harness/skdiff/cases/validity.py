"""Which Scenarios are valid: what the C accepts without undefined behaviour, and what a real system can reach.

`problems` is the judge; `normalise.py` makes valid Scenarios, and is held against it by a test. `valid_values.py` has
which values a field can have, `reachable.py` what a system can reach.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

from skdiff.cases.addresses import ANY, MAPPED_ANY, as_ipv4, is_ipv6
from skdiff.cases.derived import UDP_HEADER
from skdiff.cases.events import wrong_events
from skdiff.cases.field_kinds import Kind
from skdiff.cases.fields import FIELDS, of_kind
from skdiff.cases.on_kernel import needed
from skdiff.cases.reachable import unreachable
from skdiff.cases.record import constants
from skdiff.cases.scenario import (
    AF_INET6,
    BOUND,
    DEMUX,
    DESTRUCTOR_NONE,
    HELPER,
    IPPROTO_UDP,
    IPV6_LOOKUPS,
    KIND_FULL,
    KIND_REQUEST,
    KIND_TIMEWAIT,
    LHASH2,
    NONE,
    TCP_NEW_SYN_RECV,
    TCP_TIME_WAIT,
    UDP_HASHED,
    UDP_LOOKUPS,
    Scenario,
    Sock,
)
from skdiff.cases.valid_values import Counts, fault, valid_range
from skdiff.variants.abilities import Ability, lacking
from skdiff.variants.config import Config
from skdiff.variants.version_rules import Rules

MINI_STATE = {KIND_REQUEST: TCP_NEW_SYN_RECV, KIND_TIMEWAIT: TCP_TIME_WAIT}


def problems(scenario: Scenario, rules: Rules | None = None) -> list[str]:
    """What is wrong with a scenario, a line each; empty for a valid one. A scenario that is not marked as hostile must
    be reachable by system calls and BPF helpers as well: on a kernel of these `rules`, or on any if there are none.
    """
    found = list(_too_many(scenario)) or list(_out_of_range(scenario)) or list(_structure(scenario))
    if not found and not scenario.hostile:
        found = list(unreachable(scenario))
        if not found and rules is not None:
            found = not_on(scenario, rules)
    return found


def not_on(scenario: Scenario, rules: Rules, config: Config | None = None) -> list[str]:
    """Why a valid scenario that another kernel can reach is not reachable on a kernel of these rules, a line each; and
    in this configuration, if there is one.
    """
    lacks = _lacking(rules)
    why = [ability.refusal() for ability in needed(scenario) if ability in lacks]
    return [f"not on this kernel: {line}" for line in (*why, *(_not_built(scenario, config) if config else ()))]


def _not_built(scenario: Scenario, config: Config) -> Iterator[str]:
    """What needs an option that is off."""
    if not config.ipv6 and any(sock.family == AF_INET6 for sock in scenario.socks):
        yield "there are no AF_INET6 sockets without CONFIG_IPV6 (net/ipv6/af_inet6.c inet6_create())"
    if not config.l3mdev and scenario.packet.sdif:
        yield (
            "no device is below an L3 master, so sdif is 0, without CONFIG_NET_L3_MASTER_DEV"
            " (include/net/l3mdev.h l3mdev_l3_rcv(), drivers/net/vrf.c)"
        )


@cache
def _lacking(rules: Rules) -> frozenset[Ability]:
    return lacking([rules])


_PLAIN = {
    record: tuple(name for name, field in fields.items() if field.kind is not Kind.LIST)
    for record, fields in FIELDS.items()
}
_INDICES = {
    record: tuple(name for kind in (Kind.NETNS, Kind.GROUP, Kind.SOCKET) for name in of_kind(record, kind))
    for record in FIELDS
}


def _things(s: Scenario) -> Iterator[tuple[str, Any]]:
    """The records of a scenario, and what each is called."""
    yield "the scenario", s
    yield "the packet", s.packet
    for i, net in enumerate(s.netns):
        yield f"namespace {i}", net
        yield from ((f"a program of namespace {i}", program) for program in net.progs)
    yield from ((f"group {i}", group) for i, group in enumerate(s.groups))
    yield from ((f"socket {i}", sock) for i, sock in enumerate(s.socks))
    yield from ((f"event {i + 1}", event) for i, event in enumerate(s.events))


def _too_many(s: Scenario) -> Iterator[str]:
    """More namespaces or groups than a record has room for. Told first: their sockets are out of range then."""
    for what, things, most in (
        ("namespaces", s.netns, constants.MAX_NETNS),
        ("groups", s.groups, constants.MAX_GROUPS),
    ):
        if len(things) > most:
            yield f"{len(things)} {what}, there is room for {most}"


def _out_of_range(s: Scenario) -> Iterator[str]:
    """Values that their fields cannot have: nothing else may be asked of a scenario that has one."""
    for what, thing in _things(s):
        fields = FIELDS[type(thing)]
        for name in _PLAIN[type(thing)]:
            wrong = fault(fields[name], getattr(thing, name))
            if wrong:
                yield f"{what}: {name} is {getattr(thing, name)}, {wrong}"


def _structure(s: Scenario) -> Iterator[str]:
    socks = range(len(s.socks))
    for what, things, most in (("sockets", s.socks, constants.MAX_SOCKS), ("events", s.events, constants.MAX_EVENTS)):
        if len(things) > most:
            yield f"{len(things)} {what}, there is room for {most}"
    counts = Counts.of(s)
    for what, thing in _things(s):
        for name in _INDICES[type(thing)]:
            if getattr(thing, name) > valid_range(type(thing), name, counts)[1]:
                yield f"{what}: {name} is {getattr(thing, name)}, which is not there"
    p = s.packet
    if s.lookup not in IPV6_LOOKUPS and (p.saddr, p.daddr) != (as_ipv4(p.saddr), as_ipv4(p.daddr)):
        yield "the packet: IPv4 has no such addresses"
    if p.data_len > p.len:
        yield f"data_len {p.data_len} is more than len {p.len}"
    if s.lookup in UDP_LOOKUPS and p.doff != UDP_HEADER:
        yield f"the packet: doff is {p.doff}, a UDP header has {UDP_HEADER} bytes"
    if s.caller == DEMUX and s.lookup not in UDP_LOOKUPS:
        yield "early demux of TCP comes before the lookup: give the packet its socket"
    if s.caller == HELPER and (p.sk != NONE or p.destructor != DESTRUCTOR_NONE):
        yield "a BPF helper looks up without an sk_buff: no socket is attached"
    for i, sock in enumerate(s.socks):
        mini = sock.kind != KIND_FULL
        if sock.family != AF_INET6:
            if (sock.daddr, sock.rcv_saddr) != (as_ipv4(sock.daddr), as_ipv4(sock.rcv_saddr)):
                yield f"socket {i}: only an AF_INET6 socket has addresses of IPv6"
        elif sock.hashed == LHASH2 and is_ipv6(sock.rcv_saddr) and not sock.ipv6only:
            yield f"socket {i}: who listens on an address of IPv6 is ipv6only"
        if sock.group != NONE and mini:
            yield f"socket {i}: a mini socket is in no group"
        if sock.listener != NONE and sock.kind != KIND_REQUEST:
            yield f"socket {i}: only a request has a listener"
        if mini and (sock.state != MINI_STATE[sock.kind] or sock.rcu_free or sock.hashed == LHASH2):
            yield f"socket {i}: a mini socket has its kind's state, no socket flags, and is no listener"
        for problem in _in_udp_tables(sock):
            yield f"socket {i}: {problem}"
        if not mini and sock.state in MINI_STATE.values():
            yield f"socket {i}: a full socket in state {sock.state} would be taken for a mini socket"
        if sock.syncookie and sock.kind != KIND_REQUEST:
            yield f"socket {i}: only a request has a SYN cookie"
        if sock.reuseport_changed and sock.hashed not in (LHASH2, UDP_HASHED):
            yield f"socket {i}: only a listener has SO_REUSEPORT changed since listen(), and UDP since bind()"
    for i, group in enumerate(s.groups):
        if len(group.slots) > constants.MAX_SLOTS:
            yield f"group {i}: {len(group.slots)} slots, there is room for {constants.MAX_SLOTS}"
        if any(slot not in socks for slot in group.slots):
            yield f"group {i}: a slot without a socket"
        if group.num_socks + group.num_closed_socks > len(group.slots):
            yield f"group {i}: {group.num_socks} live and {group.num_closed_socks} closed in {len(group.slots)} slots"
    for i, net in enumerate(s.netns):
        if len(net.progs) > constants.MAX_PROGS:
            yield f"namespace {i}: {len(net.progs)} programs, there is room for {constants.MAX_PROGS}"
        for program in net.progs:
            if program.assign in socks and s.socks[program.assign].kind != KIND_FULL:
                yield f"namespace {i}: a program assigns {program.assign}, which is no full socket"
    if s.events:
        yield from wrong_events(s)


def _in_udp_tables(sock: Sock) -> Iterator[str]:
    if sock.hashed != UDP_HASHED:
        if sock.hash2 != BOUND or sock.mc_refuses:
            yield "only a socket in UDP's tables has hash2 and mc_refuses"
        return
    if sock.kind != KIND_FULL or sock.protocol != IPPROTO_UDP or not sock.num:
        yield "a socket in UDP's tables is a full one of UDP, with a port"
    if sock.hash2 != BOUND and sock.rcv_saddr in (ANY, MAPPED_ANY):
        yield "connect() puts a socket into another chain, or is about to, when it gives it a local address"
