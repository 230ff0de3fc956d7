"""Kernels from Debian's mirror: which packages have a kernel, their download and what is unpacked of them."""

import errno
import os
import posixpath
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from skdiff.base.errors import CannotRun
from skdiff.kernel import apt_state, kernel_cache
from skdiff.kernel.apt_state import State
from skdiff.kernel.kernel_cache import Say

_UPSTREAM = re.compile(r"(?:\d+:)?(\d+\.\d+)(?:\.(\d+))?(?:~(rc\d+))?(?=[-~+]|$)")  # at the begin of Debian's version


class Gone(CannotRun):
    """The mirror's list names a package that the mirror has no more."""


@dataclass(frozen=True)
class Package:
    """A package with a kernel's source."""

    name: str
    version: str  # Debian's
    suite: str
    sha256: str
    size: int  # bytes
    state: State
    source: bool  # the original tarball of a source package, without Debian's patches

    @property
    def origin(self) -> str:
        """Where a tree is from, for reports."""
        if self.source:
            return f"Debian source package {self.name} {self.version} of {self.suite}, without Debian's patches"
        return f"Debian {self.name} {self.version} of {self.suite}, with Debian's patches"


def release(version: str) -> tuple[str, str]:
    """The series and the kernel's version behind a version of Debian's: "7.3~rc7-1~exp1" is 7.3 and 7.3-rc7."""
    found = _UPSTREAM.match(version)
    if found is None:
        return "", ""
    series, point, candidate = found.groups()
    return series, series + (f".{point}" if point else "") + (f"-{candidate}" if candidate else "")


