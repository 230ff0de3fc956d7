"""Findings of the running kernel, made small by asking it again."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from skdiff.base.errors import CannotRun
from skdiff.base.files import write_whole
from skdiff.campaign.finding_files import report_of
from skdiff.campaign.messages import Finding
from skdiff.campaign.worker import judge_with_host
from skdiff.cases.case_file import Case, dump, load
from skdiff.findings.reduce import LIMIT, LIMIT_OF_ALL, never_stopped
from skdiff.findings.reduce_findings import reduced, report
from skdiff.kernel.build import Build
from skdiff.oracles.asked import Mended, with_oracle
from skdiff.oracles.interface import Oracle
from skdiff.oracles.model import Model
from skdiff.oracles.oracle_words import is_vm
from skdiff.oracles.reference import Reference
from skdiff.oracles.running.host import Host


def reduce_on_host(
    findings: Sequence[Finding], oracle: str, made: Build, again: str, say: Callable[[str], None]
) -> None:
    """Reduce findings in their files. What cannot be reduced, or does not show again (a hash has other secrets by now),
    stays as it is. Never raises CannotRun.
    """

    def work(host: Host) -> None:
        sides: list[Oracle] = [host, *([Reference(made)] if made.has_text else []), Model(made.rules, made.config)]
        oracles = [Mended(host.nearest, side) for side in sides]
        if is_vm(oracle):
            host.learn_keys()
        judge = judge_with_host(made, host)
        deadline = time.monotonic() + LIMIT_OF_ALL
        for finding in findings:
            path, left = Path(finding.file), max(deadline - time.monotonic(), 0)
            try:
                done = reduced(load(path), oracles, min(LIMIT, left), never_stopped, judge)
                if done is None or done[1].signature != finding.signature:
                    say(f"{finding.file}: does not show its difference again, left as it was found")
                    continue
                case = Case(host.nearest(done[0].scenario), done[0].why, done[0].found)
                write_whole(path, dump(case))
                write_whole(report_of(path), report(path, case, done[1], [made], again))
                finding.reduced = str(case.found["reduced"])
            except (CannotRun, OSError) as error:
                say(f"{finding.file}: not reduced: {error}")

    try:
        with_oracle(oracle, made, work, say)
    except CannotRun as error:
        say(f"not reduced: {error}")
