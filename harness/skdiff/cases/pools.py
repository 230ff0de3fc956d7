"""The pools that random values come from: few addresses, ports, devices and CPUs, so that sockets and packets meet.

Each field has (value, weight) pairs; the first value is the plainest, which a zero byte and a shrunk example mean.
"""

from typing import NamedTuple

from skdiff.cases.scenario import (
    AF_INET,
    AF_INET6,
    DESTRUCTOR_NONE,
    DESTRUCTOR_OTHER,
    EDEMUX,
    EHASH,
    FILTER,
    HASH_OWN,
    HASH_PACKET,
    HASH_WRONG,
    INT_MAX,
    IPPROTO_SCTP,
    IPPROTO_TCP,
    IPPROTO_UDP,
    KIND_FULL,
    KIND_REQUEST,
    KIND_TIMEWAIT,
    LEAVE,
    LEAVES,
    LHASH2,
    NONE,
    NOWHERE,
    PFREE,
    PROG_NONE,
    REFCOUNT_SATURATED,
    REUSED,
    SK_DROP,
    SK_PASS,
    SK_REUSEPORT,
    STAYS,
    TCP_CLOSE,
    TCP_CLOSE_WAIT,
    TCP_CLOSING,
    TCP_ESTABLISHED,
    TCP_FIN_WAIT1,
    TCP_FIN_WAIT2,
    TCP_LAST_ACK,
    TCP_LISTEN,
    TCP_SYN_RECV,
    TCP_SYN_SENT,
)

Pool = tuple[tuple[int, int], ...]

# The peer, this host, and one more of each. Their bytes differ, so that a missing byte swap is seen.
PEER, HERE, OTHER_PEER, OTHER_HERE = 0x0A000001, 0x0A000002, 0xC0A80105, 0xC0A80106
ANY = 0
PEER_PORT, PORT, OTHER_PEER_PORT, OTHER_PORT = 40000, 80, 40001, 8443

FLAG: Pool = ((0, 1), (1, 1))
RARE: Pool = ((0, 15), (1, 1))
SOME: Pool = ((0, 3), (1, 1))
DEVICE: Pool = ((0, 12), (1, 4), (2, 3), (3, 1))
BAD_VERDICT = 2
VERDICT: Pool = ((SK_PASS, 8), (SK_DROP, 3), (BAD_VERDICT, 1))


def _index(none: int, first: int, rest: int, most: int) -> Pool:
    """No such thing, the first two with some weight, the others with less."""
    return ((NONE, none), (0, first), (1, first), *((i, rest) for i in range(2, most)))


SECRETS: Pool = tuple((i * 0x9E3779B1 & 0xFFFFFFFF, 1) for i in range(64))

