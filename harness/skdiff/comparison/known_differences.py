"""Differences that are known: counted and not reported, as long as they are still there (corpus/known.toml)."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from skdiff.base.errors import CannotRun
from skdiff.base.paths import CORPUS
from skdiff.variants.version_rules import numbers

KNOWN = CORPUS / "known.toml"
_KEYS = {"signature", "kernels", "reason", "link", "case"}


@dataclass(frozen=True)
class Known:
    """One entry: a `signature` (see triage.cause), the kernels that show it ("6.1" to "6.5", both included, as
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
    """The entries of a list; none if there is no list. Raises CannotRun for one that cannot be read."""
    if not path.exists():
        return []
    try:
        document = tomllib.loads(path.read_text())
        return [_entry(table, path.parent) for table in document.get("known", [])]
    except (OSError, tomllib.TOMLDecodeError, ValueError, TypeError, KeyError) as error:
        raise CannotRun(f"{path}: not a list of known differences: {error}") from error


def _entry(table: dict[str, Any], folder: Path) -> Known:
    if set(table) != _KEYS:
        raise ValueError(f"an entry has {', '.join(sorted(_KEYS))}, this one has {', '.join(sorted(table))}")
    first, last = table["kernels"]
    return Known(
        str(table["signature"]), (str(first), str(last)), table["reason"], table["link"], folder / table["case"]
    )


class Signed(Protocol):
    """What has the signature of a difference."""

    signature: str


F = TypeVar("F", bound=Signed)


def split(mismatches: Sequence[F], entries: Sequence[Known], version: str) -> tuple[list[F], list[F]]:
    """(new, known) findings of a run on a kernel of that version."""
    signatures = {entry.signature for entry in entries if entry.covers(version)}
    new = [m for m in mismatches if m.signature not in signatures]
    return new, [m for m in mismatches if m.signature in signatures]
