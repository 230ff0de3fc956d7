"""Words of messages."""


def counted(number: int, thing: str) -> str:
    """How many there are of a thing: "1 case", "2,000 cases"."""
    return f"{number:,} {thing}{'s' * (number != 1)}"


def up_to(number: int, thing: str) -> str:
    """At most so many of a thing, up to three: "one socket", "two sockets"."""
    return f"{('no', 'one', 'two', 'three')[number]} {thing}{'s' * (number != 1)}"


def share(part: int, whole: int) -> str:
    """A part of a whole: "12.5 %", "-" of nothing."""
    return f"{100 * part / whole:.1f} %" if whole else "-"
