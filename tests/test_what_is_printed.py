"""What people and scripts read: lines that are not broken, numbers that agree with their nouns, and the last place."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from skdiff import cli
from skdiff.base.paths import CORPUS
from skdiff.base.words import counted
from skdiff.cases.case_file import Case, dump
from skdiff.cases.scenario import PFREE, Packet, Scenario
from tests.helpers import cookie, listener
from tests.patched import Patch, patched_tree
from tests.running import SKDIFF

CASE = CORPUS / "surprises" / "wildcard_group.toml"
LATER_WINS = Patch("net/ipv4/inet_hashtables.c", "inet_lhash2_lookup", 0, ">", ">=")


@pytest.mark.parametrize("words", [["extract"], ["explain", str(CASE), "--epoch", "6.1"]], ids=lambda words: words[0])
def test_off_a_terminal_no_line_is_broken(words, kernel_tree, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    done = subprocess.run([*SKDIFF, *words], capture_output=True, text=True, check=False)
    monkeypatch.setenv("COLUMNS", "4000")
    assert done.stdout == subprocess.run([*SKDIFF, *words], capture_output=True, text=True, check=False).stdout
    assert max(map(len, done.stdout.splitlines())) > 120


def test_progress_off_a_terminal_is_a_line(kernel_tree, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("skdiff.campaign.progress.QUIET_EVERY", 0.0)
    monkeypatch.setattr("skdiff.campaign.supervisor.TELL_EVERY", 0.0)
    monkeypatch.setenv("COLUMNS", "20")
    assert cli.main(["fuzz", "--engine", "random", "--cases", "6000", "--findings", str(tmp_path)]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if re.match(r"\d+s: ", line)]
    assert lines
    assert all("mismatches" in line for line in lines)


@pytest.mark.parametrize(("number", "words"), [(0, "0 cases"), (1, "1 case"), (2000, "2,000 cases")])
def test_a_number_agrees_with_its_noun(number, words):
    assert counted(number, "case") == words


def test_one_case_is_one_case(kernel_tree, capsys):
    assert cli.main(["replay", str(CASE)]) == 0
    assert cli.main(["fuzz", "--engine", "random", "--cases", "1"]) == 0
    told = capsys.readouterr().out
    assert "1 cases" not in told
    assert told.count("1 case") == 2


@pytest.mark.parametrize("command", ["fuzz", "diff"])
def test_a_path_that_is_printed_is_there(command, kernel_tree, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    patched_tree(kernel_tree.path, tmp_path / "tree", LATER_WINS)
    words = {"fuzz": ["--engine", "random", "--kernel", "tree"], "diff": ["6.12", "tree"]}[command]
    assert cli.main([command, *words, "--cases", "2000", "--seed", "1"]) == 1
    told = capsys.readouterr()
    paths = re.findall(r"\S*findings/\S+\.toml", told.out + told.err)
    assert paths
    assert [path for path in paths if not Path(path).exists()] == []


def test_a_finding_of_diff_says_how_it_is_shown_again(kernel_tree, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    patched_tree(kernel_tree.path, tmp_path / "tree", LATER_WINS)
    assert cli.main(["diff", "6.12", "tree", "--cases", "2000", "--seed", "1"]) == 1
    [again, *_] = re.findall(r"^again: .*", capsys.readouterr().out, re.MULTILINE)
    case = again.rpartition(" ")[2]
    for command in (["explain", str(Path(case).parent)], ["replay", case]):
        assert cli.main(command) == 0
        assert again in capsys.readouterr().out


def test_explain_begins_with_the_kernel(kernel_tree, capsys):
    assert cli.main(["explain", str(CASE)]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith(f"Linux {kernel_tree.version} ({kernel_tree.origin}), epoch ")


def test_explain_has_both_outcomes_for_programs(kernel_tree, tmp_path):
    summary = tmp_path / "summary.json"
    assert cli.main(["explain", str(CASE), "--json", str(summary)]) == 0
    told = json.loads(summary.read_text())
    assert len(told["outcomes"]) == 2
    assert list(told["outcomes"]) == list(told["steps"])
    for outcome in told["outcomes"].values():
        assert outcome == {"ended": "returned", "sk": "one", "refcounted": False, "fired": []}
    assert told["kernel"]["version"] == kernel_tree.version


def test_a_request_without_a_listener_is_told_in_words(kernel_tree, tmp_path, capsys):
    case = tmp_path / "case.toml"
    packet = Packet(sk=0, destructor=PFREE)
    case.write_text(dump(Case(Scenario(hostile=1, packet=packet, socks=(cookie(), listener())))))
    assert cli.main(["explain", str(case)]) == 0
    told = capsys.readouterr().out
    assert "it has no listener any more, so nothing is taken and the tables are searched" in told
    assert "listener none" not in told


def test_a_case_without_a_version_is_told_what_is_missing(tmp_path, capsys):
    case = tmp_path / "case.toml"
    case.write_text("[packet]\nsport = 1\n")
    assert cli.main(["explain", str(case)]) == 2
    assert "case.toml:1: version is missing: the format of a case has a number, write `version = 1`" in (
        capsys.readouterr().err
    )
