"""From drawn events to valid ones, for a Scenario that is valid without them. It changes as little else as it can.

Cases without events never come here.
"""

from collections.abc import Iterable, Sequence

from skdiff.cases.derived import CONNECTION, is_named
from skdiff.cases.event_fields import MOST_VISITS
from skdiff.cases.events import (
    HAVE_SK,
    HAVE_VALUE,
    MOST_REFERENCES,
    OF_SOCKET,
    can_listen,
    is_replaceable,
    joins,
    live_members,
    lost,
    most_steps,
    unreachable_events,
    wrong_events,
)
from skdiff.cases.fields import positions
from skdiff.cases.normalise_udp_events import FITTERS as UDP_FITTERS
from skdiff.cases.normalise_udp_events import Fitted, changed, fitted_udp, put, with_value, without
from skdiff.cases.pools import PEER_PORT
from skdiff.cases.record import constants
from skdiff.cases.scenario import (
    AT_LINK,
    AT_NODE,
    AT_TAKING,
    ATTACHED,
    COMES,
    DETACHED,
    EHASH,
    GOES_ON,
    HASH_OWN,
    KIND_FULL,
    KIND_REQUEST,
    KIND_TIMEWAIT,
    LEAVES,
    LHASH2,
    LISTENS,
    NONE,
    PROG_NONE,
    REBOUND,
    REPLACED,
    REUSED,
    SK_LOOKUP,
    SYSCTL,
    TCP_SYN_RECV,
    TCP_TIME_WAIT,
    UDP_LOOKUPS,
    Event,
    Scenario,
    Sock,
)
from skdiff.cases.udp_event_rules import NOT_OF_UDP, UDP_ALONE

_NO_SOCK = Sock()


def with_events(s: Scenario, drawn: Iterable[Sequence[int]]) -> Scenario:
    """The valid scenario with those of the drawn events that can be made to fit. It is its own nearest one."""
    for fields in drawn:
        if len(s.events) < constants.MAX_EVENTS:
            s = _with_event(s, *fields)
    return s


def _with_event(
    s: Scenario, value: int, point: int, nth: int, action: int, steps: int, at: int, sk: int, other: int
) -> Scenario:
    """The scenario with one more event, or as it is. Most of the time that it takes to draw a case with events is spent
    here, so each object is made once.
    """
    n = len(s.socks)
    if not n and action in HAVE_SK:
        return s
    sk = (sk % n if sk != NONE else 0) if action in HAVE_SK else NONE
    other = (other % n if other != NONE else 0) if action == REPLACED else NONE
    at = at % n if n and at != NONE and point in OF_SOCKET else NONE
    nth = 1 if nth < 1 else MOST_VISITS if nth > MOST_VISITS else nth
    event = Event(value if action in HAVE_VALUE else 0, point, nth, action, steps, at, sk, other)
    if s.lookup in UDP_LOOKUPS and action in UDP_FITTERS:
        fitted = fitted_udp(s, event, MOST_REFERENCES)
    elif action in (UDP_ALONE if s.lookup not in UDP_LOOKUPS else NOT_OF_UDP):
        fitted = None
    else:
        fitted = _FITTERS[action](s, event)
    if fitted is None:
        return s
    made, event = fitted
    if steps and (left := min(max(steps, 0), most_steps(event, made.socks))) != steps:
        event = event._replace(steps=left)
    made = Scenario._make((*made[:-1], (*made.events, event)))
    wrong = next(wrong_events(made), None) or (not s.hostile and next(unreachable_events(made), None))
    return s if wrong else made


def _leaves(s: Scenario, event: Event) -> Fitted:
    if s.socks[event.sk].hashed == EHASH and is_named(s, event.sk):
        s = _with_references(s, event.sk)
    return s, event


def _with_references(s: Scenario, index: int) -> Scenario:
    """A socket with one reference more than it loses when there is one more event that takes one."""
    least = lost(s.events, index) + 2
    sock = s.socks[index]
    return s if least <= sock.refcnt <= MOST_REFERENCES else put(s, index, changed(sock, refcnt=least))


def _is_reused(s: Scenario, event: Event) -> Fitted:
    sock = s.socks[event.sk]
    if not s.hostile:
        if event.point not in (AT_LINK, AT_NODE, AT_TAKING):
            event = event._replace(point=AT_TAKING)
        if sock.refcnt != 1:
            s = put(s, event.sk, changed(sock, refcnt=1))
        if not event.value:
            event = with_value(event, sock.dport ^ 1)
    return s, with_value(event, event.value & 0xFFFF)


