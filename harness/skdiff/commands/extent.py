"""The arguments of `sweep` and `diff --sweep` that say which small tables are asked."""

import argparse

from skdiff.commands import arguments as common
from skdiff.runs.table_run import Extent

SOCKETS, MOST_SOCKETS = 2, 3


def add_extent(parser: argparse.ArgumentParser, told: str = "") -> None:
    """Which small tables a sweep is of; `told` says for which option of a command that does more than that."""
    parser.add_argument(
        "--sockets",
        type=_sockets,
        metavar="N",
        help=f"{told}tables of up to N sockets, {MOST_SOCKETS} at most, which takes hours (default: {SOCKETS})",
    )
    parser.add_argument(
        "--part",
        type=_part,
        metavar="K/N",
        help=f"{told}the tables of one part of N alone; all parts together have each table once (default: 1/1)",
    )
    parser.add_argument(
        "--jobs",
        type=common.count,
        metavar="N",
        help=f"{told}number of worker processes (default: one for each processor)",
    )
    parser.add_argument(
        "--state",
        type=common.path,
        metavar="FILE",
        help=f"{told}note in FILE what is done, and go on behind it (default: a file for each sweep in build/sweeps)",
    )


def extent_of(arguments: argparse.Namespace) -> Extent:
    """The small tables that are wanted."""
    part, parts = arguments.part or (1, 1)
    return Extent(arguments.sockets or SOCKETS, part, parts, arguments.jobs or 0, arguments.state)


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
