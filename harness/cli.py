"""The command line: `skdiff fuzz` and the rest. Exit codes: 0 agreed, 1 mismatch found, 2 could not run."""

import argparse
import contextlib
import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress, TaskID

from harness import bench as benchmark
from harness import config, epochs, extract_report, keeping, known, model_coverage, replaying, summaries, texts
from harness import coverage as covering
from harness import difference as differing
from harness import doctor as examination
from harness import drift as drifting
from harness import explain as explaining
from harness import nightly as nights
from harness import page as paging
from harness import reduce as reducer
from harness.engines import ENGINES, GUIDED, atheris_engine
from harness.errors import CannotRun
from harness.guarded import Guarded
from harness.kernel.build import VARIANTS, Build, build
from harness.kernel.closure import Manifest
from harness.kernel.source import find
from harness.live import Live
from harness.model import Model
from harness.mutants import harness as of_harness
from harness.mutants import hunt as hunting
from harness.mutants import model as of_model
from harness.mutants import report as mutant_report
from harness.mutants import schemata
from harness.mutants.common import Judgement, Mutant, judgements
from harness.mutants.score import scores
from harness.reference import Reference
from harness.run import report_of, write_whole
from harness.scenario import Scenario
from harness.supervise import supervise
from harness.text import dump, load
from harness.triage import triage
from harness.versus import SIDES, Referee, closure_of
from harness.worker import Job, Subject

AGREED, MISMATCH, COULD_NOT_RUN = 0, 1, 2
_ours: dict[str, str] = {}  # what each summary says of the command that writes it
console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

REPORTS = 3  # of a run are printed
CHOICES = ("EPOCH", "CONFIG")
SECONDS = {"fuzz": 60, "diff": 20}  # of a run, if nothing else is said
EXIT_CODES = "exit codes: 0 the oracles agree, 1 they differ, 2 could not run"


def say(text: str) -> None:
    """A line of progress, on stderr."""
    errors.print(text, markup=False, soft_wrap=True)


def made(kernel: str, variant: str | None = None, guided: bool = False) -> Build:
    """The reference of a kernel (a version or a path), fetched and built if it is not there yet, in the configuration
    that CONFIG asks for, with the rules that it is held to: its epoch's, or those that EPOCH sets by hand.
    """
    manifest = Manifest.load()
    options, by_hand = config.parse(os.environ.get("CONFIG", "")), os.environ.get("EPOCH", "")
    epochs.held(epochs.Rules(), by_hand)  # what it cannot read is said before a long build
    tree = find(kernel, manifest.files, optional=manifest.optional, say=say)
    found = build(tree, variant or os.environ.get("SAN") or "plain", say, guided, options)
    return replace(found, rules=epochs.held(found.text_rules, by_hand))


def asked(kernel: str) -> str:
    """What stands behind --kernel in a command that repeats this one."""
    words = [shlex.quote(kernel)]
    words += [f"--{key.lower()} {shlex.quote(os.environ[key])}" for key in CHOICES if os.environ.get(key)]
    return " ".join(words)


@contextlib.contextmanager
def chosen(arguments: argparse.Namespace) -> Iterator[None]:
    """--epoch and --config stand in the environment while a command runs, for all that it starts."""
    before = {key: os.environ.get(key) for key in CHOICES}
    os.environ.update({key: value for key in CHOICES if (value := getattr(arguments, key.lower())) is not None})
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


def model_of(build: Build) -> Model:
    """The model with a build's rules, in its configuration."""
    return Model(build.rules, build.config)


def told(build: Build) -> list[str]:
    """What a build is, for people: the first line names it and its rules, the others say what is odd about these."""
    tree, rules = build.tree, build.rules
    line = f"Linux {build.label} ({tree.origin}), {epochs.told(rules)}, against the model, closure {build.closure[:16]}"
    by_hand = os.environ.get("EPOCH")
    return [line, *([f"rules by hand: {by_hand}"] if by_hand else epochs.doubts(build.text_rules, tree.version))]


