"""The agent in a guest: it is told the rules of its kernel, and asks that kernel for cases until nobody wants more."""

import os
import traceback
from collections.abc import Callable
from typing import Any, Protocol

from skdiff.base.errors import CannotRun
from skdiff.base.files import from_json, to_json
from skdiff.cases.outcome import Outcome
from skdiff.cases.scenario import Scenario
from skdiff.oracles.guests.line import (
    ANSWERS,
    CANNOT,
    FAILED,
    HELLO,
    KEYS,
    RULES,
    Broken,
    Line,
    answers,
    read_cases,
)
from skdiff.variants.version_rules import Rules


class Asked(Protocol):
    """What the agent needs of oracles/running/host.py Host."""

    refusal: str
    nearest: Any
    keys: Any

    def run(self, scenario: Scenario) -> Outcome:
        """The outcome of a scenario."""
        ...

    def told(self) -> list[str]:
        """What cannot be asked here."""
        ...


def serve(line: Line, host_of: Callable[[Rules], Asked]) -> None:
    """Serve until the other side is gone. An error of ours goes to the other side, as FAILED."""
    try:
        kind, body = line.receive()
        if kind != RULES:
            raise Broken(f"{kind!r} instead of rules")
        try:
            host = host_of(from_json(body, Rules))
        except CannotRun as error:
            line.send(CANNOT, str(error).encode())
            return
        line.send(HELLO, to_json(_hello(host)).encode())
        while True:
            kind, body = line.receive()
            if kind == KEYS:
                host.keys.secrets, host.keys.mixes = from_json(body, tuple[dict[int, int], dict[int, int]])
                continue
            line.send(ANSWERS, answers([(host.run(scenario), host.refusal) for scenario in read_cases(body)]))
    except Broken:
        return
    except Exception:  # noqa: BLE001  whatever it is, it must not look like a death of the kernel
        line.send(FAILED, traceback.format_exc().encode())


def _hello(host: Asked) -> dict[str, object]:
    nearest = host.nearest  # it stays on the other side, which is told what this kernel can do
    return {
        "release": os.uname().release,
        "cpus": sorted(os.sched_getaffinity(0)),
        "able": {name: value for name, value in vars(nearest).items() if isinstance(value, bool)},
        "told": host.told(),
    }
