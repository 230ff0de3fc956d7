"""One cause is one finding: it is named by the function in which the sides part, and none hides another."""

import json
from pathlib import Path
from random import Random

import pytest

from skdiff.campaign.messages import Counters, Finding, summed
from skdiff.cases.outcome import CRASHED, STUCK, Outcome
from skdiff.cases.scenario import AT_LINK, LEAVES, Event, Scenario
from skdiff.cases.scenario import UDP4 as UDP4_LOOKUP
from skdiff.cases.steps import Step
from skdiff.cases.wire import decode
from skdiff.cli import main
from skdiff.comparison.known_differences import matches
from skdiff.comparison.parting import Parting, culprit
from skdiff.comparison.visits import visits_part_in
from skdiff.engines.aimed_events import fresh
from skdiff.findings.listed import in_order, lines_of
from skdiff.findings.triage import Described, functions_of, names_of_causes
from skdiff.oracles.model import Model
from skdiff.oracles.reference import Reference
from tests import patched
from tests.detection import HASHTABLES_C, HASHTABLES_H, UDP4
from tests.helpers import connection, listener, mostly_long, scenario
from tests.patched import Patch, patched_tree
from tests.running import made

SCORE = Patch(HASHTABLES_C, "compute_score", 0, "2", "1")
LATER = Patch(HASHTABLES_C, "inet_lhash2_lookup", 0, ">", ">=")
DEVICE = Patch("include/net/inet_sock.h", "inet_bound_dev_eq", 0, "||", "&&")
MATCH = Patch(HASHTABLES_H, "inet_match", 1, "||", "&&")
ASKED = Patch(HASHTABLES_C, "inet_lookup_run_sk_lookup", 0, "||", "&&")
HASHTABLES6_C = "net/ipv6/inet6_hashtables.c"
REUSEPORT_C = "net/core/sock_reuseport.c"
UDP = Patch(UDP4, "__udp4_lib_lookup", 0, "&&", "||")
DEMUX = Patch(UDP4, "udp_v4_early_demux", 0, "==", "!=")


READ = "(void)rcu_dereference_raw({}.first);"
COUNTED = "socks = READ_ONCE ( reuse -> num_socks ) ;"
# One link is read once more than it should be, or a number of members once more, or where nobody comes in between.
VISITS = [
    Patch(HASHTABLES_C, "__inet_lookup_established", 0, "begin :", f"begin: {READ.format('head->chain')}"),
    Patch(HASHTABLES6_C, "__inet6_lookup_established", 0, "begin :", f"begin: {READ.format('head->chain')}"),
    Patch(UDP4, "udp4_lib_lookup2", 0, "badness = 0 ;", f"badness = 0; {READ.format('hslot2->head')}"),
    Patch(REUSEPORT_C, "reuseport_select_sock", 0, COUNTED, f"{COUNTED} {COUNTED}"),
    Patch(REUSEPORT_C, "reuseport_select_sock", 0, COUNTED, "socks = reuse->num_socks;"),
]


def two_patches(kernel, folder, one, other, monkeypatch):
    """A tree with two mistakes."""
    patched_tree(kernel, folder, one)
    monkeypatch.setattr(patched, "copied_tree", lambda *_: None)
    return patched_tree(folder, folder, other)


def fuzz(tree, folder, cases=20000):
    """The findings of a run."""
    summary = folder / "summary.json"
    words = ["fuzz", "--engine", "random", "--kernel", str(tree), "--cases", str(cases), "--seed", "1"]
    assert main([*words, "--findings", str(folder / "findings"), "--json", str(summary)]) == 1
    return json.loads(summary.read_text())["mismatches"]


@pytest.mark.parametrize(
    "patch", [MATCH, *(pytest.param(patch, marks=pytest.mark.long) for patch in (DEVICE, ASKED, UDP, DEMUX))], ids=str
)
def test_a_mistake_is_one_finding_in_however_many_ways_it_shows(patch, kernel_tree, tmp_path, capsys):
    [found] = fuzz(patched_tree(kernel_tree.path, tmp_path / "tree", patch), tmp_path, 8000)
    assert found["signature"] == patch.function
    assert len(found["ways"]) > 1
    assert sum(found["ways"].values()) == found["count"]
    files = [found["file"], *found["others"]]
    assert {str(path) for path in (tmp_path / "findings").rglob("*.toml")} == set(files)
    told = capsys.readouterr().out
    assert all(file in told for file in files)
    assert main(["replay", "--kernel", str(tmp_path / "tree"), *files]) == 1
    assert f"{len(files)} cases, 0 agreed, {len(files)} mismatch" in capsys.readouterr().out


