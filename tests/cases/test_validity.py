"""Valid Scenarios: each rule fires on a case that breaks it alone, and on no other."""

import ast
import re
from pathlib import Path

import pytest
from hypothesis import given

from skdiff.cases import validity
from skdiff.cases.scenario import (
    AF_INET6,
    DESTRUCTOR_OTHER,
    EDEMUX,
    EHASH,
    FILTER,
    HASH_PACKET,
    HASH_WRONG,
    IPPROTO_SCTP,
    KIND_REQUEST,
    KIND_TIMEWAIT,
    LEAVES,
    LHASH2,
    NONE,
    NOWHERE,
    PFREE,
    REUSED,
    SK_REUSEPORT,
    TCP_CLOSE,
    TCP_ESTABLISHED,
    TCP_LISTEN,
    TCP_NEW_SYN_RECV,
    TCP_SYN_SENT,
    TCP_TIME_WAIT,
    Group,
    Netns,
    Packet,
    Program,
    Scenario,
    Sock,
)
from skdiff.cases.validity import problems
from skdiff.engines.strategies import scenarios
from tests.arbitrary import valid_scenarios
from tests.helpers import ELSEWHERE, HERE, connection, cookie, listener, request, scenario, timewait, udp

# --- what the C does not accept ---

STRUCTURE: list[tuple[str, Scenario]] = [
    ("3 namespaces, there is room for 2", scenario(netns=(Netns(),) * 3)),
    ("5 groups, there is room for 4", scenario(groups=tuple(Group(reuseport_id=i + 1) for i in range(5)))),
    ("17 sockets, there is room for 16", scenario(*[Sock()] * 17)),
    *(
        (f"{name} is {size}: a power of two up to 131072 is needed", scenario(**{name: size}))
        for name in ("ehash_size", "lhash2_size")
        for size in (0, 3, 131073, 262144)
    ),
    ("the packet's namespace 1 is not there", scenario(packet=Packet(netns=1))),
    ("the scenario: ehash_size is -4, it can be 0 to 4294967295", scenario(ehash_size=-4)),
    ("the packet: netns is -1, it can be 0 to 255", scenario(packet=Packet(netns=-1))),
    ("the packet: destructor is 4, it can be 0 to 3", scenario(packet=Packet(destructor=4))),
    ("namespace 0: hash_mix is 4294967296, it can be 0 to 4294967295", scenario(netns=(Netns(hash_mix=1 << 32),))),
    (
        "a program of namespace 0: verdict is 256, it can be 0 to 255",
        scenario(netns=(Netns(progs=(Program(verdict=256),)),)),
    ),
    ("group 0: prog is 3, it can be 0 to 2", scenario(groups=(Group(prog=3),))),
    *(
        (f"socket 0: {name} is {value}, it can be {can}", scenario(Sock(**{name: value})))
        for name, value, can in (
            ("state", 0, "1 to 12"),
            ("state", 13, "1 to 12"),
            ("kind", 3, "0 to 2"),
            ("hashed", 3, "0 to 2"),
            ("hash_kind", 3, "0 to 2"),
            ("race", 3, "0 to 2"),
            ("num", 65536, "0 to 65535"),
            ("bound_dev_if", 1 << 31, "-2147483648 to 2147483647"),
        )
    ),
    ("the packet's socket 1 is not there", scenario(Sock(), packet=Packet(sk=1, destructor=PFREE))),
    ("the packet's socket -2 is not there", scenario(Sock(), packet=Packet(sk=-2))),
    ("data_len 21 is more than len 20", scenario(packet=Packet(data_len=21))),
    ("an sk_buff has at least one user", scenario(packet=Packet(users=0))),
    ("socket 0: namespace 1 is not there", scenario(Sock(netns=1))),
    *(
        ("socket 0: what is not in ehash, or is marked as unhashed, cannot leave it", scenario(sock))
        for sock in (listener(race=LEAVES), Sock(race=REUSED), connection(race=LEAVES, no_pprev=1))
    ),
    (
        "socket 0: the lookup frees it, and something else still names it",
        scenario(connection(race=LEAVES), groups=(Group(num_socks=0, slots=(0,)),)),
    ),
    (
        "socket 0: only a listener has SO_REUSEPORT changed since listen()",
        scenario(connection(reuseport=1, reuseport_changed=1)),
    ),
    ("socket 1: group 0 is not there, or the socket is a mini socket", scenario(Sock(), listener(group=0))),
    (
        "socket 0: group 0 is not there, or the socket is a mini socket",
        scenario(timewait(group=0), groups=(Group(),)),
    ),
    ("socket 0: listener 1 is not there, or the socket is no request", scenario(request(listener=1))),
    ("socket 0: listener 1 is not there, or the socket is no request", scenario(timewait(listener=1), listener())),
    ("socket 0: listener 1 is not there, or the socket is no request", scenario(listener(listener=1), listener())),
    *(
        ("socket 0: a mini socket has its kind's state, no socket flags, and is no listener", scenario(sock))
        for sock in (
            timewait(state=TCP_ESTABLISHED),
            timewait(state=TCP_NEW_SYN_RECV),
            request(state=TCP_TIME_WAIT),
            timewait(rcu_free=1),
            timewait(hashed=LHASH2),
        )
    ),
    ("socket 0: a full socket in state 6 would be taken for a mini socket", scenario(connection(state=TCP_TIME_WAIT))),
    ("socket 0: a full socket in state 12 would be taken for a mini socket", scenario(connection(state=12))),
    ("socket 0: only a request has a SYN cookie", scenario(timewait(syncookie=1))),
    ("socket 0: only a request has a SYN cookie", scenario(Sock(syncookie=1))),
    ("group 0: 9 slots, there is room for 8", scenario(Sock(), groups=(Group(slots=(0,) * 9),))),
    ("group 0: a slot without a socket", scenario(Sock(), groups=(Group(slots=(0, 1)),))),
    ("group 0: a slot without a socket", scenario(Sock(), groups=(Group(slots=(NONE,)),))),
    (
        "group 0: 1 live and 1 closed in 1 slots",
        scenario(Sock(), groups=(Group(num_socks=1, num_closed_socks=1, slots=(0,)),)),
    ),
    ("group 0: its program selects socket 1, which is not there", scenario(Sock(), groups=(Group(select=1),))),
    ("namespace 0: 4 programs, there is room for 3", scenario(netns=(Netns(progs=(Program(),) * 4),))),
    *(
        (f"namespace 0: a program assigns {i}, which is no full socket", scenario(Sock(), timewait(), netns=netns))
        for i in (1, 2, -3)
        for netns in ((Netns(progs=(Program(assign=i),)),),)
    ),
]

