"""A night: every kernel and configuration fuzzed, the corpus replayed, mutants, coverage, what differs between kernels.

A night is a list of steps, each a command in a process of its own with its share of the time; one that fails costs
nothing but itself. Each leaves NAME.json and NAME.log in the night's folder, and findings beside them.
"""

import contextlib
import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from skdiff.base.errors import CannotRun
from skdiff.base.signals import interrupts_noted
from skdiff.base.summary import Summary
from skdiff.engines import atheris_engine
from skdiff.kernel import images, source
from skdiff.kernel.manifest import Manifest
from skdiff.nightly.kernel_names import names
from skdiff.oracles.guests import qemu
from skdiff.variants.config import MATRIX

NEWEST = "7.3"  # the newest that was run for real; not every machine can have it
KERNELS = ("6.1", "6.12", NEWEST)
TESTED = "6.12"  # the series that Hypothesis's tests are of
FIXED_SHARE = 0.4  # of a night is for the steps of fixed size; those that come too late for it are left out
MUTANTS = 0.1  # of a night is for fuzzing against mutants
HYPOTHESIS = 0.2  # of what is left then; the rest is fuzzing
DEFAULT_SHARE = 0.5  # of a kernel's fuzzing goes to the configuration that distributions build
SPARE = 0.05  # of a night is nobody's
# What a step of fixed size takes on two cores, in seconds, and what building takes that fuzzing waits for.
REPLAY, DRIFT, MERGE, COVERAGE, DIFF, MUTANTS_OF_ONE, BUILD = 10.0, 5.0, 25.0, 20.0, 40.0, 45.0, 6.0
SWEEP, GUEST = 150.0, 120.0
EXAMPLES_A_MINUTE = 130  # of each Hypothesis test: what two busy cores do of all of them in a minute
MUTANT_SEED = 72.0  # seconds that one seed of fuzzed mutants takes
GRACE = 240.0  # seconds that a step may take more than its share: fetching a kernel, building, reducing, sorting out
STOPPED, ASKED = "stopped", "the night was asked to end"
LATE, TOO_LONG = "not begun", "took too long"
OK = "ok"
TO_END, LOOK_EVERY = 30.0, 0.2  # seconds that a step has to sum up, and between two looks at it


@dataclass(frozen=True)
class Step:
    """One command of a night: `command` are the words behind `skdiff`, or a whole command if `whole`; `seconds` is its
    share of the night; `summary` tells whether it writes a --json file; `good` are the exit codes that are fine;
    `compares` says that "no difference" can be said of it. `first` raises CannotRun where the night cannot have the
    step, which is then left out: no fault of what it tests.
    """

    name: str
    command: tuple[str, ...]
    seconds: float = 0
    whole: bool = False
    summary: bool = True
    environment: dict[str, str] = field(default_factory=dict)
    good: tuple[int, ...] = (0,)
    first: Callable[[], object] | None = None
    compares: bool = False


class StepResult(msgspec.Struct):
    """What became of a step: "ok" or what is wrong, the seconds that it took, what it said, its exit code, and whether
    it compares.
    """

    name: str
    status: str
    seconds: float = 0.0
    why: str = ""
    code: int = 0
    compares: bool = False

    @property
    def ok(self) -> bool:
        """Whether it did what it was to do."""
        return self.status.startswith(OK)


class NightSummary(Summary, kw_only=True):
    """What became of the steps of a night of so many minutes."""

    minutes: float = 0.0
    steps: list[StepResult]

    @property
    def verdict(self) -> int:
        """Its exit code: 1 if anything differs, 2 if a step could not run or nothing was compared, else 0."""
        codes = {step.code for step in self.steps}
        if 1 in codes:
            return 1
        return 0 if codes == {0} and any(step.compares and step.ok for step in self.steps) else 2


@functools.cache
def _why_not(kernel: str) -> str:
    """Why this machine cannot have a kernel, "" if it can."""
    manifest = Manifest.load()
    try:
        source.find(kernel, manifest.files, optional=manifest.optional)
    except CannotRun as error:
        return str(error)
    return ""


def _have(kernel: str) -> None:
    if why := _why_not(kernel):
        raise CannotRun(f"Linux {kernel} cannot be had here: {why}")


