"""Mutants of the model, and the cases that tell them from the model.

A mutant is killed by the first case whose Outcome, `via` included, or whose steps are not the model's own: explanations
and the names of findings are made of steps.
"""

import contextlib
import mmap
import signal
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from random import Random
from time import process_time
from typing import NamedTuple

import skdiff.oracles.model
from skdiff.base.errors import CannotRun
from skdiff.base.paths import CORPUS
from skdiff.cases.addresses import as_ipv4, other_family
from skdiff.cases.case_file import load
from skdiff.cases.derived import UDP_HEADER
from skdiff.cases.event_fields import MOST_VISITS
from skdiff.cases.events import brought
from skdiff.cases.fields import LOOKUPS
from skdiff.cases.find_cases import files
from skdiff.cases.outcome import COMPARED, Outcome
from skdiff.cases.scenario import (
    AT_RAN,
    DEMUX,
    GOES_ON,
    IPV6_LOOKUPS,
    NOWHERE,
    RECEIVE,
    TCP4,
    TCP6,
    UDP4,
    UDP6,
    UDP_LOOKUPS,
    Event,
    Scenario,
)
from skdiff.cases.steps import Step
from skdiff.kernel.root_call import has_lookup
from skdiff.oracles.model import Model
from skdiff.proof.mutants.common import Mutant
from skdiff.proof.mutants.hunt import FIRST, Fate
from skdiff.proof.mutants.install import install
from skdiff.proof.mutants.isolated import Died, each, in_shares
from skdiff.proof.mutants.lines_run import ALL, Lines
from skdiff.proof.mutants.python import Change, Source
from skdiff.variants.config import MATRIX, Config
from skdiff.variants.version_rules import EPOCHS, FIRST_WITH_A_FIX, NAMES, Rules, describe, of_version

MODEL = Path(skdiff.oracles.model.__file__).parent
CPU_SECONDS = 1.0  # of a mutant in one case; in all, this beside TIMES what the model itself needs for all
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
    *((of_version(version), Config()) for version in FIRST_WITH_A_FIX),
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
                for what, same in (("", plain), *_link_by_link(plain), *_other_namespace(plain)):
                    found.append(expected(f"{name}{what}, {describe(rules)} {config}", same, kernel))
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
    later = brought(scenario.events)  # who comes has a table to come into
    unhashed = tuple(sock if i in later else sock._replace(hashed=NOWHERE) for i, sock in enumerate(scenario.socks))
    changed = as_ipv4 if scenario.lookup in IPV6_LOOKUPS else other_family
    lookup = _OTHER_FAMILY[scenario.lookup]
    other = packet._replace(saddr=changed(packet.saddr), daddr=changed(packet.daddr))
    yield ", as the other family's", scenario._replace(hostile=1, packet=other, lookup=lookup)
    lookup, caller = _OTHER_PROTOCOL[scenario.lookup], RECEIVE if scenario.caller == DEMUX else scenario.caller
    header = packet._replace(doff=UDP_HEADER if lookup in UDP_LOOKUPS else packet.doff)
    changed_protocol = scenario._replace(hostile=1, packet=header, lookup=lookup, caller=caller, events=())
    yield ", as the other protocol's", changed_protocol
    yield ", with empty tables", scenario._replace(hostile=1, socks=unhashed)
    yield from _link_by_link(scenario)


def _link_by_link(scenario: Scenario) -> Iterable[tuple[str, Scenario]]:
    """The same with an event that never comes: with events the model walks from link to link, without them it sorts."""
    if not scenario.events:
        never = Event(point=AT_RAN, nth=MOST_VISITS, action=GOES_ON)
        yield ", link by link", scenario._replace(hostile=1, events=(never,))


