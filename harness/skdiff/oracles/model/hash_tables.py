"""The hash tables, filled: who is met in which order (net/ipv4/inet_hashtables.c inet_hash())."""

from skdiff.cases.scenario import AF_INET6, EHASH, HASH_WRONG, LHASH2, Sock
from skdiff.variants.config import Config

# The namespace of all sockets where there is but one (without CONFIG_NET_NS).
ONE = 0


class Tables:
    """Who can be found by what, in the order in which the kernel meets them.

    `connections`: (netns, daddr, rcv_saddr, dport, num) of a socket in ehash; `listeners`: (netns, rcv_saddr, num) of
    one in lhash2; each gives indices of sockets, first met first. The kernel's buckets hold others as well: they match
    nothing, and are not met here. Nor does it matter which namespaces share their tables.
    """

    def __init__(self, socks: tuple[Sock, ...], config: Config) -> None:
        self.socks = socks
        connections: dict[tuple[int, ...], list[int]] = {}
        heads: dict[tuple[int, ...], list[int]] = {}
        tails: dict[tuple[int, ...], list[int]] = {}
        for index, sock in enumerate(socks):
            netns = sock.netns if config.net_ns else ONE
            if sock.hashed == EHASH:
                # inet_ehash_insert(): at the head of its chain. The kernel compares hashes before all else.
                if sock.hash_kind != HASH_WRONG:
                    connection = (netns, sock.daddr, sock.rcv_saddr, sock.dport, sock.num)
                    connections.setdefault(connection, []).append(index)
            elif sock.hashed == LHASH2:
                # inet_hash(): at the head as well, but for AF_INET6 listeners with SO_REUSEPORT: at the tail, behind
                # all others, so that AF_INET is met before them; this side is only there with CONFIG_IPV6. What
                # setsockopt() does to the flag later moves nobody.
                in_listen = sock.reuseport != sock.reuseport_changed
                side = tails if config.ipv6 and sock.family == AF_INET6 and in_listen else heads
                side.setdefault((netns, sock.rcv_saddr, sock.num), []).append(index)
        self.connections = {key: indices[::-1] for key, indices in connections.items()}
        self.listeners = {key: indices[::-1] for key, indices in heads.items()}
        for key, indices in tails.items():
            self.listeners.setdefault(key, []).extend(indices)
