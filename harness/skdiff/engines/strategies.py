"""Hypothesis strategies for Scenarios, from the wire format's pools; they shrink towards the plainest case."""

from collections.abc import Mapping
from itertools import product

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from skdiff.cases.fields import pools
from skdiff.cases.native import normalised, of_lookup
from skdiff.cases.normalise import scenario_of
from skdiff.cases.normalise_events import with_events
from skdiff.cases.pools import COUNTS, DRAWN_SLOTS, SLOT, Pool, Raw
from skdiff.cases.record import constants
from skdiff.cases.scenario import REPLACED, UDP_LOOKUPS, Event, Group, Netns, Packet, Program, Scenario, Sock
from skdiff.cases.udp_event_rules import NOT_OF_UDP, UDP_ALONE
from skdiff.cases.wire_events import DRAWN_EVENTS


def _value(pool: Pool) -> SearchStrategy[int]:
    """A value of the pool, as likely as its weight says; the first is the simplest."""
    total = sum(weight for _, weight in pool)
    unit = max(1, total // 32)
    return st.sampled_from([value for value, weight in pool for _ in range(max(1, weight // unit))])


def _fields(pools: Mapping[str, Pool]) -> SearchStrategy[list[int]]:
    return st.tuples(*map(_value, pools.values())).map(list)


HEAD, NETNS, GROUP = pools(Scenario), pools(Netns), pools(Group)
_HEAD, _PACKET, _SOCK = _fields(HEAD), _fields(pools(Packet)), _fields(pools(Sock))


def _events(*others: int) -> SearchStrategy[list[list[int]]]:
    """Fields of events of all actions but some. Each is as likely, since the rare ones fit few cases."""
    event = pools(Event)
    actions = tuple((action, 1) for action, _ in event["action"] if action not in others)
    return st.lists(_fields({**event, "action": actions}), max_size=DRAWN_EVENTS)


_EVENTS, _UDP_EVENTS = _events(*UDP_ALONE), _events(*NOT_OF_UDP)
_NETNS = st.tuples(
    _fields({k: v for k, v in NETNS.items() if k != "progs"}),
    st.lists(_fields(pools(Program)), max_size=constants.MAX_PROGS),
)
_GROUP = st.tuples(
    _fields({k: v for k, v in GROUP.items() if k != "slots"}), st.lists(_value(SLOT), max_size=DRAWN_SLOTS)
)

_ACTION = Event._fields.index("action")


@st.composite
def scenarios(draw: DrawFn, max_socks: int = 8, hostile: bool | None = None) -> Scenario:
    """Valid Scenarios of up to `max_socks` sockets, in which others may write; `hostile` None draws both kinds."""
    head = draw(_HEAD)
    if hostile is not None:
        head[list(HEAD).index("hostile")] = int(hostile)
    raw = Raw(
        head,
        draw(_PACKET),
        draw(st.lists(_NETNS, min_size=1, max_size=len(COUNTS["netns"]))),
        draw(st.lists(_GROUP, max_size=constants.MAX_GROUPS)),
        draw(st.lists(_SOCK, max_size=max_socks)),
    )
    scenario = normalised(of_lookup(scenario_of(raw)))
    for fields in draw(_UDP_EVENTS if scenario.lookup in UDP_LOOKUPS else _EVENTS):
        scenario = _with_event(scenario, fields)
    return scenario


def _with_event(scenario: Scenario, fields: list[int]) -> Scenario:
    """The scenario with an event, if it can have it: what is drawn for sockets that it cannot happen to happens to the
    next ones that it can.
    """
    *fields, sk, other = fields
    count = len(scenario.socks)
    others = range(count) if fields[_ACTION] == REPLACED else range(1)
    for more, further in product(range(count), others):
        made = with_events(scenario, [[*fields, (max(sk, 0) + more) % count, (max(other, 0) + further) % count]])
        if len(made.events) > len(scenario.events):
            return made
    return scenario
