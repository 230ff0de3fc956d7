"""Commands that skdiff prints: a person can paste each into a shell, whatever the folders are called."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from skdiff import cli
from skdiff.base.paths import shell_path
from skdiff.cases.case_file import Case, dump
from skdiff.cases.scenario import Scenario
from tests.helpers import listener
from tests.patched import Patch, patched_tree

ODD = "my \"$HOME\" 'folder'; false"
LATER_WINS = Patch("net/ipv4/inet_hashtables.c", "inet_lhash2_lookup", 0, ">", ">=")


@pytest.fixture
def odd(kernel_tree, tmp_path, monkeypatch):
    """A folder of an odd name, with a tree of an odd name in which later listeners win, and a case of it."""
    folder = tmp_path / ODD
    folder.mkdir()
    patched_tree(kernel_tree.path, folder / ODD, LATER_WINS)
    (folder / f"{ODD}.toml").write_text(dump(Case(Scenario(socks=(listener(), listener())))))
    monkeypatch.chdir(folder)
    return folder


def printed(text):
    """The commands in a text, each behind its word."""
    return re.findall(r"^(?:replay|explain|again): (.*)$", text, re.MULTILINE)


@pytest.mark.parametrize(
    "words",
    [
        ["fuzz", "--engine", "random", "--seed", "1", "--cases", "1500", "--kernel", ODD, "--findings", f"{ODD} 2"],
        ["reduce", "--kernel", ODD, f"{ODD}.toml"],
        ["replay", "--kernel", ODD, f"{ODD}.toml"],
        ["diff", "6.12", ODD, f"{ODD}.toml"],
        ["diff", "6.12", ODD, "--lookup", "tcp4", "--cases", "2000", "--seed", "1", "--findings", f"{ODD} 2"],
    ],
    ids=lambda words: f"{words[0]}{'-lookup' * ('--lookup' in words)}",
)
def test_what_is_printed_can_be_pasted(words, odd, capsys):
    assert cli.main(words) == (0 if words[0] == "reduce" else 1)
    commands = printed(capsys.readouterr().out)
    assert commands
    assert any("--lookup tcp4" in command for command in commands) == ("--lookup" in words)
    for command in commands[:2]:
        done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
        assert done.returncode == 1, (command, done.stderr)


@pytest.mark.parametrize("name", ["plain/case.toml", "a b/$c.toml", "'\"`.toml", "--help", "new\nline.toml"])
def test_a_path_is_one_word_of_a_shell_and_no_option(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (Path(name), tmp_path / name):
        (word,) = shlex.split(shell_path(path))
        assert Path(word) == Path(name)
        assert not word.startswith("-")
