"""What one kernel can reach of what the newest one can: cases that need an ability, and the nearest that do not."""

from collections.abc import Iterator, Set

from skdiff.cases.derived import CONNECTION, is_of_family
from skdiff.cases.scenario import (
    DESTRUCTOR_NONE,
    EDEMUX,
    EHASH,
    KIND_FULL,
    KIND_REQUEST,
    NONE,
    NOWHERE,
    PFREE,
    Scenario,
    Sock,
)
from skdiff.variants.abilities import ASSIGN_REUSEPORT, ASSIGN_TCP_REQSK, Ability


def needed(scenario: Scenario) -> Iterator[Ability]:
    """The abilities that a kernel needs for a scenario that is reachable on the newest one."""
    packet = scenario.packet
    if packet.sk == NONE or packet.destructor != PFREE:
        return
    sock = scenario.socks[packet.sk]
    if sock.kind == KIND_FULL and sock.reuseport:
        yield ASSIGN_REUSEPORT
    if sock.kind == KIND_REQUEST and sock.syncookie:
        yield ASSIGN_TCP_REQSK


def reachable_without(scenario: Scenario, lacks: Set[Ability]) -> Scenario:
    """The scenario as a kernel that lacks some abilities can reach it: itself if it needs none of them. Instead of BPF,
    TPROXY hands over a socket of TCP, and a SYN makes a request.
    """
    if scenario.hostile or lacks.isdisjoint(needed(scenario)):
        return scenario
    packet, at = scenario.packet, scenario.packet.sk
    sock = scenario.socks[at]
    if sock.kind == KIND_REQUEST:
        if any(i != at and is_same_request(sock, other) for i, other in enumerate(scenario.socks)):
            return scenario._replace(hostile=1)
        sock = sock._replace(syncookie=0, hashed=EHASH, refcnt=2)
    elif sock.hashed == NOWHERE or not is_of_family(scenario.lookup, sock.family, sock.rcv_saddr):
        # of UDP, or of the other family: only bpf_sk_assign() hands it over
        packet = packet._replace(sk=NONE, destructor=DESTRUCTOR_NONE)
    else:
        packet = packet._replace(destructor=EDEMUX)
        sock = sock._replace(refcnt=max(sock.refcnt, 2))
    return scenario._replace(packet=packet, socks=(*scenario.socks[:at], sock, *scenario.socks[at + 1 :]))


def is_same_request(one: Sock, other: Sock) -> bool:
    """Whether two sockets are requests of one connection by one device, of which the tables have only one."""
    return one.kind == other.kind == KIND_REQUEST and all(
        getattr(one, name) == getattr(other, name) for name in CONNECTION
    )


def as_it_is(scenario: Scenario, lacks: Set[Ability]) -> Scenario:
    """The scenario with the same lookup: hostile, if a kernel that lacks some abilities cannot reach it."""
    return scenario if lacks.isdisjoint(needed(scenario)) else scenario._replace(hostile=1)
