"""System calls that bring the sockets of a Scenario about, in its order: those that servers and clients make."""

import ctypes
import os
import socket
from collections.abc import Callable
from typing import NamedTuple

from skdiff.base.errors import CannotRun
from skdiff.cases.addresses import is_ipv6, other_family
from skdiff.cases.derived import LOOPBACK_IFINDEX as LO
from skdiff.cases.pools import PEER
from skdiff.cases.reachable_udp import remembers
from skdiff.cases.scenario import (
    AF_INET,
    EHASH,
    FILTER,
    IPPROTO_TCP,
    IPPROTO_UDP,
    KIND_FULL,
    KIND_REQUEST,
    LHASH2,
    NONE,
    NOWHERE,
    PROG_NONE,
    REHASHED,
    TCP_ESTABLISHED,
    UDP_HASHED,
    UDP_LOOKUPS,
    Group,
    Scenario,
    Sock,
)
from skdiff.oracles.running import bpf, classic_filters, connections
from skdiff.oracles.running.connections import SO_BINDTOIFINDEX, WIRE, Receiver, address
from skdiff.oracles.running.drawing import ends
from skdiff.oracles.running.namespaces import DEVICES, PARKING, Namespaces
from skdiff.oracles.running.programs import dropping, filter_of_group, of_group
from skdiff.oracles.running.realisable import made_last

# include/uapi/asm-generic/socket.h, include/uapi/linux/in.h, in6.h: Python's socket has no names for these.
_SO_INCOMING_CPU, _SO_ATTACH_BPF, _SO_ATTACH_REUSEPORT_EBPF = 49, 50, 52
_IP_TRANSPARENT, _IPV6_TRANSPARENT = 19, 75
_BACKLOG = 64  # room for requests
_SOL, _ON = socket.SOL_SOCKET, 1
_UNSPEC = ctypes.create_string_buffer(16)  # struct sockaddr of AF_UNSPEC: connect() to it disconnects

_libc = ctypes.CDLL(None, use_errno=True)


class Maps(NamedTuple):
    """BPF maps, by their file descriptors: the `memory` that is shared with programs, `sockets` that they attach or
    assign, and `members` that they select; both by the index of a socket.
    """

    memory: int
    sockets: int
    members: int


