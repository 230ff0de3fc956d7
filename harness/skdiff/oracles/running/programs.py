"""The BPF programs that the oracle loads, by instructions: one that asks for a socket, sk_lookup programs, those of
groups, and those that let packets in and out. What they are shown they write into memory that they share with Python:
`shown.py` reads it.
"""

from functools import cache

from skdiff.cases.outcome import MAX_SHOWN, SHOWN_FILTER, SHOWN_SK_LOOKUP, SHOWN_SK_REUSEPORT
from skdiff.cases.scenario import IPPROTO_TCP, LEAVE, NONE, SK_DROP, Program
from skdiff.oracles.running import bpf
from skdiff.oracles.running.bpf import (
    ADD,
    ADD_VALUE,
    AND_VALUE,
    CALL,
    EQUAL_VALUE,
    EXIT,
    GREATER_VALUE,
    LOAD_ADDRESS,
    LOAD_BYTE,
    LOAD_HALF,
    LOAD_LONG,
    LOAD_WORD,
    MOVE,
    MOVE_VALUE,
    NOT_EQUAL_VALUE,
    PSEUDO_MAP,
    PSEUDO_MAP_VALUE,
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    R10,
    STORE_VALUE,
    STORE_WORD,
    TIMES_VALUE,
)
from skdiff.oracles.running.bpf import instruction as op
from skdiff.oracles.running.helper_call import (
    SK_LOOKUP_UDP,
    SK_RELEASE,
    SKC_LOOKUP_TCP,
    SOCK_DEVICE,
    SOCK_MARK,
    SOCK_STATE,
    lookup_call,
)

# Helpers.
_MAP_LOOKUP, _LOAD_BYTES, _LOAD_BYTES_RELATIVE, _SK_SELECT_REUSEPORT = 1, 26, 68, 82
_SK_FULLSOCK, _SK_ASSIGN = 95, 124
_TC_ACT_OK, _TC_ACT_SHOT = 0, 2
_FROM_NETWORK_HEADER = 1
_SKB_MARK_AT, _PROTOCOL_AT = 8, 16  # of struct __sk_buff
_ETH_P_IP = 0x0008  # in network order, as a little-endian CPU reads it
_IPV4, _IPV6 = (9, 20), (6, 40)  # where the protocol stands in a header, and its length
_REPLACE, _NO_REUSEPORT = 1, 2  # BPF_SK_LOOKUP_F_REPLACE: an earlier program's choice; BPF_SK_LOOKUP_F_NO_REUSEPORT

# In the memory that programs and Python share, behind the tuple that is asked for: the mark, state and device of the
# socket that a helper found; who got a packet; ARMED, what the next packet is let in with; what left in reply, its
# flags and sequence number; and what programs were shown, how many and each.
ANSWER_AT, STATE_AT, DEVICE_AT, GOT_AT, ARMED_AT, FLAGS_AT, SEQUENCE_AT, SHOWN_AT = 64, 68, 72, 76, 80, 84, 88, 92
RUNS_AT, RUN_SIZE = 128, 80
MINI = 0  # in the place of a mark: no full socket. Marks begin with 1
RST, ACK = 4, 16  # flags of TCP
PLAIN, ATTACHED = 1, 2  # of ARMED: the packet comes in as it is, or with a socket of the map, whose index is added
OURS, _WITHOUT_DEVICE = 0x5D1FF000, -0x100  # the mark of a packet that we send by lo, but for its last byte
_EXITS = op(EXIT)


def _returns(value: int) -> bytes:
    return op(MOVE_VALUE, R0, value=value) + _EXITS


def _memory(register: int, memory: int) -> bytes:
    return op(LOAD_ADDRESS, register, PSEUDO_MAP_VALUE, 0, memory) + op(0)


def _socket_of(sockets: int) -> bytes:
    """R0: the socket of a map whose key is on the stack, or NULL."""
    code = op(LOAD_ADDRESS, R1, PSEUDO_MAP, 0, sockets) + op(0)
    return code + op(MOVE, R2, R10) + op(ADD_VALUE, R2, value=-4) + op(CALL, value=_MAP_LOOKUP)


