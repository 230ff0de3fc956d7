"""Patched copies of a kernel tree: a few tokens of one function changed, found by their place in the syntax tree; or,
to take a tree over the boundary of a rule, words of functions.
"""

import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tree_sitter import Node

from skdiff.base.errors import CannotRun
from skdiff.kernel.index import definitions
from skdiff.kernel.manifest import Manifest
from skdiff.kernel.syntax import parse


@dataclass(frozen=True)
class Patch:
    """In `function` of `file`, the `nth` (from 0) `old` becomes `new`; the rest of the file stays as it is. `old` is
    one token, or a few in a row with blanks between them, whatever blanks and comments the file has there.
    """

    file: str
    function: str
    nth: int
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.function}-{self.nth}-{self.old}-{self.new}".replace(" ", "")


def _nodes(node: Node) -> Iterator[Node]:
    for child in node.children:
        yield child
        yield from _nodes(child)


def copied_tree(tree: Path, folder: Path) -> None:
    """A copy of the files that the extractor reads."""
    manifest = Manifest.load()
    for name in ("Makefile", *manifest.files, *manifest.optional):
        if (tree / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(tree / name, folder / name)


@dataclass(frozen=True)
class Edit:
    """In `function` of `file`, each place that `pattern` matches becomes `new`; there must be one."""

    file: str
    function: str
    pattern: str
    new: str


def edited_tree(tree: Path, folder: Path, edits: Sequence[Edit]) -> Path:
    """A copy of the files that the extractor reads, with edits, as a tree of its own."""
    copied_tree(tree, folder)
    for edit in edits:
        path = folder / edit.file
        source = path.read_bytes()
        [definition] = [d for d in definitions(source, edit.file) if (d.kind, d.name) == ("function", edit.function)]
        text, count = re.subn(edit.pattern.encode(), edit.new.encode(), definition.text)
        assert count, f"{edit.function} has no {edit.pattern}"
        path.write_bytes(source.replace(definition.text, text))
    return folder


def patched_tree(tree: Path, folder: Path, patch: Patch) -> Path:
    """A copy of the files that the extractor reads, with one patch, as a tree of its own. Of a function that the file
    has twice, for two configurations, the first has the first places.
    """
    copied_tree(tree, folder)
    path = folder / patch.file
    source = path.read_bytes()
    found = [d for d in definitions(source, patch.file) if (d.kind, d.name) == ("function", patch.function)]
    if not found:
        raise CannotRun(f"{patch.file} does not define {patch.function}(): there is nothing to patch")
    starts = {source.index(definition.text) for definition in found}
    functions = [n for n in _nodes(parse(source)) if n.start_byte in starts and n.type == "function_definition"]
    places = [place for function in functions for place in _places(function, patch.old.encode().split())]
    if patch.nth >= len(places):
        raise CannotRun(f"{patch.file}: {patch.function}() has no {patch.old!r} number {patch.nth} (from 0) to patch")
    start, end = places[patch.nth]
    path.write_bytes(source[:start] + patch.new.encode() + source[end:])
    return folder


def _places(function: Node, old: Sequence[bytes]) -> list[tuple[int, int]]:
    """Where these tokens stand in a row: the first byte, and the one behind the last."""
    tokens = [n for n in _nodes(function) if not n.children and n.type != "comment"]
    rows = [tokens[i : i + len(old)] for i in range(len(tokens))]
    return [(row[0].start_byte, row[-1].end_byte) for row in rows if [n.text for n in row] == old]
