"""Valid Scenarios: each rule fires on a case that breaks it alone, and on no other."""

import ast
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from types import ModuleType

import pytest
from hypothesis import given

from skdiff.cases import reachable, reachable_udp, validity, wire
from skdiff.cases.addresses import MAPPED_ANY, from_text, mapped
from skdiff.cases.derived import with_derived
from skdiff.cases.fields import FIELDS
from skdiff.cases.on_kernel import as_it_is, reachable_without
from skdiff.cases.scenario import (
    AF_INET6,
    COMES,
    DESTRUCTOR_OTHER,
    EDEMUX,
    EHASH,
    FILTER,
    HASH_PACKET,
    HASH_WRONG,
    HELPER,
    IPPROTO_SCTP,
    KIND_REQUEST,
    KIND_TIMEWAIT,
    LHASH2,
    LISTENS,
    NONE,
    NOWHERE,
    PFREE,
    REPLACED,
    SK_REUSEPORT,
    TCP6,
    TCP_CLOSE,
    TCP_ESTABLISHED,
    TCP_LISTEN,
    TCP_NEW_SYN_RECV,
    TCP_SYN_SENT,
    TCP_TIME_WAIT,
    UDP4,
    UDP6,
    Event,
    Group,
    Netns,
    Packet,
    Program,
    Scenario,
    Sock,
)
from skdiff.cases.valid_values import fault
from skdiff.cases.validity import not_on, problems
from skdiff.engines.aimed_events import fresh
from skdiff.engines.strategies import scenarios
from skdiff.variants.abilities import NOTHING, lacking
from skdiff.variants.config import Config
from skdiff.variants.version_rules import EPOCHS, Rules
from tests import udp_cases
from tests.arbitrary import valid_scenarios
from tests.helpers import ELSEWHERE, HERE, PEER, connection, cookie, listener, request, scenario, timewait, udp

MANY6 = from_text("ff0e::1")

# --- what the C does not accept ---

STRUCTURE: list[tuple[str, Scenario]] = [
    ("3 namespaces, there is room for 2", scenario(netns=(Netns(),) * 3)),
    ("5 groups, there is room for 4", scenario(groups=tuple(Group(reuseport_id=i + 1) for i in range(5)))),
    ("65 sockets, there is room for 64", scenario(*[Sock()] * 65)),
    *(
        (f"the scenario: {name} is {size}, {why}", scenario(**{name: size}))
        for name in ("ehash_size", "lhash2_size")
        for size, why in (
            *((size, "it can be 1 to 131072") for size in (-4, 0, 131073, 262144)),
            *((size, "a power of two is needed") for size in (3, 131071)),
        )
    ),
    ("the scenario: udp_size is 131072, it can be 1 to 65536", scenario(udp_size=131072)),
    ("the scenario: udp_size is 3, a power of two is needed", scenario(udp_size=3)),
    ("the packet: netns is 1, which is not there", scenario(packet=Packet(netns=1))),
    ("the packet: netns is -1, it can be 0 to 1", scenario(packet=Packet(netns=-1))),
    ("the packet: doff is 4294967280, it can be 0 to 60", scenario(packet=Packet(doff=0xFFFFFFF0))),
    ("the packet: destructor is 5, it can be 0 to 4", scenario(packet=Packet(destructor=5))),
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
            ("hashed", 4, "0 to 3"),
            ("hash_kind", 3, "0 to 2"),
            ("num", 65536, "0 to 65535"),
            ("bound_dev_if", 1 << 31, "-2147483648 to 2147483647"),
            ("listener", -2, "-1 to 63"),
            ("group", -2, "-1 to 3"),
        )
    ),
    *(
        (f"{what}: {name} is 2, it can be 0 to 1", case)
        for what, case, name in (
            *(("the scenario", scenario(**{name: 2}), name) for name in ("foreign_hashinfo", "sk_lookup_enabled")),
            *(("the packet", scenario(packet=Packet(**{name: 2})), name) for name in ("clone_fails", "pull_fails")),
            *(
                ("namespace 0", scenario(netns=(Netns(**{name: 2}),)), name)
                for name in ("tcp_l3mdev_accept", "udp_l3mdev_accept", "own_hashinfo", "run_array")
            ),
            (
                "a program of namespace 0",
                scenario(netns=(Netns(progs=(Program(no_reuseport=2),)),)),
                "no_reuseport",
            ),
            *(("group 0", scenario(groups=(Group(**{name: 2}),)), name) for name in ("bind_inany", "cb_access")),
            *(
                ("socket 0", scenario(request(**{name: 2})), name)
                for name in ("ipv6only", "rcu_free", "reuseport", "no_pprev", "syncookie")
            ),
        )
    ),
    ("the packet: sk is 1, which is not there", scenario(Sock(), packet=Packet(sk=1, destructor=PFREE))),
    ("the packet: sk is -2, it can be -1 to 63", scenario(Sock(), packet=Packet(sk=-2))),
    *(
        ("the packet: IPv4 has no such addresses", scenario(packet=Packet(**{end: address})))
        for end in ("saddr", "daddr")
        for address in (1, from_text("2001:db8::1"), from_text("ff02::1"), MAPPED_ANY)
    ),
    *(
        ("socket 0: only an AF_INET6 socket has addresses of IPv6", scenario(sock))
        for sock in (
            listener(rcv_saddr=from_text("::1")),
            listener(rcv_saddr=MAPPED_ANY),
            listener(daddr=MAPPED_ANY),
            connection(daddr=from_text("2001:db8::1")),
            timewait(rcv_saddr=from_text("2001:db8::2")),
            Sock(family=1, rcv_saddr=from_text("::1")),
        )
    ),
    (
        "socket 0: who listens on an address of IPv6 is ipv6only",
        scenario(listener(family=AF_INET6, rcv_saddr=from_text("2001:db8::2"))),
    ),
    ("data_len 21 is more than len 20", scenario(packet=Packet(data_len=21))),
    ("the packet: users is 0, it can be 1 to 4294967295", scenario(packet=Packet(users=0))),
    ("socket 0: netns is 1, which is not there", scenario(Sock(netns=1))),
    (
        "socket 0: only a listener has SO_REUSEPORT changed since listen(), and UDP since bind()",
        scenario(connection(reuseport=1, reuseport_changed=1)),
    ),
    ("socket 1: group is 0, which is not there", scenario(Sock(), listener(group=0))),
    ("socket 0: a mini socket is in no group", scenario(timewait(group=0), groups=(Group(),))),
    ("socket 0: listener is 1, which is not there", scenario(request(listener=1))),
    ("socket 0: only a request has a listener", scenario(timewait(listener=1), listener())),
    ("socket 0: only a request has a listener", scenario(listener(listener=1), listener())),
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
    ("group 0: 33 slots, there is room for 32", scenario(Sock(), groups=(Group(slots=(0,) * 33),))),
    ("group 0: a slot without a socket", scenario(Sock(), groups=(Group(slots=(0, 1)),))),
    ("group 0: a slot without a socket", scenario(Sock(), groups=(Group(slots=(NONE,)),))),
    (
        "group 0: 1 live and 1 closed in 1 slots",
        scenario(Sock(), groups=(Group(num_socks=1, num_closed_socks=1, slots=(0,)),)),
    ),
    ("group 0: select is 1, which is not there", scenario(Sock(), groups=(Group(select=1),))),
    ("namespace 0: 4 programs, there is room for 3", scenario(netns=(Netns(progs=(Program(),) * 4),))),
    *(
        (problem, scenario(Sock(), timewait(), netns=(Netns(progs=(Program(assign=i),)),)))
        for i, problem in (
            (1, "namespace 0: a program assigns 1, which is no full socket"),
            (2, "a program of namespace 0: assign is 2, which is not there"),
            (-3, "a program of namespace 0: assign is -3, it can be -2 to 63"),
        )
    ),
    *udp_cases.STRUCTURE,
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


