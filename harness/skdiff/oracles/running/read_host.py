"""What a lookup would meet on this host: read from it, without changing anything."""

import os
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from skdiff.base.errors import CannotRun
from skdiff.cases.addresses import mapped, text
from skdiff.cases.derived import LOOPBACK_IFINDEX as LO
from skdiff.cases.derived import plain_packet
from skdiff.cases.scenario import (
    IPPROTO_TCP,
    IPPROTO_UDP,
    IPV6_LOOKUPS,
    TCP_CLOSE,
    TCP_ESTABLISHED,
    TCP_LISTEN,
    TCP_NEW_SYN_RECV,
    UDP_LOOKUPS,
    Packet,
)
from skdiff.oracles.running import bpf, host_net, socket_dump
from skdiff.oracles.running.arriving import allowed_for, why_dropped
from skdiff.oracles.running.asking import Asking, Found, Group
from skdiff.oracles.running.host_net import Device, Net, Route
from skdiff.oracles.running.owners import Options, Owner, options, owners
from skdiff.oracles.running.socket_dump import Seen

# Clients that the kernel is asked for where all are meant, and where each question runs a program of somebody else.
CLIENTS, CLIENTS_OF_PROGRAMS = 4096, 64
_FIRST_PORT = 1024
_TRIES = 3  # to read what does not change meanwhile
# Addresses for documentation (RFC 5737, RFC 3849), for a client of which nothing is said.
_CLIENT4, _CLIENT6 = mapped(0xC6336401), 0x20010DB8 << 96 | 1


@dataclass(frozen=True)
class Question:
    """Who gets a packet to an end: of a `lookup`, from an end (None: any client), by a device (None: whichever it is),
    on a CPU (None: any), in the network namespace of that file (None: the caller's).
    """

    lookup: int
    daddr: int
    dport: int
    client: tuple[int, int] | None = None
    device: str | None = None
    cpu: int | None = None
    netns: Path | None = None

    @property
    def protocol(self) -> int:
        """IPPROTO_TCP or IPPROTO_UDP."""
        return IPPROTO_UDP if self.lookup in UDP_LOOKUPS else IPPROTO_TCP

    @property
    def ipv6(self) -> bool:
        """Whether it is one of IPv6."""
        return self.lookup in IPV6_LOOKUPS


@dataclass(frozen=True)
class Answers:
    """What the running kernel answered: for each client the packet and whom it found (None: nobody), `groups` of those
    by their cookies (None: of no group), the listener of a request that was found, and why cookies and groups were not
    seen ("": they were).
    """

    given: tuple[tuple[Packet, Found | None], ...]
    groups: dict[int, Group | None]
    listener: Found | None
    blind: str


@dataclass(frozen=True)
class Situation:
    """What there is: `packet` is the question's, or that of one client; `device` that it comes in by; `cpu` that the
    kernel is asked on. `sockets` are those of the port, or of the connection, in the order of the dumps; `more` are
    others that a program chose. `options` are by cookie, of those that could be asked. `unasked` says why the kernel
    was not asked, "" if it was; `hidden` counts processes whose files are not shown; `moved` tells that sockets came or
    went meanwhile.
    """

    question: Question
    net: Net
    route: Route
    device: Device
    packet: Packet
    cpu: int
    sockets: tuple[Seen, ...]
    more: tuple[Seen, ...] = ()
    options: dict[int, Options] = field(default_factory=dict)
    owners: dict[int, list[Owner]] = field(default_factory=dict)
    programs: tuple[tuple[int, str], ...] | None = ()  # sk_lookup programs: number and name; None: not told
    answers: Answers | None = None
    unasked: str = ""
    hidden: int = 0
    moved: bool = False


def read(question: Question) -> Situation:
    """What there is for a question. Raises CannotRun."""
    cpu = question.cpu if question.cpu is not None else min(os.sched_getaffinity(0))
    if not Path(f"/sys/devices/system/cpu/cpu{cpu}").exists():
        raise CannotRun(f"--cpu {cpu}: this machine has no such CPU")
    return host_net.within(question.netns, cpu, lambda: _read(question, cpu))


