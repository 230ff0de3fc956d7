"""The Hypothesis engine: scenarios from strategies; a mismatch is shrunk before it is kept."""

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings

from harness.engines.strategies import scenarios
from harness.run import Run
from harness.scenario import Scenario

_BATCH = 200


class _Differs(Exception):
    """Tells Hypothesis that this example is worth shrinking."""


def drive(run: Run) -> None:
    """Feed a run with batches of examples, each with its own seed derived from the run's."""
    run.start()
    batch = 0
    while not run.over():
        _batch(run, run.origin.seed * 1_000_003 + batch)
        batch += 1


def _batch(run: Run, number: int) -> None:
    smallest: list[Scenario] = []

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
        if run.over() and not smallest:
            return
        if smallest:  # shrinking: not a case of its own
            mismatch = run.judged(scenario, [oracle.run(scenario) for oracle in run.oracles])
        else:
            mismatch = run.case(scenario)
        if mismatch is not None:
            smallest[:] = [scenario]
            raise _Differs

    try:
        look()
    except _Differs:
        scenario = smallest[0]
        mismatch = run.judged(scenario, [oracle.run(scenario) for oracle in run.oracles])
        assert mismatch is not None  # it raised for it
        run.keep(scenario, mismatch)
