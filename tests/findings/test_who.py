"""`skdiff who` on situations that were read elsewhere: the case that is made of them, the verdict, and what is said."""

from dataclasses import replace

import pytest

from skdiff.base.errors import CannotRun
from skdiff.cases.addresses import from_text
from skdiff.cases.case_file import parse
from skdiff.cases.derived import plain_packet
from skdiff.cases.scenario import (
    AF_INET,
    AF_INET6,
    DEMUX,
    IPPROTO_TCP,
    IPPROTO_UDP,
    KIND_FULL,
    LEAVE,
    NONE,
    PROG_NONE,
    REHASHED,
    TCP4,
    TCP6,
    TCP_CLOSE,
    TCP_ESTABLISHED,
    TCP_LISTEN,
    UDP4,
)
from skdiff.cases.validity import problems
from skdiff.findings.who import AGREES, DIFFERS, NOT_ASKED, Who, case_text, rules_of, who
from skdiff.findings.who_case import host_case
from skdiff.findings.who_text import last, lines, summary, unseen
from skdiff.oracles.running.asking import Found, Group
from skdiff.oracles.running.host_net import Device, Net, Route
from skdiff.oracles.running.owners import Options, Owner
from skdiff.oracles.running.read_host import Answers, Question, Situation, devices_of
from skdiff.oracles.running.socket_dump import Seen
from skdiff.variants.config import Config
from skdiff.variants.version_rules import Rules, expected
from tests.oracles.running.test_socket_dump import recorded

HERE, THERE = from_text("10.0.0.2"), from_text("10.0.0.1")
NET = Net(1, (Device(1, "lo"), Device(2, "eth0"), Device(3, "eth1")), {"ip_early_demux": 1, "udp_early_demux": 1})


def seen(cookie: int, **others: int | None) -> Seen:
    plain = Seen(IPPROTO_TCP, AF_INET, KIND_FULL, TCP_LISTEN, 0, 80, 0, 0, 0, cookie, 100 + cookie, 0, None)
    return plain._replace(**others)


def udp(cookie: int, **others: int | None) -> Seen:
    return seen(cookie, **{"protocol": IPPROTO_UDP, "state": TCP_CLOSE, **others})


def situation(*sockets: Seen, lookup: int = TCP4, daddr: int = HERE, device: int = 1, **others: object) -> Situation:
    packet = plain_packet(lookup, daddr)._replace(saddr=THERE, daddr=daddr, skb_iif=NET.devices[device].number)
    question = Question(lookup, daddr, 80, (THERE, 40000), "eth0")
    return Situation(question, NET, Route(True, False, 2), NET.devices[device], packet, 0, sockets, **others)


def reuseport(*cookies: int, cpu: int = -1) -> dict[int, Options]:
    return {cookie: Options(1, cpu, None) for cookie in cookies}


def found(cookie: int | None, **others: int) -> Found:
    return Found(AF_INET, TCP_LISTEN, 0, 80, 0, 0, 0, cookie, 0)._replace(**others)


def answered(
    told: Situation, *given: Found | None, blind: str = "", groups: dict[int, Group | None] | None = None
) -> Situation:
    packets = [told.packet._replace(sport=40000 + at) for at in range(len(given))]
    return replace(told, answers=Answers(tuple(zip(packets, given, strict=True)), groups or {}, None, blind))


def ask(told: Situation) -> Who:
    return who(told, Rules(), Config())


# --- the case


def test_listeners_are_opened_in_an_order_that_gives_their_chains() -> None:
    told = [one for one in recorded("listeners") if not one.address]
    host = host_case(situation(*told, options=reuseport(*(one.cookie for one in told))))
    assert problems(host.case.scenario) == []
    # *:80 is met last opened first; those of AF_INET6 stand behind it in the order of opening.
    opened = [one.inode for cookie in host.cookies for one in told if one.cookie == cookie]
    assert opened == [told[1].inode, told[0].inode, *(one.inode for one in told[2:])]
    members = [group.slots for group in host.case.scenario.groups]
    assert members == [(0, 1), (2, 4), (3,)]


