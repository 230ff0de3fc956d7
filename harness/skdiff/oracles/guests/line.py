"""What is said between skdiff and its agent in a guest, over a stream of bytes: messages, cases and answers.

A message is its kind (a byte), its length (u32, little-endian), and that many bytes. skdiff begins with RULES; the
agent answers HELLO, or CANNOT with the reason; then it answers each CASES with ANSWERS, in their order. KEYS tells it
what its kernel hashes with, once that is known. FAILED is an error of the agent itself. Cases are records of
csrc/record.h: one with its tables whole, and of those that follow with the same tables only what is in front of them.
"""

import os
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from skdiff.base.files import from_json, to_json
from skdiff.cases.native import decode, encode, encode_frame
from skdiff.cases.outcome import ABSENT, Outcome
from skdiff.cases.record import SCENARIO_SIZE, ffi
from skdiff.cases.scenario import Scenario

RULES, HELLO, CANNOT, KEYS, CASES, ANSWERS, FAILED = b"R", b"H", b"C", b"K", b"Q", b"A", b"F"

_HEADER = struct.Struct("<cI")
_MOST = 1 << 26  # bytes of a message; more is noise on the line
_FRAME_SIZE = int(ffi.offsetof("struct scenario_record", "packet") + ffi.sizeof("struct packet_record"))
_TABLES_AT = Scenario._fields.index("packet") + 1
_WHOLE, _FRAME = b"\1", b"\0"


class Broken(OSError):
    """The other side is gone, or says what it cannot mean."""


class Line:
    """One end of the stream: a file descriptor that is read and written, in blocking mode."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def send(self, kind: bytes, body: bytes) -> None:
        """Send a message. Raises OSError if the other side is gone."""
        left = memoryview(_HEADER.pack(kind, len(body)) + body)
        while left:
            left = left[os.write(self.fd, left) :]

    def receive(self) -> tuple[bytes, bytes]:
        """The next message: its kind and body. Raises Broken."""
        kind, length = _HEADER.unpack(self._read(_HEADER.size))
        if length > _MOST:
            raise Broken(f"a message of {length} bytes")
        return kind, self._read(length)

    def _read(self, size: int) -> bytes:
        parts, left = [], size
        while left:
            part = os.read(self.fd, left)
            if not part:
                raise Broken("the other side has closed the line")
            parts.append(part)
            left -= len(part)
        return b"".join(parts)


def cases(scenarios: Sequence[Scenario]) -> bytes:
    """The body of CASES."""
    parts, before = [], None
    buffer = bytearray(SCENARIO_SIZE)
    for scenario in scenarios:
        tables = scenario[_TABLES_AT:]
        if tables == before:
            encode_frame(scenario, buffer)
            parts += [_FRAME, bytes(buffer[:_FRAME_SIZE])]
        else:
            encode(scenario, buffer)
            parts += [_WHOLE, bytes(buffer)]
            before = tables
    return b"".join(parts)


def read_cases(body: bytes) -> Iterator[Scenario]:
    """The scenarios of CASES. Those with the same tables share them."""
    at, tables, record = 0, Scenario()[_TABLES_AT:], bytearray(SCENARIO_SIZE)
    while at < len(body):
        whole, at = body[at : at + 1] == _WHOLE, at + 1
        size = SCENARIO_SIZE if whole else _FRAME_SIZE
        record[:size] = body[at : at + size]
        at += size
        scenario = decode(record)
        tables = scenario[_TABLES_AT:] if whole else tables
        yield Scenario._make((*scenario[:_TABLES_AT], *tables))


def answers(outcomes: Sequence[tuple[Outcome, str]]) -> bytes:
    """The body of ANSWERS: of each case the socket, the whole outcome where there is more to it, or why it was refused
    (JSON).
    """
    told: list[int | str | list[object]] = []
    for outcome, why in outcomes:
        if outcome.ended == ABSENT:
            told.append(why)
        else:
            told.append(outcome.sk if outcome == Outcome(sk=outcome.sk) else [*outcome])
    return to_json(told).encode()


def read_answers(body: bytes) -> list[tuple[Outcome, str]]:
    """The outcomes of ANSWERS. Raises Broken."""
    try:
        return [_answer(told) for told in from_json(body, list[Any])]
    except (ValueError, TypeError) as error:
        raise Broken(f"an answer that cannot be read: {error}") from None


def _answer(told: int | str | list[object]) -> tuple[Outcome, str]:
    if isinstance(told, int):
        return Outcome(sk=told), ""
    if isinstance(told, str):
        return Outcome(ended=ABSENT), told
    return Outcome._make(_tuples(told)), ""


def _tuples(value: list[Any]) -> tuple[Any, ...]:
    """Lists as tuples, at any depth: JSON has no tuples."""
    return tuple(_tuples(part) if isinstance(part, list) else part for part in value)