# --- what no system call or BPF helper makes ---

TWO_NETNS = (Netns(), Netns())
PROGS = (Netns(run_array=1, progs=(Program(),)),)


def runs(program: Program, *socks: Sock) -> Scenario:
    return scenario(*socks, netns=(Netns(run_array=1, progs=(program,)),), sk_lookup_enabled=1)


def carries(sock: Sock, *more: Sock, destructor: int = PFREE, **fields: int) -> Scenario:
    netns = (Netns(),) * (1 + max(sock.netns, fields.get("netns", 0)))
    return scenario(sock, *more, packet=Packet(sk=0, destructor=destructor, **fields), netns=netns)


def grouped(*socks: Sock, **fields: object) -> Scenario:
    plain = {"num_socks": len(socks), "bind_inany": 1, "slots": tuple(range(len(socks)))}
    return scenario(*socks, groups=(Group(**{**plain, **fields}),))


MEMBER = listener(reuseport=1, group=0)
REFUSED = "namespace 0: bpf_sk_assign() refuses socket 0"
WHOLE_HEADER = "tcp_v4_rcv() has an unshared packet with a whole linear header of 20 to 60 bytes"
TCP_CONNECTION = "socket 0: a connection has two addresses and two ports, and is TCP's"
REQUESTS_LISTENER = "socket 0: a request's listener is of its namespace, listening or closed since"
COOKIE_ALONE = "socket 0: a SYN cookie's request hangs on the packet alone, without a reference"
MEMBERS_SHARE = "group 0: its members share namespace, protocol, family, address and port"
LIVE_SLOTS = "group 0: its live slots are its members, each once"
SELECTS = "group 0: sk_select_reuseport() selects members, and the verdict is 0 or 1"

