"""Mutants of the harness itself: of what carries a case to the C and back, and of the comparison.

Each runs the tests that are about its file, in a process forked from one that has pytest loaded already. Beside the
changes of the source there are slips, one for each field and each place of a record.
"""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from inspect import signature
from typing import Any

from skdiff.base.errors import CannotRun
from skdiff.base.paths import PACKAGE, ROOT
from skdiff.proof.mutants.common import Mutant
from skdiff.proof.mutants.hunt import FIRST, Fate
from skdiff.proof.mutants.install import install
from skdiff.proof.mutants.isolated import Died, each
from skdiff.proof.mutants.python import Change, Source
from skdiff.proof.mutants.slips import Slip, slips

# A file of the harness, and the tests that are about it, the quickest first.
TESTS = {
    "skdiff/comparison/compare.py": ("tests/comparison/test_compare.py",),
    "skdiff/cases/outcome.py": ("tests/comparison/test_compare.py", "tests/cases/test_record.py"),
    "skdiff/cases/record.py": ("tests/cases/test_record.py",),
    "skdiff/cases/wire.py": ("tests/cases/test_wire.py",),
    "skdiff/cases/native.py": ("tests/cases/test_record.py", "tests/cases/test_wire.py", "tests/cases/test_native.py"),
}
# Functions of no case: they compile what is there already. Lines outside of functions are said to be in "module", too.
_BUILDS = {"skdiff/cases/native.py": ("module", "library")}
PROFILE = "mutants"  # of Hypothesis, see tests/conftest.py
CPU_SECONDS = 60.0


@dataclass(frozen=True)
class Job:
    """A mutant, the tests that must see it, and what makes it: done in the child, before the tests are imported."""

    mutant: Mutant
    tests: tuple[str, ...]
    make: Callable[[], None]


def jobs() -> list[Job]:
    """All mutants of the harness, in the order of the text, and then the slips."""
    found = []
    for file, tests in TESTS.items():
        source = Source(PACKAGE.parent / file, "harness")
        for change in source.changes:
            if change.mutant.function in _BUILDS.get(file, ()):
                continue
            found.append(Job(change.mutant, tests, partial(install_tests, source, change)))
    found += [Job(slip.mutant, TESTS[slip.mutant.file], partial(_slip, slip)) for slip in slips()]
    return found


def hunt(progress: Callable[[int, int], None] = lambda done, of: None) -> list[tuple[Mutant, Fate]]:
    """Each mutant of the harness and its fate. Raises CannotRun if the tests fail without a mutant."""
    return run(jobs(), progress)


def run(jobs: Sequence[Job], progress: Callable[[int, int], None] = lambda done, of: None) -> list[tuple[Mutant, Fate]]:
    """The fate of some mutants."""
    _warm()
    sets = sorted({job.tests for job in jobs})
    for tests, by in each(lambda tests: _tested(tests, install_tests), sets, cpu_seconds=CPU_SECONDS):
        if by != "":
            raise CannotRun(f"{', '.join(tests)} must pass before mutants can be told: {by}")
    fates: dict[int, Fate] = {}
    for i, by in each(lambda i: _tested(jobs[i].tests, jobs[i].make), range(len(jobs)), cpu_seconds=CPU_SECONDS):
        fates[i] = (
            Fate(reached=True) if by == "" else Fate(FIRST, (), True, "died or hung" if isinstance(by, Died) else by)
        )
        progress(len(fates), len(jobs))
    return [(job.mutant, fates[i]) for i, job in enumerate(jobs)]


def _warm() -> None:
    """What all children need and no mutant changes is loaded here, once."""
    for name in ("pytest", "hypothesis", "cffi.cparser", "tomlkit", "tree_sitter", "tree_sitter_c"):
        import_module(name)


def install_tests(source: Source | None = None, change: Change | None = None) -> None:
    """Let the modules of skdiff and its tests be found, with a change, if there is one."""
    install(source, change, "skdiff", "tests")
    sys.path.insert(0, str(ROOT))


def _slip(slip: Slip) -> None:
    install_tests()
    slip.make()


def _tested(tests: Sequence[str], make: Callable[[], None]) -> str:
    """What fails first, "" if nothing does: the tests that take no arguments, as they are plain functions and need no
    pytest, and if they see nothing, all. For a child process.
    """
    _quiet()
    os.environ["HYPOTHESIS_PROFILE"] = PROFILE
    os.chdir(ROOT)
    name = "import"
    try:
        make()
        for file in tests:
            module = import_module(file.removesuffix(".py").replace("/", "."))
            for name, test in list(vars(module).items()):
                if name.startswith("test_") and _is_plain(test):
                    test()
    except BaseException as error:  # noqa: BLE001 - a mutant may raise anything, and so do tests
        return f"{name}: {type(error).__name__}"
    return _all_tested(tests)


def _is_plain(test: Callable[..., object]) -> bool:
    """Whether a test takes no arguments, and is not one of the long ones, which pytest leaves out as well."""
    long = any(mark.name == "long" for mark in getattr(test, "pytestmark", ()))
    return not (long or hasattr(test, "hypothesis") or signature(test).parameters)


def _quiet() -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for end in (0, 1, 2):
        os.dup2(nowhere, end)


class _First:
    """A plugin of pytest that remembers what failed first."""

    failed = ""

    def pytest_runtest_logreport(self, report: Any) -> None:
        """A phase of a test is over."""
        if report.failed:
            self.failed = self.failed or report.nodeid.rpartition("::")[2]

    def pytest_collectreport(self, report: Any) -> None:
        """A file of tests was imported."""
        if report.failed:
            self.failed = self.failed or "import"


def _all_tested(tests: Sequence[str]) -> str:
    import pytest

    first = _First()
    options = (
        *("-x", "-q", "--tb=no", "-p", "no:cacheprovider", "-p", "no:xdist"),
        *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # loaded before the tests, on purpose
    )
    code = pytest.main([*options, *tests], plugins=[first])
    return (first.failed or "import") if code else ""
