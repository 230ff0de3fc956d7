"""skdiff merge."""

import argparse
import signal

from skdiff.base import signals
from skdiff.base.errors import CannotRun
from skdiff.campaign import merge_inputs
from skdiff.commands import arguments as common
from skdiff.commands.output import AGREED, say, show, write_json
from skdiff.engines import atheris_engine

NAME = "merge"
HELP = "merge folders of inputs, and keep the few that reach as much"
DESCRIPTION = "Merge folders of inputs of guided runs into the first one, and leave there the few that reach as much."
EXIT_CODES = "0 merged; 2 could not, and nothing was lost"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See commands/interface.py."""
    common.add_kernel(parser)
    common.add_config(parser)
    common.add_json(parser)
    parser.add_argument("into", type=common.path, metavar="DIR", help="a folder of `fuzz --inputs`; it is changed")
    parser.add_argument(
        "sources", nargs="*", type=common.path, metavar="FROM", help="more such folders; they are only read"
    )


def run(arguments: argparse.Namespace) -> int:
    """See commands/interface.py."""
    if not atheris_engine.available():
        raise CannotRun(
            "merging needs libFuzzer, which comes with atheris; install atheris, if there is one for this Python"
        )
    build = common.build_options(arguments).build(arguments.kernel, guided=True, say=say)
    signals.install_handlers(signal.default_int_handler)  # what it has started ends with it
    merged = merge_inputs.merge(build, arguments.into, arguments.sources, say)
    show(f"{merged.after:,} of {merged.before:,} inputs reach the same {merged.edges} edges of the C: {arguments.into}")
    write_json(arguments, merged)
    return AGREED
