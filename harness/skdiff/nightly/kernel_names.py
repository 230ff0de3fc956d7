"""What the kernels of a night are called in its steps and files."""

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

from skdiff.base.errors import CannotRun
from skdiff.kernel import source


def names(kernels: Sequence[str]) -> list[str]:
    """A name for each kernel that can stand in a file's: a version is its own, a tree is called as its folder. Raises
    CannotRun for what is neither, or a tree that is not there.
    """
    found: list[str] = []
    for kernel in kernels:
        name = kernel
        if not re.fullmatch(r"[0-9]+\.[0-9]+(\.[0-9]+)?(-rc[0-9]+)?", kernel) and kernel != source.MAINLINE:
            if "/" not in kernel and not kernel.startswith(("~", ".")) and not Path(kernel).is_dir():
                raise CannotRun(
                    f"{kernel!r} is neither a kernel version such as 6.12, nor mainline, nor a path to a tree"
                )
            path = source.find(kernel if "/" in kernel else f"./{kernel}", ()).path
            name = re.sub(r"[^\w.+-]+", "-", path.name, flags=re.ASCII).strip("-.") or "tree"
        number = next(n for n in itertools.count(1) if (f"{name}-{n}" if n > 1 else name) not in found)
        found.append(f"{name}-{number}" if number > 1 else name)
    return found
