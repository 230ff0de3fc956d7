"""One run in one process: oracles, a budget, counters, and findings that are on disk before anybody is told."""

import contextlib
import itertools
import os
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from harness import ends
from harness.compare import Mismatch, compare
from harness.model_lines import LINES, Watch
from harness.outcome import COMPARED, Outcome
from harness.report import render, shell_path
from harness.scenario import Scenario
from harness.text import Case, dump

# The classes of cases; one that stays empty means that the engine does not reach it.
CLASSES = (
    *("stolen", "re-selected", "established", "exact listener", "wildcard listener", "group by hash"),
    *("group by program", "sk_lookup", "drop", "none", "stuck"),
)
TELL_EVERY = 0.5  # seconds
WATCH_EVERY = 2048  # cases; besides, the rarer a kind of case, the more of it is looked at


class Oracle(Protocol):
    """Anything that knows what a lookup does. There may be any number of them in a run."""

    name: str

    def run(self, scenario: Scenario) -> Outcome:
        """The outcome for a valid scenario."""
        ...


# What a run makes of the outcomes of a case: a Mismatch, or None if they are as they should be.
Judge = Callable[[Scenario, Sequence[Outcome]], Mismatch | None]


@dataclass(frozen=True)
class Origin:
    """What a finding says of where it came from; `again` is the command that shows it again, in front of its file."""

    kernel: str
    closure: str
    engine: str
    seed: int
    again: str = "replay --kernel 6.12"


@dataclass
class Run:
    """The oracles that `open` makes are compared on each case; `cases` and `seconds` bound the run (0: no bound);
    `first` ends it at the first finding. `scratch` is a folder that is gone after the run, `inputs` is where a guided
    engine keeps what it learns, and others too unless it is `alone`. Without a `judge`, all oracles must agree.
    `counter` has the number of cases done, for whoever outlives this process; `watch` sees some cases of each kind.

    Engines call `start` when the oracles can be opened: libFuzzer must be there before the C that feeds it. `tell`
    gets a message for each finding and, twice a second, one with the counters.
    """

    open: Callable[[], Sequence[Oracle]]
    origin: Origin
    findings: Path
    tell: Callable[[Mapping[str, Any]], None]
    cases: int = 0
    seconds: float = 0
    done: int = 0
    classes: Counter[tuple[str, ...]] = field(default_factory=Counter)
    mismatches: dict[str, dict[str, Any]] = field(default_factory=dict)
    stopped: bool = False
    arguments: tuple[str, ...] = ()
    first: bool = False
    judge: Judge | None = None
    scratch: Path = Path()
    inputs: Path = Path()
    counter: "list[int] | memoryview[int]" = field(default_factory=lambda: [0])
    watch: Watch | None = None
    alone: bool = True

    def __post_init__(self) -> None:
        self.started = time.monotonic()
        self._told = self.started
        self.oracles: Sequence[Oracle] = ()

    def start(self) -> None:
        """Open the oracles, and start the clock."""
        self.oracles = self.open()
        self._runs = [oracle.run for oracle in self.oracles]
        self._names = [oracle.name for oracle in self.oracles]
        self.started = time.monotonic()

    def case(self, scenario: Scenario) -> Mismatch | None:
        """Run all oracles on a case, count it, and keep it if they differ."""
        outcomes = [run(scenario) for run in self._runs]
        first = outcomes[0]
        via = outcomes[-1].via
        seen = self.classes[via] = self.classes[via] + 1
        self.done += 1
        self.counter[0] = self.done
        mismatch = None
        for other in outcomes[1:]:
            if first[:COMPARED] != other[:COMPARED]:
                mismatch = self.judged(scenario, outcomes)
                if mismatch is not None:
                    self.keep(scenario, mismatch)
                break
        if self.watch is not None and (not seen & (seen - 1) or not self.done % WATCH_EVERY):
            self.watch.look(scenario)
        if not self.done & 63:
            self.tick()
        return mismatch

    def judged(self, scenario: Scenario, outcomes: Sequence[Outcome]) -> Mismatch | None:
        """What the run makes of the outcomes of a case."""
        return self.judge(scenario, outcomes) if self.judge else compare(self._names, outcomes)

    def tick(self) -> None:
        """Look at the clock: the time may be over, or the counters be due."""
        now = time.monotonic()
        if self.seconds and now - self.started >= self.seconds:
            self.stopped = True
        if now - self._told >= TELL_EVERY:
            self._told = now
            self.tell(self.counters("progress"))

    def over(self) -> bool:
        """Whether the budget is used up or somebody asked to stop."""
        return self.stopped or bool(self.cases and self.done >= self.cases)

    def keep(self, scenario: Scenario, mismatch: Mismatch) -> None:
        """Write a finding: one case per signature, the smallest seen; the first is told at once."""
        plain = {"count": 0, "file": "", "size": 1 << 30, "told": False}
        known = self.mismatches.setdefault(mismatch.signature, plain)
        known["count"] += 1
        if len(scenario.socks) < known["size"]:
            self.replace(scenario, mismatch)

    def replace(self, scenario: Scenario, mismatch: Mismatch) -> None:
        """Write another case of a mismatch that was counted, in the place of the one before."""
        known = self.mismatches[mismatch.signature]
        message = kept(self.findings, scenario, mismatch, self.origin, known["file"])
        known.update(file=message["file"], size=len(scenario.socks))
        if not known["told"]:
            self.stopped = self.stopped or self.first
            self.tell(message)
            known["told"] = bool(message["file"])

    def counters(self, kind: str) -> dict[str, Any]:
        """The run so far, as a message."""
        classes: Counter[str] = Counter()
        for via, count in self.classes.items():
            for name in via:
                classes[name] += count
        return {
            "kind": kind,
            "cases": self.done,
            "seconds": time.monotonic() - self.started,
            "classes": dict(classes),
            "edges": _covered(next((oracle.edges() for oracle in self.oracles if hasattr(oracle, "edges")), ((), 0))),
            "lines": _covered((self.watch.taken, len(LINES)) if self.watch is not None else ((), 0)),
            "memory": resident(),
            "processor": time.process_time(),
            "mismatches": [
                {"signature": signature, "file": known["file"], "count": known["count"]}
                for signature, known in self.mismatches.items()
            ],
        }

    def stop_on_signals(self) -> None:
        """Let the signals that ask a program to end end the run after the case in hand."""

        def stop(_number: int, _frame: FrameType | None) -> None:
            self.stopped = True

        ends.handle(stop)


