"""Kernel against kernel: each difference by its rule or its function, and none where there is none."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from skdiff.base.errors import CannotRun
from skdiff.base.paths import command
from skdiff.campaign import supervisor as supervising
from skdiff.campaign import worker_process
from skdiff.campaign.messages import Finding
from skdiff.campaign.worker import Job, Subject
from skdiff.cases.case_file import load
from skdiff.cases.fields import LOOKUPS
from skdiff.cases.outcome import CRASHED, Outcome
from skdiff.cases.scenario import PFREE, Group, Packet, Scenario
from skdiff.cli import main
from skdiff.comparison.parting import Parting
from skdiff.comparison.referee import SIDES, Referee, Verdict, models_of
from skdiff.findings import kernel_difference as differing
from skdiff.findings.kernel_difference import Difference, grouped
from skdiff.kernel.build import Line, build
from skdiff.kernel.source import Tree
from skdiff.kernel.text_changes import CHANGED, GONE, NEW, Change, changes
from skdiff.oracles.model import Model
from skdiff.proof.mutants import mutation_score
from skdiff.proof.mutants.schemata import schemata
from skdiff.variants.config import Config
from tests.helpers import cookie, listener, mostly_long, scenario
from tests.patched import Edit, Patch, edited_tree, patched_tree
from tests.running import made, side
from tests.test_patched_trees import REUSEPORT
from tests.variants.test_version_rules import HASHTABLES_C, HASHTABLES_H


def diff(folder, *arguments, cases=3000):
    """The exit code and the summary of a run."""
    summary = folder / "summary.json"
    command = ["diff", *map(str, arguments), "--cases", str(cases), "--seed", "5", "--json", str(summary)]
    status = main([*command, "--findings", str(folder / "findings")])
    return status, json.loads(summary.read_text())


def rules_of(summary):
    """The rules of each group."""
    return [tuple(rule["rule"] for rule in group["rules"]) for group in summary["groups"]]


@pytest.mark.long
def test_6_1_and_6_12_differ_in_the_known_rules_alone(tmp_path, capsys):
    status, summary = diff(tmp_path, "6.1", "6.12")
    assert status == 1
    single = [rules for rules in rules_of(summary) if len(rules) == 1]
    assert {("demux_pfree",), ("reselect",), ("syncookie",)} <= {*single}
    known = {"demux_pfree", "reselect", "syncookie", "twsk_replace", "udp_pernet"}
    assert all({*rules} <= known for rules in rules_of(summary))
    assert not any(group["unlike"] for group in summary["groups"])
    text = " ".join(capsys.readouterr().out.split())
    assert "reselect in B only (Linux 6.6, 9c02bec95954, " in text
    assert "syncookie in B only (Linux 6.9, 8b5ac68fb5ee, " in text
    assert re.search(r"shared_sk_lookup in B only \(Linux 6.6, 6c886db2e78c, [^)]*\): no outcome can show it", text)
    assert "new function inet_steal_sock: include/net/inet_hashtables.h:" in text
    for group in summary["groups"]:
        for finding in group["findings"]:
            assert len(load(Path(finding["file"])).scenario.socks) <= 4
    [first, *_] = summary["groups"][0]["findings"]
    assert main(["diff", "6.1", "6.12", first["file"]]) == 1
    told = capsys.readouterr().out
    assert f"DIFFERENCE {first['signature']}" in told
    assert "Both kernels do what the model of their rules does" in told
    assert f"again: {command()} diff 6.1 6.12 {first['file']}" in told
    assert main(["diff", "6.12", "6.12", first["file"]]) == 0
    assert "no difference" in capsys.readouterr().out


NAMED = [
    Patch(HASHTABLES_H, "inet_steal_sock", 0, "||", "&&"),
    Patch(HASHTABLES_C, "compute_score", 0, "2", "1"),
    Patch(REUSEPORT, "reuseport_select_sock_by_hash", 0, "==", "!="),
]


@pytest.mark.parametrize("patch", mostly_long(NAMED), ids=str)
def test_a_patched_function_is_named(patch, kernel_tree, tmp_path, capsys):
    tree = patched_tree(kernel_tree.path, tmp_path / "tree", patch)
    status, summary = diff(tmp_path, "6.12", tree)
    assert status == 1
    [change] = summary["text"]
    assert (change["what"], change["name"]) == (CHANGED, patch.function)
    assert {group["function"] for group in summary["groups"]} == {patch.function}
    assert {tuple(group["unlike"]) for group in summary["groups"]} == {("B",)}
    told = capsys.readouterr().out
    assert f"no known rule, in {patch.function}(): B unlike its model" in told
    report = tmp_path / "findings" / summary["groups"][0]["findings"][0]["signature"] / "report.txt"
    assert f"The sides part in {patch.function}():" in report.read_text()
    assert report.read_text() in told


@pytest.mark.long
def test_a_remark_has_no_effect_and_mutants_say_what_that_is_worth(kernel_tree, tmp_path, capsys, monkeypatch):
    def some(*arguments):  # `make mutants` asks all of them
        made = schemata(*arguments)
        return replace(made, mutants=dict(list(made.mutants.items())[::2]))

    monkeypatch.setattr(mutation_score, "schemata", some)
    remark = Edit(HASHTABLES_C, "compute_score", r"\A([^{]*\{)", r"\1 /* a remark */")
    tree = edited_tree(kernel_tree.path, tmp_path / "tree", [remark])
    status, summary = diff(tmp_path, "6.12", tree, cases=1000)
    assert (status, summary["groups"], summary["differ"]) == (0, [], False)
    assert summary["cases"] >= 1000
    text = capsys.readouterr().out
    assert "changed  function compute_score: net/ipv4/inet_hashtables.c:" in text
    of_it, of_all = summary["mutants"]["changed"], summary["mutants"]["all"]
    assert 40 < of_it["mutants"] < of_all["mutants"]  # those of both sides
    assert of_it["seen"] / of_it["mutants"] > 0.95
    told = f"{of_it['seen']} of {of_it['mutants']} mutants of the changed functions of both sides are told apart"
    assert f"no difference in {summary['cases']:,} cases: " in text
    assert told in text
    assert summary["unseen"]["lines"] == []


@pytest.mark.parametrize("lookup", mostly_long(LOOKUPS.values()))
def test_the_findings_of_a_run_of_one_lookup_are_of_that_one(lookup, tmp_path, capsys):
    status, summary = diff(tmp_path, "6.1", "6.12", "--lookup", lookup, cases=1000)
    assert status == 1
    files = [Path(finding["file"]) for group in summary["groups"] for finding in group["findings"]]
    assert {LOOKUPS[load(file).scenario.lookup] for file in files} == {lookup}
    assert f"diff 6.1 6.12 --lookup {lookup} " in files[0].with_name("report.txt").read_text()


@pytest.mark.long
def test_two_configurations_differ_in_their_option(tmp_path, capsys):
    status, summary = diff(tmp_path, "6.12", "6.12 IPV6=n", cases=1500)
    assert (status, set(rules_of(summary)), summary["text"]) == (1, {("no-IPV6",)}, [])
    assert "IPV6 in A only (CONFIG_IPV6)" in capsys.readouterr().out


def test_first_stops_at_the_first_case_about_which_they_differ(tmp_path, capsys):
    """Before 6.6 the group of a socket on the sk_buff was not asked again."""
    agreed = "corpus/conformance/fcnal_test/novrf_global_server-udp4.toml"
    differing = next(
        str(path)
        for path in sorted(Path("corpus/seeds").glob("*re-selected*.toml"))
        if main(["diff", "6.1", "6.12", str(path)]) == 1
    )
    command = ["diff", "6.1", "6.12", agreed, differing, agreed, differing, "--json", str(tmp_path / "diff.json")]
    capsys.readouterr()
    assert main([*command, "--first"]) == 1
    shown = capsys.readouterr().out
    told = json.loads((tmp_path / "diff.json").read_text())
    assert [bool(case["difference"]) for case in told["cases"]] == [False, True]
    assert [Path(name).name for name in told["not_run"]] == [Path(agreed).name, Path(differing).name]
    assert f"{agreed}: not compared, --first stopped at {differing}" in shown
    assert main(command) == 1
    told = json.loads((tmp_path / "diff.json").read_text())
    assert (len(told["cases"]), told["not_run"]) == (4, [])


@pytest.mark.parametrize("side", [0, 1], ids=SIDES)
def test_a_kernel_that_dies_is_found_out_and_the_other_is_not_blamed(side, kernel_tree, tmp_path, monkeypatch):
    endless = Patch("include/linux/math.h", "reciprocal_scale", 1, "val", "(reciprocal_scale(val, ep_ro) + 1)")
    tree = Tree(patched_tree(kernel_tree.path, tmp_path / "tree", endless), kernel_tree.version, "test")
    builds = [build(kernel_tree), build(kernel_tree)]
    builds[side] = build(tree)
    monkeypatch.setattr(worker_process, "MAX_DEATHS", 1)
    job = Job(
        subjects=tuple(Subject.of(made) for made in builds),
        again="diff",
        variant="plain",
        engine="random",
        seed=3,
        cases=300,
        seconds=0,
        findings=str(tmp_path / "findings"),
    )
    total = supervising.supervise(job, "", lambda message: None)
    assert "the worker died" in total.gave_up
    [finding] = total.mismatches
    case = load(Path(finding.file))
    assert case.found["oracles"] == [f"A: Linux {tree.version}", f"B: Linux {tree.version}", "model"]
    assert case.found["fields"][0] == "ended"
    assert f"{SIDES[side]}-unlike-its-model" in case.found["signature"]
    assert "crashed" in case.found["signature"]


@pytest.mark.long
def test_a_changed_function_that_no_step_tells_of_is_named_beside_its_caller(kernel_tree, tmp_path, capsys):
    patch = Patch("include/linux/refcount.h", "__refcount_add_not_zero", 0, "<", ">")
    tree = patched_tree(kernel_tree.path, tmp_path / "tree", patch)
    status, summary = diff(tmp_path, "6.12", tree, cases=500)
    assert (status, [group["function"] for group in summary["groups"]]) == (1, ["refcount_inc_not_zero"])
    assert "B unlike its model (what changed: __refcount_add_not_zero)" in capsys.readouterr().out


@pytest.mark.long
def test_what_both_do_alike_but_not_as_the_model_is_no_difference(kernel_tree, tmp_path, capsys):
    tree = patched_tree(kernel_tree.path, tmp_path / "tree", Patch(HASHTABLES_C, "compute_score", 0, "2", "1"))
    status, summary = diff(tmp_path, tree, tree, cases=1500)
    assert (status, summary["differ"]) == (0, False)
    [group] = summary["groups"]
    assert (group["alike"], group["unlike"], group["function"]) == (True, ["A", "B"], "compute_score")
    text = capsys.readouterr()
    assert "not a difference, but neither as a model says, in compute_score()" in text.out
    assert "no mutants: " in text.err


# --- the referee ---


@pytest.fixture(scope="module")
def builds():
    return made("6.1"), made("6.12")


CASES = {
    ("reselect",): scenario(
        *(listener(reuseport=1, group=0), listener()),
        packet=Packet(sk=0, destructor=PFREE),
        groups=(Group(num_socks=1, slots=(1,)),),
        hostile=1,
    ),
    ("syncookie",): scenario(cookie(listener=1), listener(), packet=Packet(sk=0, destructor=PFREE)),
    ("reselect", "syncookie"): scenario(
        *(cookie(listener=1), listener(reuseport=1, group=0), listener()),
        packet=Packet(sk=0, destructor=PFREE),
        groups=(Group(num_socks=1, slots=(2,)),),
        hostile=1,
    ),
}


@pytest.mark.parametrize("words", CASES, ids="+".join)
def test_the_fewest_rules_that_explain_a_case(words, builds):
    referee = Referee(*builds)
    outcomes = [model.run(CASES[words]) for model in models_of(builds)]
    assert referee.verdict(CASES[words], [*outcomes, *outcomes]) == Verdict((), words)
    other_way = Referee(*reversed(builds))
    outcomes.reverse()
    back = tuple(f"no-{w}" for w in words[-1:])  # a request that is taken itself is nothing to select anew
    assert other_way.verdict(CASES[words], [*outcomes, *outcomes]) == Verdict((), back)


def test_who_is_unlike_its_model(builds):
    referee, case = Referee(*builds), scenario(listener())
    right, wrong = models_of(builds)[0].run(case), Outcome(ended=CRASHED)
    for outcomes, verdict in (
        ((right, right), None),
        ((right, wrong), Verdict(("B",), ())),
        ((wrong, right), Verdict(("A",), ())),
        ((wrong, wrong), Verdict(("A", "B"), (), alike=True)),
    ):
        assert referee.verdict(case, [*outcomes, right, right]) == verdict
        mismatch = referee(case, [*outcomes, right, right])
        assert (mismatch is None) == (verdict is None)
    assert str(Verdict(("A", "B"), (), alike=True)) == "alike-A+B-unlike-its-model"


def test_a_side_that_does_as_with_another_rule_gets_a_hint():
    kernel = made("6.12")
    referee, case = Referee(kernel, kernel), CASES["syncookie",]
    [model] = models_of([kernel])
    old = referee.turned(0, "no-syncookie").run(case)
    assert old != model.run(case)
    verdict = referee.verdict(case, [model.run(case), old, model.run(case)])
    assert verdict.unlike == ("B",)
    assert "no-syncookie" in verdict.words
    assert "no-SYN_COOKIES" in verdict.words


def test_a_hint_that_holds_for_all_names_the_group():
    def found(verdict):
        parted = Parting(("", ""), ([], []), None, {}, Scenario(), (Outcome(), Outcome()), Model())
        return Difference(None, (), verdict, None, parted, ([], []))

    findings = [Finding(signature=name, file="", count=1) for name in ("x", "y")]
    x, y = found(Verdict(("B",), ("no-reselect", "IPV6"))), found(Verdict(("B",), ("IPV6",)))
    [group] = grouped(findings, {"x": x, "y": y})
    assert (group.words, len(group.findings)) == (("IPV6",), 2)
    assert group.title.startswith("as if IPV6 (CONFIG_IPV6) in B")
    [group] = grouped(findings, {"x": x, "y": found(Verdict(("B",), ()))})
    assert (group.words, group.title) == ((), "no known rule, in no step that shows: B unlike its model")
    [group] = grouped(findings, {})
    assert group.title == "not sorted by cause"


# --- words, texts, bad input ---


def test_a_side_may_have_options_of_its_own(monkeypatch):
    monkeypatch.setenv("CONFIG", "SMP=n")
    assert side("6.12").config == Config(smp=False)
    assert side("6.12 IPV6=n NET_NS=n").config == Config(ipv6=False, net_ns=False)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["6.12", "6.12 FOO=n"], "no option 'FOO=n'"),
        (["6.12", "/no/such tree IPV6=n"], "/no/such tree is not a directory"),
        (["6.12", ""], "is neither a kernel version"),
        (["6.12", "6.12", "/no/such/case.toml"], "no such file"),
        (["6.12", "6.12", "--findings", "/dev/null/x"], "findings cannot be written"),
    ],
)
def test_what_cannot_run_is_one_line(arguments, says, capsys):
    assert main(["diff", *arguments]) == 2
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("skdiff:")]
    assert says in line


def test_rules_by_hand_are_refused(monkeypatch, capsys):
    monkeypatch.setenv("EPOCH", "6.9")
    assert main(["diff", "6.12", "6.12"]) == 2
    assert "EPOCH" in capsys.readouterr().err


def test_changes_of_texts():
    def line(name, sha256, file="a.h", number=1, kind="function"):
        return Line(name, kind, file, number, number, sha256, "", True)

    before = [line("same", "1"), line("moved", "2"), line("new_text", "3"), line("gone", "4"), line("two", "5")]
    after = [line("same", "1"), line("moved", "2", "b.h", 9), line("new_text", "33", "b.h", 7), line("fresh", "6")]
    after += [line("two", "55"), line("two", "5"), line("same", "7", kind="macro")]
    assert changes(before, after) == [
        Change(NEW, "function", "fresh", "", "a.h:1"),
        Change(GONE, "function", "gone", "a.h:1", ""),
        Change(CHANGED, "function", "new_text", "a.h:1", "b.h:7"),
        Change(NEW, "function", "two", "", "a.h:1"),
        Change(NEW, "macro", "same", "", "a.h:1"),
    ]


def test_what_cannot_be_traced_is_kept(tmp_path):
    def cannot():
        raise CannotRun("no compiler")

    said = []
    findings = [Finding(signature="x", count=1, file="case.toml")]
    [group] = differing.group_by_cause(findings, cannot, "diff a b", tmp_path, said.append)
    assert (group.title, group.findings) == ("not sorted by cause", findings)
    assert said == ["not sorted by cause: no compiler"]
