"""skdiff sweep."""

import argparse
from pathlib import Path

from skdiff.commands import arguments as common
from skdiff.commands.extent import add_extent, extent_of
from skdiff.commands.finding_reports import show_reports
from skdiff.commands.output import console, ended, errors, say
from skdiff.runs import table_text
from skdiff.runs.table_run import SweepRequest, sweep

NAME = "sweep"
HELP = "compare kernel and model on every small table"
DESCRIPTION = (
    "Compare the kernel's lookup with the model on every table of a few sockets: all that a system can reach over a"
    " small domain, in which a rule can tell each value from the others. What no table has is told. A sweep that was"
    " stopped, or killed, goes on where it was with the same command."
)
EXIT_CODES = "0 they agree on all tables; 1 they differ; 2 could not run, or not all tables were asked"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See commands/interface.py."""
    common.add_build(parser)
    common.add_json(parser)
    common.add_lookup(parser)
    add_extent(parser)
    parser.add_argument(
        "--findings",
        type=common.path,
        default=Path("findings"),
        metavar="DIR",
        help="write the cases that differ to DIR (default: %(default)s)",
    )
    common.add_first(parser)


def run(arguments: argparse.Namespace) -> int:
    """See commands/interface.py."""
    request = SweepRequest(
        kernel=arguments.kernel,
        options=common.build_options(arguments),
        extent=extent_of(arguments),
        findings=arguments.findings,
        lookups=common.lookups_of(arguments),
        first=arguments.first,
    )
    summary = sweep(request, errors, say)
    show_reports(summary.mismatches)
    table_text.show(console, summary)
    return ended(arguments, summary, summary.differs, summary.complete)
