"""Slips: what goes wrong with a record when somebody adds a field to it, once for each field and each place.

A field is not written, not read or not compared, two neighbours change places, a place is a byte too far, the last
thing of a table is forgotten. A slip that tests do not see is a field that may get lost.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from struct import Struct
from types import ModuleType
from typing import Any

from skdiff.cases import native, record, wire
from skdiff.cases.outcome import COMPARED, SHOWN_NAMES, Outcome
from skdiff.cases.scenario import Group, Netns, Packet, Program, Scenario, Sock
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

    @property
    def of(self) -> str:
        """What it is in: a struct, a function, a table."""
        return self.mutant.function

    def make(self) -> None:
        """Make it, in a process that has loaded nothing from the module yet."""
        module = import_module(self.module)
        setattr(module, self.name, self.change(getattr(module, self.name)))


class _Slipped:
    """A Struct that loses or exchanges values."""

    def __init__(self, form: Struct, read: Callable[[Values], Values]) -> None:
        self._form, self._read = form, read
        self.size = form.size

    def unpack_from(self, buffer: Any, at: int = 0) -> Values:
        """As Struct's own."""
        return self._read(self._form.unpack_from(buffer, at))


class _SlippedModule:
    """The compiled module of `native.py`, which loses or exchanges values of one class of records."""

    def __init__(
        self, module: Any, kind: type, write: Callable[[Values], Values], read: Callable[[Values], Values]
    ) -> None:
        self._module, self._kind, self._write, self._read = module, kind, write, read

    def encode(self, scenario: Scenario, buffer: Any) -> None:
        """As the module's own."""
        self._module.encode(_with_all(scenario, self._kind, self._write), buffer)

    def encode_frame(self, scenario: Scenario, buffer: Any) -> None:
        """As the module's own."""
        self._module.encode_frame(_with_all(scenario, self._kind, self._write), buffer)

    def decode(self, buffer: Any) -> Scenario:
        """As the module's own."""
        return _with_all(self._module.decode(buffer), self._kind, self._read)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def _with_all(scenario: Scenario, kind: type, change: Callable[[Values], Values]) -> Scenario:
    """A scenario in which each record of a class has other values: its lists' lengths and their items are some."""
    if kind is Scenario:
        place = Scenario._fields.index("packet")
        lists: Values = scenario[place + 1 :]
        values = change((*scenario[:place], *map(len, lists)))
        counts = values[place:]
        cut = (things[:count] for things, count in zip(lists, counts, strict=True))
        return Scenario._make((*values[:place], scenario.packet, *cut))
    if kind is Packet:
        return scenario._replace(packet=Packet._make(change(scenario.packet)))
    if kind is Sock:
        return scenario._replace(socks=tuple(Sock._make(change(sock)) for sock in scenario.socks))
    if kind is Group:
        return scenario._replace(groups=tuple(_group(group, change) for group in scenario.groups))
    if kind is Netns:
        return scenario._replace(netns=tuple(_netns(net, change) for net in scenario.netns))
    progs = [tuple(Program._make(change(program)) for program in net.progs) for net in scenario.netns]
    return scenario._replace(
        netns=tuple(net._replace(progs=made) for net, made in zip(scenario.netns, progs, strict=True))
    )


def _group(group: Group, change: Callable[[Values], Values]) -> Group:
    slots = group.slots
    padding = (-1,) * (record.constants.MAX_SLOTS - len(slots))
    fields = len(group) - 1
    values = change((*group[:fields], len(slots), *slots, *padding))
    return Group._make((*values[:fields], values[fields + 1 :][: values[fields]]))


def _netns(net: Netns, change: Callable[[Values], Values]) -> Netns:
    *fields, count = change((*net[:-1], len(net.progs)))
    return Netns._make((*fields, net.progs[:count]))


def slips() -> list[Slip]:
    """All of them."""
    return [*_written(), *_fields(), *_places(), *_drawn(), *_compared()]


def _slip(module: ModuleType, name: str, what: str, change: Callable[[Any], Any], of: str = "") -> Slip:
    file = f"{module.__name__.replace('.', '/')}.py"
    return Slip(Mutant("harness", file, of or name, 0, "", "slip", what), module.__name__, name, change)


