"""A run with a guest, which is asked for many cases at once, and answers while the next ones are made."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from skdiff.campaign.run import Run
from skdiff.cases.outcome import Outcome
from skdiff.cases.scenario import Scenario

ON_THEIR_WAY = 8  # batches; each is of one set of tables


class Guest(Protocol):
    """An oracle that is asked for batches: oracles/guests/vm.py Vm."""

    def ask(self, scenarios: Sequence[Scenario]) -> None:
        """Send a batch."""
        ...

    def answered(self) -> list[Outcome]:
        """The outcomes of the batch that was sent first."""
        ...


@dataclass
class BatchRun(Run):
    """A run whose first oracle is a guest. A case is compared some batches after it was made; `finish` waits for all
    that are on their way, unless the first difference was to end the run.
    """

    guest: Guest | None = None
    _batch: list[tuple[Scenario, list[Outcome]]] = field(default_factory=list)
    _sent: deque[list[tuple[Scenario, list[Outcome]]]] = field(default_factory=deque)

    def case(self, scenario: Scenario) -> None:
        """Make a case, and let the other oracles run it."""
        scenario = self.made(scenario)
        if self._batch and (len(self._batch) >= self.packets or self._batch[0][0].socks != scenario.socks):
            self._send()
        self._batch.append((scenario, [run(scenario) for run in self._runs[1:]]))

    def over(self) -> bool:
        """Whether the budget is used up, with what is on its way, or somebody asked to stop."""
        return self.stopped or bool(self.cases and self.done + self._unanswered() >= self.cases)

    def finish(self) -> None:
        """Compare what is on its way, and tell the counters for the last time."""
        if self._batch:
            self._send()
        while self._sent and not self._found_first():
            self._compare()
        super().finish()

    def _found_first(self) -> bool:
        return self.first and self.stopped

    def _unanswered(self) -> int:
        return len(self._batch) + sum(map(len, self._sent))

    def _send(self) -> None:
        assert self.guest is not None
        self.guest.ask([scenario for scenario, _ in self._batch])
        self._sent.append(self._batch)
        self._batch = []
        if len(self._sent) >= ON_THEIR_WAY:
            self._compare()
        self.tick()

    def _compare(self) -> None:
        assert self.guest is not None
        for (scenario, others), outcome in zip(self._sent.popleft(), self.guest.answered(), strict=True):
            self.counted(scenario, [outcome, *others])
            if self._found_first():
                return
