"""Step 1: the socket that already hangs on the sk_buff, who owns it, and whom a listener among them stands for."""

from typing import Any

import pytest

from skdiff.cases.outcome import SHOWN_SK_REUSEPORT
from skdiff.cases.scenario import (
    AF_INET6,
    DESTRUCTOR_NONE,
    DESTRUCTOR_OTHER,
    EDEMUX,
    IPPROTO_SCTP,
    IPPROTO_UDP,
    NONE,
    PFREE,
    SK_DROP,
    SK_REUSEPORT,
    TCP_CLOSE,
    TCP_ESTABLISHED,
    TCP_LISTEN,
    TCP_SYN_RECV,
    Group,
    Netns,
    Packet,
    Sock,
)
from skdiff.oracles.reference import Reference
from tests.helpers import (
    ELSEWHERE,
    HERE,
    agree,
    connection,
    cookie,
    hash_of,
    listener,
    request,
    scenario,
    secret_for,
    timewait,
    udp,
)

STOLEN: dict[str, Any] = {"skb_sk": NONE, "destructor": DESTRUCTOR_NONE}
BY_DEMUX = Packet(sk=0, destructor=EDEMUX)
BY_BPF = Packet(sk=0, destructor=PFREE)
# Group 0 of socket 0 alone selects socket 1: whoever asks it gets 1.
ELECTS_1 = (Group(num_socks=2, bind_inany=1, prog=SK_REUSEPORT, select=1, slots=(0, 1)),)
DROPS = (ELECTS_1[0]._replace(verdict=SK_DROP),)


# --- who owns the socket ---


@pytest.mark.parametrize("rcu_free", [0, 1])
@pytest.mark.parametrize("destructor", [EDEMUX, DESTRUCTOR_OTHER, DESTRUCTOR_NONE])
def test_a_socket_that_bpf_did_not_assign_comes_with_its_reference(
    reference: Reference, rcu_free: int, destructor: int
) -> None:
    case = scenario(connection(refcnt=2, rcu_free=rcu_free), packet=Packet(sk=0, destructor=destructor), hostile=1)
    agree(reference, case, sk=0, refcounted=1, via=("stolen",), **STOLEN)


@pytest.mark.parametrize("rcu_free", [0, 1])
def test_an_assigned_socket_comes_with_a_reference_unless_rcu_frees_it(reference: Reference, rcu_free: int) -> None:
    case = scenario(connection(refcnt=2, rcu_free=rcu_free), packet=BY_BPF)
    agree(reference, case, sk=0, refcounted=1 - rcu_free, via=("stolen",), **STOLEN)


def test_an_assigned_timewait_socket_comes_with_a_reference(reference: Reference) -> None:
    agree(reference, scenario(timewait(refcnt=2), packet=BY_BPF), sk=0, refcounted=1, **STOLEN)


def test_an_assigned_request_without_a_cookie_is_returned_itself(reference: Reference) -> None:
    case = scenario(request(refcnt=2, listener=1), listener(), packet=BY_BPF)
    agree(reference, case, sk=0, refcounted=1, **STOLEN)


def test_a_stolen_socket_is_returned_without_a_look_at_the_tables(reference: Reference) -> None:
    stolen = connection(refcnt=2, dport=7)
    agree(reference, scenario(stolen, connection(), listener(), packet=BY_DEMUX), sk=0, refcounted=1, **STOLEN)


def test_a_stolen_socket_is_not_compared_with_the_packet(reference: Reference) -> None:
    stolen = Sock(netns=1, num=7, rcv_saddr=ELSEWHERE, bound_dev_if=9, refcnt=0)
    case = scenario(stolen, packet=BY_DEMUX, netns=(Netns(), Netns()), hostile=1)
    agree(reference, case, sk=0, refcounted=1, **STOLEN)


@pytest.mark.parametrize("destructor", [DESTRUCTOR_NONE, PFREE, EDEMUX, DESTRUCTOR_OTHER])
def test_without_a_socket_on_it_the_packet_stays_as_it_is(reference: Reference, destructor: int) -> None:
    case = scenario(listener(), packet=Packet(destructor=destructor), hostile=1)
    agree(reference, case, sk=0, refcounted=0, destructor=destructor, via=("wildcard listener",))


# --- SYN cookies ---


def test_a_cookies_listener_is_returned_and_its_request_stays_on_the_packet(reference: Reference) -> None:
    case = scenario(cookie(listener=1), listener(), listener(bound_dev_if=1), packet=BY_BPF)
    agree(reference, case, sk=1, refcounted=0, skb_sk=0, destructor=PFREE, listener={0: NONE}, via=("stolen",))


