"""The compiler: which one, its flags, and from a text to a Python module."""

import contextlib
import ctypes
import io
import platform
import re
import subprocess
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cffi

from skdiff.base.build_folder import filled, is_whole
from skdiff.base.compiler import (
    FLAGS,
    CompilerFailed,
    command,
    compiler,
    digest,
    is_clang,
    load_module,
    python_headers,
    run,
)
from skdiff.base.errors import CannotRun
from skdiff.base.paths import CASES, CSRC, builds
from skdiff.cases.record import cdef

MODULE = "_skdiff"  # the name of each build's Python module


_STDOUT = threading.Lock()  # redirecting it concerns all threads


# The kernel's own flags, as far as they change what code means.
KERNEL_FLAGS = ("-std=gnu11", "-fno-strict-aliasing", "-fwrapv", "-fno-delete-null-pointer-checks")


# An implicit declaration would only be missed when the library is loaded. gcc forgets about this beside -w.
_DECLARED = "-Werror=implicit-function-declaration"


# What each kind of build adds for the closure (not for the driver's glue), and for the linker.
VARIANTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "plain": ((), ()),
    "asan": (
        ("-O1", "-fsanitize=address", "-fsanitize-recover=address", "-fno-omit-frame-pointer"),
        ("-fsanitize=address",),
    ),
    "ubsan": (
        ("-O1", "-fsanitize=undefined", "-fno-sanitize-recover=undefined", "-fsanitize-undefined-trap-on-error"),
        (),
    ),
    "coverage": (("-O0", "--coverage"), ("--coverage",)),
    "traced": (("-DTRACED",), ()),
}


SANITIZERS = ("asan", "ubsan")  # the variants that a user may ask for


# Coverage for libFuzzer: clang's inline counters, or gcc's hooks with csrc/trace.c to make counters of them.
GUIDED_FLAGS = {
    "clang": ("-O1", "-fno-inline", "-fsanitize-coverage=inline-8bit-counters,pc-table,trace-cmp"),
    "gcc": ("-O1", "-fno-inline", "-fsanitize-coverage=trace-pc,trace-cmp"),
}


def load(folder: Path) -> Any:
    """Import the compiled module of a build's folder. Raises CannotRun if it cannot load."""
    return load_module(MODULE, folder / f"{MODULE}.so")


def digest_of_build(paths: Iterable[Path], cc: str, *more: object) -> str:
    """The SHA-256 of our C (but for that of drawn cases), of the files in `paths`, of how Python and the compiler are
    made, and of what there is more to say.
    """
    own = (path for path in sorted(CSRC.rglob("*.[ch]")) if CASES not in path.parents)
    return digest((*own, *paths), cc, *more)


def closure_command(cc: str, extra: tuple[str, ...] = ()) -> list[str]:
    """The compiler and its flags for a closure. Raises CannotRun without Python's headers."""
    return [*command(cc), *FLAGS, "-I", str(CSRC), "-I", python_headers(), *KERNEL_FLAGS, *extra]


def compile_unit(work: Path, cc: str, extra: tuple[str, ...], link: tuple[str, ...], declared: bool = False) -> None:
    """Compile the `closure.c` of a folder into the Python module there; with `declared` a function that nobody has
    declared is an error. Raises DoesNotCompile, or CannotRun without a compiler.
    """
    words = closure_command(cc, extra)
    if declared:
        words = [*(flag for flag in words if flag != "-w"), _DECLARED]
    _run([*words, "-c", "closure.c", "-o", "closure.o"], work)
    glue = _glue(cc)
    own = ["wrapper.o", "guard.o", *(["trace.o"] if GUIDED_FLAGS["gcc"][-1] in extra else [])]
    objects = ["closure.o", *(str(glue / name) for name in own)]
    _run([*command(cc), "-shared", *link, *objects, "-o", f"{MODULE}.so"], work)


