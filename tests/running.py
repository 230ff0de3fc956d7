"""Runs in processes of their own, as people have them: on a terminal, until something ends them."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from skdiff.kernel.build import Build
from skdiff.kernel.options import BuildOptions

SKDIFF = [sys.executable, "-m", "skdiff"]


def made(kernel: str, variant: str = "", guided: bool = False) -> Build:
    """The build of a kernel, as the environment wants builds."""
    return BuildOptions.read().build(kernel, variant, guided)


def side(words: str) -> Build:
    """The build of a side of diff, as the environment wants builds."""
    return BuildOptions.read().build_side(words)


@dataclass
class Shown:
    """A run, and our end of the terminal that its messages go to."""

    process: subprocess.Popen[str]
    terminal: int

    def signal(self, number: int) -> None:
        """What a terminal sends reaches the workers too."""
        os.killpg(self.process.pid, number)

    def until(self, pattern: bytes) -> None:
        """Read what it shows up to this."""
        seen = b""
        while not re.search(pattern, seen):
            seen += os.read(self.terminal, 4096)

    def ended(self) -> str:
        """What it writes once it is over, and not to the terminal; there may be no traceback there."""
        shown = b""
        with contextlib.suppress(OSError):  # what Linux says at the end of a terminal, or that it is closed
            while part := os.read(self.terminal, 4096):
                shown += part
        out, _ = self.process.communicate(timeout=20)
        assert b"Traceback" not in shown
        return out

    def hang_up(self) -> None:
        """Close the terminal."""
        os.close(self.terminal)
        self.terminal = -1


@contextlib.contextmanager
def fuzzing(*arguments: str, **environment: str) -> Iterator[Shown]:
    """A minute's fuzzing, which has just begun."""
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [*SKDIFF, "fuzz", "--seconds", "60", *arguments],
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        start_new_session=True,
        env={**os.environ, "SAN": "", "TERM": "xterm", "COLUMNS": "200", **environment},
    )
    os.close(theirs)
    run = Shown(process, ours)
    try:
        run.until(rb"engine")
        yield run
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if run.terminal >= 0:
            os.close(run.terminal)


AT_WORK = rb"[1-9][\d,]* cases"  # what a run shows of its first half second
