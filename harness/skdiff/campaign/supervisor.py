"""The parent of a run's workers: starts them, starts them again, adds up what they say, and keeps the case of each that
dies.
"""

import contextlib
import os
import selectors
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from enum import Enum, auto
from pathlib import Path
from types import FrameType

import msgspec

from skdiff.base import signals
from skdiff.base.errors import CannotRun
from skdiff.base.scratch import scratch
from skdiff.campaign.finding_files import SAID, Origin, keep, report_of, write_case
from skdiff.campaign.inputs import seeded
from skdiff.campaign.messages import Cannot, Counters, Finding, Found, Running, Total, WorkerTotal, summed
from skdiff.campaign.run import TELL_EVERY
from skdiff.campaign.worker import Job
from skdiff.campaign.worker_process import MAX_DEATHS, WorkerProcess
from skdiff.cases.case_file import Case, dump
from skdiff.cases.outcome import Outcome
from skdiff.cases.validity import problems
from skdiff.comparison.compare import Mismatch
from skdiff.comparison.referee import judge_of, label_of, models_of
from skdiff.engines import GUIDED
from skdiff.oracles.guarded import Guarded

Report = Callable[[Finding | Running], None]
# What the C can do to its process. Other signals come from elsewhere: somebody's kill, or a lack of memory.
FAULTS = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGABRT})

AGAIN = 1.0  # seconds; what asks sooner is the same wish: `timeout` and `make` both pass on what they got themselves


def supervise(job: Job, closure: str, report: Report, jobs: int = 1) -> Total:
    """Run a job in `jobs` processes, each started again when it dies, and return what all did together.

    `report` gets each finding and, twice a second, the run so far. Ctrl-C, SIGTERM and the loss of the terminal end the
    run with what it has. Raises CannotRun if a worker could not start.
    """
    jobs = min(jobs, job.cases) if job.cases else jobs
    workers = _Workers(closure, report)
    with signals.handlers_installed(workers.stop), ExitStack() as stack:
        try:
            folder = stack.enter_context(scratch())
            inputs = Path(job.inputs or folder)
            if job.engine in GUIDED:
                inputs = seeded(inputs)
        except OSError as error:
            raise CannotRun(f"no room for the inputs of a run: {error}") from error
        processes = []
        for number in range(jobs):
            cases = job.cases // jobs + (number < job.cases % jobs)
            part = msgspec.structs.replace(job, cases=cases, inputs=str(inputs), scratch=str(folder), alone=jobs == 1)
            try:
                processes.append(stack.enter_context(WorkerProcess(part, number)))
            except OSError as error:
                raise CannotRun(f"no room for {jobs} workers: {error}") from error
        workers.work(processes, _kept_in(job, inputs))
        return workers.total()


def _kept_in(job: Job, inputs: Path) -> Path:
    """Where a guided engine writes new inputs: the first folder behind --, if there is one."""
    return next((Path(word) for word in job.arguments if not word.startswith("-")), inputs)


class _End(Enum):
    """How a worker came to its end."""

    DONE = auto()  # it said so
    COULD_NOT = auto()  # it said why
    FAILED = auto()  # an error of ours ended it
    DIED = auto()  # a signal ended it
    STOPPED = auto()  # it was asked to


