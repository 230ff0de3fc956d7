"""What commands print of the reports of findings."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from skdiff.campaign.finding_files import report_of
from skdiff.campaign.messages import Finding
from skdiff.commands.output import show

REPORTS = 3  # of a run are printed


def show_reports(findings: Sequence[Finding]) -> None:
    """Print the reports of the first few findings; the summary says where the others are."""
    for finding in findings[:REPORTS]:
        with contextlib.suppress(OSError):
            show(report_of(Path(finding.file)).read_text())
