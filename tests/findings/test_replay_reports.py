"""What a replay prints, and where --first stops."""

import json
import xml.etree.ElementTree as Xml

import pytest

from skdiff.base.paths import CORPUS
from skdiff.cases.case_file import Case, dump
from skdiff.cli import main
from tests.helpers import listener, scenario

GOOD = CORPUS / "surprises" / "wildcard_group.toml"


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A case that agrees, one that does not do what it expects, one of a lookup that is not there, and no case."""
    monkeypatch.chdir(tmp_path)
    good = scenario(listener())
    cases = {
        "1.toml": Case(good),
        "2 # b.toml": Case(good, expect={"sk": "none"}),
        "3.toml": Case(good._replace(lookup=1)),
        "5.toml": Case(good),
    }
    for name, case in cases.items():
        (tmp_path / name).write_text(dump(case))
    (tmp_path / "4.toml").write_text("no case")
    return [*sorted([*cases, "4.toml"])]


def test_ktap(kernel_tree, files, capsys):
    assert main(["replay", "--config", "IPV6=n", "--format", "ktap", *files]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["KTAP version 1", "1..5"]
    results = [line for line in lines[2:] if not line.startswith("#")]
    assert results[:3] == [
        "ok 1 - 1.toml",
        "not ok 2 - 2 _ b.toml",
        "ok 3 - 3.toml # SKIP tcp6 is not looked at: this kernel has it not in this configuration",
    ]
    assert results[3].startswith("not ok 4 - 4.toml # ERROR 4.toml: not TOML: ")
    assert results[4:] == ["ok 5 - 5.toml"]
    remark = lines[lines.index(results[1]) - 1]
    assert remark.startswith("# '2 # b.toml': sk")
    assert lines[-1] == "# Totals: pass:2 fail:1 xfail:0 xpass:0 skip:1 error:1"


def test_junit(kernel_tree, files, capsys):
    assert main(["replay", "--config", "IPV6=n", "--format", "junit", *files]) == 2
    root = Xml.fromstring(capsys.readouterr().out)
    assert root.attrib == {"tests": "5", "failures": "1", "errors": "1", "skipped": "1"}
    cases = root.findall("testsuite/testcase")
    assert [case.get("file") for case in cases] == files
    assert [[child.tag for child in case] for case in cases] == [[], ["failure"], ["skipped"], ["error"], []]
    assert cases[1][0].get("type") == "unexpected"


@pytest.mark.parametrize("form", ["text", "ktap", "junit"])
def test_what_agrees_is_0_in_each_form(form, kernel_tree, capsys):
    assert main(["replay", "--format", form, str(GOOD)]) == 0
    assert "1 case, 1 agreed" in capsys.readouterr().out


def test_first_stops_a_replay_and_says_what_was_not_run(kernel_tree, files, tmp_path, capsys):
    assert main(["replay", "--first", "--json", "out.json", *files]) == 1
    assert "5 cases, 1 agreed, 1 unexpected, 3 not run" in capsys.readouterr().out
    told = json.loads((tmp_path / "out.json").read_text())["cases"]
    assert [case["verdict"] for case in told] == ["agreed", "unexpected", "not run", "not run", "not run"]
    assert told[4]["why"] == ["--first stopped at 2 # b.toml"]
