"""The nearest scenario that this oracle can bring about with real sockets and ask a BPF helper for."""

from collections import Counter
from collections.abc import Sequence, Set
from operator import attrgetter

from skdiff.cases.addresses import is_ipv6, other_family
from skdiff.cases.derived import (
    UDP_GROUP_KEY,
    UDP_HEADER,
    group_facts,
    has_conns,
    is_for_many,
    is_routed,
    sk_lookup_enabled,
    was_connected,
)
from skdiff.cases.normalise import normalise
from skdiff.cases.normalise_packet import come_in
from skdiff.cases.other_lookup import raw_of
from skdiff.cases.places import CALLER, HOSTILE
from skdiff.cases.pools import HERE, PEER
from skdiff.cases.reachable import PLAIN, assignable
from skdiff.cases.record import constants
from skdiff.cases.scenario import (
    BOUND,
    DESTRUCTOR_NONE,
    EHASH,
    HELPER,
    IPPROTO_TCP,
    IPPROTO_UDP,
    IPV6_LOOKUPS,
    KIND_FULL,
    LEAVE,
    LHASH2,
    NONE,
    NOWHERE,
    PACKET_HOST,
    PFREE,
    PROG_NONE,
    TCP_ESTABLISHED,
    UDP_HASHED,
    UDP_LOOKUPS,
    Group,
    Netns,
    Packet,
    Program,
    Scenario,
    Sock,
)
from skdiff.oracles.running.namespaces import DEVICES
from skdiff.variants.version_rules import Rules

_udp_key = attrgetter(*UDP_GROUP_KEY)
_UDP_SIZE = 256  # include/linux/udp.h UDP_HTABLE_SIZE_MIN: the least that a kernel has
_DEVICES = (1, *DEVICES)  # those of a namespace; 0 is none


