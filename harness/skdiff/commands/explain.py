"""skdiff explain."""

import argparse

from skdiff.base.paths import shell_path
from skdiff.cases.case_file import load
from skdiff.cases.find_cases import NAMING, file
from skdiff.commands import arguments as common
from skdiff.commands.output import AGREED, DIFFERENCE, console, say, say_all, show, write_json
from skdiff.findings import drawing
from skdiff.findings import explain as explanations
from skdiff.oracles.guarded import Guarded
from skdiff.oracles.model import Model

NAME = "explain"
HELP = "show which socket gets the packet of a case, and why"
DESCRIPTION = (
    "Show which socket gets the packet of a case, and why; if kernel and model differ, the first step at which they do."
)
EXIT_CODES = "0 kernel and model agree about it; 1 they differ; 2 could not run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See commands/interface.py."""
    common.add_build(parser)
    common.add_json(parser)
    parser.add_argument("path", type=common.path, metavar="FILE", help=f"a case, or the folder of a finding. {NAMING}")
    parser.add_argument(
        "--dot", type=common.path, metavar="FILE", help="draw the tables and the walked path, for Graphviz"
    )
    parser.add_argument("--svg", type=common.path, metavar="FILE", help="the same as a picture (needs Graphviz's dot)")


def run(arguments: argparse.Namespace) -> int:
    """See commands/interface.py."""
    path = file(arguments.path)
    case = load(path)
    build = common.build_options(arguments).build(arguments.kernel, "traced", say=say)
    with Guarded(build) as oracle:
        explained = explanations.explanation(case, oracle, Model(build.rules, build.config))
    write_json(arguments, explained.summary(build.told()))
    sides = drawing.sides(explained.parted)
    if arguments.dot is not None:
        drawing.draw(arguments.dot, case, sides)
    if arguments.svg is not None:
        drawing.draw(arguments.svg, case, sides, "svg")
    say_all(build.unused_stubs)
    show(build.title)
    explained.show(console)
    if again := case.again(shell_path(path)):
        show(f"\n{again}")
    return DIFFERENCE if explained.mismatch is not None else AGREED