def _boot(kernel: str) -> None:
    """Raises CannotRun where there is no QEMU, or no image of a kernel."""
    qemu.need()
    images.find(kernel, lambda line: None)


def _never(why: str) -> Callable[[], object]:
    """What leaves a step out."""

    def left_out() -> object:
        raise CannotRun(why)

    return left_out


def plan(
    minutes: float,
    out: Path,
    inputs: Path,
    jobs: int,
    kernels: Sequence[str] = (),
    config: str = "",
    epoch: str = "",
) -> list[Step]:
    """The steps of a night of so many minutes. `inputs` is the folder of the guided runs' inputs, `jobs` is how many
    workers fuzz, and how many processes Hypothesis's tests get; `kernels` are versions or trees (default: KERNELS, of
    which a machine need not have the newest). `config` and `epoch` are what CONFIG and EPOCH say, which all steps see:
    those that cannot do with it are left out. Raises CannotRun for a kernel that is none.
    """
    named = dict(zip(names(kernels or KERNELS), kernels or KERNELS, strict=True))
    total, workers = 60 * minutes * (1 - SPARE), ("--jobs", str(jobs))
    unset = {"CONFIG": "", "EPOCH": ""}
    room = FIXED_SHARE * total

    def first(*of: str, why: str = "") -> Callable[[], object] | None:
        if why:
            return _never(why)
        return partial(_have, NEWEST) if NEWEST in of and not kernels else None

    def fixed(name: str, seconds: float, *words: str, of: Sequence[str] = (), why: str = "", **more: Any) -> Step:
        """A step of fixed size, if there is room for it."""
        nonlocal room
        if not why and seconds > room:
            why = f"no room in a night of {minutes:g} minutes: it takes about {seconds:.0f} s"
        room -= 0 if why else seconds
        more = {"environment": unset, **more}
        before = more.pop("first", None)
        return Step(name, words, 0 if why else seconds, first=first(*of, why=why) or before, **more)

    listed = f"it is for the default configuration, not for {config!r}" if config else ""
    by_hand = f"the rules are set by hand ({epoch!r}), and it takes them from the text" if epoch else ""
    chief = TESTED if TESTED in named else next(iter(named))
    small, late, differ = [], [], (0, 1)  # two kernels may, and the page shows how
    for name, kernel in named.items():
        at = ("--kernel", kernel)
        small.append(fixed(f"replay-{name}", REPLAY, "replay", *at, of=[kernel], compares=True, environment={}))
    if atheris_engine.available():
        merged = ("merge", str(inputs), "--kernel", named[chief])
        late.append(fixed("merge", MERGE, *merged, of=[named[chief]], why=listed))
    for name, kernel in named.items():
        late.append(fixed(f"drift-{name}", DRIFT, "drift", "--kernel", kernel, of=[kernel], good=differ))
        swept = ("sweep", "--kernel", kernel, "--findings", str(out / f"findings-sweep-{name}"), *workers)
        late.append(fixed(f"sweep-{name}", SWEEP, *swept, of=[kernel], compares=True, environment={}))
    # Only the web has mainline, and a night needs no web else. What fails once it has answered is told.
    mainline = ("drift", "--kernel", source.MAINLINE)
    late.append(fixed("drift-mainline", DRIFT, *mainline, good=differ, first=source.mainline))
    for name, kernel in named.items():
        words: tuple[str, ...] = ("coverage", "--kernel", kernel, "--cases", "0")
        small.append(fixed(f"coverage-{name}", COVERAGE, *words, of=[kernel], why=listed))
        minimal: tuple[str, ...] = (*words, "--config", "minimal")
        late.append(fixed(f"coverage-{name}-minimal", COVERAGE, *minimal, of=[kernel], why=listed))
    for (a, one), (b, other) in pairwise(named.items()):
        findings = ("--findings", str(out / f"findings-diff-{a}-{b}"))
        words = ("diff", one, other, *findings)
        more: dict[str, Any] = {"good": differ, "compares": True, "environment": {"EPOCH": ""}}
        late.append(fixed(f"diff-{a}-{b}", DIFF, *words, of=[one, other], why=by_hand, **more))
    seeds = int(MUTANTS * total / MUTANT_SEED / len(named))
    for name, kernel in named.items():
        of_c = ("mutants", "c", "--kernel", kernel, "--seeds", str(seeds))
        step = fixed(f"mutants-{name}", MUTANTS_OF_ONE, *of_c, of=[kernel], why=listed or by_hand)
        late.append(replace(step, seconds=step.seconds and step.seconds + seeds * MUTANT_SEED))
        more_mutants: dict[str, tuple[str, ...]] = {"driver": ("driver",), "minimal": ("c", "--config", "minimal")}
        for what, of in more_mutants.items():
            command = ("mutants", *of, "--kernel", kernel, "--seeds", "0")
            late.append(fixed(f"mutants-{name}-{what}", MUTANTS_OF_ONE, *command, of=[kernel], why=listed or by_hand))
    late.append(fixed("mutants-model", MUTANTS_OF_ONE, "mutants", "model", "--seeds", "0"))
    why = listed or by_hand
    for name, kernel in named.items():
        if name == kernel != source.MAINLINE:  # a version, which has an image to boot
            words = ("fuzz", "--oracle", f"vm:{kernel}", *_seconds(GUEST / 2))
            words = (*words, "--findings", str(out / f"findings-vm-{name}"))
            late.append(fixed(f"vm-{name}", GUEST, *words, why=why, first=partial(_boot, kernel), compares=True))
    rest = total - sum(step.seconds for step in [*small, *late])
    examples = max(10, int(EXAMPLES_A_MINUTE * HYPOTHESIS * rest / 60))
    profile = {"HYPOTHESIS_PROFILE": "nightly", "SKDIFF_EXAMPLES": str(examples), **unset}
    tests = (sys.executable, "-m", "pytest", "-q", "-n", str(jobs), "-m", "hypothesis", "tests")
    others = f"the tests are of Linux {TESTED}, which is not among this night's kernels"
    left_out = first(why="" if TESTED in named.values() else others)
    hypothesis = Step("hypothesis", tests, 0, True, False, profile, first=left_out, compares=True)
    if left_out is None:
        hypothesis = replace(hypothesis, seconds=HYPOTHESIS * rest)
        rest -= hypothesis.seconds
    return [*small, *_fuzzing(named, rest, out, inputs, workers, config, first, minutes), *late, hypothesis]


