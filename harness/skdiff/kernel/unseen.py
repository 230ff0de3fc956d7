"""What was not looked at of a kernel's new text, as data and in words (`proof/new_text.py` counts it)."""

import msgspec

SHOWN = 10  # of each kind are printed


class Place(msgspec.Struct, frozen=True, order=True):
    """A line of a kernel's text; `line` is 1-based, `text` without the blanks around it."""

    file: str
    line: int
    function: str
    text: str

    @property
    def at(self) -> tuple[str, int]:
        """Its file and its number there."""
        return self.file, self.line

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.function}: {self.text}"


class Named(msgspec.Struct, frozen=True, order=True):
    """A name in a kernel's text, and where it stands ("file:line")."""

    name: str
    place: str


class Unseen(msgspec.Struct, frozen=True):
    """What was not looked at of a kernel's new text: `lines` that no case ran, of `new` that could run; `names` of
    what is read and set by nothing, `options` that were taken as off, and definitions that `stand_ins` take the place
    of, whose text is new too; `why` says why nobody can tell which lines ran, "" if
    somebody can.
    """

    new: int = 0
    lines: tuple[Place, ...] = ()
    names: tuple[Named, ...] = ()
    options: tuple[Named, ...] = ()
    stand_ins: tuple[Named, ...] = ()
    why: str = ""

    @property
    def anything(self) -> bool:
        """Whether something was not looked at. It is no __bool__: `unseen or ...` would drop what all ran."""
        return bool(self.lines or self.names or self.options or self.stand_ins or self.why)

    @property
    def ran(self) -> str:
        """How much of the new text ran, in words; "" if there was nothing to run."""
        return f"{self.new - len(self.lines):,} of {self.new:,} new or changed lines ran" if self.new else ""

    def verdict(self, agreed: str, *more: str) -> str:
        """The last line of a run without a difference: what its agreement is worth, or that it is none."""
        worth = ", ".join(filter(None, (self.ran, *more)))
        if self.anything:
            return f"no verdict: {agreed}, but {worth + ': ' if worth else ''}not all of the new text was looked at"
        return f"{agreed}: {worth}" if worth else agreed

    def lines_for_people(self) -> list[str]:
        """What was not looked at, for people: a heading for each kind, and a line for each place."""
        told = [f"cannot tell which lines ran: {self.why}"] if self.why else []
        read = [f"{one.place}: {one.name}" for one in self.names]
        options = [f'{one.place}: {one.name} (CONFIG="{one.name}=y" takes it as on)' for one in self.options]
        for what, places in (
            ("new or changed lines that no case ran", [str(place) for place in self.lines]),
            ("read by the new text, and set by no case", read),
            ("options of the new text that were taken as off", options),
            ("new or changed, but a stub takes its place", [f"{one.place}: {one.name}" for one in self.stand_ins]),
        ):
            if places:
                told += [f"{what}: {len(places)}", *(f"  {place}" for place in places[:SHOWN])]
                told += [f"  and {len(places) - SHOWN} more"] if len(places) > SHOWN else []
        return told
