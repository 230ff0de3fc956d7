"""Folders of built things: made in one step, and made anew when a file in them was cut, changed or lost."""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from skdiff.base.errors import CannotRun
from skdiff.base.files import read_json, write_json

HASHES = "hashes.json"  # SHA-256 (hex) of each file of the folder, by its path there


def is_whole(folder: Path) -> bool:
    """Whether a folder is there with all its files as they were when it was made. A cut library does not only fail to
    load: it can end the process with a bus error.
    """
    try:
        hashes = read_json(folder / HASHES, dict[str, str], "a list of hashes")
        return bool(hashes) and all(_sha256(folder / name) == wanted for name, wanted in hashes.items())
    except (OSError, CannotRun):
        return False


@contextmanager
def filled(folder: Path) -> Iterator[Path]:
    """An empty folder to work in, which takes the place of `folder` at the end; nothing is left after an error. Another
    process may do the same at the same time: the first one's stays, if it is whole.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-", ignore_cleanup_errors=True) as name:
        work = Path(name) / "build"
        work.mkdir()
        yield work
        files = (path for path in sorted(work.rglob("*")) if path.is_file())
        hashes = {str(path.relative_to(work)): _sha256(path) for path in files}
        write_json(work / HASHES, hashes)
        try:
            work.rename(folder)
        except OSError:
            if not is_whole(folder):
                folder.rename(Path(name) / "damaged")
                work.rename(folder)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
