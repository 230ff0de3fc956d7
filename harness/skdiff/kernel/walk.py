"""The walk from the roots: which definitions a closure needs, and which members of its structs."""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property

from skdiff.kernel.file_scope import Place, Twins, is_local, place_of
from skdiff.kernel.index import Definition, Member, argument_spans
from skdiff.kernel.mentions import Mention, mentions_of_annotations
from skdiff.kernel.tree_index import TreeIndex, member_names

_THROUGH_A_MEMBER = re.compile(rb"(?:->|\.)\s*(\w+)(?=\s*(?:->|\[[^\[\]]*\]\s*\.)\s*(\w+))")


class Walk:
    """Depth first from the roots; `order` ends up with definitions before their users."""

    def __init__(
        self, index: TreeIndex, whole: frozenset[str], used: set[str], wanted: frozenset[str] = frozenset()
    ) -> None:
        self.index, self.whole, self.used_before, self.wanted = index, whole, used, wanted
        self.used, self.whole_too = set(used), set(whole)
        self.order: list[Definition] = []
        self.forward: set[str] = set()
        self.unresolved: dict[str, tuple[Definition, Mention]] = {}
        self._seen: set[Place] = set()

    @cached_property
    def twins(self) -> Twins:
        """Of a walk that is over: the definitions that share a name with one of another file."""
        return Twins(self.order)

    def meant(self, reference: Mention, user: Definition | None) -> list[Definition]:
        """The definitions that a mention means. Of twins, which stubs and the driver (None) see all of, those of the
        file that was come to first: it is the first lookup's.
        """
        found = self.index.find(reference, user)
        files = list(dict.fromkeys(d.file for d in found if is_local(d)))
        if len(files) < 2:
            return found
        first = next((d.file for d in self.order if d.file in files and d in found), files[0])
        return [d for d in found if d.file == first]

    def visit_all(self, definitions: Iterable[Definition]) -> None:
        """Take definitions, one after the other."""
        for definition in definitions:
            self.visit(definition)

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
        """Take a definition, behind all that it needs."""
        key = place_of(definition)
        if key in self._seen:
            return
        self._seen.add(key)
        for member in definition.members or ():
            if not self.wanted.isdisjoint(member.names):
                for reference in member.references:
                    if reference.kind in ("name", "tag") and not self.index.find(reference, definition):
                        self.index.follow(reference, definition)
        for reference in self._references(definition):
            if reference.kind in ("field", "path"):
                self.used.add(reference.name)
            if reference.kind == "whole":
                self.whole_too.add(reference.name)
                continue
            found = self.meant(reference, definition)
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
        for tag in self._looked_into(definition):
            self.visit(tag)
        self.order.append(definition)

    def _looked_into(self, definition: Definition) -> Iterator[Definition]:
        """The structs that a function comes to through a member that points to them (a->b->c, a->b[1].c): it need not
        name the struct itself.
        """
        if definition.kind != "function":
            return
        for match in _THROUGH_A_MEMBER.finditer(definition.text):
            pointer, member = (group.decode() for group in match.groups())
            for tag in sorted(self.index.pointed_to.get(pointer, ())):
                found = self.meant(Mention("tag", tag, definition.line), definition)
                yield from (d for d in found if member in member_names(d.members or ()))

    def _follow_structs(self, definition: Definition) -> None:
        """A name that is nowhere may be a member of a struct that is mentioned beside it (container_of())."""
        for reference in definition.references:
            if reference.kind == "tag" and not self.index.find(reference, definition):
                for target in self.index.follow(reference, definition):
                    self.visit(target)

    def _must_be_found(self, reference: Mention, definition: Definition) -> bool:
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

    def _references(self, definition: Definition) -> Iterator[Mention]:
        yield from _condition_references(self.index.branches_of(definition), definition.line)
        if definition.members is not None and definition.name not in self.whole:
            yield from _member_references(definition.members, self.keeps)
        elif definition.members is not None:
            yield from _member_references(definition.members, lambda member: True)
            yield from mentions_of_annotations(definition.text.rpartition(b"}")[2], definition.end_line)
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


def _condition_references(conditions: tuple[tuple[str, ...], ...], line: int) -> Iterator[Mention]:
    """What an `#if` asks for (IS_ENABLED() is the kernel's own text too); a name that nobody defines is 0 there."""
    for branch in conditions:
        for directive in branch:
            for word in re.findall(r"[A-Za-z_]\w*", directive)[1:]:
                yield Mention("condition", word, line)


def _member_references(members: Iterable[Member], keeps: Callable[[Member], bool]) -> Iterator[Mention]:
    for member in members:
        if not keeps(member):
            continue
        yield from (r for r in member.references if r.kind != "field")
        if member.nested is not None:
            yield from _member_references(member.nested, keeps)
        yield from _condition_references(member.conditions, member.line)
