"""Which valid Scenarios system calls and BPF helpers can reach, whatever the kernel's version (see `on_kernel.py`).

Each claim names the kernel function that it rests on.
"""

from collections.abc import Iterator
from operator import attrgetter

from skdiff.cases.addresses import MAPPED_ANY, is_ipv6, is_mapped
from skdiff.cases.derived import (
    CONNECTION,
    GROUP_KEY,
    LOOPBACK_IFINDEX,
    UDP_GROUP_KEY,
    facts_of_members,
    group_members,
    is_for_many,
    is_handed_over,
    is_own_packet,
    is_routed,
    pkt_type_of,
)
from skdiff.cases.events import MOST_REFERENCES, comes_to_timewait, is_joining, unreachable_events
from skdiff.cases.reachable_udp import udp_group, udp_sock
from skdiff.cases.scenario import (
    AF_INET,
    AF_INET6,
    BOUND,
    DEMUX,
    DESTRUCTOR_NONE,
    EDEMUX,
    EHASH,
    HELPER,
    IPPROTO_TCP,
    IPPROTO_UDP,
    IPV6_LOOKUPS,
    KIND_FULL,
    KIND_REQUEST,
    KIND_TIMEWAIT,
    LHASH2,
    NONE,
    NOWHERE,
    PACKET_HOST,
    PFREE,
    PROG_NONE,
    SK_DROP,
    SK_PASS,
    TCP_CLOSE,
    TCP_ESTABLISHED,
    TCP_LISTEN,
    UDP_HASHED,
    UDP_LOOKUPS,
    Packet,
    Scenario,
    Sock,
)

_key = attrgetter(*GROUP_KEY)
_udp_key = attrgetter(*UDP_GROUP_KEY)
_connection = attrgetter(*CONNECTION)
MOST_CPUS = 8192  # arch/x86/Kconfig: the greatest CONFIG_NR_CPUS
PLAIN = Packet()
# What a BPF helper has not, which gives addresses, ports and devices alone: net/core/filter.c __bpf_skc_lookup().
NOT_OF_HELPER = ("rt_iif", "len", "data_len", "users", "clone_fails", "pull_fails", "pkt_type")
MOST_BYTES = 8 * 65535  # include/linux/netdevice.h GRO_MAX_SIZE


def unreachable(s: Scenario) -> Iterator[str]:
    """Why no system reaches a scenario that the C accepts, a line each."""
    if s.ehash_nulls_xor:
        yield "the end mark of a chain of ehash is its bucket's number (net/ipv4/tcp.c tcp_init())"
    if s.foreign_hashinfo and s.lookup in UDP_LOOKUPS:
        yield "UDP searches the tables of its namespace (net/ipv4/udp.c udp_rcv())"
    elif s.foreign_hashinfo:
        yield "TCP searches the tables of its namespace (net/ipv4/tcp_ipv4.c tcp_v4_rcv())"
    if not 0 <= s.cpu < MOST_CPUS:
        yield f"a CPU has a number from 0 to {MOST_CPUS - 1} (kernel/smp.c setup_nr_cpu_ids())"
    if s.sk_lookup_enabled != any(net.progs for net in s.netns):
        yield (
            "the static key is on while, and only while, a program is attached"
            " (kernel/bpf/net_namespace.c netns_bpf_link_attach())"
        )
    for i, net in enumerate(s.netns):
        if net.run_array != bool(net.progs):
            yield (
                f"namespace {i}: there is an array of programs if there are programs"
                " (kernel/bpf/net_namespace.c netns_bpf_link_attach())"
            )
        for program in net.progs:
            if program.verdict not in (SK_DROP, SK_PASS):
                yield (
                    f"namespace {i}: the verifier lets an sk_lookup program return 0 or 1"
                    " (kernel/bpf/verifier.c check_return_code())"
                )
            if program.assign >= 0 and not assignable(s.lookup, s.socks[program.assign]):
                yield (
                    f"namespace {i}: a program is refused socket {program.assign}"
                    " (net/core/filter.c bpf_sk_lookup_assign())"
                )
    yield from _packet(s)
    if s.packet.sk != NONE:
        yield from _attached(s)
    requests = [_connection(sock) for sock in s.socks if sock.kind == KIND_REQUEST and sock.hashed == EHASH]
    if len(set(requests)) < len(requests):
        yield (
            "a second SYN of one connection, by one device, finds the first one's request"
            " (net/ipv4/inet_connection_sock.c reqsk_queue_hash_req())"
        )
    for i, sock in enumerate(s.socks):
        for problem in _sock(s, i, sock):
            yield f"socket {i}: {problem}"
    for i in range(len(s.groups)):
        for problem in _group(s, i):
            yield f"group {i}: {problem}"
    if s.events:
        yield from unreachable_events(s)


