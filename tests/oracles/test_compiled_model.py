"""The compiled copy of the model: it says the same, and whoever cannot compile it is told."""

import gc
import shutil
from pathlib import Path
from random import Random

import pytest

from skdiff.base.build_folder import is_whole
from skdiff.cases import wire
from skdiff.oracles import compiled_model
from skdiff.oracles.model import Model
from skdiff.variants.config import MINIMAL
from skdiff.variants.version_rules import Rules

OLD = Rules(**dict.fromkeys(Rules.__annotations__, False))


@pytest.fixture(scope="module")
def compiled():
    pytest.importorskip("mypyc")
    said: list[str] = []
    compiled_model.prepare(said.append)
    assert said in ([], ["compiling the model, once"])
    return compiled_model.fastest()


@pytest.mark.long
def test_it_says_what_the_model_says(compiled) -> None:
    assert compiled is not Model
    assert compiled.__module__.startswith(compiled_model.NAME)
    random = Random(1)
    for arguments in ((), (OLD,), (Rules(), MINIMAL)):
        ours, theirs = compiled(*arguments), Model(*arguments)
        for number in range(4000):
            case = wire.decode(random.randbytes(wire.MOST if number % 2 else wire.SIZE))
            other = wire.other_packet(case, random.randbytes(wire.FRAME_SIZE))
            assert [ours.run(case), ours.run(other)] == [theirs.run(case), theirs.run(other)]


@pytest.mark.long
def test_it_is_compiled_once(compiled, monkeypatch) -> None:
    monkeypatch.setattr(compiled_model, "_compile", lambda folder: pytest.fail("it is there"))
    compiled_model.prepare(pytest.fail)


def test_a_short_run_does_not_wait_for_it(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(compiled_model, "place", lambda: tmp_path / "model")
    monkeypatch.setattr(compiled_model, "_compile", lambda folder: pytest.fail("it is not worth it"))
    compiled_model.prepare(pytest.fail, seconds=3)
    compiled_model.prepare(pytest.fail, cases=1000)
    assert compiled_model.fastest() is Model


def test_who_cannot_compile_it_is_told_and_the_model_runs(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(compiled_model, "place", lambda: tmp_path / "model")
    said: list[str] = []
    monkeypatch.setattr(compiled_model, "_mypy", lambda: "")
    compiled_model.prepare(said.append)
    monkeypatch.setattr(compiled_model, "_mypy", lambda: "1.0")
    monkeypatch.setattr(compiled_model, "_renamed", lambda text: "not = python\n")
    compiled_model.prepare(said.append)
    assert said[0] == "the model is not compiled, which halves its time: pip install 'mypy[mypyc]'"
    assert said[1] == "compiling the model, once"
    assert said[2].startswith("the model is not compiled, which halves its time: ")
    assert compiled_model.fastest() is Model
    assert [*tmp_path.iterdir()] == []


def test_its_name_changes_with_the_text_of_what_it_uses(tmp_path, monkeypatch) -> None:
    name = compiled_model.place.__wrapped__()
    read = Path.read_bytes

    def changed(of: str):
        return lambda path: read(path) + (b"\n# more" if path.name == of else b"")

    for of, differs in (
        ("score.py", True),
        ("scenario.py", True),
        ("version_rules.py", True),
        ("words_keys.py", False),
    ):
        monkeypatch.setattr(Path, "read_bytes", changed(of))
        assert (compiled_model.place.__wrapped__() != name) is differs, of


@pytest.mark.long
def test_a_cut_file_is_noticed(compiled, tmp_path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(compiled_model.place(), folder)
    assert is_whole(folder)
    library = next((folder / compiled_model.NAME).glob("lookup.*.so"))
    library.write_bytes(library.read_bytes()[:1000])
    assert not is_whole(folder)


def test_what_a_case_with_events_needed_is_freed_when_it_is_over() -> None:
    """Not only by garbage collection, which would have as much to look at as all else together."""
    random, model = Random(2), Model()
    cases = [wire.decode(random.randbytes(wire.MOST)) for _ in range(300)]
    outcomes = [model.run(case) for case in cases]
    cases = [case for case, outcome in zip(cases, outcomes, strict=True) if case.events and not outcome.ended]
    assert len(cases) > 100
    gc.collect()
    gc.disable()
    try:
        for case in cases:
            model.run(case)
        assert not gc.collect()
    finally:
        gc.enable()
