"""Finding a kernel source tree: at a path, in the user's cache, on Debian's mirror or on the kernel's git web."""

import posixpath
import re
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from msgspec import structs

from skdiff.base.errors import CannotRun
from skdiff.kernel import debian, git_web, kernel_cache
from skdiff.kernel.git_web import MAINLINE, mainline
from skdiff.kernel.kernel_cache import Manifest, Say, Tree

__all__ = ["MAINLINE", "Say", "Tree", "fetch_missing", "find", "mainline"]

KEPT = 7 * 24 * 3600.0  # seconds; an older tree of mainline goes when a new one comes, or nights would fill the disk


@dataclass(frozen=True)
class _Want:
    kernel: str
    required: tuple[str, ...]  # the first is "Makefile"
    optional: tuple[str, ...]
    say: Say
    commit: str = ""  # of mainline; empty for a version

    @property
    def files(self) -> tuple[str, ...]:
        """All that is asked for."""
        return (*self.required, *self.optional)


def find(kernel: str, files: Sequence[str], *, optional: Sequence[str] = (), say: Say | None = None) -> Tree:
    """The tree of `kernel`: a version, "mainline", or a path to a tree (which is never written to).

    "6.12" is the newest point release of its series that can be had, "6.12.8" just that one, "7.3-rc7" that release
    candidate. They come from the user's cache; else from Debian's mirror: linux-source-6.12 of the machine's own
    suites, then of other suites, then the original tarball of a source package; else file by file from the kernel's
    git web (or a mirror of it: environment variable SKDIFF_GIT_WEB). Tree.origin says which. Mainline is what the git
    web has now: its newest commit is asked for, and the cache serves that commit only.
    `files` are tree-relative paths that must exist ("Makefile" is always one of them); `optional` ones are
    fetched where they exist. `say` gets a short line before each step that takes seconds.
    Raises CannotRun.
    """
    required = tuple(dict.fromkeys(["Makefile", *files]))
    want = _Want(kernel, required, tuple(sorted({*optional} - {*required})), say or (lambda line: None))
    for file in want.files:
        _plain(file)
    if kernel and ("/" in kernel or kernel[0] in "~." or Path(kernel).is_dir()):
        return _given_tree(want)
    if kernel == MAINLINE:
        want = replace(want, commit=mainline())
    elif not re.fullmatch(r"[0-9]+\.[0-9]+(\.[0-9]+)?(-rc[0-9]+)?", kernel):
        raise CannotRun(f"{kernel!r} is neither a kernel version such as 6.12, nor mainline, nor a path to a tree")
    cache = kernel_cache.folder()
    try:
        kernel_cache.sweep(cache)
        if tree := _cached(cache, want):
            return tree
        with kernel_cache.locked(cache, want.say):
            return _cached(cache, want, more=True) or _fetch(cache, want)
    except OSError as error:
        raise CannotRun(
            f"cannot fetch Linux {kernel} into {cache}: {error};"
            " that directory needs room and write permission, or set XDG_CACHE_HOME to another"
        ) from error


def fetch_missing(tree: Path, files: Iterable[str]) -> set[str]:
    """Those of `files` (tree-relative paths) that a tree has, for who follows its #includes. Of a tree from the git web
    those that were not asked for before are fetched now. Raises CannotRun, for a cached file too that was changed
    since it came: then the next run fetches the tree again.
    """
    names = tuple(dict.fromkeys(files))
    for file in names:
        _plain(file)
    known = kernel_cache.manifest_of(tree)
    if known is None or tree.parent != kernel_cache.folder():
        return {file for file in names if (tree / file).is_file()}
    missing = kernel_cache.sorted_out(tree, known, names)
    if missing is None:
        (tree / kernel_cache.MANIFEST).unlink(missing_ok=True)
        raise CannotRun(f"a file in {tree} was changed since it was fetched: try again, which fetches it anew")
    if missing[1] and known.web:
        with kernel_cache.locked(tree.parent, lambda line: None):
            known = _more(tree, missing[1])
    return {file for file in names if file in known.files}


def _plain(file: str) -> None:
    if posixpath.normpath(file) != file or file.startswith(("/", "..")):
        raise CannotRun(f"{file!r} is not a plain path inside a kernel tree")


def _given_tree(want: _Want) -> Tree:
    try:
        path = Path(want.kernel).expanduser().resolve()
        if not path.is_dir():
            raise CannotRun(f"{want.kernel} is not a directory: give a kernel source tree, or a version")
        _require([file for file in want.required if not (path / file).is_file()], f"the tree {path}")
        return Tree(path, kernel_cache.version_of(path / "Makefile"), f"tree {path}")
    except (OSError, RuntimeError) as error:  # RuntimeError: "~" of an unknown user, or a loop of symlinks
        raise CannotRun(f"cannot read the kernel tree {want.kernel}: {error}") from error


def _require(missing: Sequence[str], where: str) -> None:
    if missing:
        more = f" (nor {len(missing) - 1} more files that are needed)" if missing[1:] else ", which is needed"
        raise CannotRun(f"{where} has no {missing[0]}{more}: give another kernel version or tree")


