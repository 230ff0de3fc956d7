"""Cases of files have up to 64 sockets, and groups of up to 32, which is more than is drawn."""

from random import Random

import pytest

from skdiff.base.errors import CannotRun
from skdiff.cases import raw_format, wire, words_writing
from skdiff.cases.case import Case
from skdiff.cases.case_file import parse
from skdiff.cases.other_lookup import as_lookup
from skdiff.cases.pools import DRAWN_SLOTS, DRAWN_SOCKS
from skdiff.cases.scenario import TCP6, UDP4, Scenario
from skdiff.comparison.compare import compare
from skdiff.findings.reduce import reduce
from skdiff.oracles.model import Model


def many(random: Random, udp: bool, count: int = 32) -> Case:
    """Two groups of so many sockets, which ask for CPUs."""
    kind, key = ("udp", "bind") if udp else ("listener", "listen")
    port, cpu, secret = random.randint(1, 65535), random.randint(0, 5), random.randint(0, (1 << 32) - 1)
    head = f'version = 1\npacket = "10.0.0.1:{port} -> 10.0.0.{random.choice([2, 3])}:80"\ncpu = {cpu}\n'
    head += f'proto = "{"udp" if udp else "tcp"}"\n[hash]\nsecret = {secret}\n'
    return parse(
        head
        + "".join(
            f'[[{kind}]]\n{key} = "{address}:80"\nreuseport = true\nincoming_cpu = {random.randint(0, 3)}\n'
            for address in ("0.0.0.0", "10.0.0.2")
            for _ in range(count)
        )
    )


@pytest.mark.parametrize("udp", [False, True])
def test_kernel_and_model_agree_about_groups_of_32(reference, udp: bool) -> None:
    random, found = Random(1), set()
    for _ in range(60):
        scenario = many(random, udp).scenario
        assert [len(group.slots) for group in scenario.groups] == [32, 32]
        outcomes = [reference.run(scenario), Model().run(scenario)]
        assert compare(["kernel", "model"], outcomes) is None
        found.add(outcomes[0].sk)
    assert min(found) < 32 <= max(found)
    assert len(found) > 20


@pytest.mark.parametrize(
    ("point", "action", "freed"),
    [("taken", "leaves", (1 << 64) - 1), ("taking", "reused", 0)],
    ids=["leaves", "reused"],
)
def test_kernel_and_model_agree_about_64_connections_that_move(reference, point: str, action: str, freed: int) -> None:
    entry = '[[connection]]\nfrom = "10.0.0.1:40000"\nto = "10.0.0.2:80"\n'
    value = "value = 40001\n" if action == "reused" else ""
    events = (
        f'[[event]]\npoint = "{point}"\nat = "connection{i}"\naction = "{action}"\nsk = "connection{i}"\n{value}'
        for i in range(64)
    )
    text = 'version = 1\npacket = "10.0.0.1:40000 -> 10.0.0.2:80"\n' + entry * 64
    scenario = parse(text + "".join(events)).scenario
    outcomes = [reference.run(scenario), Model().run(scenario)]
    assert compare(["kernel", "model"], outcomes) is None
    assert (outcomes[0].sk, outcomes[0].freed, outcomes[0].fired) == (-1, freed, (1 << 64) - 1)


def test_both_formats_have_them() -> None:
    case = many(Random(2), udp=False)
    assert parse(raw_format.dump(case)).scenario == case.scenario
    assert parse(words_writing.dump(case)).scenario == case.scenario


def test_more_are_refused() -> None:
    case = raw_format.dump(many(Random(2), udp=False))
    with pytest.raises(CannotRun, match="65 sockets, there is room for 64"):
        parse(f"{case}\n[[sock]]\n")
    with pytest.raises(CannotRun, match="the group of listener0: num_socks is 33, it can be 0 to 32"):
        many(Random(2), udp=False, count=33)


def test_a_seed_has_as_many_as_drawn_cases_have() -> None:
    scenario = wire.decode(wire.near(many(Random(2), udp=False).scenario))
    assert len(scenario.socks) == DRAWN_SOCKS
    assert max(len(group.slots) for group in scenario.groups) <= DRAWN_SLOTS


@pytest.mark.parametrize("lookup", [TCP6, UDP4])
def test_another_lookup_keeps_the_groups(lookup: int) -> None:
    scenario = as_lookup(many(Random(2), udp=False).scenario, lookup)
    assert [len(group.slots) for group in scenario.groups] == [32, 32]


def test_a_large_case_becomes_small() -> None:
    scenario = many(Random(3), udp=False).scenario
    winner = Model().run(scenario).sk

    def has_a_group(smaller: Scenario) -> bool:
        return "group by hash" in Model().run(smaller).via

    assert winner >= 0
    assert len(reduce(scenario, has_a_group, 5.0).scenario.socks) <= 2
