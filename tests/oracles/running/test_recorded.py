"""Answers of running kernels, recorded: model and text give the same, and mistakes of either are seen in them."""

import os
import subprocess
import sys
from functools import cache

import pytest

from skdiff.comparison.running_kernel import agrees
from skdiff.oracles.model import Model
from skdiff.oracles.reference import Reference
from skdiff.proof.mutants.hunt import Mutated
from skdiff.proof.mutants.schemata import schemata
from tests.mistakes import MISTAKES, made
from tests.recorded import answers, judge_of, rules_of

ANSWERS = tuple(answers())


def name_of(mistake):
    return mistake.name


def told_by(mistake, some):
    """Whether one of these answers shows that the model makes a mistake."""
    with made(mistake):
        for answer in some:
            rules = rules_of(answer.release)
            sides = (answer.outcome, Model(rules).run(answer.scenario))
            if not agrees(*sides) and judge_of(rules)(answer.scenario, sides) is not None:
                return True
    return False


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.release)
def test_the_model_gives_what_a_running_kernel_gave(answer):
    rules = rules_of(answer.release)
    assert judge_of(rules)(answer.scenario, (answer.outcome, Model(rules).run(answer.scenario))) is None


@pytest.mark.parametrize("mistake", MISTAKES, ids=name_of)
def test_a_mistake_of_the_model_is_seen_in_recorded_answers(mistake):
    assert told_by(mistake, ANSWERS)
    assert not told_by(mistake._replace(new=mistake.old), ANSWERS)


def test_the_answers_are_of_all_kinds():
    outcomes = [answer.outcome for answer in ANSWERS]
    assert len(ANSWERS) >= 100
    assert {answer.scenario.lookup for answer in ANSWERS} == {0, 1, 2, 3}
    assert {answer.scenario.caller for answer in ANSWERS} == {0, 1, 2}
    assert sum(outcome.sk >= 0 for outcome in outcomes) > len(outcomes) / 2
    assert sum(bool(outcome.shown) for outcome in outcomes) > len(outcomes) / 5


# --- the same of the driver and the stubs, which the kernel's text stands on ---


@cache
def of_both():
    """The answers that the default kernel gives as well: its rules are older."""
    rules = Model().rules
    return [answer for answer in ANSWERS if agrees(answer.outcome, Model(rules).run(answer.scenario))]


def test_the_kernel_s_text_gives_what_a_running_kernel_gave(reference):
    assert len(of_both()) > 60
    for answer in of_both():
        assert agrees(answer.outcome, reference.run(answer.scenario))


# Statements that are dropped, by their functions; and one that nobody sees who has the socket alone, and what programs
# were shown: a running kernel tells neither counts of references nor sections.
OF_DRIVER = [
    ("fill_sock", "sk->sk_ipv6only = from->ipv6only;"),
    ("fill_sock", "sk->sk_bound_dev_if = from->bound_dev_if;"),
    ("fill_sock", "sk->sk_incoming_cpu = from->incoming_cpu;"),
    ("fill_sock", "sk->sk_dport = htons(from->dport);"),
    ("hash_sock", "sk->sk_reuseport = from->reuseport != from->reuseport_changed;"),
    ("hash_udp_sock", "sk->sk_reuseport = from->reuseport;"),
    ("run_sk_lookup", "ctx->selected_sk = any->sk;"),
    ("run_sk_lookup", "ctx->no_reuseport = any->no_reuseport;"),
    ("run_sk_reuseport", "ctx->selected_sk = any->sk;"),
    ("reference_run_program", "verdict = any->run(any, (void *)ctx);"),
    ("fill_netns", "net->ipv4.sysctl_tcp_l3mdev_accept = from->tcp_l3mdev_accept;"),
    ("fill_group", "reuse->has_conns = from->has_conns;"),
    ("read_seen", "args[9] = lookup->dport;"),
]
UNSEEN = [("read_outcome", "out->refcnt[i] = refcount_read(&arena.socks[i].sk.sk_refcnt);")]


@pytest.mark.long
def test_mistakes_of_driver_and_stubs_are_seen_in_recorded_answers(kernel_tree):
    library = schemata(kernel_tree, of="driver")
    reference = Reference.of(library.folder)
    dropped = {(m.function, m.text): n for n, m in library.mutants.items() if m.change.endswith("-> nothing")}
    told = {
        place
        for place in (*OF_DRIVER, *UNSEEN)
        for changed in [Mutated(reference, dropped[place])]
        if not all(agrees(answer.outcome, changed.run(answer.scenario)) for answer in of_both())
    }
    assert told == set(OF_DRIVER)


# --- the same, asked now ---

ASK = """
import sys
from random import Random
from skdiff.cases import wire
from skdiff.oracles.model import Model
from skdiff.oracles.running.host import Host
from tests.mistakes import MISTAKES, made
from tests.recorded import judge_of, rules_of
import os, time
mistake = MISTAKES[int(sys.argv[1])]
host = Host(rules_of(os.uname().release))
host.learn_keys()
host.nearest.tables_a_cpu = 64
draw, judge, since = Random(int(sys.argv[2])).randbytes, judge_of(host.rules), time.monotonic()
with made(mistake):
    model = Model(host.rules)
    while time.monotonic() - since < 30:
        tables = wire.decode(draw(wire.SIZE))
        for number in range(24):
            case = host.nearest(wire.other_packet(tables, draw(wire.FRAME_SIZE)) if number else tables)
            if judge(case, (host.run(case), model.run(case))) is not None:
                print(f"{time.monotonic() - since:.1f}")
                sys.exit()
sys.exit("not seen")
"""


@pytest.mark.long
@pytest.mark.parametrize("number", range(len(MISTAKES)), ids=[mistake.name for mistake in MISTAKES])
def test_a_mistake_of_the_model_is_seen_by_the_running_kernel_in_half_a_minute(number):
    if os.getuid():
        pytest.skip("no rights to ask the running kernel")
    done = subprocess.run([sys.executable, "-c", ASK, str(number), "1"], capture_output=True, text=True, check=False)
    if "cannot" in done.stderr:
        pytest.skip(done.stderr.splitlines()[-1])
    assert done.returncode == 0, done.stderr
