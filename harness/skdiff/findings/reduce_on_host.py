"""Findings of the running kernel, made small by asking it again."""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from skdiff.base.errors import CannotRun
from skdiff.base.files import write_whole
from skdiff.campaign.finding_files import report_of
from skdiff.campaign.messages import Finding
from skdiff.campaign.worker import judge_with_host
from skdiff.cases.case_file import dump, load
from skdiff.cases.outcome import Outcome
from skdiff.cases.scenario import Scenario
from skdiff.findings.reduce import LIMIT, LIMIT_OF_ALL, never_stopped
from skdiff.findings.reduce_findings import reduced, report
from skdiff.kernel.build import Build
from skdiff.oracles.interface import Oracle
from skdiff.oracles.model import Model
from skdiff.oracles.reference import Reference
from skdiff.oracles.running.host import Host


class _Nearest:
    """An oracle that is asked for the nearest scenario that the running kernel can bring about."""

    def __init__(self, host: Host, oracle: Oracle) -> None:
        self.name = oracle.name
        self._host, self._oracle = host, oracle

    def run(self, scenario: Scenario) -> Outcome:
        return self._oracle.run(self._host.nearest(scenario))


def reduce_on_host(findings: Sequence[Finding], made: Build, again: str, say: Callable[[str], None]) -> None:
    """Reduce findings in their files, in a thread with network namespaces of its own. What cannot be reduced, or does
    not show again (its hash has other secrets there), stays as it is. Never raises CannotRun.
    """

    def work() -> None:
        try:
            host = Host(made.rules)
        except CannotRun as error:
            say(f"not reduced: {error}")
            return
        oracles = [_Nearest(host, oracle) for oracle in (host, Reference(made), Model(made.rules, made.config))]
        deadline = time.monotonic() + LIMIT_OF_ALL
        for finding in findings:
            path, left = Path(finding.file), deadline - time.monotonic()
            try:
                judge = judge_with_host(made)
                done = reduced(load(path), oracles, min(LIMIT, max(left, 0)), never_stopped, judge)
                if done is None or done[1].signature != finding.signature:
                    say(f"{finding.file}: does not show its difference again, left as it was found")
                    continue
                case = done[0]
                write_whole(path, dump(case))
                write_whole(report_of(path), report(path, case, done[1], [made], again))
                finding.reduced = str(case.found["reduced"])
            except (CannotRun, OSError) as error:
                say(f"{finding.file}: not reduced: {error}")
        host.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
