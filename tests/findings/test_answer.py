"""The head and the end of an answer: what it rests on, what was expected, and what programs are told."""

import json

import pytest

from skdiff.base.paths import CORPUS
from skdiff.cases.case_file import Case, dump, load
from skdiff.cases.find_cases import files
from skdiff.cases.outcome import RETURNED
from skdiff.cases.scenario import HELPER, PFREE, SK_DROP, Netns, Packet, Program
from skdiff.cli import main
from skdiff.findings.answer import RestsOn, answer
from skdiff.oracles.model import Model
from skdiff.variants.version_rules import NAMES
from tests.helpers import connection, cookie, listener, scenario
from tests.patched import Patch, patched_tree

SURPRISES = CORPUS / "surprises"
MODEL = Model()


def told(case, name="web"):
    return answer(Case(case, socks=(name, "other")[: len(case.socks)]), MODEL, MODEL, MODEL.trace(case))


@pytest.mark.parametrize(
    ("case", "last"),
    [
        (scenario(), "Answer: nobody gets the packet."),
        (scenario(listener()), "Answer: web gets the packet, without a reference."),
        (scenario(connection()), "Answer: web gets the packet, with a reference."),
        (scenario(listener(), caller=HELPER), "Answer: web is found, without a reference."),
        (scenario(caller=HELPER), "Answer: nobody is found."),
        (scenario(hostile=1, ehash_nulls_xor=1), "Answer: none, the lookup does not end."),
        (
            scenario(listener(), netns=(Netns(run_array=1, progs=(Program(SK_DROP),)),), sk_lookup_enabled=1),
            "Answer: nobody gets the packet.",
        ),
    ],
)
def test_the_last_line(case, last):
    assert told(case).last() == last


def test_a_rule_that_decides_is_told():
    case = scenario(cookie(listener=1), listener(), packet=Packet(sk=0, destructor=PFREE))
    found = told(case)
    assert found.rests_on == (RestsOn("syncookie", True, "web", True),)
    [line] = found.holds_for()
    assert line.startswith("This holds with the rule syncookie (Linux 6.9, 8b5ac68fb5ee, ")
    assert line.endswith("; without it web gets the packet, with a reference.")


def test_a_rule_that_only_says_how_a_packet_is_hashed_decides_nothing_by_itself():
    case = load(SURPRISES / "wildcard_group.toml")
    assert MODEL.run(case.scenario).sk != Model(MODEL.rules.__class__(lport_added=True)).run(case.scenario).sk
    assert answer(case, MODEL, MODEL, []).rests_on == ()


def test_an_expectation_that_is_not_met_is_a_difference(kernel_tree, tmp_path, capsys):
    path, summary = tmp_path / "case.toml", tmp_path / "summary.json"
    case = Case(scenario(listener()), socks=("web",), expect={"sk": "none", "refcounted": False}, said_by="document")
    path.write_text(dump(case))
    assert main(["explain", str(path), "--json", str(summary)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "Not as expected: sk is web, expected none ([expect], from document)." in lines
    assert json.loads(summary.read_text())["unmet"] == ["sk is web, expected none"]


def test_what_another_kernel_is_expected_to_do_is_not_looked_at(kernel_tree, tmp_path, capsys):
    path = tmp_path / "case.toml"
    case = Case(scenario(listener()), socks=("web",), expect={"sk": "none"}, said_by="model", needs=("no-reselect",))
    path.write_text(dump(case))
    assert main(["explain", str(path)]) == 0
    assert (
        "What it expects is not looked at: this kernel is not what the case needs (no-reselect)."
        in capsys.readouterr().out
    )


def test_programs_are_told_the_answer(kernel_tree, tmp_path):
    summary = tmp_path / "summary.json"
    assert main(["explain", str(SURPRISES / "wildcard_group.toml"), "--json", str(summary)]) == 0
    found = json.loads(summary.read_text())
    assert (found["ended"], found["sk"], found["refcounted"]) == ("returned", "one", False)
    assert found["chance"] == [
        {"sk": "one", "hashes": 1 << 31, "share": 0.5},
        {"sk": "other", "hashes": 1 << 31, "share": 0.5},
    ]
    assert set(found["rules"]) <= set(NAMES)
    assert "reselect" in found["rules"]
    assert (found["next"], found["endless"], found["unmet"], found["model_story"]) == ([], "", [], [])
    assert main(["explain", str(CORPUS / "mutants" / "unhashed-in-chain.toml"), "--json", str(summary)]) == 0
    found = json.loads(summary.read_text())
    assert (found["ended"], found["sk"], found["refcounted"]) == ("stuck", None, None)
    assert found["endless"].startswith("It does not end: ")


def test_the_kernel_and_its_configuration_come_first(kernel_tree, capsys):
    case = str(SURPRISES / "assigned_listener_is_replaced.toml")
    assert main(["explain", case]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"Linux {kernel_tree.version}")
    assert lines[1] == "Configuration: the default"
    assert lines[2].startswith("This holds with the rule reselect (Linux 6.6, ")
    assert lines[2].endswith("; without it assigned gets the packet, without a reference.")
    assert lines[-1] == "Answer: fellow gets the packet, without a reference."
    assert main(["explain", case, "--config", "SMP=n"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "Configuration: SMP=n"


def test_the_answer_of_every_kept_case_is_its_outcome(reference):
    for path in files([]):
        case = load(path)
        found = answer(case, reference, MODEL, MODEL.trace(case.scenario))
        assert found.chance is None or found.chance.parted is None
        if found.outcome.ended != RETURNED:
            assert found.endless
        elif found.delivered:
            assert found.last().startswith("Answer: no lookup decides: it goes to all sockets")
        elif found.sk == "none":
            assert "nobody" in found.last()
        else:
            assert f" {found.sk} " in found.last()


def test_the_story_of_a_patched_kernel_is_its_own(kernel_tree, tmp_path, capsys):
    patch = Patch("net/ipv4/inet_hashtables.c", "compute_score", 0, "2", "1")
    tree = patched_tree(kernel_tree.path, tmp_path / "tree", patch)
    path = tmp_path / "case.toml"
    path.write_text(dump(Case(scenario(listener(bound_dev_if=1), listener()), socks=("here", "any"))))
    assert main(["explain", str(path), "--kernel", str(tree)]) == 1
    kernel, model = capsys.readouterr().out.split("\nmodel:\n")
    assert (
        "compute_score(): here scores 2 (by the rules 3: 1 for the match, 1 for its device, 1 for AF_INET)." in kernel
    )
    assert "compute_score(): here scores 3 (1 for the match, 1 for its device, 1 for AF_INET)." in model
    assert kernel.endswith("__inet_lookup_skb(): any gets the packet.\n")
    assert "__inet_lookup_skb(): here gets the packet." in model
    assert model.endswith(
        f"\nAnswer: Linux {kernel_tree.version}: any gets the packet, without a reference;"
        " model: here gets the packet, without a reference.\n"
    )
