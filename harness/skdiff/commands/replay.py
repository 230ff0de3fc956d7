"""skdiff replay."""

import argparse

from skdiff.cases.find_cases import NAMING, files
from skdiff.commands import arguments as common
from skdiff.commands.output import AGREED, DIFFERENCE, NO_VERDICT, console, say, say_all, write_json
from skdiff.findings import replay_cases
from skdiff.findings.replay_reports import REPORTS

NAME = "replay"
HELP = "run cases from files again"
DESCRIPTION = "Run cases from files again: kernel and model must agree about each, and do what its [expect] says."
EXIT_CODES = "0 all agreed; 1 one differs, or not as it expects; 2 could not run, or a file cannot be read"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See commands/interface.py."""
    common.add_build(parser)
    common.add_json(parser)
    parser.add_argument(
        "paths",
        nargs="*",
        type=common.path,
        metavar="PATH",
        default=[],
        help=f"files or folders (default: the corpus). {NAMING}",
    )
    parser.add_argument(
        "--format",
        choices=REPORTS,
        default="text",
        help="what to print: text, for people; ktap, the kernel's test output; junit, XML for CI services (default:"
        " %(default)s)",
    )
    common.add_first(parser)


def run(arguments: argparse.Namespace) -> int:
    """See commands/interface.py."""
    paths = files(arguments.paths)
    options = common.build_options(arguments)
    reference = options.build(arguments.kernel, say=say)
    say_all(reference.unused_stubs)
    words = options.kernel_words(arguments.kernel)
    result = replay_cases.replay(
        paths,
        reference,
        words,
        REPORTS[arguments.format](console),
        say,
        lambda: options.build(arguments.kernel, "traced", say=say),
        arguments.first,
    )
    write_json(arguments, result)
    if any(case.verdict == "unreadable" for case in result.wrong) or result.nothing_looked_at:
        return NO_VERDICT
    return DIFFERENCE if result.wrong else AGREED
