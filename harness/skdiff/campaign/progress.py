"""What a person sees of a run: a line that moves on a terminal, a line now and then elsewhere, a summary at the end."""

import time
from collections.abc import Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live as View
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from skdiff.campaign.run import CLASSES

QUIET_EVERY = 15.0
SAMPLES = 120  # of a run, at most
FOUND = 8  # signatures that are shown while it runs


class Series:
    """A run in a few samples, evenly spread however long it takes: each [seconds, cases, edges taken, MiB of all
    workers, processor seconds of all], since its start.
    """

    def __init__(self) -> None:
        self.samples: list[list[float]] = []
        self._every, self._seen = 1, 0

    def add(self, message: Mapping[str, Any]) -> None:
        """Note a run's counters."""
        self._seen += 1
        if self._seen % self._every:
            return
        memory, processor = round(message.get("memory", 0) / 1024, 1), round(message.get("processor", 0.0), 2)
        taken = message.get("edges", (0, 0))[0]
        self.samples.append([round(message["seconds"], 1), message["cases"], taken, memory, processor])
        if len(self.samples) >= SAMPLES:
            self.samples = self.samples[1::2]
            self._every *= 2


class Live:
    """Shows the messages of a run on `console`; `seconds` and `cases` (0: no bound) say when it will be over."""

    def __init__(self, console: Console, seconds: float, cases: int = 0) -> None:
        self._console = console
        self._seconds, self._cases = seconds, cases
        self._told = time.monotonic()
        self._found = 0
        self.series = Series()
        self._progress: Progress | None = None
        if console.is_terminal:
            bar = (SpinnerColumn(), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
            self._progress = Progress(*bar, console=console)
            self._task = self._progress.add_task("starting", total=cases or seconds or None)
            self._view = View(self._progress, console=console, transient=True)

    def __enter__(self) -> "Live":
        if self._progress is not None:
            self._view.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._view.stop()
        if self._found > 1:
            self._console.print(f"found {self._found} kinds of differences, before they are sorted by cause")

    def message(self, message: Mapping[str, Any]) -> None:
        """Show one message of a run."""
        if message["kind"] == "finding" and not message["file"]:
            say = f"found {message['signature']}, which cannot be written ({message['why']}); this is its case:"
            self._console.print(f"{say}\n{message['case']}", markup=False, soft_wrap=True)
        elif message["kind"] == "finding":
            self._found += 1
            if self._found == 1:
                self._console.print(f"found {message['signature']}: {message['file']}", markup=False, soft_wrap=True)
        elif message["kind"] == "progress":
            self.series.add(message)
            if self._progress is not None:
                done = message["cases"] if self._cases else message["seconds"]
                self._progress.update(self._task, completed=done, description=self._left(message))
                self._view.update(Group(self._progress, *_state(message)))
            elif time.monotonic() - self._told >= QUIET_EVERY:
                self._told = time.monotonic()
                found = sum(m["count"] for m in message["mismatches"])
                words = (*_told(message), f"{found:,} mismatches", self._left(message))
                self._console.print(f"{message['seconds']:.0f}s: {', '.join(filter(None, words))}")

    def _left(self, message: Mapping[str, Any]) -> str:
        """How much time is left, as far as the run has a bound and a pace."""
        left = self._seconds - message["seconds"]
        if self._cases:
            left = (self._cases - message["cases"]) * message["seconds"] / (message["cases"] or 1)
        if not (self._seconds or self._cases) or not message["cases"]:
            return ""
        return f"{timedelta(seconds=max(0, round(left)))} left"


def _told(message: Mapping[str, Any]) -> list[str]:
    """The numbers of a run, for a line."""
    rate = message["cases"] / message["seconds"] if message["seconds"] else 0
    words = [f"{message['cases']:,} cases", f"{rate:,.0f}/s"]
    for side, what in (("edges", "edges of the C"), ("lines", "lines of the model")):
        taken, among = message[side]
        words += [f"{taken}/{among} {what}"] if among else []
    words += [f"{message['inputs']:,} inputs"] if message["inputs"] else []
    words += [f"{message['deaths']} workers died"] if message["deaths"] else []
    return words


def _state(message: Mapping[str, Any]) -> list[RenderableType]:
    """A run's numbers, the share of each class of cases so far in two columns, and what was found, most often first."""
    table = Table(box=None, pad_edge=False, show_header=False)
    shares = [(name, f"{100 * message['classes'].get(name, 0) / max(1, message['cases']):.1f} %") for name in CLASSES]
    half = (len(shares) + 1) // 2
    for i in range(half):
        other = shares[half + i] if half + i < len(shares) else ("", "")
        table.add_row("  ", *shares[i], "  ", *other)
    found = Table(box=None, pad_edge=False, show_header=False)
    for mismatch in sorted(message["mismatches"], key=lambda m: -m["count"])[:FOUND]:
        found.add_row("  ", f"{mismatch['count']:,} x", Text(mismatch["signature"]))
    more = len(message["mismatches"]) - FOUND
    return [Text("  " + ", ".join(_told(message))), table, found, *([Text(f"  and {more} more")] if more > 0 else [])]
