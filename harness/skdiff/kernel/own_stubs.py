"""A user's own stubs (--stub): their files are read, or refused, and what nothing uses is told."""

from collections.abc import Collection, Iterator
from pathlib import Path

from tree_sitter import Node

from skdiff.base.errors import CannotRun
from skdiff.kernel.index import Definition, definitions
from skdiff.kernel.syntax import line_of, parse

# The text of a macro is any text: `guard(name...)` is no fault.
_MACROS = frozenset({"preproc_def", "preproc_function_def", "preproc_call"})


def read(path: Path, name: str) -> list[Definition]:
    """The stubs of a file, which is called `name` in a closure. Raises CannotRun if it cannot be read, has text that is
    no C, or no stub.
    """
    try:
        source = path.read_bytes()
    except OSError as error:
        raise CannotRun(f"cannot read {path}: {error.strerror}") from error
    fault = next(_faults(parse(source)), None)
    if fault is not None:
        raise CannotRun(f"{path}:{line_of(fault)}: this cannot be read as C, so that its stubs are not known")
    found = definitions(source, name)
    if not found:
        raise CannotRun(f"{path}: no stub in that file")
    return found


def _faults(node: Node) -> Iterator[Node]:
    """The places at which a text is no C."""
    if node.type == "ERROR" or node.is_missing:
        yield node
    elif node.has_error and node.type not in _MACROS:
        for child in node.children:
            yield from _faults(child)


def unused(paths: Collection[Path], used: Collection[str]) -> list[str]:
    """A line for each file of which nothing is used; `used` are the names of stubs that a closure has. Raises
    CannotRun, see `read`.
    """
    lines = []
    for path in paths:
        names = {name for definition in read(path, path.name) for name in definition.names}
        if not names & set(used):
            lines.append(f"nothing uses a stub of {path.name}: {', '.join(sorted(names))}")
    return lines
