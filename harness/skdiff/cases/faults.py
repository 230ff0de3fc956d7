"""All that is wrong with a case's text, each with the line of the key itself."""

from collections.abc import Iterator
from contextlib import contextmanager

from skdiff.base.errors import CannotRun
from skdiff.cases.case_values import BadError, FollowsError
from skdiff.cases.toml_lines import TomlLines

MOST = 20  # that are told at once

Place = tuple[str, int, str]


class Faults:
    """The faults of a text, which has these `lines`; `where` names it."""

    def __init__(self, where: str, lines: TomlLines) -> None:
        self._where, self._lines = where, lines
        self._found: list[tuple[int, str]] = []
        self.advice = ""  # behind the last of them

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, text: str, place: Place = ("", 0, "")) -> None:
        """One more, at a place as TomlLines has them."""
        fault = (self._lines.line(place), text)
        if fault not in self._found:
            self._found.append(fault)

    @contextmanager
    def noted(self, header: str = "", number: int = 0, key: str = "") -> Iterator[None]:
        """A BadError in here is one, at this place unless it knows better."""
        try:
            yield
        except FollowsError:
            pass
        except BadError as error:
            place = error.place if error.place[0] else (header, number, key or error.place[2])
            self.add(str(error), place)

    def check(self) -> None:
        """Raises CannotRun, with a line for each fault, if there is one."""
        if not self._found:
            return
        found = sorted(self._found, key=lambda fault: fault[0])
        lines = [f"{self._where}:{line}: {text}" for line, text in found[:MOST]]
        if len(found) > MOST:
            lines.append(f"{self._where}: and {len(found) - MOST} more")
        raise CannotRun("\n".join(lines) + self.advice)
