"""Mutants of the model, and the cases that tell them from the model.

A mutant is killed by the first case whose Outcome, `via` included, or whose steps are not the model's own: explanations
and the names of findings are made of steps.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from random import Random
from time import process_time

import skdiff.oracles.model
from skdiff.base.errors import CannotRun
from skdiff.base.paths import CORPUS
from skdiff.cases.addresses import as_ipv4, other_family
from skdiff.cases.case_file import load
from skdiff.cases.derived import UDP_HEADER
from skdiff.cases.fields import LOOKUPS
from skdiff.cases.find_cases import files
from skdiff.cases.outcome import Outcome
from skdiff.cases.scenario import DEMUX, IPV6_LOOKUPS, NOWHERE, RECEIVE, TCP4, TCP6, UDP4, UDP6, UDP_LOOKUPS, Scenario
from skdiff.cases.steps import Step
from skdiff.kernel.root_call import has_lookup
from skdiff.oracles.model import Model
from skdiff.proof.mutants.common import Mutant
from skdiff.proof.mutants.hunt import FIRST, Fate
from skdiff.proof.mutants.install import install
from skdiff.proof.mutants.isolated import Died, each
from skdiff.proof.mutants.lines_run import ALL, Lines
from skdiff.proof.mutants.python import Change, Source
from skdiff.variants.config import MATRIX, Config
from skdiff.variants.version_rules import EPOCHS, NAMES, Rules, describe

MODEL = Path(skdiff.oracles.model.__file__).parent
CPU_SECONDS = 2.0  # of a mutant, beside TIMES what the model itself needs for all cases: who survives runs them all
TIMES = 4
FEW = 500  # cases that most mutants do not survive: asked for steps too before the others are asked
_OTHER_FAMILY = {TCP4: TCP6, TCP6: TCP4, UDP4: UDP6, UDP6: UDP4}
_OTHER_PROTOCOL = {TCP4: UDP4, UDP4: TCP4, TCP6: UDP6, UDP6: TCP6}


@dataclass(frozen=True)
class Expected:
    """A case, what it is called, and what the model makes of it."""

    name: str
    scenario: Scenario
    kernel: int  # in KERNELS
    outcome: Outcome
    steps: list[Step]
    lines: int = ALL  # of the model, that it runs, see lines_run.py

    @property
    def rules(self) -> Rules:
        """Those of its kernel."""
        return KERNELS[self.kernel][0]

    @property
    def config(self) -> Config:
        """That of its kernel."""
        return KERNELS[self.kernel][1]


# The kernels whose rules each case is asked for, the default one first: a branch of the model for each.
KERNELS: tuple[tuple[Rules, Config], ...] = (
    (Rules(), Config()),
    *((rules, Config()) for rules in EPOCHS.values()),
    *((replace(Rules(), **{name: not getattr(Rules(), name)}), Config()) for name in NAMES),
    (Rules(**dict.fromkeys(NAMES, True)), Config()),
    *((rules, config) for rules in (Rules(), list(EPOCHS.values())[-1]) for config in MATRIX[1:]),
)


def sources(folder: Path = MODEL) -> list[Source]:
    """The modules of the model."""
    return [Source(path, "model") for path in sorted(folder.glob("*.py"))]


def cases(paths: Sequence[Path] = ()) -> list[Expected]:
    """The corpus, or the cases of some files and folders, each with its neighbours, as the model has them; then all for
    other kernels. Cases of a kind do not follow each other: the first few hundred kill most mutants.
    """
    read = {_name(path): load(path).scenario for path in files(paths)}
    mixed = Random(1).sample(list(read.items()), len(read))
    found = [expected(name + what, near, 0) for name, plain in mixed for what, near in _neighbours(plain)]
    for name, plain in mixed:
        for kernel, (rules, config) in enumerate(KERNELS[1:], 1):
            if has_lookup(LOOKUPS[plain.lookup], config):
                found.append(expected(f"{name}, {describe(rules)} {config}", plain, kernel))
    return found


def _name(path: Path) -> str:
    return str(path.relative_to(CORPUS) if path.is_relative_to(CORPUS) else path)


def expected(name: str, scenario: Scenario, kernel: int) -> Expected:
    """A case with what the model of a kernel of KERNELS makes of it."""
    model = Model(*KERNELS[kernel])
    return Expected(name, scenario, kernel, model.run(scenario), model.trace(scenario))


def _neighbours(scenario: Scenario) -> Iterable[tuple[str, Scenario]]:
    """The case, then another packet for the same tables, then other tables: a model keeps tables from case to case."""
    yield "", scenario
    packet = scenario.packet
    back = packet._replace(saddr=packet.daddr, daddr=packet.saddr)
    yield ", with its packet's way back", scenario._replace(hostile=1, packet=back)
    unhashed = tuple(sock._replace(hashed=NOWHERE) for sock in scenario.socks)
    changed = as_ipv4 if scenario.lookup in IPV6_LOOKUPS else other_family
    lookup = _OTHER_FAMILY[scenario.lookup]
    other = packet._replace(saddr=changed(packet.saddr), daddr=changed(packet.daddr))
    yield ", as the other family's", scenario._replace(hostile=1, packet=other, lookup=lookup)
    lookup, caller = _OTHER_PROTOCOL[scenario.lookup], RECEIVE if scenario.caller == DEMUX else scenario.caller
    header = packet._replace(doff=UDP_HEADER if lookup in UDP_LOOKUPS else packet.doff)
    changed_protocol = scenario._replace(hostile=1, packet=header, lookup=lookup, caller=caller, events=())
    yield ", as the other protocol's", changed_protocol
    yield ", with empty tables", scenario._replace(hostile=1, socks=unhashed)


def hunt(
    cases: Sequence[Expected], progress: Callable[[int, int], None] = lambda done, of: None
) -> list[tuple[Mutant, Fate]]:
    """Each mutant of the model and its fate, in the order of the text. `progress` is told how many are done, of all."""
    of_model = sources()
    jobs = [(source, change) for source in of_model for change in source.changes]
    lines = Lines([source.path for source in of_model])
    return run(jobs, with_lines(cases, lines), progress, lines)


def with_lines(cases: Sequence[Expected], lines: Lines) -> list[Expected]:
    """The cases, each with the lines of the model that it runs; those that are run before any case are of all. Raises
    CannotRun.
    """
    size = len(cases) // (8 * (os.cpu_count() or 1)) + 1
    shares = [range(start, min(start + size, len(cases))) for start in range(0, len(cases), size)]

    def load_anew() -> None:
        install(None, None, "skdiff.oracles.model")
        _models()

    def of_share(share: range) -> list[int]:
        # A model keeps tables from case to case: a new one builds them in each.
        return [lines.run_by(partial(_run, Model(*KERNELS[cases[i].kernel]), cases[i])) for i in share]

    [(_, before)] = each(lambda _: lines.run_by(load_anew), [None])
    found = dict(each(of_share, shares, seconds=600))
    if any(isinstance(answer, Died) for answer in (before, *found.values())):
        raise CannotRun("the model died of a case of the corpus")
    return [replace(cases[i], lines=of | before) for share in shares for i, of in zip(share, found[share], strict=True)]


def run(
    jobs: Sequence[tuple[Source, Change]],
    cases: Sequence[Expected],
    progress: Callable[[int, int], None] = lambda done, of: None,
    lines: Lines | None = None,
) -> list[tuple[Mutant, Fate]]:
    """The fate of some mutants. With `lines`, a case is asked only about mutants of statements that it runs, or that no
    case runs.
    """
    fates: dict[int, Fate] = {}
    models, start = _models(), process_time()
    for case in cases:
        _run(models[case.kernel], case)
    limit = CPU_SECONDS + TIMES * (process_time() - start)

    def attacked(i: int) -> tuple[str, int]:
        source, change = jobs[i]
        around = lines.around(source.path, change.mutant.line) if lines else ALL
        asked = [at for at, case in enumerate(cases) if case.lines & around] or range(len(cases))
        return _attack(source, change, cases, asked)

    for i, answer in each(attacked, range(len(jobs)), cpu_seconds=limit):
        if isinstance(answer, Died):
            fates[i] = Fate(FIRST, (), True, "died or hung")
        else:
            how, case = answer
            fates[i] = Fate(FIRST, (case,), True, how) if how else Fate(reached=True)
        progress(len(fates), len(jobs))
    return [(change.mutant, fates[i]) for i, (_, change) in enumerate(jobs)]


def _models() -> list[Model]:
    """A model, as it is loaded now, for each of KERNELS."""
    loaded = import_module("skdiff.oracles.model").Model
    return [loaded(), *(loaded(*kernel) for kernel in KERNELS[1:])]


def _run(model: Model, case: Expected) -> None:
    model.run(case.scenario)
    model.trace(case.scenario)


def _attack(source: Source, change: Change, cases: Sequence[Expected], asked: Sequence[int]) -> tuple[str, int]:
    """How a mutant is killed, "" if it is not, and by which of the cases that are asked. For a child process."""
    at = 0
    try:
        install(source, change, "skdiff.oracles.model")
        models = _models()
        if any(model.name != Model.name for model in models):
            return "name", at
        for some in (asked[:FEW], asked[FEW:]):
            for at in some:
                case = cases[at]
                if models[case.kernel].run(case.scenario) != case.outcome:
                    return "outcome", at
            for at in some:
                case = cases[at]
                if models[case.kernel].trace(case.scenario) != case.steps:
                    return "steps", at
    except Exception as error:  # noqa: BLE001 - a mutant may raise anything
        return f"raised {type(error).__name__}", at
    return "", 0
