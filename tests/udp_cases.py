"""Cases of UDP, and of who asks, each of which breaks one rule of what is valid, or none."""

from collections.abc import Iterator
from typing import Any

from skdiff.cases.addresses import MAPPED_ANY, from_text, mapped
from skdiff.cases.scenario import (
    AF_INET6,
    DEMUX,
    EDEMUX,
    EFREE,
    HELPER,
    IPPROTO_TCP,
    KIND_TIMEWAIT,
    PACKET_BROADCAST,
    PACKET_MULTICAST,
    PFREE,
    REHASHED,
    SK_REUSEPORT,
    STALE,
    TCP_CLOSE,
    TCP_ESTABLISHED,
    TCP_LISTEN,
    UDP4,
    UDP6,
    Group,
    Netns,
    Packet,
    Program,
    Scenario,
    Sock,
)
from tests.helpers import HERE, PEER, bound, connected, connection, datagram, listener, scenario, timewait, udp

MANY, EVERYBODY = mapped(0xEF010203), mapped(0xFFFFFFFF)
MANY6 = from_text("ff0e::1")
V6_PEER, V6_HERE = from_text("2001:db8::1"), from_text("2001:db8::2")
ON_V6 = {"family": AF_INET6, "rcv_saddr": V6_HERE}
V6_ENDS = {**ON_V6, "daddr": V6_PEER}
MAPPED_ENDS = {"family": AF_INET6, "rcv_saddr": HERE, "daddr": PEER}
MEMBER = {"reuseport": 1, "group": 0}


def udp4(*socks: Sock, packet: Packet | None = None, **fields: Any) -> Scenario:
    """A case of udp4."""
    return scenario(*socks, packet=packet or datagram(), lookup=UDP4, **fields)


def udp6(*socks: Sock, packet: Packet | None = None, **fields: Any) -> Scenario:
    """A case of udp6."""
    return scenario(*socks, packet=packet or datagram(saddr=V6_PEER, daddr=V6_HERE), lookup=UDP6, **fields)


def grouped(*socks: Sock, **fields: Any) -> Scenario:
    """A case of udp4 whose sockets are in one group."""
    plain = {"num_socks": len(socks), "bind_inany": 1, "slots": tuple(range(len(socks)))}
    return udp4(*socks, groups=(Group(**{**plain, **fields}),))


def runs(case: Scenario) -> Scenario:
    """The case with a program that assigns socket 0."""
    return case._replace(netns=(Netns(run_array=1, progs=(Program(assign=0),)),), sk_lookup_enabled=1)


def carries(sock: Sock, destructor: int = PFREE, **fields: Any) -> Scenario:
    """A case of udp4 with a socket on the packet."""
    return udp4(sock, packet=datagram(sk=0, destructor=destructor), **fields)


IN_TABLES = "socket 0: a socket in UDP's tables is a full one of UDP, with a port"
CHAIN = "socket 0: connect() puts a socket into another chain, or is about to, when it gives it a local address"
STRUCTURE: list[tuple[str, Scenario]] = [
    *(
        (f"the packet: doff is {doff}, a UDP header has 8 bytes", scenario(packet=Packet(doff=doff), lookup=lookup))
        for doff, lookup in ((20, UDP4), (0, UDP6))
    ),
    ("early demux of TCP comes before the lookup: give the packet its socket", scenario(caller=DEMUX)),
    *(
        ("a BPF helper looks up without an sk_buff: no socket is attached", case._replace(caller=HELPER))
        for case in (
            udp4(bound(), packet=datagram(sk=0, destructor=PFREE)),
            scenario(listener(), packet=Packet(sk=0, destructor=PFREE)),
        )
    ),
    *((IN_TABLES, scenario(sock)) for sock in (bound(protocol=IPPROTO_TCP), bound(num=0))),
    (
        IN_TABLES,
        udp4(Sock(kind=KIND_TIMEWAIT, state=6, hashed=3, protocol=17)),
    ),
    *(
        ("socket 0: only a socket in UDP's tables has hash2 and mc_refuses", case(sock))
        for case in (scenario, udp4)
        for sock in (udp(mc_refuses=1), listener(hash2=REHASHED), connection(hash2=STALE))
    ),
    *((CHAIN, udp4(sock)) for sock in (bound(hash2=STALE), bound(hash2=REHASHED), bound(hash2=STALE, family=AF_INET6))),
    (CHAIN, udp4(bound(hash2=STALE, family=AF_INET6, rcv_saddr=MAPPED_ANY))),
]


