"""skdiff keep."""

import argparse

from skdiff.base.paths import command, need_checkout, shell_path
from skdiff.cases.case_file import parse, read_text, told
from skdiff.cases.find_cases import file
from skdiff.commands import arguments as common
from skdiff.commands.output import AGREED, say, show
from skdiff.findings import keep_cases
from skdiff.oracles.model import Model

NAME = "keep"
HELP = "move a finding into corpus/regressions"
DESCRIPTION = "Move a finding into corpus/regressions, with what the model expects of it."
EXIT_CODES = "0 moved; 2 could not"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See commands/interface.py."""
    common.add_build(parser)
    parser.add_argument(
        "path", type=common.path, metavar="FINDING", help="its case.toml, or its folder, or - for standard input"
    )
    parser.add_argument("--name", required=True, help="the name of its file there, without .toml")
    parser.add_argument("--why", default="", help="the story in a sentence or two")


def run(arguments: argparse.Namespace) -> int:
    """See commands/interface.py."""
    need_checkout("keep")
    path = file(arguments.path)
    text = read_text(path)
    parse(text, told(path))  # what is no case is said before a kernel is built
    build = common.build_options(arguments).build(arguments.kernel, say=say)
    target = keep_cases.keep(path, arguments.name, arguments.why, Model(build.rules, build.config), text)
    show(f"kept as {target}; replay: {command()} replay {shell_path(target)}")
    return AGREED
