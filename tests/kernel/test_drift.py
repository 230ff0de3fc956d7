"""Drift: a tree that is the recorded one, and trees that are not."""

import json
import re

import pytest

from skdiff.base.errors import CannotRun
from skdiff.cli import main
from skdiff.kernel import drift as drifting
from skdiff.kernel import git_web
from skdiff.variants.version_rules import Rules
from tests.kernel.test_source import NEWER, serving
from tests.patched import Edit, edited_tree
from tests.variants.test_version_rules import CHANGES, HASHTABLES_C

REFCOUNT = "include/linux/refcount.h"


@pytest.fixture(scope="module")
def recorded(kernel_tree, tmp_path_factory):
    """The record of the default kernel."""
    path = tmp_path_factory.mktemp("record") / "closure.toml"
    assert main(["drift", "--record", "--against", str(path)]) == 0
    return path


def drift(tree, recorded, folder):
    """The exit code and the summary for a tree."""
    summary = folder / "summary.json"
    status = main(["drift", "--kernel", str(tree), "--against", str(recorded), "--json", str(summary)])
    return status, json.loads(summary.read_text())


def edited(kernel_tree, folder, *edits):
    return edited_tree(kernel_tree.path, folder / "tree", edits)


def test_a_kernel_is_as_its_record_says(kernel_tree, recorded, tmp_path, capsys):
    status, summary = drift("6.12", recorded, tmp_path)
    assert status == 0
    assert not any(summary[key] for key in ("definitions", "replaced", "rules", "missing"))
    assert f"the text is that of Linux {kernel_tree.version}" in capsys.readouterr().out


def test_the_record_that_is_kept_here(kernel_tree, recorded):
    kept, now = drifting.load(drifting.nearest(kernel_tree.version)), drifting.load(recorded)
    assert kept.rules == now.rules == Rules()
    assert {d.name for d in kept.definitions} >= {"__inet_lookup_skb", "compute_score", "inet_match"}
    assert {d.name for d in kept.replaced} >= {"reqsk_free", "kfree_skb"}
    assert (kept == now) == (kept.version == kernel_tree.version)
    for line in (*kept.definitions, *kept.replaced):  # names and hashes, no text
        assert re.fullmatch(r"\w+", line.name)
        assert re.fullmatch(r"[0-9a-f]{64}", line.sha256)


def test_the_record_of_the_nearest_version(tmp_path):
    for version in ("6.1.192", "6.12.8", "6.12.117", "7.2.13"):
        (tmp_path / f"{version}.closure").touch()
    for version, name in {
        "5.10": "6.1.192",
        "6.6": "6.1.192",
        "6.12": "6.12.8",
        "6.12.99-rc1+": "6.12.117",
        "6.15.2": "6.12.8",
        "8.0-rc3": "7.2.13",
    }.items():
        assert drifting.nearest(version, tmp_path).stem == name
    with pytest.raises(CannotRun, match="no record there"):
        drifting.nearest("6.12", tmp_path / "none")


def test_changed_new_and_gone_definitions(kernel_tree, recorded, tmp_path, capsys):
    tree = edited(
        kernel_tree,
        tmp_path,
        Edit(HASHTABLES_C, "compute_score", r"\breturn score;", "return tally(score);"),
        Edit(HASHTABLES_C, "inet_lhash2_bucket_sk", r"\A", "static int tally(int score) { return score; }\n"),
        Edit(HASHTABLES_C, "__inet_lookup_listener", "inet_lookup_run_sk_lookup", "inet_lookup_run_bpf"),
        Edit(HASHTABLES_C, "inet_lookup_run_sk_lookup", "inet_lookup_run_sk_lookup", "inet_lookup_run_bpf"),
        Edit("net/ipv4/udp.c", "__udp4_lib_lookup", "inet_lookup_run_sk_lookup", "inet_lookup_run_bpf"),
    )
    status, summary = drift(tree, recorded, tmp_path)
    assert (status, summary["missing"], summary["rules"]) == (1, [], ["no-shared_sk_lookup"])
    assert sorted((c["what"], c["name"]) for c in summary["definitions"]) == [
        ("changed", "__inet_lookup_listener"),
        ("changed", "__udp4_lib_lookup"),
        ("changed", "compute_score"),
        ("gone", "inet_lookup_run_sk_lookup"),
        ("new", "inet_lookup_run_bpf"),
        ("new", "tally"),
    ]
    text = capsys.readouterr().out
    assert f"new      function tally: {HASHTABLES_C}:" in text
    assert "no known epoch: 6.9 but no-shared_sk_lookup" in text
    assert f"drifted from Linux {kernel_tree.version}" in text


