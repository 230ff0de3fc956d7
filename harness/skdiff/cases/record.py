"""Scenario and Outcome as the bytes of `csrc/record.h`, the only declaration of their layout."""

from struct import Struct
from typing import Any

from cffi import FFI

from skdiff.base.errors import CannotRun
from skdiff.base.paths import CSRC
from skdiff.cases.addresses import ADDRESS_BYTES, MOST, joined
from skdiff.cases.outcome import ABSENT, BROKEN, MAX_SHOWN, MAX_WARNS, RETURNED, SHOWN_NAMES, Outcome
from skdiff.cases.scenario import Event, Group, Netns, Packet, Program, Scenario, Sock
from skdiff.cases.steps import FUNCTIONS, Step

RECORD_H = CSRC / "record.h"
_CODES = {
    "uint8_t": "B",
    "int8_t": "b",
    "uint16_t": "H",
    "int32_t": "i",
    "uint32_t": "I",
    "int64_t": "q",
    "uint64_t": "Q",
}


def cdef() -> str:
    """record.h as cffi reads it."""
    return RECORD_H.read_text()


ffi = FFI()
ffi.cdef(cdef())
constants: Any = ffi.dlopen(None)
SCENARIO_SIZE: int = ffi.sizeof("struct scenario_record")
OUTCOME_SIZE: int = ffi.sizeof("struct outcome_record")


def aligned(offset: int) -> int:
    """The first place from an offset on at which C may have any of its objects: a multiple of 8 bytes."""
    return (offset + 7) // 8 * 8


def is_address(kind: Any) -> bool:
    """Whether a type of record.h is that of an address: so many bytes as only they have, and no gap before them."""
    return bool(kind.kind == "array" and kind.item.cname == "uint8_t" and kind.length == ADDRESS_BYTES)


def layout(struct: str) -> tuple[Struct, tuple[str, ...]]:
    """The leading plain fields of a struct of record.h: how to pack them, and their names."""
    text, names = "=", []
    for name, member in ffi.typeof(f"struct {struct}").fields:
        kind, times = member.type, ""
        if is_address(kind):
            text += f"{ADDRESS_BYTES}s"
            names.append(name)
            continue
        if kind.kind == "array":
            kind, times = kind.item, str(kind.length)
        if kind.kind != "primitive":
            break
        gap = member.offset - Struct(text).size
        text += "x" * gap + times + _CODES[kind.cname]
        names.append(name)
    return Struct(text), tuple(names)


def ranges(struct: str) -> dict[str, tuple[int, int]]:
    """The least and the greatest value that each leading plain field of a struct of record.h can hold."""
    found = {}
    for name, member in ffi.typeof(f"struct {struct}").fields:
        if is_address(member.type):
            found[name] = 0, MOST
        if member.type.kind != "primitive":
            continue
        bits = 8 * ffi.sizeof(member.type)
        signed = not member.type.cname.startswith("u")
        found[name] = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return found


def _offset(struct: str, *path: str | int) -> int:
    return int(ffi.offsetof(f"struct {struct}", *path))


_HEAD, _ = layout("scenario_record")
_PACKET, _ = layout("packet_record")
_SOCK, _ = layout("sock_record")
_NETNS, _ = layout("netns_record")
_PROGRAM, _ = layout("program_record")
_GROUP, _ = layout("group_record")
_EVENT, _ = layout("event_record")
_PACKET_AT = _offset("scenario_record", "packet")
_NETNS_AT = [_offset("scenario_record", "netns", i) for i in range(constants.MAX_NETNS)]
_PROGS_AT = [_offset("netns_record", "progs", i) for i in range(constants.MAX_PROGS)]
_GROUPS_AT = [_offset("scenario_record", "groups", i) for i in range(constants.MAX_GROUPS)]
_SOCKS_AT = [_offset("scenario_record", "socks", i) for i in range(constants.MAX_SOCKS)]
_EVENTS_AT = [_offset("scenario_record", "events", i) for i in range(constants.MAX_EVENTS)]
_PADDING = [(-1,) * (constants.MAX_SLOTS - n) for n in range(constants.MAX_SLOTS + 1)]


