"""Patched copies of a kernel tree: one operator of one function changed, found by its place in the syntax tree."""

import shutil
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


def patched_tree(tree: Path, folder: Path, patch: Patch) -> Path:
    """A copy of the files that the extractor reads, with one patch, as a tree of its own."""
    manifest = Manifest.load()
    for name in ("Makefile", *manifest.files, *manifest.optional):
        if (tree / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(tree / name, folder / name)
    path = folder / patch.file
    source = path.read_bytes()
    [definition] = [d for d in definitions(source, patch.file) if (d.kind, d.name) == ("function", patch.function)]
    start = source.index(definition.text)
    function = next(n for n in _nodes(parse(source)) if n.start_byte == start and n.type == "function_definition")
    places = [n for n in _nodes(function) if not n.children and n.text == patch.old.encode()]
    place = places[patch.nth]
    path.write_bytes(source[: place.start_byte] + patch.new.encode() + source[place.end_byte :])
    return folder
