"""The walks of UDP's lookup over chains that change meanwhile (net/ipv4/udp.c, net/ipv6/udp.c)."""

from collections.abc import Iterator
from itertools import islice

from skdiff.cases.addresses import ANY, ipv4_view
from skdiff.cases.scenario import AF_INET6
from skdiff.oracles.model.moving import walk
from skdiff.oracles.model.state import State
from skdiff.oracles.model.udp_chains import Chain, Slot
from skdiff.oracles.model.udp_events import UdpSchedule


def met(schedule: UdpSchedule, chain: Chain, slot: Slot) -> Iterator[int]:
    """Each socket that is met in a chain, up to its end, whose ever that is by then."""
    links = walk(schedule, chain, slot)
    while (index := next(links)) >= 0:
        yield index


def bound(state: State, schedule: UdpSchedule, daddr: int) -> Iterator[int]:
    """udp4_lib_lookup2(), udp6_lib_lookup2(): who is met in hash2 and has this address and the packet's port."""
    address = state.packet.daddr if daddr != ANY else ANY
    slot = schedule.tables.packet_address_slot(address, bool(state.foreign))
    for index in met(schedule, schedule.tables.hash2, slot):
        if is_on(state, schedule, index, daddr):
            yield index


def by_port(state: State, schedule: UdpSchedule) -> Iterator[int]:
    """udp4_lib_lookup1(), udp6_lib_lookup1(): who is met in hash and has the packet's address and port."""
    slot = schedule.tables.packet_port_slot(bool(state.foreign))
    for index in met(schedule, schedule.tables.hash, slot):
        if is_on(state, schedule, index, state.daddr):
            yield index


def is_on(state: State, schedule: UdpSchedule, index: int, daddr: int) -> bool:
    """What compute_score() asks first: namespace, the port by which the tables know a socket, and its address."""
    sock = state.socks[index]
    fits = sock.family == AF_INET6 and sock.rcv_saddr == daddr if state.ipv6 else ipv4_view(sock.rcv_saddr) == daddr
    return fits and is_at_port(state, schedule, index)


def is_at_port(state: State, schedule: UdpSchedule, index: int) -> bool:
    """Whether a socket is of the packet's namespace and port, as the tables know it."""
    sock, packet = state.socks[index], state.packet
    return bool(
        schedule.tables.ports[index] == packet.dport and (not state.config.net_ns or sock.netns == packet.netns)
    )


def first(state: State, schedule: UdpSchedule) -> list[int]:
    """__udp4_lib_demux_lookup(), __udp6_lib_demux_lookup(): who is met first in hash2."""
    slot = schedule.tables.packet_address_slot(state.packet.daddr, foreign=False)
    return [*islice(met(schedule, schedule.tables.hash2, slot), 1)]


def crowd(schedule: UdpSchedule) -> int:
    """How many are in the slot of hash that the packet's port is in."""
    return schedule.tables.crowd(schedule.tables.packet_port_slot(foreign=False))


def on_port(state: State, schedule: UdpSchedule) -> Iterator[int]:
    """__udp4_lib_mcast_demux_lookup(): who is met in hash and has the packet's port."""
    slot = schedule.tables.packet_port_slot(foreign=False)
    for index in met(schedule, schedule.tables.hash, slot):
        if is_at_port(state, schedule, index):
            yield index
