"""Findings in lists for people: their order, and a line for each."""

from collections.abc import Iterable, Mapping

from skdiff.base.words import counted
from skdiff.campaign.messages import Finding


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Those that the kernel can reach first, then the most frequent."""
    return sorted(findings, key=lambda finding: (not finding.reachable, -finding.count))


def lines_of(finding: Finding) -> list[str]:
    """A finding in a line: how many cases, its name, its file, and whether the kernel can reach that case; and a line
    for each other way in which it shows.
    """
    marks = {True: " (reachable)", False: " (hostile)", None: ""}
    lines = [f"{finding.count:8,} x {finding.signature}: {finding.file}{marks[finding.reachable]}"]
    others = zip([*finding.ways.items()][1:], finding.others, strict=False)
    return lines + [f"{'':8}   {way}, {counted(count, 'case')}: {file}" for (way, count), file in others]


def ways_in_words(ways: Mapping[str, int]) -> str:
    """How the cases of a finding show it, in a line; "" if they all do alike."""
    if len(ways) < 2:
        return ""
    return "what differs: " + ", ".join(f"{way} in {count:,}" for way, count in ways.items())
