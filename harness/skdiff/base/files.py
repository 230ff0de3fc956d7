"""Files that are written whole or not at all."""

import contextlib
import os
from pathlib import Path

SCHEMA = 1  # of the --json files: more than 1 once a key means something else, or is gone


def write_whole(path: Path, text: str, over: bool = True) -> bool:
    """Write a file whole or not at all; returns whether it did. Unless `over`, a file that is there already stays."""
    fresh = path.with_suffix(f"{path.suffix}.{os.getpid()}.new")
    try:
        with fresh.open("w", errors="replace") as file:  # a path that is quoted need not be UTF-8
            file.write(text)
            file.flush()
            with contextlib.suppress(OSError):  # not every file system can
                os.fsync(file.fileno())
        if not over:
            try:
                path.hardlink_to(fresh)  # unlike a new name, a link never takes another file's place
                return True
            except FileExistsError:
                return False
            except OSError:  # not every file system can
                if path.exists():
                    return False
        fresh.replace(path)
        return True
    finally:
        fresh.unlink(missing_ok=True)
