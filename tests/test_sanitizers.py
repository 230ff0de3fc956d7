"""The commands with SAN: what a sanitizer says must be about the kernel's text, not about how skdiff runs it."""

import os
import subprocess

import pytest

from skdiff import cli
from skdiff.base.paths import CORPUS
from skdiff.cases.case_file import Case, dump, load
from skdiff.cases.record import TRACE_SIZE
from skdiff.cases.scenario import Scenario
from skdiff.oracles import guarded
from tests.helpers import listener
from tests.patched import Patch, patched_tree
from tests.running import SKDIFF


def with_asan(*words):
    """skdiff in a process of its own: AddressSanitizer ends one that loads it too late."""
    environment = {**os.environ, "SAN": "asan"}
    return subprocess.run([*SKDIFF, *words], env=environment, capture_output=True, text=True, check=False)


def test_records_are_where_c_may_have_them():
    assert guarded.OUTCOME_AT % 8 == guarded.TRACE_AT % 8 == 0
    assert guarded.SHARED_SIZE == guarded.TRACE_AT + TRACE_SIZE


def test_replay_agrees_under_ubsan(monkeypatch, capsys):
    monkeypatch.setenv("SAN", "ubsan")
    assert cli.main(["replay", str(CORPUS / "surprises")]) == 0
    assert " mismatch" not in capsys.readouterr().out


def test_reduce_keeps_the_difference_under_ubsan(kernel_tree, tmp_path, monkeypatch):
    monkeypatch.setenv("SAN", "ubsan")
    tree = patched_tree(
        kernel_tree.path, tmp_path / "tree", Patch("net/ipv4/inet_hashtables.c", "inet_lhash2_lookup", 0, ">", ">=")
    )
    out = tmp_path / "small.toml"
    case = tmp_path / "case.toml"
    case.write_text(dump(Case(Scenario(socks=(listener(), listener(), listener(num=81))))))
    assert cli.main(["reduce", "--kernel", str(tree), str(case), "-o", str(out)]) == 0
    small = load(out)
    assert len(small.scenario.socks) == 2
    assert "sk" in small.found["fields"]


@pytest.mark.long
def test_doctor_looks_at_an_asan_build_where_it_can_be_loaded(kernel_tree):
    done = with_asan("doctor")
    assert done.returncode in (0, 2), done.stderr
    assert "reference              ok" in done.stdout
    assert "ASan runtime does not come first" not in done.stderr


def test_a_command_that_needs_the_kernels_code_in_its_own_process_refuses_asan(kernel_tree):
    done = with_asan("bench")
    assert done.returncode == 2
    assert "SAN=asan: this command runs the kernel's code in its own process" in done.stderr.splitlines()[-1]