def _same(values: Values) -> Values:
    return values


def _without(i: int) -> Callable[[Values], Values]:
    return lambda values: (*values[:i], b"" if isinstance(values[i], bytes) else 0, *values[i + 1 :])


def _exchanged(i: int) -> Callable[[Values], Values]:
    return lambda values: (*values[:i], values[i + 1], values[i], *values[i + 2 :])


def _on(change: Callable[[Struct], Any], key: int | None = None) -> Callable[[Any], Any]:
    """A change of a struct; of the one at a key, if the structs are a table."""
    return change if key is None else lambda forms: {**forms, key: change(forms[key])}


_KINDS = {
    "_HEAD": (Scenario, "scenario_record"),
    "_PACKET": (Packet, "packet_record"),
    "_SOCK": (Sock, "sock_record"),
    "_NETNS": (Netns, "netns_record"),
    "_PROGRAM": (Program, "program_record"),
    "_GROUP": (Group, "group_record"),
}


def _written() -> Iterator[Slip]:
    """Of the records that are written and read."""
    for of, (kind, struct) in _KINDS.items():
        names = _names(struct)
        for i, field in enumerate(names):
            lost, swapped = _without(i), _exchanged(i)
            yield _slip(native, "module", f"{field} -> not written", _module(kind, lost, _same), of)
            yield _slip(native, "module", f"{field} -> not read", _module(kind, _same, lost), of)
            if i + 1 < len(names):
                what = f"{field}, {names[i + 1]} -> {names[i + 1]}, {field}"
                yield _slip(native, "module", what, _module(kind, swapped, swapped), of)


def _module(kind: type, write: Callable[[Values], Values], read: Callable[[Values], Values]) -> Callable[[Any], Any]:
    return lambda module: cache(lambda: _SlippedModule(module(), kind, write, read))


def _drawn() -> Iterator[Slip]:
    """Of the places that bytes of the wire format go to."""
    for part, places in zip(_PARTS, native.format_of_bytes(), strict=True):
        for i in range(len(places)):
            what = f"place {i} of {part} -> a byte too far"
            yield _slip(native, "format_of_bytes", what, _drawn_too_far(_PARTS.index(part), i), f"drawn {part}")


_PARTS = ("counts", "head", "packet", "netns", "program", "group", "slot", "sock", "frame's head", "frame's packet")


def _drawn_too_far(part: int, i: int) -> Callable[[Any], Any]:
    def moved(places: tuple[native.Place, ...]) -> tuple[native.Place, ...]:
        offset, size, values = places[i]
        return (*places[:i], (offset + 1, size, values), *places[i + 1 :])

    def change(parts: Callable[[], tuple[tuple[native.Place, ...], ...]]) -> Any:
        return lambda: tuple(moved(places) if n == part else places for n, places in enumerate(parts()))

    return change


def _fields() -> Iterator[Slip]:
    """Of the records that are only read."""
    structs: list[tuple[str, int | None, Sequence[str]]] = [
        ("_OUTCOME", None, _names("outcome_record")),
        ("_STEP", None, ("step", "the first value", "the second value", "the third value")),
    ]
    structs += [("_SHOWN", kind, _numbers(names)) for kind, names in SHOWN_NAMES.items()]
    for name, key, names in structs:
        shown = "" if key is None else f" of kind {key}"
        for i, field in enumerate(names):
            yield _slip(record, name, f"{field}{shown} -> not read", _on(_slipped(_without(i)), key))
            if i + 1 < len(names):
                what = f"{field}, {names[i + 1]}{shown} -> {names[i + 1]}, {field}"
                yield _slip(record, name, what, _on(_slipped(_exchanged(i)), key))


def _numbers(names: Sequence[str]) -> list[str]:
    """What the numbers of a program's run are called: an address is two."""
    halves = {name: (f"first half of {name}", f"last half of {name}") for name in ("saddr", "daddr")}
    return [part for name in names for part in halves.get(name, (name,))]


def _slipped(read: Callable[[Values], Values]) -> Callable[[Struct], Any]:
    return lambda form: _Slipped(form, read)


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
