"""UDP's chains as they are: who is linked to whom in hash, hash2 and hash4, for walks under which they change.

Where tables stand still nobody needs them (see `udp_tables.py`). A socket keeps the slots that it was put into,
whatever becomes of its addresses.
"""

from skdiff.cases.addresses import ANY, ipv4_view, is_mapped, mapped
from skdiff.cases.derived import WILDCARDS
from skdiff.cases.scenario import (
    AF_INET6,
    BOUND,
    IPV6_LOOKUPS,
    NONE,
    REHASHED,
    STALE,
    TCP_ESTABLISHED,
    UDP_HASHED,
    Scenario,
    Sock,
)
from skdiff.oracles.model.chains import Links
from skdiff.oracles.model.hashing import inet6_ehashfn, inet_ehashfn, portaddr_hash
from skdiff.oracles.model.score import peer_of
from skdiff.variants.config import Config
from skdiff.variants.version_rules import Rules

Slot = tuple[int, int]  # the tables that it is one of, and its number


class Chain(Links[Slot]):
    """The chains of one kind of table. The end mark is the number of the slot, changed by `spoilt`. `where` is the slot
    of who is in a chain, None for who is not.
    """

    def __init__(self, count: int, spoilt: int = 0) -> None:
        super().__init__(count)
        self.spoilt = spoilt
        self.first: dict[Slot, int] = {}
        self.where: list[Slot | None] = [None] * count
        self._prepared: dict[int, int] = {}

    def head(self, slot: Slot) -> int:
        """The first one of a slot, or its end mark."""
        return self.first.get(slot, ~(slot[1] ^ self.spoilt))

    def prepare(self, index: int, slot: Slot, tail: bool = False) -> None:
        """hlist_add_head_rcu(), hlist_add_tail_rcu() and their like up to the store that others see: it has its own
        link, but nobody leads there.
        """
        self._prepared[index] = self._placed(index, slot, tail)

    def _placed(self, index: int, slot: Slot, tail: bool) -> int:
        """Give it its own link. Behind whom it comes, NONE for nobody."""
        last, node = NONE, self.head(slot)
        while tail and node >= 0:
            last, node = node, self.next[node]
        self.next[index], self.where[index] = node, slot
        return last

    def publish(self, index: int) -> None:
        """That store."""
        slot = self.where[index]
        assert slot is not None
        self._link(self._prepared.pop(index), slot, index)

    def insert(self, index: int, slot: Slot, tail: bool = False) -> None:
        """Both."""
        self._link(self._placed(index, slot, tail), slot, index)

    def remove(self, index: int) -> None:
        """hlist_del_init_rcu(): whoever stands at it goes on by the link that it has kept."""
        slot = self.where[index]
        assert slot is not None
        before, node = NONE, self.head(slot)
        while node != index:
            before, node = node, self.next[node]
        self._link(before, slot, self.next[index])
        self.where[index] = None

    def _link(self, before: int, slot: Slot, to: int) -> None:
        if before == NONE:
            self.first[slot] = to
        else:
            self.next[before] = to


class UdpHashes:
    """What UDP's sockets are hashed by, before the size of the tables makes slots of it: the same for each packet of
    the same sockets and namespaces (`made_of`, the last one is the packet's).

    `places` has of each socket, in the order in which they were bound: its index, its tables, the hash of its port,
    that of the address that it was bound to and that of the address that hash2 has it by, and whether bind() put it to
    the tail.
    """

    def __init__(self, scenario: Scenario, rules: Rules, config: Config) -> None:
        self.made_of = (scenario.socks, scenario.netns, scenario.packet.netns)
        self.config = config
        # Before the rule `udp_pernet` there is one set of tables for all namespaces.
        self._tables = [net.own_hashinfo if rules.udp_pernet else 0 for net in scenario.netns]
        self._mixes = [net.hash_mix for net in scenario.netns]
        self.places: list[tuple[int, int, int, int, int, bool]] = []
        for index, sock in enumerate(scenario.socks):
            if sock.hashed == UDP_HASHED:
                netns = self.netns_of(sock)
                bound = self.address_hash(sock if sock.hash2 == BOUND else sock._replace(rcv_saddr=ANY))
                now = self.address_hash(sock) if sock.hash2 == REHASHED else bound
                tail = self.goes_to_tail(sock, sock.reuseport != sock.reuseport_changed)
                self.places.append((index, self.table_of(netns), self.port_hash(sock), bound, now, tail))

    def netns_of(self, sock: Sock) -> int:
        """Without CONFIG_NET_NS the packet's namespace is the only one."""
        return sock.netns if self.config.net_ns else self.made_of[2]

    def table_of(self, netns: int) -> int:
        """The tables of a namespace."""
        return self._tables[netns]

    def mix(self, netns: int) -> int:
        """The hash_mix of a namespace."""
        return self._mixes[netns]

    def goes_to_tail(self, sock: Sock, reuseport: bool) -> bool:
        """bind(): at the head of both chains, but for AF_INET6 sockets with SO_REUSEPORT."""
        return self.config.ipv6 and sock.family == AF_INET6 and reuseport

    def port_hash(self, sock: Sock) -> int:
        """udp_hashfn()."""
        return sock.num + self.mix(self.netns_of(sock))

    def address_hash(self, sock: Sock) -> int:
        """ipv4_portaddr_hash(), ipv6_portaddr_hash()."""
        address = sock.rcv_saddr if self.config.ipv6 else mapped(ipv4_view(sock.rcv_saddr))
        return portaddr_hash(address, sock.num, self.mix(self.netns_of(sock)))


