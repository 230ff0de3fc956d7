"""Cases as TOML: what is written is read again, what is wrong is one line that says where, expectations are checked."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skdiff.base.errors import CannotRun
from skdiff.cases.addresses import MAPPED_ANY, from_text, mapped
from skdiff.cases.case_file import MAX_BYTES, VERSION, Case, default_names, dump, load, parse, role
from skdiff.cases.record import constants
from skdiff.cases.scenario import (
    AF_INET6,
    DESTRUCTOR_OTHER,
    FILTER,
    IPPROTO_SCTP,
    NONE,
    PFREE,
    TCP6,
    Group,
    Netns,
    Packet,
    Program,
    Scenario,
    Sock,
)
from tests.arbitrary import valid_scenarios
from tests.helpers import HERE, connection, cookie, listener, scenario, timewait, udp

HOSTILE = "version = 1\n[scenario]\nhostile = true\n"
ONE = HOSTILE + '[[sock]]\nname = "a"\n'

# --- round trips ---

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
plain_values = st.one_of(st.integers(-(1 << 63), (1 << 63) - 1), words, st.booleans())
names = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_ -]{0,63}", fullmatch=True).filter(
    lambda name: name not in ("none", "leave", "foreign")
)


@given(valid_scenarios)
def test_a_scenario_is_read_as_it_was_written(case: Scenario) -> None:
    assert parse(dump(Case(case))).scenario == case


@given(valid_scenarios)
def test_a_case_that_was_read_is_written_as_it_was(case: Scenario) -> None:
    text = dump(Case(case))
    assert dump(parse(text)) == text


@given(words, st.dictionaries(words.filter(bool), plain_values, max_size=4))
def test_a_story_is_read_as_it_was_written(why: str, found: dict[str, Any]) -> None:
    read = parse(dump(Case(scenario(Sock()), why=why, found=found)))
    assert (read.why, read.found) == (why, found)


@given(valid_scenarios, st.data())
def test_sockets_and_groups_may_have_any_names(case: Scenario, data: st.DataObject) -> None:
    def unique(count: int) -> st.SearchStrategy[list[str]]:
        return st.lists(names, min_size=count, max_size=count, unique=True)

    socks, groups = (tuple(data.draw(unique(len(things)))) for things in (case.socks, case.groups))
    read = parse(dump(Case(case, socks=socks, groups=groups)))
    assert read.scenario == case
    assert (read.socks, read.groups) == (socks, groups)


def test_a_case_reads_well() -> None:
    socks = (listener(rcv_saddr=HERE), cookie(listener=0), udp(reuseport=1, group=0))
    case = Scenario(
        hash_secret=0x9E3779B1,
        packet=Packet(sk=1, destructor=PFREE, rt_iif=2),
        netns=(Netns(run_array=1, progs=(Program(assign=0), Program(), Program(assign=NONE))),),
        sk_lookup_enabled=1,
        groups=(Group(num_socks=1, bind_inany=1, prog=FILTER, slots=(2, 1)),),
        socks=socks,
    )
    text = dump(Case(case, why="A story."))
    assert f"version = {VERSION}" in text
    document = tomllib.loads(text)
    assert document["why"] == "A story."
    assert document["scenario"] == {"hash_secret": 0x9E3779B1, "sk_lookup_enabled": True}
    assert "hash_secret = 0x9e3779b1" in text
    packet = document["packet"]
    assert (packet["saddr"], packet["daddr"]) == ("10.0.0.1", "10.0.0.2")
    assert (packet["sport"], packet["dport"], packet["rt_iif"]) == (40000, 80, 2)
    assert (packet["sk"], packet["destructor"]) == ("request1", "sock_pfree")
    assert [p["assign"] for p in document["netns"][0]["progs"]] == ["listener0", "leave", "none"]
    (group,) = document["group"]
    assert group["slots"] == ["udp2", "request1"]
    assert group["prog"] == "filter"
    assert document["sock"][0] == {
        "name": "listener0",
        "rcv_saddr": "10.0.0.2",
        "state": "LISTEN",
        "rcu_free": True,
        "hashed": "lhash2",
    }
    assert document["sock"][1]["listener"] == "listener0"
    assert document["sock"][2] == {
        "name": "udp2",
        "protocol": "udp",
        "rcu_free": True,
        "reuseport": True,
        "group": "group0",
    }


def test_a_case_of_ipv6_reads_well() -> None:
    here, peer = from_text("2001:db8::2"), from_text("fe80::1")
    case = scenario(
        listener(family=AF_INET6, ipv6only=1, rcv_saddr=here),
        connection(family=AF_INET6, rcv_saddr=mapped(0x0A000002), daddr=mapped(0x0A000001)),
        packet=Packet(saddr=peer, daddr=here),
        lookup=TCP6,
        hash_secret6=0x9E3779B1,
    )
    document = tomllib.loads(dump(Case(case)))
    assert document["scenario"] == {"lookup": "tcp6", "hash_secret6": 0x9E3779B1}
    assert (document["packet"]["saddr"], document["packet"]["daddr"]) == ("fe80::1", "2001:db8::2")
    assert document["sock"][0]["rcv_saddr"] == "2001:db8::2"
    assert (document["sock"][1]["rcv_saddr"], document["sock"][1]["daddr"]) == ("10.0.0.2", "10.0.0.1")
    assert parse(dump(Case(case))).scenario == case


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("::1", 1),
        ("::", 0),
        ("0.0.0.0", 0),
        ("::ffff:10.0.0.2", HERE),
        ("::ffff:a00:2", HERE),
        ("::ffff:0.0.0.0", MAPPED_ANY),
        ("2001:DB8:0::2", 0x20010DB8 << 96 | 2),
    ],
)
def test_an_ipv6_address_may_be_written_in_all_its_forms(text: str, value: int) -> None:
    read = parse(f'version = 1\n[scenario]\nhostile = true\nlookup = "tcp6"\n[packet]\ndaddr = "{text}"')
    assert (read.scenario.lookup, read.scenario.packet.daddr) == (TCP6, value)


@pytest.mark.parametrize(
    ("sock", "word"),
    [
        (listener(), "listener"),
        (connection(), "established"),
        (timewait(), "timewait"),
        (cookie(), "request"),
        (udp(), "udp"),
        (Sock(protocol=IPPROTO_SCTP), "sctp"),
        (Sock(protocol=1), "other"),
        (Sock(), "close"),
        (Sock(state=13), "socket"),
        (Sock(state=200), "socket"),
    ],
)
def test_a_socket_is_called_what_it_is(sock: Sock, word: str) -> None:
    assert role(sock) == word
    assert default_names(scenario(Sock(num=1), sock))[0][1] == f"{word}1"


def test_the_shortest_case_is_the_plainest_scenario() -> None:
    assert parse("version = 1").scenario == Scenario()


def test_what_is_left_out_is_as_in_the_plainest_case() -> None:
    text = HOSTILE + '[packet]\ndport = 81\n[[sock]]\n[[sock]]\nname = "b"\n[[group]]\nslots = ["sock0", "b"]\n'
    case = parse(text)
    assert case.scenario == Scenario(
        hostile=1, packet=Packet(dport=81), socks=(Sock(), Sock()), groups=(Group(slots=(0, 1)),)
    )
    assert (case.socks, case.groups) == (("sock0", "b"), ("group0",))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ('saddr = "1.2.3.4"', 0xFFFF01020304),
        ("saddr = 0x01020304", 0xFFFF01020304),
        ("saddr = 0", 0),
        ('saddr = "255.255.255.255"', 0xFFFFFFFFFFFF),
        ('saddr = "0.0.0.0"', 0),
    ],
)
def test_an_address_may_be_dotted_or_a_number(field: str, value: int) -> None:
    assert parse(f"version = 1\n[packet]\n{field}").scenario.packet.saddr == value


@pytest.mark.parametrize(
    ("field", "value"), [('destructor = "other"', DESTRUCTOR_OTHER), ("destructor = 3", DESTRUCTOR_OTHER)]
)
def test_an_enumerator_may_be_its_name_or_its_number(field: str, value: int) -> None:
    case = parse(f"version = 1\n[scenario]\nhostile = true\n[packet]\n{field}")
    assert case.scenario.packet.destructor == value


@pytest.mark.parametrize(
    ("field", "name", "value"),
    [
        *(("family", "AF_INET", 2), ("family", "AF_INET6", 10), ("protocol", "tcp", 6), ("protocol", "udp", 17)),
        *(("protocol", "sctp", 132), ("state", "ESTABLISHED", 1), ("state", "LISTEN", 10)),
        *(("state", "CLOSING", 11), ("hashed", "nowhere", 0), ("hashed", "ehash", 1), ("hashed", "lhash2", 2)),
        *(("hash_kind", "wrong", 1), ("hash_kind", "packet", 2), ("kind", "full", 0)),
    ],
)
def test_enumerators_have_the_kernels_numbers(field: str, name: str, value: int) -> None:
    (sock,) = parse(ONE + f'{field} = "{name}"\n').scenario.socks
    assert getattr(sock, field) == value


def test_verdicts_have_the_kernels_numbers() -> None:
    drops, passes = parse(HOSTILE + '[[group]]\nverdict = "drop"\n[[group]]\nverdict = "pass"\n').scenario.groups
    assert (drops.verdict, passes.verdict) == (0, 1)


# --- errors ---

WRONG: dict[str, tuple[str, int, str]] = {
    "no version": ("", 1, "version is missing"),
    "a future version": ("# new\nversion = 2\n", 2, "version: 2; this skdiff reads version 1"),
    "a version that is a text": ('version = "1"\n', 1, "version: '1'"),
    "an unknown table": ("version = 1\n[sockets]\n", 2, "sockets: no such key here; known: event, expect, found, "),
    "an unknown key of a socket": (ONE + "port = 80\n", 6, "sock.a.port: no such key here; known: bound_dev_if, "),
    "an unknown key of the packet": (HOSTILE + "[packet]\nport = 80\n", 5, "packet.port: no such key here"),
    "an unknown key of the scenario": (HOSTILE + "seed = 1\n", 4, "scenario.seed: no such key here"),
    "an unknown key of a namespace": (HOSTILE + "[[netns]]\nmix = 1\n", 5, "netns.0.mix: no such key here"),
    "an unknown key of a program": (
        HOSTILE + "[[netns]]\n[[netns.progs]]\nreturns = 1\n",
        6,
        "netns.0.progs.returns: no such key here",
    ),
    "an unknown key of a group": (HOSTILE + "[[group]]\nmembers = 1\n", 5, "group.group0.members: no such key here"),
    "an unknown key of an expectation": (ONE + "[expect]\nfound = true\n", 7, "expect.found: no such key here"),
    "a flag that is a number": (ONE + "reuseport = 1\n", 6, "sock.a.reuseport: true or false is needed, not 1"),
    "a number that is a text": (ONE + 'num = "80"\n', 6, "sock.a.num: a number of 32 bits is needed, not '80'"),
    "a number that is a flag": (ONE + "num = true\n", 6, "sock.a.num: a number of 32 bits is needed, not True"),
    "a number with a fraction": (ONE + "num = 80.5\n", 6, "sock.a.num: a number of 32 bits is needed, not 80.5"),
    "a number that is too large": (ONE + "refcnt = 4294967296\n", 6, "sock.a.refcnt: a number of 32 bits is needed"),
    "a number that is too small": (ONE + "bound_dev_if = -2147483649\n", 6, "sock.a.bound_dev_if: a number of 32"),
    "a list for a number": (ONE + "num = [80]\n", 6, "sock.a.num: a number of 32 bits is needed, not [80]"),
    "an unknown enumerator": (ONE + 'state = "OPEN"\n', 6, "sock.a.state: 'OPEN' is none of 0, ESTABLISHED, "),
    "three quarters of an address": (
        ONE + 'daddr = "10.0.0"\n',
        6,
        "sock.a.daddr: '10.0.0' is no address of IPv4 or IPv6",
    ),
    "an address out of range": (
        ONE + 'daddr = "10.0.0.256"\n',
        6,
        "sock.a.daddr: '10.0.0.256' is no address of IPv4 or IPv6",
    ),
    "half of an IPv6 address": (ONE + 'daddr = "fe80:"\n', 6, "sock.a.daddr: 'fe80:' is no address of IPv4 or IPv6"),
    "an address of a device": (
        ONE + 'daddr = "fe80::1%eth0"\n',
        6,
        "sock.a.daddr: 'fe80::1%eth0' is no address of IPv4 or IPv6",
    ),
    "an IPv6 address of an IPv4 socket": (
        ONE + 'daddr = "::1"\n',
        4,
        "sock.a: only an AF_INET6 socket has addresses of IPv6",
    ),
    "an IPv6 packet in a lookup of IPv4": (
        'version = 1\n[packet]\nsaddr = "::1"\n',
        2,
        "scenario: the packet: IPv4 has no such addresses",
    ),
    "an address of more than 32 bits as a number": (
        ONE + "daddr = 0xffff01020304\n",
        6,
        "sock.a.daddr: a number of 32 bits is needed, not 281470698652420",
    ),
    "a lookup that is none": (
        'version = 1\n[scenario]\nlookup = "tcp5"\n',
        3,
        "scenario.lookup: 'tcp5' is none of tcp4, tcp6",
    ),
    "an address that is a flag": (ONE + "daddr = true\n", 6, "sock.a.daddr: a number of 32 bits is needed, not True"),
    "a packet with nobody's socket": (ONE + '[packet]\nsk = "b"\n', 7, "packet.sk: 'b' is none of a, none, leave"),
    "a packet with a socket's number": (ONE + "[packet]\nsk = 0\n", 7, "packet.sk: 0 is none of a, none, leave"),
    "nobody's request": (ONE + 'kind = "request"\nlistener = "b"\n', 7, "sock.a.listener: 'b' is none of a"),
    "a member of no group": (ONE + 'group = "g"\n', 6, "group: 'g' is none of none"),
    "a slot without a socket": (ONE + '[[group]]\nslots = ["a", "b"]\n', 7, "slots: 'b' is none of a"),
    "slots that are no list": (ONE + '[[group]]\nslots = "a"\n', 7, "slots: a list of names of sockets is needed"),
    "a program that assigns nobody": (
        ONE + '[[netns]]\n[[netns.progs]]\nassign = "b"\n',
        8,
        "netns.0.progs.assign: 'b' is none of a, none, leave",
    ),
    "a name that is a number": (
        HOSTILE + "[[sock]]\nname = 1\n",
        5,
        "name: 1 is no name: letters (of ASCII), digits, spaces, - and _, up to 64 of them",
    ),
    "a name that means nobody": (HOSTILE + '[[sock]]\nname = "none"\n', 5, "name: 'none' is taken"),
    "a name of two lines": (
        HOSTILE + '[[sock]]\nname = "a\\nb"\n',
        5,
        "name: 'a\\nb' is no name: letters (of ASCII), digits, spaces, - and _, up to 64 of them",
    ),
    "a port that no field can hold": (
        HOSTILE + "[[sock]]\nnum = 65536\n",
        5,
        "sock.sock0.num: 65536: it can be 0 to 65535",
    ),
    "a state that the kernel does not know": (
        HOSTILE + "[[sock]]\nstate = 13\n",
        5,
        "sock.sock0.state: 13: it can be 1 to 12",
    ),
    "an expected warning that is a number": (
        ONE + "[expect]\nwarns = 1\n",
        7,
        "expect.warns: a list of the functions that warn is needed, not 1",
    ),
    "an expected count of nobody": (ONE + "[expect.refcnt]\nb = 1\n", 7, "expect.refcnt: 'b' is none of a"),
    "an expected end that is none": (
        ONE + '[expect]\nended = "well"\n',
        7,
        "expect.ended: 'well' is none of returned, stuck, crashed",
    ),
    "a socket that is a table": ("version = 1\n[sock]\n", 2, "sock: tables [[sock]] are needed"),
    "a namespace that is a number": ("version = 1\nnetns = 1\n", 2, "netns: tables [[netns]] are needed"),
    "a packet that is a number": ("version = 1\npacket = 1\n", 2, "packet: a table [packet] is needed"),
    "a story that is a number": ("version = 1\nwhy = 1\n", 2, "why: a text is needed"),
    "the expectation of nobody": (ONE + '[expect]\nsk = "b"\n', 7, "expect.sk: 'b' is none of a, none"),
    "a header that no packet has": (
        HOSTILE + "[packet]\ndoff = 0xfffffff0\n",
        5,
        "packet.doff: 4294967280: it can be 0 to 60",
    ),
    "a device below none": ("version = 1\n[packet]\nskb_iif = -5\n", 2, "scenario: a packet comes in by a device"),
    "a scenario that is not valid": (
        "version = 1\n[scenario]\nehash_size = 3\n",
        3,
        "scenario.ehash_size: 3: a power of two is needed",
    ),
    "a scenario that no system call makes": (
        "version = 1\n[scenario]\nsk_lookup_enabled = true\n",
        2,
        "scenario: the static key is on while, and only while, a program is attached",
    ),
}


def refused(text: str) -> str:
    """The one line with which parse() refuses."""
    with pytest.raises(CannotRun) as caught:
        parse(text, "some/case.toml")
    line = str(caught.value)
    assert line.startswith("some/case.toml:")
    assert "\n" not in line
    return line.removeprefix("some/case.toml:")


@pytest.mark.parametrize(("text", "line", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_one_line_that_says_where(text: str, line: int, message: str) -> None:
    assert refused(text).startswith(f"{line}: {message}")


EVENTS = 'version = 1\n[scenario]\n[[event]]\npoint = "link"\naction = "goes on"\n[[event]]\n'
IN_WORDS = EVENTS.replace("[scenario]", 'packet = "10.0.0.1:1 -> 10.0.0.2:80"')
# What is wrong with the second event, whose first line is the sixth.
WRONG_EVENTS: dict[str, tuple[str, int, str]] = {
    "a socket is missing": ('action = "leaves"\npoint = "link"\n', 6, "event 2: sk: this action needs sk"),
    "a value where there is none": (
        'point = "link"\naction = "goes on"\nvalue = 1\n',
        9,
        "event 2: value: this action has none",
    ),
    "too many steps": (
        'point = "link"\nsteps = 2\naction = "goes on"\n',
        8,
        "event 2: steps: 2 are too many: this action has none: leave them out",
    ),
    "a program that is not there": (
        'point = "link"\naction = "detached"\n',
        6,
        "event 2: value: a group with a program is needed, from 0 on: there is none",
    ),
    "what no other CPU can do": (
        'point = "link"\naction = "sysctl"\nvalue = 2\n',
        9,
        "event 2: value: 0 or 1 is needed",
    ),
}


@pytest.mark.parametrize("head", [EVENTS, IN_WORDS], ids=["raw", "words"])
@pytest.mark.parametrize(("text", "line", "message"), WRONG_EVENTS.values(), ids=WRONG_EVENTS)
def test_what_is_wrong_with_an_event_is_told_at_its_line(head: str, text: str, line: int, message: str) -> None:
    assert refused(head + text) == f"{line}: {message}"


NO_SOCKET = ('""', '"none"', '"any"', '"leave"', '"foreign"', '"b"', "0", "true", "[]")
WITH_A = 'version = 1\npacket = "10.0.0.1:1 -> 10.0.0.2:80"\n[[listener]]\nname = "a"\nlisten = "*:80"\n'


@pytest.mark.parametrize("key", ["at", "sk", "other"])
@pytest.mark.parametrize("value", NO_SOCKET)
def test_an_event_names_a_socket_or_nothing(value: str, key: str) -> None:
    """The same in both formats."""
    event = f'[[event]]\npoint = "link"\naction = "goes on"\n{key} = {value}\n'
    hint = {"at": "; left out, any visit counts"}.get(key, "; left out, there is none")
    for head in (ONE, WITH_A):
        told = refused(head + event)
        assert told.startswith("9: ")
        assert f"{key}: " in told
        assert told.endswith(hint) == (value in NO_SOCKET[:3])


def test_an_event_that_no_cpu_can_bring_about_is_told_at_its_line() -> None:
    text = (
        f'{EVENTS}point = "taken"\naction = "reused"\nvalue = 1\nsk = "a"\n[[sock]]\nname = "a"\nhashed = "ehash"\n'
        'state = "ESTABLISHED"\nrcv_saddr = "10.0.0.2"\nnum = 80\ndaddr = "10.0.0.1"\ndport = 1\n'
    )
    assert refused(text).startswith("6: event 2: memory that somebody has a reference to is not reused")


@pytest.mark.parametrize("rest", ["", "[packet]\nsport = 1\n"])
def test_events_alone_say_nothing_of_the_format(rest: str) -> None:
    """Both have them: without a key of the format in words a case is a raw one."""
    text = f'version = 1\n{rest}[[event]]\npoint = "link"\naction = "goes on"\n'
    assert len(parse(text).scenario.events) == 1


def test_the_first_event_that_has_no_room_is_told() -> None:
    one = '[[event]]\npoint = "link"\naction = "goes on"\n'
    text = f"version = 1\n[scenario]\n{one * constants.MAX_EVENTS}# one more\n{one}"
    wanted = f"{4 + 3 * constants.MAX_EVENTS}: scenario: {constants.MAX_EVENTS + 1} events, there is room for "
    assert refused(text).startswith(wanted)


def test_all_problems_are_told_at_once_each_with_its_line() -> None:
    text = "version = 1\n[packet]\nusers = 2\n[scenario]\nforeign_hashinfo = true\n"
    with pytest.raises(CannotRun) as caught:
        parse(text, "some/case.toml")
    assert str(caught.value) == (
        "some/case.toml:2: scenario: a packet is unshared, and is not pulled again"
        " (net/ipv4/ip_input.c ip_rcv_core())\n"
        "some/case.toml:4: scenario: TCP searches the tables of its namespace (net/ipv4/tcp_ipv4.c tcp_v4_rcv());"
        " with hostile = true in [scenario] a case may have what no system reaches"
    )


def test_all_misspelt_keys_are_told_at_once() -> None:
    text = 'version = 1\n[packet]\niif = 2\n[[sock]]\nname = "a"\nport = 80\nstate = "TCP_LISTEN"\ncpu = 1\n'
    with pytest.raises(CannotRun) as caught:
        parse(text, "x")
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[0] for line in lines] == ["x:3", "x:6", "x:7", "x:8"]
    hints = [line.rpartition("; ")[2] for line in lines]
    assert hints == [
        "did you mean skb_iif?",
        "did you mean num, its own port (dport is the other end's)?",
        "did you mean LISTEN?",
        "did you mean incoming_cpu?",
    ]


def test_a_single_problem_is_told_alone() -> None:
    text = "version = 1\n[packet]\ndata_len = 21\n"
    assert refused(text).endswith(": scenario: data_len 21 is more than len 20")


def test_a_name_is_taken_once() -> None:
    assert "name: 'a' is taken" in refused(ONE + '[[sock]]\nname = "a"\n')
    assert "name: 'sock1' is taken" in refused(HOSTILE + '[[sock]]\nname = "sock1"\n[[sock]]\n')
    assert "name: 'g' is taken" in refused(HOSTILE + '[[group]]\nname = "g"\n[[group]]\nname = "g"\n')


def test_counts_and_listeners_are_expected_of_sockets_of_the_case() -> None:
    for key in ("refcnt", "listener"):
        assert f"expect.{key}: 'b' is none of a" in refused(ONE + f"[expect.{key}]\nb = 1\n")
        assert f"expect.{key}: 'none' is none of a" in refused(ONE + f"[expect.{key}]\nnone = 1\n")
        assert f"expect.{key}: a table [expect.{key}] is needed" in refused(ONE + f"[expect]\n{key} = 1\n")


def test_a_socket_and_a_group_may_have_the_same_name() -> None:
    assert parse(ONE + '[[group]]\nname = "a"\nslots = ["a"]\n').groups == ("a",)


def test_a_key_that_is_there_twice_is_told_with_both_lines() -> None:
    assert refused("a = 1\n\na = 2") == "3: a is there already, in line 1"
    assert refused("version = 1\n[packet]\nlen = 1\nlen = 2\n") == "4: len is there already, in line 3"


@pytest.mark.parametrize(("text", "line"), [("version = 1\n[[sock\n", 2), ("version 1", 1), ("\0", 1)])
def test_what_is_not_toml_is_one_line_that_says_where(text: str, line: int) -> None:
    said = refused(text)
    assert said.startswith(" not TOML: ")
    assert f"line {line}, column" in said or "end of document" in said


@pytest.mark.parametrize("text", ["x = " + "[" * 100_000, HOSTILE + "x = " + "[" * 5_000 + "]" * 5_000])
def test_deep_nesting_is_one_line(text: str) -> None:
    assert "nested too deeply" in refused(text)


# --- files ---


def load_refused(path: Path) -> str:
    with pytest.raises(CannotRun) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_is_read_and_remembered(tmp_path: Path) -> None:
    path = tmp_path / "case.toml"
    path.write_text(dump(Case(scenario(listener()), why="ä")))
    case = load(path)
    assert (case.path, case.why, case.scenario) == (path, "ä", scenario(listener()))


def test_an_error_in_a_file_names_it(tmp_path: Path) -> None:
    path = tmp_path / "case.toml"
    path.write_text("version = 1\nwhat = 1\n")
    assert load_refused(path).startswith(f"{path}:2: what: no such key")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "case.toml"
    path.write_text("version = 1\n#" + "x" * MAX_BYTES)
    assert load_refused(path).startswith(f"{path}: larger than {MAX_BYTES} bytes")
    path.write_text(("version = 1\n#" + "x" * MAX_BYTES)[:MAX_BYTES])
    assert load(path).scenario == Scenario()


def test_a_file_that_is_not_there_and_one_that_is_a_folder(tmp_path: Path) -> None:
    assert load_refused(tmp_path / "no.toml") == f"cannot read {tmp_path / 'no.toml'}: No such file or directory"
    assert load_refused(tmp_path) == f"cannot read {tmp_path}: Is a directory"


def test_a_file_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "case.toml"
    path.write_bytes(b"version = 1\n\xff")
    assert load_refused(path) == f"{path}: not UTF-8 text: invalid start byte at byte 12"