def _unreachable() -> Iterator[tuple[str, Scenario]]:
    yield "UDP searches the tables of its namespace", udp4(foreign_hashinfo=1)
    for sock in (connected(), connected(**V6_ENDS, hash2=REHASHED)):
        yield "namespace 0: a program is refused socket 0", runs(udp4(sock))
    yield "namespace 0: a program is refused socket 0", runs(udp4(listener()))
    yield "namespace 0: a program is refused socket 0", runs(udp4(bound(family=AF_INET6, ipv6only=1)))
    yield "namespace 0: a program is refused socket 0", runs(udp6(bound()))
    yield "namespace 0: a program is refused socket 0", runs(scenario(bound()))
    for fields in ({"len": 7}, {"len": 20, "data_len": 13}):
        yield "a packet has a whole linear header of 8 bytes", udp4(packet=datagram(**fields))
    yield "a packet has a whole linear header of 8 bytes", udp4(packet=datagram(len=7), caller=DEMUX)
    attached = datagram(len=20, data_len=13, sk=0, destructor=PFREE)
    yield "a packet has a whole linear header of 8 bytes", udp4(bound(), packet=attached, caller=DEMUX)
    for case in (
        udp4(packet=datagram(pkt_type=PACKET_MULTICAST)),
        udp4(packet=datagram(daddr=MANY), caller=DEMUX),
        udp4(packet=datagram(daddr=MANY, pkt_type=PACKET_BROADCAST), caller=DEMUX),
        udp4(packet=datagram(daddr=EVERYBODY), caller=DEMUX),
        udp6(packet=datagram(saddr=V6_PEER, daddr=MANY6), caller=DEMUX),
        scenario(packet=Packet(daddr=MANY, pkt_type=PACKET_MULTICAST)),
    ):
        yield "pkt_type goes with the address", case
    many = "a packet for many is delivered to all who want it, without a lookup"
    yield many, udp4(packet=datagram(daddr=MANY, pkt_type=PACKET_MULTICAST))
    yield many, udp4(packet=datagram(daddr=EVERYBODY, pkt_type=PACKET_BROADCAST))
    yield many, udp6(packet=datagram(saddr=V6_PEER, daddr=MANY6, pkt_type=PACKET_MULTICAST))
    for name in ("rt_iif", "data_len", "clone_fails", "pull_fails", "pkt_type"):
        yield "a BPF helper has addresses, ports, devices", udp4(packet=datagram(**{name: 1}), caller=HELPER)
    yield "a BPF helper has addresses, ports, devices", scenario(packet=Packet(doff=24), caller=HELPER)
    yield "a BPF helper has addresses, ports, devices", scenario(packet=Packet(len=60), caller=HELPER)
    yield "a BPF helper has addresses, ports, devices", scenario(packet=Packet(users=2), caller=HELPER)
    for fields in ({"skb_iif": -1}, {"sdif": -1}):
        yield "a device is none, or from 1 on", udp4(packet=datagram(**fields), caller=HELPER)
    yield "sdif is a device below a VRF, lo (1) is not", scenario(packet=Packet(sdif=1), caller=HELPER)
    for destructor in (0, EFREE):
        yield "a socket is attached by BPF, or by TCP's early demux", carries(bound(refcnt=2), destructor)
    handed_over = "early demux and TPROXY look among the sockets of the packet's protocol and family"
    for sock in (
        listener(refcnt=2),
        timewait(refcnt=2),
        bound(family=AF_INET6, ipv6only=1, refcnt=2),
        connected(**V6_ENDS, ipv6only=1, refcnt=2),
    ):
        yield handed_over, carries(sock, EDEMUX)
    yield handed_over, scenario(bound(refcnt=2), packet=Packet(sk=0, destructor=EDEMUX))
    yield handed_over, carries(bound(refcnt=2), EDEMUX)._replace(lookup=UDP6)
    yield "an attached socket was found in a table", carries(udp())
    yield "the packet holds a reference to its socket", carries(bound(), EDEMUX)
    yield "socket 0: a bound UDP socket is SOCK_RCU_FREE", udp4(bound(rcu_free=0))
    yield "socket 0: a bound UDP socket is SOCK_RCU_FREE", scenario(bound(rcu_free=0))
    yield "socket 0: a UDP socket is TCP_ESTABLISHED or TCP_CLOSE", udp4(bound(state=TCP_LISTEN))
    yield "socket 0: connect() sets a peer's address and port", udp4(bound(dport=7))
    yield "socket 0: connect() gives a socket on the wildcard an address", udp4(connected(rcv_saddr=0))
    for sock in (connected(**{**V6_ENDS, "daddr": PEER}, ipv6only=1), connected(**{**MAPPED_ENDS, "daddr": V6_PEER})):
        yield "socket 0: both ends of a connection have addresses of one family", udp6(sock)
    yield "socket 0: who has a peer is TCP_ESTABLISHED", udp4(connected(state=TCP_CLOSE))
    yield "socket 0: who has a peer is TCP_ESTABLISHED", udp4(bound(state=TCP_ESTABLISHED))
    yield "socket 0: who has a peer is TCP_ESTABLISHED", udp6(bound(**V6_ENDS, ipv6only=1, dport=7))
    yield "socket 0: who has a peer is TCP_ESTABLISHED", udp4(bound(**MAPPED_ENDS))
    yield "socket 0: who was rehashed has a peer", udp4(bound(rcv_saddr=HERE, hash2=REHASHED))
    given = "socket 0: connect() gives a socket an address of this host"
    for sock in (connected(rcv_saddr=MANY, hash2=REHASHED), connected(rcv_saddr=EVERYBODY, hash2=REHASHED)):
        yield given, udp4(sock)
    yield given, udp6(connected(**{**V6_ENDS, "rcv_saddr": MANY6}, hash2=REHASHED))
    yield (
        "socket 0: connect() of an AF_INET6 socket sends from the address that it is bound to",
        udp4(connected(family=AF_INET6, rcv_saddr=MANY)),
    )
    # Disconnecting has it rehashed. Linux 6.18.44 was asked.
    for flags in ({"reuseport": 1}, {"reuseport_changed": 1}):
        disconnected = bound(family=AF_INET6, daddr=V6_PEER, **flags)
        yield "socket 0: who disconnects from the wildcard is rehashed, to the head of its chain", udp6(disconnected)
    yield "socket 0: connect() sets the state when it has rehashed", udp4(connected(hash2=STALE))
    yield "socket 0: connect() sets the state when it has rehashed", udp6(connected(**V6_ENDS, hash2=STALE))
    yield "socket 0: connect() sets an IPv6 peer before it rehashes", udp6(bound(**ON_V6, hash2=STALE))
    late = "socket 0: connect() of an AF_INET6 socket to an IPv4 peer rehashes when all else is done"
    yield late, udp4(bound(**MAPPED_ENDS, dport=7, hash2=STALE))
    yield late, udp4(bound(family=AF_INET6, rcv_saddr=HERE, hash2=STALE, state=TCP_ESTABLISHED))
    for sock in (bound(**ON_V6), connected(**V6_ENDS), bound(**V6_ENDS)):
        yield "socket 0: bind() to an address of IPv6 makes a socket ipv6only", udp6(sock)
    yield (
        "its members share namespace, protocol, family, address and port, of UDP the device",
        grouped(bound(**MEMBER), bound(**MEMBER, bound_dev_if=2)),
    )
    yield "group 0: who leaves UDP's tables leaves the group", grouped(bound(**MEMBER), udp(**MEMBER))
    yield "group 0: has_conns tells of UDP", grouped(connected(**MEMBER), bind_inany=0)
    # connect() takes who is on the wildcard out of the group before the group is told. Linux 6.18.44 was asked.
    for wildcard in (bound(), bound(family=AF_INET6), bound(family=AF_INET6, rcv_saddr=MAPPED_ANY)):
        inany = int(wildcard.rcv_saddr == 0)
        yield (
            "group 0: has_conns tells of UDP",
            grouped(wildcard._replace(group=0, reuseport=1), bind_inany=inany, has_conns=1),
        )
    yield "group 0: has_conns tells of UDP", udp4(groups=(Group(has_conns=1),))
    yield (
        "group 0: has_conns tells of UDP",
        scenario(listener(**MEMBER), groups=(Group(num_socks=1, bind_inany=1, has_conns=1, slots=(0,)),)),
    )
    yield (
        "UDP's connect() from the wildcard leaves it",
        grouped(connected(**MEMBER, hash2=REHASHED), bind_inany=0, num_socks=0, slots=()),
    )


