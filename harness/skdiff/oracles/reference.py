"""The reference: the kernel's own functions, extracted, compiled, and called through cffi."""

from pathlib import Path
from typing import Any

from skdiff.cases.fields import LOOKUPS
from skdiff.cases.native import encode, encode_frame
from skdiff.cases.outcome import Outcome
from skdiff.cases.record import OUTCOME_SIZE, SCENARIO_SIZE, TRACE_SIZE, constants, outcome, steps
from skdiff.cases.scenario import Scenario
from skdiff.cases.steps import Step
from skdiff.kernel.build import Build
from skdiff.kernel.compilation import load


class Buffer:
    """Where scenarios are written for the C to read; it knows whose tables it holds, so references may share one.

    `memory` has at least SCENARIO_SIZE bytes: a shared mapping there lets a parent process see the case in flight after
    a crash. Who writes there without `write` has to call `forget` before the next one.
    """

    def __init__(self, memory: Any = None) -> None:
        self.memory = bytearray(SCENARIO_SIZE) if memory is None else memory
        self.forget()

    def forget(self) -> None:
        """The next scenario is written whole."""
        self._netns: object = None
        self._groups: object = None
        self._socks: object = None
        self._events: object = None

    def write(self, scenario: Scenario) -> None:
        """Write a scenario: of one that has the last one's very own tables (another packet for them), only the rest."""
        netns, groups, socks, events = scenario[-4:]
        if socks is self._socks and events is self._events and groups is self._groups and netns is self._netns:
            encode_frame(scenario, self.memory)
        else:
            self.forget()  # what cannot be encoded leaves half a record
            encode(scenario, self.memory)
            self._netns, self._groups, self._socks, self._events = netns, groups, socks, events


class Reference:
    """The oracle that runs the kernel's text. Its scenarios are in `buffer`, which several references of a process may
    share: they run one case at a time.
    """

    def __init__(self, build: Build, buffer: Buffer | None = None) -> None:
        self.build = build
        self._open(build.load(), f"Linux {build.label}", buffer)

    @classmethod
    def of(cls, folder: Path, buffer: Buffer | None = None) -> "Reference":
        """The reference in a build's folder, where the build itself is not at hand."""
        self = cls.__new__(cls)
        self._open(load(folder), folder.name, buffer)
        return self

    def _open(self, module: Any, name: str, buffer: Buffer | None) -> None:
        self.name = name
        self.buffer = Buffer() if buffer is None else buffer
        self._write = self.buffer.write
        self._scenario = self.buffer.memory
        self._outcome = bytearray(OUTCOME_SIZE)
        self._call = module.lib.reference_call
        self._in = module.ffi.cast("struct scenario_record *", module.ffi.from_buffer(self._scenario))
        self._out = module.ffi.cast("struct outcome_record *", module.ffi.from_buffer(self._outcome))
        self._keep = (module, module.ffi.from_buffer(self._scenario), module.ffi.from_buffer(self._outcome))
        self._trace = module.lib.reference_trace
        self._crowded, self._mutate = module.lib.reference_crowded, module.lib.reference_mutate
        self._plant = module.lib.reference_plant
        bits = module.lib.reference_lookups()
        self.lookups = tuple(lookup for lookup in LOOKUPS if bits >> lookup & 1)  # those that it can be asked for
        self.guard = module.lib.reference_guard
        self._ffi, self._edges = module.ffi, module.lib.reference_edges
        self.guard()

    def edges(self) -> tuple[frozenset[int], int]:
        """The edges of the extracted C that any case has taken, as numbers that mean the same in each process, and how
        many there are: none in a build that is not guided; gcc only knows of those that it came by.
        """
        taken = self._ffi.new("uint32_t[]", constants.MAX_EDGES)
        count = self._ffi.new("uint32_t *")
        total = self._edges(taken, count)
        return frozenset(taken[0 : count[0]]), int(total)

    def buffers(self) -> tuple[Any, Any]:
        """Where the C reads its scenario record and writes its outcome record, for who fills the first on its own."""
        self.buffer.forget()
        return self._scenario, self._outcome

    def mutate(self, mutant: int) -> bool:
        """Turn on a mutant of a mutated build, 0 for none; returns whether a case came to the one that was on."""
        return bool(self._mutate(mutant))

    def plant(self, at: int, when: int) -> int:
        """Change a byte of what a lookup may write in each case from now on, `when` of csrc/record.h's enum
        planted; returns how many bytes the last case had.
        """
        return int(self._plant(at, when))

    def call(self) -> None:
        """Run the record that is in the buffer as it is, and leave the outcome record unread."""
        self._call(self._in, self._out)

    def trace(self, scenario: Scenario) -> list[Step]:
        """The steps of the C; a build of the variant "traced" has some, others none."""
        trace = bytearray(TRACE_SIZE)
        self._trace(self._ffi.cast("struct trace_record *", self._ffi.from_buffer(trace)))
        try:
            self.run(scenario)
        finally:
            self._trace(self._ffi.NULL)
        return steps(trace)

    def crowded(self, scenario: Scenario, crowd: int, repeat: int) -> float:
        """Nanoseconds of one lookup with `crowd` unrelated sockets in the tables, the mean of `repeat`."""
        self._write(scenario)
        return float(self._crowded(self._in, self._out, crowd, repeat))

    def run(self, scenario: Scenario) -> Outcome:
        """The outcome of the C. A crash or an endless loop in it is an outcome too; what the guard cannot catch kills
        the process (see `supervise`).
        """
        self._write(scenario)
        self._call(self._in, self._out)
        return outcome(self._outcome, len(scenario.socks))
