"""The BPF programs that the oracle loads, by instructions: one that asks for a socket, sk_lookup programs, and those of
groups.
"""

import struct
from functools import cache

from skdiff.cases.scenario import LEAVE, NONE, SK_DROP, Program
from skdiff.oracles.running import bpf
from skdiff.oracles.running.bpf import instruction as op

# Codes: eBPF's instruction set, Documentation/bpf/standardization/instruction-set.rst.
_LOAD_WORD, _STORE_WORD, _STORE_VALUE, _MOVE, _MOVE_VALUE, _ADD_VALUE = 0x61, 0x63, 0x62, 0xBF, 0xB7, 0x07
_LOAD_ADDRESS, _CALL, _EXIT, _EQUAL_VALUE, _NOT_EQUAL_VALUE = 0x18, 0x85, 0x95, 0x15, 0x55
_PSEUDO_MAP, _PSEUDO_MAP_VALUE = 1, 2
R0, R1, R2, R3, R4, R5, R6, R7, R8, _, R10 = range(11)
# Helpers.
_MAP_LOOKUP, _SK_LOOKUP_UDP, _SK_RELEASE, _SK_FULLSOCK, _SKC_LOOKUP_TCP, _SK_ASSIGN = 1, 85, 86, 95, 99, 124
_SK_SELECT_REUSEPORT = 82
_TC_ACT_OK, _TC_ACT_SHOT = 0, 2
_CURRENT_NETNS = -1
_MARK_AT = 16  # of struct bpf_sock
_REPLACE, _NO_REUSEPORT = 1, 2  # BPF_SK_LOOKUP_F_REPLACE: an earlier program's choice; BPF_SK_LOOKUP_F_NO_REUSEPORT

# In the memory that programs and Python share, behind the tuple that is asked for.
ANSWER_AT, GOT_AT, ATTACH_AT = 64, 68, 72
MINI = 0  # in the place of a mark: no full socket. Marks begin with 1
_EXITS = op(_EXIT)


def _returns(value: int) -> bytes:
    return op(_MOVE_VALUE, R0, value=value) + _EXITS


def asking(memory: int, udp: bool, tuple_size: int) -> int:
    """A program that looks for the socket of a tuple of addresses and ports, in the map `memory`, and writes its mark
    there: bpf_skc_lookup_tcp(), which may give a mini socket, or bpf_sk_lookup_udp(). It returns 1, or 0 for nobody.
    """
    helper = _SK_LOOKUP_UDP if udp else _SKC_LOOKUP_TCP
    code = op(_MOVE, R6, R1)
    code += op(_LOAD_ADDRESS, R7, _PSEUDO_MAP_VALUE, 0, memory) + op(0)
    code += op(_MOVE, R1, R6) + op(_MOVE, R2, R7) + op(_MOVE_VALUE, R3, value=tuple_size)
    code += op(_MOVE_VALUE, R4, value=_CURRENT_NETNS) + op(_MOVE_VALUE, R5) + op(_CALL, value=helper)
    code += op(_NOT_EQUAL_VALUE, R0, offset=2) + _returns(0)
    code += op(_MOVE, R8, R0) + op(_MOVE, R1, R8) + op(_CALL, value=_SK_FULLSOCK)
    code += op(_MOVE_VALUE, R2, value=MINI) + op(_EQUAL_VALUE, R0, offset=1) + op(_LOAD_WORD, R2, R0, _MARK_AT)
    code += op(_STORE_WORD, R7, R2, ANSWER_AT)
    code += op(_MOVE, R1, R8) + op(_CALL, value=_SK_RELEASE) + _returns(1)
    return bpf.load(bpf.CGROUP_SKB, code)


