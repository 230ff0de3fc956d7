"""Which events a case can have: what the C takes without undefined behaviour, and what other CPUs can do to a lookup.

A lookup runs under RCU, in softirq, and takes no lock. So another CPU can do anything meanwhile that does not wait for
a grace period, and stand still in the middle of it, even in a locked section. What it cannot do: give memory to another
use as long as somebody has a reference to it, or before a grace period is over. Only TCP's connections have memory that
may be reused within one (SLAB_TYPESAFE_BY_RCU).
"""

from collections.abc import Iterator, Sequence

from skdiff.cases.addresses import is_ipv6
from skdiff.cases.derived import GROUP_KEY, is_named
from skdiff.cases.scenario import (
    AF_INET6,
    AT_LINK,
    AT_NODE,
    AT_TAKEN,
    AT_TAKING,
    ATTACHED,
    COMES,
    CONNECTS,
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
    MOVES,
    NONE,
    PROG_NONE,
    REBOUND,
    REPLACED,
    REUSED,
    SK_LOOKUP,
    SYSCTL,
    TCP_LISTEN,
    UDP_HASHED,
    UDP_LOOKUPS,
    Event,
    Scenario,
    Sock,
)
from skdiff.cases.udp_event_rules import (
    UDP_ALONE,
    in_no_table,
    most_udp_steps,
    not_so_many,
    unreachable_udp_action,
    wrong_udp_action,
)

OF_SOCKET = (AT_LINK, AT_NODE, AT_TAKING, AT_TAKEN)  # points that have to do with a socket, which `at` may name
HAVE_SK = frozenset((LEAVES, REUSED, LISTENS, COMES, REPLACED, REBOUND, ATTACHED, *UDP_ALONE))
HAVE_VALUE = frozenset((REUSED, COMES, REBOUND, SYSCTL, DETACHED, ATTACHED, SK_LOOKUP, CONNECTS, MOVES))
TIMEWAIT_REFERENCES = 3  # net/ipv4/inet_timewait_sock.c inet_twsk_hashdance_schedule()
# Far below INT_MAX, where refcount_t saturates; as many requests would take more memory than machines have.
MOST_REFERENCES = 1 << 30
_MOST_STEPS = {REUSED: 3, LISTENS: 1}  # of those that have as many in any table
_NO_SOCK = Sock()
# The fields in which a socket and the one that takes its place are the same.
_CONNECTION = ("netns", "family", "daddr", "rcv_saddr", "dport", "num")


def most_steps(event: Event, socks: Sequence[Sock]) -> int:
    """How many steps an action has that it can stand still behind: one less than it has."""
    if event.sk != NONE and socks[event.sk].hashed == UDP_HASHED:
        return most_udp_steps(event, socks[event.sk])
    if event.action == LEAVES:
        return 1 + leaves_group(socks[event.sk])
    if event.action == COMES:  # inet_hash() is for who listens: who is to have another state has it behind all steps
        return 2 * (event.value > 0 and socks[event.sk].state == TCP_LISTEN)
    if event.action == REPLACED:
        return 1 + (socks[event.other].kind == KIND_TIMEWAIT)
    return _MOST_STEPS.get(event.action, 0)


def leaves_group(sock: Sock) -> bool:
    """Whether a socket that is unhashed leaves a group first: net/ipv4/inet_hashtables.c inet_unhash()."""
    return sock.kind == KIND_FULL and sock.state == TCP_LISTEN and sock.group != NONE


def lost(events: Sequence[Event], index: int) -> int:
    """How many references of a socket other CPUs give back, at most."""
    return sum(event.action in (LEAVES, REPLACED) and event.sk == index for event in events)


def brought(events: Sequence[Event]) -> list[int]:
    """The sockets that are in no table until an event brings them, as often as one does."""
    return [e.sk if e.action == COMES else e.other for e in events if e.action in (COMES, REPLACED)]


def wrong_events(s: Scenario) -> Iterator[str]:
    """What is wrong with the events of a scenario whose other values are valid, a line each."""
    for event in s.events:
        if max(event.at, event.sk, event.other) >= len(s.socks):
            return  # who is not there is told of elsewhere
    later = brought(s.events)
    for number, event in enumerate(s.events):
        for problem in wrong_event(s, event, later):
            yield f"event {number + 1}: {problem}"
    in_ehash = {event.sk for event in s.events if event.sk != NONE and s.socks[event.sk].hashed == EHASH}
    for i in in_ehash:
        if s.socks[i].refcnt <= lost(s.events, i) and is_named(s, i):  # a lookup puts nobody else
            yield f"socket {i}: it is freed meanwhile, and something else still names it"


