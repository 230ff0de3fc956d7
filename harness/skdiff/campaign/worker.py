"""The worker process: builds its oracles, runs an engine, and tells its parent what happened, a JSON line each.

Its scenario buffer is memory of the parent's: when something kills the process, the case that it had in hand is still
there, and the number of those that it had done. When the parent is killed, the worker ends as if it was asked to.
"""

import contextlib
import ctypes
import gc
import mmap
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, cast

import msgspec

from skdiff.base.errors import CannotRun
from skdiff.base.files import from_json, to_json
from skdiff.campaign.batch_run import BatchRun, Guest
from skdiff.campaign.finding_files import Origin
from skdiff.campaign.messages import Cannot, Message, to_line
from skdiff.campaign.model_lines import Watch
from skdiff.campaign.run import Run
from skdiff.cases import native
from skdiff.cases.fields import LOOKUPS
from skdiff.cases.record import SCENARIO_SIZE, aligned
from skdiff.comparison.causes import causes_of
from skdiff.comparison.interface import Judge
from skdiff.comparison.referee import closure_of, judge_of, label_of, lookups_of, models_of
from skdiff.comparison.running_kernel import JudgeWithHost
from skdiff.comparison.running_side import RunningSide, common, judge_of_sides
from skdiff.engines import GUIDED, drive
from skdiff.engines.atheris_engine import GUIDE_BY_MODEL, NO_COVERAGE
from skdiff.engines.small_classes import Kernel
from skdiff.engines.small_part import Part
from skdiff.engines.small_tables import Tables
from skdiff.kernel.build import Build, build
from skdiff.kernel.source import Tree
from skdiff.kernel.textless import textless
from skdiff.oracles import compiled_model
from skdiff.oracles.interface import Oracle
from skdiff.oracles.model import Model
from skdiff.oracles.oracle_words import is_vm
from skdiff.oracles.reference import Buffer, Reference
from skdiff.variants.abilities import NOTHING, lacking
from skdiff.variants.config import parse

if TYPE_CHECKING:
    from skdiff.oracles.running.host import Host

# What a worker shares with its parent: the scenario record in hand, and behind it the number of cases done.
DONE_AT = aligned(SCENARIO_SIZE)
SHARED_SIZE = DONE_AT + 8
_PR_SET_PDEATHSIG = 1
PARENT_GONE = signal.SIGUSR1
# Of an oracle that is a running kernel: its tables are of system calls.
PACKETS_OF_ORACLE, TABLES_A_CPU = 64, 64
BATCHED = ("random", "wide", "corpus")  # the engines that need not know what became of a case