def fuzz(arguments: argparse.Namespace) -> int:
    """Compare the oracles on scenarios of an engine."""
    engine = arguments.engine or ("atheris" if atheris_engine.available() else "random")
    if not arguments.engine and engine == "random":
        say("no atheris for this Python: the random engine runs instead")
    atheris_engine.check(arguments.flags)
    listed = known.load()  # what could stop the end of a run is looked at before its start
    _writable(arguments.findings)
    if arguments.flags and engine not in GUIDED:
        raise CannotRun(f"{arguments.flags[0]}: flags of libFuzzer are for the atheris engine, this is {engine}")
    budget = atheris_engine.budget(arguments.flags)
    reference, kernel = made(arguments.kernel, guided=engine in GUIDED), asked(arguments.kernel)
    seed = budget.get("seed", arguments.seed)
    if seed is None:
        seed = int.from_bytes(os.urandom(4), "little")
    job = Job(
        subjects=[Subject.of(reference, os.environ.get("EPOCH", ""))],
        again=f"replay --kernel {kernel}",
        variant=reference.variant,
        engine=engine,
        seed=seed,
        cases=budget.get("runs", arguments.cases),
        seconds=budget.get("max_total_time", 0 if "runs" in budget else arguments.seconds),
        findings=str(arguments.findings),
        in_flight="",
        arguments=tuple(arguments.flags),
    )
    first, *notes = told(reference)
    for line in (first, *notes):
        say(line)
    say(f"engine {engine}, seed {seed}")
    with Live(errors, arguments.seconds) as live:
        total = supervise(job, reference.closure, live.message)
    if total["mismatches"]:
        say("reducing what was found (Ctrl-C to leave it as it is)")
        reducer.reduce_findings(total["mismatches"], lambda: [made(arguments.kernel)], job.again, say)
        total["mismatches"] = triage(
            total["mismatches"], lambda: made(arguments.kernel, "traced"), kernel, arguments.findings, say
        )
    new, old = known.split(total["mismatches"], listed, reference.tree.version)
    summary = {
        "kernel": {
            "version": reference.tree.version,
            "origin": reference.tree.origin,
            "closure": reference.closure,
            "compiler": reference.compiler,
            "variant": reference.variant,
            "config": str(reference.config),
            "rules": epochs.data(reference.rules),
            "notes": notes,
        },
        "engine": engine,
        "seed": seed,
        "cases": total["cases"],
        "seconds": round(total["seconds"], 3),
        "cases_per_second": round(total["cases"] / total["seconds"]) if total["seconds"] else 0,
        "series": live.series.samples,
        "classes": total["classes"],
        "edges": total.get("edges", [0, 0]),
        "corpus": total.get("corpus", 0),
        "mismatches": new,
        "known": old,
        "gave_up": total.get("gave_up", ""),
    }
    for finding in new[:REPORTS]:
        with contextlib.suppress(OSError):  # the summary says where the file should be
            console.print(report_of(Path(finding["file"])).read_text(), markup=False, soft_wrap=True)
    live.summary(console, summary)
    write_json(arguments.json, summary)
    return MISMATCH if new else AGREED


def side(words: str, variant: str | None = None) -> Build:
    """A side of `diff`: a kernel, and behind it options, which then stand in the place of CONFIG ("6.12 IPV6=n"); with
    the rules that its text has.
    """
    kernel, options = re.fullmatch(r"(.*?)((?:\s+\w+=\w*)*)\s*", words, re.DOTALL).groups()  # type: ignore[union-attr]
    configuration = config.parse(options or os.environ.get("CONFIG", ""))
    manifest = Manifest.load()
    tree = find(kernel, manifest.files, optional=manifest.optional, say=say)
    return build(tree, variant or os.environ.get("SAN") or "plain", say, config=configuration)


