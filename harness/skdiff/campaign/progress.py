"""What a person sees of a run: a line that moves on a terminal, a line now and then elsewhere, a summary at the end."""

import time
from datetime import timedelta
from itertools import zip_longest
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from skdiff.base.words import counted, share
from skdiff.campaign.messages import Finding, Running
from skdiff.campaign.run import CLASSES, classes_of

QUIET_EVERY = 15.0
SAMPLES = 120  # of a run, at most


class Series:
    """A run in a few samples, evenly spread however long it takes: each [seconds, cases, edges taken, MiB of all
    workers, processor seconds of all], since its start.
    """

    def __init__(self) -> None:
        self.samples: list[list[float]] = []
        self._every, self._seen = 1, 0

    def add(self, run: Running) -> None:
        """Note a run's counters."""
        self._seen += 1
        if self._seen % self._every:
            return
        memory, processor = round(run.memory / 1024, 1), round(run.processor, 2)
        self.samples.append([round(run.seconds, 1), run.cases, run.edges[0], memory, processor])
        if len(self.samples) >= SAMPLES:
            self.samples = self.samples[1::2]
            self._every *= 2


class RunView:
    """Shows the messages of a run on `console`; `seconds` and `cases` (0: no bound) say when it will be over."""

    def __init__(self, console: Console, seconds: float, cases: int = 0) -> None:
        self._console = console
        self._seconds, self._cases = seconds, cases
        self._shown = time.monotonic()
        self._found = 0
        self._told: list[str] = []
        self.series = Series()
        self._progress: Progress | None = None
        if console.is_terminal:
            bar = (SpinnerColumn(), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
            self._progress = Progress(*bar, console=console)
            self._task = self._progress.add_task("starting", total=cases or seconds or None)
            self._view = Live(self._progress, console=console, transient=True)

    def __enter__(self) -> "RunView":
        if self._progress is not None:
            self._view.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._view.stop()
        if self._found:
            kinds = counted(self._found, "kind")
            self._console.print(f"found {kinds} of differences, before they are sorted by cause")

    def report(self, news: Finding | Running) -> None:
        """Show a finding, or how far the run is."""
        if isinstance(news, Finding):
            self._finding(news)
            return
        self.series.add(news)
        for line in news.told:
            if line not in self._told:
                self._told.append(line)
                self._console.print(line, markup=False, soft_wrap=True)
        if self._progress is not None:
            done = news.cases if self._cases else news.seconds
            self._progress.update(self._task, completed=done, description=self._left(news))
            self._view.update(Group(self._progress, *_state(news)))
        elif time.monotonic() - self._shown >= QUIET_EVERY:
            self._shown = time.monotonic()
            words = (*_numbers(news), _mismatches(news), self._left(news))
            self._console.print(f"{news.seconds:.0f}s: {', '.join(filter(None, words))}", soft_wrap=True)

    def _finding(self, finding: Finding) -> None:
        if not finding.file:
            line = f"found {finding.signature}, which cannot be written ({finding.why}); this is its case:"
            self._console.print(f"{line}\n{finding.case}", markup=False, soft_wrap=True)
            return
        self._found += 1

    def _left(self, run: Running) -> str:
        """How much time is left, as far as the run has a bound and a pace."""
        left = self._seconds - run.seconds
        if self._cases:
            left = (self._cases - run.cases) * run.seconds / (run.cases or 1)
        if not (self._seconds or self._cases) or not run.cases:
            return ""
        return f"{timedelta(seconds=max(0, round(left)))} left"


def _numbers(run: Running) -> list[str]:
    """The numbers of a run, for a line."""
    rate = run.cases / run.seconds if run.seconds else 0
    words = [counted(run.cases, "case"), f"{rate:,.0f}/s"]
    for (taken, among), what in ((run.edges, "edges of the C"), (run.lines, "lines of the model")):
        words += [f"{taken}/{among} {what}"] if among else []
    words += [counted(run.inputs, "input")] if run.inputs else []
    words += [f"{counted(run.deaths, 'worker')} died"] if run.deaths else []
    return words


def _mismatches(run: Running) -> str:
    """How many cases differ, and in how many ways, which are not sorted by cause yet."""
    count, kinds = sum(finding.count for finding in run.mismatches), len(run.mismatches)
    return f"{count:,} mismatch{'es' * (count != 1)}" + (f" of {counted(kinds, 'kind')}" if kinds else "")


def _share(name: str, lookup: str, count: int, cases: int) -> str:
    """The share of a class that a lookup has, or some cases of: "" for one that it has not."""
    return share(count, cases) if count or name in classes_of(lookup) else ""


def _state(run: Running) -> list[RenderableType]:
    """A run's numbers, and the share of each class of each lookup's cases so far, in two halves."""
    table = Table(box=None, pad_edge=False, show_header=False)
    heads = [("", *run.lookups)] if len(run.lookups) > 1 else []
    shares = [
        (name, *(_share(name, lookup, of.classes.get(name, 0), of.cases) for lookup, of in run.lookups.items()))
        for name in CLASSES
        if any(name in classes_of(lookup) for lookup in run.lookups)
    ]
    half = (len(shares) + 1) // 2
    for one, other in zip_longest(heads + shares[:half], heads + shares[half:], fillvalue=()):
        table.add_row("  ", *one, "  ", *other)
    return [Text("  " + ", ".join([*_numbers(run), _mismatches(run)])), table]


class Counter:
    """How far something is that takes a while, on `console`: one line that is written anew on a terminal, a line now
    and then elsewhere. Used in a `with`.
    """

    def __init__(self, console: Console, what: str) -> None:
        self._console, self._what = console, what
        self._shown = time.monotonic()
        self._status = console.status(what) if console.is_terminal else None

    def __enter__(self) -> "Counter":
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def __call__(self, done: int, among: int) -> None:
        """So many are done of all."""
        text = f"{self._what}: {done:,} of {among:,}"
        if self._status is not None:
            self._status.update(text)
        elif time.monotonic() - self._shown >= QUIET_EVERY:
            self._shown = time.monotonic()
            self._console.print(text, markup=False, soft_wrap=True)
