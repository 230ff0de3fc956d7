"""The corpus engine: the kept cases first, each as it is, then random ones and mutations of the kept ones."""

from harness.mutants.hunt import candidates
from harness.replaying import files
from harness.run import Run
from harness.text import load


def drive(run: Run) -> None:
    """Feed the corpus and what is made of it to a run until it is over. Raises CannotRun for a broken case."""
    kept = [load(path).scenario for path in files([])]
    run.start()
    for scenario in kept:
        if run.over():
            return
        run.case(scenario)
    for scenario in candidates(kept, run.origin.seed):
        if run.over():
            return
        run.case(scenario)
