"""Why a socket lost: by which rule, and with which change of one thing it would have won."""

import json
from typing import NamedTuple

import pytest

from skdiff.base.errors import CannotRun
from skdiff.cases.case_file import Case, dump, load
from skdiff.cases.find_cases import files
from skdiff.cases.scenario import (
    AF_INET6,
    AT_LINK,
    AT_MEMBERS,
    AT_NODE,
    AT_TAKEN,
    COMES,
    DEMUX,
    EDEMUX,
    FILTER,
    LEAVES,
    PACKET_MULTICAST,
    REBOUND,
    SK_REUSEPORT,
    TCP6,
    Event,
    Group,
    Netns,
    Packet,
    Program,
    Scenario,
    Sock,
)
from skdiff.cases.validity import problems
from skdiff.cli import main
from skdiff.comparison.mismatch_text import names_of
from skdiff.findings.changes import ABOUT, Others, changes, closed
from skdiff.findings.values import as_it_stands, with_value
from skdiff.findings.why_not import MOST_CHANGES, why_not
from skdiff.oracles.model import Model
from tests.helpers import ELSEWHERE, HERE, bound, connected, connection, datagram, listener, mostly_long, scenario
from tests.udp_cases import MANY, V6_HERE, V6_PEER, udp4

MODEL = Model()
MEMBER = {"reuseport": 1, "group": 0}


def in_group(*socks, **fields):
    """A case of TCP whose sockets are in one group."""
    plain = {"num_socks": len(socks), "bind_inany": 1, "slots": tuple(range(len(socks)))}
    return scenario(*socks, groups=(Group(**{**plain, **fields}),))


class Lost(NamedTuple):
    """A case, the socket that is asked for of its sockets a, b and c, why it lost, and the changes that are told."""

    id: str
    case: Scenario
    name: str
    reason: str
    changes: list[str]


