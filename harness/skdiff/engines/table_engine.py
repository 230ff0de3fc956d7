"""The engine of a sweep: every small table in its turn, or those of one part of them, each once.

The tables are cut into chunks. Workers take them one after the other: a chunk belongs to who makes its file in the
run's scratch folder, and is noted as done in the sweep's own file, from which another run goes on. What a worker that
was killed had taken is taken over by the next one, from the case on that it had in hand; if that kills this one too,
behind it: the supervisor has asked it then, in a process of its own.
"""

import mmap
import os
from collections.abc import Iterator
from pathlib import Path

from skdiff.engines.interface import Run
from skdiff.engines.small_part import Done, Noted, Part, add_note, bounds, read_notes
from skdiff.engines.small_tables import Tables

_SIZE = 16  # bytes of a chunk's file: how many cases are done, and where it was taken over


def drive(run: Run) -> None:
    """Feed a run the tables of its part, until all are done by somebody."""
    part, tables = run.part, run.tables
    assert part is not None and tables is not None
    made = tables()
    notes = read_notes(Path(part.file))
    done = {note.done.chunk for note in notes if note.done is not None}
    left = [chunk for chunk in part.chunks(made.tables) if chunk not in done]
    run.start()
    for claim in claims(left, run.scratch):
        if not _sweep(run, made, part, claim):
            return


def _sweep(run: Run, tables: Tables, part: Part, claim: "Claim") -> bool:
    """A chunk from where it is to its end; returns whether it came so far."""
    start, stop = bounds(claim.chunk, tables.tables)
    before = run.found()
    case, number, first = run.case, 0, claim.done
    for table in tables.some(start, stop):
        if number + len(table) <= first:  # somebody has asked it
            number += len(table)
            continue
        for scenario in table:
            number += 1
            if number <= first:
                continue
            case(scenario)
            claim.done = number
        if run.over():
            return False
    now = run.found()
    more = {name: count - before.get(name, (0, ()))[0] for name, (count, _) in now.items()}
    counts = {name: count for name, count in more.items() if count}
    done = Done(claim.chunk, number, counts, {name: [*now[name][1]] for name in counts})
    add_note(Path(part.file), Noted(done=done))
    claim.drop()
    return True


class Claim:
    """A chunk that this process has taken; `done` counts its cases that are done."""

    def __init__(self, path: Path, chunk: int) -> None:
        self._path, self.chunk = path, chunk
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _SIZE)
        self._view = memoryview(self._memory).cast("Q")

    def take_over(self) -> None:
        """The one who had it is gone. The case in hand is asked again, unless it has ended two of them."""
        asked_again = self._view[1] == self.done + 1
        self.done += asked_again
        self._view[1] = 0 if asked_again else self.done + 1

    @property
    def done(self) -> int:
        """How many cases are done."""
        return int(self._view[0])

    @done.setter
    def done(self, number: int) -> None:
        self._view[0] = number

    def drop(self) -> None:
        """It is done."""
        self._path.unlink()


def claims(chunks: list[int], folder: Path) -> Iterator[Claim]:
    """Those of some chunks that nobody else takes, one after the other; then those whose takers are gone."""
    mine = os.getpid()
    yield from _left(folder, mine)
    for chunk in chunks:
        try:
            os.close(os.open(folder / f"taken-{chunk}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            continue
        path = folder / f"chunk-{chunk}.{mine}"
        path.write_bytes(bytes(_SIZE))
        yield Claim(path, chunk)
    yield from _left(folder, mine)


def _left(folder: Path, mine: int) -> Iterator[Claim]:
    for path in sorted(folder.glob("chunk-*.*")):
        owner = int(path.suffix[1:])
        if owner == mine or _lives(owner):
            continue
        ours = path.with_suffix(f".{mine}")
        try:
            path.rename(ours)
        except FileNotFoundError:  # another one was quicker
            continue
        claim = Claim(ours, int(path.stem.partition("-")[2]))
        claim.take_over()
        yield claim


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError:
        return False
    return True