def _read(question: Question, cpu: int) -> Situation:
    net = host_net.read_net()
    device = _device(question, net)
    route = host_net.route(question.daddr, question.ipv6, device.number if device.is_vrf else device.vrf)
    if route.many:
        raise CannotRun(f"{text(question.daddr)} is an address of many: no lookup decides who gets a packet to it")
    packet = _packet(question, device, route)
    own = question.client is not None and host_net.route(packet.saddr, question.ipv6, 0).local
    if why := why_dropped(question.lookup, (packet.saddr, packet.daddr), device, own, allowed_for(device)):
        raise CannotRun(f"no such packet arrives: {why}")
    situation = Situation(question, net, route, device, packet, cpu, ())
    for tried in range(_TRIES):
        sockets = _sockets(question, packet)
        found = _asked(replace(situation, sockets=sockets, programs=_programs()))
        if _sockets(question, packet) == sockets or tried == _TRIES - 1:
            break
    return _with_owners(replace(found, moved=_sockets(question, packet) != sockets))


def _device(question: Question, net: Net) -> Device:
    """The device that the packet comes in by: the one that is said; or lo from this host, or else that by which an
    answer would leave, or the one that has the address.
    """
    by_number = {device.number: device for device in net.devices}
    if question.device is not None:
        for device in net.devices:
            if device.name == question.device:
                return device
        raise CannotRun(
            f"--dev {question.device!r}: no such device there, only {', '.join(d.name for d in net.devices)}"
        )
    if question.client is not None:
        back = host_net.route(question.client[0], question.ipv6, 0)
        index = LO if back.local else back.device or host_net.device_with(question.daddr, question.ipv6)
    else:
        index = host_net.device_with(question.daddr, question.ipv6)
    return by_number.get(index) or by_number.get(LO) or Device(LO, "lo")


def _packet(question: Question, device: Device, route: Route) -> Packet:
    """The packet. One of this host's own comes in by lo, or by its VRF, and counts as one of the device that has the
    address: net/ipv4/route.c ip_route_output_key_hash_rcu() (orig_oif), net/ipv6/ip6_input.c ip6_rcv_core().
    """
    saddr, sport = question.client or (_client(question, device), _FIRST_PORT)
    if question.client is None:
        while _connected(question, saddr, sport) and sport < _FIRST_PORT + CLIENTS:  # whose answer is its own
            sport += 1
    return plain_packet(question.lookup, question.daddr)._replace(
        saddr=saddr,
        sport=sport,
        daddr=question.daddr,
        dport=question.dport,
        **devices_of(device, route, question.ipv6),
    )


def devices_of(device: Device, route: Route, ipv6: bool) -> dict[str, int]:
    """Those of a packet that comes in by `device`: rt_iif, skb_iif and sdif. That which the route of a packet of this
    host's own names is rt_iif; but of IPv6 it is sdif, within a VRF (net/ipv6/ip6_input.c ip6_rcv_core(),
    include/linux/ipv6.h inet6_iif(), inet6_sdif()).
    """
    own = route.device if (device.number == LO or device.is_vrf) and route.local else 0
    rt_iif, sdif = own if own != device.number else 0, device.number if device.vrf or device.is_vrf else 0
    if ipv6 and device.is_vrf and rt_iif:
        rt_iif, sdif = 0, rt_iif
    return {"rt_iif": rt_iif, "skb_iif": device.vrf or device.number, "sdif": sdif}


def _client(question: Question, device: Device) -> int:
    """The address of a client: of lo this host itself."""
    if device.number == LO:
        return question.daddr
    client = _CLIENT6 if question.ipv6 else _CLIENT4
    return client + (client == question.daddr)


def _connected(question: Question, saddr: int, sport: int) -> bool:
    if question.protocol == IPPROTO_TCP:
        return any(seen.peer == saddr for seen in socket_dump.connections(question.dport, sport))
    return any((seen.peer, seen.dport) == (saddr, sport) for seen in socket_dump.of_udp(question.dport))


