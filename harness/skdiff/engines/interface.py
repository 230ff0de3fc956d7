"""What an engine is, and the run that it feeds, as engines see it (`campaign/run.py` has the one that counts)."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from skdiff.cases.outcome import Outcome
from skdiff.cases.scenario import Scenario
from skdiff.comparison.compare import Mismatch
from skdiff.engines.small_part import Part
from skdiff.engines.small_tables import Tables
from skdiff.oracles.interface import Oracle
from skdiff.variants.abilities import Ability

PACKETS = 4  # that a set of tables is asked for: tables are dear to make, packets are cheap


class Run(Protocol):
    """A run that is fed with cases until it is over.

    `start` opens the oracles, and comes first: libFuzzer must be there before the C that feeds it. `seed` fixes the
    sequence of cases. `arguments` are the engine's own flags, `inputs` is where a guided engine keeps what it learns,
    and others too unless the run is `alone`; `scratch` is a folder that is gone after the run. A kernel of the run
    `lacks` some abilities. Only cases of `lookups` are wanted: others become such. A set of tables is asked for so many
    `packets`. A sweep is of a `part` of all small tables. What an engine says of its work is `told`, a line each.
    """

    seed: int
    arguments: tuple[str, ...]
    inputs: Path
    scratch: Path
    alone: bool
    oracles: Sequence[Oracle]
    stopped: bool
    lacks: frozenset[Ability]
    lookups: tuple[int, ...]
    packets: int
    part: Part | None
    tables: Callable[[], Tables] | None
    told: list[str]

    def start(self) -> None:
        """Open the oracles, and start the clock."""
        ...

    def case(self, scenario: Scenario) -> Mismatch | None:
        """Run all oracles on a case, count it, and keep it if they differ."""
        ...

    def found(self) -> Mapping[str, tuple[int, Sequence[str]]]:
        """How many cases differ so far, and the files with some of them, by signature."""
        ...

    def over(self) -> bool:
        """Whether the budget is used up or somebody asked to stop."""
        ...

    def tick(self) -> None:
        """Look at the clock."""
        ...

    def judged(self, scenario: Scenario, outcomes: Sequence[Outcome]) -> Mismatch | None:
        """What the run makes of the outcomes of a case, without counting it."""
        ...

    def replace(self, scenario: Scenario, mismatch: Mismatch) -> None:
        """Keep another case of a mismatch that was counted, in the place of the one before."""
        ...

    def finish(self) -> None:
        """Tell the supervisor what was done, where the process ends without a return."""
        ...

    def stop_on_signals(self) -> None:
        """Let the signals that ask a program to end end the run after the case in hand."""
        ...


class Engine(Protocol):
    """A module that makes scenarios; one that needs what may not be installed also has an `available()`."""

    def drive(self, run: Run) -> None:
        """Feed a run until it is over."""
        ...