def _other_namespace(scenario: Scenario) -> Iterable[tuple[str, Scenario]]:
    """A packet of the other namespace for the same tables: with events the model keeps what sockets are hashed by, and
    without CONFIG_NET_NS the packet tells whose tables they all are in.
    """
    if scenario.events and len(scenario.netns) > 1:
        packet = scenario.packet._replace(netns=1 - scenario.packet.netns)
        yield ", in the other namespace", scenario._replace(hostile=1, packet=packet)


class Hunted(NamedTuple):
    """Each mutant of the model and its fate, in the order of the text; and how many of some lists of cases tell it from
    the model, see Telling: those of the corpus that a system can reach, without events, come first.
    """

    fates: list[tuple[Mutant, Fate]]
    told: list[int]


def hunt(
    cases: Sequence[Expected],
    lists: Sequence[Sequence[Expected]] = (),
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Hunted:
    """Hunt all of them with the corpus, and tell them by what of it a system can reach, then by more `lists`.
    `progress` is told how many are done, of all. Raises CannotRun.
    """
    of_model = sources()
    jobs = [(source, change) for source in of_model for change in source.changes]
    lines = Lines([source.path for source in of_model])
    known = with_lines(cases, lines)
    standing = [case for case in known if not (case.kernel or case.scenario.hostile or case.scenario.events)]
    telling = Telling(jobs, (standing, *(with_lines(some, lines) for some in lists)), lines)
    fates = run(jobs, known, progress, lines, telling)
    return Hunted(fates, [telling.told(i) for i in range(len(jobs))])


def with_lines(cases: Sequence[Expected], lines: Lines) -> list[Expected]:
    """The cases, each with the lines of the model that it runs; those that are run before any case are of all. Raises
    CannotRun.
    """

    def load_anew() -> None:
        install(None, None, "skdiff.oracles.model")
        _models()

    def of_share(share: range) -> list[int]:
        # A model keeps tables from case to case: a new one builds them in each.
        return [lines.run_by(partial(_run, Model(*KERNELS[cases[i].kernel]), cases[i])) for i in share]

    [(_, before)] = each(lambda _: lines.run_by(load_anew), [None])
    if isinstance(before, Died):
        raise CannotRun(f"the model cannot be loaded anew ({before})")
    found = in_shares(of_share, len(cases))
    return [
        replace(cases[i], lines=of | before) for share, lines_of in found for i, of in zip(share, lines_of, strict=True)
    ]


def run(
    jobs: Sequence[tuple[Source, Change]],
    cases: Sequence[Expected],
    progress: Callable[[int, int], None] = lambda done, of: None,
    lines: Lines | None = None,
    telling: "Telling | None" = None,
) -> list[tuple[Mutant, Fate]]:
    """The fate of some mutants. With `lines`, a case is asked only about mutants of statements that it runs, or that no
    case runs. `telling` is asked about those that are killed, in the same process.
    """
    fates: dict[int, Fate] = {}
    models, start = _models(), process_time()
    for case in cases:
        _run(models[case.kernel], case)
    limit = CPU_SECONDS + TIMES * (process_time() - start) + (telling.cpu_seconds if telling else 0)
    asked = _asked(jobs, cases, lines) if lines else {}
    died = []

    def attacked(i: int) -> tuple[str, int]:
        source, change = jobs[i]
        answer = _attack(source, change, cases, asked.get(_place(jobs[i])) or range(len(cases)))
        if telling and answer[0]:
            telling.ask(i)
        return answer

    for i, answer in each(attacked, range(len(jobs)), cpu_seconds=limit):
        if isinstance(answer, Died):
            fates[i] = Fate(FIRST, (), True, "died or hung")
            died.append(i)
        else:
            how, case = answer
            fates[i] = Fate(FIRST, (case,), True, how) if how else Fate(reached=True)
        progress(len(fates), len(jobs))
    if telling:
        telling.ask_all(died)
    return [(change.mutant, fates[i]) for i, (_, change) in enumerate(jobs)]


class Telling:
    """Some lists of cases that tell mutants from the model, one after the other, until one does not: as a kernel would
    be told from it, by what is compared of an Outcome. The cases are of the default kernel; who runs no statement of a
    mutant is not asked about it. `cpu_seconds` is what a mutant may need for all.
    """

    def __init__(
        self, jobs: Sequence[tuple[Source, Change]], lists: Sequence[Sequence[Expected]], lines: Lines
    ) -> None:
        self._jobs, self._lists = jobs, lists
        self._asked = [_asked(jobs, cases, lines) for cases in lists]
        self._told = mmap.mmap(-1, max(len(jobs), 1))  # of each mutant, what is left of a process that died
        start = process_time()
        for cases in lists:
            _told(Model, cases, range(len(cases)))
        self.cpu_seconds = TIMES * (process_time() - start)

    def told(self, i: int) -> int:
        """How many of the lists have told a mutant, as far as it was asked about."""
        return self._told[i]

    def ask(self, i: int) -> None:
        """Ask about a mutant, in a process that has it instead of the model."""
        try:
            loaded = import_module("skdiff.oracles.model").Model
        except Exception:  # noqa: BLE001 - a mutant may raise anything
            self._told[i] = len(self._lists)
        while self._told[i] < len(self._lists):
            at = self._told[i]
            if not _told(loaded, self._lists[at], self._asked[at][_place(self._jobs[i])], _begin_case):
                return
            self._told[i] += 1

    def ask_all(self, numbers: Sequence[int], progress: Callable[[int, int], None] = lambda done, of: None) -> None:
        """Ask about some mutants, each in a process of its own. One that dies, or never ends, is told by the list in
        hand, and the next list is asked in another process.
        """

        def attacked(i: int) -> None:
            with contextlib.suppress(Exception):  # then there is no module either
                install(*self._jobs[i], "skdiff.oracles.model")
            self.ask(i)

        done, left = 0, numbers
        while left:
            again = []
            for i, answer in each(attacked, left, cpu_seconds=CPU_SECONDS + self.cpu_seconds):
                self._told[i] += isinstance(answer, Died)
                if isinstance(answer, Died) and self._told[i] < len(self._lists):
                    again.append(i)
                else:
                    done += 1
                    progress(done, len(numbers))
            left = again


def _place(job: tuple[Source, Change]) -> tuple[Path, int]:
    source, change = job
    return source.path, change.mutant.line


def _asked(
    jobs: Sequence[tuple[Source, Change]], cases: Sequence[Expected], lines: Lines
) -> dict[tuple[Path, int], Sequence[int]]:
    """The cases that run the statement of a mutant, by the place of that: sought here once, not in each child."""
    of_lines: dict[int, Sequence[int]] = {}
    found = {}
    for place in dict.fromkeys(map(_place, jobs)):
        around = lines.around(*place)
        if around not in of_lines:
            of_lines[around] = array("I", [at for at, case in enumerate(cases) if case.lines & around])
        found[place] = of_lines[around]
    return found


def _begin_case() -> None:
    """In a child process: it dies if the case that comes now takes too long, so that who hangs is told soon."""
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU_SECONDS)


def _told(
    kind: type[Model], cases: Sequence[Expected], asked: Iterable[int], begin: Callable[[], None] = lambda: None
) -> bool:
    try:
        model = kind(*KERNELS[0])
        for at in asked:
            begin()
            if model.run(cases[at].scenario)[:COMPARED] != cases[at].outcome[:COMPARED]:
                return True
        return False
    except Exception:  # noqa: BLE001 - a mutant may raise anything
        return True


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
                _begin_case()
                if models[case.kernel].run(case.scenario) != case.outcome:
                    return "outcome", at
            for at in some:
                case = cases[at]
                _begin_case()
                if models[case.kernel].trace(case.scenario) != case.steps:
                    return "steps", at
    except Exception as error:  # noqa: BLE001 - a mutant may raise anything
        return f"raised {type(error).__name__}", at
    return "", 0
