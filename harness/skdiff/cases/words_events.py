"""Events in the format of words: their keys have the names of the raw format."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from skdiff.cases.case_values import hinted
from skdiff.cases.did_you_mean import instead_of_socket
from skdiff.cases.event_fields import ACTIONS, POINTS
from skdiff.cases.faults import Place
from skdiff.cases.scenario import COMES, NONE, Event
from skdiff.cases.words_reading import Entry
from skdiff.cases.words_sockets import Made, leave_group

_NAMED = ("at", "sk", "other")  # whose values are sockets
_NUMBERS = ("nth", "value", "steps")


class Events:
    """The events of a case while its calls are made; `find` gives the socket of a name, or raises."""

    def __init__(self, find: Callable[[str, str, Place], Made]) -> None:
        self._find = find
        self._events: list[tuple[Event, dict[str, Made]]] = []

    def add(self, entry: Entry) -> None:
        """What another CPU does meanwhile. Who comes into a group then is in none before."""
        socks = {key: self._named(entry, key) for key in _NAMED if key in entry.values}
        if "point" not in entry.values or "action" not in entry.values:
            return
        fields = {key: entry.get(key) for key in ("point", "action", *_NUMBERS) if key in entry.values}
        if fields["action"] == COMES and "sk" in socks:
            leave_group(socks["sk"])
        self._events.append((Event(**fields), socks))

    def _named(self, entry: Entry, key: str) -> Made:
        value = entry.get(key)
        with hinted(instead_of_socket(key, value)):
            return self._find(value, f"{entry.told}: {key}", entry.at(key))

    def made(self, index: Mapping[int, int]) -> tuple[Event, ...]:
        """The events; `index` has where each socket is by now."""
        return tuple(
            event._replace(**{key: index.get(id(made), NONE) for key, made in socks.items()})
            for event, socks in self._events
        )


def event_values(event: Event, names: Sequence[str]) -> dict[str, Any]:
    """The keys of an event that are not as in the plainest one."""
    values: dict[str, Any] = {"point": POINTS[event.point], "action": ACTIONS[event.action]}
    plain = Event()
    for key in (*_NAMED, *_NUMBERS):
        value = getattr(event, key)
        if value != getattr(plain, key):
            values[key] = names[value] if key in _NAMED else value
    return values
