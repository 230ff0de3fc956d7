"""Mutants of Python source: small changes of its syntax tree, one at a time.

What runs is changed; docstrings, annotations, decorators, imports, asserts (and zip's `strict`), f-strings, `__all__`
and `__slots__` are not.
"""

import ast
import copy
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import CodeType
from typing import Any

from skdiff.base.paths import PACKAGE
from skdiff.proof.mutants.common import Mutant
from skdiff.proof.mutants.exchanges import EXCHANGES

NOTHING = "nothing"


_RELATIONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}


_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
}


_OTHER_CALL = {"any": "all", "all": "any", "min": "max", "max": "min", "sorted": "list", "reversed": "iter"}


@dataclass(frozen=True)
class Change:
    """A mutant, and how it is made: what stands in the `field` of `holder` (at `index`, if that is a list) gives way to
    `new`.
    """

    mutant: Mutant
    holder: ast.AST
    field: str
    index: int | None
    new: ast.AST


@dataclass(frozen=True)
class _Variant:
    """A node that may stand where another does; `at` is the node whose line it is told by."""

    operator: str
    new: ast.AST
    before: str
    after: str
    at: ast.AST


class Source:
    """A module's text, and all mutants of it. `module` is its dotted name, `file` its path in the repository,
    `path` where it is read.
    """

    def __init__(self, path: Path, of: str, root: Path = PACKAGE.parent) -> None:
        self.file = str(path.relative_to(root))
        self.module = self.file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        self.path = path
        text = path.read_text()
        self._tree = ast.parse(text)
        self.changes = list(_changes(self._tree, text, of, self.file))

    def code(self, change: Change) -> CodeType:
        """The module with one change."""
        return _with(self._tree, change, str(self.path))


def _with(tree: ast.Module, change: Change, name: str) -> CodeType:
    slot: Any = getattr(change.holder, change.field)
    old = slot if change.index is None else slot[change.index]
    _put(change, change.new)
    try:
        with warnings.catch_warnings(action="ignore"):  # what a mutant is warned of says nothing new
            return compile(tree, name, "exec", dont_inherit=True)
    finally:
        _put(change, old)


def _put(change: Change, node: ast.AST) -> None:
    if change.index is None:
        setattr(change.holder, change.field, node)
    else:
        getattr(change.holder, change.field)[change.index] = node


def _changes(tree: ast.Module, text: str, of: str, file: str) -> Iterator[Change]:
    lines = text.splitlines()
    seen: Counter[tuple[str, str, str]] = Counter()
    done: set[tuple[int, str, int | None, str]] = set()
    for holder, field, index, node, function in _slots(tree, ""):
        for variant in _variants(node, holder):
            key = (id(holder), field, index, ast.dump(variant.new))
            if key in done or ast.dump(variant.new) == ast.dump(node):
                continue
            done.add(key)
            new = ast.fix_missing_locations(ast.copy_location(variant.new, node))
            line = getattr(variant.at, "lineno", getattr(node, "lineno", 1))
            shown = lines[line - 1].strip()
            change = f"{variant.before} -> {variant.after}"
            place = (function, shown, change)
            mutant = Mutant(of, file, function or "module", line, shown, variant.operator, change, seen[place])
            seen[place] += 1
            yield Change(mutant, holder, field, index, new)


# --- where ------------------------------------------------------------------------------------------------------------

_UNTOUCHED = frozenset({"annotation", "returns", "decorator_list", "bases", "type_params"})


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _slots(node: ast.AST, function: str) -> Iterator[tuple[ast.AST, str, int | None, ast.AST, str]]:
    """All places of a tree that hold a node, in the order of the text, with the name of the function that they are in.

    A place comes before those within it.
    """
    for field, value in ast.iter_fields(node):
        if field in _UNTOUCHED:
            continue
        children = enumerate(value) if isinstance(value, list) else [(None, value)]
        for index, child in children:
            if not isinstance(child, ast.AST) or _declares(child):
                continue
            inner = function
            if isinstance(child, _FUNCTIONS):
                inner = f"{function}.{child.name}" if function else child.name
            yield node, field, index, child, inner
            yield from _slots(child, inner)


def _declares(node: ast.AST) -> bool:
    """Whether a node says something to the reader or to a tool, and does nothing."""
    if isinstance(node, (ast.Import, ast.ImportFrom, ast.Assert, ast.JoinedStr)):
        return True
    if isinstance(node, ast.keyword) and node.arg == "strict":  # of zip(): an assertion
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):  # a docstring
        return True
    if isinstance(node, ast.Assign):
        return any(isinstance(t, ast.Name) and t.id in ("__all__", "__slots__") for t in node.targets)
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


# --- what -------------------------------------------------------------------------------------------------------------


