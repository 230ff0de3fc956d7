"""The command line: its grammar, and what becomes of what no command has caught. Exit codes: 0 agreed, 1 a difference,
2 no verdict.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from skdiff.base.errors import CannotRun
from skdiff.base.paths import INSTALLED, ROOT
from skdiff.commands import NAMES, load
from skdiff.commands.output import NO_VERDICT, check_writable, errors
from skdiff.kernel.compilation import SANITIZERS

# Texts as they are laid out here.
EPILOG = f"""\
`skdiff COMMAND --help` describes the options of a command and its exit codes: 0 agreed, 1 a difference, 2 no verdict.

environment:
  CC              the C compiler (default: gcc, else clang, else cc; for guided fuzzing clang first)
  SAN             {" or ".join(SANITIZERS)}: build the kernel's text with that sanitizer
  EPOCH           as --epoch, the rules that the model follows
  CONFIG          as --config, the configuration of the kernel's text
  SKDIFF_STUBS    as --stub, files separated by colons
  SKDIFF_GIT_WEB  a mirror of the kernel's git web
  XDG_CACHE_HOME  where kernels are cached, and builds if skdiff is installed (default: ~/.cache)
"""


class _Version(argparse.Action):
    """Prints the version, and of a checkout also its commit."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"skdiff {_version()}")
        parser.exit()


def _version() -> str:
    try:
        number = version("skdiff")
    except PackageNotFoundError:
        number = "(not installed)"
    if INSTALLED or not (ROOT / ".git").exists():  # the repository that an unpacked archive lies in is not skdiff's
        return number
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return number
    return f"{number}, commit {done.stdout.strip()}" if done.returncode == 0 else number


class _Parser(argparse.ArgumentParser):
    """A grammar that does not keep for itself that its help could not be written."""

    def _print_message(self, message: str, file: Any = None) -> None:
        if file is not sys.stdout:
            super()._print_message(message, file)
        elif message:
            with contextlib.suppress(BrokenPipeError):  # nobody reads any more
                file.write(message)


class _CommandParser(_Parser):
    """The grammar of a command: its options may stand anywhere between the rest, and what it does not know is refused
    with its own usage.
    """

    _within = False

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As argparse has it; the parsers of commands are called by that of skdiff."""
        if self._within or "--" in (args or ()):  # argparse cannot do both
            return super().parse_known_args(args, namespace)
        self._within = True
        try:
            found, left = self.parse_known_intermixed_args(args, namespace)
        finally:
            self._within = False
        if left:
            self.error(f"unrecognized arguments: {' '.join(left)}")
        return found, left


def parser(names: Sequence[str] = NAMES) -> argparse.ArgumentParser:
    """The command line's grammar, of the commands with these names."""
    top = _Parser(
        prog="skdiff",
        description="Differential fuzzing of the Linux kernel's socket lookup, of TCP and UDP over IPv4 and IPv6: the\n"
        "kernel's own C, taken out of a source tree, against a Python model of its rules.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action=_Version, nargs=0, help="show skdiff's version, and end")
    commands = top.add_subparsers(title="commands", dest="command", metavar="COMMAND", parser_class=_CommandParser)
    for command in map(load, names):
        sub = commands.add_parser(
            command.NAME,
            help=command.HELP,
            description=command.DESCRIPTION,
            epilog=f"exit codes: {command.EXIT_CODES}",
        )
        sub.set_defaults(run=command.run, json=None)
        command.add_arguments(sub)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    try:
        arguments = _arguments(argv)
        if arguments is None:
            return NO_VERDICT
        arguments.started = datetime.now(UTC).isoformat(timespec="seconds")
        _check_folder()
        if arguments.json is not None:
            check_writable(arguments.json)
        return int(arguments.run(arguments))
    except CannotRun as error:
        errors.print(f"skdiff: {error}", markup=False, soft_wrap=True)
    except KeyboardInterrupt:
        errors.print("skdiff: interrupted", markup=False)
    except OSError as error:  # most often a full disk
        errors.print(f"skdiff: {error}", markup=False, soft_wrap=True)
    except Exception as error:  # noqa: BLE001  # Python itself would end with 1, which says that the oracles differ
        errors.print("".join(traceback.format_exception(error)), markup=False, soft_wrap=True, end="")
        errors.print(f"skdiff: a fault of skdiff itself: {error!r}; please report it", markup=False, soft_wrap=True)
    return NO_VERDICT


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace | None:
    """What the command line says; None, and the help, for an empty one. Raises OSError for a help that cannot be
    written.
    """
    words = sys.argv[1:] if argv is None else argv
    grammar = parser(words[:1] if words and words[0] in NAMES else NAMES)
    try:
        arguments = grammar.parse_args(argv)
        if arguments.command is not None:
            return arguments
        grammar.print_help()
    except (SystemExit, OSError):
        _flush()
        raise
    _flush()
    return None


def _flush() -> None:
    """Write out what was printed. Raises OSError, and then there is nothing left that Python would try at its end; that
    nobody reads any more is no error.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        if not isinstance(error, BrokenPipeError):
            raise


def _check_folder() -> None:
    """Raises CannotRun if the current folder was removed: paths are relative to it."""
    try:
        Path.cwd()
    except OSError as error:
        raise CannotRun(f"the current folder is gone ({error.strerror}): change to one that is there") from error


if __name__ == "__main__":
    sys.exit(main())
