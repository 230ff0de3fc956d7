"""Files that are written whole or not at all; and JSON and TOML, which are read and written nowhere else.

A value is read as a type (see msgspec's documentation): of another shape it is refused, in a line that names the file
and the key.
"""

import contextlib
import json
import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, overload

import msgspec

from skdiff.base.errors import CannotRun

T = TypeVar("T")


class BadFile(CannotRun):
    """A file that cannot be read, or is not what it should be: str() names it, the line or key, and what is wrong."""


def to_json(value: object, indent: int | None = None) -> str:
    """A value as JSON in ASCII. Not by msgspec.json, which refuses the name of a file that is not UTF-8."""
    return json.dumps(msgspec.to_builtins(value), indent=indent)


@overload
def from_json(text: str | bytes, kind: type[T]) -> T: ...
@overload
def from_json(text: str | bytes, kind: Any) -> Any: ...  # a union is no type for mypy
def from_json(text: str | bytes, kind: Any) -> Any:
    """A value of a type from JSON. Raises ValueError or RecursionError for text that is none, or not of this type."""
    return msgspec.convert(json.loads(text), kind, str_keys=True)


def from_toml(text: str, kind: type[T]) -> T:
    """A value of a type from TOML. Raises ValueError or RecursionError for text that is none, or not of this type."""
    return msgspec.convert(tomllib.loads(text), kind)


def read_json(path: Path, kind: type[T], what: str) -> T:
    """What a JSON file has; `what` says in errors what it should be. Raises BadFile, also where there is no file."""
    return _read(path, kind, what, from_json)


def read_toml(path: Path, kind: type[T], what: str) -> T:
    """The same of a TOML file."""
    return _read(path, kind, what, from_toml)


def _read(path: Path, kind: type[T], what: str, decode: Callable[[str, type[T]], T]) -> T:
    try:
        return decode(path.read_text("utf-8"), kind)
    except OSError as error:
        raise BadFile(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise BadFile(f"{path}: not {what}: {error}") from error


def write_json(path: Path, value: object) -> None:
    """Write a JSON file for people too, whole or not at all. Raises OSError."""
    write_whole(path, to_json(value, indent=1) + "\n")


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
