"""What the formats of a case have in common: version, story, needs, where it was found, and [expect]."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import tomlkit

from skdiff.cases import expectations, validity
from skdiff.cases.case import NAME, TAKEN, Case
from skdiff.cases.case_values import BadError, at
from skdiff.cases.did_you_mean import near
from skdiff.cases.faults import Faults, Place
from skdiff.cases.scenario import Event, Group, Packet, Scenario, Sock
from skdiff.variants.requirements import WORDS

VERSION = 1
KEYS = ("version", "why", "needs", "found", "expect")

_OF_PACKET = ("the packet", "a packet", "only a packet", "data_len", "sdif", "pkt_type", "a route", "a destructor")
_HOSTILE = "; with hostile = true in [scenario] a case may have what no system reaches"


class Head(NamedTuple):
    """The top of a case, as it was read."""

    why: str
    needs: tuple[str, ...]
    found: dict[str, Any]
    expect: dict[str, Any]
    said_by: Any


def read(document: Mapping[str, Any], faults: Faults) -> Head:
    """The top of a document; what is wrong with it goes to the faults."""
    with faults.noted():
        if "version" not in document:
            raise BadError(f"version is missing: the format of a case has a number, write `version = {VERSION}`")
        version = document["version"]
        if type(version) is not int or version != VERSION:
            raise BadError(f"version: {version!r}; this skdiff reads version {VERSION}", ("", 0, "version"))
    why, needs = document.get("why", ""), document.get("needs", [])
    if not isinstance(why, str):
        faults.add("why: a text is needed", ("", 0, "why"))
    if not isinstance(needs, list) or not all(isinstance(n, str) for n in needs):
        faults.add("needs: a list of words is needed", ("", 0, "needs"))
        needs = []
    for need in needs:
        if need.removeprefix("no-") not in WORDS:
            hint = near(need.removeprefix("no-"), WORDS)
            faults.add(
                f"needs: {need!r} is none of {', '.join(WORDS)}, or no- and one of these{hint}", ("", 0, "needs")
            )
    expect, found = subtable(document, "expect", faults), subtable(document, "found", faults)
    said_by = expect.pop(expectations.FROM, "")
    return Head(str(why), tuple(needs), found, expect, said_by)


def check_expect(head: Head, socks: Mapping[str, int], events: int, faults: Faults) -> None:
    """Each fault of [expect], in a case that has these sockets, and so many events."""
    with faults.noted(), at("expect"):
        expectations.check({}, head.said_by, socks, events)
    for key, value in head.expect.items():
        with faults.noted(), at("expect"):
            expectations.check({key: value}, "", socks, events)


def subtable(document: Mapping[str, Any], key: str, faults: Faults) -> dict[str, Any]:
    """A table of a document, empty if it is not there."""
    table = document.get(key, {})
    if not isinstance(table, dict):
        faults.add(f"{key}: a table [{key}] is needed", ("", 0, key))
        return {}
    return dict(table)


def array(document: Mapping[str, Any], key: str, faults: Faults) -> list[dict[str, Any]]:
    """The tables of a document that have the same name, none if there are none."""
    tables = document.get(key, [])
    if not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables):
        hint = f", with two brackets: one [[{key}]] for each" if isinstance(tables, dict) else ""
        faults.add(f"{key}: tables [[{key}]] are needed{hint}", ("", 0, key))
        return []
    return [dict(table) for table in tables]


def name_of(table: Mapping[str, Any], default: str, taken: Sequence[str]) -> str:
    """The name of a table, or its default. Raises BadError for what is none."""
    name = table.get("name", default)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise BadError(f"name: {name!r} is no name: letters (of ASCII), digits, spaces, - and _, up to 64 of them")
    if name in (*TAKEN, *taken):
        raise BadError(f"name: {name!r} is taken")
    return name


class Things(NamedTuple):
    """What a scenario's sockets and groups are called in errors, and where a text has them; `table` has the sizes of
    its tables, and `hostile` says whether the format can say so.
    """

    socks: Sequence[tuple[str, Place]]
    groups: Sequence[tuple[str, Place]]
    packet: Place
    table: str
    hostile: bool


def check_scenario(scenario: Scenario, things: Things, faults: Faults) -> None:
    """Each problem of a scenario, in the names of its text."""
    wrong = validity.problems(scenario)
    if wrong and things.hostile and not scenario.hostile and not validity.problems(scenario._replace(hostile=1)):
        faults.advice = _HOSTILE
    for problem in wrong:
        faults.add(*_told(problem, things))


def _told(problem: str, things: Things) -> tuple[str, Place]:
    named = {"socket": things.socks, "group": things.groups}

    def name(match: re.Match[str]) -> str:
        return named[match[1]][int(match[2])][0]

    text = re.sub(r"\b(socket|group) (\d+)\b", name, problem)
    if begins := re.match(r"(socket|group) (\d+):", problem):
        return text, _with_key(named[begins[1]][int(begins[2])][1], text)
    if begins := re.match(r"event (\d+): (\w+)", text):
        return text, ("event", int(begins[1]) - 1, begins[2] if begins[2] in Event._fields else "")
    if begins := re.match(r"\d+ events, there is room for (\d+)", text):
        return f"scenario: {text}", ("event", int(begins[1]), "")  # the first that has no room
    if begins := re.match(r"(a program of )?namespace (\d+):", problem):
        return f"scenario: {text}", ("netns", int(begins[2]), "")
    if problem.startswith(_OF_PACKET):
        return f"scenario: {text}", _with_key(things.packet, text)
    if begins := re.match(r"the scenario: (\w+)", text):
        return f"{things.table}: {text.removeprefix('the scenario: ')}", (things.table, 0, begins[1])
    return f"scenario: {text}", (things.table, 0, "")


def _with_key(place: Place, text: str) -> Place:
    """A place with the first key that a problem names, if it is that of a whole table; where the table has not that
    key, its own line is told.
    """
    if place[2]:
        return place
    keys = {name for record in (Packet, Sock, Group) for name in record._fields}
    return (*place[:2], next((word for word in re.findall(r"\w+", text.partition(":")[2] or text) if word in keys), ""))


def document(case: Case) -> tomlkit.TOMLDocument:
    """A document with the top of a case."""
    made = tomlkit.document()
    made["version"] = VERSION
    if case.why:
        made["why"] = _text(case.why)
    if case.needs:
        made["needs"] = list(case.needs)
    return made


def _text(text: str) -> Any:
    """A text of several lines as one, where TOML keeps it as it is."""
    plain = all(c.isprintable() or c == "\n" for c in text) and not text.startswith("\n") and '"' not in text[-1:]
    return tomlkit.string(text, multiline=True) if "\n" in text and plain and '""' not in text else text


def add_tables(made: tomlkit.TOMLDocument, case: Case) -> None:
    """Add [found] and [expect] to a document."""
    if case.found:
        made["found"] = plain_table(case.found)
    if case.expect:
        made["expect"] = plain_table(expectations.table(case.expect, case.said_by))


def plain_table(values: Mapping[str, Any]) -> Any:
    """A table of tomlkit with these values."""
    table = tomlkit.table()
    for key, value in values.items():
        table[key] = plain_table(value) if isinstance(value, Mapping) else value
    return table