def assignable(lookup: int, sock: Sock) -> bool:
    """net/core/filter.c bpf_sk_lookup_assign(): a socket of the packet's protocol that is freed by RCU and accepts the
    packet's family: of TCP a listener, of UDP one that is not connected.
    """
    protocol, state = (IPPROTO_UDP, TCP_CLOSE) if lookup in UDP_LOOKUPS else (IPPROTO_TCP, TCP_LISTEN)
    return (
        sock.kind == KIND_FULL
        and sock.protocol == protocol
        and sock.state == state
        and bool(sock.rcu_free)
        and not (sock.family == AF_INET if lookup in IPV6_LOOKUPS else sock.ipv6only)
    )


def _packet(s: Scenario) -> Iterator[str]:
    if s.caller == HELPER:
        yield from _of_helper(s)
        return
    p = s.packet
    udp = s.lookup in UDP_LOOKUPS
    if p.users != 1 or p.clone_fails or p.pull_fails:
        yield "a packet is unshared, and is not pulled again (net/ipv4/ip_input.c ip_rcv_core())"
    if udp:
        # early demux comes before udp_rcv(), and sees to it itself
        if p.len < p.doff or (p.len - p.data_len < p.doff and not (s.caller == DEMUX and p.sk == NONE)):
            yield "a packet has a whole linear header of 8 bytes (net/ipv4/udp.c udp_rcv(), __udp4_lib_rcv())"
    elif not 20 <= p.doff <= 60 or p.doff % 4 or p.len - p.data_len < p.doff:
        yield "a packet has a whole linear header of 20 to 60 bytes, in words of 4 (net/ipv4/tcp_ipv4.c tcp_v4_rcv())"
    if p.len > MOST_BYTES:
        yield f"a packet has at most {MOST_BYTES} bytes (net/core/gro.c skb_gro_receive())"
    if p.skb_iif <= 0:
        yield "a packet comes in by a device, from 1 on (net/core/dev.c __netif_receive_skb_core())"
    elif p.rt_iif < 0:
        yield "a route's device is none, or from 1 on (net/ipv4/route.c __mkroute_output())"
    elif p.rt_iif and not is_own_packet(p):
        yield (
            "only a packet of this host has rt_iif: it comes in by lo (1), or by its VRF (sdif is skb_iif)"
            " (net/ipv4/route.c __mkroute_output())"
        )
    if p.sdif < 0 or LOOPBACK_IFINDEX in (p.sdif, p.sdif and p.skb_iif):
        yield (
            "sdif is a device below a VRF, or the VRF itself, and skb_iif the VRF; lo (1) is neither"
            " (drivers/net/vrf.c do_vrf_add_slave())"
        )
    if not is_own_packet(p) and not is_routed(s.lookup, p.saddr, p.daddr):
        yield (
            "a packet from another host has no such addresses, one of this host may"
            " (net/ipv4/route.c ip_route_input_slow(), net/ipv6/ip6_input.c ip6_rcv_core())"
        )
    if p.sk == NONE and p.destructor != DESTRUCTOR_NONE:
        yield "a destructor comes and goes with a socket (include/linux/skbuff.h skb_orphan())"
    if p.pkt_type != (pkt_type_of(s.lookup, p.daddr) if udp else PACKET_HOST):
        yield (
            "pkt_type goes with the address: multicast, broadcast, or to this host, which alone TCP takes"
            " (net/ethernet/eth.c eth_type_trans(), net/ipv4/tcp_ipv4.c tcp_v4_rcv())"
        )
    if udp and s.caller != DEMUX and p.sk == NONE and pkt_type_of(s.lookup, p.daddr) != PACKET_HOST:
        yield (
            "a packet for many is delivered to all who want it, without a lookup"
            " (net/ipv4/udp.c __udp4_lib_mcast_deliver(), net/ipv6/udp.c __udp6_lib_mcast_deliver())"
        )


