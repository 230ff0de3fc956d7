"""Mutants of `csrc/cases/`, which draws cases and makes them valid: all in one library, that asks which one is on.

Each draws cases as tests/cases/test_native.py does, which holds them against Python, and must make another one of any
of them. What only keeps Python's objects in order is not changed: the slips of `slips.py` are about the records.
"""

import faulthandler
import os
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import msgspec

from skdiff.base.build_folder import filled, is_whole
from skdiff.base.compiler import CompilerFailed, command, compiler, digest, load_module, python_headers, run
from skdiff.base.errors import CannotRun
from skdiff.base.files import read_json, write_json
from skdiff.base.paths import CASES, CSRC, builds
from skdiff.cases import native, wire
from skdiff.cases.normalise import scenario_of
from skdiff.cases.scenario import Event, Scenario
from skdiff.kernel.index import definitions
from skdiff.proof.mutants.c_types import types
from skdiff.proof.mutants.common import Mutant
from skdiff.proof.mutants.drawn_fields import EXTREMES, MAKERS, some_bytes
from skdiff.proof.mutants.hunt import FIRST, Fate
from skdiff.proof.mutants.isolated import Died, each
from skdiff.proof.mutants.sites import OWNED, mutated

ON = "SKDIFF_MUTANT"  # the number of the mutant that is on, for a process that loads the library
_RULES = ("states.h", "normalise_packet.h", "normalise_udp.h", "normalise_groups.h", "normalise.c", "draw.c")
_ORDER = ("rules.h", "records.h", "addresses.h", *_RULES, "records.c", "module.c")
_MUTATED = ("addresses.h", *_RULES)
_ASK = """#include <stdlib.h>
static unsigned int mutant;
#define MUTANT(n) (mutant == (n))
"""
_CHOOSE = f"""
static __attribute__((constructor)) void choose(void)
{{
	const char *number = getenv("{ON}");

	mutant = number ? atoi(number) : 0;
}}
"""
_STRICT = ("-O1", "-Werror=int-conversion", "-Werror=incompatible-pointer-types")
_ROUNDS = 40
OF = "drawing"  # whose mutants these are in the list of those that are judged
DRAWN = 3000  # of each kind, as in the tests
CPU_SECONDS = 20.0
_BEHIND = b"\xff" * 32
_EVENTS = (Event(), Event())
_SOME = 50  # one in so many


class _Report(msgspec.Struct, frozen=True):
    """What the folder of the library says of it."""

    mutants: dict[int, Mutant]


@cache
def mutants() -> dict[int, Mutant]:
    """All of them by number. Raises CannotRun without a compiler."""
    return read_json(_folder() / "mutants.json", _Report, "a report of mutants").mutants


def hunt(progress: Callable[[int, int], None], jobs: int = 0, one_in: int = 1) -> list[tuple[Mutant, Fate]]:
    """Each mutant, or one in so many, and its fate. Raises CannotRun if there is a difference without one."""
    known, library = dict([*mutants().items()][::one_in]), _folder() / f"{native.MODULE}.so"
    wanted = expected()
    fates = []

    def told(number: int) -> str:
        faulthandler.disable()  # of the parent, whose terminal it would write to
        os.environ[ON] = str(number)
        loaded = load_module(native.MODULE, library)
        native.give_tables(loaded)
        return first_difference(loaded, wanted)

    if by := next(by for _, by in each(told, [0], cpu_seconds=CPU_SECONDS)):
        raise CannotRun(f"drawn cases must be the same before mutants can be told: {by}")
    for number, by in each(told, [*known], jobs=jobs, cpu_seconds=CPU_SECONDS):
        how = "died or hung" if isinstance(by, Died) else by
        fates.append((known[number], Fate(FIRST, (), True, how) if how else Fate(reached=True)))
        progress(len(fates), len(known))
    return fates


class Expected(NamedTuple):
    """What is made of some bytes, of some bytes for another packet, and of fields with any values and events."""

    drawn: list[tuple[bytes, Scenario]]
    packets: list[tuple[Scenario, bytes, Scenario]]
    others: list[tuple[Scenario, Scenario]]


def expected() -> Expected:
    """By the C as it stands: what the tests hold against Python. Events, of the bytes behind, are Python's."""
    random, draw = Random(1), native.module().draw_valid
    drawn = [(data, draw(data, b"")) for data in (*EXTREMES, *(some_bytes(random) for _ in range(DRAWN)))]
    packets = [(case, data, wire.other_packet(case, data)) for case, data in _packets(drawn, random)]
    made = (scenario_of(make(own)) for make in MAKERS for own in (Random(make.__name__),) for _ in range(DRAWN))
    fields = (case._replace(events=_EVENTS) for case in made)  # which must go
    others = [(case, native.normalised(case)) for case in fields]
    return Expected(drawn, packets, others)


