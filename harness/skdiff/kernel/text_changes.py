"""Which definitions of a closure are new, gone, or changed in their text, between two kernels."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec
from rich.console import Console

from skdiff.kernel.build import Line

NEW, GONE, CHANGED = "new", "gone", "changed"


class Change(msgspec.Struct, frozen=True):
    """A definition whose text is not the same: `what` became of it, its name (that in the generated C, if two files
    have one of its name), and where it stands ("file:line") before and after, "" for nowhere.
    """

    what: str
    kind: str
    name: str
    before: str
    after: str


def changes(before: Iterable[Line], after: Iterable[Line]) -> list[Change]:
    """What differs between two closures, by kind and name. A text that only moved, to another line or file, is the
    same. Names may have several definitions, under other conditions or in other files: those of the same text are taken
    as the same, then those of the same file.
    """
    lines_before, lines_after = _by_name(before), _by_name(after)
    found: list[Change] = []
    for key in sorted({*lines_before, *lines_after}):
        one_side, other_side = lines_before.get(key, []), lines_after.get(key, [])
        old, new = _without(one_side, other_side), _without(other_side, one_side)
        for one, other in _paired(old, new):
            what = NEW if one is None else GONE if other is None else CHANGED
            name = next(line.function for line in (other, one) if line is not None)
            found.append(Change(what, key[0], name, _place(one), _place(other)))
    return found


def _by_name(lines: Iterable[Line]) -> dict[tuple[str, str], list[Line]]:
    found: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        found.setdefault((line.kind, line.name), []).append(line)
    return found


def _without(lines: Sequence[Line], others: Sequence[Line]) -> list[Line]:
    """The lines whose text none of the others has, each other for one of them."""
    texts, left = [other.sha256 for other in others], []
    for line in lines:
        if line.sha256 in texts:
            texts.remove(line.sha256)
        else:
            left.append(line)
    return left


def _paired(old: Sequence[Line], new: Sequence[Line]) -> Iterator[tuple[Line | None, Line | None]]:
    """What became of what: of definitions of one name, those of one file first, then what is left in its order."""
    left = [*new]
    pairs: list[tuple[Line, Line | None]] = []
    for one in old:
        same = next((other for other in left if other.file == one.file), None)
        if same is not None:
            left.remove(same)
        pairs.append((one, same))
    for before, after in pairs:
        yield before, after or (left.pop(0) if left else None)
    yield from ((None, other) for other in left)


def _place(line: Line | None) -> str:
    if line is None:
        return ""
    return f"{line.file}:{line.line}" if line.line else line.file


def show_changes(
    console: Console, found: Sequence[Change], what: str = "definitions of the lookup whose text differs"
) -> None:
    """Print how many there are, and a line for each: what it is, and where it stands on both sides."""
    counts = [(sum(change.what == word for change in found), word) for word in (CHANGED, NEW, GONE)]
    in_words = ", ".join(f"{count} {word}" for count, word in counts if count)
    console.print(f"{what}: {in_words or 'none'}", soft_wrap=True)
    for change in found:
        same = change.after.startswith(f"{change.before}:")  # a record has no lines
        where = change.after if same else " -> ".join(dict.fromkeys(filter(None, (change.before, change.after))))
        console.print(f"  {change.what:7}  {change.kind} {change.name}: {where}", markup=False, soft_wrap=True)
