"""From a Scenario to a case in words, where that can be said exactly.

What is written is read again, and refused if another scenario comes of it.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from skdiff.base.errors import CannotRun
from skdiff.base.files import from_toml
from skdiff.cases import words_format
from skdiff.cases.case import Case, default_names
from skdiff.cases.case_values import show
from skdiff.cases.faults import Faults
from skdiff.cases.fields import FIELDS
from skdiff.cases.scenario import (
    Scenario,
)
from skdiff.cases.toml_lines import TomlLines
from skdiff.cases.words_calls import NotInWords, Writer

__all__ = ["NotInWords", "dump"]


def dump(case: Case) -> str:
    """The case in words. Raises NotInWords."""
    if case.scenario.hostile:
        raise NotInWords("it is hostile: no calls lead to it")
    try:
        return _dump(case, early=False)
    except NotInWords:
        with contextlib.suppress(NotInWords):
            return _dump(case, early=True)
        raise


def _dump(case: Case, early: bool) -> str:
    text = Writer(case, early).text()
    lines = TomlLines(text)
    faults = Faults("case", lines)
    read = words_format.read(from_toml(text, dict[str, Any]), lines, faults)
    try:
        faults.check()
    except CannotRun as error:
        raise NotInWords(str(error).splitlines()[0].split(": ", 1)[1]) from error
    names = case.socks or default_names(case.scenario)[0]
    for difference in _differences(case.scenario, read.scenario, names):
        raise NotInWords(difference)
    return text


def _differences(wanted: Scenario, got: Scenario, names: Sequence[str]) -> Iterator[str]:
    """What the words do not say, or would say else."""
    pairs: list[tuple[str, Any, Any]] = [("the scenario", wanted, got), ("the packet", wanted.packet, got.packet)]
    for what, things, others in (("netns", wanted.netns, got.netns), ("group", wanted.groups, got.groups)):
        if len(things) != len(others):
            yield f"it has {len(things)} of [[{what}]], and the calls make {len(others)}"
            return
        pairs += [(f"{what} {i}", a, b) for i, (a, b) in enumerate(zip(things, others, strict=True))]
    if len(wanted.socks) != len(got.socks):
        yield f"it has {len(wanted.socks)} sockets, and the calls make {len(got.socks)}"
        return
    if len(wanted.events) != len(got.events):
        yield f"it has {len(wanted.events)} events, and the words make {len(got.events)}"
        return
    pairs += [(f"event {i + 1}", a, b) for i, (a, b) in enumerate(zip(wanted.events, got.events, strict=True))]
    pairs += zip(names, wanted.socks, got.socks, strict=True)
    for what, thing, other in pairs:
        for name, field in FIELDS[type(thing)].items():
            a, b = getattr(thing, name), getattr(other, name)
            if a != b:
                said = [show(field, value, names) for value in (a, b)]
                if name == "slots":
                    said = [[names[i] for i in value] for value in (a, b)]
                yield f"{what}: {name} is {said[0]}, and the calls make it {said[1]}"
    if wanted != got:
        yield "the calls make another scenario"
