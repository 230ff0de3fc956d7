"""The random engine: uniform bytes through the wire format. Blind, seeded, fast."""

from random import Random

from harness.run import Run
from harness.wire import SIZE, decode


def drive(run: Run) -> None:
    """Feed random scenarios to a run until it is over. The run's seed fixes their sequence."""
    run.start()
    draw, case, over = Random(run.origin.seed).randbytes, run.case, run.over
    while not over():
        case(decode(draw(SIZE)))
