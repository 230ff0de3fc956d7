"""An oracle in a process of its own: what kills that process is an outcome, not the end of this one."""

import mmap
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from skdiff.base.errors import CannotRun
from skdiff.cases.native import encode
from skdiff.cases.outcome import CRASHED, Outcome
from skdiff.cases.record import OUTCOME_SIZE, SCENARIO_SIZE, TRACE_SIZE, aligned, outcome, steps
from skdiff.cases.scenario import Scenario
from skdiff.cases.steps import Step
from skdiff.kernel.build import Build
from skdiff.kernel.compilation import load, preload

# Where each record is in the memory that both processes share.
OUTCOME_AT = aligned(SCENARIO_SIZE)
TRACE_AT = aligned(OUTCOME_AT + OUTCOME_SIZE)
SHARED_SIZE = TRACE_AT + TRACE_SIZE


class Guarded:
    """The reference behind a pipe: slower than `Reference` (some 20,000 cases a second), but nothing can kill it.

    A context manager; leaving it ends the process.
    """

    def __init__(self, build: Build) -> None:
        self.build = build
        self.name = f"Linux {build.label}"
        self._shared = os.memfd_create("skdiff-records")  # no file: neither a full disk nor a kill -9 must matter
        os.ftruncate(self._shared, SHARED_SIZE)
        self._memory = mmap.mmap(self._shared, SHARED_SIZE)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Guarded":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._memory.close()
        os.close(self._shared)

    def run(self, scenario: Scenario) -> Outcome:
        """The outcome of the C; `crashed` if it killed its process, which is started again for the next case."""
        process = self._process if self._process is not None else self._start()
        assert process.stdin is not None and process.stdout is not None
        encode(scenario, self._memory)
        try:
            process.stdin.write(b".")
            process.stdin.flush()
            answer = process.stdout.read(1)
        except BrokenPipeError:
            answer = b""
        if answer == b".":
            return outcome(memoryview(self._memory)[OUTCOME_AT:], len(scenario.socks))
        self._process = None
        process.communicate()
        if process.returncode >= 0:
            raise CannotRun(f"the reference's process ended with status {process.returncode}")
        return Outcome(ended=CRASHED, signal=-process.returncode)

    def trace(self, scenario: Scenario) -> list[Step]:
        """The steps of the C, up to its death if it dies; a build of the variant "traced" has some, others none."""
        self._memory[TRACE_AT:SHARED_SIZE] = bytes(TRACE_SIZE)
        self.run(scenario)
        return steps(self._memory, TRACE_AT)

    def _start(self) -> "subprocess.Popen[bytes]":
        build = self.build
        self._process = subprocess.Popen(
            [sys.executable, "-m", "skdiff.oracles.guarded", str(build.folder), str(self._shared)],
            pass_fds=(self._shared,),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **preload(build.variant)},
            start_new_session=True,
        )
        return self._process


def main() -> None:
    """The process: one byte in, run the scenario in the shared memory, one byte out."""
    folder, shared = sys.argv[1:]
    module = load(Path(folder))
    memory = mmap.mmap(int(shared), SHARED_SIZE)
    start = module.ffi.from_buffer(memory)
    scenario = module.ffi.cast("struct scenario_record *", start)
    result = module.ffi.cast("struct outcome_record *", start + OUTCOME_AT)
    module.lib.reference_trace(module.ffi.cast("struct trace_record *", start + TRACE_AT))
    module.lib.reference_guard()
    while os.read(0, 1):
        module.lib.reference_call(scenario, result)
        os.write(1, b".")


if __name__ == "__main__":
    main()
