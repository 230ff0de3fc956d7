"""`make matrix`: every configuration of a kernel replays the corpus and is fuzzed for some seconds.

Not a test: it prints a line for each, and ends with 1 if any of them shows a difference.
"""

import sys
import tempfile

from skdiff.campaign.supervisor import supervise
from skdiff.campaign.worker import Job, Subject
from skdiff.cases.case_file import load
from skdiff.cases.fields import LOOKUPS
from skdiff.cases.find_cases import files
from skdiff.findings.replay_cases import verdict
from skdiff.kernel.build import build
from skdiff.kernel.manifest import Manifest
from skdiff.kernel.source import Tree, find
from skdiff.oracles.guarded import Guarded
from skdiff.oracles.model import Model
from skdiff.variants.config import MATRIX, Config


def one(tree: Tree, kernel: str, options: Config, seconds: float) -> str:
    """What is wrong with a configuration, "" for nothing."""
    made = build(tree, config=options)
    with Guarded(made) as reference:
        model = Model(made.rules, options)
        cases = [(path.name, load(path)) for path in files([])]
        there = [(name, case) for name, case in cases if LOOKUPS[case.scenario.lookup] in made.lookups]
        wrong = [name for name, case in there if verdict(case, reference, model)[0] != "agreed"]
    with tempfile.TemporaryDirectory() as findings:
        again = f"replay --kernel {kernel}"
        job = Job(
            subjects=(Subject.of(made),),
            again=again,
            variant="plain",
            engine="random",
            seed=1,
            cases=0,
            seconds=seconds,
            findings=findings,
        )
        total = supervise(job, made.closure, lambda message: None)
    wrong += [mismatch.signature for mismatch in total.mismatches]
    print(f"{str(options) or 'default':70} {total.cases:9,} cases  {', '.join(wrong) or 'clean'}", flush=True)
    return ", ".join(wrong)


def main(kernel: str = "6.12", seconds: str = "3") -> int:
    manifest = Manifest.load()
    tree = find(kernel, manifest.files, optional=manifest.optional)
    print(f"Linux {tree.version} ({tree.origin})")
    wrong = [one(tree, kernel, options, float(seconds)) for options in MATRIX]  # all, whatever the first ones show
    return int(any(wrong))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
