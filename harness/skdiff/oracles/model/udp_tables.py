"""UDP's hash tables, filled: who is met in which order (net/ipv4/udp.c udp_lib_get_port(), udp_lib_rehash()).

Most lookups need no hash of a table: who has the address and the port that is looked for is in that chain. A chain is
one of hash2 if nothing else is said.
"""

from collections.abc import Iterable

from skdiff.cases.addresses import ANY, MAPPED_ANY, ipv4_view, is_ipv6, mapped
from skdiff.cases.scenario import AF_INET6, REHASHED, STALE, TCP_ESTABLISHED, UDP_HASHED, Scenario, Sock
from skdiff.oracles.model.hash_tables import ONE
from skdiff.oracles.model.hashing import portaddr_hash
from skdiff.variants.config import Config

Key = tuple[int, int, int]


class UdpTables:
    """Who can be found by what. A lookup of IPv6 (`ipv6`) finds AF_INET6 sockets by addresses of 128 bits, one of IPv4
    all sockets by those of 32 that each has.

    `bound`: by (netns, rcv_saddr, num), first met first, in hash, and in hash2 too but for the keys in `odd`: not all
    of these are in the chain of hash2 where they are looked for, or not where bind() had put them (see Slots). `ports`:
    by (netns, num), of hash; `connected`: those of hash4, last connected first.
    """

    def __init__(self, socks: tuple[Sock, ...], config: Config, ipv6: bool) -> None:
        self.socks = socks
        self.config = config
        self.ipv6 = ipv6
        self.hashed = [i for i, sock in enumerate(socks) if sock.hashed == UDP_HASHED]
        by_key: dict[Key, list[int]] = {}
        by_port: dict[tuple[int, int], list[int]] = {}
        self.odd: set[Key] = set()
        connected: list[int] = []
        for index in self.hashed:
            sock = socks[index]
            netns = sock.netns if config.net_ns else ONE
            # udp4_hash4(), udp6_hash4(): at the head of its chain.
            if sock.state == TCP_ESTABLISHED and sock.hash2 != STALE and sock.rcv_saddr not in (ANY, MAPPED_ANY):
                connected.append(index)
            by_port.setdefault((netns, sock.num), []).append(index)
            if ipv6 and sock.family != AF_INET6:
                continue
            key = (netns, sock.rcv_saddr if ipv6 else ipv4_view(sock.rcv_saddr), sock.num)
            by_key.setdefault(key, []).append(index)
            stranger = not ipv6 and config.ipv6 and is_ipv6(sock.rcv_saddr)
            if stranger or sock.hash2 == STALE or (sock.hash2 == REHASHED and self.is_bound_to_tail(index)):
                self.odd.add(key)
        self.connected = connected[::-1]
        self.bound = {key: self._met(indices) for key, indices in by_key.items()}
        self.ports = {key: self._met(indices) for key, indices in by_port.items()}

    def is_bound_to_tail(self, index: int) -> bool:
        """bind(): at the head of both chains, but for AF_INET6 sockets with SO_REUSEPORT: at the tail, which is only
        there with CONFIG_IPV6.
        """
        sock = self.socks[index]
        return self.config.ipv6 and sock.family == AF_INET6 and sock.reuseport != sock.reuseport_changed

    def _met(self, indices: Iterable[int]) -> list[int]:
        """Sockets that were bound in this order, in that of the chain of their port."""
        at_tail = [self.is_bound_to_tail(index) for index in indices]
        heads = [index for index, tail in zip(indices, at_tail, strict=True) if not tail]
        return heads[::-1] + [index for index, tail in zip(indices, at_tail, strict=True) if tail]


class Slots:
    """Which slot of a table who is in, for the lookups that can tell; they have numbers of a 16-bit hash."""

    def __init__(self, scenario: Scenario, tables: UdpTables, pernet: bool) -> None:
        self.scenario = scenario
        self.tables = tables
        self.pernet = pernet
        self.mask = scenario.udp_size - 1

    def netns_of(self, index: int) -> int:
        """The namespace of a socket; without CONFIG_NET_NS the packet's is the only one."""
        return self.tables.socks[index].netns if self.tables.config.net_ns else self.scenario.packet.netns

    def table_of(self, netns: int) -> int:
        """The tables of a namespace: shared ones, or its own; before the rule `udp_pernet` there is one set for all."""
        return self.scenario.netns[netns].own_hashinfo if self.pernet else 0

    def searched(self, address: int, netns: int) -> int:
        """The slot of hash2 where a lookup in a namespace looks for an address of 128 bits and the packet's port."""
        return portaddr_hash(address, self.scenario.packet.dport, self.scenario.netns[netns].hash_mix) & self.mask

    def _slot(self, index: int, address: int) -> int:
        hash_mix = self.scenario.netns[self.netns_of(index)].hash_mix
        return portaddr_hash(address, self.tables.socks[index].num, hash_mix) & self.mask

    def own(self, index: int) -> int:
        """The slot of a socket's address in hash2; without CONFIG_IPV6 all are hashed by their IPv4 address."""
        address = self.tables.socks[index].rcv_saddr
        return self._slot(index, address if self.tables.config.ipv6 else mapped(ipv4_view(address)))

    def slot(self, index: int) -> int:
        """The slot of hash2 that a socket is in: a STALE one is still in that of the wildcard."""
        return self._slot(index, ANY) if self.tables.socks[index].hash2 == STALE else self.own(index)

    def _is_at_tail(self, index: int) -> bool:
        """Whether it is on the tail's side of its chain: udp_lib_rehash() puts it to the head, if it moves it."""
        if not self.tables.is_bound_to_tail(index):
            return False
        return self.tables.socks[index].hash2 != REHASHED or self._slot(index, ANY) == self.own(index)

    def _met(self, indices: Iterable[int]) -> list[int]:
        """Sockets that came into a chain in this order, in that in which they are met."""
        tails = [index for index in indices if self._is_at_tail(index)]
        return [index for index in reversed([*indices]) if index not in tails] + tails

    def chain(self, key: Key, slot: int) -> list[int]:
        """Those of a key that are in a slot."""
        there = sorted(self.tables.bound.get(key, ()))
        return self._met([index for index in there if self.slot(index) == slot])

    def everybody(self, slot: int, netns: int) -> list[int]:
        """All that are in a slot of hash2 of a namespace's tables."""
        table = self.table_of(netns)
        there = (index for index in self.tables.hashed if self.table_of(self.netns_of(index)) == table)
        return self._met([index for index in there if self.slot(index) == slot])

    def crowd(self, netns: int) -> int:
        """How many are in the slot of hash that the packet's port is in: udp_hashfn()."""
        table, nets = self.table_of(netns), self.scenario.netns
        slot = (self.scenario.packet.dport + nets[netns].hash_mix) & self.mask
        return sum(
            self.table_of(self.netns_of(index)) == table
            and (self.tables.socks[index].num + nets[self.netns_of(index)].hash_mix) & self.mask == slot
            for index in self.tables.hashed
        )
