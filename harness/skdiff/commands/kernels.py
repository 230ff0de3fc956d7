"""skdiff kernels."""

import argparse

from skdiff.commands import arguments as common
from skdiff.commands.output import AGREED, say, show, write_json
from skdiff.kernel import kernel_cache, list_kernels

NAME = "kernels"
HELP = "list the kernels that are cached, and those that can be fetched"
DESCRIPTION = "List the kernels that are cached, and those that --kernel can fetch here."
EXIT_CODES = "0 listed; 2 nothing can be listed"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See commands/interface.py."""
    common.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """See commands/interface.py."""
    found = list_kernels.listed(say)
    show(f"cached in {kernel_cache.folder()}: {'none' if not found.cached else ''}")
    for one in found.cached:
        show(f"  {one.asked}: Linux {one.version}, {one.origin}, {one.bytes / 1e6:.0f} MB, {one.date}")
    show(f"can be fetched: {found.trouble}")
    for series in found.offered:
        more = f"; point releases: {', '.join(series.sources)}" if series.sources else ""
        show(f"  {series.series}: {series.newest} from {series.place}{more}")
    if any(series.sources for series in found.offered):
        show("Debian's mirror may have dropped some of the older point releases.")
    write_json(arguments, found)
    return AGREED