def _fuzzing(
    named: Mapping[str, str],
    seconds: float,
    out: Path,
    inputs: Path,
    workers: Sequence[str],
    config: str,
    first: Callable[..., Callable[[], object] | None],
    minutes: float,
) -> Iterator[Step]:
    """The runs that fuzz each kernel in so many seconds: guided, with wide values, and in each configuration."""
    share = seconds / len(named)
    configs = [str(options) for options in MATRIX if str(options)]
    others: dict[str, tuple[str, ...]] = {
        config.replace(" ", "-").replace("=", "_"): ("--engine", "random", "--config", config) for config in configs
    }
    others["wide"] = ("--engine", "wide")
    of_one = share * (1 - DEFAULT_SHARE) / len(others) - BUILD
    why = ""
    if config:
        why = f"this night is of one configuration, {config!r}"
    elif of_one < 1:
        why = f"no room in a night of {minutes:g} minutes: less than a second would be left for each configuration"
    words: tuple[str, ...]
    guided = share * (1 if why else DEFAULT_SHARE) - BUILD
    for name, kernel in named.items():
        at = ("--kernel", kernel)
        words = ("fuzz", *at, *_seconds(guided), "--findings", str(out / f"findings-{name}"), *workers)
        words = (*words, "--inputs", str(inputs))
        yield Step(f"fuzz-{name}", words, guided + BUILD, first=first(kernel), compares=True)
        for other, options in others.items():
            step = f"{name}-{other}"
            words = ("fuzz", *at, *options, *_seconds(of_one), *workers)
            words = (*words, "--findings", str(out / f"findings-{step}"))
            time_of_it = 0 if why else of_one + BUILD
            yield Step(f"fuzz-{step}", words, time_of_it, first=first(kernel, why=why), compares=True)


def _seconds(seconds: float) -> tuple[str, str]:
    return "--seconds", f"{max(1.0, seconds):.0f}"


