"""From a document in the format of words to its entries: each key's value is read, and nothing is made of it yet."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from skdiff.cases import case_head
from skdiff.cases.case_head import array, name_of, subtable
from skdiff.cases.case_values import BadError
from skdiff.cases.did_you_mean import near, shown
from skdiff.cases.faults import Faults, Place
from skdiff.cases.record import constants
from skdiff.cases.toml_lines import TomlLines
from skdiff.cases.words_keys import (
    ALL,
    DEVICES,
    ENTRIES,
    HASH,
    HOST,
    MEANT,
    NAMESPACE,
    SINGLE,
    SOCKETS,
    SYSCTL,
    TOP,
    Key,
    What,
)
from skdiff.cases.words_values import read_address, read_end, read_ends

# What to write for words that are none here: states that have a table of their own, also as `ss` prints them, and what
# others call a classic program.
_INSTEAD = {
    "LISTEN": "a [[listener]]",
    "TIME_WAIT": "a [[timewait]]",
    "TIME-WAIT": "a [[timewait]]",
    "NEW_SYN_RECV": "a [[request]]",
    "UNCONN": "a [[udp]] socket",
    "CLOSE": "a [[bound]] socket",
    "cbpf": "filter",
}
_HEAD = ("version", "why", "needs")  # which both formats have


@dataclass(frozen=True)
class Entry:
    """A table of a case: of what kind, the name of its socket if it is one, where it stands, and its values."""

    kind: str
    name: str
    place: Place
    values: Mapping[str, Any]
    refused: frozenset[str] = frozenset()  # keys with a fault

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, or the default."""
        return self.values.get(key, default)

    def at(self, key: str) -> Place:
        """The place of a key."""
        return (*self.place[:2], key)

    @property
    def told(self) -> str:
        """What it is called in errors."""
        return f"{self.kind} {self.name}" if self.name else f"[[{self.kind}]]"


@dataclass(frozen=True)
class Device:
    """A network device: its interface index, and that of the VRF that it belongs to, or is; 0 for none."""

    index: int
    vrf: int = 0


@dataclass
class Namespace:
    """A network namespace, with the values of its sysctls."""

    mix: int = 0
    own_tables: int = 0
    sysctl: dict[str, int] = field(default_factory=dict)


@dataclass
class Words:
    """A case in words: the top, what is said of the host, and the entries in the order of the file."""

    top: dict[str, Any]
    hashes: dict[str, int]
    devices: dict[str, Device]
    namespaces: dict[str, Namespace]
    entries: list[Entry]


def read(document: Mapping[str, Any], lines: TomlLines, faults: Faults) -> Words:
    """What a document says; its faults go to `faults`."""
    known = {*TOP, *case_head.KEYS, *ALL} - {""}
    for key in document:
        if key not in known:
            faults.add(
                f"{shown(key)}: no such key here; known: {', '.join(sorted(known))}{near(key, known, MEANT[''])}",
                ("", 0, key),
            )
    devices = _devices(subtable(document, "devices", faults), faults)
    hashes = _table(HASH, subtable(document, "hash", faults), "hash", ("hash", 0, ""), faults, {}, {})
    sysctl = _sysctl(subtable(document, "sysctl", faults), "sysctl", ("sysctl", 0, ""), faults)
    namespaces = {HOST: Namespace(hashes.get("mix", 0), hashes.get("own_tables", 0), sysctl)}
    for number, table in enumerate(array(document, "namespace", faults)):
        with faults.noted("namespace", number, "name"):
            name = name_of(table, "", (HOST, *namespaces))
            place = ("namespace", number, "")
            values = _table(NAMESPACE, table, f"namespace {name}", place, faults, {}, {})
            nested = _sysctl(values.get("sysctl", {}), f"namespace {name}: sysctl", place, faults)
            namespaces[name] = Namespace(values.get("mix", 0), values.get("own_tables", 0), nested)
    if len(namespaces) > constants.MAX_NETNS:
        faults.add(
            f"{len(namespaces)} namespaces with {HOST}, there is room for {constants.MAX_NETNS}",
            ("namespace", constants.MAX_NETNS - 1, ""),
        )
    own = {key: value for key, value in document.items() if key in TOP and key not in _HEAD}
    top = _table(
        {key: what for key, what in TOP.items() if key not in _HEAD}, own, "", ("", 0, ""), faults, devices, namespaces
    )
    return Words(top, hashes, devices, namespaces, _entries(document, lines, faults, devices, namespaces))


def _entries(
    document: Mapping[str, Any],
    lines: TomlLines,
    faults: Faults,
    devices: Mapping[str, Device],
    namespaces: Mapping[str, Namespace],
) -> list[Entry]:
    tables = [
        (lines.order(kind, number), kind, number, table)
        for kind in ENTRIES
        for number, table in enumerate(array(document, kind, faults))
    ]
    entries: list[Entry] = []
    names: list[str] = []
    for _, kind, number, table in sorted(tables, key=lambda found: found[0]):
        name = ""
        if kind in SOCKETS:
            name = f"{kind}{len(names)}"
            with faults.noted(kind, number, "name"):
                name = name_of(table, name, names)
            names.append(name)
        place = (kind, number, "")
        told = f"{kind} {name}" if name else f"[[{kind}]]"
        values = _table(ENTRIES[kind], table, told, place, faults, devices, namespaces)
        entries.append(Entry(kind, name, place, values, frozenset(table) - values.keys()))
    return entries


