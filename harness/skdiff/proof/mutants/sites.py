"""Where the kernel's text can be changed, and into what: the mutants of one definition, from its tree-sitter tree.

A mutated definition is the definition's own text in which each site asks for the number of the mutant that is on:
`(a == b)` becomes `(MUTANT(17) ? (a != b) : (a == b))`. All alternatives are the text as it stands, so that one mutant
at a time is on, and none inside another. Each stands on lines of its own, marked with its number: what the compiler
says of such a line is about that mutant.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from tree_sitter import Node

from skdiff.kernel.index import Definition
from skdiff.kernel.syntax import parse
from skdiff.proof.mutants.c_types import Types, declarations, first_child, macro_body
from skdiff.proof.mutants.common import Mutant

_RELATIONS = {
    "==": ("!=",),
    "!=": ("==",),
    "<": ("<=", ">="),
    "<=": ("<", ">"),
    ">": (">=", "<="),
    ">=": (">", "<"),
}

_ARITHMETIC = {
    "+": ("-",),
    "-": ("+",),
    "*": ("+",),
    "/": ("*",),
    "%": ("/",),
    "<<": (">>",),
    ">>": ("<<",),
    "&": ("|",),
    "|": ("&",),
    "^": ("|",),
}

_ASSIGNMENTS = {"+=": ("-=", "="), "-=": ("+=", "="), "|=": ("=",), "&=": ("=",), "^=": ("|=",), "=": ()}


_BYTE_ORDER = re.compile(r"_*(?:[nh]to[nh][sl]|(?:[bl]e(?:16|32|64)_to_cpu|cpu_to_[bl]e(?:16|32|64))|swab(?:16|32))")


# What they give is what they take: their argument is mutated in their place.
_TRANSPARENT = frozenset(["likely", "unlikely", "READ_ONCE", "rcu_dereference", "rcu_dereference_raw"])


# No code: the compiler's own checks, and types.
_SKIPPED_CALLS = re.compile(r"BUILD_BUG_ON\w*|_*static_assert|__builtin_(?:constant_p|types_compatible_p)|offsetof")


_SKIPPED = re.compile(
    r"type_descriptor|parameter_list|(?:sizeof|offsetof|alignof)_expression|attribute_specifier|(?:string|char)_literal"
    r"|comment|primitive_type|type_identifier|struct_specifier|field_declaration_list"
)


_CONSTANT = re.compile(r"[A-Z][A-Z0-9_]*")
_LOOPS = ("while_statement", "for_statement", "do_statement")
EXCHANGES = 3  # of a field or a variable with others of its type


def mutated(
    definition: Definition,
    known: Types,
    first: int,
    dropped: frozenset[int],
    of: str = "c",
    operator: str = "",
    names: Mapping[str, str] = MappingProxyType({}),
) -> tuple[str, list[Mutant]]:
    """The text of a definition with its mutants, numbered from `first`, and all of these, which are `of` something, and
    of one `operator` if that is given; `dropped` ones are not in the text. A macro that is no piece of code by itself
    has none. `names` has what else some names in the text are known as, for two files have one of these.
    """
    source = definition.text
    if definition.kind == "macro":
        found = macro_body(definition)
        if found is None:
            return source.decode(), []
        wrapped, body, start = found
        writer = _Writer(definition, wrapped, known, first, dropped, of, operator, names)
        text = writer.text(body)
        assert text.startswith("{")
        return source[:start].decode() + re.sub(r"\v?\n", r"\\\n", text[1:-2]), writer.mutants
    root = parse(source)
    block = first_child(root, "compound_statement")
    if block is None:
        return source.decode(), []
    writer = _Writer(definition, source, known, first, dropped, of, operator, names)
    text = source[: block.start_byte].decode() + writer.text(block) + source[block.end_byte :].decode()
    return text, writer.mutants


class _Writer:
    """Writes one definition; `mutants` are those met so far."""

    def __init__(
        self,
        definition: Definition,
        source: bytes,
        known: Types,
        first: int,
        dropped: frozenset[int],
        of: str,
        operator: str,
        names: Mapping[str, str],
    ) -> None:
        self.definition, self.source, self.known = definition, source, known
        self.first, self.dropped, self.of, self.operator = first, dropped, of, operator
        self._names = names
        self.mutants: list[Mutant] = []
        self._seen: Counter[tuple[str, str]] = Counter()
        self._lines = definition.text.decode().splitlines()
        root = parse(source)
        self._variables: dict[str, str] = {}
        self._parameters: list[str] = []
        for node in _all(root):
            if node.type in ("parameter_list", "compound_statement"):
                for kind, name in declarations(node):
                    self._variables[name] = kind
                    if node.type == "parameter_list":
                        self._parameters.append(name)

    def raw(self, node: Node) -> str:
        return self.source[node.start_byte : node.end_byte].decode()

    def text(self, node: Node) -> str:
        """A node with all mutants in it."""
        if _SKIPPED.fullmatch(node.type):
            return self.raw(node)
        if node.type.startswith("preproc_"):
            return self._branch(node)
        if node.type == "call_expression" and _SKIPPED_CALLS.fullmatch(self._called(node)):
            return self.raw(node)
        return self._wrapped(node, self._plain_with(node))

    def _branch(self, node: Node) -> str:
        """A branch of an `#if` inside a function: its directives stay as they are."""
        parts, at = [], node.start_byte
        for child in node.children:
            parts.append(self.source[at : child.start_byte].decode())
            code = child.type.endswith(("_statement", "declaration")) or child.type in ("preproc_else", "preproc_elif")
            parts.append(self.text(child) if code else self.raw(child))
            at = child.end_byte
        return "".join((*parts, self.source[at : node.end_byte].decode()))

    def _plain_with(self, node: Node) -> str:
        """A node's own text, with the mutants of its children."""
        if not node.children:
            return self.raw(node)
        parts, at = [], node.start_byte
        for child in node.children:
            parts.append(self.source[at : child.start_byte].decode())
            skip = child == node.child_by_field_name("type") or (
                child in node.children_by_field_name("declarator") and child.type != "init_declarator"
            )
            label = node.type == "case_statement" and child == node.child_by_field_name("value")
            parts.append(self.raw(child) if skip or label else self.text(child))
            at = child.end_byte
        parts.append(self.source[at : node.end_byte].decode())
        return "".join(parts)

    def _wrapped(self, node: Node, text: str) -> str:
        for operator, form, change, after in self._alternatives(node):
            if self.operator not in ("", operator):
                continue
            line = self._line(node)
            stands = self._lines[line].strip().removesuffix("\\").strip() if line < len(self._lines) else ""
            change = " ".join(change.split())
            self._seen[stands, change] += 1
            number = self.first + len(self.mutants)
            d = self.definition
            self.mutants.append(
                Mutant(
                    *(self.of, d.file, self._names.get(d.name, d.name), d.line + line, stands, operator, change),
                    self._seen[stands, change] - 1,
                )
            )
            if number not in self.dropped:
                text = _FORMS[form].format(n=number, alt=" ".join(after.split()), text=text)
        return text

    def _line(self, node: Node) -> int:
        """0-based in the definition: a macro's body starts on the line of its head."""
        return int(node.start_point[0])

    # --- the operators: (name, form, change, what stands there instead) ---

    def _alternatives(self, node: Node) -> Iterator[tuple[str, str, str, str]]:
        kind, raw = node.type, self.raw(node)
        parent = node.parent
        if kind.endswith("_statement"):
            yield from self._statement(node, raw)
            return
        if parent is None or not self._is_value(node, parent):
            return
        lvalue = self._is_place(node, parent)
        if kind == "field_expression":
            yield from self._field(node, raw, lvalue)
        if kind == "identifier":
            yield from self._identifier(raw, lvalue)
        if lvalue:
            return
        if kind == "binary_expression":
            yield from self._binary(node, raw)
        elif kind == "unary_expression":
            argument = self._argument(node)
            if not (raw[0] == "!" and self._is_condition(node, parent)) and raw[0] in "!~-":
                yield "unary", "value", f"{raw} -> {argument}", argument
        elif kind == "update_expression":
            other = raw.replace("++", "--") if "++" in raw else raw.replace("--", "++")
            yield "update", "value", f"{raw} -> {other}", other
        elif kind == "number_literal":
            for sign in "+-":
                yield "constant", "value", f"{raw} -> {raw} {sign} 1", f"{raw} {sign} 1"
        elif kind in ("true", "false"):
            other = "false" if kind == "true" else "true"
            yield "boolean", "value", f"{raw} -> {other}", other
        elif kind == "conditional_expression":
            condition, one, two = (node.child_by_field_name(f) for f in ("condition", "consequence", "alternative"))
            if condition is not None and one is not None and two is not None:
                other = f"{self.raw(condition)} ? {self.raw(two)} : {self.raw(one)}"
                yield "branches", "value", f"{raw} -> {other}", other
        elif kind == "assignment_expression":
            yield from self._assignment(node, raw)
        elif kind == "call_expression":
            yield from self._call(node, raw)
        if self._is_condition(node, parent) and kind not in ("number_literal", "true", "false"):
            operator = node.child_by_field_name("operator")
            relation = kind == "binary_expression" and operator is not None and self.raw(operator) in _RELATIONS
            if not relation:
                yield "negated", "value", f"{raw} -> !({raw})", f"!({raw})"
            for constant in "10":
                yield "condition", "value", f"{raw} -> {constant}", constant
        if parent.type == "return_statement" and kind not in ("number_literal", "true", "false", "null"):
            yield "returned", "value", f"return {raw} -> return 0", "0"

    def _statement(self, node: Node, raw: str) -> Iterator[tuple[str, str, str, str]]:
        parent = node.parent
        if parent is None or (parent.type == "compound_statement" and parent.parent is None):
            return
        inner = node.named_children[0] if node.named_children else None
        if node.type == "expression_statement" and inner is not None:
            if not raw.endswith(";"):  # a macro that opens a loop
                return
            name = self._called(inner) if inner.type == "call_expression" else ""
            called = _SKIPPED_CALLS.fullmatch(name) or name in self.known.declaring
            value = parent.type == "compound_statement" and node == parent.named_children[-1]
            of_expression = parent.parent is not None and parent.parent.type == "parenthesized_expression"
            if not called and not (value and of_expression) and self.definition.kind != "macro":
                yield "dropped", "statement", f"{raw} -> nothing", raw
        elif node.type in ("goto_statement", "break_statement", "continue_statement"):
            yield "dropped", "statement", f"{raw} -> nothing", raw
        elif node.type == "return_statement":
            at = node
            if parent.type == "labeled_statement" and parent.parent is not None:
                at, parent = parent, parent.parent
            last = parent.type == "compound_statement" and at == parent.named_children[-1]
            of_function = parent.parent is not None and parent.parent.type == "function_definition"
            if not (last and of_function and inner is not None):
                yield "dropped", "statement", f"{raw} -> nothing", raw

    def _field(self, node: Node, raw: str, lvalue: bool) -> Iterator[tuple[str, str, str, str]]:
        name = node.child_by_field_name("field")
        if name is None:
            return
        argument = node.child_by_field_name("argument")
        struct = self._variables.get(self.raw(argument), "") if argument is not None else ""
        struct = struct.removeprefix("struct ").rstrip("*")
        found = self.known.siblings
        for other in found.get((struct, self.raw(name)), found.get(("", self.raw(name)), ()))[:EXCHANGES]:
            base = self.source[node.start_byte : name.start_byte].decode()
            yield "field", "place" if lvalue else "value", f"{raw} -> {base}{other}", f"{base}{other}"

    def _identifier(self, raw: str, lvalue: bool) -> Iterator[tuple[str, str, str, str]]:
        kind = self._variables.get(raw)
        if kind is not None:
            for other in [p for p in self._parameters if p != raw and self._variables[p] == kind][:EXCHANGES]:
                yield "variable", "place" if lvalue else "value", f"{raw} -> {other}", other
        elif not lvalue and _CONSTANT.fullmatch(raw) and raw != "NULL":
            yield "constant", "value", f"{raw} -> {raw} + 1", f"{raw} + 1"

    def _binary(self, node: Node, raw: str) -> Iterator[tuple[str, str, str, str]]:
        left, operator, right = (node.child_by_field_name(f) for f in ("left", "operator", "right"))
        if left is None or operator is None or right is None:
            return
        one, sign, two = self.raw(left), self.raw(operator), self.raw(right)
        if sign in ("&&", "||"):
            yield "logical", "value", f"{sign} -> {'||' if sign == '&&' else '&&'}", self._changed(node, operator)
            yield "operand", "value", f"{raw} -> {one}", one
            yield "operand", "value", f"{raw} -> {two}", two
            return
        for other in (*_RELATIONS.get(sign, ()), *_ARITHMETIC.get(sign, ())):
            name = "relation" if sign in _RELATIONS else "arithmetic"
            yield name, "value", f"{one} {sign} {two} -> {one} {other} {two}", f"({one}) {other} ({two})"

    def _changed(self, node: Node, operator: Node) -> str:
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        assert left is not None and right is not None
        return f"({self.raw(left)}) {'||' if self.raw(operator) == '&&' else '&&'} ({self.raw(right)})"

    def _assignment(self, node: Node, raw: str) -> Iterator[tuple[str, str, str, str]]:
        left, operator, right = (node.child_by_field_name(f) for f in ("left", "operator", "right"))
        if left is None or operator is None or right is None:
            return
        for other in _ASSIGNMENTS.get(self.raw(operator), ()):
            after = f"{self.raw(left)} {other} {self.raw(right)}"
            yield "assignment", "value", f"{raw} -> {after}", after

    def _call(self, node: Node, raw: str) -> Iterator[tuple[str, str, str, str]]:
        name = self._called(node)
        arguments = node.child_by_field_name("arguments")
        given = [a for a in arguments.named_children if a.type != "comment"] if arguments is not None else []
        statement = node.parent is not None and node.parent.type == "expression_statement"
        if _BYTE_ORDER.fullmatch(name) and len(given) == 1:
            yield "byte order", "value", f"{raw} -> {self.raw(given[0])}", self.raw(given[0])
        if statement and node.parent is not None and not self.raw(node.parent).endswith(";"):
            return
        if name not in _TRANSPARENT and not statement:
            yield "call", "value", f"{raw} -> 0", "0"
        expected = self.known.parameters.get(self._names.get(name, name))
        for i in range(len(given)):
            for j in range(i + 1, len(given)):
                swap = j == i + 1 if expected is None else j < len(expected) and expected[i] == expected[j]
                if swap and self.raw(given[i]) != self.raw(given[j]):
                    texts = [self.raw(a) for a in given]
                    texts[i], texts[j] = texts[j], texts[i]
                    after = f"{name}({', '.join(texts)})"
                    yield "arguments", "value", f"{raw} -> {after}", after

    # --- where a node stands ---

    def _called(self, node: Node) -> str:
        function = node.child_by_field_name("function")
        return self.raw(function) if function is not None else ""

    def _argument(self, node: Node) -> str:
        argument = node.child_by_field_name("argument")
        return self.raw(argument) if argument is not None else ""

    def _is_value(self, node: Node, parent: Node) -> bool:
        """Whether a node is an expression that has a value: no name of a function, a label, a field or a type."""
        if node.type == "parenthesized_expression" or not node.is_named:
            return False
        if parent.type == "call_expression":
            return False
        return parent.type not in ("goto_statement", "labeled_statement", "field_designator", "init_declarator") or (
            node == parent.child_by_field_name("value")
        )

    def _is_place(self, node: Node, parent: Node) -> bool:
        """Whether something is written there, or its address is taken."""
        while parent.type == "parenthesized_expression" and parent.parent is not None:
            node, parent = parent, parent.parent
        if parent.type == "assignment_expression":
            return node == parent.child_by_field_name("left")
        if parent.type == "pointer_expression":
            return self.raw(parent).startswith("&")
        if parent.type == "field_expression":
            return self.source[node.end_byte : node.end_byte + 1] == b"." and self._is_place(
                parent, parent.parent or parent
            )
        if parent.type == "argument_list" and parent.parent is not None:
            # A macro may do with its arguments what it likes.
            return self._called(parent.parent) not in self.known.parameters and node.type in (
                "identifier",
                "field_expression",
            )
        return parent.type == "update_expression"

    def _is_condition(self, node: Node, parent: Node) -> bool:
        while parent.type == "parenthesized_expression" and parent.parent is not None:
            node, parent = parent, parent.parent
        if parent.type not in ("if_statement", *_LOOPS, "conditional_expression"):
            return False
        return node == parent.child_by_field_name("condition")


def _all(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _all(child)


# Each alternative has lines of its own, and says its number on them.
_FORMS = {
    "value": "(MUTANT({n}) ? /*@{n}@*/\n/*@{n}@*/ ({alt})\n/*@{n}@*/ : ({text}))",
    "place": "(*(MUTANT({n}) ? /*@{n}@*/\n/*@{n}@*/ &({alt})\n/*@{n}@*/ : &({text})))",
    "statement": "{{ if (MUTANT({n})) /*@{n}@*/\n/*@{n}@*/ ; else\n{text} }}",
}

OWNED = re.compile(r"/\*@(\d+)@\*/")
