"""The parent of a run's workers: starts them, starts them again, adds up what they say, and keeps the case of each that
dies.
"""

import contextlib
import os
import selectors
import signal
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from skdiff.base import signals
from skdiff.base.errors import CannotRun
from skdiff.campaign.finding_files import SAID, Origin, kept, report_of, write_case
from skdiff.campaign.inputs import seeded
from skdiff.campaign.run import TELL_EVERY
from skdiff.campaign.worker import Job
from skdiff.campaign.worker_process import MAX_DEATHS, Lane, summed
from skdiff.cases.case_file import Case, dump
from skdiff.cases.outcome import Outcome
from skdiff.cases.validity import problems
from skdiff.comparison.compare import Mismatch
from skdiff.comparison.referee import judge_of, label_of, models_of
from skdiff.engines import GUIDED
from skdiff.oracles.guarded import Guarded

Tell = Callable[[Mapping[str, Any]], None]
# What the C can do to its process. Other signals come from elsewhere: somebody's kill, or a lack of memory.
FAULTS = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGABRT})

AGAIN = 1.0  # seconds; what asks sooner is the same wish: `timeout` and `make` both pass on what they got themselves


def supervise(job: Job, closure: str, tell: Tell, jobs: int = 1) -> dict[str, Any]:
    """Run a job in `jobs` processes, each started again when it dies, and return the counters of all together: those
    of a worker's messages, with "edges" and "lines" as (taken, all), "inputs" (how many), "workers", "deaths",
    "gave_up" (why it ended early, if it did) and "unwritten" (findings for which there is no room on any disk).

    `tell` gets each finding and, twice a second, the counters. Ctrl-C, SIGTERM and the loss of the terminal end the run
    with what it has. Raises CannotRun if a worker could not start.
    """
    jobs = min(jobs, job.cases) if job.cases else jobs
    crew = _Crew(closure, tell)
    with signals.handled(crew.stop), ExitStack() as stack:
        try:
            scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="skdiff-", ignore_cleanup_errors=True))
            inputs = Path(job.inputs or scratch)
            if job.engine in GUIDED:
                inputs = seeded(inputs)
        except OSError as error:
            raise CannotRun(f"no room for the inputs of a run: {error}") from error
        lanes = []
        for number in range(jobs):
            cases = job.cases // jobs + (number < job.cases % jobs)
            part = replace(job, cases=cases, inputs=str(inputs), scratch=scratch, alone=jobs == 1)
            try:
                lanes.append(stack.enter_context(Lane(part, number)))
            except OSError as error:
                raise CannotRun(f"no room for {jobs} workers: {error}") from error
        crew.work(lanes, _kept_in(job, inputs))
        return crew.total()


def _kept_in(job: Job, inputs: Path) -> Path:
    """Where a guided engine writes new inputs: the first folder behind --, if there is one."""
    return next((Path(word) for word in job.arguments if not word.startswith("-")), inputs)


