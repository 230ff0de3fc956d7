"""The key that a running kernel hashes connections with, found out from choices that it made by hash."""

import ctypes
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from skdiff.base.build_folder import filled, is_whole
from skdiff.base.compiler import compiler, digest, shared_library
from skdiff.base.errors import CannotRun
from skdiff.base.paths import CSRC, builds

_MOST = 4
_KEYS = 1 << 32


class Observation(NamedTuple):
    """That lookup3 of three words, with the key, and `added` to it, lies between `low` and `high`, both included."""

    words: tuple[int, int, int]
    added: int
    low: int
    high: int


class _Record(ctypes.Structure):
    """struct observation of csrc/hash_key.c."""

    _fields_ = (
        ("words", ctypes.c_uint32 * 3),
        ("added", ctypes.c_uint32),
        ("low", ctypes.c_uint32),
        ("high", ctypes.c_uint32),
    )


def find_key(observations: Sequence[Observation]) -> int:
    """The only key (u32) with which all of these are so. All are tried, which takes some seconds. Raises CannotRun if
    none is, or several are.
    """
    search = _library()
    records = (_Record * len(observations))(*(_Record((ctypes.c_uint32 * 3)(*o.words), *o[1:]) for o in observations))
    parts = len(os.sched_getaffinity(0))
    bounds = [_KEYS * i // parts for i in range(parts + 1)]

    def part(i: int) -> list[int]:
        keys = (ctypes.c_uint32 * _MOST)()
        found = search(records, len(observations), bounds[i], bounds[i + 1], keys, _MOST)
        return list(keys[: min(found, _MOST)])

    with ThreadPoolExecutor(parts) as threads:
        keys = [key for found in threads.map(part, range(parts)) for key in found]
    if len(keys) != 1:
        raise CannotRun(
            f"{len(keys) or 'no'} keys fit what the kernel chose by hash: it hashes otherwise than the model says, or"
            " the rules are not this kernel's (see --epoch)"
        )
    return keys[0]


def _library() -> Callable[..., int]:
    """csrc/hash_key.c, compiled for this machine alone."""
    cc = compiler()
    source = CSRC / "hash_key.c"
    folder = builds() / f"hash-key-{digest([source], cc)[:16]}"
    if not is_whole(folder):
        with filled(folder) as work:
            shared_library([source], work / "hash_key.so", cc, ("-O3", "-march=native"))
    search = ctypes.CDLL(str(folder / "hash_key.so")).skdiff_hash_keys
    search.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_void_p, ctypes.c_int]
    return search
