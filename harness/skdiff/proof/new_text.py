"""What a run did not look at: lines of new text that no case ran, what nothing here sets, options taken as off.

Text is new if no kernel that was run for real has it (`corpus/closures/`), and, of two kernels, if the first one has
not. gcov counts lines, in a build without optimisation. A statement for which the compiler made no code (behind
`if (0 && ...)`, or in a branch of an `#if`) did not run, unless one beside it did.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import SequenceMatcher

from msgspec import structs
from tree_sitter import Node

from skdiff.base.errors import CannotRun
from skdiff.kernel import text_changes
from skdiff.kernel.build import Build, Line
from skdiff.kernel.drift import Record, records
from skdiff.kernel.index import conditions_by_line
from skdiff.kernel.syntax import parse
from skdiff.kernel.text_changes import Change
from skdiff.kernel.unseen import Named, Place, Unseen
from skdiff.proof import kernel_coverage
from skdiff.proof.kernel_coverage import Spot

CASES = 20_000  # of random ones that lines are counted with, beside the corpus
STILL = ("jiffies",)  # of csrc/stand_ins: a value that moves in the kernel, and never here
Say = Callable[[str], None]
_STATEMENTS = frozenset(
    ["expression_statement", "return_statement", "goto_statement", "break_statement", "continue_statement"]
)
_NO_CODE = re.compile(rb";|fallthrough;|trace_\w+\(")  # for these nobody expects any: annotations, and tracepoints


def base_of(build: Build, kept: Sequence[Record]) -> tuple[Record | None, list[Line]]:
    """The recorded kernel that has most of a build's text, and the definitions that it has not."""
    best: tuple[Record | None, list[Line]] = (None, list(build.kernel))
    for record in kept:
        unknown = [line for line in build.kernel if not record.knows(line)]
        if len(unknown) < len(best[1]):
            best = record, unknown
    return best


def unseen_of_tree(
    build: Build, counted: Callable[[], Build] | None, seed: int, say: Say, lookups: tuple[str, ...] = ()
) -> Unseen | None:
    """What was not looked at of a tree; None if its text is the recorded one of a kernel. `counted` makes the same
    build in the variant "coverage"; without it no lines are counted. Only `lookups` count, () for all. Never raises
    CannotRun.
    """
    try:
        base, unknown = base_of(build, records())
    except CannotRun as error:
        return Unseen(why=str(error))
    if not unknown:
        return None
    found = _names(build, base.unset if base else (), base.options if base else (), unknown)
    functions = [line for line in unknown if _runs(line)]
    if not functions or counted is None:
        return found
    say(f"counting which lines of {len(functions)} new or changed functions ran")
    try:
        count = _Count(counted(), seed, lookups)
        lines, missed = count.of(functions, configured=True)
    except CannotRun as error:
        return structs.replace(found, why=str(error))
    return structs.replace(found, new=len(lines), lines=tuple(missed))


def unseen_between(
    builds: Sequence[Build],
    changed: Sequence[Change],
    counted: Callable[[], Sequence[Build]] | None,
    seed: int,
    say: Say,
    lookups: tuple[str, ...] = (),
) -> Unseen | None:
    """What was not looked at of the text that the second kernel has and the first has not; None if there is no such
    text, or all of the second kernel's is the recorded one of a kernel. `counted` makes both in the variant "coverage";
    without it no lines are counted. Only `lookups` count, () for all. Never raises CannotRun.
    """
    try:
        base, unknown = base_of(builds[1], records())
    except CannotRun as error:
        return Unseen(why=str(error))
    kept = {line.sha256 for line in base.replaced} if base is not None else set()
    after = [line for line in builds[1].replaced if line.sha256 not in kept]
    hidden = [
        Named(c.name, c.after)
        for c in text_changes.changes(builds[0].replaced, after)
        if c.what == text_changes.CHANGED
    ]
    places = {change.after: change for change in changed if change.after}
    fresh = [line for line in unknown if f"{line.file}:{line.line}" in places]
    if not fresh and not hidden:
        return None
    before = {line.name for line in builds[0].unset}
    found = structs.replace(_names(builds[1], before, builds[0].options, fresh), stand_ins=tuple(hidden))
    functions = [line for line in fresh if _runs(line)]
    if not functions or counted is None:
        return found
    say(f"counting which lines of {len(functions)} new or changed functions ran")
    try:
        pair = counted()
        count = _Count(pair[1], seed, lookups)
        lines, missed = count.of(functions, configured=False)
        by_place = {f"{line.file}:{line.line}": line for line in builds[0].kernel if _runs(line)}
        matched: dict[tuple[str, int], tuple[str, int]] = {}
        for line in functions:
            old = by_place.get(places[f"{line.file}:{line.line}"].before)
            if old is not None:
                matched |= _matched(builds[0], old, builds[1], line)
        if missed:  # what did not run in A either is no news
            gone = [by_place[change.before] for change in changed if change.before in by_place]
            missed = news(missed, matched, _Count(pair[0], seed, lookups).of(gone, configured=False, judged=False)[1])
    except CannotRun as error:
        return structs.replace(found, why=str(error))
    new = {*(place for place in lines if place.at not in matched), *missed}
    return structs.replace(found, new=len(new), lines=tuple(missed))


def _runs(line: Line) -> bool:
    return line.kind == "function" and line.lookup


