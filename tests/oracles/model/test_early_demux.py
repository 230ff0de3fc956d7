"""UDP's early demux: a socket for a packet that has no route yet, and what the receive path makes of it (net/ipv4/udp.c
udp_v4_early_demux(), net/ipv6/udp.c udp_v6_early_demux()).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from skdiff.cases.outcome import SHOWN_SK_REUSEPORT
from skdiff.cases.scenario import (
    AF_INET6,
    DEMUX,
    EDEMUX,
    NONE,
    PACKET_BROADCAST,
    PACKET_HOST,
    PACKET_MULTICAST,
    SK_DROP,
    SK_REUSEPORT,
    TCP_CLOSE,
    Group,
    Netns,
    Scenario,
    Sock,
)
from skdiff.oracles.model import Model
from skdiff.oracles.reference import Reference
from skdiff.variants.version_rules import Rules, changed_by_hand
from tests.helpers import ELSEWHERE, HERE, PEER, agree, bound, connected, datagram, secret_for
from tests.running import made
from tests.udp_cases import MANY, MANY6, V6_ENDS, V6_HERE, udp4, udp6

OLD = changed_by_hand(Rules(), "6.1")
CONNECTIONS = [(udp4, {}), (udp6, {**V6_ENDS, "ipv6only": 1})]
# What early demux found is taken from the packet, as what BPF assigned.
DEMUXED: dict[str, Any] = {"via": ("early demux", "stolen")}
# The same socket, or another one, by the tables.
LOOKED_UP: dict[str, Any] = {"via": ("exact", "connected")}
NOBODY: dict[str, Any] = {"sk": NONE, "via": ("delivery",)}


@pytest.fixture(scope="module")
def oldest() -> Reference:
    """Linux 6.1, in which early demux takes a reference, and which has one set of UDP's tables."""
    return Reference(made("6.1"))


def demux(make: Callable[..., Scenario], *socks: Sock, packet: dict[str, int] | None = None, **fields: Any) -> Scenario:
    return make(*socks, packet=make().packet._replace(**packet or {}), caller=DEMUX, **fields)


# --- unicast ---


@pytest.mark.parametrize(("make", "ends"), CONNECTIONS)
def test_a_connection_is_found_without_a_reference(reference: Reference, make: Any, ends: dict[str, int]) -> None:
    agree(reference, demux(make, connected(**ends)), sk=0, **DEMUXED)
    # Sockets that are not freed by RCU count as referenced, which is wrong: CVE-2024-41041.
    unsafe = demux(make, connected(**ends, rcu_free=0), hostile=1)
    agree(reference, unsafe, sk=0, refcounted=1, **DEMUXED)


@pytest.mark.parametrize(("make", "ends"), CONNECTIONS)
def test_only_the_first_of_the_chain_is_looked_at(reference: Reference, make: Any, ends: dict[str, int]) -> None:
    """With a twin that is bound to the device this decides who gets it: the score would take that one."""
    on_device, plain = connected(**ends, bound_dev_if=1), connected(**ends)
    agree(reference, demux(make, on_device, plain), sk=1, **DEMUXED)
    agree(reference, demux(make, plain, on_device), sk=1, **DEMUXED)
    agree(reference, make(on_device, plain), sk=0, **LOOKED_UP)
    other = bound(**{"rcv_saddr": HERE, **ends, "daddr": 0})
    agree(reference, demux(make, plain, other), sk=0, **LOOKED_UP)
    agree(reference, demux(make, other, plain), sk=1, **DEMUXED)


def test_whoever_has_the_slot_may_be_the_first(reference: Reference) -> None:
    """Of another address, port or namespace, if the table is small."""
    for stranger in (bound(rcv_saddr=ELSEWHERE), bound(num=81), bound(), bound(netns=1)):
        case = demux(udp4, connected(), stranger, netns=(Netns(), Netns()))
        agree(reference, case, resized=False, sk=0, **LOOKED_UP)
        # Another slot is another chain.
        if stranger.netns == 0:
            agree(reference, case._replace(udp_size=64), sk=0, **DEMUXED)


