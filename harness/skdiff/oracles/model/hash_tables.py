"""The hash tables, filled: who is met in which order (net/ipv4/inet_hashtables.c inet_hash(), for both families)."""

from skdiff.cases.addresses import ipv4_view, is_ipv6, is_mapped
from skdiff.cases.scenario import AF_INET6, EHASH, HASH_OWN, HASH_PACKET, LHASH2, Sock
from skdiff.variants.config import Config

# The namespace of all sockets where there is but one (without CONFIG_NET_NS).
ONE = 0


class Tables:
    """Who can be found by what, in the order in which the kernel meets them.

    `connections`: (netns, daddr, rcv_saddr, dport, num) of a socket in ehash; `listeners`: (netns, rcv_saddr, num) of
    one in lhash2. A lookup of IPv6 (`ipv6`) finds AF_INET6 sockets by addresses of 128 bits, one of IPv4 all sockets
    by those of 32 that each has. Each gives indices of sockets, first met first. The kernel's buckets hold others as
    well: they match nothing, and are not met here. Nor does it matter which namespaces share their tables.
    """

    def __init__(self, socks: tuple[Sock, ...], config: Config, ipv6: bool) -> None:
        self.socks = socks
        self.ipv6 = ipv6
        connections: dict[tuple[int, ...], list[int]] = {}
        heads: dict[tuple[int, ...], list[int]] = {}
        tails: dict[tuple[int, ...], list[int]] = {}
        for index, sock in enumerate(socks):
            if ipv6 and sock.family != AF_INET6:
                continue
            netns = sock.netns if config.net_ns else ONE
            daddr, rcv_saddr = sock.daddr, sock.rcv_saddr
            if not ipv6:
                daddr, rcv_saddr = ipv4_view(daddr), ipv4_view(rcv_saddr)
            if sock.hashed == EHASH:
                # inet_ehash_insert(): at the head of its chain. The kernel compares hashes before all else, and which
                # family's it is depends on the peer (sk_ehashfn()).
                hashed_as_ipv6 = config.ipv6 and sock.family == AF_INET6 and not is_mapped(sock.daddr)
                own = sock.hash_kind == HASH_OWN and hashed_as_ipv6 == ipv6
                if own or sock.hash_kind == HASH_PACKET:
                    connection = (netns, daddr, rcv_saddr, sock.dport, sock.num)
                    connections.setdefault(connection, []).append(index)
            elif sock.hashed == LHASH2:
                if not ipv6 and config.ipv6 and is_ipv6(sock.rcv_saddr):
                    continue  # ipv6only, and in the bucket of its own address
                # inet_hash(): at the head as well, but for AF_INET6 listeners with SO_REUSEPORT: at the tail, behind
                # all others, so that AF_INET is met before them; this side is only there with CONFIG_IPV6. What
                # setsockopt() does to the flag later moves nobody.
                in_listen = sock.reuseport != sock.reuseport_changed
                side = tails if config.ipv6 and sock.family == AF_INET6 and in_listen else heads
                side.setdefault((netns, rcv_saddr, sock.num), []).append(index)
        self.connections = {key: indices[::-1] for key, indices in connections.items()}
        self.listeners = {key: indices[::-1] for key, indices in heads.items()}
        for key, indices in tails.items():
            self.listeners.setdefault(key, []).extend(indices)