def sk_lookup(sockets: int, program: Program) -> int:
    """An sk_lookup program that does what a Program says; it assigns the socket under its index in a map."""
    if program.assign == LEAVE:
        return bpf.load(bpf.SK_LOOKUP, _returns(program.verdict))
    flags = _REPLACE | (_NO_REUSEPORT if program.no_reuseport else 0)
    code = op(_MOVE, R6, R1)
    if program.assign == NONE:
        code += op(_MOVE, R1, R6) + op(_MOVE_VALUE, R2) + op(_MOVE_VALUE, R3, value=flags)
        return bpf.load(bpf.SK_LOOKUP, code + op(_CALL, value=_SK_ASSIGN) + _returns(program.verdict))
    code += op(_STORE_VALUE, R10, offset=-4, value=program.assign)
    code += op(_LOAD_ADDRESS, R1, _PSEUDO_MAP, 0, sockets) + op(0)
    code += op(_MOVE, R2, R10) + op(_ADD_VALUE, R2, value=-4) + op(_CALL, value=_MAP_LOOKUP)
    code += op(_NOT_EQUAL_VALUE, R0, offset=2) + _returns(SK_DROP)
    code += op(_MOVE, R7, R0) + op(_MOVE, R1, R6) + op(_MOVE, R2, R7) + op(_MOVE_VALUE, R3, value=flags)
    code += op(_CALL, value=_SK_ASSIGN)
    code += op(_MOVE, R1, R7) + op(_CALL, value=_SK_RELEASE) + _returns(program.verdict)
    return bpf.load(bpf.SK_LOOKUP, code)


@cache
def of_group(members: int, verdict: int, select: int) -> int:
    """A program of a group that selects the socket under its index in the map `members`, if that is none."""
    if select == NONE:
        return bpf.load(bpf.SK_REUSEPORT, _returns(verdict))
    code = op(_MOVE, R6, R1) + op(_STORE_VALUE, R10, offset=-4, value=select)
    code += op(_LOAD_ADDRESS, R2, _PSEUDO_MAP, 0, members) + op(0)
    code += op(_MOVE, R3, R10) + op(_ADD_VALUE, R3, value=-4) + op(_MOVE_VALUE, R4)
    return bpf.load(bpf.SK_REUSEPORT, code + op(_CALL, value=_SK_SELECT_REUSEPORT) + _returns(verdict))


def attaching(memory: int, sockets: int) -> int:
    """A program of a device that attaches a socket of the map `sockets` to each packet that comes in, or none: the map
    `memory` has its index and 1, or 0.
    """
    code = op(_MOVE, R6, R1) + op(_LOAD_ADDRESS, R7, _PSEUDO_MAP_VALUE, 0, memory) + op(0)
    code += op(_LOAD_WORD, R2, R7, ATTACH_AT) + op(_NOT_EQUAL_VALUE, R2, offset=2) + _returns(_TC_ACT_OK)
    code += op(_ADD_VALUE, R2, value=-1) + op(_STORE_WORD, R10, R2, -4)
    code += op(_LOAD_ADDRESS, R1, _PSEUDO_MAP, 0, sockets) + op(0)
    code += op(_MOVE, R2, R10) + op(_ADD_VALUE, R2, value=-4) + op(_CALL, value=_MAP_LOOKUP)
    code += op(_NOT_EQUAL_VALUE, R0, offset=2) + _returns(_TC_ACT_SHOT)
    code += op(_MOVE, R7, R0) + op(_MOVE, R1, R6) + op(_MOVE, R2, R7) + op(_MOVE_VALUE, R3)
    code += op(_CALL, value=_SK_ASSIGN)
    code += op(_MOVE, R1, R7) + op(_CALL, value=_SK_RELEASE) + _returns(_TC_ACT_OK)
    return bpf.load(bpf.SCHED_CLS, code)


@cache
def dropping(memory: int, mark: int) -> int:
    """A filter of a socket, which drops each packet and notes its mark in the map `memory`: it got the packet."""
    code = op(_LOAD_ADDRESS, R1, _PSEUDO_MAP_VALUE, 0, memory) + op(0)
    code += op(_MOVE_VALUE, R2, value=mark) + op(_STORE_WORD, R1, R2, GOT_AT)
    return bpf.load(bpf.SOCKET_FILTER, code + _returns(0))


def filter_that_returns(value: int) -> bytes:
    """A classic filter that returns one value (u32): struct sock_filter, BPF_RET | BPF_K."""
    return struct.pack("<HBBI", 0x06, 0, 0, value)
