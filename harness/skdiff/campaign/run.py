"""One run in one process: oracles, a budget, counters, and findings that are on disk before anybody is told."""

import contextlib
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from skdiff.base import signals
from skdiff.base.errors import CannotRun
from skdiff.campaign.finding_files import Origin, keep
from skdiff.campaign.messages import Counters, Covered, Done, Finding, Found, LookupCounts, Message, Progress
from skdiff.campaign.model_lines import LINES, Watch
from skdiff.cases.fields import LOOKUPS
from skdiff.cases.on_kernel import as_it_is, reachable_without
from skdiff.cases.other_lookup import as_lookup, fitting
from skdiff.cases.outcome import COMPARED, Outcome
from skdiff.cases.scenario import Scenario
from skdiff.comparison.causes import CauseOf
from skdiff.comparison.compare import Mismatch, compare
from skdiff.comparison.interface import Judge
from skdiff.engines.interface import PACKETS
from skdiff.engines.small_part import Part
from skdiff.engines.small_tables import Tables
from skdiff.oracles.interface import Oracle
from skdiff.variants.abilities import NOTHING, Ability

# The classes of cases: those of all lookups, of TCP's, and of UDP's.
_OF_ALL = ("stolen", "re-selected", "group by hash", "group by program", "sk_lookup", "drop", "event", "none")
_OF_TCP = ("established", "exact listener", "wildcard listener", "stuck")
_OF_UDP = ("early demux", "connected", "exact", "wildcard", "has_conns", "fallback", "delivery")
CLASSES = (
    *("early demux", "stolen", "re-selected", "established", "connected", "exact listener", "wildcard listener"),
    *("exact", "wildcard", "has_conns", "fallback", "group by hash", "group by program", "sk_lookup", "drop"),
    *("delivery", "event", "none", "stuck"),
)


def classes_of(lookup: str) -> tuple[str, ...]:
    """The classes that a lookup has, by its name; one that stays empty means that the engine does not reach it."""
    own = _OF_UDP if lookup.startswith("udp") else _OF_TCP
    return tuple(name for name in CLASSES if name in _OF_ALL or name in own)


TELL_EVERY = 0.5  # seconds
WATCH_EVERY = 2048  # cases; besides, the rarer a kind of case, the more of it is looked at
# Of each kind of mismatch so many are looked at for their cause, and one in so many of the rest: it takes longer than
# a case.
LOOKED_AT, THEN_ONE_IN = 1000, 16


@dataclass
class _Known:
    """Mismatches of one kind and cause: how many cases, the file and the size (in sockets) of the smallest."""

    count: int = 0
    file: str = ""
    size: int = 1 << 30


@dataclass
class _Kind:
    """A kind of mismatch: how many cases, what is known by causes, and whether the supervisor knows of it."""

    count: int = 0
    causes: dict[str, _Known] = field(default_factory=dict)
    reported: bool = False


