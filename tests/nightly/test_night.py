"""A night: its steps and their shares, what becomes of a step that fails, and the page at the end."""

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from skdiff import cli
from skdiff.base.errors import CannotRun
from skdiff.commands import NAMES
from skdiff.kernel import git_web
from skdiff.nightly import kernel_names, night
from skdiff.nightly.night import NightSummary, Step, StepResult
from skdiff.variants.config import MATRIX
from tests.endurance import left_over
from tests.running import SKDIFF


def steps(minutes=60.0, **more):
    return list(night.plan(minutes, Path("out"), Path("inputs"), 2, **more))


def test_every_kernel_and_configuration_is_fuzzed_within_the_time():
    plan = {step.name: step for step in steps()}
    assert len(plan) == len(steps())
    fuzzed = [step.command for step in plan.values() if step.command[:2] == ("fuzz", "--kernel")]
    assert len(fuzzed) == len(night.KERNELS) * (len(MATRIX) + 1)
    for kernel in night.KERNELS:
        assert "--jobs" in plan[f"fuzz-{kernel}"].command
        told = {c[c.index("--config") + 1] if "--config" in c else "" for c in fuzzed if kernel in c}
        assert told == {str(config) for config in MATRIX}
    assert 0.6 * 3600 < sum(step.seconds for step in plan.values()) < 3600
    for kernel in night.KERNELS:
        assert {f"{part}-{kernel}" for part in ("replay", "coverage", "mutants", "drift")} < set(plan)
        assert "wide" in plan[f"fuzz-{kernel}-wide"].command
        assert plan[f"vm-{kernel}"].command[:3] == ("fuzz", "--oracle", f"vm:{kernel}")
        assert {f"coverage-{kernel}-minimal", f"mutants-{kernel}-minimal", f"mutants-{kernel}-driver"} < set(plan)
    assert {"mutants-model", "drift-mainline", "diff-6.1-6.12", "diff-6.12-7.3", "hypothesis"} < set(plan)


@pytest.mark.parametrize("minutes", [1, 3, 5, 8, 15, 30, 60, 240, 1440])
def test_a_night_plans_for_no_more_than_its_minutes(minutes):
    """Also what has a fixed size; what has no room says so."""
    plan = steps(minutes)
    assert sum(step.seconds for step in plan) <= 60 * minutes
    for step in plan:
        if not step.seconds:
            with pytest.raises(CannotRun, match="no room in a night of"):
                step.first()
    assert {step.name for step in plan if step.seconds} > {"fuzz-6.1", "fuzz-6.12", "fuzz-7.3", "hypothesis"}


def test_a_night_of_given_trees(tmp_path):
    for name in ("a/linux patched", "b/linux-patched"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "Makefile").write_text("VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 117\n")
    trees = [str(tmp_path / "a/linux patched"), str(tmp_path / "b/linux-patched")]
    assert kernel_names.names(["6.12", *trees]) == ["6.12", "linux-patched", "linux-patched-2"]
    plan = {step.name: step for step in steps(kernels=trees)}
    assert plan["fuzz-linux-patched"].command[:3] == ("fuzz", "--kernel", trees[0])
    assert plan["diff-linux-patched-linux-patched-2"].command[1:3] == (trees[0], trees[1])
    with pytest.raises(CannotRun, match=r"tests are of Linux 6\.12"):
        plan["hypothesis"].first()
    for kernel, words in (("6.twelve", "neither a kernel version"), (str(tmp_path / "no"), "is not a directory")):
        with pytest.raises(CannotRun, match=words):
            kernel_names.names([kernel])


def test_a_night_in_one_configuration_or_with_rules_by_hand_leaves_out_what_cannot_do_with_it():
    def left_out(words, **more):
        found = set()
        for step in steps(kernels=["6.12", "6.1"], **more):
            if step.name != "drift-mainline" and step.first is not None:
                with pytest.raises(CannotRun, match=words):
                    step.first()
                found.add(step.name.partition("-")[0])
        return found

    assert left_out("IPV6=n", config="IPV6=n") >= {"coverage", "mutants", "fuzz", "merge"}
    assert left_out("by hand", epoch="6.9") == {"diff", "mutants", "vm"}


