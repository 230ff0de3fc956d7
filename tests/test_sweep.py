"""`skdiff sweep`: it finds planted mistakes, says what it looked at, and goes on where it was stopped."""

import json
import os
import re
import shlex
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from skdiff import cli
from skdiff.campaign.supervisor import supervise
from skdiff.campaign.worker import Job, Subject, small_tables
from skdiff.campaign.worker_process import WorkerProcess
from skdiff.cases.case_file import load
from skdiff.cases.validity import problems
from skdiff.engines import TABLES
from skdiff.engines.small_part import Done, Noted, Part, add_note, bounds, read_notes, write_notes
from skdiff.engines.table_engine import claims
from skdiff.runs.table_run import Swept
from tests.campaign.test_workers import LATER_WINS
from tests.helpers import mostly_long
from tests.patched import Patch, patched_tree
from tests.running import SKDIFF

FEW = ("--lookup", "tcp4", "--sockets", "1", "--jobs", "2")  # a second's work
MISTAKES = {
    **LATER_WINS,
    "devices": Patch("include/net/inet_sock.h", "inet_bound_dev_eq", 0, "||", "&&"),
    "group": Patch("net/core/sock_reuseport.c", "reuseport_select_sock_by_hash", 0, "==", "!="),
    "program": Patch("net/ipv4/inet_hashtables.c", "__inet_lookup_listener", 0, "==", "!="),
    "demux": Patch("net/ipv4/udp.c", "udp_v4_early_demux", 0, "==", "!="),
}
LOOKUPS = {"devices": "tcp4", "group": "udp6", "program": "tcp4", "demux": "udp4"}


def swept(path):
    return json.loads(path.read_text())


@pytest.fixture(autouse=True)
def own_state(tmp_path, monkeypatch):
    """The files of sweeps that name none: tests run beside each other."""
    monkeypatch.setattr("skdiff.runs.table_run.builds", lambda: tmp_path)


def run(folder, *words):
    summary = folder / "summary.json"
    code = cli.main(["sweep", "--findings", str(folder / "findings"), "--json", str(summary), *words])
    return code, swept(summary)


def test_all_small_tables_agree(tmp_path, capsys):
    code, summary = run(tmp_path, *FEW)
    assert code == 0
    assert summary["done"] == summary["cases"] == summary["now"] == sum(size["cases"] for size in summary["sizes"])
    assert summary["tables"] == sum(size["tables"] for size in summary["sizes"]) > 5000
    out = capsys.readouterr().out
    assert f"all {summary['tables']:,} tables of up to one socket, {summary['cases']:,} lookups: no difference" in out
    assert "sock.no_pprev: True (there is False)" in out
    assert Path(summary["state"]).parent == tmp_path / "sweeps"
    assert not Path(summary["state"]).exists()  # another run begins anew


@pytest.mark.parametrize("name", mostly_long(MISTAKES))
def test_a_planted_mistake_is_found_reduced_and_told(kernel_tree, tmp_path, name):
    tree = patched_tree(kernel_tree.path, tmp_path / "tree", MISTAKES[name])
    code, summary = run(tmp_path, "--kernel", str(tree), "--lookup", LOOKUPS.get(name, name), "--first")
    assert code == 1
    [finding, *_] = summary["mismatches"]
    case = load(Path(finding["file"]))
    assert problems(case.scenario) == [] and not case.scenario.hostile
    assert len(case.scenario.socks) <= 2
    assert finding["reachable"]
    assert Path(finding["file"]).with_name("report.txt").read_text()


@pytest.mark.long
def test_the_parts_of_a_sweep_are_all_of_it(tmp_path):
    _, whole = run(tmp_path, *FEW)
    parts = [run(tmp_path, *FEW, "--part", f"{part}/3") for part in (1, 2, 3)]
    assert [code for code, _ in parts] == [0, 0, 0]
    for key in ("tables", "cases", "done"):
        assert sum(summary[key] for _, summary in parts) == whole[key]


def begun(folder, state, *words):
    """A sweep in a process group of its own, when it has done some chunks."""
    command = [*SKDIFF, "sweep", "--state", str(state), "--findings", str(folder / "findings"), "--jobs", "2", *words]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    end = time.monotonic() + 120
    while sum(note.done is not None for note in read_notes(state)) < 2:
        assert process.poll() is None and time.monotonic() < end, process.stdout.read()
        time.sleep(0.05)
    return process


