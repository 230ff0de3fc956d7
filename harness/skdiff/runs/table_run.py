"""A whole sweep: every small table, or a part of them, from the build to the summary; and going on with one."""

import fcntl
import hashlib
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec import structs
from rich.console import Console

from skdiff.base import signals
from skdiff.base.errors import CannotRun
from skdiff.base.files import from_json, to_json
from skdiff.base.paths import PACKAGE, builds
from skdiff.base.processors import processors
from skdiff.base.words import up_to
from skdiff.campaign.messages import Finding, LookupCounts, Running, Total
from skdiff.campaign.progress import RunView
from skdiff.campaign.supervisor import supervise
from skdiff.campaign.worker import Job, Subject, small_tables
from skdiff.cases.fields import LOOKUPS
from skdiff.comparison import known_differences
from skdiff.comparison.referee import closure_of, label_of, lookups_of
from skdiff.engines import TABLES
from skdiff.engines.small_left_out import LeftOut, left_out
from skdiff.engines.small_part import Done, Noted, Part, add_note, bounds, chunks_of, read_notes, write_notes
from skdiff.engines.small_tables import Tables
from skdiff.kernel.build import Build
from skdiff.kernel.options import BuildOptions
from skdiff.kernel.summary import BuiltKernelSummary
from skdiff.oracles import compiled_model
from skdiff.runs.found import by_cause
from skdiff.runs.fuzz_run import describe_build
from skdiff.runs.supervised import Say, check_writable, only


@dataclass(frozen=True)
class Extent:
    """Which small tables, and how: those with up to so many sockets, or one part of so many of these; the number of
    worker processes (0: one for each processor), and the file of the sweep (None for one of ours).
    """

    sockets: int = 2
    part: int = 1
    parts: int = 1
    jobs: int = 0
    state: Path | None = None

    def check(self) -> None:
        """Raises CannotRun, before anything is built, if the file of the sweep is none, or could not be written."""
        path = self.state
        if path is None:
            return
        if path.is_dir():
            raise CannotRun(f"--state {path}: it is a folder")
        if not read_notes(path) and not os.access(path.absolute().parent, os.W_OK | os.X_OK):
            raise CannotRun(f"cannot write {path}: its folder is not there, or cannot be written to")

    def words(self) -> list[str]:
        """The options that give another command the same, each quoted for a shell."""
        return [
            f"--sockets {self.sockets}",
            *([f"--part {self.part}/{self.parts}"] if self.parts > 1 else []),
            *([f"--jobs {self.jobs}"] if self.jobs else []),
            *([f"--state {shlex.quote(str(self.state))}"] if self.state is not None else []),
        ]


@dataclass(frozen=True)
class SweepRequest:
    """What to sweep: the tables of a kernel, of some lookups (() for all that it has); `first`: stop at the first
    finding.
    """

    kernel: str
    options: BuildOptions
    extent: Extent = Extent()
    findings: Path = Path("findings")
    lookups: tuple[str, ...] = ()
    first: bool = False

    @property
    def again(self) -> str:
        """The command that goes on with this one, without its name."""
        words = ["sweep --kernel", self.options.kernel_words(self.kernel)]
        words += [f"--lookup {','.join(self.lookups)}"] if self.lookups else []
        words += [*self.extent.words(), f"--findings {shlex.quote(str(self.findings))}"]
        return " ".join([*words, *(["--first"] if self.first else [])])


class Size(msgspec.Struct, frozen=True):
    """How many tables with just so many sockets a lookup has, and how many lookups are made in them: in all parts."""

    lookup: str
    sockets: int
    tables: int
    cases: int


class Swept(BuiltKernelSummary, kw_only=True):
    """What a sweep did and found: `tables` are those with up to so many `sockets` that are in this part of so many,
    with so many lookups (`cases`); `sizes` has all parts. `done` are those lookups of it that were made, and `earlier`
    those of them that runs had made with which this one went on; `now` is what this one made. `left_out` is what no
    table has. `again` is the command that goes on with it, without its name. The rest is as in a FuzzSummary.
    """

    sockets: int
    part: int
    parts: int
    tables: int
    cases: int
    done: int
    earlier: int
    now: int
    seconds: float
    sizes: Sequence[Size]
    lookups: Mapping[str, LookupCounts]
    left_out: Sequence[LeftOut]
    mismatches: list[Finding]
    known: Sequence[Finding] = ()
    unwritten: Sequence[Finding] = ()
    gave_up: str = ""
    state: str = ""
    again: str = ""
    missing_rules: Sequence[str] = ()

    @property
    def differs(self) -> bool:
        """Whether anything is a difference."""
        return bool(self.mismatches or self.unwritten or self.missing_rules)

    @property
    def complete(self) -> bool:
        """Whether each table of the part was asked."""
        return self.done == self.cases and not self.gave_up


