"""A mutant of C or Python, and the list of those judged to change no meaning (corpus/equivalent.toml)."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.errors import CannotRun
from harness.known import CORPUS

JUDGED = CORPUS / "equivalent.toml"
ANY = "*"
_KEYS = {"of", "function", "line", "change", "why"}


@dataclass(frozen=True)
class Mutant:
    """One change in one place: `of` is "c", "model" or "harness"; `line` is 1-based in `file`, `text` that line as it
    stands, without the blanks around it; `change` says "before -> after"; `nth` counts those of a function that are
    the same in all of this (from 0).
    """

    of: str
    file: str
    function: str
    line: int
    text: str
    operator: str
    change: str
    nth: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.function}: {self.change} in: {self.text}"


@dataclass(frozen=True)
class Judgement:
    """Mutants that change nothing that anybody can see, and why. `line` (the text of the mutant's line) and `change`
    may be "*" for all; `nth` picks one of several that read the same.
    """

    of: str
    function: str
    line: str
    change: str
    why: str
    nth: int | None = None

    def covers(self, mutant: Mutant) -> bool:
        """Whether it is about this mutant."""
        return (
            (self.of, self.function) == (mutant.of, mutant.function)
            and self.line in (ANY, mutant.text)
            and self.change in (ANY, mutant.change)
            and self.nth in (None, mutant.nth)
        )


def judgements(path: Path = JUDGED) -> list[Judgement]:
    """The judgements of a list. Raises CannotRun for a list that cannot be read."""
    try:
        tables = tomllib.loads(path.read_text())["mutant"]
        for table in tables:
            if not _KEYS <= set(table) <= _KEYS | {"nth"}:
                raise ValueError(f"an entry has {', '.join(sorted(_KEYS))}, this one has {', '.join(sorted(table))}")
        return [Judgement(**table) for table in tables]
    except (OSError, tomllib.TOMLDecodeError, ValueError, TypeError, KeyError) as error:
        raise CannotRun(f"{path}: not a list of judged mutants: {error}") from error


def judge(mutants: Iterable[Mutant], entries: Iterable[Judgement]) -> dict[Mutant, Judgement]:
    """The first judgement of each mutant that has one."""
    entries = list(entries)
    found = ((mutant, next((e for e in entries if e.covers(mutant)), None)) for mutant in mutants)
    return {mutant: entry for mutant, entry in found if entry is not None}
