"""What a .c file keeps to itself: a `static` function or object, a macro, a type. Other files do not see it, and two
files may each have one of the same name: a twin.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from skdiff.base.twin_names import twin_name
from skdiff.kernel.index import Definition

_HEAD = re.compile(rb"[^({=;\[]*")
_STATIC = re.compile(rb"\bstatic\b")
Place = tuple[str, int, str]


def place_of(definition: Definition) -> Place:
    """What names a definition in a tree: its file, line and name."""
    return definition.file, definition.line, definition.name


def is_local(definition: Definition) -> bool:
    """Whether only its own .c file sees a definition."""
    if not definition.file.endswith(".c"):
        return False
    if definition.kind in ("function", "variable"):
        head = _HEAD.match(definition.text)
        return head is not None and bool(_STATIC.search(head.group()))
    return True


def seen_from(found: Sequence[Definition], file: str) -> list[Definition]:
    """Those of the definitions of a name that a mention in a file may mean: the file's own if it has a local one, or
    else all that are not another file's.
    """
    local = [d for d in found if is_local(d)]
    if any(d.file == file for d in local):
        return [d for d in found if d.file == file]
    return [d for d in found if d not in local] if local else [*found]


class Twins:
    """The definitions of a closure that share their name with one of another file. The first one in its order keeps the
    name in the generated C, so that the first lookup's text, and the names in lists of it, stay what they are; a later
    local one gets the file's name behind its own.
    """

    def __init__(self, order: Iterable[Definition]) -> None:
        by_name: dict[tuple[bool, str], list[Definition]] = defaultdict(list)
        self._macros_of: dict[str, dict[str, list[Definition]]] = defaultdict(lambda: defaultdict(list))
        self._there: set[tuple[str, str]] = set()
        for d in order:
            self._there.update((d.file, name) for name in (d.name, *d.names))
            if d.kind == "tag" or (d.kind == "enum" and d.name not in d.names):
                by_name[True, d.name].append(d)
            for name in d.names:
                by_name[False, name].append(d)
            if d.kind == "macro" and is_local(d):
                self._macros_of[d.file][d.name].append(d)
        self._renamed: dict[str, dict[str, str]] = defaultdict(dict)  # by file
        self._moved: dict[str, dict[str, list[Definition]]] = defaultdict(lambda: defaultdict(list))
        for (_, name), found in by_name.items():
            first = next((d.file for d in found if not is_local(d)), found[0].file)
            for d in found:
                if d.file != first and is_local(d):
                    if d.kind == "macro":
                        self._moved[d.file][name].append(d)
                    else:
                        self._renamed[d.file][name] = twin_name(name, d.file)

    def __bool__(self) -> bool:
        return bool(self._renamed or self._moved)

    def name_of(self, definition: Definition) -> str:
        """The name of a definition in the generated C; of a macro, what it would be, for lists that go by names."""
        moved = self._moved.get(definition.file, {})
        if definition.name in moved and definition.kind == "macro":
            return twin_name(definition.name, definition.file)
        return self._renamed.get(definition.file, {}).get(definition.name, definition.name)

    def name_in(self, name: str, file: str) -> str:
        """The name in the generated C of what a file calls so, "" if that file has nothing of the name in it."""
        if (file, name) not in self._there:
            return ""
        return self._renamed.get(file, {}).get(name, name)

    def renamed(self) -> dict[str, str]:
        """The name in the kernel of each that has another one in the generated C."""
        return {new: name for names in self._renamed.values() for name, new in names.items()}

    def tags(self, tag: str) -> list[str]:
        """The names that a struct's tag has in the generated C, beside its own."""
        return [names[tag] for names in self._renamed.values() if tag in names]

    def is_moved(self, definition: Definition) -> bool:
        """Whether a definition is a macro that stands beside each of its users, and nowhere else."""
        return definition in self._moved.get(definition.file, {}).get(definition.name, ())

    def used_by(self, definition: Definition) -> tuple[dict[str, str], list[Definition]]:
        """What a definition means by names of twins: names with those that they have in the generated C, and macros
        that have to stand beside it. What macros of its file expand to counts.
        """
        names, moved = self._renamed.get(definition.file, {}), self._moved.get(definition.file, {})
        if not names and not moved:
            return {}, []
        words = set(self._words(definition, {definition.name}))
        macros = [d for word in sorted(words & moved.keys()) for d in moved[word]]
        return {name: new for name, new in sorted(names.items()) if name in words}, macros

    def _words(self, definition: Definition, seen: set[str]) -> Iterator[str]:
        yield from (definition.name, *definition.names)
        for reference in definition.references:
            if reference.kind == "field":
                continue
            yield reference.name
            for macro in self._macros_of.get(definition.file, {}).get(reference.name, ()):
                if macro.name not in seen:
                    seen.add(macro.name)
                    yield from self._words(macro, seen)
