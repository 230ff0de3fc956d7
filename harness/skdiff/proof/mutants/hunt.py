"""The hunt for C mutants: the corpus against all of them, then random cases against those that it leaves alive."""

import mmap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from skdiff.base.errors import CannotRun
from skdiff.base.files import write_whole
from skdiff.cases.case_file import Case, dump
from skdiff.cases.expectations import MODEL
from skdiff.cases.native import encode
from skdiff.cases.other_lookup import fitting
from skdiff.cases.outcome import COMPARED, RETURNED, Outcome
from skdiff.cases.record import OUTCOME_SIZE, constants, outcome
from skdiff.cases.scenario import Scenario
from skdiff.comparison.compare import compare
from skdiff.comparison.mismatch_text import names_of
from skdiff.engines.corpus_engine import candidates
from skdiff.findings.keep_cases import expectation, needed
from skdiff.findings.reduce import LIMIT, reduce, size
from skdiff.oracles.model import Model
from skdiff.oracles.reference import Reference
from skdiff.proof.mutants.isolated import Died, each
from skdiff.proof.mutants.schemata import Schemata

CASES = 20_000  # of one seed
SEEDS = 5
_JUNK = bytes([0x55]) * OUTCOME_SIZE
FIRST, LATER = "the corpus", "fuzzing"


@dataclass(frozen=True)
class Fate:
    """What became of a mutant: killed by `by` ("" for a survivor), `cases` in the order of the corpus, or of each seed
    that killed it; `reached` by any case at all; `how` it was killed, where somebody can tell; `fields` of the outcome
    that differ in any case of the corpus, none for one that killed the process.
    """

    by: str = ""
    cases: tuple[int, ...] = ()
    reached: bool = False
    how: str = ""
    fields: frozenset[str] = frozenset()

    @property
    def killed(self) -> bool:
        """Whether somebody saw the difference."""
        return bool(self.by)


class Planted(NamedTuple):
    """Bytes of a case of the corpus that change in turn: which case, when (see Reference.plant), how many (0: all)."""

    case: int
    when: int
    n_bytes: int = 0


_UNUSED_GROUP = 8  # bytes at the start of the arena, where groups are: nothing reads them in a case without groups


def planted(scenarios: Sequence[Scenario], model: Model) -> list[Planted]:
    """Cases that have all that there is to write to: those with the most of each kind; and for what changes before the
    lookup runs, cases in which a socket is freed or another CPU comes between. There only what the lookup does not read
    may change: a wild pointer writes anywhere.
    """
    ended = [i for i, scenario in enumerate(scenarios) if model.run(scenario).ended == RETURNED]

    def most(count: Callable[[Scenario], int]) -> int:
        return max(ended, key=lambda i: count(scenarios[i]))

    full = {
        most(lambda s: len(s.socks)),
        most(lambda s: len(s.groups)),
        most(lambda s: bool(s.groups) and not any(len(group.slots) > 1 for group in s.groups)),  # with empty places
        most(lambda s: len(s.netns)),
        most(lambda s: sum(netns.own_hashinfo for netns in s.netns)),
        most(lambda s: bool(s.foreign_hashinfo)),
        *(most(lambda s, kind=kind: sum(sock.kind == kind for sock in s.socks)) for kind in range(3)),  # type: ignore[misc]
    }
    freed = [i for i in ended if model.run(scenarios[i]).freed]
    moving = [*freed, *(i for i in ended if scenarios[i].events)]
    return [
        *(Planted(i, constants.PLANTED_BEHIND) for i in sorted(full | {*freed[:4]})),
        *(Planted(i, constants.PLANTED_IN_TABLES) for i in sorted(full)),
        *(Planted(i, constants.PLANTED_BEFORE, _UNUSED_GROUP) for i in moving if not scenarios[i].groups),
    ]


class Mutated:
    """The oracle of one mutant: the kernel's text with that one change."""

    def __init__(self, reference: Reference, number: int, name: str = "mutant") -> None:
        self.reference, self.number, self.name = reference, number, name

    def run(self, scenario: Scenario) -> Outcome:
        """The outcome of the changed C."""
        self.reference.mutate(self.number)
        try:
            return self.reference.run(scenario)
        finally:
            self.reference.mutate(0)


