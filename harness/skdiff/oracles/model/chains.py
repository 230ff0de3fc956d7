"""TCP's chains as they are: who is linked to whom, in which slot, for walks under which they change.

Where tables stand still nobody needs them (see `hash_tables.py`). Here whoever is in a slot is met, and who has left it
still has the link that it had.
"""

from abc import ABC, abstractmethod
from typing import Generic, TypeAlias, TypeVar

from skdiff.cases.addresses import ipv4_view, is_mapped, mapped
from skdiff.cases.scenario import AF_INET6, EHASH, HASH_OWN, HASH_PACKET, IPV6_LOOKUPS, LHASH2, NONE, Scenario, Sock
from skdiff.oracles.model.hashing import inet6_ehashfn, inet6_whole_hash, inet_ehashfn, portaddr_hash
from skdiff.variants.config import Config
from skdiff.variants.version_rules import Rules

Slot: TypeAlias = tuple[int, int, int]  # EHASH or LHASH2, the tables that it is one of, and its number
Ends: TypeAlias = tuple[int, int, int, int]  # an address of 128 bits and a port, and once more
SlotOf = TypeVar("SlotOf")


class Links(ABC, Generic[SlotOf]):
    """Chains of a table: the first one of a slot, and the one behind each (`next`): an index, or an end mark, as its
    complement (a negative number).
    """

    def __init__(self, count: int) -> None:
        self.next = [~0] * count  # of who was never in a chain nobody reads it

    @abstractmethod
    def head(self, slot: SlotOf) -> int:
        """The first one of a slot, or its end mark."""


class Hashes:
    """What TCP's sockets are hashed by, before the size of the tables makes slots of it: the same for each packet of
    the same sockets and namespaces (`made_of`, the last one is the packet's).

    `listening` has of each listener, in the order in which they came: its index, its tables, the hash of its address
    and port, and whether it went to the tail. `connected` has of each socket of ehash, where hashes go by the packet's
    secret: its index, its tables, its namespace, whether its hash is IPv6's, its own end and the other one, and whether
    it has the packet's hash.
    """

    def __init__(self, scenario: Scenario, config: Config) -> None:
        self.made_of = (scenario.socks, scenario.netns, scenario.packet.netns)
        self.config = config
        self._tables = [net.own_hashinfo for net in scenario.netns]
        self.mixes = [net.hash_mix for net in scenario.netns]
        self.listening: list[tuple[int, int, int, bool]] = []
        self.connected: list[tuple[int, int, int, bool, Ends, bool]] = []
        for index, sock in enumerate(scenario.socks):
            netns = self.netns_of(sock)
            table = self.table_of(netns)
            if sock.hashed == LHASH2:
                self.listening.append((index, table, self.listening_hash(sock), self.goes_to_tail(sock)))
            elif sock.hashed == EHASH:
                as_packet = sock.hash_kind == HASH_PACKET
                self.connected.append((index, table, netns, self.has_ipv6_hash(sock), ends_of(sock), as_packet))

    def netns_of(self, sock: Sock) -> int:
        """Without CONFIG_NET_NS the packet's namespace is the only one."""
        return sock.netns if self.config.net_ns else self.made_of[2]

    def table_of(self, netns: int) -> int:
        """The tables of a namespace."""
        return self._tables[netns]

    def goes_to_tail(self, sock: Sock) -> bool:
        """inet_hash(): AF_INET6 listeners with SO_REUSEPORT do, behind all others."""
        in_listen = sock.reuseport != sock.reuseport_changed
        return sock.hashed == LHASH2 and self.config.ipv6 and sock.family == AF_INET6 and in_listen

    def has_ipv6_hash(self, sock: Sock) -> bool:
        """net/ipv4/inet_hashtables.c sk_ehashfn()."""
        return self.config.ipv6 and sock.family == AF_INET6 and not is_mapped(sock.daddr)

    def listening_hash(self, sock: Sock) -> int:
        """inet_lhash2_bucket_sk(), of a listener."""
        address = sock.rcv_saddr if self.config.ipv6 else mapped(ipv4_view(sock.rcv_saddr))
        return portaddr_hash(address, sock.num, self.mixes[self.netns_of(sock)])


def ends_of(sock: Sock) -> Ends:
    """Its own end, and the other one."""
    return sock.rcv_saddr, sock.num, sock.daddr, sock.dport


