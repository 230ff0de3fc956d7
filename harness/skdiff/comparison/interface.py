"""What judges the outcomes of a case."""

from collections.abc import Callable, Sequence

from skdiff.cases.outcome import Outcome
from skdiff.cases.scenario import Scenario
from skdiff.comparison.compare import Mismatch

# A mismatch, or None if the outcomes are as they should be.
Judge = Callable[[Scenario, Sequence[Outcome]], Mismatch | None]
