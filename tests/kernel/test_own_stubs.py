"""Stubs of a user's own that take the place of kernel text are told in the first lines."""

import pytest

from skdiff.cli import main
from skdiff.kernel.manifest import Manifest
from skdiff.kernel.own_stubs import read
from skdiff.runs.fuzz_run import describe_build
from tests.helpers import mostly_long
from tests.running import made


def test_what_a_stub_of_ones_own_takes_the_place_of_is_told(kernel_tree, tmp_path, monkeypatch):
    stubs = tmp_path / "mine.h"
    stubs.write_text("/* Kernel: the score. Here: always one. */\n#define compute_score(...) 1\n")
    assert made("6.12").stubbed == []
    monkeypatch.setenv("SKDIFF_STUBS", str(stubs))
    _, line, *_ = describe_build(made("6.12"), "")
    assert line.startswith("mine.h takes the place of compute_score, net/ipv4/inet_hashtables.c:")


@pytest.mark.parametrize("text", ["static inline int f(void) { return ((0; }\n", "this is no C\n", "int x\n", "{}{}{"])
@pytest.mark.parametrize("command", ["explain", "replay", "rules", "diff"])
def test_stubs_that_cannot_be_read_are_refused(text, command, kernel_tree, tmp_path, capsys):
    stubs = tmp_path / "mine.h"
    stubs.write_text("#define fine 1\n" + text)
    words = {"rules": ["--kernel", "6.12"], "diff": ["6.12", "6.12", "wildcard_group"]}.get(command, ["wildcard_group"])
    assert main([command, "--stub", str(stubs), *words]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"skdiff: {stubs}:2: this cannot be read as C")


def test_a_file_without_stubs_is_refused(kernel_tree, tmp_path, capsys):
    stubs = tmp_path / "mine.h"
    stubs.write_text("/* none yet */\n")
    assert main(["replay", "--stub", str(stubs), "wildcard_group"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"skdiff: {stubs}: no stub in that file"


@pytest.mark.parametrize(
    ("words", "status"),
    mostly_long([(["replay"], 0), (["explain"], 0), (["reduce"], 2), (["diff", "6.12", "6.12"], 0)]),
    ids=lambda words: words[0] if isinstance(words, list) else "",
)
def test_stubs_that_nothing_uses_are_told_once(words, status, kernel_tree, tmp_path, capsys):
    stubs = tmp_path / "mine.h"
    stubs.write_text("#define nobody_uses_me(a...) 1\nstatic inline int nor_me(void) { return 0; }\n")
    assert main([*words, "--stub", str(stubs), "wildcard_group"]) == status
    said = capsys.readouterr()
    assert (said.err + said.out).count("nothing uses a stub of mine.h: nobody_uses_me, nor_me\n") == 1


def test_our_own_stubs_can_be_read():
    for path in Manifest.load().stand_ins:
        assert read(path, path.name)
