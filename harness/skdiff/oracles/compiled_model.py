"""A copy of the model that mypyc has compiled, for runs of many cases: the same text, and twice as fast.

It is another package in the folder of builds. The model itself stays interpreted, since coverage, mutants and the watch
on its lines look at it, and so does every command that runs few cases.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from skdiff.base.build_folder import filled, is_whole
from skdiff.base.errors import CannotRun
from skdiff.base.paths import PACKAGE, builds
from skdiff.oracles.model import Model

NAME = "skdiff_model"
_MODEL = PACKAGE / "oracles/model"
_ADDRESSES = PACKAGE / "cases/addresses.py"  # functions that the model calls all the time: part of the copy
# Each worker looks for them, and would take 50 ms to parse the files.
_IMPORTED = re.compile(r"^\s*from (skdiff\.[\w.]+) import", re.MULTILINE)
# Fewer are done before it is compiled.
WORTH_SECONDS, WORTH_CASES = 20.0, 200_000


def prepare(say: Callable[[str], None], seconds: float = 0, cases: int = 0) -> None:
    """Compile it, unless it is there, or not worth it for a run of so many seconds and cases (0: no bound). Says so if
    that cannot be done.
    """
    if folder() is not None or 0 < seconds < WORTH_SECONDS or 0 < cases < WORTH_CASES:
        return
    if not _mypy():
        say("the model is not compiled, which halves its time: pip install 'mypy[mypyc]'")
        return
    say("compiling the model, once")
    try:
        _compile(place())
    except CannotRun as error:
        say(f"the model is not compiled, which halves its time: {error}")


def fastest() -> type[Model]:
    """The class of the compiled model if it is there, else that of the model."""
    found = folder()
    return Model if found is None else load(found)


@cache
def load(place: Path) -> type[Model]:
    """The class of the compiled model in a folder, which may have come from another machine."""
    sys.path.append(str(place))
    found: type[Model] = import_module(NAME).Model
    return found


def folder() -> Path | None:
    """Its folder, if it is there and whole."""
    if not _mypy():  # whoever made it had it, and the name of the folder has its version
        return None
    found = place()
    return found if is_whole(found) else None


def _mypy() -> str:
    """The version of mypy, which brings mypyc; "" if it is not installed."""
    try:
        return version("mypy")
    except PackageNotFoundError:
        return ""


@cache
def place() -> Path:
    """The folder is named by all that goes into it: the text of the model, and of what it imports, directly or not."""
    found = hashlib.sha256(repr((_mypy(), sys.version)).encode())
    found.update(Path(__file__).read_bytes())
    seen: set[Path] = set()
    todo = sorted(_MODEL.glob("*.py"))
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        for name in _IMPORTED.findall(path.read_text()):
            place = PACKAGE.parent / name.replace(".", "/")
            todo += [file for file in (place.with_suffix(".py"), place / "__init__.py") if file.exists()]
    for path in sorted(seen):
        found.update(f"{path.name}\0".encode() + path.read_bytes())
    return builds() / f"model-{found.hexdigest()[:16]}"


def _compile(folder: Path) -> None:
    """Compile it into a folder. Raises CannotRun."""
    with filled(folder) as work:
        package, types = work / NAME, work / "types"
        package.mkdir()
        types.mkdir()
        (types / "skdiff").symlink_to(PACKAGE)  # mypy reads no types from where packages are installed
        for path in (*_MODEL.glob("*.py"), _ADDRESSES):
            (package / path.name).write_text(_renamed(path.read_text()))
        files = sorted(str(path.relative_to(work)) for path in package.iterdir())
        environment = {**os.environ, "MYPYPATH": str(types), "PYTHONPATH": ""}
        command = [sys.executable, "-m", "mypyc", "--config-file=", "--cache-dir=cache", *files]
        done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines()
            raise CannotRun(lines[-1] if lines else "mypyc failed")
        (types / "skdiff").unlink()
        for name in ("build", "cache", "types"):
            shutil.rmtree(work / name, ignore_errors=True)


def _renamed(text: str) -> str:
    """The text with the names that modules have in the copy."""
    text = re.sub(r"\bskdiff\.oracles\.model\b", NAME, text)
    return re.sub(r"\bskdiff\.cases\.addresses\b", f"{NAME}.addresses", text)
