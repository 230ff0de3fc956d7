"""The file system that a guest starts from: this machine's Python, the modules that the agent needs, and the kernel's
modules, in an archive that the kernel unpacks (cpio, Documentation/driver-api/early-userspace/buffer-format.rst).
"""

import contextlib
import importlib.util
import io
import marshal
import os
import re
import stat
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from cffi import FFI

from skdiff.base.errors import CannotRun
from skdiff.base.files import from_json
from skdiff.base.paths import CASES, CSRC
from skdiff.cases import native, record

_INIT = "skdiff.oracles.guests.init"
# What the agent loads is what it loads here.
_REHEARSAL = """
import importlib, sys
from skdiff.base.files import to_json
importlib.import_module(sys.argv[1])
files = [m.__file__ for m in sys.modules.values() if getattr(m, "__file__", None)]
mapped = {line.split(maxsplit=5)[5].strip() for line in open("/proc/self/maps") if ".so" in line}
print(to_json([sys.path, files, sorted(mapped)]))
"""
_UNCHECKED = 1  # importlib: a hash-based .pyc whose source is not looked at
_HEADER = importlib.util.MAGIC_NUMBER + struct.pack("<I8x", _UNCHECKED)
_PREPARED = "prepared"  # the folder of modules that are made for guests
_CONSOLE = os.makedev(5, 1)


class Archive:
    """A cpio archive in the "newc" format that grows; folders come by themselves."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._has: set[str] = set()

    def _add(self, name: str, mode: int, body: bytes = b"", device: int = 0) -> None:
        name = name.strip("/")
        if name in self._has:
            return
        self._has.add(name)
        above = os.path.dirname(name)  # noqa: PTH120  of a name in the archive
        if above:
            self._add(above, stat.S_IFDIR | 0o755)
        path = name.encode() + b"\0"
        fields = (len(self._has), mode, 0, 0, 1, 0, len(body), 0, 0, os.major(device), os.minor(device), len(path), 0)
        header = b"070701" + "".join(f"{field:08X}" for field in fields).encode()
        self._parts += [_padded(header + path), _padded(body)]

    def file(self, name: str, body: bytes, mode: int = 0o644) -> None:
        """Add a file."""
        self._add(name, stat.S_IFREG | mode, body)

    def folder(self, name: str) -> None:
        """Add an empty folder."""
        self._add(name, stat.S_IFDIR | 0o755)

    def character_device(self, name: str, device: int) -> None:
        """Add a character device."""
        self._add(name, stat.S_IFCHR | 0o600, device=device)

    def bytes(self) -> bytes:
        """The archive."""
        end = Archive.__new__(Archive)
        end._parts, end._has = [], set()
        end._add("TRAILER!!!", 0)
        return b"".join([*self._parts, *end._parts])


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def initramfs(modules: Mapping[str, bytes], first: str = _INIT) -> bytes:
    """The archive for a kernel whose modules (by their names, in the order of loading) are these; the first process is
    main() of the Python module `first`. Raises CannotRun.
    """
    done = subprocess.run(
        [sys.executable, "-c", _REHEARSAL, first], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        raise CannotRun(f"the agent of guests cannot be loaded: {done.stderr.strip().splitlines()[-1:]}")
    path, files, mapped = from_json(done.stdout.splitlines()[-1], tuple[list[str], list[str], list[str]])
    python = Path(sys.executable).resolve()
    archive = Archive()
    archive.character_device("dev/console", _CONSOLE)
    for folder in ("proc", "tmp", "modules"):
        archive.folder(folder)
    for number, (name, body) in enumerate(modules.items()):
        archive.file(f"modules/{number:02}-{name}.ko", body)
    for library in _libraries([python, *map(Path, mapped)]):
        archive.file(library, Path(library).read_bytes(), 0o755)
    archive.file(str(python), python.read_bytes(), 0o755)
    for module in files:
        _add_module(archive, Path(module))
    archive.file(str(CASES / f"{native.MODULE}.so"), native.library().read_bytes(), 0o755)
    for file in CSRC.iterdir():  # those that are read, and some more
        if file.is_file():
            archive.file(str(file), file.read_bytes())
    archive.file(f"{_PREPARED}/{record.MADE}.pyc", _of_text(_layout_of_records(), record.MADE))
    start = f"import sys\nsys.path[:] = {[f'/{_PREPARED}', *filter(None, path)]!r}\nfrom {first} import main\nmain()\n"
    archive.file("init", f"#!{python} -SE\n{start}".encode(), 0o755)
    return archive.bytes()


def _add_module(archive: Archive, file: Path) -> None:
    """A module without its source, so that nothing is compiled in the guest, or one in machine code."""
    if file.suffix != ".py":
        archive.file(str(file), file.read_bytes(), 0o755)
        return
    archive.file(str(file.with_suffix(".pyc")), _compiled(file))


def _compiled(file: Path) -> bytes:
    at = file.stat()
    try:
        cached = Path(importlib.util.cache_from_source(str(file))).read_bytes()
        if cached[:16] == importlib.util.MAGIC_NUMBER + struct.pack("<III", 0, int(at.st_mtime), at.st_size):
            return _HEADER + cached[16:]
    except OSError:
        pass
    return _of_text(file.read_bytes(), str(file))


def _of_text(text: bytes, name: str) -> bytes:
    return _HEADER + marshal.dumps(compile(text, name, "exec", dont_inherit=True))


def _layout_of_records() -> bytes:
    """The Python module that cffi makes of record.h."""
    ffi = FFI()
    ffi.cdef(record.cdef())
    ffi.set_source(record.MADE, None)
    with tempfile.TemporaryDirectory(prefix="skdiff-") as folder, contextlib.redirect_stdout(io.StringIO()):
        made = Path(folder, f"{record.MADE}.py")
        ffi.emit_python_code(str(made))
        return made.read_bytes()


def _libraries(programs: Iterable[Path]) -> list[str]:
    """The libraries that these need, under the names by which they are looked for (ldd(1))."""
    done = subprocess.run(["ldd", *map(str, programs)], capture_output=True, text=True, check=False)
    return [*dict.fromkeys(re.findall(r"(?:=> )?(/\S+) \(0x", done.stdout))]