def _of_helper(s: Scenario) -> Iterator[str]:
    p = s.packet
    doff = PLAIN.doff if s.lookup not in UDP_LOOKUPS else p.doff
    if p.doff != doff or any(getattr(p, name) != getattr(PLAIN, name) for name in NOT_OF_HELPER):
        yield "a BPF helper has addresses, ports, devices and a namespace, no packet (net/core/filter.c sk_lookup())"
    if p.skb_iif < 0 or p.sdif < 0:
        yield "a device is none, or from 1 on (net/core/filter.c __bpf_skc_lookup())"
    if p.sdif == LOOPBACK_IFINDEX:
        yield "sdif is a device below a VRF, lo (1) is not (drivers/net/vrf.c do_vrf_add_slave())"


def _attached(s: Scenario) -> Iterator[str]:
    p, sock = s.packet, s.socks[s.packet.sk]
    cookie = sock.kind == KIND_REQUEST and sock.syncookie
    if p.destructor not in (PFREE, EDEMUX):
        yield (
            "a socket is attached by BPF, or by TCP's early demux and TPROXY, each with its destructor"
            " (net/core/filter.c bpf_sk_assign(), net/ipv4/tcp_ipv4.c tcp_v4_early_demux(), later in ip_input.c)"
        )
    if p.destructor == EDEMUX and sock.hashed != NOWHERE and not is_handed_over(s.lookup, sock):
        yield (
            "early demux and TPROXY look among the sockets of the packet's protocol and family"
            " (net/ipv6/tcp_ipv6.c tcp_v6_early_demux(), net/ipv4/tcp_ipv4.c tcp_v4_early_demux(), later in ip_input.c)"
        )
    if sock.netns != p.netns:
        yield "an attached socket is of the packet's namespace (net/core/filter.c bpf_sk_assign())"
    elsewhere = p.destructor == PFREE and sock.protocol == IPPROTO_UDP and s.lookup not in UDP_LOOKUPS
    if not cookie and sock.hashed == NOWHERE and not elsewhere:
        yield "an attached socket was found in a table (net/core/filter.c bpf_sk_assign())"
    if cookie and p.destructor != PFREE:
        yield "a SYN cookie's request is attached by BPF (net/core/filter.c bpf_sk_assign_tcp_reqsk())"
    counted = p.destructor == EDEMUX or sock.kind != KIND_FULL or not sock.rcu_free
    if counted and not cookie and sock.refcnt < 2:
        yield (
            "the packet holds a reference to its socket, beside the table's"
            " (net/core/filter.c bpf_sk_assign(), net/ipv4/tcp_ipv4.c tcp_v4_early_demux(), later in ip_input.c)"
        )