def sweep(request: SweepRequest, errors: Console, say: Say) -> Swept:
    """Sweep; progress goes to the console `errors`. Raises CannotRun before there is anything to lose."""
    known = known_differences.load()
    check_writable(request.findings)
    request.extent.check()

    def build(variant: str = "") -> Build:
        return request.options.build(request.kernel, variant, say=say)

    made = request.options.build(request.kernel, say=say)
    lookups = lookups_of([made], request.lookups)
    kernel = request.options.kernel_words(request.kernel)
    first, *notes = describe_build(made, request.options.epoch)
    for line in (first, *notes):
        say(line)
    again = f"replay --kernel {kernel}"
    job = Job(
        subjects=(Subject.of(made, request.options.epoch),),
        again=again,
        variant=made.variant,
        engine=TABLES,
        seed=0,
        cases=0,
        seconds=0,
        findings=str(request.findings),
        first=request.first,
        lookups=lookups,
    )
    with swept([made], job, request.extent, errors, say) as (done, total):
        mismatches = total.mismatches
        if mismatches:
            say("reducing what was found (Ctrl-C to leave it as it is)")
        if mismatches or done.sorted:
            mismatches = by_cause(mismatches, build, again, kernel, request.findings, lookups, errors, say, done.sorted)
        mismatches = [*mismatches, *done.gone]
        new, old = known_differences.split(mismatches, known, made.tree.version)
        summary = Swept(
            kernel=structs.replace(made.told(), notes=notes),
            sockets=request.extent.sockets,
            part=request.extent.part,
            parts=request.extent.parts,
            tables=done.tables,
            cases=done.cases,
            done=done.done,
            earlier=done.earlier,
            now=total.cases,
            seconds=round(total.seconds, 3),
            sizes=_sizes(done.made),
            lookups=total.lookups,
            left_out=left_out(done.made),
            mismatches=new,
            known=old,
            unwritten=total.unwritten,
            gave_up=total.gave_up or done.why_not(),
            state=str(done.path),
            again=request.again,
            missing_rules=[] if request.options.epoch else list(made.missing_rules),
        )
        done.end(mismatches)
        return summary


class Sweep:
    """A sweep with its file: what was done of it, by earlier runs and by this one. Of the differences that were found
    before, `sorted` are those that were sorted by cause, `raw` those of a run that was killed before that, and
    `gone` those of both whose cases somebody has removed.
    """

    def __init__(self, made: Tables, part: Part) -> None:
        self.made, self.sockets, self.path = made, part.sockets, Path(part.file)
        self.of = f"part {part.part} of {part.parts}" if part.parts > 1 else ""
        chunks = part.chunks(made.tables)
        self.tables = sum(stop - start for start, stop in (bounds(chunk, made.tables) for chunk in chunks))
        self.cases = sum(made.count(*bounds(chunk, made.tables)) for chunk in chunks)
        notes = read_notes(self.path)
        self.earlier = _cases(notes)
        by_then, since = _found(notes)
        self.raw = [finding for finding in since if _is_there(finding)]
        self.sorted = [finding for finding in by_then if _is_there(finding)]
        self.gone = [finding for finding in (*by_then, *since) if not _is_there(finding)]
        self.done = self.earlier

    def look(self) -> None:
        """Read what is done by now."""
        self.done = _cases(read_notes(self.path))

    def why_not(self) -> str:
        """Why it is not over, "" if it is."""
        left = self.cases - self.done
        return f"{left:,} of {self.cases:,} lookups are left" if left else ""

    def end(self, mismatches: Sequence[Finding]) -> None:
        """Note what was found; a sweep that is over leaves no file."""
        if self.done == self.cases:
            self.path.unlink(missing_ok=True)
        elif mismatches:
            add_note(self.path, Noted(found=to_json(list(mismatches))))


def _is_there(finding: Finding) -> bool:
    return all(file and Path(file).exists() for file in (finding.file, *finding.others))


def _cases(notes: Sequence[Noted]) -> int:
    done = {note.done.chunk: note.done.cases for note in notes if note.done is not None}
    return sum(done.values())


def _found(notes: Sequence[Noted]) -> tuple[list[Finding], list[Finding]]:
    """What was found before: sorted by cause at the end of a run, and since then, by a run that was killed."""
    by_then: list[Finding] = []
    raw: dict[str, Finding] = {}
    for note in notes:
        if note.found:
            by_then, raw = from_json(note.found, list[Finding]), {}
        done = note.done or Done(-1, 0)
        for signature in (*note.seen, *done.mismatches):
            finding = raw.setdefault(signature, Finding(signature=signature, file="", count=0))
            finding.count = max(finding.count + done.mismatches.get(signature, 0), 1)
            for file in (*filter(None, [note.seen.get(signature)]), *done.files.get(signature, ())):
                if file not in (finding.file, *finding.others):
                    finding.others += [file] if finding.file else []
                    finding.file = finding.file or file
    return by_then, [*raw.values()]


