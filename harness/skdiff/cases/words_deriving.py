"""From the entries of a case in words to its Scenario: the kernel's own calls, in the order of the file."""

from collections.abc import Callable
from typing import NamedTuple

from skdiff.cases.addresses import ANY, MAPPED_ANY
from skdiff.cases.case_values import BadError, FollowsError
from skdiff.cases.derived import plain_packet, run_array, sk_lookup_enabled
from skdiff.cases.did_you_mean import near, shown
from skdiff.cases.faults import Faults, Place
from skdiff.cases.scenario import (
    AF_INET,
    AF_INET6,
    DESTRUCTOR_NONE,
    EDEMUX,
    EHASH,
    HELPER,
    IPPROTO_SCTP,
    IPPROTO_TCP,
    IPPROTO_UDP,
    KIND_FULL,
    KIND_REQUEST,
    KIND_TIMEWAIT,
    LHASH2,
    NONE,
    NOWHERE,
    PFREE,
    RECEIVE,
    REHASHED,
    TCP4,
    TCP_CLOSE,
    TCP_ESTABLISHED,
    TCP_LISTEN,
    TCP_NEW_SYN_RECV,
    TCP_TIME_WAIT,
    UDP4,
    UDP_HASHED,
    Netns,
    Packet,
    Scenario,
    Sock,
)
from skdiff.cases.words_events import Events
from skdiff.cases.words_programs import Programs
from skdiff.cases.words_reading import Device, Entry, Words
from skdiff.cases.words_sockets import (
    Made,
    MadeGroup,
    bound,
    conflict,
    join_group,
    leave_group,
    rehash_for,
    stop_listening,
)

_PROTOCOLS = (IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP)
_NOWHERE = Device(0)
_MIGRATE, _TCP_L3MDEV = "net.ipv4.tcp_migrate_req", "net.ipv4.tcp_l3mdev_accept"
_UDP_L3MDEV = "net.ipv4.udp_l3mdev_accept"


class Derived(NamedTuple):
    """A scenario, and the names of its sockets and groups with the places that they were made at."""

    scenario: Scenario
    socks: list[tuple[str, Place]]
    groups: list[tuple[str, Place]]


def derive(words: Words, faults: Faults) -> Derived:
    """The scenario of a case in words; what its calls refuse goes to `faults`."""
    return _Host(words, faults).derived()


