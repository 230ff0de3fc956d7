"""The key that a running kernel hashes connections with, found out from choices that it made by hash."""

import ctypes
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

from skdiff.base.build_folder import filled, is_whole
from skdiff.base.compiler import compiler, digest, shared_library
from skdiff.base.errors import CannotRun
from skdiff.base.paths import CSRC, builds

MEMBERS = 32  # of a group that chooses
_MOST = 4


class Question(NamedTuple):
    """That lookup3 of three words, with the key, and `added` to it, chooses one of MEMBERS."""

    words: tuple[int, int, int]
    added: int


class _Record(ctypes.Structure):
    """struct question of csrc/hash_key.c."""

    _fields_ = (("words", ctypes.c_uint32 * 3), ("added", ctypes.c_uint32))


def find_key(asked: Sequence[Question], chosen: Sequence[Sequence[int]]) -> int:
    """The only key (u32) with which all of this was chosen: `chosen[i]` has the answers to the questions with `i` added
    to each of their words. There is a power of two of these sets; the more, the fewer keys have to be tried. Raises
    CannotRun if no key fits, or several do.
    """
    records = (_Record * len(asked))(*(_Record((ctypes.c_uint32 * 3)(*one.words), one.added) for one in asked))
    keys = (ctypes.c_uint32 * _MOST)()
    answers = b"".join(map(bytes, chosen))
    found = _library()(records, len(asked), answers, len(chosen), keys, _MOST)
    if found != 1:
        raise CannotRun(
            f"{found or 'no'} keys fit what the kernel chose by hash: it hashes otherwise than the model says, or"
            " the rules are not this kernel's (see --epoch)"
        )
    return keys[0]


@cache
def _library() -> Callable[..., int]:
    """csrc/hash_key.c, compiled for this machine alone."""
    cc = compiler()
    source = CSRC / "hash_key.c"
    folder = builds() / f"hash-key-{digest([source], cc)[:16]}"
    if not is_whole(folder):
        with filled(folder) as work:
            shared_library([source], work / "hash_key.so", cc, ("-O3", "-march=native"))
    search = ctypes.CDLL(str(folder / "hash_key.so")).skdiff_hash_keys
    search.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
    return search
