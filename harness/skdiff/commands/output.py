"""Where commands print, what their exit codes mean, and the files that they write."""

import argparse
import json
import os
from pathlib import Path
from typing import Any

from rich.console import Console

from skdiff.base.errors import CannotRun
from skdiff.base.files import SCHEMA, write_whole

AGREED, DIFFERENCE, NO_VERDICT = 0, 1, 2


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Nobody reads any more: the command does its work all the same, and its exit code says how that went."""
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.file.fileno())
        os.close(nowhere)


console = _Console(highlight=False)
errors = _Console(stderr=True, highlight=False)


def show(text: str) -> None:
    """A line of the result, on stdout."""
    console.print(text, markup=False, soft_wrap=True)


def say(text: str) -> None:
    """A line of progress, on stderr."""
    errors.print(text, markup=False, soft_wrap=True)


def write_json(arguments: argparse.Namespace, value: dict[str, Any]) -> None:
    """Write a command's summary where its --json wants one; it starts with its schema, the command and the time of its
    start (UTC, ISO 8601). Raises CannotRun.
    """
    if arguments.json is not None:
        write(arguments.json, summary_text(arguments, value))


def summary_text(arguments: argparse.Namespace, value: dict[str, Any]) -> str:
    """The text of a summary, which names its schema, the command and the time of its start."""
    head = {"schema": SCHEMA, "command": arguments.command, "started": arguments.started}
    return json.dumps({**head, **value}, indent=1) + "\n"


def write_last(arguments: argparse.Namespace, value: dict[str, Any], differs: bool) -> None:
    """The same at the end of a run: a difference counts for more than a summary that cannot be written. Raises
    CannotRun.
    """
    try:
        write_json(arguments, value)
    except CannotRun as error:
        if not differs:
            raise
        say(f"skdiff: {error}")


def write(path: Path, text: str, folder: bool = False) -> None:
    """Write a file, and make the `folder` that it is in. Raises CannotRun."""
    try:
        if folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file():  # a terminal, a pipe: nothing to put another file in the place of
            path.write_text(text)
        else:
            write_whole(path, text)
    except OSError as error:
        raise CannotRun(f"cannot write {path}: {error.strerror}") from error


def check_writable(path: Path) -> None:
    """Raises CannotRun if a file could not be written, before there is anything to write."""
    if path.is_dir():
        raise CannotRun(f"cannot write {path}: it is a folder")
    if not path.parent.is_dir():
        raise CannotRun(f"cannot write {path}: there is no folder {path.parent}")
    if not os.access(path if path.exists() and not path.is_file() else path.parent, os.W_OK):
        raise CannotRun(f"cannot write {path}: no permission")
