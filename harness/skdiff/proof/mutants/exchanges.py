"""Which names of fields are exchanged for each other: those of the same record that hold the same kind of thing."""

from skdiff.cases.field_kinds import Kind
from skdiff.cases.fields import FIELDS, STRUCTS, of_kind
from skdiff.cases.record import ranges


def _of_kind(kind: Kind) -> tuple[str, ...]:
    """The names that fields of a kind have in any record."""
    return tuple(dict.fromkeys(name for record in FIELDS for name in of_kind(record, kind)))


# What is taken for another in a hurry, though it stands in another record, has another type, or is no field.
_ALIKE = (
    _of_kind(Kind.ADDRESS),
    _of_kind(Kind.PORT),
    (*_of_kind(Kind.DEVICE), "dif"),
    ("doff", "len", "data_len"),
    ("num_socks", "num_closed_socks", "incoming_cpu", "returns"),
    ("group", "listener", "sk", "skb_sk"),
)


def _exchanges() -> dict[str, tuple[str, ...]]:
    """For each field of a record: the others of that record that hold as many bits, and those that are alike."""
    found: dict[str, dict[str, None]] = {}
    for record in STRUCTS.values():
        fields = ranges(record)
        for name, limits in fields.items():
            others = (other for other, theirs in fields.items() if theirs == limits and not other.startswith("n_"))
            found.setdefault(name, {}).update(dict.fromkeys(others))
    for names in _ALIKE:
        for name in names:
            found.setdefault(name, {}).update(dict.fromkeys(names))
    return {name: tuple(other for other in others if other != name) for name, others in found.items()}


EXCHANGES = _exchanges()