class Nearest:
    """Makes scenarios realisable. Tables are dear, so those of the last scenario are kept for its other packets.

    What has to change, and why: mini sockets take real segments to make, so they become connections; of the eight
    states of connections TCP_REPAIR makes one; a socket in none of the tables is left out of groups; a group has its
    members in their order, and none that has closed; devices are those that the namespaces have. A packet comes from
    another host, by a device that is no VRF's slave, to an address of one host, and is nothing but a header; a socket
    that hangs on it was attached by BPF, and is of its protocol.

    `by_packets` and `by_attaching` tell whether packets can come in, and with sockets: without, a helper asks. `vrfs`
    tells whether the kernel knows of VRFs (CONFIG_NET_L3_MASTER_DEV).

    Moving to another CPU takes longer than a hundred lookups: with `tables_a_cpu` the CPU is not the drawn one, but
    another one after so many tables.
    """

    def __init__(self, rules: Rules, keys: "Keys", cpus: Sequence[int]) -> None:
        self._rules, self._keys, self._cpus = rules, keys, cpus
        self.tables_a_cpu = 0
        self.by_packets = self.by_attaching = self.vrfs = True
        self._seen = 0
        self._of: Scenario | None = None
        self._tables = Scenario()

    def __call__(self, scenario: Scenario) -> Scenario:
        """The nearest one; it is its own nearest one."""
        of = self._of
        if of is None or not (
            of.socks == scenario.socks
            and of.groups == scenario.groups
            and of.netns == scenario.netns
            and (of.lookup, of.hostile, of.caller) == (scenario.lookup, scenario.hostile, scenario.caller)
            and (of.packet.sk, of.packet.netns) == (scenario.packet.sk, scenario.packet.netns)
        ):
            self._of, self._tables = scenario, self._with_tables(scenario)
            self._seen += 1
        tables = self._tables
        packet = _asked(scenario, tables) if tables.caller == HELPER else _received(scenario, tables)
        packet = packet if self.vrfs else packet._replace(sdif=0)
        cpu = self._cpus[(self._seen // self.tables_a_cpu if self.tables_a_cpu else scenario.cpu) % len(self._cpus)]
        return tables._replace(packet=packet, cpu=cpu)

    def _with_tables(self, scenario: Scenario) -> Scenario:
        raw = raw_of(scenario)
        raw.head[HOSTILE] = 0
        if not self.by_packets:
            raw.head[CALLER] = HELPER
        s = normalise(raw)
        socks = _in_groups([_sock(sock) for sock in s.socks])
        conns = {sock.group for sock in socks if sock.group != NONE and was_connected(sock)}
        if self._rules.hash4:  # connect() takes a socket out of its group: variants/abilities.py CONNECTED_MEMBER
            socks = [sock._replace(group=NONE) if was_connected(sock) else sock for sock in socks]
        s = s._replace(packet=_attached(s, socks, self._rules, self.by_attaching))
        netns = tuple(self._netns(i, net, s.lookup, socks) for i, net in enumerate(s.netns))
        # What is in one map of sockets is not taken into the other (net/core/sock_map.c sock_map_psock_get_checked()).
        taken = {s.packet.sk, *(program.assign for net in netns for program in net.progs)}
        groups = tuple(_group(i, group, socks, i in conns, taken) for i, group in enumerate(s.groups))
        return s._replace(
            hash_secret=self._keys.secret(s.lookup),
            hash_secret6=0,
            udp_size=_UDP_SIZE,
            socks=tuple(socks),
            groups=groups,
            netns=netns,
            sk_lookup_enabled=sk_lookup_enabled(net.progs for net in netns),
        )

    def _netns(self, number: int, net: Netns, lookup: int, socks: Sequence[Sock]) -> Netns:
        progs = tuple(_program(program, lookup, socks) for program in net.progs)
        net = net if self.vrfs else net._replace(tcp_l3mdev_accept=0, udp_l3mdev_accept=0)
        return net._replace(hash_mix=self._keys.mix(number), own_hashinfo=0, progs=progs)


class Keys:
    """What the running kernel hashes with, as a scenario has it: of each lookup the secret and, of each namespace, what
    is added to it. Unknown ones are 0.
    """

    def __init__(self) -> None:
        self.secrets: dict[int, int] = {}
        self.mixes: dict[int, int] = {}

    def secret(self, lookup: int) -> int:
        """The secret of a lookup's hash."""
        return self.secrets.get(lookup, 0)

    def mix(self, netns: int) -> int:
        """The hash_mix of a namespace, less that of the first."""
        return self.mixes.get(netns, 0)


def _device(ifindex: int) -> int:
    return ifindex if ifindex in (0, *_DEVICES) else ifindex % (len(_DEVICES) + 1)


def _attached(s: Scenario, socks: Sequence[Sock], rules: Rules, by_attaching: bool) -> Packet:
    """The packet with its socket, if BPF can attach it: one of the packet's namespace that is in a table, of the
    packet's protocol, since the code of one would run on a socket of the other.
    """
    packet = s.packet
    if packet.sk == NONE or s.caller == HELPER or not by_attaching:
        return packet._replace(sk=NONE, destructor=DESTRUCTOR_NONE)
    sock = socks[packet.sk]
    protocol, tables = (IPPROTO_UDP, (UDP_HASHED,)) if s.lookup in UDP_LOOKUPS else (IPPROTO_TCP, (EHASH, LHASH2))
    refused = sock.reuseport and not rules.reselect
    if sock.protocol != protocol or sock.hashed not in tables or sock.netns != packet.netns or refused:
        return packet._replace(sk=NONE, destructor=DESTRUCTOR_NONE)
    return packet._replace(destructor=PFREE)


def _received(scenario: Scenario, tables: Scenario) -> Packet:
    """A packet of nothing but its header that another host sends to this one."""
    raw = list(scenario.packet)
    come_in(raw, scenario.lookup, tables.caller)
    packet, udp = Packet._make(raw), scenario.lookup in UDP_LOOKUPS
    doff = UDP_HEADER if udp else PLAIN.doff
    packet = packet._replace(
        rt_iif=0,
        skb_iif=_device(packet.skb_iif) or 1,
        sdif=0,
        doff=doff,
        len=doff,
        data_len=0,
        users=1,
        clone_fails=0,
        pull_fails=0,
        netns=tables.packet.netns,
        destructor=tables.packet.destructor,
        pkt_type=PACKET_HOST,
        sk=tables.packet.sk,
    )
    ipv6 = scenario.lookup in IPV6_LOOKUPS
    here, peer = (other_family(HERE), other_family(PEER)) if ipv6 else (HERE, PEER)
    if is_for_many(packet.daddr) or not is_routed(scenario.lookup, peer, packet.daddr):
        packet = packet._replace(daddr=here)
    if not is_routed(scenario.lookup, packet.saddr, packet.daddr):
        packet = packet._replace(saddr=peer)
    return packet


def _asked(scenario: Scenario, tables: Scenario) -> Packet:
    raw = list(scenario.packet)
    come_in(raw, scenario.lookup, HELPER)
    packet = Packet._make(raw)
    return packet._replace(
        skb_iif=_device(packet.skb_iif) or 1,  # a test run is always on a device
        doff=tables.packet.doff,
        **{name: getattr(PLAIN, name) for name in ("len", "data_len", "users", "clone_fails", "pull_fails")},
        netns=tables.packet.netns,
        destructor=DESTRUCTOR_NONE,
        sk=NONE,
    )


def _sock(sock: Sock) -> Sock:
    """Each claim of what has to change is in the docstring of Nearest."""
    sock = sock._replace(bound_dev_if=_device(sock.bound_dev_if), mc_refuses=0)
    if sock.hashed == EHASH:
        return sock._replace(
            kind=KIND_FULL,
            state=TCP_ESTABLISHED,
            incoming_cpu=NONE,
            reuseport=0,
            reuseport_changed=0,
            group=NONE,
            listener=NONE,
            syncookie=0,
        )
    if sock.hashed == NOWHERE and sock.kind != KIND_FULL:  # of a SYN cookie: a socket that is only bound
        return Sock(family=sock.family, rcv_saddr=sock.rcv_saddr, ipv6only=int(is_ipv6(sock.rcv_saddr)), num=sock.num)
    if sock.hashed == NOWHERE:
        return sock._replace(group=NONE)
    if sock.group != NONE:  # not by a program before bind()
        sock = sock._replace(reuseport_changed=1 - sock.reuseport)
    if is_ipv6(sock.rcv_saddr):  # bind() was not to the wildcard
        sock = sock._replace(ipv6only=1)
    if sock.hashed == LHASH2:
        return sock._replace(daddr=0)
    return sock._replace(hash2=BOUND) if sock.state == TCP_ESTABLISHED else sock._replace(hash2=BOUND, daddr=0, dport=0)


def _in_groups(socks: list[Sock]) -> list[Sock]:
    """UDP's bind() takes a socket into the one group that there is for its address, if that is not full."""
    groups: dict[object, int] = {}
    members: Counter[int] = Counter()
    for i, sock in enumerate(socks):
        if sock.hashed == UDP_HASHED and sock.group != NONE:
            number = groups.setdefault(_udp_key(sock), sock.group)
            members[number] += 1
            socks[i] = sock._replace(group=number if members[number] <= constants.MAX_SLOTS else NONE)
    return socks


def _group(number: int, group: Group, socks: Sequence[Sock], conns: bool, taken: Set[int]) -> Group:
    slots = tuple(i for i, sock in enumerate(socks) if sock.group == number)
    members = [socks[i] for i in slots]
    address = members[0].rcv_saddr if members else None
    cpus = (sock.incoming_cpu for sock in members)
    facts = group_facts(number, cpus, address, group.bind_inany, has_conns(members, conns or group.has_conns))
    select = group.select if group.select in slots and group.select not in taken else NONE
    fresh = group._replace(num_socks=len(slots), num_closed_socks=0, slots=slots, select=select, cb_access=0)
    fresh = fresh._replace(**facts._asdict())
    return fresh if slots else fresh._replace(prog=PROG_NONE, incoming_cpu=0, has_conns=0)


def _program(program: Program, lookup: int, socks: Sequence[Sock]) -> Program:
    if program.assign >= 0 and not assignable(lookup, socks[program.assign]):
        return program._replace(assign=LEAVE)
    return program