UNREACHABLE: list[tuple[str, Scenario]] = [
    ("spoilt end marks and foreign tables are hostile", scenario(ehash_nulls_xor=1)),
    ("spoilt end marks and foreign tables are hostile", scenario(foreign_hashinfo=1)),
    ("the static key is on while, and only while, a program is attached", scenario(sk_lookup_enabled=1)),
    ("the static key is on while, and only while, a program is attached", scenario(netns=PROGS)),
    ("namespace 0: there is an array of programs if there are programs", scenario(netns=(Netns(run_array=1),))),
    (
        "namespace 1: there is an array of programs if there are programs",
        scenario(netns=(Netns(), Netns(progs=(Program(),))), sk_lookup_enabled=1),
    ),
    ("namespace 0: the verifier lets a program return 0 or 1", runs(Program(verdict=2))),
    (REFUSED, runs(Program(assign=0), Sock())),
    (REFUSED, runs(Program(assign=0), connection(rcu_free=1))),
    (REFUSED, runs(Program(assign=0), udp())),
    (REFUSED, runs(Program(assign=0), listener(family=AF_INET6, ipv6only=1))),
    *(
        (WHOLE_HEADER, scenario(packet=packet))
        for packet in (
            Packet(users=2),
            Packet(clone_fails=1),
            Packet(pull_fails=1),
            Packet(doff=19),
            Packet(doff=61, len=100),
            Packet(doff=24),
            Packet(len=60, data_len=41),
        )
    ),
    ("a packet has addresses", scenario(packet=Packet(daddr=0))),
    ("a packet has addresses", scenario(packet=Packet(saddr=0))),
    ("a destructor without a socket", scenario(packet=Packet(destructor=EDEMUX))),
    ("an attached socket has the destructor of BPF or of early demux", carries(connection(refcnt=2), destructor=0)),
    (
        "an attached socket has the destructor of BPF or of early demux",
        carries(connection(refcnt=2), destructor=DESTRUCTOR_OTHER),
    ),
    ("an attached socket is of the packet's namespace", carries(connection(refcnt=2, netns=1))),
    ("an attached socket was found in a table", carries(Sock(refcnt=2))),
    ("an attached socket was found in a table", carries(udp(refcnt=2), destructor=EDEMUX)),
    ("a SYN cookie's request is attached by BPF", carries(cookie(listener=1), listener(), destructor=EDEMUX)),
    *(
        ("the packet holds a reference to its socket, beside the table's", case)
        for case in (
            carries(connection()),
            carries(connection(rcu_free=1), destructor=EDEMUX),
            carries(timewait()),
            carries(request(listener=1), listener()),
            carries(listener(), destructor=EDEMUX),
        )
    ),
    ("two sockets of one connection in ehash", scenario(connection(), timewait())),
    *(
        ("socket 0: a spoilt hash or node is hostile", scenario(sock))
        for sock in (connection(hash_kind=HASH_WRONG), connection(hash_kind=HASH_PACKET), listener(no_pprev=1))
    ),
    ("socket 0: a bound inet socket has a port", scenario(Sock(num=0))),
    ("socket 0: a bound inet socket has a port", scenario(listener(family=1))),
    ("socket 0: ipv6only is for AF_INET6 sockets on the wildcard", scenario(listener(ipv6only=1))),
    (
        "socket 0: ipv6only is for AF_INET6 sockets on the wildcard",
        scenario(listener(family=AF_INET6, ipv6only=1, rcv_saddr=HERE)),
    ),
    *((TCP_CONNECTION, scenario(connection(**{field: 0}))) for field in ("daddr", "rcv_saddr", "dport")),
    (TCP_CONNECTION, scenario(timewait(protocol=IPPROTO_SCTP))),
    ("socket 0: listeners and closed sockets are not in ehash", scenario(connection(state=TCP_LISTEN))),
    ("socket 0: listeners and closed sockets are not in ehash", scenario(connection(state=TCP_CLOSE))),
    ("socket 0: a socket that somebody can find has references", scenario(listener(refcnt=0))),
    ("socket 0: a socket that somebody can find has references", scenario(connection(refcnt=1001))),
    ("socket 0: a request has a TCP listener", scenario(request())),
    ("socket 0: a request has a TCP listener", scenario(request(listener=1), udp())),
    ("socket 0: a request has a TCP listener", scenario(request(listener=1), timewait(dport=7))),
    (REQUESTS_LISTENER, scenario(request(listener=1), listener(netns=1), netns=TWO_NETNS)),
    (REQUESTS_LISTENER, scenario(request(listener=1), connection(dport=7))),
    (
        "socket 0: an IPv4 request is AF_INET, and takes no SO_REUSEPORT from its listener",
        scenario(request(listener=1, family=AF_INET6), listener()),
    ),
    (
        "socket 0: an IPv4 request is AF_INET, and takes no SO_REUSEPORT from its listener",
        scenario(request(listener=1, reuseport=1), listener()),
    ),
    (COOKIE_ALONE, scenario(cookie(listener=1), listener())),
    (COOKIE_ALONE, carries(cookie(listener=1, hashed=EHASH), listener())),
    (COOKIE_ALONE, carries(cookie(listener=1, refcnt=1), listener())),
    ("socket 0: bpf_sk_assign_tcp_reqsk() wants a listener", carries(cookie(listener=1), Sock())),
    ("socket 0: a request is in ehash", scenario(request(listener=1, hashed=NOWHERE), listener())),
    ("socket 0: a timewait socket is in ehash", scenario(timewait(hashed=NOWHERE))),
    (
        "socket 0: __inet_hash() hashes listeners, and marks them SOCK_RCU_FREE",
        scenario(listener(rcu_free=0)),
    ),
    (
        "socket 0: __inet_hash() hashes listeners, and marks them SOCK_RCU_FREE",
        scenario(listener(state=TCP_CLOSE)),
    ),
    *(
        ("socket 0: net/ipv4/inet_hashtables.c inet_hash(): who has SO_REUSEPORT in listen() comes into a group", each)
        for each in (scenario(listener(reuseport=1)), scenario(listener(reuseport_changed=1)))
    ),
    ("socket 0: an unhashed TCP socket is closed", scenario(Sock(state=TCP_SYN_SENT))),
    ("socket 0: a listening or closed socket has no peer", scenario(listener(daddr=ELSEWHERE))),
    ("socket 0: a listening or closed socket has no peer", scenario(Sock(dport=7))),
    (
        "socket 0: a TCP socket is in a group as long as it listens",
        grouped(connection(reuseport=1, group=0), bind_inany=0),
    ),
    (
        "socket 0: a socket of another protocol is in none of TCP's tables",
        scenario(udp(hashed=LHASH2)),
    ),
    ("socket 0: a socket of another protocol is in none of TCP's tables", scenario(udp(state=TCP_LISTEN))),
    ("socket 0: a bound UDP socket is SOCK_RCU_FREE", scenario(udp(rcu_free=0))),
    ("socket 0: groups are TCP's and UDP's", grouped(Sock(protocol=IPPROTO_SCTP, group=0))),
    (LIVE_SLOTS, grouped(MEMBER, MEMBER, num_socks=1)),
    (LIVE_SLOTS, grouped(MEMBER, MEMBER, slots=(0, 0))),
    (LIVE_SLOTS, grouped(MEMBER, listener(reuseport=1, reuseport_changed=1))),
    (LIVE_SLOTS, grouped(MEMBER, num_closed_socks=1, slots=(0, 0))),
    *(
        (MEMBERS_SHARE, grouped(MEMBER, MEMBER._replace(**other))._replace(netns=TWO_NETNS))
        for other in ({"netns": 1}, {"family": AF_INET6}, {"num": 81}, {"rcv_saddr": HERE})
    ),
    (MEMBERS_SHARE, grouped(MEMBER, udp(group=0))),
    ("group 0: incoming_cpu counts the members that asked for a CPU", grouped(MEMBER, incoming_cpu=1)),
    (
        "group 0: incoming_cpu counts the members that asked for a CPU",
        grouped(MEMBER, MEMBER._replace(incoming_cpu=0)),
    ),
    ("group 0: a program without members", grouped(prog=FILTER)),
    (SELECTS, grouped(MEMBER, prog=SK_REUSEPORT, verdict=2)),
    (SELECTS, scenario(MEMBER, Sock(), groups=(Group(num_socks=1, bind_inany=1, slots=(0,), select=1),))),
    ("group 0: bind_inany tells whether its members are bound to the wildcard", grouped(MEMBER, bind_inany=0)),
    (
        "group 0: bind_inany tells whether its members are bound to the wildcard",
        grouped(MEMBER._replace(rcv_saddr=HERE)),
    ),
    ("group 0: ids are unique, 1 here", scenario(groups=(Group(reuseport_id=2),))),
    ("group 1: ids are unique, 2 here", scenario(groups=(Group(), Group()))),
]
# Broken along with another rule.
TOGETHER: list[tuple[str, Scenario]] = [
    (REFUSED, runs(Program(assign=0), listener(rcu_free=0))),
    (REFUSED, runs(Program(assign=0), udp(state=TCP_LISTEN))),
    (TCP_CONNECTION, scenario(connection(ipv6only=1, family=AF_INET6))),
    (COOKIE_ALONE, carries(cookie())),
]
# What these rules forbid is forbidden by another too.
ALSO = {
    "socket 0: listeners and closed sockets are not in ehash": ["socket 0: a listening or closed socket has no peer"]
}