def _sock(s: Scenario, i: int, sock: Sock) -> Iterator[str]:
    if sock.hash_kind or sock.no_pprev:
        yield "what is hashed has its hash and its node (net/ipv4/inet_hashtables.c inet_ehash_insert())"
    if not sock.num or sock.family not in (AF_INET, AF_INET6):
        yield "a bound inet socket has a port (net/ipv4/af_inet.c __inet_bind())"
    if sock.bound_dev_if < 0:
        yield "a socket's device is none, or from 1 on (net/core/sock.c sock_bindtoindex_locked())"
    if sock.ipv6only and (sock.family == AF_INET or is_mapped(sock.rcv_saddr)):
        yield (
            "ipv6only is for AF_INET6 sockets on the wildcard, or on an address of IPv6"
            " (net/ipv6/af_inet6.c __inet6_bind())"
        )
    if sock.hashed == UDP_HASHED:
        bound = sock.hash2 == BOUND
    else:
        bound = sock.kind == KIND_FULL and sock.hashed != EHASH and sock.state != TCP_ESTABLISHED and not sock.dport
    if bound and is_ipv6(sock.rcv_saddr) and not sock.ipv6only:
        yield "bind() to an address of IPv6 makes a socket ipv6only (net/ipv6/af_inet6.c __inet6_bind())"
    if (
        sock.protocol == IPPROTO_TCP
        and sock.hashed != EHASH
        and is_ipv6(sock.rcv_saddr)
        and is_for_many(sock.rcv_saddr)
    ):
        yield "a TCP socket does not bind to a multicast address of IPv6 (net/ipv6/af_inet6.c __inet6_bind())"
    if sock.hashed == EHASH:
        if sock.protocol != IPPROTO_TCP:
            yield "a connection is TCP's (net/ipv4/tcp_ipv4.c tcp_v4_connect())"
        if sock.ipv6only and not is_ipv6(sock.rcv_saddr):
            yield "an ipv6only socket has no IPv4 connection (net/ipv6/tcp_ipv6.c tcp_v6_connect())"
        if is_ipv6(sock.rcv_saddr) != is_ipv6(sock.daddr) or MAPPED_ANY in (sock.rcv_saddr, sock.daddr):
            yield (
                "both ends of a connection have addresses of one family"
                " (net/ipv6/tcp_ipv6.c tcp_v6_connect(), tcp_v6_syn_recv_sock())"
            )
        if is_for_many(sock.rcv_saddr) or is_for_many(sock.daddr):
            yield (
                "both ends of a connection are hosts, not groups (net/ipv4/tcp_ipv4.c tcp_v4_connect(),"
                " tcp_v4_conn_request(), net/ipv6/tcp_ipv6.c tcp_v6_connect(), tcp_v6_conn_request())"
            )
        if sock.state in (TCP_LISTEN, TCP_CLOSE):
            yield "listeners and closed sockets are not in ehash (net/ipv4/tcp.c tcp_set_state())"
    cookie = sock.kind == KIND_REQUEST and sock.syncookie
    if not cookie and not (comes_to_timewait(s, i) and not sock.refcnt) and not 1 <= sock.refcnt <= MOST_REFERENCES:
        yield f"what somebody can find has 1 to {MOST_REFERENCES} references (include/linux/refcount.h refcount_inc())"
    if sock.kind == KIND_REQUEST:
        yield from _request(s, i, sock)
    elif sock.kind == KIND_TIMEWAIT:
        if sock.hashed != EHASH:
            yield "a timewait socket is in ehash (net/ipv4/tcp_minisocks.c tcp_time_wait())"
    elif sock.protocol == IPPROTO_TCP:
        if sock.hashed == LHASH2 and not (sock.state == TCP_LISTEN and sock.rcu_free):
            yield "lhash2 has listeners, each SOCK_RCU_FREE (net/ipv4/inet_hashtables.c inet_hash())"
        alone = sock.group == NONE and not is_joining(s, i)
        if sock.hashed == LHASH2 and alone and sock.reuseport != sock.reuseport_changed:
            yield "who has SO_REUSEPORT in listen() comes into a group (net/ipv4/inet_hashtables.c inet_hash())"
        if sock.hashed == NOWHERE and sock.state != TCP_CLOSE:
            yield "an unhashed TCP socket is closed (net/ipv4/tcp.c tcp_set_state())"
        if sock.state == TCP_LISTEN and sock.dport:
            yield "a listening socket has no peer's port (net/ipv4/tcp.c tcp_disconnect())"
    elif sock.hashed == UDP_HASHED:
        yield from udp_sock(sock)
    else:
        if sock.hashed != NOWHERE or sock.state not in (TCP_CLOSE, TCP_ESTABLISHED):
            yield "a socket of another protocol is in none of TCP's tables (net/ipv4/inet_hashtables.c inet_hash())"
        if sock.protocol == IPPROTO_UDP and not sock.rcu_free:
            yield "a bound UDP socket is SOCK_RCU_FREE (net/ipv4/udp.c udp_lib_get_port())"


