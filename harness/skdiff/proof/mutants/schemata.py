"""All C mutants in one library: each site asks whether its mutant is on; those that do not compile are dropped."""

import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from skdiff.base.errors import CannotRun
from skdiff.base.files import BadFile, read_json, write_json
from skdiff.base.paths import CSRC
from skdiff.base.paths import builds as own_builds
from skdiff.kernel import build as builds
from skdiff.kernel import compilation
from skdiff.kernel.build_folder import filled, is_whole
from skdiff.kernel.closure import Closure, extract
from skdiff.kernel.index import Definition
from skdiff.kernel.manifest import STAND_IN_PREFIX, Manifest
from skdiff.kernel.source import Tree
from skdiff.proof.mutants.c_types import types
from skdiff.proof.mutants.common import Mutant
from skdiff.proof.mutants.sites import OWNED, mutated
from skdiff.variants.config import Config
from skdiff.variants.version_rules import Rules, rules_to_follow

# A pointer where another one belongs is no mutant that a compiler would let pass unseen.
_STRICT = ("-O1", "-Werror=int-conversion", "-Werror=incompatible-pointer-types")
_ASK = """#include <stdint.h>
static uint32_t reference_mutant, reference_reached;
#define MUTANT(n) (reference_mutant == (n) && (reference_reached = 1))
"""
_NAME = "mutants.c"
_FIRST = f'#line 1 "{_NAME}"\n'
_ROUNDS = 60


@dataclass(frozen=True)
class Schemata:
    """The library and its mutants by number; `dropped` did not compile, `absent` stand in branches of an `#if` that
    this configuration does not have, or in macros that the lookup does not use.
    """

    folder: Path
    tree: Tree
    closure: str
    rules: Rules
    mutants: dict[int, Mutant]
    dropped: int
    absent: int


class _Report(msgspec.Struct, frozen=True):
    """What the folder of a library says of it; see Schemata."""

    closure: str
    rules: Rules
    dropped: int
    absent: int
    mutants: dict[int, Mutant]


def schemata(tree: Tree, say: Callable[[str], None] | None = None, stubs: tuple[Path, ...] = ()) -> Schemata:
    """Build the mutants of a tree's lookup, with stubs of a user's own, or find those that are there. Raises CannotRun
    as `build` does.
    """
    cc = compilation.compiler()
    manifest = Manifest.load(stubs)
    ours = "".join(path.read_text() for path in sorted(Path(__file__).parent.glob("*.py")))
    plain = builds.build(tree, say=say, stubs=stubs)  # it knows for which names to look further
    key = builds.key_of(tree, manifest, cc, ("mutants", ours, plain.folder.name), Config())
    folder = own_builds() / f"{tree.version}-mutants-{key[:16]}"
    report = folder / "mutants.json"
    if not is_whole(folder):
        if say is not None:
            say(f"mutating the lookup of Linux {tree.version} ({cc})")
        with filled(folder) as work:
            closure = extract(tree.path, manifest, wanted=frozenset(plain.wanted))
            write_json(work / report.name, _mutate(closure, work, cc))
    try:
        read = read_json(report, _Report, "a report of mutants")
    except BadFile as error:
        raise CannotRun(f"{error}: remove {folder} and try again") from error
    rules = rules_to_follow(read.rules, version=tree.version)
    return Schemata(folder, tree, read.closure, rules, read.mutants, read.dropped, read.absent)


def _mutate(closure: Closure, work: Path, cc: str) -> _Report:
    known = types(closure.order, closure.keeps)
    asked = _configured_names(closure)
    kernels = [
        d
        for d, lookup in closure.definitions(stand_ins=False)
        if lookup and (d.kind == "function" or (d.kind == "macro" and d.name not in asked))
    ]
    dropped: set[int] = set()
    numbers: dict[int, Mutant] = {}
    for _ in range(_ROUNDS):
        numbers, texts = {}, {}
        for definition in kernels:
            text, mutants = mutated(definition, known, len(numbers) + 1, frozenset(dropped))
            numbers |= dict(enumerate(mutants, start=len(numbers) + 1))
            texts[_place(definition)] = text
        (work / "closure.c").write_text(_unit(closure, texts))
        wrong = _do_not_compile(work, cc)
        if not wrong:
            break
        dropped |= wrong
    else:
        raise CannotRun(f"{cc} still refuses mutants after {_ROUNDS} rounds")
    there = _compiled(work, cc)
    compilation.compile_unit(work, cc, _STRICT, ())
    left = {n: m for n, m in numbers.items() if n in there and n not in dropped}
    return _Report(closure.sha256, closure.rules, len(dropped), len(numbers) - len(dropped) - len(left), left)


def _configured_names(closure: Closure) -> set[str]:
    """Words of `#if` lines, and what the macros among them are made of: a mutant is nothing for the preprocessor."""
    names = set(re.findall(r"\w+", "\n".join(re.findall(r"(?m)^[ \t]*#[ \t]*(?:el)?if.*", closure.text))))
    macros = [d for d in closure.order if d.kind == "macro"]
    while more := {r.name for d in macros if d.name in names for r in d.references} - names:
        names |= more
    return names


def _place(definition: Definition) -> tuple[str, int]:
    return definition.file, definition.line


def _unit(closure: Closure, texts: dict[tuple[str, int], str]) -> str:
    def text_of(definition: Definition) -> str:
        own = definition.text.decode("utf-8", "replace")
        return own if definition.file.startswith(STAND_IN_PREFIX) else texts.get(_place(definition), own)

    lines = closure.rewritten(text_of).splitlines(keepends=True)
    return builds.unit(closure, Config(), _FIRST + _ASK + "".join(n for n in lines if not n.startswith("#line")))


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


def _compiled(work: Path, cc: str) -> set[int]:
    """The mutants that are left in the lookup when the preprocessor has been there."""
    command = [*compilation.closure_command(cc, _STRICT), "-E", "-P", "closure.c"]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
    lookup = done.stdout[: done.stdout.index("union any_sock")]
    assert (CSRC / "driver" / "objects.c").read_text().count("union any_sock {")
    return {int(n) for n in re.findall(r"reference_mutant == \((\d+)\)", lookup)}