def diff(arguments: argparse.Namespace) -> int:
    """Compare two kernels with each other: on the corpus, then on random cases and mutations of the corpus. The model
    of each one's rules is the referee: it says which rules make the difference, or which kernel is unlike its model.
    """
    if os.environ.get("EPOCH"):
        raise CannotRun("EPOCH sets the rules of one kernel; diff takes those of both from their texts")
    _writable(arguments.findings)

    def sides(variant: str | None = None) -> tuple[Build, Build]:
        return side(arguments.a, variant), side(arguments.b, variant)

    builds = sides()
    words = [shlex.quote(arguments.a), shlex.quote(arguments.b)]
    words += [f"--config {shlex.quote(os.environ['CONFIG'])}"] if os.environ.get("CONFIG") else []
    again = f"diff {' '.join(words)}"
    for name, made_for_it in zip(SIDES, builds, strict=True):
        console.print(f"{name}: {differing.told(made_for_it)}", markup=False, soft_wrap=True)
    changed = texts.changes(builds[0].kernel, builds[1].kernel)
    if arguments.paths:
        return _diff_of_files(arguments, sides, again)
    texts.show_changes(console, changed)
    seed = arguments.seed if arguments.seed is not None else int.from_bytes(os.urandom(4), "little")
    job = Job(
        subjects=[Subject.of(made_for_it, epoch="text") for made_for_it in builds],
        again=again,
        variant=builds[0].variant,
        engine="corpus",
        seed=seed,
        cases=arguments.cases,
        seconds=arguments.seconds,
        findings=str(arguments.findings),
        in_flight="",
    )
    with Live(errors, arguments.seconds) as live:
        total = supervise(job, closure_of(builds), live.message)
    groups: list[differing.Group] = []
    if total["mismatches"]:
        say("reducing what was found (Ctrl-C to leave it as it is)")
        reducer.reduce_findings(total["mismatches"], sides, again, say)
        groups = differing.sorted_out(total["mismatches"], lambda: sides("traced"), again, arguments.findings, say)
    result = differing.summary(builds, changed, total, seed, groups)
    if not result["differ"] and not total.get("gave_up"):
        result |= _backing(builds[0], changed)
    differing.show(console, result, groups, Referee(*builds))
    write_json(arguments.json, result)
    return MISMATCH if result["differ"] else AGREED


def _backing(first: Build, changed: Sequence[texts.Change]) -> dict[str, Any]:
    """How many mutants of the changed functions, and of all, the corpus tells apart: what "no difference" is worth."""
    functions = {change.name for change in changed if change.before}
    try:
        of_these, of_all = scores(first, functions, say)
    except CannotRun as error:
        say(f"no mutants: {error}")
        return {}
    return {"mutants": {"changed": asdict(of_these), "all": asdict(of_all)}}


def _diff_of_files(arguments: argparse.Namespace, sides: Callable[[str], tuple[Build, Build]], again: str) -> int:
    """Tell about cases from files, instead of looking for some."""
    builds, told_of = sides("traced"), []
    referee = Referee(*builds)
    with Guarded(builds[0]) as one, Guarded(builds[1]) as other:
        for path in replaying.files(arguments.paths):
            found = differing.difference(load(path), (one, other), referee)
            name = found.name if found is not None else ""
            told_of.append({"file": str(path), "difference": name, "alike": found is not None and found.verdict.alike})
            text = found.report(again, path) if found is not None else f"{path}: no difference\n"
            console.print(text, markup=False, soft_wrap=True, end="")
    write_json(arguments.json, {"cases": told_of})
    return MISMATCH if any(case["difference"] and not case["alike"] for case in told_of) else AGREED


def drift(arguments: argparse.Namespace) -> int:
    """Hold the text of a kernel's lookup against the record of another: new, gone and changed definitions, rules, and
    names that nothing here has an answer to. Nothing is built.
    """
    before = None if arguments.record else drifting.load(arguments.against)
    tree, now = drifting.record_of(arguments.kernel, say)
    console.print(f"Linux {tree.version} ({tree.origin}), {epochs.told(now.rules)}", markup=False, soft_wrap=True)
    for line in epochs.doubts(now.rules, tree.version):
        console.print(f"note: {line}", markup=False, soft_wrap=True)
    if before is None:
        drifting.write(now, arguments.against)
        console.print(
            f"{len(now.definitions)} definitions recorded in {arguments.against}", markup=False, soft_wrap=True
        )
        return AGREED
    found = drifting.drift(before, now)
    found.show(console, before.version)
    versions = {"version": tree.version, "record": before.version, "rules_now": epochs.data(now.rules)}
    write_json(arguments.json, {**versions, **found.data()})
    return MISMATCH if found else AGREED


