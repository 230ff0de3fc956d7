"""Folders for what is needed during a run. Those that killed runs have left go when the next one makes its own."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX, _LOCK = "skdiff-scratch-", ".in-use"
_YOUNG = 60.0  # seconds: somebody may not have locked it yet


@contextmanager
def scratch() -> Iterator[Path]:
    """An empty folder of this run alone, which is gone afterwards. Raises OSError if there is no room for one."""
    _remove_left()
    with tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as name:
        folder = Path(name, "of-this-run")
        folder.mkdir()
        with Path(name, _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder


def _remove_left() -> None:
    """Who is killed holds no lock any more."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            told = folder.stat()
            if told.st_uid != os.geteuid() or time.time() - told.st_mtime < _YOUNG:
                continue
            with (folder / _LOCK).open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
