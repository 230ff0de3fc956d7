"""What the sweep of two sockets tells of mutants: those that no small table tells from the original are outside of its
domain.

Only mutants that some case tells apart that a system can reach are asked about: the corpus has one for each.
"""

import mmap
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from skdiff.base.errors import CannotRun
from skdiff.cases.fields import LOOKUPS
from skdiff.cases.scenario import Scenario
from skdiff.engines.small_classes import Kernel
from skdiff.engines.small_tables import Tables
from skdiff.kernel.root_call import has_lookup
from skdiff.oracles.model import Model
from skdiff.proof.mutants.common import Mutant
from skdiff.proof.mutants.hunt import Fate, Hunt
from skdiff.proof.mutants.isolated import Died, each
from skdiff.proof.mutants.lines_run import Lines
from skdiff.proof.mutants.model import KERNELS, Expected, expected, run, sources, with_lines
from skdiff.proof.mutants.report import TableKills
from skdiff.proof.mutants.schemata import Schemata
from skdiff.proof.mutants.table_cases import some_cases
from skdiff.variants.config import Config

SOCKETS = 2


class Sieve(Hunt):
    """A hunt in which all mutants that are left are tried on one case after the other, in a few processes: what a case
    tells apart goes. One that kills its process does so too.
    """

    def killed(self, numbers: Iterable[int]) -> set[int]:
        """Those of some mutants that any case tells apart."""
        numbers = sorted(numbers)
        jobs = os.cpu_count() or 1
        told = mmap.mmap(-1, max(numbers, default=0) + 1)  # of each mutant, what is left of a process that died
        left = [(share, 0) for job in range(jobs) if (share := tuple(numbers[job::jobs]))]
        while left:
            notes = {share: mmap.mmap(-1, 16) for share, _ in left}
            work = partial(self._tell, told, notes)
            again = []
            for (share, _), answer in each(work, left, jobs, seconds=3600):
                if isinstance(answer, Died):
                    number, case = (int.from_bytes(notes[share][i : i + 8], "little") for i in (0, 8))
                    if number not in share:
                        raise CannotRun(f"a hunt for mutants died of signal {answer.signal}, and no mutant was on")
                    told[number] = 1
                    again.append((share, case))
            left = again
        return {number for number in numbers if told[number]}

    def _tell(
        self, told: mmap.mmap, all_notes: Mapping[tuple[int, ...], mmap.mmap], job: tuple[tuple[int, ...], int]
    ) -> None:
        share, first = job
        notes = all_notes[share]
        self.reference.guard()
        left = [number for number in share if not told[number]]
        for case in range(first, len(self.scenarios)):
            notes[8:16] = case.to_bytes(8, "little")
            for number in left:
                notes[:8] = number.to_bytes(8, "little")
                self.reference.mutate(number)
                if self.tells(case):
                    told[number] = 1
            left = [number for number in left if not told[number]]
        self.reference.mutate(0)


def tables_of(rules_and_config: Kernel) -> Tables:
    """The tables of the sweep of two sockets on a kernel."""
    lookups = [number for number, name in LOOKUPS.items() if has_lookup(name, rules_and_config.config)]
    return Tables(lookups, SOCKETS, [rules_and_config])


def of_c(made: Schemata, config: Config, corpus: Sequence[Scenario], fates: Mapping[int, Fate]) -> TableKills:
    """Of the mutants of the C; `fates` are what the `corpus` makes of them."""
    model = Model(made.rules, config)
    wanted = {n for n, fate in fates.items() if any(i < len(corpus) and not corpus[i].hostile for i in fate.cases)}
    others = [n for n, fate in fates.items() if fate.killed and n not in wanted]
    wanted |= Sieve(made, [case for case in corpus if not case.hostile], model).killed(others)
    small = some_cases(tables_of(Kernel(made.rules, config)), model)
    return TableKills(frozenset(wanted), frozenset(Sieve(made, small, model).killed(wanted)))


def of_model(
    corpus: Sequence[Expected], found: Sequence[tuple[Mutant, Fate]], tell: Callable[[int, int], None]
) -> TableKills:
    """Of the mutants of the model, which has the rules of the default kernel here; `found` is what the `corpus` makes
    of them.
    """
    of_model = sources()
    lines = Lines([source.path for source in of_model])
    jobs = [(source, change) for source in of_model for change in source.changes]
    reachable = [case for case in corpus if not case.kernel and not case.scenario.hostile]
    seen = {n for n, (_, fate) in enumerate(found) if _by_reachable(fate, corpus)}
    others = [n for n, (_, fate) in enumerate(found) if fate.killed and n not in seen]
    wanted = sorted(seen | _of(others, run([jobs[n] for n in others], reachable, tell, lines)))
    small = [expected("", case, 0) for case in some_cases(tables_of(Kernel(*KERNELS[0])), Model(), any_tables=0)]
    return TableKills(
        frozenset(wanted), frozenset(_of(wanted, run([jobs[n] for n in wanted], with_lines(small, lines), tell, lines)))
    )


def _by_reachable(fate: Fate, corpus: Sequence[Expected]) -> bool:
    return any(not corpus[i].kernel and not corpus[i].scenario.hostile for i in fate.cases)


def _of(numbers: Sequence[int], found: Sequence[tuple[Mutant, Fate]]) -> set[int]:
    return {number for number, (_, fate) in zip(numbers, found, strict=True) if fate.killed}
