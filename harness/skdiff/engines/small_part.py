"""A part of a sweep, and the file of a sweep: the chunks of tables that are done, from which another run goes on."""

import os
from pathlib import Path

import msgspec

from skdiff.base.errors import CannotRun
from skdiff.base.files import from_json, to_json, write_whole

CHUNK = 2048  # tables: a quarter of a second


class Part(msgspec.Struct, frozen=True):
    """Which tables a sweep is of: those with so many `sockets` at most, one part of so many, and the file in which the
    chunks are noted that are done.
    """

    sockets: int
    part: int
    parts: int
    file: str

    def chunks(self, tables: int) -> range:
        """The numbers of the chunks of this part; every chunk is of one part."""
        return range(self.part - 1, chunks_of(tables), self.parts)


class Done(msgspec.Struct, frozen=True):
    """A chunk that is done: how many lookups it had, how many of them differed, by signature, and files that have some
    of these.
    """

    chunk: int
    cases: int
    mismatches: dict[str, int] = {}
    files: dict[str, list[str]] = {}


class Noted(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a sweep's file: the first one says what it is a sweep of, each other one what was done; or the file of
    what was found just now, by its signature; or all that had been found by then, sorted by cause, as JSON.
    """

    of: str = ""
    done: Done | None = None
    seen: dict[str, str] = {}
    found: str = ""


def chunks_of(tables: int) -> int:
    """How many chunks so many tables are cut into."""
    return -(-tables // CHUNK)


def bounds(chunk: int, tables: int) -> tuple[int, int]:
    """The first table of a chunk, and the one behind its last."""
    return chunk * CHUNK, min((chunk + 1) * CHUNK, tables)


def read_notes(path: Path) -> list[Noted]:
    """The lines of a sweep's file, none if there is no file; what a kill left of its last line is nothing. Raises
    CannotRun for another file.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CannotRun(f"cannot read {path}: {error.strerror}") from error
    try:
        notes = [from_json(line, Noted) for line in lines[:-1]]
    except (ValueError, RecursionError) as error:
        raise CannotRun(f"{path}: not the file of a sweep") from error
    if (notes and not notes[0].of) or (not notes and any(lines)):
        raise CannotRun(f"{path}: not the file of a sweep")
    return notes


def write_notes(path: Path, notes: list[Noted]) -> None:
    """Write a sweep's file anew, whole. Raises CannotRun."""
    try:
        write_whole(path, "".join(f"{to_json(note)}\n" for note in notes))
    except OSError as error:
        raise CannotRun(f"cannot write {path}: {error.strerror}") from error


def add_note(path: Path, note: Noted) -> None:
    """Add a line, which several processes may do at once. Raises CannotRun."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(file, f"{to_json(note)}\n".encode())
        finally:
            os.close(file)
    except OSError as error:
        raise CannotRun(f"cannot write {path}: {error.strerror}") from error
