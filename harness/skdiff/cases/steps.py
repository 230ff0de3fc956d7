"""The steps of a lookup, as every oracle that can tell them tells them: which kernel function returned what.

`csrc/steps.toml` is the list; its order gives the numbers in a trace record.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from skdiff.base.files import read_toml
from skdiff.base.paths import CSRC
from skdiff.base.twin_names import twin_name

MAX_VALUES = 3  # of a step, as many as struct step_record has


class StepKind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kernel function that is watched; `csrc/steps.toml` says what each of these is."""

    function: str
    parameters: str
    returns: str
    values: dict[str, str]
    only_if: str = ""
    file: str = ""  # of a function of which there is one of the same name elsewhere

    @property
    def name(self) -> str:
        """What the step is called."""
        return twin_name(self.function, self.file) if self.file else self.function


class _Steps(msgspec.Struct, forbid_unknown_fields=True):
    step: tuple[StepKind, ...]


def load_kinds(path: Path = CSRC / "steps.toml") -> tuple[StepKind, ...]:
    """The list of a file, in its order. Raises BadFile."""
    return read_toml(path, _Steps, "a list of steps").step


KINDS = load_kinds()
# No kernel function: another CPU does something here, and whether it could.
EVENT = "event"
# By the number that a trace record has: the kernel function, and the names of up to three values.
FUNCTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (EVENT, ("number", "came")),
    *((k.name, tuple(k.values)) for k in KINDS),
)
VALUES = dict(FUNCTIONS)
# Noted only for what has to do with the packet, or what they take all the same.
CHOOSY = tuple(kind.name for kind in KINDS if kind.only_if)


class Step(NamedTuple):
    """`function` returned; `values` are named by VALUES. A socket is an index, NONE, or DROP for an error pointer."""

    function: str
    values: tuple[int, ...]


def of_kernel(steps: Sequence[Step]) -> list[Step]:
    """The steps without what other CPUs do between them."""
    return [step for step in steps if step.function != EVENT]


def parting(ours: list[Step], theirs: list[Step]) -> int | None:
    """The index of the first step at which two traces part, None if they do not."""
    for i, (one, other) in enumerate(zip(ours, theirs, strict=False)):
        if one != other:
            return i
    return None if len(ours) == len(theirs) else min(len(ours), len(theirs))


def above(function: str, callers: Mapping[str, Sequence[str]]) -> list[str]:
    """All functions that a step's function may return to, at whatever distance, the nearest first; `callers` has those
    that it returns to at once.
    """
    found = list(callers[function])
    for caller in found:
        found += [f for f in callers[caller] if f not in found]
    return found
