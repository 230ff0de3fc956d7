"""The command line as scripts and people meet it: exit codes, summaries, bad input, Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from harness import cli
from harness.scenario import Packet, Scenario
from harness.text import Case, dump

SKDIFF = [sys.executable, "-m", "harness.cli"]


def test_a_run_that_agrees_exits_0_and_says_what_it_did(kernel_tree, tmp_path, capsys):
    summary = tmp_path / "summary.json"
    assert cli.main(["fuzz", "--engine", "random", "--cases", "500", "--seed", "1", "--json", str(summary)]) == 0
    told = json.loads(summary.read_text())
    assert told["kernel"]["version"] == kernel_tree.version
    assert len(told["kernel"]["closure"]) == 64
    assert told["engine"] == "random"
    assert told["seed"] == 1
    assert told["cases"] >= 500
    assert told["cases_per_second"] > 0
    assert told["mismatches"] == []
    assert sum(told["classes"].values()) >= told["cases"]
    out = capsys.readouterr().out
    assert kernel_tree.version in out
    assert "no difference" in out


def test_the_same_seed_gives_the_same_run(tmp_path):
    """For seconds too, in which libFuzzer could look what is new in its folder."""
    told = []
    for name in ("a", "b"):
        path = tmp_path / name
        assert cli.main(["fuzz", "--cases", "12000", "--seed", "7", "--json", str(path)]) == 0
        told.append(json.loads(path.read_text())["classes"])
    assert told[0] == told[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fuzz", "--kernel", "/no/such/tree"], "/no/such/tree"),
        (["fuzz", "--kernel", "{tmp}"], "Makefile"),
        (["replay", "/no/such/file.toml"], "/no/such/file.toml"),
        (["fuzz", "--cases", "1", "--json", "/no/such/folder/x.json"], "cannot write"),
        (["fuzz", "--cases", "1", "--findings", "/dev/null/x"], "findings cannot be written"),
    ],
)
def test_what_cannot_run_exits_2_with_one_line(arguments, words, tmp_path, capsys):
    assert cli.main([a.replace("{tmp}", str(tmp_path)) for a in arguments]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("skdiff:")]
    assert len(lines) == 1
    assert words in lines[0]


def test_no_compiler_exits_2_with_one_line(monkeypatch, capsys):
    monkeypatch.setenv("CC", "no-such-compiler")
    assert cli.main(["fuzz", "--cases", "1"]) == 2
    assert "no C compiler" in capsys.readouterr().err


def test_an_unknown_sanitizer_exits_2(monkeypatch, capsys):
    monkeypatch.setenv("SAN", "tsan")
    assert cli.main(["fuzz", "--cases", "1"]) == 2
    assert "SAN=tsan" in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], ["fuzz"], ["diff"], ["drift"], ["replay"], ["extract"], ["bench"]])
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([*command, "--help"])
    assert stop.value.code == 0
    assert "exit codes" in capsys.readouterr().out


def test_a_broken_file_does_not_stop_the_others(tmp_path, capsys):
    (tmp_path / "a.toml").write_text("version = 1\n[packet]\nsport = 'x'\n")
    (tmp_path / "b.toml").write_text(dump(Case(Scenario())))
    summary = tmp_path / "summary.json"
    assert cli.main(["replay", str(tmp_path), "--json", str(summary)]) == 2
    verdicts = {c["file"].rsplit("/")[-1]: c["verdict"] for c in json.loads(summary.read_text())["cases"]}
    assert verdicts == {"a.toml": "unreadable", "b.toml": "agreed"}
    assert "a.toml:3:" in capsys.readouterr().err


def test_an_unmet_expectation_exits_1(tmp_path, capsys):
    path = tmp_path / "case.toml"
    path.write_text(dump(Case(Scenario(packet=Packet()), expect={"refcounted": True})))
    assert cli.main(["replay", str(path)]) == 1
    assert "refcounted is False, expected True" in capsys.readouterr().out


@pytest.mark.parametrize("wait", [0.0, 3.0, 5.0])
def test_ctrl_c_ends_a_run_with_its_summary(kernel_tree, wait, tmp_path):
    process = subprocess.Popen(
        [*SKDIFF, "fuzz", "--seconds", "60", "--findings", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "SAN": ""},
    )
    assert process.stderr is not None
    while "engine" not in process.stderr.readline():  # what is interrupted is the run
        assert process.poll() is None
    time.sleep(wait)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert "Traceback" not in err
    agreed = " 0 cases" not in out  # before the first case nothing was compared
    assert (process.returncode, agreed) == ((0, True) if wait else (2, False)), err
    assert ("no difference" in out) == agreed
    assert "died" not in out