def test_a_place_in_a_chain_tells_that_the_option_was_set_later() -> None:
    six = seen(1, family=AF_INET6, v6only=0)
    host = host_case(situation(six, seen(2), options=reuseport(1)))
    sock = host.case.scenario.socks[host.cookies.index(1)]
    assert (sock.reuseport, sock.reuseport_changed, sock.group) == (1, 1, NONE)
    host = host_case(situation(seen(2), six, options=reuseport(1)))
    sock = host.case.scenario.socks[host.cookies.index(1)]
    assert (sock.reuseport, sock.reuseport_changed, sock.group) == (1, 0, 0)


def test_a_group_is_as_it_was_read() -> None:
    told = situation(seen(3), seen(2), seen(1), options=reuseport(1, 2))
    told = answered(told, found(2), groups={2: Group((3, 1, 2), 0, 0, None)})
    scenario = host_case(told).case.scenario
    [group] = scenario.groups
    assert (group.slots, group.prog) == ((2, 0, 1), PROG_NONE)
    assert [sock.reuseport for sock in scenario.socks] == [1, 1, 1]  # 3 is not known, and is a member


def test_who_shares_an_address_must_have_the_option() -> None:
    scenario = host_case(situation(seen(2), seen(1), seen(3, address=HERE))).case.scenario
    assert [sock.reuseport for sock in scenario.socks] == [1, 1, 0]


def test_what_cannot_matter_makes_room() -> None:
    elsewhere = [seen(100 + n, address=from_text(f"10.0.1.{n}")) for n in range(80)]
    told = situation(*elsewhere, seen(1))
    assert host_case(told).cookies == (1,)
    assert len(host_case(replace(told, sockets=told.sockets[40:])).cookies) == 41
    crowd = situation(*(seen(n) for n in range(33)), options=reuseport(*range(33)))
    with pytest.raises(
        CannotRun, match=r"33 sockets could get the packet, in 1 groups, the largest of 33; skdiff takes 64"
    ):
        host_case(crowd)


def test_connected_sockets_of_udp() -> None:
    mine = {"peer": THERE, "dport": 40000, "state": TCP_ESTABLISHED, "address": HERE}
    other = {**mine, "dport": 1}
    told = situation(udp(1, **mine), udp(2, **other), udp(3), *(udp(n, **other) for n in range(10, 80)), lookup=UDP4)
    told = replace(told, options={n: Options(0, -1, None) for n in range(80)})
    host = host_case(told)
    assert host.cookies == (3, 1)
    assert host.case.scenario.socks[1].hash2 == REHASHED
    assert host.case.scenario.caller == DEMUX
    assert (
        host_case(replace(told, device=NET.devices[0], packet=told.packet._replace(skb_iif=1))).case.scenario.caller
        != DEMUX
    )
    # A member keeps its slot.
    told = situation(udp(1, **other), udp(2, address=HERE), lookup=UDP4, options=reuseport(1, 2))
    told = answered(told, found(2, state=TCP_CLOSE), groups={2: Group((1, 2), 0, 1, None)})
    [group] = host_case(told).case.scenario.groups
    assert (len(group.slots), group.has_conns) == (2, 1)


def test_names_are_processes() -> None:
    owners = {101: [Owner(7, "a b/c", 3), Owner(8, "a b/c", 3), Owner(9, "a b/c", 3)], 102: [Owner(5, "x", 3)]}
    owners |= {103: [Owner(5, "x", 4)], 104: [Owner(6, "-", 1)]}
    told = situation(*(seen(n, port=80, device=n) for n in range(5, 0, -1)), owners=owners)
    assert host_case(told).case.socks == ("a_b_c 7 and 2 more", "x 5 fd 3", "x 5 fd 4", "process 6", "listener 4")


