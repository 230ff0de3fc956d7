"""Cases as TOML, for people: names for sockets, addresses as text, only what differs from the plain case."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import tomlkit

from skdiff.base.errors import CannotRun
from skdiff.base.files import from_toml
from skdiff.base.paths import command
from skdiff.cases import expectations, validity
from skdiff.cases.case_values import BadError, at, known_only, lookup, read_value, show
from skdiff.cases.derived import plain_packet
from skdiff.cases.field_kinds import Kind
from skdiff.cases.fields import FIELDS, KINDS, PROTOCOLS, STATES, of_kind
from skdiff.cases.scenario import (
    KIND_FULL,
    NONE,
    TCP_LISTEN,
    Group,
    Netns,
    Packet,
    Program,
    Scenario,
    Sock,
)
from skdiff.variants.requirements import WORDS

VERSION = 1


MAX_BYTES = 1_000_000


@dataclass(frozen=True)
class Case:
    """A scenario with its story: `why` it is kept, how it was `found`, what to `expect` of a kernel that is what it
    `needs` (see `harness/skdiff/variants/requirements.py`) and who said so (see `expectations.py`), and its sockets'
    names.
    """

    scenario: Scenario
    why: str = ""
    found: Mapping[str, Any] = field(default_factory=dict)
    expect: Mapping[str, Any] = field(default_factory=dict)
    said_by: str = ""
    socks: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    path: Path | None = None
    needs: tuple[str, ...] = ()

    def again(self, path: str) -> str:
        """The line with the command that shows a difference between two kernels again, for a case that one found, which
        is at `path` (quoted for a shell); "" for others.
        """
        words = str(self.found.get("again", ""))
        return f"again: {command()} {words} {path}" if words.startswith("diff ") else ""


# A name stands in reports, errors and drawings: one word or a few.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_ -]{0,63}")


def _line_of(text: str, place: tuple[str, int, str]) -> int:
    """The line of a key in the table that `place` names, else that table's, else 1."""
    header, number, key = place
    here, seen, found = "", -1, 1
    for line, row in enumerate(text.splitlines(), 1):
        opened = re.match(r"\s*\[\[?\s*([^\]]+?)\s*\]", row)
        if opened:
            here = opened[1]
            seen += here == header
            if here == header and seen == number:
                found = line
            if not header and key == here:
                return line
        inside = here == header and (seen == number or not header)
        if inside and key and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=.]", row):
            return line
    return found


