"""Stubs of a user's own that take the place of kernel text are told in the first lines."""

from skdiff.runs.fuzz_run import describe_build
from tests.running import made


def test_what_a_stub_of_ones_own_takes_the_place_of_is_told(kernel_tree, tmp_path, monkeypatch):
    stubs = tmp_path / "mine.h"
    stubs.write_text("/* Kernel: the score. Here: always one. */\n#define compute_score(...) 1\n")
    assert made("6.12").stubbed == []
    monkeypatch.setenv("SKDIFF_STUBS", str(stubs))
    _, line, *_ = describe_build(made("6.12"), "")
    assert line.startswith("mine.h takes the place of compute_score, net/ipv4/inet_hashtables.c:")
