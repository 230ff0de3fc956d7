"""Commands that look for differences: fuzz, diff, drift; a night of them, and its page."""

import argparse
import contextlib
import os
import re
import shlex
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from skdiff.base import signals
from skdiff.base.errors import CannotRun
from skdiff.campaign import inputs, merge_inputs
from skdiff.campaign.finding_files import report_of
from skdiff.campaign.progress import Live
from skdiff.campaign.supervisor import supervise
from skdiff.campaign.worker import Job, Subject
from skdiff.cases import find_cases
from skdiff.cases.case_file import load
from skdiff.commands.shared import (
    AGREED,
    COULD_NOT_RUN,
    MISMATCH,
    asked,
    console,
    errors,
    made,
    say,
    side,
    stubs_asked,
    told,
    writable,
    write,
    write_json,
)
from skdiff.comparison import known_differences
from skdiff.comparison.referee import SIDES, Referee, closure_of
from skdiff.engines import GUIDED, atheris_engine
from skdiff.findings import kernel_difference as differing
from skdiff.findings import reduce as reducer
from skdiff.findings.triage import triage
from skdiff.kernel import drift as drifting
from skdiff.kernel import patches as patching
from skdiff.kernel import text_changes
from skdiff.kernel.build import Build
from skdiff.kernel.source import Tree
from skdiff.nightly import night as nights
from skdiff.nightly import page as paging
from skdiff.nightly import summaries
from skdiff.oracles.guarded import Guarded
from skdiff.proof import new_text
from skdiff.proof.mutants.score import scores
from skdiff.variants import config, version_rules

REPORTS = 3  # of a run are printed


def fuzz(arguments: argparse.Namespace) -> int:
    """Compare the oracles on scenarios of an engine."""
    engine = arguments.engine or ("atheris" if atheris_engine.available() else "random")
    if not arguments.engine and engine == "random":
        say("no atheris for this Python: the random engine runs instead")
    atheris_engine.check(arguments.flags)
    listed = known_differences.load()  # what could stop the end of a run is looked at before its start
    writable(arguments.findings)
    if arguments.flags and engine not in GUIDED:
        raise CannotRun(f"{arguments.flags[0]}: flags of libFuzzer are for the atheris engine, this is {engine}")
    if arguments.inputs and engine not in GUIDED:
        if arguments.engine:
            raise CannotRun(f"--inputs is for the atheris engine, this is {engine}")
        arguments.inputs = None
    if arguments.inputs:
        inputs.opened(arguments.inputs, say)
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
        arguments=tuple(arguments.flags),
        inputs=str(arguments.inputs or ""),
    )
    first, *notes = told(reference)
    for line in (first, *notes):
        say(line)
    say(f"engine {engine}, seed {seed}" + (f", {arguments.jobs} workers" if arguments.jobs > 1 else ""))
    with _ran(job, reference.closure, arguments.jobs) as (live, total):
        if total["mismatches"]:
            say("reducing what was found (Ctrl-C to leave it as it is)")
            reducer.reduce_findings(total["mismatches"], lambda: [made(arguments.kernel)], job.again, say)
            total["mismatches"] = triage(
                total["mismatches"], lambda: made(arguments.kernel, "traced"), kernel, arguments.findings, say
            )
        new, old = known_differences.split(total["mismatches"], listed, reference.tree.version)
        summary = {
            "kernel": {
                "version": reference.tree.version,
                "origin": reference.tree.origin,
                "closure": reference.closure,
                "compiler": reference.compiler,
                "variant": reference.variant,
                "config": str(reference.config),
                "rules": version_rules.data(reference.rules),
                "notes": notes,
            },
            "engine": engine,
            "seed": seed,
            "cases": total["cases"],
            "seconds": round(total["seconds"], 3),
            "cases_per_second": round(total["cases"] / total["seconds"]) if total["seconds"] else 0,
            "series": live.series.samples,
            "classes": total["classes"],
            "edges": total["edges"],
            "lines": total["lines"],
            "inputs": total["inputs"],
            "processor": round(total["processor"], 3),
            "workers": total["workers"],
            "mismatches": new,
            "known": old,
            "unwritten": total["unwritten"],
            "gave_up": total["gave_up"],
            "missing_rules": [] if os.environ.get("EPOCH") else list(reference.missing_rules),
        }
        differ = bool(new or total["unwritten"] or summary["missing_rules"])
        agreed = total["cases"] and not (differ or total["gave_up"])
        counted = (lambda: made(arguments.kernel, "coverage")) if agreed else None
        left = new_text.of_tree(reference, counted, seed, say)
        summary["unseen"] = left.data() if left is not None else None
        _show_reports(new)
        live.summary(console, summary, left)
        return _ended(differ, total, arguments, summary, bool(left))