def default_names(scenario: Scenario) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names for sockets and groups that say what they are, unique within the scenario."""
    return (
        tuple(f"{role(sock)}{i}" for i, sock in enumerate(scenario.socks)),
        tuple(f"group{i}" for i in range(len(scenario.groups))),
    )


def role(sock: Sock) -> str:
    """One word for what a socket is: listener, udp, request, ..."""
    if sock.kind != KIND_FULL:
        return KINDS[sock.kind]
    if sock.protocol != 6:
        return PROTOCOLS.get(sock.protocol, "other")
    if sock.state == TCP_LISTEN:
        return "listener"
    return STATES[sock.state].lower() if sock.state < len(STATES) else "socket"


# --- writing ---------------------------------------------------------------------------------------------------------


def dump(case: Case) -> str:
    """The case as TOML. What is as in the plainest case is left out."""
    scenario = case.scenario
    socks, groups = default_names(scenario)
    socks, groups = case.socks or socks, case.groups or groups
    document = tomlkit.document()
    document["version"] = VERSION
    if case.why:
        document["why"] = case.why
    if case.needs:
        document["needs"] = list(case.needs)
    if case.found:
        document["found"] = _plain_table(case.found)
    if case.expect:
        document["expect"] = _plain_table(expectations.table(case.expect, case.said_by))
    plain = Scenario()
    document["scenario"] = _table(scenario, plain, socks)
    ends = (*of_kind(Packet, Kind.ADDRESS), *of_kind(Packet, Kind.PORT))  # who talks to whom is always said
    packet = plain_packet(scenario.lookup, scenario.packet.daddr)
    document["packet"] = _table(scenario.packet, packet, socks, ends)
    nets = tomlkit.aot()
    for net in scenario.netns:
        table = _table(net, Netns(), socks)
        progs = tomlkit.aot()
        for program in net.progs:
            progs.append(_table(program, None, socks))
        if net.progs:
            table["progs"] = progs
        nets.append(table)
    document["netns"] = nets
    aots: Iterable[tuple[str, Sequence[Any], Sequence[str], Any]] = (
        ("group", scenario.groups, groups, Group()),
        ("sock", scenario.socks, socks, Sock()),
    )
    for key, things, names, default in aots:
        array = tomlkit.aot()
        for name, thing in zip(names, things, strict=True):
            table = tomlkit.table()
            table["name"] = name
            for k, v in _table(thing, default, socks, groups=groups).items():
                table[k] = v
            array.append(table)
        if things:
            document[key] = array
    return tomlkit.dumps(document)


def _plain_table(values: Mapping[str, Any]) -> Any:
    table = tomlkit.table()
    for key, value in values.items():
        table[key] = _plain_table(value) if isinstance(value, Mapping) else value
    return table


def _table(
    thing: Any, plain: Any, socks: Sequence[str], always: Collection[str] = (), groups: Sequence[str] = ()
) -> Any:
    """The fields of a thing that are not as in the `plain` one, if there is one, and those that are `always` there."""
    table = tomlkit.table()
    fields = FIELDS[type(thing)]
    for name in sorted(fields, key=lambda name: name not in always):
        field, value = fields[name], getattr(thing, name)
        if name == "progs" or (plain is not None and value == getattr(plain, name) and name not in always):
            continue
        if field.kind is Kind.LIST:
            table[name] = [socks[i] for i in value]
        elif field.kind is Kind.GROUP:
            table[name] = groups[value]
        elif field.kind is Kind.HEX:
            table[name] = tomlkit.integer(hex(value))
        else:
            table[name] = show(field, value, socks)
    return table


# --- reading ---------------------------------------------------------------------------------------------------------


def load(path: Path) -> Case:
    """The case in a file. Raises CannotRun with file, line and what is wrong."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise CannotRun(f"{path}: larger than {MAX_BYTES} bytes, no case is")
        text = path.read_text()
    except OSError as error:
        raise CannotRun(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CannotRun(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from error
    case = parse(text, str(path))
    return replace(case, path=path)


def parse(text: str, where: str = "case") -> Case:
    """The case in a text; `where` names it in errors. Raises CannotRun with a line number and what is wrong."""
    try:
        document = from_toml(text, dict[str, Any])
    except ValueError as error:
        raise CannotRun(f"{where}: not TOML: {error}") from error
    except RecursionError as error:
        raise CannotRun(f"{where}: nested too deeply, no case is") from error
    try:
        return _case(document)
    except BadError as error:
        raise CannotRun(f"{where}:{_line_of(text, error.place)}: {error}") from error


def _case(document: dict[str, Any]) -> Case:
    known = {"version", "why", "needs", "found", "expect", "scenario", "packet", "netns", "group", "sock"}
    known_only(document, known, "")
    if "version" not in document:
        raise BadError(f"version is missing: the format of a case has a number, write `version = {VERSION}`")
    version, why = document["version"], document.get("why", "")
    if type(version) is not int or version != VERSION:
        raise BadError(f"version: {version!r}; this skdiff reads version {VERSION}", ("", 0, "version"))
    if not isinstance(why, str):
        raise BadError("why: a text is needed", ("", 0, "why"))
    needs = document.get("needs", [])
    if not isinstance(needs, list) or not all(isinstance(n, str) for n in needs):
        raise BadError("needs: a list of words is needed", ("", 0, "needs"))
    for need in needs:
        if need.removeprefix("no-") not in WORDS:
            raise BadError(f"needs: {need!r} is none of {', '.join(WORDS)}, or no- and one of these", ("", 0, "needs"))
    socks = _array(document, "sock")
    groups = _array(document, "group")
    sock_names = _names(socks, "sock")
    group_names = _names(groups, "group")
    sock_at = {name: i for i, name in enumerate(sock_names)}
    group_at = {name: i for i, name in enumerate(group_names)}

    def fill(
        kind: type[Any],
        table: dict[str, Any],
        where: str,
        header: str,
        number: int = 0,
        **special: Callable[[Any], Any],
    ) -> Any:
        fields = FIELDS[kind]
        named = {"name"} if kind in (Group, Sock) else set()
        values = {}
        for name, value in table.items():
            with at(header, number, name):
                known_only({name: value}, {*fields, *named} - {"progs"} | set(special), where)
                if name in special:
                    values[name] = special[name](value)
                elif name != "name":
                    values[name] = read_value(fields[name], value, f"{where}.{name}", sock_at)
        return kind(**values)

    def slots(value: Any) -> tuple[int, ...]:
        if not isinstance(value, list):
            raise BadError("slots: a list of names of sockets is needed")
        return tuple(lookup(v, sock_at, "slots") for v in value)

    def group(value: Any) -> int:
        return lookup(value, {**group_at, "none": NONE}, "group")

    netns, n_progs = [], 0
    for i, table in enumerate(_array(document, "netns")):
        with at("netns", i, "progs"):
            tables = _array(table, "progs")
        progs = tuple(
            fill(Program, t, f"netns.{i}.progs", "netns.progs", n) for n, t in enumerate(tables, start=n_progs)
        )
        n_progs += len(tables)
        rest = {k: v for k, v in table.items() if k != "progs"}
        netns.append(fill(Netns, rest, f"netns.{i}", "netns", i)._replace(progs=progs))
    scenario = fill(Scenario, _subtable(document, "scenario"), "scenario", "scenario")
    table = _subtable(document, "packet")
    packet = fill(Packet, table, "packet", "packet")
    plain = plain_packet(scenario.lookup, packet.daddr)
    left_out = {name: getattr(plain, name) for name in ("doff", "pkt_type") if name not in table}
    scenario = scenario._replace(
        packet=packet._replace(**left_out),
        netns=tuple(netns) or (Netns(),),
        groups=tuple(fill(Group, t, f"group.{t['name']}", "group", i, slots=slots) for i, t in enumerate(groups)),
        socks=tuple(fill(Sock, t, f"sock.{t['name']}", "sock", i, group=group) for i, t in enumerate(socks)),
    )
    wrong = validity.problems(scenario)
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise BadError(f"scenario: {wrong[0]}{more}", ("scenario", 0, ""))
    expect = dict(_subtable(document, "expect"))
    said_by = expect.pop(expectations.FROM, "")
    with at("expect"):
        expectations.check(expect, said_by, sock_at)
    found = dict(_subtable(document, "found"))
    return Case(scenario, why, found, expect, said_by, sock_names, group_names, needs=tuple(needs))


def _subtable(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    table = document.get(key, {})
    if not isinstance(table, dict):
        raise BadError(f"{key}: a table [{key}] is needed", ("", 0, key))
    return table


def _array(document: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    array = document.get(key, [])
    if not isinstance(array, list) or not all(isinstance(t, dict) for t in array):
        raise BadError(f"{key}: tables [[{key}]] are needed", ("", 0, key))
    return array


def _names(tables: list[dict[str, Any]], what: str) -> tuple[str, ...]:
    names: list[str] = []
    for i, table in enumerate(tables):
        name = table.setdefault("name", f"{what}{i}")
        with at(what, i, "name"):
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise BadError(f"name: {name!r} is no name: letters, digits, - and _, up to 64 of them")
            if name in ("none", "leave", "foreign", *names):
                raise BadError(f"name: {name!r} is taken")
        names.append(name)
    return tuple(names)
