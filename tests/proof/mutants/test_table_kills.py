"""What small tables tell of mutants: what each case alone tells; and it is in the table and in its sentence."""

import io
import os
import signal

import pytest
from rich.console import Console

from skdiff.cases.validity import problems
from skdiff.engines.small_classes import Kernel
from skdiff.engines.small_tables import Tables
from skdiff.oracles.model import Model
from skdiff.proof.mutants import report
from skdiff.proof.mutants.common import Mutant
from skdiff.proof.mutants.hunt import FIRST, Fate, Hunt
from skdiff.proof.mutants.report import TableKills
from skdiff.proof.mutants.schemata import Schemata, schemata
from skdiff.proof.mutants.table_cases import any_cases, kinds
from skdiff.proof.mutants.table_kills import Sieve
from skdiff.variants.config import Config


@pytest.fixture(scope="module")
def made(kernel_tree) -> Schemata:
    return schemata(kernel_tree)


@pytest.fixture(scope="module")
def small(made):
    """Cases of TCP's tables with one socket."""
    tables = Tables([0], 1, [Kernel(made.rules, Config())])
    return [*kinds(tables, Model(made.rules)), *any_cases(tables, 50)]


def test_some_cases_are_of_many_kinds_and_reachable(small):
    assert 300 < len(small) < 2000
    assert len({Model().run(case).via for case in small}) > 6
    assert all(problems(case) == [] for case in small)


def test_a_sieve_kills_what_a_hunt_kills(made, small):
    """Also what kills its process, or never ends."""
    some = {number: mutant for number, mutant in made.mutants.items() if "tcp4" in made.lookups[number]}
    numbers = sorted(some)[:: len(some) // 60]
    model = Model(made.rules)
    alone = {number for number, fate in Hunt(made, small, model).corpus(numbers).items() if fate.killed}
    assert Sieve(made, small, model).killed(numbers) == alone
    assert len(numbers) / 2 < len(alone) < len(numbers)
    assert Sieve(made, small, model).killed([]) == set()


def test_a_mutant_that_kills_its_process_is_killed_and_the_others_are_tried(made, small, monkeypatch):
    model = Model(made.rules)
    sieve = Sieve(made, small[:50], model)
    deadly, *others = sorted(made.mutants)[:6]
    before = Sieve(made, small[:50], model).killed(others)
    tells = sieve.tells

    def dies(case):
        if sieve.on == deadly and case == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return tells(case) and sieve.on != deadly

    mutate = sieve.reference.mutate

    def noted(number):
        sieve.on = number
        return mutate(number)

    monkeypatch.setattr(sieve, "tells", dies)
    monkeypatch.setattr(sieve.reference, "mutate", noted)
    assert sieve.killed([deadly, *others]) == {deadly, *before}


def test_the_table_of_mutants_says_what_small_tables_kill():
    mutants = {n: Mutant("c", "a.c", "f" if n < 3 else "g", n, "text", "op", "a -> b", n) for n in range(1, 6)}
    fates = {n: Fate(FIRST, (0,), True) for n in mutants}
    small = TableKills(frozenset({1, 2, 3, 4}), frozenset({1, 2, 3}))
    told = report.summary("c", mutants, fates, [], fuzzed=False, small=small)
    assert [(row.function, row.swept, row.sweepable) for row in told.functions] == [
        ("f", 2, 2),
        ("g", 1, 2),
        ("all", 3, 4),
    ]
    assert told.outside == [str(mutants[4])]
    out = io.StringIO()
    report.show(Console(file=out, width=160), told, "Linux")
    assert "two sockets" in out.getvalue() and "3 of 4" in out.getvalue()
    assert "kill 3 of the 4 mutants (75.0%)" in out.getvalue()
    out = io.StringIO()
    report.show(Console(file=out, width=160), report.summary("c", mutants, fates, [], fuzzed=False), "Linux")
    assert "two sockets" not in out.getvalue()