def _cached(cache: Path, want: _Want, more: bool = False) -> Tree | None:
    """The cached tree, if it is whole. Who holds the lock may say `more`: then files that were not asked for before are
    fetched.
    """
    for path, known in kernel_cache.trees(cache):
        wanted = known.revision == f"id={want.commit}" if want.commit else want.kernel in (known.kernel, known.version)
        if not wanted or known.web not in ("", git_web.address(want.kernel)):
            continue
        missing = kernel_cache.sorted_out(path, known, want.files)
        if missing is None or (missing[1] and not (more and known.web)):
            continue
        if missing[1]:
            want.say(f"fetching {len(missing[1])} more files of {known.origin}")
            absent = _more(path, missing[1]).absent
        else:
            absent = missing[0]
        _require([file for file in want.required if file in absent], known.origin)
        return Tree(path, known.version, known.origin)
    return None


def _more(tree: Path, files: Sequence[str]) -> Manifest:
    """Fetch more files into a cached tree of the git web, whose lock is held."""
    known = kernel_cache.manifest_of(tree)
    if known is None:
        raise CannotRun(f"{tree} was changed meanwhile: try again")
    hashes, absent = git_web.fetch(known.web, known.revision, files, tree)
    known = structs.replace(known, files={**known.files, **hashes}, absent=sorted({*known.absent, *absent}))
    kernel_cache.write_manifest(tree, known)
    return known


def _fetch(cache: Path, want: _Want) -> Tree:
    with kernel_cache.work(cache) as work:
        (work / "tree").mkdir()
        why: list[str] = []
        try:
            known, name = (None if want.commit else _from_debian(want, cache, work, why)) or _from_web(want, work)
        except CannotRun as error:
            raise CannotRun(f"{''.join(why[:1])}{error}") from error
        kernel_cache.write_manifest(work / "tree", known)
        final = cache / f"{want.kernel}-{name}"
        kernel_cache.put(work / "tree", final, work)
        for old in cache.glob(f"{MAINLINE}-*") if want.commit else ():
            with suppress(OSError):
                if old.stat().st_mtime < time.time() - KEPT:
                    old.rename(work / old.name)
    return Tree(final, known.version, known.origin)


def _from_debian(want: _Want, cache: Path, work: Path, why: list[str]) -> tuple[Manifest, str] | None:
    for force in (False, True):  # what a list of yesterday names may be gone today
        gone = ""
        for package in debian.offers(want.kernel, cache, want.say, why, force):
            try:
                files = debian.fetch(package, {*want.files}, work, want.say)
            except debian.Gone as error:
                gone = gone or str(error)
                if not force:
                    break
                want.say(f"{package.name} {package.version} is no more on Debian's mirror: trying the next")
                continue
            label = f"Debian's {package.name} {package.version}"
            _require([file for file in want.required if file not in files], label)
            version = kernel_cache.version_of(work / "tree/Makefile", f"the Makefile of {label}")
            absent = [file for file in want.optional if file not in files]
            return Manifest(want.kernel, version, package.origin, "", "", files, absent), package.version
        if not gone:
            return None
        why[:] = [f"{gone.partition(';')[0]}, and "]
    return None


def _from_web(want: _Want, work: Path) -> tuple[Manifest, str]:
    base, tree = git_web.address(want.kernel), work / "tree"
    place = git_web.place(base)
    if want.commit:
        name, label, revision = want.commit[:12], f"{MAINLINE} at {want.commit[:12]}", f"id={want.commit}"
    else:
        # "6.12" is the newest point release; the tag of 6.12.0 is v6.12.
        is_series = re.fullmatch(r"\d+\.\d+", want.kernel)
        release = git_web.newest_releases(base).get(want.kernel, want.kernel) if is_series else want.kernel
        release = re.sub(r"^(\d+\.\d+)\.0$", r"\1", release)
        name = label = f"v{release}"
        revision = f"h={label}"
    want.say(f"fetching {len(want.files)} files of {label} from {place}")
    files, _ = git_web.fetch(base, revision, ["Makefile"], tree)
    if not files:
        raise CannotRun(f"{place} has no Linux {label}: give a released version, or a path to a tree")
    version = kernel_cache.version_of(tree / "Makefile", f"the Makefile of {label} from {place}")
    if not want.commit and version != re.sub(r"^v(\d+\.\d+)(?=-|$)", r"\1.0", label).removeprefix("v"):
        raise CannotRun(f"{place} answered with Linux {version} instead of {label}: check SKDIFF_GIT_WEB")
    more, absent = git_web.fetch(base, revision, want.files[1:], tree)
    _require([file for file in absent if file in want.required], f"{label} from {place}")
    patches = "" if want.commit else ", upstream text"
    known = Manifest(want.kernel, version, f"{label} from {place}{patches}", base, revision, files | more, absent)
    return known, f"{name}-{sha256(base.encode()).hexdigest()[:8]}"
