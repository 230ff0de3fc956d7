"""The closure: every definition that the lookup reaches, in an order that C accepts, as one readable file.

Kernel text and stubs go the same way: both are definitions of files, both are copied byte for byte with `#line`;
where a name is in both, the stub wins. Structs are cut to the members that somebody uses (a slice), except those
that `closure.toml` wants whole.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from skdiff.base.errors import CannotRun
from skdiff.cases.steps import load_kinds
from skdiff.kernel import own_stubs
from skdiff.kernel.detect import detect
from skdiff.kernel.emit import emit
from skdiff.kernel.file_scope import Place, Twins, place_of
from skdiff.kernel.following import Following
from skdiff.kernel.index import Definition, Member, definitions
from skdiff.kernel.lookup_inputs import Unset, static_objects, unset_fields
from skdiff.kernel.manifest import STAND_IN_PREFIX, Manifest
from skdiff.kernel.mentions import Mention, mentions_of
from skdiff.kernel.missing_names import refusal
from skdiff.kernel.probes import probe
from skdiff.kernel.syntax import parse
from skdiff.kernel.tree_index import TreeIndex
from skdiff.kernel.walk import Walk
from skdiff.variants.version_rules import Rules

_COMMENTS = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)


@dataclass
class Closure:
    """What was found: `order` is the order of emission, `text` the generated C, `sha256` names it (hex); the first
    `lookup` definitions are what the roots reach, the rest is there for the driver; `rules` are those of its text,
    which does not tell of `unknown_rules`; `roles` are the names that functions which are known here have in it;
    `replaced` are the kernel's definitions that the stubs in it, or the driver, take the place of; `unset` is what
    it reads and nothing sets, fields and static keys. `missing` says what a lenient extraction did not find, a line
    each. `followed` are the tree's files that were looked into for names that the manifest's files lack; `lookups` says
    whose roots reach a definition, by its place.
    """

    order: list[Definition]
    lookup: int
    text: str
    sha256: str
    rules: Rules
    unknown_rules: tuple[str, ...]
    roles: Mapping[str, str]
    walk: "Walk"
    replaced: tuple[Definition, ...]
    missing: tuple[str, ...]
    unset: tuple[Unset, ...] = ()
    followed: tuple[str, ...] = ()
    lookups: Mapping[Place, frozenset[str]] = field(default_factory=dict)

    def name_of(self, definition: Definition) -> str:
        """The name of a definition in the generated C: another one if two files have one of its name."""
        return self.walk.twins.name_of(definition)

    def names_in(self, definition: Definition) -> dict[str, str]:
        """The names in the text of a definition, its own too, that are others in the generated C."""
        own = self.renamed(definition)
        return self.walk.twins.used_by(definition)[0] | ({definition.name: own} if own else {})

    def renamed(self, definition: Definition) -> str:
        """That name if it is not the definition's own, or else ""."""
        name = self.name_of(definition)
        return name if name != definition.name else ""

    @property
    def options(self) -> tuple[str, ...]:
        """The kernel's options (without CONFIG_) that its text asks for, sorted."""
        return tuple(sorted({*re.findall(r"\bCONFIG_(\w+)", _COMMENTS.sub(" ", self.text))}))

    def rewritten(self, text_of: Callable[[Definition], str]) -> str:
        """The generated C with other texts in the place of its functions and macros."""
        return "".join(emit(self.walk, {}, text_of))

    def keeps(self, definition: Definition, member: Member) -> bool:
        """Whether a struct of the closure has this member."""
        return definition.name in self.walk.whole or self.walk.keeps(member)

    def definitions(self, stand_ins: bool) -> list[tuple[Definition, bool]]:
        """The kernel's own text, or what userspace supplies; each with whether a lookup reaches it."""
        return [
            (d, i < self.lookup) for i, d in enumerate(self.order) if d.file.startswith(STAND_IN_PREFIX) == stand_ins
        ]


