"""The exhaustive engine: all that can happen while small tables are searched, at every point where it can.

Tables of up to three sockets, and one or two events; those with a group once for each way in which the hash chooses
among two members and among three, for a group that grows or shrinks is told by that. Which points a lookup comes to is
asked of an oracle: an event whose point is not reached is no case.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import product

from skdiff.cases.addresses import other_family
from skdiff.cases.derived import plain_packet, with_derived
from skdiff.cases.event_fields import MOST_STEPS, MOST_VISITS
from skdiff.cases.events import HAVE_SK, most_steps
from skdiff.cases.normalise_events import with_events
from skdiff.cases.pools import HERE, OTHER_PEER_PORT, OTHER_PORT, PEER, PEER_PORT, PORT, SECRETS
from skdiff.cases.scenario import (
    AF_INET,
    AF_INET6,
    AT_LINK,
    AT_MEMBERS,
    AT_NODE,
    AT_TAKEN,
    AT_TAKING,
    BOUND,
    COMES,
    CONNECTS,
    EHASH,
    GOES_ON,
    IPPROTO_UDP,
    IPV6_LOOKUPS,
    KIND_REQUEST,
    KIND_TIMEWAIT,
    LHASH2,
    MOVES,
    NONE,
    REBOUND,
    REHASHED,
    REPLACED,
    REUSED,
    STALE,
    TCP4,
    TCP6,
    TCP_CLOSE,
    TCP_ESTABLISHED,
    TCP_LISTEN,
    TCP_NEW_SYN_RECV,
    TCP_TIME_WAIT,
    UDP4,
    UDP6,
    UDP_HASHED,
    UDP_LOOKUPS,
    Event,
    Group,
    Scenario,
    Sock,
)
from skdiff.cases.validity import problems
from skdiff.engines.interface import Run
from skdiff.oracles.interface import Oracle
from skdiff.oracles.model import Model

MOST_SOCKS, MOST_EVENTS = 3, 2
_MODEL = Model()
_POINTS = (AT_LINK, AT_NODE, AT_TAKING, AT_TAKEN, AT_MEMBERS)
_ENDS = {"daddr": PEER, "rcv_saddr": HERE, "num": PORT, "hashed": EHASH}
# What a socket of a table may be: the packet's own connection, one of another peer's port, what came before or is left
# of the connection, a listener on the packet's address, on the wildcard, and a member of a group.
ROLES: tuple[Sock, ...] = (
    Sock(**_ENDS, dport=PEER_PORT, state=TCP_ESTABLISHED),
    Sock(**_ENDS, dport=OTHER_PEER_PORT, state=TCP_ESTABLISHED),
    Sock(**_ENDS, dport=PEER_PORT, kind=KIND_REQUEST, state=TCP_NEW_SYN_RECV, refcnt=3),
    Sock(**_ENDS, dport=PEER_PORT, kind=KIND_TIMEWAIT, state=TCP_TIME_WAIT),
    Sock(rcv_saddr=HERE, num=PORT, hashed=LHASH2, state=TCP_LISTEN, rcu_free=1),
    Sock(num=PORT, hashed=LHASH2, state=TCP_LISTEN, rcu_free=1),
    Sock(rcv_saddr=HERE, num=PORT, hashed=LHASH2, state=TCP_LISTEN, rcu_free=1, reuseport=1, group=0),
)
_BOUND = Sock(num=PORT, hashed=UDP_HASHED, protocol=IPPROTO_UDP, state=TCP_CLOSE, rcu_free=1, refcnt=2)
_CONNECTED = _BOUND._replace(daddr=PEER, dport=PEER_PORT, rcv_saddr=HERE, state=TCP_ESTABLISHED)
# The same of UDP: connected to the packet's sender by an address of its own or of connect()'s, to another port, in the
# middle of that; bound to the packet's address, to the wildcard, and a member of a group.
UDP_ROLES: tuple[Sock, ...] = (
    _CONNECTED,
    _CONNECTED._replace(hash2=REHASHED),
    _CONNECTED._replace(dport=OTHER_PEER_PORT),
    _CONNECTED._replace(hash2=STALE, state=TCP_CLOSE),
    _BOUND._replace(rcv_saddr=HERE),
    _BOUND,
    _BOUND._replace(rcv_saddr=HERE, reuseport=1, group=0),
)
_UDP_SIZE = 2  # the packet's address and the wildcard have slots of their own, and so have the two other ports


def drive(run: Run) -> None:
    """Feed all cases to a run, from the table that its seed says on, until it is over or all were there, and tell how
    far it came: what is no difference among some of them says nothing of the others.
    """
    run.start()
    every = tables_from(run.seed, run.lookups)
    asked = f"all {len(every):,} tables"
    for count, number, scenario in scenarios(every, run.oracles[-1]):
        if run.over():
            some = f"{number:,} of {len(every):,} tables"
            with_one, with_two = (some, "none") if count == 1 else (asked, some)
            run.told.append(f"not all that can happen: {with_one} with one event, {with_two} with two")
            return
        run.case(scenario)
    run.told.append(f"all that can happen: {asked}, with one event and with two")


def tables_from(seed: int, lookups: Sequence[int] = (TCP4, TCP6, UDP4, UDP6)) -> list[Scenario]:
    """All tables of lookups, from that on with which the seed begins."""
    every = [table for table in tables() if table.lookup in lookups]
    at = seed % len(every)
    return [*every[at:], *every[:at]]


def scenarios(every: Sequence[Scenario], oracle: Oracle = _MODEL) -> Iterator[tuple[int, int, Scenario]]:
    """All cases of tables, those with one event first: how many events, the number of the table, and the case. The
    oracle tells which events come about.
    """
    for count in range(1, MOST_EVENTS + 1):
        for number, table in enumerate(every):
            for scenario in placed(table, count, oracle):
                yield count, number, scenario


def tables() -> Iterator[Scenario]:
    """All tables of up to three sockets, in each order, that a system can reach."""
    for count, lookup in product(range(1, MOST_SOCKS + 1), (TCP4, TCP6, UDP4, UDP6)):
        for roles in product(UDP_ROLES if lookup in UDP_LOOKUPS else ROLES, repeat=count):
            grouped = any(sock.group == 0 for sock in roles)
            for secret in _secrets(lookup) if grouped else (0,):
                table = _table(lookup, roles, secret)
                if not problems(table):
                    yield table


@cache
def _secrets(lookup: int) -> tuple[int, ...]:
    """A hash secret for each pair of members that the hash can choose, of a group of two and of one of three."""
    member = (UDP_ROLES if lookup in UDP_LOOKUPS else ROLES)[-1]
    found: dict[tuple[int, ...], int] = {}
    for secret, _ in SECRETS:
        chosen = tuple(_MODEL.run(_table(lookup, [member] * count, secret)).sk for count in (2, 3))
        found.setdefault(chosen, secret)
    return tuple(found.values())


def _table(lookup: int, roles: Sequence[Sock], secret: int) -> Scenario:
    listener = next((i for i, sock in enumerate(roles) if sock.hashed == LHASH2), NONE)
    members = tuple(i for i, sock in enumerate(roles) if sock.group == 0)
    socks = [sock._replace(listener=listener if sock.kind == KIND_REQUEST else NONE) for sock in roles]
    packet = plain_packet(lookup, HERE)._replace(saddr=PEER, sport=PEER_PORT, dport=PORT)
    if lookup in IPV6_LOOKUPS:
        packet = packet._replace(saddr=other_family(PEER), daddr=other_family(HERE))
        socks = [_of_ipv6(sock) for sock in socks]
    groups = (Group(num_socks=len(members), slots=members),) if members else ()
    size = _UDP_SIZE if lookup in UDP_LOOKUPS else 1
    case = Scenario(hash_secret=secret, lookup=lookup, udp_size=size, packet=packet, groups=groups, socks=tuple(socks))
    return with_derived(case)


def _of_ipv6(sock: Sock) -> Sock:
    assert sock.family == AF_INET
    ends = {name: other_family(getattr(sock, name)) for name in ("daddr", "rcv_saddr") if getattr(sock, name)}
    return sock._replace(family=AF_INET6, ipv6only=int(_is_bound(sock) and bool(sock.rcv_saddr)), **ends)


def _is_bound(sock: Sock) -> bool:
    """Whether bind() gave it its address, and nobody else has changed that."""
    return sock.hashed == LHASH2 or (sock.hashed == UDP_HASHED and sock.hash2 == BOUND)


def placed(table: Scenario, count: int, oracle: Oracle = _MODEL) -> Iterator[Scenario]:
    """A table with so many events, wherever they come about."""
    for chosen in product(list(actions(table)), repeat=count):
        yield from _placed(table, chosen, oracle)


def _placed(case: Scenario, left: Sequence[Event], oracle: Oracle) -> Iterator[Scenario]:
    if not left:
        yield case
        return
    for point in _POINTS:
        for nth in range(1, MOST_VISITS + 1):
            wanted = left[0]._replace(point=point, nth=nth)
            more = with_events(case, [wanted])
            number = len(case.events)  # an event that was fitted to be another one is a case of its own
            there = len(more.events) > number and _who_and_when(more.events[number]) == _who_and_when(wanted)
            if not there or not oracle.run(more).fired >> number & 1:
                break
            yield from _placed(more, left[1:], oracle)


_VALUES = {REUSED: OTHER_PEER_PORT + 1, REBOUND: 2, CONNECTS: PEER_PORT, MOVES: OTHER_PORT}


def _who_and_when(event: Event) -> tuple[int, ...]:
    return event.point, event.nth, event.steps, event.sk, event.other


def actions(table: Scenario) -> Iterator[Event]:
    """All that can happen to the sockets of a table, and how far it may have come when the lookup goes on."""
    socks = range(len(table.socks))
    plain = [Event(action=action, sk=sk) for action in sorted(HAVE_SK) if action != REPLACED for sk in socks]
    for event in (*plain, *(Event(action=REPLACED, sk=sk, other=other) for sk in socks for other in socks)):
        event = event._replace(value=_VALUES.get(event.action, 0))
        if event.action == REUSED and table.socks[event.sk].dport == OTHER_PEER_PORT:
            event = event._replace(value=PEER_PORT)
        # Who comes may be made to fit, and has more steps then.
        most = MOST_STEPS if event.action in (COMES, REPLACED) else most_steps(event, table.socks)
        for steps in range(most + 1):
            yield event._replace(steps=steps)
    yield Event(action=GOES_ON)