MEMBERS_SHARE = "group 0: its members share namespace, protocol, family, address and port"
V6ONLY = {"family": AF_INET6, "ipv6only": 1, "rcv_saddr": 0}
MEMBER = listener(reuseport=1, group=0)
LATE = listener(reuseport=1, reuseport_changed=1)  # it has the flag since listen(), and no group
CLOSED = Sock(reuseport=1, group=0)


def own_packet(**fields: int) -> Packet:
    """A packet of this host, which comes in by lo with the route that it went out by."""
    return Packet(**{"skb_iif": 1, "rt_iif": 2, **fields})


def foreign_packet(**fields: int) -> Packet:
    """A packet of another host."""
    return Packet(**{"skb_iif": 2, **fields})


def dual_stack(**fields: int) -> Sock:
    return listener(**{"family": AF_INET6, **fields})


V6_MEMBER = {"ipv6only": 1, "reuseport": 1, "group": 0}
V6_PEER, V6_HERE = from_text("2001:db8::1"), from_text("2001:db8::2")
ON_V6 = {"family": AF_INET6, "rcv_saddr": V6_HERE}
V6_ENDS = {**ON_V6, "daddr": V6_PEER}
MAPPED_ENDS = {"family": AF_INET6, "rcv_saddr": HERE, "daddr": PEER}  # an IPv4 connection of a dual-stack socket


def ipv6(case: Scenario) -> Scenario:
    """The case as one of the lookup of IPv6."""
    return case._replace(lookup=TCP6)


def v6_packet(**fields: int) -> Packet:
    """A packet of another host, of IPv6."""
    return foreign_packet(**{"saddr": V6_PEER, "daddr": V6_HERE, **fields})