def _variants(node: ast.AST, holder: ast.AST) -> Iterator[_Variant]:
    if isinstance(node, ast.stmt):
        yield from _statement(node)
    if isinstance(node, (ast.If, ast.While, ast.IfExp)):
        yield from _condition(node)
    if isinstance(node, ast.comprehension):
        yield from _filter(node)
    if isinstance(node, ast.Compare):
        yield from _compare(node)
    elif isinstance(node, ast.BoolOp):
        yield from _bool_op(node)
    elif isinstance(node, (ast.BinOp, ast.AugAssign)):
        yield from _arithmetic(node)
    elif isinstance(node, ast.UnaryOp):
        if not isinstance(node.op, ast.USub) or not isinstance(node.operand, ast.Constant):
            yield _swap("operator", node, node.operand)
    elif isinstance(node, ast.Constant):
        if node.value is not None or not isinstance(holder, ast.Compare):  # "is None" has other mutants
            yield from _constant(node)
    elif isinstance(node, ast.Name):
        yield from _named_constant(node, holder)
    elif isinstance(node, ast.Call):
        yield from _call(node)
    elif isinstance(node, ast.Attribute):
        for name in EXCHANGES.get(node.attr, ()):
            yield _swap("attribute", node, _but(node, attr=name))
    elif isinstance(node, ast.Subscript):
        yield from _subscript(node)
    elif isinstance(node, (ast.Tuple, ast.List, ast.Set)):
        yield from _elements(node, holder)
    elif isinstance(node, ast.Dict):
        for i, (key, value) in enumerate(zip(node.keys, node.values, strict=True)):
            new = _but(node, keys=_without(node.keys, i), values=_without(node.values, i))
            before = f"{ast.unparse(key)}: {ast.unparse(value)}" if key else f"**{ast.unparse(value)}"
            yield _Variant("element", new, before, NOTHING, value)


def _but(node: Any, **fields: Any) -> Any:
    """The same node with other fields; what is in it is shared."""
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


def _without(items: Sequence[Any], index: int) -> list[Any]:
    return [*items[:index], *items[index + 1 :]]


def _swapped(items: Sequence[Any], index: int) -> list[Any]:
    return [*items[:index], items[index + 1], items[index], *items[index + 2 :]]


def _told(node: ast.AST) -> str:
    return ast.unparse(node).splitlines()[0]


def _swap(operator: str, node: ast.AST, new: ast.AST) -> _Variant:
    return _Variant(operator, new, _told(node), _told(ast.copy_location(new, node)), node)


