"""skdiff drift."""

import argparse

from skdiff.base.paths import need_checkout
from skdiff.commands import arguments as common
from skdiff.commands.output import AGREED, DIFFERENCE, console, say, show, write_json
from skdiff.kernel import drift as recorded
from skdiff.variants import version_rules

NAME = "drift"
HELP = "compare a kernel's text with a recorded one"
DESCRIPTION = (
    "Compare the text of a kernel's lookup with the record of another one: new, removed and changed definitions, rules,"
    " and names that are neither found nor stubbed. Nothing is built."
)
EXIT_CODES = "0 the same, or recorded; 1 the text differs; 2 could not run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See commands/interface.py."""
    common.add_kernel(parser)
    common.add_stubs(parser)
    common.add_json(parser)
    parser.add_argument("--record", action="store_true", help="write the record of this kernel instead of comparing it")
    parser.add_argument(
        "--against",
        type=common.path,
        metavar="FILE",
        help=f"the record, also the one to write (default: in corpus/{recorded.RECORDS.name}/; to compare, that of the"
        " nearest version)",
    )


def run(arguments: argparse.Namespace) -> int:
    """See commands/interface.py."""
    if arguments.record and not arguments.against:
        need_checkout("drift --record without --against FILE")
    before = recorded.load(arguments.against) if arguments.against and not arguments.record else None
    tree, now = recorded.record_of(arguments.kernel, say, common.build_options(arguments).stubs)
    if before is None and not arguments.record:
        before = recorded.load(recorded.nearest(tree.version))
    show(f"Linux {tree.version} ({tree.origin}), {version_rules.describe(now.rules)}")
    for line in version_rules.describe_doubts(now.rules, now.unknown_rules, tree.version):
        show(f"note: {line}")
    if before is None:
        path = arguments.against or recorded.RECORDS / f"{tree.version}{recorded.SUFFIX}"
        recorded.write(now, path)
        show(f"{len(now.definitions)} definitions recorded in {path}")
        written = recorded.RecordedSummary(version=tree.version, recorded=str(path), definitions=len(now.definitions))
        write_json(arguments, written)
        return AGREED
    found = recorded.drift(before, now, tree.origin)
    found.show(console)
    write_json(arguments, found)
    return DIFFERENCE if found else AGREED
