"""skdiff report."""

import argparse
from pathlib import Path

from skdiff.commands import arguments as common
from skdiff.commands.output import AGREED, show, write
from skdiff.nightly import page, summaries

NAME = "report"
HELP = "make an HTML page of the summaries of runs"
DESCRIPTION = (
    "Make one HTML page of the summaries (--json files) and findings in a folder; each folder in it is a night."
)
EXIT_CODES = "0 wrote the page; 2 could not"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See commands/interface.py."""
    parser.add_argument("folder", type=common.path, metavar="DIR", help="where the --json files and the findings are")
    parser.add_argument("-o", "--output", type=common.path, metavar="PAGE", help="the page (default: DIR/report.html)")
    parser.add_argument(
        "--issues",
        type=common.path,
        metavar="DIR",
        help="write an issue text to DIR for each signature that is new in the last night",
    )


def run(arguments: argparse.Namespace) -> int:
    """See commands/interface.py."""
    write_page(arguments.folder, arguments.output or arguments.folder / "report.html", arguments.issues)
    return AGREED


def write_page(folder: Path, out: Path, issues: Path | None) -> None:
    """Write the page of a folder of nights, and the issues of the newest one. Raises CannotRun."""
    text, line = page.page(folder)
    write(out, text)
    for finding in summaries.fresh(summaries.collect(folder)[0], folder) if issues is not None else ():
        assert issues is not None
        path = issues / f"{finding.signature[:120]}-{finding.summary.file_name}.md"
        write(path, summaries.issue(finding), folder=True)
        show(f"issue: {path}")
    show(f"{line}: {out}")
