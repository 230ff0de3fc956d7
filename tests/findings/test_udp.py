"""Findings of UDP: what is told, drawn and reduced of them, and sockets that a lookup does not look at."""

import pytest
from hypothesis import given

from skdiff.cases.case_file import Case, dump, parse
from skdiff.cases.outcome import RETURNED
from skdiff.cases.overlooked import overlooked, twins
from skdiff.cases.scenario import (
    AF_INET6,
    DEMUX,
    HELPER,
    NONE,
    PACKET_MULTICAST,
    PFREE,
    STALE,
    Packet,
    Scenario,
    Sock,
)
from skdiff.cases.validity import problems
from skdiff.cli import main
from skdiff.comparison.mismatch_text import describe_case
from skdiff.findings.drawing import Side, drawing
from skdiff.findings.reduce import reduce
from skdiff.findings.story import story
from skdiff.oracles.model import Model
from tests.arbitrary import valid_scenarios
from tests.helpers import HERE, PEER, bound, connected, connection, datagram, listener, scenario, udp
from tests.udp_cases import MANY, grouped, runs, udp4, udp6

NAMES = ("dns", "web", "ntp")
TO_MANY = datagram(daddr=MANY, pkt_type=PACKET_MULTICAST)


def told(case: Scenario) -> list[str]:
    assert problems(case) == []
    named = Case(case, socks=NAMES[: len(case.socks)])
    return story(named, Model().trace(case))


@pytest.mark.parametrize(
    ("case", "lines"),
    [
        (scenario(bound()), ["This packet is TCP: sock dns is not looked at, being in UDP's tables."]),
        (
            scenario(bound(), listener(), connected()),
            ["This packet is TCP: socks dns, ntp are not looked at, being in UDP's tables."],
        ),
        (scenario(udp()), []),
        (udp4(bound()), []),
        (
            udp4(listener(), connection()),
            ["This packet is UDP: socks dns, web are not looked at, being in TCP's tables."],
        ),
        (
            udp6(udp(), listener()),
            [
                "This packet is UDP: sock web is not looked at, being in TCP's tables.",
                "This packet is UDP: sock dns is not looked at, being in none"
                ' (hashed = "udp" puts a socket into UDP\'s).',
            ],
        ),
        (udp4(listener(), packet=datagram(sk=0, destructor=PFREE)), []),
        (scenario(bound(), packet=Packet(sk=0, destructor=PFREE)), []),
        (runs(udp4(udp())), []),
    ],
)
def test_a_socket_that_is_not_looked_at_is_told(case, lines, tmp_path, capsys):
    assert [*overlooked(case, NAMES)] == lines
    named = Case(case, socks=NAMES[: len(case.socks)])
    assert [line for line in describe_case(named) if line.startswith("This packet is")] == lines


def test_replay_and_explain_tell_of_it(tmp_path, capsys):
    path = tmp_path / "case.toml"
    path.write_text(dump(Case(scenario(bound()), socks=("dns",))))
    for command in ("replay", "explain"):
        main([command, str(path)])
        assert "This packet is TCP: sock dns is not looked at, being in UDP's tables." in capsys.readouterr().out


def test_a_written_case_of_udp_need_not_say_what_follows():
    text = dump(Case(udp4(bound(), packet=TO_MANY, caller=DEMUX)))
    assert "doff" not in text
    assert "pkt_type" not in text
    assert parse(text).scenario.packet == TO_MANY
    told = dump(Case(scenario(packet=Packet(pkt_type=PACKET_MULTICAST), hostile=1)))
    assert 'pkt_type = "multicast"' in told
    assert parse(told).scenario.packet.pkt_type == PACKET_MULTICAST


@given(valid_scenarios)
def test_the_steps_say_who_gets_the_packet(case):
    outcome = Model().run(case)
    side = Side("model", Model().trace(case))
    assert side.returned == (outcome.ended == RETURNED)
    assert not side.returned or side.winner == max(outcome.sk, NONE)


