"""skdiff bench."""

import argparse

from skdiff.commands import arguments as common
from skdiff.commands.output import AGREED, console, say, write_json
from skdiff.proof import bench as benchmark

NAME = "bench"
HELP = "measure where the time of a case goes"
DESCRIPTION = "Measure where the time of a case goes, and how much more workers do (about four minutes)."
EXIT_CODES = "0 measured; 2 could not"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See commands/interface.py."""
    common.add_build(parser)
    common.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """See commands/interface.py."""
    options = common.build_options(arguments)
    result = benchmark.measure_all(lambda guided: options.build(arguments.kernel, guided=guided, say=say), say)
    write_json(arguments, result)
    benchmark.show(console, result)
    return AGREED
