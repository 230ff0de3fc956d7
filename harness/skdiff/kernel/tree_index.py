"""The index of a tree: which of its definitions have a name, and the stubs that take the place of some."""

import re
from collections.abc import Iterable, Iterator

from skdiff.kernel.file_scope import seen_from
from skdiff.kernel.following import Following
from skdiff.kernel.index import Definition, Member, definitions, is_member_path, leaves, parameters_of
from skdiff.kernel.manifest import STAND_IN_PREFIX, Manifest
from skdiff.kernel.mentions import Mention

# Names that the compiler knows, or the configuration.
_COMPILERS_OWN = re.compile(r"__(?:builtin|atomic|sync|ATOMIC)_\w+|__\w+_ENDIAN__|__CHECKER__|CONFIG_\w+")


class TreeIndex:
    """name -> definitions, tags apart from other names; stubs hide kernel definitions."""

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
        self._built_with = manifest.built_with
        self._patterns = [(re.compile(p.names), p) for p in manifest.patterns]
        self._tried: set[str] = set()
        self._discards: dict[str, list[tuple[int, bool]]] = {}
        self._nowhere: set[tuple[str, bool]] = set()
        self.names: dict[str, list[Definition]] = {}
        self.tags: dict[str, list[Definition]] = {}
        self.members: set[str] = set()
        self.pointed_to: dict[str, set[str]] = {}  # by the name of a member: the tags of what it points to
        for group in (list(outside), list(stand_ins), list(kernel)):
            seen_names, seen_tags = set(self.names), set(self.tags)
            for definition in group:
                self._add_members(definition)
                tagged = definition.kind == "tag" or (
                    definition.kind == "enum" and definition.name not in definition.names
                )
                if tagged and definition.name not in seen_tags:
                    self.tags.setdefault(definition.name, []).append(definition)
                for name in definition.names:
                    if name not in seen_names:
                        self.names.setdefault(name, []).append(definition)

    def _add_members(self, definition: Definition) -> None:
        self.members.update(member_names(definition.members or ()))
        for member in leaves(definition.members or ()):
            for reference in member.references:
                if reference.kind == "pointer":
                    for name in member.names:
                        self.pointed_to.setdefault(name, set()).add(reference.name)

    def discards(self, name: str) -> list[tuple[int, bool]]:
        """The parameters of a stub that is a macro which do not occur in its body: their places, and whether they stand
        for all further arguments.
        """
        if name not in self._discards:
            self._discards[name] = self._discarded(self.find(Mention("name", name, 0)))
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

    def branches_of(self, definition: Definition) -> tuple[tuple[str, ...], ...]:
        """The `#if` branches that a definition stands in, its file's own first: the kernel may build it or not."""
        option = self._built_with.get(definition.file)
        own = ((f"#if IS_ENABLED(CONFIG_{option})",),) if option else ()
        return (*own, *definition.conditions)

    def is_given(self, name: str) -> bool:
        """Whether a name needs no definition here: the compiler, the records or the prelude supply it."""
        return name in self.given or bool(_COMPILERS_OWN.fullmatch(name))

    def follow(self, reference: Mention, user: Definition) -> list[Definition]:
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
            self._add_members(definition)
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
        if name in self._tried:
            return
        self._tried.add(name)
        there = self.names.get(name, [])
        if any(d.kind == "function" or d.file.startswith(STAND_IN_PREFIX) for d in there):
            return
        for names, pattern in self._patterns:
            if names.fullmatch(name):
                text = f"/* {pattern.reason} */\n{re.sub('NAME', name, pattern.stub)}\n"
                self.names[name] = definitions(text.encode(), f"{STAND_IN_PREFIX}closure.toml")
                return

    def find(self, reference: Mention, user: Definition | None = None) -> list[Definition]:
        """The definitions that a mention may mean; none if nothing has that name. The definition that mentions it sees
        what its file sees; a stub, like the driver (None), sees everything, for it stands behind all of it.
        """
        found = self._find(reference)
        if user is None or not found or user.file.startswith(STAND_IN_PREFIX):
            return found
        return seen_from(found, user.file)

    def _find(self, reference: Mention) -> list[Definition]:
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


def member_names(members: Iterable[Member]) -> Iterator[str]:
    """The names of members, those of unnamed structs inside too."""
    for member in members:
        yield from member.names
        yield from member_names(member.nested or ())
