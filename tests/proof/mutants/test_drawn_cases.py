"""Mutants of the C that draws cases: they are seen."""

import pytest

from skdiff.proof.mutants import drawn_cases

FEWEST = 0.92  # of all; what is left is the same for all cases, or shows behind the last thing of a case


def killed(one_in: int) -> tuple[int, list[str]]:
    fates = drawn_cases.hunt(lambda done, of: None, one_in=one_in)
    return len(fates), [str(mutant) for mutant, fate in fates if not fate.killed]


def test_most_mutants_of_the_rules_are_seen() -> None:
    count, alive = killed(60)
    assert count > 50
    assert len(alive) <= (1 - FEWEST) * count + 3, alive  # it is a sample


@pytest.mark.long
def test_all_mutants_of_the_rules() -> None:
    count, alive = killed(1)
    assert len(alive) <= (1 - FEWEST) * count, alive


def test_each_rule_has_its_mutants() -> None:
    files = {mutant.file for mutant in drawn_cases.mutants().values()}
    assert files == {
        *(f"csrc/cases/{name}" for name in ("addresses.h", "draw.c", "normalise.c", "states.h")),
        *(f"csrc/cases/normalise_{part}.h" for part in ("packet", "udp", "groups")),
    }