@pytest.mark.parametrize("patch", mostly_long(VISITS, len(VISITS)))
def test_a_visit_too_many_or_too_few_is_one_finding(patch, kernel_tree, tmp_path):
    """What follows from it is elsewhere in each case, for events come sooner, or later."""
    [found] = fuzz(patched_tree(kernel_tree.path, tmp_path / "tree", patch), tmp_path)
    assert found["signature"] == patch.function
    report = Path(found["file"]).with_name("report.txt").read_text()
    assert f"The sides part in {patch.function}():" in report


def test_where_the_visits_are_the_same_they_are_no_cause(reference):
    """Of a kernel that does nothing wrong, in whatever drawn case."""
    random, others, model, told = Random(1), Random(2), Model(), 0
    kernel = Reference(made("6.12", "traced"))
    for _ in range(1500):
        case = decode(fresh(random, others))
        told += bool(case.events)
        differ = (Outcome(), Outcome(sk=1))
        assert visits_part_in(case, differ, (kernel.trace, model.trace), reference.build.callers) == ""
    assert told


@pytest.mark.parametrize(
    ("one", "other"),
    [(DEVICE, SCORE), (SCORE, LATER), (ASKED, UDP)],
    ids=str,
)
@pytest.mark.long
def test_two_mistakes_are_two_findings(one, other, kernel_tree, tmp_path, monkeypatch):
    """The first pair: one case in ten shows the first mistake, and one in some thousands the second, alike."""
    tree = two_patches(kernel_tree.path, tmp_path / "tree", one, other, monkeypatch)
    found = {finding["signature"]: finding for finding in fuzz(tree, tmp_path)}
    assert set(found) == {one.function, other.function}
    for finding in found.values():
        assert finding["count"] >= 1
        assert main(["replay", "--kernel", str(tree), finding["file"]]) == 1
        report = Path(finding["file"]).with_name("report.txt").read_text()
        named = finding["signature"]
        assert (
            f"The sides part in {named}():" in report or f"That it was in {named}() explains the other cases" in report
        )


# --- the function ---

LISTENED = [
    ("inet_bound_dev_eq", 0, 1),
    ("compute_score", 0, 2),
    ("inet_lhash2_lookup", 0, 0),
    ("__inet_lookup_listener", 0),
]
DYING = [("inet_bound_dev_eq", 0, 1), ("inet_match", 0, 1), ("refcount_inc_not_zero", 0, 0)]
PLAIN = ("skb_steal_sock", -1, 0), ("inet_steal_sock", -1), ("inet_iif", 1)


def hashed(number):
    """A group chooses by this hash."""
    chosen = [("reciprocal_scale", number, 2, 1), ("reuseport_select_sock_by_hash", 1)]
    return [*chosen, ("reuseport_select_sock", 0, number, 1), ("inet_lookup_reuseport", 0, 1)]


def steps(*told):
    return [Step(name, values) for name, *values in told]


