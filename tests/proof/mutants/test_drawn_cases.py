"""Mutants of the C that draws cases: they are seen."""

import pytest

from skdiff.proof.mutants import drawn_cases
from skdiff.proof.mutants.common import judge, judgements


def unjudged(one_in: int) -> tuple[int, list[str], list[str]]:
    """How many of the mutants, one in so many, were tried, who of them is alive without a reason, and who is judged
    but killed.
    """
    fates = drawn_cases.hunt(lambda done, of: None, one_in=one_in)
    judged = judge((mutant for mutant, _ in fates), judgements())
    alive = [str(mutant) for mutant, fate in fates if not fate.killed and mutant not in judged]
    return len(fates), alive, [str(mutant) for mutant, fate in fates if fate.killed and mutant in judged]


def test_of_a_sample_no_mutant_is_alive_without_a_reason() -> None:
    count, *wrong = unjudged(60)
    assert count > 50
    assert wrong == [[], []]


@pytest.mark.long
def test_no_mutant_is_alive_without_a_reason() -> None:
    _, *wrong = unjudged(1)
    assert wrong == [[], []]


def test_who_is_judged_is_there() -> None:
    ids = {mutant.id for mutant in drawn_cases.mutants().values()}
    judged = {mutant for entry in judgements() if entry.of == drawn_cases.OF for mutant in entry.ids}
    assert 100 < len(judged) < 0.05 * len(ids)
    assert judged <= ids


def test_each_rule_has_its_mutants() -> None:
    files = {mutant.file for mutant in drawn_cases.mutants().values()}
    assert files == {
        *(f"csrc/cases/{name}" for name in ("addresses.h", "draw.c", "normalise.c", "states.h")),
        *(f"csrc/cases/normalise_{part}.h" for part in ("packet", "udp", "groups")),
    }
