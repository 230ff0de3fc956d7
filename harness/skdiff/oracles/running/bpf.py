"""bpf(2) by itself: programs of a few instructions, maps, links, and test runs. No library, no compiler, no BTF.

Numbers are those of include/uapi/linux/bpf.h. Every call raises OSError with what the kernel said.
"""

import ctypes
import mmap
import os
import platform
import struct

from skdiff.base.errors import CannotRun

_SYSCALL = {"x86_64": 321, "aarch64": 280}
_MAP_CREATE, _MAP_UPDATE, _MAP_DELETE, _PROG_LOAD, _TEST_RUN, _LINK_CREATE = 0, 2, 3, 5, 10, 28
_PROG_GET_FD_BY_ID, _OBJ_GET_INFO_BY_FD, _PROG_QUERY = 13, 15, 16
# Codes of instructions: Documentation/bpf/standardization/instruction-set.rst; what a LOAD_ADDRESS is of; registers.
LOAD_BYTE, LOAD_HALF, LOAD_WORD, LOAD_LONG = 0x71, 0x69, 0x61, 0x79
STORE_WORD, STORE_LONG, STORE_VALUE, MOVE, MOVE_VALUE = 0x63, 0x7B, 0x62, 0xBF, 0xB7
ADD, ADD_VALUE, TIMES_VALUE, AND_VALUE = 0x0F, 0x07, 0x27, 0x57
LOAD_ADDRESS, CALL, EXIT, EQUAL_VALUE, NOT_EQUAL_VALUE, GREATER_VALUE = 0x18, 0x85, 0x95, 0x15, 0x55, 0x25
PSEUDO_MAP, PSEUDO_MAP_VALUE = 1, 2
R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10 = range(11)
SOCKET_FILTER, SCHED_CLS, CGROUP_SKB, SK_REUSEPORT, SK_LOOKUP = 1, 3, 8, 21, 30  # types of programs
_ATTACH_SK_LOOKUP, _ATTACH_TCX_INGRESS, _ATTACH_TCX_EGRESS = 36, 46, 47
_ARRAY, _SOCKMAP, _SOCKARRAY, _MMAPABLE = 2, 15, 20, 1 << 10
_ETH_HLEN = 14  # a test run takes a frame; the program's sk_buff begins behind its header
_CONTEXT = 192  # bytes of struct __sk_buff
_IFINDEX_AT, _CB_AT = 40, 48  # in it
# In union bpf_attr of BPF_PROG_TEST_RUN: retval, and data_size_in with data_size_out.
_RETURNED, _RETURNED_AT, _SIZES, _SIZES_AT = struct.Struct("<I"), 4, struct.Struct("<II"), 8
_LOG = 1 << 16
_INFO, _NAME_AT = 80, 64  # as many bytes of struct bpf_prog_info as end with the name, and where that is

_libc = ctypes.CDLL(None, use_errno=True)


def _bpf(command: int, attr: bytes) -> tuple[int, bytes]:
    number = _SYSCALL.get(platform.machine())
    if number is None:
        raise CannotRun(f"the number of bpf(2) on {platform.machine()} is not known here: x86_64 and aarch64 are")
    buffer = ctypes.create_string_buffer(attr, len(attr))
    result = _libc.syscall(number, command, buffer, len(attr))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result, buffer.raw


