"""Folders of runs: gone at the end, and those of killed runs when the next one begins."""

import os
import signal
import subprocess
import sys
import tempfile

import pytest

from skdiff.base.scratch import scratch

HOLD = "import time; from skdiff.base.scratch import scratch\nwith scratch() as f: print(f, flush=True); time.sleep(60)"


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def aged(folder):
    os.utime(folder, (0, 0))


def test_a_folder_is_empty_and_gone_afterwards(temporary):
    with scratch() as folder:
        assert [*folder.iterdir()] == []
        (folder / "x").touch()
    assert [*temporary.iterdir()] == []


def test_what_a_killed_run_left_goes_when_the_next_one_begins(temporary):
    with subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        run.stdout.readline()
        [left] = temporary.iterdir()
        aged(left)
        with scratch():  # it is in use
            assert left.exists()
        run.send_signal(signal.SIGKILL)
    assert left.exists()
    with scratch():
        assert not left.exists()


def test_what_is_young_or_not_ours_stays(temporary):
    young, other = temporary / "skdiff-scratch-x", temporary / "skdiff-findings-y"
    young.mkdir()
    other.mkdir()
    aged(other)
    with scratch():
        assert young.exists()
        assert other.exists()