def _listens(s: Scenario, event: Event) -> Fitted:
    sock = s.socks[event.sk]
    if not can_listen(changed(sock, group=NONE)):
        return None
    if sock.reuseport and not s.hostile:
        s = put(s, event.sk, changed(sock, reuseport=0))
    return s, event


def _comes(s: Scenario, event: Event) -> Fitted:
    sock = s.socks[event.sk]
    if sock.group == NONE:
        there = 0 < event.value <= len(s.groups) and (s.hostile or joins(s, event, sock))
        if sock.hashed == LHASH2 and not s.hostile:  # who has SO_REUSEPORT in listen() joins, and nobody else
            later = sock.reuseport ^ there
            s = put(s, event.sk, changed(sock, reuseport_changed=later)) if later != sock.reuseport_changed else s
        return s, event if there else with_value(event, 0)
    number, index = sock.group, event.sk
    group = s.groups[number]
    if sock.hashed != LHASH2 or group.slots.count(index) != 1 or index not in group.slots[: group.num_socks]:
        return None
    s = put(s, index, changed(sock, group=NONE))
    groups = list(s.groups)
    groups[number] = without(group, index, sock)
    event = with_value(event, number + 1)
    s = s._replace(groups=tuple(groups))
    return (s, event) if s.hostile or joins(s, event, s.socks[index]) else None


_COPIED = positions(Sock, *CONNECTION, "family", "ipv6only")
_CONNECTED = Sock(hashed=EHASH, hash_kind=HASH_OWN)
# What takes the place of a socket in ehash.
_SUCCESSORS = {
    KIND_REQUEST: _CONNECTED._replace(kind=KIND_FULL, state=TCP_SYN_RECV),
    KIND_FULL: _CONNECTED._replace(kind=KIND_TIMEWAIT, state=TCP_TIME_WAIT, refcnt=0),
}


def _is_replaced(s: Scenario, event: Event) -> Fitted:
    """The other one becomes a socket of the same connection: the full one of a request, or the timewait socket of a
    full one.
    """
    sock, other = s.socks[event.sk], s.socks[event.other]
    if event.sk == event.other or sock.hashed != EHASH or is_named(s, event.other):
        return None
    if sock.kind not in _SUCCESSORS and not s.hostile:
        return None
    made = _SUCCESSORS.get(sock.kind, other)
    if not is_replaceable(sock, other) or (not s.hostile and other.kind != made.kind):
        fields = list(made)
        for place in _COPIED:
            fields[place] = sock[place]
        other = Sock._make(fields)
    if other.kind == KIND_TIMEWAIT and other.refcnt and not s.hostile:
        other = changed(other, refcnt=0)
    s = put(s, event.other, other) if other != s.socks[event.other] else s
    return s if other.kind == KIND_TIMEWAIT else _with_references(s, event.sk), event


def _is_rebound(s: Scenario, event: Event) -> Fitted:
    is_device = s.hostile or 0 <= event.value < PEER_PORT  # the pool has ports, for other actions
    return s, event if is_device else with_value(event, event.value & 3)


def _flag(s: Scenario, event: Event) -> Fitted:
    return s, with_value(event, event.value & 1)


def _is_detached(s: Scenario, event: Event) -> Fitted:
    numbers = [i for i, group in enumerate(s.groups) if group.prog != PROG_NONE]
    if not numbers:
        return None
    return s, event if event.value in numbers else with_value(event, numbers[event.value % len(numbers)])


def _is_attached(s: Scenario, event: Event) -> Fitted:
    if not s.groups:
        return None
    event = event if 0 <= event.value < len(s.groups) else with_value(event, event.value % len(s.groups))
    members = live_members(s, event.value)
    if not s.hostile and members and event.sk not in members:
        event = event._replace(sk=members[event.sk % len(members)])
    return s, event


def _goes_on(s: Scenario, event: Event) -> Fitted:
    return s, event


_FITTERS = {
    LEAVES: _leaves,
    REUSED: _is_reused,
    LISTENS: _listens,
    COMES: _comes,
    REPLACED: _is_replaced,
    REBOUND: _is_rebound,
    SYSCTL: _flag,
    SK_LOOKUP: _flag,
    ATTACHED: _is_attached,
    DETACHED: _is_detached,
    GOES_ON: _goes_on,
}
