"""How much the corpus sees in a kernel: the share of its mutants that the kept cases tell apart."""

from collections.abc import Callable, Collection

from rich.console import Console

from skdiff.campaign.progress import Counter
from skdiff.cases.case_file import load
from skdiff.cases.find_cases import files
from skdiff.findings.diff_summary import Score
from skdiff.kernel.build import Build
from skdiff.oracles.model import Model
from skdiff.proof.mutants.common import judge, judgements, judgements_for
from skdiff.proof.mutants.hunt import Hunt
from skdiff.proof.mutants.schemata import schemata


def scores(
    build: Build,
    functions: Collection[str],
    errors: Console,
    say: Callable[[str], None],
    side: str = "A",
    all_too: bool = True,
) -> tuple[Score, Score]:
    """The scores of the mutants of these functions, and of all if they are wanted, in the default configuration of a
    build's tree, which is one `side` of a comparison; progress goes to the console `errors`. Raises CannotRun, also
    where kernel and model differ on the corpus.
    """
    with Counter(errors, f"compiling the mutants of {side}, which takes a minute"):
        made = schemata(build.tree, say, build.stubs)
    judged = judge(made.mutants.values(), judgements_for(judgements(), build.tree.version))
    numbers = [n for n, mutant in made.mutants.items() if mutant not in judged]
    if not all_too:
        numbers = [n for n in numbers if made.mutants[n].function in functions]
    say(f"the corpus against {len(numbers):,} mutants of {side}")
    hunt = Hunt(made, [load(path).scenario for path in files([])], Model(build.rules))
    with Counter(errors, f"mutants of {side}") as count:
        done = iter(range(1, len(numbers) + 1))
        fates = hunt.corpus(numbers, lambda: count(next(done), len(numbers)))

    def score(of: Collection[int]) -> Score:
        alive = tuple(f"{side}: {made.mutants[n]}" for n in of if not fates[n].by)
        return Score(len(of) - len(alive), len(of), alive)

    return score([n for n in numbers if made.mutants[n].function in functions]), score(numbers)
