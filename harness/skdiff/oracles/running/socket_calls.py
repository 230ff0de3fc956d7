"""System calls that bring the sockets of a Scenario about, in its order: those that servers and clients make."""

import ctypes
import socket
import struct
from collections.abc import Callable

from skdiff.cases.addresses import is_ipv6, low_word, other_family
from skdiff.cases.pools import PEER
from skdiff.cases.scenario import (
    AF_INET,
    EHASH,
    FILTER,
    LHASH2,
    NONE,
    PROG_NONE,
    TCP_ESTABLISHED,
    UDP_HASHED,
    Group,
    Scenario,
    Sock,
)
from skdiff.oracles.running.namespaces import LO, PARKING, Namespaces
from skdiff.oracles.running.programs import filter_that_returns, of_group

# include/uapi/asm-generic/socket.h, include/uapi/linux/tcp.h, in.h, in6.h: Python's socket has no names for these.
_SO_INCOMING_CPU, _SO_ATTACH_REUSEPORT_CBPF, _SO_ATTACH_REUSEPORT_EBPF, _SO_BINDTOIFINDEX = 49, 51, 52, 62
_TCP_REPAIR, _IP_TRANSPARENT, _IPV6_TRANSPARENT = 19, 19, 75
_BACKLOG = 1
_SOL, _ON = socket.SOL_SOCKET, 1