def test_a_cookies_listener_stands_for_its_group(reference: Reference) -> None:
    groups = (Group(num_socks=2, bind_inany=1, prog=SK_REUSEPORT, select=2, slots=(1, 2)),)
    socks = (cookie(listener=1), listener(reuseport=1, group=0), listener(reuseport=1, group=0))
    case = scenario(*socks, packet=BY_BPF, groups=groups)
    agree(
        reference, case, sk=2, refcounted=0, skb_sk=0, destructor=PFREE, listener={0: NONE}, ran=(SHOWN_SK_REUSEPORT,)
    )


def test_a_cookies_listener_that_closed_since_does_not_stand_for_its_group(reference: Reference) -> None:
    groups = (Group(num_socks=2, bind_inany=1, prog=SK_REUSEPORT, select=2, slots=(1, 2)),)
    socks = (cookie(listener=1), Sock(reuseport=1, group=0, state=TCP_CLOSE), listener(reuseport=1, group=0))
    case = scenario(*socks, packet=BY_BPF, groups=groups, hostile=1)
    agree(reference, case, sk=1, refcounted=0, skb_sk=0, destructor=PFREE, listener={0: NONE}, shown=())


def test_a_cookie_without_a_listener_leaves_the_packet_to_the_tables(reference: Reference) -> None:
    case = scenario(cookie(), listener(), packet=BY_BPF, hostile=1)
    agree(reference, case, sk=1, refcounted=0, skb_sk=0, destructor=PFREE, via=("wildcard listener",))
    case = scenario(cookie(), connection(), packet=BY_BPF, hostile=1)
    agree(reference, case, sk=1, refcounted=1, refcnt={1: 2}, skb_sk=0, destructor=PFREE, via=("established",))


@pytest.mark.parametrize("destructor", [EDEMUX, DESTRUCTOR_OTHER])
def test_a_cookie_counts_only_on_an_assigned_request(reference: Reference, destructor: int) -> None:
    packet = Packet(sk=0, destructor=destructor)
    case = scenario(cookie(listener=1), listener(), packet=packet, hostile=1)
    agree(reference, case, sk=0, refcounted=1, **STOLEN)


# --- listeners that stand for their group ---


def test_an_assigned_listener_stands_for_its_group(reference: Reference) -> None:
    case = scenario(*[listener(reuseport=1, group=0)] * 2, packet=BY_BPF, groups=ELECTS_1)
    agree(
        reference,
        case,
        sk=1,
        refcounted=0,
        via=("stolen", "group by program", "re-selected"),
        **STOLEN,
        ran=(SHOWN_SK_REUSEPORT,),
    )


@pytest.mark.parametrize("destructor", [EDEMUX, DESTRUCTOR_OTHER])
def test_a_listener_that_bpf_did_not_assign_stands_for_itself(reference: Reference, destructor: int) -> None:
    packet = Packet(sk=0, destructor=destructor)
    case = scenario(*[listener(refcnt=2, reuseport=1, group=0)] * 2, packet=packet, groups=ELECTS_1, hostile=1)
    agree(reference, case, sk=0, refcounted=1, shown=(), **STOLEN)


def test_an_assigned_udp_socket_stands_for_its_group(reference: Reference) -> None:
    case = scenario(*[udp(reuseport=1, group=0)] * 2, packet=BY_BPF, groups=ELECTS_1)
    agree(reference, case, sk=1, refcounted=0, **STOLEN, ran=(SHOWN_SK_REUSEPORT,))


def test_an_assigned_connected_udp_socket_stands_for_itself(reference: Reference) -> None:
    connected = udp(reuseport=1, group=0, state=TCP_ESTABLISHED)
    case = scenario(connected, udp(reuseport=1, group=0), packet=BY_BPF, groups=ELECTS_1)
    agree(reference, case, sk=0, refcounted=0, shown=(), **STOLEN)


