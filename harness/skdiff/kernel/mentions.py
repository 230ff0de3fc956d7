"""What a definition mentions: names of functions, types, macros and fields that it needs."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from tree_sitter import Node

from skdiff.kernel.syntax import _ANNOTATIONS, declared_name, descend, is_pointer, line_of, parse, text_of

_WORD = re.compile(r"(?P<before>->|\.)?\s*\b(?P<word>[A-Za-z_]\w*)")


_LITERALS = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|/\*.*?\*/|//[^\n]*', re.DOTALL)


_MACRO_HEAD = re.compile(r"[ \t]*#[ \t]*define[ \t]+\w+(?:\((?P<parameters>[^)]*)\))?")


_ATTRIBUTE = re.compile(r"__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)")


_KEYWORDS = frozenset(
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


MEMBER_PATH = re.compile(r"[A-Za-z_][\w.]*\.\w+")


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


def mentions_of(node: Node, kind: str) -> Iterator[Mention]:
    """What the node of a definition of that kind mentions, beside its own local names; `at` is in bytes from it on."""
    local = set(_locals(node))
    base = node.start_byte
    own = {declared_name(d) for d in node.children_by_field_name("declarator")}
    for inner in descend(node):
        kinds = inner.type
        if kinds in ("struct_specifier", "union_specifier", "enum_specifier"):
            tag = inner.child_by_field_name("name")
            if tag is not None and inner.child_by_field_name("body") is None:
                pointer = kind in ("tag", "typedef") and is_pointer(inner)
                yield Mention("pointer" if pointer else "tag", text_of(tag), line_of(inner), inner.start_byte - base)
        elif kinds == "identifier" or kinds == "type_identifier":
            parent = inner.parent
            if parent is not None and parent.type in ("struct_specifier", "union_specifier", "enum_specifier"):
                continue
            name = text_of(inner)
            if name and name not in local and name not in own and name not in _KEYWORDS:
                yield Mention("name", name, line_of(inner), inner.start_byte - base)
        elif kinds == "field_identifier":
            yield Mention("field", text_of(inner), line_of(inner), inner.start_byte - base)
        elif kinds == "initializer_list" and _is_positional(inner):
            holder = inner.parent
            while holder is not None and holder.type in ("init_declarator", "parenthesized_expression"):
                holder = holder.parent
            tag = holder.child_by_field_name("type") if holder is not None else None  # a member's type is not known
            if tag is not None and tag.type == "type_descriptor":
                tag = tag.child_by_field_name("type")
            tag = tag.child_by_field_name("name") if tag is not None else None
            if tag is not None:
                yield Mention("whole", text_of(tag), line_of(inner), inner.start_byte - base)
        elif kinds in ("primitive_type", "true", "false", "null"):  # the kernel defines bool, true, NULL itself
            yield Mention("name", text_of(inner), line_of(inner), inner.start_byte - base)
        elif kinds in ("preproc_arg",):
            for word in _WORD.finditer(text_of(inner)):
                yield Mention("name", word["word"], line_of(inner), inner.start_byte - base)


def _is_positional(values: Node) -> bool:
    """Whether an initialiser depends on the order of members: `{}`, `{ 0 }` and `{ .a = 1 }` do not."""
    named = [v for v in values.named_children if v.type not in ("comment", "initializer_pair")]
    return [text_of(v) for v in named] not in ([], ["0"])


_DECLARERS = re.compile(r"(?:DECLARE|DEFINE)_[A-Z_]+|XA_STATE\w*|H?LIST_HEAD|LLIST_HEAD")


def _locals(node: Node) -> Iterator[str]:
    for inner in descend(node):
        if inner.type in ("parameter_declaration", "declaration"):
            for declarator in inner.children_by_field_name("declarator"):
                yield declared_name(declarator)
        elif inner.type == "call_expression" and _DECLARERS.fullmatch(
            text_of(inner.child_by_field_name("function") or inner)
        ):
            arguments = inner.child_by_field_name("arguments")
            yield from (text_of(n) for n in (arguments.named_children if arguments is not None else ())[:1])
        elif inner.type == "enumerator" and node.type == "function_definition":
            yield text_of(inner.child_by_field_name("name") or inner)


def mentions_of_annotations(text: bytes, line: int) -> Iterator[Mention]:
    """The annotations that the parser does not see, all the same somebody has to define them."""
    for match in _ANNOTATIONS.finditer(text):
        word, _, argument = (part.strip() for part in match.group().decode("utf-8", "replace").partition("("))
        here = line + text.count(b"\n", 0, match.start())
        if word not in _KEYWORDS:
            yield Mention("name", word, here)
        if word in ("__cleanup", "__free"):
            called = argument.rstrip(") \t\n")
            yield Mention("name", called if word == "__cleanup" else f"__free_{called}", here)


def _macro_text(source: bytes, start: int) -> bytes:
    """A macro's logical line: tree-sitter ends it at a comment that stands before a continuation."""
    end = source.find(b"\n", start)
    while end > 0 and source[end - 1 : end] == b"\\":
        end = source.find(b"\n", end + 1)
    return source[start:] if end < 0 else source[start:end]


def mentions_of_macro(text: str, first_line: int) -> Iterator[Mention]:
    """A macro's body is not parsed by tree-sitter: its words are taken as they come."""
    head = _MACRO_HEAD.match(text)
    if head is None:
        return
    known = set(re.findall(r"\w+", head["parameters"] or ""))
    body = text[head.end() :]
    for no_names in (_LITERALS, _ATTRIBUTE):
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
        if word in known or (word in _KEYWORDS and word not in ("struct", "union", "enum")):
            previous = word
            continue
        if previous in ("struct", "union", "enum"):
            yield Mention("tag", word, line, at)
        elif path and match["before"] is None:
            yield Mention("path", word, line, at)
        elif match["before"] is not None:
            yield Mention("field", word, line, at)
        elif word not in _KEYWORDS:
            yield Mention("name", word, line, at)
        previous = word
