"""The C compiler: which one, what it is called with, and from C to a library or a module of Python."""

import hashlib
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from skdiff.base.errors import CannotRun
from skdiff.base.paths import CSRC

FLAGS = ("-O2", "-g", "-fPIC", "-fvisibility=hidden", "-w")


class CompilerFailed(CannotRun):
    """A compiler does not take some C: `errors` are its lines."""

    def __init__(self, cc: str, errors: list[str], what: str = "") -> None:
        first = errors[0] if errors else "no message"
        super().__init__(what or f"{cc} failed: {first} ({len(errors)} errors)")
        self.cc = cc
        self.errors = errors


def compiler() -> str:
    """The C compiler to use: $CC (with arguments, or behind ccache), else gcc, else clang, else cc. Raises CannotRun if
    there is none.
    """
    wanted = os.environ.get("CC")
    for name in (wanted,) if wanted else ("gcc", "clang", "cc"):
        if name and shutil.which(command(name)[0]):
            return name
    raise CannotRun(f"no C compiler ({wanted or 'gcc, clang, cc'}): install gcc or clang, or set CC")


def command(cc: str) -> list[str]:
    """A compiler as words of a command. Raises CannotRun for a quote that does not end."""
    try:
        return shlex.split(cc) or [cc]
    except ValueError as error:
        raise CannotRun(f"CC={cc}: {error}") from error


def _version(cc: str) -> str:
    try:
        return subprocess.run([*command(cc), "--version"], capture_output=True, text=True, check=False).stdout
    except OSError as error:
        raise CannotRun(f"cannot run {cc}: {error.strerror}") from error


def is_clang(cc: str) -> bool:
    """Whether a compiler is clang under whatever name."""
    return "clang" in _version(cc)


def digest(paths: Iterable[Path], cc: str, *more: object) -> str:
    """The SHA-256 of files, of how Python and the compiler are made, and of what there is more to say."""
    found = hashlib.sha256()
    for path in paths:
        found.update(f"{path.name}\0".encode())
        try:
            found.update(path.read_bytes())
        except OSError:  # the extractor says which file is missing, and whether that matters
            found.update(b"missing")
    soabi = sysconfig.get_config_var("SOABI") or ""
    found.update(repr((more, FLAGS, cc, _version(cc), soabi, sys.version)).encode())
    return found.hexdigest()


def python_headers() -> str:
    """The folder of Python.h. Raises CannotRun if it is not there."""
    include = sysconfig.get_path("include")
    if not (Path(include) / "Python.h").exists():
        raise CannotRun(f"no Python.h in {include}: install your Python's headers (Debian: apt install python3-dev)")
    return include


def run(words: list[str], work: Path) -> None:
    """Run a compiler in a folder. Raises CompilerFailed, or CannotRun without it."""
    try:
        environment = {**os.environ, "LC_ALL": "C"}  # the messages are read
        done = subprocess.run(words, cwd=work, capture_output=True, text=True, check=False, env=environment)
    except OSError as error:
        raise CannotRun(f"cannot run {words[0]}: {error.strerror}") from error
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
        raise CompilerFailed(words[0], errors)


def shared_library(sources: Iterable[Path], target: Path, cc: str, flags: Iterable[str]) -> None:
    """Compile C files into a library. Raises CannotRun if that fails."""
    words = [*command(cc), *FLAGS, "-I", str(CSRC), *flags, "-shared", *map(str, sources), "-o", str(target)]
    run(words, target.parent)


def load_module(name: str, path: Path) -> Any:
    """Import a compiled module; those of other files stay what they are, though they have the same name. Raises
    CannotRun if it cannot load.
    """
    spec = importlib.util.spec_from_file_location(name, path)
    try:
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    except (ImportError, OSError) as error:
        raise CannotRun(f"cannot load {path}: {error}") from error
    return module