@pytest.mark.parametrize(("problem", "case"), STRUCTURE)
@pytest.mark.parametrize("hostile", [0, 1])
def test_what_the_c_does_not_accept_is_a_problem_hostile_or_not(problem: str, case: Scenario, hostile: int) -> None:
    assert problems(case._replace(hostile=hostile)) == [problem]


@pytest.mark.parametrize(("problem", "case"), UNREACHABLE)
def test_what_no_system_call_makes_is_a_problem_unless_hostile(problem: str, case: Scenario) -> None:
    assert problems(case) == [problem, *ALSO.get(problem, [])]
    assert problems(case._replace(hostile=1)) == []


@pytest.mark.parametrize(("problem", "case"), TOGETHER)
def test_a_rule_fires_beside_another(problem: str, case: Scenario) -> None:
    assert problem in problems(case)
    assert len(problems(case)) == 2


def yielded() -> list[str]:
    """Patterns of all that rules.py can say."""
    tree = ast.parse(Path(validity.__file__).read_text())
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Yield) and node.value is not None:
            parts = node.value.values if isinstance(node.value, ast.JoinedStr) else [node.value]
            found.append("".join(re.escape(p.value) if isinstance(p, ast.Constant) else ".+" for p in parts))
    return found


@pytest.mark.parametrize("pattern", yielded())
def test_each_rule_has_a_case_that_breaks_it(pattern: str) -> None:
    assert [problem for problem, _ in (*STRUCTURE, *UNREACHABLE) if re.search(pattern, problem)]


