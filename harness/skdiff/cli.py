"""The command line: its grammar, and what becomes of what no command has caught. Exit codes: 0 agreed, 1 a difference,
2 no verdict.
"""

import argparse
import subprocess
import sys
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from skdiff.base.errors import CannotRun
from skdiff.base.paths import INSTALLED, ROOT
from skdiff.commands import COMMANDS
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


def parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    top = argparse.ArgumentParser(
        prog="skdiff",
        description="Differential fuzzing of the Linux kernel's IPv4 socket lookup: the kernel's own C, taken out\n"
        "of a source tree, against a Python model of its rules.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action=_Version, nargs=0, help="show skdiff's version, and end")
    commands = top.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    for command in COMMANDS:
        sub = commands.add_parser(
            command.NAME,
            help=command.HELP,
            description=command.DESCRIPTION,
            epilog=f"exit codes: {command.EXIT_CODES}",
        )
        sub.set_defaults(run=command.run, json=None)
        command.add_arguments(sub)
    top.set_defaults(commands=commands.choices)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    grammar = parser()
    arguments = grammar.parse_args(argv)
    if arguments.command is None:
        grammar.print_help()
        return NO_VERDICT
    arguments.started = datetime.now(UTC).isoformat(timespec="seconds")
    try:
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


if __name__ == "__main__":
    sys.exit(main())