HEAD: dict[str, Pool] = {
    "hash_secret": SECRETS,
    "ehash_size": ((1, 4), (2, 3), (4, 2), (16, 1)),
    "lhash2_size": ((1, 4), (2, 3), (4, 2), (16, 1)),
    "ehash_nulls_xor": ((0, 60), (1, 1), (0x40000000, 1)),
    "cpu": ((0, 6), (1, 3), (2, 1)),
    "hostile": FLAG,
    "foreign_hashinfo": RARE,
    "sk_lookup_enabled": FLAG,
}
COUNTS: dict[str, Pool] = {
    "netns": ((1, 1), (2, 1)),
    "groups": ((0, 2), (1, 3), (2, 3), (3, 1), (4, 1)),
    "socks": (
        *((0, 3), (1, 8), (2, 10), (3, 12), (4, 12), (5, 10), (6, 8), (7, 6), (8, 6)),
        *((n, 1) for n in range(9, 17)),
    ),
}
PACKET: dict[str, Pool] = {
    "saddr": ((PEER, 10), (OTHER_PEER, 1), (HERE, 1)),
    "daddr": ((HERE, 10), (OTHER_HERE, 1), (ANY, 1)),
    "sport": ((PEER_PORT, 10), (OTHER_PEER_PORT, 1), (PORT, 1)),
    "dport": ((PORT, 20), (OTHER_PORT, 1), (PEER_PORT, 1)),
    "rt_iif": ((0, 4), (1, 4), (2, 2), (3, 1)),
    "skb_iif": ((1, 4), (2, 2), (3, 1), (0, 1)),
    "sdif": ((0, 8), (2, 3), (3, 1), (1, 1)),
    "doff": ((20, 5), (24, 2), (60, 2), (0, 1)),
    "len": ((20, 4), (60, 3), (1460, 3), (8, 1)),
    "data_len": ((0, 5), (1, 1), (8, 1), (50, 1), (1440, 1)),
    "users": ((1, 3), (2, 1)),
    "clone_fails": SOME,
    "pull_fails": SOME,
    "netns": ((0, 4), (1, 1)),
    "destructor": ((DESTRUCTOR_NONE, 2), (PFREE, 6), (EDEMUX, 3), (DESTRUCTOR_OTHER, 1)),
    "sk": _index(none=60, first=5, rest=1, most=16),
}
SOCK: dict[str, Pool] = {
    "daddr": ((ANY, 1), (PEER, 12), (OTHER_PEER, 1), (HERE, 1)),
    "rcv_saddr": ((ANY, 5), (HERE, 10), (OTHER_HERE, 1), (PEER, 1)),
    "refcnt": (
        (1, 10),
        (2, 3),
        (3, 1),
        (0, 3),
        (INT_MAX - 1, 1),
        (INT_MAX, 1),
        (REFCOUNT_SATURATED, 1),
        (0xFFFFFFFF, 1),
    ),
    "bound_dev_if": DEVICE,
    "incoming_cpu": ((NONE, 8), (0, 4), (1, 2), (2, 1)),
    "dport": ((0, 1), (PEER_PORT, 12), (OTHER_PEER_PORT, 1), (PORT, 1)),
    "num": ((PORT, 20), (OTHER_PORT, 1), (PEER_PORT, 1)),
    "protocol": ((IPPROTO_TCP, 10), (IPPROTO_UDP, 3), (IPPROTO_SCTP, 1)),
    "hash_kind": ((HASH_OWN, 24), (HASH_WRONG, 1), (HASH_PACKET, 3)),
    "kind": ((KIND_FULL, 8), (KIND_REQUEST, 2), (KIND_TIMEWAIT, 2)),
    "family": ((AF_INET, 9), (AF_INET6, 4)),
    "ipv6only": ((0, 14), (1, 1)),
    "state": (
        *((TCP_CLOSE, 5), (TCP_LISTEN, 10), (TCP_ESTABLISHED, 10), (TCP_SYN_SENT, 1), (TCP_SYN_RECV, 1)),
        *((TCP_FIN_WAIT1, 1), (TCP_FIN_WAIT2, 1), (TCP_CLOSE_WAIT, 1), (TCP_LAST_ACK, 1), (TCP_CLOSING, 1)),
    ),
    "netns": ((0, 5), (1, 1)),
    "rcu_free": FLAG,
    "reuseport": ((0, 1), (1, 1)),
    "hashed": ((NOWHERE, 1), (LHASH2, 8), (EHASH, 5)),
    "no_pprev": RARE,
    "race": ((STAYS, 12), (LEAVES, 1), (REUSED, 1)),
    "syncookie": ((0, 2), (1, 1)),
    "group": ((NONE, 3), (0, 5), (1, 3), (2, 1), (3, 1)),
    "listener": _index(none=3, first=4, rest=1, most=16),
}
GROUP: dict[str, Pool] = {
    "reuseport_id": ((1, 12), (2, 4), (3, 1), (4, 1), (0xFFFFFFFF, 2)),
    "returns": ((0, 3), (1, 3), (2, 2), (3, 1), (4, 1), (7, 1), (8, 1), (0xFFFFFFFF, 1)),
    "num_socks": ((0, 2), (1, 6), (2, 8), (3, 6), (4, 4), *((n, 1) for n in range(5, 9))),
    "num_closed_socks": ((0, 4), (1, 1)),
    "incoming_cpu": ((0, 12), (1, 6), *((n, 1) for n in range(2, 9))),
    "bind_inany": FLAG,
    "prog": ((PROG_NONE, 1), (FILTER, 1), (SK_REUSEPORT, 1)),
    "cb_access": FLAG,
    "verdict": VERDICT,
    "select": _index(none=5, first=4, rest=1, most=16),
    "slots": ((0, 2), (1, 2), (2, 6), (3, 6), (4, 6), *((n, 2) for n in range(5, 9))),
}
SLOT: Pool = tuple((n, 1) for n in range(16))
NETNS: dict[str, Pool] = {
    "hash_mix": ((0, 2), (0x5BD1E995, 1), (0xFFFFFFFE, 1)),
    "tcp_l3mdev_accept": FLAG,
    "udp_l3mdev_accept": FLAG,
    "own_hashinfo": ((0, 5), (1, 1)),
    "run_array": FLAG,
    "progs": ((0, 4), (1, 2), (2, 2), (3, 1)),
}
PROGRAM: dict[str, Pool] = {
    "verdict": VERDICT,
    "assign": ((LEAVE, 8), (NONE, 2), (0, 4), (1, 4), *((i, 1) for i in range(2, 16))),
    "no_reuseport": SOME,
}


class Raw(NamedTuple):
    """The fields of a case as they were drawn, each from its pool: `tame.py` makes a Scenario of them.

    A namespace has its fields up to the programs, and the programs'; a group those up to the slots, and the slots.
    """

    head: list[int]
    packet: list[int]
    netns: list[tuple[list[int], list[list[int]]]]
    groups: list[tuple[list[int], list[int]]]
    socks: list[list[int]]
