"""The steps of a lookup as sentences, for somebody who follows the kernel's source for the first time."""

from collections.abc import Sequence

from skdiff.cases.case_file import Case
from skdiff.cases.scenario import UDP_LOOKUPS
from skdiff.cases.steps import Step
from skdiff.findings.endless import once_round
from skdiff.findings.story_of_tcp import Story
from skdiff.findings.story_of_udp import UdpStory
from skdiff.variants.config import Config


def story(case: Case, steps: Sequence[Step], config: Config | None = None) -> list[str]:
    """The steps as sentences; what comes again and again in a lookup that does not end is told once."""
    kind = UdpStory if case.scenario.lookup in UDP_LOOKUPS else Story
    return list(kind(case, config or Config()).sentences(once_round(steps)))
