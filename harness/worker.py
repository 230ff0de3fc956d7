"""The worker process: builds its oracles, runs an engine, and tells its parent what happened, a JSON line each.

Its scenario buffer is a mapping of a file that the parent made: when the C kills the process, the case that did it is
still there.
"""

import json
import mmap
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.config import parse
from harness.engines import ENGINES, GUIDED
from harness.engines.atheris_engine import NO_COVERAGE
from harness.epochs import held
from harness.errors import CannotRun
from harness.kernel.build import Build, build
from harness.kernel.source import Tree
from harness.record import SCENARIO_SIZE
from harness.reference import Reference
from harness.run import Oracle, Origin, Run
from harness.versus import closure_of, judge_of, label_of, models_of


@dataclass(frozen=True)
class Subject:
    """A kernel of a job: where its tree is, its configuration, and the rules that it is held to: `epoch` as the command
    line has it.
    """

    tree: str
    version: str
    origin: str
    epoch: str = ""
    config: str = ""

    @staticmethod
    def of(made: Build, epoch: str = "") -> "Subject":
        """The subject that a build was made of."""
        return Subject(str(made.tree.path), made.tree.version, made.tree.origin, epoch, str(made.config))

    def build(self, variant: str, guided: bool) -> Build:
        """The build that the parent has made already."""
        tree = Tree(Path(self.tree), self.version, self.origin)
        made = build(tree, variant, guided=guided, config=parse(self.config))
        return replace(made, rules=held(made.text_rules, self.epoch))


@dataclass(frozen=True)
class Job:
    """What a worker is asked for; it passes through JSON, so paths are texts. One kernel is compared with the model,
    two with each other. `again` is the command that repeats a case, in front of its file.
    """

    subjects: Sequence[Subject]
    again: str
    variant: str
    engine: str
    seed: int
    cases: int
    seconds: float
    findings: str
    in_flight: str
    arguments: Sequence[str] = ()
    first: bool = False

    @staticmethod
    def parse(text: str) -> "Job":
        """A job from its JSON."""
        fields = json.loads(text)
        return Job(**{**fields, "subjects": [Subject(**subject) for subject in fields["subjects"]]})

    def builds(self) -> list[Build]:
        """The builds that the parent has made already."""
        guided = self.engine in GUIDED and not os.environ.get(NO_COVERAGE)
        return [subject.build(self.variant, guided) for subject in self.subjects]


def shared_buffer(path: str) -> mmap.mmap:
    """A shared mapping of a file of SCENARIO_SIZE bytes."""
    with Path(path).open("r+b") as file:
        return mmap.mmap(file.fileno(), SCENARIO_SIZE)


def work(job: Job, channel: int) -> None:
    """Run a job; messages go to the file descriptor `channel`."""

    def tell(message: Mapping[str, Any]) -> None:
        os.write(channel, json.dumps(message).encode() + b"\n")

    builds = job.builds()

    def oracles() -> list[Oracle]:
        return [*(Reference(made, shared_buffer(job.in_flight)) for made in builds), *models_of(builds)]

    origin = Origin(label_of(builds), closure_of(builds), job.engine, job.seed, job.again)
    run = Run(oracles, origin, Path(job.findings), tell, job.cases, job.seconds)
    run.stop_on_signals()
    run.scratch = Path(job.in_flight).parent
    run.arguments, run.first = tuple(job.arguments), job.first
    run.judge = judge_of(builds) if len(builds) > 1 else None  # one and its model only have to agree
    ENGINES[job.engine](run)
    tell(run.counters("done"))


def main() -> None:
    """`python -m harness.worker CHANNEL JOB`: CHANNEL is an open file descriptor, JOB a Job as JSON."""
    channel, job = int(sys.argv[1]), Job.parse(sys.argv[2])
    try:
        work(job, channel)
    except CannotRun as error:
        os.write(channel, json.dumps({"kind": "cannot", "why": str(error)}).encode() + b"\n")


if __name__ == "__main__":
    main()
