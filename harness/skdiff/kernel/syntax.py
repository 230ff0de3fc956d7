"""C as tree-sitter sees it, without preprocessing: the syntax tree of a file, and small things about its nodes."""

import re
from functools import cache
from typing import NamedTuple

import tree_sitter_c
from tree_sitter import Language, Node, Parser, Query, QueryCursor

from skdiff.kernel.inner_branches import with_one_branch
from skdiff.kernel.kernel_words import kernel_words

_DEFINE = re.compile(rb"^[ \t]*#[ \t]*define\b(?:\\\n|[^\n])*\\\n(?:\\\n|[^\n])*", re.MULTILINE)


COMMENT = re.compile(rb"/\*.*?\*/", re.DOTALL)


@cache
def _language() -> Language:
    return Language(tree_sitter_c.language())


@cache
def _query(pattern: str) -> Query:
    return Query(_language(), pattern)


def _blank(match: re.Match[bytes]) -> bytes:
    return re.sub(rb"[^\n]", b" ", match.group())


def _without_comments(macro: re.Match[bytes]) -> bytes:
    """A macro without its comments: behind one that stands before a continuation tree-sitter loses the rest."""
    return COMMENT.sub(lambda c: re.sub(rb"\\\n|[^\n]", lambda m: m[0] if m[0] == b"\\\n" else b" ", c[0]), macro[0])


def parse(source: bytes, branch: int = 0) -> Node:
    """The syntax tree of a C file; positions are those of `source`. An `#if` inside parentheses is not in it: it has
    the text of that `branch`.
    """
    words = kernel_words()
    clean = bytearray(_DEFINE.sub(_without_comments, words.annotations.sub(_blank, source)))
    for match in words.struct_groups.finditer(source):  # its members are members of the struct around it
        depth, end = 1, match.end()
        while depth and end < len(source):
            depth += {40: 1, 41: -1}.get(source[end], 0)
            end += 1
        for start, stop in ((match.start(), match.end()), (end - 1, end + 1)):
            clean[start:stop] = re.sub(rb"[^\n]", b" ", clean[start:stop])
    return Parser(_language()).parse(with_one_branch(bytes(clean), branch)).root_node


def text_of(node: Node) -> str:
    """The text of a node."""
    return (node.text or b"").decode("utf-8", "replace")


def line_of(node: Node) -> int:
    """The line of a node's beginning, from 1."""
    return int(node.start_point[0]) + 1


def tail_of(source: bytes, end: int) -> bytes:
    """What stands behind the `}` of a struct: its attributes, where nothing but these is there, and a semicolon."""
    tail = source[end : source.find(b";", end)]
    return (tail if tail.strip() and not kernel_words().annotations.sub(b"", tail).strip() else b"") + b";"


class Capture(NamedTuple):
    """A node that a query captures, and the capture's name (without @)."""

    name: str
    node: Node


def captures(query: str, node: Node) -> list[Capture]:
    """What a query, in tree-sitter's notation, captures of a node and what is below it, in the order of the text."""
    found = QueryCursor(_query(query)).captures(node)
    every = [Capture(name, captured) for name, nodes in found.items() for captured in nodes]
    return sorted(every, key=lambda capture: capture.node.start_byte)


def declared_name(node: Node | None) -> str:
    """The name that a declarator declares, "" for none."""
    while node is not None:
        if node.type in ("identifier", "type_identifier", "field_identifier", "primitive_type"):
            return text_of(node)
        inner = node.child_by_field_name("declarator")
        if inner is None:  # parenthesized_declarator has no field name
            inner = next(
                (c for c in node.children if c.type.endswith("declarator") or c.type.endswith("identifier")), None
            )
        node = inner
    return ""


def is_pointer(node: Node) -> bool:
    """Whether a `struct tag` is used only through a pointer, where it stands."""
    parent = node.parent
    while parent is not None and parent.type in ("type_descriptor", "parameter_declaration", "field_declaration"):
        declarators = parent.children_by_field_name("declarator")
        if declarators:
            return all(d.type.endswith("pointer_declarator") or "function" in d.type for d in declarators)
        parent = parent.parent
    return False
