"""A mutant of C or Python, and the list of those judged to change no meaning (corpus/equivalent.toml)."""

import tomllib
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from skdiff.base.errors import CannotRun
from skdiff.base.paths import CORPUS

JUDGED = CORPUS / "equivalent.toml"
LISTED = ("6.1", "6.12", "7.3")  # the series that the lists of judged mutants and of unreached lines are made for
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
    """Mutants of a function, by their ids, that change nothing that anybody can see, and why; `kernels` are the series
    of LISTED whose text has them.
    """

    of: str
    function: str
    ids: frozenset[str]
    why: str
    kernels: tuple[str, ...] = LISTED


def judgements(path: Path = JUDGED) -> list[Judgement]:
    """The judgements of a list. Raises CannotRun for a list that cannot be read."""
    try:
        tables = tomllib.loads(path.read_text())["mutant"]
        for table in tables:
            check_keys(table, _KEYS)
        return [Judgement(t["of"], t["function"], frozenset(t["ids"]), t["why"], kernels_of(t)) for t in tables]
    except (OSError, tomllib.TOMLDecodeError, ValueError, TypeError, KeyError) as error:
        raise CannotRun(f"{path}: not a list of judged mutants: {error}") from error


def check_keys(table: Mapping[str, Any], needed: Set[str]) -> None:
    """Raises ValueError if an entry of a list has not these keys; `kernels` may stand beside them."""
    if set(table) - {"kernels"} != needed:
        raise ValueError(f"an entry has {', '.join(sorted(needed))}, this one has {', '.join(sorted(table))}")


def kernels_of(table: Mapping[str, Any]) -> tuple[str, ...]:
    """The series of LISTED that an entry is for: all, if it names none. Raises ValueError for another one."""
    kernels = tuple(table.get("kernels", LISTED))
    if not kernels or set(kernels) - set(LISTED):
        raise ValueError(f"kernels = {list(kernels)}: some of {', '.join(LISTED)}")
    return kernels


def series(version: str) -> str:
    """The series of a kernel's version: "6.12" of "6.12.117"."""
    return ".".join(version.split(".")[:2]).partition("-")[0]


def judgements_for(entries: Iterable[Judgement], version: str) -> list[Judgement]:
    """The judgements that hold for a kernel of this version: those for its series, all where nobody has judged it."""
    of = series(version)
    return [entry for entry in entries if entry.of != "c" or of not in LISTED or of in entry.kernels]


def judge(mutants: Iterable[Mutant], entries: Iterable[Judgement]) -> dict[Mutant, Judgement]:
    """The judgement of each mutant that has one."""
    by_id = {(entry.of, mutant): entry for entry in entries for mutant in entry.ids}
    return {mutant: by_id[mutant.of, mutant.id] for mutant in mutants if (mutant.of, mutant.id) in by_id}
