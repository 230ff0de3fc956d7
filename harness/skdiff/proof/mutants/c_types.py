"""What the C declares, as far as mutants must know: which names are pointers, and of which type fields are."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from operator import attrgetter

from tree_sitter import Node

from skdiff.kernel.index import Definition, Member, is_member_path
from skdiff.kernel.syntax import parse

PREFIX = b"void f(void){"


@dataclass(frozen=True)
class Types:
    """What mutants need to know of the whole closure: `parameters` of each function as texts of types; `siblings`, the
    fields of one type, by (struct, field) and, where the struct is not known, by ("", field); macros that declare.
    """

    parameters: Mapping[str, tuple[str, ...]]
    siblings: Mapping[tuple[str, str], tuple[str, ...]]
    declaring: frozenset[str]


def types(
    definitions: Iterable[Definition],
    keeps: Callable[[Definition, Member], bool],
    name_of: Callable[[Definition], str] = attrgetter("name"),
) -> Types:
    """The types of a closure, whose structs have the members that it keeps, and its functions names of their own."""
    parameters: dict[str, tuple[str, ...]] = {}
    members: dict[tuple[str, str], list[str]] = {}
    aliases: dict[str, list[str]] = {}
    declaring: set[str] = set()
    for d in definitions:
        if d.kind == "function":
            declarator = first_child(parse(d.text), "function_declarator")
            if declarator is not None:
                declared = declarator.child_by_field_name("parameters")
                parameters[name_of(d)] = tuple(t for t, _ in declarations(declared)) if declared is not None else ()
        elif d.kind == "tag":
            for name, kind in _typed(d.members or (), partial(keeps, d)):
                members.setdefault((d.name, kind), []).append(name)
        elif is_member_path(d):
            aliases.setdefault(d.text.decode().split()[-1].rpartition(".")[2], []).append(d.name)
        elif d.kind == "macro" and (body := macro_body(d)) is not None:
            found = body[1]
            if any(child.type == "declaration" for child in found.named_children):
                declaring.add(d.name)
    siblings: dict[tuple[str, str], tuple[str, ...]] = {}
    for (struct, _), names in members.items():
        for name in names:
            others = tuple(other for other in names if other != name)
            siblings[struct, name] = others
            siblings["", name] = siblings.get(("", name), ()) + others
            for alias in aliases.get(name, ()):
                prefix = alias.partition("_")[0] + "_"
                siblings["", alias] = tuple(a for o in others for a in aliases.get(o, ()) if a.startswith(prefix))
    return Types(parameters, siblings, frozenset(declaring))


def macro_body(definition: Definition) -> tuple[bytes, Node, int] | None:
    """What a macro stands for as a piece of code: the source that was parsed, its block, and where the body starts in
    the definition; None for one that is no code by itself.
    """
    source = definition.text
    head = re.match(rb"[ \t]*#[ \t]*define[ \t]+\w+(?:\([^)]*\))?", source)
    if head is None or is_member_path(definition) or b"#" in source[head.end() :]:
        return None
    wrapped = PREFIX + re.sub(rb"\\\n", b"\v\n", source[head.end() :]) + b";}"
    root = parse(wrapped)
    body = first_child(root, "compound_statement")
    return (wrapped, body, head.end()) if body is not None and not root.has_error else None


def _typed(members: Iterable[Member], keeps: Callable[[Member], bool]) -> Iterator[tuple[str, str]]:
    """(name, type) of the members of a struct, those of unnamed structs inside it too."""
    for member in filter(keeps, members):
        if member.nested is not None:
            yield from _typed(member.nested, keeps)
            continue
        text = member.text.decode()
        for name in member.names:
            kind = re.split(rf"\b{re.escape(name)}\b", text, maxsplit=1)[0]
            yield name, " ".join(re.sub(r"\b(?:const|volatile|__rcu)\b|,.*", " ", kind).split())


def first_child(node: Node, kind: str) -> Node | None:
    """The first node of a kind, the node itself or one below it."""
    if node.type == kind:
        return node
    return next((found for child in node.children if (found := first_child(child, kind)) is not None), None)


def declarations(node: Node) -> Iterator[tuple[str, str]]:
    """(type, name) of what is declared directly below a node."""
    for child in node.named_children:
        kind = child.child_by_field_name("type")
        if child.type not in ("parameter_declaration", "declaration") or kind is None:
            continue
        declarators = child.children_by_field_name("declarator")
        for declarator in declarators:
            inner: Node | None = declarator
            stars = 0
            while inner is not None and inner.type != "identifier":
                stars += inner.type == "pointer_declarator"
                inner = inner.child_by_field_name("declarator")
            if inner is not None:
                yield f"{(kind.text or b'').decode()}{'*' * stars}", (inner.text or b"").decode()
        if not declarators:
            yield (kind.text or b"").decode(), ""
