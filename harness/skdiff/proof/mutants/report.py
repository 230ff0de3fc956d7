"""What became of the mutants: the table by function, the survivors, and whether the bars are met."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import quantiles
from types import MappingProxyType

import msgspec
from rich.console import Console
from rich.table import Table

from skdiff.cases.outcome import COMPARED, Outcome
from skdiff.kernel.summary import Kernel, KernelSummary
from skdiff.proof.mutants.common import OF_KERNEL, UNSEEN, Judgement, Mutant, is_listed, judge, judgements_for
from skdiff.proof.mutants.hunt import FIRST, LATER, Fate
from skdiff.variants.config import Config

BAR = 0.98  # of the mutants that are not judged equivalent the corpus alone kills


@dataclass(frozen=True)
class TableKills:
    """The mutants, by number, that are told apart by cases that a system can reach, and those of them that small tables
    tell apart.
    """

    wanted: frozenset[int] = frozenset()
    killed: frozenset[int] = frozenset()


NO_TABLES = TableKills()


class Row(msgspec.Struct, frozen=True):
    """One function's mutants: how many, and what became of them; `cases` are the median and the quartiles of the cases
    that fuzzing needed. A judged one is a survivor with a reason. Cases that a system can reach kill those that are
    `sweepable`, and small tables kill those of them that are `swept`.
    """

    function: str
    mutants: int
    corpus: int
    fuzzing: int
    cases: tuple[float, float, float] | None
    judged: int
    survivors: int
    sweepable: int = 0
    swept: int = 0


class Survivor(msgspec.Struct):
    """A mutant that nothing notices, in a line, and whether any case comes to it."""

    mutant: str
    reached: bool


class Report(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What became of the mutants of one kind (`of`): by function, with a row for all at the end; the share that the
    corpus alone kills; whether others were `fuzzed`, and whether the bars are met; who is alive without a reason, and
    what is judged but killed, or gone, a line each; `unseen` are judged mutants that this harness does not see, with
    what would; `outside` are those, a line each, that other cases kill which a system can reach, and small tables do
    not; `alone` counts for each field of the Outcome the mutants that only it tells apart in the corpus. Those
    of C have a kernel, some that did not compile (`dropped`) or are not in this configuration (`absent`), and a row for
    each of its `lookups`: one mutant may be in several.
    """

    of: str
    functions: list[Row]
    corpus_kills: float
    fuzzed: bool
    good: bool
    survivors: list[Survivor]
    judged_but_killed: list[str]
    judged_but_gone: list[str]
    unseen: list[str] = []
    alone: dict[str, int] = {}
    outside: list[str] = []
    lookups: list[Row] = []
    dropped: int = 0
    absent: int = 0
    kernel: str = ""
    closure: str = ""
    origin: str = ""
    config: str = ""


class MutantsSummary(KernelSummary, kw_only=True):
    """What became of mutants, and the kernel of those of the C, if there are any."""

    mutants: list[Report]
    kernel: str = ""
    origin: str = ""
    closure: str = ""
    config: str = ""

    @property
    def about(self) -> Kernel:
        """See KernelSummary."""
        return Kernel(version=self.kernel, origin=self.origin, closure=self.closure, config=self.config)

    @property
    def good(self) -> bool:
        """Whether all bars are met."""
        return all(report.good for report in self.mutants)

    def add(self, report: Report) -> None:
        """Add those of one kind."""
        self.mutants.append(report)
        if report.kernel:
            self.kernel, self.origin, self.closure = report.kernel, report.origin, report.closure
            self.config = report.config


def summary(
    of: str,
    mutants: Mapping[int, Mutant],
    fates: Mapping[int, Fate],
    entries: Sequence[Judgement],
    fuzzed: bool,
    version: str = "",
    config: Config = Config(),  # noqa: B008  # it is frozen
    lookups: Mapping[int, Sequence[str]] = MappingProxyType({}),
    small: TableKills = NO_TABLES,
) -> Report:
    """What became of the mutants of one kind. `version` and `config` are those of the
    kernel, for those of C: what is judged for its series holds, and all that is judged where that is not in LISTED.
    `lookups` are those that come to a mutant, by its number; `small` is what small tables tell apart.
    """
    entries = judgements_for([entry for entry in entries if entry.of == of], version, config)
    judged = judge(mutants.values(), entries)
    # Nobody has judged those of another series; and with everything off, only what is judged for that is a fact there.
    listed = of not in OF_KERNEL or is_listed(version, config)
    wrong = [
        str(mutants[n])
        for n, fate in fates.items()
        if fate.by and mutants[n] in judged and listed and (judged[mutants[n]].config or config == Config())
    ]
    there = {mutant.id for mutant in mutants.values()}
    here = [entry for entry in entries if listed and (entry.config or config == Config())]
    stale = sorted(f"{entry.function}: {mutant}" for entry in here for mutant in entry.ids - there)
    functions = dict.fromkeys(mutant.function for mutant in mutants.values())
    rows = [
        _row(f, [n for n, m in mutants.items() if m.function == f], mutants, fates, judged, small) for f in functions
    ]
    total = _row("all", list(mutants), mutants, fates, judged, small)
    of_lookups = [
        _row(name, [n for n in mutants if name in lookups.get(n, ())], mutants, fates, judged, small)
        for name in sorted({name for n in mutants for name in lookups.get(n, ())})
    ]
    unseen = [f"{mutant} (it needs {entry.needs})" for mutant, entry in judged.items() if entry.kind == UNSEEN]
    countable = total.mutants - total.judged + len(unseen)
    alone = Counter(field for fate in fates.values() if len(fate.fields) == 1 for field in fate.fields)
    share = total.corpus / countable if countable else 0.0
    survivors = [
        Survivor(str(mutants[n]), fate.reached) for n, fate in fates.items() if not fate.by and mutants[n] not in judged
    ]
    return Report(
        of=of,
        functions=[*rows, total],
        corpus_kills=share,
        fuzzed=fuzzed,
        good=share >= BAR and not wrong and not (fuzzed and survivors),
        survivors=survivors,
        judged_but_killed=wrong,
        judged_but_gone=stale,
        unseen=unseen,
        alone={field: alone[field] for field in Outcome._fields[:COMPARED]} if of in OF_KERNEL else {},
        outside=[str(mutants[n]) for n in sorted(small.wanted - small.killed)],
        lookups=of_lookups,
    )


