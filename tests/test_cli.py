"""The command line as scripts and people meet it: exit codes, summaries, bad input, Ctrl-C."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import version

import pytest

from skdiff import cli
from skdiff.base.paths import CORPUS, PACKAGE
from skdiff.cases.case_file import Case, dump
from skdiff.cases.scenario import Packet, Scenario
from skdiff.commands import NAMES, load
from skdiff.kernel import options
from tests import helpers, laws, transform
from tests.patched import Patch, patched_tree
from tests.running import AT_WORK, SKDIFF, fuzzing

CASE = CORPUS / "surprises" / "assigned_listener_is_replaced.toml"


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


def test_a_summary_that_cannot_be_written_is_told_before_the_run(tmp_path, capsys):
    path = tmp_path / "gone" / "summary.json"
    assert cli.main(["fuzz", "--cases", "100", "--json", str(path)]) == 2
    told = capsys.readouterr()
    assert "there is no folder" in told.err
    assert "cases" not in told.out


def test_a_full_disk_leaves_the_summary_that_was_there(tmp_path, monkeypatch, capsys):
    path = tmp_path / "summary.json"
    path.write_text("old")

    def full(_fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("skdiff.base.files.os.fsync", full)
    monkeypatch.setattr("skdiff.base.files.Path.replace", lambda self, target: full(0))
    assert cli.main(["replay", str(CASE), "--json", str(path)]) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["summary.json"]


@pytest.mark.parametrize(
    ("option", "says"),
    [
        (["--seed", str(1 << 64)], "a seed has 64 bits"),
        (["--seed", "abc"], "'abc' is no whole number"),
        (["--seconds", "abc"], "'abc' is no number"),
    ],
)
def test_numbers_that_are_none_are_refused_in_plain_words(option, says, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["fuzz", *option])
    assert ended.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert says in last
    assert option[0] in last


def test_a_run_of_one_lookup_says_so_and_counts_it_alone(tmp_path, capsys):
    summary = tmp_path / "summary.json"
    command = ["fuzz", "--engine", "random", "--cases", "500", "--json", str(summary)]
    assert cli.main([*command, "--lookup", "tcp6"]) == 0
    told = json.loads(summary.read_text())
    assert told["lookups"] == {"tcp6": {"cases": 500, "classes": told["classes"]}}
    shown = capsys.readouterr()
    assert re.search(r"^engine random, seed \d+, lookups tcp6$", shown.err, re.MULTILINE)
    assert re.search(r"^class of case +tcp6 +share$", shown.out, re.MULTILINE)
    assert cli.main([*command, "--lookup", "tcp6, tcp4"]) == 0
    told = json.loads(summary.read_text())
    assert sum(of["cases"] for of in told["lookups"].values()) == 500
    shown = capsys.readouterr()
    assert re.search(r"^engine random, seed \d+, lookups tcp4, tcp6$", shown.err, re.MULTILINE)
    assert re.search(r"^class of case +tcp4 +share +tcp6 +share$", shown.out, re.MULTILINE)
    assert cli.main([*command, "--lookup", "udp6, udp4, tcp6, tcp4"]) == 0
    assert "lookups" not in capsys.readouterr().err  # all that there are


def test_a_lookup_that_this_configuration_has_not_is_refused(capsys, monkeypatch):
    monkeypatch.setenv("CONFIG", "IPV6=n")
    for command in (["fuzz"], ["diff", "6.12", "6.12 IPV6=y"]):
        assert cli.main([*command, "--cases", "10", "--lookup", "tcp6"]) == 2
        last = capsys.readouterr().err.splitlines()[-1]
        assert re.fullmatch(r"skdiff: --lookup tcp6: Linux \S+ \(IPV6=n\) has no such lookup .* only tcp4, udp4", last)


def test_the_largest_seed_runs(capsys):
    assert cli.main(["fuzz", "--cases", "100", "--seed", str((1 << 64) - 1)]) == 0
    assert f"seed {(1 << 64) - 1}" in capsys.readouterr().out


def test_a_fault_of_our_own_is_no_difference(monkeypatch, capsys):
    def fails(*_):
        raise ZeroDivisionError("dot failed")

    monkeypatch.setattr("skdiff.commands.explain.parse", fails)
    assert cli.main(["explain", str(CASE)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert "Traceback" in lines[0]
    assert lines[-1].startswith("skdiff: a fault of skdiff itself: ZeroDivisionError('dot failed')")


def test_asserts_of_the_tests_own_modules_are_explained():
    for module in (helpers, laws, transform):
        assert type(module.__loader__).__name__ == "AssertionRewritingHook"


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
        (["replay", "{tmp}"], "no case (*.toml) in that folder"),
        (["diff", "6.12", "6.12", "{tmp}"], "no case (*.toml) in that folder"),
        (["mutants", "modle"], "no mutants of 'modle': one of c, driver, model, harness"),
        (["replay", "--json", "{tmp}"], "it is a folder"),
        (["fuzz", "--lookup", "tcp4,tcp5"], "--lookup 'tcp4,tcp5': no lookup 'tcp5', only tcp4, tcp6"),
        (["diff", "6.12", "6.12", "--lookup", ""], "--lookup '': no lookup '', only tcp4, tcp6"),
        (["fuzz", "--epoch", "9.9"], "the rules of Linux 9.9 are not known"),
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
    for word in ("tsan", "coverage"):
        monkeypatch.setenv("SAN", word)
        assert cli.main(["fuzz", "--cases", "1"]) == 2
        assert f"SAN={word}: asan or ubsan" in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], ["fuzz"], ["diff"], ["drift"], ["replay"], ["extract"], ["bench"]])
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([*command, "--help"])
    assert stop.value.code == 0
    assert "exit codes" in capsys.readouterr().out


def test_the_help_names_the_environment_variables_that_are_read(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    _, _, text = capsys.readouterr().out.partition("environment:\n")
    listed = re.findall(r"^  ([A-Z_]+)  +\w", text, re.MULTILINE)
    package = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    read = set(re.findall(r'environ(?:ment)?(?:\.get\(|\[)"([A-Z_]+)"', package)) | {options.STUBS}
    assert set(listed) == read - {"PATH", "HYPOTHESIS_PROFILE"}  # not skdiff's own


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


def test_replay_counts_what_is_known_from_outside_the_model(tmp_path, capsys):
    said = {"a": "selftest", "b": "model", "c": "kernel text", "d": "", "e": "selftest"}
    for name, who in said.items():
        case = Case(Scenario(), expect={"sk": "none"}, said_by=who, needs=("no-reselect",) if name == "e" else ())
        (tmp_path / f"{name}.toml").write_text(dump(case))
    (tmp_path / "f.toml").write_text(dump(Case(Scenario())))
    summary = tmp_path / "summary.json"
    assert cli.main(["replay", str(tmp_path), "--json", str(summary)]) == 0
    assert "2 of 4 expectations come from outside the model" in capsys.readouterr().out
    told = json.loads(summary.read_text())
    assert told["expectations"] == {"all": 4, "selftest": 1, "model": 1, "kernel text": 1}
    assert [case["from"] for case in told["cases"]] == ["selftest", "model", "kernel text", "", "", ""]


def test_ctrl_c_at_the_start_of_a_run(kernel_tree, tmp_path):
    """Nothing was compared then, most often; no summary may say that it was."""
    with fuzzing("--findings", str(tmp_path)) as run:
        run.signal(signal.SIGINT)
        out = run.ended()
        agreed = "no difference" in out
        assert run.process.returncode == (0 if agreed else 2)
        assert not (agreed and " 0 cases" in out)
        assert "died" not in out


@pytest.mark.parametrize("interrupt", ["raise KeyboardInterrupt", "exec('raise KeyboardInterrupt')"])
def test_ctrl_c_while_modules_are_imported_gives_no_traceback(interrupt, tmp_path):
    package = tmp_path / "skdiff"
    package.mkdir()
    shutil.copy(PACKAGE / "__main__.py", package)
    (package / "base").mkdir()
    for name in ("__init__.py", "base/__init__.py", "base/errors.py"):
        shutil.copy(PACKAGE / name, package / name)
    (package / "cli.py").write_text(f"{interrupt}\n")
    command = [sys.executable, "-m", "skdiff", "fuzz"]
    done = subprocess.run(command, cwd=tmp_path, env={}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "skdiff: interrupted\n")


def test_ctrl_c_ends_a_run_with_its_summary(kernel_tree, tmp_path):
    with fuzzing("--findings", str(tmp_path)) as run:
        run.until(AT_WORK)
        run.signal(signal.SIGINT)
        out = run.ended()
        assert run.process.returncode == 0
        assert "no difference" in out
        assert "died" not in out


def test_a_closed_terminal_ends_a_run_with_its_summary(kernel_tree, tmp_path):
    with fuzzing("--findings", str(tmp_path), "--json", str(tmp_path / "summary.json")) as run:
        run.until(AT_WORK)
        run.hang_up()
        run.signal(signal.SIGHUP)  # as the kernel does where it is the session's terminal,
        run.signal(signal.SIGHUP)  # and as the shell does then
        assert "no difference" in run.ended()
        assert run.process.returncode == 0
        assert json.loads((tmp_path / "summary.json").read_text())["cases"]


@pytest.mark.parametrize("number", helpers.mostly_long([signal.SIGINT, signal.SIGTERM, signal.SIGHUP]))
def test_what_was_found_is_summed_up_whoever_ends_its_reduction(number, kernel_tree, tmp_path):
    patch = Patch("net/ipv4/inet_hashtables.c", "inet_lhash2_lookup", 0, ">", ">=")
    tree, summary = patched_tree(kernel_tree.path, tmp_path / "tree", patch), tmp_path / "summary.json"
    more = ("--engine", "random", "--cases", "6000", "--lookup", "tcp4", "--kernel", str(tree), "--json", str(summary))
    with fuzzing("--findings", str(tmp_path / "findings"), *more) as run:
        run.until(rb"reducing")
        for _ in range(3):
            run.signal(number)
            time.sleep(0.1)
        run.ended()
        assert run.process.returncode == 1
    told = json.loads(summary.read_text())["mismatches"]
    assert sum(m["count"] for m in told) > 10
    kept = {str(path) for path in (tmp_path / "findings").rglob("case*.toml")}
    assert kept == {file for m in told for file in (m["file"], *m.get("others", ()))}


def test_nobody_has_to_read_what_is_printed(kernel_tree, tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    summary = tmp_path / "summary.json"
    command = [*SKDIFF, "fuzz", "--engine", "random", "--cases", "500", "--json", str(summary)]
    done = subprocess.run(command, stdout=writing, stderr=writing, check=False)
    os.close(writing)
    assert done.returncode == 0
    assert json.loads(summary.read_text())["cases"] >= 500


def test_help_says_that_new_text_that_did_not_run_is_no_verdict(capsys):
    for command in ("fuzz", "diff"):
        with pytest.raises(SystemExit):
            cli.main([command, "--help"])
        assert "not all of the new text ran" in " ".join(capsys.readouterr().out.split())


def test_the_version_is_shown_and_in_a_checkout_the_commit(capsys, monkeypatch, tmp_path):
    def shown():
        with pytest.raises(SystemExit) as ended:
            cli.main(["--version"])
        assert ended.value.code == 0
        return capsys.readouterr().out

    (tmp_path / ".git").mkdir()
    monkeypatch.setattr(cli, "ROOT", tmp_path)
    answer = subprocess.CompletedProcess([], 0, "5a80e9a-dirty\n", "")
    monkeypatch.setattr(cli.subprocess, "run", lambda *_, **__: answer)
    assert shown() == f"skdiff {version('skdiff')}, commit 5a80e9a-dirty\n"
    answer.returncode = 128  # another user's repository, for one
    assert shown() == f"skdiff {version('skdiff')}\n"
    answer.returncode = 0
    (tmp_path / ".git").rmdir()
    assert shown() == f"skdiff {version('skdiff')}\n"


def test_without_a_command_the_help_is_shown(capsys):
    assert cli.main([]) == 2
    shown = capsys.readouterr().out
    assert shown.startswith("usage: skdiff") and all(f"    {name} " in shown for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_commands_help_has_its_own_exit_codes(name, capsys):
    command = load(name)
    assert name == command.NAME
    with pytest.raises(SystemExit) as ended:
        cli.main([command.NAME, "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0 and shown.endswith(f"exit codes: {command.EXIT_CODES}")
    assert command.EXIT_CODES.startswith("0 ") and "; 2 " in command.EXIT_CODES


@pytest.mark.parametrize(
    "words",
    [
        ["report", ".", "--kernel", "6.1"],
        ["mutants", "--epoch", "6.1"],
        ["keep", "f", "--name", "n", "--json", "x"],
        ["kernels", "--stub", "x.h"],
    ],
    ids=lambda words: words[0],
)
def test_an_option_that_a_command_would_ignore_is_refused(words, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == 2
    assert "unrecognized arguments: --" in capsys.readouterr().err
