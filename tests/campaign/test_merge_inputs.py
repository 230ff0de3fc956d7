"""Merging inputs: what is left reaches as much, and a merge that fails changes nothing."""

import json
import shutil
from random import Random

import pytest

from skdiff.base.errors import CannotRun
from skdiff.campaign import merge_inputs
from skdiff.campaign.inputs import add, seeded
from skdiff.cases import wire
from skdiff.cli import main
from skdiff.engines import atheris_engine
from tests.campaign.test_inputs import another_layout, other_folder
from tests.running import made

pytestmark = pytest.mark.skipif(not atheris_engine.available(), reason="no atheris for this Python")


@pytest.fixture
def folders(kernel_tree, tmp_path):
    """Two folders of inputs with more than anybody needs."""
    draw = Random(1)
    found = []
    for name in ("one", "two"):
        ours = seeded(tmp_path / name)
        for _ in range(200):
            add(ours, draw.randbytes(wire.SIZE))
        found.append(tmp_path / name)
    return found


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_left_is_less_and_reaches_as_much(folders, tmp_path, capsys):
    one, two = folders
    before = content(two)
    everything = {data for folder in folders for data in content(folder).values()}
    assert main(["merge", str(one), str(two), "--json", str(tmp_path / "merged.json")]) == 0
    told = json.loads((tmp_path / "merged.json").read_text())
    assert told["before"] > told["after"] > 100
    build = made("6.12", guided=True)
    [ours] = [path for path in one.iterdir() if path.is_dir()]
    assert len(list(ours.iterdir())) == told["after"]
    assert {path.read_bytes() for path in ours.iterdir()} <= everything
    assert len(merge_inputs.edges_of(build, ours)) == told["edges"] > 190
    assert content(two) == before
    assert f"{told['after']:,} of {told['before']:,} inputs reach the same" in capsys.readouterr().out
    assert [path.name for path in one.iterdir() if path.name.startswith(".")] == []


def test_folders_of_another_layout_are_merged_too(kernel_tree, tmp_path):
    cases = [bytes([0, 0, 0]) + Random(i).randbytes(wire.FIXED_SIZE) for i in range(5)]
    source = tmp_path / "old"
    other_folder(source, another_layout(4), [data.ljust(wire.SIZE, b"\0") for data in cases])
    before = content(source)
    merged = merge_inputs.merge(made("6.12", guided=True), tmp_path / "new", [source], lambda line: None)
    assert merged.before > merged.after > 100
    assert content(source) == before


@pytest.mark.parametrize("kept", [0, 3])
@pytest.mark.long
def test_a_merge_that_loses_something_changes_nothing(kept, folders, monkeypatch):
    """-merge=1 ends with 0 and writes nothing where libFuzzer cannot start its command line again."""
    real = merge_inputs.run_process

    def run(build, words, *flags, **more):
        if "-merge=1" not in flags:
            return real(build, words, *flags, **more)
        small, every = map(merge_inputs.Path, words)
        for path in sorted(every.iterdir())[:kept]:
            shutil.copy(path, small)
        return "all is well"

    monkeypatch.setattr(merge_inputs, "run_process", run)
    before = content(folders[0])
    with pytest.raises(CannotRun, match="merge lost"):
        merge_inputs.merge(made("6.12", guided=True), folders[0], folders[1:], lambda line: None)
    assert content(folders[0]) == before


@pytest.mark.long
def test_an_input_that_libfuzzer_takes_for_another_is_kept(folders, monkeypatch):
    """As happens with gcc's hooks, by which it cannot tell all edges apart."""
    real = merge_inputs.run_process

    def run(build, words, *flags, **more):
        if "-merge=1" not in flags:
            return real(build, words, *flags, **more)
        small, every = map(merge_inputs.Path, words)
        for path in merge_inputs.inputs_missing(build, every, frozenset())[:-1]:
            shutil.copy(path, small)
        return "one is missing"

    monkeypatch.setattr(merge_inputs, "run_process", run)
    merged = merge_inputs.merge(made("6.12", guided=True), folders[0], folders[1:], lambda line: None)
    assert merged.edges > 190


@pytest.mark.parametrize(
    ("words", "said"), [(["{tmp}/no"], "no such folder"), (["{tmp}", "{tmp}/no"], "no such folder")]
)
def test_what_is_not_there_is_one_line(words, said, tmp_path, capsys):
    assert main(["merge", *(word.replace("{tmp}", str(tmp_path)) for word in words)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith("skdiff:") and said in line]


@pytest.mark.long
def test_what_is_ours_is_never_left_out(folders):
    """Not even when its description is broken: it would be merged away."""
    [description] = folders[0].glob("*.json")
    description.write_text("{")
    merged = merge_inputs.merge(made("6.12", guided=True), folders[0], [], lambda line: None)
    assert merged.before > 400
    assert json.loads(description.read_text())


@pytest.mark.long
def test_inputs_that_a_full_disk_has_cut_are_made_whole(folders, tmp_path):
    """Their names say that they are there, so a merge must not take their word for it."""
    cut = tmp_path / "cut"
    shutil.copytree(folders[0], cut)
    [ours] = [path for path in cut.iterdir() if path.is_dir()]
    for path in ours.iterdir():
        path.write_bytes(b"")
    merged = merge_inputs.merge(made("6.12", guided=True), cut, [folders[0]], lambda line: None)
    assert len(merge_inputs.edges_of(made("6.12", guided=True), ours)) == merged.edges > 190
    assert sum(path.stat().st_size > 0 for path in ours.iterdir()) > 100
