"""What of a closure's text is an input of the lookup: fields that it reads, objects that keep their value, and which of
them nothing sets.

A field that the kernel's text reads, and that neither the driver, a stub nor the text itself writes, is the same in
every case. So is an object with static storage. What such text decides was not looked at, though both oracles agree.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tree_sitter import Node

from skdiff.kernel.index import Definition, is_member_path, leaves
from skdiff.kernel.mentions import Mention
from skdiff.kernel.syntax import captures, declared_name, line_of, parse


@dataclass(frozen=True)
class Unset:
    """Something that the text of a lookup reads and nothing sets: `kind` is "field", "key" (a static key) or "object";
    `file` and `line` are where it is declared.
    """

    name: str
    kind: str
    file: str
    line: int


_COMMENT = re.compile(rb"/\*.*?\*/|//[^\n]*", re.DOTALL)
# Where a text writes a field, or hands out where it is: x->f = 1, .f = 1, x.f++, &x->f, WRITE_ONCE(x->f, 1).
_PATH = rb"[\w.\[\]>()-]*?"
_WRITES = re.compile(
    rb"(?:->|\.)\s*(\w+)\s*(?:(?:[-+*/%&|^]|<<|>>)?=(?!=)|\+\+|--)"
    rb"|(?:\+\+|--)\(?\w" + _PATH + rb"(?:->|\.)(\w+)\b(?!\s*(?:->|\.))"
    rb"|&\(?\(?\w" + _PATH + rb"(?:->|\.)\s*(\w+)\b(?!\s*(?:->|\.))"
    rb"|\b(?:WRITE_ONCE|rcu_assign_pointer|atomic_set|smp_store_release)\s*\(\s*\(?\w"
    + _PATH
    + rb"(?:->|\.)\s*(\w+)\s*,"
)
_STATIC = re.compile(rb"\bstatic\b(?!\s+(?:const|inline|__always_inline)\b)")
_KEY = re.compile(rb"\bstatic_key|DEFINE_STATIC_KEY")
_STATIC_OBJECTS = '(declaration (storage_class_specifier) @static (#eq? @static "static")) @object'


def unset_fields(lookup: Iterable[Definition], all_of_it: Iterable[Definition], own: Iterable[Mention]) -> list[Unset]:
    """The fields that the definitions of a `lookup` read and nothing sets, in the order of their names: neither `own`
    (what the driver and the stubs mention) nor, by an assignment or by its address, any definition of the closure.
    """
    definitions = list(all_of_it)
    aliases = {d.name: _fields(d) for d in definitions if is_member_path(d)}
    written = {r.name for r in own}
    for definition in definitions:
        if definition.kind in ("function", "macro"):
            for match in _WRITES.finditer(_COMMENT.sub(b" ", definition.text)):
                written.update(group.decode() for group in match.groups() if group)
    read = {name for d in lookup if d.kind in ("function", "macro") for name in _fields(d)}
    written, read = _with_aliases(written, aliases), _with_aliases(read, aliases)
    found: dict[str, Unset] = {}
    for definition in definitions:
        for member in leaves(definition.members or ()):
            for name in member.names:
                if name in read and name not in written:
                    found.setdefault(name, Unset(name, "field", definition.file, member.line))
    return [found[name] for name in sorted(found)]


def _fields(definition: Definition) -> set[str]:
    return {reference.name for reference in definition.references if reference.kind in ("field", "path")}


def _with_aliases(names: set[str], aliases: dict[str, set[str]]) -> set[str]:
    """Names, and what those of them that stand for a member of a member (`sk_num`) stand for."""
    more, fresh = set(names), set(names)
    while fresh:
        fresh = {target for name in fresh for target in aliases.get(name, ())} - more
        more |= fresh
    return more


def static_objects(definitions: Iterable[Definition]) -> list[Unset]:
    """Every object with static storage that definitions of the kernel's make and that can change: at file level, or
    inside a function or a macro (then its name is FUNCTION.OBJECT).
    """
    all_of_it = list(definitions)
    functions = {d.name for d in all_of_it if d.kind == "function"}
    found = []
    for d in all_of_it:
        if d.kind == "variable" and d.name not in functions:
            text = parse(d.text)
            if not any(_is_constant(node) for node in text.children if node.type == "declaration"):
                found.append(Unset(d.name, "key" if _KEY.search(d.text) else "object", d.file, d.line))
        elif d.kind == "function":
            objects = [node for what, node in captures(_STATIC_OBJECTS, parse(d.text)) if what == "object"]
            found += [_local(d, node) for node in objects if not _is_constant(node)]
        elif d.kind == "macro" and (static := _STATIC.search(d.text)):
            line = d.line + d.text.count(b"\n", 0, static.start())
            found.append(Unset(f"{d.name}.static", "object", d.file, line))
    return found


def _local(function: Definition, node: Node) -> Unset:
    declarator = node.child_by_field_name("declarator")
    kind = "key" if _KEY.search(node.text or b"") else "object"
    line = function.line + line_of(node) - 1
    return Unset(f"{function.name}.{declared_name(declarator) or '?'}", kind, function.file, line)


def _is_constant(node: Node) -> bool:
    """Whether a declaration is of what cannot change: const, and not a pointer to something const."""
    const = any(child.type == "type_qualifier" and child.text == b"const" for child in node.children)
    declarators = node.children_by_field_name("declarator")
    return const and not any(captures("(pointer_declarator) @pointer", each) for each in declarators)
