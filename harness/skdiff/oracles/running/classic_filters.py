"""What needs no BPF: classic filters of sockets and groups, the counters of dropped packets, and a witness of what
comes in.
"""

import ctypes
import socket
import struct

from skdiff.oracles.running.programs import OURS
from skdiff.oracles.running.wires import SOL_PACKET

# include/uapi/asm-generic/socket.h, include/uapi/linux/if_packet.h, include/uapi/linux/if_ether.h
_SO_ATTACH_FILTER, _SO_ATTACH_REUSEPORT_CBPF, _SO_MEMINFO = 26, 51, 55
_MEMINFO = struct.Struct("<9I")
_DROPS = 8  # SK_MEMINFO_DROPS
_PACKET_IGNORE_OUTGOING, _ETH_P_ALL = 23, 3
# Documentation/networking/filter.rst: codes of instructions, and where the mark of a packet is loaded from.
_LOAD, _AND, _IS, _RETURN = 0x20, 0x54, 0x15, 0x06
_MARK = 0xFFFFF000 + 20  # SKF_AD_OFF + SKF_AD_MARK
_INSTRUCTION = struct.Struct("<HBBI")


def _attach(made: socket.socket, option: int, *code: tuple[int, int, int, int]) -> None:
    instructions = ctypes.create_string_buffer(b"".join(_INSTRUCTION.pack(*one) for one in code))
    program = struct.pack("@HP", len(code), ctypes.addressof(instructions))  # struct sock_fprog
    made.setsockopt(socket.SOL_SOCKET, option, program)


def drop_all(made: socket.socket) -> None:
    """From now on a socket drops what it gets, and counts it."""
    _attach(made, _SO_ATTACH_FILTER, (_RETURN, 0, 0, 0))


def filter_group(member: socket.socket, returns: int) -> None:
    """Give the group of a socket a filter that returns one value (u32)."""
    _attach(member, _SO_ATTACH_REUSEPORT_CBPF, (_RETURN, 0, 0, returns))


def dropped(made: socket.socket) -> int:
    """How many packets a socket has dropped (u32)."""
    return int(_MEMINFO.unpack(made.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size))[_DROPS])


class Witness:
    """Sees the packets of ours that come in by a device of the caller's network namespace, before they are looked up
    (net/core/dev.c __netif_receive_skb_core()): those that are `marked`, or all.
    """

    def __init__(self, device: str, marked: bool) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        mark, ours = (_LOAD, 0, 0, _MARK), (_IS, 0, 1, OURS)  # the last byte of a mark is no matter
        returns = ((_RETURN, 0, 0, 1), (_RETURN, 0, 0, 0))
        if marked:
            _attach(self._socket, _SO_ATTACH_FILTER, mark, (_AND, 0, 0, 0xFFFFFF00), ours, *returns)
        self._socket.bind((device, _ETH_P_ALL))

    def saw_one(self) -> bool:
        """Whether one more has come in since the last time."""
        try:
            return bool(self._socket.recv(1))
        except BlockingIOError:
            return False

    def close(self) -> None:
        """It is no witness any more."""
        self._socket.close()
