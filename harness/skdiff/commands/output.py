"""Where commands print, what their exit codes mean, and the files that they write."""

import argparse
import os
from collections.abc import Iterable
from pathlib import Path

from msgspec import structs
from rich.console import Console, ConsoleDimensions

from skdiff.base.errors import CannotRun
from skdiff.base.files import to_json, write_whole
from skdiff.base.summary import Summary

AGREED, DIFFERENCE, NO_VERDICT = 0, 1, 2


_WIDE = 100_000  # columns


class _Console(Console):
    @property
    def size(self) -> ConsoleDimensions:
        """That of a terminal; elsewhere a line is as long as it is, for who searches it."""
        size = super().size
        return size if self.is_terminal else ConsoleDimensions(_WIDE, size.height)

    @size.setter
    def size(self, new: tuple[int, int]) -> None:
        self._width, self._height = new

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


def show_all(lines: Iterable[str]) -> None:
    """Some lines of the result."""
    for line in lines:
        show(line)


def say(text: str) -> None:
    """A line of progress, on stderr."""
    errors.print(text, markup=False, soft_wrap=True)


def say_all(lines: Iterable[str]) -> None:
    """Some lines of progress."""
    for line in lines:
        say(line)


def write_json(arguments: argparse.Namespace, summary: Summary) -> None:
    """Write a command's summary where its --json wants one. Raises CannotRun."""
    if arguments.json is not None:
        write_summary(arguments.json, arguments, summary)


def write_summary(path: Path, arguments: argparse.Namespace, summary: Summary) -> None:
    """Write a summary, which names the command and the time of its start. Raises CannotRun."""
    whole = structs.replace(summary, command=arguments.command, started=arguments.started)
    write(path, to_json(whole, indent=1) + "\n")


def ended(arguments: argparse.Namespace, summary: Summary, differs: bool, complete: bool) -> int:
    """The exit code of a run, whose summary is written: a difference counts for more than one that cannot be, and than
    what was not looked at. Raises CannotRun.
    """
    try:
        write_json(arguments, summary)
    except CannotRun as error:
        if not differs:
            raise
        say(f"skdiff: {error}")
    if differs:
        return DIFFERENCE
    return AGREED if complete else NO_VERDICT


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
