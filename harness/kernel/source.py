"""Finding a kernel source tree: at a path, in Debian's linux-source packages or on the kernel's git web."""

import errno
import functools
import hashlib
import http.client
import json
import os
import posixpath
import re
import shutil
import signal
import subprocess
import tarfile
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from harness.errors import CannotRun

Say = Callable[[str], None]

MANIFEST = "skdiff-tree.json"
GIT_WEB = "https://git.kernel.org/pub/scm/linux/kernel/git/stable/linux.git/plain"
MAINLINE = "mainline"
MAINLINE_WEB = "https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git/plain"
BRANCH = "master"  # of Linus' repository, which has no other
WEB_ATTEMPTS = 3  # per file
WEB_PAUSE = 1.0  # seconds before the second attempt, twice that before the third
WEB_TIMEOUT = 20.0  # seconds without a byte from the server
WEB_THREADS = 8
STALE = 24 * 3600.0  # seconds; an older working directory was left by a process that was killed
KEPT = 7 * 24 * 3600.0  # seconds; an older tree of mainline goes when a new one comes, or nights would fill the disk


@dataclass(frozen=True)
class Tree:
    """A kernel source tree on this machine, or as much of one as was asked for."""

    path: Path  # the directory with Makefile, net/, include/, ...
    version: str  # VERSION.PATCHLEVEL.SUBLEVEL + EXTRAVERSION from its Makefile, such as "6.12.117"
    origin: str  # a few words for reports, such as "Debian linux-source-6.12 6.12.117-1~deb12u1"


@dataclass(frozen=True)
class _Want:
    kernel: str
    required: tuple[str, ...]  # the first is "Makefile"
    optional: tuple[str, ...]
    say: Say
    commit: str = ""  # of mainline; empty for a version

    @property
    def label(self) -> str:
        """What is fetched, for people."""
        return f"{MAINLINE} at {self.commit[:12]}" if self.commit else f"v{self.kernel}"


@dataclass(frozen=True)
class _Manifest:
    kernel: str  # as it was asked for
    origin: str
    web: str  # base URL of the git web; empty for a Debian package
    sha256: str  # of the package; empty for the git web
    files: dict[str, str]  # path: SHA256
    absent: list[str]  # optional files that this kernel does not have
    commit: str = ""  # of mainline


@dataclass(frozen=True)
class _Package:
    name: str
    version: str
    sha256: str
    size: int  # bytes


def find(kernel: str, files: Sequence[str], *, optional: Sequence[str] = (), say: Say | None = None) -> Tree:
    """The tree of `kernel`: a version such as "6.12", "mainline", or a path to a tree (which is never written to).

    A version comes from the user's cache, else from Debian's linux-source package by way of apt-get, else
    file by file from the kernel's git web (or a mirror of it: environment variable SKDIFF_GIT_WEB). Mainline
    is what the git web has now: its newest commit is asked for, and the cache serves that commit only.
    `files` are tree-relative paths that must exist ("Makefile" is always one of them); `optional` ones are
    fetched where they exist. `say` gets a short line before each step that takes seconds.
    Raises CannotRun.
    """
    required = tuple(dict.fromkeys(["Makefile", *files]))
    want = _Want(kernel, required, tuple(sorted({*optional} - {*required})), say or (lambda line: None))
    for file in (*want.required, *want.optional):
        if posixpath.normpath(file) != file or file.startswith(("/", "..")):
            raise CannotRun(f"{file!r} is not a plain path inside a kernel tree")
    if kernel and ("/" in kernel or kernel[0] in "~." or Path(kernel).is_dir()):
        return _given_tree(want)
    if kernel == MAINLINE:
        want = replace(want, commit=mainline())
    elif not re.fullmatch(r"[0-9]+\.[0-9]+(\.[0-9]+)?(-rc[0-9]+)?", kernel):
        raise CannotRun(f"{kernel!r} is neither a kernel version such as 6.12, nor mainline, nor a path to a tree")
    cache = _cache_dir()
    try:
        return _cached(cache, want) or _fetch(cache, want)
    except OSError as error:
        raise CannotRun(
            f"cannot fetch Linux {kernel} into {cache}: {error};"
            " that directory needs room and write permission, or set XDG_CACHE_HOME to another"
        ) from error


def _given_tree(want: _Want) -> Tree:
    try:
        path = Path(want.kernel).expanduser().resolve()
        if not path.is_dir():
            raise CannotRun(f"{want.kernel} is not a directory: give a kernel source tree, or a version")
        _require([file for file in want.required if not (path / file).is_file()], f"the tree {path}")
        return Tree(path, _version(path / "Makefile"), f"tree {path}")
    except (OSError, RuntimeError) as error:  # RuntimeError: "~" of an unknown user, or a loop of symlinks
        raise CannotRun(f"cannot read the kernel tree {want.kernel}: {error}") from error


