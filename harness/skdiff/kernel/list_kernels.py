"""The kernels that are in the cache, and those that can be fetched."""

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from skdiff.base.errors import CannotRun
from skdiff.base.summary import Summary
from skdiff.kernel import debian, git_web, kernel_cache
from skdiff.variants.version_rules import numbers

# Where Debian's catalogue has a kernel, in the order in which `find` looks.
_PLACES = {"own": "this machine's Debian suites", "binary": "other Debian suites", "source": "a source package"}


class CachedKernel(msgspec.Struct, frozen=True):
    """A kernel in the cache: the word that it was fetched by, its size in bytes, and the day (ISO 8601, UTC) on which
    its list of files was last written.
    """

    asked: str
    version: str
    origin: str
    bytes: int
    date: str
    path: str


class OfferedSeries(msgspec.Struct, frozen=True):
    """A series (6.12) that can be fetched: its newest release, where that is, and the releases of source packages."""

    series: str
    newest: str
    place: str = msgspec.field(name="from")
    sources: tuple[str, ...] = ()


class Kernels(Summary, kw_only=True):
    """The kernels that are here, and those that can be had; `trouble` is why none can, "" if some can."""

    cached: list[CachedKernel]
    offered: list[OfferedSeries]
    trouble: str = ""


def cached() -> list[CachedKernel]:
    """The kernels in the cache, the newest first."""
    found = []
    for path, known in kernel_cache.trees(kernel_cache.folder()):
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        written = datetime.fromtimestamp((path / kernel_cache.MANIFEST).stat().st_mtime, UTC)
        day = written.date().isoformat()
        found.append(CachedKernel(known.kernel, known.version, known.origin, size, day, str(path)))
    return found


def listed(say: Callable[[str], None]) -> Kernels:
    """Both. Raises CannotRun if there is nothing to list."""
    here = cached()
    try:
        return Kernels(cached=here, offered=offered(say))
    except CannotRun as error:
        if not here:
            raise
        return Kernels(cached=here, offered=[], trouble=str(error))


def offered(say: Callable[[str], None]) -> list[OfferedSeries]:
    """Each series that can be fetched, as Debian's catalogue has them, or else the git web. Raises CannotRun where
    neither can be reached.
    """
    cache = kernel_cache.folder()
    with kernel_cache.locked(cache, say):
        catalogue = debian.catalogue(cache, say)
    if catalogue:
        return [_series(series, kinds) for series, kinds in catalogue.items()]
    base = git_web.address("")
    say(f"asking {git_web.place(base)} for its tags")
    releases = sorted(git_web.newest_releases(base).items(), key=lambda item: numbers(item[0]), reverse=True)
    if not releases:
        raise CannotRun(f"{git_web.place(base)} has no list of its tags")
    return [OfferedSeries(series, release, git_web.place(base)) for series, release in releases]


def _series(series: str, kinds: dict[str, list[str]]) -> OfferedSeries:
    first = next((kind for kind in _PLACES if kinds[kind]), "")
    final = [kernel for kind in _PLACES for kernel in kinds[kind] if "-rc" not in kernel]
    newest = final[0] if final else kinds[first][0]
    return OfferedSeries(series, newest, _PLACES[first], tuple(kinds["source"]))
