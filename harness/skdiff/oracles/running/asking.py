"""The running kernel, asked whom a lookup finds: by a BPF helper, which neither makes a packet nor changes a socket.

Who was found is told by the cookie, which is read from the kernel's memory; where that is not allowed
(CAP_PERFMON, lockdown), by what struct bpf_sock shows.
"""

import os
import struct
from contextlib import suppress
from typing import NamedTuple

from skdiff.base.errors import CannotRun
from skdiff.cases.addresses import mapped
from skdiff.cases.scenario import AF_INET6, IPV6_LOOKUPS, UDP_LOOKUPS, Packet
from skdiff.oracles.running import bpf
from skdiff.oracles.running.bpf import (
    ADD_VALUE,
    CALL,
    EXIT,
    LOAD_ADDRESS,
    LOAD_HALF,
    LOAD_LONG,
    LOAD_WORD,
    MOVE,
    MOVE_VALUE,
    NOT_EQUAL_VALUE,
    PSEUDO_MAP_VALUE,
    R0,
    R1,
    R2,
    R3,
    R6,
    R7,
    R8,
    STORE_LONG,
    STORE_WORD,
)
from skdiff.oracles.running.bpf import instruction as op
from skdiff.oracles.running.btf import Btf
from skdiff.oracles.running.helper_call import (
    MOST_TUPLE,
    SK_LOOKUP_TCP,
    SK_LOOKUP_UDP,
    SK_RELEASE,
    SKC_LOOKUP_TCP,
    SOCK_ADDRESS4,
    SOCK_ADDRESS6,
    SOCK_DEVICE,
    SOCK_FAMILY,
    SOCK_PEER4,
    SOCK_PEER6,
    SOCK_PEER_PORT,
    SOCK_PORT,
    SOCK_STATE,
    TUPLE_SIZE,
    lookup_call,
    slave,
    sock_tuple,
)

_PROBE_READ_KERNEL = 113  # a helper
_ADDRESS6_WORDS, _PEER6_WORDS = (range(at, at + 16, 4) for at in (SOCK_ADDRESS6, SOCK_PEER6))
_WORDS = (
    *(SOCK_DEVICE, SOCK_FAMILY, SOCK_ADDRESS4, *_ADDRESS6_WORDS, SOCK_PORT),
    *(SOCK_PEER4, *_PEER6_WORDS, SOCK_STATE),
)
# In the memory that programs and Python share.
_FOUND_AT, _ADDRESS_AT, _DST_PORT_AT, _FIELDS_AT = 64, 72, 80, 84
_READ_AT, _FROM_AT = 200, 208
_PAGE = 4096
_MOST_BYTES = 2048  # of an sk_buff of a test run, and so the greatest sdif


class Found(NamedTuple):
    """A socket that a lookup found: what struct bpf_sock tells of it, as a Seen has it (`address` is that of its
    family; of an AF_INET6 socket on an IPv4 address it may be 0), and its `cookie`, None if it could not be read.
    """

    family: int
    state: int
    address: int
    port: int
    peer: int
    dport: int
    device: int
    cookie: int | None
    at: int  # in the kernel's memory, 0 if that is not told


class Group(NamedTuple):
    """A struct sock_reuseport: the cookies of its live members in their slots' order, how many closed ones it has,
    whether a member has been connected, and its program's type (include/uapi/linux/bpf.h enum bpf_prog_type; 0 is a
    classic one), None for none.
    """

    members: tuple[int, ...]
    closed: int
    has_conns: int
    program: int | None


