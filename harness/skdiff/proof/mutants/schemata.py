"""All C mutants in one library: each site asks whether its mutant is on; those that do not compile are dropped.

Those of "c" are in the kernel's text of the lookup, and are on while the kernel's function runs. Those of the "driver"
are in the driver, in the stubs, and in the kernel's functions that the driver calls, and are on for the whole case: all
kinds of them in the stubs, whose text is small and means much, and elsewhere each statement that is dropped.
"""

import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from skdiff.base.build_folder import filled, is_whole
from skdiff.base.compiler import compiler
from skdiff.base.errors import CannotRun
from skdiff.base.files import BadFile, read_json, write_json
from skdiff.base.paths import CSRC
from skdiff.base.paths import builds as own_builds
from skdiff.kernel import build as builds
from skdiff.kernel import compilation
from skdiff.kernel.closure import Closure, extract
from skdiff.kernel.file_scope import place_of
from skdiff.kernel.index import Definition, definitions
from skdiff.kernel.manifest import Manifest
from skdiff.kernel.root_call import ROOTS, has_lookup
from skdiff.kernel.source import Tree
from skdiff.proof.mutants.c_types import types
from skdiff.proof.mutants.common import Mutant
from skdiff.proof.mutants.sites import OWNED, mutated
from skdiff.variants.config import Config
from skdiff.variants.version_rules import Rules, rules_to_follow

# A pointer where another one belongs is no mutant that a compiler would let pass unseen.
_STRICT = ("-O1", "-Werror=int-conversion", "-Werror=incompatible-pointer-types")
_ON = {"c": "reference_mutant", "driver": "mutant"}  # the variable of csrc/driver/hooks.c that says which one is on
_ASK = """#include <stdint.h>
static uint32_t reference_mutant, reference_reached, mutant;
#define MUTANT(n) ({on} == (n) && (reference_reached = 1))
"""
# Of the driver: what no case runs (benchmarks, steps of traced builds), and what turns mutants and planted faults on.
_NOT_OF_A_CASE = (
    *("reference_prepare", "reference_again", "reference_trace", "reference_step"),
    *("reference_mutate", "reference_plant", "planted_byte", "plant"),
)
_NAME = "mutants.c"
_FIRST = f'#line 1 "{_NAME}"\n'
_ROUNDS = 60


@dataclass(frozen=True)
class Schemata:
    """The library and its mutants by number; `dropped` did not compile, `absent` stand in branches of an `#if` that
    this configuration does not have, or in macros that the lookup does not use. `lookups` are those that come to a
    mutant of the kernel's text, by its number.
    """

    folder: Path
    tree: Tree
    closure: str
    rules: Rules
    mutants: dict[int, Mutant]
    dropped: int
    absent: int
    lookups: dict[int, tuple[str, ...]]


class _Report(msgspec.Struct, frozen=True):
    """What the folder of a library says of it; see Schemata."""

    closure: str
    rules: Rules
    dropped: int
    absent: int
    mutants: dict[int, Mutant]
    lookups: dict[int, tuple[str, ...]]


def schemata(
    tree: Tree,
    say: Callable[[str], None] | None = None,
    stubs: tuple[Path, ...] = (),
    of: str = "c",
    config: Config = Config(),  # noqa: B008  # it is frozen
) -> Schemata:
    """Build the mutants of a tree's lookup ("c") or of what is around it ("driver"), with stubs of a user's own, or
    find those that are there. Raises CannotRun as `build` does.
    """
    cc = compiler()
    manifest = Manifest.load(stubs)
    ours = "".join(path.read_text() for path in sorted(Path(__file__).parent.glob("*.py")))
    plain = builds.build(tree, say=say, config=config, stubs=stubs)  # it knows for which names to look further
    key = builds.key_of(tree, manifest, cc, ("mutants", of, ours, plain.folder.name), config)
    folder = own_builds() / f"{tree.version}-mutants-{of}-{key[:16]}"
    report = folder / "mutants.json"
    if not is_whole(folder):
        if say is not None:
            what = "the lookup" if of == "c" else "the driver of the lookup"
            say(f"mutating {what} of Linux {plain.label} ({cc})")
        with filled(folder) as work:
            closure = extract(tree.path, manifest, wanted=frozenset(plain.wanted))
            write_json(work / report.name, _mutate(closure, manifest, work, cc, of, config))
    try:
        read = read_json(report, _Report, "a report of mutants")
    except BadFile as error:
        raise CannotRun(f"{error}: remove {folder} and try again") from error
    rules = rules_to_follow(read.rules, version=tree.version)
    return Schemata(folder, tree, read.closure, rules, read.mutants, read.dropped, read.absent, read.lookups)


