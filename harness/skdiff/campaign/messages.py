"""What a worker tells its supervisor, a line of JSON each, and what is made of it: findings and counters."""

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from skdiff.base.files import from_json, to_json


class Finding(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Mismatches with one signature: `count` cases, of which `file` has one and `others` more, each from another
    worker, or of another cause; `counts` says for how many cases each of the others stands. What could not be written
    has the reason and the text of its case instead. `reduced` says what reduction did, and `merged` how many of the
    files became the same as another.

    Once it is sorted by cause, the signature is the cause's name, `ways` says how it shows and in how many of the
    cases ("sk": another socket is returned), that of `file` first; `others` have a case of each other way, in the same
    order; and `reachable` is whether the kernel can reach the case of `file`, None before.
    """

    signature: str
    file: str
    count: int
    others: list[str] = []
    counts: dict[str, int] = {}
    why: str = ""
    case: str = ""
    reduced: str = ""
    merged: int = 0
    ways: dict[str, int] = {}
    reachable: bool | None = None

    def count_of(self, file: str) -> int:
        """For how many cases one of the files stands."""
        if file != self.file:
            return self.counts.get(file, 0)
        return self.count - sum(self.counts.get(other, 0) for other in self.others)


class Covered(msgspec.Struct, frozen=True):
    """Numbers of edges or lines that were `taken`, of so many `among` which they are; 0 where nobody counts."""

    taken: frozenset[int] = frozenset()
    among: int = 0

    def __or__(self, other: "Covered") -> "Covered":
        return Covered(self.taken | other.taken, max(self.among, other.among))

    def __len__(self) -> int:
        return len(self.taken)


class LookupCounts(msgspec.Struct):
    """How many cases of one lookup there were, and how many of each class; one case is of several classes."""

    cases: int = 0
    classes: dict[str, int] = {}


def summed_lookups(parts: Iterable[Mapping[str, LookupCounts]]) -> dict[str, LookupCounts]:
    """The counts of each lookup, added up."""
    total: dict[str, LookupCounts] = {}
    for part in parts:
        for lookup, counts in part.items():
            all_of_it = total.setdefault(lookup, LookupCounts())
            all_of_it.cases += counts.cases
            for name, count in counts.classes.items():
                all_of_it.classes[name] = all_of_it.classes.get(name, 0) + count
    return total


def summed_classes(lookups: Mapping[str, LookupCounts]) -> dict[str, int]:
    """How many cases there were of each class, whatever their lookup."""
    total: Counter[str] = Counter()
    for counts in lookups.values():
        total.update(counts.classes)
    return dict(total)


class Counters(msgspec.Struct, kw_only=True):
    """What a worker has done: `seconds` since its start and of its `processor`, cases of each lookup and class, and the
    `memory` that it has, in KiB; `unrealised` are those that a running kernel did not let happen, by its reasons, and
    `changed` those that it was not asked as they were drawn, by what had to change; `told` is what it says of itself, a
    line each.
    """

    cases: int = 0
    seconds: float = 0.0
    processor: float = 0.0
    lookups: dict[str, LookupCounts] = {}
    edges: Covered = Covered()
    lines: Covered = Covered()
    memory: int = 0
    unrealised: dict[str, int] = {}
    told: list[str] = []
    changed: dict[str, int] = {}
    mismatches: list[Finding] = []


class Found(msgspec.Struct, tag="finding"):
    """A worker has a finding with a signature that it had not; `last` says that the run ends with it."""

    finding: Finding
    last: bool = False


class Progress(msgspec.Struct, tag="progress"):
    """A worker goes on."""

    counters: Counters


class Done(msgspec.Struct, tag="done"):
    """A worker has come to its end."""

    counters: Counters


class Cannot(msgspec.Struct, tag="cannot"):
    """A worker cannot run, and why."""

    why: str


Message = Found | Progress | Done | Cannot


def to_line(message: Message) -> bytes:
    """A message as a worker writes it."""
    return to_json(message).encode() + b"\n"


def from_line(line: bytes) -> Message:
    """A message as the supervisor reads it. Raises ValueError for another line."""
    message: Message = from_json(line, Message)
    return message


def summed(parts: Iterable[Counters]) -> Counters:
    """The counters of several workers as one: cases, classes, processor seconds and findings add up, coverage is what
    any of them has taken, time is that of the one that took longest, memory is left to those that run.
    """
    parts = list(parts)
    total = Counters(unrealised={}, changed={}, told=[], lookups=summed_lookups(part.lookups for part in parts))
    found: dict[str, Finding] = {}
    for part in parts:
        total.cases += part.cases
        total.processor += part.processor
        total.seconds = max(total.seconds, part.seconds)
        total.edges |= part.edges
        total.lines |= part.lines
        total.told += [line for line in part.told if line not in total.told]
        for sums, counts in ((total.unrealised, part.unrealised), (total.changed, part.changed)):
            for why, count in counts.items():
                sums[why] = sums.get(why, 0) + count
        for finding in part.mismatches:
            known = found.setdefault(finding.signature, Finding(signature=finding.signature, file="", count=0))
            known.count += finding.count
            for file in filter(None, (finding.file, *finding.others)):
                known.file = known.file or file
                if file != known.file:
                    known.others += [file] if file not in known.others else []
                    known.counts[file] = known.counts.get(file, 0) + finding.count_of(file)
    total.mismatches = list(found.values())
    return total


class WorkerTotal(msgspec.Struct, frozen=True):
    """What became of one worker's part of a run: its cases, and how often it had to be started again."""

    cases: int
    deaths: int


class Running(msgspec.Struct, kw_only=True):
    """A run so far, all workers together: `edges` and `lines` are [reached, in all], `inputs` how many a guided engine
    keeps, `memory` in KiB.
    """

    cases: int
    seconds: float
    processor: float
    lookups: dict[str, LookupCounts]
    edges: tuple[int, int]
    lines: tuple[int, int]
    mismatches: list[Finding]
    inputs: int
    memory: int
    deaths: int
    unrealised: dict[str, int] = {}
    told: list[str] = []
    changed: dict[str, int] = {}


class Total(Running, kw_only=True):
    """A run that is over: what each worker did, why it ended early ("" if it did not), and findings for which there is
    no room on any disk.
    """

    workers: list[WorkerTotal]
    gave_up: str
    unwritten: list[Finding]