class UdpChains:
    """`hash` goes by port, `hash2` by address and port, `hash4` by both ends. `ports` are those by which sockets are
    known there (udp_port_hash), 0 for who never was; `counts` is how many in hash4 a slot of hash2 has.
    """

    def __init__(self, scenario: Scenario, rules: Rules, config: Config, hashes: UdpHashes, absent: list[int]) -> None:
        count = len(scenario.socks)
        self.scenario = scenario
        self.hashes = hashes
        self.config = config
        self.mask = scenario.udp_size - 1
        self.has_hash4 = rules.hash4 and not config.base_small
        self._hash: Chain | None = None
        self.hash2 = Chain(count)
        self.hash4 = Chain(count, scenario.ehash_nulls_xor)
        self.ports = [0] * count
        self._absent = absent
        self.address_slots: dict[int, Slot] = {}  # of hash2, as udp_portaddr_hash has it
        self.counts: dict[Slot, int] = {}

    def fill(self) -> None:
        """bind() and connect() of all sockets in their order, but for those that are absent."""
        mask = self.mask
        for index, table, _, bound, now, tail in self.hashes.places:
            if index in self._absent:
                continue
            sock = self.scenario.socks[index]
            self.ports[index] = sock.num
            slot = table, now & mask
            self.hash2.insert(index, slot, tail and bound & mask == now & mask)  # to the head, if it is rehashed
            self.address_slots[index] = slot
            if self.may_be_in_hash4(sock) and sock.state == TCP_ESTABLISHED and sock.hash2 != STALE:
                self.hash4.insert(index, self.connection_slot(sock))
                self.count(slot, 1)

    @property
    def hash(self) -> Chain:
        """Most lookups never come by it: it is filled when somebody does."""
        if self._hash is None:
            self._hash = Chain(len(self.ports))
            for index, table, port, _, _, tail in self.hashes.places:
                if index not in self._absent:
                    self._hash.insert(index, (table, port & self.mask), tail)
        return self._hash

    def may_be_in_hash4(self, sock: Sock) -> bool:
        """udp4_hash4(), udp6_hash4(): nobody on the wildcard is."""
        return self.has_hash4 and sock.rcv_saddr not in WILDCARDS

    def count(self, slot: Slot, more: int) -> None:
        """udp_hash4_inc(), udp_hash4_dec()."""
        self.counts[slot] = self.counts.get(slot, 0) + more

    def crowd(self, slot: Slot) -> int:
        """How many are in a slot of hash."""
        return sum(where == slot for where in self.hash.where)

    # --- which slot ---------------------------------------------------------------------------------------------------

    def table_of(self, sock: Sock) -> int:
        """The tables of its namespace."""
        return self.hashes.table_of(self.hashes.netns_of(sock))

    def port_slot(self, sock: Sock) -> Slot:
        """Where a socket is put in hash."""
        return self.table_of(sock), self.hashes.port_hash(sock) & self.mask

    def address_slot(self, sock: Sock) -> Slot:
        """Where a socket is put in hash2."""
        return self.table_of(sock), self.hashes.address_hash(sock) & self.mask

    def connection_slot(self, sock: Sock) -> Slot:
        """udp4_hash4(), udp6_hash4()."""
        table, netns = self.table_of(sock), self.hashes.netns_of(sock)
        if not self.mask:
            return table, 0
        if self.config.ipv6 and sock.family == AF_INET6 and not is_mapped(sock.rcv_saddr):
            found = self._hash6(netns, sock.rcv_saddr, sock.num, sock.daddr, sock.dport)
        else:
            peer = peer_of(sock, ipv6=False)
            found = self._hash4(netns, ipv4_view(sock.rcv_saddr), sock.num, peer, sock.dport)
        return table, found & self.mask

    def _hash4(self, netns: int, laddr: int, lport: int, faddr: int, fport: int) -> int:
        key = self.scenario.hash_secret + self.hashes.mix(netns)
        return inet_ehashfn(key, laddr, lport, faddr, fport, lport_added=False)

    def _hash6(self, netns: int, laddr: int, lport: int, faddr: int, fport: int) -> int:
        key, case = self.scenario.hash_secret + self.hashes.mix(netns), self.scenario
        return inet6_ehashfn(key, case.hash_secret6, laddr, lport, faddr, fport, lport_added=False)

    def _packet_table(self, foreign: bool) -> int:
        return self.hashes.table_of(self.scenario.packet.netns) ^ foreign

    def packet_port_slot(self, foreign: bool) -> Slot:
        """Where the packet's port is looked for, in the tables of its namespace or in the other ones."""
        packet = self.scenario.packet
        return self._packet_table(foreign), (packet.dport + self.hashes.mix(packet.netns)) & self.mask

    def packet_address_slot(self, address: int, foreign: bool) -> Slot:
        """Where an address of 128 bits and the packet's port are looked for in hash2."""
        packet = self.scenario.packet
        hashed = portaddr_hash(address, packet.dport, self.hashes.mix(packet.netns))
        return self._packet_table(foreign), hashed & self.mask

    def packet_connection_slot(self, foreign: bool) -> Slot:
        """Where the packet's connection is looked for in hash4."""
        packet = self.scenario.packet
        if not self.mask:
            return self._packet_table(foreign), 0
        if self.scenario.lookup in IPV6_LOOKUPS:
            found = self._hash6(packet.netns, packet.daddr, packet.dport, packet.saddr, packet.sport)
        else:
            here, there = ipv4_view(packet.daddr), ipv4_view(packet.saddr)
            found = self._hash4(packet.netns, here, packet.dport, there, packet.sport)
        return self._packet_table(foreign), found & self.mask
