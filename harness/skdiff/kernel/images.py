"""Kernels to boot: Debian's cloud images, which are fetched once, and a kernel of the user's own."""

import gzip
import lzma
import posixpath
import re
import shutil
import struct
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from skdiff.base.errors import CannotRun
from skdiff.base.files import BadFile, read_json, write_json
from skdiff.base.paths import cache
from skdiff.kernel import apt_state, debian, kernel_cache
from skdiff.kernel.apt_state import State
from skdiff.kernel.debian import Gone
from skdiff.kernel.kernel_cache import Say, Tree
from skdiff.variants.version_rules import check_supported

# What the agent needs of a kernel, and what reads its sockets; a module that is not there is taken as built in.
MODULES = ("virtio_pci", "virtio_console", "tun", "bridge", "vrf", "sch_ingress", "cls_bpf", "tcp_diag", "udp_diag")
MANIFEST = "skdiff-image.json"
_FLAVOUR = "cloud-amd64"
_NAME = re.compile(rf"linux-(image|binary|modules)-(\d\S*?)-{_FLAVOUR}(?:-unsigned)?")
_KERNEL = re.compile(r"(?:boot/vmlinuz-[^/]+|(?:usr/)?lib/modules/[^/]+/vmlinuz)")
_MODULE = re.compile(r"([^/]+)\.ko(\.xz|\.gz|\.zst|)")
_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")
# Documentation/arch/x86/boot.rst: the magic of the header, and where the place of the version is, which is told less
# the first sector.
_HEADER, _HEADER_AT, _VERSION_AT, _SECTOR = b"HdrS", 0x202, 0x20E, 0x200


@dataclass(frozen=True)
class Image:
    """A kernel to boot: its file, its `version` as a source has it ("6.12.117"; as the kernel tells it, of a user's
    own), its modules in the order of their loading, and where it is from, for people; `without` says that a user's own
    has no modules, and where they were looked for, "" if it has some.
    """

    kernel: Path
    version: str
    origin: str
    modules: Mapping[str, bytes]
    without: str = ""


class _Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A cached image: the version of the kernel, and Debian's, where it is from, and its modules in their order."""

    version: str
    package: str
    origin: str
    modules: list[str]


def folder() -> Path:
    """Where the images are, below the user's cache. Raises CannotRun."""
    return cache() / "images"


