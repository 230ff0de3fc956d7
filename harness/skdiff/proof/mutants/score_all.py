"""The mutants of the C, the model and the harness, each hunted, and a summary for each."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, TaskID

from skdiff.cases.case_file import load
from skdiff.cases.fields import LOOKUPS
from skdiff.cases.find_cases import files
from skdiff.cases.scenario import Scenario
from skdiff.kernel.manifest import Manifest
from skdiff.kernel.options import BuildOptions
from skdiff.kernel.root_call import has_lookup
from skdiff.kernel.source import find
from skdiff.oracles.model import Model
from skdiff.proof.mutants import harness as of_harness
from skdiff.proof.mutants import hunt as hunting
from skdiff.proof.mutants import model as of_model
from skdiff.proof.mutants import report, table_kills
from skdiff.proof.mutants.common import OF_KERNEL, Judgement, judgements
from skdiff.proof.mutants.schemata import schemata

OF = (*OF_KERNEL, "model", "harness")
Say = Callable[[str], None]


@dataclass(frozen=True)
class CMutants:
    """What to do with the mutants of a kernel's text: `seeds` of fuzzing, with `cases` each, for those that the corpus
    leaves alive; `keep` is a folder for small cases that kill these.
    """

    kernel: str
    options: BuildOptions
    seeds: int
    cases: int
    keep: Path | None = None


@dataclass(frozen=True)
class Scored:
    """The fate of the mutants of one thing: its report, what it is of, and lines about it."""

    report: report.Report
    what: str
    notes: tuple[str, ...] = ()


def score_all(of: Sequence[str], request: CMutants, errors: Console, say: Say) -> Iterator[Scored]:
    """Hunt the mutants of those in OF that are wanted; progress goes to the console `errors`. Raises CannotRun."""
    entries = judgements()
    for name in OF_KERNEL:
        if name in of:
            yield _of_kernel(name, request, entries, errors, say)
    hunts: dict[str, Callable[[Callable[[int, int], None]], of_model.Hunted]] = {
        "model": lambda tell: of_model.hunt(of_model.cases(), [table_kills.small_of_model()], tell),
        "harness": lambda tell: of_model.Hunted(of_harness.hunt(tell), []),
    }
    for name, hunt in hunts.items():
        if name in of:
            with Progress(console=errors, transient=True) as bar:
                task = bar.add_task(f"mutants of the {name}", total=None)
                found, told = hunt(partial(_advance, bar, task))
            small = table_kills.of_model(told)
            mutants, fates = dict(enumerate(m for m, _ in found)), dict(enumerate(f for _, f in found))
            yield Scored(report.summary(name, mutants, fates, entries, fuzzed=True, small=small), f"the {name}")


def _advance(bar: Progress, task: TaskID, done: int, total: int) -> None:
    bar.update(task, completed=done, total=total)


def _of_kernel(of: str, request: CMutants, entries: Sequence[Judgement], errors: Console, say: Say) -> Scored:
    manifest = Manifest.load()
    tree = find(request.kernel, manifest.files, optional=manifest.optional, say=say)
    config = request.options.configuration(tree)
    made = schemata(tree, say, request.options.stubs, of, config)
    corpus = (load(path).scenario for path in files([]))
    scenarios = [scenario for scenario in corpus if has_lookup(LOOKUPS[scenario.lookup], config)]
    model = Model(made.rules, config)
    planted = hunting.planted(scenarios, model) if of == "driver" else ()
    found = hunting.Hunt(made, scenarios, model, planted)
    with Progress(console=errors, transient=True) as bar:
        task = bar.add_task(
            f"the corpus against all mutants of the {'C' if of == 'c' else of}", total=len(made.mutants)
        )
        fates = found.corpus(made.mutants, lambda: bar.advance(task))
    small = report.NO_TABLES
    if of == "c" and request.seeds:
        say("the small tables against mutants of the C")
        small = table_kills.of_c(made, config, scenarios, fates)
    examples: dict[int, Scenario] = {}
    if request.seeds:
        fates, examples = hunting.hunt(found, fates, request.seeds, request.cases, say)
    version, notes = made.tree.version, []
    summary = report.summary(
        of, made.mutants, fates, entries, bool(request.seeds), version, config, made.lookups, small
    )
    summary.dropped, summary.absent = made.dropped, made.absent
    summary.kernel, summary.closure, summary.origin = version, made.closure, made.tree.origin
    summary.config = str(config)
    if request.keep is not None and examples:
        say(f"reducing the cases of {len(examples)} mutants")
        count = hunting.keep(made, hunting.small(found, examples), request.keep)
        notes.append(f"{count} cases kept in {request.keep}")
    notes.append(f"{made.dropped} more did not compile, {made.absent} are not in this configuration.")
    label = version + (f" ({config})" if summary.config else "")
    what = f"Linux {label}" if of == "c" else f"the driver, Linux {label}"
    return Scored(summary, what, tuple(notes))