# Lists come last in their records: behind the plain fields, and in C behind the counter of the list.
_PACKET_PLACE = Scenario._fields.index("packet")
_PROGS_PLACE, _SLOTS_PLACE = Netns._fields.index("progs"), Group._fields.index("slots")


def encode(scenario: Scenario, buffer: Any) -> None:
    """Write a scenario into a buffer of at least SCENARIO_SIZE bytes. Raises struct.error for a value out of range and
    IndexError for more of something than the record has room for (see `validity.problems`).
    """
    encode_frame(scenario, buffer)
    netns, groups, socks = scenario.netns, scenario.groups, scenario.socks
    if len(groups) > len(_GROUPS_AT) or len(socks) > len(_SOCKS_AT) or len(scenario.events) > len(_EVENTS_AT):
        counts = f"{len(groups)} groups, {len(socks)} sockets and {len(scenario.events)} events"
        raise IndexError(f"{counts} are more than the record has room for")
    for i, net in enumerate(netns):
        at = _NETNS_AT[i]
        progs = net.progs
        _NETNS.pack_into(buffer, at, *net[:_PROGS_PLACE], len(progs))
        for j, program in enumerate(progs):
            _PROGRAM.pack_into(buffer, at + _PROGS_AT[j], *program)
    for at, group in zip(_GROUPS_AT, groups, strict=False):
        slots = group.slots
        _GROUP.pack_into(buffer, at, *group[:_SLOTS_PLACE], len(slots), *slots, *_PADDING[len(slots)])
    for at, sock in zip(_SOCKS_AT, socks, strict=False):
        _SOCK.pack_into(buffer, at, *packed(sock))
    for i, event in enumerate(scenario.events):
        _EVENT.pack_into(buffer, _EVENTS_AT[i], *event)


def encode_frame(scenario: Scenario, buffer: Any) -> None:
    """Write only what is not in a table: enough where the buffer holds the same tables, groups and events."""
    counts = len(scenario.netns), len(scenario.groups), len(scenario.socks), len(scenario.events)
    _HEAD.pack_into(buffer, 0, *scenario[:_PACKET_PLACE], *counts)
    _PACKET.pack_into(buffer, _PACKET_AT, *packed(scenario.packet))


def packed(fields: tuple[int, ...]) -> tuple[Any, ...]:
    """The fields of a packet or a socket, its two addresses as bytes."""
    one, other, *rest = fields
    return (one.to_bytes(ADDRESS_BYTES, "big"), other.to_bytes(ADDRESS_BYTES, "big"), *rest)


def unpacked(fields: tuple[Any, ...]) -> tuple[int, ...]:
    """The fields that `packed` made."""
    one, other, *rest = fields
    return (int.from_bytes(one, "big"), int.from_bytes(other, "big"), *rest)


def decode(buffer: Any) -> Scenario:
    """The scenario that `encode` wrote."""
    *head, n_netns, n_groups, n_socks, n_events = _HEAD.unpack_from(buffer)
    netns = []
    for at in _NETNS_AT[:n_netns]:
        *fields, n_progs = _NETNS.unpack_from(buffer, at)
        progs = tuple(Program._make(_PROGRAM.unpack_from(buffer, at + p)) for p in _PROGS_AT[:n_progs])
        netns.append(Netns._make((*fields, progs)))
    groups = []
    for at in _GROUPS_AT[:n_groups]:
        values = _GROUP.unpack_from(buffer, at)
        n_slots, slots = values[_SLOTS_PLACE], values[_SLOTS_PLACE + 1 :]
        groups.append(Group._make((*values[:_SLOTS_PLACE], slots[:n_slots])))
    socks = tuple(Sock._make(unpacked(_SOCK.unpack_from(buffer, at))) for at in _SOCKS_AT[:n_socks])
    packet = Packet._make(unpacked(_PACKET.unpack_from(buffer, _PACKET_AT)))
    events = tuple(Event._make(_EVENT.unpack_from(buffer, at)) for at in _EVENTS_AT[:n_events])
    return Scenario._make((*head, packet, tuple(netns), tuple(groups), socks, events))


