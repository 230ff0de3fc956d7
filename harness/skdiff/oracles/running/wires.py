"""Devices that packets come in by, and the packets: what is written to TUN is received before write() returns."""

import fcntl
import os
import socket
import struct
from typing import NamedTuple

from skdiff.base.errors import CannotRun
from skdiff.cases.addresses import low_word
from skdiff.cases.scenario import IPPROTO_TCP, IPPROTO_UDP, Packet
from skdiff.oracles.running.programs import ACK, RST

# include/uapi/linux/if_tun.h
_TUNSETIFF, _TUNSETIFINDEX = 0x400454CA, 0x400454DA
_IFF_TUN, _IFF_NO_PI, _IFF_VNET_HDR = 0x0001, 0x1000, 0x4000
# struct virtio_net_hdr: the checksum is still to be made (VIRTIO_NET_HDR_F_NEEDS_CSUM), so nobody looks at it.
_VNET = struct.Struct("<BBHHHH")
_NEEDS_CSUM = 1
_IPV4, _IPV6 = struct.Struct(">BBHHHBBHII"), struct.Struct(">IHBB16s16s")
_TCP, _UDP = struct.Struct(">HHIIBBHHH"), struct.Struct(">HHHH")
_CHECKSUM_AT = {IPPROTO_TCP: 16, IPPROTO_UDP: 6}
_TTL, _NOP = 64, 1
_BEYOND = 0x3FFFFFFF  # a sequence number that nobody waits for
SOL_PACKET = 263
_PACKET_VNET_HDR = 15
_ETH_P = {4: 0x0800, 6: 0x86DD}


class Wire:
    """A TUN device with this index and name in the network namespace of the caller, gone when it is closed. Raises
    CannotRun where there are none.
    """

    def __init__(self, ifindex: int, name: str) -> None:
        try:
            self._fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            fcntl.ioctl(self._fd, _TUNSETIFINDEX, struct.pack("I", ifindex))
            fcntl.ioctl(
                self._fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI | _IFF_VNET_HDR)
            )
        except OSError as error:
            raise CannotRun(f"there is no TUN device to send packets by (/dev/net/tun): {error.strerror}") from None

    def frame(self, packet: bytes) -> bytes:
        """A packet as this device takes it."""
        return packet

    def fileno(self) -> int:
        """Its file descriptor, from which what leaves by it can be read."""
        return self._fd

    def receive(self, frame: bytes) -> None:
        """Let the kernel receive a packet by this device. Raises OSError if it does not take it."""
        os.write(self._fd, frame)

    def close(self) -> None:
        """Remove the device."""
        os.close(self._fd)


class Sender:
    """A device that what is sent by another one comes in by, through a socket of AF_PACKET: lo, which is its own other
    end, or one of a pair (veth). The same as a Wire. What it sends has a mark, and the link layer address `to`.
    """

    def __init__(self, device: str, mark: int, to: bytes = bytes(6)) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
        self._socket.setsockopt(SOL_PACKET, _PACKET_VNET_HDR, 1)
        self._socket.bind((device, 0))
        self._to = to

    def frame(self, packet: bytes) -> bytes:
        """A packet as this device takes it: with a link layer header, whose source is zeros."""
        kind, *rest, start, at = _VNET.unpack_from(packet)
        header = self._to + bytes(6) + _ETH_P[packet[_VNET.size] >> 4].to_bytes(2, "big")
        return _VNET.pack(kind, *rest, start + len(header), at) + header + packet[_VNET.size :]

    def receive(self, frame: bytes) -> None:
        """Let the kernel receive a packet at the other end. Raises OSError if it does not take it."""
        self._socket.send(frame)

    def close(self) -> None:
        """Close the socket; the devices stay."""
        self._socket.close()


class Own:
    """Packets of this host's own, from its namespace to itself by lo, with a route that says so of a device: by raw
    sockets, whose mark chooses the route. The same as a Wire.
    """

    def __init__(self, mark: int) -> None:
        self._sockets = {4: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)}
        self._sockets[6] = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
        for raw in self._sockets.values():
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)

    def frame(self, packet: bytes) -> bytes:
        """A packet as a raw socket takes it: with its checksum."""
        _, _, _, _, start, at = _VNET.unpack_from(packet)
        header, payload = packet[_VNET.size : _VNET.size + start], bytearray(packet[_VNET.size + start :])
        ipv6 = header[0] >> 4 == 6
        ends, protocol = (header[8:40], header[6]) if ipv6 else (header[12:20], header[9])
        payload[at : at + 2] = bytes(2)
        whole = ends + struct.pack(">II", len(payload), protocol) + payload
        payload[at : at + 2] = _checksum(whole + bytes(len(whole) % 2)).to_bytes(2, "big")
        return header + bytes(payload)

    def receive(self, frame: bytes) -> None:
        """Let the kernel receive a packet that it has sent. Raises OSError if it does not take it."""
        if frame[0] >> 4 == 6:
            self._sockets[6].sendto(frame, (socket.inet_ntop(socket.AF_INET6, frame[24:40]), 0))
        else:
            self._sockets[4].sendto(frame, (socket.inet_ntop(socket.AF_INET, frame[16:20]), 0))

    def close(self) -> None:
        """Close the sockets."""
        for raw in self._sockets.values():
            raw.close()


class Segment(NamedTuple):
    """What a segment of TCP says besides addresses and ports."""

    flags: int
    sequence: int = 0
    acknowledged: int = 0


FIN, SYN = 1, 2
# For one that nobody gets there is no answer, which would be looked up as well.
RESET = Segment(RST, sequence=_BEYOND)
# What a timewait socket answers, of which it expects nothing of the kind.
QUESTION = Segment(ACK, sequence=_BEYOND)


def segment(packet: Packet, ipv6: bool, said: Segment = RESET) -> bytes:
    """A segment of TCP with the addresses, ports and lengths of a packet, as a TUN device takes it."""
    doff = packet.doff
    tcp = _TCP.pack(packet.sport, packet.dport, *said[1:], doff << 2, said.flags, 1024, 0, 0)
    options = bytes([_NOP]) * (doff - _TCP.size)
    return _with_headers(packet, ipv6, IPPROTO_TCP, tcp + options + bytes([doff]) * (packet.len - doff))


def datagram(packet: Packet, ipv6: bool) -> bytes:
    """A datagram of UDP, in the same way."""
    # 0 would say that there is no checksum.
    udp = _UDP.pack(packet.sport, packet.dport, packet.len, 1)
    return _with_headers(packet, ipv6, IPPROTO_UDP, udp + bytes([packet.doff]) * (packet.len - packet.doff))


def _with_headers(packet: Packet, ipv6: bool, protocol: int, payload: bytes) -> bytes:
    if ipv6:
        ends = (address.to_bytes(16, "big") for address in (packet.saddr, packet.daddr))
        header = _IPV6.pack(6 << 28, len(payload), protocol, _TTL, *ends)
    else:
        ends4 = (low_word(packet.saddr), low_word(packet.daddr))
        fields = (4 << 4 | 5, 0, _IPV4.size + len(payload), 0, 0, _TTL, protocol)
        header = _IPV4.pack(*fields, _checksum(_IPV4.pack(*fields, 0, *ends4)), *ends4)
    start = len(header)
    return _VNET.pack(_NEEDS_CSUM, 0, 0, 0, start, _CHECKSUM_AT[protocol]) + header + payload


def _checksum(header: bytes) -> int:
    """RFC 1071: the complement of the ones' complement sum of 16-bit words."""
    total: int = sum(struct.unpack(f">{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