class _Host:
    """The host of a case, and its sockets while the calls are made."""

    def __init__(self, words: Words, faults: Faults) -> None:
        self._words, self._faults = words, faults
        self._made: list[Made] = []
        self._tried: set[str] = set()  # names that were made, or refused
        self._packet = self._packet_of_case()
        self._programs = Programs(self._packet, words.top.get("cpu", 0), words.devices, faults, self._find)
        self._events = Events(self._find)
        self._sysctl = [net.sysctl for net in words.namespaces.values()]
        calls: dict[str, Callable[[Entry], None]] = {
            "listener": self._listen,
            "connection": self._connection,
            "timewait": self._timewait,
            "request": self._request,
            "udp": self._udp,
            "bound": self._bound,
            "program": self._programs.add,
            "setsockopt": self._setsockopt,
            "shutdown": self._shutdown,
            "close": self._close,
            "event": self._events.add,
        }
        for entry in words.entries:
            with faults.noted(*entry.place):
                if entry.name:
                    self._tried.add(entry.name)
                calls[entry.kind](entry)

    def derived(self) -> Derived:
        """What has become of it all."""
        there = [made for made in self._made if not made.gone]
        index = {id(made): i for i, made in enumerate(there)}
        groups: list[MadeGroup] = []
        for made in self._made:
            if made.group is not None and made.group not in groups and not made.gone:
                groups.append(made.group)
        self._programs.set_selected(index)
        socks = []
        for made in there:
            group = groups.index(made.group) if made.group is not None else NONE
            listener = index.get(id(made.listener), NONE) if made.listener is not None else NONE
            socks.append(made.sock._replace(group=group, listener=listener))
        packet = self._attached(there, socks)
        words, top = self._words, self._words.top
        netns = []
        for number, net in enumerate(words.namespaces.values()):
            progs = self._programs.of_namespace(number, index)
            accepts = (net.sysctl.get(_TCP_L3MDEV, 0), net.sysctl.get(_UDP_L3MDEV, 0))
            netns.append(Netns(net.mix, *accepts, net.own_tables, run_array(progs), progs))
        lookup = self._lookup()
        scenario = Scenario(
            hash_secret=words.hashes.get("secret", 0),
            hash_secret6=words.hashes.get("secret6", 0),
            ehash_size=words.hashes.get("ehash_size", 1),
            lhash2_size=words.hashes.get("lhash2_size", 1),
            udp_size=words.hashes.get("udp_size", 1),
            cpu=top.get("cpu", 0),
            lookup=lookup,
            caller=top.get("caller", 0),
            sk_lookup_enabled=sk_lookup_enabled(net.progs for net in netns),
            packet=packet,
            netns=tuple(netns),
            groups=tuple(group.record(number, index) for number, group in enumerate(groups)),
            socks=tuple(socks),
            events=self._events.made(index),
        )
        places = [(made.entry.told, made.entry.place) for made in there]
        of_groups = [(f"the group of {group.first.name}", group.first.entry.place) for group in groups]
        return Derived(scenario, places, of_groups)

    # --- the packet

    def _lookup(self) -> int:
        ends = self._words.top.get("packet")
        return (UDP4 if self._words.top.get("proto") else TCP4) + (1 if ends and ends[0].ipv6 else 0)

    def _packet_of_case(self) -> Packet:
        top = self._words.top
        if "packet" not in top:
            return Packet()
        source, destination = top["packet"]
        plain = plain_packet(self._lookup(), destination.address, top.get("caller", RECEIVE))
        device: Device = top.get("in", Device(1))
        skb_iif, sdif = device.index, 0
        if device.vrf:
            # drivers/net/vrf.c vrf_ip_rcv() makes the VRF the packet's device; a helper of tc or XDP is given the
            # slave twice (net/core/filter.c bpf_tc_sk_lookup_tcp())
            skb_iif, sdif = device.vrf, device.index
            if top.get("caller") == HELPER:
                skb_iif, sdif = device.index, device.index if device.vrf != device.index else 0
        return plain._replace(
            saddr=source.address,
            daddr=destination.address,
            sport=source.port,
            dport=destination.port,
            rt_iif=top.get("sender_device", _NOWHERE).index,
            skb_iif=skb_iif,
            sdif=sdif,
            doff=top.get("header", plain.doff),
            len=top.get("bytes", plain.len),
            data_len=top.get("paged", 0),
            netns=top.get("in_namespace", 0),
        )

    def _attached(self, there: list[Made], socks: list[Sock]) -> Packet:
        """The packet with its socket, which it may hold a reference to."""
        top = self._words.top
        if top.get("attached", "none") == "none":
            if "attached_by" in top:
                self._faults.add(
                    "attached_by: attached is missing, the socket that was attached", ("", 0, "attached_by")
                )
            return self._packet
        with self._faults.noted("", 0, "attached"):
            at = there.index(self._find(top["attached"], "attached", ("", 0, "attached")))
            sock, entry = socks[at], there[at].entry
            destructor = EDEMUX if top.get("attached_by") else PFREE
            counted = destructor == EDEMUX or sock.kind != KIND_FULL or not sock.rcu_free
            if counted and not sock.syncookie and "refcnt" not in entry.values:
                socks[at] = sock._replace(refcnt=2)
            return self._packet._replace(sk=at, destructor=destructor)
        return self._packet._replace(destructor=DESTRUCTOR_NONE)

    # --- sockets

    def _find(self, name: str, where: str, place: Place) -> Made:
        for made in self._made:
            if made.name == name and not made.gone:
                return made
        if any(made.name == name for made in self._made):
            raise BadError(f"{where}: {shown(name)} is closed by then", place)
        if name in self._tried:
            raise FollowsError(f"{where}: {shown(name)} was refused")
        if any(entry.name == name for entry in self._words.entries if entry.name):
            raise BadError(
                f"{where}: {shown(name)} is made later: the order of the file is the order of the calls", place
            )
        names = [made.name for made in self._made]
        there = f"there is {', '.join(names)}" if names else "there is none yet"
        raise BadError(f"{where}: no socket {shown(name)}; {there}{near(name, names)}", place)

    def _add(self, entry: Entry, sock: Sock) -> Made:
        """A socket, with what all entries have."""
        device: Device = entry.get("device", _NOWHERE)
        sock = sock._replace(
            bound_dev_if=device.index,
            netns=entry.get("namespace", 0),
            refcnt=entry.get("refcnt", sock.refcnt),
            reuseport=entry.get("reuseport", 0),
            incoming_cpu=entry.get("incoming_cpu", -1),
        )
        made = Made(entry, sock, device, bool(entry.get("reuseaddr", 0)), had_reuseport=sock.reuseport)
        self._made.append(made)
        return made

    def _check_free(self, made: Made) -> None:
        accepts = bool(self._sysctl[made.sock.netns].get(_TCP_L3MDEV, 0))
        other = conflict(made, self._made[:-1], accepts)
        if other is None:
            return
        key = "listen" if made.entry.kind == "listener" else "bind"
        udp = made.sock.protocol == IPPROTO_UDP
        ways = "reuseport = true, or reuseaddr = true," if udp else "reuseport = true"
        raise BadError(
            f"{made.entry.told}: {key}: bind() refuses it with EADDRINUSE, {other.entry.told} has that address and"
            f" port; with {ways} on both it is allowed",
            made.entry.at(key),
        )

    def _listen(self, entry: Entry) -> None:
        if entry.get("listen") is not None:
            self._bind(entry, "listen", Sock(state=TCP_LISTEN, rcu_free=1, hashed=LHASH2))

    def _bind(self, entry: Entry, key: str, sock: Sock) -> Made:
        """Let a socket have the address and port of a key, and come into a group if it has SO_REUSEPORT."""
        self._check_star(entry, key)
        end = entry.get(key)
        family, ipv6only = bound(end.address, end.ipv6, entry.get("v6only"), entry.told)
        sock = sock._replace(rcv_saddr=end.address, num=end.port, family=family, ipv6only=ipv6only)
        made = self._add(entry, sock)
        self._check_free(made)
        if made.sock.reuseport:
            join_group(made, self._made[:-1])
        return made

    def _check_star(self, entry: Entry, key: str) -> None:
        """*:80 is IPv4 here; `ss` prints it for a socket of both, which matters to a packet of IPv6."""
        packet = self._words.top.get("packet")
        end = entry.get(key)
        if packet is not None and packet[0].ipv6 and end.star:
            raise BadError(
                f'{entry.told}: {key}: "*:{end.port}" is the wildcard of IPv4, and the packet is of IPv6: write'
                f' "[::]:{end.port}" for a socket of both, "0.0.0.0:{end.port}" for one of IPv4 alone',
                entry.at(key),
            )

    def _ends(self, entry: Entry, **fields: int) -> Sock | None:
        """A socket of ehash with both ends."""
        peer, own = entry.get("from"), entry.get("to")
        if peer is None or own is None:
            return None
        return Sock(
            daddr=peer.address,
            dport=peer.port,
            rcv_saddr=own.address,
            num=own.port,
            hashed=EHASH,
            ipv6only=entry.get("v6only", 0),
            **{"family": AF_INET6 if own.ipv6 else AF_INET, **fields},
        )

    def _connection(self, entry: Entry) -> None:
        state = entry.get("state", TCP_ESTABLISHED)
        sock = self._ends(entry, state=state, rcu_free=entry.get("once_listened", 0))
        if sock is not None:
            self._add(entry, sock)

    def _timewait(self, entry: Entry) -> None:
        sock = self._ends(entry, state=TCP_TIME_WAIT, kind=KIND_TIMEWAIT)
        if sock is not None:
            self._add(entry, sock)

    def _request(self, entry: Entry) -> None:
        if "listener" not in entry.values:
            return
        listener = self._find(entry.get("listener"), f"{entry.told}: listener", entry.at("listener"))
        sock = self._ends(entry, state=TCP_NEW_SYN_RECV, kind=KIND_REQUEST, family=listener.sock.family)
        if sock is None:
            return
        if entry.get("syncookie"):
            sock = sock._replace(syncookie=1, hashed=NOWHERE, refcnt=0)
        self._add(entry, sock).listener = listener

    def _bound(self, entry: Entry) -> None:
        end = entry.get("bind")
        if end is None:
            return
        family, ipv6only = bound(end.address, end.ipv6, entry.get("v6only"), entry.told)
        protocol = _PROTOCOLS[entry.get("proto", 0)]
        rcu_free = int(protocol == IPPROTO_UDP or entry.get("once_listened", 0))
        sock = Sock(rcv_saddr=end.address, num=end.port, family=family, ipv6only=ipv6only, state=TCP_CLOSE)
        self._check_free(self._add(entry, sock._replace(protocol=protocol, rcu_free=rcu_free)))

    def _udp(self, entry: Entry) -> None:
        if entry.get("bind") is None:
            return
        sock = Sock(state=TCP_CLOSE, protocol=IPPROTO_UDP, rcu_free=1, hashed=UDP_HASHED)
        self._connect(self._bind(entry, "bind", sock._replace(mc_refuses=entry.get("mc_refuses", 0))))

    def _connect(self, made: Made) -> None:
        """net/ipv4/datagram.c __ip4_datagram_connect(), net/ipv6/datagram.c __ip6_datagram_connect()."""
        entry, sock = made.entry, made.sock
        peer, source = entry.get("connect"), entry.get("source")
        wildcard = sock.rcv_saddr in (ANY, MAPPED_ANY)
        if peer is None:
            for key in ("source", "left_group"):
                if key in entry.values:
                    raise BadError(f"{entry.told}: {key}: connect is missing, which does that", entry.at(key))
            return
        if source is not None and not wildcard:
            raise BadError(f"{entry.told}: source: bind() gave it an address already", entry.at("source"))
        if wildcard:
            if source is None:
                raise BadError(
                    f"{entry.told}: source is missing: connect() gives a socket on the wildcard the address that the"
                    ' route has, say which, as source = "10.0.0.2"',
                    entry.at("connect"),
                )
            leave_group(made)
            made.sock = sock = sock._replace(rcv_saddr=source, hash2=REHASHED)
        made.sock = sock._replace(daddr=peer.address, dport=peer.port, state=TCP_ESTABLISHED)
        if made.group is not None:
            made.group.has_conns = 1
        if entry.get("left_group"):
            leave_group(made)

    # --- what happens later

    def _setsockopt(self, entry: Entry) -> None:
        if "socket" not in entry.values:
            return
        made = self._find(entry.get("socket"), f"{entry.told}: socket", entry.at("socket"))
        if "device" in entry.values:
            rehash_for(made, entry.get("device"))
        if "incoming_cpu" in entry.values:
            made.sock = made.sock._replace(incoming_cpu=entry.get("incoming_cpu"))
        if "reuseport" in entry.values:
            reuseport = entry.get("reuseport")
            changed = int(reuseport != made.had_reuseport and made.sock.hashed in (LHASH2, UDP_HASHED))
            made.sock = made.sock._replace(reuseport=reuseport, reuseport_changed=changed)

    def _shutdown(self, entry: Entry) -> None:
        if "socket" not in entry.values:
            return
        made = self._find(entry.get("socket"), f"{entry.told}: socket", entry.at("socket"))
        if made.sock.state != TCP_LISTEN:
            raise BadError(f"{entry.told}: socket: {made.name} does not listen", entry.at("socket"))
        stop_listening(made, bool(self._sysctl[made.sock.netns].get(_MIGRATE, 0)))

    def _close(self, entry: Entry) -> None:
        if "socket" not in entry.values:
            return
        made = self._find(entry.get("socket"), f"{entry.told}: socket", entry.at("socket"))
        if any(other.listener is made and not other.gone for other in self._made):
            stop_listening(made, bool(self._sysctl[made.sock.netns].get(_MIGRATE, 0)))
            return
        leave_group(made)
        made.gone = True
