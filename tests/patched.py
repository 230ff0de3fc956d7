"""Patched copies of a kernel tree: an operator of a function changed, found by its place in the syntax tree; or, to
take a tree over the boundary of a rule, words of functions.
"""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tree_sitter import Node

from harness.kernel.closure import Manifest
from harness.kernel.index import definitions, parse


@dataclass(frozen=True)
class Patch:
    """In `function` of `file`, the `nth` (from 0) `old` operator becomes `new`; the rest of the file stays as it is."""

    file: str
    function: str
    nth: int
    old: str
    new: str

    def __str__(self):
        return f"{self.function}-{self.nth}-{self.old}-{self.new}".replace(" ", "")


def _nodes(node: Node):
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
    """A copy of the files that the extractor reads, with one patch, as a tree of its own."""
    copied_tree(tree, folder)
    path = folder / patch.file
    source = path.read_bytes()
    [definition] = [d for d in definitions(source, patch.file) if (d.kind, d.name) == ("function", patch.function)]
    start = source.index(definition.text)
    function = next(n for n in _nodes(parse(source)) if n.start_byte == start and n.type == "function_definition")
    places = [n for n in _nodes(function) if not n.children and n.text == patch.old.encode()]
    place = places[patch.nth]
    path.write_bytes(source[: place.start_byte] + patch.new.encode() + source[place.end_byte :])
    return folder