def test_tables_of_their_own_keep_strangers_out(reference: Reference, oldest: Reference) -> None:
    """Linux 6.1 has one set of tables for all."""
    case = demux(udp4, connected(), bound(netns=1), netns=(Netns(), Netns(own_hashinfo=1)))
    agree(reference, case, resized=False, sk=0, **DEMUXED)
    agree(oldest, case, resized=False, sk=0, **LOOKED_UP)
    assert Model(replace(Rules(), udp_pernet=False)).run(case).via == LOOKED_UP["via"]


@pytest.mark.parametrize(("make", "ends"), CONNECTIONS)
@pytest.mark.parametrize(
    ("other", "sk", "via"),
    [
        ({"dport": 40001}, NONE, ("none",)),
        ({"bound_dev_if": 2}, NONE, ("none",)),
        ({"rcv_saddr": 0}, 0, ("wildcard", "connected")),
        ({"daddr": 0}, 0, ("exact", "connected")),
    ],
)
def test_both_ends_and_the_device_must_be_the_packet_s(
    reference: Reference, make: Any, ends: dict[str, int], other: dict[str, int], sk: int, via: tuple[str, ...]
) -> None:
    agree(reference, demux(make, connected(**{**ends, **other}), hostile=1), sk=sk, via=via)


def test_of_ipv6_it_must_be_connected_and_of_ipv4_it_need_not(reference: Reference) -> None:
    """What is not connected stands for its group then, as a listener that BPF assigned."""
    agree(reference, demux(udp4, connected(state=TCP_CLOSE), hostile=1), sk=0, **DEMUXED)
    agree(reference, demux(udp6, connected(**V6_ENDS, state=TCP_CLOSE), hostile=1), sk=0, via=("exact",))
    groups = (Group(num_socks=2, slots=(0, 1)),)
    socks = (bound(rcv_saddr=HERE, reuseport=1, group=0), connected(state=TCP_CLOSE, reuseport=1, group=0))
    case = secret_for(demux(udp4, *socks, groups=groups, hostile=1), HERE, 2, 0)
    agree(reference, case, sk=0, via=("early demux", "stolen", "group by hash", "re-selected"))


@pytest.mark.parametrize(("make", "ends"), CONNECTIONS)
@pytest.mark.parametrize("pkt_type", [PACKET_BROADCAST, PACKET_MULTICAST])
def test_a_packet_that_was_sent_to_many_by_the_link_layer_is_left_alone(
    reference: Reference, make: Any, ends: dict[str, int], pkt_type: int
) -> None:
    """IPv4's search for the only one (below) is for multicast addresses: no device is in another's group."""
    agree(reference, demux(make, connected(**ends), packet={"pkt_type": pkt_type}, hostile=1), sk=0, **LOOKED_UP)


@pytest.mark.parametrize(("make", "ends"), CONNECTIONS)
def test_the_device_is_the_one_that_the_packet_came_in_by(
    reference: Reference, make: Any, ends: dict[str, int]
) -> None:
    """There is no route yet that could name another one, which the lookup goes by."""
    for device, expected in ((1, DEMUXED), (3, LOOKED_UP)):
        case = demux(make, connected(**ends, bound_dev_if=device), packet={"rt_iif": 3}, hostile=1)
        agree(reference, case, sk=0, **expected)


@pytest.mark.parametrize(("make", "ends"), CONNECTIONS)
@pytest.mark.parametrize(("tcp", "udp"), [(0, 1), (1, 0)])
def test_tcp_s_sysctl_lets_a_connection_have_packets_of_a_vrf(
    reference: Reference, make: Any, ends: dict[str, int], tcp: int, udp: int
) -> None:
    netns = (Netns(tcp_l3mdev_accept=tcp, udp_l3mdev_accept=udp),)
    case = demux(make, connected(**ends), packet={"skb_iif": 2, "sdif": 3}, netns=netns)
    agree(reference, case, sk=0, **(DEMUXED if tcp else LOOKED_UP))


