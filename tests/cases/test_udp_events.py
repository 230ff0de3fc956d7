"""Which events a case of UDP can have, and that drawn ones are made so."""

from collections import Counter
from random import Random

import pytest

from skdiff.cases.addresses import mapped
from skdiff.cases.derived import plain_packet, with_derived
from skdiff.cases.event_fields import MOST_STEPS
from skdiff.cases.events import most_steps
from skdiff.cases.normalise_events import with_events
from skdiff.cases.pools import HERE, PEER, PEER_PORT, PORT
from skdiff.cases.scenario import (
    AF_INET6,
    AT_LINK,
    BOUND,
    COMES,
    CONNECTS,
    DISCONNECTS,
    IPPROTO_UDP,
    LEAVES,
    LISTENS,
    MOVES,
    NONE,
    REBOUND,
    REHASHED,
    REPLACED,
    REUSED,
    STALE,
    TCP4,
    TCP_CLOSE,
    TCP_ESTABLISHED,
    UDP4,
    UDP_HASHED,
    UDP_LOOKUPS,
    Event,
    Group,
    Scenario,
    Sock,
)
from skdiff.cases.validity import problems
from skdiff.cases.wire import FRAME_SIZE, decode, other_packet, put
from skdiff.engines.aimed_events import EVENTS_SIZE, SIZE, aim

_BOUND = Sock(num=PORT, hashed=UDP_HASHED, protocol=IPPROTO_UDP, state=TCP_CLOSE, rcu_free=1, refcnt=2)
_CONNECTED = _BOUND._replace(daddr=PEER, dport=PEER_PORT, rcv_saddr=HERE, state=TCP_ESTABLISHED)
_STALE = _CONNECTED._replace(hash2=STALE, state=TCP_CLOSE)
_MEMBER = _BOUND._replace(reuseport=1, group=0)


def of(event: Event, *socks: Sock, saddr: int = PEER) -> Scenario:
    """A case of these sockets, of which those that say so are in one group."""
    members = tuple(i for i, sock in enumerate(socks) if sock.group == 0)
    groups = (Group(num_socks=len(members), slots=members),) if members else ()
    packet = plain_packet(UDP4, HERE)._replace(saddr=saddr, sport=PEER_PORT, dport=PORT)
    return with_derived(Scenario(lookup=UDP4, packet=packet, groups=groups, socks=socks, events=(event,)))


FINE = {
    "a bound one connects": of(Event(action=CONNECTS, sk=0, value=PEER_PORT, steps=6), _BOUND),
    "a connected one connects once more": of(Event(action=CONNECTS, sk=0, value=1), _CONNECTED),
    "connect() goes on": of(Event(action=CONNECTS, sk=0), _STALE),
    "disconnected": of(Event(action=DISCONNECTS, sk=0), _CONNECTED._replace(hash2=REHASHED)),
    "moved": of(Event(action=MOVES, sk=0, value=1), _CONNECTED),
    "a member leaves": of(Event(action=LEAVES, sk=1, steps=1), _MEMBER, _MEMBER),
    "a member comes": of(Event(action=COMES, sk=1, value=1), _MEMBER, _BOUND._replace(reuseport=1)),
    "bound to a device": of(Event(action=REBOUND, sk=0, value=3), _MEMBER),
}
# What no case has, and what no reachable one has, each with a word of the reason.
WRONG = {
    "reused": (of(Event(action=REUSED, sk=0, value=1), _BOUND), "no other CPU does this"),
    "listens": (of(Event(action=LISTENS, sk=0), _BOUND), "no other CPU does this"),
    "replaced": (of(Event(action=REPLACED, sk=0, other=1), _BOUND, _BOUND), "no other CPU does this"),
    "of no table": (of(Event(action=CONNECTS, sk=0), _BOUND._replace(hashed=0)), "in no table"),
    "one reference": (
        of(Event(action=LEAVES, sk=0), _BOUND._replace(refcnt=1)),
        "its refcnt is 1: this action needs 2 to",
    ),
    "no port": (of(Event(action=MOVES, sk=0, value=1 << 16), _BOUND), "a port is needed"),
    "another family": (of(Event(action=CONNECTS, sk=0), _BOUND._replace(family=AF_INET6)), "does not connect"),
    "half a peer": (
        of(Event(action=DISCONNECTS, sk=0), _CONNECTED._replace(family=AF_INET6, hash2=REHASHED)),
        "one half of an IPv4 peer",
    ),
    "port 0": (of(Event(action=MOVES, sk=0), _BOUND), "any that is free"),
    "no group": (of(Event(action=COMES, sk=0, value=2), _BOUND), "a group has a number"),
    "there before": (of(Event(action=COMES, sk=0), _MEMBER), "not there before"),
    "too many steps": (of(Event(action=LEAVES, sk=0, steps=4), _BOUND), "behind 3"),
}
UNREACHABLE = {
    "closed in connect()": (of(Event(action=LEAVES, sk=0), _STALE), "lock_sock_nested()"),
    "bound to a device in connect()": (of(Event(action=REBOUND, sk=0, value=1), _STALE), "lock_sock_nested()"),
    "no peer": (of(Event(action=CONNECTS, sk=0), _BOUND._replace(rcv_saddr=HERE), saddr=0), "ip_route_connect()"),
    "a member moves": (of(Event(action=MOVES, sk=0, value=1), _MEMBER), "udp_reuseport_add_sock()"),
    "comes connected": (of(Event(action=COMES, sk=0), _CONNECTED), "bind() comes before connect()"),
    "comes into no group": (of(Event(action=COMES, sk=0), _BOUND._replace(reuseport=1)), "and nobody else"),
    "comes into another's group": (
        of(Event(action=COMES, sk=1, value=1), _MEMBER, _BOUND._replace(reuseport=1, rcv_saddr=HERE)),
        "of one address, port and device",
    ),
}


