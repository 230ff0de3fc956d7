"""What another CPU does to UDP's sockets and tables while the lookup runs: a part of `events.py`.

The stores of net/ipv4/udp.c udp_lib_get_port(), udp_lib_rehash(), udp_lib_hash4() and udp_lib_unhash(), and those of
connect() and its like around them.
"""

from collections.abc import Callable, Iterator, Mapping

from skdiff.cases.addresses import ANY
from skdiff.cases.derived import WILDCARDS
from skdiff.cases.scenario import (
    AF_INET6,
    BOUND,
    COMES,
    CONNECTS,
    DISCONNECTS,
    LEAVES,
    MOVES,
    NONE,
    REBOUND,
    REHASHED,
    STALE,
    SYSCTL,
    TCP_CLOSE,
    TCP_ESTABLISHED,
    Event,
)
from skdiff.oracles.model.events import Schedule, absent
from skdiff.oracles.model.state import State
from skdiff.oracles.model.udp_chains import UdpChains, UdpHashes


class UdpSchedule(Schedule):
    """The events of a case of UDP."""

    def __init__(self, state: State, hashes: UdpHashes) -> None:
        super().__init__(state, None)
        self.tables = UdpChains(state.scenario, state.rules, state.config, hashes, absent(state.scenario))
        self.tables.fill()

    def is_hashed(self, index: int) -> bool:
        """Whether a socket is in a chain of hash: sk_hashed()."""
        return self.tables.hash.where[index] is not None

    def _is_possible(self, event: Event) -> bool:
        """Whether an event can come about as things are by now."""
        if event.action in (MOVES, CONNECTS):
            return self.is_hashed(event.sk)
        if event.action == DISCONNECTS:
            return self.is_hashed(event.sk) and self.state.socks[event.sk].state == TCP_ESTABLISHED
        return super()._is_possible(event)

    def _writer(self, event: Event) -> Iterator[None]:
        """What comes about, step by step."""
        action = _ACTIONS.get(event.action)
        return super()._writer(event) if action is None else action(self, event)

    # --- hash, hash2, hash4 -------------------------------------------------------------------------------------------

    def _leave_group(self, index: int) -> Iterator[None]:
        group = self.state.socks[index].group
        if group != NONE:
            yield
            self._change(index, group=NONE)
            self._detach(index, group)

    def _bind(self, index: int, port: int) -> Iterator[None]:
        """udp_lib_get_port(): into hash, for which it has a reference, and then into hash2."""
        tables = self.tables
        self._change(index, num=port, rcu_free=1)
        sock = self.state.socks[index]
        tail = tables.hashes.goes_to_tail(sock, bool(sock.reuseport))
        tables.ports[index] = port
        self.state.refcnt[index] += 1
        tables.hash.prepare(index, tables.port_slot(sock), tail)
        yield
        tables.hash.publish(index)
        tables.address_slots[index] = tables.address_slot(sock)
        tables.hash2.prepare(index, tables.address_slots[index], tail)
        yield
        tables.hash2.publish(index)

    def _unhash(self, index: int) -> Iterator[None]:
        """udp_lib_unhash(). Who has left hash has no port, but is still known by it in the chains that it is in."""
        yield from self._leave_group(index)
        yield
        self.tables.hash.remove(index)
        self.state.refcnt[index] -= 1
        self._change(index, num=0)
        yield
        self.tables.hash2.remove(index)
        yield from self._unhash4(index)

    def _unhash4(self, index: int) -> Iterator[None]:
        """udp_unhash4(): the count of the slot of hash2 goes with the link."""
        tables = self.tables
        if tables.hash4.where[index] is None:
            return
        yield
        tables.hash4.remove(index)
        tables.count(tables.address_slots[index], -1)

    def _rehash(self, index: int) -> Iterator[None]:
        """udp_lib_rehash(): out of the group in any case; into the slot of the address, and into that of the
        connection, whose count goes along. With the rule `wildcard_unhash4` who has no address any more leaves hash4.
        """
        tables, sock = self.tables, self.state.socks[index]
        if not self.is_hashed(index):
            return
        yield from self._leave_group(index)
        old, new = tables.address_slots[index], tables.address_slot(sock)
        if old != new:
            yield
            tables.hash2.remove(index)
            tables.hash2.prepare(index, new)
            yield
            tables.hash2.publish(index)
        if sock.rcv_saddr in WILDCARDS and self.state.rules.wildcard_unhash4:
            yield from self._unhash4(index)
        elif tables.hash4.where[index] is not None:
            yield from self._rehash4(index)
            tables.count(old, -1)
            tables.count(new, 1)
        tables.address_slots[index] = new

    def _rehash4(self, index: int) -> Iterator[None]:
        """udp_rehash4()."""
        hash4, slot = self.tables.hash4, self.tables.connection_slot(self.state.socks[index])
        if hash4.where[index] != slot:
            yield
            hash4.remove(index)
            hash4.prepare(index, slot)
            yield
            hash4.publish(index)

    def _hash4(self, index: int) -> Iterator[None]:
        """udp_lib_hash4(): who is in hash4 is in no group. Who was there already, and has another peer by now, is moved
        with the rule `hash4_again`, and else stays.
        """
        tables, sock = self.tables, self.state.socks[index]
        if not tables.may_be_in_hash4(sock):
            return
        if tables.hash4.where[index] is not None:
            if self.state.rules.hash4_again:
                yield from self._rehash4(index)
            return
        yield from self._leave_group(index)
        tables.hash4.prepare(index, tables.connection_slot(sock))
        yield
        tables.hash4.publish(index)
        tables.count(tables.address_slots[index], 1)

    # --- what they do -------------------------------------------------------------------------------------------------

    def _leaves(self, event: Event) -> Iterator[None]:
        """close(): out of the tables, and then the socket's own reference."""
        yield from self._unhash(event.sk)
        yield
        self._put(event.sk)

    def _comes(self, event: Event) -> Iterator[None]:
        """bind(): into its group, and then into the tables."""
        yield from self._joined(event)
        yield from self._bind(event.sk, self.state.socks[event.sk].num)

    def _is_rebound(self, event: Event) -> Iterator[None]:
        """net/core/sock.c sock_bindtoindex_locked(): the device, and a rehash."""
        yield
        self._change(event.sk, bound_dev_if=event.value)
        yield from self._rehash(event.sk)

    def _sysctl_is_set(self, event: Event) -> Iterator[None]:
        yield
        self.state.netns = self.state.netns._replace(udp_l3mdev_accept=event.value)

    def _connects(self, event: Event) -> Iterator[None]:
        """net/ipv4/datagram.c __ip4_datagram_connect(), net/ipv6/datagram.c __ip6_datagram_connect(), and hash4 behind
        them: the peer, an address for who has none, and the rehash for it; the group is told; the state. Of IPv4 the
        peer comes behind the rehash before the rule `hash4`. Who is in the middle of it does the rest.
        """
        index, sock = event.sk, self.state.socks[event.sk]
        peer_first = self.state.rules.hash4 or sock.family == AF_INET6
        if sock.hash2 == STALE:
            yield from self._rehash(index)
            self._change(index, hash2=REHASHED)
            if sock.daddr in WILDCARDS:
                yield from self._set_peer(event)
        else:
            if peer_first:
                yield from self._set_peer(event)
            if sock.rcv_saddr in WILDCARDS:
                yield
                self._change(index, rcv_saddr=self.state.packet.daddr, hash2=REHASHED)
                yield from self._rehash(index)
            if not peer_first:
                yield from self._set_peer(event)
        group = self.state.socks[index].group
        if group != NONE:
            yield
            self.state.groups[group] = self.state.groups[group]._replace(has_conns=1)
        yield
        self._change(index, state=TCP_ESTABLISHED)
        yield from self._hash4(index)

    def _set_peer(self, event: Event) -> Iterator[None]:
        yield
        self._change(event.sk, daddr=self.state.packet.saddr)
        yield
        self._change(event.sk, dport=event.value)

    def _forget_peer(self, index: int) -> Iterator[None]:
        """net/ipv4/udp.c udp_disconnect(), __udp_disconnect(): with the rule `unhash4_first` out of hash4; then state,
        peer and device, and the address that connect() has given. The address of an IPv6 peer stays.
        """
        if self.state.rules.unhash4_first:
            yield from self._unhash4(index)
        yield
        self._change(index, state=TCP_CLOSE)
        yield
        if self.state.socks[index].family != AF_INET6:
            self._change(index, daddr=ANY)
        yield
        self._change(index, dport=0)
        yield
        self._change(index, bound_dev_if=0)
        if self.state.socks[index].hash2 != BOUND:
            yield
            self._change(index, rcv_saddr=ANY, hash2=BOUND)

    def _disconnects(self, event: Event) -> Iterator[None]:
        moved = self.state.socks[event.sk].hash2 != BOUND
        yield from self._forget_peer(event.sk)
        if moved:
            yield from self._rehash(event.sk)

    def _moves(self, event: Event) -> Iterator[None]:
        """A disconnect() that unhashes, for the socket had not asked for its port, and then bind()."""
        yield from self._forget_peer(event.sk)
        yield from self._unhash(event.sk)
        yield from self._bind(event.sk, event.value)


_ACTIONS: Mapping[int, Callable[[UdpSchedule, Event], Iterator[None]]] = {
    LEAVES: UdpSchedule._leaves,
    COMES: UdpSchedule._comes,
    REBOUND: UdpSchedule._is_rebound,
    SYSCTL: UdpSchedule._sysctl_is_set,
    CONNECTS: UdpSchedule._connects,
    DISCONNECTS: UdpSchedule._disconnects,
    MOVES: UdpSchedule._moves,
}
