"""Hypothesis's profiles: what is in force where, and that a failure of the night is the first example elsewhere."""

import json
import os
import socket
import subprocess
import sys
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.database import DirectoryBasedExampleDatabase, MultiplexedDatabase, ReadOnlyDatabase

from tests import profiles

ROOT = Path(__file__).parent.parent
PATHS = f"{ROOT / 'harness'}:{ROOT}"
# Each profile as a process sees it, the one in force first.
PROFILES = """
import json
from hypothesis import settings
from tests import conftest
names = ("derandomize", "database", "deadline", "print_blob", "max_examples", "suppress_health_check", "phases",
    "report_multiple_bugs", "stateful_step_count", "verbosity", "backend")
told = {p: {n: repr(getattr(settings.get_profile(p), n)) for n in names} for p in ("dev", "ci", "nightly", "mutants")}
assert all(repr(getattr(settings(), n)) == told[settings.get_current_profile_name()][n] for n in names)
print(json.dumps([settings.get_current_profile_name(), told]))
"""


def environment(**more):
    """This process's, without what chooses a profile."""
    ours = ("CI", "HYPOTHESIS_PROFILE", "SKDIFF_EXAMPLES", "GITHUB_TOKEN", "PYTEST_ADDOPTS", profiles.VARIABLE)
    return {key: value for key, value in os.environ.items() if key not in ours and "XDIST" not in key} | more


def seen(storage, **variables):
    env = environment(HYPOTHESIS_STORAGE_DIRECTORY=str(storage), PYTHONPATH=PATHS, **variables)
    return json.loads(subprocess.check_output([sys.executable, "-c", PROFILES], env=env, cwd=ROOT, text=True))


def test_the_nights_profile_is_not_that_of_ci(tmp_path):
    """Under $CI Hypothesis loads its own profile first; what inherits from it finds the same every night, and keeps
    nothing."""
    night = {"HYPOTHESIS_PROFILE": "nightly", "SKDIFF_EXAMPLES": "500"}
    name, told = seen(tmp_path, CI="true", **night)
    assert (name, told) == tuple(seen(tmp_path, **night))
    kept = repr(DirectoryBasedExampleDatabase(tmp_path / "examples"))
    assert {"derandomize": "False", "database": kept, "max_examples": "500"}.items() <= told["nightly"].items()
    assert {"derandomize": "False", "database": kept, "max_examples": "100"}.items() <= told["dev"].items()
    assert {"derandomize": "True", "database": "None", "max_examples": "100"}.items() <= told["ci"].items()
    assert {"derandomize": "True", "database": "None", "max_examples": "25"}.items() <= told["mutants"].items()
    assert {profile["deadline"] for profile in told.values()} == {"None"}


def test_who_chooses_no_profile_gets_the_developers_or_that_of_ci(tmp_path):
    assert seen(tmp_path)[0] == "dev"
    assert seen(tmp_path, CI="true")[0] == "ci"


# --- the nights' examples, elsewhere ---


def artifact(examples, storage, repository="owner/repo", age=timedelta()):
    """A folder of examples as GitHubArtifactDatabase keeps what it has fetched: the folder's own content, zipped."""
    folder = storage / "github-artifacts" / repository
    folder.mkdir(parents=True, exist_ok=True)
    name = (datetime.now(UTC) - age).isoformat().replace(":", "_")
    with zipfile.ZipFile(folder / f"{name}.zip", "w") as file:
        for path in sorted(examples.rglob("*")):
            file.write(path, path.relative_to(examples))
    return folder / f"{name}.zip"


@pytest.fixture
def storage(tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(profiles, "STORAGE", tmp_path / "here")
        yield tmp_path / "here"
    profiles.register()  # for the tests after this one


def test_what_a_night_stored_is_read_and_never_written(storage, tmp_path):
    night = DirectoryBasedExampleDatabase(tmp_path / "night")
    night.save(b"key", b"found at night")
    (tmp_path / "night" / "night").write_text("the mark that the workflow leaves, so that no artifact is empty\n")
    kept = artifact(tmp_path / "night", storage)
    before = kept.read_bytes()

    nights = profiles.of_the_nights("owner/repo")
    assert profiles.reached(nights) == (True, "")
    profiles.register(nights)
    assert settings.get_profile("nightly").database == profiles.local()
    database = settings.get_profile("dev").database
    assert database == MultiplexedDatabase(profiles.local(), ReadOnlyDatabase(nights))
    assert set(database.fetch(b"key")) == {b"found at night"}

    database.save(b"key", b"found here")
    assert set(database.fetch(b"key")) == {b"found at night", b"found here"}
    assert set(profiles.local().fetch(b"key")) == {b"found here"}
    database.delete(b"key", b"found at night")
    database.move(b"key", b"other", b"found at night")
    assert b"found at night" in set(database.fetch(b"key"))
    assert kept.read_bytes() == before
    assert list(kept.parent.iterdir()) == [kept]


def test_repositories_are_kept_apart(storage, tmp_path):
    DirectoryBasedExampleDatabase(tmp_path / "night").save(b"key", b"value")
    artifact(tmp_path / "night", storage, "fork/repo")
    assert profiles.of_the_nights("owner/repo").path != profiles.of_the_nights("fork/repo").path
    assert set(profiles.of_the_nights("fork/repo").fetch(b"key")) == {b"value"}


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*arguments, **named):
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def test_without_network_an_old_artifact_will_do(no_network, storage, tmp_path):
    DirectoryBasedExampleDatabase(tmp_path / "night").save(b"key", b"value")
    artifact(tmp_path / "night", storage, age=2 * profiles.FRESH)
    nights = profiles.of_the_nights("owner/repo")
    there, wrong = profiles.reached(nights)
    assert there
    assert "Could not connect to GitHub" in wrong
    assert set(nights.fetch(b"key")) == {b"value"}
    assert set(profiles.of_the_nights("owner/repo", timedelta.max).fetch(b"key")) == {b"value"}  # as xdist's workers


