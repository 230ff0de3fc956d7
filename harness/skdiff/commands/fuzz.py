"""skdiff fuzz."""

import argparse

from skdiff.commands import arguments as common
from skdiff.commands.finding_reports import show_reports
from skdiff.commands.output import console, ended, errors, say
from skdiff.engines import ENGINES
from skdiff.runs import fuzz_text
from skdiff.runs.fuzz_run import FuzzRequest, fuzz

NAME = "fuzz"
HELP = "compare kernel and model on random scenarios"
DESCRIPTION = (
    "Compare the kernel's lookup with the model on random scenarios. Each difference is reduced, explained, and written"
    " as a case to the folder of findings."
)
EXIT_CODES = "0 they agree; 1 they differ; 2 could not run, or not all of the new text ran"
SECONDS = 60  # of a run, if nothing else is said


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See commands/interface.py."""
    common.add_build(parser, f"{common.DEFAULT_KERNEL}, or with --oracle that of the kernel that it asks")
    common.add_json(parser)
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        help="where scenarios come from: "
        + "; ".join(f"{name}, {entry.help}" for name, entry in ENGINES.items())
        + " (default: atheris if installed, else random; with --oracle random)",
    )
    common.add_oracle(parser)
    common.add_lookup(parser)
    common.add_budget(parser, SECONDS)
    common.add_first(parser)
    parser.add_argument(
        "--jobs",
        type=common.count,
        default=1,
        metavar="N",
        help="number of worker processes, each with its own seed, no more than cases; those of atheris share inputs"
        " (default: %(default)s)",
    )
    parser.add_argument(
        "--inputs",
        type=common.path,
        metavar="DIR",
        help="of atheris alone: start from the inputs in DIR, and keep new ones there",
    )
    parser.add_argument(
        "flags", nargs="*", metavar="-- FLAG", help="of atheris: flags of libFuzzer and folders of inputs, after a --"
    )


def run(arguments: argparse.Namespace) -> int:
    """See commands/interface.py."""
    request = FuzzRequest(
        kernel=common.kernel_of(arguments),
        options=common.build_options(arguments),
        engine=arguments.engine or "",
        seed=arguments.seed,
        cases=arguments.cases,
        seconds=common.seconds_of(arguments, SECONDS),
        jobs=arguments.jobs,
        findings=arguments.findings,
        inputs=arguments.inputs,
        flags=tuple(arguments.flags),
        lookups=common.lookups_of(arguments),
        oracle=arguments.oracle or "",
        first=arguments.first,
    )
    summary = fuzz(request, errors, say)
    show_reports(summary.mismatches)
    fuzz_text.show(console, summary)
    return ended(arguments, summary, summary.differs, summary.complete)