def cached() -> list[Image]:
    """The images that are in the cache, the newest first."""
    paths = sorted(folder().glob(f"*/{MANIFEST}"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    return [image for path in paths if (image := _cached(path.parent))]


def find(kernel: str, say: Say, beside: Tree | None = None) -> Image:
    """The image of a kernel: a version, of which Debian's mirror has an image, or the path of a bzImage. Of several
    images of a series the one is taken that was made of the source `beside`, else one of its version, else the newest.
    Raises CannotRun.
    """
    if _is_path(kernel):
        return _given(Path(kernel).expanduser())
    _check_version(kernel)
    here = [image for image in cached() if _is_of(kernel, image.version)]
    for image in here:
        if beside is None or image.version == beside.version:
            return image
    place = folder()
    try:
        with kernel_cache.locked(place, say):
            return _fetch(kernel, place, say, beside)
    except OSError as error:
        raise CannotRun(f"cannot fetch an image of Linux {kernel} into {place}: {error}") from error
    except CannotRun:
        if here:
            return here[0]
        raise


def check(kernel: str, say: Say) -> None:
    """Raises CannotRun if there is no image of a kernel, as `find` takes it, and fetches none."""
    if _is_path(kernel):
        return
    _check_version(kernel)
    if any(_is_of(kernel, image.version) for image in cached()):
        return
    say(f"looking for an image of Linux {kernel} in the lists of Debian's mirror")
    place = folder()
    try:
        with kernel_cache.locked(place, say):
            if not _offers(kernel, _state(kernel, place, say), None):
                raise CannotRun(_NONE.format(kernel))
    except OSError as error:
        raise CannotRun(f"cannot look for an image of Linux {kernel}: {error}") from error


def _check_version(kernel: str) -> None:
    if not re.fullmatch(r"\d+\.\d+(\.\d+)?(-rc\d+)?", kernel):
        raise CannotRun(f"{kernel!r} is neither a kernel version such as 6.12, nor the path of a kernel (bzImage)")
    check_supported(kernel)


def kernel_of(kernel: str) -> str:
    """The kernel whose text an image of a kernel was made of, as `source.find` takes it: the tree that a user's own was
    built in, or its version. Raises CannotRun.
    """
    if not _is_path(kernel):
        return kernel
    image = _given(Path(kernel).expanduser())
    built = _tree_of(image.kernel)
    return str(built) if built else re.sub(r"^(\d+\.\d+).*", r"\1", image.version)


def _is_path(kernel: str) -> bool:
    return "/" in kernel or Path(kernel).is_file()


def _tree_of(kernel: Path) -> Path | None:
    return next((above for above in kernel.parents if (above / "modules.order").is_file()), None)


def _is_of(kernel: str, version: str) -> bool:
    """Whether a version is the one that was asked for, or a release of that series."""
    return version == kernel or (kernel.count(".") == 1 and version.startswith(f"{kernel}.") and "-rc" not in version)


def _cached(place: Path) -> Image | None:
    try:
        known = read_json(place / MANIFEST, _Manifest, "a manifest")
    except BadFile:
        return None
    try:
        modules = {name: (place / f"{name}.ko").read_bytes() for name in known.modules}
    except OSError:
        return None
    kernel = place / "vmlinuz"
    return Image(kernel, known.version, known.origin, modules) if kernel.is_file() else None


_NONE = "Debian's mirror has no cloud image of Linux {}"


def _state(kernel: str, place: Path, say: Say) -> State:
    """The lists of packages, as they are now."""
    found = debian.states(place)
    if found is None:
        raise CannotRun(f"this machine's apt has no Debian suite to look for an image of Linux {kernel} in")
    if trouble := apt_state.refresh(found[1], say):
        raise CannotRun(f"{trouble}so there is no image of Linux {kernel}: check the network")
    return found[1]


def _fetch(kernel: str, place: Path, say: Say, beside: Tree | None) -> Image:
    state, gone = _state(kernel, place, say), ""
    for packages in _offers(kernel, state, beside):
        if image := _cached(place / packages[0][1]):
            return image
        try:
            return _get(packages, state, place, say)
        except Gone as error:
            gone = str(error)
    raise CannotRun(gone or _NONE.format(kernel))


_Entry = tuple[str, str, str]  # a package's name, Debian's version, and the suite


def _offers(kernel: str, state: State, beside: Tree | None) -> list[list[_Entry]]:
    """The packages of each image of a kernel, in the order in which to try them."""

    def fits(packages: list[_Entry]) -> tuple[bool, bool]:
        version = packages[0][1]
        assert beside is not None
        return version in beside.origin.split(), debian.release(version)[1] == beside.version

    found = [packages for packages in _images(state) if _is_of(kernel, debian.release(packages[0][1])[1])]
    return sorted(found, key=fits, reverse=True) if beside is not None else found


def offered(cache_of_kernels: Path, say: Say) -> dict[str, list[str]]:
    """The kernels of which Debian's mirror has images, by series, the newest first. Raises CannotRun."""
    states = debian.states(cache_of_kernels)
    if states is None:
        return {}
    if trouble := apt_state.refresh(states[1], say):
        raise CannotRun(f"{trouble}so nothing can be listed: check the network")
    result: dict[str, list[str]] = {}
    for packages in _images(states[1]):
        series, version = debian.release(packages[0][1])
        known = result.setdefault(series, [])
        if version not in known:
            known.append(version)
    return result


def _images(state: State) -> list[list[_Entry]]:
    """The packages of each image that a mirror has, the newest first: one package up to Linux 6.18, from then on one
    with the kernel and one with its modules. What is signed and what is not is the same kernel.
    """
    names = apt_state.output("apt-cache", *apt_state.options(state), "pkgnames", "linux-").split()
    named = {name: match for name in names if (match := _NAME.fullmatch(name))}
    sets: dict[tuple[str, str], dict[str, _Entry]] = {}
    for name, version, suite in debian.binaries(state, *named) if named else ():
        kind, release = named[name].groups()
        if any(character.isdigit() for character in release):
            sets.setdefault((release, version), {}).setdefault(kind, (name, version, suite))
    whole = []
    for (release, version), kinds in sets.items():
        if "binary" in kinds and "modules" in kinds:
            whole.append([kinds["binary"], kinds["modules"]])
        elif "image" in kinds and "binary" not in kinds and not release.endswith(debian.release(version)[0]):
            whole.append([kinds["image"]])
    by_version = {packages[0][1]: packages for packages in reversed(whole)}
    ordered = debian.newest_first([("", version, "") for version in by_version])
    return [by_version[version] for _, version, _ in ordered]


def _get(packages: list[_Entry], state: State, place: Path, say: Say) -> Image:
    """Download the packages of an image, and keep its kernel and a few modules."""
    version, suite = packages[0][1:]
    if shutil.which("dpkg-deb") is None:
        raise CannotRun(f"dpkg-deb is missing, which unpacks {packages[0][0]}: install it and try again")
    origin = f"Debian {packages[0][0]} {version} of {suite}"
    with kernel_cache.work(place) as work:
        kernel, found = b"", dict[str, bytes]()
        for entry in packages:
            for package in debian.binary(state, *entry):
                say(f"downloading {package.name} {package.version} ({package.size / 1e6:.0f} MB)")
                archive = debian.download(package, work)
                if kernel_cache.sha256(archive) != package.sha256:
                    raise CannotRun(f"{package.name} came with a wrong SHA256: try again")
                for name, body in _members(archive):
                    if _KERNEL.fullmatch(name):
                        kernel = body
                    else:
                        found[posixpath.basename(name)] = body
                archive.unlink()
        if not kernel:
            raise CannotRun(f"{origin} has no kernel to boot: a fault of skdiff, or a new form of Debian's packages")
        modules = _needed(lambda name: _first(found, name))
        tree = work / "image"
        kernel_cache.write(tree, "vmlinuz", kernel)
        for name, body in modules.items():
            kernel_cache.write(tree, f"{name}.ko", body)
        release = debian.release(version)[1]
        write_json(tree / MANIFEST, _Manifest(release, version, origin, [*modules]))
        kernel_cache.put(tree, place / version, work)
    image = _cached(place / version)
    assert image is not None
    return image


def _members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """The kernel and the modules in a package."""
    with apt_state.running("dpkg-deb", "--fsys-tarfile", str(archive)) as process:
        assert process.stdout is not None
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as members:
                for member in members:
                    name = posixpath.normpath(member.name).lstrip("/")
                    wanted = _KERNEL.fullmatch(name) or _MODULE.fullmatch(posixpath.basename(name))
                    if member.isreg() and wanted and (body := members.extractfile(member)):
                        yield name, body.read()
        except (tarfile.TarError, EOFError) as error:
            raise CannotRun(f"{archive.name} is damaged or cannot be unpacked ({error}): try again") from None


def _first(found: Mapping[str, bytes], module: str) -> bytes | None:
    for ending in ("", ".xz", ".gz", ".zst"):
        body = found.get(f"{module}.ko{ending}")
        if body is not None:
            return _unpacked(body, ending)
    return None


def _unpacked(body: bytes, ending: str) -> bytes:
    if ending == ".zst":
        done = subprocess.run(["zstd", "-dc"], input=body, capture_output=True, check=False)
        if done.returncode:
            raise CannotRun(f"a module cannot be unpacked: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout
    if ending == ".xz":
        return lzma.decompress(body)
    return gzip.decompress(body) if ending == ".gz" else body


def _needed(get: Callable[[str], bytes | None]) -> dict[str, bytes]:
    """The modules of MODULES that there are and those that they depend on, in the order of loading."""
    order: dict[str, bytes] = {}

    def add(name: str) -> None:
        body = None if name in order else get(name) or (get(name.replace("_", "-")) if "_" in name else None)
        if body is None:
            return
        depends = _DEPENDS.search(body)
        for other in depends[1].decode().split(",") if depends else ():
            add(other)
        order[name] = body

    for name in MODULES:
        add(name)
    return order


def _given(kernel: Path) -> Image:
    """A kernel of the user's own, and its modules: of the tree that it was built in, or those that are installed."""
    try:
        with kernel.open("rb") as file:
            head = file.read(1 << 16)
    except OSError as error:
        raise CannotRun(f"{kernel}: {error.strerror}") from error
    if head[_HEADER_AT : _HEADER_AT + 4] != _HEADER:
        raise CannotRun(f"{kernel} is no bzImage: give arch/x86/boot/bzImage of a built tree, or a vmlinuz")
    (at,) = struct.unpack_from("<H", head, _VERSION_AT)
    release = head[at + _SECTOR :].partition(b"\0")[0].split()[:1]
    version = release[0].decode(errors="replace") if at and release else "?"
    kernel = kernel.resolve()
    place = _tree_of(kernel) or Path("/lib/modules", version)
    files = {file.name: file for file in place.rglob("*.ko*") if _MODULE.fullmatch(file.name)} if place.is_dir() else {}

    def get(name: str) -> bytes | None:
        for ending in ("", ".xz", ".gz", ".zst"):
            if file := files.get(f"{name}.ko{ending}"):
                return _unpacked(file.read_bytes(), ending)
        return None

    bodies = _needed(get)
    if not bodies:
        return Image(kernel, version, f"{kernel}, {version}", bodies, f"there are no modules of it in {place}")
    return Image(kernel, version, f"{kernel}, {version}, with {', '.join(bodies)} of {place}", bodies)