def newest_first(entries: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Entries of name, version and suite by the kernel's point release; for the rest in apt's order."""

    def key(entry: tuple[str, str, str]) -> tuple[int, ...]:
        numbers, _, candidate = release(entry[1])[1].partition("-rc")
        parts = [int(part) for part in numbers.split(".") if part]
        return (*parts, *[0] * (3 - len(parts)), int(candidate) if candidate else 1 << 30)

    return sorted(entries, key=key, reverse=True)


def states(cache: Path) -> tuple[State, State] | None:
    """The private states of apt: the machine's own suites, and all suites with their source packages. None on a machine
    that is not Debian's. Raises CannotRun where Debian's keyring is missing.
    """
    own = apt_state.own_suites()
    if not own:
        return None
    keyring = apt_state.keyring()
    folder = cache.parent / "apt"
    return (
        State(folder / "own", own, "deb", keyring),
        State(folder / "all", apt_state.others(own), "deb deb-src", keyring),
    )


def offers(kernel: str, cache: Path, say: Say, why: list[str], force: bool = False) -> Iterator[Package]:
    """The packages that have `kernel` (a series such as "6.12", or one release), in the order in which to try them.
    To `why` goes what a message should say if none serves. Raises CannotRun.
    """
    series = ".".join(kernel.partition("-")[0].split(".")[:2])
    found = states(cache)
    if found is None:
        why.append(f"this machine's apt has no Debian suite to look for Linux {kernel} in, and ")
        return

    def fits(version: str) -> bool:
        of_series, exact = release(version)
        return exact == kernel or (kernel == series == of_series and "-rc" not in exact)

    for state in found:
        if trouble := apt_state.refresh(state, say, force):
            why.append(trouble)
            return
        for name, version, suite in newest_first([e for e in binaries(state, f"linux-source-{series}") if fits(e[1])]):
            yield from binary(state, name, version, suite)
    for package in _sources(found[1], ["linux", f"linux-{series}"]):
        if fits(package.version):
            yield package
    why.append(f"Debian's mirror has no package of Linux {kernel}, and ")


def binaries(state: State, *names: str) -> list[tuple[str, str, str]]:
    """Name, version and suite of the binary packages of these names."""
    shown = apt_state.output("apt-cache", *apt_state.options(state), "madison", *names)
    found = re.findall(r"^ *(\S+) \| +(\S+) \| \S+ (\S+)/\S+ \S+ Packages *$", shown, re.M)
    return list({(name, version): (name, version, suite) for name, version, suite in reversed(found)}.values())[::-1]


def binary(state: State, name: str, version: str, suite: str) -> Iterator[Package]:
    """The binary package of this name and version, if the lists tell its SHA256."""
    shown = apt_state.output("apt-cache", *apt_state.options(state), "show", f"{name}={version}")
    for stanza in shown.split("\n\n"):
        field = dict(re.findall(r"^([A-Za-z0-9-]+): (.*)$", stanza, re.M))
        if field.get("Version") == version and "SHA256" in field and field.get("Size", "").isdecimal():
            yield Package(name, version, suite, field["SHA256"], int(field["Size"]), state, source=False)
            return


def _sources(state: State, names: list[str]) -> list[Package]:
    """The source packages of these names, the newest first."""
    shown = apt_state.output("apt-cache", *apt_state.options(state), "madison", *names)
    entries = re.findall(r"^ *(\S+) \| +(\S+) \| \S+ (\S+)/\S+ Sources *$", shown, re.M)
    suites = {(name, version): suite for name, version, suite in reversed(entries)}
    found: dict[tuple[str, str], Package] = {}
    for name in names:
        command = ("apt-cache", *apt_state.options(state), "showsrc", "--only-source", name)
        for stanza in apt_state.output(*command).split("\n\n"):
            field = dict(re.findall(r"^(Package|Version): (\S+)$", stanza, re.M))
            listed = re.search(r"^Checksums-Sha256:\n((?: .*\n?)+)", stanza, re.M)
            tarball = re.search(r"^ ([0-9a-f]{64}) (\d+) \S+\.orig\.tar\.xz$", listed[1] if listed else "", re.M)
            if tarball and field.get("Package") == name and "Version" in field:
                key = (name, field["Version"])
                found[key] = Package(*key, suites.get(key, "?"), tarball[1], int(tarball[2]), state, source=True)
    return [found[name, version] for name, version, _ in newest_first([(*key, "") for key in found])]


def catalogue(cache: Path, say: Say) -> dict[str, dict[str, list[str]]]:
    """What Debian's mirror has, by series, the newest first: the kernels of binary packages in the machine's "own"
    suites, of "binary" packages in all suites and of "source" packages. Empty on a machine that is not Debian's. Raises
    CannotRun.
    """
    found = states(cache)
    if found is None:
        return {}
    own, every = found
    trouble = apt_state.refresh(every, say)
    if trouble:
        raise CannotRun(f"{trouble}so nothing can be listed: check the network")
    listed = apt_state.output("apt-cache", *apt_state.options(every), "pkgnames", "linux-source-").split()
    names = [name for name in listed if re.fullmatch(r"linux-source-\d+\.\d+", name)]
    of_binaries = newest_first(binaries(every, *names)) if names else []
    suites = {name for suites in own.suites for name in suites.names}
    sources = _sources(every, ["linux", *(name.replace("-source", "") for name in names)])
    entries = {
        "own": [version for _, version, suite in of_binaries if suite in suites],
        "binary": [version for _, version, _ in of_binaries],
        "source": [package.version for package in sources],
    }
    result: dict[str, dict[str, list[str]]] = {}
    for kind, versions in entries.items():
        for version in versions:
            series, exact = release(version)
            kernels = result.setdefault(series, {"own": [], "binary": [], "source": []})[kind]
            if exact not in kernels:
                kernels.append(exact)
    return dict(sorted(result.items(), key=lambda item: [int(part) for part in item[0].split(".")], reverse=True))


def fetch(package: Package, wanted: set[str], work: Path, say: Say) -> dict[str, str]:
    """Download a package and write what is kept of it, and `wanted`, below work/tree; the SHA256 of each file. Raises
    CannotRun, Gone if the mirror does not have it any more.
    """
    for tool in () if package.source else ("dpkg-deb", "tar"):
        if shutil.which(tool) is None:
            raise CannotRun(f"{tool} is missing, which unpacks {package.name}: install it and try again")
    label = f"{package.name} {package.version}"
    what = "orig.tar.xz of Debian's source package " if package.source else ""
    say(f"downloading {what}{label} ({package.size / 1e6:.0f} MB)")
    archive = download(package, work)
    if kernel_cache.sha256(archive) != package.sha256:
        archive.unlink()
        raise CannotRun(f"{label} came with a wrong SHA256: try again")
    say(f"unpacking headers and network code of {label}")
    files = _unpack(archive, package, wanted, work / "tree")
    archive.unlink()
    return files


def download(package: Package, work: Path) -> Path:
    """The package's file, in the folder `work`. Raises CannotRun, Gone, and OSError without room."""
    spec = f"{package.name}={package.version}"
    verb = ("source", "--download-only", "--tar-only") if package.source else ("download",)
    pattern = "*.orig.tar.xz" if package.source else "*.deb"
    command = ("apt-get", *apt_state.options(package.state), "-q", *verb, spec)
    with _bar(package.name, package.size) as show, apt_state.running(*command, cwd=work) as apt:
        while True:
            try:
                complaint = apt.communicate(timeout=0.1)[1].decode(errors="replace")
                break
            except subprocess.TimeoutExpired:
                show(sum(path.stat().st_size for path in work.glob(f"{pattern}*") if path.exists()))
    found = next(work.glob(pattern), None)
    if apt.returncode == 0 and found:
        return found
    if re.search("No space left|enough free space", complaint):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    reason = " ".join(re.findall(r"^E: *(.*\S)", complaint, re.M)[:1]) or "apt gave no reason"
    kind = Gone if re.search(r"404 |[Mm]ismatch", complaint) else CannotRun
    raise kind(f"cannot download {spec}: {reason}; check the network and apt's sources")


@contextmanager
def _bar(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar in bytes on stderr, if that is a terminal."""
    from rich import console, progress  # here: to import it takes longer than to find a cached tree

    stderr = console.Console(stderr=True)
    columns = ("{task.description}", progress.BarColumn(), progress.DownloadColumn())
    with progress.Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as shown:
        task = shown.add_task(title, total=total)
        yield lambda done: shown.update(task, completed=done)


def _unpack(archive: Path, package: Package, wanted: set[str], tree: Path) -> dict[str, str]:
    """Write the regular files that are kept or `wanted` below `tree`; their SHA256 by path."""
    files: dict[str, str] = {}
    xz = shutil.which("xz")  # with two processors it takes half the time of Python's lzma
    pipe = 'dpkg-deb --fsys-tarfile "$1" | tar -xOf - "$2"' + (" | xz -dc -T0" if xz else "")
    if package.source:
        pipe = 'xz -dc -T0 "$1"' if xz else 'cat "$1"'
    inner = f"./usr/src/{package.name}.tar.xz"
    with apt_state.running("sh", "-c", pipe, "sh", str(archive), inner) as process:
        assert process.stdout is not None
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|" if xz else "r|xz") as members:
                for member in members:
                    # The archive has one folder, linux-6.12.8/ or linux-source-6.12/.
                    file = posixpath.normpath(member.name).partition("/")[2]
                    if not member.isreg() or not (kernel_cache.is_kept(file) or file in wanted) or file.startswith("/"):
                        continue
                    if body := members.extractfile(member):
                        files[file] = kernel_cache.write(tree, file, body.read())
            while process.stdout.read(1 << 20):
                pass
            # The last command's exit code tells of earlier ones too: what they cut short it finds damaged.
            problem = "" if process.wait() == 0 else "its end is missing"
        except (tarfile.TarError, EOFError) as error:
            problem = str(error)
    if problem:
        raise CannotRun(f"{archive.name} is damaged or cannot be unpacked ({problem}): try again")
    return files
