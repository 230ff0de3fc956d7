"""A case: a Scenario with its story, its expectation, and the names of its sockets and groups."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skdiff.base.paths import command
from skdiff.cases.fields import KINDS, PROTOCOLS, STATES
from skdiff.cases.scenario import KIND_FULL, TCP_LISTEN, Scenario, Sock

# A name stands in reports, errors and drawings: one word or a few.
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_ -]{0,63}")
TAKEN = ("none", "leave", "foreign")  # words that stand where a socket's name may stand


@dataclass(frozen=True)
class Case:
    """A scenario with its story: `why` it is kept, how it was `found`, what to `expect` of a kernel that is what it
    `needs` (see `harness/skdiff/variants/requirements.py`) and who said so (see `expectations.py`), and the names of
    its sockets, groups and, by their numbers, `devices`.
    """

    scenario: Scenario
    why: str = ""
    found: Mapping[str, Any] = field(default_factory=dict)
    expect: Mapping[str, Any] = field(default_factory=dict)
    said_by: str = ""
    socks: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    path: Path | None = None
    needs: tuple[str, ...] = ()
    devices: Mapping[int, str] = field(default_factory=dict)

    def again(self, path: str) -> str:
        """The line with the command that shows a difference between two kernels again, for a case that one found, which
        is at `path` (quoted for a shell); "" for others.
        """
        words = str(self.found.get("again", ""))
        return f"again: {command()} {words} {path}" if words.startswith("diff ") else ""


def default_names(scenario: Scenario) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names for sockets and groups that say what they are, unique within the scenario."""
    return (
        tuple(f"{role(sock)}{i}" for i, sock in enumerate(scenario.socks)),
        tuple(f"group{i}" for i in range(len(scenario.groups))),
    )


def role(sock: Sock) -> str:
    """One word for what a socket is: listener, udp, request, ..."""
    if sock.kind != KIND_FULL:
        return KINDS[sock.kind]
    if sock.protocol != 6:
        return PROTOCOLS.get(sock.protocol, "other")
    if sock.state == TCP_LISTEN:
        return "listener"
    return STATES[sock.state].lower() if sock.state < len(STATES) else "socket"
