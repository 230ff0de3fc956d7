"""What a definition mentions: names of functions, types, macros and fields that it needs."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tree_sitter import Node

from skdiff.kernel.inner_branches import Branches
from skdiff.kernel.kernel_words import kernel_words
from skdiff.kernel.syntax import captures, declared_name, is_pointer, line_of, parse, text_of

_WORD = re.compile(r"(?P<before>->|\.)?\s*\b(?P<word>[A-Za-z_]\w*)")


LITERALS = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|/\*.*?\*/|//[^\n]*', re.DOTALL)


MACRO_HEAD = re.compile(r"[ \t]*#[ \t]*define[ \t]+\w+(?:\((?P<parameters>[^)]*)\))?")


_ATTRIBUTE = re.compile(r"__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)")


KEYWORDS = frozenset(
    [
        "auto",
        "break",
        "case",
        "char",
        "const",
        "continue",
        "default",
        "do",
        "double",
        "else",
        "enum",
        "extern",
        "float",
        "for",
        "goto",
        "if",
        "inline",
        "int",
        "long",
        "register",
        "restrict",
        "return",
        "short",
        "signed",
        "sizeof",
        "static",
        "struct",
        "switch",
        "typedef",
        "union",
        "unsigned",
        "void",
        "volatile",
        "while",
        "_Bool",
        "_Static_assert",
        "_Generic",
        "asm",
        "__asm__",
        "__inline",
        "__inline__",
        "__volatile__",
        "__extension__",
        "__attribute__",
        "typeof",
        "__typeof__",
        "__auto_type",
        "_Alignof",
        "__alignof__",
        "__func__",
        "__LINE__",
        "__FILE__",
        "__COUNTER__",
        "__VA_ARGS__",
        "defined",
        "VA_ARGS",
        "args",
        "_T",
    ]
)


MEMBER_PATH = re.compile(r"[A-Za-z_][\w.]*\.\w+(?:\[[01]\])?")


@dataclass(frozen=True)
class Mention:
    """A name that a definition mentions: `kind` is "name", "tag" (struct, union, enum), "pointer" (a tag behind `*`,
    for which a forward declaration will do), "whole" (a tag whose members are initialised by position) or "field";
    `line` is 1-based in the definition's own file; `at` is its offset in the definition's text, -1 where unknown.
    """

    kind: str
    name: str
    line: int
    at: int = field(default=-1, compare=False)


_LOCALS = """
    (parameter_declaration declarator: (_) @declarator)
    (declaration declarator: (_) @declarator)
    (call_expression
      function: (identifier) @macro
      arguments: (argument_list . (_) @object)
      (#match? @macro "^(?:MACROS)$"))
    (enumerator name: (_) @enumerator)
"""
# @own is the name in `struct name`, which is an identifier too. @whole is the name of a struct that is initialised by
# position: a list that is empty, or has only zeros, is not.
_MENTIONS = """
    [(struct_specifier !body) (union_specifier !body) (enum_specifier !body)] @tag
    [(struct_specifier name: (_) @own) (union_specifier name: (_) @own) (enum_specifier name: (_) @own)]
    [(identifier) (type_identifier)] @name
    [(primitive_type) (true) (false) (null)] @base ; the kernel defines bool, true, NULL itself
    (field_identifier) @field
    (preproc_arg) @words
    (declaration
      type: (_ name: (_) @whole)
      declarator: (init_declarator
        value: (initializer_list [(expression) (initializer_list)] @value (#not-eq? @value "0"))))
    (compound_literal_expression
      type: (type_descriptor type: (_ name: (_) @whole))
      value: (initializer_list [(expression) (initializer_list)] @value (#not-eq? @value "0")))
"""


def _locals(node: Node) -> Iterator[str]:
    macros = kernel_words().locals.replace("\\", "\\\\")
    for what, inner in captures(_LOCALS.replace("MACROS", macros), node):
        if what == "declarator":
            yield declared_name(inner)
        elif what == "object" or (what == "enumerator" and node.type == "function_definition"):
            yield text_of(inner)


def mentions_of(node: Node, kind: str) -> Iterator[Mention]:
    """What the node of a definition of that kind mentions, beside its own local names; `at` is in bytes from it on."""
    found = captures(_MENTIONS, node)
    tags = {inner for what, inner in found if what == "own"}
    own = {declared_name(d) for d in node.children_by_field_name("declarator")}
    no_names = KEYWORDS | own | {*_locals(node)}
    for what, inner in found:
        name, line, at = text_of(inner), line_of(inner), inner.start_byte - node.start_byte
        if what == "tag":
            pointer = kind in ("tag", "typedef") and is_pointer(inner)
            tag = text_of(inner.child_by_field_name("name") or inner)
            yield Mention("pointer" if pointer else "tag", tag, line, at)
        elif what == "words":
            for word in _WORD.finditer(name):
                yield Mention("name", word["word"], line, at)
        elif what in ("base", "field", "whole"):
            yield Mention("name" if what == "base" else what, name, line, at)
        elif what == "name" and inner not in tags and name and name not in no_names:
            yield Mention("name", name, line, at)


def mentions_of_annotations(text: bytes, line: int) -> Iterator[Mention]:
    """The annotations that the parser does not see, all the same somebody has to define them."""
    for match in kernel_words().annotations.finditer(text):
        word, _, argument = (part.strip() for part in match.group().decode("utf-8", "replace").partition("("))
        here = line + text.count(b"\n", 0, match.start())
        if word not in KEYWORDS:
            yield Mention("name", word, here)
        if word in ("__cleanup", "__free"):
            called = argument.rstrip(") \t\n")
            yield Mention("name", called if word == "__cleanup" else f"__free_{called}", here)


def mentions_of_other_branches(
    node: Node, source: bytes, inner: Iterable[Branches], others: Iterable[Node]
) -> Iterator[Mention]:
    """What a function mentions on the `#` lines inside its parentheses, and in the branches there that its own syntax
    tree has not: `others` are the trees of its file with those.
    """
    within = [lines for lines in inner if node.start_byte <= lines[0][0] < node.end_byte]
    if not within:
        return
    for start, end in (span for lines in within for span in lines):
        line = source.count(b"\n", 0, start) + 1
        for word in re.findall(r"[A-Za-z_]\w*", source[start:end].decode("utf-8", "replace"))[1:]:
            yield Mention("condition", word, line)
    for root in others:
        for other in root.children:
            if (other.type, other.start_byte) == (node.type, node.start_byte):
                yield from mentions_of(other, "function")


def macro_text(source: bytes, start: int) -> bytes:
    """A macro's logical line: tree-sitter ends it at a comment that stands before a continuation."""
    end = source.find(b"\n", start)
    while end > 0 and source[end - 1 : end] == b"\\":
        end = source.find(b"\n", end + 1)
    return source[start:] if end < 0 else source[start:end]


def mentions_of_macro(text: str, first_line: int) -> Iterator[Mention]:
    """A macro's body is not parsed by tree-sitter: its words are taken as they come."""
    head = MACRO_HEAD.match(text)
    if head is None:
        return
    known = set(re.findall(r"\w+", head["parameters"] or ""))
    body = text[head.end() :]
    for no_names in (LITERALS, _ATTRIBUTE):
        body = no_names.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), body)
    wrapped = parse(b"void f(void){" + body.replace("\\\n", " ").encode() + b";}")
    known |= {name for name in _locals(wrapped) if name != "f"}
    path = bool(MEMBER_PATH.fullmatch(body.strip()))
    previous = ""
    for match in _WORD.finditer(body):
        if "##" in (body[: match.start("word")].rstrip()[-2:], body[match.end() :].lstrip()[:2]):
            continue  # only the preprocessor knows what the word will be
        at = head.end() + match.start("word")
        word, line = match["word"], first_line + text.count("\n", 0, at)
        if word in known or (word in KEYWORDS and word not in ("struct", "union", "enum")):
            previous = word
            continue
        if previous in ("struct", "union", "enum"):
            yield Mention("tag", word, line, at)
        elif path and match["before"] is None:
            yield Mention("path", word, line, at)
        elif match["before"] is not None:
            yield Mention("field", word, line, at)
        elif word not in KEYWORDS:
            yield Mention("name", word, line, at)
        previous = word