@pytest.mark.parametrize(("make", "ends"), CONNECTIONS)
def test_a_packet_must_have_its_header(reference: Reference, make: Any, ends: dict[str, int]) -> None:
    """It is pulled, if there is memory. The receive path has its own check, before the lookup."""
    sock = connected(**ends)
    paged = {"len": 20, "data_len": 15}
    agree(reference, demux(make, sock, packet=paged), sk=0, skb_data_len=12, **DEMUXED)
    agree(reference, demux(make, sock, packet={**paged, "pull_fails": 1}, hostile=1), sk=0, **LOOKED_UP)
    agree(reference, demux(make, sock, packet={"len": 7}, hostile=1), sk=0, **LOOKED_UP)
    agree(reference, demux(make, sock, packet={"len": 8, "pull_fails": 1}, hostile=1), sk=0, **DEMUXED)


def test_who_is_attached_already_stays(reference: Reference) -> None:
    """net/ipv4/ip_input.c asks before it calls early demux."""
    case = demux(udp4, connected(), bound(num=81, refcnt=2), packet={"sk": 1, "destructor": EDEMUX}, hostile=1)
    outcome = agree(reference, case, sk=1, refcounted=1, skb_sk=NONE, destructor=0)
    assert outcome.via == ("stolen",)


def test_nobody_is_attached_to_a_packet_that_is_only_received(reference: Reference) -> None:
    agree(reference, udp4(connected()), sk=0, **LOOKED_UP)


# --- before 6.9: with a reference ---


@pytest.mark.parametrize(("make", "ends"), CONNECTIONS)
def test_linux_6_1_takes_a_reference(oldest: Reference, make: Any, ends: dict[str, int]) -> None:
    case = demux(make, connected(**ends))
    agree(oldest, case, sk=0, refcounted=1, refcnt={0: 2}, **DEMUXED)
    told = Model(replace(Rules(), demux_pfree=False)).run(case)
    assert (told.sk, told.refcounted, told.refcnt) == (0, 1, (2,))


@pytest.mark.parametrize(("make", "ends"), CONNECTIONS)
def test_linux_6_1_leaves_who_is_dying(
    reference: Reference, oldest: Reference, make: Any, ends: dict[str, int]
) -> None:
    """The tables have it all the same, which take no reference."""
    case = demux(make, connected(**ends, refcnt=0), hostile=1)
    agree(oldest, case, sk=0, **LOOKED_UP)
    agree(reference, case, sk=0, **DEMUXED)


def test_linux_6_1_asks_no_group_of_what_it_demuxed(reference: Reference, oldest: Reference) -> None:
    """A reference says that it was not assigned. Without one the group of an unconnected socket chooses anew, and gives
    a multicast packet to a member that did not join.
    """
    members = (bound(reuseport=1, group=0), bound(reuseport=1, group=0, mc_refuses=1))
    group = Group(num_socks=2, slots=(0, 1), bind_inany=1)
    case = secret_for(many(*members, groups=(group,)), MANY, 2, 1)
    agree(oldest, case, sk=0, refcounted=1, refcnt={0: 2}, **DEMUXED)
    agree(reference, case, sk=1, via=("early demux", "stolen", "group by hash", "re-selected"))
    told = Model(replace(Rules(), demux_pfree=False)).run(case)
    assert (told.sk, told.via) == (0, DEMUXED["via"])
    dropping = case._replace(groups=(group._replace(prog=SK_REUSEPORT, verdict=SK_DROP),))
    agree(reference, dropping, sk=NONE, ran=(SHOWN_SK_REUSEPORT,))


# --- multicast ---