class Asking:
    """Asks in the network namespace of the calling thread, on its CPU. Raises CannotRun if it may not; `blind` says
    why cookies and groups are not seen, "" if they are.
    """

    def __init__(self, lookup: int) -> None:
        self._ipv6 = lookup in IPV6_LOOKUPS
        self.blind = ""
        self._fds: list[int] = []
        try:
            map_, self._memory = bpf.shared_memory(_PAGE)
        except OSError as error:
            raise CannotRun(f"bpf(2): {error.strerror}: it takes CAP_BPF and CAP_NET_ADMIN") from None
        self._fds.append(map_)
        helper = SK_LOOKUP_UDP if lookup in UDP_LOOKUPS else SKC_LOOKUP_TCP
        self._peek: bpf.TestRun | None = None
        try:
            self._layout = _Layout()
            self._peek = self._run(_peeking(map_))
        except CannotRun as error:
            self.blind = str(error)
        size, seeing = TUPLE_SIZE[self._ipv6], not self.blind
        try:
            self._ask = self._ask_full = self._run(_asking(map_, helper, size, seeing))
            if lookup not in UDP_LOOKUPS:
                self._ask_full = self._run(_asking(map_, SK_LOOKUP_TCP, size, seeing))
        except CannotRun:
            self.close()
            raise

    def _run(self, program: int) -> bpf.TestRun:
        self._fds.append(program)
        return bpf.TestRun(program, _MOST_BYTES)

    def close(self) -> None:
        """Let go of the programs and the memory."""
        self._memory.close()
        while self._fds:
            os.close(self._fds.pop())

    def __call__(self, packet: Packet, full: bool = False) -> Found | None:
        """Whom a lookup finds for the ends and devices of a packet, None for nobody; with `full` the listener of a
        request. For one of this host's own it is asked on the device of its route. Raises CannotRun.
        """
        if packet.sdif > _MOST_BYTES:
            raise CannotRun(f"device {packet.sdif} has too great a number to be asked for")
        self._memory[:MOST_TUPLE] = sock_tuple(packet, self._ipv6)
        length, cb = slave(packet, self._ipv6)
        run = self._ask_full if full else self._ask
        try:
            if not run(length, packet.rt_iif or packet.skb_iif, cb):
                return None
        except OSError as error:
            raise CannotRun(f"a test run of a program: {error.strerror}") from None
        return self._found()

    def _found(self) -> Found:
        at = self._word64(_ADDRESS_AT)
        words = struct.unpack_from(f"<{len(_WORDS)}I", self._memory, _FIELDS_AT)
        told = dict(zip(_WORDS, words, strict=True))
        family = told[SOCK_FAMILY]
        # Addresses are in network byte order as they stand in memory.
        own, peer = self._bytes_of(SOCK_ADDRESS6, 16), self._bytes_of(SOCK_PEER6, 16)
        own4, peer4 = self._bytes_of(SOCK_ADDRESS4, 4), self._bytes_of(SOCK_PEER4, 4)
        return Found(
            family=family,
            state=told[SOCK_STATE],
            address=int.from_bytes(own, "big") if family == AF_INET6 else mapped(int.from_bytes(own4, "big")),
            port=told[SOCK_PORT],
            peer=int.from_bytes(peer, "big") if family == AF_INET6 else mapped(int.from_bytes(peer4, "big")),
            dport=int.from_bytes(self._memory[_DST_PORT_AT : _DST_PORT_AT + 2], "big"),
            device=told[SOCK_DEVICE],
            cookie=self._cookie(at),
            at=at,
        )

    def _bytes_of(self, member: int, size: int) -> bytes:
        at = _FIELDS_AT + 4 * _WORDS.index(member)
        return self._memory[at : at + size]

    def _cookie(self, at: int) -> int | None:
        return self._read(at + self._layout.cookie) if self._peek else None

    def group(self, found: Found) -> Group | None:
        """The group of a full socket that was found, None if it has none, or if it cannot be seen."""
        if not self._peek or not found.at:
            return None
        layout = self._layout
        group = self._read(found.at + layout.group)
        if not group or group & 3:  # the lowest bits say that it is no sock_reuseport
            return None
        live = self._read(group + layout.num_socks) & 0xFFFF
        program = self._read(group + layout.prog)
        sockets = [self._read(group + layout.socks + 8 * slot) for slot in range(live)]
        return Group(
            members=tuple(self._read(at + layout.cookie) for at in sockets),
            closed=self._read(group + layout.num_closed) & 0xFFFF,
            has_conns=self._read(group + layout.has_conns // 8) >> layout.has_conns % 8 & 1,
            program=self._read(program + layout.prog_type) & 0xFFFFFFFF if program else None,
        )

    def _read(self, address: int) -> int:
        """Eight bytes of the kernel's memory, 0 if nothing is there."""
        assert self._peek is not None
        struct.pack_into("<QQ", self._memory, _READ_AT, 0, address)
        with suppress(OSError):
            self._peek(0, 1, (0, 0, 0, 0, 0))
        return self._word64(_READ_AT)

    def _word64(self, at: int) -> int:
        value: int = struct.unpack_from("<Q", self._memory, at)[0]
        return value


class _Layout:
    """Where the members that are read stand. Raises CannotRun."""

    def __init__(self) -> None:
        btf = Btf()
        self.cookie = btf.byte("sock_common", "skc_cookie")
        self.group = btf.byte("sock", "sk_reuseport_cb")
        self.num_socks = btf.byte("sock_reuseport", "num_socks")
        self.num_closed = btf.byte("sock_reuseport", "num_closed_socks")
        self.has_conns = btf.bit("sock_reuseport", "has_conns")
        self.prog = btf.byte("sock_reuseport", "prog")
        self.socks = btf.byte("sock_reuseport", "socks")
        self.prog_type = btf.byte("bpf_prog", "type")


def _asking(memory: int, helper: int, tuple_size: int, seeing: bool) -> int:
    """A program that looks for the socket of a tuple in the map `memory` and writes there what struct bpf_sock shows,
    and if it may be `seeing` the address of the socket. It returns 1, or 0 for nobody.
    """
    code = op(MOVE, R6, R1) + op(LOAD_ADDRESS, R7, PSEUDO_MAP_VALUE, 0, memory) + op(0)
    code += lookup_call(helper, tuple_size)
    code += op(NOT_EQUAL_VALUE, R0, offset=2) + op(MOVE_VALUE, R0) + op(EXIT)
    code += op(MOVE, R8, R0)
    if seeing:
        code += op(STORE_LONG, R7, R8, _ADDRESS_AT)
    for number, at in enumerate(_WORDS):
        code += op(LOAD_WORD, R1, R8, at) + op(STORE_WORD, R7, R1, _FIELDS_AT + 4 * number)
    code += op(LOAD_HALF, R1, R8, SOCK_PEER_PORT) + op(STORE_WORD, R7, R1, _DST_PORT_AT)
    code += op(MOVE, R1, R8) + op(CALL, value=SK_RELEASE) + op(MOVE_VALUE, R0, value=1) + op(EXIT)
    return bpf.load(bpf.CGROUP_SKB, code)


def _peeking(memory: int) -> int:
    """A program that reads eight bytes of the kernel's memory, from an address that the map `memory` has."""
    code = op(LOAD_ADDRESS, R1, PSEUDO_MAP_VALUE, 0, memory) + op(0)
    code += op(LOAD_LONG, R3, R1, _FROM_AT) + op(ADD_VALUE, R1, value=_READ_AT) + op(MOVE_VALUE, R2, value=8)
    code += op(CALL, value=_PROBE_READ_KERNEL) + op(MOVE_VALUE, R0, value=1) + op(EXIT)
    return bpf.load(bpf.CGROUP_SKB, code)