def test_mainline_is_held_against_the_record(kernel_tree, recorded, tmp_path, monkeypatch, capsys):
    tree = edited(kernel_tree, tmp_path, Edit(HASHTABLES_C, "compute_score", r"\breturn score;", "return -score;"))
    makefile = (tree / "Makefile").read_text()
    (tree / "Makefile").write_text(re.sub(r"(?m)^EXTRAVERSION =.*", "EXTRAVERSION = -rc3", makefile))
    answers = {str(path.relative_to(tree)): path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(git_web, "PAUSE", 0.01)
    with serving(answers) as web:
        monkeypatch.setenv("SKDIFF_GIT_WEB", web.address)
        status, summary = drift("mainline", recorded, tmp_path)
    assert (status, summary["version"]) == (1, f"{kernel_tree.version}-rc3")
    assert [c["name"] for c in summary["definitions"]] == ["compute_score"]
    assert f"Linux {kernel_tree.version}-rc3 (mainline at {NEWER[:12]} from {web.address})" in capsys.readouterr().out

    git_web.newest_commit.cache_clear()
    assert main(["drift", "--kernel", "mainline", "--against", str(recorded)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("skdiff: cannot fetch ")
    assert "check the network" in line


def test_all_names_without_an_answer_are_told_at_once(kernel_tree, recorded, tmp_path, capsys):
    tree = edited(
        kernel_tree,
        tmp_path,
        Edit(HASHTABLES_C, "compute_score", r"\breturn score;", "return first_unknown(score);"),
        Edit(HASHTABLES_C, "inet_lhash2_lookup", r"\breturn result;", "return second_unknown(result);"),
    )
    (tree / REFCOUNT).unlink()
    status, summary = drift(tree, recorded, tmp_path)
    assert status == 1
    told = "\n".join(summary["missing"])
    for words in ("compute_score uses first_unknown", "inet_lhash2_lookup uses second_unknown", f"{REFCOUNT}: no such"):
        assert words in told
    assert {"what": "gone"}.items() <= next(
        c for c in summary["definitions"] if c["name"] == "refcount_dec_and_test"
    ).items()
    assert "compute_score uses first_unknown" in capsys.readouterr().out
    assert main(["drift", "--kernel", str(tree), "--record", "--against", str(tmp_path / "new.toml")]) == 2
    assert not (tmp_path / "new.toml").exists()


def test_what_a_stub_takes_the_place_of_is_watched(kernel_tree, recorded, tmp_path):
    tree = edited(kernel_tree, tmp_path, Edit("include/net/request_sock.h", "reqsk_free", r"\A([^{]*\{)", r"\1 ;"))
    status, summary = drift(tree, recorded, tmp_path)
    assert (status, summary["definitions"]) == (1, [])
    assert [c["name"] for c in summary["replaced"]] == ["reqsk_free"]


def test_a_rule_that_went_is_told(kernel_tree, recorded, tmp_path, capsys):
    status, summary = drift(edited(kernel_tree, tmp_path, *CHANGES["no-syncookie"]), recorded, tmp_path)
    assert (status, summary["rules"]) == (1, ["no-syncookie"])
    assert "the rule differs: no-syncookie now" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "no record there"),
        ("version = 1\n", "not a record"),
        ("{", "not a record"),
        ('version = "6.12"\nrules = []\ndefinitions = [["x"]]\nreplaced = []\n', "not a record"),
    ],
)
def test_a_record_that_cannot_be_read_is_one_line(text, says, tmp_path, capsys):
    path = tmp_path / "closure.toml"
    if text is not None:
        path.write_text(text)
    assert main(["drift", "--against", str(path)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert says in line


def test_a_place_that_cannot_be_written_and_no_kernel(tmp_path, capsys):
    assert main(["drift", "--record", "--against", "/no/such/folder/x.toml"]) == 2
    assert main(["drift", "--kernel", str(tmp_path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2