def _names(build: Build, unset: Iterable[str], options: Iterable[str], new: Iterable[Line]) -> Unseen:
    """What a build's text reads and nothing sets, and its options taken as off, beside those that are known."""
    read = {u.name: f"{u.file}:{u.line}" for u in build.unset if u.name not in {*unset}}
    for line in new:  # what a stub makes stand still is set by nothing either
        for number, text in enumerate(_texts(build, line) if _runs(line) else (), line.line):
            read |= {word: f"{line.file}:{number}" for word in STILL if re.search(rf"\b{word}\b", text)}
    off = {name: _where(build, f"CONFIG_{name}") for name in build.options_off if name not in {*options}}
    named = [tuple(Named(*item) for item in sorted(found.items())) for found in (read, off)]
    return Unseen(names=named[0], options=named[1])


def _where(build: Build, word: str) -> str:
    """The first place ("file:line") of a word in a build's text, "" for none."""
    for line in build.kernel:
        for number, text in enumerate(_texts(build, line), line.line):
            if re.search(rf"\b{word}\b", text):
                return f"{line.file}:{number}"
    return ""


def _source(build: Build, line: Line) -> bytes:
    try:
        return (build.tree.path / line.file).read_bytes()
    except OSError as error:
        raise CannotRun(f"cannot read {line.file}: {error.strerror}") from error


def _texts(build: Build, line: Line) -> list[str]:
    """The lines of a definition, without the blanks around them."""
    lines = _source(build, line).decode("utf-8", "replace").split("\n")
    return [text.strip() for text in lines[line.line - 1 : line.end_line]]


def _matched(build: Build, old: Line, other: Build, new: Line) -> dict[tuple[str, int], tuple[str, int]]:
    """The lines (file, number) of a new text that the old one has as well, each with that one's place."""
    matcher = SequenceMatcher(None, _texts(build, old), _texts(other, new), autojunk=False)
    return {
        (new.file, new.line + b + i): (old.file, old.line + a + i)
        for a, b, size in matcher.get_matching_blocks()
        for i in range(size)
    }


def news(
    missed: Sequence[Place], matched: Mapping[tuple[str, int], tuple[str, int]], before: Sequence[Place]
) -> list[Place]:
    """Those of the missed lines that are not the same as one that was missed before: in the same place of a text that
    changed around it, or elsewhere, once for each.
    """
    old = {place.at: place for place in before}
    kept = {matched[place.at] for place in missed if matched.get(place.at) in old}
    left = Counter(place.text for at, place in old.items() if at not in kept)
    found = []
    for place in missed:
        if matched.get(place.at) in old:
            continue
        if place.at not in matched and left[place.text]:
            left[place.text] -= 1
            continue
        found.append(place)
    return found


class _Count:
    """How often the lines of a build ran, on the corpus and on random cases of a seed, as cases of `lookups` (() for
    those that they are of). Raises CannotRun.
    """

    def __init__(self, build: Build, seed: int, lookups: tuple[str, ...] = ()) -> None:
        self.build = build
        only = [",".join(lookups)] if set(build.lookups) - set(lookups or build.lookups) else []
        told = kernel_coverage.count_runs(build, "both", str(CASES), str(seed), *only)
        self.spots = [spot for spot in kernel_coverage.spots(build, told) if spot.branch < 0]
        self.excused = kernel_coverage.judged_unreachable(build.tree.version)

    def of(self, functions: Iterable[Line], configured: bool, judged: bool = True) -> tuple[list[Place], list[Place]]:
        """The lines of functions that could run, and those of them that did not; without those that are judged to be
        out of reach, and, where the configuration decides, those in the branches of an `#if` that it leaves out.
        """
        lines: list[Place] = []
        missed: list[Place] = []
        for function in functions:
            within = range(function.line, function.end_line + 1)
            spots = [s for s in self.spots if (s.file, s.function) == (function.file, function.function)]
            spots = [s for s in spots if s.line in within]
            lines += [_place(spot) for spot in spots]
            missed += [_place(s) for s in spots if not s.runs and not (judged and s.id in self.excused)]
            without = _without_code(self.build, function, {s.line: s.runs for s in spots}, configured)
            lines += without
            missed += without
        return lines, sorted(missed)


def _place(spot: Spot) -> Place:
    return Place(spot.file, spot.line, spot.function, spot.text)


def _without_code(build: Build, function: Line, runs: Mapping[int, int], configured: bool) -> list[Place]:
    """The statements of a function for which the compiler made no code, and none beside them ran either."""
    source = _source(build, function)
    rows = source.split(b"\n")
    conditions = conditions_by_line(source)
    outer = len(conditions[function.line - 1]) if runs else 0
    body = b"\n".join(rows[function.line - 1 : function.end_line])

    def ran(node: Node) -> bool:
        first, last = (function.line + point[0] for point in (node.start_point, node.end_point))
        return any(runs.get(number) for number in range(first, last + 1))

    def without(node: Node) -> bool:
        first, last = (function.line + point[0] for point in (node.start_point, node.end_point))
        if any(number in runs for number in range(first, last + 1)):
            return False
        branches = conditions[first - 1][outer:]
        if any("CONFIG_" in directive for branch in branches for directive in branch):
            return not configured
        parent = node.parent
        while parent is not None and parent.type.startswith(("preproc_", "labeled_statement")):
            parent = parent.parent
        return parent is None or parent.type != "compound_statement" or not ran(parent)

    found = []
    for node in _statements(parse(body)):
        if not _NO_CODE.match(node.text or b"") and without(node):
            number = function.line + node.start_point[0]
            text = rows[number - 1].decode("utf-8", "replace").strip()
            found.append(Place(function.file, number, function.function, text))
    return list(dict.fromkeys(found))


def _statements(node: Node) -> Iterable[Node]:
    for child in node.children:
        if child.type in _STATEMENTS:
            yield child
        else:
            yield from _statements(child)
