"""Which of the functions that a traced build watches call which, as the text of a tree has it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from skdiff.kernel.index import Definition
from skdiff.kernel.roles import ROOT

Callers = Mapping[str, tuple[str, ...]]


def callers(lookup: Iterable[Definition], functions: Sequence[str], roles: Mapping[str, str]) -> Callers:
    """For each of `functions`, those of them that it returns to: what calls it, by itself or through functions and
    macros that are none of them. `lookup` is what the roots reach, and `roles` has the names of functions that are
    called otherwise in it.

    Of a function that this text has not, only the rules of another version tell: for it, the root is given.
    """
    mentioned: dict[str, dict[str, None]] = {}  # in the order of the text
    for definition in lookup:
        if definition.kind in ("function", "macro"):
            names = (reference.name for reference in definition.references if reference.kind == "name")
            mentioned.setdefault(definition.name, {}).update(dict.fromkeys(names))
    watched = {roles.get(function, function): function for function in functions}

    def called(name: str, seen: set[str]) -> Iterator[str]:
        for callee in mentioned.get(name, ()):
            if callee not in seen:
                seen.add(callee)
                yield from (callee,) if callee in watched else called(callee, seen)

    found: dict[str, tuple[str, ...]] = dict.fromkeys(functions, ())
    for name in mentioned:
        if name in watched:
            for callee in called(name, {name}):
                found[watched[callee]] += (watched[name],)
    return found | {f: (ROOT,) for name, f in watched.items() if name not in mentioned and f != ROOT}


def merged(graphs: Iterable[Callers]) -> Callers:
    """The callers of a function in any of several texts."""
    found: dict[str, tuple[str, ...]] = {}
    for graph in graphs:
        for function, names in graph.items():
            found[function] = tuple(dict.fromkeys((*found.get(function, ()), *names)))
    return found