_OUTCOME, _OUTCOME_FIELDS = layout("outcome_record")
_SIGNAL, _FREED = map(_OUTCOME_FIELDS.index, ("signal", "freed"))
_REFCNT, _LISTENER = _SIGNAL + 4, _SIGNAL + 4 + constants.MAX_SOCKS
_WRITTEN = _LISTENER + constants.MAX_SOCKS
_SHOWN_AT = [_offset("outcome_record", "shown", i) for i in range(MAX_SHOWN)]
_SHOWN_ARGS = _offset("shown_record", "args")
# An address is two numbers there.
_SHOWN_ADDRESSES = {
    kind: [i for i, n in enumerate(names) if n in ("saddr", "daddr")] for kind, names in SHOWN_NAMES.items()
}
_SHOWN = {kind: Struct(f"={len(names) + len(_SHOWN_ADDRESSES[kind])}q") for kind, names in SHOWN_NAMES.items()}
_WARNS_AT = [_offset("outcome_record", "warns", i) for i in range(MAX_WARNS)]
_WARN = Struct("=96s")
_MEMBER, _MEMBER_AT = Struct("=32s"), _offset("outcome_record", "written_member")
_KIND = Struct("=I")


def outcome(buffer: Any, n_socks: int) -> Outcome:
    """The outcome that the reference wrote for a scenario of `n_socks` sockets. Raises CannotRun where it was not the
    kernel's text that crashed: that says nothing of the kernel.
    """
    values = _OUTCOME.unpack_from(buffer)
    if values[0] == BROKEN:
        raise CannotRun(f"csrc/driver crashed (signal {values[_SIGNAL]}) outside the kernel's text: a fault of skdiff")
    if values[0] == ABSENT:
        raise CannotRun("this kernel has no such lookup in this configuration")
    if values[0] != RETURNED:
        return Outcome(ended=values[0], signal=values[_SIGNAL])
    n_warns, n_shown, freed_wrong = values[_SIGNAL + 1 : _SIGNAL + 4]
    if freed_wrong:
        values = (*values[:_FREED], values[_FREED] | freed_wrong << constants.MAX_SOCKS, *values[_FREED + 1 :])
    return Outcome._make(
        (
            *values[:_SIGNAL],
            values[_REFCNT : _REFCNT + n_socks],
            values[_LISTENER : _LISTENER + n_socks],
            _written(buffer, values[_WRITTEN:]) if values[_WRITTEN] else (),
            _warns(buffer, n_warns) if n_warns else (),
            _shown(buffer, n_shown) if n_shown else (),
            (),
            0,
        )
    )


def _written(buffer: Any, place: tuple[int, ...]) -> tuple[int | str, ...]:
    (name,) = _MEMBER.unpack_from(buffer, _MEMBER_AT)
    return (*place, name.partition(b"\0")[0].decode())


def _warns(buffer: Any, count: int) -> tuple[str, ...]:
    found = []
    for at in _WARNS_AT[:count]:
        (text,) = _WARN.unpack_from(buffer, at)
        found.append(text.partition(b"\0")[0].decode())
    return tuple(found)


def _shown(buffer: Any, count: int) -> tuple[tuple[int, ...], ...]:
    found: list[tuple[int, ...]] = []
    for at in _SHOWN_AT[:count]:
        (kind,) = _KIND.unpack_from(buffer, at)
        values = list(_SHOWN[kind].unpack_from(buffer, at + _SHOWN_ARGS))
        for place in _SHOWN_ADDRESSES[kind]:
            values[place : place + 2] = [joined(*values[place : place + 2])]
        found.append((kind, *values))
    return tuple(found)


TRACE_SIZE: int = ffi.sizeof("struct trace_record")
_STEP = Struct("=I4x3q")
_STEPS_AT = _offset("trace_record", "steps")


def steps(buffer: Any, at: int = 0) -> list[Step]:
    """The steps in a trace record that starts at a place of a buffer."""
    (count,) = _KIND.unpack_from(buffer, at)
    found = []
    for i in range(min(count, constants.MAX_STEPS)):
        step, *values = _STEP.unpack_from(buffer, at + _STEPS_AT + i * _STEP.size)
        function, names = FUNCTIONS[step]
        found.append(Step(function, tuple(values[: len(names)])))
    return found


def names(struct: str) -> tuple[str, ...]:
    """The fields of a struct of record.h in their order, without counters (n_...)."""
    return tuple(name for name, _ in ffi.typeof(f"struct {struct}").fields if not name.startswith("n_"))
