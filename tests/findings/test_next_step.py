"""What comes behind a lookup: of timewait sockets, requests, and sockets that hung on the packet."""

import pytest

from skdiff.cases.addresses import mapped
from skdiff.cases.case_file import Case
from skdiff.cases.scenario import (
    AF_INET6,
    EDEMUX,
    HELPER,
    PFREE,
    TCP6,
    TCP_CLOSE,
    UDP4,
    Group,
    Netns,
    Packet,
    Program,
)
from skdiff.cases.validity import problems
from skdiff.findings.next_step import next_steps
from skdiff.oracles.model import Model
from tests.helpers import bound, connected, connection, cookie, datagram, listener, request, scenario, timewait
from tests.udp_cases import V6_HERE, V6_PEER

MODEL = Model()
NAMES = ("one", "two", "three")
SIX = {"family": AF_INET6, "rcv_saddr": V6_HERE, "daddr": V6_PEER}
BEHIND = "one is a timewait socket. If the packet is a new SYN, tcp_v4_rcv() looks for a listener"
GOES = "it gets the SYN, and one goes. All else one answers itself."
MEMBER = {"reuseport": 1, "group": 0}


def told(case):
    assert problems(case) == []
    return next_steps(Case(case, socks=NAMES[: len(case.socks)]), MODEL.run(case), MODEL)


@pytest.mark.parametrize(
    ("case", "lines"),
    [
        (
            scenario(timewait(), listener()),
            [f"{BEHIND}, which is two: {GOES}"],
        ),
        (
            scenario(timewait(), listener(num=81)),
            [f"{BEHIND}, and finds nobody: then one answers it, as it answers all else."],
        ),
        (
            scenario(
                timewait(),
                listener(**MEMBER),
                listener(**MEMBER),
                groups=(Group(num_socks=2, bind_inany=1, slots=(1, 2)),),
                hash_secret=1,
            ),
            [f"{BEHIND}, which is three (chosen by the hash): {GOES}"],
        ),
        # programs of sk_lookup are asked by the second search as by the first
        (
            scenario(
                timewait(),
                listener(),
                listener(num=81),
                netns=(Netns(run_array=1, progs=(Program(assign=2),)),),
                sk_lookup_enabled=1,
            ),
            [f"{BEHIND}, which is three: {GOES}"],
        ),
        (
            scenario(
                timewait(**SIX, ipv6only=1),
                packet=Packet(saddr=V6_PEER, daddr=V6_HERE),
                lookup=TCP6,
            ),
            [
                "one is a timewait socket. If the packet is a new SYN, tcp_v6_rcv() looks for a listener, and finds"
                " nobody: then one answers it, as it answers all else."
            ],
        ),
        (
            scenario(request(listener=1), listener(refcnt=2), listener()),
            [
                "one is a request of two: tcp_v4_rcv() asks that listener, whoever would get a new SYN. With the ACK"
                " that ends the handshake the request becomes a connection, which two will accept."
            ],
        ),
        (
            scenario(request(listener=1), listener(state=TCP_CLOSE, hashed=0, refcnt=2), listener()),
            [
                "one is a request of two, which does not listen any more, nor does anybody of a group of its:"
                " tcp_v4_rcv() drops the request, looks again, and finds three."
            ],
        ),
        (
            scenario(
                request(listener=1),
                listener(state=TCP_CLOSE, hashed=0, refcnt=2, reuseport=1, group=0),
                listener(reuseport=1, group=0),
                groups=(Group(num_socks=1, num_closed_socks=1, bind_inany=1, slots=(2, 1)),),
            ),
            [
                "one is a request of two, which does not listen any more: tcp_v4_rcv() gives it to another listener of"
                " that group, if requests may migrate (net.ipv4.tcp_migrate_req, or a program that says so); if not,"
                " it drops the request, looks again, and finds three."
            ],
        ),
        (
            scenario(timewait(), caller=HELPER),
            ["bpf_skc_lookup_tcp() gives the program one; bpf_sk_lookup_tcp() gives it nothing."],
        ),
        (
            scenario(request(listener=1), listener(refcnt=2), caller=HELPER),
            ["bpf_skc_lookup_tcp() gives the program one; bpf_sk_lookup_tcp() gives it its listener two."],
        ),
        (
            scenario(connection(refcnt=2, daddr=mapped(0xC0A80009)), packet=Packet(sk=0, destructor=EDEMUX)),
            [
                "one hung on the packet, and nobody compares its ends with the packet's: its peer is"
                " 192.168.0.9:40000, the packet comes from 10.0.0.1:40000. The packet's addresses may have been changed"
                " behind early demux (NAT), or a program or TPROXY chose the socket: one gets it all the same."
            ],
        ),
        (
            scenario(
                listener(num=9000, **MEMBER),
                packet=Packet(sk=0, destructor=PFREE),
                groups=(Group(num_socks=1, bind_inany=1, slots=(0,)),),
            ),
            [
                "one hung on the packet, and nobody compares its ends with the packet's: it is on *:9000, the packet is"
                " for 10.0.0.2:80. The packet's addresses may have been changed behind early demux (NAT), or a program"
                " or TPROXY chose the socket: one gets it all the same."
            ],
        ),
    ],
    ids=[
        *(
            "timewait",
            "nobody",
            "hash",
            "program",
            "tcp6",
            "request",
            "closed",
            "closed-member",
            "helper-timewait",
            "helper-request",
        ),
        *("nat", "tproxy"),
    ],
)
def test_what_comes_next(case, lines):
    assert told(case) == lines


@pytest.mark.parametrize(
    "case",
    [
        scenario(),
        scenario(listener()),
        scenario(connection()),
        scenario(connection(refcnt=2), packet=Packet(sk=0, destructor=EDEMUX)),
        scenario(cookie(listener=1), listener(), packet=Packet(sk=0, destructor=PFREE)),
        scenario(bound(), lookup=UDP4, packet=datagram()),
        scenario(connected(), lookup=UDP4, packet=datagram(sk=0, destructor=PFREE)),
    ],
    ids=["nobody", "listener", "connection", "attached", "cookie", "udp", "udp-attached"],
)
def test_where_the_answer_is_the_end_nothing_comes_next(case):
    assert told(case) == []
