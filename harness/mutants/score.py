"""How much the corpus sees in a kernel: the share of its mutants that the kept cases tell apart."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from harness.kernel.build import Build
from harness.model import Model
from harness.mutants.common import judge, judgements
from harness.mutants.hunt import Hunt
from harness.mutants.schemata import schemata
from harness.replaying import files
from harness.text import load


@dataclass(frozen=True)
class Score:
    """Of `mutants` that are not judged equivalent, the corpus tells `seen` apart."""

    seen: int
    mutants: int


def scores(build: Build, functions: Collection[str], say: Callable[[str], None]) -> tuple[Score, Score]:
    """The scores of the mutants of these functions, and of all, in the default configuration of a build's tree. Raises
    CannotRun, also where kernel and model differ on the corpus.
    """
    made = schemata(build.tree, say)
    judged = judge(made.mutants.values(), judgements())
    numbers = [n for n, mutant in made.mutants.items() if mutant not in judged]
    say(f"the corpus against {len(numbers):,} mutants of A")
    fates = Hunt(made, [load(path).scenario for path in files([])], Model(build.rules)).corpus(numbers)

    def score(of: Collection[int]) -> Score:
        return Score(sum(bool(fates[n].by) for n in of), len(of))

    return score([n for n in numbers if made.mutants[n].function in functions]), score(numbers)