def _driver_references(driver: Sequence[Path]) -> tuple[Mention, ...]:
    root = parse(b"\n".join(path.read_bytes() for path in driver))
    return tuple(r for r in mentions_of(root, "function"))


def extract(
    tree: Path,
    manifest: Manifest,
    traced: bool = False,
    lenient: bool = False,
    wanted: frozenset[str] = frozenset(),
) -> Closure:
    """Find the closure of the manifest's roots, and of what the driver mentions, in the kernel tree at `tree`. The text
    of a `traced` one has the probes behind the functions that they watch; its hash is that of the text without them.

    A name that the manifest's files lack is looked for in what the using file includes. In a branch of an `#if`, and
    for the members of structs, only the `wanted` names are: those that a compiler has missed.

    Raises CannotRun for an unreadable file, a root that is not there, and a name that is neither the kernel's nor a
    stub; the lines say where it is used and what to add. A `lenient` extraction notes what is not there, and goes
    on: what it makes is for reading.
    """
    missing: list[str] = []
    kernel: list[Definition] = []
    assumed: list[Definition] = []
    for name in (*manifest.files, *manifest.optional):
        try:
            found = definitions((tree / name).read_bytes(), name)
            assumed += [d for d in found if d.kind == "function" and d.name in manifest.assumed.get(name, ())]
            if name not in manifest.unsearched:
                kernel += found
        except FileNotFoundError as error:
            if name in manifest.files and lenient:
                missing.append(f"{name}: no such file")
            elif name in manifest.files:
                raise CannotRun(f"{tree}: no kernel file {name}: is this a whole kernel tree?") from error
        except OSError as error:
            raise CannotRun(f"cannot read {tree / name}: {error.strerror}") from error
    stand_ins: list[Definition] = []
    outside: list[Definition] = []
    for path in manifest.stand_ins:
        found = definitions(path.read_bytes(), f"{STAND_IN_PREFIX}stubs/{path.name}")
        stand_ins += found
    for path in manifest.outside:
        outside += own_stubs.read(path, f"{STAND_IN_PREFIX}outside/{path.name}")
    listed = (*manifest.files, *manifest.optional)
    following = Following(tree, listed)
    index = TreeIndex(kernel, outside, stand_ins, manifest, following)
    driver = _driver_references(manifest.driver)
    roots: dict[str, list[Definition]] = {lookup: [] for lookup in manifest.roots}
    for lookup, either in ((lookup, root) for lookup, names in manifest.roots.items() for root in names):
        root = next((name for name in either.split("|") if name in index.names), either.partition("|")[0])
        first = next((d for d in kernel if d.file.endswith(".c")), None)
        if root not in index.names and first is not None:
            index.follow(Mention("name", root, 0), first)
        if root not in index.names:
            text = (
                f"no definition of {root}() in the {len(manifest.files)} files of closure.toml, nor in what they"
                f" include: if it has another name in this tree, write that name into {_roots_line(manifest, either)}"
            )
            if not lenient:
                raise CannotRun(f"{tree}: {text}")
            missing.append(text)
        roots[lookup] += index.names.get(root, [])
    used = {r.name for r in driver if r.kind == "field"}
    whole = {r.name for r in driver if r.kind == "whole"} | manifest.whole
    while True:  # a longer list of used members can only reach more: repeat until it stands still
        walk = Walk(index, frozenset(whole), used, wanted)
        walk.visit_all(chain.from_iterable(roots.values()))
        n_reached = len(walk.order)
        for reference in driver:
            walk.visit_all(walk.meant(reference, None))
        if walk.used == used and walk.whole_too == whole:
            break
        used, whole = walk.used, walk.whole_too
    missing += [f"{d.file}:{r.line}: {d.name} uses {name}" for name, (d, r) in sorted(walk.unresolved.items())]
    if walk.unresolved and not lenient:
        raise CannotRun(refusal(walk.unresolved, following, listed))
    unset = _unset(walk, n_reached, driver, manifest.inputs)
    for one in unset:
        if one.kind == "object":
            text = (
                f"{one.file}:{one.line}: {one.name} keeps its value from lookup to lookup, and nothing sets it: set it"
                " in fill_case() of csrc/driver/case.c, or say in [inputs] of csrc/closure.toml why that is not needed,"
                f' with a line "{one.name}" = "the reason"'
            )
            if not lenient:
                raise CannotRun(text)
            missing.append(text)
    text_rules = detect([*kernel, *index.followed])
    text = "".join(emit(walk, {}))
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    if traced:
        text = "".join(emit(walk, _probes(manifest, text_rules.roles, walk.twins)))
    stubbed = {name for d in walk.order if d.file.startswith(STAND_IN_PREFIX) for name in d.names}
    replaced = (*(d for d in kernel if not stubbed.isdisjoint(d.names)), *assumed)
    return Closure(
        order=walk.order,
        lookup=n_reached,
        lookups=_lookups(walk, roots, n_reached),
        text=text,
        sha256=sha256,
        rules=text_rules.rules,
        unknown_rules=text_rules.unknown,
        roles=text_rules.roles,
        walk=walk,
        replaced=replaced,
        missing=tuple(missing),
        unset=unset,
        followed=tuple(following.read),
    )


