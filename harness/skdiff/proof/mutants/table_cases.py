"""Some cases of the small tables, of each kind that the model tells apart: most of what a sweep tells from the kernel
is told by these, in a thousandth of the time.
"""

from collections.abc import Iterable, Iterator, Sequence
from random import Random

from skdiff.cases.scenario import Scenario
from skdiff.cases.steps import Step
from skdiff.engines.small_tables import Block, Tables
from skdiff.oracles.model import Model

TABLES_OF_A_BLOCK = 8
ANY_TABLES = 10_000
_SMALL = 1 << 16  # what is more is a hash, or an address, of which one is as good as another


def some_cases(tables: Tables, model: Model, any_tables: int = ANY_TABLES) -> list[Scenario]:
    """A case of each kind, of some tables of each block: those of a kind have the same steps, but for the hashes in
    these. And the cases of so many tables besides: what a step decides can matter in one case of a kind alone.
    """
    kinds: dict[tuple[object, ...], Scenario] = {}
    random = Random(1)
    for block in tables.blocks:
        for number in _some(block, random):
            for case in next(block.some(number, number + 1)):
                kinds.setdefault((case.lookup, case.caller, *_said(model.trace(case))), case)
    numbers = random.sample(range(tables.tables), min(any_tables, tables.tables))
    others = [case for number in sorted(numbers) for case in next(tables.some(number, number + 1))]
    first = random.sample([*kinds.values()], len(kinds))  # those of a block, which are alike, do not follow each other
    return [*first, *random.sample(others, len(others))]


def _some(block: Block, random: Random) -> Iterable[int]:
    if block.tables <= TABLES_OF_A_BLOCK:
        return range(block.tables)
    return sorted(random.sample(range(block.tables), TABLES_OF_A_BLOCK))


def _said(steps: Sequence[Step]) -> Iterator[object]:
    for step in steps:
        yield step.function
        yield tuple(value if -_SMALL < value < _SMALL else _SMALL for value in step.values)
