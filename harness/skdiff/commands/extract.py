"""skdiff extract."""

import argparse

from skdiff.commands import arguments as common
from skdiff.commands.output import AGREED, console, say, show, write_json
from skdiff.proof import extract_report
from skdiff.runs.fuzz_run import describe_build
from skdiff.variants import version_rules

NAME = "extract"
HELP = "show what is taken out of a kernel tree"
DESCRIPTION = "Show which definitions are taken out of the kernel tree, and which stubs replace the rest."
EXIT_CODES = "0 shown; 2 could not"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See commands/interface.py."""
    common.add_build(parser)
    common.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """See commands/interface.py."""
    options = common.build_options(arguments)
    build = options.build(arguments.kernel, say=say)
    report = extract_report.report(build, options.build(arguments.kernel, "coverage", say=say))
    write_json(arguments, report)
    extract_report.show(console, report)
    _, *notes = describe_build(build, options.epoch)
    for line in (f"rules: {version_rules.describe(build.rules)}", *notes):
        show(line)
    return AGREED