def _glue(cc: str) -> Path:
    """The folder of what is the same in each build of a compiler, and takes a third of its time: Python's way to the C,
    the guard, and the counters behind gcc's hooks.
    """
    folder = builds() / f"glue-{digest_of_build((), cc, cdef(), cffi.__version__)[:16]}"
    if is_whole(folder):
        return folder
    ffi = cffi.FFI()
    ffi.cdef(cdef())
    ffi.set_source(MODULE, '#include "record.h"')
    with filled(folder) as work:
        with _STDOUT, contextlib.redirect_stdout(io.StringIO()):  # cffi says which file it writes
            ffi.emit_c_code(str(work / "wrapper.c"))
        common = (*command(cc), *FLAGS, "-I", str(CSRC), "-I", python_headers())
        for source in ("wrapper.c", str(CSRC / "guard.c"), str(CSRC / "trace.c")):
            _run([*common, "-c", source, "-o", f"{Path(source).stem}.o"], work)
    return folder


def _run(words: list[str], work: Path) -> None:
    try:
        run(words, work)
    except CompilerFailed as error:
        raise DoesNotCompile(error.cc, error.errors) from error


class DoesNotCompile(CompilerFailed):
    """A compiler refuses a closure."""

    def __init__(self, cc: str, errors: list[str]) -> None:
        super().__init__(
            cc,
            errors,
            f"{cc} cannot compile the lookup: {errors[0] if errors else 'no message'} ({len(errors)} errors;"
            " a patch that does not build, or a kernel too far from those that csrc/closure.toml knows)",
        )

    def missed(self, tree: Path) -> frozenset[str]:
        """The names that the compiler does not know, or knows too little of, in a tree's text."""
        names: set[str] = set()
        for line in self.errors:
            match = _UNKNOWN.search(line)
            if match is None:
                continue
            names.update(re.findall(r"'(?:(?:const|struct|union|enum) )*([A-Za-z_]\w*)[ *]*'", line))
            where = re.match(r"(?P<file>[^:]+):(?P<line>\d+):", line)
            if where and match["incomplete"]:
                with contextlib.suppress(OSError, IndexError):
                    text = (tree / where["file"]).read_text(errors="replace").split("\n")[int(where["line"]) - 1]
                    names.update(re.findall(r"[A-Za-z_]\w*", text))
        return frozenset(names)


_UNKNOWN = re.compile(
    r"implicit declaration of function|undeclared|unknown type name|has no member named|no member named"
    r"|(?P<incomplete>undefined type|incomplete|storage size)"
)


def check_preloaded(variant: str) -> None:
    """Raises CannotRun if this process cannot load a build of this variant: AddressSanitizer would end it."""
    if variant == "asan" and not hasattr(ctypes.CDLL(None), "__asan_init"):
        raise CannotRun("SAN=asan: this command runs the kernel's code in its own process, where ASan cannot be loaded")


def preload(variant: str) -> dict[str, str]:
    """The environment that a process needs to load a build of this variant: AddressSanitizer wants to come first."""
    if variant != "asan":
        return {}
    return {
        "LD_PRELOAD": str(_asan_runtime(compiler())),
        # A case with a report ends as crashed (csrc/driver/redzones.c): the process goes on.
        "ASAN_OPTIONS": "halt_on_error=0:suppress_equal_pcs=0:detect_leaks=0:abort_on_error=1:handle_segv=0"
        ":handle_sigbus=0:handle_sigfpe=0:handle_sigill=0",
    }


def _asan_runtime(cc: str) -> Path:
    """AddressSanitizer's shared runtime of a compiler, which says itself where it is. Raises CannotRun."""
    machine = platform.machine()
    names = (f"libclang_rt.asan-{machine}.so", "libclang_rt.asan.so") if is_clang(cc) else ("libasan.so",)
    for name in names:
        found = subprocess.run([*command(cc), f"-print-file-name={name}"], capture_output=True, text=True, check=False)
        path = Path(found.stdout.strip())
        if path.is_absolute() and path.exists():
            return path
    package = "libclang-rt-N-dev of its version N" if is_clang(cc) else "libasan of its version"
    raise CannotRun(f"{cc} has no {names[0]} for {machine}, which SAN=asan needs: install it (Debian: {package})")
