"""Hypothesis strategies for Scenarios, from the wire format's pools; they shrink towards the plainest case."""

from collections.abc import Mapping

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from skdiff.cases.fields import pools
from skdiff.cases.native import normalised, of_lookup
from skdiff.cases.normalise import scenario_of
from skdiff.cases.normalise_events import with_events
from skdiff.cases.pools import COUNTS, DRAWN_SLOTS, SLOT, Pool, Raw
from skdiff.cases.record import constants
from skdiff.cases.scenario import Event, Group, Netns, Packet, Program, Scenario, Sock
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
_EVENTS = st.lists(_fields(pools(Event)), max_size=DRAWN_EVENTS)
_NETNS = st.tuples(
    _fields({k: v for k, v in NETNS.items() if k != "progs"}),
    st.lists(_fields(pools(Program)), max_size=constants.MAX_PROGS),
)
_GROUP = st.tuples(
    _fields({k: v for k, v in GROUP.items() if k != "slots"}), st.lists(_value(SLOT), max_size=DRAWN_SLOTS)
)


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
    return with_events(normalised(of_lookup(scenario_of(raw))), draw(_EVENTS))
