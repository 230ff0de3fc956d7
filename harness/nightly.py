"""A night: every kernel and configuration fuzzed, the corpus replayed, mutants, coverage, what differs between kernels.

A night is a list of steps, each a command in a process of its own with its share of the time; one that fails costs
nothing but itself. Each leaves NAME.json and NAME.log in the night's folder, and findings beside them.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from harness.config import MATRIX
from harness.ends import interruptible
from harness.engines import atheris_engine
from harness.errors import CannotRun
from harness.kernel import source
from harness.page import told

KERNELS = ("6.12", "6.1")
FUZZING, HYPOTHESIS, MUTANTS = 0.55, 0.15, 0.1  # shares of the night; the rest is what the steps of fixed size take
DEFAULT_SHARE = 0.5  # of a kernel's fuzzing goes to the configuration that distributions build
EXAMPLES_A_MINUTE = 20  # of each Hypothesis test: what two busy cores do of all of them in that share
MUTANT_SEED_MINUTES = 1.2  # what one seed of fuzzed mutants takes
GRACE = 240.0  # seconds that a step may take more than its share: fetching a kernel, building, reducing, sorting out
STOPPED, ASKED = "stopped", "the night was asked to end"
TO_END, LOOK_EVERY = 30.0, 0.2  # seconds that a step has to sum up, and between two looks at it


@dataclass(frozen=True)
class Step:
    """One command of a night: `command` are the words behind `skdiff`, or a whole command if `whole`; `seconds` is its
    share of the night; `summary` tells whether it writes a --json file; `good` are the exit codes that are fine.
    `first` raises CannotRun where the night cannot have the step, which is then left out: no fault of what it tests.
    """

    name: str
    command: tuple[str, ...]
    seconds: float = 0
    whole: bool = False
    summary: bool = True
    environment: dict[str, str] = field(default_factory=dict)
    good: tuple[int, ...] = (0,)
    first: Callable[[], object] | None = None


def plan(minutes: float, out: Path, inputs: Path, jobs: int, kernels: Sequence[str] = KERNELS) -> Iterator[Step]:
    """The steps of a night of so many minutes. `inputs` is the folder of the guided runs' inputs, `jobs` is how many
    workers fuzz, and how many processes Hypothesis's tests get.
    """
    share = 60 * minutes / len(kernels)
    workers = ("--jobs", str(jobs))
    for kernel in kernels:
        at = ("--kernel", kernel)
        yield Step(f"replay-{kernel}", ("replay", *at))
        seconds = share * FUZZING * DEFAULT_SHARE
        findings = ("--findings", str(out / f"findings-{kernel}"))
        yield Step(
            f"fuzz-{kernel}", ("fuzz", *at, *_seconds(seconds), *findings, *workers, "--inputs", str(inputs)), seconds
        )
        others = [str(config) for config in MATRIX if str(config)]
        seconds = share * FUZZING * (1 - DEFAULT_SHARE) / len(others)
        for config in others:
            name = f"{kernel}-{config.replace(' ', '-').replace('=', '_')}"
            words = ("fuzz", *at, "--config", config, *_seconds(seconds), "--engine", "random", *workers)
            yield Step(f"fuzz-{name}", (*words, "--findings", str(out / f"findings-{name}")), seconds)
        good = (0, 1) if kernel != kernels[0] else (0,)  # the list of what is out of reach is the first one's
        yield Step(f"coverage-{kernel}", ("coverage", *at, "--cases", "0"), good=good)
    if atheris_engine.available():
        yield Step("merge", ("merge", str(inputs), "--kernel", kernels[0]))
    seeds = int(minutes * MUTANTS / MUTANT_SEED_MINUTES)
    yield Step("mutants", ("mutants", "--kernel", kernels[0], "--seeds", str(seeds)), minutes * 60 * MUTANTS)
    differ = (0, 1)  # two kernels may, and the page shows how
    yield Step("drift", ("drift", "--kernel", kernels[0]), good=differ)
    # Only the web has mainline, and a night needs no web else. What fails once it has answered is told.
    yield Step("drift-mainline", ("drift", "--kernel", source.MAINLINE), good=differ, first=source.mainline)
    if len(kernels) > 1:
        yield Step("diff", ("diff", kernels[1], kernels[0]), good=differ)
    examples = max(10, int(EXAMPLES_A_MINUTE * minutes))
    profile = {"HYPOTHESIS_PROFILE": "nightly", "SKDIFF_EXAMPLES": str(examples)}
    tests = ("-m", "pytest", "-q", "-n", str(jobs), "-m", "hypothesis", "tests")
    yield Step("hypothesis", (sys.executable, *tests), minutes * 60 * HYPOTHESIS, True, False, profile)


def _seconds(seconds: float) -> tuple[str, str]:
    return "--seconds", f"{max(1.0, seconds):.0f}"


def chosen(steps: Sequence[Step], wanted: Sequence[str]) -> list[Step]:
    """The steps whose names are among `wanted` (with * and ?), all for none. Raises CannotRun for what names none."""
    for pattern in wanted:
        if not any(fnmatchcase(step.name, pattern) for step in steps):
            raise CannotRun(f"no step {pattern!r} of a night: {', '.join(step.name for step in steps)}")
    return [step for step in steps if not wanted or any(fnmatchcase(step.name, pattern) for pattern in wanted)]


def run(steps: Sequence[Step], out: Path, commands: Sequence[str], say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Run steps, and return what became of each: name, status ("ok" or what is wrong), seconds, why, code. `commands`
    are those that skdiff has: a step of another one is skipped. When the night is asked to end (Ctrl-C), so is its
    step, and the rest is left out.
    """
    done: list[dict[str, Any]] = []
    with interruptible() as stopped:
        for number, step in enumerate(steps, 1):
            if not step.whole and step.command[0] not in commands:
                done.append(_became(step, "skipped", f"this skdiff has no command {step.command[0]!r}", 0))
                continue
            if stopped():
                done.append(_became(step, STOPPED, ASKED, 2))
                continue
            say(f"{number} of {len(steps)}: {step.name}")
            done.append(_left_out(step) or _one(step, out, stopped))
            say(f"  {done[-1]['status']}, {done[-1]['seconds']:.0f} s" + f" {done[-1]['why']}".rstrip())
    return done


