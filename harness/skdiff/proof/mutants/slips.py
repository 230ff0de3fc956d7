"""Slips: what goes wrong with a record when somebody adds a field to it, once for each field and each place.

A field is not written, not read or not compared, two neighbours change places, a place is a byte too far, the last
thing of a table is forgotten. A slip that tests do not see is a field that may get lost.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from struct import Struct
from types import ModuleType
from typing import Any

from skdiff.cases import record, wire
from skdiff.cases.outcome import COMPARED, SHOWN_NAMES, Outcome
from skdiff.comparison import compare
from skdiff.proof.mutants.common import Mutant

Values = tuple[Any, ...]


@dataclass(frozen=True)
class Slip:
    """In `module` the value called `name` gives way to what `change` makes of it."""

    mutant: Mutant
    module: str
    name: str
    change: Callable[[Any], Any]

    def make(self) -> None:
        """Make it, in a process that has loaded nothing from the module yet."""
        module = import_module(self.module)
        setattr(module, self.name, self.change(getattr(module, self.name)))


class _Slipped:
    """A Struct that loses or exchanges values."""

    def __init__(self, form: Struct, write: Callable[[Values], Values], read: Callable[[Values], Values]) -> None:
        self._form, self._write, self._read = form, write, read
        self.size = form.size

    def pack_into(self, buffer: Any, at: int, *values: Any) -> None:
        """As Struct's own."""
        self._form.pack_into(buffer, at, *self._write(values))

    def unpack_from(self, buffer: Any, at: int = 0) -> Values:
        """As Struct's own."""
        return self._read(self._form.unpack_from(buffer, at))


def slips() -> list[Slip]:
    """All of them."""
    return [*_fields(), *_places(), *_compared()]


def _slip(module: ModuleType, name: str, what: str, change: Callable[[Any], Any]) -> Slip:
    file = f"{module.__name__.replace('.', '/')}.py"
    return Slip(Mutant("harness", file, name, 0, "", "slip", what), module.__name__, name, change)


def _same(values: Values) -> Values:
    return values


def _without(i: int) -> Callable[[Values], Values]:
    return lambda values: (*values[:i], b"" if isinstance(values[i], bytes) else 0, *values[i + 1 :])


def _exchanged(i: int) -> Callable[[Values], Values]:
    return lambda values: (*values[:i], values[i + 1], values[i], *values[i + 2 :])


def _on(change: Callable[[Struct], Any], key: int | None = None) -> Callable[[Any], Any]:
    """A change of a struct; of the one at a key, if the structs are a table."""
    return change if key is None else lambda forms: {**forms, key: change(forms[key])}


def _fields() -> Iterator[Slip]:
    structs: list[tuple[str, int | None, Sequence[str], bool]] = [
        (f"_{name.upper()}", None, _names(f"{name}_record"), True)
        for name in ("packet", "sock", "netns", "program", "group")
    ]
    structs.insert(0, ("_HEAD", None, _names("scenario_record"), True))
    structs.append(("_OUTCOME", None, _names("outcome_record"), False))
    structs.append(("_STEP", None, ("step", "the first value", "the second value", "the third value"), False))
    structs += [("_SHOWN", kind, _numbers(names), False) for kind, names in SHOWN_NAMES.items()]
    for name, key, names, written in structs:
        shown = "" if key is None else f" of kind {key}"
        for i, field in enumerate(names):
            lost, swapped = _without(i), _exchanged(i)
            if written:
                yield _slip(record, name, f"{field} -> not written", _on(_slipped(lost, _same), key))
            yield _slip(record, name, f"{field}{shown} -> not read", _on(_slipped(_same, lost), key))
            if i + 1 < len(names):
                what = f"{field}, {names[i + 1]}{shown} -> {names[i + 1]}, {field}"
                yield _slip(record, name, what, _on(_slipped(swapped, swapped), key))


def _numbers(names: Sequence[str]) -> list[str]:
    """What the numbers of a program's run are called: an address is two."""
    halves = {name: (f"first half of {name}", f"last half of {name}") for name in ("saddr", "daddr")}
    return [part for name in names for part in halves.get(name, (name,))]


def _slipped(write: Callable[[Values], Values], read: Callable[[Values], Values]) -> Callable[[Struct], Any]:
    return lambda form: _Slipped(form, write, read)


_LENGTHS = {
    "group_record": {"slots": record.constants.MAX_SLOTS},
    "outcome_record": dict.fromkeys(("refcnt", "listener"), record.constants.MAX_SOCKS),
}


def _names(struct: str) -> list[str]:
    """A struct's leading plain fields, each item of an array for itself."""
    found: list[str] = []
    for name in record.layout(struct)[1]:
        length = _LENGTHS.get(struct, {}).get(name)
        found += [name] if length is None else [f"{name}[{i}]" for i in range(length)]
    return found


def _places() -> Iterator[Slip]:
    for module in (record, wire):
        for name, value in vars(module).items():
            if isinstance(value, int) and name in ("_HEAD_AT", "_PACKET_AT", "_SHOWN_ARGS", "_STEPS_AT"):
                yield _slip(module, name, f"{name} -> {name} + 1", lambda at: at + 1)
            elif isinstance(value, list) and name.endswith("_AT"):
                yield _slip(module, name, "the last -> nothing", lambda places: places[:-1])
                for i in range(len(value)):
                    yield _slip(module, name, f"{name}[{i}] -> {name}[{i}] + 1", _moved(i))
    for kind, field in wire.PLACES:
        yield _slip(wire, "PLACES", f"{kind}.{field} -> its neighbour", _misplaced((kind, field)))


def _moved(i: int) -> Callable[[list[int]], list[int]]:
    return lambda places: [*places[:i], places[i] + 1, *places[i + 1 :]]


def _misplaced(key: tuple[str, str]) -> Callable[[dict[tuple[str, str], tuple[int, int]]], Any]:
    return lambda places: {**places, key: (places[key][0] + 1, places[key][1])}


def _compared() -> Iterator[Slip]:
    for field in Outcome._fields[:COMPARED]:
        yield _slip(compare, "compare", f"{field} -> not compared", _ignoring(field))
    yield _slip(record, "outcome", "the last socket -> nothing", _forgetful)


def _ignoring(field: str) -> Callable[[Any], Any]:
    def change(compare: Any) -> Any:
        def ignoring(names: Sequence[str], outcomes: Sequence[Outcome]) -> Any:
            same = {field: getattr(outcomes[0], field)}
            return compare(names, [outcome._replace(**same) for outcome in outcomes])

        return ignoring

    return change


def _forgetful(outcome: Any) -> Any:
    return lambda buffer, n_socks: outcome(buffer, max(n_socks - 1, 0))
