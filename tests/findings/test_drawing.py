"""The drawing of a case: what is in it, what has an arrow, and that its text fits its boxes."""

import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from skdiff.base.errors import CannotRun
from skdiff.cases import find_cases
from skdiff.cases.addresses import mapped
from skdiff.cases.case_file import Case, dump, load
from skdiff.cases.scenario import (
    AT_NODE,
    COMES,
    EHASH,
    LEAVES,
    NONE,
    TCP_ESTABLISHED,
    Event,
    Group,
    Packet,
    Scenario,
    Sock,
)
from skdiff.cases.steps import Step
from skdiff.cli import main
from skdiff.comparison.mismatch_text import describe_case
from skdiff.findings.drawing import FIRST, GREEN, SECOND, Side, draw, drawing, read_sides, sides_text, svg
from skdiff.oracles.model import Model
from tests.helpers import listener

CONNECTED = Sock(
    state=TCP_ESTABLISHED, hashed=EHASH, daddr=mapped(0x0A000001), rcv_saddr=mapped(0x0A000002), dport=40000, num=80
)
NO_DOT = pytest.mark.skipif(shutil.which("dot") is None, reason="no dot of Graphviz, which draws")


def answer(name, sk, *before):
    return Side(name, [*before, Step("__inet_lookup_skb", (sk,))])


def searched(daddr, sk):
    return Step("inet_lhash2_lookup", (daddr, sk))


def edges(case, *sides):
    """(from, to) of each edge that is an arrow."""
    lines = [line for line in drawing(case, sides).source.splitlines() if "->" in line]
    shown = (line for line in lines if "dir=none" not in line and "style=invis" not in line)
    return [tuple(re.match(r"\s*(\w+) -> (\w+)", line).groups()) for line in shown]


def test_both_winners_are_shown_and_labelled():
    case = Case(Scenario(socks=(listener(), listener())))
    sides = answer("Linux 6.12", 0, searched(0, 0)), answer("model", 1, searched(0, 1))
    source = drawing(case, sides).source
    assert re.search(rf"sock0 \[label=.*fillcolor=\"{FIRST}\"", source)
    assert re.search(rf"sock1 \[label=.*fillcolor=\"{SECOND}\"", source)
    assert re.search(rf"end0 \[label=<<b>Linux 6.12</b><br/>gets the packet> fillcolor=\"{FIRST}\"", source)
    assert re.search(rf"end1 \[label=<<b>model</b><br/>gets the packet> fillcolor=\"{SECOND}\"", source)
    assert {("sock0", "end0"), ("sock1", "end1")} <= set(edges(case, *sides))


def test_sides_that_agree_have_one_sign():
    case = Case(Scenario(socks=(listener(),)))
    source = drawing(case, [answer("kernel", 0), answer("model", 0)]).source
    assert "<<b>kernel and model</b><br/>gets the packet>" in source
    assert "end1" not in source
    assert source.count(GREEN) == 1


def test_nobody_and_no_answer_are_different_things():
    case = Case(Scenario(socks=(listener(),)))
    source = drawing(case, [Side("kernel", [Step("compute_score", (0, 2))]), answer("model", NONE)]).source
    assert "<<b>kernel</b><br/>no answer: it does not return>" in source
    assert "<<b>model</b><br/>nobody gets the packet>" in source


def test_only_tables_that_were_searched_have_arrows():
    case = Case(Scenario(socks=(CONNECTED, listener())))
    established = Step("__inet_lookup_established", (0,))
    assert edges(case, answer("model", 0, established)) == [("skb", "ehash"), ("ehash", "sock0"), ("sock0", "end0")]
    source = drawing(case, [answer("model", 0, established)]).source
    assert "lhash2 [label=<<b>lhash2</b><br/>not searched>" in source
    found = edges(case, answer("model", 1, Step("__inet_lookup_established", (NONE,)), searched(0, 1)))
    assert {("skb", "ehash"), ("skb", "lhash2"), ("lhash2", "sock1")} <= set(found)
    only = edges(Case(Scenario(socks=(listener(),))), answer("model", NONE))
    assert only == []


def test_a_table_that_one_side_searched_says_which():
    case = Case(Scenario(socks=(listener(),)))
    source = drawing(case, [answer("kernel", 0, searched(0x0A000002, NONE), searched(0, 0)), answer("model", NONE)])
    assert "lhash2 [label=<<b>lhash2</b><br/>by kernel only>" in source.source
    assert 'skb -> lhash2 [label="for 10.0.0.2\nthen 0.0.0.0"]' in source.source


def test_a_bold_arrow_leads_to_what_a_search_found():
    """Not to whom it refused, nor to who scored less; where a group answered, to the socket whose group was asked."""
    member = listener(reuseport=1, group=0)
    scenario = Scenario(
        socks=(member, member, listener(bound_dev_if=7), CONNECTED._replace(dport=7)),
        groups=(Group(num_socks=2, bind_inany=1, slots=(0, 1)),),
        hash_secret=4,
    )
    assert Model().run(scenario).sk == 0
    source = drawing(Case(scenario), [Side("model", Model().trace(scenario))]).source
    bold = re.findall(r"(\w+) -> (sock\d) \[penwidth=2\]", source)
    assert bold == [("lhash2", "sock1")]
    assert re.findall(r"(\w+) -> (sock\d) \[penwidth=1\]", source) == [
        ("ehash", "sock3"),
        ("lhash2", "sock0"),
        ("lhash2", "sock2"),
    ]
    refused = Scenario(socks=(listener(bound_dev_if=7),))
    assert "penwidth=2" not in drawing(Case(refused), [Side("model", Model().trace(refused))]).source