def replay(arguments: argparse.Namespace) -> int:
    """Run cases from files again, on both oracles, and check what they expect."""
    reference = made(arguments.kernel)
    result = replaying.replay(
        arguments.paths, reference, asked(arguments.kernel), console, say, lambda: made(arguments.kernel, "traced")
    )
    write_json(arguments.json, result)
    if any(c["verdict"] == "unreadable" for c in result["cases"]):
        return COULD_NOT_RUN
    return AGREED if all(c["verdict"] in ("agreed", "known") for c in result["cases"]) else MISMATCH


def reduce(arguments: argparse.Namespace) -> int:
    """Make a case that shows a difference as small as it gets. The file itself stays; what comes out of it has neither
    its names nor its expectations.
    """
    path = arguments.path
    out = arguments.output or path.with_name(f"{path.stem}-reduced.toml")
    case = load(path)
    build = made(arguments.kernel)
    with Guarded(build) as oracle, reducer.interruptible() as stopped:
        done = reducer.reduced(case, [oracle, model_of(build)], reducer.LIMIT_OF_ALL, stopped)
    if done is None:
        raise CannotRun(f"{path}: Linux {build.tree.version} and the model agree about it, there is nothing to reduce")
    small, mismatch, reduction = done
    try:
        write_whole(out, dump(small))
    except OSError as error:
        raise CannotRun(f"cannot write {out}: {error.strerror}") from error
    again = f"replay --kernel {asked(arguments.kernel)}"
    console.print(reducer.report(out, small, mismatch, [build], again), markup=False, soft_wrap=True)
    console.print(f"{small.found['reduced']} ({reduction.kept} of them kept), {reduction.seconds:.2f} s: {out}")
    counts = {"before": len(case.scenario.socks), "after": len(small.scenario.socks), "signature": mismatch.signature}
    steps = {"tried": reduction.tried, "kept": reduction.kept, "seconds": reduction.seconds}
    write_json(arguments.json, {"file": str(out), **counts, **steps, "finished": reduction.finished})
    return AGREED


def explain(arguments: argparse.Namespace) -> int:
    """Tell which socket gets a case's packet, and why; where kernel and model differ, at which step they part."""
    case = load(arguments.path)
    with Guarded(made(arguments.kernel, "traced")) as oracle:
        explained = explaining.explanation(case, oracle, model_of(oracle.build))
    write_json(arguments.json, explained.data())
    if arguments.dot is not None:
        explaining.draw(arguments.dot, explained)
    if arguments.svg is not None:
        explaining.draw(arguments.svg, explained, "svg")
    explained.show(console)
    return MISMATCH if explained.mismatch is not None else AGREED


def keep(arguments: argparse.Namespace) -> int:
    """Move a finding into corpus/regressions, with what the rules expect of it."""
    target = keeping.keep(arguments.path, arguments.name, arguments.why, model_of(made(arguments.kernel)))
    console.print(f"kept as {target}; replay: skdiff replay {target}", markup=False, soft_wrap=True)
    return AGREED


def corpus(arguments: argparse.Namespace) -> int:
    """distill: make corpus/seeds the small covering set of what is kept and of random cases, one case for each kind of
    answer of each kernel function.
    """
    reference = Reference(made(arguments.kernel, "traced"))
    model = model_of(reference.build)
    kept = [load(path).scenario for path in replaying.files([])]
    candidates = [*kept, *keeping.drawn(arguments.cases, arguments.seed or 0)]
    say(f"distilling {len(candidates)} cases")
    chosen = keeping.distil(candidates, lambda scenario: keeping.features(reference, model, scenario))
    keeping.write_seeds(chosen, model)
    console.print(f"{len(chosen)} seeds of {len(candidates)} cases in {keeping.SEEDS}", markup=False, soft_wrap=True)
    return AGREED


def extract(arguments: argparse.Namespace) -> int:
    """Show what was taken out of the kernel tree, and what stands in for the rest."""
    reference = made(arguments.kernel)
    report = extract_report.report(reference, made(arguments.kernel, "coverage"))
    write_json(arguments.json, report)
    extract_report.show(console, report)
    for line in (f"rules: {epochs.told(reference.rules)}", *told(reference)[1:]):
        console.print(line, markup=False, soft_wrap=True)
    return AGREED


