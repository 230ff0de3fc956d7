"""The raw format of a case: the fields of csrc/record.h, with names for sockets, addresses as text, and only what
differs from the plain case.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import tomlkit

from skdiff.cases import case_head
from skdiff.cases.case import Case, default_names
from skdiff.cases.case_head import Things, array, check_expect, check_scenario, name_of, subtable
from skdiff.cases.case_values import BadError, hinted, known_only, lookup, read_value, show
from skdiff.cases.derived import plain_packet
from skdiff.cases.did_you_mean import instead_of_socket
from skdiff.cases.faults import Faults
from skdiff.cases.field_kinds import Kind
from skdiff.cases.fields import FIELDS, of_kind
from skdiff.cases.scenario import NONE, Event, Group, Netns, Packet, Program, Scenario, Sock

TABLES = ("scenario", "packet", "netns", "group", "sock", "event")
ARRAYS = ("netns", "group", "sock", "event")

# --- writing ---------------------------------------------------------------------------------------------------------


def dump(case: Case) -> str:
    """The case as TOML. What is as in the plainest case is left out."""
    scenario = case.scenario
    socks, groups = default_names(scenario)
    socks, groups = case.socks or socks, case.groups or groups
    document = case_head.document(case)
    case_head.add_tables(document, case)
    document["scenario"] = _table(scenario, Scenario(), socks)
    ends = (*of_kind(Packet, Kind.ADDRESS), *of_kind(Packet, Kind.PORT))  # who talks to whom is always said
    packet = plain_packet(scenario.lookup, scenario.packet.daddr, scenario.caller)
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
        tables = tomlkit.aot()
        for name, thing in zip(names, things, strict=True):
            table = tomlkit.table()
            table["name"] = name
            for k, v in _table(thing, default, socks, groups=groups).items():
                table[k] = v
            tables.append(table)
        if things:
            document[key] = tables
    if scenario.events:
        document["event"] = event_tables(scenario, socks)
    return tomlkit.dumps(document)


def event_tables(scenario: Scenario, socks: Sequence[str]) -> Any:
    """The events of a scenario; where and what they are is always said."""
    tables = tomlkit.aot()
    for event in scenario.events:
        tables.append(_table(event, Event(), socks, ("point", "action")))
    return tables


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


class _Reader:
    """Makes records of tables; what is wrong with a table goes to the faults, and the others are read all the same."""

    def __init__(self, faults: Faults, sock_at: Mapping[str, int], group_at: Mapping[str, int]) -> None:
        self._faults, self._sock_at = faults, sock_at
        self._groups = {**group_at, "none": NONE}

    def fill(self, kind: type[Any], table: Mapping[str, Any], where: str, header: str, number: int = 0) -> Any:
        fields = FIELDS[kind]
        special: dict[str, Callable[[Any], Any]] = {"slots": self._slots, "group": self._group}
        if kind is Event:
            special = {key: partial(self._of_event, f"{where}.{key}", key) for key in of_kind(Event, Kind.SOCKET)}
        known = set(fields) - {"progs"} | ({"name"} if kind in (Group, Sock) else set())
        values = {}
        for name, value in table.items():
            with self._faults.noted(header, number, name):
                known_only({name: value}, known, where)
                if name in special:
                    values[name] = special[name](value)
                elif name != "name":
                    values[name] = read_value(fields[name], value, f"{where}.{name}", self._sock_at)
        return kind(**values)

    def _slots(self, value: Any) -> tuple[int, ...]:
        if not isinstance(value, list):
            raise BadError("slots: a list of names of sockets is needed")
        return tuple(lookup(v, self._sock_at, "slots") for v in value)

    def _of_event(self, where: str, key: str, value: Any) -> int:
        """A socket that is there: one that the event has not is left out."""
        with hinted(instead_of_socket(key, value)):
            return lookup(value, self._sock_at, where)

    def _group(self, value: Any) -> int:
        return lookup(value, self._groups, "group")


def read(document: dict[str, Any], faults: Faults) -> Case:
    """The case of a document, which means nothing if there are faults."""
    with faults.noted():
        for key in document:
            with faults.noted():
                known_only({key: 0}, {*case_head.KEYS, *TABLES}, "")
    head = case_head.read(document, faults)
    sock_tables, group_tables = array(document, "sock", faults), array(document, "group", faults)
    sock_names = _names(sock_tables, "sock", faults)
    group_names = _names(group_tables, "group", faults)
    sock_at = {name: i for i, name in enumerate(sock_names)}
    reader = _Reader(faults, sock_at, {name: i for i, name in enumerate(group_names)})
    netns, n_progs = [], 0
    for i, table in enumerate(array(document, "netns", faults)):
        tables = array(table, "progs", faults)
        where = f"netns.{i}.progs"
        progs = tuple(reader.fill(Program, t, where, "netns.progs", n) for n, t in enumerate(tables, start=n_progs))
        n_progs += len(tables)
        rest = {k: v for k, v in table.items() if k != "progs"}
        netns.append(reader.fill(Netns, rest, f"netns.{i}", "netns", i)._replace(progs=progs))
    scenario = reader.fill(Scenario, subtable(document, "scenario", faults), "scenario", "scenario")
    table = subtable(document, "packet", faults)
    packet = reader.fill(Packet, table, "packet", "packet")
    plain = plain_packet(scenario.lookup, packet.daddr, scenario.caller)
    left_out = {name: getattr(plain, name) for name in ("doff", "pkt_type") if name not in table}
    events = array(document, "event", faults)
    scenario = scenario._replace(
        events=tuple(reader.fill(Event, t, f"event {i + 1}", "event", i) for i, t in enumerate(events)),
        packet=packet._replace(**left_out),
        netns=tuple(netns) or (Netns(),),
        groups=tuple(
            reader.fill(Group, t, f"group.{name}", "group", i)
            for i, (name, t) in enumerate(zip(group_names, group_tables, strict=True))
        ),
        socks=tuple(
            reader.fill(Sock, t, f"sock.{name}", "sock", i)
            for i, (name, t) in enumerate(zip(sock_names, sock_tables, strict=True))
        ),
    )
    check_expect(head, sock_at, len(events), faults)
    if not faults:
        things = Things(
            socks=[(f"sock.{name}", ("sock", i, "")) for i, name in enumerate(sock_names)],
            groups=[(f"group.{name}", ("group", i, "")) for i, name in enumerate(group_names)],
            packet=("packet", 0, ""),
            table="scenario",
            hostile=True,
        )
        check_scenario(scenario, things, faults)
    return Case(scenario, head.why, head.found, head.expect, head.said_by, sock_names, group_names, needs=head.needs)


def _names(tables: Sequence[Mapping[str, Any]], what: str, faults: Faults) -> tuple[str, ...]:
    names: list[str] = []
    for i, table in enumerate(tables):
        name = f"{what}{i}"
        with faults.noted(what, i, "name"):
            name = name_of(table, name, names)
        names.append(name)
    return tuple(names)
