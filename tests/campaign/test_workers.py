"""Several workers: they share the work, and none of them, nor the parent, can die and take something along."""

import errno
import json
import os
import signal
import time
from pathlib import Path

import pytest

from skdiff.base import signals
from skdiff.base.errors import CannotRun
from skdiff.campaign import supervisor as supervising
from skdiff.campaign.messages import (
    Cannot,
    Counters,
    Covered,
    Done,
    Finding,
    Found,
    LookupCounts,
    Progress,
    Running,
    from_line,
    summed,
    summed_classes,
    to_line,
)
from skdiff.campaign.run import classes_of
from skdiff.campaign.supervisor import supervise
from skdiff.campaign.worker import Job, Subject
from skdiff.campaign.worker_process import WorkerProcess
from skdiff.cases.case_file import load, parse
from skdiff.cases.fields import LOOKUPS
from skdiff.cli import main
from skdiff.kernel.build import build
from skdiff.kernel.source import Tree
from skdiff.variants.config import Config
from tests.endurance import left_over, workers
from tests.helpers import mostly_long
from tests.patched import Patch, patched_tree
from tests.running import AT_WORK, fuzzing

LATER_WINS = {
    "tcp4": Patch("net/ipv4/inet_hashtables.c", "inet_lhash2_lookup", 0, ">", ">="),
    "tcp6": Patch("net/ipv6/inet6_hashtables.c", "inet6_lhash2_lookup", 0, ">", ">="),
    "udp4": Patch("net/ipv4/udp.c", "udp4_lib_lookup2", 0, ">", ">="),
    "udp6": Patch("net/ipv6/udp.c", "udp6_lib_lookup2", 0, ">", ">="),
}


def job(made, folder, cases=0, seconds=0.0, engine="random", **more):
    return Job(
        subjects=(Subject.of(made),),
        again="replay",
        variant="plain",
        engine=engine,
        seed=5,
        cases=cases,
        seconds=seconds,
        findings=str(folder),
        **more,
    )


@pytest.fixture(scope="module")
def patched(kernel_tree, tmp_path_factory):
    path = patched_tree(kernel_tree.path, tmp_path_factory.mktemp("patched") / "tree", LATER_WINS["tcp4"])
    return build(Tree(path, kernel_tree.version, "test"))


@pytest.fixture(scope="module")
def seen(patched, tmp_path_factory):
    """What one worker finds in the patched tree, where there is room."""
    total = supervise(job(patched, tmp_path_factory.mktemp("seen"), 800, lookups=("tcp4",)), "", lambda message: None)
    assert total.mismatches
    return total


def test_workers_share_the_cases_and_are_one_run(kernel_tree, tmp_path):
    heard = []
    total = supervise(job(build(kernel_tree), tmp_path, 20_002), "", heard.append, jobs=3)
    each = [worker.cases for worker in total.workers]
    assert all(6667 <= cases <= 6667 + 4 for cases in each)  # the random engine asks each table four times
    assert sum(each) == total.cases
    assert sum(of.cases for of in total.lookups.values()) == total.cases
    assert all(sum(of.classes.values()) >= of.cases > 0.2 * total.cases for of in total.lookups.values())
    assert (total.mismatches, total.gave_up, total.deaths) == ([], "", 0)
    assert 300 < total.lines[0] <= total.lines[1]


@pytest.mark.parametrize("lookup", mostly_long(LOOKUPS.values()))
def test_a_job_of_one_lookup_draws_that_one_alone(lookup, kernel_tree, tmp_path):
    total = supervise(job(build(kernel_tree), tmp_path, 2000, lookups=(lookup,)), "", lambda message: None, jobs=2)
    assert [(name, of.cases) for name, of in total.lookups.items()] == [(lookup, 2000)]
    assert {*classes_of(lookup)} - {*total.lookups[lookup].classes} <= {"fallback"}  # which is rare
    tree = patched_tree(kernel_tree.path, tmp_path / "tree", LATER_WINS[lookup])
    patched = build(Tree(tree, kernel_tree.version, "test"))
    for engine in ("corpus", "wide"):
        told = job(patched, tmp_path / engine, 3000, engine=engine, lookups=(lookup,))
        total = supervise(told, "", lambda message: None)
        assert total.mismatches
        for finding in total.mismatches:
            assert LOOKUPS[load(Path(finding.file)).scenario.lookup] == lookup


