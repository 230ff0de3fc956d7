"""Hypothesis's profiles, and where the tests' failing examples are kept.

The database is a folder, .hypothesis/examples; the nightly run's is kept as an artifact of its workflow. Whoever sets
SKDIFF_NIGHTLY_DB=OWNER/REPOSITORY (and GITHUB_TOKEN, which GitHub wants for any artifact) reads that one too, so that a
failure of the night is the first example that the same test tries here. Nothing is ever written there.
"""

import http.client
import os
import re
import warnings
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.database import (
    DirectoryBasedExampleDatabase,
    ExampleDatabase,
    GitHubArtifactDatabase,
    MultiplexedDatabase,
    ReadOnlyDatabase,
)

ARTIFACT = "hypothesis-example-db"  # as .github/workflows/nightly.yml names it
VARIABLE = "SKDIFF_NIGHTLY_DB"
FRESH = timedelta(hours=1)  # after which an artifact is looked for again: there is one each night
STORAGE = Path(os.environ.get("HYPOTHESIS_STORAGE_DIRECTORY") or Path(__file__).parent.parent / ".hypothesis")


def local() -> ExampleDatabase:
    """This machine's own examples."""
    return DirectoryBasedExampleDatabase(STORAGE / "examples")


def of_the_nights(repository: str, fresh: timedelta = FRESH) -> GitHubArtifactDatabase:
    """What the nights of OWNER/REPOSITORY found; kept here, apart from those of other repositories."""
    if not re.fullmatch(r"[\w-]+/[\w.-]*[\w-]", repository):
        raise pytest.UsageError(f"{VARIABLE}={repository}: that is no OWNER/REPOSITORY")
    folder = STORAGE / "github-artifacts" / repository
    return GitHubArtifactDatabase(*repository.split("/"), artifact_name=ARTIFACT, cache_timeout=fresh, path=folder)


def register(nights: ExampleDatabase | None = None) -> None:
    """All profiles; `nights` is what the developer's reads beside this machine's own examples."""
    shared = local() if nights is None else MultiplexedDatabase(local(), ReadOnlyDatabase(nights))
    # Where $CI is set Hypothesis has loaded a profile of its own, from which others would inherit that they try the
    # same examples each time and keep none. So each has `default` for a parent, and says all that CI's one says.
    parent = settings.get_profile("default")
    slow = [HealthCheck.too_slow]  # says more of a machine that others use too than of a test
    settings.register_profile(
        "dev",
        parent,
        derandomize=False,
        database=shared,
        deadline=None,
        print_blob=False,
        suppress_health_check=[],
        max_examples=100,
    )
    settings.register_profile(
        "ci",
        parent,
        derandomize=True,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=slow,
        max_examples=100,  # the night has many more
    )
    settings.register_profile(
        "nightly",
        parent,
        derandomize=False,
        database=local(),
        deadline=None,
        print_blob=True,
        suppress_health_check=slow,
        max_examples=int(os.environ.get("SKDIFF_EXAMPLES") or 20_000),
    )
    settings.register_profile(  # of mutants of the harness: what fails need not be told well
        "mutants",
        parent,
        derandomize=True,
        database=None,
        deadline=None,
        print_blob=False,
        suppress_health_check=slow,
        max_examples=25,
        phases=[Phase.explicit, Phase.generate],
        report_multiple_bugs=False,
    )
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))


def reached(nights: GitHubArtifactDatabase) -> tuple[bool, str]:
    """Fetch the newest artifact, unless it is here: whether there is one to read, and what is wrong, "" if nothing is.

    Hypothesis would warn within the tests, of which each would fail by it.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            list(nights.fetch(b""))
        except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
            return False, f"{type(error).__name__}: {error}"
    told = [" ".join(str(warning.message).split()) for warning in caught]
    return not told or "expired artifact" in told[-1], " ".join(told)


@pytest.hookimpl(trylast=True)  # after Hypothesis's, which wants no file touched before; xdist's comes last of all
def pytest_sessionstart(session: pytest.Session) -> None:
    """Get the nights' examples, once for all workers. Where that fails, one line says so, and tests run without."""
    repository = os.environ.get(VARIABLE)
    if not repository or settings.get_current_profile_name() != "dev":
        return
    if hasattr(session.config, "workerinput"):  # of xdist: what there is has been fetched by the one that started it
        register(of_the_nights(repository, timedelta.max))
        return
    nights = of_the_nights(repository)
    there, wrong = reached(nights)
    if there:
        register(nights)
    else:
        os.environ.pop(VARIABLE)
    line = f"failing examples of {repository}'s nights: {'' if there else 'none, '}{wrong or 'read, never written'}"
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None:
        terminal.write_line(line)
