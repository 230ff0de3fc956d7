"""Every kept case agrees on both sides and meets its expectation, under its own name."""

import re
from collections import Counter

import pytest

from skdiff.base.paths import CORPUS
from skdiff.cases.case_file import load
from skdiff.cases.expectations import MODEL
from skdiff.cases.find_cases import files
from skdiff.findings.replay_cases import verdict
from skdiff.oracles.model import Model

PATHS = list(files([]))
# How many cases a folder has at least: those that people wrote never get fewer.
FEWEST = {"conformance": 96, "surprises": 24, "reports": 20, "mutants": 100, "seeds": 50}


def _folder(path):
    return path.relative_to(CORPUS).parts[0]


@pytest.mark.parametrize("path", PATHS, ids=[str(path.relative_to(CORPUS).with_suffix("")) for path in PATHS])
def test_kept_case(path, reference):
    case = load(path)
    assert verdict(case, reference, Model())[:2] == ("agreed", [])
    if _folder(path) == "conformance":
        assert case.why
        assert case.found["source"].startswith("tools/testing/selftests/")
        assert "sk" in case.expect


@pytest.mark.parametrize("path", PATHS, ids=[str(path.relative_to(CORPUS).with_suffix("")) for path in PATHS])
def test_a_kept_case_says_whom_its_expectation_is_from(path):
    case = load(path)
    assert case.expect
    assert case.said_by
    assert (case.said_by == "selftest") == (_folder(path) == "conformance")
    assert (case.said_by == "report") == (_folder(path) == "reports")
    assert (case.said_by == "document") == ("Documentation/" in case.why)
    assert (case.said_by == "running kernel") == ("running Linux" in case.found.get("seen", ""))
    if case.why.startswith(("Tells ", "Covers what no other seed does")):  # skdiff wrote it
        assert case.said_by == MODEL


@pytest.mark.parametrize("path", sorted((CORPUS / "reports").glob("*.toml")), ids=lambda path: path.stem)
def test_a_report_is_short_in_words_and_has_its_address(path):
    text = path.read_text()
    assert len([line for line in text.splitlines() if line]) <= 15
    assert "\npacket = " in text
    assert re.search(r"https://github\.com/[\w.-]+/[\w.-]+/(issues|pull)/\d+$", load(path).why)


def test_no_folder_of_the_corpus_has_lost_its_cases():
    count = Counter(map(_folder, PATHS))
    assert {folder for folder in FEWEST if count[folder] < FEWEST[folder]} == set()
    assert sum(count.values()) == len(list(CORPUS.glob("*/**/*.toml")))


def test_side_effects_are_expected_from_outside_the_model():
    """What only the model says of a side effect, nobody checks."""
    cases = [load(path) for path in PATHS]
    told = Counter(field for case in cases if case.said_by != MODEL for field in case.expect)
    fewest = {"shown": 30, "freed": 10, "sections": 10, "refcnt": 30, "skb_data_len": 4, "skb_users": 3, "clones": 3}
    assert {field for field in fewest if told[field] < fewest[field]} == set()