def wrong_event(s: Scenario, event: Event, later: Sequence[int]) -> Iterator[str]:
    """What is wrong with an event; `later` are the sockets that are brought."""
    if event.at != NONE and event.point not in OF_SOCKET:
        yield "at: no visit of this point has to do with a socket"
    sk_fits = (event.sk != NONE) == (event.action in HAVE_SK)
    other_fits = (event.other != NONE) == (event.action == REPLACED)
    if not sk_fits:
        yield "sk: this action needs sk" if event.sk == NONE else "sk: this action has none"
    if not other_fits:
        yield "other: this action needs other" if event.other == NONE else "other: this action has none"
    if not (sk_fits and other_fits):
        return
    if event.value and event.action not in HAVE_VALUE:
        yield "value: this action has none"
    if s.lookup in UDP_LOOKUPS:
        yield from wrong_udp_action(s, event, later, MOST_REFERENCES)
    elif event.action in UDP_ALONE:
        yield "action: it is of UDP alone, and this is a lookup of TCP"
    else:
        yield from _of_action(s, event, later)
    yield from _of_any(s, event)
    if event.steps > 0 and event.steps > (most := most_steps(event, s.socks)):
        yield f"steps: {event.steps} are too many: {_steps(event.action, most)}"


def _steps(action: int, most: int) -> str:
    if action == GOES_ON:
        return "this action has none: leave them out"
    if not most:
        return "this action has one here, and cannot stand still: leave them out"
    return f"this action has {most + 1} here at most, and can stand still behind {most}"


def _of_action(s: Scenario, event: Event, later: Sequence[int]) -> Iterator[str]:
    sock = s.socks[event.sk] if event.sk != NONE else _NO_SOCK
    tables = (EHASH, LHASH2) if event.action in (LEAVES, COMES) else (EHASH,)
    if (
        event.action in HAVE_SK
        and event.action not in (REBOUND, ATTACHED)
        and (sock.hashed not in tables or sock.no_pprev)
    ):
        yield in_no_table(event, "ehash or lhash2" if LHASH2 in tables else "ehash")
    if event.action == REUSED and not 0 <= event.value <= 0xFFFF:
        yield "value: a port is needed"
    if event.action == LISTENS and not can_listen(sock):
        yield "sk: it cannot listen"
    if event.action == COMES:
        if sock.group != NONE or later.count(event.sk) > 1 or is_named(s, event.sk):
            yield "sk: who comes is in no group before, and nobody names it: not another event, nor packet or program"
        if event.value and sock.hashed != LHASH2:
            yield "value: only a listener comes into a group"
        elif not 0 <= event.value <= len(s.groups):
            yield f"value: a listener comes into a group, by its number from 1 on: there are {len(s.groups)}; 0 is none"
    if event.action == REPLACED:
        other = s.socks[event.other]
        if event.other == event.sk:
            yield "other: a socket does not take its own place"
        if later.count(event.other) > 1 or is_named(s, event.other):
            yield "other: who comes is not there before, for anybody"
        least = lost(s.events, event.sk) + 1
        if other.kind != KIND_TIMEWAIT and not least <= sock.refcnt <= MOST_REFERENCES:
            yield not_so_many(sock, least, MOST_REFERENCES, "for ehash's goes")
        if other.kind == KIND_TIMEWAIT and sock.kind != KIND_FULL:
            yield "other: a timewait socket takes the place of a full one"
        if not is_replaceable(sock, other):
            yield (
                "other: it has not the same connection, or is not in ehash: who comes is written as it is once it is"
                " there"
            )


def _of_any(s: Scenario, event: Event) -> Iterator[str]:
    if event.action == REBOUND and s.socks[event.sk].kind != KIND_FULL:
        yield "sk: only a full socket is bound to a device"
    if event.action in (SYSCTL, SK_LOOKUP) and event.value not in (0, 1):
        yield "value: 0 or 1 is needed"
    if event.action == DETACHED and not (0 <= event.value < len(s.groups) and s.groups[event.value].prog != PROG_NONE):
        having = [str(number) for number, group in enumerate(s.groups) if group.prog != PROG_NONE]
        yield f"value: a group with a program is needed, from 0 on: there is {', '.join(having) or 'none'}"
    if event.action == ATTACHED and not 0 <= event.value < len(s.groups):
        yield f"value: a group is needed, from 0 on: there are {len(s.groups)}"


