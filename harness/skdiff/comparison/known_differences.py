"""Differences that are known: counted and not reported, as long as they are still there (corpus/known.toml)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from skdiff.base.files import read_toml
from skdiff.base.paths import CORPUS
from skdiff.variants.version_rules import numbers

KNOWN = CORPUS / "known.toml"


@dataclass(frozen=True)
class Known:
    """One entry: a `signature` (see `matches`), the kernels that show it ("6.1" to "6.5", both included, as
    versions), the reason, a link, and the `case` that reproduces it, a path relative to the list.
    """

    signature: str
    kernels: tuple[str, str]
    reason: str
    link: str
    case: Path

    def covers(self, version: str) -> bool:
        """Whether a kernel's version is in the entry's range; 6.1 covers all of 6.1.x."""
        first, last = (numbers(end) for end in self.kernels)
        ours = numbers(version)
        return first <= ours and ours[: len(last)] <= last


def load(path: Path = KNOWN) -> list[Known]:
    """The entries of a list; none if there is no list. Raises BadFile for one that cannot be read."""
    if not path.exists():
        return []
    found = read_toml(path, _List, "a list of known differences").known
    return [Known(e.signature, e.kernels, e.reason, e.link, path.parent / e.case) for e in found]


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    signature: str
    kernels: tuple[str, str]
    reason: str
    link: str
    case: str


class _List(msgspec.Struct, forbid_unknown_fields=True):
    known: tuple[_Entry, ...] = ()


class Signed(Protocol):
    """What has the name of a cause, and the ways in which its cases show it."""

    signature: str
    ways: dict[str, int]


F = TypeVar("F", bound=Signed)


def matches(name: str, ways: Collection[str], signatures: Collection[str]) -> bool:
    """Whether a cause that shows in these ways is listed: by its name, FUNCTION or without-RULE, or each of its ways by
    a signature of before, FUNCTION-WAY or without-RULE-FUNCTION-WAY. Such an entry is about that way alone.
    """
    if name in signatures:
        return True
    listed = {
        way
        for of, _, way in (signature.rpartition("-") for signature in signatures)
        if of == name or (name.startswith("without-") and of.startswith(f"{name}-"))
    }
    return bool(ways) and listed.issuperset(ways)


def split(mismatches: Sequence[F], entries: Sequence[Known], version: str) -> tuple[list[F], list[F]]:
    """(new, known) findings of a run on a kernel of that version."""
    signatures = {entry.signature for entry in entries if entry.covers(version)}
    known = [m for m in mismatches if matches(m.signature, m.ways, signatures)]
    return [m for m in mismatches if m not in known], known
