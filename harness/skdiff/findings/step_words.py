"""A step of a lookup in one line, for people."""

from collections.abc import Mapping, Sequence

from skdiff.cases.addresses import mapped
from skdiff.cases.case_file import Case
from skdiff.cases.case_values import address
from skdiff.cases.scenario import NONE
from skdiff.cases.steps import VALUES, Step
from skdiff.oracles.model.state import DROP

FLAGS = frozenset({"counted", "refcounted", "fits", "taken", "no_reuseport", "matches", "came"})
SOCKETS = frozenset({"sk", "asked"})


def value_text(name: str, value: int, socks: Sequence[str]) -> str:
    """A value of a step for people."""
    if name in SOCKETS:
        return {NONE: "none", DROP: "error"}.get(value) or (socks[value] if 0 <= value < len(socks) else "?")
    if name in FLAGS:
        return "yes" if value else "no"
    if name == "number":  # of an event, as all that is told of it counts: from 1 on
        return str(value + 1)
    if name == "daddr":
        return address(mapped(value))
    return f"{value:#x}" if name == "hash" or name.endswith("_half") else str(value)


def step_text(step: Step, socks: Sequence[str]) -> str:
    """A step in one line, as the kernel would say it: function and values."""
    values = zip(VALUES[step.function], step.values, strict=False)
    return f"{step.function}: " + ", ".join(f"{name} {value_text(name, v, socks)}" for name, v in values)


def device_text(device: int, names: Mapping[int, str]) -> str:
    """A device in a sentence: its number, behind its name if it has one."""
    return f"{names[device]} ({device})" if device in names else str(device)


def devices_of(case: Case) -> Mapping[int, str]:
    """The names of a case's devices by their numbers: of those that it names."""
    return case.devices