@pytest.mark.parametrize(
    ("case", "kernel", "model", "function"),
    [
        (  # it took a connection of another port
            scenario(connection(num=81)),
            [("inet_bound_dev_eq", 0, 1), ("inet_match", 0, 1), ("__inet_lookup_established", 0)],
            [("__inet_lookup_established", -1)],
            "inet_match",
        ),
        (  # the connection fits: who asked it should not have
            scenario(connection()),
            [("inet_bound_dev_eq", 0, 1), ("inet_match", 0, 1), ("__inet_lookup_established", 0)],
            [("__inet_lookup_established", -1)],
            "__inet_lookup_established",
        ),
        (  # both sides took a dying connection, which has changed since then: who asks for it again should not have
            scenario(connection(refcnt=0), hostile=1, events=(Event(point=AT_LINK, at=0, action=LEAVES, sk=0),)),
            DYING * 3,
            [*DYING, ("__inet_lookup_established", -1)],
            "__inet_lookup_established",
        ),
        (  # another one comes after the dying one: it fits, but nobody is asked any more
            scenario(connection(num=81), connection(refcnt=0), hostile=1),
            [("inet_bound_dev_eq", 0, 1), ("inet_match", 1, 1), ("refcount_inc_not_zero", 0, 0), *DYING],
            [
                ("inet_bound_dev_eq", 0, 1),
                ("inet_match", 1, 1),
                ("refcount_inc_not_zero", 0, 0),
                ("__inet_lookup_established", -1),
            ],
            "__inet_lookup_established",
        ),
        (  # each side asks another one
            scenario(connection(), connection(num=81)),
            [("inet_bound_dev_eq", 0, 1), ("inet_match", 1, 1), ("__inet_lookup_established", 1)],
            [("inet_bound_dev_eq", 0, 1), ("inet_match", 0, 1), ("__inet_lookup_established", 0)],
            "inet_match",
        ),
        (  # programs are not asked
            scenario(listener()),
            LISTENED,
            [("bpf_sk_lookup_run_v4", -1, 0), ("inet_lookup_run_sk_lookup", -1), *LISTENED],
            "__inet_lookup_listener",
        ),
        (  # another hash is passed on
            scenario(),
            hashed(7),
            hashed(9),
            "inet_lookup_reuseport",
        ),
        (  # early demux does not ask
            scenario(),
            [("skb_steal_sock", -1, 0)],
            [("__udp4_lib_demux_lookup", -1), ("skb_steal_sock", -1, 0)],
            "udp_v4_early_demux",
        ),
    ],
)
def test_who_is_to_blame(case, kernel, model, function, reference):
    ours, theirs = steps(*PLAIN, *kernel), steps(*PLAIN, *model)
    assert culprit(ours, theirs, reference.build.callers, case, Model()) == function


@pytest.mark.parametrize(
    ("ours", "theirs", "function"),
    [
        (Outcome(warns=("inet_steal_sock",)), Outcome(), "inet_steal_sock"),
        (Outcome(), Outcome(warns=("refcount_warn_saturate: a text",)), "refcount_warn_saturate"),
        (Outcome(shown=((2, 0),)), Outcome(), "run_bpf_filter"),
        (Outcome(shown=((1, 0),)), Outcome(shown=((1, 1),)), "bpf_sk_lookup_run_v4"),
        (Outcome(skb_users=2), Outcome(), "__inet_lookup_skb"),
        (Outcome(), Outcome(), ""),
    ],
)
def test_where_all_steps_are_the_same_the_outcomes_tell(ours, theirs, function, reference):
    trace = steps(("__inet_lookup_skb", -1))
    for both in ([trace, trace], [[], []]):
        parted = Parting(("", ""), tuple(both), None, reference.build.callers, Scenario(), (ours, theirs), Model())
        assert parted.function == function


SCORED = [("compute_score__net_ipv4_udp_c", 0, 2), ("udp4_lib_lookup2", 0, 0), ("__udp4_lib_lookup", 0)]
AGAIN = [("inet_bound_dev_eq", 0, 1), ("inet_match", 0, 1)] * 3
STUCK_MODEL, BOTH_STUCK = (Outcome(), Outcome(ended=STUCK)), (Outcome(ended=STUCK), Outcome(ended=STUCK))


@pytest.mark.parametrize(
    ("kernel", "model", "outcomes", "function"),
    [
        ([("inet_bound_dev_eq", 0, 1), *SCORED], [], STUCK_MODEL, "udp4_lib_lookup4"),
        (SCORED, AGAIN, STUCK_MODEL, "udp4_lib_lookup4"),
        ([*AGAIN, ("udp4_lib_lookup4", 0)], [], STUCK_MODEL, "inet_match"),  # the kernel has found somebody there
        ([("inet_bound_dev_eq", 0, 1), *SCORED], [], BOTH_STUCK, "compute_score__net_ipv4_udp_c"),
    ],
)
def test_who_leaves_a_search_that_never_ends_is_to_blame(kernel, model, outcomes, function, reference):
    """By the rules a walk of hash4 that ends in a foreign chain begins anew."""
    ours, theirs = steps(*PLAIN, *kernel), steps(*PLAIN, *model)
    hash4 = {"udp4_lib_lookup4": ("__udp4_lib_lookup",), "inet_match": ("udp4_lib_lookup4",)}  # as Linux 7.3 has it
    callers = {**reference.build.callers, **hash4}
    parted = Parting(("", ""), (ours, theirs), None, callers, Scenario(lookup=UDP4_LOOKUP), outcomes, Model())
    assert parted.function == function