def _mutate(closure: Closure, manifest: Manifest, work: Path, cc: str, of: str, config: Config) -> _Report:
    driver = {path: path.read_bytes() for path in manifest.driver}
    own = [d for path, text in driver.items() for d in definitions(text, f"csrc/driver/{path.name}")]
    record = definitions((CSRC / "record.h").read_bytes(), "csrc/record.h")
    known = types(
        [*closure.order, *own, *record], lambda d, m: d in own or d in record or closure.keeps(d, m), closure.name_of
    )
    asked = _configured_names(closure)
    lookups = frozenset(name for name in ROOTS if has_lookup(name, config))
    lookup = [
        d
        for d, of_lookup in closure.definitions(stand_ins=False)
        if of_lookup and not lookups.isdisjoint(closure.lookups.get(place_of(d), lookups))
    ]
    insertion = [d for d, reached in closure.definitions(stand_ins=False) if not reached]
    stubs = [d for d, _ in closure.definitions(stand_ins=True)]
    changed = [
        d
        for d in (lookup if of == "c" else [*stubs, *insertion, *own])
        if d.kind in ("function", "macro")
        and d.name not in _NOT_OF_A_CASE
        and not (d.kind == "macro" and d.name in asked)
    ]
    dropped: set[int] = set()
    numbers: dict[int, Mutant] = {}
    reached: dict[int, tuple[str, ...]] = {}
    for _ in range(_ROUNDS):
        numbers, texts, reached = {}, {}, {}
        for definition in changed:
            operator = "dropped" if of == "driver" and definition not in stubs else ""
            text, mutants = mutated(
                definition, known, len(numbers) + 1, frozenset(dropped), of, operator, closure.names_in(definition)
            )
            numbers |= dict(enumerate(mutants, start=len(numbers) + 1))
            reached |= dict.fromkeys(range(len(reached) + 1, len(numbers) + 1), _lookups(closure, definition, lookups))
            texts[_place(definition)] = text
        (work / "closure.c").write_text(_unit(closure, texts, driver if of == "driver" else {}, of, config))
        wrong = _do_not_compile(work, cc)
        if not wrong:
            break
        dropped |= wrong
    else:
        raise CannotRun(f"{cc} still refuses mutants after {_ROUNDS} rounds")
    there = _compiled(work, cc, of)
    compilation.compile_unit(work, cc, _STRICT, ())
    left = {n: m for n, m in numbers.items() if n in there and n not in dropped}
    return _Report(
        closure.sha256,
        closure.rules,
        len(dropped),
        len(numbers) - len(dropped) - len(left),
        left,
        {n: reached[n] for n in left},
    )


def _lookups(closure: Closure, definition: Definition, there: frozenset[str]) -> tuple[str, ...]:
    """The lookups that come to a definition, of those that are there."""
    return tuple(sorted(closure.lookups.get(place_of(definition), frozenset()) & there))


def _configured_names(closure: Closure) -> set[str]:
    """Words of `#if` lines, and what the macros among them are made of: a mutant is nothing for the preprocessor."""
    names = set(re.findall(r"\w+", "\n".join(re.findall(r"(?m)^[ \t]*#[ \t]*(?:el)?if.*", closure.text))))
    macros = [d for d in closure.order if d.kind == "macro"]
    while more := {r.name for d in macros if d.name in names for r in d.references} - names:
        names |= more
    return names


_Place = tuple[str, int, str]


def _place(definition: Definition) -> _Place:
    return definition.file, definition.line, definition.name


def _unit(closure: Closure, texts: dict[_Place, str], driver: Mapping[Path, bytes], of: str, config: Config) -> str:
    def text_of(definition: Definition) -> str:
        return texts.get(_place(definition), definition.text.decode("utf-8", "replace"))

    lines = closure.rewritten(text_of).splitlines(keepends=True)
    ask = _ASK.format(on=_ON[of])
    changed = {}
    for path, source in driver.items():
        changed[path.name] = source.decode()
        for d in definitions(source, f"csrc/driver/{path.name}"):
            changed[path.name] = changed[path.name].replace(d.text.decode(), text_of(d))
    text = _FIRST + ask + "".join(n for n in lines if not n.startswith("#line"))
    return builds.unit(closure, config, text, driver=changed)


def _do_not_compile(work: Path, cc: str) -> set[int]:
    """Mutants on the lines that the compiler does not take. An error on a line of nobody is that of the last one before
    it: the lines of an alternative stand around it.
    """
    command = [*compilation.closure_command(cc, _STRICT), "-fsyntax-only", "closure.c"]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
    if not done.returncode:
        return set()
    text = (work / "closure.c").read_text()
    lines = text[text.index(_FIRST) + len(_FIRST) :].split("\n")
    found: set[int] = set()
    for block in re.split(r"(?m)^(?=\S+:\d+:\d+: error: )", done.stderr)[1:]:
        places = [int(n) for n in re.findall(rf"(?m)^{re.escape(_NAME)}:(\d+):\d+: (?:error|note):", block)]
        owners = [int(n) for place in places for n in OWNED.findall(lines[place - 1])]
        above = (OWNED.findall(line) for line in reversed(lines[: max(places, default=0)]))
        found.add(owners[0] if owners else int(next(numbers for numbers in above if numbers)[-1]))
    if not found:
        raise CannotRun(f"{cc} does not take the mutated lookup: {done.stderr.splitlines()[0]}")
    return found


def _compiled(work: Path, cc: str, of: str) -> set[int]:
    """The mutants that are left when the preprocessor has been there: in the lookup, or in all that is compiled."""
    command = [*compilation.closure_command(cc, _STRICT), "-E", "-P", "closure.c"]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
    assert (CSRC / "driver" / "objects.c").read_text().count("union any_sock {")
    text = done.stdout[: done.stdout.index("union any_sock")] if of == "c" else done.stdout
    return {int(n) for n in re.findall(rf"\b{_ON[of]} == \((\d+)\)", text)}