def test_without_network_and_artifact_there_is_none(no_network, storage):
    there, wrong = profiles.reached(profiles.of_the_nights("owner/repo"))
    assert not there
    assert "Could not connect to GitHub" in wrong
    assert "\n" not in wrong


def test_artifacts_that_cannot_be_read(no_network, storage, tmp_path):
    (tmp_path / "empty").mkdir()
    artifact(tmp_path / "empty", storage).write_bytes(b"no zip")
    there, wrong = profiles.reached(profiles.of_the_nights("owner/repo"))
    assert (there, "invalid" in wrong) == (False, True)
    (storage / "github-artifacts/other/repo").mkdir(parents=True)
    (storage / "github-artifacts/other/repo/somebody's.zip").touch()
    there, wrong = profiles.reached(profiles.of_the_nights("other/repo"))
    assert (there, wrong.startswith("ValueError: ")) == (False, True)


# --- a test that fails at night ---

CONFTEST = """
from tests import profiles
from tests.profiles import pytest_sessionstart
profiles.register()
"""
# What shrinks to this at night is a failure elsewhere too, which nobody finds by chance; more than this, soon.
FOUND = 2**40 + 12345
TEST = """
import os
from tests.test_profiles import FOUND
from hypothesis import given, strategies as st
@given(st.integers(0, 2**64 - 1))
def test_it(value):
    with open(os.environ["TRIED"], "a") as file:
        print(value, file=file)
    if os.environ["HYPOTHESIS_PROFILE"] == "nightly":
        assert value < FOUND, "more than that"
    assert value != FOUND, "what the night found"
"""


def pytest_run(folder, storage, *arguments, **variables):
    """What pytest says of the test above, and the values that it tried."""
    tried = folder / "tried"
    tried.unlink(missing_ok=True)
    env = environment(
        HYPOTHESIS_STORAGE_DIRECTORY=str(storage),
        PYTHONPATH=PATHS,
        TRIED=str(tried),
        **variables,
    )
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", *arguments]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    values = [int(line) for line in tried.read_text().split()] if tried.exists() else []
    return done.returncode, done.stdout + done.stderr, values


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_it.py").write_text(TEST)
    return folder


def test_a_failure_of_the_night_is_the_first_example_here(project, tmp_path):
    night, here = tmp_path / "night", tmp_path / "here"
    status, _, _ = pytest_run(project, night, CI="true", HYPOTHESIS_PROFILE="nightly", SKDIFF_EXAMPLES="200")
    assert status == 1
    kept = artifact(night / "examples", here)
    status, said, values = pytest_run(project, here, HYPOTHESIS_PROFILE="dev")
    assert status == 0, said
    status, said, values = pytest_run(
        project, here, "-n", "1", HYPOTHESIS_PROFILE="dev", SKDIFF_NIGHTLY_DB="owner/repo"
    )
    assert status == 1, said
    assert values[0] == FOUND
    assert said.count("failing examples of owner/repo's nights: read, never written") == 1
    assert list(kept.parent.iterdir()) == [kept]
    # What failed is kept here as well, until it no longer fails here.
    status, said, values = pytest_run(project, here, HYPOTHESIS_PROFILE="dev")
    assert (status, values[0]) == (1, FOUND)


def test_the_tests_run_where_there_is_no_network(project, tmp_path):
    nowhere = {"https_proxy": "http://127.0.0.1:1", "HTTPS_PROXY": "http://127.0.0.1:1", "no_proxy": "", "NO_PROXY": ""}
    status, said, values = pytest_run(
        project, tmp_path, HYPOTHESIS_PROFILE="dev", SKDIFF_NIGHTLY_DB="owner/repo", **nowhere
    )
    assert status == 0, said
    assert len(values) == 100
    [line] = [line for line in said.splitlines() if "owner/repo" in line]
    assert line.startswith("failing examples of owner/repo's nights: none, Could not connect to GitHub")


@pytest.mark.parametrize("repository", ["owner", "owner/", "a/b/c", "https://x/y", "../..", "o/..", " o/r"])
def test_what_names_no_repository(repository):
    with pytest.raises(pytest.UsageError, match="that is no OWNER/REPOSITORY"):
        profiles.of_the_nights(repository)


def test_what_names_no_repository_is_one_line(project, tmp_path):
    status, said, values = pytest_run(project, tmp_path, HYPOTHESIS_PROFILE="dev", SKDIFF_NIGHTLY_DB="nonsense")
    assert (status, values) == (pytest.ExitCode.USAGE_ERROR, [])
    assert "ERROR: SKDIFF_NIGHTLY_DB=nonsense: that is no OWNER/REPOSITORY" in said
    assert "Traceback" not in said


def test_other_profiles_ask_nobody(project, tmp_path):
    status, said, _ = pytest_run(project, tmp_path, HYPOTHESIS_PROFILE="ci", SKDIFF_NIGHTLY_DB="owner/repo")
    assert status == 0, said
    assert "owner/repo" not in said
