"""The parent of a worker: passes its messages on, and keeps the case that killed it."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from harness.errors import CannotRun
from harness.guarded import Guarded
from harness.kernel.build import preload
from harness.outcome import CRASHED, Outcome
from harness.record import SCENARIO_SIZE, decode
from harness.rules import problems
from harness.run import SAID, Origin, report_of, write_finding
from harness.versus import judge_of, label_of, models_of
from harness.worker import Job, shared_buffer

MAX_DEATHS = 10
Tell = Callable[[Mapping[str, Any]], None]


def supervise(job: Job, closure: str, tell: Tell) -> dict[str, Any]:
    """Run a job in a process of its own, again after each death, and return the counters of all together.

    `tell` gets each message. The job's own `in_flight` is filled in here. Raises CannotRun if the worker could not
    start. A run whose worker dies again and again ends early, and says so under "gave_up".
    """
    total: dict[str, Any] = {"cases": 0, "seconds": 0.0, "classes": {}, "mismatches": []}
    with tempfile.TemporaryDirectory(prefix="skdiff-") as folder:
        in_flight = Path(folder) / "in-flight"
        for death in range(MAX_DEATHS):
            in_flight.write_bytes(bytes(SCENARIO_SIZE))
            part = replace(
                job,
                in_flight=str(in_flight),
                seed=job.seed + death * 7919,
                cases=max(1, job.cases - total["cases"]) if job.cases else 0,
                seconds=max(0.1, job.seconds - total["seconds"]) if job.seconds else 0,
            )
            last, status, errors, interrupted = _one(part, tell)
            merge(total, last)
            if last.get("kind") == "done":
                return total
            if last.get("kind") == "cannot":
                raise CannotRun(last["why"])
            if interrupted:  # it may not have come so far as to sum up
                return total
            if not last and status >= 0:
                raise CannotRun(f"the worker ended with status {status}: {errors or 'no message'}")
            finding = _keep_crash(part, closure, -status, in_flight, errors)
            tell(finding)
            merge(total, {"mismatches": [{**finding, "count": 1}]})
    total["gave_up"] = f"the worker died {MAX_DEATHS} times, that is enough"
    return total


def merge(total: dict[str, Any], part: Mapping[str, Any]) -> None:
    """Add the counters of one worker to those of all."""
    total["cases"] += part.get("cases", 0)
    total["seconds"] += part.get("seconds", 0.0)
    for name in ("edges", "corpus"):
        if name in part:
            total[name] = part[name]
    for name, count in part.get("classes", {}).items():
        total["classes"][name] = total["classes"].get(name, 0) + count
    known = {m["signature"]: m for m in total["mismatches"]}
    for m in part.get("mismatches", []):
        if m["signature"] in known:
            known[m["signature"]]["count"] += m["count"]
            known[m["signature"]].setdefault("others", []).append(m["file"])
        else:
            total["mismatches"].append({key: m[key] for key in ("signature", "file", "count")})


def _one(job: Job, tell: Tell) -> tuple[dict[str, Any], int, str, bool]:
    """One life of a worker: its last counters, its exit status (negative: a signal), the end of what it complained,
    and whether somebody pressed Ctrl-C.
    """
    interrupted = False
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "harness.worker", str(writing), json.dumps(asdict(job))]
    last: dict[str, Any] = {}
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            command, pass_fds=(writing,), stderr=complaints, env={**os.environ, **preload(job.variant)}
        )
        os.close(writing)
        with os.fdopen(reading) as messages:
            while True:
                try:
                    line = messages.readline()
                except KeyboardInterrupt:  # the worker got it too, and ends its run
                    interrupted = True
                    process.send_signal(signal.SIGINT)
                    continue
                if not line:
                    break
                try:
                    message = json.loads(line)
                except ValueError:  # it died in the middle of a line
                    continue
                if message["kind"] in ("progress", "done", "cannot"):
                    last = message
                tell(message)
        while True:
            try:
                status = process.wait()
                break
            except KeyboardInterrupt:
                interrupted = True
        complaints.seek(0)
        lines = complaints.read().decode("utf-8", "replace").strip().splitlines()
    return last, status, " | ".join(lines[-3:]) if len(lines) < 40 else lines[0], interrupted


def _keep_crash(job: Job, closure: str, number: int, in_flight: Path, errors: str) -> dict[str, Any]:
    """The finding for a worker that died: the scenario in flight, and what the model says of it. Of two kernels, the
    one that did it is found out by asking each in a process of its own.
    """
    scenario = decode(shared_buffer(str(in_flight)))
    if number <= 0 or problems(scenario):
        raise CannotRun(f"the worker died (status {-number}) with no case in flight: {errors or 'no message'}")
    builds = job.builds()
    outcomes = [Outcome(ended=CRASHED, signal=number)]
    if len(builds) > 1:
        outcomes = []
        for made in builds:
            with Guarded(made) as oracle:
                outcomes.append(oracle.run(scenario))
    mismatch = judge_of(builds)(scenario, [*outcomes, *(model.run(scenario) for model in models_of(builds))])
    if mismatch is None:
        raise CannotRun(f"the worker died (status {-number}), but the case in flight does not do it again")
    origin = Origin(label_of(builds), closure, job.engine, job.seed, job.again)
    path = write_finding(Path(job.findings), scenario, mismatch, origin)
    if errors:
        with report_of(path).open("a") as report:
            report.write(f"{SAID}{errors}\n")
    return {"kind": "finding", "signature": mismatch.signature, "file": str(path)}