@contextmanager
def swept(made: Sequence[Build], job: Job, extent: Extent, errors: Console, say: Say) -> Iterator[tuple[Sweep, Total]]:
    """A sweep on some kernels, from its start, or from where it was stopped, to its end. A signal that asks the program
    to end ends the sweep, but not what is made of it in the `with` block.
    """
    numbers = [number for number, name in LOOKUPS.items() if name in job.lookups]
    tables = small_tables(made, numbers, extent.sockets)
    parts = chunks_of(tables.tables)
    if extent.parts > parts:
        raise CannotRun(f"--part {extent.part}/{extent.parts}: the tables can be cut into {parts:,} parts at most")
    compiled_model.prepare(say, cases=tables.cases // extent.parts)
    what = _what(made, job, extent, tables)
    path = extent.state or _our_file(made, extent, what)
    part = Part(extent.sockets, extent.part, extent.parts, str(path))
    if not read_notes(path):
        write_notes(path, [Noted(of=what)])
    with _locked(path):
        notes = read_notes(path)
        if notes[0].of != what:
            raise CannotRun(f"{path}: the file of another sweep, or of another skdiff: remove it, or name another one")
        write_notes(path, notes)  # without what a kill has left of a line
        done = Sweep(tables, part)
        for line in (_size(done), *only(job.lookups)):
            say(line)
        if done.earlier:
            say(f"going on behind {done.earlier:,} lookups, as {path} says")
        with signals.interrupts_noted():
            with RunView(errors, 0, done.cases - done.earlier) as view:

                def report(news: Finding | Running) -> None:
                    if isinstance(news, Finding):  # it must not be lost with this process
                        add_note(path, Noted(seen={news.signature: news.file}))
                    view.report(news)

                jobs = extent.jobs or processors()
                total = supervise(structs.replace(job, part=part), closure_of(made), report, jobs)
            done.look()
            total.mismatches = _together(total.mismatches, done.raw)
            yield done, total


def _sizes(tables: Tables) -> list[Size]:
    found: dict[tuple[int, int], tuple[int, int]] = {}
    for block in tables.blocks:
        key = block.lookup, sum(len(things[0]) for things in block.lists)
        of_tables, of_cases = found.get(key, (0, 0))
        found[key] = of_tables + block.tables, of_cases + block.tables * len(block.special.frames)
    return [Size(LOOKUPS[lookup], sockets, *counts) for (lookup, sockets), counts in found.items()]


def _size(done: Sweep) -> str:
    of = f", {done.of}" if done.of else ""
    return f"{done.tables:,} tables of up to {up_to(done.sockets, 'socket')}{of}, {done.cases:,} lookups"


def _together(found: Sequence[Finding], earlier: Sequence[Finding]) -> list[Finding]:
    """What this run has found, and what one that was killed had."""
    known = {finding.signature: finding for finding in found}
    for finding in earlier:
        same = known.get(finding.signature)
        if same is None:
            known[finding.signature] = finding
            continue
        same.count += finding.count
        same.others = [*same.others, *(file for file in (finding.file, *finding.others) if file != same.file)]
    return [*known.values()]


def _what(made: Sequence[Build], job: Job, extent: Extent, tables: Tables) -> str:
    """What a sweep is of, in a line: only one that is the same in all of this goes on with another one's file."""
    own = hashlib.sha256()
    for folder in ("cases", "comparison", "engines", "oracles", "variants"):
        for path in sorted((PACKAGE / folder).rglob("*.py")):
            own.update(path.read_bytes())
    what = {
        "kernels": [f"{build.label} {build.folder.name} {build.rules}" for build in made],
        "lookups": job.lookups,
        "sockets": extent.sockets,
        "part": [extent.part, extent.parts],
        "tables": tables.tables,
        "skdiff": own.hexdigest()[:16],
    }
    return to_json(what)


def _our_file(made: Sequence[Build], extent: Extent, what: str) -> Path:
    label = label_of(made).replace(" ", "-").replace("/", "-")
    key = hashlib.sha256(what.encode()).hexdigest()[:12]
    folder = builds() / "sweeps"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotRun(f"cannot make {folder}: {error.strerror}") from error
    return folder / f"{label}-{extent.sockets}-{extent.part}of{extent.parts}-{key}.jsonl"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Nobody else is at work on a sweep's file meanwhile. Raises CannotRun if somebody is."""
    try:
        folder = os.open(path.with_suffix(".lock"), os.O_CREAT | os.O_RDWR)
    except OSError as error:
        raise CannotRun(f"cannot write {path}: {error.strerror}") from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise CannotRun(f"{path}: another sweep is at work on it") from error
    try:
        yield
    finally:
        os.close(folder)
        path.with_suffix(".lock").unlink(missing_ok=True)