def diff(arguments: argparse.Namespace) -> int:
    """Compare two kernels with each other: on the corpus, then on random cases and mutations of the corpus. The model
    of each one's rules is the referee: it says which rules make the difference, or which kernel is unlike its model.
    """
    if os.environ.get("EPOCH"):
        raise CannotRun("EPOCH sets the rules of one kernel; diff takes those of both from their texts")
    writable(arguments.findings)
    with ExitStack() as stack:
        if arguments.patch:
            if arguments.b is not None:
                arguments.paths, arguments.b = [Path(arguments.b), *arguments.paths], None
            return _diff(arguments, _patching(arguments, stack))
        if arguments.b is None:
            raise CannotRun("diff compares A with B, or A with A and a --patch: one of them is missing")
        return _diff(arguments, None)


class _Patching:
    """A patch series and the copy of A that it is applied to, which is made when A is known, and once."""

    def __init__(self, paths: Sequence[Path], folder: Path) -> None:
        self.patches = patching.series(paths)
        self.words = [f"--patch {shlex.quote(str(path))}" for path in paths]
        self.result: patching.Patched | None = None
        self._folder = folder

    def __call__(self, tree: Tree) -> Tree:
        if self.result is None:
            self.result = patching.patched(tree, self.patches, self._folder)
        return self.result.tree

    def show(self, builds: Sequence[Build]) -> None:
        """Tell which files of the series the lookup does not read. Raises CannotRun if it reads none of them."""
        assert self.result is not None
        read = {line.file for build in builds for line in build.kernel}
        for file in (*self.result.files, *self.result.left_out):
            if file not in read:
                console.print(f"not read by the lookup: {file}", markup=False, soft_wrap=True)


def _patching(arguments: argparse.Namespace, stack: ExitStack) -> _Patching:
    paths = [Path(name) for name in arguments.patch]
    if Path("-") in paths:  # commands that are printed later need it as well
        kept = arguments.findings / "patch.mbox"
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(sys.stdin.buffer.read())
        except OSError as error:
            raise CannotRun(f"cannot write {kept}: {error.strerror}") from error
        paths = [kept if path == Path("-") else path for path in paths]
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="skdiff-patched-"))
    return _Patching(paths, Path(folder))


def _diff(arguments: argparse.Namespace, patch: "_Patching | None") -> int:
    def sides(variant: str | None = None) -> tuple[Build, Build]:
        return side(arguments.a, variant), side(arguments.a if patch else arguments.b, variant, patch)

    builds = sides()
    # The patch comes first: argparse wants what is no option in one piece.
    words = [*patch.words, shlex.quote(arguments.a)] if patch else [shlex.quote(arguments.a), shlex.quote(arguments.b)]
    words += [f"--config {shlex.quote(os.environ['CONFIG'])}"] if os.environ.get("CONFIG") else []
    again = f"diff {' '.join([*words, *stubs_asked()])}"
    for name, made_for_it in zip(SIDES, builds, strict=True):
        console.print(f"{name}: {differing.told(made_for_it)}", markup=False, soft_wrap=True)
    changed = text_changes.changes(builds[0].kernel, builds[1].kernel)
    if patch is not None:
        patch.show(builds)
        # What a stand-in takes the place of is no part of a closure, and a changed one is no "no difference".
        if builds[0].closure == builds[1].closure and not text_changes.changes(builds[0].replaced, builds[1].replaced):
            console.print("no difference: the patch leaves the text of the lookup as it is, so nothing was run")
            write_json(arguments.json, {"patch": patching.label(patch.patches), "text": [], "differ": False})
            return AGREED
    if arguments.paths:
        return _diff_of_files(arguments, sides, again)
    text_changes.show_changes(console, changed)
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
    )
    with _ran(job, closure_of(builds)) as (_, total):
        groups: list[differing.Group] = []
        if total["mismatches"]:
            say("reducing what was found (Ctrl-C to leave it as it is)")
            reducer.reduce_findings(total["mismatches"], sides, again, say)
            groups = differing.sorted_out(total["mismatches"], lambda: sides("traced"), again, arguments.findings, say)
        result = differing.summary(builds, changed, total, seed, groups)
        result["missing_rules"] = [rule for rule in builds[1].missing_rules if getattr(builds[0].text_rules, rule)]
        differ = bool(result["differ"] or total["unwritten"] or result["missing_rules"])
        agreed = not (differ or total["gave_up"])
        left = new_text.between(builds, changed, (lambda: sides("coverage")) if agreed else None, seed, say)
        result["unseen"] = left.data() if left is not None else None
    if agreed:
        result |= _backing(builds, changed)
    _show_reports([group.findings[0] for group in groups if not group.alike])
    referee = Referee(*builds)
    result["differing"] = list(referee.differing)
    differing.show(console, result, groups, referee, left)
    return _ended(differ, total, arguments, result, bool(left))


