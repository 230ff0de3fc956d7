"""The Hypothesis engine: scenarios from strategies; the first mismatch of each signature is shrunk once it is kept."""

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings

from skdiff.cases.scenario import Scenario
from skdiff.comparison.compare import Mismatch
from skdiff.engines.interface import Run
from skdiff.engines.strategies import scenarios

_BATCH = 200


class _Differs(Exception):
    """Tells Hypothesis that this example is worth shrinking."""


class _Enough(BaseException):
    """Goes through Hypothesis, which would try on: the run is over."""


def drive(run: Run) -> None:
    """Feed a run with batches of examples, each with its own seed derived from the run's. The first mismatch of a
    signature is shrunk, which takes far longer than finding it; more of the same are only counted.
    """
    run.start()
    shrunk: set[str] = set()
    batch = 0
    while not run.over():
        _batch(run, run.seed * 1_000_003 + batch, shrunk)
        batch += 1


def _batch(run: Run, number: int, shrunk: set[str]) -> None:
    smallest: tuple[Scenario, Mismatch] | None = None

    @seed(number)
    @settings(
        max_examples=_BATCH,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
        report_multiple_bugs=False,
    )
    @given(scenarios())
    def look(scenario: Scenario) -> None:
        nonlocal smallest
        if smallest is None:
            mismatch = None if run.over() else run.case(scenario)
            if mismatch is None or mismatch.signature in shrunk:
                return
        else:  # shrinking: not a case of its own
            run.tick()
            if run.stopped:
                raise _Enough
            mismatch = run.judged(scenario, [oracle.run(scenario) for oracle in run.oracles])
            if mismatch is None or mismatch.signature != smallest[1].signature:
                return
        smallest = scenario, mismatch
        raise _Differs

    try:
        look()
    except (_Differs, _Enough):
        assert smallest is not None  # it raised for it
        shrunk.add(smallest[1].signature)
        run.replace(*smallest)
