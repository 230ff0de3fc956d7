"""The commands: a module each, which owns its arguments; `NAMES` has them in the order of the help."""

from importlib import import_module
from typing import cast

from skdiff.commands.interface import Command

NAMES = (
    "fuzz",
    "sweep",
    "diff",
    "drift",
    "replay",
    "reduce",
    "explain",
    "who",
    "new",
    "convert",
    "fields",
    "keep",
    "corpus",
    "extract",
    "doctor",
    "coverage",
    "mutants",
    "merge",
    "report",
    "nightly",
    "kernels",
    "rules",
    "bench",
)


def load(name: str) -> Command:
    """The command of this name, of `NAMES`. Only what runs is imported: all of them take some half a second."""
    return cast(Command, import_module(f"skdiff.commands.{name}"))
