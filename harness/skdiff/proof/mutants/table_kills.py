"""What the sweep of two sockets tells of mutants: those that no small table tells from the original are outside of its
domain.

Only mutants that some case tells apart that a system can reach, and to which nothing happens meanwhile, are asked
about: the corpus has one for each.
"""

import mmap
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, partial

from skdiff.base.errors import CannotRun
from skdiff.base.processors import processors
from skdiff.cases.fields import LOOKUPS
from skdiff.cases.scenario import Scenario
from skdiff.engines.small_classes import Kernel
from skdiff.engines.small_tables import Tables
from skdiff.kernel.root_call import has_lookup
from skdiff.oracles import compiled_model
from skdiff.oracles.model import Model
from skdiff.proof.mutants.hunt import Fate, Hunt
from skdiff.proof.mutants.isolated import Died, each
from skdiff.proof.mutants.model import KERNELS, Expected
from skdiff.proof.mutants.report import TableKills
from skdiff.proof.mutants.schemata import Schemata
from skdiff.proof.mutants.table_cases import any_cases, kinds
from skdiff.variants.config import Config

SOCKETS = 2


class Sieve(Hunt):
    """A hunt in which all mutants that are left are tried on one case after the other, in a few processes: what a case
    tells apart goes. One that kills its process does so too.
    """

    def killed(self, numbers: Iterable[int]) -> set[int]:
        """Those of some mutants that any case tells apart."""
        numbers = sorted(numbers)
        jobs = processors()
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


@cache
def tables_of(kernel: Kernel) -> Tables:
    """The tables of the sweep of two sockets on a kernel."""
    lookups = [number for number, name in LOOKUPS.items() if has_lookup(name, kernel.config)]
    return Tables(lookups, SOCKETS, [kernel])


@cache
def kinds_of(kernel: Kernel) -> list[Scenario]:
    """A case of each kind of these tables. The model only sorts them, and may be the compiled one."""
    return kinds(tables_of(kernel), compiled_model.fastest()(*kernel))


def of_c(made: Schemata, config: Config, corpus: Sequence[Scenario], fates: Mapping[int, Fate]) -> TableKills:
    """Of the mutants of the C; `fates` are what the `corpus` makes of them."""
    model, kernel = Model(made.rules, config), Kernel(made.rules, config)
    standing = {i for i, case in enumerate(corpus) if not (case.hostile or case.events)}
    wanted = {n for n, fate in fates.items() if standing.intersection(fate.cases)}
    others = [n for n, fate in fates.items() if fate.killed and n not in wanted]
    wanted |= Sieve(made, [corpus[i] for i in sorted(standing)], model).killed(others)
    small = [*kinds_of(kernel), *any_cases(tables_of(kernel))]
    return TableKills(frozenset(wanted), frozenset(Sieve(made, small, model).killed(wanted)))


def small_of_model() -> list[Expected]:
    """A case of each kind, for the mutants of the model, with what the model makes of it."""
    model = Model(*KERNELS[0])
    return [Expected("", case, 0, model.run(case), []) for case in kinds_of(Kernel(*KERNELS[0]))]


def of_model(told: Sequence[int]) -> TableKills:
    """Of the mutants of the model; `told` is how many lists tell each: what a system can reach of the corpus, and the
    cases of `small_of_model`. A mutant that changes nothing but steps, which no kernel has, is none of them.
    """
    return TableKills(
        frozenset(n for n, lists in enumerate(told) if lists > 0),
        frozenset(n for n, lists in enumerate(told) if lists > 1),
    )