LOST = [
    Lost(
        "port",
        scenario(listener(num=81), listener()),
        "a",
        "it listens on port 81",
        ["if it were on port 80, and opened last"],
    ),
    Lost(
        "address",
        scenario(listener(rcv_saddr=ELSEWHERE)),
        "a",
        "it is bound to 192.168.1.5, and the packet is for 10.0.0.2",
        ["if it were bound to 10.0.0.2, the packet's address", "if it were bound to the wildcard"],
    ),
    Lost(
        "device",
        scenario(listener(bound_dev_if=7)),
        "a",
        "it is bound to device 7, and the packet's device is 1",
        ["if it were bound to no device", "if it were bound to device 1 (SO_BINDTODEVICE)"],
    ),
    Lost(
        "vrf-unbound",
        scenario(listener(), packet=Packet(skb_iif=5, sdif=9)),
        "a",
        "it is bound to no device, the packet is of an L3 domain, and net.ipv4.tcp_l3mdev_accept is off",
        [
            "if net.ipv4.tcp_l3mdev_accept were 1",
            "if it were bound to device 5 (SO_BINDTODEVICE)",
            "if it were bound to device 9 (SO_BINDTODEVICE)",
        ],
    ),
    Lost(
        "vrf-bound",
        scenario(listener(bound_dev_if=7), packet=Packet(skb_iif=5, sdif=9)),
        "a",
        "it is bound to device 7, and the packet's device is 5, below it 9",
        ["if it were bound to device 5 (SO_BINDTODEVICE)", "if it were bound to device 9 (SO_BINDTODEVICE)"],
    ),
    Lost(
        "ipv6only",
        scenario(listener(family=AF_INET6, ipv6only=1)),
        "a",
        "it is for IPv6 only",
        ["if it were on the wildcard without IPV6_V6ONLY", "if it were bound to 10.0.0.2, the packet's address"],
    ),
    Lost(
        "family",
        scenario(listener(), lookup=TCP6, packet=Packet(saddr=V6_PEER, daddr=V6_HERE)),
        "a",
        "it is of AF_INET",
        ["if it were an AF_INET6 socket on ::"],
    ),
    Lost(
        "wildcard",
        scenario(listener(), listener(rcv_saddr=HERE)),
        "a",
        "it is on the wildcard, and b was found on the packet's address, which is searched first",
        ["if it were bound to 10.0.0.2, the packet's address, and opened last", "if b were closed"],
    ),
    Lost(
        "score",
        scenario(listener(), listener(bound_dev_if=1)),
        "a",
        "it scores 2, b 3",
        ["if it were bound to 10.0.0.2, the packet's address", "if b were closed"],
    ),
    Lost(
        "order",
        scenario(listener(), listener()),
        "a",
        "it scores 2 as b does, which was opened later and is met first",
        [
            "if it were opened last",
            "if it were bound to 10.0.0.2, the packet's address",
            "if it were bound to device 1 (SO_BINDTODEVICE)",
        ],
    ),
    Lost(
        "tail",
        scenario(
            listener(family=AF_INET6),
            listener(family=AF_INET6, reuseport=1, group=0),
            groups=(Group(num_socks=1, bind_inany=1, slots=(1,)),),
        ),
        "b",
        "it scores 1 as a does, which is met first: AF_INET6 sockets with SO_REUSEPORT stand behind all others",
        [
            "if it were bound to 10.0.0.2, the packet's address",
            "if it were bound to device 1 (SO_BINDTODEVICE)",
            "if it had SO_INCOMING_CPU 0",
        ],
    ),
    Lost(
        "connection",
        scenario(connection(), listener()),
        "b",
        "a is the packet's own connection; listeners are looked for only if there is none",
        ["if a were closed"],
    ),
    Lost(
        "connection2",
        scenario(connection(), connection()),
        "a",
        "b is the packet's own connection too, and is met first",
        ["if it were opened last", "if b were closed"],
    ),
    Lost("other connection", scenario(connection(dport=7)), "a", "it has another peer's port", []),
    Lost(
        "dying",
        scenario(connection(), connection(refcnt=0), hostile=1),
        "a",
        "the first match of the table of connections has no reference left, which ends that search",
        ["if it were opened last"],
    ),
    Lost("nowhere", scenario(Sock()), "a", "it is in no table, so no search meets it", ["if it listened"]),
    Lost("udp socket", scenario(bound()), "a", "the packet is TCP, and it is not in TCP's tables", []),
    Lost(
        "netns",
        scenario(listener(netns=1), netns=(Netns(), Netns())),
        "a",
        "it is of another namespace",
        ["if it were in the packet's namespace"],
    ),
    Lost(
        "hash",
        in_group(listener(**MEMBER), listener(**MEMBER)),
        "a",
        "the hash chose b among the members of their group",
        [
            "if the packet came from port 40003, whose hash points to it (with the secret of this case)",
            "if it were bound to 10.0.0.2, the packet's address",
            "if it had SO_INCOMING_CPU 0",
        ],
    ),
    Lost(
        "cpu",
        in_group(listener(**MEMBER), listener(**MEMBER, incoming_cpu=0), incoming_cpu=1),
        "a",
        "b of its group asked for CPU 0 (SO_INCOMING_CPU), on which the lookup runs",
        [
            "if it had SO_INCOMING_CPU 0, for 50.0 % of all hashes",
            "if b had no SO_INCOMING_CPU, for 50.0 % of all hashes",
            "if it were bound to 10.0.0.2, the packet's address",
        ],
    ),
    Lost(
        "filter",
        in_group(listener(**MEMBER), listener(**MEMBER), prog=FILTER, returns=1),
        "a",
        "the filter of its group returns 1, which is b",
        [
            "if the filter of its group returned 0",
            "if its group had no program, for 50.0 % of all hashes",
            "if it were bound to 10.0.0.2, the packet's address",
        ],
    ),
    Lost(
        "sk_reuseport",
        in_group(listener(**MEMBER), listener(**MEMBER), prog=SK_REUSEPORT, select=1),
        "a",
        "the program of its group selects b",
        [
            "if the program of its group selected it",
            "if its group had no program, for 50.0 % of all hashes",
            "if it were bound to 10.0.0.2, the packet's address",
        ],
    ),
    Lost(
        "drop",
        in_group(listener(**MEMBER), listener(**MEMBER), prog=SK_REUSEPORT, verdict=0),
        "a",
        "the program of its group dropped the packet",
        [
            "if the program of its group selected it",
            "if its group had no program, for 50.0 % of all hashes",
            "if it were bound to 10.0.0.2, the packet's address",
        ],
    ),
    Lost(
        "sk_lookup",
        scenario(
            listener(), listener(num=81), netns=(Netns(run_array=1, progs=(Program(assign=1),)),), sk_lookup_enabled=1
        ),
        "a",
        "an sk_lookup program chose b, and no listener is looked for then",
        ["if there were no sk_lookup programs", "if b were closed"],
    ),
    Lost(
        "sk_lookup drop",
        scenario(listener(), netns=(Netns(run_array=1, progs=(Program(verdict=0),)),), sk_lookup_enabled=1),
        "a",
        "an sk_lookup program dropped the packet",
        ["if there were no sk_lookup programs"],
    ),
    Lost(
        "attached",
        scenario(listener(refcnt=2), listener(), packet=Packet(sk=0, destructor=EDEMUX)),
        "b",
        "a hung on the packet (early demux or TPROXY put it there), and no table is searched then",
        ["if a were closed", "if no socket hung on the packet"],
    ),
    Lost(
        "race",
        scenario(connection(refcnt=2), events=(Event(point=AT_TAKEN, at=0, action=LEAVES, sk=0),)),
        "a",
        "meanwhile, on another CPU, a leaves its table, and loses a reference (event 1)",
        ["if event 1 did not come about"],
    ),
    Lost(
        "rebound meanwhile",
        scenario(connection(refcnt=2), events=(Event(point=AT_LINK, action=REBOUND, sk=0, value=7),)),
        "a",
        "meanwhile, on another CPU, a is bound to device 7 (event 1)",
        ["if event 1 did not come about"],
    ),
    Lost(
        "either of two events",
        scenario(connection(refcnt=2), events=(Event(point=AT_NODE, action=LEAVES, sk=0),) * 2),
        "a",
        "meanwhile, on another CPU, a leaves its table, and loses a reference (event 1)",
        [],
    ),
    Lost(
        "each of two events",
        scenario(
            connection(refcnt=3),
            events=(
                Event(point=AT_LINK, action=REBOUND, sk=0, value=7),
                Event(point=AT_NODE, action=LEAVES, sk=0),
            ),
        ),
        "a",
        "meanwhile, on another CPU, a is bound to device 7 (event 1) and a leaves its table, and loses a reference"
        " (event 2)",
        [],
    ),
    Lost(
        "too late",
        scenario(listener(), connection(refcnt=2), events=(Event(point=AT_NODE, at=0, action=COMES, sk=1),)),
        "b",
        "it came into its table only while the lookup ran, too late to be met (event 1)",
        [],
    ),
    Lost(
        "never",
        scenario(connection(refcnt=2), events=(Event(point=AT_MEMBERS, action=COMES, sk=0),)),
        "a",
        "it comes into its table by event 1 alone, which does not come about",
        [],
    ),
    Lost(
        "another one came",
        scenario(listener(rcv_saddr=0), listener(refcnt=2), events=(Event(point=AT_LINK, action=COMES, sk=1),)),
        "a",
        "meanwhile, on another CPU, b comes into its table (event 1)",
        ["if b were closed", "if event 1 did not come about", "if it were bound to 10.0.0.2, the packet's address"],
    ),
    Lost(
        "no event is why",
        scenario(connection(num=81, refcnt=2), events=(Event(point=AT_LINK, action=REBOUND, sk=0, value=7),)),
        "a",
        "it has another port of its own",
        [],
    ),
    Lost(
        "group first",
        scenario(listener(bound_dev_if=1), listener(**MEMBER), groups=(Group(num_socks=1, bind_inany=1, slots=(1,)),)),
        "a",
        "the group of b was met first, and its answer ended the search",
        [
            "if it were bound to 10.0.0.2, the packet's address",
            "if it had SO_REUSEPORT, for 50.0 % of all hashes",
            "if it were opened last",
        ],
    ),
    Lost(
        "udp peer",
        udp4(connected(dport=7), bound()),
        "a",
        "it has another peer's port",
        ["if it were not connected to another peer"],
    ),
    Lost(
        "udp other address",
        udp4(connected(daddr=ELSEWHERE)),
        "a",
        "it has another peer",
        ["if it were not connected to another peer"],
    ),
    Lost(
        "udp demux",
        udp4(bound(), connected(), caller=DEMUX),
        "a",
        "b hung on the packet (early demux put it there), and no table is searched then",
        ["if it were connected to where the packet comes from, and opened last", "if b were closed"],
    ),
    Lost(
        "udp score",
        udp4(bound(rcv_saddr=HERE), connected()),
        "a",
        "it scores 2, b 10",
        ["if it were connected to where the packet comes from, and opened last", "if b were closed"],
    ),
    Lost(
        "udp vrf",
        udp4(bound(), packet=datagram(skb_iif=5, sdif=9)),
        "a",
        "it is bound to no device, the packet is of an L3 domain, and net.ipv4.udp_l3mdev_accept is off",
        [
            "if net.ipv4.udp_l3mdev_accept were 1",
            "if it were bound to device 5 (SO_BINDTODEVICE)",
            "if it were bound to device 9 (SO_BINDTODEVICE)",
        ],
    ),
    Lost(
        "delivery",
        udp4(bound(), packet=datagram(daddr=MANY, pkt_type=PACKET_MULTICAST), caller=DEMUX)._replace(
            socks=(bound(), bound())
        ),
        "a",
        "a datagram for many goes to all who want it, which is no lookup",
        [],
    ),
    Lost("stuck", scenario(listener(), hostile=1, ehash_nulls_xor=1), "a", "the lookup does not end", []),
    Lost(
        "foreign",
        scenario(listener(), hostile=1, foreign_hashinfo=1),
        "a",
        "the caller passes foreign tables, in which nobody is found",
        [],
    ),
]