def _version(makefile: Path, where: str = "") -> str:
    text = makefile.read_text(errors="replace")
    found: dict[str, str] = dict(
        re.findall(r"^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION)[ \t]*=[ \t]*(\S*)", text, re.M)
    )
    if not (found.get("VERSION") and found.get("PATCHLEVEL")):
        raise CannotRun(f"{where or makefile} is not a kernel's: it sets no VERSION and PATCHLEVEL")
    numbers = (found["VERSION"], found["PATCHLEVEL"], found.get("SUBLEVEL") or "0")
    return ".".join(numbers) + found.get("EXTRAVERSION", "")


def _require(missing: Sequence[str], where: str) -> None:
    if missing:
        more = f" (nor {len(missing) - 1} more files that are needed)" if missing[1:] else ", which is needed"
        raise CannotRun(f"{where} has no {missing[0]}{more}: give another kernel version or tree")


# --- the cache: kernels/<kernel>-<where from>-<which files>/ holds those files and the manifest ---


def _cache_dir() -> Path:
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        # The XDG base directory specification says to ignore a relative path here.
        return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "skdiff" / "kernels"
    except RuntimeError as error:
        raise CannotRun("there is no home directory to keep kernel sources in: set XDG_CACHE_HOME") from error


def _cached(cache: Path, want: _Want) -> Tree | None:
    paths = cache.glob(f"{want.kernel}-*/{MANIFEST}")
    for path in sorted(paths, key=lambda path: path.stat().st_mtime_ns, reverse=True):
        tree = path.parent
        try:
            known = _Manifest(**json.loads(path.read_bytes()))
            if (known.kernel, known.commit) != (want.kernel, want.commit):
                continue
            if known.web not in ("", _git_web(want.kernel)):
                continue
            needed = [*want.required, *(file for file in want.optional if file not in known.absent)]
            # Hashed, which takes milliseconds, because an edited or cut file must not pass for Debian's.
            if all(_sha256(tree / file) == known.files[file] for file in needed):
                return Tree(tree, _version(tree / "Makefile"), known.origin)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError, TypeError, KeyError):
            continue  # damaged, or of another version of skdiff, or without a file that is needed now
    return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(cache: Path, want: _Want) -> Tree:
    cache.mkdir(parents=True, exist_ok=True)
    for left in cache.glob(".work-*"):
        with suppress(FileNotFoundError):
            if left.stat().st_mtime < time.time() - STALE:
                shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=".work-", dir=cache, ignore_cleanup_errors=True) as name:
        work = Path(name)
        (work / "tree").mkdir()
        package, why_not = _debian_package(want.kernel)
        try:
            known = _from_debian(want, package, work) if package else _from_web(want, work)
        except CannotRun as error:
            raise CannotRun(f"{why_not}{error}") from error
        (work / "tree" / MANIFEST).write_text(json.dumps(asdict(known), indent=1))
        # A name of its own for each list of files, so that another skdiff can go on reading its shorter tree.
        key = hashlib.sha256("\n".join([known.web, *sorted(known.files), *known.absent]).encode()).hexdigest()
        final = cache / f"{want.kernel}-{package.version if package else want.commit[:12] or 'web'}-{key[:8]}"
        try:
            (work / "tree").rename(final)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            if _cached(cache, want) is None:  # not another process that was first, but a damaged tree
                final.rename(work / "damaged")
                (work / "tree").rename(final)
        for old in cache.glob(f"{MAINLINE}-*") if want.commit else ():
            with suppress(OSError):  # another process was first
                if old.stat().st_mtime < time.time() - KEPT:
                    old.rename(work / old.name)
    tree = _cached(cache, want)
    if tree is None:
        raise CannotRun(f"{final} was changed while it was being filled: try again")
    return tree


def _write(tree: Path, file: str, body: bytes) -> str:
    (tree / file).parent.mkdir(parents=True, exist_ok=True)
    (tree / file).write_bytes(body)
    return hashlib.sha256(body).hexdigest()


# --- Debian ---