@dataclass
class Run:
    """The oracles that `open` makes are compared on each case; `cases` and `seconds` bound the run (0: no bound);
    `first` ends it at the first difference. `scratch` is a folder that is gone after the run, `inputs` is where a
    guided engine keeps what it learns, and others too unless it is `alone`. Without a `judge`, all oracles must
    agree. `counter` has the number of cases done, for whoever outlives this process; `watch` sees some cases of
    each kind. What a kernel that `lacks` some abilities cannot reach becomes a case that it can, and a case of a
    lookup that is not one of `lookups` one that is. `causes` opens what tells the cause of a mismatch, when there
    is one; a kind of mismatch that has several keeps a case of each. Where an oracle cannot take any case, `mend`
    makes one that it can of each; `packets` is how many packets an engine that draws tables asks them for, and
    `unrealised` counts, by the reason, cases that it could not bring about all the same, and `changed` those that
    are not what was drawn; `told` is what it says of itself. A sweep is of a `part` of all small tables, which `tables`
    makes.

    Engines call `start` when the oracles can be opened: libFuzzer must be there before the C that feeds it. `tell`
    gets a message for each finding and, twice a second, one with the counters.
    """

    open: Callable[[], Sequence[Oracle]]
    origin: Origin
    findings: Path
    tell: Callable[[Message], None]
    cases: int = 0
    seconds: float = 0
    arguments: tuple[str, ...] = ()
    first: bool = False
    judge: Judge | None = None
    scratch: Path = Path()
    inputs: Path = Path()
    counter: "list[int] | memoryview[int]" = field(default_factory=lambda: [0])
    watch: Watch | None = None
    alone: bool = True
    lacks: frozenset[Ability] = NOTHING
    lookups: tuple[int, ...] = (*LOOKUPS,)
    mend: Callable[[Scenario], Scenario] | None = None
    packets: int = PACKETS
    unrealised: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    told: list[str] = field(default_factory=list)
    causes: Callable[[], CauseOf] | None = None
    part: Part | None = None
    tables: Callable[[], Tables] | None = None

    def __post_init__(self) -> None:
        self.done, self.stopped = 0, False
        self.classes: dict[int, Counter[tuple[str, ...]]] = {lookup: Counter() for lookup in self.lookups}
        self.mismatches: dict[str, _Kind] = {}
        self._cause_of: CauseOf | None = None
        self.seed = self.origin.seed
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
        scenario = self.made(scenario)
        return self.counted(scenario, [run(scenario) for run in self._runs])

    def made(self, scenario: Scenario) -> Scenario:
        """The case that the oracles are asked for in the place of a drawn one."""
        if scenario.lookup not in self.lookups:
            scenario = as_lookup(scenario, self.lookups[self.done % len(self.lookups)])
        if self.lacks:
            scenario = reachable_without(scenario, self.lacks)
        return scenario if self.mend is None else self.mend(scenario)

    def counted(self, scenario: Scenario, outcomes: Sequence[Outcome]) -> Mismatch | None:
        """Count a case, and keep it if its outcomes differ."""
        first = outcomes[0]
        via = (*outcomes[-1].via, "event") if first.fired else outcomes[-1].via
        classes = self.classes[scenario.lookup]
        seen = classes[via] = classes[via] + 1
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
            self.tell(Progress(self.counters()))

    def over(self) -> bool:
        """Whether the budget is used up or somebody asked to stop."""
        return self.stopped or bool(self.cases and self.done >= self.cases)

    def keep(self, scenario: Scenario, mismatch: Mismatch) -> None:
        """Write a finding: one case per signature and cause, the smallest seen; the first is told at once."""
        kind = self.mismatches.setdefault(mismatch.signature, _Kind())
        kind.count += 1
        if kind.count > LOOKED_AT and kind.count % THEN_ONE_IN:
            return
        known = kind.causes.setdefault(self._cause(scenario, mismatch), _Known())
        known.count += 1
        if len(scenario.socks) < known.size:
            self._write(scenario, mismatch, kind, known)

    def replace(self, scenario: Scenario, mismatch: Mismatch) -> None:
        """Write another case of a mismatch that was counted, in the place of the one before."""
        kind = self.mismatches[mismatch.signature]
        known = kind.causes.setdefault(self._cause(scenario, mismatch), _Known(count=1))
        self._write(scenario, mismatch, kind, known)

    def _cause(self, scenario: Scenario, mismatch: Mismatch) -> str:
        """The cause of a mismatch, "" if nothing tells it. The time that it takes to open that is nobody's."""
        if self.causes is not None and not self.first:
            opened, self.causes = self.causes, None
            before = time.monotonic()
            with contextlib.suppress(CannotRun, OSError):  # who sorts the findings by cause says why
                self._cause_of = opened()
            self.started += time.monotonic() - before
        return self._cause_of(scenario, mismatch) if self._cause_of is not None else ""

    def _write(self, scenario: Scenario, mismatch: Mismatch, kind: _Kind, known: _Known) -> None:
        scenario = fitting(scenario, self.lookups)
        scenario = as_it_is(scenario, self.lacks)  # an engine that shrinks may have come back to it
        fresh = not known.file
        finding = keep(self.findings, scenario, mismatch, self.origin, known.file)
        known.file, known.size = finding.file, len(scenario.socks)
        if not kind.reported:
            last = self.first and not mismatch.alike  # what two kernels do alike is no difference
            self.stopped = self.stopped or last
            self.tell(Found(finding, last))
            kind.reported = bool(finding.file)
        elif fresh and finding.file:
            self.tell(Progress(self.counters()))  # it must not be lost with this process

    def found(self) -> dict[str, tuple[int, list[str]]]:
        """How many cases differ so far, and the files with some of them, by signature."""
        return {
            signature: (kind.count, [known.file for known in kind.causes.values() if known.file])
            for signature, kind in self.mismatches.items()
        }

    def counters(self) -> Counters:
        """The run so far."""
        edges: tuple[Iterable[int], int] = next(
            (oracle.edges() for oracle in self.oracles if hasattr(oracle, "edges")), (frozenset(), 0)
        )
        lines: tuple[Iterable[int], int] = (self.watch.taken, len(LINES)) if self.watch is not None else ((), 0)
        return Counters(
            cases=self.done,
            seconds=time.monotonic() - self.started,
            lookups={LOOKUPS[lookup]: _counts(seen) for lookup, seen in self.classes.items()},
            edges=Covered(frozenset(edges[0]), edges[1]),
            lines=Covered(frozenset(lines[0]), lines[1]),
            memory=resident(),
            processor=time.process_time(),
            unrealised=dict(self.unrealised),
            changed=dict(self.changed),
            told=self.told,
            mismatches=[_finding(signature, kind) for signature, kind in self.mismatches.items()],
        )

    def finish(self) -> None:
        """Tell the counters for the last time."""
        self.tell(Done(self.counters()))

    def stop_on_signals(self) -> None:
        """Let the signals that ask a program to end end the run after the case in hand."""

        def stop(_number: int, _frame: FrameType | None) -> None:
            self.stopped = True

        signals.install_handlers(stop)


def _finding(signature: str, kind: _Kind) -> Finding:
    """A kind of mismatch, as it is told."""
    written = [known for known in kind.causes.values() if known.file]
    if not written:
        return Finding(signature=signature, file="", count=kind.count)
    first, *others = written
    counts = {known.file: known.count for known in others}
    return Finding(signature=signature, file=first.file, count=kind.count, others=[*counts], counts=counts)


def _counts(seen: Counter[tuple[str, ...]]) -> LookupCounts:
    """The cases of one lookup by their classes; `seen` has them by all that a case is at once."""
    classes: Counter[str] = Counter()
    for via, count in seen.items():
        for name in via:
            classes[name] += count
    return LookupCounts(seen.total(), dict(classes))


def resident() -> int:
    """The memory of this process, in KiB; 0 where /proc does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * resource.getpagesize() // 1024
