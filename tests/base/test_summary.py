"""Summaries: each is read as what its command writes, and another schema is refused wherever one is read."""

import json

import pytest

from skdiff.base.files import BadFile
from skdiff.base.summary import SCHEMA, Other, Summary, read_summary
from skdiff.nightly import summaries
from skdiff.proof import figures


class Short(Summary, kw_only=True):
    count: int


class Long(Summary, kw_only=True):
    count: int
    lines: list[str]


KINDS = {"one": (Long, Short)}


def read(folder, **values):
    path = folder / "x.json"
    path.write_text(json.dumps(values))
    return read_summary(path, KINDS)


def test_a_summary_is_of_the_first_kind_that_it_fits(tmp_path):
    assert read(tmp_path, command="one", count=3, lines=["a"]) == Long(command="one", count=3, lines=["a"])
    assert read(tmp_path, schema=SCHEMA, command="one", count=3) == Short(command="one", count=3)
    with pytest.raises(BadFile, match=r"x.json: not a summary of `skdiff one`: .*`str` - at `\$.count`"):
        read(tmp_path, command="one", count="3")


def test_the_values_of_another_command_are_as_they_stand(tmp_path):
    values = {"command": "two", "started": "today", "x": [1]}
    assert read(tmp_path, **values) == Other(command="two", started="today", values=values)
    assert read(tmp_path, x=1).command == "x"  # as its file is called


@pytest.mark.parametrize("schema", [SCHEMA + 1, 0, "1", None])
def test_another_schema_is_one_line_that_says_what_to_do(schema, tmp_path, capsys):
    words = f"x.json: a summary of schema {schema!r}, and this skdiff reads {SCHEMA}: make it anew with this skdiff"
    with pytest.raises(BadFile) as error:
        read(tmp_path, schema=schema, command="one", count=3)
    assert words in str(error.value)
    [line] = summaries.collect(tmp_path)[1]
    assert words in line
    assert figures.main([str(tmp_path / "out.json"), str(tmp_path / "x.json")]) == 2
    assert words in capsys.readouterr().err


def test_figures_are_made_of_coverage_and_mutants_alone(tmp_path, capsys):
    read(tmp_path, command="two")
    assert figures.main([str(tmp_path / "out.json"), str(tmp_path / "x.json")]) == 2
    assert "a summary of `skdiff two`, not of coverage or mutants" in capsys.readouterr().err