class Chains(Links[Slot]):
    """Links between sockets.

    `where` is the slot of who is in a chain, None for who is not; `kept` tells of those whose peer's port
    has changed since they were hashed whether their hash is the packet's.
    """

    def __init__(self, scenario: Scenario, rules: Rules, hashes: Hashes) -> None:
        super().__init__(len(scenario.socks))
        self.scenario = scenario
        self.hashes = hashes
        self.ehash_mask, self.lhash2_mask = scenario.ehash_size - 1, scenario.lhash2_size - 1
        self.rules = rules
        self.first: dict[Slot, int] = {}
        self.where: list[Slot | None] = [None] * len(scenario.socks)
        self.kept: dict[int, bool] = {}
        self._prepared: dict[int, int] = {}  # behind whom those come that nobody leads to yet

    def fill(self, absent: list[int]) -> None:
        """All sockets come into their chains in their order, but for some."""
        for index, table, hashed, tail in self.hashes.listening:
            if index not in absent:
                self._insert(index, (LHASH2, table, hashed & self.lhash2_mask), tail)
        for index, table, netns, ipv6, ends, as_packet in self.hashes.connected:
            if index not in absent:
                slot = self.connected(table) if as_packet else self._connection(table, netns, ipv6, ends)
                self._insert(index, slot, tail=False)

    def head(self, slot: Slot) -> int:
        """The first one of a slot, or its end mark."""
        first = self.first.get(slot)
        return self._end(slot) if first is None else first

    def _end(self, slot: Slot) -> int:
        """Its end mark: the number of the slot (net/ipv4/tcp.c tcp_init()), of listeners one that no slot of ehash has
        (net/ipv4/inet_hashtables.c inet_hashinfo2_init()).
        """
        table, _, number = slot
        return ~(number ^ self.scenario.ehash_nulls_xor if table == EHASH else self.scenario.ehash_size)

    def _insert(self, index: int, slot: Slot, tail: bool) -> None:
        """inet_ehash_insert(), inet_hash()."""
        self._link(self._placed(index, slot, tail), slot, index)

    def prepare(self, index: int, sock: Sock) -> None:
        """hlist_nulls_add_head_rcu(), and for AF_INET6 listeners with SO_REUSEPORT hlist_nulls_add_tail_rcu(), up to
        the store that others see: it has its own link, its hash, and looks hashed, but nobody leads there.
        """
        self._prepared[index] = self._placed(index, self.slot_of(sock), self.hashes.goes_to_tail(sock))
        if index in self.kept:
            del self.kept[index]

    def _placed(self, index: int, slot: Slot, tail: bool) -> int:
        """Give it its own link. Behind whom it comes, NONE for nobody."""
        before, behind = NONE, self.head(slot)
        if tail:
            behind = self._end(slot)
            before = self._before(behind, slot)
        self.next[index], self.where[index] = behind, slot
        return before

    def publish(self, index: int) -> None:
        """That store."""
        slot = self.where[index]
        assert slot is not None
        self._link(self._prepared.pop(index), slot, index)

    def _link(self, before: int, slot: Slot, to: int) -> None:
        if before == NONE:
            self.first[slot] = to
        else:
            self.next[before] = to

    def _before(self, link: int, slot: Slot) -> int:
        """Who in a slot has this link, NONE if it is the slot's own."""
        before, node = NONE, self.head(slot)
        while node != link:
            before, node = node, self.next[node]
        return before

    def remove(self, index: int) -> None:
        """hlist_nulls_del_init_rcu(): whoever stands at it goes on by the link that it has kept."""
        slot = self.where[index]
        assert slot is not None
        self._link(self._before(index, slot), slot, self.next[index])
        self.where[index] = None

    def replace(self, index: int, other: int) -> None:
        """hlist_nulls_replace_init_rcu(): the other one in its very place."""
        slot = self.where[index]
        assert slot is not None
        self.next[other] = self.next[index]
        self._link(self._before(index, slot), slot, other)
        self.where[other], self.where[index] = slot, None

    # --- which slot ---------------------------------------------------------------------------------------------------

    def slot_of(self, sock: Sock) -> Slot:
        """Where a socket is put."""
        netns = self.hashes.netns_of(sock)
        table = self.hashes.table_of(netns)
        if sock.hashed == LHASH2:
            return LHASH2, table, self.hashes.listening_hash(sock) & self.lhash2_mask
        if sock.hash_kind == HASH_PACKET:
            return self.connected(table)
        return self._connection(table, netns, self.hashes.has_ipv6_hash(sock), ends_of(sock))

    def connected(self, table: int) -> Slot:
        """Where the packet's connection is looked for."""
        packet, ipv6 = self.scenario.packet, self.scenario.lookup in IPV6_LOOKUPS
        ends = packet.daddr, packet.dport, packet.saddr, packet.sport
        return self._connection(table, packet.netns, ipv6, ends)

    def _connection(self, table: int, netns: int, ipv6: bool, ends: Ends) -> Slot:
        """Where a connection is, seen from its local end."""
        if not self.ehash_mask:
            return EHASH, table, 0
        hashed = self._hash6(netns, *ends) if ipv6 else self._hash4(netns, *ends)
        return EHASH, table, hashed & self.ehash_mask

    def _hash4(self, netns: int, laddr: int, lport: int, faddr: int, fport: int) -> int:
        key = self.scenario.hash_secret + self.hashes.mixes[netns]
        return inet_ehashfn(key, ipv4_view(laddr), lport, ipv4_view(faddr), fport, self.rules.lport_added)

    def _hash6(self, netns: int, laddr: int, lport: int, faddr: int, fport: int) -> int:
        case, mix = self.scenario, self.hashes.mixes[netns]
        if self.rules.whole_hash6:
            return inet6_whole_hash(case.hash_secret6, mix, laddr, lport, faddr, fport)
        key = case.hash_secret + mix
        return inet6_ehashfn(key, case.hash_secret6, laddr, lport, faddr, fport, self.rules.lport_added)

    def listening(self, table: int, address: int, port: int, netns: int) -> Slot:
        """Where listeners on an address of 128 bits are: inet_lhash2_bucket_sk()."""
        return LHASH2, table, portaddr_hash(address, port, self.hashes.mixes[netns]) & self.lhash2_mask

    def is_hashed_as(self, index: int, sock: Sock, ipv6: bool) -> bool:
        """Whether a connection with the packet's ends has the packet's hash, which the kernel compares before all else:
        which family's it is depends on the peer.
        """
        if index in self.kept:
            return self.kept[index]
        own = sock.hash_kind == HASH_OWN and self.hashes.has_ipv6_hash(sock) == ipv6
        return own or sock.hash_kind == HASH_PACKET

    def keep_hash(self, index: int, sock: Sock) -> None:
        """A socket's peer's port changes now, and its hash does not. All else of its connection is compared still."""
        packet, ipv6 = self.scenario.packet, self.scenario.lookup in IPV6_LOOKUPS
        same = sock.dport == packet.sport or sock.hash_kind == HASH_PACKET
        self.kept[index] = self.is_hashed_as(index, sock, ipv6) and same
