"""skdiff mutants."""

import argparse

from skdiff.base.errors import CannotRun
from skdiff.commands import arguments as common
from skdiff.commands.output import AGREED, DIFFERENCE, console, errors, say, show, write_json
from skdiff.proof.mutants import hunt, score_all
from skdiff.proof.mutants import report as mutant_report

NAME = "mutants"
HELP = "measure how many small changes of kernel, model and harness are noticed"
DESCRIPTION = (
    "Mutation testing: make thousands of small changes, one at a time, and count those that nothing notices. Changes of"
    " the kernel's text of the lookup (c), and of the driver, the stubs and the kernel's functions that fill the tables"
    " (driver), must be noticed by the corpus or by random cases, those of the model by the corpus, those of the"
    " harness by its tests."
)
EXIT_CODES = "0 enough are noticed; 1 too few are; 2 could not run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See commands/interface.py."""
    common.add_kernel(parser)
    common.add_config(parser)
    common.add_json(parser)
    parser.add_argument("of", nargs="*", metavar="c|driver|model|harness", help="whose mutants (default: c and model)")
    parser.add_argument(
        "--seeds",
        type=common.number,
        default=hunt.SEEDS,
        metavar="N",
        help="seeds of random cases for c; 0: the corpus alone, and for c without small tables (default: %(default)s)",
    )
    parser.add_argument(
        "--cases",
        type=common.number,
        default=hunt.CASES,
        metavar="N",
        help="cases of each seed (default: %(default)s)",
    )
    parser.add_argument(
        "--keep",
        type=common.path,
        metavar="DIR",
        help="write reduced cases to DIR that notice what the corpus does not",
    )


def run(arguments: argparse.Namespace) -> int:
    """See commands/interface.py."""
    of = arguments.of or ["c", "model"]
    for word in of:
        if word not in score_all.OF:
            raise CannotRun(f"no mutants of {word!r}: one of {', '.join(score_all.OF)}")
    options = common.build_options(arguments)
    request = score_all.CMutants(arguments.kernel, options, arguments.seeds, arguments.cases, arguments.keep)
    summary = mutant_report.MutantsSummary(mutants=[])
    for result in score_all.score_all(of, request, errors, say):
        mutant_report.show(console, result.report, result.what)
        for line in result.notes:
            show(line)
        summary.add(result.report)
    write_json(arguments, summary)
    return AGREED if summary.good else DIFFERENCE