@pytest.mark.parametrize("number", mostly_long([signal.SIGINT, signal.SIGKILL]))
def test_a_sweep_goes_on_where_it_was_stopped(tmp_path, number):
    words = ("--lookup", "tcp6", "--part", "1/4")
    state = tmp_path / "state"
    process = begun(tmp_path, state, *words)
    if number == signal.SIGKILL:
        os.kill(process.pid, number)
    else:
        os.killpg(process.pid, number)
    out, _ = process.communicate()
    assert process.returncode == (2 if number == signal.SIGINT else -number)
    assert ("no verdict" in out) == (number == signal.SIGINT)
    end = time.monotonic() + 60
    while any(f"{tmp_path}".encode() in line for line in _commands()):  # its workers end after the case in hand
        assert time.monotonic() < end
        time.sleep(0.1)
    with state.open("ab") as file:
        file.write(b'{"done": {"chu')  # a kill, or a full disk, in the middle of a line
    code, summary = run(tmp_path, *words, "--state", str(state))
    assert code == 0
    assert 0 < summary["earlier"] < summary["cases"] == summary["done"]
    assert summary["now"] == summary["cases"] - summary["earlier"]
    assert not state.exists()


def _commands():
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes()
        except OSError:
            continue


def test_what_a_killed_run_has_found_is_not_lost(kernel_tree, tmp_path):
    """A run that goes on says that they differ, though it finds nothing itself; also if the case is gone."""
    tree = patched_tree(kernel_tree.path, tmp_path / "tree", MISTAKES["tcp4"])
    words = ("--kernel", str(tree), "--lookup", "tcp4", "--part", "1/12", "--state", str(tmp_path / "state"))
    code, before = run(tmp_path, *words, "--first")
    assert code == 1 and before["done"] < before["cases"]
    [note] = [note for note in read_notes(tmp_path / "state") if note.found]
    code, after = run(tmp_path, *words)
    assert code == 1 and after["done"] == after["cases"]
    assert sum(f["count"] for f in after["mismatches"]) > sum(f["count"] for f in before["mismatches"])
    write_notes(tmp_path / "other", [Noted(of="x"), note])
    notes = read_notes(tmp_path / "other")
    assert notes[1].found == note.found


def test_a_worker_that_is_killed_loses_no_table(reference, tmp_path, monkeypatch):
    """Another one takes over what it had taken, behind the case that it had in hand."""
    state = tmp_path / "state"
    write_notes(state, [Noted(of="test")])
    job = Job(
        subjects=(Subject.of(reference.build),),
        again="replay",
        variant="plain",
        engine=TABLES,
        seed=0,
        cases=0,
        seconds=0,
        findings=str(tmp_path),
        lookups=("tcp4",),
        part=(part := Part(2, 1, 16, str(state))),
    )
    killed, start = [], WorkerProcess.start

    def kill(worker):  # it may be done before it says anything, so that nobody waits for that
        while worker.cases <= 3000:
            time.sleep(0.001)
        killed.append(worker.cases)
        worker.signal(signal.SIGKILL)

    def started(self):
        messages = start(self)
        if not self.deaths:
            threading.Thread(target=kill, args=(self,), daemon=True).start()
        return messages

    monkeypatch.setattr(WorkerProcess, "start", started)
    total = supervise(job, "", lambda message: None)
    done = [note.done for note in read_notes(state) if note.done is not None]
    chunks = [one.chunk for one in done]
    assert len(set(chunks)) == len(chunks)
    assert total.workers[0].deaths == len(killed) == 1
    tables = small_tables([reference.build], [0], part.sockets)
    assert sorted(chunks) == [*part.chunks(tables.tables)]
    cases = sum(tables.count(*bounds(chunk, tables.tables)) for chunk in chunks)
    assert sum(one.cases for one in done) == cases
    assert cases <= total.cases <= cases + 1  # the case in hand may have been asked twice


