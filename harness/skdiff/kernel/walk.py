"""The walk from the roots: which definitions a closure needs, and which members of its structs."""

import re
from collections.abc import Callable, Iterable, Iterator

from skdiff.kernel.index import Definition, Member, argument_spans
from skdiff.kernel.mentions import Mention, mentions_of_annotations
from skdiff.kernel.tree_index import TreeIndex


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
        """Take a definition, behind all that it needs."""
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
        yield from _condition_references(definition.conditions, definition.line)
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
