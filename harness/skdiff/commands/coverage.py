"""skdiff coverage."""

import argparse

from skdiff.commands import arguments as common
from skdiff.commands.output import AGREED, DIFFERENCE, console, say, show, write_json
from skdiff.proof import kernel_coverage
from skdiff.proof.corpus_coverage import measure

NAME = "coverage"
HELP = "show which lines and branches of the kernel's text the corpus reaches"
DESCRIPTION = (
    "Count which lines and branches of the kernel's text and of the model the corpus reaches, and which lines of the"
    " kernel's text random cases reach. HTML pages are written to the build folder."
)
EXIT_CODES = "0 all that can be reached is reached; 1 something is missing; 2 could not run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See commands/interface.py."""
    common.add_kernel(parser)
    common.add_config(parser)
    common.add_json(parser)
    parser.add_argument(
        "--cases",
        type=common.number,
        default=100_000,
        metavar="N",
        help="number of random cases; 0: the corpus alone (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """See commands/interface.py."""
    build = common.build_options(arguments).build(arguments.kernel, "coverage", say=say)
    result, page = measure(build, arguments.cases, say)
    kernel_coverage.show(console, result, f"Linux {build.tree.version}, the corpus")
    for place in result.model:
        show(f"not reached in the model: {place}")
    missed = len(result.model)
    show(f"The corpus reaches {f'all but {missed}' if missed else 'all'} lines and branches of the model.")
    if result.random is not None:
        show(f"{result.random.cases:,} random cases miss {len(result.random.missing)} lines and branches:")
        for line in result.random.missing:
            show(f"  {line}")
    show(f"pages: {page}")
    write_json(arguments, result)
    return AGREED if result.good and not missed else DIFFERENCE