@pytest.mark.parametrize("name", FINE)
def test_what_other_cpus_do_is_taken(name: str) -> None:
    assert not problems(FINE[name])


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_is_refused_in_a_hostile_case_too(name: str) -> None:
    case, why = WRONG[name]
    assert any(why in problem for problem in problems(case._replace(hostile=1)))


@pytest.mark.parametrize("name", UNREACHABLE)
def test_what_cannot_be_reached_is_hostile(name: str) -> None:
    case, why = UNREACHABLE[name]
    assert any(why in problem for problem in problems(case))
    assert not problems(case._replace(hostile=1))


def test_actions_of_udp_are_not_tcp_s() -> None:
    sock = _BOUND._replace(hashed=0)
    case = of(Event(action=CONNECTS, sk=0), sock)._replace(lookup=TCP4, hostile=1)
    assert any("of UDP alone" in problem for problem in problems(case))


def test_a_drawn_case_is_valid_with_its_events() -> None:
    random = Random(1)
    met = set()
    for number in range(1500):
        data = bytearray(random.randbytes(SIZE + EVENTS_SIZE))
        put(data, "head", 0, "lookup", random.choice((*UDP_LOOKUPS,)))
        if number % 2:
            aim(data, random)
        case = decode(bytes(data))
        assert not problems(case)
        met |= {event.action for event in case.events}
        assert all(event.steps <= most_steps(event, case.socks) <= MOST_STEPS for event in case.events)
    assert {LEAVES, COMES, REBOUND, CONNECTS, DISCONNECTS, MOVES} <= met


def test_another_packet_has_the_events_that_go_with_it() -> None:
    """Made anew they would be the same: what no packet has a say in is not looked at again."""
    random, seen = Random(2), Counter()
    for number in range(6000):
        data = bytearray(random.randbytes(SIZE + EVENTS_SIZE))
        if number % 2:
            aim(data, random)
        case = decode(bytes(data))
        found = other_packet(case, random.randbytes(FRAME_SIZE))
        assert not problems(found)
        assert found == with_events(found._replace(events=()), case.events)
        changed = found.events != case.events
        if case.events:
            seen[any(event.action == CONNECTS for event in case.events), changed, case.hostile] += 1
    kept = [seen[connects, False, hostile] for connects in (False, True) for hostile in (0, 1)]
    assert min(*kept, seen[True, True, 0], seen[True, True, 1]) > 5, seen
    assert not seen[False, True, 0] and not seen[False, True, 1]


def test_another_packet_with_the_same_events_is_for_the_same_tables() -> None:
    """So the C is told of the packet alone."""
    random, many = Random(3), 0
    for _ in range(500):
        case = decode(random.randbytes(SIZE + EVENTS_SIZE))
        found = other_packet(case, random.randbytes(FRAME_SIZE))
        if case.events and case.events == found.events:
            assert found.socks is case.socks and found.groups is case.groups and found.events is case.events
            many += 1
    assert many > 100


@pytest.mark.parametrize("hostile", [0, 1])
def test_who_is_drawn_to_move_to_port_0_moves_to_another(hostile: int) -> None:
    """udp_lib_get_port() would draw one, which is a step of its own (reciprocal_scale())."""
    case = of(Event(), _CONNECTED)._replace(events=(), hostile=hostile)
    drawn = [(0, AT_LINK, 1, MOVES, 0, NONE, 0, NONE)]
    (event,) = with_events(case, drawn).events
    assert event == Event(value=1, action=MOVES, sk=0)


def test_an_address_of_the_other_family_is_no_peer() -> None:
    """An AF_INET6 socket connects to an IPv6 sender alone: with an IPv4 one it has its addresses twice."""
    sock = _BOUND._replace(family=AF_INET6, hash2=BOUND)
    case = of(Event(action=CONNECTS, sk=0), sock, saddr=mapped(1))._replace(hostile=1)
    assert any("does not connect" in problem for problem in problems(case))
