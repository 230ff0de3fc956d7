"""What becomes of what a run has found: reduced, sorted by cause, and told apart from what is known."""

from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from skdiff.campaign.messages import Finding
from skdiff.campaign.progress import Counter
from skdiff.findings import reduce_findings
from skdiff.findings.triage import triage
from skdiff.kernel.build import Build
from skdiff.runs.supervised import Say


def by_cause(
    mismatches: Sequence[Finding],
    build: Callable[[str], Build],
    again: str,
    kernel: str,
    findings: Path,
    lookups: Sequence[str],
    errors: Console,
    say: Say,
    sorted_before: Sequence[Finding] = (),
) -> list[Finding]:
    """What a run of one kernel against its model has found, each reduced, one for each cause; `build` makes a variant,
    `again` is the command that repeats a case, `kernel` names the kernel in others, `findings` is the folder.
    Those that an earlier run has `sorted_before` come to the same causes.
    """
    if mismatches:
        with Counter(errors, "reduced") as count:
            reduce_findings.reduce_findings(
                mismatches, lambda: [build("")], again, say, lookups, lambda: [build("traced")], count
            )
    return triage([*mismatches, *sorted_before], lambda: build("traced"), kernel, findings, say)