@pytest.mark.parametrize("lookup", [TCP4, TCP6])
def test_the_file_has_the_same_case(lookup: int) -> None:
    daddr = HERE if lookup == TCP4 else from_text("2001:db8::2")
    told = [seen(1, family=AF_INET6, v6only=0), seen(2, family=AF_INET6, v6only=0)]
    told_by = situation(*told, lookup=lookup, daddr=daddr, options=reuseport(1, 2))
    if lookup == TCP6:
        told_by = replace(told_by, packet=told_by.packet._replace(saddr=from_text("2001:db8::1")))
    result = ask(told_by)
    read = parse(case_text(result, "why"))
    assert (read.scenario, read.socks, read.why) == (result.case.scenario, result.case.socks, "why")


# --- the verdict


def test_the_kernel_agrees_or_not() -> None:
    told = situation(seen(2, address=HERE), seen(1))
    assert ask(told).verdict == NOT_ASKED
    assert ask(answered(told, found(2))).verdict == AGREES
    for wrong in (found(1), None, found(9)):
        result = ask(answered(told, wrong))
        assert result.verdict == DIFFERS
        assert "DIFFERS" in "\n".join(lines(result))
        assert last(result).startswith("Answer: by the model listener 0 100.0 %; by the running kernel ")
        assert summary(result).kernel


def test_any_member_will_do_and_all_in_their_shares() -> None:
    told = situation(seen(2), seen(1), options=reuseport(1, 2))
    groups: dict[int, Group | None] = {1: Group((1, 2), 0, 0, None)}
    for one in (1, 2):
        result = ask(answered(told, found(one), groups=groups))
        assert result.verdict == AGREES
        # The secret of the case is one with which the model chooses the same.
        assert result.model.run(result.case.scenario).sk == result.host.index(one)
        assert (
            last(result) == f"Answer: listener {one - 1} gets the packet: the kernel's hash of its ends points to it."
        )
    halves = [found(1), found(2)] * 2000
    assert ask(answered(told, *halves, groups=groups)).verdict == AGREES
    assert ask(answered(told, *halves[:2000], *[found(1)] * 2000, groups=groups)).verdict == DIFFERS


def test_without_cookies_what_looks_the_same_is_the_same() -> None:
    told = situation(seen(2, address=HERE), seen(1))
    assert ask(answered(told, found(None, address=HERE), blind="no BTF")).verdict == AGREES
    result = ask(answered(told, found(None), blind="no BTF"))
    assert result.verdict == DIFFERS
    assert "As cookies are not seen (no BTF), sockets that look the same count as one." in "\n".join(lines(result))


@pytest.mark.parametrize(
    ("given", "chosen", "says"),
    [
        (found(2), LEAVE, "was asked, and left the choice to the lookup, or chose the same."),
        (found(7, port=81), 7, "chooses the socket: that is taken from the kernel's answer."),
        (None, LEAVE, "drops the packet: that is taken from the kernel's answer."),
    ],
)
def test_what_a_program_does_is_taken_from_the_answer(given: Found | None, chosen: int, says: str) -> None:
    told = situation(seen(2, address=HERE), seen(1), programs=((5, "steer"),), more=(seen(7, port=81),))
    result = ask(answered(told, given))
    assert result.verdict == AGREES
    [program] = result.case.scenario.netns[0].progs
    assert (program.assign if program.assign < 0 else result.host.cookies[program.assign]) == chosen
    assert result.notes == (f"The sk_lookup program steer (number 5) {says}",)


def test_a_program_may_decide_by_the_client() -> None:
    told = situation(seen(2, address=HERE), seen(1), programs=((5, "steer"),), more=(seen(7, port=81),))
    result = ask(answered(told, *[found(7, port=81)] * 3, found(2), None))
    assert result.verdict == AGREES
    [note] = result.notes
    assert note.endswith("It decides by the client: for 2 of 5 it says another.")


