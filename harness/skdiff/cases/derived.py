"""What follows from the rest of a reachable case. `normalise.py` makes cases with it, `reduce.py` smaller ones."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from skdiff.cases.addresses import ANY, MAPPED_ANY, is_ipv6, is_mapped, low_word
from skdiff.cases.scenario import (
    AF_INET6,
    BOUND,
    HELPER,
    IPPROTO_TCP,
    IPPROTO_UDP,
    IPV6_LOOKUPS,
    LHASH2,
    NOWHERE,
    PACKET_BROADCAST,
    PACKET_HOST,
    PACKET_MULTICAST,
    RECEIVE,
    TCP4,
    TCP6,
    TCP_CLOSE,
    UDP_HASHED,
    UDP_LOOKUPS,
    Packet,
    Scenario,
    Sock,
)

# net/ipv4/inet_hashtables.c inet_reuseport_add_sock(): what the members of a group have in common. The device is not in
# it: SO_BINDTODEVICE may move a listener later.
GROUP_KEY = ("netns", "protocol", "family", "ipv6only", "rcv_saddr", "num")
# net/ipv4/udp.c udp_reuseport_add_sock(): of UDP the device is in it. Whom SO_BINDTODEVICE moves leaves its group.
UDP_GROUP_KEY = (*GROUP_KEY, "bound_dev_if")
# What the established table tells connections apart by: include/net/inet_hashtables.h inet_match().
CONNECTION = ("netns", "daddr", "rcv_saddr", "dport", "num", "bound_dev_if")

UDP_HEADER = 8  # bytes of struct udphdr, with which the kernel calls UDP's lookups
LOOPBACK_IFINDEX = 1  # net/core/dev.c: in each namespace
_BROADCAST = 0xFFFFFFFF
_EVERYBODY_HERE = 0xE00000  # include/linux/in.h ipv4_is_local_multicast(): 224.0.0.0/24


def is_own_packet(packet: Packet) -> bool:
    """Whether a packet comes from this host, with the route that it went out by: drivers/net/loopback.c
    loopback_xmit(), drivers/net/vrf.c vrf_local_xmit().
    """
    return packet.skb_iif == (packet.sdif or LOOPBACK_IFINDEX)


def is_of_family(lookup: int, family: int, rcv_saddr: int) -> bool:
    """Whether a lookup of the packet's family finds such a socket, as early demux and TPROXY do; BPF assigns any."""
    if lookup in IPV6_LOOKUPS:
        return family == AF_INET6 and not is_mapped(rcv_saddr)
    return not is_ipv6(rcv_saddr)


def is_handed_over(lookup: int, sock: Sock) -> bool:
    """Whether TPROXY, or TCP's early demux, hands such a socket over: it is in the tables of the packet's protocol, and
    a lookup of the packet's family finds it (net/netfilter/nft_tproxy.c nft_tproxy_eval_v4(), nft_tproxy_eval_v6()).
    """
    if (sock.hashed == UDP_HASHED) != (lookup in UDP_LOOKUPS) or sock.hashed == NOWHERE:
        return False
    if lookup in UDP_LOOKUPS and lookup not in IPV6_LOOKUPS and sock.ipv6only:
        return False
    return is_of_family(lookup, sock.family, sock.rcv_saddr)


def is_multicast(lookup: int, daddr: int) -> bool:
    """Whether a packet to that address is for a group: include/linux/in.h ipv4_is_multicast(), include/net/ipv6.h
    ipv6_addr_is_multicast().
    """
    return daddr >> 120 == 0xFF if lookup in IPV6_LOOKUPS else low_word(daddr) >> 28 == 0xE


def is_for_many(address: int) -> bool:
    """Whether an address is a multicast or the broadcast address, of its own family: no host has it."""
    if is_ipv6(address):
        return is_multicast(TCP6, address)
    return is_multicast(TCP4, address) or low_word(address) == _BROADCAST