def test_a_night_boots_kernels_only_where_that_can_be_done(monkeypatch, tmp_path):
    plan = {step.name: step for step in steps(kernels=["6.12", "mainline"])}
    assert "vm-mainline" not in plan
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotRun, match="qemu-system-x86_64 is missing"):
        plan["vm-6.12"].first()


@pytest.mark.parametrize(
    ("done", "code"),
    [
        ([("ok", 0, True)], 0),
        ([("ok, they differ", 0, True)], 0),
        ([("ok", 0, True), ("skipped", 0, True)], 0),
        ([("ok", 0, False), ("skipped", 0, True)], 2),
        ([("skipped", 0, True)], 2),
        ([("ok", 0, True), ("not begun", 2, True)], 2),
        ([("ok", 0, True), ("took too long", 2, False), ("difference", 1, False)], 1),
    ],
)
def test_a_night_that_compared_nothing_has_no_verdict(done, code):
    steps = [StepResult(name="x", status=status, code=code, compares=compares) for status, code, compares in done]
    assert NightSummary(steps=steps).verdict == code


def test_what_has_not_begun_when_the_minutes_are_over_is_left_out(tmp_path):
    done = night.run([python("late", "")], tmp_path, [], print, minutes=-1)
    assert [(s.status, s.code) for s in done] == [("not begun", 2)]


def test_coverage_counts_in_a_night_as_alone():
    assert all(step.good == (0,) for step in steps() if step.name.startswith(("coverage", "mutants")))


def test_every_step_is_a_command_that_the_parser_takes():
    parser = cli.parser()
    for step in steps():
        if not step.whole:
            assert step.command[0] in NAMES
            assert parser.parse_args(step.command).command == step.command[0]


def test_steps_are_chosen_by_name_and_pattern():
    assert [s.name for s in night.choose_steps(steps(), ["fuzz-6.1", "mutants-m*"])] == ["fuzz-6.1", "mutants-model"]
    with pytest.raises(CannotRun, match="no step 'nonsense'"):
        night.choose_steps(steps(), ["nonsense"])


def python(name, code, summary=False, **more):
    return Step(name, (sys.executable, "-c", code), 0, True, summary, **more)


def unreachable():
    raise CannotRun("no web tonight")


def test_a_step_that_fails_does_not_stop_the_others(tmp_path):
    plan = [
        python("good", "print('fine')"),
        python("differs", "print('skdiff: one'); raise SystemExit(1)"),
        python("fine", "raise SystemExit(1)", good=(0, 1)),
        python("broken", "raise SystemExit(2)"),
        python("no/folder", ""),
        Step("missing", ("no-such-command",)),
        python("unreachable", "raise SystemExit(2)", first=unreachable),
        python("reachable", "raise SystemExit(2)", first=lambda: "0" * 40),
        python("traceback", "1 / 0", summary=True, good=(0, 1)),
        python(
            "summed", f"open({str(tmp_path / 'summed.json')!r}, 'w'); raise SystemExit(1)", summary=True, good=(0, 1)
        ),
        python("set", "import os; print(os.environ['X']); raise SystemExit(3)", environment={"X": "seen"}),
    ]
    told = []
    done = night.run(plan, tmp_path, ["fuzz"], told.append)
    assert [(s.name, s.status, s.code) for s in done] == [
        ("good", "ok", 0),
        ("differs", "difference", 1),
        ("fine", "ok, they differ", 0),
        ("broken", "could not run", 2),
        ("no/folder", "could not run", 2),
        ("missing", "skipped", 0),
        ("unreachable", "skipped", 0),
        ("reachable", "could not run", 2),
        ("traceback", "broke off", 2),
        ("summed", "ok, they differ", 0),
        ("set", "ended with 3", 3),
    ]
    assert done[1].why == "skdiff: one"
    (tmp_path / "traceback.json").touch()  # of a night with the same name
    [again] = night.run([plan[-3]], tmp_path, [], told.append)
    assert (again.status, again.why) == ("broke off", "ZeroDivisionError: division by zero")
    assert done[6].why == "no web tonight"
    assert not (tmp_path / "unreachable.log").exists()
    assert done[-1].why == "seen"
    assert (tmp_path / "good.log").read_text() == "fine\n"


