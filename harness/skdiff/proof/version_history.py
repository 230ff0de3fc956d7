"""The ladder of kernels: what changed in the lookup from each to the next, with the smallest case of each change.

`python -m skdiff.proof.version_history FILE KERNEL KERNEL...` compares neighbours with `skdiff diff`, and
writes FILE (Markdown). A kernel is a version or the path of a tree. Exit codes: 0 written, 2 a comparison gave no
verdict, or no file.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from skdiff.base.errors import CannotRun
from skdiff.base.files import BadFile, write_whole
from skdiff.base.scratch import scratch
from skdiff.base.summary import read_summary
from skdiff.cases.case_file import Case, dump, load
from skdiff.cases.outcome import Outcome
from skdiff.comparison.compare import compare
from skdiff.comparison.mismatch_text import describe_case
from skdiff.findings.diff_summary import DiffSummary, Group, titles
from skdiff.findings.story import story
from skdiff.kernel.summary import Kernel
from skdiff.oracles.model import Model
from skdiff.variants.version_rules import SILENT

CASES, SEED = 60_000, 1  # of each comparison: the file is the same each time
_HEAD = """\
# What changed in the lookup, from kernel to kernel

Written by `make history`: each kernel against the next one, as their own text runs, on the corpus and {cases:,} cases.
Rules are those of `harness/skdiff/variants/version_rules.py`.
Of each change the smallest case that shows it is told, and who gets its packet.
"""


def compared(a: str, b: str) -> tuple[DiffSummary, list[list[str]]]:
    """The summary of `skdiff diff A B`, and for each of its groups the text of the smallest case, who gets the packet
    in A and who in B, a line each. Raises CannotRun.
    """
    with scratch() as name:
        summary = name / "summary.json"
        command = [sys.executable, "-m", "skdiff", "diff", a, b, "--cases", str(CASES), "--seed", str(SEED)]
        more = ["--findings", str(name / "findings"), "--json", str(summary)]
        environment = {key: value for key, value in os.environ.items() if key not in ("EPOCH", "CONFIG", "SAN")}
        done = subprocess.run([*command, *more], env=environment, capture_output=True, text=True, check=False)
        if done.returncode not in (0, 1):
            said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
            raise CannotRun(f"no verdict of {a} against {b}: {said[-1] if said else 'no message'}")
        result = read_summary(summary, {"diff": (DiffSummary,)})
        if not isinstance(result, DiffSummary):
            raise BadFile(f"{summary}: not a summary of `skdiff diff`")
        return result, [_smallest(group, result.kernels) for group in result.groups]


def _smallest(group: Group, kernels: dict[str, Kernel]) -> list[str]:
    """The case of a group that says most: one in which another socket gets the packet, reachable, and small."""
    cases = sorted((load(Path(finding.file)) for finding in group.findings), key=lambda case: len(dump(case)))
    if group.unlike:
        return describe_case(cases[0])
    models = [Model(kernel.rules.plain) for kernel in kernels.values()]

    def outcomes(case: Case) -> list[Outcome]:  # each kernel does what the model of its rules does
        return [model.run(case.scenario) for model in models]

    def alike(case: Case) -> tuple[bool, int]:
        one, other = outcomes(case)
        return one.sk == other.sk, case.scenario.hostile

    case = min(cases, key=alike)
    ends = [story(case, model.trace(case.scenario))[-1] for model in models]
    differ = compare(tuple(kernels), outcomes(case))
    also = f"They differ in: {', '.join(differ.fields)}." if differ is not None and ends[0] == ends[1] else ""
    return [
        *describe_case(case),
        *(f"{side}: {end}" for side, end in zip(kernels, ends, strict=True)),
        *filter(None, [also]),
    ]


def step(result: DiffSummary, smallest: Sequence[Sequence[str]]) -> str:
    """The part of the page about two neighbours."""
    a, b = (kernel.version for kernel in result.kernels.values())
    shown = {word for group in result.groups if len(group.rules) == 1 for word in group.words}
    lines = [f"\n## {a} (A) to {b} (B)\n"]
    for word in result.differing:
        silent = "no outcome can show it" if word.removeprefix("no-") in SILENT else "no case showed it"
        lines.append(f"- {titles([word])[0]}{'' if word in shown else f'; {silent}'}")
    lines += [] if result.differing else ["No rule differs."]
    for group, case in zip(result.groups, smallest, strict=True):
        if len(group.rules) == 1 or group.unlike:
            what = f"`{group.words[0]}`" if group.rules else f"No known rule, in {group.function or 'no step'}"
            lines += [f"\n{what}:\n", "```", *case, "```"]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write the page; returns the exit code."""
    if len(arguments) < 3:
        print("skdiff: usage: python -m skdiff.proof.version_history FILE KERNEL KERNEL...", file=sys.stderr)
        return 2
    out, *kernels = arguments
    page = _HEAD.format(cases=CASES)
    try:
        for a, b in pairwise(kernels):
            print(f"{a} against {b}", file=sys.stderr, flush=True)
            page += step(*compared(a, b))
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        write_whole(Path(out), page)
    except (CannotRun, OSError) as error:
        print(f"skdiff: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
