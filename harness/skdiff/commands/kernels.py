"""skdiff kernels."""

import argparse
from datetime import UTC, datetime
from typing import Any

from skdiff.base.errors import CannotRun
from skdiff.commands import arguments as common
from skdiff.commands.output import AGREED, say, show, write_json
from skdiff.kernel import debian, git_web, kernel_cache

NAME = "kernels"
HELP = "list the kernels that are cached, and those that can be fetched"
DESCRIPTION = "List the kernels that are cached, and those that --kernel can fetch here."
EXIT_CODES = "0 listed; 2 nothing can be listed"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See commands/interface.py."""
    common.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """See commands/interface.py."""
    cached, offered, trouble = _cached(), [], ""
    try:
        offered = _offered()
    except CannotRun as error:
        trouble = str(error)
    if not cached and not offered:
        raise CannotRun(trouble or "no kernel is cached, and none can be had")
    show(f"cached in {kernel_cache.folder()}: {'none' if not cached else ''}")
    for one in cached:
        line = f"  {one['asked']}: Linux {one['version']}, {one['origin']}, {one['bytes'] / 1e6:.0f} MB, {one['date']}"
        show(line)
    show(f"can be had: {trouble}")
    for series in offered:
        newest = f"{series['series']}: {series['newest']} from {series['from']}"
        more = ", ".join(series["sources"])
        more = f"; point releases: {more}" if more else ""
        show(f"  {newest}{more}")
    if any(series["sources"] for series in offered):
        show("Debian's mirror may have dropped some of the older point releases.")
    write_json(arguments, {"cached": cached, "offered": offered, "trouble": trouble})
    return AGREED


def _cached() -> list[dict[str, Any]]:
    found = []
    for path, known in kernel_cache.trees(kernel_cache.folder()):
        sizes = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        came = datetime.fromtimestamp((path / kernel_cache.MANIFEST).stat().st_mtime, UTC).date().isoformat()
        found.append(
            {
                "asked": known.kernel,
                "version": known.version,
                "origin": known.origin,
                "bytes": sizes,
                "date": came,
                "path": str(path),
            }
        )
    return found


def _offered() -> list[dict[str, Any]]:
    """Of each series the newest release, as `find` would take it, and the releases of source packages."""
    cache = kernel_cache.folder()
    with kernel_cache.locked(cache, say):
        catalogue = debian.catalogue(cache, say)
    found = []
    for series, kinds in catalogue.items():
        final = [kernel for kind in ("own", "binary", "source") for kernel in kinds[kind] if "-rc" not in kernel]
        origin = next((kind for kind in ("own", "binary", "source") if kinds[kind]), "")
        word = {"own": "this machine's Debian suites", "binary": "other Debian suites", "source": "a source package"}
        newest = final[0] if final else kinds[origin][0]
        found.append({"series": series, "newest": newest, "from": word[origin], "sources": kinds["source"]})
    if not found:
        base = git_web.address("")
        say(f"asking {git_web.place(base)} for its tags")
        newest_first = sorted(git_web.newest_releases(base).items(), key=lambda item: _number(item[0]), reverse=True)
        found = [{"series": s, "newest": r, "from": git_web.place(base), "sources": []} for s, r in newest_first]
        if not found:
            raise CannotRun(f"{git_web.place(base)} has no list of its tags")
    return found


def _number(series: str) -> tuple[int, ...]:
    return tuple(int(part) for part in series.split("."))
