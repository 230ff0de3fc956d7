"""skdiff new."""

import argparse

from skdiff.base.errors import CannotRun
from skdiff.base.files import write_whole
from skdiff.base.paths import command, shell_path
from skdiff.cases.case_file import parse
from skdiff.cases.find_cases import STDIN
from skdiff.cases.template import TEMPLATE
from skdiff.commands import arguments as common
from skdiff.commands.output import AGREED, console, show

NAME = "new"
HELP = "write a commented case to begin with"
DESCRIPTION = (
    "Write a case to begin with: a packet and two listeners, and in comments what else there is. Edit it, and let"
    " `skdiff explain` tell who gets the packet."
)
EXIT_CODES = "0 written; 2 there is a file of that name, or it cannot be written"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See commands/interface.py."""
    parser.add_argument(
        "path", nargs="?", type=common.path, metavar="PATH", help="the file to write (default: standard output)"
    )


def run(arguments: argparse.Namespace) -> int:
    """See commands/interface.py."""
    parse(TEMPLATE)
    path = arguments.path
    if path is None or path == STDIN:
        console.print(TEMPLATE, markup=False, soft_wrap=True, end="")
        return AGREED
    try:
        written = write_whole(path, TEMPLATE, over=False)
    except OSError as error:
        raise CannotRun(f"cannot write {path}: {error.strerror}") from error
    if not written:
        raise CannotRun(f"{path} is there already: choose another name")
    show(f"{path} is written; who gets the packet: {command()} explain {shell_path(path)}")
    return AGREED
