"""Some cases of the small tables, of each kind that the model tells apart: most of what a sweep tells from the kernel
is told by these, in a thousandth of the time.
"""

from collections.abc import Iterable, Iterator, Sequence
from random import Random

from skdiff.cases.scenario import Scenario
from skdiff.cases.steps import Step
from skdiff.engines.small_tables import Block, Tables
from skdiff.oracles.model import Model

TABLES_OF_A_BLOCK = 6
CASES_OF_A_KIND = 2
_SMALL = 1 << 16  # what is more is a hash, or an address, of which one is as good as another


def some_cases(tables: Tables, model: Model, of_a_kind: int = CASES_OF_A_KIND) -> list[Scenario]:
    """So many cases of each kind at most, of some tables of each block: those of a kind have the same steps, but for
    the hashes in these.
    """
    kinds: dict[tuple[object, ...], int] = {}
    found = []
    random = Random(1)
    for block in tables.blocks:
        for number in _some(block, random):
            for case in next(block.some(number, number + 1)):
                kind = (case.lookup, case.caller, *_said(model.trace(case)))
                kinds[kind] = kinds.get(kind, 0) + 1
                if kinds[kind] <= of_a_kind:
                    found.append(case)
    return found


def _some(block: Block, random: Random) -> Iterable[int]:
    if block.tables <= TABLES_OF_A_BLOCK:
        return range(block.tables)
    return sorted(random.sample(range(block.tables), TABLES_OF_A_BLOCK))


def _said(steps: Sequence[Step]) -> Iterator[object]:
    for step in steps:
        yield step.function
        yield tuple(value if -_SMALL < value < _SMALL else _SMALL for value in step.values)
