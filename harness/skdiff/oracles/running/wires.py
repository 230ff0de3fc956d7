"""Devices that packets come in by (TUN), and the packets: what is written is received before write() returns."""

import fcntl
import os
import socket
import struct

from skdiff.base.errors import CannotRun
from skdiff.cases.addresses import low_word
from skdiff.cases.scenario import IPPROTO_TCP, IPPROTO_UDP, Packet

# include/uapi/linux/if_tun.h
_TUNSETIFF, _TUNSETIFINDEX = 0x400454CA, 0x400454DA
_IFF_TUN, _IFF_NO_PI, _IFF_VNET_HDR = 0x0001, 0x1000, 0x4000
# struct virtio_net_hdr: the checksum is still to be made (VIRTIO_NET_HDR_F_NEEDS_CSUM), so nobody looks at it.
_VNET = struct.Struct("<BBHHHH")
_NEEDS_CSUM = 1
_IPV4, _IPV6 = struct.Struct(">BBHHHBBHII"), struct.Struct(">IHBB16s16s")
_TCP, _UDP = struct.Struct(">HHIIBBHHH"), struct.Struct(">HHHH")
_CHECKSUM_AT = {IPPROTO_TCP: 16, IPPROTO_UDP: 6}
_TTL, _RST, _WORDS_OF_TCP = 64, 4, 5
_SOL_PACKET, _PACKET_VNET_HDR = 263, 15
_ETH_P = {4: 0x0800, 6: 0x86DD}


class Wire:
    """A TUN device with this index in the network namespace of the caller, gone when it is closed. Raises CannotRun
    where there are none.
    """

    def __init__(self, ifindex: int) -> None:
        try:
            self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            fcntl.ioctl(self.fd, _TUNSETIFINDEX, struct.pack("I", ifindex))
            name = f"tun{ifindex}".encode()
            fcntl.ioctl(self.fd, _TUNSETIFF, struct.pack("16sH22x", name, _IFF_TUN | _IFF_NO_PI | _IFF_VNET_HDR))
        except OSError as error:
            raise CannotRun(f"there is no TUN device to send packets by (/dev/net/tun): {error.strerror}") from None

    def receive(self, packet: bytes) -> None:
        """Let the kernel receive a packet by this device. Raises OSError if it does not take it."""
        os.write(self.fd, packet)

    def close(self) -> None:
        """Remove the device."""
        os.close(self.fd)


class Loopback:
    """The device lo of the caller's network namespace, by a socket of AF_PACKET: the same as a Wire."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
        self._socket.bind(("lo", 0))

    def receive(self, packet: bytes) -> None:
        """Let the kernel receive a packet by lo. Raises OSError if it does not take it."""
        kind, *rest, start, at = _VNET.unpack_from(packet)
        frame = bytes(12) + _ETH_P[packet[_VNET.size] >> 4].to_bytes(2, "big")  # the addresses of lo are zeros
        self._socket.send(_VNET.pack(kind, *rest, start + len(frame), at) + frame + packet[_VNET.size :])

    def close(self) -> None:
        """Close the socket; lo stays."""
        self._socket.close()


def segment(packet: Packet, ipv6: bool) -> bytes:
    """A segment of TCP with the addresses and ports of a packet, as a TUN device takes it. It is a reset: for one that
    nobody gets there is no answer, which would be looked up as well.
    """
    tcp = _TCP.pack(packet.sport, packet.dport, 1, 0, _WORDS_OF_TCP << 4, _RST, 1024, 0, 0)
    return _with_headers(packet, ipv6, IPPROTO_TCP, tcp)


def datagram(packet: Packet, ipv6: bool) -> bytes:
    """An empty datagram of UDP, in the same way."""
    # 0 would say that there is no checksum.
    return _with_headers(packet, ipv6, IPPROTO_UDP, _UDP.pack(packet.sport, packet.dport, _UDP.size, 1))


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