@contextmanager
def _running(*command: str, cwd: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    pipe, env = subprocess.PIPE, os.environ | {"LC_ALL": "C"}  # C because the messages are read
    # A group of its own: apt and the shell have helpers, all of which must end before `cwd` is removed.
    with subprocess.Popen(
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, process_group=0
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()  # after Ctrl-C Popen itself would not


def _output(*command: str) -> str:
    with _running(*command) as process:
        return process.communicate()[0].decode(errors="replace")


def _debian_package(kernel: str) -> tuple[_Package | None, str]:
    """The package that apt would download, or else why there is none: the beginning of a line."""
    name = f"linux-source-{kernel}"
    if not re.fullmatch(r"[0-9]+\.[0-9]+", kernel):
        return None, ""  # Debian names its packages after series only
    if not (shutil.which("apt-get") and shutil.which("apt-cache")):
        return None, f"there is no apt-get for {name}, and "
    candidate = re.search(r"^ *Candidate: ([0-9]\S*)$", _output("apt-cache", "policy", name), re.M)
    if candidate is None:
        return None, f"apt knows no {name} (if it should, run 'apt-get update' as root), and "
    version = candidate[1]
    for stanza in _output("apt-cache", "show", f"{name}={version}").split("\n\n"):
        field = dict(re.findall(r"^([A-Za-z0-9-]+): (.*)$", stanza, re.M))
        if field.get("Version") == version and "SHA256" in field and field.get("Size", "").isdecimal():
            return _Package(name, version, field["SHA256"], int(field["Size"])), ""
    return None, f"apt has no SHA256 for {name} {version} (run 'apt-get update' as root), and "


def _from_debian(want: _Want, package: _Package, work: Path) -> _Manifest:
    for tool in ("dpkg-deb", "tar"):
        if shutil.which(tool) is None:
            raise CannotRun(f"{tool} is missing, which unpacks {package.name}: install it and try again")
    label = f"{package.name} {package.version}"
    want.say(f"downloading {label} ({package.size / 1e6:.0f} MB)")
    deb = _download(package, work)
    if _sha256(deb) != package.sha256:
        raise CannotRun(f"{label} came with a wrong SHA256: run 'apt-get update' as root and try again")
    wanted = {*want.required, *want.optional}
    want.say(f"unpacking {len(wanted)} files")
    files = _unpack(deb, package.name, wanted, work / "tree")
    _require([file for file in want.required if file not in files], f"Debian's {label}")
    absent = [file for file in want.optional if file not in files]
    return _Manifest(want.kernel, f"Debian {label}", "", package.sha256, files, absent)


def _download(package: _Package, work: Path) -> Path:
    spec = f"{package.name}={package.version}"
    # Without the option apt, when root runs it, warns that its own user cannot write here.
    command = ("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", spec)
    with _bar(package.name, package.size) as show, _running(*command, cwd=work) as apt:
        while True:
            try:
                complaint = apt.communicate(timeout=0.1)[1].decode(errors="replace")
                break
            except subprocess.TimeoutExpired:
                show(sum(path.stat().st_size for path in work.glob("*.deb")))
    found = next(work.glob("*.deb"), None)
    if apt.returncode == 0 and found:
        return found
    if re.search("No space left|enough free space", complaint):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    reason = " ".join(re.findall(r"^E: *(.*\S)", complaint, re.M)[:1]) or "apt gave no reason"
    stale = re.search(r"404 |[Mm]ismatch", complaint)
    advice = "run 'apt-get update' as root and try again" if stale else "check the network and apt's sources"
    raise CannotRun(f"cannot download {spec}: {reason}; {advice}")


@contextmanager
def _bar(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar in bytes on stderr, if that is a terminal."""
    from rich import console, progress  # here: to import it takes longer than to find a cached tree

    stderr = console.Console(stderr=True)
    columns = ("{task.description}", progress.BarColumn(), progress.DownloadColumn())
    with progress.Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as shown:
        task = shown.add_task(title, total=total)
        yield lambda done: shown.update(task, completed=done)


def _unpack(deb: Path, name: str, wanted: set[str], tree: Path) -> dict[str, str]:
    """Write those regular files of `wanted` that the package has below `tree`; their SHA256 by path."""
    files: dict[str, str] = {}
    xz = shutil.which("xz")  # with two processors it takes half the time of Python's lzma
    pipe = 'dpkg-deb --fsys-tarfile "$1" | tar -xOf - "$2"' + (" | xz -dc -T0" if xz else "")
    with _running("sh", "-c", pipe, "sh", str(deb), f"./usr/src/{name}.tar.xz") as process:
        assert process.stdout is not None
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|" if xz else "r|xz") as archive:
                for member in archive:
                    file = posixpath.normpath(member.name).removeprefix(f"{name}/")
                    if file in wanted and member.isreg() and (body := archive.extractfile(member)):
                        files[file] = _write(tree, file, body.read())
                        if len(files) == len(wanted):
                            return files
            while process.stdout.read(1 << 20):
                pass
            # The last command's exit code tells of earlier ones too: what they cut short it finds damaged.
            problem = "" if process.wait() == 0 else "its end is missing"
        except tarfile.TarError as error:
            problem = str(error)
    if problem:
        raise CannotRun(f"{deb.name} is damaged or cannot be unpacked ({problem}): try again")
    return files


# --- the kernel's git web ---


def _git_web(kernel: str) -> str:
    web = MAINLINE_WEB if kernel == MAINLINE else GIT_WEB
    return (os.environ.get("SKDIFF_GIT_WEB") or web).rstrip("/")


def _place(base: str) -> str:
    """Whom the answers come from, for people. Raises CannotRun for what is no address."""
    if not re.match(r"https?://[^/]", base):
        raise CannotRun(f"SKDIFF_GIT_WEB is {base!r}, which is no http or https address: correct or unset it")
    return "the kernel's git web" if base in (GIT_WEB, MAINLINE_WEB) else base


def mainline() -> str:
    """Mainline's newest commit, asked for once in a process: all that a run fetches is of the same one, though the
    branch moves meanwhile. Raises CannotRun.
    """
    return _newest(_git_web(MAINLINE))


@functools.cache
def _newest(base: str) -> str:
    place = _place(base)
    if not base.endswith("/plain"):
        raise CannotRun(f"SKDIFF_GIT_WEB is {base!r}: for mainline it must end in /plain, beside cgit's other pages")
    feed = _get(f"{base.removesuffix('plain')}atom/?h={BRANCH}", threading.Event())
    # The branch's feed begins with its newest commit. Newer versions of cgit write urn:sha1: before it.
    found = re.search(rb"<entry>.*?<id>(?:urn:sha1:)?([0-9a-f]{40})</id>", feed or b"", re.DOTALL)
    if found is None:
        raise CannotRun(f"{place} does not tell the newest commit of its branch {BRANCH}: check SKDIFF_GIT_WEB")
    return found[1].decode()


def _from_web(want: _Want, work: Path) -> _Manifest:
    base, kernel, label = _git_web(want.kernel), want.kernel, want.label
    place = _place(base)
    revision = f"id={want.commit}" if want.commit else f"h=v{kernel}"
    stop = threading.Event()

    def get(file: str) -> bytes | None:
        return _get(f"{base}/{urllib.parse.quote(file)}?{revision}", stop)

    want.say(f"fetching {len(want.required) + len(want.optional)} files of {label} from {place}")
    tree, makefile = work / "tree", get("Makefile")
    if makefile is None:
        raise CannotRun(f"{place} has no Linux {label}: give a released version, or a path to a tree")
    files, missing = {"Makefile": _write(tree, "Makefile", makefile)}, []
    version = _version(tree / "Makefile", f"the Makefile of {label} from {place}")
    if not want.commit and version != re.sub(r"^(\d+\.\d+)(?=-|$)", r"\1.0", kernel):
        raise CannotRun(f"{place} answered with Linux {version} instead of {label}: check SKDIFF_GIT_WEB")
    names = [*want.required[1:], *want.optional]
    pool = ThreadPoolExecutor(WEB_THREADS)
    try:
        for file, body in zip(names, pool.map(get, names), strict=True):
            if body is None:
                missing.append(file)
            else:
                files[file] = _write(tree, file, body)
    finally:
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)
    _require([file for file in missing if file in want.required], f"{label} from {place}")
    return _Manifest(kernel, f"{label} from {place}", base, "", files, missing, want.commit)


def _get(url: str, stop: threading.Event) -> bytes | None:
    """The body at `url`, or None where the server says that there is no such thing."""
    request = urllib.request.Request(url, headers={"User-Agent": "skdiff"})
    reason = ""
    for attempt in range(WEB_ATTEMPTS):
        if attempt and stop.wait(WEB_PAUSE * attempt):
            break
        try:
            with urllib.request.urlopen(request, timeout=WEB_TIMEOUT) as response:
                if response.headers.get_content_type() != "text/html":
                    return bytes(response.read())
                reason = "a web page came instead of the file"
                break
        except urllib.error.HTTPError as error:
            error.close()
            reason = f"HTTP {error.code} {error.reason}"
            if error.code in (404, 410):
                return None
            if error.code < 500:
                break
        except (OSError, ValueError, http.client.HTTPException) as error:
            cause = error.reason if isinstance(error, urllib.error.URLError) else error
            reason = str(cause) or type(cause).__name__
    raise CannotRun(f"cannot fetch {url}: {' '.join(reason.split())}; check the network, or SKDIFF_GIT_WEB if set")