def test_steps_that_break_off_say_nothing():
    for case in (scenario(listener()), udp4(bound()), udp6(bound(family=AF_INET6)), udp4(bound(), caller=HELPER)):
        steps = Model().trace(case)
        assert not Side("model", steps[: len(steps) // 2]).returned


@pytest.mark.parametrize(
    ("case", "lines"),
    [
        (
            udp4(bound(), connected(bound_dev_if=2)),
            [
                "inet_iif(): the packet's device is 1, from the device that it came in by.",
                "inet_bound_dev_eq(): web is bound to device 2, and does not see device 1.",
                "compute_score(): web may not have the packet.",
                "udp4_lib_lookup2(): among sockets on 10.0.0.2 nobody is found (dns is bound to the wildcard).",
            ],
        ),
        (
            udp4(connected(incoming_cpu=0)),
            [
                "compute_score(): dns scores 11 (1 for the match, 1 for AF_INET, 4 for its peer's address,"
                " 4 for its peer's port, 1 for its CPU), and is connected.",
                "udp4_lib_lookup2(): among sockets on 10.0.0.2 dns wins.",
                "__udp4_lib_lookup_skb(): dns gets the packet.",
            ],
        ),
        (
            udp6(bound(family=AF_INET6), bound()),
            [
                "compute_score(): dns scores 0 (0 for the match): more than the -1 that the search begins with.",
                "udp6_lib_lookup2(): among sockets on the wildcard :: dns wins (web is of AF_INET).",
            ],
        ),
        (
            udp4(bound(rcv_saddr=HERE, daddr=PEER, dport=40000, hash2=STALE), udp_size=64),
            [
                "udp4_lib_lookup2(): among sockets on 10.0.0.2 nobody is found (dns is still in the chain of the"
                " wildcard).",
                "udp4_lib_lookup1(): by the port alone dns is found: connect() has given it this address, and not moved"
                " it to the chain of that yet.",
            ],
        ),
        (
            udp4(connected(), caller=DEMUX),
            [
                "__udp4_lib_demux_lookup(): dns has this very connection, and is attached to the packet.",
                "skb_steal_sock(): dns, which early demux put on the sk_buff, is taken, without a reference.",
            ],
        ),
        (
            udp4(bound(), bound(num=81), packet=TO_MANY, caller=DEMUX),
            [
                "__udp4_lib_mcast_demux_lookup(): dns alone wants the packet, and is attached to it.",
                "inet_steal_sock(): dns gets the packet; no table is searched.",
            ],
        ),
        (
            udp4(bound(), bound(), packet=TO_MANY, caller=DEMUX),
            [
                "__udp4_lib_mcast_demux_lookup(): nobody is attached; one socket alone must want the packet, and no"
                " more than ten be in the slot of its port.",
                "A datagram to 239.1.2.3 goes to all sockets that want it, which skdiff does not look at.",
            ],
        ),
        (udp4(bound(), caller=HELPER), ["__udp4_lib_lookup(): dns is found."]),
        (scenario(caller=HELPER), ["Nobody is found."]),
        (
            grouped(bound(reuseport=1, group=0, rcv_saddr=HERE), bind_inany=0, has_conns=1),
            [
                "inet_lookup_reuseport(): the group of dns answers dns.",
                "reuseport_has_conns(): a member of that group has been connected, so the search goes on for a better"
                " socket, and the answer is scored itself.",
            ],
        ),
    ],
)
def test_the_story_of_a_datagram(case, lines):
    sentences = told(case)
    assert [line for line in lines if line not in sentences] == []


@given(valid_scenarios)
def test_every_case_has_a_story_and_a_drawing(case):
    steps = Model().trace(case)
    assert story(Case(case), steps) or not steps
    drawing(Case(case), [Side("model", steps)])


@pytest.mark.parametrize(
    ("case", "there"),
    [
        (
            udp4(bound()),
            ['skb -> "UDP\'s tables"', "UDP's tables\" -> sock0", "for 10.0.0.2", "then 0.0.0.0", "gets the packet"],
        ),
        (udp4(connected(), caller=DEMUX), ['skb -> "UDP\'s tables"', "gets the packet"]),
        (udp4(packet=TO_MANY, caller=DEMUX), ["delivery to many, not looked at"]),
        (udp4(caller=DEMUX), ["nobody gets the packet", "then 0.0.0.0"]),
        (udp6(), ["nobody gets the packet", "then ::"]),
        (udp4(bound(), caller=HELPER), ['skb -> "UDP\'s tables"', "gets the packet"]),
        (udp4(bound(), listener()), ["lhash2", "not searched"]),
        (scenario(bound()), ["<b>UDP&#x27;s tables</b><br/>not searched"]),
        (udp4(bound(rcv_saddr=HERE, hash2=STALE)), ["in the wildcard&#x27;s chain still"]),
    ],
)
def test_the_drawing_of_a_datagram(case, there):
    assert problems(case) == []
    source = drawing(Case(case), [Side("model", Model().trace(case))]).source
    assert [text for text in there if text not in source] == []


def test_a_case_of_udp_is_reduced():
    def differs(case: Scenario) -> bool:
        outcome = Model().run(case)
        return outcome.via == ("exact", "connected")

    big = udp4(
        bound(), connected(bound_dev_if=1, refcnt=7), bound(num=81), listener(), packet=datagram(len=60), udp_size=16
    )
    assert problems(big) == []
    result = reduce(big, differs)
    assert result.finished
    assert problems(result.scenario) == []
    assert result.scenario == udp4(connected(dport=0))  # connect() to port 0 is connected to all of the peer's


def test_a_multicast_packet_becomes_a_plain_one_if_nothing_needs_it():
    case = udp4(bound(), packet=TO_MANY, caller=DEMUX)
    assert reduce(case, lambda s: bool(s.socks) and Model().run(s).sk == 0).scenario.packet.pkt_type == 0


def test_texts_say_what_udp_has():
    sock = bound(rcv_saddr=HERE, hash2=STALE, mc_refuses=1, reuseport_changed=1)
    case = udp4(sock, packet=TO_MANY, caller=DEMUX, hostile=1, ehash_nulls_xor=1)
    text = "\n".join(describe_case(Case(case, socks=("dns",))))
    for words in (
        "UDP packet: 10.0.0.1:40000 to 239.1.2.3:80",
        "multicast by its link layer",
        "early demux asks first",
        "in UDP's tables of namespace 0",
        "SO_REUSEPORT in bind()",
        "not rehashed yet, in the middle of connect()",
        "refuses this multicast",
        "1 slot in each of UDP's tables",
    ):
        assert words in text
    assert "has had connections" in "\n".join(
        describe_case(Case(grouped(bound(reuseport=1, group=0, rcv_saddr=HERE), bind_inany=0, has_conns=1)))
    )
    assert "a BPF helper asks" in describe_case(Case(scenario(caller=HELPER)))[0]
    assert describe_case(Case(scenario(Sock())))[0].startswith("packet: ")


def test_a_connection_with_the_ends_of_another_is_told():
    names = ("a", "b", "c")
    told = [
        "b has the same ends as a: connect() refuses that as long as one of them has no device, or both have the same;"
        " they had others then."
    ]
    assert [*twins(scenario(connection(), connection()), names)] == told
    assert [*twins(scenario(connection(bound_dev_if=2), connection()), names)] == told
    assert [*twins(scenario(connection(bound_dev_if=2), connection(bound_dev_if=3)), names)] == []
    assert [*twins(scenario(connection(), connection(dport=9), connection(netns=1)), names)] == []
    assert [*twins(scenario(connection(), connection(), hostile=1), names)] == []
    assert told[0] in "\n".join(describe_case(Case(scenario(connection(), connection()), socks=("a", "b"))))