UNREACHABLE = list(_unreachable())

# Broken along with another rule.
TOGETHER: list[tuple[str, Scenario]] = [
    (
        "group 0: who is rehashed, by connect() from the wildcard, leaves the group",
        grouped(
            bound(**MEMBER, family=AF_INET6),
            bound(**MEMBER, family=AF_INET6, daddr=V6_PEER, rcv_saddr=0),
            has_conns=1,
            num_socks=2,
            reuseport_id=2,
        ),
    ),
]

REACHABLE: list[Scenario] = [
    udp4(),
    udp6(),
    udp4(connected(rcv_saddr=MANY), bound(family=AF_INET6, rcv_saddr=MANY)),
    *(
        case(*socks)
        for case in (udp4, udp6, scenario)
        for socks in (
            (bound(), bound(rcv_saddr=HERE), bound(bound_dev_if=3), bound(num=81)),
            # SO_REUSEADDR on both
            (bound(), bound()),
            (connected(), connected(), connected(bound_dev_if=2)),
            # connect() from the wildcard, and from an address; to port 0
            (connected(hash2=REHASHED), connected(), connected(dport=0)),
            # a socket on :: that connects to an IPv6 peer: 127.0.0.6 for IPv4
            (connected(**V6_ENDS, hash2=REHASHED), connected(**V6_ENDS, hash2=REHASHED, ipv6only=1)),
            (connected(**V6_ENDS, ipv6only=1), connected(**MAPPED_ENDS), connected(**MAPPED_ENDS, hash2=REHASHED)),
            (bound(**ON_V6, ipv6only=1), bound(family=AF_INET6), bound(family=AF_INET6, ipv6only=1)),
            (bound(family=AF_INET6, rcv_saddr=MAPPED_ANY), bound(family=AF_INET6, rcv_saddr=HERE)),
            # the middle of connect()
            (bound(rcv_saddr=HERE, hash2=STALE), bound(rcv_saddr=HERE, daddr=PEER, dport=7, hash2=STALE)),
            (bound(**V6_ENDS, dport=7, hash2=STALE), bound(**V6_ENDS, dport=7, hash2=STALE, ipv6only=1)),
            (connected(**MAPPED_ENDS, hash2=STALE),),
            # connect(), and connect() with AF_UNSPEC: the IPv6 peer stays
            (bound(family=AF_INET6, daddr=V6_PEER), bound(**V6_ENDS, ipv6only=1)),
            (bound(family=AF_INET6, daddr=V6_PEER, reuseport=1, reuseport_changed=1),),
            (bound(**V6_ENDS, ipv6only=1, reuseport=1),),
            # bind() with SO_REUSEPORT, and SO_BINDTODEVICE behind it; the flag set behind bind()
            (bound(reuseport=1, bound_dev_if=2), bound(reuseport=1), bound(reuseport=1, reuseport_changed=1)),
            (bound(mc_refuses=1), listener(), connection(), timewait()),
        )
    ),
    # an IPv6 multicast address to be bound to, and to be connected to
    udp6(bound(family=AF_INET6, rcv_saddr=MANY6, ipv6only=1), connected(**{**V6_ENDS, "daddr": MANY6}, ipv6only=1)),
    grouped(*2 * (bound(**MEMBER, rcv_saddr=HERE),), has_conns=1, bind_inany=0, prog=SK_REUSEPORT, select=1),
    grouped(bound(**MEMBER, bound_dev_if=2), bound(**MEMBER, bound_dev_if=2)),
    grouped(bound(**MEMBER, rcv_saddr=HERE), connected(**MEMBER), has_conns=1, bind_inany=0),
    *(
        grouped(bound(**MEMBER, **ON_V6, ipv6only=1), sock, has_conns=1, bind_inany=0)
        for sock in (
            connected(**MEMBER, **V6_ENDS, ipv6only=1),
            bound(**MEMBER, **V6_ENDS, ipv6only=1),  # disconnected
        )
    ),
    # programs assign what is not connected
    *(runs(udp4(sock)) for sock in (bound(), bound(family=AF_INET6), bound(rcv_saddr=HERE, hash2=STALE))),
    *(runs(udp6(sock)) for sock in (bound(family=AF_INET6, ipv6only=1), bound(**V6_ENDS, ipv6only=1))),
    # bpf_sk_assign() takes what is hashed, without a reference if RCU frees it
    *(
        carries(sock)
        for sock in (
            bound(),
            connected(),
            bound(**ON_V6, ipv6only=1),
            listener(),
            connection(refcnt=2),
            timewait(refcnt=2),
        )
    ),
    scenario(bound(), packet=Packet(sk=0, destructor=PFREE)),
    # TPROXY
    *(carries(sock, EDEMUX) for sock in (bound(refcnt=2), connected(refcnt=2), connected(**MAPPED_ENDS, refcnt=2))),
    udp4(bound(refcnt=2), packet=datagram(sk=0, destructor=EDEMUX, daddr=MANY, pkt_type=PACKET_MULTICAST)),
    # early demux: a header that is in pages, packets for many
    udp4(packet=datagram(len=20, data_len=20), caller=DEMUX),
    udp4(packet=datagram(daddr=MANY, pkt_type=PACKET_MULTICAST), caller=DEMUX),
    udp4(packet=datagram(daddr=EVERYBODY, pkt_type=PACKET_BROADCAST), caller=DEMUX),
    udp6(packet=datagram(saddr=V6_PEER, daddr=MANY6, pkt_type=PACKET_MULTICAST), caller=DEMUX),
    udp4(bound(), packet=datagram(sk=0, destructor=PFREE), caller=DEMUX),
    # BPF helpers, of TCP too: any addresses, no device
    udp4(packet=datagram(saddr=MANY, daddr=MANY, skb_iif=0), caller=HELPER),
    scenario(packet=Packet(saddr=0, daddr=0, skb_iif=2, sdif=2), caller=HELPER),
]