class Subject(msgspec.Struct, frozen=True):
    """A kernel of a job: where its tree is, its configuration, and the rules that it is held to: `epoch` as the command
    line has it. It need not have a text (see textless.py); `oracle` is the running kernel that is asked in the place of
    its text, "" for none, and `running` what that one is called.
    """

    tree: str
    version: str
    origin: str
    epoch: str = ""
    config: str = ""
    stubs: tuple[str, ...] = ()
    text: bool = True
    oracle: str = ""
    running: str = ""

    @staticmethod
    def of(made: Build, epoch: str = "", oracle: str = "") -> "Subject":
        """The subject that a build was made of."""
        tree = made.tree
        stubs = tuple(map(str, made.stubs))
        text = (str(tree.path), tree.version, tree.origin)
        return Subject(*text, epoch, str(made.config), stubs, made.has_text, oracle, made.running)

    def build(self, variant: str, guided: bool) -> Build:
        """The build that the parent has made already."""
        if not self.text:
            return replace(textless(self.version, self.origin, self.epoch), running=self.running)
        tree = Tree(Path(self.tree), self.version, self.origin)
        config = parse(self.config, lambda name: True)
        made = build(tree, variant, guided=guided, config=config, stubs=tuple(map(Path, self.stubs)))
        return replace(made.with_rules(self.epoch), running=self.running)


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is asked for; it passes through JSON, so paths are texts. One kernel is compared with the model,
    two with each other. `again` is the command that repeats a case, in front of its file. `inputs` is the folder of a
    guided engine's inputs, "" for one that is gone after the run. `lookups` are the only ones that are
    drawn, () for all that the kernels have. `oracle` is one more, as oracle_words.py has it. A sweep is of a `part` of
    all small tables.

    The parent fills in the rest: its own process id, a file descriptor of the memory that it shares with the worker,
    a folder that is gone after the run, and whether there are other workers.
    """

    subjects: tuple[Subject, ...]
    again: str
    variant: str
    engine: str
    seed: int
    cases: int
    seconds: float
    findings: str
    arguments: tuple[str, ...] = ()
    first: bool = False
    inputs: str = ""
    lookups: tuple[str, ...] = ()
    oracle: str = ""
    part: Part | None = None
    parent: int = 0
    shared: int = -1
    scratch: str = ""
    alone: bool = True

    @staticmethod
    def parse(text: str) -> "Job":
        """A job from its JSON."""
        return from_json(text, Job)

    def text(self) -> str:
        """A job as JSON."""
        return to_json(self)

    def clear_up(self) -> None:
        """Remove what the parent would have removed after the run, if it were still there."""
        shutil.rmtree(self.scratch, ignore_errors=True)

    def builds(self) -> list[Build]:
        """The builds that the parent has made already, for the engine."""
        guided = self.engine in GUIDED and not os.environ.get(NO_COVERAGE)
        return [subject.build(self.variant, guided) for subject in self.subjects]

    def traced_builds(self) -> list[Build]:
        """The same, which tell their steps; made now, if nobody has."""
        return [subject.build("traced", guided=False) for subject in self.subjects]

    def plain_builds(self) -> list[Build]:
        """The same without coverage, which loads where there is no libFuzzer."""
        return [subject.build(self.variant, guided=False) for subject in self.subjects]


def work(job: Job, channel: int) -> None:
    """Run a job; messages go to the file descriptor `channel`."""
    memory = mmap.mmap(job.shared, SHARED_SIZE)

    def tell(message: Message) -> None:
        line = to_line(message)
        try:
            while line:
                line = line[os.write(channel, line) :]
        except BrokenPipeError:
            orphaned(0, None)

    def orphaned(_number: int, _frame: FrameType | None) -> None:
        run.stopped = True
        job.clear_up()

    builds = job.builds()

    # What is instrumented must be interpreted.
    model = Model if os.environ.get(GUIDE_BY_MODEL) == "1" else compiled_model.fastest()
    host = asked_host(job.oracle, builds[0]) if job.oracle else None
    running = running_sides(job, builds)

    def oracles() -> list[Oracle]:
        native.module()  # it is loaded before the clock of the run starts, like the rest
        buffer, sides = Buffer(memory), iter(running)
        texts = [
            next(sides) if subject.oracle else Reference(made, buffer)
            for subject, made in zip(job.subjects, builds, strict=True)
            if subject.oracle or subject.text
        ]
        of_text: list[Oracle] = [*texts, *models_of(builds, model)]
        gc.freeze()  # what is loaded stays: the first full collection would take as long as 500 cases to look at it
        return of_text if host is None else [host, *of_text]

    origin = Origin(label_of(builds), closure_of(builds), job.engine, job.seed, job.again)
    lookups = lookups_of(builds, job.lookups)
    numbers = tuple(number for number, name in LOOKUPS.items() if name in lookups)
    alone_with_model = len(builds) == 1  # then these two only have to agree
    kind = partial(BatchRun, guest=cast(Guest, host)) if is_vm(job.oracle) and job.engine in BATCHED else Run
    run = kind(
        oracles,
        origin,
        Path(job.findings),
        tell,
        job.cases,
        job.seconds,
        arguments=job.arguments,
        first=job.first,
        judge=judge_with_host(builds[0], host) if host else None if alone_with_model else judge_of(builds),
        scratch=Path(job.scratch),
        inputs=Path(job.inputs),
        counter=memoryview(memory)[DONE_AT:].cast("Q"),
        watch=Watch(builds[0].rules, builds[0].config) if alone_with_model else None,
        alone=job.alone,
        lacks=lacking(made.rules for made in builds),
        lookups=numbers,
        causes=lambda: causes_of([Reference(made) for made in job.traced_builds()]),
        part=job.part,
        tables=lambda: small_tables(builds, numbers, job.part.sockets if job.part is not None else 0),
    )
    if host is not None:
        host.nearest.tables_a_cpu = TABLES_A_CPU
        run.mend, run.packets, run.unrealised = host.nearest, PACKETS_OF_ORACLE, host.refused
        run.changed, run.told = host.nearest.asked.changed, host.told()
        # What it makes needs no ability, and the steps of the running kernel are not seen.
        run.lacks, run.causes = NOTHING, None
    if running:
        run.mend, run.judge, run.causes = common(running), judge_of_sides(builds), None
        for side in running:
            side.refused = run.unrealised
            run.told += side.told()
    run.stop_on_signals()
    signal.signal(PARENT_GONE, orphaned)
    try:
        drive(job.engine, run)
        run.finish()
    finally:
        for asked in (*([host] if host else []), *(side.host for side in running)):
            asked.close()


def small_tables(builds: Sequence[Build], lookups: Sequence[int], sockets: int) -> Tables:
    """The small tables of some lookups that all of some kernels can reach."""
    return Tables(lookups, sockets, [Kernel(made.rules, made.config) for made in builds])


def asked_host(oracle: str, made: Build) -> "Host":
    """A running kernel, which hashes as the rules of a build say. Raises CannotRun where it cannot be asked."""
    from skdiff.oracles.asked import vm_of  # their parts need not be installed
    from skdiff.oracles.running.classic_host import opened

    host = vm_of(oracle, made, lambda line: None) if is_vm(oracle) else opened(made.rules)
    host.learn_keys()
    return host


def running_sides(job: Job, builds: Sequence[Build]) -> list[RunningSide]:
    """The running kernels among the subjects of a job. Raises CannotRun where one cannot be asked."""
    return [
        RunningSide(asked_host(subject.oracle, made), made, f"{subject.oracle} {made.label}")
        for subject, made in zip(job.subjects, builds, strict=True)
        if subject.oracle
    ]


def judge_with_host(made: Build, host: "Host") -> JudgeWithHost:
    """What judges the outcomes of a running kernel, of a build if it has a text, and of its model."""
    from skdiff.oracles.asked import describe

    model = Model(made.rules, made.config)
    names = ((f"Linux {made.label}",) if made.has_text else ()) + (Model.name,)
    judge: Judge = judge_of([made]) if made.has_text else lambda _, outcomes: None
    name = describe(host).replace("Linux", "running kernel")
    return JudgeWithHost(name, judge, names, model, lambda: getattr(host, "last_words", ()))


def end_with_parent(job: Job) -> None:
    """Get PARENT_GONE when the parent ends, however it does. A run has a handler of its own, but loading it takes a
    while.

    It is a signal of its own since the parent still seems to be there then: that it has closed its end of a pipe, or
    that this process is somebody else's child, shows only when the last of its threads has ended.
    """

    def orphaned(_number: int, _frame: FrameType | None) -> None:
        job.clear_up()
        os._exit(0)  # not an exception, in the middle of an import

    signal.signal(PARENT_GONE, orphaned)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, PARENT_GONE)
    if os.getppid() != job.parent:  # it was quicker
        orphaned(PARENT_GONE, None)


def main() -> None:
    """`python -m skdiff.campaign.worker CHANNEL JOB`: CHANNEL is an open file descriptor, JOB a Job as JSON."""
    channel, job = int(sys.argv[1]), Job.parse(sys.argv[2])
    end_with_parent(job)
    try:
        work(job, channel)
    except CannotRun as error:
        with contextlib.suppress(BrokenPipeError):
            os.write(channel, to_line(Cannot(str(error))))


if __name__ == "__main__":
    main()
