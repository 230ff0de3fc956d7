"""What a case expects of an outcome: any field that is compared, as its text has it, and who said so."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from skdiff.cases.case_values import BadError, at, known_only, lookup, read_value, show
from skdiff.cases.field_kinds import Field, Kind
from skdiff.cases.outcome import COMPARED, SHOWN_KINDS, WRITTEN_NAMES, Outcome
from skdiff.cases.outcome_fields import OUTCOME_FIELDS, SHOWN_FIELDS
from skdiff.cases.scenario import NONE

FROM = "from"  # the key of who said so
MODEL = "model"
# Who may have said it. What such a source could not see (no self-test sees a reference count) was worked out by hand.
SOURCES = ("selftest", "document", "report", "running kernel", "kernel text", MODEL)
FIELDS = {name: OUTCOME_FIELDS[name] for name in Outcome._fields[:COMPARED]}
_KINDS = {word: kind for kind, word in SHOWN_KINDS.items()}
_WRITTEN = {word: number for number, word in enumerate(WRITTEN_NAMES)}


def table(expect: Mapping[str, Any], said_by: str) -> dict[str, Any]:
    """The [expect] of a case."""
    return {**({FROM: said_by} if said_by else {}), **expect}


def check(expect: Mapping[str, Any], said_by: Any, socks: Mapping[str, int], events: int) -> None:
    """Raises BadError for what cannot be expected of an outcome; `socks` are the case's sockets, and it has so many
    events.
    """
    with at("expect", 0, FROM):
        if said_by != "":
            lookup(said_by, dict.fromkeys(SOURCES, 0), f"expect.{FROM}")
    for key, value in expect.items():
        with at("expect", 0, key):
            known_only({key: value}, {FROM, *FIELDS}, "expect")
            _check(FIELDS[key], key, value, socks, events)


def _check(field: Field, key: str, value: Any, socks: Mapping[str, int], events: int) -> None:
    where = f"expect.{key}"
    if field.each:
        if not isinstance(value, dict):
            example = f"{next(iter(socks))} = {value}" if socks and isinstance(value, int) else "NAME = ..."
            raise BadError(f"{where}: a table [{where}] is needed, with a line for each socket: {example}")
        for name, one in value.items():
            with at(where, 0, name):
                lookup(name, socks, where)
                _number(field, one, where, socks)
    elif field.kind is Kind.TEXTS:
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            raise BadError(f"{where}: a list of the functions that warn is needed, not {value!r}")
    elif field.kind is Kind.SOCKETS:
        if not isinstance(value, list):
            raise BadError(f"{where}: a list of names of sockets is needed, not {value!r}")
        for name in value:
            lookup(name, socks, where)
    elif field.kind is Kind.EVENTS:
        if not isinstance(value, list) or not all(type(one) is int for one in value):
            raise BadError(f"{where}: a list of numbers of events is needed, from 1 on, not {value!r}")
        for number in value:
            if not 1 <= number <= events:
                there = f"they are counted from 1 to {events}" if events else "the case has none"
                raise BadError(f"{where}: there is no event {number}: {there}")
            if value.count(number) > 1:
                raise BadError(f"{where}: event {number} is there twice, and comes about once")
    elif field.kind is Kind.WRITTEN:
        lookup(value, _WRITTEN, where)
    elif field.kind is Kind.SHOWN:
        if not isinstance(value, list) or not all(isinstance(run, dict) for run in value):
            raise BadError(f"{where}: tables [[{where}]] are needed, or []")
        for number, run in enumerate(value):
            with at(where, number):
                _check_run(run, where, socks)
    else:
        _number(field, value, where, socks)


def _check_run(run: Mapping[str, Any], where: str, socks: Mapping[str, int]) -> None:
    with at("", 0, "kind"):
        fields = SHOWN_FIELDS[lookup(run.get("kind"), _KINDS, f"{where}.kind")]
    for name, value in run.items():
        if name != "kind":
            with at("", 0, name):
                known_only({name: value}, {"kind", *fields}, where)
                _number(fields[name], value, f"{where}.{name}", socks)


def _number(field: Field, value: Any, where: str, socks: Mapping[str, int]) -> int:
    if field.kind is Kind.SOCKET:
        return lookup(value, {**socks, "none": NONE}, where)
    return read_value(field, value, where, socks)


def unmet(expect: Mapping[str, Any], socks: Sequence[str], outcome: Outcome) -> list[str]:
    """What of a case's expectation an outcome does not meet, a line each; `socks` are the names of its sockets."""
    return [
        f"{what} is {got}, expected {wanted}"
        for key, value in expect.items()
        for what, got, wanted in _pairs(key, value, getattr(outcome, key), socks)
        if got != wanted
    ]


def _pairs(key: str, wanted: Any, got: Any, socks: Sequence[str]) -> Iterator[tuple[str, Any, Any]]:
    """What is looked at, what it is, and what is expected."""
    field = FIELDS[key]
    match field.kind:
        case _ if field.each:
            values = dict(zip(socks, got, strict=False))  # of what crashed there are none
            for name, value in wanted.items():
                yield f"{key} of {name}", show(field, values[name], socks) if name in values else None, value
        case Kind.TEXTS:
            yield key, list(got), wanted
        case Kind.EVENTS:
            yield key, show(field, got, socks), sorted(wanted)
        case Kind.SOCKETS:
            yield key, sorted(show(field, got, socks)), sorted(wanted)
        case Kind.WRITTEN:
            yield key, WRITTEN_NAMES[got[0]] if got else WRITTEN_NAMES[0], wanted
        case Kind.SHOWN:
            yield "shown", [SHOWN_KINDS[kind] for kind, *_ in got], [run["kind"] for run in wanted]
            for number, ((kind, *values), run) in enumerate(zip(got, wanted, strict=False)):
                yield from _arguments(f"shown {number}", SHOWN_FIELDS[kind], values, run, socks)
        case _:
            yield key, show(field, got, socks), _as_shown(field, wanted, socks)


def _as_shown(field: Field, wanted: Any, socks: Sequence[str]) -> Any:
    """An address may be written as a number, too."""
    return show(field, _number(field, wanted, "", {name: i for i, name in enumerate(socks)}), socks)


def _arguments(
    what: str, fields: Mapping[str, Field], values: Sequence[int], run: Mapping[str, Any], socks: Sequence[str]
) -> Iterator[tuple[str, Any, Any]]:
    """Of a program's run, the arguments that are named."""
    for (name, field), value in zip(fields.items(), values, strict=True):
        if name in run:
            yield f"{name} of {what}", show(field, value, socks), _as_shown(field, run[name], socks)