def test_what_a_dead_worker_had_taken_is_taken_over(tmp_path):
    """From the case on that it had in hand; if that ends a second worker, behind it."""
    gone = subprocess.Popen(["true"])
    gone.wait()

    def died(claim):
        path = next(tmp_path.glob("chunk-*"))
        path.rename(path.with_suffix(f".{gone.pid}"))
        return claim.done

    [claim] = claims([7], tmp_path)
    claim.done = 5
    assert [*claims([7], tmp_path)] == []  # it is ours, and we live
    assert died(claim) == 5
    for expected in (5, 6, 6, 7):
        [claim] = claims([7], tmp_path)
        assert (claim.chunk, claim.done) == (7, expected)
        died(claim)
    claim = next(iter(claims([7, 8], tmp_path)))
    claim.drop()
    assert [one.chunk for one in claims([7, 8], tmp_path)] == [8]


def test_a_sweep_of_another_thing_is_not_gone_on_with(tmp_path, capsys):
    state = tmp_path / "state"
    write_notes(state, [Noted(of="another one"), Noted(done=Done(0, 10))])
    assert cli.main(["sweep", *FEW, "--state", str(state)]) == 2
    assert "the file of another sweep" in capsys.readouterr().err
    assert read_notes(state)[1].done == Done(0, 10)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--part", "3"], "'3' is no part, as 3/16 is"),
        (["--part", "5/4"], "there is no part 5 of 4"),
        (["--part", "0/4"], "one at least"),
        (["--part", "a/4"], "'a' is no whole number"),
        (["--sockets", "0"], "one at least"),
        (["--sockets", "4"], "tables of 4 sockets are too many: 3 at most"),
        (["--jobs", "0"], "one at least"),
        (["--seconds", "3"], "unrecognized arguments"),
        (["--state", ""], "an empty name"),
    ],
)
def test_what_a_sweep_cannot_be_is_told_in_a_line(words, line, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["sweep", *words])
    assert ended.value.code == 2
    assert line in capsys.readouterr().err


def test_files_that_are_none_of_a_sweep_are_refused(tmp_path, capsys):
    for text, line in (("rubbish\n", "not the file of a sweep"), ("{}\n", "not the file of a sweep"), ("x", "not the")):
        state = tmp_path / "state"
        state.write_text(text)
        assert cli.main(["sweep", *FEW, "--state", str(state)]) == 2
        assert line in capsys.readouterr().err
        assert state.read_text() == text
    assert cli.main(["sweep", *FEW, "--state", str(tmp_path)]) == 2
    assert "it is a folder" in capsys.readouterr().err
    assert cli.main(["sweep", *FEW, "--state", "/no/such/folder/state"]) == 2
    assert "cannot write /no/such/folder/state" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["sweep", *FEW], ["diff", "6.12", "6.12", "--sweep"]])
def test_a_file_that_is_none_of_a_sweep_is_refused_before_anything_is_built(words, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("skdiff.kernel.options.build", lambda *_: pytest.fail("built"))
    state = tmp_path / "state"
    for text in ('{"of": 3}\n', "rubbish\n"):
        state.write_text(text)
        assert cli.main([*words, "--state", str(state)]) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert line.endswith(f"{state}: not the file of a sweep")


def test_more_parts_than_there_are_pieces_are_refused(tmp_path, capsys):
    assert cli.main(["sweep", *FEW, "--part", "5/99999999", "--state", str(tmp_path / "state")]) == 2
    assert re.search(r"--part 5/99999999: the tables can be cut into \d+ parts at most", capsys.readouterr().err)
    assert not (tmp_path / "state").exists()


@pytest.mark.long
def test_the_printed_command_goes_on_with_a_sweep(kernel_tree, tmp_path, capsys):
    tree = patched_tree(kernel_tree.path, tmp_path / "tree", MISTAKES["tcp4"])
    of = ("--kernel", str(tree), "--lookup", "tcp4", "--part", "1/12", "--state", str(tmp_path / "the state"))
    code, before = run(tmp_path, *of, "--first")
    assert code == 1 and before["done"] < before["cases"]
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("go on: ")]
    words = shlex.split(line.removeprefix("go on: "))
    again = words[words.index("sweep") :]
    assert {*of, "--first", str(tmp_path / "findings")} <= {*again}
    again.remove("--first")
    assert cli.main([*again, "--json", str(tmp_path / "summary.json")]) == 1
    after = swept(tmp_path / "summary.json")
    assert after["earlier"] == before["done"] and after["done"] == after["cases"]
    assert "go on: " not in capsys.readouterr().out


