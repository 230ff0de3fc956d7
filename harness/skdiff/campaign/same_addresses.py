"""Processes whose addresses are the same each time."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

_ADDR_NO_RANDOMIZE, _ASK = 0x0040000, 0xFFFFFFFF  # personality(2)


@contextmanager
def same_addresses() -> Iterator[None]:
    """What this thread starts meanwhile has its memory at the same addresses in each run. libFuzzer learns from what
    the C compares, pointers among it, so that a seed could not repeat a guided run otherwise. Where the system does not
    allow it (some containers), nothing changes.
    """
    personality = ctypes.CDLL(None).personality
    before = personality(_ASK)
    if before >= 0:
        personality(before | _ADDR_NO_RANDOMIZE)
    try:
        yield
    finally:
        if before >= 0:
            personality(before)
