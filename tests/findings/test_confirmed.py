"""What running kernels confirm: the list in the corpus, and the page that shows it."""

import re
import subprocess

import pytest

from skdiff.base.errors import CannotRun
from skdiff.base.paths import CORPUS
from skdiff.findings import confirmed
from tests.running import SKDIFF


def test_the_page_shows_the_list():
    assert confirmed.shown(confirmed.PAGE.read_text(), confirmed.listed()) == confirmed.PAGE.read_text()
    assert confirmed.listed()


def test_each_name_of_the_list_is_a_case():
    for name, versions in confirmed.listed().items():
        assert (CORPUS / f"{name}.toml").exists()
        assert versions
        assert all(re.fullmatch(r"\d+\.\d+(\.\d+)?", version) for version in versions)


def test_a_mark_adds_a_version_and_keeps_the_others(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text(confirmed.PAGE.read_text())
    monkeypatch.setattr(confirmed, "LIST", tmp_path / "confirmed.toml")
    monkeypatch.setattr(confirmed, "PAGE", page)
    case = CORPUS / "surprises" / "loser_closed.toml"
    (tmp_path / "confirmed.toml").write_text('"surprises/loser_closed" = ["6.18.44"]\n')
    assert confirmed.mark([case, CORPUS / "mutants" / "no.toml", tmp_path / "case.toml"], "6.9.1-amd64") == 1
    assert confirmed.listed() == {"surprises/loser_closed": ["6.9.1", "6.18.44"]}
    assert "- Linux 6.9.1, 6.18.44: `loser_closed`.\n" in page.read_text()
    page.write_text("nothing")
    with pytest.raises(CannotRun, match="has no place for what is confirmed"):
        confirmed.mark([case], "6.9.1")


def test_a_list_that_is_none_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(confirmed, "LIST", tmp_path / "list.toml")
    (tmp_path / "list.toml").write_text("a = 1")
    with pytest.raises(CannotRun, match=r"list\.toml: "):
        confirmed.listed()


def test_a_mark_takes_a_running_kernel():
    command = [*SKDIFF, "replay", "--mark", "corpus/surprises"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--mark is for what a running kernel confirms: it takes --oracle host" in done.stderr