def _packets(drawn: list[tuple[bytes, Scenario]], random: Random) -> Iterator[tuple[Scenario, bytes]]:
    for _, case in drawn:
        yield case, random.randbytes(wire.FRAME_SIZE)


def first_difference(loaded: Any, wanted: Expected) -> str:
    """What a library makes otherwise than it should, "" for nothing. Some cases of each kind see most mutants."""
    some = Expected(wanted.drawn[::_SOME], wanted.packets[::_SOME], wanted.others[::_SOME])
    return _difference(loaded, some) or _difference(loaded, wanted)


def _difference(loaded: Any, wanted: Expected) -> str:
    for data, case in wanted.drawn:
        # Behind them is something else than zeros, for who reads more than there is.
        if loaded.draw_valid(memoryview(data + _BEHIND)[: len(data)], b"") != case:
            return "a drawn case"
    for tables, data, case in wanted.packets:
        if loaded.draw_frame(tables, data) != case:
            return "another packet"
    for case, valid in wanted.others:
        if loaded.normalise(case) != valid:
            return "a case of any values"
    before = wanted.drawn[0][1]._replace(events=_EVENTS)
    for data, _ in wanted.drawn[:200]:
        loaded.of_lookup(before)  # the record that cases are drawn into is never empty
        if loaded.draw(data, b"") != native.module().draw(data, b""):
            return "drawn fields"
    lookups = [bytes(lookups) for lookups in ((0,), (3,), (1, 3))]
    some, draw = ((data, of) for data, _ in wanted.drawn[:200] for of in lookups), native.module().draw_valid
    return "" if all(loaded.draw_valid(data, of) == draw(data, of) for data, of in some) else "a wanted lookup"


@cache
def _folder() -> Path:
    cc = compiler()
    ours = (*sorted(Path(__file__).parent.glob("*.py")), CSRC / "record.h", *sorted(CASES.iterdir()))
    folder = builds() / f"cases-mutants-{digest(ours, cc, _STRICT)[:16]}"
    if not is_whole(folder):
        with filled(folder) as work:
            write_json(work / "mutants.json", _Report(_mutate(work, cc)))
    return folder


def _mutate(work: Path, cc: str) -> dict[int, Mutant]:
    """Write the text of all mutants that compile into a folder, and compile it."""
    source = work / "cases.c"
    flags = (*_STRICT, "-std=gnu11", "-fPIC", "-fvisibility=hidden", "-I", str(CSRC), "-I", python_headers())
    dropped: set[int] = set()
    for _ in range(_ROUNDS):
        text, found = _text(frozenset(dropped))
        source.write_text(text)
        try:
            run([*command(cc), *flags, "-shared", source.name, "-o", f"{native.MODULE}.so"], work)
            return {n: mutant for n, mutant in found.items() if n not in dropped}
        except CompilerFailed as error:
            lines = text.split("\n")
            wrong = set()
            for line in error.errors:
                place = re.match(r"cases\.c:(\d+):", line)
                owners = OWNED.findall(lines[int(place[1]) - 1]) if place else []
                wrong |= {int(owners[0])} if owners else set()
            if not wrong - dropped:
                raise CannotRun(f"{cc} does not take the mutants of drawn cases: {error}") from error
            dropped |= wrong
    raise CannotRun(f"{cc} still refuses mutants after {_ROUNDS} rounds")


def _text(dropped: frozenset[int]) -> tuple[str, dict[int, Mutant]]:
    """One file of all of csrc/cases/, with the mutants of those that have rules."""
    own = {name: (CASES / name).read_bytes() for name in _ORDER}
    every = [d for name, text in own.items() for d in definitions(text, f"csrc/cases/{name}")]
    record = definitions((CSRC / "record.h").read_bytes(), "csrc/record.h")
    known = types([*every, *record], lambda _definition, _member: True)
    numbers: dict[int, Mutant] = {}
    texts = []
    for name, source in own.items():
        text = source.decode()
        for definition in definitions(source, f"csrc/cases/{name}") if name in _MUTATED else ():
            if definition.kind == "function":
                changed, found = mutated(definition, known, len(numbers) + 1, dropped, OF)
                numbers |= dict(enumerate(found, start=len(numbers) + 1))
                text = text.replace(definition.text.decode(), changed)
        texts.append(re.sub(r'(?m)^#include "(?!record\.h).*$', "", text))
    headers = "#define PY_SSIZE_T_CLEAN\n#include <Python.h>\n#include <netinet/in.h>\n#include <sys/socket.h>\n"
    return "".join((headers, _ASK, *texts, _CHOOSE)), numbers