def instruction(code: int, to: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    """One instruction: its code, registers, offset and immediate value."""
    return struct.pack("<BBhi", code, source << 4 | to, offset, value)


def load(kind: int, code: bytes) -> int:
    """The file descriptor of a program. Raises CannotRun with the last line of the verifier's log if it is refused."""
    instructions, license_ = ctypes.create_string_buffer(code, len(code)), ctypes.create_string_buffer(b"GPL")
    log = ctypes.create_string_buffer(_LOG)
    expected = _ATTACH_SK_LOOKUP if kind == SK_LOOKUP else 0
    attr = struct.pack(
        "<IIQQIIQII16sII",
        *(kind, len(code) // 8, ctypes.addressof(instructions), ctypes.addressof(license_)),
        *(1, _LOG, ctypes.addressof(log), 0, 0, b"skdiff", 0, expected),
    )
    try:
        return _bpf(_PROG_LOAD, attr)[0]
    except OSError as error:
        said = log.value.decode(errors="replace").strip().splitlines()[-1:] or [""]
        raise CannotRun(f"the kernel does not take a BPF program: {error.strerror} {said[0]}".rstrip()) from None


def allowed() -> bool:
    """Whether this process may make maps, and so load programs (CAP_BPF)."""
    try:
        os.close(sockmap(1))
    except (OSError, CannotRun):
        return False
    return True


def shared_memory(size: int) -> tuple[int, mmap.mmap]:
    """A map of one value, and the same memory here: `size` is rounded up to pages by the caller."""
    map_ = _bpf(_MAP_CREATE, struct.pack("<IIIII", _ARRAY, 4, size, 1, _MMAPABLE))[0]
    return map_, mmap.mmap(map_, size)


def sockmap(entries: int) -> int:
    """A map of sockets."""
    return _bpf(_MAP_CREATE, struct.pack("<IIIII", _SOCKMAP, 4, 8, entries, 0))[0]


def sockarray(entries: int) -> int:
    """A map of members of groups."""
    return _bpf(_MAP_CREATE, struct.pack("<IIIII", _SOCKARRAY, 4, 8, entries, 0))[0]


def put(map_: int, key: int, fd: int) -> None:
    """Put a socket into a map of sockets."""
    k, v = ctypes.create_string_buffer(struct.pack("<I", key), 4), ctypes.create_string_buffer(struct.pack("<Q", fd), 8)
    _bpf(_MAP_UPDATE, struct.pack("<IIQQQ", map_, 0, ctypes.addressof(k), ctypes.addressof(v), 0))


def take_out(map_: int, key: int) -> None:
    """Take a socket out of a map of sockets."""
    k = ctypes.create_string_buffer(struct.pack("<I", key), 4)
    _bpf(_MAP_DELETE, struct.pack("<IIQQQ", map_, 0, ctypes.addressof(k), 0, 0))


def attach_sk_lookup(program: int, netns: int) -> int:
    """A link of an sk_lookup program and a network namespace, by their file descriptors; closing it detaches."""
    return _bpf(_LINK_CREATE, struct.pack("<IIII", program, netns, _ATTACH_SK_LOOKUP, 0))[0]


def attach_to_device(program: int, ifindex: int, leaving: bool) -> int:
    """A link of a program and a device of this namespace, which shows it each packet that comes in, or that is
    `leaving` (from Linux 6.6 on).
    """
    kind = _ATTACH_TCX_EGRESS if leaving else _ATTACH_TCX_INGRESS
    return _bpf(_LINK_CREATE, struct.pack("<IIII", program, ifindex, kind, 0))[0]


class TestRun:
    """BPF_PROG_TEST_RUN of a program that gets an sk_buff: net/bpf/test_run.c bpf_prog_test_run_skb(). The sk_buff
    is of the network namespace that the caller is in.
    """

    __test__ = False  # it is no test of pytest's

    def __init__(self, program: int, most_bytes: int) -> None:
        self._context = ctypes.create_string_buffer(_CONTEXT)
        self._data = ctypes.create_string_buffer(_ETH_HLEN + most_bytes)
        self._most = most_bytes
        fields = [program, 0, 0, 0, ctypes.addressof(self._data), 0, 0, 0, _CONTEXT, 0]
        fields += [ctypes.addressof(self._context), 0, 0, 0, 0]
        attr = struct.pack("<IIIIQQIIIIQQIII", *fields)
        self._buffer = ctypes.create_string_buffer(attr, len(attr))
        self._number = _SYSCALL[platform.machine()]
        self._called: object = None
        self._size = 0

    def __call__(self, length: int, ifindex: int, cb: tuple[int, ...]) -> int:
        """What the program returns for an sk_buff of `length` bytes that came in by a device, with these five words in
        its qdisc_skb_cb.
        """
        called = (length, ifindex, cb)
        if called != self._called:  # the next packet often comes in as the last one did
            struct.pack_into("<I", self._context, _IFINDEX_AT, ifindex)
            struct.pack_into("<5I", self._context, _CB_AT, *cb)
            self._size = _ETH_HLEN + min(length, self._most)
            self._called = called
        _SIZES.pack_into(self._buffer, _SIZES_AT, self._size, 0)  # the kernel writes the second one
        if _libc.syscall(self._number, _TEST_RUN, self._buffer, len(self._buffer)) < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))
        returned: int = _RETURNED.unpack_from(self._buffer, _RETURNED_AT)[0]
        return returned


def attached_sk_lookup_programs(netns: int) -> list[int]:
    """The numbers of the sk_lookup programs of a network namespace, by its file descriptor, in the order in which they
    run.
    """
    most = 64  # kernel/bpf/net_namespace.c MAX_LINKS is this; a run has no more
    numbers = ctypes.create_string_buffer(4 * most)
    attr = struct.pack("<IIIIQII", netns, _ATTACH_SK_LOOKUP, 0, 0, ctypes.addressof(numbers), most, 0)
    count = struct.unpack_from("<I", _bpf(_PROG_QUERY, attr)[1], 24)[0]
    return [*struct.unpack_from(f"<{count}I", numbers)]


def program_name(number: int) -> str:
    """What a program is called, by its number; "" if it has no name."""
    program = _bpf(_PROG_GET_FD_BY_ID, struct.pack("<III", number, 0, 0))[0]
    try:
        info = ctypes.create_string_buffer(_INFO)  # struct bpf_prog_info
        _bpf(_OBJ_GET_INFO_BY_FD, struct.pack("<IIQ", program, _INFO, ctypes.addressof(info)))
        return info.raw[_NAME_AT : _NAME_AT + 16].split(b"\0")[0].decode(errors="replace")
    finally:
        os.close(program)
