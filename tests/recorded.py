"""Answers of running kernels, recorded: `python -m tests.recorded` asks the kernel that runs and writes them anew.

They are chosen so that each mistake of `mistakes.py` is seen in some of them; the rest is what was drawn first. A line
of the file is JSON: the release of the kernel, the fields of a case that are not their defaults, the socket that the
kernel gave and what programs were shown.
"""

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from skdiff.cases import wire
from skdiff.cases.outcome import ABSENT, Outcome
from skdiff.cases.scenario import Group, Netns, Packet, Program, Scenario, Sock
from skdiff.comparison.running_kernel import JudgeWithHost, agrees
from skdiff.oracles.model import Model
from skdiff.oracles.running.classic_host import in_own_thread
from skdiff.oracles.running.host import Host
from skdiff.variants.version_rules import Rules, changed_by_hand
from tests.mistakes import MISTAKES, made

FILE = Path(__file__).with_name("recorded.jsonl")
OF_EACH, PLAIN, SECONDS = 4, 60, 120
_LISTS: dict[str, Any] = {"netns": Netns, "groups": Group, "socks": Sock, "progs": Program}


class Answer(NamedTuple):
    """What a kernel of this release said of a case."""

    release: str
    scenario: Scenario
    outcome: Outcome


def answers() -> Iterator[Answer]:
    """Those that are recorded."""
    for line in FILE.read_text().splitlines():
        read = json.loads(line)
        shown = tuple(map(tuple, read["shown"]))
        yield Answer(read["release"], _full(Scenario, read["case"]), Outcome(sk=read["sk"], shown=shown))


def rules_of(release: str) -> Rules:
    """The rules of a kernel of that release."""
    return changed_by_hand(Rules(), ".".join(release.split(".")[:2]))


def judge_of(rules: Rules) -> JudgeWithHost:
    """What judges the running kernel and the model alone."""
    return JudgeWithHost("running kernel", lambda scenario, outcomes: None, (Model.name,), Model(rules))


def _full(record: Any, fields: dict[str, Any]) -> Any:
    values = dict(fields)
    for name, value in fields.items():
        if name == "packet":
            values[name] = _full(Packet, value)
        elif name in _LISTS and isinstance(value, list):
            values[name] = tuple(_full(_LISTS[name], one) for one in value)
        elif isinstance(value, list):
            values[name] = tuple(value)
    return record(**values)


def _sparse(thing: Any) -> dict[str, Any]:
    """The fields that are not their defaults; lists of records are whole."""
    told = {}
    for name, value in zip(thing._fields, thing, strict=True):
        if name == "packet":
            told[name] = _sparse(value)
        elif name in _LISTS and isinstance(value, tuple):  # a packet has a namespace, too
            told[name] = [_sparse(one) for one in value]
        elif value != thing._field_defaults[name]:
            told[name] = value
    return told


def _line(answer: Answer) -> str:
    told = {"release": answer.release, "case": _sparse(answer.scenario)}
    return json.dumps({**told, "sk": answer.outcome.sk, "shown": answer.outcome.shown}, separators=(",", ":"))


def _record(host: Host) -> list[Answer]:
    release, rules = os.uname().release.split("-")[0], host.rules
    host.learn_keys()
    host.nearest.tables_a_cpu = 64
    model, judge, draw = Model(rules), judge_of(rules), Random(5).randbytes
    kept: list[Answer] = []
    seen, first = Counter[str](), dict[str, int]()
    until, cases = time.monotonic() + SECONDS, 0
    while time.monotonic() < until and any(seen[mistake.name] < OF_EACH for mistake in MISTAKES):
        tables = wire.decode(draw(wire.SIZE))
        told = {mistake.name for mistake in MISTAKES if seen[mistake.name] >= OF_EACH}
        for number in range(24):
            drawn = wire.other_packet(tables, draw(wire.FRAME_SIZE)) if number else tables
            scenario = host.nearest(drawn)
            outcome = host.run(scenario)
            if outcome.ended == ABSENT:
                continue
            cases += 1
            sides = (outcome, model.run(scenario))
            assert judge(scenario, sides) is None, scenario
            tells = []
            for mistake in MISTAKES:
                if mistake.name in told:
                    continue
                with made(mistake):
                    wrong = Model(rules).run(scenario)
                    if not agrees(outcome, wrong) and judge(scenario, (outcome, wrong)) is not None:
                        tells.append(mistake.name)
            for name in tells:
                first.setdefault(name, cases)
            if (tells and any(seen[name] < OF_EACH for name in tells)) or (not number and len(kept) < PLAIN):
                seen.update(tells)
                told.update(tells)
                kept.append(Answer(release, scenario, outcome))
    for mistake in MISTAKES:
        print(f"{mistake.name}: {seen[mistake.name]} cases, the first one after {first.get(mistake.name, 0):,}")
    print(f"{cases:,} cases asked, {len(kept)} kept", file=sys.stderr)
    return kept


if __name__ == "__main__":
    running = os.uname().release
    recorded = in_own_thread(_record, rules_of(running))
    others = [answer for answer in (answers() if FILE.exists() else ()) if answer.release != running.split("-")[0]]
    FILE.write_text("".join(f"{_line(answer)}\n" for answer in [*others, *recorded]))
