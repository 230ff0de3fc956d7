"""`make endurance`: hours of guided fuzzing whose workers are killed now and then, and what that did to it.

Not a test: it prints how fast the run was and how much memory it took at its start and at its end, and what became of
the killed workers. It ends with 1 if a case, a finding or a process was lost, 2 if it could not run.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from random import Random

KILLS = 5
WARM = 0.05  # of the samples: loading, and the seeds
PART = 0.15  # of the run at its start and at its end


def children(parent: int) -> dict[int, str]:
    """The living children of a process, and their command lines."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            state, ppid = (path / "stat").read_text().rpartition(")")[2].split()[:2]
            if int(ppid) == parent and state not in "ZX":
                found[int(path.name)] = (path / "cmdline").read_text().replace("\0", " ")
        except (OSError, ValueError):  # it ended in between
            continue
    return found


def workers(parent: int) -> list[int]:
    return [pid for pid, command in children(parent).items() if "skdiff.campaign.worker" in command]


def left_over(folder: str) -> list[int]:
    """Processes of a run, wherever they hang: they name its folder."""
    every = [pid for path in Path("/proc").glob("[0-9]*") for pid in [int(path.name)]]
    found = []
    for pid in every:
        try:
            if folder in Path(f"/proc/{pid}/cmdline").read_text() and pid != os.getpid():
                found.append(pid)
        except OSError:
            continue
    return found


def rates(samples: list[list[float]]) -> tuple[list[float], list[float]]:
    """Cases a second between samples: of time, and of the workers' processor time."""
    steps = [(b, a) for a, b in pairwise(samples)]
    by_time = [(b[1] - a[1]) / (b[0] - a[0]) for b, a in steps if b[0] > a[0]]
    by_processor = [(b[1] - a[1]) / (b[4] - a[4]) for b, a in steps if b[4] > a[4]]
    return by_time, by_processor


def ends(values: list[float]) -> tuple[float, float]:
    """The medians of the first and of the last part, after a warm-up."""
    values = values[int(WARM * len(values)) :]
    part = max(1, int(PART * len(values)))
    return statistics.median(values[:part]), statistics.median(values[-part:])


def main(seconds: str = "7200", jobs: str = "2", seed: str = "1") -> int:
    budget, draw = float(seconds), Random(int(seed))
    with tempfile.TemporaryDirectory(prefix="endurance-") as folder:
        summary = Path(folder) / "summary.json"
        command = [sys.executable, "-m", "skdiff", "fuzz", "--seconds", seconds, "--jobs", jobs, "--seed", seed]
        command += ["--json", str(summary), "--findings", f"{folder}/findings", "--inputs", f"{folder}/inputs"]
        start = time.monotonic()
        process = subprocess.Popen(command)
        when = sorted(draw.uniform(0.1, 0.9) * budget for _ in range(KILLS))
        killed = 0
        while process.poll() is None:
            time.sleep(1)
            if killed < KILLS and time.monotonic() - start >= when[killed] and (alive := workers(process.pid)):
                os.kill(draw.choice(alive), signal.SIGKILL)
                killed += 1
                print(f"killed a worker after {time.monotonic() - start:.0f} s", flush=True)
        if not summary.exists():
            print(f"the run ended with status {process.returncode} and no summary", file=sys.stderr)
            return 2
        told = json.loads(summary.read_text())
        orphans = left_over(folder)
    deaths = sum(worker["deaths"] for worker in told["workers"])
    print(
        f"{told['cases']:,} cases by {jobs} workers in {told['seconds']:.0f} s, {told['inputs']:,} inputs, seed {seed}"
    )
    by_time, by_processor = rates(told["series"])
    for what, values in (
        ("cases a second", by_time),
        ("cases a second of processor time", by_processor),
        ("memory of all workers, MiB", [sample[3] for sample in told["series"]]),
    ):
        early, late = ends(values)
        print(f"{what}: {early:,.0f} at the start, {late:,.0f} at the end, {late / early:.3f} times")
    wrong = []
    if killed != KILLS or deaths != KILLS:
        wrong.append(f"{killed} workers were killed, {deaths} deaths were seen, {KILLS} were wanted")
    if sum(worker["cases"] for worker in told["workers"]) != told["cases"]:
        wrong.append("the workers' cases are not those of the run")
    if told["mismatches"] or told["unwritten"] or told["gave_up"]:
        wrong.append(f"findings: {told['mismatches'] or told['unwritten']}, {told['gave_up'] or 'to the end'}")
    if orphans:
        wrong.append(f"processes left: {orphans}")
    print("\n".join(wrong) or f"{killed} workers were killed: no case, no finding and no process was lost")
    return 1 if wrong or process.returncode else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
