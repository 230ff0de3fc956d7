"""Which values a field can have in a valid case: cases that are drawn, written and arbitrary are held to the same."""

from typing import Any, NamedTuple

from skdiff.cases.field_kinds import Field, Kind
from skdiff.cases.fields import FIELDS
from skdiff.cases.scenario import Scenario


class Counts(NamedTuple):
    """How many things a case has, which indices may name."""

    netns: int
    groups: int
    socks: int

    @staticmethod
    def of(scenario: Scenario) -> "Counts":
        """Those of a scenario."""
        return Counts(len(scenario.netns), len(scenario.groups), len(scenario.socks))


def valid_range(record: Any, name: str, counts: Counts | None = None) -> tuple[int, int]:
    """The least and the greatest value of a field that is no list, in any case, or in one with so many things."""
    field = FIELDS[record][name]
    assert field.range is not None
    least, most = field.range
    if counts is not None:
        rooms = {Kind.NETNS: counts.netns, Kind.GROUP: counts.groups, Kind.SOCKET: counts.socks}
        most = rooms.get(field.kind, most + 1) - 1
    return least, most


def fault(field: Field, value: int) -> str:
    """What is wrong with a value that its field cannot have in any case; "" for one that it can have."""
    least, most = field.range or (value, value)
    if not least <= value <= most:
        return f"it can be {least} to {most}"
    return "a power of two is needed" if field.kind is Kind.SIZE and value & (value - 1) else ""