def test_a_lookup_that_the_kernel_has_not_is_one_line(kernel_tree, tmp_path):
    made = build(kernel_tree, config=Config(ipv6=False))
    with pytest.raises(CannotRun, match=r"^--lookup tcp6: Linux \S+ \(IPV6=n\) has no such lookup .* only tcp4, udp4$"):
        supervise(job(made, tmp_path, 10, lookups=("tcp6",)), "", lambda message: None)
    total = supervise(job(made, tmp_path, 10), "", lambda message: None)
    assert [*total.lookups] == ["tcp4", "udp4"]


def test_no_more_workers_than_cases(kernel_tree, tmp_path):
    total = supervise(job(build(kernel_tree), tmp_path, 2), "", lambda message: None, jobs=5)
    assert len(total.workers) == 2


def test_each_worker_and_each_life_has_a_seed_of_its_own(kernel_tree, tmp_path):
    seeds = set()
    for number in range(3):
        with WorkerProcess(job(build(kernel_tree), tmp_path, 1, parent=os.getpid()), number) as process:
            for _ in range(3):
                process.start()
                seeds.add(process.job.seed)
                process.signal(signal.SIGKILL)
                process.end()
    assert len(seeds) == 9


def test_what_a_killed_worker_had_done_is_counted_though_it_could_not_tell(kernel_tree, tmp_path):
    with WorkerProcess(job(build(kernel_tree), tmp_path, seconds=60.0), 0) as process:
        process.start()
        while not (messages := process.hear()):
            assert messages is not None
        time.sleep(0.2)
        process.signal(signal.SIGKILL)
        while process.hear() is not None:
            pass
        status, _ = process.end()
        assert status == -signal.SIGKILL
        assert process.deaths == 1
        assert process.counters.cases > process.last.cases > 0
        assert process.more()
        before = process.counters
        process.start()  # the next one goes on counting
        while not (messages := process.hear()):
            assert messages is not None
        assert process.counters.cases == before.cases + process.last.cases
        assert process.counters.seconds == before.seconds + process.last.seconds


@pytest.mark.parametrize("number", mostly_long([signal.SIGKILL, signal.SIGTERM]))
def test_a_worker_that_somebody_kills_is_replaced_and_is_no_finding(number, kernel_tree, tmp_path):
    killed = []

    def tell(message):
        if not isinstance(message, Running):
            return
        if message.deaths == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        elif len(killed) < 2 and (number == signal.SIGTERM or len(killed) == message.deaths):
            for pid in workers(os.getpid())[:1]:
                killed.append(pid)
                os.kill(pid, number)

    # A kill near the run's end may come too late to be one, so the second death ends the run.
    seconds = 60.0 if number == signal.SIGKILL else 2.0
    total = supervise(job(build(kernel_tree), tmp_path / "findings", seconds=seconds), "", tell, jobs=2)
    assert killed
    assert (total.mismatches, total.gave_up) == ([], "")
    assert not (tmp_path / "findings").exists()
    if number == signal.SIGKILL:
        assert total.deaths == len(killed) == 2
    else:  # asked to end, a worker says what it did, and another one uses the time
        assert total.seconds > 1.5


def test_a_fault_that_does_not_come_again_is_no_finding_but_is_told(kernel_tree, tmp_path):
    """Somebody's kill -ABRT, or a bug of ours: the case is kept, nobody is blamed, and the run has not gone well."""

    def tell(message):
        if isinstance(message, Running):
            for pid in workers(os.getpid()):
                os.kill(pid, signal.SIGABRT)

    total = supervise(job(build(kernel_tree), tmp_path, seconds=20.0), "", tell)
    assert total.mismatches == []
    assert "does not do it again" in total.gave_up
    [path] = tmp_path.rglob("case*.toml")
    assert str(path) in total.gave_up
    assert load(path).scenario