class Hunt:
    """The mutants of one kernel, and the scenarios of the corpus with the outcomes that they should have by its model,
    the default one if there is none.
    """

    def __init__(
        self, made: Schemata, scenarios: Sequence[Scenario], model: Model | None = None, planted: Sequence[Planted] = ()
    ) -> None:
        self.made = made
        self.reference = Reference.of(made.folder)
        self._in, self._out = self.reference.buffers()
        self.scenarios = scenarios
        self.model = model = model or Model(made.rules)
        self._cases: list[tuple[bytes, bytes, Outcome, int]] = []
        for scenario in scenarios:
            expected = model.run(scenario)
            self._out[:] = _JUNK
            mismatch = compare(["C", "model"], [self.reference.run(scenario), expected])
            if mismatch is not None:
                raise CannotRun(f"without any mutant the C and the model differ on a case ({mismatch.signature})")
            self._cases.append((bytes(self._in), bytes(self._out), expected, len(scenario.socks)))
        self._planted = [(*each, self._each_byte(*each)) for each in planted]

    def _call(self) -> None:
        """Run the record in the buffer. Nothing is left of the outcome before: what a mutant does not write must not
        look like what it should.
        """
        self._out[:] = _JUNK
        self.reference.call()

    def _differs(self, raw: bytes, expected: Outcome, socks: int) -> bool:
        """Whether the record in the buffer gives another outcome; `raw` is the expected one's record."""
        self._call()
        return self._out != raw and outcome(self._out, socks)[:COMPARED] != expected[:COMPARED]

    def _differs_from(self, raw: bytes, socks: int) -> bool:
        """Whether the outcome that was written is another one than that of a record."""
        return outcome(self._out, socks)[:COMPARED] != outcome(raw, socks)[:COMPARED]

    def _fields(self, expected: Outcome, socks: int) -> set[str]:
        """The fields in which the outcome that was written differs."""
        return {
            name
            for name, got, wanted in zip(Outcome._fields[:COMPARED], outcome(self._out, socks), expected, strict=False)
            if got != wanted
        }

    def _each_byte(self, case: int, when: int, n_bytes: int) -> list[bytes]:
        """The outcome's record of a case of the corpus for each byte that changes."""
        self._in[:] = self._cases[case][0]
        self.reference.call()
        found = []
        for at in range(n_bytes or self.reference.plant(0, constants.PLANTED_NEVER)):
            self.reference.plant(at, when)
            self._call()
            found.append(bytes(self._out))
        self.reference.plant(0, constants.PLANTED_NEVER)
        return found

    def _misses(self) -> int:
        """The case of the corpus in which the outcome of a byte that changes is another one now, -1 for none."""
        for index, when, _, outcomes in self._planted:
            self._in[:] = self._cases[index][0]
            socks = self._cases[index][3]
            for at, raw in enumerate(outcomes):
                self.reference.plant(at, when)
                self._call()
                if self._out != raw and self._differs_from(raw, socks):
                    return index
            self.reference.plant(0, constants.PLANTED_NEVER)
        return -1

    def tells(self, index: int) -> bool:
        """Whether a case of the corpus tells apart the mutant that is on."""
        record, raw, expected, socks = self._cases[index]
        self._in[:] = record
        return self._differs(raw, expected, socks)

    def killer(self, number: int) -> tuple[int, bool, frozenset[str]]:
        """(the first case of the corpus that tells a mutant apart, -1 for none; whether any came to it; the fields of
        the outcome that tell it apart, two of them at least if there is more than one; of the first case alone where
        bytes are planted: many a mutant of the driver makes each case endless, and takes its time).
        """
        self.reference.guard()
        self.reference.mutate(number)
        first, fields = -1, set[str]()
        for index, (record, raw, expected, socks) in enumerate(self._cases):
            self._in[:] = record
            if self._differs(raw, expected, socks):
                first = index if first < 0 else first
                fields |= self._fields(expected, socks)
                if len(fields) > 1 or self._planted:
                    break
        if first < 0:
            first = self._misses()
        reached = self.reference.mutate(0)
        return first, reached or first >= 0, frozenset(fields)

    def corpus(self, numbers: Iterable[int], progress: Callable[[], None] = lambda: None) -> dict[int, Fate]:
        """The corpus against mutants, each in a process of its own."""
        fates = {}
        for number, answer in each(self.killer, sorted(numbers)):
            index, reached, fields = (len(self._cases), True, frozenset()) if isinstance(answer, Died) else answer
            cases = (index,) if index >= 0 else ()
            fates[number] = Fate(FIRST if index >= 0 else "", cases, reached, fields=fields)
            progress()
        return fates

    def fuzz(self, alive: Sequence[int], seed: int, cases: int = CASES) -> dict[int, tuple[int, Scenario]]:
        """Random and mutated cases against mutants, all of them on each case: for each that was killed the number of
        cases that it took, and the case. What kills the process kills one mutant.
        """
        notes = mmap.mmap(-1, 16)  # which mutant is on, and at which case: what is left of a child that died
        killed: dict[int, tuple[int, Scenario]] = {}
        while True:
            left = [number for number in alive if number not in killed]
            [(_, answer)] = each(lambda left: self._fuzz(left, seed, cases, notes), [left], jobs=1, seconds=3600)
            if not isinstance(answer, Died):
                killed |= answer
                return killed
            number, done = (int.from_bytes(notes[i : i + 8], "little") for i in (0, 8))
            if number not in left:
                raise CannotRun(f"fuzzing of mutants died of signal {answer.signal}, and no mutant was on")
            for count, scenario in enumerate(candidates(self.scenarios, seed), 1):
                if count == done:
                    killed[number] = done, scenario
                    break

    def _fuzz(self, alive: Iterable[int], seed: int, cases: int, notes: mmap.mmap) -> dict[int, tuple[int, Scenario]]:
        self.reference.guard()
        left, killed, model = set(alive), {}, self.model
        for done, scenario in enumerate(candidates(self.scenarios, seed), 1):
            if done > cases or not left:
                break
            scenario = fitting(scenario, self.reference.lookups)
            encode(scenario, self._in)
            expected, socks = model.run(scenario), len(scenario.socks)
            self.reference.mutate(0)
            self._call()
            raw = bytes(self._out)
            notes[8:16] = done.to_bytes(8, "little")
            for number in tuple(left):
                notes[:8] = number.to_bytes(8, "little")
                self.reference.mutate(number)
                if self._differs(raw, expected, socks):
                    killed[number] = done, scenario
                    left.remove(number)
        return killed