class Made:
    """The sockets of a scenario, by their indices; the mark of each is its index and 1. Those that are in no table are
    not made, since no lookup looks for them. Without `maps` they have classic filters. Raises OSError if the kernel
    refuses one.
    """

    def __init__(self, scenario: Scenario, namespaces: Namespaces, maps: Maps | None, receiver: Receiver) -> None:
        self.sockets: dict[int, socket.socket] = {}
        self._scenario, self._namespaces, self._maps, self._receiver = scenario, namespaces, maps, receiver
        self._fillers: dict[int, list[socket.socket]] = {}  # of a group: sockets that hold the slots of its members
        self._minis: list[int] = []
        self._assigned = {program.assign for net in scenario.netns for program in net.progs} | {scenario.packet.sk}
        # Sockets of the other protocol are in tables that the lookup does not search.
        self._protocol = IPPROTO_UDP if scenario.lookup in UDP_LOOKUPS else IPPROTO_TCP
        last = made_last(scenario.socks)
        try:
            # Connections first: a listener would be in conflict with their bind(), not they with its. Mini sockets have
            # no device to park on, and requests need their listener.
            self._each(EHASH, self._connect, lambda index: index not in last)
            self._each(LHASH2, self._listen)
            self._each(NOWHERE, self._listen_for_now, self._closes)
            self._each(EHASH, self._connect, last.__contains__)
            self._each(NOWHERE, lambda index, _: self.sockets.pop(index).close(), self._closes)
            self._each(UDP_HASHED, self._bind)
            for number, group in enumerate(scenario.groups):
                self._order(number, group)
                self._leave_conns(group)
            # When all have their places: what may be set later, and would have changed the places of others.
            self._each(LHASH2, self._set_later)
            self._each(UDP_HASHED, self._set_later)
            self._each(EHASH, self._leave_parking)
            self._each(LHASH2, self._leave_parking)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close all of them, and see to it that none stays. Raises CannotRun if one does all the same."""
        socks = self._scenario.socks
        for index, made in self.sockets.items():
            if socks[index].hashed == EHASH:
                connections.closed(made, socks[index])
            else:
                made.close()
        self.sockets.clear()
        for filler in (each for fillers in self._fillers.values() for each in fillers):
            filler.close()
        self._fillers.clear()
        if self._minis and not connections.remove([socks[index] for index in self._minis], self._receiver):
            raise CannotRun("a timewait socket or a request of a case stays: what comes behind it would be wrong")
        self._minis.clear()

    def _each(
        self, table: int, call: Callable[[int, Sock], None], which: Callable[[int], bool] = lambda index: True
    ) -> None:
        for index, sock in enumerate(self._scenario.socks):
            if sock.hashed == table and which(index) and sock.protocol == self._protocol:
                self._namespaces.enter(sock.netns)
                call(index, sock)

    def _new(self, index: int, sock: Sock, kind: socket.SocketKind) -> socket.socket:
        made = self.sockets[index] = _opened(sock, kind)
        made.setsockopt(_SOL, socket.SO_MARK, index + 1)
        return made

    def _drop(self, index: int) -> None:
        """From now on it drops what it gets, and tells."""
        if self._maps is None:
            classic_filters.drop_all(self.sockets[index])
            return
        self.sockets[index].setsockopt(_SOL, _SO_ATTACH_BPF, dropping(self._maps.memory, index + 1))

    def _connect(self, index: int, sock: Sock) -> None:
        if sock.kind == KIND_REQUEST:
            self._minis.append(index)
            self._request(index, sock)
            return
        made = self._new(index, sock, socket.SOCK_STREAM)
        if sock.kind == KIND_FULL:
            connections.connected(made, index, sock, PARKING + index, self._receiver)
            self._drop(index)
        else:
            self._minis.append(index)
            connections.connected(made, index, sock, PARKING + index, self._receiver)

    def _request(self, index: int, sock: Sock) -> None:
        number = sock.listener
        listener, made = self._scenario.socks[number], self.sockets[number]
        flag, parking = 0, PARKING + number
        if listener.hashed == LHASH2:
            flag, parking = listener.reuseport ^ listener.reuseport_changed, PARKING + self._parking(number, listener)
        reached = listener.rcv_saddr in (0, sock.rcv_saddr) and listener.num == sock.num
        if not reached:
            assert self._maps is not None  # or BPF attaches nothing, and requests are not made
            bpf.put(self._maps.sockets, number, made.fileno())
        try:
            attached = None if reached else number
            connections.request(made, sock, self._wire(index, sock), flag, parking, self._receiver, attached)
        finally:
            if not reached:
                assert self._maps is not None
                bpf.take_out(self._maps.sockets, number)

    def _wire(self, index: int, sock: Sock) -> int:
        """A device by which a SYN meets no mini socket of the same ends."""
        if sock.bound_dev_if:
            return sock.bound_dev_if
        before = [self._scenario.socks[i] for i in self._minis if i != index]
        taken = {other.bound_dev_if for other in before if ends(other) == ends(sock)}
        return next((device for device in (WIRE, *DEVICES, LO) if device not in taken), WIRE)

    def _closes(self, index: int) -> bool:
        """Whether a socket in no table has been the listener of a request."""
        return any(s.listener == index and s.kind == KIND_REQUEST and s.hashed == EHASH for s in self._scenario.socks)

    def _listen_for_now(self, index: int, sock: Sock) -> None:
        self._listen(index, sock._replace(group=NONE, reuseport=0, reuseport_changed=0))

    def _parking(self, index: int, sock: Sock) -> int:
        """Members of a group have one device in listen(), all others have each another one, or some would be in
        conflict. Nobody checks that again when the device changes.
        """
        return index if sock.group == NONE else min(self._scenario.groups[sock.group].slots)

    def _listen(self, index: int, sock: Sock) -> None:
        def listen(made: socket.socket) -> socket.socket:
            made.setsockopt(_SOL, SO_BINDTOIFINDEX, PARKING + self._parking(index, sock))
            made.setsockopt(_SOL, socket.SO_REUSEPORT, sock.reuseport ^ sock.reuseport_changed)
            made.bind(address(sock.family, sock.rcv_saddr, sock.num))
            made.listen(_BACKLOG)
            return made

        self._fill(sock, lambda: listen(_opened(sock._replace(incoming_cpu=NONE), socket.SOCK_STREAM)))
        listen(self._new(index, sock, socket.SOCK_STREAM))

    def _bind(self, index: int, sock: Sock) -> None:
        self._fill(sock, lambda: _bound_udp(sock._replace(incoming_cpu=NONE), sock.bound_dev_if))
        made = self._new(index, sock, socket.SOCK_DGRAM)
        rehashed = sock.hash2 == REHASHED
        left = _left_its_group(sock)
        first = sock._replace(rcv_saddr=0) if rehashed else sock
        _bind_udp(made, first, PARKING + index if left else sock.bound_dev_if)
        if left:
            made.setsockopt(_SOL, SO_BINDTOIFINDEX, sock.bound_dev_if)
        if rehashed:
            self._connect_from_wildcard(made, index, sock)
        elif sock.state == TCP_ESTABLISHED:
            made.connect(address(sock.family, sock.daddr, sock.dport))
        elif remembers(sock):
            made.connect(address(sock.family, sock.daddr, 1))
            if _libc.connect(made.fileno(), _UNSPEC, len(_UNSPEC)):
                error = ctypes.get_errno()
                raise OSError(error, os.strerror(error))
            made.setsockopt(_SOL, SO_BINDTOIFINDEX, sock.bound_dev_if)  # which disconnecting has taken away
        if left:  # or bind() of others would make it a member again: net/ipv4/udp.c udp_reuseport_add_sock()
            made.setsockopt(_SOL, socket.SO_REUSEPORT, 0)
        self._drop(index)

    def _connect_from_wildcard(self, made: socket.socket, index: int, sock: Sock) -> None:
        mark = self._namespaces.source(sock.netns, sock.rcv_saddr, sock.bound_dev_if)
        made.setsockopt(_SOL, socket.SO_MARK, mark)
        self._namespaces.enter(sock.netns)
        made.connect(address(sock.family, sock.daddr, sock.dport))
        made.setsockopt(_SOL, socket.SO_MARK, index + 1)
        if made.getsockname()[:2] != address(sock.family, sock.rcv_saddr, sock.num):
            raise OSError(0, "connect() takes another address of its own")

    def _fill(self, sock: Sock, made: Callable[[], socket.socket]) -> None:
        """Before the first member of a group whose slots are in another order than its members came: as many sockets
        that hold these slots until all have come.
        """
        number = sock.group
        if number == NONE or number in self._fillers:
            return
        slots = self._scenario.groups[number].slots
        self._fillers[number] = []
        if [*slots] != sorted(slots):
            for _ in slots:
                self._fillers[number].append(made())

    def _order(self, number: int, group: Group) -> None:
        """Who closes leaves its slot to the last member of all: net/core/sock_reuseport.c __reuseport_detach_sock()."""
        fillers = self._fillers.get(number, [])
        for member in sorted(group.slots, reverse=True) if fillers else ():
            fillers[group.slots.index(member)].close()

    def _leave_conns(self, group: Group) -> None:
        """A group without a connected member that had one: it was the last to come, and is gone."""
        members = [self._scenario.socks[i] for i in group.slots]
        if not group.has_conns or any(sock.state == TCP_ESTABLISHED for sock in members):
            return
        self._namespaces.enter(members[0].netns)
        with _bound_udp(members[0], members[0].bound_dev_if) as gone:
            gone.setsockopt(_SOL, socket.SO_MARK, _ON)  # what has no mark may have no route: Namespaces.silence()
            gone.connect(address(members[0].family, other_family(PEER) if is_ipv6(members[0].rcv_saddr) else PEER, 1))

    def _set_later(self, index: int, sock: Sock) -> None:
        made = self.sockets[index]
        if sock.hashed == LHASH2:
            self._drop(index)
        group = self._scenario.groups[sock.group] if sock.group != NONE else None
        if group is not None and group.prog != PROG_NONE and group.slots[0] == index:
            self._attach(made, sock.group, group)
        if sock.reuseport_changed or _left_its_group(sock):
            made.setsockopt(_SOL, socket.SO_REUSEPORT, sock.reuseport)

    def _attach(self, made: socket.socket, number: int, group: Group) -> None:
        """Give a group its program, by one of its members."""
        if self._maps is None:
            classic_filters.filter_group(made, group.returns)
            return
        memory = self._maps.memory
        if group.prog == FILTER:
            program = filter_of_group(memory, number, group.returns)
        else:
            # What is in one map is not taken into the other (net/core/sock_map.c sock_map_psock_get_checked()).
            members = self._maps.sockets if group.select in self._assigned else self._maps.members
            if group.select != NONE:
                bpf.put(members, group.select, self.sockets[group.select].fileno())
            program = of_group(memory, members, number, group.verdict, group.select)
        made.setsockopt(_SOL, _SO_ATTACH_REUSEPORT_EBPF, program)

    def _leave_parking(self, index: int, sock: Sock) -> None:
        if sock.kind == KIND_FULL:
            self.sockets[index].setsockopt(_SOL, SO_BINDTOIFINDEX, sock.bound_dev_if)


def _opened(sock: Sock, kind: socket.SocketKind) -> socket.socket:
    made = socket.socket(sock.family, kind)
    # Addresses need not be this host's.
    if sock.family == AF_INET:
        made.setsockopt(socket.IPPROTO_IP, _IP_TRANSPARENT, _ON)
    else:
        made.setsockopt(socket.IPPROTO_IPV6, _IPV6_TRANSPARENT, _ON)
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, sock.ipv6only)
    if sock.incoming_cpu >= 0 and sock.kind == KIND_FULL:
        made.setsockopt(_SOL, _SO_INCOMING_CPU, sock.incoming_cpu)
    return made


def _bound_udp(sock: Sock, device: int) -> socket.socket:
    made = _opened(sock, socket.SOCK_DGRAM)
    _bind_udp(made, sock, device)
    return made


def _bind_udp(made: socket.socket, sock: Sock, device: int) -> None:
    made.setsockopt(_SOL, socket.SO_BROADCAST, _ON)
    made.setsockopt(_SOL, socket.SO_REUSEADDR, _ON)  # any number may have one address
    made.setsockopt(_SOL, SO_BINDTOIFINDEX, device)
    made.setsockopt(_SOL, socket.SO_REUSEPORT, sock.reuseport ^ sock.reuseport_changed)
    made.bind(address(sock.family, sock.rcv_saddr, sock.num))


def _left_its_group(sock: Sock) -> bool:
    """Whether a socket of UDP had SO_REUSEPORT in bind() and has no group: its device has changed since then
    (net/ipv4/udp.c udp_lib_rehash()).
    """
    return sock.hashed == UDP_HASHED and sock.group == NONE and sock.reuseport != sock.reuseport_changed
