"""Which lines of the model a run comes to: looked at for some cases only, since it makes a case ten times as slow."""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import skdiff.oracles.model
from skdiff.cases.scenario import Scenario
from skdiff.oracles.model import Model
from skdiff.variants.config import Config
from skdiff.variants.version_rules import Rules

MODEL = Path(skdiff.oracles.model.__file__).parent
_OPTIMIZED = 1  # CO_OPTIMIZED: the code of a function, not that of a module or a class


def _functions(code: CodeType) -> Iterator[CodeType]:
    if code.co_flags & _OPTIMIZED:
        yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _functions(constant)


def _lines() -> dict[tuple[str, int], int]:
    """Each line inside the model's functions, file and number, and its own number among all of them."""
    found = set()
    for path in MODEL.glob("*.py"):
        code_of_file = SourceFileLoader(path.stem, str(path)).get_code(path.stem)  # which Python keeps compiled
        assert code_of_file is not None
        for code in _functions(code_of_file):
            found |= {(path.name, line) for *_, line in code.co_lines() if line and line != code.co_firstlineno}
    return {place: number for number, place in enumerate(sorted(found))}


LINES = _lines()


class Watch:
    """Counts the lines of the model that the scenarios given to `look` run through, as numbers of LINES."""

    def __init__(self, rules: Rules, config: Config) -> None:
        self._model = partial(Model, rules, config)
        self.taken: set[int] = set()

    def look(self, scenario: Scenario) -> None:
        """Run the model on a scenario, and note its lines."""
        before = sys.gettrace()
        sys.settrace(self._call)
        try:
            self._model().trace(scenario)
        finally:
            sys.settrace(before)

    def _call(self, frame: FrameType, _event: str, _argument: Any) -> Callable[..., Any] | None:
        folder, _, name = frame.f_code.co_filename.rpartition("/")
        if folder != str(MODEL):
            return None

        def line(frame: FrameType, event: str, _argument: Any) -> Callable[..., Any]:
            if event == "line":
                number = LINES.get((name, frame.f_lineno))
                if number is not None:
                    self.taken.add(number)
            return line

        return line
