"""Commands about skdiff itself: what was extracted, what is reached and seen, how fast, what is here."""

import argparse
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from rich.progress import Progress, TaskID

from skdiff.base.errors import CannotRun
from skdiff.base.paths import CORPUS
from skdiff.cases import find_cases
from skdiff.cases.case_file import load
from skdiff.cases.scenario import Scenario
from skdiff.commands.shared import AGREED, COULD_NOT_RUN, MISMATCH, console, errors, made, say, told, write_json
from skdiff.engines import GUIDED, atheris_engine
from skdiff.kernel.build import Build
from skdiff.kernel.closure import Manifest
from skdiff.kernel.source import find
from skdiff.proof import bench as benchmark
from skdiff.proof import doctor as examination
from skdiff.proof import extract_report, model_coverage
from skdiff.proof import kernel_coverage as covering
from skdiff.proof.mutants import harness as of_harness
from skdiff.proof.mutants import hunt as hunting
from skdiff.proof.mutants import model as of_model
from skdiff.proof.mutants import report as mutant_report
from skdiff.proof.mutants import schemata
from skdiff.proof.mutants.common import LISTED, Judgement, Mutant, judgements, series
from skdiff.variants import version_rules


def extract(arguments: argparse.Namespace) -> int:
    """Show what was taken out of the kernel tree, and what stands in for the rest."""
    reference = made(arguments.kernel)
    report = extract_report.report(reference, made(arguments.kernel, "coverage"))
    write_json(arguments.json, report)
    extract_report.show(console, report)
    for line in (f"rules: {version_rules.told(reference.rules)}", *told(reference)[1:]):
        console.print(line, markup=False, soft_wrap=True)
    return AGREED


def coverage(arguments: argparse.Namespace) -> int:
    """Count which lines and branches of the kernel's text and of the model the corpus alone reaches, and which of the
    kernel's random cases do. HTML pages are written to the build folder.
    """
    made_for_it = made(arguments.kernel, "coverage")
    say("the corpus")
    files = covering.counts(made_for_it, str(CORPUS))
    spots, reasons = covering.spots(made_for_it, files), covering.excused(made_for_it.tree.version)
    listed = series(made_for_it.tree.version) in LISTED
    result = covering.summary(spots, reasons, listed)
    result |= {"kernel": {"version": made_for_it.tree.version, "config": str(made_for_it.config)}}
    result["text"] = covering.listing(made_for_it, spots, reasons)
    page = covering.write_html(made_for_it, files, made_for_it.folder.with_name(f"{made_for_it.folder.name}-corpus"))
    covering.show(console, result, f"Linux {made_for_it.tree.version}, the corpus")
    if note := covering.doubt(made_for_it.compiler):
        say(note)
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
        found = covering.summary(covering.spots(made_for_it, by_chance), reasons, listed)
        covering.write_html(made_for_it, by_chance, made_for_it.folder.with_name(f"{made_for_it.folder.name}-random"))
        result["random"] = {"cases": arguments.cases, "missing": found["missing"]}
        console.print(f"{arguments.cases:,} random cases miss {len(found['missing'])} lines and branches:")
        for line in found["missing"]:
            console.print(f"  {line}", markup=False, soft_wrap=True)
    console.print(f"pages: {page}", markup=False, soft_wrap=True)
    write_json(arguments.json, result)
    return AGREED if result["good"] and not missed else MISMATCH


MUTANTS_OF = ("c", "model", "harness")


def mutants(arguments: argparse.Namespace) -> int:
    """Change the kernel's text, the model and the harness in thousands of small ways, one at a time, and see whether
    somebody notices: the corpus, then random cases (c), the corpus (model), the tests (harness).
    """
    for of in arguments.of:
        if of not in MUTANTS_OF:
            raise CannotRun(f"no mutants of {of!r}: one of {', '.join(MUTANTS_OF)}")
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
    found = hunting.Hunt(made, [load(path).scenario for path in find_cases.files([])])
    with Progress(console=errors, transient=True) as bar:
        task = bar.add_task("the corpus against all mutants of the C", total=len(made.mutants))
        fates = found.corpus(made.mutants, lambda: bar.advance(task))
    examples: dict[int, Scenario] = {}
    if arguments.seeds:
        fates, examples = hunting.hunt(found, fates, arguments.seeds, arguments.cases, say)
    result = mutant_report.summary("c", made.mutants, fates, entries, bool(arguments.seeds), made.tree.version)
    result |= {"dropped": made.dropped, "absent": made.absent, "kernel": made.tree.version, "closure": made.closure}
    if arguments.keep is not None and examples:
        say(f"reducing the cases of {len(examples)} mutants")
        count = hunting.keep(made, hunting.small(found, examples), arguments.keep)
        console.print(f"{count} cases kept in {arguments.keep}", markup=False, soft_wrap=True)
    mutant_report.show(console, result, f"Linux {made.tree.version}")
    console.print(f"{made.dropped} more did not compile, {made.absent} are not in this configuration.")
    return result


def bench(arguments: argparse.Namespace) -> int:
    """Measure where the time of a case goes, and what more workers bring (about four minutes)."""
    result = benchmark.measure(made(arguments.kernel))
    engines = ("random", "atheris") if atheris_engine.available() else ("random",)
    jobs = max(2, os.cpu_count() or 1)
    result["scaling"] = [
        benchmark.scaling(made(arguments.kernel, guided=engine in GUIDED), engine, jobs) for engine in engines
    ]
    write_json(arguments.json, result)
    benchmark.show(console, result)
    return AGREED


def doctor(arguments: argparse.Namespace) -> int:
    """Say what is here and what is missing, and try whether coverage and mutation reach libFuzzer."""

    def make(guided: bool = False) -> Build:
        return made(arguments.kernel, guided=guided)

    return AGREED if examination.show(console, examination.examine(make)) else COULD_NOT_RUN