def coverage(arguments: argparse.Namespace) -> int:
    """Count which lines and branches of the kernel's text and of the model the corpus alone reaches, and which of the
    kernel's random cases do. HTML pages are written to the build folder.
    """
    made_for_it = made(arguments.kernel, "coverage")
    say("the corpus")
    files = covering.counts(made_for_it, str(known.CORPUS))
    spots, reasons = covering.spots(made_for_it, files), covering.excused()
    result = covering.summary(spots, reasons)
    result |= {"kernel": {"version": made_for_it.tree.version, "config": str(made_for_it.config)}}
    result["text"] = covering.listing(made_for_it, spots, reasons)
    page = covering.write_html(made_for_it, files, made_for_it.folder.with_name(f"{made_for_it.folder.name}-corpus"))
    covering.show(console, result, f"Linux {made_for_it.tree.version}, the corpus")
    say("the model")
    cases = of_model.cases()
    result["model"] = model_coverage.measure((case.scenario, case.rules, case.config) for case in cases)
    for place in result["model"]:
        console.print(f"not reached in the model: {place}", markup=False, soft_wrap=True)
    missed = len(result["model"])
    console.print(f"The corpus reaches {f'all but {missed}' if missed else 'all'} lines and branches of the model.")
    if arguments.cases:
        say(f"{arguments.cases:,} random cases")
        by_chance = covering.counts(made_for_it, "random", str(arguments.cases))
        found = covering.summary(covering.spots(made_for_it, by_chance), covering.excused())
        covering.write_html(made_for_it, by_chance, made_for_it.folder.with_name(f"{made_for_it.folder.name}-random"))
        result["random"] = {"cases": arguments.cases, "missing": found["missing"]}
        console.print(f"{arguments.cases:,} random cases miss {len(found['missing'])} lines and branches:")
        for line in found["missing"]:
            console.print(f"  {line}", markup=False, soft_wrap=True)
    console.print(f"pages: {page}", markup=False, soft_wrap=True)
    write_json(arguments.json, result)
    return AGREED if result["good"] and not missed else MISMATCH


def mutants(arguments: argparse.Namespace) -> int:
    """Change the kernel's text, the model and the harness in thousands of small ways, one at a time, and see whether
    somebody notices: the corpus, then random cases (c), the corpus (model), the tests (harness).
    """
    entries, results = judgements(), []
    if "c" in arguments.of:
        results.append(_c_mutants(arguments, entries))
    hunts: dict[str, Callable[[Callable[[int, int], None]], list[tuple[Mutant, hunting.Fate]]]] = {
        "model": lambda tell: of_model.hunt(of_model.cases(), tell),
        "harness": of_harness.hunt,
    }
    for of, hunt in hunts.items():
        if of in arguments.of:
            with Progress(console=errors, transient=True) as bar:
                task = bar.add_task(f"mutants of the {of}", total=None)
                found = hunt(partial(_advance, bar, task))
            mutants, fates = dict(enumerate(m for m, _ in found)), dict(enumerate(f for _, f in found))
            results.append(mutant_report.summary(of, mutants, fates, entries, fuzzed=True))
            mutant_report.show(console, results[-1], f"the {of}")
    kernel = next(({"kernel": r["kernel"], "closure": r["closure"]} for r in results if "kernel" in r), {})
    write_json(arguments.json, {"mutants": results, **kernel})
    return AGREED if all(result["good"] for result in results) else MISMATCH


def _advance(bar: Progress, task: TaskID, done: int, total: int) -> None:
    bar.update(task, completed=done, total=total)


def _c_mutants(arguments: argparse.Namespace, entries: Sequence[Judgement]) -> dict[str, Any]:
    manifest = Manifest.load()
    made = schemata.schemata(find(arguments.kernel, manifest.files, optional=manifest.optional, say=say), say)
    found = hunting.Hunt(made, [load(path).scenario for path in replaying.files([])])
    with Progress(console=errors, transient=True) as bar:
        task = bar.add_task("the corpus against all mutants of the C", total=len(made.mutants))
        fates = found.corpus(made.mutants, lambda: bar.advance(task))
    examples: dict[int, Scenario] = {}
    if arguments.seeds:
        fates, examples = hunting.hunt(found, fates, arguments.seeds, arguments.cases, say)
    result = mutant_report.summary("c", made.mutants, fates, entries, bool(arguments.seeds))
    result |= {"dropped": made.dropped, "absent": made.absent, "kernel": made.tree.version, "closure": made.closure}
    if arguments.keep is not None and examples:
        say(f"reducing the cases of {len(examples)} mutants")
        count = hunting.keep(made, hunting.small(found, examples), arguments.keep)
        console.print(f"{count} cases kept in {arguments.keep}", markup=False, soft_wrap=True)
    mutant_report.show(console, result, f"Linux {made.tree.version}")
    console.print(f"{made.dropped} more did not compile, {made.absent} are not in this configuration.")
    return result


