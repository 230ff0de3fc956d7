"""What the sweep of two sockets tells of mutants: those that no small table tells from the original are outside of its
domain.

Only mutants that some case tells apart that a system can reach are asked about: the corpus has one for each.
"""

from collections.abc import Callable, Mapping, Sequence

from skdiff.cases.fields import LOOKUPS
from skdiff.cases.scenario import Scenario
from skdiff.engines.small_classes import Kernel
from skdiff.engines.small_tables import Tables
from skdiff.kernel.root_call import has_lookup
from skdiff.oracles.model import Model
from skdiff.proof.mutants.common import Mutant
from skdiff.proof.mutants.hunt import Fate, Hunt
from skdiff.proof.mutants.lines_run import Lines
from skdiff.proof.mutants.model import KERNELS, Expected, expected, run, sources, with_lines
from skdiff.proof.mutants.report import TableKills
from skdiff.proof.mutants.schemata import Schemata
from skdiff.proof.mutants.table_cases import some_cases
from skdiff.variants.config import Config

SOCKETS = 2


class _First(Hunt):
    """A hunt that is over with the first case that tells a mutant apart."""

    def killer(self, number: int) -> tuple[int, bool, frozenset[str]]:
        """See Hunt.killer(); the fields are not told."""
        self.reference.guard()
        self.reference.mutate(number)
        first = next((i for i in range(len(self.scenarios)) if self.tells(i)), -1)
        return first, self.reference.mutate(0) or first >= 0, frozenset()


def tables_of(rules_and_config: Kernel) -> Tables:
    """The tables of the sweep of two sockets on a kernel."""
    lookups = [number for number, name in LOOKUPS.items() if has_lookup(name, rules_and_config.config)]
    return Tables(lookups, SOCKETS, [rules_and_config])


def of_c(
    made: Schemata, config: Config, corpus: Sequence[Scenario], fates: Mapping[int, Fate], tell: Callable[[], None]
) -> TableKills:
    """Of the mutants of the C; `fates` are what the `corpus` makes of them. `tell` is told of each mutant."""
    model = Model(made.rules, config)
    seen = {n for n, fate in fates.items() if any(i < len(corpus) and not corpus[i].hostile for i in fate.cases)}
    others = [n for n, fate in fates.items() if fate.killed and n not in seen]
    reachable = [case for case in corpus if not case.hostile]
    wanted = seen | _killed(_First(made, reachable, model).corpus(others, tell))
    small = some_cases(tables_of(Kernel(made.rules, config)), model)
    return TableKills(frozenset(wanted), frozenset(_killed(_First(made, small, model).corpus(wanted, tell))))


def _killed(fates: Mapping[int, Fate]) -> set[int]:
    return {number for number, fate in fates.items() if fate.killed}


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
    small = [expected("", case, 0) for case in some_cases(tables_of(Kernel(*KERNELS[0])), Model(), of_a_kind=1)]
    return TableKills(
        frozenset(wanted), frozenset(_of(wanted, run([jobs[n] for n in wanted], with_lines(small, lines), tell, lines)))
    )


def _by_reachable(fate: Fate, corpus: Sequence[Expected]) -> bool:
    return any(not corpus[i].kernel and not corpus[i].scenario.hostile for i in fate.cases)


def _of(numbers: Sequence[int], found: Sequence[tuple[Mutant, Fate]]) -> set[int]:
    return {number for number, (_, fate) in zip(numbers, found, strict=True) if fate.killed}
