"""The workflows: what `make lint` cannot see of them, and that they fit what the harness and its tests expect."""

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from skdiff.nightly import night
from tests import profiles

FOLDER = Path(__file__).parent.parent / ".github/workflows"
WORKFLOWS = {path.stem: YAML(typ="safe").load(path) for path in sorted(FOLDER.glob("*.yml"))}
JOBS = [
    pytest.param(name, job, id=f"{name}-{key}") for name, flow in WORKFLOWS.items() for key, job in flow["jobs"].items()
]


def words(value):
    """All texts in a part of a workflow."""
    if isinstance(value, dict):
        return [word for pair in value.items() for part in pair for word in words(part)]
    return [word for part in value for word in words(part)] if isinstance(value, list) else [str(value)]


@pytest.mark.parametrize(("workflow", "job"), JOBS)
def test_a_job_may_read_and_no_more(workflow, job):
    for rights in (WORKFLOWS[workflow]["permissions"], job.get("permissions", {})):
        assert set(rights.values()) <= {"read"}
    for step in job["steps"]:
        assert re.search(r"^[\w./-]+@[0-9a-f]{40}$", step.get("uses", f"run@{'0' * 40}"))
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False
        # The token goes to an action that takes one and nowhere else, least of all to a shell.
        told = {k: v for k, v in step.get("with", {}).items() if k != "github-token"}
        assert not any("secrets" in word or "github.token" in word for word in words({**step, "with": told}))
    assert "secrets" not in " ".join(words(job.get("env", {})))


@pytest.mark.parametrize(("workflow", "job"), JOBS)
def test_what_a_job_names_is_there(workflow, job):
    assert set(words(job.get("needs", []))) <= set(WORKFLOWS[workflow]["jobs"])
    matrix = job.get("strategy", {}).get("matrix", {})
    keys = {key for row in matrix.get("include", []) for key in row} | set(matrix)
    assert set(re.findall(r"matrix\.(\w+)", " ".join(words(job)))) <= keys


def test_every_step_of_a_night_is_in_one_part(monkeypatch):
    monkeypatch.setattr(night.atheris_engine, "available", lambda: True)  # as it is there
    parts = WORKFLOWS["nightly"]["jobs"]["part"]["strategy"]["matrix"]["include"]
    steps = list(night.plan(1440, Path("out"), Path("inputs"), 2))
    named = [step.name for part in parts for step in night.choose_steps(steps, part["steps"].split())]
    several = [name for name in named if name != "merge"]  # which is in each part that keeps inputs
    assert "merge" in named
    assert sorted([*several, "merge"]) == sorted(step.name for step in steps)


def test_the_parts_of_ci_are_parts_of_the_script():
    """Together they are all of it but the night, which has a workflow of its own, and the long tests."""
    script = (FOLDER.parent.parent / ".ci/run").read_text()
    parts, named = (re.search(rf"^{n}=\((.*)\)$", script, re.MULTILINE)[1].split() for n in ("PARTS", "NAMED"))
    assert all(re.search(rf"^{part}\(\) {{", script, re.MULTILINE) for part in (*parts, *named))
    matrix = WORKFLOWS["test"]["jobs"]["part"]["strategy"]["matrix"]
    rows = [*matrix["part"], *(row["part"] for row in matrix["include"])]
    assert {part for row in rows for part in row.split()} == {*parts, "test-long"} - {"night"}
    listed = re.search(r'^\twithout_tools make test ARGS="([^"]*)"', script, re.MULTILINE)[1]
    assert all((FOLDER.parent.parent / path).exists() for path in re.findall(r"tests/\S+", listed))


def test_no_part_hides_another_and_what_was_fetched_is_kept():
    for name in ("test", "nightly"):
        job = WORKFLOWS[name]["jobs"]["part"]
        assert job["strategy"]["fail-fast"] is False
        assert job["container"].startswith("debian:")  # other systems have no linux-source of these series
        kernels = [s for s in job["steps"] if s.get("with", {}).get("path") == "~/.cache/skdiff"]
        assert [s["uses"].split("@")[0] for s in kernels] == ["actions/cache/restore", "actions/cache/save"]
        assert len({s["with"]["key"] for s in kernels}) == 1
        assert "matrix.part" in kernels[0]["with"]["key"]
        assert kernels[1]["if"].startswith("always()")
    assert "branches" in (WORKFLOWS["test"].get("on") or WORKFLOWS["test"][True])["push"]


def test_the_nights_examples_are_where_they_are_looked_for():
    """An artifact of each night, also of one that failed, found nothing, or has nothing but a hidden folder."""
    job = WORKFLOWS["nightly"]["jobs"]["part"]
    [upload] = [s for s in job["steps"] if s.get("with", {}).get("name") == profiles.ARTIFACT]
    assert upload["if"] == "always() && matrix.part == 'hypothesis'"
    assert upload["with"]["include-hidden-files"] is True
    examples = ".hypothesis/examples"
    assert upload["with"]["path"] == examples
    [part] = [part for part in job["strategy"]["matrix"]["include"] if part["part"] == "hypothesis"]
    assert part["keeps"] == examples  # from night to night, until the failure is repaired
    before = job["steps"][job["steps"].index(upload) - 1]
    assert before["if"] == upload["if"]
    assert before["run"].endswith(f"> {examples}/night")
    merged = [s["with"]["pattern"] for s in WORKFLOWS["nightly"]["jobs"]["report"]["steps"] if "pattern" in str(s)]
    assert not any(fnmatchcase(profiles.ARTIFACT, pattern) for pattern in merged)
