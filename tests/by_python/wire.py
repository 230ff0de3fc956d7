"""Bytes as drawn fields, in Python."""

from operator import getitem
from typing import Any

from skdiff.cases.addresses import as_ipv4, other_family
from skdiff.cases.fields import FIELDS
from skdiff.cases.normalise_events import with_events
from skdiff.cases.pools import OTHER, OTHER_PROTOCOL, OTHER_TABLE, Raw, table
from skdiff.cases.scenario import IPV6_LOOKUPS, UDP_LOOKUPS, Packet, Scenario, Sock
from skdiff.cases.wire import (
    COUNTS_MEANT,
    FIXED_SIZE,
    GROUP,
    GROUPS_AT,
    HEAD,
    HEAD_AT,
    MEANT,
    NETNS,
    NETNS_AT,
    PACKET,
    PACKET_AT,
    PROGRAM,
    SIZE,
    SOCK_SIZE,
)
from skdiff.cases.wire_events import drawn_events
from tests.by_python.normalise import normalise
from tests.by_python.normalise_packet import come_in

_N_NETNS, _N_PROGRAM, _N_GROUP = len(NETNS), len(PROGRAM), len(GROUP)


def draw(data: bytes) -> Raw:
    """The fields that the bytes mean, of any length; what is beyond SIZE means events."""
    data = data.ljust(SIZE, b"\0")
    n_netns, n_groups, n_socks = map(getitem, COUNTS_MEANT, data)
    end = FIXED_SIZE + n_socks * SOCK_SIZE
    values = list(map(getitem, MEANT, data[:end]))
    netns = []
    for at in NETNS_AT[:n_netns]:
        progs_at = at + _N_NETNS
        *fields, n_progs = values[at:progs_at]
        starts = range(progs_at, progs_at + n_progs * _N_PROGRAM, _N_PROGRAM)
        netns.append((fields, [values[i : i + _N_PROGRAM] for i in starts]))
    groups = []
    for at in GROUPS_AT[:n_groups]:
        slots_at = at + _N_GROUP
        *fields, n_slots = values[at:slots_at]
        groups.append((fields, values[slots_at : slots_at + n_slots]))
    raw = Raw(
        values[HEAD_AT:PACKET_AT],
        values[PACKET_AT : NETNS_AT[0]],
        netns,
        groups,
        [values[at : at + SOCK_SIZE] for at in range(FIXED_SIZE, end, SOCK_SIZE)],
    )
    return of_lookup(raw)


def decode(data: bytes) -> Scenario:
    """The Scenario that the bytes mean. Total: every string of bytes means a valid one."""
    scenario = normalise(draw(data))
    return with_events(scenario, drawn_events(data[SIZE:])) if len(data) > SIZE else scenario


_FRAME_HEAD, _FRAME_PACKET = (
    tuple(name for name, field in FIELDS[record].items() if field.frame) for record in (Scenario, Packet)
)
_FRAME = tuple(table(HEAD[name]) for name in _FRAME_HEAD) + tuple(table(PACKET[name]) for name in _FRAME_PACKET)
FRAME_SIZE = len(_FRAME)
_HEAD_PLACES = [Scenario._fields.index(name) for name in _FRAME_HEAD]
_PACKET_PLACES = [Packet._fields.index(name) for name in _FRAME_PACKET]
_PACKET_PLACE = Scenario._fields.index("packet")


def other_packet(scenario: Scenario, data: bytes) -> Scenario:
    """Another packet (addresses, ports, devices), CPU and secret for the same tables; `data` has FRAME_SIZE bytes."""
    values = map(getitem, _FRAME, data)
    head: list[Any] = list(scenario)
    for place, value in zip(_HEAD_PLACES, values, strict=False):
        head[place] = value
    packet = list(scenario.packet)
    for place, value in zip(_PACKET_PLACES, values, strict=True):
        packet[place] = value
    packet[:2] = map(other_family if scenario.lookup in IPV6_LOOKUPS else as_ipv4, packet[:2])
    if not scenario.hostile:
        come_in(packet, scenario.lookup, scenario.caller)
    head[_PACKET_PLACE] = Packet._make(packet)
    found = Scenario._make(head)
    return with_events(found._replace(events=()), scenario.events) if scenario.events else found


_LOOKUP, _FAMILY = Scenario._fields.index("lookup"), Sock._fields.index("family")
_PROTOCOL, _HASHED = Sock._fields.index("protocol"), Sock._fields.index("hashed")


def of_lookup(raw: Raw) -> Raw:
    """Drawn fields, which are changed, with addresses, families, protocols and tables of the pools as the lookup has
    them: what is AF_INET for IPv4 is AF_INET6 for IPv6, what is TCP's for TCP is UDP's for UDP, and the other way. Its
    own inverse.
    """
    if raw.head[_LOOKUP] in UDP_LOOKUPS:
        for sock in raw.socks:
            sock[_PROTOCOL] = OTHER_PROTOCOL.get(sock[_PROTOCOL], sock[_PROTOCOL])
            sock[_HASHED] = OTHER_TABLE.get(sock[_HASHED], sock[_HASHED])
    if raw.head[_LOOKUP] in IPV6_LOOKUPS:
        for fields in (raw.packet, *raw.socks):
            fields[:2] = map(other_family, fields[:2])
        for sock in raw.socks:
            sock[_FAMILY] = OTHER.get(sock[_FAMILY], sock[_FAMILY])
    return raw