@contextlib.contextmanager
def _ran(job: Job, closure: str, jobs: int = 1) -> Iterator[tuple[Live, dict[str, Any]]]:
    """A run from its start to its end: how it was shown, and its counters. What asks to end ends the run, but not what
    is made of it.
    """
    with ExitStack() as until_told:
        with Live(errors, job.seconds, job.cases) as live:
            total = supervise(job, closure, live.message, jobs)
            until_told.enter_context(signals.interruptible())
        yield live, total


def _show_reports(findings: Sequence[dict[str, Any]]) -> None:
    """Print the reports of the first few findings."""
    for finding in findings[:REPORTS]:
        with contextlib.suppress(OSError):  # the summary says where the file should be
            console.print(report_of(Path(finding["file"])).read_text(), markup=False, soft_wrap=True)


def _ended(
    differ: bool, total: dict[str, Any], arguments: argparse.Namespace, summary: dict[str, Any], left: bool = False
) -> int:
    """Write a run's summary, and return its exit code: what was found counts for more than what could not be done, or
    what was `left` unseen.
    """
    try:
        write_json(arguments.json, summary)
    except CannotRun as error:
        if not differ:
            raise
        say(f"skdiff: {error}")
    if differ:
        return MISMATCH
    return COULD_NOT_RUN if left or total["gave_up"] or not total["cases"] else AGREED


def _backing(builds: Sequence[Build], changed: Sequence[text_changes.Change]) -> dict[str, Any]:
    """How many mutants of the functions that changed, in both kernels, and of all in the first one, the corpus tells
    apart: what "no difference" is worth.
    """
    try:
        of_these, of_all = scores(builds[0], {change.name for change in changed if change.before}, say)
        if after := {change.name for change in changed if change.after}:
            of_these += scores(builds[1], after, say, SIDES[1], all_too=False)[0]
    except CannotRun as error:
        say(f"no mutants: {error}")
        return {}
    return {"mutants": {"changed": asdict(of_these), "all": asdict(of_all)}}


def _diff_of_files(arguments: argparse.Namespace, sides: Callable[[str], tuple[Build, Build]], again: str) -> int:
    """Tell about cases from files, instead of looking for some."""
    builds, told_of = sides("traced"), []
    referee = Referee(*builds)
    with Guarded(builds[0]) as one, Guarded(builds[1]) as other:
        for path in find_cases.files(arguments.paths):
            found = differing.difference(load(path), (one, other), referee)
            name = found.name if found is not None else ""
            told_of.append({"file": str(path), "difference": name, "alike": found is not None and found.verdict.alike})
            text = found.report(again, path) if found is not None else f"{path}: no difference\n"
            console.print(text, markup=False, soft_wrap=True, end="")
    write_json(arguments.json, {"cases": told_of})
    return MISMATCH if any(case["difference"] and not case["alike"] for case in told_of) else AGREED