def _row(
    name: str,
    numbers: Sequence[int],
    mutants: Mapping[int, Mutant],
    fates: Mapping[int, Fate],
    judged: Mapping[Mutant, Judgement],
    small: TableKills,
) -> Row:
    by = Counter(fates[n].by for n in numbers)
    needed = [count for n in numbers if fates[n].by == LATER for count in fates[n].cases]
    low, middle, high = quantiles(needed, n=4, method="inclusive") if len(needed) > 1 else (needed or [0]) * 3
    with_reason = sum(not fates[n].by and mutants[n] in judged for n in numbers)
    cases = (middle, low, high) if needed else None
    swept = len(small.killed.intersection(numbers))
    sweepable = len(small.wanted.intersection(numbers))
    counts = (len(numbers), by[FIRST], by[LATER], cases, with_reason, by[""] - with_reason)
    return Row(name, *counts, sweepable=sweepable, swept=swept)


def show(console: Console, result: Report, what: str) -> None:
    """Print the table, the survivors, and the sentence that counts."""
    table = Table(box=None, header_style="bold")
    table.add_column(what, no_wrap=True, min_width=30)
    swept = result.functions[-1].sweepable
    for head in ("mutants", "corpus", "fuzzing", "cases needed", "equal", "alive", *(["two sockets"] if swept else [])):
        table.add_column(head, justify="right")
    for row in result.functions:
        cases = "{:,.0f} ({:,.0f}-{:,.0f})".format(*row.cases) if row.cases else ""
        counts = (row.mutants, row.corpus, row.fuzzing, cases, row.judged, row.survivors)
        small = [f"{row.swept:,} of {row.sweepable:,}" if row.sweepable else ""] if swept else []
        table.add_row(row.function, *(f"{c:,}" if isinstance(c, int) and c else str(c or "") for c in counts), *small)
    console.print(table)
    for survivor in result.survivors:
        reached = "" if survivor.reached else " (no case of the corpus comes to it)"
        console.print(f"alive{reached}: {survivor.mutant}", markup=False, soft_wrap=True)
    for line in result.judged_but_killed:
        console.print(f"judged equivalent, but killed: {line}", markup=False, soft_wrap=True)
    for line in result.judged_but_gone:
        console.print(f"judged, but no longer there: {line}", markup=False, soft_wrap=True)
    for line in result.unseen:
        console.print(f"not seen by this harness: {line}", markup=False, soft_wrap=True)
    if result.alone:
        told = ", ".join(f"{field} {count}" for field, count in result.alone.items())
        console.print(f"told apart by one field of the outcome alone: {told}", markup=False, soft_wrap=True)
    for row in result.lookups:
        killed = f"{row.corpus:,} of {row.mutants:,} mutants are killed by the corpus, {row.fuzzing:,} by fuzzing"
        left = f"{row.judged:,} are judged equivalent, {row.survivors:,} are alive"
        console.print(f"{row.function}: {killed}; {left}", markup=False, soft_wrap=True)
    if swept:
        by_sweep = result.functions[-1].swept
        console.print(
            f"The tables of up to two sockets kill {by_sweep:,} of the {swept:,} mutants ({by_sweep / swept:.1%}) that"
            " a case kills which a system can reach; the others are outside of the domain of `skdiff sweep`.",
            markup=False,
            soft_wrap=True,
        )
    console.print(
        f"The corpus alone kills {result.corpus_kills:.1%} of the mutants that are not judged equivalent"
        f" ({BAR:.0%} are wanted); {len(result.survivors)} are alive without a reason."
    )
