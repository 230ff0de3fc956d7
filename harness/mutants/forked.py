"""Each job in a process of its own, forked from this one; what raises, dies or does not end has no answer."""

import os
import resource
import select
import signal
import sys
from collections.abc import Callable, Iterator

_MEMORY = 2 << 30  # bytes that a child may have beside what this process has


def forked(
    count: int, work: Callable[[int], str], cpu_seconds: float, at_once: int = 2
) -> Iterator[tuple[int, str | None]]:
    """(i, what work(i) returns) for i below `count`, as they end; None for a child that died.

    A child has `cpu_seconds` of its own, and twenty times that to wait for others.
    """
    running: dict[int, tuple[int, int, bytearray]] = {}
    todo = iter(range(count))
    try:
        while True:
            while len(running) < at_once and (i := next(todo, None)) is not None:
                pid, end = _start(work, i, cpu_seconds)
                running[end] = (i, pid, bytearray())
            if not running:
                return
            for end in select.select(list(running), [], [])[0]:
                i, pid, text = running[end]
                piece = os.read(end, 1 << 16)
                if piece:
                    text += piece
                    continue
                os.close(end)
                del running[end]
                _, status = os.waitpid(pid, 0)
                yield i, None if status else text.decode()
    finally:
        for end, (_, pid, _) in running.items():
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(end)


def _start(work: Callable[[int], str], i: int, cpu_seconds: float) -> tuple[int, int]:
    """A child that does job i, and the end of the pipe where its answer comes."""
    sys.stdout.flush()
    sys.stderr.flush()
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid:
        os.close(theirs)
        return pid, ours
    status = 1
    try:
        os.close(ours)
        _limit(cpu_seconds)
        with os.fdopen(theirs, "w") as pipe:
            pipe.write(work(i))
        status = 0
    finally:
        os._exit(status)  # whatever happened: nothing of the parent's runs here


def _limit(cpu_seconds: float) -> None:
    for name in (signal.SIGVTALRM, signal.SIGALRM, signal.SIGINT):
        signal.signal(name, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_VIRTUAL, cpu_seconds)
    signal.setitimer(signal.ITIMER_REAL, 20 * cpu_seconds)
    with open("/proc/self/statm") as file:  # noqa: PTH123 - read in a child that does little else
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + _MEMORY, now + _MEMORY))
