"""JSON and TOML: read as a type, and refused in one line that says where."""

import ast
import os
from pathlib import Path

import msgspec
import pytest

from skdiff.base.files import BadFile, from_json, read_json, read_toml, to_json, write_json
from skdiff.base.paths import PACKAGE


class Entry(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    numbers: tuple[int, ...] = ()


class Entries(msgspec.Struct):
    entry: list[Entry]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("[[entry]]\nname = 3\n", r"Expected `str`, got `int` - at `\$.entry\[0\].name`"),
        ("[[entry]]\n", r"missing required field `name` - at `\$.entry\[0\]`"),
        ('[[entry]]\nname = "a"\nother = 1\n', r"unknown field `other` - at `\$.entry\[0\]`"),
        ("entry = [\n]\nx y", "line 3"),
        ("entry = " + "[" * 100_000, ""),
        ("\N{LATIN SMALL LETTER E WITH ACUTE}".encode("latin-1"), "utf-8"),
    ],
    ids=["kind", "missing", "unknown", "no-toml", "deep", "no-utf8"],
)
def test_what_is_wrong_in_toml_is_one_line(text, where, tmp_path):
    path = tmp_path / "list.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BadFile, match=f"list.toml: not a list: .*{where}") as error:
        read_toml(path, Entries, "a list")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "where"),
    [("[1, x]", "line 1 column 5"), ('{"entry": {}}', "`array`, got `object`"), ("", "char 0"), ("[" * 100_000, "")],
    ids=["no-json", "kind", "empty", "deep"],
)
def test_what_is_wrong_in_json_is_one_line(text, where, tmp_path):
    path = tmp_path / "list.json"
    path.write_text(text)
    with pytest.raises(BadFile, match=f"list.json: not a list: .*{where}"):
        read_json(path, Entries, "a list")


def test_what_is_not_there_is_one_line(tmp_path):
    with pytest.raises(BadFile, match=r"cannot read .*none: No such file"):
        read_json(tmp_path / "none", Entries, "a list")


def test_json_is_read_as_it_was_written(tmp_path):
    value = {7: Entry(os.fsdecode(b"\xff"), (1, 2))}  # the name of a file that is not UTF-8
    write_json(tmp_path / "x.json", value)
    assert read_json(tmp_path / "x.json", dict[int, Entry], "numbers") == value
    assert from_json(to_json(value), dict[int, Entry]) == value


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def test_no_other_module_reads_or_writes_them():
    users = [path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if imported(path) & {"json", "tomllib"}]
    assert list(map(str, users)) == ["base/files.py"]