def test_too_many_workers_are_one_line(kernel_tree, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("skdiff.campaign.worker_process.os.memfd_create", full)
    with pytest.raises(CannotRun, match="no room for 3 workers"):
        supervise(job(build(kernel_tree), tmp_path, 100), "", lambda message: None, jobs=3)


def test_findings_of_workers_do_not_overwrite_each_other(patched, tmp_path):
    heard = []
    total = supervise(job(patched, tmp_path, 6000), "", heard.append, jobs=3)
    files = [file for m in total.mismatches for file in (m.file, *m.others)]
    assert len(files) > len(total.mismatches)  # several found the same
    assert len(files) == len(set(files))
    told = [message.file for message in heard if isinstance(message, Finding)]
    assert len(told) == len(total.mismatches)  # once for each signature
    assert set(told) <= set(files) == {str(path) for path in tmp_path.rglob("case*.toml")}
    for file in files:
        assert load(Path(file)).found["signature"] == Path(file).parent.name
        assert (Path(file).with_name("report" + Path(file).stem[4:] + ".txt")).exists()
    assert list(tmp_path.rglob("*.new")) == []


def test_a_folder_whose_name_is_not_utf8_gets_its_findings(patched, seen, tmp_path):
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    told = job(patched, folder, 800, lookups=("tcp4",))
    assert Job.parse(told.text()) == told
    total = supervise(told, "", lambda message: None)
    assert (total.gave_up, total.deaths, total.unwritten) == ("", 0, [])
    assert [(m.signature, m.count) for m in total.mismatches] == [(m.signature, m.count) for m in seen.mismatches]
    for finding in total.mismatches:
        assert load(Path(finding.file)).found["signature"] == finding.signature
        assert f"/?/{finding.signature}/case.toml" in Path(finding.file).with_name("report.txt").read_text()


MESSAGES = [
    Found(Finding(signature="s", file=os.fsdecode(b"\xff"), count=3, others=["x"])),
    Progress(
        Counters(cases=1, seconds=0.5, lookups={"tcp6": LookupCounts(3, {"a": 2})}, edges=Covered(frozenset({4, 5}), 9))
    ),
    Done(
        Counters(
            mismatches=[Finding(signature="s", file="", count=1, why="no room", case="text", reduced="r", merged=1)]
        )
    ),
    Cannot("no \u00e4 here\n"),
]


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_is_one_line_that_is_read_back(message):
    line = to_line(message)
    assert (line[-1:], line.count(b"\n")) == (b"\n", 1)
    assert from_line(line) == message


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"", "Expecting value"),
        (b"{", "Expecting property name"),
        (b"[]", "Expected `object`, got `array`"),
        (b'{"type": "news"}', "Invalid value 'news'"),
        (b'{"type": "cannot"}', "missing required field `why`"),
    ],
)
def test_another_line_is_no_message(line, why):
    with pytest.raises(ValueError, match=why):
        from_line(line)


def test_the_first_finding_ends_all_workers(patched, tmp_path):
    total = supervise(job(patched, tmp_path, seconds=60.0, first=True), "", lambda message: None, jobs=2)
    assert total.mismatches
    assert total.seconds < 30


