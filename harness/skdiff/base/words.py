"""Words of messages."""


def counted(number: int, thing: str) -> str:
    """How many there are of a thing: "1 case", "2,000 cases"."""
    return f"{number:,} {thing}{'s' * (number != 1)}"