def can_listen(sock: Sock) -> bool:
    """Whether a connection may listen once it is disconnected, in no group."""
    strange = sock.family == AF_INET6 and is_ipv6(sock.rcv_saddr) and not sock.ipv6only
    return sock.kind == KIND_FULL and not strange and sock.group == NONE


def is_replaceable(sock: Sock, other: Sock) -> bool:
    """Whether a socket can take the place of another one in ehash: inet_ehash_insert() warns if hashes differ, a
    timewait socket keeps its connection's.
    """
    same = all(getattr(sock, name) == getattr(other, name) for name in _CONNECTION)
    return (
        same and other.hashed == EHASH and (sock.hash_kind, other.hash_kind, other.no_pprev) == (HASH_OWN, HASH_OWN, 0)
    )


def unreachable_events(s: Scenario) -> Iterator[str]:
    """Why other CPUs cannot do this to a lookup, a line each."""
    for number, event in enumerate(s.events):
        for why in _unreachable(s, event):
            yield f"event {number + 1}: {why}"


def _unreachable(s: Scenario, event: Event) -> Iterator[str]:
    sock = s.socks[event.sk] if event.sk != NONE else _NO_SOCK
    if s.lookup in UDP_LOOKUPS:
        yield from unreachable_udp_action(s, event)
    elif event.action == REUSED:
        if event.point not in (AT_LINK, AT_NODE, AT_TAKING) or sock.refcnt != 1 or is_named(s, event.sk):
            yield "memory that somebody has a reference to is not reused (net/core/sock.c sk_free())"
        if not event.value:
            yield "a connection has a peer's port (net/ipv4/tcp_ipv4.c tcp_v4_connect())"
    if event.action == LISTENS and sock.reuseport:
        yield "who has SO_REUSEPORT in listen() comes into a group (net/ipv4/inet_hashtables.c inet_hash())"
    if event.action == COMES and sock.hashed == LHASH2:
        if (sock.reuseport != sock.reuseport_changed) != bool(event.value):
            yield (
                "who has SO_REUSEPORT in listen(), and nobody else, comes into a group"
                " (net/ipv4/inet_hashtables.c inet_hash())"
            )
        if event.value and not joins(s, event, sock):
            yield (
                "a group is for listeners of one address and port"
                " (net/ipv4/inet_hashtables.c inet_reuseport_add_sock())"
            )
    if event.action == REPLACED:
        other = s.socks[event.other]
        if (sock.kind, other.kind) not in ((KIND_REQUEST, KIND_FULL), (KIND_FULL, KIND_TIMEWAIT)):
            yield (
                "a full socket takes the place of its request (net/ipv4/inet_hashtables.c inet_ehash_insert()), and a"
                " timewait socket that of a full one (net/ipv4/inet_timewait_sock.c inet_twsk_hashdance_schedule())"
            )
        if other.kind == KIND_TIMEWAIT and other.refcnt:
            yield (
                "a timewait socket has no reference as yet, so its refcnt is 0 (net/ipv4/inet_timewait_sock.c"
                " inet_twsk_alloc())"
            )
    if event.action == ATTACHED and event.sk not in live_members(s, event.value):
        yield "a program selects members (net/core/filter.c sk_select_reuseport())"
    if event.action == REBOUND and event.value < 0:
        yield "a socket's device is none, or from 1 on (net/core/sock.c sock_bindtoindex_locked())"


def live_members(s: Scenario, number: int) -> Sequence[int]:
    """Who is in a group when the lookup begins."""
    group = s.groups[number]
    return group.slots[: group.num_socks]


def joins(s: Scenario, event: Event, sock: Sock) -> bool:
    """Whether a listener fits into the group that it comes into, which has members."""
    members = [other for other in s.socks if other.group == event.value - 1 and other.hashed == LHASH2]
    return (
        bool(members)
        and sock.state == TCP_LISTEN
        and all(getattr(member, name) == getattr(sock, name) for member in members for name in GROUP_KEY)
    )


def comes_to_timewait(s: Scenario, index: int) -> bool:
    """Whether a socket is a timewait socket that takes its connection's place when it comes."""
    return s.socks[index].kind == KIND_TIMEWAIT and any(e.action == REPLACED and e.other == index for e in s.events)


def is_joining(s: Scenario, index: int) -> bool:
    """Whether a socket comes into a group when it comes."""
    return any(e.action == COMES and e.sk == index and e.value for e in s.events)
