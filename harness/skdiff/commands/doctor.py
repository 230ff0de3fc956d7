"""skdiff doctor."""

import argparse

from skdiff.commands import arguments as common
from skdiff.commands.output import AGREED, NO_VERDICT, console, say
from skdiff.kernel.build import Build
from skdiff.proof import doctor as examination

NAME = "doctor"
HELP = "check which tools are here, and whether guided fuzzing works"
DESCRIPTION = "Check which tools are here and which are missing, and whether coverage and mutation reach libFuzzer."
EXIT_CODES = "0 all that is needed is here and works; 2 something is missing"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See commands/interface.py."""
    common.add_build(parser)


def run(arguments: argparse.Namespace) -> int:
    """See commands/interface.py."""
    options = common.build_options(arguments)

    def make(guided: bool = False) -> Build:
        return options.build(arguments.kernel, guided=guided, say=say)

    return AGREED if examination.show(console, examination.examine(make)) else NO_VERDICT
