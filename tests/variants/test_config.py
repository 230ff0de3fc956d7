"""Configurations: read as people and kernels write them, followed by both sides, and seen where they are wrong."""

from dataclasses import replace

import pytest

from skdiff.base.errors import CannotRun
from skdiff.cases.case_file import Case, load
from skdiff.cases.case_file import parse as read_case
from skdiff.cases.expectations import unmet
from skdiff.cases.fields import LOOKUPS
from skdiff.cases.find_cases import files
from skdiff.cases.scenario import AF_INET6, IPV6_LOOKUPS, PFREE, Packet
from skdiff.cli import main
from skdiff.findings.answer import answer
from skdiff.findings.explain import explanation
from skdiff.findings.replay_cases import verdict
from skdiff.kernel.build import build
from skdiff.kernel.summary import Kernel
from skdiff.oracles.model import Model
from skdiff.oracles.reference import Reference
from skdiff.variants import config
from skdiff.variants.config import MATRIX, Config, parse
from skdiff.variants.requirements import unmet_needs
from tests.helpers import connection, cookie, listener, mostly_long, scenario
from tests.patched import Edit, edited_tree
from tests.running import made
from tests.variants.test_version_rules import differ

# Options that change a rule; the others change only what the text looks like.
TELLING = ("ipv6", "l3mdev", "syn_cookies", "net_ns", "smp")


@pytest.mark.parametrize("options", mostly_long(MATRIX), ids=lambda options: str(options) or "default")
def test_a_configuration_is_clean_and_replays_the_corpus(options, kernel_tree):
    found = build(kernel_tree, config=options)
    assert found.config == options
    reference, model = Reference(found), Model(found.rules, options)
    assert differ(reference, model, 6000) is None
    assert found.lookups == (("tcp4", "tcp6", "udp4", "udp6") if options.ipv6 else ("tcp4", "udp4"))
    for path in files([]):
        case = load(path)
        if LOOKUPS[case.scenario.lookup] in found.lookups:
            assert verdict(case, reference, model)[:2] == ("agreed", []), path
        else:
            with pytest.raises(CannotRun, match="this kernel has no such lookup in this configuration"):
                reference.run(case.scenario)


@pytest.mark.parametrize("name", TELLING)
def test_the_wrong_configuration_is_seen(name, kernel_tree):
    reference = Reference(build(kernel_tree, config=Config(**{name: False})))
    assert differ(reference, Model(), 30000) is not None


def test_a_configuration_has_a_build_of_its_own(kernel_tree):
    plain, other = build(kernel_tree), build(kernel_tree, config=Config(smp=False))
    assert plain.folder != other.folder
    assert plain.closure == other.closure
    assert (plain.label, other.label) == (kernel_tree.version, f"{kernel_tree.version} (SMP=n)")
    assert Reference(other).name == f"Linux {other.label}"


def test_an_expectation_that_falls_in_another_configuration_says_what_it_needs():
    for path in files([]):
        case = load(path)
        for options in MATRIX:
            if case.scenario.lookup in IPV6_LOOKUPS and not options.ipv6:
                continue  # there is no such lookup
            model = Model(config=options)
            wrong = unmet(case.expect, case.socks, model.run(case.scenario))
            assert not wrong or unmet_needs(case.needs, model.rules, options), path


# --- what both sides do with an option ---


def both(kernel_tree, case, options):
    """What the lookup in that configuration returns, on both sides, who must agree."""
    reference = Reference(build(kernel_tree, config=options))
    kernel, model = reference.run(case).sk, Model(config=options).run(case).sk
    assert kernel == model
    return kernel


@pytest.mark.parametrize(
    ("case", "name", "on", "off"),
    [
        (scenario(listener(family=AF_INET6, ipv6only=1), hostile=1), "ipv6", -1, 0),
        # The last one hashed is met first, but for AF_INET6 with SO_REUSEPORT, at the tail.
        (scenario(*[listener(family=AF_INET6, reuseport=1) for _ in range(2)], hostile=1), "ipv6", 0, 1),
        (scenario(listener(), packet=Packet(sdif=5)), "l3mdev", -1, 0),
        (scenario(cookie(listener=1), listener(), packet=Packet(sk=0, destructor=PFREE)), "syn_cookies", 1, 0),
        (scenario(connection(netns=1), netns=scenario().netns * 2), "net_ns", -1, 0),
        (scenario(listener(incoming_cpu=0), listener(incoming_cpu=3), cpu=3), "smp", 1, 0),
    ],
)
def test_who_gets_the_packet_with_and_without_an_option(case, name, on, off, kernel_tree):
    assert both(kernel_tree, case, Config()) == on
    assert both(kernel_tree, case, Config(**{name: False})) == off


