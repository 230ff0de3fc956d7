"""What programs were shown, out of the memory that they share with Python, as an Outcome has it."""

import struct
from functools import lru_cache
from mmap import mmap

from skdiff.cases.addresses import mapped
from skdiff.cases.outcome import MAX_SHOWN, SHOWN_FILTER, SHOWN_SK_LOOKUP, UNSEEN
from skdiff.cases.scenario import AF_INET6, NONE
from skdiff.oracles.running.programs import RUN_SIZE, RUNS_AT, SHOWN_AT

# As programs.py writes them. Addresses and the peer's port are in network order.
_TAG = struct.Struct("<I")
_SK_LOOKUP = struct.Struct("<4xIII4s16sH2x4s16sII")
_REUSEPORT = struct.Struct("<4xIIIIIII")
_FILTER = struct.Struct("<4xII")


def forget(memory: mmap) -> None:
    """Let programs write from the start."""
    _TAG.pack_into(memory, SHOWN_AT, 0)


def shown(memory: mmap, hash_known: bool) -> tuple[tuple[int, ...], ...]:
    """What the programs were shown, in their order; what they cannot see is UNSEEN. The hash of a packet
    is compared where it is `hash_known` what the kernel hashes with.
    """
    count = min(_TAG.unpack_from(memory, SHOWN_AT)[0], MAX_SHOWN)
    if not count:
        return ()
    ends = RUNS_AT + count * RUN_SIZE
    return tuple(_run(memory[at : at + RUN_SIZE], hash_known) for at in range(RUNS_AT, ends, RUN_SIZE))


@lru_cache(1 << 14)  # packets of the pools come again, and programs are shown the same
def _run(run: bytes, hash_known: bool) -> tuple[int, ...]:
    tag = _TAG.unpack_from(run)[0]
    kind, number, index = tag >> 16, tag >> 8 & 0xFF, tag & 0xFF
    if kind == SHOWN_SK_LOOKUP:
        selected, family, protocol, saddr4, saddr6, sport, daddr4, daddr6, dport, ifindex = _SK_LOOKUP.unpack_from(run)
        ipv6 = family == AF_INET6
        saddr, daddr = (_address(ipv6, *both) for both in ((saddr4, saddr6), (daddr4, daddr6)))
        sport = sport >> 8 | (sport & 0xFF) << 8
        ends = (saddr, sport, daddr, dport)
        return (kind, number, index, family, protocol, *ends, ifindex, selected - 1, UNSEEN, int(ipv6))
    if kind == SHOWN_FILTER:
        length, first = _FILTER.unpack_from(run)
        data = first if length else UNSEEN  # each byte of a payload says where the payload begins
        return (kind, number, UNSEEN, data, length, UNSEEN, UNSEEN, UNSEEN)
    mark, length, _, _, inany, hashed, migrating = _REUSEPORT.unpack_from(run)
    known = hashed if hash_known else UNSEEN
    return (kind, number, mark - 1, known, UNSEEN, inany, NONE, migrating - 1, UNSEEN, length)


def _address(ipv6: bool, ipv4: bytes, whole: bytes) -> int:
    """The address of a packet's family; what is in the place of the other's is added, which is nothing."""
    if ipv6:
        return int.from_bytes(whole, "big") + int.from_bytes(ipv4, "big")
    return mapped(int.from_bytes(ipv4, "big")) + int.from_bytes(whole, "big")
