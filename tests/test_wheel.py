"""An installed skdiff: from any folder, with its C and its corpus inside, and builds in the user's cache."""

import json
import os
import re
import subprocess
import sys
import venv
from importlib.metadata import version
from pathlib import Path

import pytest

from skdiff.base import paths
from skdiff.kernel import kernel_cache

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.long  # each has a virtual environment to be made


class Installed:
    """A fresh environment with skdiff in it, a cache of its own that has the kernels, and a folder elsewhere."""

    def __init__(self, place: Path) -> None:
        self.bin, self.away, self.cache = place / "venv/bin", place / "away", place / "cache"
        self.away.mkdir()
        (self.cache / "skdiff").mkdir(parents=True)
        (self.cache / "skdiff/kernels").symlink_to(kernel_cache.folder())
        venv.create(place / "venv", with_pip=True)
        python = str(self.bin / "python")
        subprocess.run([python, "-m", "pip", "install", "--quiet", str(ROOT)], check=True, cwd=self.away)

    def run(self, *arguments: object, path: str = "") -> subprocess.CompletedProcess[str]:
        """skdiff with these arguments, called by its path unless it is on `path`."""
        environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "EPOCH", "CONFIG", "SAN")}
        environment |= {"XDG_CACHE_HOME": str(self.cache), "PATH": f"{path}:{os.environ['PATH']}"}
        name = "skdiff" if path else str(self.bin / "skdiff")
        command = [name, *map(str, arguments)]
        # The command is looked up by the shell, in the PATH that it gets.
        words = ["/bin/sh", "-c", '"$@"', "sh", *command]
        return subprocess.run(words, cwd=self.away, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def installed(tmp_path_factory, kernel_tree) -> Installed:
    return Installed(tmp_path_factory.mktemp("wheel"))


def test_it_fuzzes_and_replays_from_any_folder(installed):
    done = installed.run("fuzz", "--cases", 500, "--engine", "random", "--json", "fuzz.json")
    assert (done.returncode, "no difference" in done.stdout) == (0, True), done.stderr
    assert json.loads((installed.away / "fuzz.json").read_text())["cases"] == 500
    assert {path.name for path in installed.away.iterdir()} <= {"fuzz.json"}
    assert any((installed.cache / "skdiff/build").glob("6.12.*-plain-*"))
    done = installed.run("replay")
    cases = len([path for path in (ROOT / "corpus").rglob("*.toml") if path.parent != ROOT / "corpus"])
    assert (done.returncode, f"{cases:,} cases, {cases:,} agreed" in done.stdout) == (0, True), (
        done.stdout + done.stderr
    )


def test_it_says_its_version(installed):
    done = installed.run("--version")
    assert (done.returncode, done.stdout) == (0, f"skdiff {version('skdiff')}\n")


def test_it_explains_a_case_of_the_corpus(installed):
    [case] = (ROOT / "corpus/surprises").glob("assigned_listener_is_replaced.toml")
    done = installed.run("explain", case)
    assert done.returncode == 0 and "gets the packet" in done.stdout, done.stderr


@pytest.mark.parametrize("name", ["corpus/surprises/wildcard_group.toml", "wildcard_group"])
def test_a_case_of_its_own_corpus_is_found_from_any_folder(name, installed):
    done = installed.run("explain", name)
    assert done.returncode == 0 and "gets the packet" in done.stdout, done.stderr


def test_it_has_the_templates_of_the_page(installed):
    (installed.away / "nights").mkdir()
    summary = {
        "command": "nightly",
        "steps": [{"name": "replay-6.12", "status": "skipped", "seconds": 0, "why": "a test"}],
    }
    (installed.away / "nights/night.json").write_text(json.dumps(summary))
    done = installed.run("report", "nights")
    assert done.returncode == 0, done.stderr
    text = (installed.away / "nights/report.html").read_text()
    assert "a test" in text
    assert ".verdict{" in text


def test_printed_commands_are_those_that_work_where_the_user_stands(installed):
    wrong_rules = ("fuzz", "--cases", 2000, "--engine", "random", "--seed", 1, "--epoch", "6.1")
    found = installed.run(*wrong_rules)
    assert found.returncode == 1, found.stderr
    [command, *_] = [line for line in found.stdout.splitlines() if line.startswith("replay: ")]
    assert command.startswith(f"replay: {installed.bin}/skdiff replay ")
    assert installed.run(*command.split()[2:]).returncode == 1
    found = installed.run(*wrong_rules, path=installed.bin)
    assert "replay: skdiff replay " in found.stdout


@pytest.mark.parametrize("words", ["keep case.toml --name mine", "corpus distill --cases 1", "drift --record"])
def test_what_changes_the_corpus_needs_a_checkout(words, installed):
    case = installed.away / "case.toml"
    case.write_text((ROOT / "corpus/surprises/assigned_listener_is_replaced.toml").read_text())
    done = installed.run(*words.split())
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert re.match(r"skdiff: (keep|corpus distill|drift --record).* needs a checkout of skdiff", done.stderr)
    assert case.exists()


def test_drift_records_where_it_is_asked_to(installed):
    assert installed.run("drift", "--record", "--against", "my.closure", "--json", "drift.json").returncode == 0
    assert json.loads((installed.away / "drift.json").read_text())["recorded"] == "my.closure"
    assert installed.run("drift", "--against", "my.closure").returncode == 0


def test_in_a_checkout_the_command_is_the_one_of_its_environment(monkeypatch, tmp_path):
    script = tmp_path / ".venv/bin/skdiff"
    script.parent.mkdir(parents=True)
    script.touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(script.parent / "python"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.environ["PATH"])
    assert paths.command() == ".venv/bin/skdiff"
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    assert paths.command() == "skdiff"
    monkeypatch.setattr(sys, "executable", str(tmp_path / "elsewhere/python"))
    assert paths.command() == f"{tmp_path}/elsewhere/python -m skdiff"