def asking(memory: int, udp: bool, tuple_size: int) -> int:
    """A program that looks for the socket of a tuple of addresses and ports, in the map `memory`, and writes its mark,
    state and device there: bpf_skc_lookup_tcp(), which may give a mini socket, or bpf_sk_lookup_udp(). It returns 1, or
    0 for nobody.
    """
    helper = SK_LOOKUP_UDP if udp else SKC_LOOKUP_TCP
    code = op(MOVE, R6, R1) + _memory(R7, memory)
    code += lookup_call(helper, tuple_size)
    code += op(NOT_EQUAL_VALUE, R0, offset=2) + _returns(0)
    code += op(MOVE, R8, R0)
    code += op(LOAD_WORD, R2, R8, SOCK_STATE) + op(STORE_WORD, R7, R2, STATE_AT)
    code += op(LOAD_WORD, R2, R8, SOCK_DEVICE) + op(STORE_WORD, R7, R2, DEVICE_AT)
    code += op(MOVE, R1, R8) + op(CALL, value=_SK_FULLSOCK)
    code += op(MOVE_VALUE, R2, value=MINI) + op(EQUAL_VALUE, R0, offset=1) + op(LOAD_WORD, R2, R0, SOCK_MARK)
    code += op(STORE_WORD, R7, R2, ANSWER_AT)
    code += op(MOVE, R1, R8) + op(CALL, value=SK_RELEASE) + _returns(1)
    return bpf.load(bpf.CGROUP_SKB, code)


