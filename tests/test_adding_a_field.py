"""docs/adding-a-field.md, followed word for word in a copy of skdiff: it works, and no step can be left out."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patched import Edit, edited_tree

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs/adding-a-field.md").read_text()
DIFFS = re.findall(r"^```diff\n(.*?)^```", TEXT, re.M | re.S)
[CASE] = re.findall(r"^```toml\n(.*?)^```", TEXT, re.M | re.S)
[PATCH] = re.findall(r"^```c\n(.*?)^```", TEXT, re.M | re.S)
STEPS = {diff.splitlines()[0].removeprefix("--- a/"): diff for diff in DIFFS}
CASES = "3000"
# What a run says, and its exit code, if a step is forgotten.
FORGOTTEN = {
    "csrc/record.h": (2, "struct sock_record of record.h and its table in cases/fields.py differ: priority is"),
    "harness/skdiff/cases/scenario.py": (
        2,
        "Sock of cases/scenario.py and its table in cases/fields.py differ: priority",
    ),
    "harness/skdiff/cases/fields.py": (
        2,
        "Sock of cases/scenario.py and its table in cases/fields.py differ: priority",
    ),
    "csrc/driver/sockets.c": (1, "MISMATCH"),
    "harness/skdiff/oracles/model/score.py": (1, "MISMATCH"),
}


class Copy:
    """A copy of skdiff, and the tree of the page's patch."""

    def __init__(self, folder: Path, tree: Path) -> None:
        self.folder, self.tree = folder, tree
        for name in ("harness", "csrc", "corpus"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))

    def follow(self, *files: str) -> None:
        """Apply the diffs of these files."""
        text = "".join(STEPS[file] for file in files)
        subprocess.run(["git", "apply"], cwd=self.folder, input=text, text=True, check=True)

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        left_out = ("EPOCH", "CONFIG", "SAN", "SKDIFF_STUBS")
        environment = {key: value for key, value in os.environ.items() if key not in left_out}
        environment |= {"PYTHONPATH": str(self.folder / "harness")}
        command = [sys.executable, "-m", "skdiff", *map(str, arguments)]
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)

    def fuzz(self) -> subprocess.CompletedProcess[str]:
        return self.run("fuzz", "--kernel", self.tree, "--engine", "random", "--seed", 1, "--cases", CASES)


@pytest.fixture(scope="module")
def tree(kernel_tree, tmp_path_factory) -> Path:
    """The kernel with the page's patch."""
    before = r"if \(READ_ONCE\(sk->sk_incoming_cpu"
    new = f"{PATCH.strip()}\n\t\tif (READ_ONCE(sk->sk_incoming_cpu"
    edit = Edit("net/ipv4/inet_hashtables.c", "compute_score", before, new)
    return edited_tree(kernel_tree.path, tmp_path_factory.mktemp("priority") / "tree", [edit])


@pytest.fixture
def copy(tmp_path, tree) -> Copy:
    if shutil.which("git") is None:
        pytest.skip("there is no git")
    return Copy(tmp_path, tree)


def test_the_page_has_a_step_for_each_file() -> None:
    assert list(STEPS) == [
        "csrc/record.h",
        "harness/skdiff/cases/scenario.py",
        "harness/skdiff/cases/fields.py",
        "csrc/driver/sockets.c",
        "harness/skdiff/oracles/model/score.py",
    ]


@pytest.mark.long
def test_without_the_field_there_is_no_verdict(copy) -> None:
    done = copy.fuzz()
    assert done.returncode == 2, done.stdout + done.stderr
    assert "sk_priority" in done.stdout


@pytest.mark.long
def test_with_all_steps_kernel_and_model_agree(copy) -> None:
    copy.follow(*STEPS)
    done = copy.fuzz()
    assert done.returncode == 0 and "no difference" in done.stdout, done.stdout + done.stderr
    (copy.folder / "case.toml").write_text(CASE)
    replayed = copy.run("replay", "--kernel", copy.tree, "case.toml")
    assert replayed.returncode == 0 and "1 case, 1 agreed" in replayed.stdout, replayed.stdout + replayed.stderr


@pytest.mark.parametrize(
    "forgotten", [pytest.param(file, marks=pytest.mark.long if FORGOTTEN[file][0] == 1 else ()) for file in STEPS]
)
def test_a_step_that_was_forgotten_is_named(copy, forgotten) -> None:
    copy.follow(*(file for file in STEPS if file != forgotten))
    done = copy.fuzz()
    code, text = FORGOTTEN[forgotten]
    assert done.returncode == code and text in done.stdout + done.stderr, done.stdout + done.stderr


def test_a_field_at_another_place_of_the_record_is_refused(copy) -> None:
    copy.follow(*STEPS)
    record = copy.folder / "csrc/record.h"
    text = record.read_text()
    line = "\tuint32_t priority;\n"
    assert text.count(line) == 1
    record.write_text(text.replace(line, "").replace("\tuint32_t refcnt;\n", line + "\tuint32_t refcnt;\n"))
    done = copy.fuzz()
    assert done.returncode == 2 and "the order is not the same" in done.stderr, done.stdout + done.stderr
