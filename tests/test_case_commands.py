"""skdiff new, convert and fields; and cases from standard input, from pipes and with a byte order mark."""

import os
import subprocess

import pytest

from skdiff import cli
from skdiff.base.paths import CORPUS
from skdiff.cases import expectations
from skdiff.cases.case_file import load, parse
from skdiff.cases.fields import FIELDS
from skdiff.cases.template import TEMPLATE
from skdiff.cases.words_keys import ALL
from tests.running import SKDIFF

REPORT = CORPUS / "reports" / "v6only_beside_ipv4.toml"
WAITS = 20  # seconds that nothing here needs


def run(words: list[str], given: str | bytes = "") -> tuple[int, str, str]:
    given = given.encode() if isinstance(given, str) else given
    done = subprocess.run([*SKDIFF, *words], input=given, capture_output=True, check=False, timeout=WAITS)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_a_case_goes_to_raw_and_back(capsys):
    assert cli.main(["convert", str(REPORT)]) == 0
    raw = capsys.readouterr().out
    assert "[[sock]]" in raw
    assert parse(raw).scenario == load(REPORT).scenario
    code, words, _ = run(["convert", "-"], raw)
    assert code == 0
    assert words[words.index("packet = ") :] == (
        'packet = "10.0.0.1:40000 -> 10.0.0.2:5555"\n\n'
        '[expect]\nfrom = "report"\nsk = "v4"\nrefcounted = false\n\n'
        '[[listener]]\nname = "v4"\nlisten = "0.0.0.0:5555"\n\n'
        '[[listener]]\nname = "v6"\nlisten = "[::]:5555"\nv6only = true\n'
    )
    assert parse(words).scenario == load(REPORT).scenario


@pytest.mark.parametrize("to", ["words", "raw"])
def test_the_format_can_be_said(to, capsys):
    assert cli.main(["convert", str(REPORT), "--to", to]) == 0
    assert ("[[sock]]" in capsys.readouterr().out) == (to == "raw")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("udp_drop_and_one_in_connect", "connecting is in the middle of connect(): hash2 is stale"),
        ("cpu_members_in_turn", None),
    ],
)
def test_what_cannot_be_said_in_words_is_told(name, why, capsys):
    code = cli.main(["convert", f"corpus/surprises/{name}.toml", "--to", "words"])
    told = capsys.readouterr().err
    if why is None:
        assert (code, told) == (0, "")
    else:
        assert code == 2
        assert told.endswith(f"it cannot be said exactly in words: {why}\n")


def test_a_hostile_case_stays_raw(tmp_path, capsys):
    path = tmp_path / "case.toml"
    path.write_text("version = 1\n[scenario]\nhostile = true\n")
    assert cli.main(["convert", str(path)]) == 2
    assert capsys.readouterr().err == (
        f"skdiff: {path}: it cannot be said exactly in words: it is hostile: no calls lead to it\n"
    )


def test_new_writes_a_case_that_can_be_explained(tmp_path, capsys):
    path = tmp_path / "case.toml"
    assert cli.main(["new", str(path)]) == 0
    assert capsys.readouterr().out.startswith(f"{path} is written; who gets the packet: ")
    assert path.read_text() == TEMPLATE
    assert load(path).socks == ("web", "other")
    assert cli.main(["new", str(path)]) == 2
    assert capsys.readouterr().err == f"skdiff: {path} is there already: choose another name\n"
    assert cli.main(["new"]) == 0
    assert capsys.readouterr().out == TEMPLATE


def test_what_the_new_case_has_in_comments_can_be_had():
    """Each commented table of the template is one that can be read, but for the lines of prose."""
    shown = [line[2:].split(" # ")[0] for line in TEMPLATE.splitlines() if line.startswith("# ")]
    keys = {line.split(" = ")[0].strip('"') for line in shown if " = " in line and not line[0].isupper()}
    known = {key for keys in ALL.values() for key in keys} | {"from", "sk", "refcounted", "red", "eth1", "... or by"}
    assert {key for key in keys if " " not in key} <= known
    headers = {line.strip("[]").split("]")[0] for line in shown if line.startswith("[")}
    assert headers <= {*ALL, "expect"}


def test_fields_lists_each_key(capsys):
    assert cli.main(["fields"]) == 0
    told = capsys.readouterr().out
    lines = {line.split()[0] for line in told.splitlines() if line.startswith("  ")}
    assert {key for keys in ALL.values() for key in keys} <= lines
    assert {name for fields in FIELDS.values() for name in fields} - {"progs"} <= lines
    assert all(name in told for name in expectations.FIELDS)
    assert cli.main(["fields", "--format", "words"]) == 0
    assert "csrc/record.h" not in capsys.readouterr().out
    assert cli.main(["fields", "--format", "raw"]) == 0
    assert "[[listener]]" not in capsys.readouterr().out


@pytest.mark.parametrize("command", ["explain", "replay"])
def test_a_case_comes_from_standard_input(command, kernel_tree):
    code, told, _ = run([command, "-"], REPORT.read_text())
    assert code == 0
    assert "v4 gets the packet" in told if command == "explain" else "1 case, 1 agreed" in told


def test_a_fault_of_standard_input_is_named():
    assert run(["convert", "-"], "version = 1\nprot = 1\n") == (
        2,
        "",
        "skdiff: standard input:2: prot: no such key here; known: event, expect, found, group, needs, netns, packet,"
        " scenario, sock, version, why\n",
    )


def test_a_byte_order_mark_is_read():
    code, told, _ = run(["convert", "-", "--to", "raw"], b"\xef\xbb\xbf" + REPORT.read_bytes())
    assert code == 0
    assert parse(told).scenario == load(REPORT).scenario


def test_nothing_waits_for_a_pipe(tmp_path, kernel_tree):
    pipe, folder, case = tmp_path / "pipe.toml", tmp_path / "folder.toml", tmp_path / "case.toml"
    os.mkfifo(pipe)
    folder.mkdir()
    case.write_bytes(REPORT.read_bytes())
    refusal = f"skdiff: {pipe}: a pipe or a device, not a file; - reads standard input\n"
    assert run(["convert", str(pipe)]) == (2, "", refusal)
    code, told, said = run(["replay", str(tmp_path)])
    assert code == 2
    assert refusal in said
    assert f"skdiff: cannot read {folder}: Is a directory\n" in said
    assert "3 cases, 1 agreed, 2 unreadable" in told


def test_what_never_ends_is_not_read():
    assert run(["convert", "/dev/zero"]) == (2, "", "skdiff: /dev/zero: larger than 1000000 bytes, no case is\n")


def test_a_case_of_standard_input_is_kept(tmp_path, monkeypatch, kernel_tree):
    monkeypatch.setattr("skdiff.findings.keep_cases.REGRESSIONS", tmp_path)
    with REPORT.open() as given:
        monkeypatch.setattr("sys.stdin", given)
        assert cli.main(["keep", "--name", "kept", "-"]) == 0
    assert load(tmp_path / "kept.toml").scenario == load(REPORT).scenario
