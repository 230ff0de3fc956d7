"""What all tests share: Hypothesis profiles, the tree of the default kernel, and the reference made of it."""

import fcntl
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

pytest.register_assert_rewrite("tests.helpers", "tests.laws", "tests.transform", "tests.arbitrary")

from skdiff.base.errors import CannotRun
from skdiff.base.paths import builds
from skdiff.kernel.build import build
from skdiff.kernel.manifest import Manifest
from skdiff.kernel.source import Tree, find
from skdiff.oracles.model import Model
from skdiff.oracles.reference import Reference
from tests import profiles
from tests.profiles import pytest_sessionstart

__all__ = ["pytest_sessionstart"]

OLDEST = 117  # of 6.12.y: the model's defaults are its rules, which no later one has taken back

profiles.register()
# Under nohup it is ignored, and processes that a test starts inherit that: tests send it to them.
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@contextmanager
def _one_process_at_a_time() -> Iterator[None]:
    """The workers of xdist need the same kernel and the same build: one makes it, the others find it. Not in pytest's
    own folder, which is not there for HypoFuzz.
    """
    builds().mkdir(parents=True, exist_ok=True)
    with (builds() / ".tests.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def kernel_tree() -> Tree:
    """The default kernel's files, from the user's cache; the first use fetches them."""
    manifest = Manifest.load()
    with _one_process_at_a_time():
        tree = find("6.12", manifest.files, optional=manifest.optional)
    level = re.match(r"6\.12\.(\d+)", tree.version)
    if level is None or int(level[1]) < OLDEST:
        pytest.exit(f"the tests are for Linux 6.12.{OLDEST} and later 6.12.y, this is {tree.version}", 2)
    return tree


@pytest.fixture(scope="session")
def reference(kernel_tree: Tree) -> Reference:
    """The default kernel's lookup, compiled."""
    with _one_process_at_a_time():
        made = build(kernel_tree)
    return Reference(made)


@pytest.fixture(scope="session", params=["kernel", "model"])
def oracle(request: pytest.FixtureRequest) -> Any:
    """Both of them, one after the other."""
    return request.getfixturevalue("reference") if request.param == "kernel" else Model()


@pytest.fixture
def without_mutants(monkeypatch: pytest.MonkeyPatch) -> None:
    """`diff` that agrees does not ask how many mutants it tells apart: that takes longest, and is tried in
    tests/findings/test_kernel_difference.py.
    """

    def scores(*_: object, **__: object) -> None:
        raise CannotRun("not here")

    monkeypatch.setattr("skdiff.runs.diff_run.scores", scores)
