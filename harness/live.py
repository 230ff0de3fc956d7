"""What a person sees of a run: a line that moves on a terminal, a line now and then elsewhere, a summary at the end."""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live as View
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from harness.run import CLASSES

QUIET_EVERY = 15.0
SAMPLES = 120  # of a run, at most


class Series:
    """A run in a few samples, evenly spread however long it takes: [seconds, cases, edges taken] each, from its start.

    A worker that died and was started again counts from 0: what was there before is added.
    """

    def __init__(self) -> None:
        self.samples: list[list[float]] = []
        self._last: tuple[float, int] = (0.0, 0)
        self._before: tuple[float, int] = (0.0, 0)
        self._every, self._seen = 1, 0

    def add(self, message: Mapping[str, Any]) -> None:
        """Note a worker's counters."""
        now = float(message["seconds"]), int(message["cases"])
        if now[1] < self._last[1]:
            self._before = self._before[0] + self._last[0], self._before[1] + self._last[1]
        self._last = now
        self._seen += 1
        if self._seen % self._every:
            return
        seconds, cases = self._before[0] + now[0], self._before[1] + now[1]
        self.samples.append([round(seconds, 1), cases, message.get("edges", (0, 0))[0]])
        if len(self.samples) >= SAMPLES:
            self.samples = self.samples[1::2]
            self._every *= 2


class Live:
    """Shows the messages of a worker on `console`; `seconds` (0: no bound) is how long the run will take."""

    def __init__(self, console: Console, seconds: float) -> None:
        self._console = console
        self._seconds = seconds
        self._told = time.monotonic()
        self.series = Series()
        self._progress: Progress | None = None
        if console.is_terminal:
            bar = (SpinnerColumn(), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
            self._progress = Progress(*bar, console=console)
            self._task = self._progress.add_task("starting", total=seconds or None)
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

    def message(self, message: Mapping[str, Any]) -> None:
        """Show one message of a worker."""
        if message["kind"] == "finding":
            self._console.print(f"found {message['signature']}: {message['file']}", markup=False, soft_wrap=True)
        elif message["kind"] == "progress":
            self.series.add(message)
            rate = message["cases"] / message["seconds"] if message["seconds"] else 0
            found = sum(m["count"] for m in message["mismatches"])
            text = f"{message['cases']:,} cases, {rate:,.0f}/s, {found} mismatches"
            taken, edges = message.get("edges", (0, 0))
            if edges:
                text += f", {taken}/{edges} edges of the C"
            if message.get("corpus"):
                text += f", {message['corpus']} inputs"
            if self._progress is not None:
                self._progress.update(self._task, completed=message["seconds"], description=text)
                self._view.update(Group(self._progress, _classes(message)))
            elif time.monotonic() - self._told >= QUIET_EVERY:
                self._told = time.monotonic()
                self._console.print(f"{message['seconds']:.0f}s: {text}")

    def summary(self, console: Console, summary: Mapping[str, Any]) -> None:
        """The end of a run: shares of the classes, and what was found."""
        table = Table(box=None, pad_edge=False)
        table.add_column("class of case")
        table.add_column("cases", justify="right")
        table.add_column("share", justify="right")
        for name in CLASSES:
            count = summary["classes"].get(name, 0)
            table.add_row(name, f"{count:,}", f"{100 * count / summary['cases']:.1f} %" if summary["cases"] else "-")
        console.print(table)
        kernel = summary["kernel"]
        label = kernel["version"] + (f" ({kernel['config']})" if kernel["config"] else "")
        console.print(
            f"Linux {label} and the model: {summary['cases']:,} cases in {summary['seconds']:.1f} s"
            f" ({summary['cases_per_second']:,}/s), seed {summary['seed']}",
            soft_wrap=True,
        )
        taken, edges = summary["edges"]
        if edges:
            console.print(f"{taken} of {edges} edges of the extracted C taken, {summary['corpus']} inputs kept")
        for note in kernel["notes"]:
            console.print(f"note: {note}", markup=False, soft_wrap=True)
        if summary["gave_up"]:
            console.print(f"ended early: {summary['gave_up']}")
        for mismatch in summary["known"]:
            console.print(
                f"{mismatch['count']:6} x {mismatch['signature']}: known, see corpus/known.toml", soft_wrap=True
            )
        if not summary["mismatches"]:
            console.print("no new difference" if summary["known"] else "no difference")
        for mismatch in summary["mismatches"]:
            console.print(f"{mismatch['count']:6} x {mismatch['signature']}: {mismatch['file']}", soft_wrap=True)


def _classes(message: Mapping[str, Any]) -> Table:
    """The share of each class of cases so far, in two columns."""
    table = Table(box=None, pad_edge=False, show_header=False)
    shares = [(name, f"{100 * message['classes'].get(name, 0) / max(1, message['cases']):.1f} %") for name in CLASSES]
    half = (len(shares) + 1) // 2
    for i in range(half):
        other = shares[half + i] if half + i < len(shares) else ("", "")
        table.add_row("  ", *shares[i], "  ", *other)
    return table
