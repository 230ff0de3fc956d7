"""What one kernel can reach of what the newest one can: cases that need an ability, and the nearest that do not."""

from collections.abc import Iterator, Sequence, Set

from skdiff.cases.addresses import as_ipv4, mapped
from skdiff.cases.derived import CONNECTION, is_handed_over, was_connected, with_derived
from skdiff.cases.normalise_events import with_events
from skdiff.cases.scenario import (
    AF_INET6,
    DEMUX,
    DESTRUCTOR_NONE,
    EDEMUX,
    EHASH,
    KIND_FULL,
    KIND_REQUEST,
    LEAVE,
    NONE,
    PACKET_HOST,
    PFREE,
    PROG_NONE,
    REHASHED,
    STALE,
    TCP_ESTABLISHED,
    UDP_LOOKUPS,
    Group,
    Netns,
    Scenario,
    Sock,
)
from skdiff.variants.abilities import (
    ADDRESS_BEFORE_PEER,
    ASSIGN_REUSEPORT,
    ASSIGN_TCP_REQSK,
    CONNECTED_MEMBER,
    PEER_BEFORE_ADDRESS,
    Ability,
)

LOOPBACK = mapped(0x7F000001)


def needed(scenario: Scenario) -> Iterator[Ability]:
    """The abilities that a kernel needs for a scenario that is reachable on the newest one."""
    if scenario.lookup in UDP_LOOKUPS:  # no other lookup looks at sockets of UDP's tables
        for sock in scenario.socks:
            yield from _needed_by(sock)
    packet = scenario.packet
    if packet.sk == NONE or packet.destructor != PFREE:
        return
    sock = scenario.socks[packet.sk]
    if sock.kind == KIND_FULL and sock.reuseport:
        yield ASSIGN_REUSEPORT
    if sock.kind == KIND_REQUEST and sock.syncookie:
        yield ASSIGN_TCP_REQSK


def _needed_by(sock: Sock) -> Iterator[Ability]:
    if sock.group != NONE and was_connected(sock):
        yield CONNECTED_MEMBER
    if sock.hash2 == STALE and sock.family != AF_INET6:
        yield PEER_BEFORE_ADDRESS if sock.daddr else ADDRESS_BEFORE_PEER


def reachable_without(scenario: Scenario, lacks: Set[Ability]) -> Scenario:
    """The scenario as a kernel that lacks some abilities can reach it: itself if it needs none of them. Instead of BPF,
    TPROXY hands over a socket of the packet's protocol, and a SYN makes a request. A connected socket of UDP leaves its
    group, and one in the middle of connect() has its peer or has it not, or is done with it.
    """
    if scenario.hostile or lacks.isdisjoint(needed(scenario)):
        return scenario
    if scenario.lookup in UDP_LOOKUPS:
        scenario = _with_udp_socks(scenario, lacks)
        if lacks.isdisjoint(needed(scenario)):
            return scenario
    packet, at = scenario.packet, scenario.packet.sk
    sock = scenario.socks[at]
    if sock.kind == KIND_REQUEST:
        if any(i != at and is_same_request(sock, other) for i, other in enumerate(scenario.socks)):
            return scenario._replace(hostile=1)
        sock = sock._replace(syncookie=0, hashed=EHASH, refcnt=2)
    elif not is_handed_over(scenario.lookup, sock):
        # of another protocol or family: only bpf_sk_assign() hands it over
        if packet.pkt_type != PACKET_HOST and scenario.caller != DEMUX:
            return scenario._replace(hostile=1)  # without it, it is delivered to all
        packet = packet._replace(sk=NONE, destructor=DESTRUCTOR_NONE)
    else:
        packet = packet._replace(destructor=EDEMUX)
        sock = sock._replace(refcnt=max(sock.refcnt, 2))
    return scenario._replace(packet=packet, socks=(*scenario.socks[:at], sock, *scenario.socks[at + 1 :]))


def _with_udp_socks(scenario: Scenario, lacks: Set[Ability]) -> Scenario:
    packet = scenario.packet
    socks, netns = list(scenario.socks), scenario.netns
    leavers: list[int] = []
    for i, sock in enumerate(scenario.socks):
        missing = lacks & frozenset(_needed_by(sock))
        if CONNECTED_MEMBER in missing:
            leavers.append(i)
            socks[i] = sock = sock._replace(group=NONE)
        if missing.isdisjoint(_IN_CONNECT):
            continue
        if lacks >= _IN_CONNECT:
            daddr, dport = (sock.daddr, sock.dport) if sock.daddr else (_peer_of(scenario), packet.sport)
            socks[i] = sock._replace(hash2=REHASHED, state=TCP_ESTABLISHED, daddr=daddr, dport=dport)
            netns = tuple(_without_assigned(net, i) for net in netns)
        elif sock.daddr:
            socks[i] = sock._replace(daddr=0, dport=0)
        else:
            socks[i] = sock._replace(daddr=_peer_of(scenario), dport=packet.sport)
    groups = tuple(_without(group, leavers) for group in scenario.groups) if leavers else scenario.groups
    fresh = scenario._replace(socks=tuple(socks), groups=groups, netns=netns, events=())
    return with_events(with_derived(fresh) if leavers else fresh, scenario.events)


_IN_CONNECT = frozenset({PEER_BEFORE_ADDRESS, ADDRESS_BEFORE_PEER})


def _peer_of(scenario: Scenario) -> int:
    """A peer for an AF_INET socket: the packet's, if it has an address of IPv4."""
    saddr = scenario.packet.saddr
    return as_ipv4(saddr) or LOOPBACK


def _without_assigned(net: Netns, index: int) -> Netns:
    """A namespace whose programs do not assign a socket."""
    return net._replace(progs=tuple(p._replace(assign=LEAVE) if p.assign == index else p for p in net.progs))


def _without(group: Group, leavers: Sequence[int]) -> Group:
    """A group without some members, which leave their slots."""
    live = [slot for slot in group.slots[: group.num_socks] if slot not in leavers]
    if len(live) == group.num_socks:
        return group
    select = group.select if group.select not in leavers else live[0] if live else NONE
    prog = group.prog if live else PROG_NONE
    slots = (*live, *group.slots[group.num_socks :])
    return group._replace(num_socks=len(live), slots=slots, select=select, prog=prog)


def is_same_request(one: Sock, other: Sock) -> bool:
    """Whether two sockets are requests of one connection by one device, of which the tables have only one."""
    return one.kind == other.kind == KIND_REQUEST and all(
        getattr(one, name) == getattr(other, name) for name in CONNECTION
    )


def as_it_is(scenario: Scenario, lacks: Set[Ability]) -> Scenario:
    """The scenario with the same lookup: hostile, if a kernel that lacks some abilities cannot reach it."""
    return scenario if lacks.isdisjoint(needed(scenario)) else scenario._replace(hostile=1)
