"""A fuzzing run of one kernel against the model: build, search, reduce, sort by cause, and look at what did not run."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

from msgspec import Meta, structs
from rich.console import Console

from skdiff.base.errors import CannotRun
from skdiff.base.paths import command
from skdiff.campaign import inputs
from skdiff.campaign.messages import Finding, LookupCounts, WorkerTotal, summed_classes
from skdiff.campaign.worker import Job, Subject
from skdiff.comparison import known_differences
from skdiff.comparison.referee import lookups_of
from skdiff.engines import ENGINES, GUIDED, atheris_engine
from skdiff.findings.reduce_on_host import reduce_on_host
from skdiff.kernel.build import Build
from skdiff.kernel.options import BuildOptions
from skdiff.kernel.summary import BuiltKernelSummary
from skdiff.kernel.unseen import Unseen
from skdiff.oracles import asked
from skdiff.oracles.oracle_words import is_vm
from skdiff.proof import new_text
from skdiff.runs.found import by_cause
from skdiff.runs.supervised import Say, check_writable, only, random_seed, supervised


@dataclass(frozen=True)
class FuzzRequest:
    """What to run: a kernel, an engine ("" for the best one that is installed), its seed (None for a new one), when
    to stop (0: no bound; `first`: at the first finding), where findings and a guided engine's inputs go, the lookups
    that are drawn (() for all that it has), and one more oracle ("" for none). `flags` are libFuzzer's own.
    """

    kernel: str
    options: BuildOptions
    engine: str = ""
    seed: int | None = None
    cases: int = 0
    seconds: float = 0
    jobs: int = 1
    findings: Path = Path("findings")
    inputs: Path | None = None
    flags: tuple[str, ...] = ()
    lookups: tuple[str, ...] = ()
    oracle: str = ""
    first: bool = False


class FuzzSummary(BuiltKernelSummary, kw_only=True):
    """What a run did and found: `series` as progress.Series has it; `classes` are those of all `lookups` together (old
    summaries have none of these); `edges` and `lines` are [reached, in all], of the C and of the model; `mismatches`
    are new ones, `known` those of corpus/known.toml, `unwritten` those that could not be written; `unseen` is what was
    not looked at of new text, None for recorded text; times are seconds. `running` is the running kernel, if it was
    asked, `unrealised` are the cases that it did not let happen, by its reasons, and `changed` those that it was not
    asked as they were drawn, by what had to change; `told` is what it says of itself.
    """

    engine: str
    seed: int
    cases: int
    seconds: float
    cases_per_second: int
    series: list[Annotated[list[float], Meta(min_length=3)]]
    classes: dict[str, int]
    edges: tuple[int, int]
    lines: tuple[int, int] = (0, 0)
    lookups: Mapping[str, LookupCounts] = MappingProxyType({})
    inputs: int = 0
    processor: float = 0.0
    workers: Sequence[WorkerTotal] = ()
    mismatches: list[Finding]
    known: Sequence[Finding] = ()
    unwritten: Sequence[Finding] = ()
    gave_up: str = ""
    running: str = ""
    unrealised: Mapping[str, int] = MappingProxyType({})
    changed: Mapping[str, int] = MappingProxyType({})
    told: Sequence[str] = ()
    missing_rules: Sequence[str] = ()
    unseen: Unseen | None = None

    @property
    def counts(self) -> Mapping[str, LookupCounts]:
        """The cases of each lookup by their classes; those of an older summary are under "all"."""
        return self.lookups or {"all": LookupCounts(self.cases, self.classes)}

    @property
    def differs(self) -> bool:
        """Whether anything is a difference: a finding, or a rule that the kernel should have."""
        return bool(self.mismatches or self.unwritten or self.missing_rules)

    @property
    def complete(self) -> bool:
        """Whether the run came to its end, with cases, and looked at all of the new text."""
        return bool(self.cases) and not self.gave_up and not (self.unseen and self.unseen.anything)


def fuzz(request: FuzzRequest, errors: Console, say: Say) -> FuzzSummary:
    """Run it; progress goes to the console `errors`. Raises CannotRun before there is anything to lose."""
    engine = _engine(request, say)
    asked.prepare(request.oracle)
    known = known_differences.load()  # what could stop the end of a run is looked at before its start
    check_writable(request.findings)
    keep_inputs = request.inputs if engine in GUIDED else None
    if keep_inputs is not None:
        inputs.opened(keep_inputs, say)
    budget = atheris_engine.budget(request.flags)

    def build(variant: str = "", guided: bool = False) -> Build:
        return asked.built_beside(request.oracle, request.kernel, request.options, say, variant, guided)

    made = build(guided=engine in GUIDED)
    lookups = lookups_of([made], request.lookups)
    kernel = request.options.kernel_words(request.kernel)
    seed = budget.get("seed", request.seed)
    seed = random_seed() if seed is None else seed
    job = Job(
        subjects=(Subject.of(made, request.options.epoch),),
        again=f"replay --kernel {kernel}" + f" --oracle {request.oracle}" * bool(request.oracle),
        variant=made.variant,
        engine=engine,
        seed=seed,
        cases=budget.get("runs", request.cases),
        seconds=budget.get("max_total_time", 0 if "runs" in budget else request.seconds),
        findings=str(request.findings),
        arguments=request.flags,
        first=request.first,
        inputs=str(keep_inputs or ""),
        lookups=lookups,
        oracle=request.oracle,
    )
    first, *notes = describe_build(made, request.options.epoch)
    for line in (first, *notes):
        say(line)
    running = _running(request, made, say)
    workers = min(request.jobs, job.cases or request.jobs)
    words = [f"engine {engine}", f"seed {seed}", *only(lookups)] + ([f"{workers} workers"] if workers > 1 else [])
    say(", ".join(words))
    with supervised(job, made.closure, errors, say, request.jobs) as (progress, total):
        mismatches = total.mismatches
        if mismatches:
            say("reducing what was found (Ctrl-C to leave it as it is)")
            if request.oracle:
                reduce_on_host(mismatches, request.oracle, made, job.again, say)
            else:
                mismatches = by_cause(mismatches, build, job.again, kernel, request.findings, lookups, errors, say)
        new, old = known_differences.split(mismatches, known, made.tree.version)
        gave_up = total.gave_up
        if request.first and old and not new:
            gave_up = gave_up or "--first stopped it at a difference that is known; without --first it goes on"
        summary = FuzzSummary(
            kernel=structs.replace(made.told(), notes=notes),
            engine=engine,
            seed=seed,
            cases=total.cases,
            seconds=round(total.seconds, 3),
            cases_per_second=round(total.cases / total.seconds) if total.seconds else 0,
            series=progress.series.samples,
            classes=summed_classes(total.lookups),
            lookups=total.lookups,
            edges=total.edges,
            lines=total.lines,
            inputs=total.inputs,
            processor=round(total.processor, 3),
            workers=total.workers,
            mismatches=new,
            known=old,
            unwritten=total.unwritten,
            gave_up=gave_up,
            running=running,
            unrealised=total.unrealised,
            changed=total.changed,
            told=total.told,
            missing_rules=[] if request.options.epoch else list(made.missing_rules),
        )
        counted = (lambda: build("coverage")) if summary.complete and not summary.differs else None
        summary.unseen = new_text.unseen_of_tree(made, counted, seed, say, lookups)
        return summary


def _running(request: FuzzRequest, made: Build, say: Say) -> str:
    """The running kernel that is asked, "" for none."""
    if not request.oracle:
        return ""
    if not is_vm(request.oracle):
        return f"Linux {os.uname().release}"
    image = asked.image_beside(request.oracle, made, say)
    for line in asked.unlike(image, made):
        say(line)
    say(f"booting Linux {image.version} ({image.origin}) under QEMU")
    return f"Linux {image.version} in a guest"


def describe_build(build: Build, epoch: str) -> list[str]:
    """What a build is, for people: the first line names it and its rules, the others say what is odd about these.
    `epoch` are the rules by hand, "" for none.
    """
    notes = [*build.stubbed, f"rules by hand: {epoch}"] if epoch else build.notes
    text = f", closure {build.closure[:16]}" if build.has_text else ""
    return [f"{build.title}, against the model{text}", *notes]


def _engine(request: FuzzRequest, say: Say) -> str:
    """The engine that runs. Raises CannotRun for options that it would ignore."""
    fastest = "atheris" if atheris_engine.available() and not request.oracle else "random"
    engine = request.engine or fastest
    if not request.engine and not request.oracle and engine == "random":
        unread = ", which does not read --inputs" if request.inputs else ""
        say(f"atheris is not installed: the random engine runs instead{unread}")
    if not ENGINES[engine].available():
        raise CannotRun(f"--engine {engine}: {engine} is not installed for this Python; `{command()} doctor` says more")
    atheris_engine.check(request.flags)
    if request.flags and engine not in GUIDED:
        raise CannotRun(f"{request.flags[0]}: flags of libFuzzer are for the atheris engine, this is {engine}")
    if request.inputs and request.engine and engine not in GUIDED:
        raise CannotRun(f"--inputs is for the atheris engine, this is {engine}")
    return engine
