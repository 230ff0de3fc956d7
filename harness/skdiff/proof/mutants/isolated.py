"""Work in forked children: what kills a child is an answer, not the end of its parent."""

import gc
import os
import pickle
import resource
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from selectors import EVENT_READ, DefaultSelector
from typing import Any

from skdiff.base.errors import CannotRun
from skdiff.base.processors import processors


class Died(Exception):
    """A child ended without an answer; `signal` is what killed it, 0 for nothing."""

    def __init__(self, number: int) -> None:
        super().__init__(f"died of signal {number}")
        self.signal = number


_SHARES, _SECONDS_OF_A_SHARE = 16, 600  # of a processor
_MEMORY = 2 << 30  # bytes that a child may have beside what its parent has


def _limit(cpu_seconds: float) -> None:
    """CPU time, so that a busy machine does not kill; much more of real time; and memory."""
    signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_VIRTUAL, cpu_seconds)
    signal.setitimer(signal.ITIMER_REAL, 20 * cpu_seconds)
    with open("/proc/self/statm") as file:  # noqa: PTH123 - read in a child that does little else
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + _MEMORY, now + _MEMORY))


def _start(work: Callable[[], Any], seconds: int, cpu_seconds: float) -> tuple[int, int]:
    """Fork a child that does the work and writes its answer: (its number, where to read)."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    gc.freeze()  # a child that collects garbage would copy all that its parent has, to look at it
    child = os.fork()
    if child:
        gc.unfreeze()
        os.close(writing)
        return child, reading
    status = 1
    try:
        os.close(reading)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if cpu_seconds:
            _limit(cpu_seconds)
        else:
            signal.alarm(seconds)
        with os.fdopen(writing, "wb") as answer:
            pickle.dump(work(), answer)
        status = 0
    finally:
        os._exit(status)


def each(
    work: Callable[[Any], Any], things: Sequence[Any], jobs: int = 0, seconds: int = 60, cpu_seconds: float = 0
) -> Iterator[tuple[Any, Any]]:
    """(thing, work(thing)) of each thing as they come, `jobs` children at a time (0: one per processor); a child that
    dies, raises, or takes more than `seconds` (or than `cpu_seconds` of its own, if these are given) answers with Died.
    """
    waiting = list(reversed(things))
    running: dict[int, tuple[int, Any, bytearray]] = {}
    with DefaultSelector() as selector:
        try:
            while waiting or running:
                while waiting and len(running) < (jobs or processors()):
                    thing = waiting.pop()
                    child, reading = _start(lambda thing=thing: work(thing), seconds, cpu_seconds)  # type: ignore[misc]
                    running[reading] = (child, thing, bytearray())
                    selector.register(reading, EVENT_READ)
                for key, _ in selector.select():
                    child, thing, answer = running[key.fd]
                    more = os.read(key.fd, 1 << 16)
                    answer += more
                    if more:
                        continue
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    del running[key.fd]
                    _, status = os.waitpid(child, 0)
                    if status:
                        yield thing, Died(os.WTERMSIG(status))
                    else:
                        yield thing, pickle.loads(answer)  # noqa: S301 - our own child wrote it
        finally:
            for reading, (child, _, _) in running.items():
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                os.close(reading)


def in_shares(work: Callable[[range], Any], number: int) -> Iterator[tuple[range, Any]]:
    """(share, work(share)) of the numbers from 0 up to `number`, in their order, cut into shares, some for each
    processor. Raises CannotRun if a child dies, as `each` has it.
    """
    size = number // (_SHARES * processors()) + 1
    shares = [range(start, min(start + size, number)) for start in range(0, number, size)]
    found = dict(each(work, shares, seconds=_SECONDS_OF_A_SHARE))
    for share in shares:
        if isinstance(answer := found[share], Died):
            raise CannotRun(f"the model died of a case ({answer})")
        yield share, answer