def test_the_boxes_have_state_ends_and_device():
    bound = CONNECTED._replace(bound_dev_if=7)
    source = drawing(Case(Scenario(packet=Packet(sdif=3), socks=(bound, listener()))), [answer("model", 0)]).source
    assert "<br/>ESTABLISHED<br/>at 10.0.0.2:80<br/>peer 10.0.0.1:40000<br/>device 7>" in source
    assert "<br/>LISTEN<br/>at *:80<br/>any device>" in source
    assert "<br/>from 10.0.0.1:40000<br/>to 10.0.0.2:80<br/>device 1, sdif 3>" in source


@pytest.mark.parametrize(
    ("name", "there", "later", "table"),
    [
        ("child-replaces-request-under-the-walk", "request", "child", "ehash"),
        ("comes-and-is-chosen", "first", "second", "lhash2"),
        ("udp-comes-in-time", "", "server", "UDP's tables"),
    ],
)
def test_who_comes_later_is_in_no_table_before(name: str, there: str, later: str, table: str) -> None:
    case = load(find_cases.file(Path(f"corpus/races/{name}.toml")))
    told = {line.partition(":")[0]: line for line in describe_case(case)}
    assert f", comes into {table} of namespace 0 later" in told[later]
    assert f", in {table}" not in told[later]
    sides = [Side("model", Model().trace(case.scenario))]
    lines = drawing(case, sides).source.splitlines()
    [line] = [line for line in lines if re.search(rf"-> sock{case.socks.index(later)} .*comes later", line)]
    assert "style=dashed" in line
    if there:
        assert f", in {table} of namespace 0" in told[there]
        [line] = [line for line in lines if re.search(rf"{table} -> sock{case.socks.index(there)} ", line)]
        assert "dashed" not in line


def test_who_comes_later_into_a_table_that_nobody_searches_has_no_arrow() -> None:
    comes = Event(point=AT_NODE, action=COMES, sk=1)
    source = drawing(Case(Scenario(socks=(listener(), CONNECTED), events=(comes,))), [answer("kernel", 0)]).source
    [line] = [line for line in source.splitlines() if "ehash -> sock1" in line]
    assert all(part in line for part in ('label="comes later"', "dir=none", "style=dotted"))


def test_an_event_has_its_moment_and_an_arrow_to_whom_it_happens():
    leaves = Event(point=AT_NODE, action=LEAVES, at=1, sk=1)
    case = Case(Scenario(socks=(listener(), CONNECTED), events=(leaves,)))
    source = drawing(case, [answer("kernel", 0)]).source
    assert re.search(r"event1 \[label=<<b>event 1</b><br/>when the link to established1 has been read", source)
    assert ("event1", "sock1") in edges(case, answer("kernel", 0))
    assert ("event1", "sock0") not in edges(case, answer("kernel", 0))


def test_names_are_text_and_no_markup():
    case = Case(Scenario(socks=(listener(),)), socks=("a<b>&:\\N",))
    assert "<b>a&lt;b&gt;&amp;:\\N</b>" in drawing(case, [answer("<model>", 0)]).source
    assert "<b>&lt;model&gt;</b>" in drawing(case, [answer("<model>", 0)]).source


def test_sides_are_read_as_they_were_written():
    sides = [answer("kernel", 0, searched(0, 0)), answer("model", NONE)]
    assert read_sides(sides_text(sides)) == sides
    for text in ("{}x", "[1]", '{"name": "a"}'):
        with pytest.raises((KeyError, TypeError, ValueError)):
            read_sides(text)


@NO_DOT
def test_the_text_is_inside_its_box():
    """A character is 0.6 em wide; the boxes are what dot made of it."""
    boxes = 0
    for path in list(find_cases.files([]))[::20]:
        case = load(path)
        text = svg(case, [Side("model", Model().trace(case.scenario))])
        for node in ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}g"):
            shape = node.find("{http://www.w3.org/2000/svg}polygon")
            if node.get("class") != "node" or shape is None:
                continue
            xs = [float(point.split(",")[0]) for point in shape.get("points").split()]
            for words in node.iter("{http://www.w3.org/2000/svg}text"):
                width = 0.602 * float(words.get("font-size")) * len(words.text)
                left = float(words.get("x")) - {"start": 0, "middle": 0.5, "end": 1}[words.get("text-anchor")] * width
                assert min(xs) <= left
                assert left + width <= max(xs)
                boxes += 1
    assert boxes > 100


@NO_DOT
def test_explain_draws_a_picture(tmp_path):
    path = tmp_path / "case.toml"
    path.write_text(dump(Case(Scenario(socks=(listener(),)))))
    assert main(["explain", str(path), "--svg", str(tmp_path / "out.svg")]) == 0
    assert "gets the packet" in (tmp_path / "out.svg").read_text()


def test_a_machine_without_dot_is_told_in_one_line(monkeypatch, tmp_path):
    case, sides = Case(Scenario(socks=(listener(),))), [answer("model", 0)]
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotRun, match=r"^no dot to draw with: install graphviz, or use --dot$"):
        draw(tmp_path / "out.svg", case, sides, "svg")
    assert svg(case, sides) == ""
    draw(tmp_path / "out.dot", case, sides)
    assert "lhash2" in (tmp_path / "out.dot").read_text()
