"""The nearest scenario that this oracle can bring about with real sockets, and ask."""

from collections import Counter
from collections.abc import Callable, Sequence, Set
from operator import attrgetter

from skdiff.cases.addresses import is_ipv6, other_family
from skdiff.cases.derived import (
    LOOPBACK_IFINDEX as LO,
)
from skdiff.cases.derived import (
    UDP_GROUP_KEY,
    UDP_HEADER,
    is_for_many,
    is_routed,
    sk_lookup_enabled,
)
from skdiff.cases.normalise import come_in
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
    KIND_REQUEST,
    KIND_TIMEWAIT,
    LEAVE,
    LHASH2,
    NONE,
    NOWHERE,
    PACKET_HOST,
    PFREE,
    RECEIVE,
    TCP_ESTABLISHED,
    TCP_TIME_WAIT,
    UDP_HASHED,
    UDP_LOOKUPS,
    Netns,
    Packet,
    Program,
    Scenario,
    Sock,
)
from skdiff.oracles.running.drawing import (
    Asked,
    device,
    device_by_name,
    device_in_vrf,
    ends,
    full,
    group_of,
    names_vrf,
    packet_changed,
    plain_tables,
    what_changed,
    without_bpf,
)
from skdiff.oracles.running.namespaces import SLAVE, VRF
from skdiff.variants.version_rules import Rules

_udp_key = attrgetter(*UDP_GROUP_KEY)
_UDP_SIZE = 256  # include/linux/udp.h UDP_HTABLE_SIZE_MIN: the least that a kernel has
_MOST_BYTES = 1460  # of a packet, from its header of TCP or UDP on
_HELPERS_SHARE = 4  # one set of tables in so many is asked by a helper
_KEPT = 1 << 16
_SDIF = Packet._fields.index("sdif")
_ENDS = Packet._fields.index("doff")  # fields that are a packet's own: its ends and devices
_PKT_TYPE = Packet._fields.index("pkt_type")  # what is in front of it, from the seventh field on, is of the tables


