"""C as tree-sitter sees it, without preprocessing: the syntax tree of a file, and small things about its nodes."""

import re
from functools import cache
from typing import NamedTuple

import tree_sitter_c
from tree_sitter import Language, Node, Parser, Query, QueryCursor

# Words that stand where the C grammar has no place for them. Only the parser's copy loses them.
_BARE_ANNOTATIONS = (
    "__rcu __force __bitwise __must_check __always_inline __signed_wrap __percpu __user __iomem __init __read_mostly"
    " __ro_after_init __bpf_kfunc __pure __cold __noreturn noinline asmlinkage ____cacheline_aligned_in_smp"
    " ____cacheline_aligned __randomize_layout __packed __visible __weak __fix_address INDIRECT_CALLABLE_SCOPE"
    " __maybe_unused __always_unused __used __hot __latent_entropy"
)


_CALLED_ANNOTATIONS = (
    "__aligned __counted_by __printf __attribute__ __acquires __releases __cond_acquires __no_sanitize __cleanup __free"
)


_ANNOTATIONS = re.compile(
    (
        rf"(?<!#define )\b(?:{'|'.join(_BARE_ANNOTATIONS.split())})\b"
        rf"|(?<!#define )\b(?:{'|'.join(_CALLED_ANNOTATIONS.split())})\s*\((?:[^()]|\([^()]*\))*\)"
        r"|\bINDIRECT_CALLABLE_DECLARE\([^;]*\);"
        r"|(?<!#define )__cacheline_group_(?:begin|end)\w*\(\w+\);"
    ).encode()
)


_DEFINE = re.compile(rb"^[ \t]*#[ \t]*define\b(?:\\\n|[^\n])*\\\n(?:\\\n|[^\n])*", re.MULTILINE)


COMMENT = re.compile(rb"/\*.*?\*/", re.DOTALL)


_STRUCT_GROUP = re.compile(rb"\bstruct_group\(\w+,|\b__struct_group\([^,;]*,[^,;]*,[^,;]*,")


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


def parse(source: bytes) -> Node:
    """The syntax tree of a C file; positions are those of `source`."""
    clean = bytearray(_DEFINE.sub(_without_comments, _ANNOTATIONS.sub(_blank, source)))
    for match in _STRUCT_GROUP.finditer(source):  # its members are members of the struct around it
        depth, end = 1, match.end()
        while depth and end < len(source):
            depth += {40: 1, 41: -1}.get(source[end], 0)
            end += 1
        for start, stop in ((match.start(), match.end()), (end - 1, end + 1)):
            clean[start:stop] = re.sub(rb"[^\n]", b" ", clean[start:stop])
    return Parser(_language()).parse(bytes(clean)).root_node


def text_of(node: Node) -> str:
    """The text of a node."""
    return (node.text or b"").decode("utf-8", "replace")


def line_of(node: Node) -> int:
    """The line of a node's beginning, from 1."""
    return int(node.start_point[0]) + 1


def tail_of(source: bytes, end: int) -> bytes:
    """What stands behind the `}` of a struct: its attributes, where nothing but these is there, and a semicolon."""
    tail = source[end : source.find(b";", end)]
    return (tail if tail.strip() and not _ANNOTATIONS.sub(b"", tail).strip() else b"") + b";"


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