def _negated(test: ast.expr) -> ast.expr | None:
    """The opposite of a test; None where another operator makes it."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return None
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        return None
    return ast.UnaryOp(ast.Not(), test)


def _statement(node: ast.stmt) -> Iterator[_Variant]:
    dropped = (ast.Assign, ast.AugAssign, ast.Expr, ast.Return, ast.Raise, ast.Continue, ast.Break, ast.For, ast.Delete)
    if isinstance(node, dropped) or (isinstance(node, ast.AnnAssign) and node.value is not None):
        yield _swap("statement", node, ast.Pass())
    if isinstance(node, ast.Return) and node.value is not None:
        yield _swap("return", node, _but(node, value=ast.Constant(None)))
    if isinstance(node, ast.Continue):
        yield _swap("statement", node, ast.Break())
    if isinstance(node, ast.Break):
        yield _swap("statement", node, ast.Continue())


def _condition(node: ast.If | ast.While | ast.IfExp) -> Iterator[_Variant]:
    told = f"if {_told(node.test)}"
    for value in (True, False):
        if not (value and isinstance(node, ast.While)):
            yield _Variant("condition", _but(node, test=ast.Constant(value)), told, f"if {value}", node.test)
    negated = _negated(node.test)
    if negated is not None:
        yield _Variant("condition", _but(node, test=negated), told, f"if {_told(negated)}", node.test)


def _filter(node: ast.comprehension) -> Iterator[_Variant]:
    for i, test in enumerate(node.ifs):
        told = f"if {_told(test)}"
        yield _Variant("condition", _but(node, ifs=_without(node.ifs, i)), told, "if True", test)
        for new in (ast.Constant(False), _negated(test)):
            if new is not None:
                ifs = [*node.ifs[:i], new, *node.ifs[i + 1 :]]
                yield _Variant("condition", _but(node, ifs=ifs), told, f"if {_told(new)}", test)


def _compare(node: ast.Compare) -> Iterator[_Variant]:
    for i, op in enumerate(node.ops):
        for other in _RELATIONS[type(op)]:
            yield _swap("relation", node, _but(node, ops=[*node.ops[:i], other(), *node.ops[i + 1 :]]))
    if len(node.ops) > 1:
        yield _swap("relation", node, _but(node, ops=node.ops[:-1], comparators=node.comparators[:-1]))
        rest = _but(node, left=node.comparators[0], ops=node.ops[1:], comparators=node.comparators[1:])
        yield _swap("relation", node, rest)


def _bool_op(node: ast.BoolOp) -> Iterator[_Variant]:
    yield _swap("and/or", node, _but(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And()))
    for i in range(len(node.values)):
        rest = _without(node.values, i)
        yield _swap("operand", node, _but(node, values=rest) if len(rest) > 1 else copy.copy(rest[0]))
    for i, value in enumerate(node.values):
        negated = _negated(value)
        if negated is not None:
            yield _swap("operand", node, _but(node, values=[*node.values[:i], negated, *node.values[i + 1 :]]))


def _arithmetic(node: ast.BinOp | ast.AugAssign) -> Iterator[_Variant]:
    other = _ARITHMETIC.get(type(node.op))
    if other is not None:
        yield _swap("operator", node, _but(node, op=other()))
    if isinstance(node, ast.BinOp):
        for operand in (node.left, node.right):
            yield _swap("operand", node, copy.copy(operand))


def _constant(node: ast.Constant) -> Iterator[_Variant]:
    value = node.value
    others: tuple[bool | int | float | str | bytes, ...] = ()
    if isinstance(value, bool):
        others = (not value,)
    elif value is None:
        others = (False, 1)
    elif isinstance(value, (int, float)):
        others = (value + 1, value - 1)
    elif isinstance(value, (str, bytes)) and value:
        others = (value[:0],)
    for new in others:
        yield _swap("constant", node, ast.Constant(new))


def _named_constant(node: ast.Name, holder: ast.AST) -> Iterator[_Variant]:
    """A number that has a name (in capitals) is off by one; objects with such names take no addition, and say so."""
    used = isinstance(holder, (ast.Attribute, ast.Subscript)) or (isinstance(holder, ast.Call) and holder.func is node)
    if node.id.isupper() and isinstance(node.ctx, ast.Load) and not used:
        for op in (ast.Add(), ast.Sub()):
            yield _swap("constant", node, ast.BinOp(copy.copy(node), op, ast.Constant(1)))


def _call(node: ast.Call) -> Iterator[_Variant]:
    args, keywords = node.args, node.keywords
    if isinstance(node.func, ast.Name) and node.func.id in _OTHER_CALL:
        yield _swap("call", node, _but(node, func=_but(node.func, id=_OTHER_CALL[node.func.id])))
    commutes = isinstance(node.func, ast.Name) and node.func.id in ("min", "max")  # in whichever order
    for i, (one, other) in enumerate(pairwise(args) if not commutes else ()):
        told = f"{_told(one)}, {_told(other)}"
        yield _Variant("arguments", _but(node, args=_swapped(args, i)), told, f"{_told(other)}, {_told(one)}", other)
    for i, argument in enumerate(args):
        yield _Variant("argument", _but(node, args=_without(args, i)), _told(argument), NOTHING, argument)
    for i, keyword in enumerate(keywords):
        if _declares(keyword):
            continue
        new = _but(node, keywords=_without(keywords, i))
        yield _Variant("argument", new, _told(keyword), NOTHING, keyword)
    for i, (first, second) in enumerate(pairwise(keywords)):
        pair = [_but(first, value=second.value), _but(second, value=first.value)]
        new = _but(node, keywords=[*keywords[:i], *pair, *keywords[i + 2 :]])
        before, after = (", ".join(map(_told, both)) for both in ((first, second), pair))
        yield _Variant("arguments", new, before, after, first)


def _subscript(node: ast.Subscript) -> Iterator[_Variant]:
    where = node.slice
    if isinstance(where, ast.Slice):
        for name in ("lower", "upper", "step"):
            bound = getattr(where, name)
            if bound is not None:
                yield _swap("slice", node, _but(node, slice=_but(where, **{name: None})))
                if name != "step" and not isinstance(bound, ast.Constant):
                    for op in (ast.Add(), ast.Sub()):
                        new = _but(where, **{name: ast.BinOp(bound, op, ast.Constant(1))})
                        yield _swap("slice", node, _but(node, slice=new))
    elif not isinstance(where, (ast.Constant, ast.Tuple)):
        for op in (ast.Add(), ast.Sub()):
            yield _swap("slice", node, _but(node, slice=ast.BinOp(where, op, ast.Constant(1))))


def _elements(node: ast.Tuple | ast.List | ast.Set, holder: ast.AST) -> Iterator[_Variant]:
    if not isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
        return
    for i, element in enumerate(node.elts):
        if len(node.elts) > 1 or not isinstance(node, ast.Set):
            yield _Variant("element", _but(node, elts=_without(node.elts, i)), _told(element), NOTHING, element)
    if isinstance(node, ast.Set) or (isinstance(holder, ast.Compare) and node is not holder.left):
        return
    for i, (one, other) in enumerate(pairwise(node.elts)):
        new = _but(node, elts=_swapped(node.elts, i))
        yield _Variant("elements", new, f"{_told(one)}, {_told(other)}", f"{_told(other)}, {_told(one)}", other)