def test_a_crash_may_be_in_what_was_called_last(reference):
    ours = steps(*PLAIN, ("__inet_lookup_established", -1))
    theirs = [*ours, *steps(("bpf_sk_lookup_run_v4", -1, 0), ("inet_lookup_run_sk_lookup", -1))]
    theirs += steps(("__inet_lookup_listener", -1), ("__inet_lookup", -1), ("__inet_lookup_skb", -1))
    outcomes = (Outcome(ended=CRASHED), Outcome())
    parted = Parting(("", ""), (ours, theirs), 4, reference.build.callers, Scenario(), outcomes, Model())
    wanted = ("bpf_sk_lookup_run_v4", "inet_lookup_run_sk_lookup", "__inet_lookup_listener", "__inet_lookup")
    assert parted.suspects == wanted


@pytest.mark.parametrize(
    ("suspects", "functions"),
    [
        ([("a",), ("b",)], ["a", "b"]),
        ([("a", "b", "c"), ("b", "c"), ("a", "b", "c")], ["b", "b", "b"]),
        ([("a", "b"), ("c", "d")], ["a", "c"]),
        ([("b",), ("a", "b")], ["b", "a"]),  # what is known of another case is no proof
    ],
)
def test_crashes_have_the_fewest_functions(suspects, functions):
    assert functions_of(suspects) == functions


# --- names ---


def shown(function, rule=""):
    return Described((function,), rule, "sk", None, True, lambda *_: "", ())


def test_a_rule_is_a_cause_if_nothing_else_is_wrong_there():
    both = [shown("f", "reselect"), shown("g", "reselect")]
    assert names_of_causes(both, []) == ["without-reselect"] * 2
    assert names_of_causes([*both, shown("f")], []) == ["f", "g", "f"]
    assert names_of_causes([*both, shown("f")], ["reselect"]) == ["without-reselect", "without-reselect", "f"]


@pytest.mark.parametrize(
    ("name", "ways", "listed", "known"),
    [
        ("f", ["sk"], ["f"], True),
        ("f", ["sk", "crashed"], ["f"], True),
        ("f", ["sk"], ["f-sk"], True),
        ("f", ["sk", "crashed"], ["f-sk"], False),  # an entry of before is about that way alone
        ("f", ["sk", "crashed"], ["f-sk", "f-crashed"], True),
        ("f", [], ["f-sk"], False),
        ("g", ["sk"], ["f-sk", "f"], False),
        ("without-reselect", ["sk"], ["without-reselect-f-sk"], True),
        ("without-reselect", ["sk"], ["reselect-f-sk"], False),
    ],
)
def test_a_list_of_known_differences_of_before_still_holds(name, ways, listed, known):
    assert matches(name, ways, listed) is known


def test_those_that_can_be_reached_come_first_and_are_marked():
    rare = Finding(signature="rare", file="r/case.toml", count=1, reachable=True)
    often = Finding(
        signature="often",
        file="o/case.toml",
        count=1200,
        reachable=False,
        ways={"sk": 1199, "stuck": 1},
        others=["o/case-stuck.toml"],
    )
    assert in_order([often, rare]) == [rare, often]
    assert lines_of(rare) == ["       1 x rare: r/case.toml (reachable)"]
    assert lines_of(often) == ["   1,200 x often: o/case.toml (hostile)", "           stuck, 1 case: o/case-stuck.toml"]


def test_the_cases_of_workers_keep_their_counts():
    one = Finding(signature="s", file="a", count=10, others=["b"], counts={"b": 3})
    other = Finding(signature="s", file="c", count=5, others=["d"], counts={"d": 1})
    [total] = summed([Counters(mismatches=[one]), Counters(mismatches=[other])]).mismatches
    assert (total.count, total.file, total.others) == (15, "a", ["b", "c", "d"])
    assert {file: total.count_of(file) for file in "abcd"} == {"a": 7, "b": 3, "c": 4, "d": 1}


# --- --first ---


@pytest.mark.parametrize("command", mostly_long(["diff", "fuzz"]))
def test_first_ends_a_run_at_the_first_difference(command, kernel_tree, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    patched_tree(kernel_tree.path, tmp_path / "tree", ASKED)
    words = {"fuzz": ["--engine", "random", "--kernel", "tree"], "diff": ["6.12", "tree"]}[command]
    assert main([command, *words, "--first", "--cases", "50000", "--seed", "1", "--json", "out.json"]) == 1
    told = json.loads(Path("out.json").read_text())
    assert 0 < told["cases"] < 20000
    assert "inet_lookup_run_sk_lookup" in capsys.readouterr().out