def _noted(memory: int, tag: int, fields: bytes) -> bytes:
    """Begin a new run in the shared memory, if there is room: R9 points to it while `fields` run, R6 to the context."""
    there = op(MOVE, R9, R7) + op(MOVE, R1, R2) + op(TIMES_VALUE, R1, value=RUN_SIZE) + op(ADD, R9, R1)
    there += op(ADD_VALUE, R9, value=RUNS_AT)
    there += op(ADD_VALUE, R2, value=1) + op(STORE_WORD, R7, R2, SHOWN_AT) + op(STORE_VALUE, R9, offset=0, value=tag)
    there += fields
    code = op(MOVE, R6, R1) + _memory(R7, memory) + op(LOAD_WORD, R2, R7, SHOWN_AT)
    return code + op(GREATER_VALUE, R2, offset=len(there) // 8, value=MAX_SHOWN - 1) + there


def _mark_to(offset: int, known: bool = False) -> bytes:
    """The mark of the socket in R1 into the run, or 0 for NULL, which is not asked for if it is `known` to be there."""
    code = op(MOVE_VALUE, R2) if not known else b""
    code += op(EQUAL_VALUE, R1, offset=1) if not known else b""
    return code + op(LOAD_WORD, R2, R1, SOCK_MARK) + op(STORE_WORD, R9, R2, offset)


def _words(pairs: "list[tuple[int, int, int]]") -> bytes:
    """Words of the context into the run: by which instruction, from where, and where to."""
    return b"".join(op(code, R2, R6, at) + op(STORE_WORD, R9, R2, to) for code, at, to in pairs)


def tag_of(kind: int, number: int, index: int = 0) -> int:
    """What a run begins with: the kind of its program, and which one it is."""
    return kind << 16 | number << 8 | index


# struct bpf_sk_lookup of include/uapi/linux/bpf.h: family, protocol, both addresses, ports, the device.
_LOOKUP_WORDS = [(LOAD_WORD, at, at) for at in (*range(8, 36, 4), *range(40, 68, 4))] + [(LOAD_HALF, 36, 36)]


def sk_lookup(memory: int, sockets: int, program: Program, netns: int, index: int) -> int:
    """An sk_lookup program that does what a Program says, and notes what it is shown; it assigns the socket under its
    index in a map. It is the one of this index in a namespace.
    """
    fields = op(LOAD_LONG, R1, R6, 0) + _mark_to(4) + _words([*_LOOKUP_WORDS, (LOAD_WORD, 64, 68)])
    code = _noted(memory, tag_of(SHOWN_SK_LOOKUP, netns, index), fields)
    if program.assign == LEAVE:
        return bpf.load(bpf.SK_LOOKUP, code + _returns(program.verdict))
    flags = _REPLACE | (_NO_REUSEPORT if program.no_reuseport else 0)
    if program.assign == NONE:
        code += op(MOVE, R1, R6) + op(MOVE_VALUE, R2) + op(MOVE_VALUE, R3, value=flags)
        return bpf.load(bpf.SK_LOOKUP, code + op(CALL, value=_SK_ASSIGN) + _returns(program.verdict))
    code += op(STORE_VALUE, R10, offset=-4, value=program.assign) + _socket_of(sockets)
    code += op(NOT_EQUAL_VALUE, R0, offset=2) + _returns(SK_DROP)
    code += op(MOVE, R7, R0) + op(MOVE, R1, R6) + op(MOVE, R2, R7) + op(MOVE_VALUE, R3, value=flags)
    code += op(CALL, value=_SK_ASSIGN)
    code += op(MOVE, R1, R7) + op(CALL, value=SK_RELEASE) + _returns(program.verdict)
    return bpf.load(bpf.SK_LOOKUP, code)


# struct sk_reuseport_md: len, eth_protocol, ip_protocol, bind_inany and hash; then two sockets.
_REUSEPORT_WORDS = [(LOAD_WORD, at, at - 8) for at in range(16, 36, 4)]
_SK_AT, _MIGRATING_SK_AT = 40, 48


@cache
def of_group(memory: int, members: int, number: int, verdict: int, select: int) -> int:
    """The program of a group, which selects the socket under its index in the map `members`, if that is none, and notes
    what it is shown.
    """
    fields = op(LOAD_LONG, R1, R6, _SK_AT) + _mark_to(4, known=True) + _words(_REUSEPORT_WORDS)
    fields += op(LOAD_LONG, R1, R6, _MIGRATING_SK_AT) + op(MOVE_VALUE, R2, value=1)
    fields += op(NOT_EQUAL_VALUE, R1, offset=1) + op(MOVE_VALUE, R2) + op(STORE_WORD, R9, R2, 28)
    code = _noted(memory, tag_of(SHOWN_SK_REUSEPORT, number), fields)
    if select == NONE:
        return bpf.load(bpf.SK_REUSEPORT, code + _returns(verdict))
    code += op(MOVE, R1, R6) + op(STORE_VALUE, R10, offset=-4, value=select)
    code += op(LOAD_ADDRESS, R2, PSEUDO_MAP, 0, members) + op(0)
    code += op(MOVE, R3, R10) + op(ADD_VALUE, R3, value=-4) + op(MOVE_VALUE, R4)
    return bpf.load(bpf.SK_REUSEPORT, code + op(CALL, value=_SK_SELECT_REUSEPORT) + _returns(verdict))


@cache
def filter_of_group(memory: int, number: int, returns: int) -> int:
    """The filter of a group, which returns one value (u32), and notes how many bytes it is shown, and the first one."""
    fields = op(LOAD_WORD, R2, R6, 0) + op(STORE_WORD, R9, R2, 4) + op(STORE_VALUE, R10, offset=-4)
    fields += op(MOVE, R1, R6) + op(MOVE_VALUE, R2) + op(MOVE, R3, R10) + op(ADD_VALUE, R3, value=-4)
    fields += op(MOVE_VALUE, R4, value=1) + op(CALL, value=_LOAD_BYTES)
    fields += op(LOAD_BYTE, R2, R10, -4) + op(STORE_WORD, R9, R2, 8)
    code = _noted(memory, tag_of(SHOWN_FILTER, number), fields)
    signed = returns - (1 << 32) if returns >> 31 else returns
    return bpf.load(bpf.SOCKET_FILTER, code + _returns(signed))


def _drop_unless_ours() -> bytes:
    """End a program of lo, for a packet that this oracle has not sent by lo."""
    code = op(LOAD_WORD, R2, R6, _SKB_MARK_AT) + op(AND_VALUE, R2, value=_WITHOUT_DEVICE)
    return code + op(EQUAL_VALUE, R2, offset=2, value=OURS) + _returns(_TC_ACT_SHOT)


def coming_in(memory: int, sockets: int, lo: bool) -> int:
    """A program of a device, for what comes in: it attaches a socket of the map `sockets`, or none, as ARMED says, and
    clears that. By lo it drops what is not ours.
    """
    code = op(MOVE, R6, R1) + _memory(R7, memory)
    if lo:
        code += _drop_unless_ours() + op(MOVE_VALUE, R2) + op(STORE_WORD, R6, R2, _SKB_MARK_AT)
    code += op(LOAD_WORD, R2, R7, ARMED_AT) + op(STORE_VALUE, R7, offset=ARMED_AT)
    code += op(NOT_EQUAL_VALUE, R2, offset=2, value=PLAIN) + _returns(_TC_ACT_OK)
    code += op(ADD_VALUE, R2, value=-ATTACHED) + op(STORE_WORD, R10, R2, -4) + _socket_of(sockets)
    code += op(NOT_EQUAL_VALUE, R0, offset=2) + _returns(_TC_ACT_SHOT)
    code += op(MOVE, R7, R0) + op(MOVE, R1, R6) + op(MOVE, R2, R7) + op(MOVE_VALUE, R3)
    code += op(CALL, value=_SK_ASSIGN)
    code += op(MOVE, R1, R7) + op(CALL, value=SK_RELEASE) + _returns(_TC_ACT_OK)
    return bpf.load(bpf.SCHED_CLS, code)


def _load(at: int, size: int, to: int) -> bytes:
    """Bytes of the packet, from its network header on, to the stack."""
    code = op(MOVE, R1, R6) + op(MOVE_VALUE, R2, value=at) + op(MOVE, R3, R10) + op(ADD_VALUE, R3, value=to)
    code += op(MOVE_VALUE, R4, value=size) + op(MOVE_VALUE, R5, value=_FROM_NETWORK_HEADER)
    return code + op(CALL, value=_LOAD_BYTES_RELATIVE)


def leaving(memory: int) -> int:
    """A program of a device, for what leaves: it drops all but our packets, which are on their way in by lo. Of what it
    drops, a bare ACK or a reset of TCP, it notes flags and sequence number.
    """

    def noted(protocol_at: int, header: int) -> bytes:
        code = _load(protocol_at, 1, -20) + op(LOAD_BYTE, R2, R10, -20)
        code += op(EQUAL_VALUE, R2, offset=2, value=IPPROTO_TCP) + _returns(_TC_ACT_SHOT)
        code += _load(header, 14, -16) + op(EQUAL_VALUE, R0, offset=2) + _returns(_TC_ACT_SHOT)
        code += op(LOAD_BYTE, R2, R10, -3)
        for left, flags in ((4, ACK), (3, RST), (2, RST | ACK)):  # what a connection sends again is no answer
            code += op(EQUAL_VALUE, R2, offset=left, value=flags)
        code += _returns(_TC_ACT_SHOT) + op(STORE_WORD, R7, R2, FLAGS_AT)
        code += op(LOAD_WORD, R2, R10, -12) + op(STORE_WORD, R7, R2, SEQUENCE_AT)
        return code + _returns(_TC_ACT_SHOT)

    code = op(MOVE, R6, R1) + _memory(R7, memory)
    code += op(LOAD_WORD, R2, R6, _SKB_MARK_AT) + op(AND_VALUE, R2, value=_WITHOUT_DEVICE)
    code += op(NOT_EQUAL_VALUE, R2, offset=2, value=OURS)
    code += _returns(_TC_ACT_OK) + op(STORE_VALUE, R10, offset=-20) + op(STORE_VALUE, R10, offset=-16)
    code += op(STORE_VALUE, R10, offset=-12) + op(STORE_VALUE, R10, offset=-8) + op(STORE_VALUE, R10, offset=-4)
    ipv4, ipv6 = noted(*_IPV4), noted(*_IPV6)
    code += op(LOAD_WORD, R3, R6, _PROTOCOL_AT)
    code += op(NOT_EQUAL_VALUE, R3, offset=len(ipv4) // 8, value=_ETH_P_IP) + ipv4 + ipv6
    return bpf.load(bpf.SCHED_CLS, code)


@cache
def dropping(memory: int, mark: int) -> int:
    """A filter of a socket, which drops each packet and notes its mark in the map `memory`: it got the packet."""
    code = _memory(R1, memory)
    code += op(MOVE_VALUE, R2, value=mark) + op(STORE_WORD, R1, R2, GOT_AT)
    return bpf.load(bpf.SOCKET_FILTER, code + _returns(0))
