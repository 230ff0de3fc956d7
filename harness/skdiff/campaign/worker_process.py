"""A worker process of a run, and those that take its place: what they say, and the case that each has in hand."""

import mmap
import os
import subprocess
import sys
import time
from types import TracebackType

import msgspec

from skdiff.campaign.messages import (
    Cannot,
    Counters,
    Done,
    Finding,
    Found,
    Message,
    Progress,
    from_line,
    summed,
)
from skdiff.campaign.same_addresses import same_addresses
from skdiff.campaign.worker import DONE_AT, SHARED_SIZE, Job
from skdiff.cases.native import decode
from skdiff.cases.scenario import Scenario
from skdiff.kernel.compilation import preload

MAX_DEATHS = 10  # in a row, of workers that did not live long
LONG_LIFE = 10.0  # seconds
TO_END = 10.0  # seconds that a worker has to end after its last word
_NUMBERS, _LIVES = 104_729, 7919  # steps of the seeds from worker to worker, and from life to life


class WorkerProcess:
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
        self._before = Counters()  # the counters of earlier lives
        self._last = Counters()
        self.ending: Done | Cannot | None = None  # the last word of the worker, if it had one
        self._found: dict[str, Finding] = {}  # findings of the worker that runs, by signature
        self._process: subprocess.Popen[bytes] | None = None
        self._shared = os.memfd_create("skdiff-case-in-hand")  # no file: a full disk must not matter
        os.ftruncate(self._shared, SHARED_SIZE)
        self._memory = mmap.mmap(self._shared, SHARED_SIZE)
        self._done = memoryview(self._memory)[DONE_AT:].cast("Q")

    def __enter__(self) -> "WorkerProcess":
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
        self.job = job = msgspec.structs.replace(
            self._job,
            seed=self._job.seed + self.number * _NUMBERS + self.deaths * _LIVES,
            cases=self._job.cases - before.cases if self._job.cases else 0,
            seconds=self._job.seconds - before.seconds if self._job.seconds else 0,
            parent=os.getpid(),
            shared=self._shared,
        )
        self._said = os.memfd_create("skdiff-complaints")
        self._messages, writing = os.pipe()
        self._rest, self._born, self._found = b"", time.monotonic(), {}
        self._last, self.ending = Counters(), None
        with same_addresses():
            self._process = subprocess.Popen(
                [sys.executable, "-m", "skdiff.campaign.worker", str(writing), job.text()],
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

    def hear(self) -> list[Message] | None:
        """What the worker has said since; None if it says no more."""
        data = os.read(self._messages, 1 << 16)
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        messages = [from_line(line) for line in lines]
        for message in messages:
            match message:
                case Progress(counters):
                    self._last = counters
                case Done(counters):
                    self._last, self.ending = counters, message
                case Cannot():
                    self.ending = message
                case Found(finding):
                    self._found[finding.signature] = msgspec.structs.replace(finding, count=1)
        return messages

    def end(self, asked: bool = False) -> tuple[int, str]:
        """Wait for the worker that says no more, and add up what it did; one that was `asked` to end has not died.
        Returns its exit status (negative: the signal that killed it) and the end of what it complained.
        """
        status, said = self._ended()
        counted = self._last.mismatches  # without those that it found after its last counters
        uncounted = self._found.keys() - {finding.signature for finding in counted}
        found = [*counted, *(self._found[signature] for signature in sorted(uncounted))]
        self._before = self._with(msgspec.structs.replace(self._last, cases=self.cases, mismatches=found))
        self._done[0] = 0
        if self.ending is None and not asked:
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
    def last(self) -> Counters:
        """The newest counters of the worker that runs, or ran last."""
        return self._last

    @property
    def cases(self) -> int:
        """How many cases the worker that runs, or ran last, has done: also those that it had no time to tell of."""
        return int(self._done[0])

    @property
    def counters(self) -> Counters:
        """The counters of all workers so far; `seconds` is how long they were at work, one after the other."""
        return self._before if self._process is None else self._with(self._last)

    def _with(self, last: Counters) -> Counters:
        """The counters of earlier workers and of one more, which was at work after them, not beside them."""
        return msgspec.structs.replace(summed([self._before, last]), seconds=self._before.seconds + last.seconds)

    def in_hand(self) -> Scenario:
        """The scenario that the last worker had in hand, as the record has it: it need not be a valid one."""
        return decode(self._memory)

    def more(self) -> bool:
        """Whether a new worker has something left to do."""
        job, done = self._job, self._before
        return not (job.cases and done.cases >= job.cases) and not (job.seconds and done.seconds >= job.seconds)

    def tired(self) -> bool:
        """Whether workers have died at once so many times that one more is no use."""
        return self._hasty >= MAX_DEATHS
