"""Cases of the lookup of IPv6 as a reader meets them: told, explained, drawn, and replayed where it is there or not."""

import json

import pytest

from skdiff.cases.addresses import MAPPED_ANY, from_text
from skdiff.cases.case_file import Case, dump
from skdiff.cases.scenario import (
    AF_INET6,
    LEAVE,
    SK_DROP,
    SK_PASS,
    TCP6,
    Group,
    Netns,
    Packet,
    Program,
    Scenario,
)
from skdiff.cli import main
from skdiff.comparison.mismatch_text import describe_case
from skdiff.comparison.parting import culprit
from skdiff.findings.drawing import Side, drawing
from skdiff.findings.explain import explanation
from skdiff.findings.story import story
from skdiff.oracles.model import Model
from skdiff.oracles.model.functions import FUNCTIONS
from skdiff.oracles.reference import Reference
from tests.helpers import HERE, connection, listener, scenario
from tests.patched import Patch, patched_tree
from tests.running import made

PACKET = Packet(from_text("2001:db8::1"), from_text("2001:db8::2"))
ENDS = {"family": AF_INET6, "rcv_saddr": PACKET.daddr, "daddr": PACKET.saddr}
WILDCARD = listener(family=AF_INET6)
EXACT = listener(family=AF_INET6, rcv_saddr=PACKET.daddr, ipv6only=1)
NO_IPV6 = ["--config", "IPV6=n"]


def ipv6(*socks, **fields) -> Scenario:
    return scenario(*socks, lookup=TCP6, **{"packet": PACKET, **fields})


@pytest.fixture(scope="module")
def traced(kernel_tree):
    return Reference(made("6.12", "traced"))


# --- words ---


def test_an_address_of_ipv6_has_brackets():
    mapped_any = listener(family=AF_INET6, rcv_saddr=MAPPED_ANY)
    lines = describe_case(Case(ipv6(connection(**ENDS), EXACT, WILDCARD, mapped_any, listener(rcv_saddr=HERE))))
    assert lines[0].startswith("packet: [2001:db8::1]:40000 to [2001:db8::2]:80 in namespace 0,")
    assert "AF_INET6 tcp ESTABLISHED, [2001:db8::2]:80 from [2001:db8::1]:40000, in ehash" in lines[1]
    for line, end in zip(lines[2:6], ("[2001:db8::2]:80", "*:80", "[::ffff:0:0]:80", "10.0.0.2:80"), strict=True):
        assert f" LISTEN, {end}, in lhash2" in line.replace("[::ffff:0.0.0.0]", "[::ffff:0:0]")


def test_an_ipv4_case_has_none():
    assert not any("[" in line.split(", in")[0] for line in describe_case(Case(scenario(connection(), listener())))[:3])


# --- stories ---


def told(case, **names):
    return " ".join(story(Case(case, **names), Model().trace(case)))


def test_a_story_has_the_names_of_ipv6_s_functions_and_says_why_others_lose():
    text = told(ipv6(listener(), EXACT._replace(num=81), WILDCARD, WILDCARD._replace(bound_dev_if=7)))
    assert "listener0 is of AF_INET" in text
    assert "listener1 listens on port 81" in text
    assert "inet6_lhash2_lookup(): among listeners on 2001:db8::2 nobody is found" in text
    assert "inet6_lhash2_lookup(): among listeners on the wildcard :: listener2 wins" in text
    assert text.endswith("__inet6_lookup_skb(): listener2 gets the packet.")
    assert "inet_lhash2_lookup()" not in text
    assert "IPv6 only" not in text


def test_a_story_of_nobody_and_of_a_connection():
    assert told(ipv6()).endswith("Nobody gets the packet.")
    text = told(ipv6(connection(**ENDS)))
    assert "__inet6_lookup_established()" in text
    assert text.endswith("__inet6_lookup_skb(): established0 gets the packet.")


def test_a_listener_that_is_for_ipv6_only_does_not_lose_for_that():
    both = (WILDCARD._replace(ipv6only=1),)
    assert "__inet6_lookup_skb(): listener0 gets the packet." in told(ipv6(*both))
    assert "compute_score(): listener0 may not have the packet" in told(scenario(*both))


RUNNING = {"netns": (Netns(run_array=1, progs=(Program(SK_DROP, LEAVE), Program(SK_PASS, 0))),), "sk_lookup_enabled": 1}
CASES = [
    ipv6(),
    ipv6(connection(**ENDS), WILDCARD),
    ipv6(WILDCARD, EXACT, EXACT._replace(incoming_cpu=0)),
    ipv6(WILDCARD._replace(num=81), EXACT, **RUNNING),
    ipv6(*[WILDCARD._replace(reuseport=1, group=0)] * 2, groups=(Group(num_socks=2, bind_inany=1, slots=(0, 1)),)),
    ipv6(listener(), WILDCARD, packet=PACKET._replace(skb_iif=2, sdif=3)),
]


@pytest.mark.parametrize("case", CASES)
def test_both_sides_take_the_same_steps(case, traced):
    found = explanation(Case(case), traced, Model())
    assert (found.mismatch, found.parted.at) == (None, None)
    assert traced.trace(case) == Model().trace(case)
    assert all("inet_" not in step.function.replace("__", "") for step in Model().trace(case) if "6" in step.function)


