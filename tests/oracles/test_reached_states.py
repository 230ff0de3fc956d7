"""States that system calls reach and one would not expect: the lookup in them. Each was seen on a running kernel."""

import pytest

from skdiff.cases.addresses import from_text, mapped
from skdiff.cases.outcome import SHOWN_FILTER, SHOWN_SK_REUSEPORT
from skdiff.cases.scenario import AF_INET6, FILTER, NONE, SK_REUSEPORT, Group, Packet, Sock
from skdiff.oracles.reference import Reference
from tests.helpers import HERE, PEER, agree, connection, listener, request, scenario
from tests.transform import closed

FOUND = {"refcounted": 1}


def test_the_newer_of_two_sockets_of_one_connection_gets_the_packet(reference: Reference) -> None:
    """Both bound to a device of their own, connected, and unbound since."""
    case = scenario(connection(), connection())
    agree(reference, case, sk=1, refcnt={1: 2}, **FOUND)
    agree(reference, closed(case, 1), sk=0, refcnt={0: 2}, **FOUND)


def test_a_member_that_was_shut_down_waits_in_the_closed_section(reference: Reference) -> None:
    """net.ipv4.tcp_migrate_req is on; another listen() takes it back, behind the others."""
    member, shut = listener(reuseport=1, group=0), Sock(reuseport=1, group=0)
    group = Group(num_socks=1, num_closed_socks=1, bind_inany=1, slots=(1, 0), prog=FILTER, returns=1)
    agree(reference, scenario(shut, member, groups=(group,)), sk=1, ran=(SHOWN_FILTER,))
    back = Group(num_socks=2, bind_inany=1, slots=(1, 0), prog=FILTER, returns=1)
    agree(reference, scenario(member, member, groups=(back,)), sk=0, ran=(SHOWN_FILTER,))


def test_a_group_without_listeners_says_nothing(reference: Reference) -> None:
    group = Group(num_closed_socks=1, bind_inany=1, slots=(0,), prog=FILTER)
    agree(reference, scenario(Sock(reuseport=1, group=0), listener(), groups=(group,)), sk=1)


def test_a_connection_has_the_group_that_a_filter_made(reference: Reference) -> None:
    """SO_REUSEPORT, SO_ATTACH_REUSEPORT_CBPF, bind(), connect()."""
    group = Group(num_socks=1, slots=(0,), prog=FILTER)
    agree(reference, scenario(connection(reuseport=1, group=0), groups=(group,)), sk=0, refcnt={0: 2}, **FOUND)


def test_a_dual_stack_listeners_request_is_af_inet6(reference: Reference) -> None:
    case = scenario(request(listener=1, family=AF_INET6), listener(family=AF_INET6, refcnt=2))
    agree(reference, case, sk=0, refcnt={0: 2}, **FOUND)


def test_a_listener_may_keep_the_address_of_a_peer(reference: Reference) -> None:
    """connect(), connect() with AF_UNSPEC, listen()."""
    agree(reference, scenario(listener(daddr=HERE)), sk=0)


def test_a_listener_on_an_ipv6_address_has_no_ipv4_packets(reference: Reference) -> None:
    """On ::1: it is ipv6only, and 127.0.0.6 stands for its address."""
    on_v6 = listener(family=AF_INET6, ipv6only=1, rcv_saddr=from_text("::1"))
    for packet in (Packet(), Packet(daddr=from_text("127.0.0.6"))):
        agree(reference, scenario(on_v6, packet=packet), sk=NONE)


def test_a_listener_has_a_reference_of_each_of_1200_requests(reference: Reference) -> None:
    agree(reference, scenario(listener(refcnt=1201)), sk=0)


@pytest.mark.parametrize("verdict", [2, 255])
def test_a_program_of_a_group_may_return_anything(reference: Reference, verdict: int) -> None:
    """The verifier asks for 0 or 1 of sk_lookup programs only; what is not SK_PASS drops."""
    group = Group(num_socks=1, bind_inany=1, slots=(0,), prog=SK_REUSEPORT, verdict=verdict, select=0)
    agree(reference, scenario(listener(reuseport=1, group=0), groups=(group,)), sk=NONE, ran=(SHOWN_SK_REUSEPORT,))


@pytest.mark.parametrize(
    ("saddr", "daddr"),
    [
        (PEER, mapped(0xFFFFFFFF)),
        (PEER, mapped(0xE0000001)),
        (0, 0),
        (0, mapped(0xE0000001)),
        (mapped(0x00010203), mapped(0xFFFFFFFF)),
    ],
)
def test_a_packet_to_everybody_is_looked_up(reference: Reference, saddr: int, daddr: int) -> None:
    """A tunnel delivers it as it does any other; tcp_v4_conn_request() drops it, behind the lookup."""
    agree(reference, scenario(listener(), packet=Packet(skb_iif=2, saddr=saddr, daddr=daddr)), sk=0)


def test_a_raw_sockets_packet_makes_a_request_on_the_wildcard(reference: Reference) -> None:
    """IP_HDRINCL, to lo: nobody looks at the addresses. From port 0, too."""
    packet = Packet(daddr=0, sport=0)
    case = scenario(request(listener=1, rcv_saddr=0, dport=0), listener(refcnt=2), packet=packet)
    agree(reference, case, sk=0, refcnt={0: 2}, **FOUND)
