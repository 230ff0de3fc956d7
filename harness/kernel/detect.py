"""Which rules a kernel's text has: each is a small question about a function's syntax tree."""

import re
from collections.abc import Iterable, Iterator

from tree_sitter import Node

from harness.epochs import Rules
from harness.kernel.index import Definition, parse

_ROOT, _LISTENERS, _ESTABLISHED = "__inet_lookup_skb", "__inet_lookup_listener", "__inet_lookup_established"


def detect(kernel: Iterable[Definition]) -> Rules:
    """The rules in the definitions of a kernel's files. What is not there at all counts as off."""
    functions: dict[str, list[Definition]] = {}
    for definition in kernel:
        if definition.kind == "function":
            functions.setdefault(definition.name, []).append(definition)

    def mentions(function: str, word: str) -> bool:
        """Whether a function names another one, or a member, whose name has the word in it."""
        return any(word in reference.name for d in functions.get(function, ()) for reference in d.references)

    helper = next((name for name in _ASKS_PROGRAMS if mentions(_LISTENERS, name)), "")
    return Rules(
        reselect=mentions(_ROOT, "inet_steal_sock") and mentions("inet_steal_sock", "inet_lookup_reuseport"),
        shared_sk_lookup=helper == _ASKS_PROGRAMS[0],
        syncookie=mentions("skb_steal_sock", "syncookie"),
        lport_added=any(map(_leaves_the_port_out, functions.get("inet_ehashfn", ()))),
        own_tables=not any("inet_hashinfo" in _parameters(d) for d in functions.get(_ROOT, ())),
        sk_lookup_always=not any(_compares_tables(d) for f in (_LISTENERS, helper) for d in functions.get(f, ())),
        unhashed_check=mentions(_ESTABLISHED, "unhashed"),
        ehash_replace=mentions("inet_ehash_insert", "replace"),
    )


_ASKS_PROGRAMS = ("inet_lookup_run_sk_lookup", "inet_lookup_run_bpf")


def _nodes(definition: Definition, kind: str) -> Iterator[Node]:
    """All nodes of a kind in a definition's text, in its order."""

    def walk(node: Node) -> Iterator[Node]:
        if node.type == kind:
            yield node
        for child in node.children:
            yield from walk(child)

    return walk(parse(definition.text))


def _text(node: Node | None) -> str:
    return (node.text or b"").decode("utf-8", "replace") if node is not None else ""


def _parameters(definition: Definition) -> str:
    """A function's parameters, as they stand."""
    return next((_text(node) for node in _nodes(definition, "parameter_list")), "")


def _leaves_the_port_out(definition: Definition) -> bool:
    """Whether inet_ehashfn() hashes without its third parameter, the local port."""
    parameters = [_text(n.child_by_field_name("declarator")) for n in _nodes(definition, "parameter_declaration")]
    calls = [n for n in _nodes(definition, "call_expression") if _text(n).startswith("__inet_ehashfn")]
    hashed = [_text(n.child_by_field_name("arguments")) for n in calls]
    return bool(hashed) and not any(re.search(rf"\b{port}\b", text) for port in parameters[2:3] for text in hashed)


def _compares_tables(definition: Definition) -> bool:
    """Whether a function compares tables of sockets with one another."""
    return any(
        _text(node.child_by_field_name("operator")) in ("==", "!=") and "hashinfo" in _text(node)
        for node in _nodes(definition, "binary_expression")
    )