def report(arguments: argparse.Namespace) -> int:
    """Make one HTML page of the summaries (--json files) and findings in a folder; each folder in it is a night."""
    text, line = paging.page(arguments.folder)
    out = arguments.output or arguments.folder / "report.html"
    write(out, text)
    for finding in (
        summaries.fresh(summaries.collect(arguments.folder)[0], arguments.folder) if arguments.issues else ()
    ):
        path = arguments.issues / f"{finding.signature[:120]}-{finding.summary.kernel}.md"
        write(path, summaries.issue(finding), folder=True)
        console.print(f"issue: {path}", markup=False, soft_wrap=True)
    console.print(f"{line}: {out}", markup=False, soft_wrap=True)
    return AGREED


def nightly(arguments: argparse.Namespace) -> int:
    """Run a night: every kernel and configuration fuzzed, the corpus, mutants, coverage, drift and Hypothesis's tests,
    with a page and an issue's text for each new difference at the end. Steps that fail do not stop the others.
    """
    out = arguments.folder / (arguments.name or f"{datetime.now(UTC):%Y-%m-%dT%H%M%S}")
    jobs = arguments.jobs or os.cpu_count() or 1
    wanted = {"--jobs": str(jobs), "--inputs": str(arguments.inputs or "")}
    guided = [w for o, v in wanted.items() if v and o in arguments.commands["fuzz"].format_usage() for w in (o, v)]
    steps = nights.chosen(list(nights.plan(arguments.minutes, out, guided, jobs)), arguments.steps)
    if arguments.list:
        for step in steps:
            console.print(f"{step.name:40} {step.seconds:6.0f} s", markup=False)
        return AGREED
    try:
        out.mkdir(parents=True, exist_ok=bool(arguments.name))
    except OSError as error:
        raise CannotRun(f"cannot write {out}: {error.strerror}") from error
    done = nights.run(steps, out, arguments.commands, say)
    write_json(out / f"night-{steps[0].name}.json", {"minutes": arguments.minutes, "steps": done})
    arguments.output, arguments.issues = None, out / "issues"
    report(arguments)
    codes = {step["code"] for step in done}
    return MISMATCH if MISMATCH in codes else COULD_NOT_RUN if codes - {AGREED} else AGREED


def bench(arguments: argparse.Namespace) -> int:
    """Measure where the time of a case goes (about three minutes)."""
    result = benchmark.measure(made(arguments.kernel))
    write_json(arguments.json, result)
    benchmark.show(console, result)
    return AGREED


def doctor(arguments: argparse.Namespace) -> int:
    """Say what is here and what is missing, and try whether coverage and mutation reach libFuzzer."""

    def make(guided: bool = False) -> Build:
        return made(arguments.kernel, guided=guided)

    return AGREED if examination.show(console, examination.examine(make)) else COULD_NOT_RUN


def write_json(path: Path | None, value: dict[str, Any]) -> None:
    """Write a summary where the user wants one; it starts with the command and the time of its start (UTC)."""
    if path is not None:
        write(path, json.dumps({**_ours, **value}, indent=1) + "\n")


def write(path: Path, text: str, folder: bool = False) -> None:
    """Write a file, and make the `folder` that it is in. Raises CannotRun."""
    try:
        if folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    except OSError as error:
        raise CannotRun(f"cannot write {path}: {error.strerror}") from error


