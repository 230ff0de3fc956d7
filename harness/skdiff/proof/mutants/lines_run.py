"""Which lines of some modules a piece of work runs: a mutant of a statement that it does not run cannot change it."""

import ast
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

ALL = -1  # as a set of lines: all of them
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class Lines:
    """Sets of lines of some modules. Each is a number, of which a line is a bit."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._first: dict[str, int] = {}  # the bit before that of a module's first line
        self._statements: dict[str, dict[int, range]] = {}
        bits = 0
        for path in paths:
            text = path.read_text()
            self._first[str(path)] = bits
            self._statements[str(path)] = _statements(ast.parse(text))
            bits += text.count("\n") + 2

    def run_by(self, work: Callable[[], Any]) -> int:
        """The lines that the work runs."""
        seen: set[int] = set()
        first = self._first

        def line_run(frame: FrameType, _event: str, _: Any) -> Any:
            seen.add(first[frame.f_code.co_filename] + frame.f_lineno)
            return line_run

        def entered(frame: FrameType, event: str, _: Any) -> Any:
            return line_run(frame, event, _) if frame.f_code.co_filename in first else None

        before = sys.gettrace()
        sys.settrace(entered)
        try:
            work()
        finally:
            sys.settrace(before)
        return _set(seen)

    def around(self, path: Path, line: int) -> int:
        """The lines of the innermost statement that a line is part of; ALL outside functions, which no work runs."""
        statement = self._statements.get(str(path), {}).get(line)
        return ALL if statement is None else _set(self._first[str(path)] + line for line in statement)


def _set(bits: Iterable[int]) -> int:
    return sum(1 << bit for bit in bits)


def _statements(tree: ast.Module) -> dict[int, range]:
    """For each line within functions, the lines of its innermost statement."""
    found: dict[int, range] = {}

    def note(node: ast.AST, inside: bool) -> None:
        if inside and isinstance(node, ast.stmt):
            lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
            found.update(dict.fromkeys(lines, lines))
        for child in ast.iter_child_nodes(node):
            note(child, inside or isinstance(node, _FUNCTIONS))

    note(tree, False)
    return found
