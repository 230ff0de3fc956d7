"""`make matrix`: every configuration of a kernel replays the corpus and is fuzzed for some seconds.

Not a test: it prints a line for each, and ends with 1 if any of them shows a difference.
"""

import sys
import tempfile

from harness.config import MATRIX, Config
from harness.guarded import Guarded
from harness.kernel.build import build
from harness.kernel.closure import Manifest
from harness.kernel.source import Tree, find
from harness.model import Model
from harness.replaying import files, verdict
from harness.supervise import supervise
from harness.text import load
from harness.worker import Job, Subject


def one(tree: Tree, kernel: str, options: Config, seconds: float) -> str:
    """What is wrong with a configuration, "" for nothing."""
    made = build(tree, config=options)
    with Guarded(made) as reference:
        model = Model(made.rules, options)
        wrong = [path.name for path in files([]) if verdict(load(path), reference, model)[0] != "agreed"]
    with tempfile.TemporaryDirectory() as findings:
        again = f"replay --kernel {kernel}"
        job = Job([Subject.of(made)], again, "plain", "random", 1, 0, seconds, findings)
        total = supervise(job, made.closure, lambda message: None)
    wrong += [mismatch["signature"] for mismatch in total["mismatches"]]
    print(f"{str(options) or 'default':70} {total['cases']:9,} cases  {', '.join(wrong) or 'clean'}", flush=True)
    return ", ".join(wrong)


def main(kernel: str = "6.12", seconds: str = "3") -> int:
    manifest = Manifest.load()
    tree = find(kernel, manifest.files, optional=manifest.optional)
    print(f"Linux {tree.version} ({tree.origin})")
    wrong = [one(tree, kernel, options, float(seconds)) for options in MATRIX]  # all, whatever the first ones show
    return int(any(wrong))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
