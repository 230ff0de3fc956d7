"""Connections of TCP in each of their states, timewait sockets and requests: by TCP_REPAIR, and by segments that come
in where nobody else is.

Until a case is ready each socket is bound to a device of its own (parking), where what it sends is lost. A mini socket
stays where it was made: it has the device that its full socket had, or its listener.
"""

import contextlib
import socket
import struct
from collections.abc import Sequence
from typing import Protocol

from skdiff.cases.addresses import is_ipv6, low_word
from skdiff.cases.derived import plain_packet
from skdiff.cases.scenario import (
    AF_INET,
    KIND_TIMEWAIT,
    TCP4,
    TCP6,
    TCP_CLOSE_WAIT,
    TCP_CLOSING,
    TCP_ESTABLISHED,
    TCP_FIN_WAIT1,
    TCP_FIN_WAIT2,
    TCP_LAST_ACK,
    TCP_SYN_RECV,
    TCP_SYN_SENT,
    Packet,
    Sock,
)
from skdiff.oracles.running.programs import ACK, RST
from skdiff.oracles.running.wires import FIN, SYN, Segment

# include/uapi/linux/tcp.h
_TCP_REPAIR, _TCP_REPAIR_QUEUE, _TCP_QUEUE_SEQ, _TCP_REPAIR_WINDOW = 19, 20, 21, 29
_REPAIR_OFF_NO_WP, _SEND_QUEUE = -1, 2
_WINDOW = struct.pack("<5I", 0, 65535, 65535, 65535, 0)  # struct tcp_repair_window: what it may send
SO_BINDTOIFINDEX, _SOL = 62, socket.SOL_SOCKET
WIRE = 2  # the device that segments come in by where any will do
_SEQUENCES = 16  # bits that the sequence numbers of a timewait socket have for themselves
# What the peer sends, whose sequence numbers begin with 0, as ours do: our FIN is acknowledged by 1.
_THEIR_FIN, _ACK_OF_FIN, _BOTH = Segment(FIN | ACK), Segment(ACK, 0, 1), Segment(FIN | ACK, 0, 1)
_THEIR_SYN, _GONE = Segment(SYN), Segment(RST, 1)
# Of each state: whether this end shuts down first, what comes in then, and whether this end shuts down after that.
_WAYS: dict[int, tuple[bool, Segment | None, bool]] = {
    TCP_FIN_WAIT1: (True, None, False),
    TCP_FIN_WAIT2: (True, _ACK_OF_FIN, False),
    TCP_CLOSING: (True, _THEIR_FIN, False),
    TCP_CLOSE_WAIT: (False, _THEIR_FIN, False),
    TCP_LAST_ACK: (False, _THEIR_FIN, True),
}


class Receiver(Protocol):
    """What lets the kernel receive segments, and asks it who is there."""

    def inject(self, packet: Packet, ipv6: bool, said: Segment, attached: int | None = None) -> None:
        """Let a segment come in, with a socket of the map on it."""
        ...

    def mini_at(self, packet: Packet, ipv6: bool) -> tuple[int, int] | None:
        """State and device of the mini socket that gets a packet, None if none does."""
        ...


def arriving(sock: Sock, device: int) -> tuple[Packet, bool]:
    """A packet of a connection's peer, and whether it is one of IPv6."""
    ipv6 = is_ipv6(sock.rcv_saddr)
    packet = plain_packet(TCP6 if ipv6 else TCP4, sock.rcv_saddr)
    return packet._replace(
        saddr=sock.daddr, sport=sock.dport, dport=sock.num, netns=sock.netns, skb_iif=device or WIRE
    ), ipv6


def address(family: int, address: int, port: int) -> tuple[str, int]:
    """As bind() and connect() take it: an AF_INET6 socket has IPv4 addresses as mapped ones."""
    if family == AF_INET:
        return socket.inet_ntop(socket.AF_INET, low_word(address).to_bytes(4, "big")), port
    return socket.inet_ntop(socket.AF_INET6, address.to_bytes(16, "big")), port


