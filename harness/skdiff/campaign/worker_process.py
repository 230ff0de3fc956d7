"""A lane of a run: one worker process after the other, what they say, and the case that each has in hand."""

import json
import mmap
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from types import TracebackType
from typing import Any

from skdiff.campaign.same_addresses import same_addresses
from skdiff.campaign.worker import DONE_AT, SHARED_SIZE, Job
from skdiff.cases.record import decode
from skdiff.cases.scenario import Scenario
from skdiff.kernel.compilation import preload

MAX_DEATHS = 10  # in a row, of workers that did not live long
LONG_LIFE = 10.0  # seconds
TO_END = 10.0  # seconds that a worker has to end after its last word
_LANES, _LIVES = 104_729, 7919  # steps of the seeds from lane to lane and from life to life


class Lane:
    """The worker of a number, and those that take its place when it dies; each has a seed of its own.

    A context manager; leaving it ends the worker. `counters` are those of all its lives, as in a worker's messages.
    """

    def __init__(self, job: Job, number: int) -> None:
        self._job = job
        self.job = job  # what is left of it for the worker that runs now
        self.number = number
        self.deaths = 0
        self.why = ""  # it gave up, if it did
        self._hasty = 0
        self._before = summed([])  # the counters of earlier lives
        self._last: dict[str, Any] = {}
        self._found: dict[str, dict[str, Any]] = {}  # findings of the worker that runs, by signature
        self._process: subprocess.Popen[bytes] | None = None
        self._shared = os.memfd_create("skdiff-case-in-hand")  # no file: a full disk must not matter
        os.ftruncate(self._shared, SHARED_SIZE)
        self._memory = mmap.mmap(self._shared, SHARED_SIZE)
        self._done = memoryview(self._memory)[DONE_AT:].cast("Q")

    def __enter__(self) -> "Lane":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._ended()
        self._done.release()
        self._memory.close()
        os.close(self._shared)

    def start(self) -> int:
        """Start a worker for what is left of the job; returns the file descriptor that its messages come from."""
        before = self._before
        self._memory[:SHARED_SIZE] = bytes(SHARED_SIZE)
        self.job = job = replace(
            self._job,
            seed=self._job.seed + self.number * _LANES + self.deaths * _LIVES,
            cases=self._job.cases - before["cases"] if self._job.cases else 0,
            seconds=self._job.seconds - before["seconds"] if self._job.seconds else 0,
            parent=os.getpid(),
            shared=self._shared,
        )
        self._said = os.memfd_create("skdiff-complaints")
        self._messages, writing = os.pipe()
        self._rest, self._born, self._last, self._found = b"", time.monotonic(), {}, {}
        with same_addresses():
            self._process = subprocess.Popen(
                [sys.executable, "-m", "skdiff.campaign.worker", str(writing), json.dumps(asdict(job))],
                pass_fds=(writing, self._shared),
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=self._said,
                env={**os.environ, **preload(job.variant)},
            )
        os.close(writing)
        return self._messages

    @property
    def running(self) -> bool:
        """Whether there is a worker."""
        return self._process is not None

    def signal(self, number: int) -> None:
        """Send a signal to the worker, if there is one."""
        if self._process is not None:
            self._process.send_signal(number)

    def hear(self) -> list[dict[str, Any]] | None:
        """What the worker has said since; None if it says no more."""
        data = os.read(self._messages, 1 << 16)
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        messages = [json.loads(line) for line in lines]
        for message in messages:
            if message["kind"] in ("progress", "done", "cannot"):
                self._last = message
            elif message["kind"] == "finding":
                self._found[message["signature"]] = {**message, "count": 1}
        return messages

    def end(self, asked: bool = False) -> tuple[int, str]:
        """Wait for the worker that says no more, and add up what it did; one that was `asked` to end has not died.
        Returns its exit status (negative: the signal that killed it) and the end of what it complained.
        """
        status, said = self._ended()
        counted = self._last.get("mismatches", [])  # without those that it found after its last counters
        untold = self._found.keys() - {mismatch["signature"] for mismatch in counted}
        found = [*counted, *(self._found[signature] for signature in sorted(untold))]
        self._before = self._with({**self._last, "cases": self.cases, "mismatches": found})
        self._done[0] = 0
        if self._last.get("kind") not in ("done", "cannot") and not asked:
            self.deaths += 1
            self._hasty = self._hasty + 1 if time.monotonic() - self._born < LONG_LIFE else 0
        return status, said

    def _ended(self) -> tuple[int, str]:
        process, self._process = self._process, None
        assert process is not None
        try:
            status = process.wait(TO_END)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        os.close(self._messages)
        with os.fdopen(self._said, "rb") as file:
            file.seek(0)
            lines = file.read().decode("utf-8", "replace").strip().splitlines()
        return status, " | ".join(lines[-3:]) if len(lines) < 40 else lines[0]

    @property
    def last(self) -> Mapping[str, Any]:
        """The newest counters of the worker that runs, or ran last."""
        return self._last

    @property
    def cases(self) -> int:
        """How many cases the worker that runs, or ran last, has done: also those that it had no time to tell of."""
        return int(self._done[0])

    @property
    def counters(self) -> dict[str, Any]:
        """The counters of all workers so far; `seconds` is how long they were at work, one after the other."""
        return self._before if self._process is None else self._with(self._last)

    def _with(self, last: Mapping[str, Any]) -> dict[str, Any]:
        """The counters of earlier workers and of one more, which was at work after them, not beside them."""
        seconds = self._before["seconds"] + last.get("seconds", 0.0)
        return {**summed([self._before, last]), "seconds": seconds}

    def in_hand(self) -> Scenario:
        """The scenario that the last worker had in hand, as the record has it: it need not be a valid one."""
        return decode(self._memory)

    def more(self) -> bool:
        """Whether a new worker has something left to do."""
        budget = {"cases": self._job.cases, "seconds": self._job.seconds}
        return all(self._before[key] < most for key, most in budget.items() if most)

    def tired(self) -> bool:
        """Whether workers have died at once so many times that one more is no use."""
        return self._hasty >= MAX_DEATHS


def summed(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The counters of several workers as one: cases, classes, processor seconds and findings add up, coverage is what
    any of them has taken, time is that of the one that took longest, memory is left to those that run.
    """
    total: dict[str, Any] = {"cases": 0, "seconds": 0.0, "processor": 0.0, "classes": {}}
    total |= {side: (frozenset(), 0) for side in ("edges", "lines")}
    found: dict[str, dict[str, Any]] = {}
    for part in parts:
        total["cases"] += part.get("cases", 0)
        total["processor"] += part.get("processor", 0.0)
        total["seconds"] = max(total["seconds"], part.get("seconds", 0.0))
        for side in ("edges", "lines"):
            taken, among = part.get(side, ((), 0))
            before, most = total[side]
            total[side] = before.union(taken), max(most, among)
        for name, count in part.get("classes", {}).items():
            total["classes"][name] = total["classes"].get(name, 0) + count
        for m in part.get("mismatches", ()):
            fresh = {"signature": m["signature"], "file": "", "count": 0, "others": []}
            known = found.setdefault(m["signature"], fresh)
            known["count"] += m["count"]
            files = [known["file"], *known["others"], m["file"], *m.get("others", ())]
            first, *others = dict.fromkeys(filter(None, files)) or [""]
            known.update(file=first, others=others)
    total["mismatches"] = list(found.values())
    return total