def test_a_step_that_takes_too_long_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(night, "GRACE", 0.1)
    [done] = night.run([python("hangs", "import time; time.sleep(60)")], tmp_path, [], print)
    assert (done.status, done.code) == ("took too long", 2)


SUMS_UP = """
import signal, sys, time
def end(*_):
    open({summary!r}, "w")
    sys.exit({status})
signal.signal(signal.SIGTERM, end)
open({ready!r}, "w")
time.sleep(60)
"""


@pytest.mark.parametrize(("status", "code"), [(1, 1), (0, 2), (2, 2)])
def test_what_a_step_has_found_stays_found_though_the_night_ends(status, code, tmp_path):
    ready = tmp_path / "ready"
    step = python("fuzz", SUMS_UP.format(summary=str(tmp_path / "fuzz.json"), ready=str(ready), status=status), True)
    done = night.run_step(step, tmp_path, ready.exists)
    assert (done.status, done.code) == ("stopped", code)


@pytest.mark.long
def test_a_small_night_leaves_its_page(kernel_tree, tmp_path, capsys):
    arguments = [
        "nightly",
        "--minutes",
        "20",
        "--folder",
        str(tmp_path),
        "--name",
        "one",
        "replay-6.12",
        "fuzz-6.12-SMP_n",
    ]
    assert cli.main(arguments) == 0, capsys.readouterr()
    told = json.loads((tmp_path / "one" / "night-replay-6.12.json").read_text())
    assert [step["status"] for step in told["steps"]] == ["ok", "ok"]
    assert json.loads((tmp_path / "one" / "fuzz-6.12-SMP_n.json").read_text())["kernel"]["config"] == "SMP=n"
    text = (tmp_path / "report.html").read_text()
    assert '<span class="good">2 ok</span>' in text
    assert "SMP=n" in text


def test_a_night_without_the_web_is_no_failure(tmp_path, monkeypatch, capsys):
    with socket.socket() as unused:  # bound, but not listening: refuses connections
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("SKDIFF_GIT_WEB", f"http://127.0.0.1:{unused.getsockname()[1]}/linux.git/plain")
        monkeypatch.setattr(git_web, "PAUSE", 0.01)
        assert cli.main(["nightly", "--folder", str(tmp_path), "--name", "one", "drift-mainline"]) == 2
    [step] = json.loads((tmp_path / "one" / "night-drift-mainline.json").read_text())["steps"]
    assert (step["status"], step["code"]) == ("skipped", 0)
    assert "cannot fetch" in step["why"]
    page = (tmp_path / "report.html").read_text()
    assert "cannot fetch" in page
    assert "nothing was compared, 1 step left out" in page
    assert "no difference" not in page
    assert "skipped" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--folder", "/dev/null"], "cannot write"),
        (["no-such-step"], "no step"),
        (["--name", "../../x", "drift-6.12"], "the name of a folder below"),
        (["--name", "..", "drift-6.12"], "the name of a folder below"),
        (["--kernel", "/nonexistent", "drift*"], "is not a directory"),
        (["--config", "qq"], "no configuration qq"),
        (["--epoch", "zzz"], "zzz"),
    ],
)
def test_a_night_that_cannot_start_is_one_line(arguments, words, capsys):
    assert cli.main(["nightly", *arguments]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_night_that_is_asked_to_end_leaves_its_page_and_no_process(number, kernel_tree, tmp_path):
    folders = ["--folder", str(tmp_path), "--inputs", str(tmp_path / "inputs")]
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen(
            [*SKDIFF, "nightly", "--minutes", "5", "--jobs", "1", *folders, "fuzz-6.12"], stdout=said, stderr=said
        )
    try:
        while len(left_over(str(tmp_path))) < 3:  # the night, its step, and the step's worker
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(number)
        assert process.wait(60) == 2
    finally:
        process.terminate()
    assert "Traceback" not in (tmp_path / "said").read_text()
    assert (tmp_path / "report.html").exists()
    assert left_over(str(tmp_path)) == []


def test_a_report_takes_no_option_that_it_does_not_use(tmp_path, capsys):
    for option in ("--kernel", "--epoch", "--config", "--json"):
        with pytest.raises(SystemExit) as ended:
            cli.main(["report", str(tmp_path), option, "x"])
        assert ended.value.code == 2
    assert "unrecognized arguments" in capsys.readouterr().err