def choose_steps(steps: Sequence[Step], wanted: Sequence[str]) -> list[Step]:
    """The steps whose names are among `wanted` (with * and ?), all for none. Raises CannotRun for what names none."""
    for pattern in wanted:
        if not any(fnmatchcase(step.name, pattern) for step in steps):
            raise CannotRun(f"no step {pattern!r} of a night: {', '.join(step.name for step in steps)}")
    return [step for step in steps if not wanted or any(fnmatchcase(step.name, pattern) for pattern in wanted)]


def run(
    steps: Sequence[Step],
    out: Path,
    commands: Sequence[str],
    say: Callable[[str], None],
    minutes: float = float("inf"),
    environment: Mapping[str, str] = MappingProxyType({}),
) -> list[StepResult]:
    """Run steps, and return what became of each.

    `commands` are those that skdiff has: a step of another one is skipped; `environment` is what all steps see. When
    the night is asked to end (Ctrl-C), so is its step, and the rest is left out; so is what has not begun after so many
    minutes, and what then runs has GRACE to end.
    """
    done: list[StepResult] = []
    end = time.monotonic() + 60 * minutes
    with interrupts_noted() as stopped:
        for number, step in enumerate(steps, 1):
            if not step.whole and step.command[0] not in commands:
                done.append(_result_of(step, "skipped", f"this skdiff has no command {step.command[0]!r}", 0))
                continue
            if stopped():
                done.append(_result_of(step, STOPPED, ASKED, 2))
                continue
            if time.monotonic() > end:
                done.append(_result_of(step, LATE, f"the {minutes:g} minutes were over", 2))
                continue
            say(f"{number} of {len(steps)}: {step.name}")
            done.append(_left_out(step) or run_step(step, out, stopped, end, environment))
            say(f"  {done[-1].status}, {done[-1].seconds:.0f} s" + f" {done[-1].why}".rstrip())
    return done


def _result_of(step: Step, status: str, why: str, code: int, seconds: float = 0.0) -> StepResult:
    return StepResult(step.name, status, round(seconds, 1), why, code, step.compares)


def _left_out(step: Step) -> StepResult | None:
    """What becomes of a step that this night cannot have; None if it can."""
    try:
        if step.first is not None:
            step.first()
    except CannotRun as error:
        return _result_of(step, "skipped", str(error), 0)
    return None


def run_step(
    step: Step,
    out: Path,
    stopped: Callable[[], bool],
    end: float = float("inf"),
    environment: Mapping[str, str] = MappingProxyType({}),
) -> StepResult:
    """One step, in a process group of its own, so that all of it can be ended."""
    log, summed = out / f"{step.name}.log", out / f"{step.name}.json"
    summary = ("--json", str(summed)) if step.summary else ()
    command = step.command if step.whole else (sys.executable, "-m", "skdiff", *step.command, *summary)
    start = time.monotonic()
    try:
        summed.unlink(missing_ok=True)
        with log.open("wb") as file:
            process = subprocess.Popen(
                command,
                stdout=file,
                stderr=file,
                env={**os.environ, **environment, **step.environment},
                start_new_session=True,
            )
            in_time = _ended(process, min(start + GRACE + 2 * step.seconds, end + GRACE), stopped)
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except OSError as error:
        return _result_of(step, "could not run", str(error), 2)
    status = process.returncode
    why = (
        ""
        if status == 0
        else next((line for line in reversed(lines) if line.startswith("skdiff:")), "".join(lines[-1:]))
    )
    broke_off = status == 1 and step.summary and not summed.exists()  # a traceback ends so too, and compared nothing
    if status in step.good and not broke_off:
        says, code = OK if status == 0 else f"{OK}, they differ", 0
    else:
        says, code = ("broke off", 2) if broke_off else (_exit_words(status), status)
    if not in_time:  # what it found stays found
        says, code = STOPPED if stopped() else TOO_LONG, 1 if code == 1 else 2
        why = ASKED if stopped() else f"no end within its time, stopped after {time.monotonic() - start:.0f} s. {why}"
    return _result_of(step, says, why, code, time.monotonic() - start)


def _exit_words(status: int) -> str:
    """What an exit code of a step means."""
    return {0: "agreed", 1: "difference", 2: "could not run"}.get(status, f"ended with {status}")


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
