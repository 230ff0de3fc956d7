"""skdiff corpus."""

import argparse

from skdiff.base.paths import need_checkout
from skdiff.commands import arguments as common
from skdiff.commands.output import AGREED, say, show
from skdiff.findings import keep_cases
from skdiff.oracles.model import Model
from skdiff.oracles.reference import Reference

NAME = "corpus"
HELP = "make corpus/seeds a small set that covers as much"
DESCRIPTION = (
    "distill: choose the cases of corpus/seeds anew, from the corpus and from random cases: few that together"
    " have each kind of answer of each kernel function."
)
EXIT_CODES = "0 done; 2 could not, and nothing was lost"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See commands/interface.py."""
    common.add_build(parser)
    parser.add_argument("action", choices=["distill"], metavar="distill", help="the only action")
    parser.add_argument(
        "--cases",
        type=common.number,
        default=30000,
        metavar="N",
        help="random candidates (default: %(default)s)",
    )
    parser.add_argument("--seed", type=common.seed, default=0, metavar="N", help="their seed (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """See commands/interface.py."""
    need_checkout("corpus distill")
    build = common.build_options(arguments).build(arguments.kernel, "traced", say=say)
    model = Model(build.rules, build.config)
    seeds, candidates = keep_cases.distil_corpus(Reference(build), model, arguments.cases, arguments.seed, say)
    show(f"{seeds} seeds of {candidates} cases in {keep_cases.SEEDS}")
    return AGREED