@pytest.mark.long
def test_a_story_is_of_its_configuration(kernel_tree):
    case = Case(scenario(listener(netns=1, incoming_cpu=0), netns=scenario().netns * 2, cpu=3))
    options = Config(net_ns=False, smp=False)
    reference = Reference(build(kernel_tree, "traced", config=options))
    model = Model(config=options)
    told = explanation(case, reference, model)
    assert told.parted.at is None
    assert told.mismatch is None
    text = " ".join(told.summary(Kernel(), answer(case, reference, model, told.parted.traces[0])).story)
    assert "another namespace" not in text
    assert "1 for its CPU" in text


# --- words ---


def test_what_is_written_is_read():
    for options in MATRIX:
        assert parse(str(options)) == options
    assert str(Config()) == ""
    assert parse("IPV6=n,smp=y") == Config(ipv6=False)
    assert parse("CONFIG_NET_L3_MASTER_DEV=n NET_NS=y") == Config(l3mdev=False)
    assert parse("MITIGATION_RETPOLINE=y") == parse("RETPOLINE=y") == Config(retpoline=True)


@pytest.mark.parametrize("text", ["IPV6", "IPV6=x", "IPV6=", "FOO=n", "=n", "IPV6=n FOO", "/no/such/file"])
def test_what_cannot_be_read_is_one_line(text, capsys):
    with pytest.raises(CannotRun):
        parse(text)
    assert main(["fuzz", "--cases", "1", "--config", text]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_config_file_says_what_is_on(tmp_path):
    path = tmp_path / "config"
    path.write_text("# comment\nCONFIG_IPV6=m\n# CONFIG_NET_NS is not set\nCONFIG_SMP=y\nCONFIG_LOG=17\n")
    assert parse(str(path)) == replace(MATRIX[-1], ipv6=True, smp=True)
    path.write_text("hello\n")
    with pytest.raises(CannotRun, match="no line of it is an option"):
        parse(str(path))


def test_an_option_that_only_the_tree_knows_can_be_set():
    options = parse("INET_LOOKUP_WEIGHT=y,CONFIG_OTHER=n SMP=n", lambda name: name in ("INET_LOOKUP_WEIGHT", "OTHER"))
    assert options == Config(smp=False, more=("INET_LOOKUP_WEIGHT",))
    assert options.defines().endswith("#define CONFIG_INET_LOOKUP_WEIGHT 1\n")
    assert parse(str(options), lambda name: True) == options


@pytest.mark.parametrize(
    ("text", "says"),
    [("NET_NS=m", "=m too for IPV6"), ("64BIT=n", "64-bit Python"), ("FAIL_SKB_REALLOC=y", "fault injection")],
)
def test_what_cannot_be_set_says_why(text, says):
    with pytest.raises(CannotRun, match=says):
        parse(text, lambda name: True)


def test_the_text_of_the_lookup_asks_for_no_unknown_option(reference):
    assert "NET_L3_MASTER_DEV" in reference.build.options
    assert reference.build.options_off == ()


@pytest.mark.long
def test_an_unknown_option_of_the_text_is_taken_as_off_and_can_be_set(kernel_tree, tmp_path, monkeypatch):
    steer = Edit(
        "net/ipv4/inet_hashtables.c",
        "inet_lookup_reuseport",
        r"(?s)\{\n(.*)\}$",
        r"{\n#ifdef CONFIG_FOO_STEERING\n\treturn NULL;\n#else\n\1#endif\n}",
    )
    tree = str(edited_tree(kernel_tree.path, tmp_path, [steer]))
    assert made(tree).options_off == ("FOO_STEERING",)
    monkeypatch.setenv("CONFIG", "FOO_STEERING=y")
    steered = made(tree)
    assert steered.config == Config(more=("FOO_STEERING",))
    assert steered.options_off == ()
    assert differ(Reference(steered), Model(steered.rules, steered.config), 3000) is not None
    monkeypatch.setenv("CONFIG", "BAR_STEERING=y")
    with pytest.raises(CannotRun, match="no option"):
        made(tree)


def test_each_option_is_in_the_matrix():
    for option in config.OPTIONS:
        assert Config(**{option.name: not option.default}) in MATRIX
    assert set(TELLING) < set(config.NAMES)


@pytest.mark.parametrize(
    ("needs", "says"),
    [
        ('["IPV7"]', "is none of"),
        ('["no-no-IPV6"]', "is none of"),
        ('"IPV6"', "a list of words"),
        ("[1]", "a list of words"),
    ],
)
def test_needs_that_are_none(needs, says):
    with pytest.raises(CannotRun, match=f"case:2: needs: .*{says}"):
        read_case(f"version = 1\nneeds = {needs}\n")


def test_needs():
    case = read_case('version = 1\nneeds = ["reselect", "no-SMP"]\n')
    rules = Model().rules
    assert unmet_needs(case.needs, rules, Config()) == ("no-SMP",)
    assert unmet_needs(case.needs, replace(rules, reselect=False), Config(smp=False)) == ("reselect",)
    assert unmet_needs(case.needs, rules, Config(smp=False)) == ()