@pytest.mark.parametrize("lost", LOST, ids=lambda lost: lost.id)
def test_why_a_socket_lost_and_what_would_help(lost):
    assert problems(lost.case) == []
    found = why_not(Case(lost.case, socks=("a", "b", "c")[: len(lost.case.socks)]), lost.name, MODEL)
    assert (found.reason, list(found.changes)) == (lost.reason, lost.changes)


def test_of_two_who_asked_for_the_cpu_the_hash_chooses():
    case = in_group(*[listener(**MEMBER, incoming_cpu=0)] * 2, incoming_cpu=2)
    winner = MODEL.run(case).sk
    found = why_not(Case(case, socks=("a", "b")), "ab"[1 - winner], MODEL)
    assert found.reason == (
        f"{'ab'[winner]} asked for CPU 0 as well (SO_INCOMING_CPU), and the hash points nearer to it"
    )


def test_the_lines_of_it():
    case = Case(scenario(listener(num=81)), socks=("web",))
    assert list(why_not(case, "web", MODEL).lines()) == [
        "Why not web: it listens on port 81.",
        "web would get it if it were on port 80.",
    ]
    nothing = Case(scenario(connection(dport=7)), socks=("web",))
    assert list(why_not(nothing, "web", MODEL).lines())[1] == (
        "No single change was found with which web would get the packet."
    )