def _sockets(question: Question, packet: Packet) -> tuple[Seen, ...]:
    """Those of the packet's port; of TCP's connections only the packet's own, as no other is met by its lookup:
    include/net/inet_hashtables.h inet_match() compares all of both ends.
    """
    if question.protocol == IPPROTO_UDP:
        return tuple(socket_dump.of_udp(question.dport))
    own = [
        seen
        for seen in socket_dump.connections(packet.dport, packet.sport)
        if (seen.peer, seen.address) == (packet.saddr, packet.daddr) and seen.dport
    ]
    return (*socket_dump.listeners(question.dport), *own)


def _programs() -> tuple[tuple[int, str], ...] | None:
    """The sk_lookup programs of the caller's namespace."""
    fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return tuple((number, bpf.program_name(number)) for number in bpf.attached_sk_lookup_programs(fd))
    except (OSError, CannotRun):
        return None
    finally:
        os.close(fd)


def _asked(situation: Situation) -> Situation:
    """With the answers of the kernel, and the sockets that they name besides those that are there."""
    if os.sched_getaffinity(0) != {situation.cpu}:
        return replace(situation, unasked=f"this process may not run on CPU {situation.cpu}")
    try:
        answers = _answers(situation)
    except CannotRun as error:
        return replace(situation, unasked=str(error))
    known = {seen.cookie for seen in situation.sockets}
    members = {cookie for group in answers.groups.values() if group for cookie in group.members}
    named = {found.cookie for _, found in answers.given if found and found.cookie} | members
    more: list[Seen] = []
    if named - known:
        more = [s for s in socket_dump.everybody(situation.question.protocol) if s.cookie in named - known]
    return replace(situation, answers=answers, more=tuple(more))


def _answers(situation: Situation) -> Answers:
    if situation.programs != ():  # they may choose any socket, and what was never dumped has no cookie
        socket_dump.everybody(situation.question.protocol)
    with closing(Asking(situation.question.lookup)) as asking:
        return _given(situation, asking)


def _given(situation: Situation, asking: Asking) -> Answers:
    in_groups = (TCP_LISTEN,) if situation.question.protocol == IPPROTO_TCP else (TCP_CLOSE, TCP_ESTABLISHED)
    given = []
    groups: dict[int, Group | None] = {}
    for packet in _clients(situation):
        found = asking(packet)
        if found and situation.question.client is None and _is_own(found):
            continue
        given.append((packet, found))
        if found and found.cookie and found.cookie not in groups and found.state in in_groups:
            groups[found.cookie] = asking.group(found)
    first = given[0][1] if given else None
    is_request = first is not None and first.state == TCP_NEW_SYN_RECV
    listener = asking(situation.packet, full=True) if is_request else None
    return Answers(tuple(given), groups, listener, asking.blind)


def _is_own(found: Found) -> bool:
    """Whether a client has been there before, and so what it gets is its own."""
    return found.dport != 0


def _clients(situation: Situation) -> Iterable[Packet]:
    packet = situation.packet
    if situation.question.client is not None:
        return [packet]
    number = CLIENTS_OF_PROGRAMS if situation.programs else CLIENTS
    last = 1 << 16
    return (
        packet._replace(sport=(packet.sport + at - _FIRST_PORT) % (last - _FIRST_PORT) + _FIRST_PORT)
        for at in range(number)
    )


def _with_owners(situation: Situation) -> Situation:
    everybody = (*situation.sockets, *situation.more)
    found = owners([seen.inode for seen in everybody])
    told: dict[int, Options] = {}
    for seen in everybody:
        for owner in found.by_inode.get(seen.inode, ()):
            try:
                told[seen.cookie] = options(owner, seen.cookie)
            except OSError:
                continue
            break
    return replace(situation, owners=found.by_inode, options=told, hidden=found.hidden)
