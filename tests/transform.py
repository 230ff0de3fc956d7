"""Changes of a Scenario that leave its meaning, or change it in one known way, and what they do to an Outcome.

A list of sockets to keep (`order`) says by `order[new] = old` who stands where afterwards; it may leave some out.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from skdiff.cases.addresses import as_ipv4, ipv4_view, is_ipv6, mapped, other_family
from skdiff.cases.field_kinds import Kind
from skdiff.cases.fields import of_kind
from skdiff.cases.outcome import RETURNED, SHOWN_NAMES, Outcome
from skdiff.cases.record import constants
from skdiff.cases.scenario import (
    AF_INET,
    AF_INET6,
    DESTRUCTOR_NONE,
    EHASH,
    FOREIGN,
    IPPROTO_UDP,
    LEAVE,
    NONE,
    PROG_NONE,
    TCP6,
    UDP6,
    UDP_LOOKUPS,
    Group,
    Netns,
    Program,
    Scenario,
    Sock,
)

Rename = Callable[[int], int]
MAX_SOCKS: int = constants.MAX_SOCKS


def plain(outcome: Outcome) -> Outcome:
    """What is compared of an outcome."""
    return outcome._replace(via=(), signal=0)


def shown_as(outcome: Outcome, **renames: Rename) -> Outcome:
    """The outcome with those values renamed that programs were shown under a name of SHOWN_NAMES."""
    shown = []
    for kind, *values in outcome.shown:
        names = SHOWN_NAMES[kind]
        shown.append((kind, *(renames[n](v) if n in renames else v for n, v in zip(names, values, strict=True))))
    return outcome._replace(shown=tuple(shown))


def blind(outcome: Outcome, *names: str) -> Outcome:
    """The outcome without what programs were shown under these names."""
    return shown_as(outcome, **dict.fromkeys(names, lambda value: 0))


def _place(order: Sequence[int], gone: int) -> Rename:
    """From an old index to a new one; `gone` stands for a socket that is left out. Negative ones stay."""
    places = {old: new for new, old in enumerate(order)}
    return lambda index: places.get(index, gone) if index >= 0 else index


# --- sockets ---------------------------------------------------------------------------------------------------------


def moved(scenario: Scenario, order: Sequence[int]) -> Scenario:
    """The same sockets in another order: whatever names a socket goes along."""
    return _named(scenario._replace(socks=tuple(scenario.socks[old] for old in order)), _place(order, FOREIGN))


def moved_outcome(outcome: Outcome, order: Sequence[int]) -> Outcome:
    """What `moved` does to the outcome. A socket that is left out and still named is FOREIGN."""
    if outcome.ended != RETURNED:
        return outcome
    at = _place(order, FOREIGN)
    return shown_as(
        outcome._replace(
            sk=at(outcome.sk),
            skb_sk=at(outcome.skb_sk),
            freed=sum((outcome.freed >> old & 1) << new for new, old in enumerate(order)),
            refcnt=tuple(outcome.refcnt[old] for old in order),
            listener=tuple(at(outcome.listener[old]) for old in order),
        ),
        sk=at,
        selected_sk=at,
        migrating_sk=at,
    )


def opened(scenario: Scenario, at: int, sock: Sock) -> Scenario:
    """One more socket, which becomes number `at`; its group and its request's listener keep their old numbers."""
    old = range(len(scenario.socks))
    named = _named(scenario, lambda index: index + (index >= at))
    return named._replace(socks=(*(named.socks[i] for i in old[:at]), sock, *(named.socks[i] for i in old[at:])))


def without(count: int, at: int) -> list[int]:
    """The order that leaves out number `at` of so many."""
    return [i for i in range(count) if i != at]


def _named(scenario: Scenario, name: Rename) -> Scenario:
    def renamed(index: int) -> int:
        return name(index) if index >= 0 else index

    s = _renamed(scenario, Kind.SOCKET, renamed)
    return s._replace(groups=tuple(group._replace(slots=tuple(map(renamed, group.slots))) for group in s.groups))


def _renamed(scenario: Scenario, kind: Kind, name: Rename) -> Scenario:
    """The scenario with another value in each field of a kind."""

    def fields(thing: Any) -> Any:
        return thing._replace(**{field: name(getattr(thing, field)) for field in of_kind(type(thing), kind)})

    return fields(scenario)._replace(
        packet=fields(scenario.packet),
        netns=tuple(fields(net)._replace(progs=tuple(map(fields, net.progs))) for net in scenario.netns),
        groups=tuple(map(fields, scenario.groups)),
        socks=tuple(map(fields, scenario.socks)),
    )


def closed(scenario: Scenario, index: int) -> Scenario:
    """What close() of one socket leaves: it is in no table and no group, and whoever named it names nobody.

    In its group the last member takes its slot (net/core/sock_reuseport.c __reuseport_detach_sock()), or the first of
    the closed section (__reuseport_detach_closed_sock()). Numbers stay.
    """
    sock = scenario.socks[index]
    kept = {name: getattr(sock, name) for name in ("num", "netns", "family", "rcv_saddr")}
    kept["ipv6only"] = int(is_ipv6(sock.rcv_saddr))
    if sock.protocol == IPPROTO_UDP:
        kept |= {"protocol": sock.protocol, "rcu_free": sock.rcu_free}
    plainest = Sock(**kept, refcnt=max(1, sock.refcnt))
    socks = (*scenario.socks[:index], plainest, *scenario.socks[index + 1 :])
    packet = scenario.packet
    if packet.sk == index:
        packet = packet._replace(sk=NONE, destructor=DESTRUCTOR_NONE)
    return scenario._replace(
        packet=packet,
        netns=tuple(
            net._replace(
                progs=tuple(p._replace(assign=LEAVE) if p.assign == index else p for p in net.progs),
            )
            for net in scenario.netns
        ),
        groups=tuple(_detached(group, index, sock) for group in scenario.groups),
        socks=socks,
    )


