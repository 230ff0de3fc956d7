"""Every kept case agrees on both sides and meets its expectation, under its own name."""

import pytest

from skdiff.base.paths import CORPUS
from skdiff.cases.case_file import load
from skdiff.cases.find_cases import files
from skdiff.findings.replay_cases import verdict
from skdiff.oracles.model import Model

PATHS = list(files([]))


@pytest.mark.parametrize("path", PATHS, ids=[str(path.relative_to(CORPUS).with_suffix("")) for path in PATHS])
def test_kept_case(path, reference):
    case = load(path)
    assert verdict(case, reference, Model())[:2] == ("agreed", [])
    if "conformance" in path.parts:
        assert case.why
        assert case.found["source"].startswith("tools/testing/selftests/")
        assert "sk" in case.expect


def test_the_corpus_is_not_empty():
    assert len(PATHS) > 90
