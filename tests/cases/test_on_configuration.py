"""What a kernel can reach depends on its configuration as well."""

import pytest

from skdiff.cases.case_file import Case, dump
from skdiff.cases.scenario import AF_INET6, Packet
from skdiff.cases.validity import not_on, problems
from skdiff.cli import main
from skdiff.variants.config import Config
from skdiff.variants.version_rules import Rules
from tests.helpers import listener, mostly_long, scenario

CASES = {
    "IPV6=n": (scenario(listener(family=AF_INET6)), Config(ipv6=False), "no AF_INET6 sockets without CONFIG_IPV6"),
    "L3MDEV=n": (
        scenario(listener(), packet=Packet(skb_iif=2, sdif=3)),
        Config(l3mdev=False),
        "sdif is 0, without CONFIG_NET_L3_MASTER_DEV",
    ),
}


@pytest.mark.parametrize("words", CASES)
def test_what_needs_an_option_that_is_off_is_not_reachable(words):
    case, config, why = CASES[words]
    assert problems(case) == []
    assert not_on(case, Rules(), Config()) == []
    [line] = not_on(case, Rules(), config)
    assert line.startswith("not on this kernel: ")
    assert why in line
    assert not_on(scenario(listener()), Rules(), config) == []


@pytest.mark.parametrize("words", mostly_long(CASES))
def test_explain_and_replay_say_so(words, kernel_tree, tmp_path, capsys):
    case, _, why = CASES[words]
    path = tmp_path / "case.toml"
    path.write_text(dump(Case(case)))
    assert main(["explain", "--config", words, str(path)]) == 0
    assert why in capsys.readouterr().out
    assert main(["replay", "--config", words, str(path)]) == 0
    assert "; 1 can be reached on another kernel only" in capsys.readouterr().out
    assert main(["replay", str(path)]) == 0
    assert "another kernel only" not in capsys.readouterr().out