def connected(made: socket.socket, index: int, sock: Sock, parking: int, receiver: Receiver) -> None:
    """Let a new socket be a connection in its state, on its parking device; or, of a timewait socket, be the full one
    whose place that has. Raises OSError if the kernel does not.
    """
    # With it nobody minds an address that is taken (net/ipv4/tcp.c tcp_setsockopt(), SK_FORCE_REUSE).
    made.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)
    timewait = sock.kind == KIND_TIMEWAIT
    if timewait:
        made.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR_QUEUE, _SEND_QUEUE)
        made.setsockopt(socket.IPPROTO_TCP, _TCP_QUEUE_SEQ, index + 1 << _SEQUENCES)
    made.bind(address(sock.family, sock.rcv_saddr, sock.num))
    made.setsockopt(_SOL, SO_BINDTOIFINDEX, parking)
    peer = address(sock.family, sock.daddr, sock.dport)
    if sock.state in (TCP_SYN_SENT, TCP_SYN_RECV):
        made.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, _REPAIR_OFF_NO_WP)
        made.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            made.connect(peer)
        if sock.state == TCP_SYN_RECV:
            _receive(made, sock, parking, receiver, _THEIR_SYN)
    else:
        made.connect(peer)
        if sock.state == TCP_ESTABLISHED:
            return
        made.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR_WINDOW, _WINDOW)
        made.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, _REPAIR_OFF_NO_WP)
        if timewait:
            _wait(made, index, sock, receiver)
            return
        first, incoming, then = _WAYS[sock.state]
        if first:
            made.shutdown(socket.SHUT_WR)
        if incoming is not None:
            _receive(made, sock, parking, receiver, incoming)
        if then:
            made.shutdown(socket.SHUT_WR)
    state = made.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    if state != sock.state:
        raise OSError(0, f"a connection is in state {state}, not in {sock.state}")


def _receive(made: socket.socket, sock: Sock, parking: int, receiver: Receiver, said: Segment) -> None:
    """Let a segment come in, by a device where the connection is the newest of its kind."""
    made.setsockopt(_SOL, SO_BINDTOIFINDEX, WIRE)
    receiver.inject(*arriving(sock, WIRE), said)
    made.setsockopt(_SOL, SO_BINDTOIFINDEX, parking)


def _wait(made: socket.socket, index: int, sock: Sock, receiver: Receiver) -> None:
    made.shutdown(socket.SHUT_WR)
    made.setsockopt(_SOL, SO_BINDTOIFINDEX, sock.bound_dev_if)
    receiver.inject(*arriving(sock, sock.bound_dev_if), _BOTH._replace(acknowledged=(index + 1 << _SEQUENCES) + 1))
    _check(sock, receiver)


def request(
    listener: socket.socket,
    sock: Sock,
    wire: int,
    reuseport: int,
    parking: int,
    receiver: Receiver,
    attached: int | None,
) -> None:
    """Let a SYN, which comes in by the device `wire`, be a request of a parked listener, which is `attached` to it by
    its place in the map, or is found.
    """
    if reuseport:  # or its group would choose
        listener.setsockopt(_SOL, socket.SO_REUSEPORT, 0)
    listener.setsockopt(_SOL, SO_BINDTOIFINDEX, sock.bound_dev_if)
    receiver.inject(*arriving(sock, wire), _THEIR_SYN, attached)
    listener.setsockopt(_SOL, SO_BINDTOIFINDEX, parking)
    if reuseport:
        listener.setsockopt(_SOL, socket.SO_REUSEPORT, 1)
    _check(sock, receiver, wire)


def _check(sock: Sock, receiver: Receiver, wire: int = WIRE) -> None:
    there = receiver.mini_at(*arriving(sock, sock.bound_dev_if or wire))
    if there != (sock.state, sock.bound_dev_if):
        what = "timewait socket" if sock.kind == KIND_TIMEWAIT else "request"
        raise OSError(0, f"no {what} came about")


def remove(socks: Sequence[Sock], receiver: Receiver) -> bool:
    """Remove mini sockets, the newest first, whose full sockets and listeners are closed: by a reset in their window,
    for which a listener that is gone has no use either (net/ipv4/tcp_minisocks.c tcp_timewait_state_process(),
    net/ipv4/tcp_ipv4.c tcp_v4_rcv()). Whether all are gone.
    """
    asked = [arriving(sock, sock.bound_dev_if) for sock in reversed(socks)]
    for packet, ipv6 in asked:
        receiver.inject(packet, ipv6, _GONE)
    return all(receiver.mini_at(packet, ipv6) is None for packet, ipv6 in asked)


def closed(made: socket.socket, sock: Sock) -> None:
    """Close a connection; it says nothing to its peer, and nothing of it stays."""
    if sock.state != TCP_ESTABLISHED and sock.kind != KIND_TIMEWAIT:
        made.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)
    made.close()


def of_sequence(sequence: bytes) -> int:
    """The index of the timewait socket that answered with this sequence number, in network order."""
    return (int.from_bytes(sequence, "big") >> _SEQUENCES) - 1