def _detached(group: Group, index: int, sock: Sock) -> Group:
    closed_at = len(group.slots) - group.num_closed_socks
    live, stale = list(group.slots[: group.num_socks]), group.slots[group.num_socks : closed_at]
    closed = list(group.slots[closed_at:])
    if index in live:
        last = live.pop()
        if last != index:
            live[live.index(index)] = last
    elif index in closed:
        first = closed.pop(0)
        if first != index:
            closed[closed.index(index)] = first
    else:
        return group
    return group._replace(
        slots=(*live, *stale, *closed),
        num_socks=len(live),
        num_closed_socks=len(closed),
        incoming_cpu=max(0, group.incoming_cpu - (sock.incoming_cpu >= 0)),
        has_conns=group.has_conns if live or closed else 0,
        select=NONE if group.select == index else group.select,
        prog=group.prog if live or closed else PROG_NONE,
    )


def dissolved(scenario: Scenario) -> Scenario:
    """The same sockets without their SO_REUSEPORT groups; the flag stays, and with it the place in a chain."""
    return scenario._replace(groups=(), socks=tuple(sock._replace(group=NONE) for sock in scenario.socks))


# --- families --------------------------------------------------------------------------------------------------------


def ipv4_view_of(sock: Sock, address: int) -> int:
    """One of a socket's addresses as IPv4's lookup sees it, as a case has it."""
    return mapped(ipv4_view(address)) if sock.family == AF_INET6 else address


def as_ipv4_alone(scenario: Scenario) -> Scenario:
    """A case of IPv4 with AF_INET sockets alone, in no groups, without SO_REUSEPORT."""
    plain = {"family": AF_INET, "ipv6only": 0, "reuseport": 0, "reuseport_changed": 0}

    def made(sock: Sock) -> Sock:
        return sock._replace(daddr=as_ipv4(sock.daddr), rcv_saddr=as_ipv4(sock.rcv_saddr), **plain)

    return dissolved(scenario)._replace(socks=tuple(map(made, dissolved(scenario).socks)))


def ipv6_image(scenario: Scenario) -> Scenario:
    """A case of AF_INET sockets with all addresses in the other family, and with sockets of AF_INET6 alone."""

    def made(sock: Sock) -> Sock:
        rcv_saddr = other_family(sock.rcv_saddr)
        only = int(is_ipv6(rcv_saddr) and sock.hashed != EHASH)
        return sock._replace(family=AF_INET6, daddr=other_family(sock.daddr), rcv_saddr=rcv_saddr, ipv6only=only)

    packet = scenario.packet
    packet = packet._replace(saddr=other_family(packet.saddr), daddr=other_family(packet.daddr))
    lookup = UDP6 if scenario.lookup in UDP_LOOKUPS else TCP6
    return scenario._replace(lookup=lookup, packet=packet, socks=tuple(map(made, scenario.socks)))


# --- namespaces, groups, devices, CPUs -------------------------------------------------------------------------------


def without_programs(scenario: Scenario) -> Scenario:
    """The same without sk_lookup programs."""
    nets = tuple(net._replace(progs=(), run_array=0) for net in scenario.netns)
    return scenario._replace(sk_lookup_enabled=0, netns=nets)


def with_program(scenario: Scenario, at: int, program: Program) -> Scenario:
    """One more sk_lookup program, number `at`, in the packet's namespace."""
    net = scenario.netns[scenario.packet.netns]
    progs = (*net.progs[:at], program, *net.progs[at:])
    nets = list(scenario.netns)
    nets[scenario.packet.netns] = net._replace(progs=progs, run_array=1)
    return scenario._replace(sk_lookup_enabled=1, netns=tuple(nets))


def netns_swapped(scenario: Scenario) -> Scenario:
    """The two namespaces under each other's number; a second one comes in where there is only one."""
    one, other = scenario.netns if len(scenario.netns) > 1 else (*scenario.netns, Netns())
    packet = scenario.packet
    return scenario._replace(
        packet=packet._replace(netns=1 - packet.netns),
        netns=(other, one),
        socks=tuple(sock._replace(netns=1 - sock.netns) for sock in scenario.socks),
    )


def groups_renumbered(scenario: Scenario, order: Sequence[int]) -> Scenario:
    """The same groups in another order, with their ids: `order[new] = old`."""
    place = _place(order, NONE)
    return scenario._replace(
        groups=tuple(scenario.groups[old] for old in order),
        socks=tuple(sock._replace(group=place(sock.group)) for sock in scenario.socks),
    )


def devices_renamed(scenario: Scenario, names: Mapping[int, int]) -> Scenario:
    """Other ifindexes for the same devices; 0 is no device and stays."""

    return _renamed(scenario, Kind.DEVICE, lambda device: names.get(device, device))


def cpus_renamed(scenario: Scenario, names: Mapping[int, int]) -> Scenario:
    """Other numbers for the same CPUs; -1 is none and stays."""
    return _renamed(scenario, Kind.CPU, lambda cpu: names.get(cpu, cpu))
