"""skdiff sweep."""

import argparse
from pathlib import Path

from skdiff.base.errors import CannotRun
from skdiff.commands import arguments as common
from skdiff.commands.finding_reports import show_reports
from skdiff.commands.output import console, ended, errors, say
from skdiff.runs import table_text
from skdiff.runs.table_run import Extent, SweepRequest, sweep

NAME = "sweep"
HELP = "compare kernel and model on every small table"
DESCRIPTION = (
    "Compare the kernel's lookup with the model on every table of a few sockets: all that a system can reach over a"
    " small domain, in which a rule can tell each value from the others. What no table has is told. A sweep that was"
    " stopped, or killed, goes on where it was with the same command."
)
EXIT_CODES = "0 they agree on all tables; 1 they differ; 2 could not run, or not all tables were asked"
SOCKETS, MOST_SOCKETS = 2, 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See commands/interface.py."""
    common.add_build(parser)
    common.add_json(parser)
    common.add_lookup(parser)
    parser.add_argument(
        "--sockets",
        type=_sockets,
        default=SOCKETS,
        metavar="N",
        help=f"tables of up to N sockets, {MOST_SOCKETS} at most, which takes hours (default: %(default)s)",
    )
    parser.add_argument(
        "--part",
        type=_part,
        default=(1, 1),
        metavar="K/N",
        help="the tables of one part of N alone; all parts together have each table once (default: 1/1)",
    )
    parser.add_argument(
        "--jobs",
        type=common.count,
        default=0,
        metavar="N",
        help="number of worker processes (default: one for each processor)",
    )
    parser.add_argument(
        "--state",
        type=common.path,
        metavar="FILE",
        help="note in FILE what is done, and go on behind it (default: a file for each sweep in build/sweeps)",
    )
    parser.add_argument(
        "--findings",
        type=common.path,
        default=Path("findings"),
        metavar="DIR",
        help="write the cases that differ to DIR (default: %(default)s)",
    )
    common.add_first(parser)


def _sockets(text: str) -> int:
    value = common.count(text)
    if value > MOST_SOCKETS:
        raise argparse.ArgumentTypeError(f"tables of {value} sockets are too many: {MOST_SOCKETS} at most")
    return value


def _part(text: str) -> tuple[int, int]:
    part, slash, parts = text.partition("/")
    if not slash:
        raise argparse.ArgumentTypeError(f"{text!r} is no part, as 3/16 is")
    found = common.count(part), common.count(parts)
    if found[0] > found[1]:
        raise argparse.ArgumentTypeError(f"{text}: there is no part {found[0]} of {found[1]}")
    return found


def run(arguments: argparse.Namespace) -> int:
    """See commands/interface.py."""
    part, parts = arguments.part
    if arguments.state is not None and arguments.state.is_dir():
        raise CannotRun(f"--state {arguments.state}: it is a folder")
    request = SweepRequest(
        kernel=arguments.kernel,
        options=common.build_options(arguments),
        extent=Extent(arguments.sockets, part, parts, arguments.jobs or common.processors(), arguments.state),
        findings=arguments.findings,
        lookups=common.lookups_of(arguments),
        first=arguments.first,
    )
    summary = sweep(request, errors, say)
    show_reports(summary.mismatches)
    table_text.show(console, summary)
    return ended(arguments, summary, summary.differs, summary.complete)