def no_room(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_finding_that_cannot_be_written_survives(patched, seen, tmp_path, monkeypatch):
    signatures = {m.signature for m in seen.mismatches}
    (tmp_path / "b").mkdir()
    (tmp_path / "tmp").mkdir()
    for signature in signatures:
        (tmp_path / "b" / signature).write_text("where the folder of a finding should be")
    heard = []
    monkeypatch.setattr(supervising.tempfile, "tempdir", str(tmp_path / "tmp"))
    total = supervise(job(patched, tmp_path / "b", 800, lookups=("tcp4",)), "", heard.append)
    assert {m.signature: m.count for m in total.mismatches} == {m.signature: m.count for m in seen.mismatches}
    assert total.unwritten == []
    assert all(str(tmp_path / "tmp") in m.file and load(Path(m.file)) for m in total.mismatches)
    assert all(message.why and parse(message.case) for message in heard if isinstance(message, Finding))

    monkeypatch.setattr(supervising, "write_case", no_room)
    total = supervise(job(patched, tmp_path / "b", 800, lookups=("tcp4",)), "", heard.append)
    assert total.mismatches == []
    assert {lost.signature for lost in total.unwritten} == signatures
    assert all(lost.count and parse(lost.case).scenario.socks for lost in total.unwritten)


def test_unwritten_findings_are_told_whole_and_exit_with_1(patched, seen, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(supervising, "write_case", no_room)
    monkeypatch.setattr(supervising.tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / "findings"
    folder.mkdir()
    for m in seen.mismatches:
        (folder / m.signature).write_text("")
    command = ["fuzz", "--engine", "random", "--kernel", str(patched.tree.path), "--cases", "800", "--seed", "5"]
    command += ["--lookup", "tcp4"]
    summary = tmp_path / "summary.json"
    assert main([*command, "--findings", str(folder), "--json", str(summary)]) == 1
    told = json.loads(summary.read_text())
    assert told["unwritten"]
    assert told["mismatches"] == []
    out = capsys.readouterr().out
    assert "not written" in out
    assert "[[sock]]" in out
    assert "no difference" not in out


def test_an_engine_that_breaks_is_one_line(kernel_tree, tmp_path):
    with pytest.raises(CannotRun, match=r"ended with status 1: .*KeyError"):
        supervise(job(build(kernel_tree), tmp_path, 100, engine="no-such"), "", lambda message: None, jobs=2)


def two_workers(folder, *more):
    return fuzzing("--jobs", "2", "--findings", f"{folder}/findings", *more, TMPDIR=str(folder))


def gone(folder):
    """Whether neither a process nor a folder of a run is left, within a while."""
    for _ in range(100):
        if not left_over(str(folder)) and not list(folder.glob("skdiff-*")):
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize("engine", ["random", "atheris"])
def test_a_killed_parent_leaves_no_process_and_no_folder(engine, kernel_tree, tmp_path):
    pytest.importorskip("atheris")
    with two_workers(tmp_path, "--engine", engine) as run:
        run.until(AT_WORK)
        assert len(left_over(str(tmp_path))) == 3
        run.process.kill()
        assert gone(tmp_path)


@pytest.mark.parametrize("wait", mostly_long([0.0, 0.2]))
def test_a_parent_that_is_killed_while_workers_start_leaves_nothing_either(wait, kernel_tree, tmp_path):
    with two_workers(tmp_path) as run:
        while len(workers(run.process.pid)) < 2:
            assert run.process.poll() is None
        time.sleep(wait)
        run.process.kill()
        assert gone(tmp_path)


def test_a_parent_that_is_asked_to_end_sums_up(kernel_tree, tmp_path):
    with two_workers(tmp_path) as run:
        run.until(AT_WORK)
        run.process.terminate()
        out = run.ended()
        assert run.process.returncode == 0
        assert "no difference" in out
        assert "2 workers" in out


def test_a_run_behind_nohup_does_not_mind_the_terminal():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    handlers = signals.install_handlers(lambda number, frame: None)
    try:
        assert set(handlers) == {signal.SIGINT, signal.SIGTERM}
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        for number, handler in (*handlers.items(), (signal.SIGHUP, before)):
            signal.signal(number, handler)


def test_coverage_is_what_any_worker_has_seen():
    lines = Covered({5}, 7)
    parts = [
        Counters(cases=cases, seconds=seconds, edges=edges, lines=lines, lookups=lookups, processor=1.0)
        for cases, seconds, edges, lookups in (
            (3, 2.0, Covered({1, 2}, 9), {"x": LookupCounts(3, {"a": 1, "b": 2})}),
            (4, 1.5, Covered({2, 4}, 9), {"x": LookupCounts(1, {"a": 1}), "y": LookupCounts(3, {"a": 3})}),
        )
    ]
    total = summed(parts)
    assert (total.cases, total.seconds, total.processor) == (7, 2.0, 2.0)
    assert (len(total.edges), len(total.lines)) == (3, 1)
    assert total.lookups == {"x": LookupCounts(4, {"a": 2, "b": 2}), "y": LookupCounts(3, {"a": 3})}
    assert summed_classes(total.lookups) == {"a": 5, "b": 2}
    assert parts[0].lookups == {"x": LookupCounts(3, {"a": 1, "b": 2})}  # they are as they were
    one, two = (Counters(mismatches=[Finding(signature="s", file=file, count=2)]) for file in ("", "x"))
    assert summed([one, two, two]).mismatches == [Finding(signature="s", file="x", count=6)]