def pkt_type_of(lookup: int, daddr: int) -> int:
    """net/ethernet/eth.c eth_type_trans(): whom the link layer sends a datagram to."""
    if is_multicast(lookup, daddr):
        return PACKET_MULTICAST
    broadcast = lookup not in IPV6_LOOKUPS and low_word(daddr) == _BROADCAST
    return PACKET_BROADCAST if broadcast else PACKET_HOST


def plain_packet(lookup: int, daddr: int, caller: int = RECEIVE) -> Packet:
    """A packet of a lookup to that address of which nothing else is said; for a BPF helper it has no link layer."""
    if lookup not in UDP_LOOKUPS:
        return Packet(daddr=daddr)
    pkt_type = PACKET_HOST if caller == HELPER else pkt_type_of(lookup, daddr)
    return Packet(daddr=daddr, doff=UDP_HEADER, pkt_type=pkt_type)


def is_routed(lookup: int, saddr: int, daddr: int) -> bool:
    """Whether a packet from another host with these addresses comes as far as a lookup."""
    if lookup in IPV6_LOOKUPS:
        return _is_routed_ipv6(saddr, daddr)
    return _is_routed_ipv4(low_word(saddr), low_word(daddr))


def _is_routed_ipv6(saddr: int, daddr: int) -> bool:
    """net/ipv6/ip6_input.c ip6_rcv_core(): the source is no multicast address, neither address is ::1, and a multicast
    destination has a scope beyond this host. Nothing is routed to :: (net/ipv6/addrconf.c). Mapped addresses come in.
    """
    if saddr >> 120 == 0xFF or 1 in (saddr, daddr) or not daddr:
        return False
    return daddr >> 120 != 0xFF or (daddr >> 112 & 0xF) > 1


def _is_routed_ipv4(saddr: int, daddr: int) -> bool:
    """Both in host byte order. net/ipv4/route.c
    ip_route_input_slow() and ip_mc_validate_source(): the source is no multicast and no broadcast address, and not in
    0.0.0.0/8 unless the packet goes to everybody; the destination is not in 0.0.0.0/8 unless both are 0.0.0.0. A packet
    to a broadcast or multicast address is looked up, and refused later (tcp_v4_conn_request()).

    Nobody looks at the addresses of this host's own packets, which bring their route along: raw sockets with IP_HDRINCL
    send any.
    """
    if saddr >> 28 == 0xE or saddr == _BROADCAST:
        return False
    if daddr == _BROADCAST or not (saddr or daddr):
        return True
    return bool(daddr >> 24) and bool(saddr >> 24 or daddr >> 8 == _EVERYBODY_HERE)


class Members(NamedTuple):
    """The sockets that have a group, by their indices: `live` ones, those in its `closed` section, and those that can
    be in neither, since somebody else is in the group.
    """

    live: list[int]
    closed: list[int]
    strangers: list[int]


def group_members(socks: Sequence[Sock], number: int, num_socks: int) -> Members:
    """Who is what in a group with so many live slots. net/core/sock_reuseport.c: listeners, and what is bound of other
    protocols, are live; reuseport_stop_listen_sock() moves a listener into the closed section in shutdown(), if
    requests may migrate; reuseport_attach_prog() makes a group for a socket that does not listen, which is alone in it,
    live, and has the group as long as it does not listen. Whom connect() has moved in UDP's tables is in no group any
    more (net/ipv4/udp.c udp_lib_rehash()).
    """
    members = [i for i, sock in enumerate(socks) if sock.group == number]
    if len(members) == 1 and (num_socks or not _is_closed(socks[members[0]])) and not _is_moved(socks[members[0]]):
        return Members(members, [], [])
    live = [i for i in members if _is_listening(socks[i])]
    closed = [i for i in members if _is_closed(socks[i])]
    return Members(live, closed, [i for i in members if i not in live and i not in closed])


def _is_listening(sock: Sock) -> bool:
    return sock.hashed == LHASH2 or (sock.protocol != IPPROTO_TCP and not _is_moved(sock))


def _is_moved(sock: Sock) -> bool:
    return sock.hash2 != BOUND


def _is_closed(sock: Sock) -> bool:
    return sock.protocol == IPPROTO_TCP and sock.hashed == NOWHERE and sock.state == TCP_CLOSE


