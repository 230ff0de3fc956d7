"""A mutant of C or Python, and the list of those judged to change no meaning (corpus/equivalent.toml)."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from harness.errors import CannotRun
from harness.known import CORPUS

JUDGED = CORPUS / "equivalent.toml"
_KEYS = {"of", "function", "ids", "why"}


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
        return f"{self.id} {self.file}:{self.line}: {self.function}: {self.change} in: {self.text}"

    @cached_property
    def id(self) -> str:
        """12 hex digits that name it as long as its line reads as it does, wherever that line is."""
        what = "\0".join((self.of, self.function, self.text, self.change, str(self.nth)))
        return sha256(what.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Judgement:
    """Mutants of a function, by their ids, that change nothing that anybody can see, and why."""

    of: str
    function: str
    ids: frozenset[str]
    why: str


def judgements(path: Path = JUDGED) -> list[Judgement]:
    """The judgements of a list. Raises CannotRun for a list that cannot be read."""
    try:
        tables = tomllib.loads(path.read_text())["mutant"]
        for table in tables:
            if set(table) != _KEYS:
                raise ValueError(f"an entry has {', '.join(sorted(_KEYS))}, this one has {', '.join(sorted(table))}")
        return [Judgement(t["of"], t["function"], frozenset(t["ids"]), t["why"]) for t in tables]
    except (OSError, tomllib.TOMLDecodeError, ValueError, TypeError, KeyError) as error:
        raise CannotRun(f"{path}: not a list of judged mutants: {error}") from error


def judge(mutants: Iterable[Mutant], entries: Iterable[Judgement]) -> dict[Mutant, Judgement]:
    """The judgement of each mutant that has one."""
    by_id = {(entry.of, mutant): entry for entry in entries for mutant in entry.ids}
    return {mutant: by_id[mutant.of, mutant.id] for mutant in mutants if (mutant.of, mutant.id) in by_id}
