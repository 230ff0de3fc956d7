"""Lookups that do not end: which steps come again, and where it goes round."""

import pytest

from skdiff.base.paths import CORPUS
from skdiff.cases.case_file import Case, load
from skdiff.cases.find_cases import file
from skdiff.cases.outcome import STUCK
from skdiff.cases.record import constants
from skdiff.cases.scenario import Scenario
from skdiff.cases.steps import Step
from skdiff.cli import main
from skdiff.findings.endless import once_round, rounds, where
from skdiff.findings.story import story
from skdiff.oracles.guarded import Guarded
from skdiff.oracles.model import Model
from tests.helpers import connection, scenario
from tests.running import made
from tests.udp_cases import udp4

FULL = constants.MAX_STEPS


def steps(*names):
    return [Step(name, (0, 0, 0)) for name in names]


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["a"] * 5, (5, 0)),  # it is over
        (["a"] * FULL, (0, 1)),
        (["x", "y", *["a", "b"] * FULL][:FULL], (2, 2)),
        (["x", *["a", "b", "a", "c"] * FULL][:FULL], (1, 4)),
        ([str(n) for n in range(FULL)], (FULL, 0)),
    ],
)
def test_which_steps_come_again(names, found):
    assert rounds(steps(*names)) == found
    assert len(once_round(steps(*names))) == sum(found)


def test_where_it_goes_round():
    unhashed = Case(scenario(connection(no_pprev=1), hostile=1), socks=("web",))
    assert where(unhashed, Model().trace(unhashed.scenario)) == (
        "It does not end: web matches, and is marked as unhashed though it stays in its chain (no_pprev):"
        " __inet_lookup_established() puts it back and begins anew, each time."
    )
    spoilt = Case(scenario(hostile=1, ehash_nulls_xor=2))
    assert where(spoilt, Model().trace(spoilt.scenario)) == (
        "It does not end: the chain's end mark is not its own (ehash_nulls_xor 0x2), which __inet_lookup_established()"
        " takes for a walk that has strayed into another chain: it begins anew, each time."
    )
    udp = Case(udp4(hostile=1, ehash_nulls_xor=2))
    assert "udp4_lib_lookup4() takes" in where(udp, [])
    # a kernel that goes round where the model does not
    assert where(Case(Scenario()), steps(*["inet_match", "sock_gen_put"] * FULL)[:FULL]) == (
        "It does not end: inet_match(), sock_gen_put(), again and again."
    )
    assert where(Case(Scenario()), steps("inet_iif")) == (
        "It does not end: behind inet_iif() no function returns that is watched, so the loop is in one that is called"
        " there."
    )


def test_a_kernel_that_goes_round_is_told_once():
    case = load(file(CORPUS / "mutants" / "unhashed-in-chain.toml"))
    with Guarded(made("6.12", "traced")) as kernel:
        trace = kernel.trace(case.scenario)
    assert len(trace) == FULL
    told = story(case, trace)
    assert len(told) < 10
    assert told[-1] == "__inet_lookup_established(): by the rules the search starts anew now."
    assert Model().run(case.scenario).ended == STUCK


def test_explain_of_a_lookup_that_does_not_end(kernel_tree, capsys):
    assert main(["explain", str(CORPUS / "mutants" / "unhashed-in-chain.toml")]) == 0
    *_, where_, empty, last = capsys.readouterr().out.splitlines()
    assert where_.startswith("It does not end: close1 matches, and is marked as unhashed")
    assert (empty, last) == ("", "Answer: none, the lookup does not end.")
