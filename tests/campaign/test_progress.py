"""What a person sees of a run while it runs."""

import io

import pytest
from rich.console import Console

from skdiff.campaign.messages import LookupCounts, Running
from skdiff.campaign.progress import RunView
from skdiff.campaign.run import CLASSES, classes_of

ONE, OTHER = LookupCounts(200, dict.fromkeys(CLASSES, 50)), LookupCounts(100, dict.fromkeys(CLASSES, 10))


@pytest.mark.parametrize(
    ("lookups", "shown"),
    [
        ({"tcp4": ONE, "tcp6": OTHER}, ["tcp4 tcp6 tcp4 tcp6", "stolen 25.0 % 10.0 %"]),
        ({"tcp6": OTHER}, ["stolen 10.0 %"]),
    ],
)
def test_the_shares_of_classes_are_those_of_each_lookup(lookups, shown):
    run = Running(
        cases=300,
        seconds=1.0,
        processor=1.0,
        lookups=lookups,
        edges=(0, 0),
        lines=(0, 0),
        mismatches=[],
        inputs=0,
        memory=1,
        deaths=0,
    )
    out = io.StringIO()
    with RunView(Console(file=out, width=100, force_terminal=True), 0, 600) as view:
        view.report(run)
    text = " ".join(out.getvalue().split())
    assert all(words in text for words in shown)
    assert ("tcp4" in text) == (len(lookups) > 1)
    assert all(name in text for lookup in lookups for name in classes_of(lookup))
