"""Scenario: everything that one lookup can see. Pure data, immutable.

Each class has the fields of its struct in `csrc/record.h`, in the same order; what a field means is said there and in
the docstrings here. Addresses are ints of 128 bits (`addresses.py`): an IPv4 one is mapped, 0 is none. Ports are in
host byte order. A socket, a group or a namespace is named by its index; NONE is no such thing. Flags are 0 or 1.
"""

from typing import NamedTuple

from skdiff.cases.addresses import mapped

NONE, LEAVE, FOREIGN, UNSET = -1, -2, -3, 2

TCP4, TCP6, UDP4, UDP6 = range(4)
IPV6_LOOKUPS = frozenset({TCP6, UDP6})
UDP_LOOKUPS = frozenset({UDP4, UDP6})
RECEIVE, DEMUX, HELPER = range(3)
KIND_FULL, KIND_REQUEST, KIND_TIMEWAIT = range(3)
NOWHERE, EHASH, LHASH2, UDP_HASHED = range(4)
BOUND, REHASHED, STALE = range(3)
HASH_OWN, HASH_WRONG, HASH_PACKET = range(3)
DESTRUCTOR_NONE, PFREE, EDEMUX, DESTRUCTOR_OTHER, EFREE = range(5)
PACKET_HOST, PACKET_BROADCAST, PACKET_MULTICAST = range(3)
PROG_NONE, FILTER, SK_REUSEPORT = range(3)
AT_LINK, AT_NODE, AT_TAKING, AT_TAKEN, AT_MEMBERS, AT_PROGRAM, AT_RAN = range(7)
LEAVES, REUSED, LISTENS, COMES, REPLACED, REBOUND, SYSCTL, DETACHED, GOES_ON, ATTACHED, SK_LOOKUP = range(11)
CONNECTS, DISCONNECTS, MOVES = range(11, 14)  # of UDP
SK_DROP, SK_PASS = range(2)

AF_INET, AF_INET6 = 2, 10
IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP = 6, 17, 132

# include/net/tcp_states.h
(
    TCP_ESTABLISHED,
    TCP_SYN_SENT,
    TCP_SYN_RECV,
    TCP_FIN_WAIT1,
    TCP_FIN_WAIT2,
    TCP_TIME_WAIT,
    TCP_CLOSE,
    TCP_CLOSE_WAIT,
    TCP_LAST_ACK,
    TCP_LISTEN,
    TCP_CLOSING,
    TCP_NEW_SYN_RECV,
) = range(1, 13)

REFCOUNT_SATURATED = 0xC0000000
INT_MAX = 0x7FFFFFFF


class Packet(NamedTuple):
    """A TCP segment or a UDP datagram in its sk_buff, as tcp_v4_rcv() or udp_rcv() has it: skb->data points to the TCP
    or UDP header.

    `doff` is that header's length in bytes, `len` and `data_len` count from that header on; `sk` is the socket that
    already hangs on the sk_buff; `netns` is the namespace of the device of its dst, and of skb->dev. `pkt_type`, which
    only UDP's early demux asks for, tells whom the link layer sent it to.
    """

    saddr: int = mapped(0x0A000001)
    daddr: int = mapped(0x0A000002)
    sport: int = 40000
    dport: int = 80
    rt_iif: int = 0
    skb_iif: int = 1
    sdif: int = 0
    doff: int = 20
    len: int = 20
    data_len: int = 0
    users: int = 1
    clone_fails: int = 0
    pull_fails: int = 0
    netns: int = 0
    destructor: int = DESTRUCTOR_NONE
    pkt_type: int = PACKET_HOST
    sk: int = NONE