def _table(
    keys: Mapping[str, Key],
    table: Mapping[str, Any],
    told: str,
    place: Place,
    faults: Faults,
    devices: Mapping[str, Device],
    namespaces: Mapping[str, Namespace],
) -> dict[str, Any]:
    """The values of a table that has these keys; `told` is what it is called in errors."""
    values: dict[str, Any] = {}
    for name, value in table.items():
        where = f"{told}: {shown(name)}" if told else shown(name)
        with faults.noted(*place[:2], name):
            if name not in keys:
                hint = near(name, keys, MEANT.get(place[0], {}))
                raise BadError(f"{where}: no such key here; known: {', '.join(sorted(keys))}{hint}")
            values[name] = _value(keys[name], value, where, devices, namespaces)
    for name, key in keys.items():
        if key.needed and name not in table:
            where = f"{told}: {name}" if told else name
            faults.add(f"{where} is missing: {key.meaning}, as {name} = {key.what.value}", place)
    return values


def _value(key: Key, value: Any, where: str, devices: Mapping[str, Device], namespaces: Mapping[str, Namespace]) -> Any:
    match key.what:
        case What.FLAG:
            if not isinstance(value, bool):
                raise BadError(f"{where}: true or false is needed, not {_quoted(value)}")
            return int(value)
        case What.NUMBER | What.HEX:
            return _number(key, value, where)
        case What.WORD:
            words = key.words
            if not isinstance(value, str) or value not in words:
                raise BadError(f"{where}: {shown(value)} is none of {', '.join(words)}{near(value, words, _INSTEAD)}")
            return words[value]
        case What.ENDS:
            return read_ends(value, where)
        case What.END:
            return read_end(value, where)
        case What.ADDRESS:
            if not isinstance(value, str):
                raise BadError(f"{where}: an address is needed, not {shown(value)}")
            return read_address(value.strip("[]"), where, ":" in value)
        case What.DEVICE:
            return _device(value, where, devices)
        case What.NAMESPACE:
            if not isinstance(value, str) or value not in namespaces:
                raise BadError(f"{where}: no namespace {shown(value)}; there is {', '.join(namespaces)}")
            return list(namespaces).index(value)
        case What.TABLE:
            if not isinstance(value, dict):
                raise BadError(f"{where}: a table is needed, not {shown(value)}")
            return value
    if not isinstance(value, str):  # TEXT, SOCKET
        raise BadError(f"{where}: a text is needed, not {shown(value)}")
    return value


def _quoted(value: Any) -> str:
    """A value that should be no text, as an error shows it: with its quotes, if it is one."""
    return f'"{value}": write it without quotes' if value in ("true", "false") or _is_number(value) else shown(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"-?(\d{1,20}|0x[0-9a-fA-F]{1,16})", value) is not None


def _number(key: Key, value: Any, where: str) -> int:
    least, most = key.range
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadError(f"{where}: a number is needed, not {_quoted(value)}")
    if not least <= value <= most:
        raise BadError(f"{where}: {value}: it can be {least} to {most}")
    return value


def _device(value: Any, where: str, devices: Mapping[str, Device]) -> Device:
    if value == "none":
        return Device(0)
    if isinstance(value, int) and not isinstance(value, bool):
        raise BadError(f"{where}: {value}: a device has a name here; give {value} one, as in [devices]: eth0 = {value}")
    if not isinstance(value, str):
        raise BadError(f"{where}: a device's name is needed, not {shown(value)}")
    if value not in devices:
        hint = near(value, devices) or f"; under [devices] say its index: {value} = 2"
        raise BadError(f"{where}: no device {shown(value)}; there is {', '.join(devices)}{hint}")
    return devices[value]


def _devices(table: Mapping[str, Any], faults: Faults) -> dict[str, Device]:
    found = {"lo": Device(1)}
    values: dict[str, dict[str, Any]] = {}
    for name, value in table.items():
        with faults.noted("devices", 0, name):
            if name == "none" or (name in TOP and isinstance(value, str)):
                said = "no name of a device" if name == "none" else "this stands above the first table of the file"
                raise BadError(f"devices: {name}: {said}")
            whole = value if isinstance(value, dict) else {"index": value}
            values[name] = _table(DEVICES, whole, f"device {name}", ("devices", 0, name), faults, {}, {})
            index = values[name].get("index", 0)
            same = [other for other, device in found.items() if index and device.index == index and other != name]
            if same:
                raise BadError(f"device {name}: index {index} is that of {same[0]}")
            found[name] = Device(index, index if values[name].get("vrf") else 0)
    masters = {}
    for name, whole in values.items():
        if "master" in whole:
            with faults.noted("devices", 0, name):
                master = whole["master"]
                if master not in values or master == name:
                    raise BadError(
                        f"device {name}: no master {shown(master)}; under [devices] say its index: {master} = 5"
                    )
                masters[name] = master
    for name, master in masters.items():
        found[name] = Device(found[name].index, found[master].index)
        found[master] = Device(found[master].index, found[master].index)
    return found


def _flat(table: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """net.ipv4.x = 1 without quotes is a table in a table."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _sysctl(table: Mapping[str, Any], told: str, place: Place, faults: Faults) -> dict[str, int]:
    values = {}
    for name, value in _flat(table):
        first = name.partition(".")[0]
        with faults.noted(*place[:2], name if name in table else first):
            if name not in SYSCTL:
                full = {known.rpartition(".")[2]: known for known in SYSCTL}
                hint = near(name, SYSCTL, full)
                raise BadError(
                    f"{told}: {shown(name)}: no sysctl that the lookup reads; those are {', '.join(SYSCTL)}{hint}"
                )
            if value not in (0, 1):
                raise BadError(f"{told}: {name}: 0 or 1 is needed, not {shown(value)}")
            values[name] = int(value)
    return values


# Not of both formats.
OWN_KEYS = frozenset({*SINGLE, "namespace", *ENTRIES, "proto", "in", "sender_device", "attached"} - {"event"})
ARRAYS = ("namespace", *ENTRIES)