def many(*socks: Sock, packet: dict[str, int] | None = None, **fields: Any) -> Scenario:
    """A multicast datagram of IPv4."""
    plain = datagram(**{"daddr": MANY, "pkt_type": PACKET_MULTICAST, **(packet or {})})
    return udp4(*socks, packet=plain, caller=DEMUX, **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"rcv_saddr": MANY},
        {"family": AF_INET6},
        {"bound_dev_if": 1},
        {"rcv_saddr": MANY, "daddr": PEER, "dport": 40000, "state": 1},
    ],
)
def test_the_only_socket_that_wants_it_gets_it(reference: Reference, fields: dict[str, int]) -> None:
    agree(reference, many(bound(**fields), hostile=1), sk=0, **DEMUXED)


UNWILLING = [
    {"mc_refuses": 1},
    {"num": 81},
    {"netns": 1},
    {"rcv_saddr": HERE},
    {"bound_dev_if": 2},
    {"daddr": ELSEWHERE},
    {"dport": 40001},
    {"family": AF_INET6, "ipv6only": 1},
    {"family": AF_INET6, "rcv_saddr": V6_HERE},
]


@pytest.mark.parametrize("fields", UNWILLING)
def test_who_does_not_want_it_is_passed_over(reference: Reference, fields: dict[str, int]) -> None:
    two = (Netns(), Netns())
    agree(reference, many(bound(**fields), netns=two, hostile=1), **NOBODY)
    for socks, sk in (((bound(), bound(**fields)), 0), ((bound(**fields), bound()), 1)):
        agree(reference, many(*socks, netns=two, hostile=1), sk=sk, **DEMUXED)


def test_two_that_want_it_get_it_by_delivery(reference: Reference) -> None:
    agree(reference, many(bound(), bound()), **NOBODY)
    agree(reference, many(bound(rcv_saddr=MANY), bound()), **NOBODY)


@pytest.mark.parametrize("more", [{"mc_refuses": 1}, {"rcv_saddr": HERE}, {"netns": 1}])
def test_more_than_ten_sockets_of_a_slot_are_too_many(reference: Reference, more: dict[str, int]) -> None:
    """Whoever they are: the table's own count says so."""
    netns = (Netns(), Netns())
    agree(reference, many(bound(), *[bound(**more)] * 9, netns=netns), sk=0, **DEMUXED)
    agree(reference, many(bound(), *[bound(**more)] * 10, netns=netns), **NOBODY)


def test_other_ports_count_where_they_share_the_slot(reference: Reference, oldest: Reference) -> None:
    """Those of a namespace with tables of its own do not, since there are such."""
    crowd = many(bound(), *[bound(num=81)] * 10)
    agree(reference, crowd, resized=False, **NOBODY)
    agree(reference, crowd._replace(udp_size=2), sk=0, **DEMUXED)
    elsewhere = many(bound(), *[bound(netns=1)] * 10, netns=(Netns(), Netns(own_hashinfo=1)))
    agree(reference, elsewhere, sk=0, **DEMUXED)
    agree(oldest, elsewhere, **NOBODY)


def test_udp_s_sysctl_lets_unbound_sockets_have_multicast_of_a_vrf(reference: Reference) -> None:
    for tcp, udp in ((0, 1), (1, 0)):
        netns = (Netns(tcp_l3mdev_accept=tcp, udp_l3mdev_accept=udp),)
        case = many(bound(), packet={"skb_iif": 2, "sdif": 3}, netns=netns)
        agree(reference, case, **({"sk": 0, **DEMUXED} if udp else NOBODY))


def test_a_multicast_datagram_that_the_link_layer_sent_to_this_host_has_a_unicast_search(reference: Reference) -> None:
    """Its connection is one with the multicast address, which no socket has that sends."""
    case = many(bound(), packet={"pkt_type": PACKET_HOST}, hostile=1)
    agree(reference, case, **NOBODY)
    agree(reference, case._replace(socks=(connected(rcv_saddr=MANY),)), sk=0, **DEMUXED)


def test_of_ipv6_there_is_no_early_demux_of_multicast(reference: Reference) -> None:
    packet = {"daddr": MANY6, "pkt_type": PACKET_MULTICAST}
    agree(reference, demux(udp6, bound(family=AF_INET6), packet=packet), **NOBODY)