class Made:
    """The sockets of a scenario, by their indices; the mark of each is its index and 1. Those that are in no table are
    not made, since no lookup looks for them. Raises OSError if the kernel refuses one.
    """

    def __init__(self, scenario: Scenario, namespaces: Namespaces) -> None:
        self.sockets: dict[int, socket.socket] = {}
        self._scenario, self._namespaces = scenario, namespaces
        try:
            # Connections first: a listener would be in conflict with their bind(), not they with its.
            self._each(EHASH, self._connect)
            self._each(LHASH2, self._listen)
            self._each(UDP_HASHED, self._bind)
            for group in scenario.groups:
                self._leave_conns(group)
            # When all have their places: what may be set later, and would have changed the places of others.
            self._each(LHASH2, self._set_later)
            self._each(UDP_HASHED, self._set_later)
            self._each(EHASH, self._leave_parking)
            self._each(LHASH2, self._leave_parking)
            self._each(UDP_HASHED, self._leave_parking)
            self._each(UDP_HASHED, self._connect_udp)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close all of them; connections say nothing to their peers."""
        for made in self.sockets.values():
            made.close()
        self.sockets.clear()

    def _each(self, table: int, call: Callable[[int, Sock], None]) -> None:
        for index, sock in enumerate(self._scenario.socks):
            if sock.hashed == table:
                self._namespaces.enter(sock.netns)
                call(index, sock)

    def _new(self, index: int, sock: Sock, kind: socket.SocketKind) -> socket.socket:
        made = self.sockets[index] = _opened(sock, kind)
        made.setsockopt(_SOL, socket.SO_MARK, index + 1)
        return made

    def _connect(self, index: int, sock: Sock) -> None:
        """A connection without a packet: TCP_REPAIR, with which one is restored."""
        made = self._new(index, sock, socket.SOCK_STREAM)
        made.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, _ON)
        made.bind(_address(sock.family, sock.rcv_saddr, sock.num))
        made.setsockopt(_SOL, _SO_BINDTOIFINDEX, LO)
        made.connect(_address(sock.family, sock.daddr, sock.dport))
        made.setsockopt(_SOL, _SO_BINDTOIFINDEX, PARKING + index)  # out of the way of the next one

    def _listen(self, index: int, sock: Sock) -> None:
        """Members of a group have one device in listen(), all others have each another one, or some would be in
        conflict. Nobody checks that again when the device changes.
        """
        made = self._new(index, sock, socket.SOCK_STREAM)
        parking = index if sock.group == NONE else self._scenario.groups[sock.group].slots[0]
        made.setsockopt(_SOL, _SO_BINDTOIFINDEX, PARKING + parking)
        made.setsockopt(_SOL, socket.SO_REUSEPORT, sock.reuseport ^ sock.reuseport_changed)
        made.bind(_address(sock.family, sock.rcv_saddr, sock.num))
        made.listen(_BACKLOG)

    def _bind(self, index: int, sock: Sock) -> None:
        made = self._new(index, sock, socket.SOCK_DGRAM)
        _bind_udp(made, sock, PARKING + index if _left_its_group(sock) else sock.bound_dev_if)

    def _leave_conns(self, group: Group) -> None:
        """A group without a connected member that had one: it was the last to come, and is gone."""
        members = [self._scenario.socks[i] for i in group.slots]
        if not group.has_conns or any(sock.state == TCP_ESTABLISHED for sock in members):
            return
        self._namespaces.enter(members[0].netns)
        with _opened(members[0], socket.SOCK_DGRAM) as gone:
            _bind_udp(gone, members[0], members[0].bound_dev_if)
            gone.connect(_address(members[0].family, other_family(PEER) if is_ipv6(members[0].rcv_saddr) else PEER, 1))

    def _set_later(self, index: int, sock: Sock) -> None:
        made = self.sockets[index]
        group = self._scenario.groups[sock.group] if sock.group != NONE else None
        if group is not None and group.prog != PROG_NONE and group.slots[0] == index:
            _attach(made, group)
        if sock.reuseport_changed:
            made.setsockopt(_SOL, socket.SO_REUSEPORT, sock.reuseport)

    def _leave_parking(self, index: int, sock: Sock) -> None:
        if sock.hashed != UDP_HASHED or _left_its_group(sock):  # another socket of UDP would leave its group now
            self.sockets[index].setsockopt(_SOL, _SO_BINDTOIFINDEX, sock.bound_dev_if)

    def _connect_udp(self, index: int, sock: Sock) -> None:
        if sock.state == TCP_ESTABLISHED:
            self.sockets[index].connect(_address(sock.family, sock.daddr, sock.dport))


def _opened(sock: Sock, kind: socket.SocketKind) -> socket.socket:
    made = socket.socket(sock.family, kind)
    # Addresses need not be this host's.
    if sock.family == AF_INET:
        made.setsockopt(socket.IPPROTO_IP, _IP_TRANSPARENT, _ON)
    else:
        made.setsockopt(socket.IPPROTO_IPV6, _IPV6_TRANSPARENT, _ON)
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, sock.ipv6only)
    if sock.incoming_cpu >= 0:
        made.setsockopt(_SOL, _SO_INCOMING_CPU, sock.incoming_cpu)
    return made


def _bind_udp(made: socket.socket, sock: Sock, device: int) -> None:
    made.setsockopt(_SOL, socket.SO_BROADCAST, _ON)
    made.setsockopt(_SOL, socket.SO_REUSEADDR, _ON)  # any number may have one address
    made.setsockopt(_SOL, _SO_BINDTOIFINDEX, device)
    made.setsockopt(_SOL, socket.SO_REUSEPORT, sock.reuseport ^ sock.reuseport_changed)
    made.bind(_address(sock.family, sock.rcv_saddr, sock.num))


def _left_its_group(sock: Sock) -> bool:
    """Whether a socket of UDP had SO_REUSEPORT in bind() and has no group: its device has changed since then
    (net/ipv4/udp.c udp_lib_rehash()).
    """
    return sock.hashed == UDP_HASHED and sock.group == NONE and sock.reuseport != sock.reuseport_changed


def _attach(made: socket.socket, group: Group) -> None:
    """Give a group its program, by one of its members."""
    if group.prog == FILTER:
        code = ctypes.create_string_buffer(filter_that_returns(group.returns), 8)
        sock_fprog = struct.pack("@HP", 1, ctypes.addressof(code))
        made.setsockopt(_SOL, _SO_ATTACH_REUSEPORT_CBPF, sock_fprog)
    else:
        made.setsockopt(_SOL, _SO_ATTACH_REUSEPORT_EBPF, of_group(group.verdict))


def _address(family: int, address: int, port: int) -> tuple[str, int]:
    """As bind() and connect() take it: an AF_INET6 socket has IPv4 addresses as mapped ones."""
    if family == AF_INET:
        return socket.inet_ntop(socket.AF_INET, low_word(address).to_bytes(4, "big")), port
    return socket.inet_ntop(socket.AF_INET6, address.to_bytes(16, "big")), port