class Nearest:
    """Makes scenarios realisable. Tables are dear, so those of the last scenario are kept for its other packets.

    `drawing.py` says what is not drawn at all. What else has to change, and why: a packet meets the listener of a
    request, so that must not be closed; UDP's bind() takes a socket into the one group that there is. A packet comes
    from another host, or from this one by lo, to an address of one host; a socket that hangs on it was attached by BPF,
    and is a listener, a connection or a socket of UDP, as the packet is. There is one VRF, with one device: they stand
    for those of the first packet of some tables, if that is of a VRF, and no packet of its other packets is of another.

    `by_packets`, `by_attaching` and `by_segments` tell whether packets can come in, with sockets, and in the middle of
    the making of sockets; `vrfs`, whether the kernel knows of VRFs (CONFIG_NET_L3_MASTER_DEV), and `by_vrf`, whether
    packets can come in by one; `by_bpf`, whether this process may load BPF programs. `asked` counts.

    Moving to another CPU takes longer than a hundred lookups: with `tables_a_cpu` the CPU is not the drawn one, but
    another one after so many tables; and then one set of tables in four is asked by a helper.
    """

    def __init__(self, rules: Rules, keys: "Keys", cpus: Sequence[int]) -> None:
        self._rules, self._keys, self._cpus = rules, keys, cpus
        self.tables_a_cpu = 0
        self.by_packets = self.by_attaching = self.by_segments = self.vrfs = self.by_vrf = self.by_bpf = True
        self.asked = Asked()
        self._seen = 0
        self._of: Scenario | None = None
        self._tables = Scenario()
        self._device_of: Callable[[int], int] = device
        self._why = ""
        self._rest_of_packet: tuple[int, ...] = ()
        # Ends and devices, and what had to change, by all that `_packet` reads of a packet and its tables.
        self._packets: dict[object, tuple[tuple[int, ...], str]] = {}

    def __call__(self, scenario: Scenario) -> Scenario:
        """The nearest one; it is its own nearest one."""
        if not self._is_of_last(scenario):
            self._of = scenario
            self._tables, self._why = self._with_tables(scenario)
            self._rest_of_packet = self._packet(scenario, self._tables)[0][_ENDS:]
            self._seen += 1
        tables, drawn = self._tables, scenario.packet
        key = (drawn[:_ENDS], drawn.sk == NONE, tables.lookup, tables.caller, self._device_of)
        found = self._packets.get(key)
        if found is None:
            if len(self._packets) >= _KEPT:
                self._packets.clear()
            packet, why = self._packet(scenario, tables)
            found = self._packets[key] = packet[:_ENDS], why
        ends_of, why = found
        self.asked.count(self._why or why)
        cpu = self._cpus[(self._seen // self.tables_a_cpu if self.tables_a_cpu else scenario.cpu) % len(self._cpus)]
        packet = Packet._make(ends_of + self._rest_of_packet)
        return Scenario._make((*tables[:6], cpu, *tables[7:12], packet, *tables[13:]))

    def forget(self) -> None:
        """The next tables are made anew: the keys have changed."""
        self._of = None

    def _is_of_last(self, scenario: Scenario) -> bool:
        of = self._of
        if of is None or (of.lookup, of.hostile, of.caller) != (scenario.lookup, scenario.hostile, scenario.caller):
            return False
        if of.packet[7:_PKT_TYPE] != scenario.packet[7:_PKT_TYPE] or of.packet.sk != scenario.packet.sk:
            return False
        if of.socks is scenario.socks and of.groups is scenario.groups and of.netns is scenario.netns:
            return True
        return of.socks == scenario.socks and of.groups == scenario.groups and of.netns == scenario.netns

    def _with_tables(self, scenario: Scenario) -> tuple[Scenario, str]:
        """The nearest one of the scenario's tables, with whatever packet, and what had to change."""
        by_helper = not self.by_packets or bool(self.tables_a_cpu and not self._seen % _HELPERS_SHARE)
        helper = by_helper and self.by_bpf
        self._device_of = self._devices(scenario, helper or (self.by_bpf and scenario.caller == HELPER))
        drawn = plain_tables(scenario, self._rules, helper, self._device_of)
        plain = drawn if self.by_bpf else plain_tables(without_bpf(drawn), self._rules, False, self._device_of)
        made = self._made(plain)
        return made, what_changed(drawn, made, self.by_bpf)

    def _devices(self, scenario: Scenario, by_helper: bool) -> Callable[[int], int]:
        """What stands for the devices of a scenario."""
        if not self.by_vrf:
            return device
        if names_vrf(scenario):
            return device_by_name
        packet = list(scenario.packet)
        come_in(packet, scenario.lookup, scenario.caller)
        if by_helper or not packet[_SDIF]:
            return device
        return device_in_vrf

    def _made(self, s: Scenario) -> Scenario:
        socks = _in_groups([self._sock(sock, s) for sock in s.socks])
        packet = _attached(s, socks, self._rules, self.by_attaching)
        if packet.sk != NONE and socks[packet.sk].hashed == EHASH:  # net/core/sock_map.c sock_map_sk_state_allowed()
            socks[packet.sk] = socks[packet.sk]._replace(state=TCP_ESTABLISHED)
        netns = tuple(self._netns(i, net, s.lookup, socks) for i, net in enumerate(s.netns))
        groups = tuple(group_of(i, group, socks, conns=False) for i, group in enumerate(s.groups))
        doff = UDP_HEADER if s.lookup in UDP_LOOKUPS else packet.doff
        if s.caller != HELPER and packet.len > _MOST_BYTES:
            packet = packet._replace(len=doff)
        return s._replace(
            hash_secret=self._keys.secret(s.lookup),
            hash_secret6=0,
            udp_size=_UDP_SIZE,
            packet=packet,
            socks=tuple(socks),
            groups=groups,
            netns=netns,
            sk_lookup_enabled=sk_lookup_enabled(net.progs for net in netns),
        )

    def _sock(self, sock: Sock, s: Scenario) -> Sock:
        if sock.hashed == EHASH:
            return self._connection(sock, s)
        if sock.hashed == NOWHERE and sock.kind != KIND_FULL:  # of a SYN cookie: a socket that is only bound
            ipv6only = int(is_ipv6(sock.rcv_saddr))
            return Sock(family=sock.family, rcv_saddr=sock.rcv_saddr, ipv6only=ipv6only, num=sock.num)
        if sock.hashed == UDP_HASHED and sock.hash2 == BOUND and is_ipv6(sock.rcv_saddr):  # bind() was to no wildcard
            return sock._replace(ipv6only=1)
        return sock

    def _connection(self, sock: Sock, s: Scenario) -> Sock:
        if not self.by_segments and (sock.kind != KIND_FULL or sock.state != TCP_ESTABLISHED):
            return full(sock)
        if sock.kind == KIND_REQUEST:
            listener = s.socks[sock.listener]
            if listener.hashed not in (LHASH2, NOWHERE) or listener.kind != KIND_FULL:
                return full(sock)
            if listener.hashed == NOWHERE and s.caller != HELPER:
                return sock._replace(kind=KIND_TIMEWAIT, state=TCP_TIME_WAIT, listener=NONE)
        return sock

    def _netns(self, number: int, net: Netns, lookup: int, socks: Sequence[Sock]) -> Netns:
        progs = tuple(_program(program, lookup, socks) for program in net.progs)
        net = net if self.vrfs else net._replace(tcp_l3mdev_accept=0, udp_l3mdev_accept=0)
        return net._replace(hash_mix=self._keys.mix(number), own_hashinfo=0, progs=progs)

    def _packet(self, scenario: Scenario, tables: Scenario) -> tuple[Packet, str]:
        drawn = _plain_packet(scenario, tables, self.vrfs, self._device_of)
        packet = drawn if tables.caller == HELPER else _received(drawn, tables)
        return packet, packet_changed(drawn, packet)


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


def made_last(socks: Sequence[Sock]) -> Set[int]:
    """Mini sockets, and those connections of the same ends that come behind one, by their indices."""
    of_minis: set[object] = set()
    last = set()
    for index, sock in enumerate(socks):
        if sock.hashed == EHASH:
            if sock.kind != KIND_FULL:
                of_minis.add(ends(sock))
            if ends(sock) in of_minis:
                last.add(index)
    return last


def _attached(s: Scenario, socks: Sequence[Sock], rules: Rules, by_attaching: bool) -> Packet:
    """The packet with its socket, if BPF can attach it: one of the packet's namespace that is in a table, of the
    packet's protocol, since the code of one would run on a socket of the other.
    """
    packet = s.packet
    if packet.sk == NONE:
        return packet
    sock = socks[packet.sk]
    protocol, tables = (IPPROTO_UDP, (UDP_HASHED,)) if s.lookup in UDP_LOOKUPS else (IPPROTO_TCP, (EHASH, LHASH2))
    refused = sock.reuseport and not rules.reselect
    fits = sock.protocol == protocol and sock.hashed in tables and sock.netns == packet.netns
    if s.caller == HELPER or not by_attaching or not fits or sock.kind != KIND_FULL or refused:
        return packet._replace(sk=NONE, destructor=DESTRUCTOR_NONE)
    return packet._replace(destructor=PFREE)


def _plain_packet(scenario: Scenario, tables: Scenario, vrfs: bool, device_of: Callable[[int], int]) -> Packet:
    """The packet that is drawn: with the devices that there are."""
    raw = list(scenario.packet)
    helper = tables.caller == HELPER
    come_in(raw, scenario.lookup, tables.caller)
    packet, of = Packet._make(raw), tables.packet
    if helper:
        sdif = device_of(packet.sdif) if vrfs else 0
        skb_iif, sdif = device_of(packet.skb_iif) or 1, 0 if sdif == 1 else sdif  # a test run is always on a device
    else:
        skb_iif, sdif = device_of(packet.skb_iif) or 1, 0
        if skb_iif in (VRF, SLAVE):  # whatever comes in by that device is of the VRF
            skb_iif, sdif = VRF, SLAVE
    # One of this host's own has its route already: net/ipv4/ip_input.c ip_rcv_finish_core() asks no early demux.
    own = tables.caller == RECEIVE and packet.skb_iif == LO and not packet.sdif
    return packet._replace(
        rt_iif=device(packet.rt_iif) if own else 0,
        skb_iif=skb_iif,
        sdif=sdif,
        doff=of.doff,
        len=of.len,
        **{name: getattr(PLAIN, name) for name in ("data_len", "users", "clone_fails", "pull_fails")},
        netns=of.netns,
        destructor=of.destructor,
        sk=of.sk,
    )


def _received(packet: Packet, tables: Scenario) -> Packet:
    """A packet that another host sends to this one."""
    packet = packet._replace(pkt_type=PACKET_HOST)
    ipv6 = tables.lookup in IPV6_LOOKUPS
    here, peer = (other_family(HERE), other_family(PEER)) if ipv6 else (HERE, PEER)
    lo = ipv6 and packet.skb_iif == LO  # net/ipv6/ip6_input.c ip6_rcv_core(): ::1 comes in by lo
    if is_for_many(packet.daddr) or not (is_routed(tables.lookup, peer, packet.daddr) or (lo and packet.daddr == 1)):
        packet = packet._replace(daddr=here)
    daddr = here if lo and packet.daddr == 1 else packet.daddr
    if not (is_routed(tables.lookup, packet.saddr, daddr) or (lo and packet.saddr == 1)):
        packet = packet._replace(saddr=peer)
    return packet


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


def _program(program: Program, lookup: int, socks: Sequence[Sock]) -> Program:
    if program.assign >= 0 and not assignable(lookup, socks[program.assign]):
        return program._replace(assign=LEAVE)
    return program
