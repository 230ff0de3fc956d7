"""skdiff rules."""

import argparse

from skdiff.commands import arguments as common
from skdiff.commands.output import AGREED, DIFFERENCE, say, show, write_json
from skdiff.kernel import rule_table

NAME = "rules"
HELP = "list the rules in which kernel versions differ"
DESCRIPTION = (
    "List the rules in which kernel versions differ, each with where it comes from; with --kernel also whether that"
    " kernel's version should have it, and whether its text has it. Nothing is built."
)
EXIT_CODES = "0 listed; 1 the kernel lacks a rule that its version should have; 2 could not run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See commands/interface.py."""
    parser.add_argument("--kernel", metavar="K", help="compare the rules with those of a version or source tree")
    common.add_stubs(parser)
    common.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """See commands/interface.py."""
    if arguments.kernel:
        table, label = rule_table.of_kernel(arguments.kernel, common.build_options(arguments).stubs, say)
        show(label)
    else:
        table = rule_table.of_all()
    for line in table.lines():
        show(line)
    write_json(arguments, table)
    return DIFFERENCE if table.missing else AGREED