def _covered(taken: tuple[Iterable[int], int]) -> tuple[list[int], int]:
    return sorted(taken[0]), taken[1]


def resident() -> int:
    """The memory of this process, in KiB; 0 where /proc does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * resource.getpagesize() // 1024


def kept(folder: Path, scenario: Scenario, mismatch: Mismatch, origin: Origin, replace: str = "") -> dict[str, Any]:
    """Write a finding (see `write_finding`), and return the message about it. If it cannot be written, the message has
    no file but the case itself, and the reason: it must not be lost with this process.
    """
    message = {"kind": "finding", "signature": mismatch.signature, "file": replace}
    try:
        message["file"] = str(write_finding(folder, scenario, mismatch, origin, replace))
    except OSError as error:
        message |= {"why": error.strerror or str(error), "case": dump(_case(scenario, mismatch, origin))}
    return message


def _case(scenario: Scenario, mismatch: Mismatch, origin: Origin) -> Case:
    found = {
        "date": datetime.now(UTC).date().isoformat(),
        "kernel": origin.kernel,
        "closure": origin.closure,
        "engine": origin.engine,
        "seed": origin.seed,
        "signature": mismatch.signature,
        "oracles": list(mismatch.names),
        "fields": list(mismatch.fields),
    }
    return Case(scenario, found=found)


def write_finding(folder: Path, scenario: Scenario, mismatch: Mismatch, origin: Origin, replace: str = "") -> Path:
    """Write case.toml and report.txt under `folder`/signature, whole or not at all; returns the case's path.

    A case that another run or worker left there stays: the new one gets a name of its own. `replace` is a file of this
    run.
    """
    case = _case(scenario, mismatch, origin)
    if replace:
        path = Path(replace)
        write_whole(path, dump(case))
    else:
        path = write_case(folder / mismatch.signature[:120], dump(case))
    replay = f"skdiff {origin.again} {shell_path(path)}"
    write_whole(report_of(path), render(mismatch, case, origin.kernel, origin.closure, replay))
    return path


def write_case(folder: Path, text: str) -> Path:
    """Write a case into a folder of findings, under the first name that is free; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        path = folder / ("case.toml" if number == 1 else f"case-{number}.toml")
        if not path.exists() and write_whole(path, text, over=False):
            break
    return path


SAID = "\nthe process said: "  # follows the report of a worker's death


def report_of(path: Path) -> Path:
    """Where the report of a finding's case is."""
    return path.with_name(f"report{path.stem.removeprefix('case')}.txt")


def write_whole(path: Path, text: str, over: bool = True) -> bool:
    """Write a file whole or not at all; returns whether it did. Unless `over`, a file that is there already stays."""
    fresh = path.with_suffix(f"{path.suffix}.{os.getpid()}.new")
    try:
        with fresh.open("w") as file:
            file.write(text)
            file.flush()
            with contextlib.suppress(OSError):  # not every file system can
                os.fsync(file.fileno())
        if not over:
            try:
                path.hardlink_to(fresh)  # unlike a new name, a link never takes another file's place
                return True
            except FileExistsError:
                return False
            except OSError:  # not every file system can
                if path.exists():
                    return False
        fresh.replace(path)
        return True
    finally:
        fresh.unlink(missing_ok=True)
