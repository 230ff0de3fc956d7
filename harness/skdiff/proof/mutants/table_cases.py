"""Some cases of the small tables, of each kind that the model tells apart: most of what a sweep tells from the kernel
is told by these, in a thousandth of the time.
"""

from collections.abc import Iterable, Iterator, Sequence
from random import Random

from skdiff.cases.scenario import Scenario
from skdiff.cases.steps import Step
from skdiff.engines.small_tables import Block, Tables
from skdiff.oracles.model import Model
from skdiff.proof.mutants.isolated import in_shares

TABLES_OF_A_BLOCK = 8
ANY_TABLES = 10_000
_SMALL = 1 << 16  # what is more is a hash, or an address, of which one is as good as another


def kinds(tables: Tables, model: Model) -> list[Scenario]:
    """A case of each kind, of some tables of each block: those of a kind have the same steps, but for the hashes in
    these. Those of a block, which are alike, do not follow each other. Raises CannotRun.
    """
    first: dict[tuple[object, ...], Scenario] = {}
    for _, of_share in in_shares(lambda share: _kinds(tables, model, share), len(tables.blocks)):
        for kind, case in of_share.items():
            first.setdefault(kind, case)
    return Random(1).sample([*first.values()], len(first))


def _kinds(tables: Tables, model: Model, share: Iterable[int]) -> dict[tuple[object, ...], Scenario]:
    found: dict[tuple[object, ...], Scenario] = {}
    for number in share:
        block = tables.blocks[number]
        for table in _some(block, Random(number)):
            for case in next(block.some(table, table + 1)):
                found.setdefault((case.lookup, case.caller, *_said(model.trace(case))), case)
    return found


def any_cases(tables: Tables, any_tables: int = ANY_TABLES) -> list[Scenario]:
    """The cases of any tables: what a step decides can matter in one case of a kind alone."""
    random = Random(1)
    numbers = random.sample(range(tables.tables), min(any_tables, tables.tables))
    cases = [case for number in sorted(numbers) for case in next(tables.some(number, number + 1))]
    return random.sample(cases, len(cases))


def _some(block: Block, random: Random) -> Iterable[int]:
    if block.tables <= TABLES_OF_A_BLOCK:
        return range(block.tables)
    return sorted(random.sample(range(block.tables), TABLES_OF_A_BLOCK))


def _said(steps: Sequence[Step]) -> Iterator[object]:
    for step in steps:
        yield step.function
        yield tuple(value if -_SMALL < value < _SMALL else _SMALL for value in step.values)
