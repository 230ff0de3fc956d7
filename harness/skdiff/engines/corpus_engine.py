"""The corpus engine: the kept cases first, each as it is, then random ones and mutations of the kept ones."""

from collections.abc import Iterator, Sequence
from random import Random

from skdiff.cases import wire
from skdiff.cases.case_file import load
from skdiff.cases.find_cases import files
from skdiff.cases.on_kernel import as_it_is
from skdiff.cases.scenario import Scenario
from skdiff.engines.aimed_events import fresh
from skdiff.engines.interface import Run
from skdiff.engines.mutation import Mutator


def drive(run: Run) -> None:
    """Feed the corpus and what is made of it to a run until it is over. Raises CannotRun for a broken case."""
    kept = [load(path).scenario for path in files([])]
    run.start()
    for scenario in kept:
        if run.over():
            return
        run.case(as_it_is(scenario, run.lacks))
    for scenario in candidates(kept, run.seed, bytes(run.lookups)):
        if run.over():
            return
        run.case(scenario)


def candidates(corpus: Sequence[Scenario], seed: int, lookups: bytes = b"") -> Iterator[Scenario]:
    """Random cases without end: half of them drawn, half mutated from the corpus; a seed fixes their sequence."""
    random, others, mutator = Random(seed), Random(~seed), Mutator(seed)
    seeds = [wire.near(scenario) for scenario in corpus]
    while True:
        yield wire.decode(fresh(random, others, lookups), lookups)
        data = mutator.mutate(random.choice(seeds)) if seeds else fresh(random, others, lookups)
        yield wire.decode(data, lookups)