@pytest.mark.parametrize(
    ("protocol", "state", "stands_for_its_group"),
    [
        (6, TCP_LISTEN, True),
        (6, TCP_ESTABLISHED, False),
        (6, TCP_CLOSE, False),
        (6, TCP_SYN_RECV, False),
        (IPPROTO_UDP, TCP_CLOSE, True),
        (IPPROTO_UDP, TCP_LISTEN, False),
        (IPPROTO_UDP, TCP_ESTABLISHED, False),
        (IPPROTO_SCTP, TCP_LISTEN, False),
        (IPPROTO_SCTP, TCP_CLOSE, False),
        (0, TCP_LISTEN, False),
    ],
)
def test_tcp_stands_for_its_group_in_listen_udp_in_close_others_never(
    reference: Reference, protocol: int, state: int, stands_for_its_group: bool
) -> None:
    sock = Sock(protocol=protocol, state=state, rcu_free=1, reuseport=1, group=0)
    case = scenario(sock, listener(), packet=BY_BPF, groups=ELECTS_1, hostile=1)
    ran = (SHOWN_SK_REUSEPORT,) if stands_for_its_group else ()
    agree(reference, case, sk=int(stands_for_its_group), refcounted=0, ran=ran, **STOLEN)


@pytest.mark.parametrize("make", [timewait, request])
def test_an_assigned_mini_socket_stands_for_itself(reference: Reference, make: Any) -> None:
    case = scenario(make(refcnt=2, reuseport=1), listener(), packet=BY_BPF, hostile=1)
    agree(reference, case, sk=0, refcounted=1, **STOLEN)


def test_an_assigned_listener_without_so_reuseport_stands_for_itself(reference: Reference) -> None:
    case = scenario(*[listener(group=0)] * 2, packet=BY_BPF, groups=ELECTS_1)
    agree(reference, case, sk=0, refcounted=0, shown=(), **STOLEN)


@pytest.mark.parametrize("groups", [(), (Group(prog=SK_REUSEPORT, verdict=SK_DROP),)])
def test_an_assigned_listener_whose_group_has_no_say_stands_for_itself(
    reference: Reference, groups: tuple[Group, ...]
) -> None:
    sock = listener(reuseport=1, group=len(groups) - 1)
    case = scenario(sock, packet=BY_BPF, groups=groups, hostile=1)
    agree(reference, case, sk=0, refcounted=0, shown=(), via=("stolen",), **STOLEN)


def test_the_error_of_an_assigned_listeners_group_ends_the_lookup(reference: Reference) -> None:
    case = scenario(*[listener(reuseport=1, group=0)] * 2, connection(), packet=BY_BPF, groups=DROPS)
    agree(
        reference, case, sk=-1, refcounted=0, via=("stolen", "drop", "re-selected"), **STOLEN, ran=(SHOWN_SK_REUSEPORT,)
    )


@pytest.mark.parametrize("groups", [ELECTS_1, DROPS])
def test_a_listener_that_is_refcounted_and_stands_for_its_group_gets_a_warning(
    reference: Reference, groups: tuple[Group, ...]
) -> None:
    sock = listener(rcu_free=0, reuseport=1, group=0)
    case = scenario(sock, listener(), packet=BY_BPF, groups=groups, hostile=1)
    chosen = 1 if groups is ELECTS_1 else NONE
    agree(reference, case, sk=chosen, refcounted=1, warns=("inet_steal_sock",), **STOLEN, ran=(SHOWN_SK_REUSEPORT,))


def test_a_listener_that_is_refcounted_and_stands_for_itself_gets_none(reference: Reference) -> None:
    case = scenario(listener(rcu_free=0, refcnt=2), packet=BY_BPF, hostile=1)
    agree(reference, case, sk=0, refcounted=1, warns=(), **STOLEN)


@pytest.mark.parametrize("family", [2, AF_INET6])
@pytest.mark.parametrize("wanted", range(3))
def test_an_assigned_wildcard_listeners_group_is_asked_for_the_packets_own_address(
    reference: Reference, wanted: int, family: int
) -> None:
    groups = (Group(num_socks=3, bind_inany=1, slots=(2, 0, 1)),)
    plain = scenario(*[listener(reuseport=1, group=0, family=family)] * 3, packet=BY_BPF, groups=groups)
    case = secret_for(plain, HERE, 3, wanted, unlike=0)
    agree(reference, case, sk=(2, 0, 1)[wanted], via=("stolen", "group by hash", "re-selected"), **STOLEN)


def test_an_assigned_listeners_program_is_shown_the_listener_and_the_packets_own_hash(reference: Reference) -> None:
    case = scenario(*[listener(reuseport=1, group=0)] * 2, packet=BY_BPF, groups=ELECTS_1, hash_secret=5)
    shown = (SHOWN_SK_REUSEPORT, 0, 0, hash_of(case, HERE), 1, 1, NONE, NONE, 1, 20)
    agree(reference, case, sk=1, shown=(shown,), **STOLEN)
