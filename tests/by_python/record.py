"""Scenarios as records, in Python."""

from typing import Any

from skdiff.cases.addresses import ADDRESS_BYTES
from skdiff.cases.record import constants, ffi, layout
from skdiff.cases.scenario import Event, Group, Netns, Packet, Program, Scenario, Sock


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