def test_what_parts_in_the_twin_is_named_with_its_file(traced, kernel_tree, tmp_path):
    """compute_score() is there twice: the callers of IPv6's are IPv6's."""
    twin = FUNCTIONS[TCP6].score
    steps = Model().trace(ipv6(WILDCARD))
    at = next(i for i, step in enumerate(steps) if step.function == twin)
    changed = [*steps[:at], steps[at]._replace(values=(0, 9)), *steps[at + 1 :]]
    assert culprit(changed, steps, traced.build.callers) == twin
    assert not any(step.function == "compute_score" for step in steps)


# --- pictures ---


def test_the_drawing_has_the_addresses_that_were_searched():
    case = ipv6(listener(), WILDCARD, EXACT._replace(num=81))
    source = drawing(Case(case), [Side("model", Model().trace(case))]).source
    assert "<br/>from [2001:db8::1]:40000<br/>to [2001:db8::2]:80<br/>device 1>" in source
    assert 'skb -> lhash2 [label="for 2001:db8::2\nthen ::"]' in source
    assert "at [2001:db8::2]:81" in source
    assert "<<b>model</b><br/>gets the packet>" in source
    assert "sock1 -> end0" in source


def test_a_connection_is_drawn_from_its_own_table():
    case = ipv6(connection(**ENDS), WILDCARD)
    source = drawing(Case(case), [Side("model", Model().trace(case))]).source
    assert "ehash -> sock0" in source
    assert "lhash2 [label=<<b>lhash2</b><br/>not searched>" in source
    assert "at [2001:db8::2]:80<br/>peer [2001:db8::1]:40000" in source


def test_programs_are_drawn_where_they_ran():
    for case in (ipv6(WILDCARD, **RUNNING), ipv6(connection(**ENDS), **RUNNING)):
        source = drawing(Case(case), [Side("model", Model().trace(case))]).source
        assert ("program1" in source) == (case.socks[0] == WILDCARD)


# --- replay ---


@pytest.fixture
def files(tmp_path):
    six, four = tmp_path / "six.toml", tmp_path / "four.toml"
    six.write_text(dump(Case(ipv6(WILDCARD), expect={"sk": "listener0"}, said_by="model")))
    four.write_text(dump(Case(scenario(listener()), expect={"sk": "listener0"}, said_by="model")))
    return six, four


def replayed(tmp_path, *arguments):
    summary = tmp_path / "summary.json"
    code = main(["replay", *map(str, arguments), "--json", str(summary)])
    found = json.loads(summary.read_text())
    return code, [case["verdict"] for case in found["cases"]], found


def test_both_lookups_are_replayed(files, tmp_path, capsys):
    code, verdicts, _ = replayed(tmp_path, *files)
    assert (code, verdicts) == (0, ["agreed", "agreed"])
    assert "absent" not in capsys.readouterr().out


def test_a_lookup_that_a_configuration_has_not_is_absent_and_no_failure(files, tmp_path, capsys):
    code, verdicts, found = replayed(tmp_path, *NO_IPV6, *files)
    assert (code, verdicts) == (0, ["absent", "agreed"])
    assert "2 cases, 1 agreed, 1 absent" in capsys.readouterr().out
    [why] = found["cases"][0]["why"]
    assert why.startswith("tcp6 is not looked at")


def test_where_nothing_is_looked_at_there_is_no_verdict(files, tmp_path, capsys):
    assert replayed(tmp_path, *NO_IPV6, files[0])[:2] == (2, ["absent"])
    assert "1 case, 0 agreed, 1 absent" in capsys.readouterr().out


def test_a_run_without_ipv6_has_cases_of_ipv4_alone(tmp_path):
    assert made("6.12").lookups == ("tcp4", "tcp6", "udp4", "udp6")
    summary = tmp_path / "summary.json"
    command = ["fuzz", "--engine", "random", "--cases", "2000", "--seed", "3", *NO_IPV6, "--json", str(summary)]
    main(command)
    found = json.loads(summary.read_text())
    assert found["cases"] >= 2000
    assert found["mismatches"] == []


# --- findings ---

TWINS = [
    Patch("net/ipv6/inet6_hashtables.c", "compute_score", 0, "2", "1"),
    Patch("net/ipv6/inet6_hashtables.c", "inet6_lhash2_lookup", 0, ">", ">="),
    Patch("include/net/inet6_hashtables.h", "inet6_match", 0, "!", ""),
]


@pytest.mark.parametrize("patch", [TWINS[0], *(pytest.param(patch, marks=pytest.mark.long) for patch in TWINS[1:])])
def test_a_finding_names_the_patched_function_of_ipv6(patch, kernel_tree, tmp_path, capsys):
    tree = patched_tree(kernel_tree.path, tmp_path / "tree", patch)
    summary = tmp_path / "summary.json"
    command = ["fuzz", "--engine", "random", "--kernel", str(tree), "--cases", "6000", "--seed", "5"]
    command += ["--lookup", "tcp6"]  # UDP's lookup runs some of these functions too
    assert main([*command, "--json", str(summary), "--findings", str(tmp_path / "findings")]) == 1
    mismatches = json.loads(summary.read_text())["mismatches"]
    assert patch.function in mismatches[0]["signature"]
    for mismatch in mismatches:
        assert "tcp6" in (tmp_path / "findings" / mismatch["signature"] / "case.toml").read_text()
    assert f"{patch.function}():" in capsys.readouterr().out