@pytest.mark.long
def test_two_sweeps_do_not_work_on_one_file(tmp_path, capsys):
    state = tmp_path / "state"
    process = begun(tmp_path, state, "--lookup", "udp4", "--part", "1/2")
    try:
        words = ["--lookup", "udp4", "--part", "1/2", "--state", str(state)]
        assert cli.main(["sweep", "--findings", str(tmp_path), *words]) == 2
        assert "another sweep is at work on it" in capsys.readouterr().err
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.long
def test_two_kernels_on_every_small_table(kernel_tree, tmp_path, capsys):
    tree = patched_tree(kernel_tree.path, tmp_path / "tree", MISTAKES["tcp4"])
    words = ["diff", "6.12", str(tree), "--sweep", "--lookup", "tcp4", "--findings", str(tmp_path / "findings")]
    summary = tmp_path / "summary.json"
    assert cli.main([*words, "--first", "--json", str(summary)]) == 1
    found = json.loads(summary.read_text())
    assert found["differ"] and found["swept"]["done"] < found["swept"]["cases"]
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("go on: ")]
    assert f" diff 6.12 {tree} --lookup tcp4 --sweep --sockets 2 " in line
    for more in (["--seconds", "3"], ["--seed", "3"], ["--cases", "3"], ["corpus/reports"]):
        assert cli.main([*words, *more]) == 2
        assert "--sweep asks every small table" in capsys.readouterr().err


@pytest.mark.long
def test_two_kernels_on_a_part_of_the_small_tables(kernel_tree, tmp_path, capsys):
    harmless = Patch("net/ipv4/inet_hashtables.c", "compute_score", 0, "2", "( 2 )")
    tree = patched_tree(kernel_tree.path, tmp_path / "tree", harmless)
    words = ["diff", "6.12", str(tree), "--lookup", "tcp4", "--findings", str(tmp_path / "findings")]
    of = ["--sweep", "--sockets", "1", "--part", "2/3", "--jobs", "1", "--state", str(tmp_path / "state")]
    cli.main([*words, *of, "--json", str(tmp_path / "summary.json")])  # 2 where these do not run all of the new text
    summary = swept(tmp_path / "summary.json")
    _, part = run(tmp_path, *FEW, "--part", "2/3")
    assert not summary["differ"]
    assert (summary["swept"]["done"], summary["swept"]["sockets"]) == (part["done"], 1)
    assert f"all {part['tables']:,} tables of up to one socket of part 2 of 3" in capsys.readouterr().out
    for option, value in zip(of[1::2], of[2::2], strict=True):
        assert cli.main([*words, option, value]) == 2
        assert "are for --sweep" in capsys.readouterr().err


@pytest.mark.long
def test_two_kernels_that_agree_on_every_small_table(kernel_tree, tmp_path, capsys):
    harmless = Patch("net/ipv4/inet_hashtables.c", "compute_score", 0, "2", "( 2 )")
    tree = patched_tree(kernel_tree.path, tmp_path / "tree", harmless)
    assert cli.main(["diff", "6.12", str(tree), "--sweep", "--lookup", "tcp4"]) == 0
    assert "of up to two sockets" in capsys.readouterr().out


def test_a_line_that_several_write_is_whole(tmp_path):
    path = tmp_path / "state"
    write_notes(path, [Noted(of="test")])
    add_note(path, Noted(done=Done(3, 4, {"sk": 1}, {"sk": ["case.toml"]})))
    assert read_notes(path)[1].done == Done(3, 4, {"sk": 1}, {"sk": ["case.toml"]})


def test_only_a_sweep_that_is_done_says_that_all_agree():
    fields = dict.fromkeys(Swept.__struct_fields__)
    plain = Swept(**{**fields, "cases": 10, "done": 10, "gave_up": "", "mismatches": []})
    assert plain.complete and not plain.differs
    assert not Swept(**{**fields, "cases": 10, "done": 9, "gave_up": "", "mismatches": []}).complete