def test_a_program_may_decide_by_the_port_that_a_change_names():
    """Who makes the case anew for another port says so: there a filter has the packet, and no hash is asked."""
    case = in_group(listener(**MEMBER), listener(**MEMBER))
    assert MODEL.run(case).sk == 1

    def made(key, value):
        group = case.groups[0]._replace(prog=FILTER, returns=value == 40001)
        changed = with_value(case, key, value)
        return changed._replace(groups=(group,)) if key == "sport" else changed

    named = Case(case, socks=("a", "b"))
    plainly, anew = (why_not(named, "a", MODEL, how).changes[0] for how in (None, made))
    assert plainly.startswith("if the packet came from port 40003,")
    assert anew == "if the packet came from port 40002"


def test_who_cannot_be_asked_for():
    case = Case(scenario(listener()), socks=("web",))
    with pytest.raises(CannotRun, match="--why-not web: web gets the packet"):
        why_not(case, "web", MODEL)
    with pytest.raises(CannotRun, match="--why-not dns: the case has no such socket, only web"):
        why_not(case, "dns", MODEL)


def test_every_loser_of_the_corpus_has_a_reason():
    """Most losers of reachable cases have a change that helps; the others lose for two reasons, or are connections."""
    helped = asked = 0
    for case in map(load, files([])):
        outcome = MODEL.run(case.scenario)
        for index, name in enumerate(names_of(case)[0]):
            if index == outcome.sk:
                continue
            found = why_not(case, name, MODEL)
            assert found.reason
            assert case.scenario.packet.sdif or "L3 domain" not in found.reason
            assert len(found.changes) <= MOST_CHANGES
            asked += not case.scenario.hostile
            helped += bool(found.changes) and not case.scenario.hostile
    assert asked > 1000
    assert helped / asked > 0.7


def test_events_go_with_their_sockets():
    """Who is opened last has another index then, in events as well."""
    event = Event(point=AT_TAKEN, at=0, action=LEAVES, sk=0)
    case = scenario(connection(refcnt=2), listener(), events=(event,))
    others = Others(("a", "b"), {}, MODEL, as_it_stands(case))
    [last] = [change for change in changes(case, 1, others) if change.words == "if it were opened first"]
    assert last.scenario.events == (event._replace(at=1, sk=1),)
    assert closed(case, 0).events == ()
    assert closed(case, 1).events == (event,)


@pytest.mark.parametrize("step", mostly_long([12, 1]))
def test_a_change_changes_something_and_says_what_it_is_about(step):
    for case in map(load, files([])[::step]):
        for index, name in enumerate(names_of(case)[0]):
            others = Others(names_of(case)[0], {}, MODEL, as_it_stands(case.scenario))
            for change in changes(case.scenario, index, others):
                assert change.about in ABOUT, (name, change.words)
                assert change.moved or change.scenario != case.scenario, (name, change.words)


def test_explain_says_why_not(kernel_tree, tmp_path, capsys):
    path, summary = tmp_path / "case.toml", tmp_path / "summary.json"
    path.write_text(dump(Case(scenario(listener(), listener()), socks=("old", "new"))))
    assert main(["explain", str(path), "--why-not", "old", "--json", str(summary)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert "Why not old: it scores 2 as new does, which was opened later and is met first." in told
    assert "old would get it if it were opened last." in told
    assert told[-1] == "Answer: new gets the packet, without a reference."
    found = json.loads(summary.read_text())["why_not"]
    assert found["sk"] == "old"
    assert found["changes"][0] == "if it were opened last"
    for name, says in (("new", "new gets the packet"), ("dns", "no such socket, only old, new")):
        assert main(["explain", str(path), "--why-not", name]) == 2
        assert says in capsys.readouterr().err
