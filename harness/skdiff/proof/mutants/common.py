"""A mutant of C or Python, and the list of those judged to change no meaning (corpus/equivalent.toml)."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Literal

import msgspec

from skdiff.base.files import read_toml
from skdiff.base.paths import CORPUS
from skdiff.variants.config import MINIMAL, Config

JUDGED = CORPUS / "equivalent.toml"
OF_KERNEL = ("c", "driver")  # mutants of C, which differ from kernel to kernel
LISTED = ("6.1", "6.12", "7.3")  # the series that the lists of judged mutants and of unreached lines are made for


@dataclass(frozen=True)
class Mutant:
    """One change in one place: `of` is "c", "driver", "model" or "harness"; `line` is 1-based in `file`, `text` that
    line as it stands, without the blanks around it; `change` says "before -> after"; `nth` counts those of a function
    that are the same in all of this (from 0).
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


# Why nobody sees something: by the rules of the language, by a fact of the lookup, or because nobody looks there.
Kind = Literal["language", "lookup", "unseen"]
UNSEEN: Kind = "unseen"


class Judgement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Mutants of a function, by their ids, that change nothing that anybody can see, of what kind that is, and why;
    `kernels` are the series of LISTED whose text has them, `needs` is what would see those that are unseen. Those of
    the configuration "minimal" are alive in that one alone.
    """

    of: str
    function: str
    ids: frozenset[str]
    kind: Kind
    why: str
    kernels: tuple[str, ...] = LISTED
    needs: str = ""
    config: Literal["", "minimal"] = ""

    def __post_init__(self) -> None:
        check_listed(self.kernels)
        check_needs(self.kind, self.needs)


class _List(msgspec.Struct, forbid_unknown_fields=True):
    mutant: list[Judgement]


def judgements(path: Path = JUDGED) -> list[Judgement]:
    """The judgements of a list. Raises BadFile for a list that cannot be read."""
    return read_toml(path, _List, "a list of judged mutants").mutant


def check_needs(kind: Kind, needs: str) -> None:
    """Raises ValueError where what is unseen does not say what would see it, or something else does."""
    if (kind == UNSEEN) != bool(needs):
        raise ValueError('what is "unseen", and nothing else, says what it `needs` to be seen')


def check_listed(kernels: tuple[str, ...]) -> None:
    """Raises ValueError unless the kernels that an entry is for are some of LISTED."""
    if not kernels or set(kernels) - set(LISTED):
        raise ValueError(f"kernels = {list(kernels)}: some of {', '.join(LISTED)}")


def series(version: str) -> str:
    """The series of a kernel's version: "6.12" of "6.12.117"."""
    return ".".join(version.split(".")[:2]).partition("-")[0]


def judgements_for(entries: Iterable[Judgement], version: str, config: Config = Config()) -> list[Judgement]:  # noqa: B008
    """The judgements that hold for a kernel of this version: those for its series, all where nobody has judged it; and
    all of those for everything off, where that or something else is off.
    """
    return [
        entry
        for entry in entries
        if entry.of not in OF_KERNEL or holds_for(entry.kernels, entry.config, version, config)
    ]


def holds_for(kernels: tuple[str, ...], minimal: str, version: str, config: Config) -> bool:
    """Whether what is listed for some series, and perhaps for everything off alone, holds for a kernel of this version
    and its configuration.
    """
    of = series(version)
    return (of not in LISTED or of in kernels) and not (minimal and config == Config())


def is_listed(version: str, config: Config = Config()) -> bool:  # noqa: B008
    """Whether somebody has judged what is alive or unreached in a kernel and its configuration."""
    return series(version) in LISTED and config in (Config(), MINIMAL)


def judge(mutants: Iterable[Mutant], entries: Iterable[Judgement]) -> dict[Mutant, Judgement]:
    """The judgement of each mutant that has one."""
    by_id = {(entry.of, mutant): entry for entry in entries for mutant in entry.ids}
    return {mutant: by_id[mutant.of, mutant.id] for mutant in mutants if (mutant.of, mutant.id) in by_id}
