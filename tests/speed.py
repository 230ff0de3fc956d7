"""How many times as fast as another checkout this one is: `python tests/speed.py BEFORE [JSON]`, or `make speed`.

Each engine and lookup is run by both in turns, in processes of their own, with the same seeds, by one worker; what
counts is processor time from the first case on. A run of random cases of all lookups must do the same in both.
"""

import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
ENGINES = ("atheris", "random")
LOOKUPS = ("all", "tcp4", "tcp6", "udp4", "udp6")
CASES, ROUNDS = 60_000, 3
KERNEL = "6.12"


def main(before: str, target: str = "") -> None:
    """Print a line for each, and write all to a file if one is named."""
    sides = {"before": Path(before).resolve(), "after": ROOT}
    found: dict[str, Any] = {"cases": CASES, "rounds": ROUNDS, "python": sys.version.split()[0]}
    for engine in ENGINES:
        for lookup in LOOKUPS:
            us: dict[str, list[float]] = {side: [] for side in sides}
            did: dict[str, list[str]] = {side: [] for side in sides}
            for seed in range(1, ROUNDS + 1):
                for side, checkout in sides.items():
                    one = measured(checkout, engine, lookup, seed)
                    us[side].append(one["us"])
                    did[side].append(one["did"])
            median = {side: statistics.median(values) for side, values in us.items()}
            ratios = [a / b for a, b in zip(us["before"], us["after"], strict=True)]
            same = did["before"] == did["after"]
            found.setdefault(engine, {})[lookup] = {
                "us": median,
                "times": statistics.median(ratios),
                "least": min(ratios),
                "same": same,
            }
            print(
                f"{engine} {lookup}: {median['before']:.1f} us a case before, {median['after']:.1f} after,"
                f" {statistics.median(ratios):.2f} times as many ({min(ratios):.2f} at least)"
                + ", the same cases"
                * same,
                flush=True,
            )
            if (engine, lookup) == ("random", "all"):
                assert same, did
            if target:
                Path(target).write_text(json.dumps(found, indent=1) + "\n")


def measured(checkout: Path, engine: str, lookup: str, seed: int) -> dict[str, Any]:
    """Microseconds a case of a checkout, and what names what it did."""
    environment = {**os.environ, "PYTHONPATH": f"{checkout / 'harness'}:{ROOT}"}
    command = [sys.executable, __file__, "--one", engine, lookup, str(seed)]
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        sys.exit(f"{' '.join(command)} in {checkout}: {done.stderr[-2000:]}")
    one: dict[str, Any] = json.loads(lines[-1])
    return one


def run_one(engine: str, lookup: str, seed: int) -> None:
    """Run an engine of the skdiff that this process finds."""
    from skdiff.campaign.finding_files import Origin
    from skdiff.campaign.messages import Done
    from skdiff.campaign.model_lines import Watch
    from skdiff.campaign.run import Run
    from skdiff.cases.fields import LOOKUPS as NUMBERS
    from skdiff.engines import GUIDED, drive
    from skdiff.engines.seed_inputs import seeds
    from skdiff.kernel.build import build
    from skdiff.kernel.manifest import Manifest
    from skdiff.kernel.source import find
    from skdiff.oracles.model import Model
    from skdiff.oracles.reference import Reference

    manifest = Manifest.load()
    tree = find(KERNEL, manifest.files, optional=manifest.optional)
    made = build(tree, guided=engine in GUIDED).with_rules()
    kind: Any = Model
    try:
        from skdiff.oracles import compiled_model  # not in each checkout
    except ImportError:
        pass
    else:
        compiled_model.prepare(lambda text: print(text, file=sys.stderr))
        kind = compiled_model.fastest()
    begun = 0.0

    def oracles() -> list[Any]:
        nonlocal begun
        opened = [Reference(made), kind(made.rules, made.config)]
        begun = time.process_time()
        return opened

    def tell(message: object) -> None:
        if not isinstance(message, Done):
            return
        counters = message.counters
        us = (time.process_time() - begun) / counters.cases * 1e6
        classes = {name: sorted(counts.classes.items()) for name, counts in counters.lookups.items()}
        did = hashlib.sha256(repr((classes, sorted(counters.lines.taken), counters.mismatches)).encode()).hexdigest()
        print(json.dumps({"us": us, "did": did, "memory": counters.memory}), file=sys.__stdout__, flush=True)

    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder) / "inputs"
        inputs.mkdir()
        for number, data in enumerate(seeds()):
            (inputs / f"{number:04}").write_bytes(data)
        run = Run(
            oracles,
            Origin("speed", "", engine, seed),
            Path(folder) / "findings",
            tell,
            CASES,
            scratch=Path(folder),
            inputs=inputs,
            watch=Watch(made.rules, made.config),
            lookups=tuple(number for number, name in NUMBERS.items() if lookup in ("all", name)),
        )
        drive(engine, run)
        run.finish()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        run_one(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        main(*sys.argv[1:])
