"""TCP's chains as they are: who is linked to whom, in which slot, for walks under which they change.

Where tables stand still nobody needs them (see `hash_tables.py`). Here whoever is in a slot is met, and who has left it
still has the link that it had.
"""

from collections.abc import Iterable
from typing import TypeAlias

from skdiff.cases.addresses import ipv4_view, is_mapped, mapped
from skdiff.cases.scenario import AF_INET6, EHASH, HASH_OWN, HASH_PACKET, IPV6_LOOKUPS, LHASH2, NONE, Scenario, Sock
from skdiff.oracles.model.hashing import inet6_ehashfn, inet6_whole_hash, inet_ehashfn, portaddr_hash
from skdiff.variants.config import Config
from skdiff.variants.version_rules import Rules

Slot: TypeAlias = tuple[int, int, int]  # EHASH or LHASH2, the tables that it is one of, and its number


class Chains:
    """Links between sockets: an index, or an end mark, as its complement (a negative number).

    `where` is the slot of who is in a chain, None for who is not; `kept` tells of those whose peer's port
    has changed since they were hashed whether their hash is the packet's.
    """

    def __init__(self, scenario: Scenario, rules: Rules, config: Config) -> None:
        self.scenario = scenario
        self.rules = rules
        self.config = config
        self.first: dict[Slot, int] = {}
        self.next = list(range(len(scenario.socks)))  # of who was never in a chain nobody reads it
        self.where: list[Slot | None] = [None] * len(scenario.socks)
        self.kept: dict[int, bool] = {}
        self._tables = [net.own_hashinfo for net in scenario.netns]
        self._mixes = [net.hash_mix for net in scenario.netns]
        self._prepared: dict[int, int] = {}  # behind whom those come that nobody leads to yet

    def fill(self, absent: Iterable[int]) -> None:
        """All sockets come into their chains in their order, but for some."""
        for index, sock in enumerate(self.scenario.socks):
            if index not in absent:
                self.insert(index, sock)

    def head(self, slot: Slot) -> int:
        """The first one of a slot, or its end mark."""
        return self.first.get(slot, self._end(slot))

    def _end(self, slot: Slot) -> int:
        """Its end mark: the number of the slot (net/ipv4/tcp.c tcp_init()), of listeners one that no slot of ehash has
        (net/ipv4/inet_hashtables.c inet_hashinfo2_init()).
        """
        table, _, number = slot
        return ~(number ^ self.scenario.ehash_nulls_xor if table == EHASH else self.scenario.ehash_size)

    def insert(self, index: int, sock: Sock) -> None:
        """inet_ehash_insert(), inet_hash()."""
        if sock.hashed in (EHASH, LHASH2):
            slot = self.slot_of(sock)
            self._link(self._placed(index, slot, sock), slot, index)

    def prepare(self, index: int, sock: Sock) -> None:
        """hlist_nulls_add_head_rcu(), and for AF_INET6 listeners with SO_REUSEPORT hlist_nulls_add_tail_rcu(), up to
        the store that others see: it has its own link, its hash, and looks hashed, but nobody leads there.
        """
        self._prepared[index] = self._placed(index, self.slot_of(sock), sock)
        if index in self.kept:
            del self.kept[index]

    def _placed(self, index: int, slot: Slot, sock: Sock) -> int:
        """Give it its own link. Behind whom it comes, NONE for nobody."""
        before, behind = NONE, self.head(slot)
        in_listen = sock.reuseport != sock.reuseport_changed
        if sock.hashed == LHASH2 and self.config.ipv6 and sock.family == AF_INET6 and in_listen:
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

    def netns_of(self, sock: Sock) -> int:
        """Without CONFIG_NET_NS the packet's namespace is the only one."""
        return sock.netns if self.config.net_ns else self.scenario.packet.netns

    def slot_of(self, sock: Sock) -> Slot:
        """Where a socket is put."""
        netns = self.netns_of(sock)
        table = self._tables[netns]
        if sock.hashed == LHASH2:
            address = sock.rcv_saddr if self.config.ipv6 else mapped(ipv4_view(sock.rcv_saddr))
            return self.listening(table, address, sock.num, netns)
        if sock.hash_kind == HASH_PACKET:
            return self.connected(table)
        # net/ipv4/inet_hashtables.c sk_ehashfn()
        as_ipv6 = self.config.ipv6 and sock.family == AF_INET6 and not is_mapped(sock.daddr)
        return self._connection(table, netns, as_ipv6, (sock.rcv_saddr, sock.num, sock.daddr, sock.dport))

    def connected(self, table: int) -> Slot:
        """Where the packet's connection is looked for."""
        packet, ipv6 = self.scenario.packet, self.scenario.lookup in IPV6_LOOKUPS
        ends = packet.daddr, packet.dport, packet.saddr, packet.sport
        return self._connection(table, packet.netns, ipv6, ends)

    def _connection(self, table: int, netns: int, ipv6: bool, ends: tuple[int, int, int, int]) -> Slot:
        """Where a connection is, seen from its local end."""
        mask = self.scenario.ehash_size - 1
        if not mask:
            return EHASH, table, 0
        hashed = self._hash6(netns, *ends) if ipv6 else self._hash4(netns, *ends)
        return EHASH, table, hashed & mask

    def _hash4(self, netns: int, laddr: int, lport: int, faddr: int, fport: int) -> int:
        key = self.scenario.hash_secret + self._mixes[netns]
        return inet_ehashfn(key, ipv4_view(laddr), lport, ipv4_view(faddr), fport, self.rules.lport_added)

    def _hash6(self, netns: int, laddr: int, lport: int, faddr: int, fport: int) -> int:
        case, mix = self.scenario, self._mixes[netns]
        if self.rules.whole_hash6:
            return inet6_whole_hash(case.hash_secret6, mix, laddr, lport, faddr, fport)
        key = case.hash_secret + mix
        return inet6_ehashfn(key, case.hash_secret6, laddr, lport, faddr, fport, self.rules.lport_added)

    def listening(self, table: int, address: int, port: int, netns: int) -> Slot:
        """Where listeners on an address of 128 bits are: inet_lhash2_bucket_sk()."""
        return LHASH2, table, portaddr_hash(address, port, self._mixes[netns]) & self.scenario.lhash2_size - 1

    def is_hashed_as(self, index: int, sock: Sock, ipv6: bool) -> bool:
        """Whether a socket with the packet's ends has the packet's hash, which the kernel compares before all else: who
        listens has none, and which family's it is depends on the peer.
        """
        if index in self.kept:
            return self.kept[index]
        hashed_as_ipv6 = self.config.ipv6 and sock.family == AF_INET6 and not is_mapped(sock.daddr)
        own = sock.hash_kind == HASH_OWN and hashed_as_ipv6 == ipv6
        return sock.hashed == EHASH and (own or sock.hash_kind == HASH_PACKET)

    def keep_hash(self, index: int, sock: Sock) -> None:
        """A socket's peer's port changes now, and its hash does not. All else of its connection is compared still."""
        packet, ipv6 = self.scenario.packet, self.scenario.lookup in IPV6_LOOKUPS
        same = sock.dport == packet.sport or sock.hash_kind == HASH_PACKET
        self.kept[index] = self.is_hashed_as(index, sock, ipv6) and same
