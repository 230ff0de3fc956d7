"""The reference: the kernel's own functions, extracted, compiled, and called through cffi."""

from typing import Any

from harness.kernel.build import Build
from harness.outcome import Outcome
from harness.record import OUTCOME_SIZE, SCENARIO_SIZE, encode, outcome
from harness.scenario import Scenario


class Reference:
    """The oracle that runs the kernel's text.

    `buffer` is where scenarios are written for the C to read, at least SCENARIO_SIZE bytes: a shared mapping there lets
    a parent process see the case in flight after a crash. One reference of a process runs one case at a time.
    """

    def __init__(self, build: Build, buffer: Any = None) -> None:
        self.build = build
        self.name = f"Linux {build.tree.version}"
        module = build.load()
        self._scenario = bytearray(SCENARIO_SIZE) if buffer is None else buffer
        self._outcome = bytearray(OUTCOME_SIZE)
        self._call = module.lib.reference_call
        self._in = module.ffi.cast("struct scenario_record *", module.ffi.from_buffer(self._scenario))
        self._out = module.ffi.cast("struct outcome_record *", module.ffi.from_buffer(self._outcome))
        self._keep = (module, module.ffi.from_buffer(self._scenario), module.ffi.from_buffer(self._outcome))
        self._ffi, self._edges = module.ffi, module.lib.reference_edges
        module.lib.reference_guard()

    def edges(self) -> tuple[int, int]:
        """(taken, all) edges of the extracted C in a guided build, (0, 0) in another; gcc knows only edges taken."""
        covered = self._ffi.new("uint32_t *")
        total = self._edges(covered)
        return int(covered[0]), int(total)

    def buffers(self) -> tuple[Any, Any]:
        """Where the C reads its scenario record and writes its outcome record."""
        return self._scenario, self._outcome

    def call(self) -> None:
        """Run the record that is in the buffer as it is, and leave the outcome record unread."""
        self._call(self._in, self._out)

    def run(self, scenario: Scenario) -> Outcome:
        """The outcome of the C. A crash or an endless loop in it is an outcome too; what the guard cannot catch kills
        the process (see `supervise`).
        """
        encode(scenario, self._scenario)
        self._call(self._in, self._out)
        return outcome(self._outcome, len(scenario.socks))