def _request(s: Scenario, i: int, sock: Sock) -> Iterator[str]:
    cookie = sock.syncookie
    listener = s.socks[sock.listener] if sock.listener != NONE else None
    if listener is None or listener.kind != KIND_FULL or listener.protocol != IPPROTO_TCP:
        yield "a request has a TCP listener (net/ipv4/tcp_input.c tcp_conn_request())"
    else:
        if listener.netns != sock.netns or listener.state not in (TCP_LISTEN, TCP_CLOSE):
            yield (
                "a request's listener is of its namespace, listening or closed since"
                " (net/ipv4/inet_connection_sock.c inet_csk_listen_stop())"
            )
        if sock.family != listener.family or sock.reuseport:
            yield (
                "a request has its listener's family, and not its SO_REUSEPORT"
                " (net/ipv4/inet_connection_sock.c inet_reqsk_alloc(), once in tcp_input.c)"
            )
        if listener.ipv6only and not is_ipv6(sock.rcv_saddr):
            yield "an ipv6only listener has no IPv4 requests (net/ipv4/inet_hashtables.c compute_score())"
        if cookie and listener.state != TCP_LISTEN:
            yield "a SYN cookie's request needs a listener (net/core/filter.c bpf_sk_assign_tcp_reqsk())"
    if cookie and (s.packet.sk != i or sock.hashed != NOWHERE or sock.refcnt or sock.listener == NONE):
        yield (
            "a SYN cookie's request hangs on the packet alone, without a reference"
            " (net/core/filter.c bpf_sk_assign_tcp_reqsk())"
        )
    if not cookie and sock.hashed != EHASH:
        yield "a request is in ehash (net/ipv4/inet_connection_sock.c reqsk_queue_hash_req())"


def _group(s: Scenario, i: int) -> Iterator[str]:
    group = s.groups[i]
    members = group_members(s.socks, i, group.num_socks)
    closed_at = len(group.slots) - group.num_closed_socks
    if members.strangers:
        yield (
            "a TCP socket that does not listen, nor did, is alone in its group"
            " (net/core/sock_reuseport.c reuseport_attach_prog()); UDP's connect() from the wildcard leaves it"
            " (net/ipv4/udp.c udp_lib_rehash())"
        )
    if sorted(group.slots[: group.num_socks]) != members.live:
        yield "its live slots are its members, each once (net/core/sock_reuseport.c reuseport_add_sock())"
    if sorted(group.slots[closed_at:]) != members.closed:
        yield (
            "its last slots are the members that shutdown() has closed, each once"
            " (net/core/sock_reuseport.c reuseport_stop_listen_sock())"
        )
    everybody = (*members.live, *members.closed)
    yield from udp_group(s, everybody)
    key = _udp_key if any(s.socks[n].hashed == UDP_HASHED for n in everybody) else _key
    if len({key(s.socks[n]) for n in everybody}) > 1:
        yield (
            "its members share namespace, protocol, family, address and port, of UDP the device as well"
            " (net/ipv4/inet_hashtables.c inet_reuseport_add_sock(), net/ipv4/udp.c udp_reuseport_add_sock())"
        )
    facts = facts_of_members(i, s.socks, members, group.bind_inany, group.has_conns)
    if group.incoming_cpu != facts.incoming_cpu:
        yield (
            "incoming_cpu counts the members that asked for a CPU"
            " (net/core/sock_reuseport.c reuseport_update_incoming_cpu())"
        )
    if group.prog != PROG_NONE and not everybody:
        yield "a program has a member that it is attached to (net/core/sock_reuseport.c reuseport_attach_prog())"
    if group.select != NONE and group.select not in members.live:
        yield "a program selects members (net/core/filter.c sk_select_reuseport())"
    if group.bind_inany != facts.bind_inany:
        yield (
            "bind_inany tells whether its members listen on the wildcard, or did"
            " (net/core/sock_reuseport.c reuseport_alloc())"
        )
    if group.has_conns != facts.has_conns:
        yield (
            "has_conns tells of UDP that a member on an address of its own is connected, or was"
            " (net/core/sock_reuseport.c reuseport_has_conns_set(); who connects from the wildcard has left before:"
            " net/ipv4/datagram.c __ip4_datagram_connect())"
        )
    if group.reuseport_id != facts.reuseport_id:
        yield f"ids are unique, {i + 1} here (net/core/sock_reuseport.c reuseport_alloc())"
