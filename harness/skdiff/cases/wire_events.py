"""The tail of the wire format: what other CPUs do meanwhile. Bytes without a tail, and tails of zeros, have no events.

As in front of it, a byte indexes its field's table of 256 entries (see `wire.py`).
"""

from collections.abc import Sequence
from operator import getitem

from skdiff.cases.fields import pools
from skdiff.cases.pools import table
from skdiff.cases.scenario import Event

DRAWN_EVENTS = 3  # the most that a drawn case has
_EVENT = tuple(table(pool) for pool in pools(Event).values())
_INVERSE = [{value: at for at, value in reversed([*enumerate(values)])} for values in _EVENT]
EVENT_SIZE = len(_EVENT)
EVENTS_SIZE = 1 + DRAWN_EVENTS * EVENT_SIZE
COUNT = table(((0, 1), (1, 5), (2, 4), (3, 2)))
EVENTS_TABLES = (COUNT, *_EVENT * DRAWN_EVENTS)


def drawn_events(tail: bytes) -> list[list[int]]:
    """The fields of the events that the bytes behind a case mean."""
    count = COUNT[tail[0]] if tail else 0
    if not count:
        return []
    tail = tail.ljust(EVENTS_SIZE, b"\0")
    starts = range(1, 1 + count * EVENT_SIZE, EVENT_SIZE)
    return [list(map(getitem, _EVENT, tail[at : at + EVENT_SIZE])) for at in starts]


def written_events(events: Sequence[Event]) -> bytes:
    """The tail of a case with these events; a value that is in no pool is the plainest, what is more is left out."""
    events = events[:DRAWN_EVENTS]
    data = bytes([COUNT.index(len(events))])
    for event in events:
        data += bytes(inverse.get(value, 0) for inverse, value in zip(_INVERSE, event, strict=True))
    return data.ljust(EVENTS_SIZE, b"\0")