class Sock(NamedTuple):
    """A full socket, a request or a timewait socket; `rcv_saddr`:`num` is its own end, `daddr`:`dport` the other's.

    `incoming_cpu` is a mini socket's rcv_wnd: both lie at the same place. `group` is sk_reuseport_cb and says nothing
    of the flag `reuseport`, nor of the slots of that group. `reuseport_changed` tells that the flag is not what it was
    in listen() or UDP's bind(), which decides where an AF_INET6 socket stands in its chain. `hash2` tells of a socket
    in UDP's tables how it came into its chain there, and whether that is still its own: BOUND, REHASHED, STALE (in the
    wildcard's, as in the middle of connect()). `mc_refuses` tells that ip_mc_sf_allow() refuses it the packet. Hostile
    only: `hash_kind` tells
    that sk_hash is wrong, or collides with the packet's (HASH_PACKET: the socket is in that bucket), `no_pprev` marks a
    hashed socket as unhashed.
    """

    daddr: int = 0
    rcv_saddr: int = 0
    refcnt: int = 1
    bound_dev_if: int = 0
    incoming_cpu: int = -1
    dport: int = 0
    num: int = 80
    protocol: int = IPPROTO_TCP
    hash_kind: int = HASH_OWN
    kind: int = KIND_FULL
    family: int = AF_INET
    ipv6only: int = 0
    state: int = TCP_CLOSE
    netns: int = 0
    rcu_free: int = 0
    reuseport: int = 0
    reuseport_changed: int = 0
    hashed: int = NOWHERE
    hash2: int = BOUND
    mc_refuses: int = 0
    no_pprev: int = 0
    syncookie: int = 0
    group: int = NONE
    listener: int = NONE


class Program(NamedTuple):
    """What an sk_lookup program does: bpf_sk_assign() with a socket, with NULL (NONE) or not at all (LEAVE), with the
    flag BPF_SK_LOOKUP_F_NO_REUSEPORT or without, and then its verdict.
    """

    verdict: int = SK_PASS
    assign: int = LEAVE
    no_reuseport: int = 0


class Netns(NamedTuple):
    """A network namespace; `run_array` tells whether it has an array of sk_lookup programs, empty or not."""

    hash_mix: int = 0
    tcp_l3mdev_accept: int = 0
    udp_l3mdev_accept: int = 0
    own_hashinfo: int = 0
    run_array: int = 0
    progs: tuple[Program, ...] = ()


class Group(NamedTuple):
    """A struct sock_reuseport: the first `num_socks` of `slots` are live, what is behind them is stale or closed.

    `returns` is what a FILTER program returns (u32); `verdict` and `select` are what an SK_REUSEPORT program does.
    """

    reuseport_id: int = 1
    returns: int = 0
    num_socks: int = 0
    num_closed_socks: int = 0
    incoming_cpu: int = 0
    bind_inany: int = 0
    has_conns: int = 0
    prog: int = PROG_NONE
    cb_access: int = 0
    verdict: int = SK_PASS
    select: int = NONE
    slots: tuple[int, ...] = ()


class Event(NamedTuple):
    """What another CPU does in the middle of the lookup: `action`, at the `nth` visit of a `point`.

    `at` counts only the visits that have to do with a socket: whose link is read (AT_LINK), which is reached (AT_NODE),
    whose reference is taken (AT_TAKING, AT_TAKEN); NONE counts all. `sk` is who it happens to, `other` who takes its
    place. `value` is a device (REBOUND), a peer's port (REUSED, CONNECTS), a port (MOVES), the number of a group from 1
    on (COMES; 0 for none) or from 0 on (DETACHED, ATTACHED), or a flag (SYSCTL, SK_LOOKUP). Each action has steps,
    which are the stores that a lookup can see: so many `steps` are done then, and the rest when the next event comes,
    or the lookup is over; 0 is for all at once.
    """

    value: int = 0
    point: int = AT_LINK
    nth: int = 1
    action: int = LEAVES
    steps: int = 0
    at: int = NONE
    sk: int = NONE
    other: int = NONE


class Scenario(NamedTuple):
    """One case of a `lookup`. `socks` are in the order of insertion, `events` in that of those of one visit, and table
    sizes are powers of two.

    `hostile` 0 says that system calls and BPF helpers can produce this state (see `validity.py`); 1, that the C at
    least accepts it without undefined behaviour. `caller` is who asks: the receive path, UDP's early demux and then the
    receive path, or a BPF helper, without an sk_buff. Hostile only: `ehash_nulls_xor` spoils the end marks of the
    chains of ehash and hash4, `foreign_hashinfo` makes the caller pass the tables of another protocol or namespace.
    """

    hash_secret: int = 0
    hash_secret6: int = 0
    ehash_size: int = 1
    lhash2_size: int = 1
    udp_size: int = 1
    ehash_nulls_xor: int = 0
    cpu: int = 0
    lookup: int = TCP4
    caller: int = RECEIVE
    hostile: int = 0
    foreign_hashinfo: int = 0
    sk_lookup_enabled: int = 0
    packet: Packet = Packet()
    netns: tuple[Netns, ...] = (Netns(),)
    groups: tuple[Group, ...] = ()
    socks: tuple[Sock, ...] = ()
    events: tuple[Event, ...] = ()