def _lookups(walk: Walk, roots: Mapping[str, list[Definition]], n_reached: int) -> dict[Place, frozenset[str]]:
    """The lookups whose roots reach each definition: walks of their own, with the members that all of them use."""
    if len(roots) == 1:
        return {place_of(d): frozenset(roots) for d in walk.order[:n_reached]}
    found: dict[Place, frozenset[str]] = {}
    for lookup, starts in roots.items():
        own = Walk(walk.index, walk.whole, walk.used, walk.wanted)
        own.visit_all(starts)
        found |= {place_of(d): found.get(place_of(d), frozenset()) | {lookup} for d in own.order}
    return found


def _roots_line(manifest: Manifest, root: str) -> str:
    """Where a root stands."""
    path = manifest.csrc / "closure.toml"
    lines = path.read_text().splitlines() if path.exists() else []
    line = next((i for i, text in enumerate(lines, 1) if text.startswith("roots") and f'"{root}"' in text), 0)
    return f"csrc/closure.toml:{line} (roots)" if line else "the roots of csrc/closure.toml"


def _unset(walk: Walk, n_reached: int, driver: Iterable[Mention], known: frozenset[str]) -> tuple[Unset, ...]:
    """What of a closure's kernel text has no value of its own in each case. Twins have the names of the generated C."""
    order = [replace(d, name=walk.twins.name_of(d)) for d in walk.order] if walk.twins else walk.order
    own_mentions = [*driver, *(r for d in order if d.file.startswith(STAND_IN_PREFIX) for r in d.references)]
    kernel_text = [d for d in order if not d.file.startswith(STAND_IN_PREFIX)]
    mentioned = {reference.name for reference in own_mentions}
    objects = [one for one in static_objects(kernel_text) if one.name not in mentioned]
    reached = [d for d in order[:n_reached] if not d.file.startswith(STAND_IN_PREFIX)]
    return tuple(one for one in (*objects, *unset_fields(reached, order, own_mentions)) if one.name not in known)


def _probes(manifest: Manifest, roles: Mapping[str, str], twins: Twins) -> dict[str, str]:
    """What comes behind the last definition of each name. Functions have the names that they have in the generated C;
    one whose step names no file is the first lookup's.
    """
    found: dict[str, str] = {}
    for number, kind in enumerate(load_kinds(manifest.csrc / "steps.toml"), 1):
        name = twins.name_in(kind.function, kind.file) if kind.file else roles.get(kind.function, kind.function)
        if name:
            found[name] = found.get(name, "") + f"{probe(number, kind, name)}\n"
    return found
