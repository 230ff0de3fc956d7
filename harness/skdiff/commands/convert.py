"""skdiff convert."""

import argparse

from skdiff.base.errors import CannotRun
from skdiff.cases import raw_format, words_writing
from skdiff.cases.case_file import in_words, parse, read_text, told
from skdiff.cases.find_cases import NAMING, file
from skdiff.commands import arguments as common
from skdiff.commands.output import AGREED, console

NAME = "convert"
HELP = "write a case in the other of its two formats"
DESCRIPTION = (
    "Write a case on standard output, in words or raw: see docs/cases.md. Comments are lost. What cannot be said"
    " exactly in words stays raw, and the reason is told."
)
EXIT_CODES = "0 written; 2 it cannot be said exactly in words, or cannot be read"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See commands/interface.py."""
    parser.add_argument("path", type=common.path, metavar="FILE", help=f"a case. {NAMING}")
    parser.add_argument("--to", choices=("words", "raw"), help="the format (default: the one that it is not in)")


def run(arguments: argparse.Namespace) -> int:
    """See commands/interface.py."""
    path = file(arguments.path)
    text = read_text(path)
    case = parse(text, told(path))
    to_words = arguments.to == "words" if arguments.to else not in_words(text)
    try:
        made = words_writing.dump(case) if to_words else raw_format.dump(case)
    except words_writing.NotInWords as error:
        raise CannotRun(f"{told(path)}: it cannot be said exactly in words: {error}") from error
    console.print(made, markup=False, soft_wrap=True, end="")
    return AGREED