def test_a_program_that_was_not_asked_is_not_seen() -> None:
    result = ask(situation(seen(1), programs=((5, "steer"),), unasked="no rights"))
    assert any(line.startswith("what the sk_lookup program steer (number 5) does") for line in unseen(result))
    assert any("whether the namespace has sk_lookup programs" in line for line in unseen(ask(situation(programs=None))))


def test_the_program_of_a_group_leaves_the_answer_open() -> None:
    told = situation(seen(2), seen(1), options=reuseport(1, 2))
    result = ask(answered(told, found(1), groups={1: Group((1, 2), 0, 0, 21)}))
    assert (result.verdict, result.program, summary(result).sk) == (AGREES, True, None)
    assert last(result) == "Answer: the group's program chooses, among listener 0, listener 1, or drops the packet."


def test_the_order_of_two_families_of_udp() -> None:
    # A tie: 1 for the match, 1 for the CPU; 1 for the match, 1 for AF_INET.
    six = udp(1, family=AF_INET6, v6only=0)
    told = situation(udp(2), six, lookup=UDP4, options={1: Options(0, 0, 0), 2: Options(0, -1, None)})
    note = "which of UDP's sockets of both families was bound last, and the answer rests on it"
    assert ask(told).notes == (note,)
    for cookie in (1, 2):
        result = ask(answered(told, found(cookie, state=TCP_CLOSE)))
        assert result.verdict == AGREES
        assert result.notes == (f"{note}: it is taken from the kernel's answer",)


def test_elsewhere_somebody_else_gets_it() -> None:
    told = situation(seen(2, device=3), seen(1), options={1: Options(0, -1, None), 2: Options(0, 1, None)})
    told = replace(told, question=replace(told.question, device=None))
    said = "\n".join(lines(ask(told)))
    assert "By eth1: listener 1 100.0 %." in said
    assert "By lo:" not in said
    far = replace(told, route=Route(False, False, 2))
    assert last(ask(far)).startswith("Answer: nobody, since 10.0.0.2 is no address of this network namespace")


@pytest.mark.parametrize(
    ("release", "version", "of", "guess"),
    [
        ("6.18.44-fc", "#1 SMP", "6.18.44", ""),
        ("6.1.0-40-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-1 (2026-01-01)", "6.1.192", ""),
        ("6.8.0-40-generic", "#40-Ubuntu SMP", "6.8.0", ""),
        ("8.1.0", "#1", "7.4", "the rules of Linux 8.1.0 are not known here: those of 7.4 are followed"),
    ],
)
def test_the_rules_are_those_of_the_running_version(release: str, version: str, of: str, guess: str) -> None:
    rules, said = rules_of(release, version)
    assert {name for name in vars(rules) if getattr(rules, name)} == set(expected(of))
    assert said == guess


def test_an_old_kernel_has_no_model() -> None:
    with pytest.raises(CannotRun, match=r"older than 6.1"):
        rules_of("5.15.0-100-generic", "#1 SMP")


def test_a_packet_that_none_receives_has_no_answer() -> None:
    told = situation(seen(1))
    with pytest.raises(CannotRun, match="no case can be made of it: a packet from another host has no such addresses"):
        ask(replace(told, packet=told.packet._replace(saddr=from_text("224.0.0.1"))))


def test_a_vrf_s_own_packet_is_one_of_the_device_that_has_the_address() -> None:
    red, eth0, lo, local = (
        Device(9, "red", is_vrf=True),
        Device(5, "eth0", vrf=9),
        Device(1, "lo"),
        Route(True, False, 5),
    )
    told = [tuple(devices_of(device, local, ipv6).values()) for device in (red, eth0, lo) for ipv6 in (False, True)]
    assert told == [(5, 9, 9), (0, 9, 5), (0, 9, 5), (0, 9, 5), (5, 1, 0), (5, 1, 0)]
    assert devices_of(red, Route(True, False, 9), ipv6=True) == {"rt_iif": 0, "skb_iif": 9, "sdif": 9}
