"""The user's cache of kernel trees: folders, their manifests, which files are kept, the lock of those that fetch."""

import fcntl
import functools
import hashlib
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import msgspec

from skdiff.base import signals
from skdiff.base.errors import CannotRun
from skdiff.base.files import BadFile, read_json, write_json
from skdiff.base.paths import cache

Say = Callable[[str], None]

MANIFEST = "skdiff-tree.json"
WORK = ".fetch-"  # working directories; only who holds the lock has one
OLD_WORK = ".work-"  # those of skdiff's versions that took no lock
STALE = 24 * 3600.0  # seconds; an older one of these was left by a process that was killed
# What is kept of a package: the headers, and the C files of the lookup's neighbourhood, since it is the tree's own
# #includes that say which are read. About 4,600 files and 60 MB a kernel.
_KEPT = re.compile(
    r"Makefile|include/(?!dt-bindings/).*\.h|arch/x86/include/.*\.h|lib/[^/]+\.[ch]"
    r"|net/(core|ipv4|ipv6)/[^/]+\.[ch]|net/((core|ipv4|ipv6)/)?Kconfig"
)


@dataclass(frozen=True)
class Tree:
    """A kernel source tree on this machine, or as much of one as was asked for."""

    path: Path  # the directory with Makefile, net/, include/, ...
    version: str  # VERSION.PATCHLEVEL.SUBLEVEL + EXTRAVERSION from its Makefile, such as "6.12.117"
    origin: str  # a few words for reports, such as "Debian linux-source-6.12 6.12.117-1~deb12u1, Debian's patches in"


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a cached tree is, and the files that it has."""

    kernel: str  # as it was asked for
    version: str  # of its Makefile
    origin: str
    web: str  # base URL of the git web; empty for a Debian package
    revision: str  # of the git web, as its addresses write it: h=v6.12.96 or id=<commit>; empty for a Debian package
    files: dict[str, str]  # path: SHA256
    absent: list[str]  # files that this kernel does not have, of those that were looked for


def is_kept(file: str) -> bool:
    """Whether a file of a package is kept without being asked for."""
    return _KEPT.fullmatch(file) is not None


def folder() -> Path:
    """Where the trees are, below the user's cache. Raises CannotRun."""
    return cache() / "kernels"


def version_of(makefile: Path, where: str = "") -> str:
    """The version that a kernel's Makefile tells. Raises CannotRun if it tells none."""
    text = makefile.read_text(errors="replace")
    found: dict[str, str] = dict(
        re.findall(r"^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION)[ \t]*=[ \t]*(\S*)", text, re.M)
    )
    if not (found.get("VERSION") and found.get("PATCHLEVEL")):
        raise CannotRun(f"{where or makefile} is not a kernel's: it sets no VERSION and PATCHLEVEL")
    numbers = (found["VERSION"], found["PATCHLEVEL"], found.get("SUBLEVEL") or "0")
    return ".".join(numbers) + found.get("EXTRAVERSION", "")


def sha256(path: Path) -> str:
    """The SHA256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write(tree: Path, file: str, body: bytes) -> str:
    """Write a file of a tree; returns its SHA256."""
    (tree / file).parent.mkdir(parents=True, exist_ok=True)
    (tree / file).write_bytes(body)
    return hashlib.sha256(body).hexdigest()


def write_manifest(tree: Path, manifest: Manifest) -> None:
    """Write the manifest of a tree, in one step for those who read it."""
    write_json(tree / MANIFEST, manifest)


def manifest_of(tree: Path) -> Manifest | None:
    """The manifest of a cached tree; None where there is none, or one of another version of skdiff."""
    with suppress(FileNotFoundError, NotADirectoryError):
        path = tree / MANIFEST
        return _read(path, path.stat().st_mtime_ns)
    return None


@functools.lru_cache(maxsize=8)
def _read(path: Path, changed: int) -> Manifest | None:
    try:
        return read_json(path, Manifest, "a manifest")
    except BadFile:
        return None


def trees(cache: Path) -> list[tuple[Path, Manifest]]:
    """The trees of the cache, the newest first."""
    paths = [path for path in cache.glob(f"*/{MANIFEST}") if not path.parent.name.startswith(".")]
    paths.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
    return [(path.parent, known) for path in paths if (known := manifest_of(path.parent))]


def sorted_out(tree: Path, known: Manifest, files: tuple[str, ...]) -> tuple[list[str], list[str]] | None:
    """Of `files`, those that the kernel does not have and those of which the cache does not know; None if a file was
    edited, cut or removed in the cache. They are hashed, which takes milliseconds.
    """
    absent, unknown = [], []
    for file in files:
        if file in known.files:
            try:
                if sha256(tree / file) != known.files[file]:
                    return None
            except OSError:
                return None
        elif file in known.absent or (not known.web and is_kept(file)):
            absent.append(file)
        else:
            unknown.append(file)
    return absent, unknown


@contextmanager
def locked(cache: Path, say: Say) -> Iterator[None]:
    """Hold the lock of those that fetch; waits for another process that does."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache.parent / "fetch.lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another skdiff, which is fetching a kernel")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextmanager
def work(cache: Path) -> Iterator[Path]:
    """A working directory, for who holds the lock. It is removed at the end, and on SIGTERM and SIGHUP too, which raise
    KeyboardInterrupt meanwhile; that of a killed process is what `sweep` removes.
    """
    with (
        signals.handlers_installed(_interrupt),
        tempfile.TemporaryDirectory(prefix=WORK, dir=cache, ignore_cleanup_errors=True) as name,
    ):
        yield Path(name)


def sweep(cache: Path) -> None:
    """Remove what killed processes left in the cache."""
    left = list(cache.glob(f"{WORK}*"))
    for path in cache.glob(f"{OLD_WORK}*"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < time.time() - STALE:
                left.append(path)
    if not left:
        return
    with (cache.parent / "fetch.lock").open("ab") as file, suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for path in left:
            shutil.rmtree(path, ignore_errors=True)


def put(tree: Path, final: Path, working: Path) -> None:
    """Move a tree to its place; a damaged one that stands there goes to the working directory."""
    with suppress(FileNotFoundError):
        final.rename(working / "damaged")
    tree.rename(final)
