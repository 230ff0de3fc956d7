"""Explanations, triage, keeping: a finding that a person can use."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from skdiff.base.errors import CannotRun
from skdiff.base.paths import CORPUS
from skdiff.campaign.finding_files import steps_of
from skdiff.cases import find_cases, wire
from skdiff.cases.case_file import Case, dump, load
from skdiff.cases.normalise_events import with_events
from skdiff.cases.outcome import RETURNED
from skdiff.cases.scenario import (
    AT_LINK,
    AT_NODE,
    AT_TAKEN,
    DISCONNECTS,
    LEAVES,
    LHASH2,
    MOVES,
    NONE,
    TCP_LISTEN,
    UDP4,
    UDP6,
    Event,
    Scenario,
    Sock,
)
from skdiff.cases.steps import FUNCTIONS, MAX_VALUES, Step, parting
from skdiff.cases.validity import problems
from skdiff.cli import main
from skdiff.comparison import known_differences
from skdiff.comparison.parting import culprit
from skdiff.engines.aimed_events import fresh
from skdiff.findings import keep_cases
from skdiff.findings.answer import answer
from skdiff.findings.drawing import read_sides
from skdiff.findings.explain import explanation
from skdiff.findings.step_words import step_text
from skdiff.findings.story import story
from skdiff.kernel.summary import Kernel
from skdiff.oracles.model import Model
from skdiff.oracles.reference import Reference
from skdiff.variants.config import Config
from skdiff.variants.requirements import unmet_needs
from skdiff.variants.version_rules import EPOCHS, Rules
from tests.helpers import connected, connection, mostly_long, scenario
from tests.patched import Patch, patched_tree
from tests.running import made
from tests.udp_cases import udp4

HASHTABLES_C, HASHTABLES_H = "net/ipv4/inet_hashtables.c", "include/net/inet_hashtables.h"
REUSEPORT = "net/core/sock_reuseport.c"
LISTENER = Sock(state=TCP_LISTEN, hashed=LHASH2, rcu_free=1)


@pytest.fixture(scope="module")
def traced(reference):
    return Reference(made("6.12", "traced"))


def summary_of(case, traced, model):
    explained = explanation(case, traced, model)
    return explained.summary(Kernel(), answer(case, traced, model, explained.parted.traces[0]))


def test_both_sides_take_the_same_steps(traced):
    draw, model = Random(21).randbytes, Model()
    for _ in range(3000):
        scenario = wire.decode(draw(wire.SIZE))
        if model.run(scenario).ended == RETURNED:
            assert traced.trace(scenario) == model.trace(scenario)


def test_both_sides_take_the_same_steps_while_others_write(traced):
    random, others, model, seen = Random(21), Random(22), Model(), 0
    for _ in range(4000):
        scenario = wire.decode(fresh(random, others))
        if scenario.events and not scenario.hostile and model.run(scenario).ended == RETURNED:
            assert traced.trace(scenario) == model.trace(scenario)
            seen += 1
    assert seen > 300


def test_what_a_writer_calls_is_no_step_of_the_lookup(traced):
    """Hostile cases of UDP that have a socket bound anew: udp_lib_get_port() gives it the port that the case says."""
    random, model, seen = Random(23), Model(), 0
    for number in range(800):
        data = bytearray(random.randbytes(wire.SIZE))
        wire.put(data, "head", 0, "lookup", UDP6 if number % 2 else UDP4)
        case = wire.decode(bytes(data))._replace(hostile=1)
        moves = (0, random.choice((AT_LINK, AT_NODE)), 1, MOVES, random.randrange(8), NONE, number % 8, NONE)
        case = with_events(case, [moves])
        if case.events and model.run(case).ended == RETURNED:
            assert traced.trace(case) == model.trace(case)
            seen += 1
    assert seen > 150


def test_tracing_changes_no_outcome(traced, reference):
    assert traced.build.closure == reference.build.closure
    for case in map(load, find_cases.files([])):
        assert traced.run(case.scenario) == reference.run(case.scenario)


def test_no_step_is_there_twice():
    functions = [function for function, _ in FUNCTIONS if function]
    assert len(set(functions)) == len(functions)
    assert all(len(names) <= MAX_VALUES for _, names in FUNCTIONS)


@pytest.mark.parametrize(
    ("kernel", "model", "function"),
    [
        ([("compute_score", 0, 2)], [("compute_score", 0, 1)], "compute_score"),
        ([("inet_lhash2_lookup", 0, 0)], [("compute_score", 0, 1)], "inet_lhash2_lookup"),
        ([("run_bpf_filter", 1)], [("inet_lhash2_lookup", 0, 0)], "inet_lhash2_lookup"),
        ([("run_bpf_filter", 1)], [("bpf_run_sk_reuseport", 1)], "reuseport_select_sock"),
        (
            [("inet_bound_dev_eq", 0, 1), ("inet_match", 0, 1), ("__inet_lookup_established", 0)],
            [("__inet_lookup_established", -1)],
            "inet_match",
        ),
        ([("__inet_lookup_established", -1)], [("inet_bound_dev_eq", 0, 1)], "__inet_lookup_established"),
        ([("inet_iif", 1)], [("inet_iif", 1)], ""),
    ],
)
def test_the_culprit_is_the_function_that_decided(kernel, model, function, reference):
    def steps(*told):
        return [Step(name, values) for name, *values in told]

    assert culprit(steps(*kernel), steps(*model), reference.build.callers) == function
    assert (parting(steps(*kernel), steps(*model)) is None) == (function == "")


def test_a_story_says_who_wins_and_why_the_others_lose():
    scenario = Scenario(
        socks=(LISTENER, LISTENER._replace(num=81), LISTENER._replace(bound_dev_if=7), LISTENER._replace(ipv6only=1))
    )
    text = " ".join(story(Case(scenario), Model().trace(scenario)))
    assert "nothing hangs on the sk_buff" in text
    assert "listener0 scores 2" in text
    assert "listener1 listens on port 81" in text
    assert "listener2 is bound to device 7, and does not see device 1" in text
    assert "compute_score(): listener3 may not have the packet" in text
    assert text.endswith("listener0 gets the packet.")


def test_explain_of_every_kept_case_ends_with_its_socket(traced):
    for path in find_cases.files([]):
        case = load(path)
        told = explanation(case, traced, Model())
        assert told.mismatch is None
        if Model().run(case.scenario).ended == RETURNED:
            sentences = story(case, told.parted.traces[1])
            assert sentences[-1].endswith(("gets the packet.", "is found.", "which skdiff does not look at."))
            there = not unmet_needs(case.needs, Rules(), Config())  # else another kernel is meant
            sk, last = case.expect.get("sk") if there else None, sentences[-1]
            nobody = "Nobody" in last or "does not look at" in last
            assert sk is None or (nobody if sk == "none" else f"{sk} gets" in last or f"{sk} is found" in last)


def test_a_case_is_reachable_on_some_kernels(traced):
    case = load(CORPUS / "surprises" / "assigned_listener_is_replaced.toml")
    here = summary_of(case, traced, Model())
    assert here.reachable
    assert here.words[-1].endswith("; reachable.")
    there = summary_of(case, traced, Model(EPOCHS["6.1"]))
    assert not there.reachable
    assert "not on this kernel: bpf_sk_assign() refuses full sockets with SO_REUSEPORT" in there.words[-1]
    hostile = replace(case, scenario=case.scenario._replace(hostile=1))
    said = summary_of(hostile, traced, Model(EPOCHS["6.1"]))
    assert not said.reachable
    assert said.words[-1].endswith("; hostile.")


def test_replay_says_what_another_kernel_reaches(capsys):
    case = CORPUS / "surprises" / "assigned_listener_is_replaced.toml"
    assert main(["replay", str(case)]) == 0
    assert "another kernel only" not in capsys.readouterr().out
    assert main(["replay", "--epoch", "6.1", str(case)]) == 1  # the text is that of 6.12
    out = capsys.readouterr().out
    assert "; 1 can be reached on another kernel only" in out
    assert "not on this kernel: bpf_sk_assign() refuses" in out


def test_explain_draws_and_tells_programs(tmp_path, capsys):
    path = tmp_path / "case.toml"
    path.write_text(dump(Case(Scenario(socks=(LISTENER,)))))
    out, drawing = tmp_path / "out.json", tmp_path / "out.dot"
    assert main(["explain", str(path), "--json", str(out), "--dot", str(drawing)]) == 0
    told = json.loads(out.read_text())
    assert told["part_at"] is None
    assert told["story"][-1].endswith("listener0 gets the packet.")
    assert "lhash2 -> sock0" in drawing.read_text()


# One per function; each is seen within a few thousand cases, reduced, and named.
PATCHES = [
    Patch("include/net/request_sock.h", "skb_steal_sock", 0, "==", "!="),
    Patch(HASHTABLES_H, "inet_steal_sock", 1, "!=", "=="),
    Patch(HASHTABLES_H, "inet_match", 1, "||", "&&"),
    Patch("include/net/inet_sock.h", "inet_bound_dev_eq", 1, "||", "&&"),
    Patch("include/net/route.h", "inet_iif", 0, "&&", "||"),
    Patch(HASHTABLES_C, "compute_score", 0, "2", "1"),
    Patch(HASHTABLES_C, "inet_lhash2_lookup", 0, ">", ">="),
    Patch("include/linux/filter.h", "bpf_sk_lookup_run_v4", 0, "==", "!="),
    Patch(REUSEPORT, "reuseport_select_sock_by_hash", 0, "==", "!="),
    Patch(REUSEPORT, "run_bpf_filter", 0, ">=", ">"),
    Patch(REUSEPORT, "reuseport_select_sock", 0, "==", "!="),
]


@pytest.mark.parametrize("patch", mostly_long(PATCHES, every=24), ids=str)
def test_a_finding_names_the_patched_function(patch, kernel_tree, tmp_path, capsys):
    tree = patched_tree(kernel_tree.path, tmp_path / "tree", patch)
    summary = tmp_path / "summary.json"
    command = [
        "fuzz",
        "--engine",
        "random",
        "--kernel",
        str(tree),
        "--lookup",
        "tcp4",
        "--cases",
        "12000",
        "--seed",
        "5",
    ]
    assert main([*command, "--json", str(summary), "--findings", str(tmp_path / "findings")]) == 1
    mismatches = json.loads(summary.read_text())["mismatches"]
    [mismatch] = mismatches  # one cause, one finding
    assert mismatch["signature"] == patch.function
    for case in map(Path, [mismatch["file"], *mismatch.get("others", [])]):
        assert case.parent == tmp_path / "findings" / patch.function
        assert len(load(case).scenario.socks) <= 3
        kernel, model = read_sides(steps_of(case).read_text())
        assert (kernel.name[:5], model.name) == ("Linux", "model")
    assert sum(mismatch["ways"].values()) == mismatch["count"]
    assert len(mismatch["ways"]) == 1 + len(mismatch.get("others", []))
    assert f"The sides part in {patch.function}():" in capsys.readouterr().out


def test_keep_moves_a_finding_into_the_corpus(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(keep_cases, "REGRESSIONS", tmp_path / "regressions")
    path = tmp_path / "case.toml"
    path.write_text("# seen in the lab\n" + dump(Case(Scenario(socks=(LISTENER,)))))
    assert main(["keep", str(path), "--name", "a-listener", "--why", "Because."]) == 0
    kept = load(tmp_path / "regressions" / "a-listener.toml")
    assert (kept.why, kept.expect) == ("Because.", {"sk": "listener0", "refcounted": False})
    assert kept.said_by == "model"
    assert "# seen in the lab" in kept.path.read_text()
    assert not path.exists()
    for name in ("../up", "a-listener", "", "A b"):
        path.write_text(dump(Case(Scenario())))
        assert main(["keep", str(path), "--name", name]) == 2
        assert path.exists()


def test_keep_asks_who_said_what_a_case_expects(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(keep_cases, "REGRESSIONS", tmp_path / "regressions")
    path = tmp_path / "case.toml"
    expect = {"sk": "listener0", "shown": []}
    path.write_text(dump(Case(Scenario(socks=(LISTENER,)), expect=expect)))
    assert main(["keep", str(path), "--name", "said"]) == 2
    assert "[expect] does not say who said so: from is one of selftest, document" in capsys.readouterr().err
    path.write_text(dump(Case(Scenario(socks=(LISTENER,)), expect=expect, said_by="running kernel")))
    assert main(["keep", str(path), "--name", "said"]) == 0
    kept = load(tmp_path / "regressions" / "said.toml")
    assert (kept.expect, kept.said_by) == (expect, "running kernel")


def test_distil_keeps_every_feature_and_never_returns_nothing(traced):
    model = Model()
    candidates = list(keep_cases.drawn(150, 3))

    def worth(scenario):
        return keep_cases.features(traced, model, scenario)

    chosen = keep_cases.distil(candidates, worth)
    everything = frozenset().union(*map(worth, candidates))
    assert frozenset().union(*map(worth, chosen)) >= everything
    assert len(chosen) < 80
    with pytest.raises(CannotRun, match="no candidates"):
        keep_cases.distil([], worth)


def test_corpus_distill_replaces_the_seeds(kernel_tree, monkeypatch, tmp_path, capsys):
    seeds = tmp_path / "seeds"
    seeds.mkdir()
    (seeds / "old.toml").write_text("")
    monkeypatch.setattr(keep_cases, "SEEDS", seeds)
    monkeypatch.setattr(keep_cases, "files", lambda paths: [])
    assert main(["corpus", "distill", "--cases", "30", "--seed", "4"]) == 0
    written = sorted(seeds.iterdir())
    assert f"{len(written)} seeds of 30 cases in {seeds}" in capsys.readouterr().out
    assert 1 < len(written) < 30
    assert [path.name[:4] for path in written] == [f"{number:03}-" for number in range(len(written))]
    assert {load(path).said_by for path in written} == {"model"}
    assert main(["replay", str(seeds)]) == 0
    assert f"0 of {len(written)} expectations come from outside the model" in capsys.readouterr().out


@pytest.mark.long
def test_a_known_difference_is_counted_not_reported_and_must_still_be_there(kernel_tree, monkeypatch, tmp_path, capsys):
    if shutil.which("gcov") is None:
        pytest.skip("no gcov, without which new text has no verdict")
    patch = Patch(HASHTABLES_C, "compute_score", 0, "2", "1")
    tree = patched_tree(kernel_tree.path, tmp_path / "tree", patch)
    command = ["fuzz", "--engine", "random", "--kernel", str(tree), "--cases", "4000", "--seed", "5"]
    assert main([*command, "--findings", str(tmp_path / "findings")]) == 1
    case = tmp_path / "findings" / "compute_score" / "case.toml"
    entry = '[[known]]\nsignature = "compute_score-sk"\nkernels = ["6.12", "6.12"]\nreason = "a test"\nlink = ""\n'
    listed = tmp_path / "known.toml"
    listed.write_text(f'{entry}case = "{case.relative_to(tmp_path)}"\n')
    entries = known_differences.load(listed)
    monkeypatch.setattr(known_differences, "load", lambda: entries)
    capsys.readouterr()
    assert main([*command, "--findings", str(tmp_path / "again")]) == 0
    assert "known" in capsys.readouterr().out
    assert main(["replay", "--kernel", str(tree), str(case)]) == 0
    assert main(["replay", str(case)]) == 1  # the kernel as it is does not show it: the entry has rotted
    assert "listed in known.toml" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("version", "covered"), [("6.1", True), ("6.1.192", True), ("6.5.3", True), ("6.6", False), ("5.15", False)]
)
def test_which_kernels_an_entry_covers(version, covered, tmp_path):
    assert known_differences.Known("x", ("6.1", "6.5"), "", "", tmp_path).covers(version) is covered


def test_a_broken_list_of_known_differences_is_one_clear_error(tmp_path):
    path = tmp_path / "known.toml"
    path.write_text('[[known]]\nsignature = "x"\n')
    with pytest.raises(CannotRun, match=r"known.toml: not a list of known differences: .*missing required field"):
        known_differences.load(path)


def test_a_group_has_the_last_word_where_the_walk_ends_there_and_not_elsewhere():
    case = Case(Scenario(socks=(LISTENER, LISTENER)))
    answer, score = Step("inet_lookup_reuseport", (0, 1)), Step("compute_score", (1, 2))
    assert "that is final" in story(case, [answer])[0]
    assert "that is final" not in story(case, [answer, score])[0]


def test_an_event_that_does_not_come_about_is_told(kernel_tree, tmp_path, capsys):
    """By explain, by replay, and in what programs are told: a case whose event never happens tests nothing."""
    often = Event(point=AT_TAKEN, nth=9, at=0, action=LEAVES, sk=0)
    case = Case(scenario(connection(refcnt=2), events=(often,)), socks=("conn",))
    told = story(case, Model().trace(case.scenario))
    assert told[-2].startswith("Event 1 (when the reference to conn is taken")
    assert told[-2].endswith("does not come about: the lookup does not come there as often.")
    assert told[-1] == "__inet_lookup_skb(): conn gets the packet."
    path, summary = tmp_path / "case.toml", tmp_path / "summary.json"
    path.write_text(dump(case))
    assert main(["replay", str(path), "--json", str(summary)]) == 0
    out = capsys.readouterr().out
    assert "event 1 does not come about: when the reference to conn is taken" in out
    assert "1 case, 1 agreed; in 1 some event does not come about" in out
    assert [told["missed"] for told in json.loads(summary.read_text())["cases"]] == [[1]]
    path.write_text(dump(replace(case, expect={"fired": [1]}, said_by="document")))
    assert main(["replay", str(path)]) == 1
    out = capsys.readouterr().out
    assert "fired is [], expected [1]" in out
    assert "event 1 does not come about: when the reference to conn is taken" in out
    once = replace(case, scenario=scenario(connection(refcnt=2), events=(often._replace(nth=1),)))
    assert not any("does not come about" in text for text in story(once, Model().trace(once.scenario)))


def test_of_a_lookup_that_does_not_end_nobody_says_that_an_event_does_not_come_about(kernel_tree, capsys):
    assert main(["replay", "foreign-end-under-the-walk"]) == 0
    assert "does not come about" not in capsys.readouterr().out


def test_what_the_case_says_of_a_socket_is_no_reason_once_an_event_has_changed_it():
    event = Event(point=AT_LINK, action=DISCONNECTS, sk=0)
    case = udp4(connected(refcnt=2), events=(event,))
    assert problems(case) == []
    told = story(Case(case, socks=("u",)), Model().trace(case))
    assert [text for text in told if text.startswith("compute_score")] == ["compute_score(): u scores 2."]
    plain = case._replace(events=())
    assert any("(" in text for text in story(Case(plain, socks=("u",)), Model().trace(plain)) if "scores" in text)


def test_a_step_counts_events_as_all_else_does() -> None:
    assert step_text(Step("event", (0, 1)), ()) == "event: number 1, came yes"
