"""Cases in words: what they derive is reachable, is what the kernel's own functions make, and is written again."""

from collections import Counter
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from skdiff.base.errors import CannotRun
from skdiff.base.paths import CORPUS
from skdiff.cases import raw_format, wire, words_writing
from skdiff.cases.case import Case
from skdiff.cases.case_file import load, parse
from skdiff.cases.find_cases import files
from skdiff.cases.reachable import unreachable
from skdiff.cases.validity import problems
from skdiff.comparison.compare import compare
from skdiff.oracles.model import Model
from tests.arbitrary import any_bytes
from tests.words_texts import words_texts

# How many of 100 cases that are not hostile can be said in words at least; what cannot is told by `skdiff convert`.
FEWEST = {"conformance": 95, "surprises": 60, "mutants": 80, "seeds": 80, "reports": 100}
DRAWN_FEWEST = 8  # of 100 that are drawn at random


def said(case: Case) -> Case | None:
    """The case as its words are read, if it can be said in words."""
    try:
        text = words_writing.dump(case)
    except words_writing.NotInWords:
        return None
    return parse(text)


def refusal(text: str) -> list[str]:
    """The lines with which a text is refused; none if it is taken."""
    try:
        parse(text, "x")
    except CannotRun as error:
        return str(error).splitlines()
    return []


def test_the_corpus_is_the_same_in_both_formats() -> None:
    """But for hostile cases, and those that words cannot say."""
    can, all_of = Counter[str](), Counter[str]()
    for path in files([]):
        case = load(path)
        in_raw = parse(raw_format.dump(case))
        assert (in_raw.scenario, in_raw.socks) == (case.scenario, case.socks), path
        if case.scenario.hostile:
            continue
        folder = path.relative_to(CORPUS).parts[0]
        all_of[folder] += 1
        in_words = said(case)
        if in_words is None:
            continue
        can[folder] += 1
        for read in (in_words, in_raw):
            assert read.scenario == case.scenario, path
            assert (read.why, read.needs, read.socks) == (case.why, case.needs, case.socks), path
            assert (read.expect, read.said_by, dict(read.found)) == (case.expect, case.said_by, dict(case.found)), path
    assert {folder for folder, fewest in FEWEST.items() if can[folder] * 100 < fewest * all_of[folder]} == set()


@given(any_bytes)
def test_what_is_drawn_is_read_as_it_was_written(data: bytes) -> None:
    scenario = wire.decode(data)
    read = said(Case(scenario))
    if scenario.hostile:
        assert read is None
    if read is not None:
        assert read.scenario == scenario


def test_so_much_of_what_is_drawn_can_be_said() -> None:
    draw = Random(4).randbytes
    drawn = [scenario for _ in range(600) if not (scenario := wire.decode(draw(wire.SIZE))).hostile]
    count = sum(said(Case(scenario)) is not None for scenario in drawn)
    assert count * 100 >= DRAWN_FEWEST * len(drawn), (count, len(drawn))


FIVE_GROUPS = """
version = 1
packet = "[2001:db8::1]:40000 -> [2001:db8::2]:80"
proto = "tcp"
in = "eth0"
[devices]
eth0 = 2
""" + "".join(f'[[listener]]\nname = "s{i}"\nlisten = "[2001:db8::2]:{80 + i}"\nreuseport = true\n' for i in range(5))


@settings(max_examples=150)
@given(words_texts())
@example(FIVE_GROUPS)
def test_what_words_derive_is_reachable_and_said_again(text: str) -> None:
    if lines := refusal(text):
        reasons = ("EADDRINUSE", "there is room for", "skdiff does not have such groups")
        assert any(reason in line for line in lines for reason in reasons), (text, lines)
        return
    case = parse(text)
    assert not problems(case.scenario)
    assert not list(unreachable(case.scenario))
    again = said(case)
    if again is not None:
        assert (again.scenario, again.socks) == (case.scenario, case.socks)
    assert parse(raw_format.dump(case)).scenario == case.scenario


@settings(max_examples=100, deadline=None)
@given(words_texts())
def test_the_kernels_own_functions_make_the_same_groups(reference, text: str) -> None:
    """The driver puts sockets into groups by them, and reports a group that is not as the case says."""
    if refusal(text):
        return
    case = parse(text)
    outcomes = [reference.run(case.scenario), Model().run(case.scenario)]
    assert compare(["kernel", "model"], outcomes) is None


@pytest.mark.parametrize("name", ["worker_of_the_cpu", "vrf_global_listener", "half_open_of_a_closed_listener"])
def test_a_report_is_the_same_by_way_of_the_raw_format(name: str) -> None:
    case = load(CORPUS / "reports" / f"{name}.toml")
    raw = parse(raw_format.dump(case))
    assert (raw.scenario, raw.expect, raw.said_by) == (case.scenario, case.expect, case.said_by)


@given(st.text(max_size=60))
def test_any_text_is_a_case_or_refused_with_lines(text: str) -> None:
    assert all(line.startswith("x:") for line in refusal(text))