# What nobody makes, by a part of what is said of it.
UNREACHABLE: list[tuple[str, Scenario]] = [
    ("the end mark of a chain", scenario(ehash_nulls_xor=1)),
    ("the tables of its namespace", scenario(foreign_hashinfo=1)),
    *(("a CPU has a number from 0 to 8191", scenario(cpu=cpu)) for cpu in (-1, 8192)),
    ("the static key is on while", scenario(sk_lookup_enabled=1)),
    ("the static key is on while", scenario(netns=PROGS)),
    ("namespace 0: there is an array of programs if", scenario(netns=(Netns(run_array=1),))),
    (
        "namespace 1: there is an array of programs if",
        scenario(netns=(Netns(), Netns(progs=(Program(),))), sk_lookup_enabled=1),
    ),
    ("namespace 0: the verifier lets an sk_lookup program return 0 or 1", runs(Program(verdict=2))),
    *(
        ("namespace 0: a program is refused socket 0", runs(Program(assign=0), sock))
        for sock in (Sock(), connection(rcu_free=1), udp(), dual_stack(ipv6only=1))
    ),
    ("namespace 0: a program is refused socket 0", runs(Program(assign=0), dual_stack(ipv6only=1, rcv_saddr=V6_HERE))),
    *(
        ("namespace 0: a program is refused socket 0", ipv6(runs(Program(assign=0), sock)))
        for sock in (Sock(family=AF_INET6), connection(**V6_ENDS, rcu_free=1), listener())
    ),
    *(
        ("a packet is unshared, and is not pulled again", scenario(packet=packet))
        for packet in (Packet(users=2), Packet(clone_fails=1), Packet(pull_fails=1))
    ),
    *(
        ("a whole linear header of 20 to 60 bytes", scenario(packet=packet))
        for packet in (Packet(doff=19), Packet(doff=22, len=100), Packet(doff=24), Packet(len=60, data_len=41))
    ),
    ("a packet has at most 524280 bytes", scenario(packet=Packet(len=524281))),
    *(("a packet comes in by a device", scenario(packet=Packet(skb_iif=iif))) for iif in (0, -5)),
    ("a packet comes in by a device", scenario(packet=Packet(skb_iif=0, rt_iif=1))),
    ("a route's device is none", scenario(packet=Packet(rt_iif=-2))),
    *(
        ("only a packet of this host has rt_iif", scenario(packet=foreign_packet(**fields)))
        for fields in ({"rt_iif": 1}, {"rt_iif": 2}, {"rt_iif": 2, "sdif": 3})
    ),
    *(
        ("sdif is a device below a VRF", scenario(packet=packet))
        for packet in (
            foreign_packet(sdif=-3),
            foreign_packet(sdif=1),  # lo is no slave
            Packet(sdif=1),
            Packet(sdif=2),  # nor a VRF
        )
    ),
    *(
        ("a packet from another host has no such addresses", scenario(packet=foreign_packet(saddr=saddr, daddr=daddr)))
        for saddr, daddr in (
            (mapped(0xE0000001), HERE),
            (mapped(0xEFFFFFFF), HERE),
            (mapped(0xFFFFFFFF), HERE),
            (mapped(0xFFFFFFFF), mapped(0xFFFFFFFF)),
            (0, HERE),
            (mapped(0x00010203), HERE),
            (0, mapped(0xE0010001)),  # this multicast address is not a local one
            (PEER, 0),
            (PEER, mapped(0x00010203)),
            (mapped(1), 0),
        )
    ),
    *(
        ("a packet from another host has no such addresses", ipv6(scenario(packet=v6_packet(**fields))))
        for fields in (
            {"saddr": from_text("ff02::1")},
            {"saddr": from_text("ff0e::1")},
            {"saddr": from_text("::1")},
            {"daddr": from_text("::1")},
            {"daddr": 0},
            {"saddr": 0, "daddr": 0},
            {"daddr": from_text("ff00::1")},
            {"daddr": from_text("ff01::1")},
            {"daddr": from_text("ff11::1")},
        )
    ),
    *(
        ("early demux and TPROXY look among the sockets of the packet's protocol and family", case)
        for case in (
            carries(connection(**V6_ENDS, refcnt=2), destructor=EDEMUX),
            carries(timewait(**V6_ENDS, refcnt=2), destructor=EDEMUX),
            carries(listener(**ON_V6, ipv6only=1, refcnt=2), destructor=EDEMUX),
            ipv6(carries(connection(refcnt=2), destructor=EDEMUX)),
            ipv6(carries(listener(refcnt=2), destructor=EDEMUX)),
            ipv6(carries(connection(**MAPPED_ENDS, refcnt=2), destructor=EDEMUX)),
            ipv6(carries(dual_stack(rcv_saddr=MAPPED_ANY, refcnt=2), destructor=EDEMUX)),
        )
    ),
    ("a destructor comes and goes with a socket", scenario(packet=Packet(destructor=EDEMUX))),
    ("a socket is attached by BPF, or by TCP's early demux", carries(connection(refcnt=2), destructor=0)),
    (
        "a socket is attached by BPF, or by TCP's early demux",
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
    (
        "a second SYN of one connection, by one device",
        scenario(request(listener=2), request(listener=3), listener(), listener()),
    ),
    *(
        ("socket 0: what is hashed has its hash and its node", scenario(sock))
        for sock in (connection(hash_kind=HASH_WRONG), connection(hash_kind=HASH_PACKET), listener(no_pprev=1))
    ),
    ("socket 0: a bound inet socket has a port", scenario(Sock(num=0))),
    ("socket 0: a bound inet socket has a port", scenario(listener(family=1))),
    *(
        ("socket 0: a socket's device is none, or from 1 on", scenario(sock))
        for sock in (listener(bound_dev_if=-1), connection(bound_dev_if=-2), timewait(bound_dev_if=-1))
    ),
    ("socket 0: ipv6only is for AF_INET6 sockets on the wildcard", scenario(listener(ipv6only=1))),
    (
        "socket 0: ipv6only is for AF_INET6 sockets on the wildcard",
        scenario(dual_stack(ipv6only=1, rcv_saddr=HERE)),
    ),
    (
        "socket 0: ipv6only is for AF_INET6 sockets on the wildcard",
        scenario(dual_stack(ipv6only=1, rcv_saddr=MAPPED_ANY)),
    ),
    *(
        ("socket 0: bind() to an address of IPv6 makes a socket ipv6only", scenario(sock))
        for sock in (Sock(**ON_V6), Sock(**V6_ENDS), udp(**ON_V6), udp(**ON_V6, state=TCP_CLOSE))
    ),
    # A running kernel was asked, which made none of these: bind() to a group and connect() gave another address.
    *(
        ("socket 0: both ends of a connection are hosts, not groups", scenario(sock))
        for many in (0xE0000001, 0xEFFFFFFF, 0xFFFFFFFF)
        for sock in (
            connection(rcv_saddr=mapped(many)),
            connection(daddr=mapped(many)),
            timewait(rcv_saddr=mapped(many)),
        )
    ),
    *(
        ("socket 0: both ends of a connection are hosts, not groups", scenario(connection(**{**V6_ENDS, end: MANY6})))
        for end in ("rcv_saddr", "daddr")
    ),
    *(
        ("socket 0: a TCP socket does not bind to a multicast address of IPv6", scenario(sock))
        for sock in (
            listener(**{**ON_V6, "rcv_saddr": MANY6}, ipv6only=1),
            Sock(**{**ON_V6, "rcv_saddr": MANY6}, ipv6only=1),
        )
    ),
    *(
        ("socket 0: both ends of a connection have addresses of one family", scenario(sock))
        for sock in (
            connection(**{**V6_ENDS, "daddr": PEER}),
            connection(**{**V6_ENDS, "daddr": 0}),
            timewait(**{**MAPPED_ENDS, "daddr": V6_PEER}),
            connection(**{**V6_ENDS, "rcv_saddr": 0}),
            connection(**{**MAPPED_ENDS, "rcv_saddr": MAPPED_ANY}),
            connection(**{**MAPPED_ENDS, "daddr": MAPPED_ANY}),
        )
    ),
    ("socket 0: a connection is TCP's", scenario(timewait(protocol=IPPROTO_SCTP))),
    ("socket 0: an ipv6only socket has no IPv4 connection", scenario(timewait(**V6ONLY))),
    ("socket 0: listeners and closed sockets are not in ehash", scenario(connection(state=TCP_CLOSE))),
    *(
        ("socket 0: what somebody can find has 1 to 1073741824 references", scenario(sock))
        for sock in (listener(refcnt=0), connection(refcnt=(1 << 30) + 1))
    ),
    ("socket 0: a request has a TCP listener", scenario(request())),
    ("socket 0: a request has a TCP listener", scenario(request(listener=1), udp())),
    ("socket 0: a request has a TCP listener", scenario(request(listener=1), timewait(dport=7))),
    (
        "socket 0: a request's listener is of its namespace",
        scenario(request(listener=1), listener(netns=1), netns=TWO_NETNS),
    ),
    ("socket 0: a request's listener is of its namespace", scenario(request(listener=1), connection(dport=7))),
    *(
        ("socket 0: a request has its listener's family", scenario(sock, made_by))
        for sock, made_by in (
            (request(listener=1, family=AF_INET6), listener()),
            (request(listener=1), dual_stack()),
            (request(listener=1, reuseport=1), LATE),
        )
    ),
    (
        "socket 0: an ipv6only listener has no IPv4 requests",
        scenario(request(listener=1, family=AF_INET6), dual_stack(ipv6only=1)),
    ),
    *(
        ("socket 0: a SYN cookie's request hangs on the packet alone", case)
        for case in (
            scenario(cookie(listener=1), listener()),
            carries(cookie(listener=1, hashed=EHASH), listener()),
            carries(cookie(listener=1, refcnt=1), listener()),
        )
    ),
    ("socket 0: a SYN cookie's request needs a listener", carries(cookie(listener=1), Sock())),
    ("socket 0: a request is in ehash", scenario(request(listener=1, hashed=NOWHERE), listener())),
    ("socket 0: a timewait socket is in ehash", scenario(timewait(hashed=NOWHERE))),
    ("socket 0: lhash2 has listeners, each SOCK_RCU_FREE", scenario(listener(rcu_free=0))),
    ("socket 0: lhash2 has listeners, each SOCK_RCU_FREE", scenario(listener(state=TCP_CLOSE))),
    *(
        ("socket 0: who has SO_REUSEPORT in listen() comes into a group", scenario(sock))
        for sock in (listener(reuseport=1), listener(reuseport_changed=1))
    ),
    ("socket 0: an unhashed TCP socket is closed", scenario(Sock(state=TCP_SYN_SENT))),
    ("socket 0: a listening socket has no peer's port", scenario(listener(dport=7))),
    ("socket 0: a socket of another protocol is in none of TCP's tables", scenario(udp(hashed=LHASH2))),
    ("socket 0: a socket of another protocol is in none of TCP's tables", scenario(udp(state=TCP_LISTEN))),
    ("socket 0: a bound UDP socket is SOCK_RCU_FREE", scenario(udp(rcu_free=0))),
    (
        "group 0: a TCP socket that does not listen, nor did, is alone in its group",
        grouped(listener(group=0, rcv_saddr=HERE), connection(group=0), num_socks=1, slots=(0,), bind_inany=0),
    ),
    *(
        ("group 0: its live slots are its members, each once", case)
        for case in (
            grouped(MEMBER, MEMBER, num_socks=1),
            grouped(MEMBER, MEMBER, slots=(0, 0)),
            grouped(MEMBER, listener(reuseport=1, reuseport_changed=1)),
        )
    ),
    *(
        ("group 0: its last slots are the members that shutdown() has closed, each once", case)
        for case in (
            grouped(MEMBER, num_closed_socks=1, slots=(0, 0)),
            grouped(MEMBER, CLOSED, num_socks=1, slots=(0, 1)),
            grouped(MEMBER, CLOSED, CLOSED, num_socks=1, num_closed_socks=2, slots=(0, 1, 1)),
            grouped(MEMBER, CLOSED, num_socks=1, num_closed_socks=1, slots=(0, 1, 0)),
        )
    ),
    *(
        (MEMBERS_SHARE, grouped(MEMBER, MEMBER._replace(**other))._replace(netns=TWO_NETNS))
        for other in ({"netns": 1}, {"family": AF_INET6}, {"num": 81}, {"rcv_saddr": HERE})
    ),
    (
        MEMBERS_SHARE,
        grouped(dual_stack(**V6_MEMBER, rcv_saddr=V6_HERE), dual_stack(**V6_MEMBER, rcv_saddr=V6_PEER), bind_inany=0),
    ),
    (MEMBERS_SHARE, grouped(MEMBER, udp(group=0))),
    (MEMBERS_SHARE, grouped(MEMBER, CLOSED._replace(num=81), num_socks=1, num_closed_socks=1)),
    ("group 0: incoming_cpu counts the members that asked", grouped(MEMBER, incoming_cpu=1)),
    ("group 0: incoming_cpu counts the members that asked", grouped(MEMBER, MEMBER._replace(incoming_cpu=0))),
    (
        "group 0: incoming_cpu counts the members that asked",
        grouped(MEMBER, CLOSED._replace(incoming_cpu=0), num_socks=1, num_closed_socks=1),
    ),
    ("group 0: a program has a member", grouped(prog=FILTER)),
    (
        "group 0: a program selects members",
        scenario(MEMBER, Sock(), groups=(Group(num_socks=1, bind_inany=1, slots=(0,), select=1),)),
    ),
    ("group 0: a program selects members", grouped(MEMBER, CLOSED, num_socks=1, num_closed_socks=1, select=1)),
    ("group 0: bind_inany tells whether its members listen", grouped(MEMBER, bind_inany=0)),
    ("group 0: bind_inany tells whether its members listen", grouped(MEMBER._replace(rcv_saddr=HERE))),
    ("group 0: bind_inany tells whether its members listen", grouped(connection(group=0), bind_inany=1)),
    ("group 0: ids are unique, 1 here", scenario(groups=(Group(reuseport_id=2),))),
    ("group 1: ids are unique, 2 here", scenario(groups=(Group(), Group()))),
    *udp_cases.UNREACHABLE,
]
# Broken along with another rule.
TOGETHER: list[tuple[str, Scenario]] = [
    ("namespace 0: a program is refused socket 0", runs(Program(assign=0), listener(rcu_free=0))),
    ("namespace 0: a program is refused socket 0", runs(Program(assign=0), udp(state=TCP_LISTEN))),
    ("socket 0: an ipv6only socket has no IPv4 connection", scenario(connection(ipv6only=1, family=AF_INET6))),
    ("socket 0: a SYN cookie's request hangs on the packet alone", carries(cookie())),
    ("socket 0: listeners and closed sockets are not in ehash", scenario(connection(state=TCP_LISTEN))),
    *udp_cases.TOGETHER,
]


@pytest.mark.parametrize(("problem", "case"), STRUCTURE)
@pytest.mark.parametrize("hostile", [0, 1])
def test_what_the_c_does_not_accept_is_a_problem_hostile_or_not(problem: str, case: Scenario, hostile: int) -> None:
    assert problems(case._replace(hostile=hostile)) == [problem]


@pytest.mark.parametrize(("problem", "case"), UNREACHABLE)
def test_what_no_system_call_makes_is_a_problem_unless_hostile(problem: str, case: Scenario) -> None:
    [said] = problems(case)
    assert problem in said
    assert problems(case._replace(hostile=1)) == []


@pytest.mark.parametrize(("problem", "case"), TOGETHER)
def test_a_rule_fires_beside_another(problem: str, case: Scenario) -> None:
    found = problems(case)
    assert len(found) == 2
    assert any(problem in said for said in found)


def yielded(module: ModuleType) -> list[str]:
    """Patterns of all that a module's generators of texts can say."""
    tree = ast.parse(Path(str(module.__file__)).read_text())
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Yield) and isinstance(node.value, ast.JoinedStr | ast.Constant):
            parts = node.value.values if isinstance(node.value, ast.JoinedStr) else [node.value]
            found.append("".join(re.escape(p.value) if isinstance(p, ast.Constant) else ".+" for p in parts))
    return [pattern for pattern in found if not re.fullmatch(r"\w+\\ \.\+:\\ \.\+", pattern)]  # what another one says