def test_several_problems_are_all_told() -> None:
    case = scenario(Sock(num=0), listener(refcnt=0), packet=Packet(saddr=0))
    assert len(problems(case)) == 3


REACHABLE: list[Scenario] = [
    Scenario(),
    scenario(connection(refcnt=1000), connection(bound_dev_if=1), connection(daddr=ELSEWHERE)),
    scenario(connection(), connection(netns=1), netns=TWO_NETNS),
    scenario(listener(), listener(), listener(family=AF_INET6, ipv6only=1)),
    scenario(connection(refcnt=2), packet=Packet(sk=0, destructor=PFREE)),
    scenario(listener(), packet=Packet(sk=0, destructor=PFREE)),
    scenario(udp(), packet=Packet(sk=0, destructor=PFREE)),
    scenario(cookie(listener=1), listener(), packet=Packet(sk=0, destructor=PFREE)),
    scenario(request(listener=1), Sock()),
    scenario(Sock(protocol=IPPROTO_SCTP, state=TCP_ESTABLISHED)),
    grouped(MEMBER, MEMBER._replace(bound_dev_if=3), prog=SK_REUSEPORT, select=1),
    grouped(MEMBER, MEMBER, num_socks=2, slots=(1, 0, 0)),
    runs(Program(assign=0, no_reuseport=1), listener(num=81)),
    scenario(packet=Packet(doff=60, len=1460, data_len=1400)),
]


@pytest.mark.parametrize("case", REACHABLE)
def test_what_a_system_can_reach_is_no_problem(case: Scenario) -> None:
    assert problems(case) == []


@given(valid_scenarios)
def test_whatever_is_reachable_is_valid_as_a_hostile_case_too(case: Scenario) -> None:
    assert problems(case) == []
    assert problems(case._replace(hostile=1)) == []


@given(scenarios(max_socks=16))
def test_the_hypothesis_engine_draws_valid_scenarios(case: Scenario) -> None:
    assert problems(case) == []


@pytest.mark.parametrize("hostile", [False, True])
def test_the_hypothesis_engine_draws_the_kind_that_was_asked_for(hostile: bool) -> None:
    @given(scenarios(hostile=hostile))
    def drawn(case: Scenario) -> None:
        assert case.hostile == hostile

    drawn()


def test_a_mini_sockets_state_is_its_kinds() -> None:
    assert validity.MINI_STATE == {KIND_REQUEST: TCP_NEW_SYN_RECV, KIND_TIMEWAIT: TCP_TIME_WAIT}
