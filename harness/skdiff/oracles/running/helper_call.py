"""How a BPF helper is asked for a socket in a test run: its tuple, the devices, the call, and what it shows."""

import struct

from skdiff.cases.addresses import low_word
from skdiff.cases.scenario import Packet
from skdiff.oracles.running.bpf import CALL, MOVE, MOVE_VALUE, R1, R2, R3, R4, R5, R6, R7
from skdiff.oracles.running.bpf import instruction as op

# Helpers of include/uapi/linux/bpf.h, and BPF_F_CURRENT_NETNS.
SK_LOOKUP_TCP, SK_LOOKUP_UDP, SK_RELEASE, SKC_LOOKUP_TCP = 84, 85, 86, 99
_CURRENT_NETNS = -1
# struct bpf_sock of include/uapi/linux/bpf.h: where its members stand, each of 32 bits but for the peer's port. The own
# port is in host byte order, the peer's and the addresses in network byte order.
SOCK_DEVICE, SOCK_FAMILY, SOCK_MARK, SOCK_STATE = 0, 4, 16, 72
SOCK_ADDRESS4, SOCK_ADDRESS6, SOCK_PORT = 24, 28, 44
SOCK_PEER_PORT, SOCK_PEER4, SOCK_PEER6 = 48, 52, 56
TUPLE_SIZE = {False: 12, True: 36}  # bytes of struct bpf_sock_tuple, by whether it is of IPv6
MOST_TUPLE = 36
# include/net/ip.h IPSKB_L3SLAVE in IPCB(skb)->flags, include/linux/ipv6.h IP6SKB_L3SLAVE in IP6CB(skb)->flags: where
# they stand in the five words of qdisc_skb_cb that a test run may set. The device above is in front of them, where
# qdisc_skb_cb has the length of the packet.
_SLAVE = {False: (0, 0, 0, 1 << 7, 0), True: (0, 0, 1 << 6, 0, 0)}
_NO_SLAVE = (0, 0, 0, 0, 0)


def sock_tuple(packet: Packet, ipv6: bool) -> bytes:
    """Struct bpf_sock_tuple, in network order, and zeros behind it: MOST_TUPLE bytes."""
    ports = struct.pack(">HH", packet.sport, packet.dport)
    if ipv6:
        return packet.saddr.to_bytes(16, "big") + packet.daddr.to_bytes(16, "big") + ports
    return struct.pack(">II", low_word(packet.saddr), low_word(packet.daddr)) + ports + bytes(24)


def slave(packet: Packet, ipv6: bool) -> tuple[int, tuple[int, int, int, int, int]]:
    """The length of the sk_buff of a test run, and its cb. The length is read as sdif where the cb says that a slave of
    a VRF has the packet.
    """
    return (packet.sdif, _SLAVE[ipv6]) if packet.sdif else (0, _NO_SLAVE)


def lookup_call(helper: int, tuple_size: int) -> bytes:
    """The call of a helper that looks for a socket: of the context in R6, with the tuple that R7 points to."""
    code = op(MOVE, R1, R6) + op(MOVE, R2, R7) + op(MOVE_VALUE, R3, value=tuple_size)
    return code + op(MOVE_VALUE, R4, value=_CURRENT_NETNS) + op(MOVE_VALUE, R5) + op(CALL, value=helper)