CASES = [case for _, case in (*STRUCTURE, *UNREACHABLE, *TOGETHER)]


@cache
def said_of_cases() -> list[str]:
    """What a configuration cannot reach is asked of cases that are reachable elsewhere."""
    bare = Config(ipv6=False, l3mdev=False)
    elsewhere = [said for case in REACHABLE for said in not_on(case, Rules(), bare)]
    return [*(said for case in CASES for said in problems(case)), *elsewhere]


@pytest.mark.parametrize("pattern", [*yielded(validity), *yielded(reachable), *yielded(reachable_udp)])
def test_each_rule_has_a_case_that_breaks_it(pattern: str) -> None:
    assert any(re.search(pattern, said) for said in said_of_cases())


def test_each_claim_about_what_is_reachable_names_file_and_function() -> None:
    claims = [*yielded(reachable), *yielded(reachable_udp)]
    assert len(claims) > 40
    where = re.compile(r"\((drivers|include|kernel|net)/[\w/]+\.[ch] \w+\(\)")
    for pattern in claims:
        assert where.search(pattern.replace("\\", "")), pattern


def test_several_problems_are_all_told() -> None:
    case = scenario(Sock(num=0), listener(refcnt=0), packet=Packet(skb_iif=0))
    assert len(problems(case)) == 3


