"""The closure: every definition that the lookup reaches, in an order that C accepts, as one readable file.

Kernel text and stand-ins go the same way: both are definitions of files, both are copied byte for byte with `#line`;
where a name is in both, the stand-in wins. Structs are cut to the members that somebody uses (a slice), except those
that `closure.toml` wants whole.
"""

import hashlib
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from skdiff.base.errors import CannotRun
from skdiff.base.paths import CSRC
from skdiff.kernel.detect import detect
from skdiff.kernel.following import Following
from skdiff.kernel.index import (
    Definition,
    Member,
    Reference,
    annotation_references,
    argument_spans,
    declared,
    definitions,
    is_member_path,
    parameters_of,
    parse,
)
from skdiff.kernel.index import _references as references_of
from skdiff.kernel.lookup_inputs import Unset, static_objects, unset_fields
from skdiff.kernel.missing_names import refusal
from skdiff.variants.version_rules import Rules

STAND_IN_PREFIX = "csrc/"


@dataclass(frozen=True)
class Pattern:
    """Names that each get a stub when they are used: `names` is a regular expression for the whole name, `stub` C in
    which NAME stands for it, `reason` what the kernel does and what it does here.
    """

    names: str
    stub: str
    reason: str


@dataclass(frozen=True)
class Manifest:
    """`csrc/closure.toml`: where to start, which kernel files to search, which structs stay whole; `inputs` are fields
    and objects that are set though the driver does not name them; `outside` are the user's own stubs, which win.
    """

    roots: tuple[str, ...]
    files: tuple[str, ...]
    optional: tuple[str, ...]
    whole: frozenset[str]
    given: frozenset[str]
    stand_ins: tuple[Path, ...]
    driver: tuple[Path, ...]
    csrc: Path
    inputs: frozenset[str] = frozenset()
    patterns: tuple[Pattern, ...] = ()
    outside: tuple[Path, ...] = ()

    @staticmethod
    def load(stubs: tuple[Path, ...] = (), csrc: Path = CSRC) -> "Manifest":
        """Read the manifest, and add a user's own stubs; raises CannotRun where it is missing or broken."""
        path = csrc / "closure.toml"
        try:
            data = tomllib.loads(path.read_text())
            return Manifest(
                roots=tuple(data["roots"]),
                files=tuple(data["files"]),
                optional=tuple(data.get("optional", ())),
                whole=frozenset(data["whole"]),
                given=frozenset(data["given"])
                | declared((csrc / "record.h").read_bytes())
                | declared((csrc / "prelude.h").read_bytes()),
                stand_ins=tuple(sorted((csrc / "stand_ins").glob("*.h"))),
                driver=tuple(csrc / "driver" / name for name in data["driver"]),
                csrc=csrc,
                inputs=frozenset(data.get("inputs", ())),
                patterns=tuple(Pattern(**pattern) for pattern in data.get("pattern", ())),
                outside=stubs,
            )
        except OSError as error:
            raise CannotRun(f"cannot read {error.filename}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
            raise CannotRun(f"{path}: not a closure manifest: {error!r}") from error


@dataclass
class Closure:
    """What was found: `order` is the order of emission, `text` the generated C, `sha256` names it (hex); the first
    `lookup` definitions are what the roots reach, the rest is there for the driver; `rules` are those of its text,
    which does not tell of `unknown_rules`; `roles` are the names that functions which are known here have in it;
    `replaced` are the kernel's definitions that the stand-ins in it take the place of; `unset` is what it reads and
    nothing sets, fields and static keys. `missing` says what a lenient
    extraction did not find, a line each. `followed` are the tree's files that were looked into for names that the
    manifest's files lack.
    """

    order: list[Definition]
    lookup: int
    text: str
    sha256: str
    rules: Rules
    unknown_rules: tuple[str, ...]
    roles: Mapping[str, str]
    walk: "_Walk"
    replaced: tuple[Definition, ...]
    missing: tuple[str, ...]
    unset: tuple[Unset, ...] = ()
    followed: tuple[str, ...] = ()

    @property
    def options(self) -> tuple[str, ...]:
        """The kernel's options (without CONFIG_) that its text asks for, sorted."""
        return tuple(sorted({*re.findall(r"\bCONFIG_(\w+)", _COMMENTS.sub(" ", self.text))}))

    def rewritten(self, text_of: Callable[[Definition], str]) -> str:
        """The generated C with other texts in the place of its functions and macros."""
        return "".join(_emit(self.walk, {}, text_of))

    def keeps(self, definition: Definition, member: Member) -> bool:
        """Whether a struct of the closure has this member."""
        return definition.name in self.walk.whole or self.walk.keeps(member)

    def definitions(self, stand_ins: bool) -> list[tuple[Definition, bool]]:
        """The kernel's own text, or what userspace supplies; each with whether a lookup reaches it."""
        return [
            (d, i < self.lookup) for i, d in enumerate(self.order) if d.file.startswith(STAND_IN_PREFIX) == stand_ins
        ]


class _Index:
    """name -> definitions, tags apart from other names; stand-ins hide kernel definitions."""

    def __init__(
        self,
        kernel: Iterable[Definition],
        outside: Iterable[Definition],
        stand_ins: Iterable[Definition],
        manifest: Manifest,
        following: Following,
    ) -> None:
        self.given = manifest.given
        self.following = following
        self.followed: list[Definition] = []
        self._patterns = [(re.compile(p.names), p) for p in manifest.patterns]
        self._asked: set[str] = set()
        self._discards: dict[str, list[tuple[int, bool]]] = {}
        self._nowhere: set[tuple[str, bool]] = set()
        self.names: dict[str, list[Definition]] = {}
        self.tags: dict[str, list[Definition]] = {}
        self.members: set[str] = set()
        for group in (list(outside), list(stand_ins), list(kernel)):
            seen_names, seen_tags = set(self.names), set(self.tags)
            for definition in group:
                self.members.update(_member_names(definition.members or ()))
                tagged = definition.kind == "tag" or (
                    definition.kind == "enum" and definition.name not in definition.names
                )
                if tagged and definition.name not in seen_tags:
                    self.tags.setdefault(definition.name, []).append(definition)
                for name in definition.names:
                    if name not in seen_names:
                        self.names.setdefault(name, []).append(definition)

    def discards(self, name: str) -> list[tuple[int, bool]]:
        """The parameters of a stub that is a macro which do not occur in its body: their places, and whether they stand
        for all further arguments.
        """
        if name not in self._discards:
            self._discards[name] = self._discarded(self.find(Reference("name", name, 0)))
        return self._discards[name]

    def _discarded(self, found: list[Definition]) -> list[tuple[int, bool]]:
        if not found or not all(d.kind == "macro" and d.file.startswith(STAND_IN_PREFIX) for d in found):
            return []
        each = []
        for definition in found:
            names, body = parameters_of(definition) or ([], "")
            words = set(re.findall(r"\w+", body))
            each.append({(i, n.startswith("...")) for i, n in enumerate(names) if n.removeprefix("...") not in words})
        return sorted(set.intersection(*each))

    def is_given(self, name: str) -> bool:
        """Whether a name needs no definition here: the compiler, the records or the prelude supply it."""
        return name in self.given or bool(_COMPILERS_OWN.fullmatch(name))

    def follow(self, reference: Reference, user: Definition) -> list[Definition]:
        """The definitions of a name that the listed files lack, from what the user's file includes; from now on they
        are found like any others.
        """
        tag = reference.kind in ("tag", "pointer")
        if user.file.startswith(STAND_IN_PREFIX) or reference.name in self.given:
            return []
        if (reference.name, tag) in self._nowhere:
            return []
        found = self.following.find(reference.name, tag, user.file)
        if not found:
            self._nowhere.add((reference.name, tag))
        for definition in found:
            self.members.update(_member_names(definition.members or ()))
            if definition.kind == "tag" or (definition.kind == "enum" and definition.name not in definition.names):
                self.tags.setdefault(definition.name, []).append(definition)
            for name in definition.names:
                if name == reference.name or name not in self.names:
                    self.names.setdefault(name, []).append(definition)
        self.followed += found
        return found

    def _stub_of_pattern(self, name: str) -> None:
        """Of a name of a form that closure.toml lists the stub takes the place of the kernel's macro, if there is one;
        a function of the listed files stays.
        """
        if name in self._asked:
            return
        self._asked.add(name)
        there = self.names.get(name, [])
        if any(d.kind == "function" or d.file.startswith(STAND_IN_PREFIX) for d in there):
            return
        for names, pattern in self._patterns:
            if names.fullmatch(name):
                text = f"/* {pattern.reason} */\n{re.sub('NAME', name, pattern.stub)}\n"
                self.names[name] = definitions(text.encode(), f"{STAND_IN_PREFIX}closure.toml")
                return

    def find(self, reference: Reference) -> list[Definition]:
        if reference.kind == "name":
            self._stub_of_pattern(reference.name)
        if reference.kind in ("tag", "pointer"):
            macros = [d for d in self.names.get(reference.name, []) if d.kind == "macro"]  # rcu_head is one
            return self.tags.get(reference.name, macros)
        if reference.name in self.given:
            return []
        found = self.names.get(reference.name, [])
        if not found and reference.kind == "name":
            return self.tags.get(reference.name, [])
        if reference.kind == "path":
            return [d for d in found if d.kind == "variable" or is_member_path(d)]
        if reference.kind == "field":
            return [d for d in found if is_member_path(d)]
        return found


def _driver_references(driver: Sequence[Path]) -> tuple[Reference, ...]:
    root = parse(b"\n".join(path.read_bytes() for path in driver))
    return tuple(r for r in references_of(root, "function"))


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
    stand-in; the lines say where it is used and what to add. A `lenient` extraction notes what is not there, and goes
    on: what it makes is for reading.
    """
    missing: list[str] = []
    kernel: list[Definition] = []
    for name in (*manifest.files, *manifest.optional):
        try:
            kernel += definitions((tree / name).read_bytes(), name)
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
        stand_ins += definitions(path.read_bytes(), f"{STAND_IN_PREFIX}stand_ins/{path.name}")
    for path in manifest.outside:
        try:
            outside += definitions(path.read_bytes(), f"{STAND_IN_PREFIX}outside/{path.name}")
        except OSError as error:
            raise CannotRun(f"cannot read {path}: {error.strerror}") from error
    listed = (*manifest.files, *manifest.optional)
    following = Following(tree, listed)
    index = _Index(kernel, outside, stand_ins, manifest, following)
    driver = _driver_references(manifest.driver)
    roots = []
    for root in manifest.roots:
        first = next((d for d in kernel if d.file.endswith(".c")), None)
        if root not in index.names and first is not None:
            index.follow(Reference("name", root, 0), first)
        if root not in index.names:
            text = (
                f"no definition of {root}() in the {len(manifest.files)} files of closure.toml, nor in what they"
                f" include: if it has another name in this tree, write that name into {_roots_line(manifest)}"
            )
            if not lenient:
                raise CannotRun(f"{tree}: {text}")
            missing.append(text)
        roots += index.names.get(root, [])
    driver_roots = list(_driver_roots(index, driver))
    used = {r.name for r in driver if r.kind == "field"}
    whole = {r.name for r in driver if r.kind == "whole"} | manifest.whole
    while True:  # a longer list of used members can only reach more: repeat until it stands still
        walk = _Walk(index, frozenset(whole), used, wanted)
        for definition in roots:
            walk.visit(definition)
        lookup = len(walk.order)
        for definition in driver_roots:
            walk.visit(definition)
        if walk.used == used and walk.whole_too == whole:
            break
        used, whole = walk.used, walk.whole_too
    missing += [f"{d.file}:{r.line}: {d.name} uses {name}" for name, (d, r) in sorted(walk.unresolved.items())]
    if walk.unresolved and not lenient:
        raise CannotRun(refusal(walk.unresolved, following, listed))
    unset = _unset(walk.order, lookup, driver, manifest.inputs)
    for one in unset:
        if one.kind == "object":
            text = (
                f"{one.file}:{one.line}: {one.name} keeps its value from lookup to lookup, and nothing sets it: set it"
                " in fill() of csrc/driver/fill.c, or say in [inputs] of csrc/closure.toml why that is not needed, a"
                f' line "{one.name}" = "the reason"'
            )
            if not lenient:
                raise CannotRun(text)
            missing.append(text)
    told = detect([*kernel, *index.followed])
    text = "".join(_emit(walk, {}))
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    if traced:
        text = "".join(_emit(walk, _probes(manifest, told.roles)))
    ours = {name for d in walk.order if d.file.startswith(STAND_IN_PREFIX) for name in d.names}
    replaced = tuple(d for d in kernel if not ours.isdisjoint(d.names))
    return Closure(
        *(walk.order, lookup, text, sha256, told.rules, told.unknown, told.roles, walk, replaced, tuple(missing)),
        unset=unset,
        followed=tuple(following.read),
    )


def _roots_line(manifest: Manifest) -> str:
    """Where the roots stand."""
    path = manifest.csrc / "closure.toml"
    lines = path.read_text().splitlines() if path.exists() else []
    line = next((i for i, text in enumerate(lines, 1) if text.startswith("roots")), 0)
    return f"csrc/closure.toml:{line} (roots)" if line else "the roots of csrc/closure.toml"


def _unset(
    order: Sequence[Definition], lookup: int, driver: Iterable[Reference], known: frozenset[str]
) -> tuple[Unset, ...]:
    """What of a closure's kernel text has no value of its own in each case."""
    ours = [*driver, *(r for d in order if d.file.startswith(STAND_IN_PREFIX) for r in d.references)]
    theirs = [d for d in order if not d.file.startswith(STAND_IN_PREFIX)]
    mentioned = {reference.name for reference in ours}
    objects = [one for one in static_objects(theirs) if one.name not in mentioned]
    reached = [d for d in order[:lookup] if not d.file.startswith(STAND_IN_PREFIX)]
    return tuple(one for one in (*objects, *unset_fields(reached, order, ours)) if one.name not in known)


def _probes(manifest: Manifest, roles: Mapping[str, str]) -> dict[str, str]:
    """What comes behind the last definition of each name; the probes' own helpers come first of all, as "". Functions
    have the names that they have in this tree.
    """
    path = manifest.csrc / "probes.h"
    found: dict[str, str] = {"": ""}
    for d in definitions(path.read_bytes(), f"{STAND_IN_PREFIX}{path.name}"):
        name = "" if d.name.startswith("PROBE_") else roles.get(d.name, d.name)
        body = d.text.decode()
        if name and name != d.name:
            body = re.sub(rf"\b{d.name}\b", name, body)
        text = f'#line {d.line} "{d.file}"\n{body}\n'
        found[name] = found.get(name, "") + text
    return found


def _driver_roots(index: _Index, references: Iterable[Reference]) -> Iterator[Definition]:
    for reference in references:
        yield from index.find(reference)


class _Walk:
    """Depth first from the roots; `order` ends up with definitions before their users."""

    def __init__(
        self, index: _Index, whole: frozenset[str], used: set[str], wanted: frozenset[str] = frozenset()
    ) -> None:
        self.index, self.whole, self.used_before, self.wanted = index, whole, used, wanted
        self.used, self.whole_too = set(used), set(whole)
        self.order: list[Definition] = []
        self.forward: set[str] = set()
        self.unresolved: dict[str, tuple[Definition, Reference]] = {}
        self._seen: set[tuple[str, int, str]] = set()

    def keeps(self, member: Member) -> bool:
        """Whether a slice keeps this member: somebody uses its name, and its type is to be had."""
        if member.nested is not None:
            return (not member.names or any(n in self.used_before for n in member.names)) and any(
                self.keeps(m) for m in member.nested
            )
        if not any(name in self.used_before for name in member.names):
            return False
        return all(
            reference.kind in ("field", "pointer")
            or self.index.find(reference)
            or (reference.kind == "name" and self.index.is_given(reference.name))
            for reference in member.references
        )

    def visit(self, definition: Definition) -> None:
        key = (definition.file, definition.line, definition.name)
        if key in self._seen:
            return
        self._seen.add(key)
        for member in definition.members or ():
            if not self.wanted.isdisjoint(member.names):
                for reference in member.references:
                    if reference.kind in ("name", "tag") and not self.index.find(reference):
                        self.index.follow(reference, definition)
        for reference in self._references(definition):
            if reference.kind in ("field", "path"):
                self.used.add(reference.name)
            if reference.kind == "whole":
                self.whole_too.add(reference.name)
                continue
            found = self.index.find(reference)
            if not found and self._must_be_found(reference, definition):
                found = self.index.follow(reference, definition)
            if reference.kind == "condition":
                found = [d for d in found if d.kind == "macro"]
            elif (reference.kind == "pointer" and reference.name not in self.wanted) or (
                reference.kind in ("tag", "pointer") and not found
            ):
                self.forward.add(reference.name)
                continue
            if not found and reference.kind == "name" and self._must_be_found(reference, definition):
                self._follow_structs(definition)
            if not found and reference.name in self.index.members:  # container_of() and its kin name a member
                self.used.add(reference.name)
            elif not found and reference.kind == "name" and self._must_be_found(reference, definition):
                self.unresolved.setdefault(reference.name, (definition, reference))
            for target in found:
                if target.kind == "tag":
                    self.forward.add(target.name)
                self.visit(target)
        self.order.append(definition)

    def _follow_structs(self, definition: Definition) -> None:
        """A name that is nowhere may be a member of a struct that is mentioned beside it (container_of())."""
        for reference in definition.references:
            if reference.kind == "tag" and not self.index.find(reference):
                for target in self.index.follow(reference, definition):
                    self.visit(target)

    def _must_be_found(self, reference: Reference, definition: Definition) -> bool:
        """Under a condition it is the compiler that tells, should that branch be taken: then the name is wanted. So it
        is with structs, most of which are only pointed to.
        """
        if reference.name in self.wanted and reference.kind in ("name", "tag", "pointer"):
            return not self.index.is_given(reference.name)
        return (
            reference.kind == "name"
            and not self.index.is_given(reference.name)
            and reference.name not in self.index.members
            and all(branch == ("#ifdef __KERNEL__",) for branch in definition.conditions)
        )

    def _references(self, definition: Definition) -> Iterator[Reference]:
        yield from _condition_references(definition.conditions, definition.line)
        if definition.members is not None and definition.name not in self.whole:
            yield from _member_references(definition.members, self.keeps)
        elif definition.members is not None:
            yield from _member_references(definition.members, lambda member: True)
            yield from annotation_references(definition.text.rpartition(b"}")[2], definition.end_line)
        else:
            unused = self._thrown_away(definition)
            for reference in definition.references:
                if reference.kind == "tag" or not any(start <= reference.at < end for start, end in unused):
                    yield reference  # a struct's name alone demands nothing either

    def _thrown_away(self, definition: Definition) -> list[tuple[int, int]]:
        """Where the arguments stand, in a definition's text, that a stub does not use: they demand nothing."""
        names = {r.name for r in definition.references}
        stubs = {name: self.index.discards(name) for name in names}
        if not any(stubs.values()):
            return []
        spans = argument_spans(definition.text.decode("latin-1"))
        return [(start, end) for start, end, name, place in spans if any(_is_in(place, d) for d in stubs.get(name, ()))]


def _is_in(place: int, discarded: tuple[int, bool]) -> bool:
    """Whether the argument at a place is that of (place, whether all behind it are meant too)."""
    first, rest = discarded
    return place >= first if rest else place == first


_COMMENTS = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_COMPILERS_OWN = re.compile(r"__(?:builtin|atomic|sync|ATOMIC)_\w+|__\w+_ENDIAN__|__CHECKER__|CONFIG_\w+")


def _condition_references(conditions: tuple[tuple[str, ...], ...], line: int) -> Iterator[Reference]:
    """What an `#if` asks for (IS_ENABLED() is the kernel's own text too); a name that nobody defines is 0 there."""
    for branch in conditions:
        for directive in branch:
            for word in re.findall(r"[A-Za-z_]\w*", directive)[1:]:
                yield Reference("condition", word, line)


def _member_names(members: Iterable[Member]) -> Iterator[str]:
    for member in members:
        yield from member.names
        yield from _member_names(member.nested or ())


def _member_references(members: Iterable[Member], keeps: Callable[[Member], bool]) -> Iterator[Reference]:
    for member in members:
        if not keeps(member):
            continue
        yield from (r for r in member.references if r.kind != "field")
        if member.nested is not None:
            yield from _member_references(member.nested, keeps)
        yield from _condition_references(member.conditions, member.line)


def _own_text(definition: Definition) -> str:
    return definition.text.decode("utf-8", "replace")


def _emit(walk: "_Walk", probes: dict[str, str], text_of: Callable[[Definition], str] = _own_text) -> Iterator[str]:
    last = {d.name: d for d in walk.order if d.kind == "function"}
    yield probes.get("", "")
    yield "/* Generated by skdiff from a kernel tree; the text behind each #line is the named file's own. */\n\n"
    for tag in sorted(walk.forward):
        definitions_of = walk.index.tags.get(tag, [])
        if not any(d.kind == "enum" for d in definitions_of):
            union = any(d.text.startswith(b"union") for d in definitions_of)
            yield f"{'union' if union else 'struct'} {tag};\n"
    for definition in walk.order:
        members = definition.members
        if members is None or definition.name in walk.whole:
            body = text_of(definition) + "\n"
        elif any(walk.keeps(m) for m in members):
            head = definition.text.split(b"{", 1)[0].decode("utf-8", "replace")
            body = f"{head.rstrip()} {{\n" + "".join(_emit_members(members, walk.keeps, definition.file)) + "};\n"
        else:
            continue
        yield "\n"
        yield from _open(definition.conditions)
        yield f'#line {definition.line} "{definition.file}"\n'
        yield body
        yield "#endif\n" * len(definition.conditions)
        if definition.kind == "function" and last[definition.name] is definition:
            yield probes.get(definition.name, "")


def _open(conditions: tuple[tuple[str, ...], ...]) -> Iterator[str]:
    for branch in conditions:
        for directive in branch:
            yield directive + "\n"


def _emit_members(members: Iterable[Member], keeps: Callable[[Member], bool], file: str) -> Iterator[str]:
    for member in members:
        if not keeps(member):
            continue
        yield from _open(member.conditions)
        yield f'#line {member.line} "{file}"\n'
        if member.nested is not None:
            yield member.head.decode("utf-8", "replace") + "\n"
            yield from _emit_members(member.nested, keeps, file)
            yield member.tail.decode("utf-8", "replace") + "\n"
        else:
            yield member.text.decode("utf-8", "replace") + "\n"
        yield "#endif\n" * len(member.conditions)
