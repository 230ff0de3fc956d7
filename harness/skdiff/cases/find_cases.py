"""The files of cases that are meant by paths of files and folders."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from skdiff.base.errors import CannotRun
from skdiff.base.paths import CORPUS


def files(paths: Sequence[Path]) -> Iterator[Path]:
    """The case files that are meant by files and folders; the corpus if there are none. Raises CannotRun."""
    for path in paths or [CORPUS]:
        if path.is_dir():
            cases = [found for found in sorted(path.rglob("*.toml")) if found.parent != CORPUS]  # lists are there
            if not cases:
                raise CannotRun(f"{path}: no case (*.toml) in that folder")
            yield from cases
        elif path.exists():
            yield path
        else:
            raise CannotRun(f"{path}: no such file or folder")
