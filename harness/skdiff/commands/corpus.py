"""skdiff corpus."""

import argparse

from skdiff.base.paths import need_checkout
from skdiff.cases.case_file import load
from skdiff.cases.find_cases import files
from skdiff.commands import arguments as common
from skdiff.commands.output import AGREED, say, show
from skdiff.findings import keep_cases
from skdiff.oracles.model import Model
from skdiff.oracles.reference import Reference

NAME = "corpus"
HELP = "work on the corpus: distill makes corpus/seeds a small covering set"
DESCRIPTION = (
    "distill: make corpus/seeds the small covering set of what is kept and of random cases, one case for each kind of"
    " answer of each kernel function."
)
EXIT_CODES = "0 done, 2 could not: then nothing is gone"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See commands/interface.py."""
    common.add_build(parser)
    parser.add_argument("action", choices=["distill"])
    parser.add_argument(
        "--cases", type=common.number, default=30000, metavar="N", help="random candidates (default: %(default)s)"
    )
    parser.add_argument("--seed", type=common.seed, default=0, metavar="N", help="of the candidates (default: 0)")


def run(arguments: argparse.Namespace) -> int:
    """See commands/interface.py."""
    need_checkout("corpus distill")
    build = common.build_options(arguments).build(arguments.kernel, "traced", say=say)
    reference, model = Reference(build), Model(build.rules, build.config)
    candidates = [load(path).scenario for path in files([])]
    candidates += keep_cases.drawn(arguments.cases, arguments.seed)
    say(f"distilling {len(candidates)} cases")
    chosen = keep_cases.distil(candidates, lambda scenario: keep_cases.features(reference, model, scenario))
    keep_cases.write_seeds(chosen, model)
    show(f"{len(chosen)} seeds of {len(candidates)} cases in {keep_cases.SEEDS}")
    return AGREED