def drift(arguments: argparse.Namespace) -> int:
    """Hold the text of a kernel's lookup against the record of another, the nearest one by default: new, gone and
    changed definitions, rules, and names that nothing here has an answer to. Nothing is built.
    """
    before = drifting.load(arguments.against) if arguments.against and not arguments.record else None
    tree, now = drifting.record_of(arguments.kernel, say)
    if before is None and not arguments.record:
        before = drifting.load(drifting.nearest(tree.version))
    console.print(
        f"Linux {tree.version} ({tree.origin}), {version_rules.told(now.rules)}", markup=False, soft_wrap=True
    )
    for line in version_rules.doubts(now.rules, now.unknown_rules, tree.version):
        console.print(f"note: {line}", markup=False, soft_wrap=True)
    if before is None:
        path = arguments.against or drifting.RECORDS / f"{tree.version}{drifting.SUFFIX}"
        drifting.write(now, path)
        console.print(f"{len(now.definitions)} definitions recorded in {path}", markup=False, soft_wrap=True)
        return AGREED
    found = drifting.drift(before, now)
    found.show(console, before.version)
    versions = {"version": tree.version, "record": before.version, "rules_now": version_rules.data(now.rules)}
    write_json(arguments.json, {**versions, **found.data()})
    return MISMATCH if found else AGREED


def merge(arguments: argparse.Namespace) -> int:
    """Merge folders of guided inputs into the first one, and leave in it the few that reach as much as all."""
    if not atheris_engine.available():
        raise CannotRun("merging is libFuzzer's work, and there is no atheris for this Python")
    build = made(arguments.kernel, guided=True)
    signals.handle(signal.default_int_handler)  # what it has started ends with it
    merged = merge_inputs.merge(build, arguments.into, arguments.sources, say)
    console.print(
        f"{merged.after:,} of {merged.before:,} inputs reach the same {merged.edges} edges of the C: {arguments.into}",
        markup=False,
        soft_wrap=True,
    )
    write_json(arguments.json, {"kernel": build.tree.version, "folder": str(arguments.into), **asdict(merged)})
    return AGREED


def report(arguments: argparse.Namespace) -> int:
    """Make one HTML page of the summaries (--json files) and findings in a folder; each folder in it is a night."""
    text, line = paging.page(arguments.folder)
    out = arguments.output or arguments.folder / "report.html"
    write(out, text)
    for finding in (
        summaries.fresh(summaries.collect(arguments.folder)[0], arguments.folder) if arguments.issues else ()
    ):
        path = arguments.issues / f"{finding.signature[:120]}-{finding.summary.file_name}.md"
        write(path, summaries.issue(finding), folder=True)
        console.print(f"issue: {path}", markup=False, soft_wrap=True)
    console.print(f"{line}: {out}", markup=False, soft_wrap=True)
    return AGREED


def nightly(arguments: argparse.Namespace) -> int:
    """Run a night: every kernel and configuration fuzzed, the corpus, mutants, coverage, drift and Hypothesis's tests,
    with a page and an issue's text for each new difference at the end. Steps that fail do not stop the others.
    """
    name = arguments.name or f"{datetime.now(UTC):%Y-%m-%dT%H%M%S}"
    if not re.fullmatch(r"[\w+-][\w.+-]*", name):
        raise CannotRun(
            f"--name {name!r}: the name of a folder below {arguments.folder}, of letters, digits and . _ + -"
        )
    out, jobs = arguments.folder / name, arguments.jobs or os.cpu_count() or 1
    options, by_hand = os.environ.get("CONFIG", ""), os.environ.get("EPOCH", "")
    config.parse(options, lambda name: True)  # what cannot be read is said now, not by each step
    version_rules.held(version_rules.Rules(), words=by_hand)
    planned = nights.plan(arguments.minutes, out, arguments.inputs, jobs, arguments.kernel or (), options, by_hand)
    steps = nights.chosen(planned, arguments.steps)
    if arguments.list:
        for step in steps:
            console.print(f"{step.name:40} {step.seconds:6.0f} s", markup=False, soft_wrap=True)
        return AGREED
    try:
        out.mkdir(parents=True, exist_ok=bool(arguments.name))
    except OSError as error:
        raise CannotRun(f"cannot write {out}: {error.strerror}") from error
    with signals.interruptible():  # what is done has its page, whoever ends the night
        done = nights.run(steps, out, arguments.commands, say, arguments.minutes)
        summary = {"minutes": arguments.minutes, "steps": done}
        write_json(out / f"night-{steps[0].name}.json", summary)
        if arguments.json is not None:
            write_json(arguments.json, summary)
        arguments.output, arguments.issues = None, out / "issues"
        report(arguments)
    return nights.verdict(done)