class GroupFacts(NamedTuple):
    """Fields of a group that its members decide."""

    reuseport_id: int
    incoming_cpu: int
    bind_inany: int
    has_conns: int


def group_facts(number: int, cpus: Iterable[int], address: int | None, bind_inany: int, has_conns: int) -> GroupFacts:
    """net/core/sock_reuseport.c reuseport_alloc(), __reuseport_add_sock(), __reuseport_add_closed_sock(): the group of
    that number, whose members have these SO_INCOMING_CPU, and the first of them listens, or did, on this local address
    (None without members: `bind_inany` stays).
    """
    inany = bind_inany if address is None else int(address == 0)
    return GroupFacts(number + 1, sum(cpu >= 0 for cpu in cpus), inany, has_conns)


WILDCARDS = (ANY, MAPPED_ANY)  # both are 0.0.0.0 where IPv4 looks at them
NOT_LISTENING = -1  # as an address: reuseport_attach_prog() does not set bind_inany


def has_conns(socks: Iterable[Sock], stays: int) -> int:
    """The same field of a group of these members: net/core/sock_reuseport.c reuseport_has_conns_set(), which UDP's
    connect() alone calls, and nobody takes back. Without a connected member it `stays`, for one may have been there.

    Not so on the wildcard: there connect() gives the socket an address, and udp_lib_rehash() takes it out of the group,
    before the group is told (net/ipv4/datagram.c __ip4_datagram_connect()).
    """
    members = list(socks)
    if any(was_connected(sock) for sock in members):
        return 1
    return stays if any(sock.protocol == IPPROTO_UDP and sock.rcv_saddr not in WILDCARDS for sock in members) else 0


def was_connected(sock: Sock) -> bool:
    """Whether a socket of UDP's tables is connected, or one can tell that it was."""
    return sock.hashed == UDP_HASHED and bool(sock.daddr)


def facts_of_members(number: int, socks: Sequence[Sock], members: Members, bind_inany: int, conns: int) -> GroupFacts:
    """The same of a group with these members."""
    everybody = [socks[i] for i in (*members.live, *members.closed)]
    address = None
    if everybody:
        alone = bool(members.live) and not _is_listening(everybody[0])
        address = NOT_LISTENING if alone else everybody[0].rcv_saddr
    cpus = (sock.incoming_cpu for sock in everybody)
    return group_facts(number, cpus, address, bind_inany, has_conns(everybody, conns))


def run_array(progs: Sequence[object]) -> int:
    """kernel/bpf/net_namespace.c: whether a namespace has an array of programs."""
    return int(bool(progs))


def sk_lookup_enabled(progs: Iterable[Sequence[object]]) -> int:
    """kernel/bpf/net_namespace.c: the static key bpf_sk_lookup_enabled is on if any namespace has a program."""
    return int(any(progs))


def with_derived(s: Scenario) -> Scenario:
    """A reachable scenario with those derived fields that need nothing else to change."""
    groups = []
    for i, group in enumerate(s.groups):
        members = group_members(s.socks, i, group.num_socks)
        facts = facts_of_members(i, s.socks, members, group.bind_inany, group.has_conns)
        groups.append(group._replace(**facts._asdict()))
    plain = plain_packet(s.lookup, s.packet.daddr, s.caller)
    return s._replace(
        packet=s.packet._replace(pkt_type=plain.pkt_type),
        sk_lookup_enabled=sk_lookup_enabled(net.progs for net in s.netns),
        netns=tuple(net._replace(run_array=run_array(net.progs)) for net in s.netns),
        groups=tuple(groups),
    )


def is_named(s: Scenario, index: int) -> bool:
    """Whether something of a scenario points to a socket, beside its events."""
    if s.packet.sk == index:
        return True
    for sock in s.socks:
        if sock.listener == index:
            return True
    for group in s.groups:
        if group.select == index or index in group.slots:
            return True
    for net in s.netns:
        for program in net.progs:
            if program.assign == index:
                return True
    return False