class _Crew:
    """The lanes of a run while they are at work."""

    def __init__(self, closure: str, tell: Tell) -> None:
        self._closure, self._tell = closure, tell
        self._lanes: Sequence[Lane] = ()
        self._inputs = Path()
        self._selector = selectors.DefaultSelector()
        self._stopping, self._stopped_at = 0, -AGAIN
        self._told = time.monotonic()
        self._crashes: list[dict[str, Any]] = []  # findings that are no worker's own
        self._cases: dict[str, dict[str, Any]] = {}  # those that could not be written, by signature
        self._signatures: set[str] = set()  # of findings that were told
        self._refuge = ""  # a folder for these, made when one is needed

    def work(self, lanes: Sequence[Lane], inputs: Path) -> None:
        """Run all lanes to their ends; `inputs` is where a guided engine puts new ones."""
        self._lanes, self._inputs = lanes, inputs
        for lane in self._lanes:
            self._start(lane)
        while self._selector.get_map():
            for key, _ in self._selector.select():
                messages = key.data.hear()
                if messages is None:
                    self._selector.unregister(key.fd)
                    self._ended(key.data)
                for message in messages or ():
                    if message["kind"] == "finding":
                        self._found(message, key.data.job.first)
            if time.monotonic() - self._told >= TELL_EVERY:
                self._told = time.monotonic()
                self._tell({"kind": "progress", **self._counters()})

    def stop(self, _number: int, _frame: FrameType | None) -> None:
        """What asks us to end goes to the workers, which end after the case in hand; a second time they are killed."""
        self._stop()

    def _stop(self) -> None:
        if time.monotonic() - self._stopped_at < AGAIN:
            return
        self._stopped_at = time.monotonic()
        self._stopping += 1
        for lane in self._lanes:
            lane.signal(signal.SIGINT if self._stopping == 1 else signal.SIGKILL)

    def _start(self, lane: Lane) -> None:
        if not self._stopping:
            try:
                messages = lane.start()
            except OSError as error:
                lane.why = f"a worker could not be started: {error}"
                return
            self._selector.register(messages, selectors.EVENT_READ, lane)
            if self._stopping:  # in between
                lane.signal(signal.SIGINT if self._stopping == 1 else signal.SIGKILL)

    def _found(self, message: dict[str, Any], first: bool = False) -> None:
        signature = message["signature"]
        if not message["file"]:
            self._cases[signature] = message
        if signature not in self._signatures or not message["file"]:  # one worker's word is enough
            self._tell(message)
        self._signatures.add(signature)
        if first and not self._stopping:
            self._stop()

    def _ended(self, lane: Lane) -> None:
        """A worker is gone: its lane is over, or goes on with another one."""
        status, said = lane.end(asked=bool(self._stopping))
        kind = lane.last.get("kind")
        why = lane.last["why"] if kind == "cannot" else f"the worker ended with status {status}: {said or 'no message'}"
        if kind != "done" and (status >= 0 or kind == "cannot") and not self._stopping and not self._anything():
            raise CannotRun(why)
        if kind == "cannot":
            lane.why = why
            return
        if kind == "done":  # of its budget, or somebody asked it to end who did not ask us
            if not lane.job.first and lane.more():
                self._start(lane)
            return
        if self._stopping and -status not in FAULTS:  # it may not have come so far as to sum up
            return
        if status >= 0:
            lane.why = f"a worker ended with status {status}: {said or 'no message'}; {self._case_of(lane, said)}"
            return
        try:
            finding = self._crash(lane, -status, said)
        except (CannotRun, OSError) as error:
            lane.why = f"{error}; {self._case_of(lane, said)}"
            return
        if finding is not None:
            self._crashes.append({**finding, "count": 1})
            self._found(finding, lane.job.first)
        if lane.tired():
            lane.why = f"the worker died {MAX_DEATHS} times in a row, that is enough"
        elif lane.more():
            self._start(lane)

    def _anything(self) -> bool:
        """Whether the run has something to show: then it ends with a summary, whatever becomes of one worker."""
        return bool(self._signatures) or any(lane.counters["cases"] for lane in self._lanes)

    def _case_of(self, lane: Lane, said: str) -> str:
        """Where the case that a worker had in hand is kept, when an error of ours ended it."""
        scenario = lane.in_hand()
        if problems(scenario):
            return "it had no case in hand"
        try:
            path = write_case(Path(lane.job.findings) / "worker-failed", dump(Case(scenario, found={"said": said})))
        except OSError as error:
            return f"its case could not be kept: {error}"
        return f"the case that it had in hand: {path}"

    def _crash(self, lane: Lane, number: int, said: str) -> dict[str, Any] | None:
        """The finding for a worker that a signal ended: the scenario in hand, what the kernels make of it when they are
        asked once more, each in a process of its own, and what the model says of it. None if all agree then, and the
        signal may have come from elsewhere. Raises CannotRun where a fault of the process does not come again.
        """
        job, scenario = lane.job, lane.in_hand()
        if problems(scenario):
            if number in FAULTS and not lane.counters["cases"]:
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
        finding = kept(Path(job.findings), scenario, mismatch, origin)
        if said and finding["file"]:
            with contextlib.suppress(OSError), report_of(Path(finding["file"])).open("a") as report:
                report.write(f"{SAID}{said}\n")
        return finding

    def _counters(self) -> dict[str, Any]:
        total = summed([*(lane.counters for lane in self._lanes), {"mismatches": self._crashes}])
        for side in ("edges", "lines"):
            taken, among = total[side]
            total[side] = (len(taken), max(among, len(taken)))
        try:
            inputs = sum(1 for _ in os.scandir(self._inputs)) if self._lanes[0].job.engine in GUIDED else 0
        except OSError:
            inputs = 0
        return {
            **total,
            "inputs": inputs,
            "memory": sum(lane.last.get("memory", 0) for lane in self._lanes),
            "workers": sum(lane.running for lane in self._lanes),
            "deaths": sum(lane.deaths for lane in self._lanes),
        }

    def total(self) -> dict[str, Any]:
        """The counters of the run that is over, as `supervise` returns them."""
        total = self._counters()
        total["workers"] = [{"cases": lane.counters["cases"], "deaths": lane.deaths} for lane in self._lanes]
        total["gave_up"] = "; ".join(dict.fromkeys(lane.why for lane in self._lanes if lane.why))
        total["unwritten"] = []
        for mismatch in list(total["mismatches"]):
            if not mismatch["file"]:
                message = self._cases[mismatch["signature"]]
                mismatch["file"] = self._rescued(message)
                if not mismatch["file"]:
                    total["mismatches"].remove(mismatch)
                    total["unwritten"].append({**message, "count": mismatch["count"]})
        return total

    def _rescued(self, message: Mapping[str, Any]) -> str:
        """Where a finding is after all: where it belongs, if there is room by now, or in a folder that stays."""
        name = message["signature"][:120]
        with contextlib.suppress(OSError):
            return str(write_case(Path(self._lanes[0].job.findings) / name, message["case"]))
        with contextlib.suppress(OSError):
            self._refuge = self._refuge or tempfile.mkdtemp(prefix="skdiff-findings-")
            return str(write_case(Path(self._refuge) / name, message["case"]))
        return ""
