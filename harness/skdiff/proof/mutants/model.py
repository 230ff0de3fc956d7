"""Mutants of the model, and the cases that tell them from the model.

A mutant is killed by the first case whose Outcome, `via` included, or whose steps are not the model's own: explanations
and the names of findings are made of steps.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import process_time

import skdiff.oracles.model
from skdiff.base.paths import CORPUS
from skdiff.cases.addresses import as_ipv4, other_family
from skdiff.cases.case_file import load
from skdiff.cases.fields import LOOKUPS
from skdiff.cases.find_cases import files
from skdiff.cases.outcome import Outcome
from skdiff.cases.scenario import IPV6_LOOKUPS, NOWHERE, TCP4, TCP6, UDP4, UDP6, Scenario
from skdiff.cases.steps import Step
from skdiff.kernel.root_call import has_lookup
from skdiff.oracles.model import Model
from skdiff.proof.mutants.common import Mutant
from skdiff.proof.mutants.hunt import FIRST, Fate
from skdiff.proof.mutants.install import install
from skdiff.proof.mutants.isolated import Died, each
from skdiff.proof.mutants.python import Change, Source
from skdiff.variants.config import MATRIX, Config
from skdiff.variants.version_rules import EPOCHS, NAMES, Rules, describe

MODEL = Path(skdiff.oracles.model.__file__).parent
CPU_SECONDS = 2.0  # of a mutant, beside TIMES what the model itself needs for all cases: who survives runs them all
TIMES = 4
_OTHER_FAMILY = {TCP4: TCP6, TCP6: TCP4, UDP4: UDP6, UDP6: UDP4}


@dataclass(frozen=True)
class Expected:
    """A case, what it is called, and what the model makes of it."""

    name: str
    scenario: Scenario
    rules: Rules
    config: Config
    outcome: Outcome
    steps: list[Step]


# The kernels whose rules each case is asked for, beside the default one: a branch of the model for each.
KERNELS: tuple[tuple[Rules, Config], ...] = (
    *((rules, Config()) for rules in EPOCHS.values()),
    *((replace(Rules(), **{name: not getattr(Rules(), name)}), Config()) for name in NAMES),
    *((Rules(), config) for config in MATRIX[1:]),
)


def sources(folder: Path = MODEL) -> list[Source]:
    """The modules of the model."""
    return [Source(path, "model") for path in sorted(folder.glob("*.py"))]


def cases(paths: Sequence[Path] = ()) -> list[Expected]:
    """The corpus, or the cases of some files and folders, each with its neighbours, as the model has them."""
    found = []
    for path in files(paths):
        name = str(path.relative_to(CORPUS) if path.is_relative_to(CORPUS) else path)
        plain = load(path).scenario
        for what, scenario in _neighbours(plain):
            found.append(_expected(name + what, scenario, Rules(), Config()))
        for rules, config in KERNELS:
            if not has_lookup(LOOKUPS[plain.lookup], config):
                continue
            found.append(_expected(f"{name}, {describe(rules)} {config}", plain, rules, config))
    return found


def _expected(name: str, scenario: Scenario, rules: Rules, config: Config) -> Expected:
    model = Model(rules, config)
    return Expected(name, scenario, rules, config, model.run(scenario), model.trace(scenario))


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
    yield ", with empty tables", scenario._replace(hostile=1, socks=unhashed)


def hunt(
    cases: Sequence[Expected], progress: Callable[[int, int], None] = lambda done, of: None
) -> list[tuple[Mutant, Fate]]:
    """Each mutant of the model and its fate, in the order of the text. `progress` is told how many are done, of all."""
    return run([(source, change) for source in sources() for change in source.changes], cases, progress)


def run(
    jobs: Sequence[tuple[Source, Change]],
    cases: Sequence[Expected],
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> list[tuple[Mutant, Fate]]:
    """The fate of some mutants."""
    fates: dict[int, Fate] = {}
    start = process_time()
    for case in cases:
        _expected(case.name, case.scenario, case.rules, case.config)
    limit = CPU_SECONDS + TIMES * (process_time() - start)
    for i, answer in each(lambda i: _attack(jobs[i][0], jobs[i][1], cases), range(len(jobs)), cpu_seconds=limit):
        if isinstance(answer, Died):
            fates[i] = Fate(FIRST, (), True, "died or hung")
        else:
            how, case = answer
            fates[i] = Fate(FIRST, (case,), True, how) if how else Fate(reached=True)
        progress(len(fates), len(jobs))
    return [(change.mutant, fates[i]) for i, (_, change) in enumerate(jobs)]


def _attack(source: Source, change: Change, cases: Sequence[Expected]) -> tuple[str, int]:
    """How a mutant is killed, "" if it is not, and by which case. For a child process."""
    at = 0
    try:
        install(source, change, "skdiff.oracles.model")
        from skdiff.oracles.model import Model as Mutated

        kernels = {(case.rules, case.config) for case in cases}
        models = {kernel: Mutated(*kernel) if kernel != (Rules(), Config()) else Mutated() for kernel in kernels}
        if any(model.name != Model.name for model in models.values()):
            return "name", at
        for at, case in enumerate(cases):
            if models[case.rules, case.config].run(case.scenario) != case.outcome:
                return "outcome", at
        for at, case in enumerate(cases):
            if models[case.rules, case.config].trace(case.scenario) != case.steps:
                return "steps", at
    except Exception as error:  # noqa: BLE001 - a mutant may raise anything
        return f"raised {type(error).__name__}", at
    return "", 0
