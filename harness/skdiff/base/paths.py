"""Where skdiff's own files are, where it keeps what it fetches and builds, and how it is called where the user stands.

In a checkout csrc/ and corpus/ are beside `harness/`, and builds go into `build/`. An installed package has both
folders inside, and builds go into the user's cache.
"""

import os
import shlex
import shutil
import sys
from pathlib import Path

from skdiff.base.errors import CannotRun

PACKAGE = Path(__file__).resolve().parents[1]
ROOT = PACKAGE.parents[1]  # of a checkout; of an installed package this is no folder of ours
INSTALLED = (PACKAGE / "csrc").is_dir()
CSRC = (PACKAGE if INSTALLED else ROOT) / "csrc"
CASES = CSRC / "cases"  # of drawn cases: no part of a kernel's library
CORPUS = (PACKAGE if INSTALLED else ROOT) / "corpus"


def cache() -> Path:
    """The user's cache: $XDG_CACHE_HOME/skdiff, or ~/.cache/skdiff. Raises CannotRun without a home directory."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        # The XDG base directory specification says to ignore a relative path here.
        return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "skdiff"
    except RuntimeError as error:
        raise CannotRun("there is no home directory to keep kernel sources in: set XDG_CACHE_HOME") from error


def builds() -> Path:
    """The folder of the builds. Raises CannotRun, see `cache`."""
    return cache() / "build" if INSTALLED else ROOT / "build"


def need_checkout(what: str) -> None:
    """Raises CannotRun where `what` would be written into an installed package, which the next upgrade replaces."""
    if INSTALLED:
        raise CannotRun(f"{what} needs a checkout of skdiff: the files of an installed package are not to be changed")


def command() -> str:
    """What a user types for skdiff here, quoted for a shell: the name if it is found on PATH, else its path."""
    script = Path(sys.executable).parent / "skdiff"  # of this environment, whose python is a link to another
    if not script.exists():
        return f"{shlex.quote(sys.executable)} -m skdiff"
    found = shutil.which("skdiff")
    if found is not None and Path(found).samefile(script):
        return "skdiff"
    return shlex.quote(str(script.relative_to(Path.cwd()) if script.is_relative_to(Path.cwd()) else script))


def shell_path(path: Path) -> str:
    """A path as a person would type it from here, quoted for a shell: printed commands have no path in another form.
    That of standard input stays as it is: a command that is given the same there shows the same.
    """
    if str(path) == "-":
        return "-"
    try:
        text = str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        text = str(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)
