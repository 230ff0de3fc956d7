"""From drawn events to valid ones, for a Scenario that is valid without them. It changes as little else as it can.

Cases without events never come here.
"""

from collections.abc import Iterable, Sequence

from skdiff.cases.derived import CONNECTION
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
    named,
    unreachable_events,
    wrong_events,
)
from skdiff.cases.fields import positions
from skdiff.cases.normalise_udp_events import FITTERS as UDP_FITTERS
from skdiff.cases.normalise_udp_events import Fitted, fitted_udp, put, without
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
    if not s.socks:
        return s
    names = named(s)
    for fields in drawn:
        if len(s.events) < constants.MAX_EVENTS:
            s, names = _with_event(s, Event._make(fields), names)
    return s


def _with_event(s: Scenario, event: Event, names: set[int]) -> tuple[Scenario, set[int]]:
    """The scenario with one more event, or as it is; `names` are the sockets that something points to."""
    n = len(s.socks)
    sk = (event.sk % n if event.sk != NONE else 0) if event.action in HAVE_SK else NONE
    other = (event.other % n if event.other != NONE else 0) if event.action == REPLACED else NONE
    at = event.at % n if event.at != NONE and event.point in OF_SOCKET else NONE
    event = event._replace(
        sk=sk,
        other=other,
        at=at,
        nth=min(max(event.nth, 1), MOST_VISITS),
        value=event.value if event.action in HAVE_VALUE else 0,
    )
    if s.lookup in UDP_LOOKUPS and event.action in UDP_FITTERS:
        fitted = fitted_udp(s, event, MOST_REFERENCES)
    elif event.action in (UDP_ALONE if s.lookup not in UDP_LOOKUPS else NOT_OF_UDP):
        fitted = None
    else:
        fitted = _FITTERS[event.action](s, event, names)
    if fitted is None:
        return s, names
    made, event = fitted
    left = names if made.socks is s.socks and made.groups is s.groups else named(made)
    event = event._replace(steps=min(max(event.steps, 0), most_steps(event, made.socks)))
    made = made._replace(events=(*made.events, event))
    if any(wrong_events(made, left)) or (not s.hostile and any(unreachable_events(made, left))):
        return s, names
    return made, left


def _leaves(s: Scenario, event: Event, names: set[int]) -> Fitted:
    if event.sk in names and s.socks[event.sk].hashed == EHASH:
        s = _with_references(s, event.sk)
    return s, event


def _with_references(s: Scenario, index: int) -> Scenario:
    """A socket with one reference more than it loses when there is one more event that takes one."""
    least = lost(s.events, index) + 2
    sock = s.socks[index]
    return s if least <= sock.refcnt <= MOST_REFERENCES else put(s, index, sock._replace(refcnt=least))


def _is_reused(s: Scenario, event: Event, _names: set[int]) -> Fitted:
    sock = s.socks[event.sk]
    if not s.hostile:
        if event.point not in (AT_LINK, AT_NODE, AT_TAKING):
            event = event._replace(point=AT_TAKING)
        if sock.refcnt != 1:
            s = put(s, event.sk, sock._replace(refcnt=1))
        if not event.value:
            event = event._replace(value=sock.dport ^ 1)
    return s, event._replace(value=event.value & 0xFFFF)


def _listens(s: Scenario, event: Event, _names: set[int]) -> Fitted:
    sock = s.socks[event.sk]
    if not can_listen(sock._replace(group=NONE)):
        return None
    if sock.reuseport and not s.hostile:
        s = put(s, event.sk, sock._replace(reuseport=0))
    return s, event


def _comes(s: Scenario, event: Event, _names: set[int]) -> Fitted:
    sock = s.socks[event.sk]
    if sock.group == NONE:
        there = 0 < event.value <= len(s.groups) and (s.hostile or joins(s, event, sock))
        if sock.hashed == LHASH2 and not s.hostile:  # who has SO_REUSEPORT in listen() joins, and nobody else
            changed = sock.reuseport ^ there
            s = put(s, event.sk, sock._replace(reuseport_changed=changed)) if changed != sock.reuseport_changed else s
        return s, event if there else event._replace(value=0)
    number, index = sock.group, event.sk
    group = s.groups[number]
    if sock.hashed != LHASH2 or group.slots.count(index) != 1 or index not in group.slots[: group.num_socks]:
        return None
    s = put(s, index, sock._replace(group=NONE))
    groups = list(s.groups)
    groups[number] = without(group, index, sock)
    event = event._replace(value=number + 1)
    s = s._replace(groups=tuple(groups))
    return (s, event) if s.hostile or joins(s, event, s.socks[index]) else None


_COPIED = positions(Sock, *CONNECTION, "family", "ipv6only")
_CONNECTED = Sock(hashed=EHASH, hash_kind=HASH_OWN)
# What takes the place of a socket in ehash.
_SUCCESSORS = {
    KIND_REQUEST: _CONNECTED._replace(kind=KIND_FULL, state=TCP_SYN_RECV),
    KIND_FULL: _CONNECTED._replace(kind=KIND_TIMEWAIT, state=TCP_TIME_WAIT, refcnt=0),
}


def _is_replaced(s: Scenario, event: Event, names: set[int]) -> Fitted:
    """The other one becomes a socket of the same connection: the full one of a request, or the timewait socket of a
    full one.
    """
    sock, other = s.socks[event.sk], s.socks[event.other]
    if event.sk == event.other or sock.hashed != EHASH or event.other in names:
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
        other = other._replace(refcnt=0)
    s = put(s, event.other, other) if other != s.socks[event.other] else s
    return s if other.kind == KIND_TIMEWAIT else _with_references(s, event.sk), event


def _is_rebound(s: Scenario, event: Event, _names: set[int]) -> Fitted:
    is_device = s.hostile or 0 <= event.value < PEER_PORT  # the pool has ports, for other actions
    return s, event if is_device else event._replace(value=event.value & 3)


def _flag(s: Scenario, event: Event, _names: set[int]) -> Fitted:
    return s, event._replace(value=event.value & 1)


def _is_detached(s: Scenario, event: Event, _names: set[int]) -> Fitted:
    numbers = [i for i, group in enumerate(s.groups) if group.prog != PROG_NONE]
    if not numbers:
        return None
    return s, event if event.value in numbers else event._replace(value=numbers[event.value % len(numbers)])


def _is_attached(s: Scenario, event: Event, _names: set[int]) -> Fitted:
    if not s.groups:
        return None
    event = event if 0 <= event.value < len(s.groups) else event._replace(value=event.value % len(s.groups))
    members = live_members(s, event.value)
    if not s.hostile and members and event.sk not in members:
        event = event._replace(sk=members[event.sk % len(members)])
    return s, event


def _goes_on(s: Scenario, event: Event, _names: set[int]) -> Fitted:
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
