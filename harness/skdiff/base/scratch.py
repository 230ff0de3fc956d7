"""Folders for what is needed during a run. Those that killed runs have left go when the next one makes its own."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "skdiff-scratch-"
_YOUNG = 60.0  # seconds: somebody may not have locked it yet


@contextmanager
def scratch() -> Iterator[Path]:
    """An empty folder of this run alone, which is gone afterwards. Raises OSError if there is no room for one."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # it is in use, or gone, or somebody else's
            _remove_if_left(folder)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as name, _locked(Path(name)):
        yield Path(name)


def _remove_if_left(folder: Path) -> None:
    """Who is killed holds no lock any more. Raises OSError if somebody does."""
    told = folder.stat()
    if told.st_uid == os.geteuid() and time.time() - told.st_mtime > _YOUNG:
        with _locked(folder):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(fd)
