"""Index of C definitions: which names a set of source files defines, where, and under which `#if` lines.

Kernel files are parsed one by one with tree-sitter-c, without preprocessing and without their headers. What a file
says stays as it is: a `Definition` holds the bytes of the file, and the parser alone sees a copy in which annotations
that are no C (`__rcu`, `__must_check`, ...) are blanked out, byte for byte, so that positions agree.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from tree_sitter import Node

from skdiff.kernel.inner_branches import inside_parentheses
from skdiff.kernel.kernel_words import kernel_words
from skdiff.kernel.mentions import (
    KEYWORDS,
    LITERALS,
    MACRO_HEAD,
    MEMBER_PATH,
    Mention,
    macro_text,
    mentions_of,
    mentions_of_annotations,
    mentions_of_macro,
    mentions_of_other_branches,
)
from skdiff.kernel.syntax import captures, declared_name, line_of, parse, tail_of, text_of

_DIRECTIVE = re.compile(rb"[ \t]*#[ \t]*(if|ifdef|ifndef|elif|else|endif)\b")


@dataclass(frozen=True)
class Definition:
    """One definition as it stands in its file.

    `kind` is function, macro, tag, enum, typedef or variable; `text` the file's own bytes, from `line` to `end_line`
    (1-based, inclusive); `conditions` the preprocessor lines that lead to it, outermost first, each with the branches
    before its own; `names` all that it defines (an enum defines its enumerators too).
    """

    name: str
    kind: str
    file: str
    line: int
    end_line: int
    text: bytes
    conditions: tuple[tuple[str, ...], ...]
    names: tuple[str, ...]
    references: tuple[Mention, ...] = field(repr=False, default=())
    comment: str = ""
    members: "tuple[Member, ...] | None" = field(repr=False, default=None)


@dataclass(frozen=True)
class Member:
    """One member of a struct or union: its declared names, its text, or (nested) the members of an unnamed one."""

    names: tuple[str, ...]
    line: int
    text: bytes
    conditions: tuple[tuple[str, ...], ...]
    references: tuple[Mention, ...]
    head: bytes = b""
    tail: bytes = b""
    nested: "tuple[Member, ...] | None" = None


def conditions_by_line(source: bytes) -> list[tuple[tuple[str, ...], ...]]:
    """For each line (index 0 is line 1) the `#if` branches it stands in; a header's include guard is none.

    A branch is the tuple of directives that lead into it: ("#ifdef A", "#else") for the second branch of `#ifdef A`.
    """
    lines = source.split(b"\n")
    guard = _include_guard(lines)
    stack: list[tuple[str, ...] | None] = []
    result: list[tuple[tuple[str, ...], ...]] = []
    number = 0
    while number < len(lines):
        first = number
        while lines[number].endswith(b"\\") and number + 1 < len(lines):
            number += 1
        match = _DIRECTIVE.match(lines[first])
        if match:
            word = match.group(1)
            text = b"\n".join(lines[first : number + 1]).decode("utf-8", "replace")
            if word in (b"if", b"ifdef", b"ifndef"):
                stack.append(None if first == guard else (text,))
            elif word == b"endif":
                if stack:
                    stack.pop()
            elif stack and stack[-1] is not None:
                stack[-1] = (*stack[-1], text)
        now = tuple(branch for branch in stack if branch is not None)
        result.extend([now] * (number - first + 1))
        number += 1
    return result


def _include_guard(lines: list[bytes]) -> int:
    """The index of the `#ifndef` of an include guard, or -1."""
    directives = [(i, line.split()) for i, line in enumerate(lines) if line.startswith(b"#")][:2]
    if len(directives) == 2:
        (index, first), (_, second) = directives
        if len(first) > 1 and len(second) > 1 and first[0] == b"#ifndef" and second[:2] == [b"#define", first[1]]:
            return index
    return -1


@lru_cache(maxsize=512)
def definitions(source: bytes, file: str) -> list[Definition]:
    """All that `source` defines at file level, and the macros defined inside its structs."""
    conditions = conditions_by_line(source)
    lines = source.split(b"\n")
    found: list[Definition] = []
    inner = inside_parentheses(source)
    others = [parse(source, branch) for branch in range(1, max((len(lines) - 1 for lines in inner), default=1))]
    for node, kind, name, names in _walk(parse(source)):
        start, end = node.start_byte, node.end_byte
        if kind == "macro":
            end = start + len(macro_text(source, start))
        line = line_of(node)
        last = line + source[start:end].count(b"\n")
        comment = lines[line - 2].decode("utf-8", "replace").strip() if line >= 2 else ""
        found.append(
            Definition(
                name=name,
                kind=kind,
                file=file,
                line=line,
                end_line=last,
                text=source[start:end] + (tail_of(source, end) if kind in ("tag", "enum") else b""),
                conditions=conditions[line - 1],
                names=names,
                references=(
                    *(
                        mentions_of_macro(source[start:end].decode("utf-8", "replace"), line)
                        if kind == "macro"
                        else mentions_of(node, kind)
                    ),
                    *mentions_of_annotations(source[start:end], line),
                    *(mentions_of_other_branches(node, source, inner, others) if kind == "function" else ()),
                ),
                comment=comment.removeprefix("/*").removesuffix("*/").strip() if comment.startswith("/*") else "",
                members=_members(node, source, conditions) if kind == "tag" else None,
            )
        )
    known = {name for d in found for name in d.names}
    return found + [d for d in _objects_of_macros(source, file, conditions) if d.name not in known]


def _objects_of_macros(source: bytes, file: str, conditions: list[tuple[tuple[str, ...], ...]]) -> Iterator[Definition]:
    """Objects that a macro of the kernel makes at file level (DEFINE_STATIC_KEY_FALSE(name) and its kin), where the
    grammar sees none; DEFINE_FREE(name, ...) makes the function __free_name.
    """
    kernel = kernel_words()
    for match in kernel.objects.finditer(source):
        macro, text = match["macro"].decode(), match["arguments"].decode("utf-8", "replace")[1:-1]
        others = text.split(",")
        name = others.pop(-1 if kernel.named_last.fullmatch(macro) else 0).strip()
        if not re.fullmatch(r"[A-Za-z_]\w*", name):
            continue
        line = source.count(b"\n", 0, match.start()) + 1
        words = re.findall(r"[A-Za-z_]\w*", ",".join(others))
        mentions = [Mention("name", word, line) for word in words if word not in KEYWORDS and word != name]
        if macro == "DEFINE_FREE":
            name = f"__free_{name}"
        yield Definition(
            name=name,
            kind="function" if macro == "DEFINE_FREE" else "variable",
            file=file,
            line=line,
            end_line=line + match.group().count(b"\n"),
            text=match.group(),
            conditions=conditions[line - 1],
            names=(name,),
            references=(Mention("name", macro, line), *mentions),
        )


def argument_spans(text: str) -> list[tuple[int, int, str, int]]:
    """Each argument of each call in a text: where it begins and ends, the name that is called, its place from 0."""
    clean = LITERALS.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)
    found: list[tuple[int, int, str, int]] = []
    stack: list[list[Any]] = []
    for match in _PARENTHESES.finditer(clean):
        if match["open"]:
            stack.append([match["called"] if match["open"] == "(" else "", 0, match.end()])
        elif stack and match.group() == ",":
            top = stack[-1]
            if top[0]:
                found.append((top[2], match.start(), top[0], top[1]))
            top[1:] = [top[1] + 1, match.end()]
        elif stack and match.group() != ",":
            name, place, start = stack.pop()
            if name:
                found.append((start, match.start(), name, place))
    return found


_PARENTHESES = re.compile(r"(?:(?P<called>[A-Za-z_]\w*)\s*)?(?P<open>[(\[{])|[)\]},]")


def parameters_of(macro: Definition) -> tuple[list[str], str] | None:
    """The parameters of a macro, a variadic one as "...NAME", and its body; None for one that is no function."""
    text = macro.text.decode("utf-8", "replace")
    head = MACRO_HEAD.match(text)
    if head is None or head["parameters"] is None:
        return None
    names = [name.strip() for name in head["parameters"].split(",") if name.strip()]
    named = [f"...{n.removesuffix('...').strip() or '__VA_ARGS__'}" if n.endswith("...") else n for n in names]
    return named, text[head.end() :]


def place_of(name: str, source: bytes) -> tuple[int, str]:
    """Where a name seems to be defined or declared in a file: line and "defines" or "declares"; (0, "") for nowhere.
    It reads text and no syntax, so that it finds what the parser loses: a function with a brace in two `#if` branches.
    """
    word = re.escape(name.encode())
    for what, pattern in (
        (
            "defines",
            rb"^(?:[ \t]*#[ \t]*define[ \t]+" + word + rb"\b|(?![#\s/*])[^\n;{}=]*\b" + word + rb"\s*\([^;{}]*\)\s*\{)",
        ),
        ("defines", rb"^(?:struct|union|enum|typedef)\b[^;{}]*\b" + word + rb"\s*[{;]"),
        ("declares", rb"^(?![#\s/*])[^\n;{}=]*\b" + word + rb"\b[^;{}]*;"),
    ):
        match = re.search(pattern, source, re.MULTILINE)
        if match:
            at = source.index(name.encode(), match.start())
            return source.count(b"\n", 0, at) + 1, what
    return 0, ""


def declared(source: bytes) -> frozenset[str]:
    """The names that a header of ours defines or declares at file level, functions included."""
    names = {name for d in definitions(source, "") for name in d.names}
    for node in parse(source).children:
        if node.type == "declaration":
            names |= {declared_name(d) for d in node.children_by_field_name("declarator")}
    return frozenset(names)


def _walk(node: Node) -> Iterator[tuple[Node, str, str, tuple[str, ...]]]:
    """(node, kind, name, all names) of each definition, in the order of the file."""
    for child in node.children:
        kind = child.type
        if kind == "function_definition":
            name = declared_name(child.child_by_field_name("declarator"))
            if name and not child.text.startswith(b"struct {") if child.text else name:  # macro soup is no function
                yield child, "function", name, (name,)
        elif kind in ("preproc_def", "preproc_function_def"):
            name = text_of(child.child_by_field_name("name") or child)
            yield child, "macro", name, (name,)
        elif kind in ("struct_specifier", "union_specifier", "enum_specifier"):
            yield from _specifier(child)
        elif kind == "type_definition":
            names = tuple(n for d in child.children_by_field_name("declarator") if (n := declared_name(d)))
            if names:
                yield child, "typedef", names[0], names + _enumerators(child)
        elif kind == "declaration":
            typ = child.child_by_field_name("type")
            if typ is not None and typ.child_by_field_name("body") is not None:
                yield from _specifier(typ)
            elif not child.text.startswith(b"extern") if child.text else False:
                for declarator in child.children_by_field_name("declarator"):
                    inner = declarator
                    while inner.type in ("init_declarator", "pointer_declarator", "array_declarator"):
                        inner = inner.child_by_field_name("declarator") or inner.children[0]
                    if inner.type == "identifier":
                        yield child, "variable", text_of(inner), (text_of(inner),)
        elif kind in ("ERROR", "linkage_specification", "declaration_list") or kind.startswith("preproc_"):
            yield from _walk(child)


def _specifier(node: Node) -> Iterator[tuple[Node, str, str, tuple[str, ...]]]:
    body = node.child_by_field_name("body")
    if body is None:
        return
    tag = node.child_by_field_name("name")
    if node.type == "enum_specifier":
        names = _enumerators(node)
        if tag is not None or names:
            yield node, "enum", text_of(tag) if tag is not None else names[0], names
    elif tag is not None:
        yield node, "tag", text_of(tag), ()
    for _, inner in captures("(preproc_def) @macro", body):  # sk_refcnt and its kin stand inside struct sock
        name = text_of(inner.child_by_field_name("name") or inner)
        yield inner, "macro", name, (name,)


def _enumerators(node: Node) -> tuple[str, ...]:
    return tuple(text_of(name) for _, name in captures("(enumerator name: (_) @name)", node))


def _members(node: Node, source: bytes, conditions: list[tuple[tuple[str, ...], ...]]) -> tuple[Member, ...]:
    body = node.child_by_field_name("body")
    found: list[Member] = []
    outer = conditions[line_of(node) - 1]

    def visit(parent: Node) -> None:
        for child in parent.children:
            if child.type == "field_declaration":
                found.append(member(child))
            elif child.type.startswith("preproc_") or child.type == "ERROR":
                visit(child)

    def member(child: Node) -> Member:
        typ = child.child_by_field_name("type")
        names = tuple(n for d in child.children_by_field_name("declarator") if (n := declared_name(d)))
        line = line_of(child)
        extra = conditions[line - 1][len(outer) :]
        inner = typ.child_by_field_name("body") if typ is not None else None
        if typ is not None and inner is not None and typ.type != "enum_specifier":
            return Member(
                names=names,
                line=line,
                text=source[child.start_byte : child.end_byte],
                conditions=extra,
                references=(),
                head=source[child.start_byte : inner.start_byte + 1],
                tail=source[inner.end_byte - 1 : child.end_byte],
                nested=_members(typ, source, conditions),
            )
        return Member(
            names=names,
            line=line,
            text=source[child.start_byte : child.end_byte],
            conditions=extra,
            references=(
                *mentions_of(child, "tag"),
                *mentions_of_annotations(source[child.start_byte : child.end_byte], line),
            ),
        )

    if body is not None:
        visit(body)
    return tuple(found)


def leaves(members: Iterable[Member]) -> Iterator[Member]:
    """Members, and in the place of an unnamed struct its own."""
    for member in members:
        if member.nested is None:
            yield member
        else:
            yield from leaves(member.nested)


def is_member_path(definition: Definition) -> bool:
    """Whether a macro renames a member (`#define sk_refcnt __sk_common.skc_refcnt`)."""
    words = definition.text.split(None, 2)
    return definition.kind == "macro" and len(words) == 3 and bool(MEMBER_PATH.fullmatch(words[2].decode().strip()))
