"""Mutants of the harness: its runner, and a few of them; `make mutants` runs all."""

import sys

import pytest

from skdiff.base.errors import CannotRun
from skdiff.cases import native, record
from skdiff.cases.outcome import COMPARED, Outcome
from skdiff.cases.scenario import Group, Netns, Packet, Program, Scenario, Sock
from skdiff.proof.mutants import harness as harness_mutants
from skdiff.proof.mutants.common import Mutant, judge, judgements
from skdiff.proof.mutants.harness import TESTS, Job, jobs, run
from skdiff.proof.mutants.slips import slips
from tests.helpers import mostly_long

QUICK = ("tests/comparison/test_compare.py",)


def job(make, tests=QUICK):
    return Job(Mutant("harness", "skdiff/comparison/compare.py", "compare", 1, "", "planted", "planted"), tests, make)


def test_a_planted_survivor_is_told_and_victims_with_the_test_that_saw_them():
    def break_it():
        harness_mutants.install_tests()
        import skdiff.comparison.compare

        skdiff.comparison.compare.compare = lambda names, outcomes: None

    def die():
        raise SystemExit

    ends = [fate for _, fate in run([job(harness_mutants.install_tests), job(break_it), job(die)])]
    assert [fate.killed for fate in ends] == [False, True, True]
    assert ends[1].how.startswith("test_each_change_of_a_compared_field_is_told_whoever_gave_it: AssertionError")
    assert ends[2].how == "import: SystemExit"
    assert sys.modules["skdiff.cases.record"] is record


@pytest.mark.long
def test_tests_with_arguments_are_asked_where_the_plain_ones_see_nothing():
    def change():
        harness_mutants.install_tests()
        import skdiff.cases.scenario

        skdiff.cases.scenario.EDEMUX = 9

    (found,) = run([job(change, ("tests/cases/test_record.py",))])
    assert found[1].how == "test_constants_are_those_of_the_record[DESTRUCTOR_EDEMUX]"


def test_tests_that_fail_by_themselves_tell_nothing():
    with pytest.raises(CannotRun, match=r"tests/no_such_test\.py must pass before mutants can be told: import"):
        run([job(harness_mutants.install_tests, ("tests/no_such_test.py",))])


@pytest.mark.parametrize(
    "tests", mostly_long(sorted({(tests,) for tests in TESTS.values()}, key=lambda t: (len(t[0]), t)), 8)
)
def test_all_tests_that_tell_mutants_pass_without_one(tests):
    def die():
        raise SystemExit

    (found,) = run([job(die, tests)])
    assert found[1].how == "import: SystemExit"


def test_all_fields_of_all_records_have_their_slips():
    told = {(slip.of, slip.mutant.change) for slip in slips() if slip.module != "skdiff.cases.wire"}
    kinds = {"_PACKET": Packet, "_SOCK": Sock, "_NETNS": Netns, "_PROGRAM": Program, "_GROUP": Group}
    for name, kind in kinds.items():
        for field in kind._fields:
            if field not in ("slots", "progs"):
                assert (name, f"{field} -> not written") in told
                assert (name, f"{field} -> not read") in told
    for field in Outcome._fields[:COMPARED]:
        assert ("compare", f"{field} -> not compared") in told
    assert {("_OUTCOME", f"refcnt[{i}] -> not read") for i in range(16)} <= told
    assert {("drawn sock", f"place {i} of sock -> a byte too far") for i in range(len(Sock._fields))} <= told
    assert {("_GROUP", "n_slots -> not read"), ("_SHOWN", "sport of kind 1 -> not read")} <= told
    assert ("PLACES", "sock.num -> its neighbour") in {(slip.name, slip.mutant.change) for slip in slips()}
    assert len({slip.mutant for slip in slips()}) == len(slips())


def test_a_few_of_the_mutants_are_seen():
    everything = jobs()
    some = [j for j in everything if j.mutant.file in ("skdiff/comparison/compare.py", "skdiff/cases/record.py")][::250]
    survivors = [mutant for mutant, fate in run(some) if not fate.killed]
    assert [str(mutant) for mutant in survivors if mutant not in judge(survivors, judgements())] == []
    assert len({j.mutant for j in everything}) == len(everything) > 2000


def test_a_slip_makes_a_field_disappear():
    slip = next(s for s in slips() if s.mutant.change == "dport -> not written" and s.of == "_PACKET")
    changed = slip.change(getattr(native, slip.name))()
    buffer = bytearray(b"\xff") * record.SCENARIO_SIZE
    changed.encode(Scenario(packet=Packet()), buffer)
    assert native.decode(buffer).packet == Packet()._replace(dport=0)
