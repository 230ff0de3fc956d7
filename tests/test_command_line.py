"""What people type: where options may stand, what is refused before anything is built, and how a case is named."""

import json
import os
import subprocess
from difflib import unified_diff
from pathlib import Path

import pytest

from skdiff import cli
from skdiff.base.errors import CannotRun
from skdiff.base.paths import CORPUS
from skdiff.cases.case_file import Case, dump
from skdiff.cases.find_cases import NAMING, file, files
from skdiff.cases.scenario import Scenario
from tests.running import SKDIFF

NAME = "wildcard_group"
CASE = CORPUS / "surprises" / f"{NAME}.toml"


@pytest.fixture
def nothing_is_built(monkeypatch):
    def build(*_, **__):
        raise AssertionError("a kernel is built")

    monkeypatch.setattr("skdiff.kernel.options.build", build)
    monkeypatch.setattr("skdiff.kernel.options.find", build)


def refused(words, capsys):
    """The last line of what a command says that ends with 2."""
    try:
        status = cli.main(words)
    except SystemExit as ended:
        status = ended.code
    assert status == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    "words",
    [
        ["diff", "6.12", "--config", "SMP=n", "6.12", str(CASE)],
        ["diff", "6.12", "6.12", "--seed", "1", str(CASE)],
        ["replay", str(CASE), "--kernel", "6.12", str(CASE)],
    ],
    ids=["diff-A", "diff-B", "replay"],
)
def test_options_may_stand_between_the_rest(words, kernel_tree):
    assert cli.main(words) == 0


@pytest.mark.long
def test_a_patch_may_stand_between_a_kernel_and_its_cases(kernel_tree, tmp_path):
    name = "net/ipv4/inet_hashtables.c"
    before = (kernel_tree.path / name).read_text().splitlines(keepends=True)
    after = ["/* another comment */\n", *before]
    (tmp_path / "p.patch").write_text("".join(unified_diff(before, after, f"a/{name}", f"b/{name}")))
    assert cli.main(["diff", "6.12", "--patch", str(tmp_path / "p.patch"), str(CASE)]) == 0


@pytest.mark.parametrize("command", ["fuzz", "diff", "replay", "explain"])
def test_an_unknown_option_shows_the_usage_of_its_command(command, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "6.12", "--sekonds", "3"] if command != "fuzz" else [command, "--sekonds", "3"])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith(f"usage: skdiff {command} ")
    assert "unrecognized arguments: --sekonds" in told


def test_flags_of_libfuzzer_still_stand_behind_a_double_dash():
    read = cli.parser().parse_args(["fuzz", "--seed", "3", "--", "-runs=5", "folder"])
    assert (read.seed, read.flags) == (3, ["-runs=5", "folder"])


@pytest.mark.parametrize(
    "words",
    [
        ["reduce", ""],
        ["replay", ""],
        ["explain", ""],
        ["keep", "--name", "n", ""],
        ["diff", "6.12", "6.12", ""],
        ["fuzz", "--findings", ""],
        ["fuzz", "--json", ""],
        ["merge", ""],
    ],
    ids=" ".join,
)
def test_an_empty_name_is_refused(words, nothing_is_built, capsys):
    assert "an empty name" in refused(words, capsys)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["diff", "6.12", "6.1", "--patch", "p"], "6.1: no such file or folder (with --patch, A is compared with A"),
        (["diff", "6.12", "6.1", "no-such.toml"], "no-such.toml: no such file or folder"),
        (["diff", "6.12", "6.1", "{broken}"], "not TOML"),
        (["diff", "6.12"], "diff compares A with B, or A with A and a --patch"),
        (["replay", "no-such.toml"], "no-such.toml: no such file or folder"),
        (["keep", "--name", "n", "{broken}"], "not TOML"),
        (["reduce", "{folder}"], "a folder without a case.toml"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else "",
)
def test_what_cannot_be_read_is_said_before_a_kernel_is_built(words, says, nothing_is_built, tmp_path, capsys):
    broken, folder = tmp_path / "broken.toml", tmp_path / "folder"
    broken.write_text("[")
    folder.mkdir()
    assert says in refused([word.format(broken=broken, folder=folder) for word in words], capsys)


def test_diff_without_anything_asks_for_a_kernel_only(capsys):
    assert refused(["diff"], capsys) == "skdiff diff: error: the following arguments are required: A"


def test_findings_are_not_looked_at_where_cases_are_compared(kernel_tree, capsys):
    nowhere = ["--findings", "/dev/null/findings"]
    assert cli.main(["diff", "6.12", "6.12", str(CASE), *nowhere]) == 0
    assert "findings cannot be written" in refused(["diff", "6.12", "6.12", *nowhere], capsys)


@pytest.mark.parametrize("name", [f"corpus/surprises/{NAME}.toml", f"surprises/{NAME}.toml", NAME, f"{NAME}.toml"])
def test_a_case_of_the_corpus_is_found_from_anywhere(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert file(Path(name)) == CASE
    assert files([Path(name)]) == [CASE]


def test_a_folder_of_the_corpus_is_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert CASE in files([Path("corpus/surprises")])


def test_a_file_that_is_there_comes_before_the_corpus(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = Path(f"corpus/surprises/{NAME}.toml")
    own.parent.mkdir(parents=True)
    own.touch()
    assert file(own) == own


def test_a_folder_without_cases_does_not_stop_the_others(kernel_tree, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    summary = tmp_path / "summary.json"
    assert cli.main(["replay", str(tmp_path / "empty"), str(CASE), "--json", str(summary)]) == 2
    told = capsys.readouterr()
    assert f"skdiff: {tmp_path / 'empty'}: no case (*.toml) in that folder" in told.err
    assert "1 case, 1 agreed" in told.out
    assert [case["verdict"] for case in json.loads(summary.read_text())["cases"]] == ["agreed", "unreadable"]


def test_near_names_are_told(tmp_path):
    with pytest.raises(CannotRun, match=rf"no such file or folder; the corpus has .*\b{NAME}\b"):
        file(Path("wildcard_grop"))
    with pytest.raises(CannotRun, match=r"xyzzy: no such file or folder$"):
        file(Path("xyzzy"))
    with pytest.raises(CannotRun, match=r"nothere.toml: no such file or folder$"):  # another_peer has half of it
        file(Path("nothere.toml"))


def test_the_folder_of_a_finding_is_its_case(tmp_path):
    (tmp_path / "case.toml").write_text(dump(Case(Scenario())))
    assert file(tmp_path) == tmp_path / "case.toml"


@pytest.mark.parametrize("command", ["explain", "replay", "reduce"])
def test_help_says_how_a_case_is_named(command, capsys):
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    assert NAMING in " ".join(capsys.readouterr().out.split())


def test_a_case_that_was_only_named_is_reduced_into_the_current_folder(kernel_tree, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["reduce", "--epoch", "6.1", "assigned_listener_is_replaced"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["assigned_listener_is_replaced-reduced.toml"]


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["fuzz", "--help"], [], ["rules"]], ids=" ".join)
def test_what_cannot_be_printed_is_an_error(words):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*SKDIFF, *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "skdiff: [Errno 28] No space left on device\n")


def test_help_that_nobody_reads_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*SKDIFF, "--help"], stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_folder_that_is_gone_is_said_in_a_line(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    words = ["sh", "-c", 'cd "$0" && rmdir "$0" && exec "$@"', str(gone), *SKDIFF, "explain", NAME]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("skdiff: the current folder is gone")
