"""What an oracle is."""

from typing import Protocol

from skdiff.cases.outcome import Outcome
from skdiff.cases.scenario import Scenario


class Oracle(Protocol):
    """Anything that knows what a lookup does. There may be any number of them in a run."""

    name: str

    def run(self, scenario: Scenario) -> Outcome:
        """The outcome for a valid scenario."""
        ...
