"""The values of a case as its text has them, by the kinds of `fields.py`."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from skdiff.cases import addresses
from skdiff.cases.did_you_mean import instead_of_address, instead_of_number, near, shown
from skdiff.cases.field_kinds import Field, Kind
from skdiff.cases.record import constants
from skdiff.cases.scenario import FOREIGN, LEAVE, NONE
from skdiff.cases.valid_values import fault


class BadError(Exception):
    """Something in a case's text that does not fit; becomes a CannotRun that names file and line.

    `place` is where: the table's header ("sock", "netns.progs", "" for the top), which one of that name (from 0), and
    the key there.
    """

    def __init__(self, message: str, place: tuple[str, int, str] = ("", 0, "")) -> None:
        super().__init__(message)
        self.place = place


class FollowsError(BadError):
    """A fault that another one brings about, which is told: it need not be."""


def address(value: int) -> str:
    """An address of a case as a dotted quad, or in IPv6's form."""
    return addresses.text(value)


def show(field: Field, value: Any, socks: Sequence[str]) -> Any:
    """A field's value as a reader wants it: a name for a socket, a dotted quad for an address, ..."""
    match field.kind:
        case Kind.FLAG if value in (0, 1):
            return bool(value)
        case Kind.ADDRESS:
            return address(value)
        case Kind.SOCKET if value == LEAVE:
            return "leave"
        case Kind.SOCKET:
            return socks[value] if 0 <= value < len(socks) else {NONE: "none", FOREIGN: "foreign"}.get(value, value)
        case Kind.WORD:
            return field.words.get(value, value)
        case Kind.SOCKETS:
            return _sockets(value, socks)
        case Kind.EVENTS:
            return [bit + 1 for bit in range(value.bit_length()) if value >> bit & 1]
    return value


_MOST: int = constants.MAX_SOCKS


def _sockets(mask: int, socks: Sequence[str]) -> list[str]:
    """The sockets of a mask: a bit for each, and behind these one for each that was taken for what it is not."""
    names = [socks[bit] if bit < len(socks) else str(bit) for bit in range(_MOST)]
    right = [name for bit, name in enumerate(names) if mask >> bit & 1]
    return right + [f"{name} as what it is not" for bit, name in enumerate(names) if mask >> _MOST + bit & 1]


# What people write for the keys of the raw format.
_MEANT_OF_SOCK = {
    "port": "num, its own port (dport is the other end's)",
    "cpu": "incoming_cpu",
    "addr": "rcv_saddr",
    "address": "rcv_saddr",
    "saddr": "rcv_saddr",
    "sport": "num",
    "device": "bound_dev_if",
    "dev": "bound_dev_if",
    "iif": "bound_dev_if",
    "proto": "protocol",
    "type": "kind",
    "v6only": "ipv6only",
}
_MEANT_OF_PACKET = {
    "iif": "skb_iif",
    "in": "skb_iif",
    "device": "skb_iif",
    "dev": "skb_iif",
    "port": "dport",
    "src": "saddr",
    "dst": "daddr",
    "proto": "lookup, in [scenario]: tcp4, tcp6, udp4 or udp6",
    "protocol": "lookup, in [scenario]: tcp4, tcp6, udp4 or udp6",
    "cpu": "cpu, in [scenario]",
}


def _meant(where: str) -> Mapping[str, str]:
    return {"sock": _MEANT_OF_SOCK, "packet": _MEANT_OF_PACKET}.get(where.partition(".")[0], {})


def known_only(table: Mapping[str, Any], known: Collection[str], where: str) -> None:
    """Raises BadError, which names it, for the first key that is not known."""
    for key in table:
        if key not in known:
            full = f"{where}.{shown(key)}" if where else shown(key)
            hint = near(key, known, _meant(where))
            raise BadError(f"{full}: no such key here; known: {', '.join(sorted(known))}{hint}", ("", 0, key))


@contextmanager
def at(header: str, number: int = 0, key: str = "") -> Iterator[None]:
    """What does not fit in here is at this place, unless somebody further in knows better."""
    try:
        yield
    except BadError as error:
        if not error.place[0]:
            error.place = (header, number, key or error.place[2])
        raise


@contextmanager
def hinted(hint: str) -> Iterator[None]:
    """What does not fit in here, unless it follows from another fault, is told with what to do instead."""
    try:
        yield
    except FollowsError:
        raise
    except BadError as error:
        raise BadError(f"{error}{hint}", error.place) from None


def lookup(value: Any, names: Mapping[str, int], key: str) -> int:
    """The number that a word stands for. Raises BadError, which names the key."""
    if not isinstance(value, str) or value not in names:
        if not names:
            raise BadError(f"{key}: {value!r} names nothing: there is none here")
        raise BadError(f"{key}: {value!r} is none of {', '.join(names)}{near(value, names)}")
    return names[value]


_LIMITS = (-(1 << 31), (1 << 32) - 1)


def read_value(field: Field, value: Any, where: str, socks: Mapping[str, int]) -> int:
    """The number of a field's value, where `socks` are the names of sockets; an address that is a number is one of
    IPv4. Raises BadError, which names `where`.
    """
    match field.kind:
        case Kind.FLAG:
            if not isinstance(value, bool):
                raise BadError(f"{where}: true or false is needed, not {value!r}")
            return int(value)
        case Kind.ADDRESS if isinstance(value, str):
            try:
                return addresses.from_text(value)
            except ValueError:
                hint = instead_of_address(value)
                raise BadError(f"{where}: {value!r} is no address of IPv4 or IPv6{hint}") from None
        case Kind.SOCKET:
            return lookup(value, {**socks, "none": NONE, "leave": LEAVE}, where)
        case Kind.WORD if isinstance(value, str):
            return lookup(value, {text: number for number, text in field.words.items()}, where)
    number = read_number(value, where, field.kind is Kind.DEVICE)
    if wrong := fault(field, number):
        raise BadError(f"{where}: {number}: {wrong}")
    return addresses.mapped(number) if field.kind is Kind.ADDRESS else number


def read_number(value: Any, where: str, is_device: bool = False) -> int:
    """A number of 32 bits, signed or not. Raises BadError, which names `where`."""
    if isinstance(value, bool) or not isinstance(value, int) or not _LIMITS[0] <= value <= _LIMITS[1]:
        hint = instead_of_number(value, is_device)
        raise BadError(f"{where}: a number of 32 bits is needed, not {value!r}{hint}")
    return value