class _Workers:
    """The worker processes of a run while it runs."""

    def __init__(self, closure: str, report: Report) -> None:
        self._closure, self._report = closure, report
        self._processes: Sequence[WorkerProcess] = ()
        self._inputs = Path()
        self._selector = selectors.DefaultSelector()
        self._stopping, self._stopped_at = 0, -AGAIN
        self._told = time.monotonic()
        self._crashes: list[Finding] = []  # findings that are no worker's own
        self._cases: dict[str, Finding] = {}  # those that could not be written, by signature
        self._signatures: set[str] = set()  # of findings that were told
        self._refuge = ""  # a folder for these, made when one is needed

    def work(self, processes: Sequence[WorkerProcess], inputs: Path) -> None:
        """Run all processes to their ends; `inputs` is where a guided engine puts new ones."""
        self._processes, self._inputs = processes, inputs
        for process in self._processes:
            self._start(process)
        while self._selector.get_map():
            for key, _ in self._selector.select():
                messages = key.data.hear()
                if messages is None:
                    self._selector.unregister(key.fd)
                    self._ended(key.data)
                for message in messages or ():
                    if isinstance(message, Found):
                        self._found(message.finding, message.last)
            if time.monotonic() - self._told >= TELL_EVERY:
                self._told = time.monotonic()
                self._report(self._running())

    def stop(self, _number: int, _frame: FrameType | None) -> None:
        """What asks us to end goes to the workers, which end after the case in hand; a second time they are killed."""
        self._stop()

    def _stop(self) -> None:
        if time.monotonic() - self._stopped_at < AGAIN:
            return
        self._stopped_at = time.monotonic()
        self._stopping += 1
        for process in self._processes:
            process.signal(signal.SIGINT if self._stopping == 1 else signal.SIGKILL)

    def _start(self, process: WorkerProcess) -> None:
        if not self._stopping:
            try:
                messages = process.start()
            except OSError as error:
                process.why = f"a worker could not be started: {error}"
                return
            self._selector.register(messages, selectors.EVENT_READ, process)
            if self._stopping:  # in between
                process.signal(signal.SIGINT if self._stopping == 1 else signal.SIGKILL)

    def _found(self, finding: Finding, last: bool) -> None:
        if not finding.file:
            self._cases[finding.signature] = finding
        if finding.signature not in self._signatures or not finding.file:  # one worker's word is enough
            self._report(finding)
        self._signatures.add(finding.signature)
        if last and not self._stopping:
            self._stop()

    def _ended(self, process: WorkerProcess) -> None:
        """A worker is gone: its part of the run is over, or goes on with another one."""
        status, said = process.end(asked=bool(self._stopping))
        match self._how(process, status):
            case _End.COULD_NOT:
                assert isinstance(process.ending, Cannot)
                process.why = process.ending.why
                self._give_up(process)
            case _End.FAILED:
                why = f"ended with status {status}: {said or 'no message'}"
                self._give_up(process, f"the worker {why}")
                process.why = f"a worker {why}; {self._case_of(process, said)}"
            case _End.DIED:
                self._died(process, -status, said)
            case _End.DONE:  # with its budget or its part, or somebody asked it to end who did not ask us
                if not process.job.first and process.job.part is None and process.more():
                    self._start(process)
            case _End.STOPPED:  # it may not have come so far as to sum up
                pass

    def _how(self, process: WorkerProcess, status: int) -> _End:
        """How a worker came to its end; `status` is that of its process."""
        if isinstance(process.ending, Cannot):
            return _End.COULD_NOT
        if process.ending is not None:
            return _End.DONE
        if self._stopping and -status not in FAULTS:
            return _End.STOPPED
        return _End.FAILED if status >= 0 else _End.DIED

    def _give_up(self, process: WorkerProcess, why: str = "") -> None:
        """Raises CannotRun for a worker that could not run, unless the run has something to show or is to end."""
        if not self._stopping and not self._anything():
            raise CannotRun(why or process.why)

    def _died(self, process: WorkerProcess, number: int, said: str) -> None:
        """A signal ended a worker: what it had in hand may be a finding, and another worker takes its place."""
        try:
            finding = self._crash(process, number, said)
        except (CannotRun, OSError) as error:
            process.why = f"{error}; {self._case_of(process, said)}"
            return
        if finding is not None:
            self._crashes.append(msgspec.structs.replace(finding, count=1))
            self._found(finding, process.job.first)
        if process.tired():
            process.why = f"the worker died {MAX_DEATHS} times in a row, that is enough"
        elif process.more():
            self._start(process)

    def _anything(self) -> bool:
        """Whether the run has something to show: then it ends with a summary, whatever becomes of one worker."""
        return bool(self._signatures) or any(process.counters.cases for process in self._processes)

    def _case_of(self, process: WorkerProcess, said: str) -> str:
        """Where the case that a worker had in hand is kept, when an error of ours ended it."""
        scenario = process.in_hand()
        if problems(scenario):
            return "it had no case in hand"
        try:
            path = write_case(Path(process.job.findings) / "worker-failed", dump(Case(scenario, found={"said": said})))
        except OSError as error:
            return f"its case could not be kept: {error}"
        return f"the case that it had in hand: {path}"

    def _crash(self, process: WorkerProcess, number: int, said: str) -> Finding | None:
        """The finding for a worker that a signal ended: the scenario in hand, what the kernels make of it when they are
        asked once more, each in a process of its own, and what the model says of it. None if all agree then, and the
        signal may have come from elsewhere. Raises CannotRun where a fault of the process does not come again.
        """
        job, scenario = process.job, process.in_hand()
        if problems(scenario):
            if number in FAULTS and not process.counters.cases:
                raise CannotRun(f"the worker died (signal {number}) with no case in hand: {said or 'no message'}")
            return None
        builds = job.plain_builds()
        outcomes: list[Outcome] = []
        for made in builds:
            with Guarded(made) as oracle:
                outcomes.append(oracle.run(scenario))
        mismatch: Mismatch | None = judge_of(builds)(
            scenario, [*outcomes, *(model.run(scenario) for model in models_of(builds))]
        )
        if mismatch is None:
            if number in FAULTS:
                raise CannotRun(f"the worker died (signal {number}), but the case in hand does not do it again")
            return None
        origin = Origin(label_of(builds), self._closure, job.engine, job.seed, job.again)
        finding = keep(Path(job.findings), scenario, mismatch, origin)
        if said and finding.file:
            with contextlib.suppress(OSError), report_of(Path(finding.file)).open("a") as file:
                file.write(f"{SAID}{said}\n")
        return finding

    def _running(self) -> Running:
        """The run so far."""
        total = summed([*(process.counters for process in self._processes), Counters(mismatches=self._crashes)])
        try:
            inputs = sum(1 for _ in os.scandir(self._inputs)) if self._processes[0].job.engine in GUIDED else 0
        except OSError:
            inputs = 0
        return Running(
            cases=total.cases,
            seconds=total.seconds,
            processor=total.processor,
            lookups=total.lookups,
            edges=(len(total.edges), max(total.edges.among, len(total.edges))),
            lines=(len(total.lines), max(total.lines.among, len(total.lines))),
            mismatches=total.mismatches,
            inputs=inputs,
            memory=sum(process.last.memory for process in self._processes),
            deaths=sum(process.deaths for process in self._processes),
            unrealised=total.unrealised,
            changed=total.changed,
            told=total.told,
        )

    def total(self) -> Total:
        """The run that is over, as `supervise` returns it."""
        running = self._running()
        written, unwritten = [], []
        for finding in running.mismatches:
            if not finding.file:
                lost = self._cases[finding.signature]
                finding.file = self._rescued(lost)
                if not finding.file:
                    unwritten.append(msgspec.structs.replace(lost, count=finding.count))
                    continue
            written.append(finding)
        running.mismatches = written
        return Total(
            **msgspec.structs.asdict(running),
            workers=[WorkerTotal(process.counters.cases, process.deaths) for process in self._processes],
            gave_up="; ".join(dict.fromkeys(process.why for process in self._processes if process.why)),
            unwritten=unwritten,
        )

    def _rescued(self, finding: Finding) -> str:
        """Where a finding is after all: where it belongs, if there is room by now, or in a folder that stays."""
        name = finding.signature[:120]
        with contextlib.suppress(OSError):
            return str(write_case(Path(self._processes[0].job.findings) / name, finding.case))
        with contextlib.suppress(OSError):
            self._refuge = self._refuge or tempfile.mkdtemp(prefix="skdiff-findings-")
            return str(write_case(Path(self._refuge) / name, finding.case))
        return ""