def _writable(folder: Path) -> None:
    """Raises CannotRun if findings could not be written there, before there are any."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise CannotRun(f"{folder}: findings cannot be written there, choose another --findings")


def _number(text: str) -> int:
    value = int(text, 0)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return value


def _minutes(text: str) -> float:
    value = _seconds(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"a night of {text} minutes is none: 1 at least")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < 10**8:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds")
    return value


def parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    top = argparse.ArgumentParser(
        prog="skdiff",
        description="Differential fuzzing of the Linux kernel's IPv4 socket lookup: the kernel's own C, taken out of a"
        " source tree, against a Python model of its rules.",
        epilog=EXIT_CODES,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(function: Any, text: str, one_kernel: bool = True, built: bool = True) -> argparse.ArgumentParser:
        sub = commands.add_parser(function.__name__, help=text, description=function.__doc__, epilog=EXIT_CODES)
        sub.set_defaults(function=function, epoch=None, config=None)
        if one_kernel:
            sub.add_argument(
                "--kernel",
                default="6.12",
                metavar="K",
                help="a version (6.12, 6.1, ...), fetched once, or the path of a source tree (default: %(default)s)",
            )
        if one_kernel and built:
            sub.add_argument(
                "--epoch",
                metavar="E",
                help="the model's rules by hand: a version, or rules' names, no- before those that are off (default: as"
                " the kernel's text has them; environment: EPOCH)",
            )
        if built:
            sub.add_argument(
                "--config",
                metavar="C",
                help="the kernel's configuration: NAME=y or NAME=n, several in one word, of"
                f" {', '.join(name.upper() for name in config.NAMES)}; or a .config file (environment: CONFIG)",
            )
        sub.add_argument("--json", type=Path, metavar="FILE", help="write a machine-readable summary there")
        return sub

    def budget(sub: argparse.ArgumentParser) -> None:
        usual = SECONDS[sub.get_default("function").__name__]
        sub.add_argument("--seconds", type=_seconds, metavar="N", help=f"stop after N seconds (default: {usual})")
        sub.add_argument("--cases", type=_number, default=0, metavar="N", help="stop after N cases")
        sub.add_argument("--seed", type=_number, metavar="N", help="repeat a run (default: a new one each time)")
        sub.add_argument(
            "--findings",
            type=Path,
            default=Path("findings"),
            metavar="DIR",
            help="where to keep them (default: %(default)s)",
        )

    sub = command(fuzz, "compare kernel and model on random scenarios")
    sub.add_argument("--engine", choices=list(ENGINES), help="default: atheris where it is installed, else random")
    budget(sub)
    sub.add_argument(
        "flags", nargs="*", metavar="-- FLAG", help="flags of libFuzzer and folders of inputs, behind a --"
    )
    sub = command(diff, "compare two kernels, or two configurations, with each other", one_kernel=False)
    sub.epilog = "exit codes: 0 no difference, 1 they differ, 2 could not run"
    kernels = 'a version or the path of a tree, and options behind it if they are its own: "6.12 IPV6=n"'
    sub.add_argument("a", metavar="A", help=kernels)
    sub.add_argument("b", metavar="B", help="the same for the other side")
    sub.add_argument("paths", nargs="*", type=Path, metavar="FILE", help="cases to tell about instead of a search")
    budget(sub)
    sub = command(drift, "tell how a kernel's text differs from the one recorded here", built=False)
    sub.epilog = "exit codes: 0 the same, 1 drifted, 2 could not run"
    sub.add_argument("--record", action="store_true", help="write the record of this kernel instead")
    sub.add_argument(
        "--against",
        type=Path,
        default=drifting.RECORD,
        metavar="FILE",
        help=f"the record (default: corpus/{drifting.RECORD.name})",
    )
    sub = command(replay, "run kept cases again")
    sub.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="files or folders (default: the corpus)")
    sub = command(reduce, "make a case as small as it gets")
    sub.epilog = "exit codes: 0 wrote a reduced case, 2 the oracles agree about it, or could not run"
    sub.add_argument("path", type=Path, metavar="FILE", help="a case that shows a difference")
    sub.add_argument("-o", "--output", type=Path, metavar="OUT", help="where to write (default: FILE-reduced.toml)")
    sub = command(explain, "tell which socket gets a case's packet, and why")
    sub.add_argument("path", type=Path, metavar="FILE", help="a case")
    sub.add_argument("--dot", type=Path, metavar="FILE", help="draw the tables and the walked path for Graphviz")
    sub.add_argument("--svg", type=Path, metavar="FILE", help="the same as a picture (needs Graphviz's dot)")
    sub = command(keep, "move a finding into the regressions")
    sub.add_argument("path", type=Path, metavar="FINDING", help="its case.toml")
    sub.add_argument("--name", required=True, help="the name of its file there")
    sub.add_argument("--why", default="", help="the story in a sentence or two")
    sub = command(corpus, "work on the corpus: distill makes corpus/seeds a small covering set")
    sub.add_argument("action", choices=["distill"])
    sub.add_argument(
        "--cases", type=_number, default=30000, metavar="N", help="random candidates (default: %(default)s)"
    )
    sub.add_argument("--seed", type=_number, metavar="N", help="of the random candidates (default: 0)")
    command(extract, "show what was taken out of a kernel tree")
    command(doctor, "say what is here, what is missing, and whether guidance works")
    sub = command(coverage, "show what of the kernel's text the corpus reaches")
    sub.epilog = "exit codes: 0 all that can be reached is, 1 something is missing, 2 could not run"
    sub.add_argument(
        "--cases",
        type=_number,
        default=100_000,
        metavar="N",
        help="random cases; 0: the corpus alone (default: 100000)",
    )
    sub = command(mutants, "prove that changes of kernel, model and harness are seen")
    sub.epilog = "exit codes: 0 the bars are met, 1 they are missed, 2 could not run"
    sub.add_argument("of", nargs="*", metavar="c|model|harness", help="whose mutants (default: c and model)")
    sub.add_argument(
        "--seeds", type=_number, default=hunting.SEEDS, metavar="N", help="of fuzzing; 0: the corpus alone (default: 5)"
    )
    sub.add_argument(
        "--cases", type=_number, default=hunting.CASES, metavar="N", help="of each seed (default: %(default)s)"
    )
    sub.add_argument(
        "--keep", type=Path, metavar="DIR", help="write small cases there that kill what the corpus left alive"
    )
    sub = command(report, "make one page of runs' summaries")
    sub.epilog = "exit codes: 0 wrote the page, 2 could not"
    sub.add_argument("folder", type=Path, metavar="DIR", help="where the --json files and the findings are")
    sub.add_argument("-o", "--output", type=Path, metavar="PAGE", help="the page (default: DIR/report.html)")
    sub.add_argument(
        "--issues", type=Path, metavar="DIR", help="write an issue text there for each signature that is new this night"
    )
    sub = command(nightly, "run all of it, with a page at the end")
    sub.add_argument("--minutes", type=_minutes, default=240.0, metavar="N", help="how long (default: %(default)g)")
    sub.add_argument(
        "--folder", type=Path, default=Path("nights"), metavar="DIR", help="all nights (default: %(default)s)"
    )
    sub.add_argument("--name", metavar="NIGHT", help="its folder there (default: the time)")
    sub.add_argument("--inputs", type=Path, metavar="DIR", help="inputs of the guided runs, kept over the nights")
    sub.add_argument("--jobs", type=_number, default=0, metavar="N", help="guided workers (default: one for each core)")
    sub.add_argument("--list", action="store_true", help="show the steps, and run none")
    sub.add_argument("steps", nargs="*", metavar="STEP", help="only these, with * and ? (default: all)")
    command(bench, "measure where the time of a case goes")
    top.set_defaults(commands=commands.choices)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    arguments = parser().parse_args(argv)
    if arguments.command == "mutants":
        arguments.of = arguments.of or ["c", "model"]
    if arguments.command in SECONDS and arguments.seconds is None:
        arguments.seconds = 0 if arguments.cases else SECONDS[arguments.command]
    _ours.update(command=arguments.command, started=datetime.now(UTC).isoformat(timespec="seconds"))
    variant = os.environ.get("SAN")
    try:
        if variant and variant not in VARIANTS:
            raise CannotRun(f"SAN={variant}: one of {', '.join(VARIANTS)}")
        with chosen(arguments):
            return int(arguments.function(arguments))
    except CannotRun as error:
        errors.print(f"skdiff: {error}", markup=False, soft_wrap=True)
        return COULD_NOT_RUN
    except KeyboardInterrupt:
        errors.print("skdiff: interrupted", markup=False)
        return COULD_NOT_RUN
    except BrokenPipeError:
        return COULD_NOT_RUN


if __name__ == "__main__":
    sys.exit(main())
