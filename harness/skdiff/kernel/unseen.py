"""What was not looked at of a kernel's new text, as data and in words (`proof/new_text.py` counts it)."""

from dataclasses import dataclass
from typing import Any, NamedTuple

SHOWN = 10  # of each kind are printed


class Place(NamedTuple):
    """A line of a kernel's text; `line` is 1-based, `text` without the blanks around it."""

    file: str
    line: int
    function: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.function}: {self.text}"


@dataclass(frozen=True)
class Unseen:
    """What was not looked at of a kernel's new text: `lines` that no case ran, of `new` that could run; `names` of
    what is read and set by nothing, `options` that were taken as off, and definitions that `stand_ins` take the place
    of, whose text is new too, each with its place ("file:line"); `why` says why nobody can tell which lines ran, "" if
    somebody can.
    """

    new: int = 0
    lines: tuple[Place, ...] = ()
    names: tuple[tuple[str, str], ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    stand_ins: tuple[tuple[str, str], ...] = ()
    why: str = ""

    def __bool__(self) -> bool:
        return bool(self.lines or self.names or self.options or self.stand_ins or self.why)

    @property
    def ran(self) -> str:
        """How much of the new text ran, in words; "" if there was nothing to run."""
        return f"{self.new - len(self.lines):,} of {self.new:,} new or changed lines ran" if self.new else ""

    def verdict(self, agreed: str, *more: str) -> str:
        """The last line of a run without a difference: what its agreement is worth, or that it is none."""
        worth = ", ".join(filter(None, (self.ran, *more)))
        if self:
            return f"no verdict: {agreed}, but {worth + ': ' if worth else ''}not all of the new text was looked at"
        return f"{agreed}: {worth}" if worth else agreed

    def lines_for_people(self) -> list[str]:
        """What was not looked at, for people: a heading for each kind, and a line for each place."""
        lines = [f"cannot tell which lines ran: {self.why}"] if self.why else []
        read = [f"{place}: {name}" for name, place in self.names]
        options = [f'{place}: {name} (CONFIG="{name}=y" takes it as on)' for name, place in self.options]
        for what, places in (
            ("new or changed lines that no case ran", [str(place) for place in self.lines]),
            ("read by the new text, and set by no case", read),
            ("options of the new text that were taken as off", options),
            ("new or changed, but a stand-in takes its place", [f"{place}: {name}" for name, place in self.stand_ins]),
        ):
            if places:
                lines += [f"{what}: {len(places)}", *(f"  {place}" for place in places[:SHOWN])]
                lines += [f"  and {len(places) - SHOWN} more"] if len(places) > SHOWN else []
        return lines

    def data(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "new": self.new,
            "lines": [place._asdict() for place in self.lines],
            "names": [{"name": name, "place": place} for name, place in self.names],
            "options": [{"name": name, "place": place} for name, place in self.options],
            "stand_ins": [{"name": name, "place": place} for name, place in self.stand_ins],
            "why": self.why,
        }
