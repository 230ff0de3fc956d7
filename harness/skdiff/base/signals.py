"""What asks a process to end: Ctrl-C, SIGTERM, the loss of its terminal."""

import os
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], None]


def install_handlers(handler: Handler) -> dict[int, Any]:
    """Let `handler` hear what asks to end; nohup is respected, and a terminal is lost only once. Returns the handlers
    that were there before; nothing is changed in a thread that gets no signals.
    """

    def lost(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)  # a shell passes on what the kernel has sent already
        _say_no_more()
        handler(number, frame)

    if threading.current_thread() is not threading.main_thread():
        return {}
    before: dict[int, Any] = {n: signal.signal(n, handler) for n in (signal.SIGINT, signal.SIGTERM)}
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, lost)
    return before


@contextmanager
def handlers_installed(handler: Handler) -> Iterator[None]:
    """Let `handler` hear what asks to end, for a while. Who has lost the terminal then does not mind it any more."""
    before = install_handlers(handler)
    try:
        yield
    finally:
        for number, earlier in before.items():
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, earlier)


@contextmanager
def interrupts_noted() -> Iterator[Callable[[], bool]]:
    """What asks to end ends nothing here, but is what the yielded function tells of."""
    asked: list[int] = []
    with handlers_installed(lambda number, _: asked.append(number)):
        yield lambda: bool(asked)


def _say_no_more() -> None:
    """To write to a terminal that is gone fails, which would end a run without its summary."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (1, 2):
        with suppress(OSError):  # it may be closed
            if stat.S_ISCHR(os.fstat(number).st_mode):
                os.dup2(nowhere, number)
    os.close(nowhere)