def hunt(
    found: Hunt, fates: dict[int, Fate], seeds: int, cases: int, tell: Callable[[str], None]
) -> tuple[dict[int, Fate], dict[int, Scenario]]:
    """Fuzz what the corpus left alive, with several seeds: the fates now, and a case for each mutant killed."""
    alive = [number for number, fate in fates.items() if not fate.by]
    results: dict[int, list[int]] = {number: [] for number in alive}
    examples: dict[int, Scenario] = {}
    tell(f"{len(alive)} mutants are left: {seeds} seeds of {cases:,} random cases")
    answers = dict(each(lambda seed: found.fuzz(alive, seed, cases), range(1, seeds + 1), seconds=3600))
    for seed, answer in sorted(answers.items()):
        if isinstance(answer, Died):
            raise CannotRun(f"fuzzing of mutants died with seed {seed}")
        for number, (count, scenario) in sorted(answer.items()):
            results[number].append(count)
            examples.setdefault(number, scenario)
    killed = {n: Fate(LATER, tuple(sorted(counts)), True) for n, counts in results.items() if counts}
    return fates | killed, examples


def small(found: Hunt, examples: dict[int, Scenario]) -> dict[int, Scenario]:
    """The examples as small as they get while they still tell their mutants apart, and nothing from the kernel."""

    def work(number: int) -> Scenario:
        found.reference.guard()
        mutant, model = Mutated(found.reference, number), found.model

        def tells(scenario: Scenario) -> bool:
            expected = model.run(scenario)[:COMPARED]
            return found.reference.run(scenario)[:COMPARED] == expected != mutant.run(scenario)[:COMPARED]

        return reduce(examples[number], tells, LIMIT).scenario

    answers = each(work, sorted(examples))
    return {n: examples[n] if isinstance(answer, Died) else answer for n, answer in answers}


def keep(made: Schemata, kept: dict[int, Scenario], folder: Path) -> int:
    """Write those of the small cases that the others do not make needless; returns how many."""
    cases = sorted({*kept.values()}, key=size)
    first: dict[int, list[int]] = {}
    for number, fate in Hunt(made, cases).corpus(kept).items():
        if fate.cases:
            first.setdefault(fate.cases[0], []).append(number)
    model = Model(made.rules)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for index, numbers in sorted(first.items()):
            socks, groups = names_of(Case(cases[index]))
            functions = sorted({made.mutants[n].function for n in numbers})
            count = f"{len(numbers)} mutants" if len(numbers) > 1 else "one mutant"
            why = f"Tells {count} of {', '.join(f'{f}()' for f in functions)} from the kernel's own text."
            case = Case(cases[index], why, socks=socks, groups=groups)
            case = replace(case, expect=expectation(case, model), said_by=MODEL)
            name = f"{functions[0].strip('_').lower()}-{made.mutants[min(numbers)].id}.toml"
            write_whole(folder / name, dump(replace(case, needs=needed(case, model))))
    except OSError as error:
        raise CannotRun(f"cannot write cases into {folder}: {error.strerror}") from error
    return len(first)