def _became(step: Step, status: str, why: str, code: int, seconds: float = 0.0) -> dict[str, Any]:
    return {"name": step.name, "status": status, "seconds": round(seconds, 1), "why": why, "code": code}


def _left_out(step: Step) -> dict[str, Any]:
    """What becomes of a step that this night cannot have; nothing if it can."""
    try:
        if step.first is not None:
            step.first()
    except CannotRun as error:
        return _became(step, "skipped", str(error), 0)
    return {}


def _one(step: Step, out: Path, stopped: Callable[[], bool]) -> dict[str, Any]:
    """One step, in a process group of its own, so that all of it can be ended."""
    log, summed = out / f"{step.name}.log", out / f"{step.name}.json"
    summary = ("--json", str(summed)) if step.summary else ()
    command = step.command if step.whole else (sys.executable, "-m", "harness.cli", *step.command, *summary)
    start = time.monotonic()
    try:
        summed.unlink(missing_ok=True)
        with log.open("wb") as file:
            process = subprocess.Popen(
                command, stdout=file, stderr=file, env={**os.environ, **step.environment}, start_new_session=True
            )
            in_time = _ended(process, start + GRACE + 2 * step.seconds, stopped)
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except OSError as error:
        return _became(step, "could not run", str(error), 2)
    status = process.returncode
    why = (
        ""
        if status == 0
        else next((line for line in reversed(lines) if line.startswith("skdiff:")), "".join(lines[-1:]))
    )
    broke_off = status == 1 and step.summary and not summed.exists()  # a traceback ends so too, and compared nothing
    if status in step.good and not broke_off:
        says, code = "ok", 0
    else:
        says, code = ("broke off", 2) if broke_off else (told(status), status)
    if not in_time:  # what it found stays found
        says, code = STOPPED if stopped() else told(None), 1 if code == 1 else 2
        why = ASKED if stopped() else why
    return _became(step, says, why, code, time.monotonic() - start)


def _ended(process: subprocess.Popen[bytes], deadline: float, stopped: Callable[[], bool]) -> bool:
    """Wait for a step; returns whether it ended by itself. One that did not in time, or when the night is asked to end,
    is asked too: it has something to sum up.
    """
    try:
        while process.poll() is None:
            if stopped() or time.monotonic() > deadline:
                os.killpg(process.pid, signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(TO_END)
                return False
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(LOOK_EVERY)
        return True
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