# What a running kernel was brought to, or its own tests bring it to.
REACHABLE: list[Scenario] = [
    Scenario(),
    scenario(connection(refcnt=1000), connection(bound_dev_if=1), connection(daddr=ELSEWHERE)),
    scenario(connection(), connection(netns=1), netns=TWO_NETNS),
    scenario(listener(), listener(), listener(family=AF_INET6, ipv6only=1)),
    scenario(listener(rcv_saddr=mapped(0xEF010203)), listener(rcv_saddr=mapped(0xFFFFFFFF))),
    scenario(listener(family=AF_INET6, rcv_saddr=mapped(0xEF010203))),
    scenario(connection(refcnt=2), packet=Packet(sk=0, destructor=PFREE)),
    scenario(listener(), packet=Packet(sk=0, destructor=PFREE)),
    scenario(udp(), packet=Packet(sk=0, destructor=PFREE)),
    scenario(cookie(listener=1), listener(), packet=Packet(sk=0, destructor=PFREE)),
    scenario(cookie(listener=1, family=AF_INET6), dual_stack(), packet=Packet(sk=0, destructor=PFREE)),
    scenario(request(listener=1), Sock()),
    scenario(Sock(protocol=IPPROTO_SCTP, state=TCP_ESTABLISHED)),
    grouped(MEMBER, MEMBER._replace(bound_dev_if=3), prog=SK_REUSEPORT, select=1),
    grouped(MEMBER, MEMBER, num_socks=2, slots=(1, 0, 0)),
    runs(Program(assign=0, no_reuseport=1), listener(num=81)),
    scenario(packet=Packet(doff=60, len=1460, data_len=1400)),
    # bound to two devices, connected, and both unbound
    scenario(connection(), connection()),
    scenario(connection(), timewait()),
    scenario(request(listener=2), request(listener=2, bound_dev_if=2), listener()),
    # shutdown() of members, with net.ipv4.tcp_migrate_req
    grouped(MEMBER, CLOSED, num_socks=1, num_closed_socks=1),
    grouped(CLOSED, MEMBER, CLOSED, num_socks=1, num_closed_socks=2, slots=(1, 1, 2, 0)),
    grouped(CLOSED, num_socks=0, num_closed_socks=1),
    grouped(MEMBER, CLOSED._replace(incoming_cpu=1), num_socks=1, num_closed_socks=1, incoming_cpu=1, prog=FILTER),
    # SO_ATTACH_REUSEPORT_CBPF, then bind() and connect()
    grouped(connection(reuseport=1, group=0), bind_inany=0, prog=FILTER),
    grouped(CLOSED, bind_inany=0),
    # SYNs to a dual-stack listener
    scenario(request(listener=1, family=AF_INET6), dual_stack()),
    # connect(), connect() with AF_UNSPEC, listen()
    scenario(listener(daddr=ELSEWHERE)),
    # a connection that was reset
    scenario(Sock(daddr=ELSEWHERE, dport=7)),
    # bound to ::1
    scenario(dual_stack(ipv6only=1, rcv_saddr=from_text("::1"))),
    # a dual-stack listener on the IPv4 wildcard, and on an IPv4 address
    scenario(dual_stack(rcv_saddr=MAPPED_ANY), dual_stack(rcv_saddr=HERE)),
    # IPv6's: connections, their requests, listeners and groups, whatever the packet is
    *(
        change(case)
        for change in (ipv6, lambda case: case)
        for case in (
            scenario(connection(**V6_ENDS), timewait(**V6_ENDS), connection(**V6_ENDS, ipv6only=1)),
            scenario(connection(**MAPPED_ENDS), connection(), listener()),
            scenario(request(**V6_ENDS, listener=1), dual_stack(refcnt=2)),
            scenario(request(**V6_ENDS, listener=1, ipv6only=1), dual_stack(ipv6only=1, refcnt=2)),
            scenario(request(**MAPPED_ENDS, listener=1), dual_stack(refcnt=2)),
            scenario(listener(**ON_V6, ipv6only=1), dual_stack(ipv6only=1)),
            scenario(cookie(**V6_ENDS, listener=1), dual_stack(), packet=Packet(sk=0, destructor=PFREE)),
            scenario(Sock(**V6_ENDS, dport=7)),  # a connection that was reset
            scenario(udp(**V6_ENDS, state=TCP_ESTABLISHED), Sock(**ON_V6, ipv6only=1)),
            grouped(*[dual_stack(**V6_MEMBER, rcv_saddr=V6_HERE)] * 2, bind_inany=0, prog=SK_REUSEPORT),
            # BPF hands over a socket of either family
            carries(listener()),
            carries(dual_stack(ipv6only=1)),
            carries(connection(refcnt=2)),
            carries(connection(**V6_ENDS, refcnt=2)),
            carries(udp()),
        )
    ),
    ipv6(runs(Program(assign=0), dual_stack(ipv6only=1))),
    ipv6(runs(Program(assign=0), listener(**ON_V6, ipv6only=1))),
    ipv6(runs(Program(assign=0), dual_stack())),
    runs(Program(assign=0), dual_stack()),
    *(
        ipv6(carries(sock, destructor=EDEMUX))
        for sock in (connection(**V6_ENDS, refcnt=2), timewait(**V6_ENDS, refcnt=2), dual_stack(refcnt=2))
    ),
    *(carries(sock, destructor=EDEMUX) for sock in (connection(**MAPPED_ENDS, refcnt=2), dual_stack(refcnt=2))),
    # multicast, to all nodes of a link and beyond; with the unspecified source; mapped, by a tunnel
    *(
        ipv6(scenario(packet=v6_packet(**fields)))
        for fields in (
            {},
            {"daddr": from_text("ff02::1")},
            {"daddr": from_text("ff0e::1")},
            {"saddr": from_text("fe80::1")},
            {"saddr": 0},
            {"saddr": PEER, "daddr": HERE},
            {"saddr": V6_HERE},
        )
    ),
    # this host's own
    *(
        ipv6(scenario(packet=own_packet(saddr=saddr, daddr=daddr)))
        for saddr, daddr in ((1, 1), (0, 0), (from_text("ff02::1"), V6_HERE), (V6_PEER, from_text("ff01::1")))
    ),
    # 1,200 SYNs
    scenario(listener(refcnt=1201)),
    # the verifier does not look at what a program of type SK_REUSEPORT returns
    grouped(MEMBER, prog=SK_REUSEPORT, verdict=2),
    # a VRF's own packet
    scenario(packet=foreign_packet(sdif=2)),
    scenario(packet=foreign_packet(sdif=2, rt_iif=3)),
    scenario(packet=foreign_packet(sdif=3)),
    scenario(packet=own_packet()),
    # a tunnel's packets to everybody
    *(
        scenario(packet=foreign_packet(saddr=saddr, daddr=daddr))
        for saddr, daddr in (
            (PEER, mapped(0xFFFFFFFF)),
            (PEER, mapped(0xE0000001)),
            (0, 0),
            (0, mapped(0xFFFFFFFF)),
            (0, mapped(0xE0000001)),
            (mapped(0x00010203), mapped(0xFFFFFFFF)),
            (mapped(0xFA010101), HERE),
        )
    ),
    # raw sockets with IP_HDRINCL, by lo
    *(
        scenario(packet=own_packet(saddr=saddr, daddr=daddr))
        for saddr, daddr in (
            (mapped(0xE0000005), HERE),
            (mapped(0xFFFFFFFF), HERE),
            (mapped(0x00010203), HERE),
            (PEER, 0),
            (0, 0),
        )
    ),
    scenario(request(listener=1, rcv_saddr=0), listener(refcnt=2)),
    # a SYN from port 0
    scenario(request(listener=1, dport=0), listener(refcnt=2)),
    *udp_cases.REACHABLE,
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


# --- kernels ---

ASSIGNED = carries(LATE)
COOKIE = carries(cookie(listener=1), listener())


@pytest.mark.parametrize(
    ("case", "without", "helper"),
    [
        (ASSIGNED, "reselect", "bpf_sk_assign() refuses full sockets with SO_REUSEPORT"),
        (carries(connection(reuseport=1, refcnt=2)), "reselect", "bpf_sk_assign() refuses full sockets"),
        (carries(udp(reuseport=1)), "reselect", "bpf_sk_assign() refuses full sockets with SO_REUSEPORT"),
        (COOKIE, "syncookie", "there is no bpf_sk_assign_tcp_reqsk()"),
    ],
)
def test_what_a_helper_of_a_later_kernel_makes_is_not_reachable(case: Scenario, without: str, helper: str) -> None:
    assert problems(case) == problems(case, Rules()) == []
    [said] = problems(case, replace(Rules(), **{without: False}))
    assert said.startswith(f"not on this kernel: {helper}")
    assert re.search(r"before Linux 6\.[69], [0-9a-f]{12} \(net/core/filter\.c bpf_sk_assign\w*\(\)\)", said)
    assert problems(case._replace(hostile=1), EPOCHS["6.1"]) == []


@pytest.mark.parametrize(
    "case",
    [
        carries(listener()),
        carries(timewait(refcnt=2, reuseport=1)),
        carries(LATE._replace(refcnt=2), destructor=EDEMUX),
        scenario(LATE),
    ],
)
def test_what_the_oldest_kernel_reaches_too(case: Scenario) -> None:
    assert problems(case, EPOCHS["6.1"]) == []


LACKS = lacking([EPOCHS["6.1"]])


@given(valid_scenarios)
def test_a_drawn_case_becomes_one_that_the_kernel_reaches(case: Scenario) -> None:
    there = reachable_without(case, LACKS)
    assert problems(there, EPOCHS["6.1"]) == []
    assert there is case or problems(case, EPOCHS["6.1"])
    assert reachable_without(case, NOTHING) is case


def test_the_events_of_such_a_case_are_those_that_it_can_have() -> None:
    """A member that leaves its group, which may lose its program with it, has fewer steps to take."""
    lacks, random, others, changed = lacking([EPOCHS["7.1"]]), Random(5), Random(6), 0
    for _ in range(6000):
        drawn = wire.decode(fresh(random, others))
        there = reachable_without(drawn, lacks)
        changed += there.events != drawn.events
        assert there is drawn or not any(text.startswith("event") for text in problems(there))
    assert changed


def test_what_a_helper_asks_for_has_no_link_layer() -> None:
    """Whoever has left a group, what follows from a case is made anew: a multicast address says nothing there."""
    lacks, random, others, changed = lacking([EPOCHS["7.1"]]), Random(7), Random(8), 0
    many = {UDP4: mapped(0xE0000001), UDP6: MANY6}
    for _ in range(20_000):
        drawn = wire.decode(fresh(random, others))
        if drawn.hostile or drawn.caller != HELPER or drawn.lookup not in many:
            continue
        packet = drawn.packet._replace(daddr=many[drawn.lookup])
        case = drawn._replace(packet=packet, events=())
        assert problems(case) == []
        assert with_derived(case).packet == packet
        there = reachable_without(case, lacks)
        assert problems(there, EPOCHS["7.1"]) == []
        changed += there is not case
    assert changed


def test_who_comes_with_another_state_than_a_listeners_does_not_stand_still() -> None:
    """inet_hash() is for who listens: a hostile socket has its own state behind it. The kernel's side selected one that
    stood still in there, in a state that it was not to have.
    """

    def coming(steps: int, state: int) -> list[str]:
        comer = listener(reuseport=1, state=state)
        member, group = comer._replace(state=TCP_LISTEN, group=0), Group(num_socks=1, slots=(0,))
        event = Event(action=COMES, sk=1, value=1, steps=steps)
        return problems(scenario(member, comer, groups=(group,), hostile=1, events=(event,)))

    assert coming(2, TCP_LISTEN) == coming(0, TCP_ESTABLISHED) == []
    [said] = coming(1, TCP_ESTABLISHED)
    assert "1 are too many: this action has one here, and cannot stand still" in said


@pytest.mark.parametrize(
    ("socks", "event", "said"),
    [
        ((connection(),), Event(action=COMES, sk=0, value=1), "value: only a listener comes into a group"),
        ((listener(),), Event(action=COMES, sk=0, value=2), "by its number from 1 on: there are 0; 0 is none"),
        ((listener(),), Event(action=LISTENS, sk=0), "in no table that this can happen in (ehash)"),
        (
            (connection(), connection()),
            Event(action=REPLACED, sk=0, other=1),
            "its refcnt is 1: this action needs 2 to ",
        ),
        ((connection(refcnt=2),), Event(action=REPLACED, sk=0, other=0), "a socket does not take its own place"),
    ],
)
def test_what_is_wrong_with_an_event_is_said_with_what_it_needs(socks, event, said) -> None:
    found = problems(scenario(*socks, hostile=1, events=(event,)))
    assert any(said in problem for problem in found), found


@pytest.mark.parametrize(
    "case", [ASSIGNED, COOKIE, carries(udp(reuseport=1)), carries(connection(reuseport=1, refcnt=2))]
)
def test_the_nearest_case_without_the_helper(case: Scenario) -> None:
    there = reachable_without(case, LACKS)
    assert problems(there, EPOCHS["6.1"]) == []
    assert not there.hostile
    assert there != case


def test_a_cookie_whose_request_is_there_has_no_near_case() -> None:
    case = carries(cookie(listener=1), listener(refcnt=2), request(listener=1))
    assert problems(case) == []
    assert reachable_without(case, LACKS) == case._replace(hostile=1)


def test_a_kept_case_is_hostile_where_it_cannot_be_reached() -> None:
    assert as_it_is(ASSIGNED, LACKS) == ASSIGNED._replace(hostile=1)
    assert as_it_is(ASSIGNED, NOTHING) is ASSIGNED
    assert as_it_is(carries(listener()), LACKS) == carries(listener())


def test_values_that_fields_cannot_have_are_in_no_pool():
    for record, fields in FIELDS.items():
        for name, field in fields.items():
            assert [value for value, _ in field.pool if fault(field, value)] == [], (record, name)
