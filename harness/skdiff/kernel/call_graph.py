"""Which of the functions that a traced build watches call which, as the text of a tree has it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from skdiff.cases.steps import StepKind
from skdiff.kernel.file_scope import is_local
from skdiff.kernel.index import Definition
from skdiff.kernel.roles import ROOT

Callers = Mapping[str, tuple[str, ...]]
_Node = tuple[str, str]  # a name, and the file that keeps it to itself, "" for one that all files see


def callers(lookup: Iterable[Definition], steps: Sequence[StepKind | str], roles: Mapping[str, str]) -> Callers:
    """For each of the functions of `steps` (or those of these names), by the steps' names: those of them that it
    returns to, what calls it, by itself or through functions and macros that are none of them. `lookup` is what the
    roots reach, and `roles` has the names of functions that are called otherwise in it.

    Of a function that this text has not, only the rules of another version tell: for it, the root is given.
    """
    mentioned: dict[_Node, dict[str, None]] = {}  # in the order of the text
    for definition in lookup:
        if definition.kind in ("function", "macro"):
            names = (reference.name for reference in definition.references if reference.kind == "name")
            mentioned.setdefault(_node(definition), {}).update(dict.fromkeys(names))
    files: dict[str, list[str]] = {}
    for name, file in mentioned:
        files.setdefault(name, []).append(file)
    watched: dict[_Node, str] = {}
    found: dict[str, tuple[str, ...]] = {}
    for step in steps:
        function, file, label = (step, "", step) if isinstance(step, str) else (step.function, step.file, step.name)
        name = function if file else roles.get(function, function)
        there = files.get(name, [file])
        watched[name, file if file in there else there[0]] = label  # without a file, the first one's
        found[label] = ()

    def callees(node: _Node) -> Iterator[_Node]:
        for name in mentioned.get(node, ()):
            there = files.get(name, [])
            yield name, node[1] if node[1] in there else "" if "" in there or not there else there[0]

    def called(node: _Node, seen: set[_Node]) -> Iterator[_Node]:
        for callee in callees(node):
            if callee not in seen:
                seen.add(callee)
                yield from (callee,) if callee in watched else called(callee, seen)

    for node in mentioned:
        if node in watched:
            for callee in called(node, {node}):
                found[watched[callee]] += (watched[node],)
    return found | {f: (ROOT,) for node, f in watched.items() if node not in mentioned and f != ROOT}


def _node(definition: Definition) -> _Node:
    return definition.name, definition.file if is_local(definition) else ""


def merged(graphs: Iterable[Callers]) -> Callers:
    """The callers of a function in any of several texts."""
    found: dict[str, tuple[str, ...]] = {}
    for graph in graphs:
        for function, names in graph.items():
            found[function] = tuple(dict.fromkeys((*found.get(function, ()), *names)))
    return found
