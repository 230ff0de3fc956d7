"""What is drawn when the running kernel is asked, and whether a case was asked as it was drawn.

Of any scenario `plain_tables` makes one without what real sockets, without other CPUs and without this host's own
packets, never bring about: these are not drawn. What is drawn and all the same becomes another case is counted, with
the reason, and so is what the kernel refuses.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from operator import attrgetter

from skdiff.cases.derived import group_facts, has_conns, was_connected
from skdiff.cases.normalise import normalise
from skdiff.cases.other_lookup import raw_of
from skdiff.cases.places import (
    CALLER,
    DEVICE,
    G_CLOSED,
    GROUP,
    HASH2,
    HASHED,
    HOSTILE,
    KIND,
    MC_REFUSES,
    P_DATA_LEN,
    P_DESTRUCTOR,
    P_PKT_TYPE,
    P_SK,
    STATE,
)
from skdiff.cases.scenario import (
    AF_INET,
    BOUND,
    DESTRUCTOR_NONE,
    EHASH,
    FILTER,
    HELPER,
    KIND_FULL,
    KIND_REQUEST,
    LHASH2,
    NONE,
    NOWHERE,
    PFREE,
    PROG_NONE,
    RECEIVE,
    STALE,
    TCP_CLOSE,
    TCP_ESTABLISHED,
    UDP_HASHED,
    Group,
    Packet,
    Scenario,
    Sock,
)
from skdiff.oracles.running.namespaces import DEVICES, SLAVE, VRF
from skdiff.variants.version_rules import Rules

DEVICES_OF_CASES = (1, *DEVICES)  # those of a namespace that are in no VRF; 0 is none
_IN_VRF = dict(zip(DEVICES, (SLAVE, VRF), strict=True))


def device(ifindex: int) -> int:
    """One that the namespaces have, and that is in no VRF."""
    return ifindex if ifindex in (0, *DEVICES_OF_CASES) else ifindex % (len(DEVICES_OF_CASES) + 1)


def device_in_vrf(ifindex: int) -> int:
    """One that the namespaces have, where what is drawn is a VRF with a device: no other ones but lo."""
    return ifindex if ifindex in (VRF, SLAVE) else _IN_VRF.get(device(ifindex), device(ifindex))


def device_by_name(ifindex: int) -> int:
    """One that the namespaces have, where what is drawn has the very VRF of the namespaces."""
    return ifindex if ifindex in (VRF, SLAVE) else device(ifindex)


def names_vrf(scenario: Scenario) -> bool:
    """Whether a scenario has the very VRF of the namespaces, or the device below it."""
    packet = scenario.packet
    used = {packet.skb_iif, packet.sdif, *(sock.bound_dev_if for sock in scenario.socks)}
    return not used.isdisjoint((SLAVE, VRF))


def plain_tables(
    scenario: Scenario, rules: Rules, by_helper: bool, device_of: Callable[[int], int] = device
) -> Scenario:
    """The scenario without what is not drawn here: hostile cases, events, the middle of connect(), multicast filters,
    closed members of groups, tables of a namespace's own, pages behind a packet's linear part, sockets attached by
    others than BPF, attached mini sockets, members that had no SO_REUSEPORT in listen() or bind(), mini sockets whose
    ends another one has later; and what this kernel's version cannot reach. Or, `by_helper`, as a BPF helper asks it.
    `device_of` says which device of the namespaces stands for a drawn one.
    """
    raw = raw_of(scenario)
    raw.head[HOSTILE] = 0
    if by_helper:
        raw.head[CALLER] = HELPER
    raw.packet[P_DATA_LEN] = raw.packet[P_PKT_TYPE] = 0
    raw.packet[P_DESTRUCTOR] = PFREE
    if raw.packet[P_SK] != NONE and raw.socks[raw.packet[P_SK]][KIND] != KIND_FULL:
        raw.packet[P_SK] = NONE
    for sock in raw.socks:
        sock[MC_REFUSES] = 0
        sock[DEVICE] = device_of(sock[DEVICE])
        if sock[HASH2] == STALE:
            sock[HASH2], sock[STATE] = BOUND, TCP_CLOSE
        if sock[HASHED] in (NOWHERE, EHASH):
            sock[GROUP] = NONE
    for fields, _ in raw.groups:
        fields[G_CLOSED] = 0
    s = normalise(raw)
    socks = [_had_its_flag(sock) for sock in s.socks]
    _share_no_ends(socks)
    conns = {sock.group for sock in socks if sock.group != NONE and was_connected(sock)}
    if rules.hash4:  # connect() takes a socket out of its group: variants/abilities.py CONNECTED_MEMBER
        socks = [sock._replace(group=NONE) if was_connected(sock) else sock for sock in socks]
    groups = tuple(group_of(i, group, socks, i in conns) for i, group in enumerate(s.groups))
    netns = tuple(net._replace(own_hashinfo=0) for net in s.netns)
    return s._replace(socks=tuple(socks), groups=groups, netns=netns)


ends = attrgetter("netns", "daddr", "rcv_saddr", "dport", "num")  # of a connection


def full(sock: Sock) -> Sock:
    """A connection in the place of a mini socket, or of another state."""
    return sock._replace(kind=KIND_FULL, state=TCP_ESTABLISHED, listener=NONE, incoming_cpu=NONE, syncookie=0)


def _share_no_ends(socks: list[Sock]) -> None:
    """A mini socket that is bound to no device has its ends for itself until it is gone, and so has a request those on
    its device: net/ipv4/inet_hashtables.c __inet_check_established(), inet_ehash_insert().
    """
    later: dict[object, list[Sock]] = {}
    for index in range(len(socks) - 1, -1, -1):
        sock = socks[index]
        if sock.hashed != EHASH:
            continue
        others = later.setdefault(ends(sock), [])
        if sock.kind != KIND_FULL and any(
            not sock.bound_dev_if or (other.kind == KIND_REQUEST and other.bound_dev_if == sock.bound_dev_if)
            for other in others
        ):
            sock = socks[index] = full(sock)
        others.append(sock)


def _had_its_flag(sock: Sock) -> Sock:
    if sock.group == NONE:
        return sock
    in_table = sock.hashed in (LHASH2, UDP_HASHED)
    return sock._replace(reuseport_changed=1 - sock.reuseport) if in_table else sock._replace(group=NONE)


def group_of(number: int, group: Group, socks: Sequence[Sock], conns: bool) -> Group:
    """The group of that number, of these sockets, in the order of its slots as far as that has them."""
    members = [i for i, sock in enumerate(socks) if sock.group == number]
    before = [i for i in group.slots[: group.num_socks] if i in members]
    slots = (*before, *(i for i in members if i not in before))
    address = socks[slots[0]].rcv_saddr if slots else None
    connected = has_conns([socks[i] for i in slots], conns or group.has_conns)
    facts = group_facts(number, (socks[i].incoming_cpu for i in slots), address, group.bind_inany, connected)
    select = group.select if group.select in slots else NONE
    fresh = group._replace(num_socks=len(slots), num_closed_socks=0, slots=slots, select=select, cb_access=0)
    fresh = fresh._replace(**facts._asdict())
    return fresh if slots else fresh._replace(prog=PROG_NONE, incoming_cpu=0, has_conns=0)


def needs_bpf(s: Scenario) -> str:
    """What of a scenario takes a BPF program to be brought about, or to be asked; "" if classic filters will do."""
    if s.caller == HELPER:
        return "a BPF helper"
    if any(net.progs for net in s.netns):
        return "an sk_lookup program"
    if any(group.prog not in (PROG_NONE, FILTER) for group in s.groups):
        return "a program of a group that is no filter"
    if s.packet.sk != NONE:
        return "a socket on the packet"
    of_tcp = [sock for sock in s.socks if sock.hashed == EHASH]
    if any(sock.kind != KIND_FULL for sock in of_tcp):
        return "a timewait socket or a request: it has no counter, a program must see the answer"
    if any(sock.state != TCP_ESTABLISHED for sock in of_tcp):
        return "a connection that is not established: a program must drop what it sends"
    return ""


def without_bpf(s: Scenario) -> Scenario:
    """The scenario without that."""
    return s._replace(
        caller=RECEIVE if s.caller == HELPER else s.caller,
        packet=s.packet._replace(sk=NONE, destructor=DESTRUCTOR_NONE),
        netns=tuple(net._replace(progs=()) for net in s.netns),
        groups=tuple(
            group if group.prog in (PROG_NONE, FILTER) else group._replace(prog=PROG_NONE, select=NONE, verdict=0)
            for group in s.groups
        ),
        socks=tuple(full(sock) if sock.hashed == EHASH else sock for sock in s.socks),
    )


def what_changed(drawn: Scenario, asked: Scenario, by_bpf: bool = True) -> str:
    """What of the tables that a lookup reads is not as it was drawn, the first thing; "" for nothing. The kernel's own
    secrets and sizes of tables are no change.
    """
    if asked.events != drawn.events:
        return "events on other CPUs"
    if not by_bpf and (what := needs_bpf(drawn)):
        return f"needs CAP_BPF: {what}"
    if asked.caller != drawn.caller:
        return "the packet: none comes in"
    if asked.packet.sk != drawn.packet.sk:
        return f"the attached socket: {_why_unattached(drawn)}"
    if asked.caller != HELPER and asked.packet.len != drawn.packet.len:
        return "the packet's length"
    for was, now in zip(drawn.socks, asked.socks, strict=True):
        if _read(was) != _read(now):
            return f"a socket's {_first_field(_read(was), _read(now))}"
    for group, other in zip(drawn.groups, asked.groups, strict=True):
        if _read_of_group(group) != _read_of_group(other):
            return f"a group's {_first_field(_read_of_group(group), _read_of_group(other))}"
    for net, other_net in zip(drawn.netns, asked.netns, strict=True):
        if net.progs != other_net.progs:
            return "what an sk_lookup program assigns"
        if net[1:3] != other_net[1:3]:
            return "l3mdev_accept: this kernel has no VRFs"
    return ""


def packet_changed(drawn: Packet, asked: Packet) -> str:
    """The same of the packet."""
    if drawn[:9] == asked[:9]:
        return ""
    name = next(n for n, was, now in zip(Packet._fields, drawn, asked, strict=True) if was != now)
    return f"the packet's {name}"


def _read(sock: Sock) -> Sock:
    """A socket without what no lookup reads of it, or of its kind in its table."""
    if sock.hashed == NOWHERE:
        return Sock()
    plain = sock._replace(refcnt=1, rcu_free=0)
    if sock.family == AF_INET:  # only for AF_INET6 the flag decides the place in a chain
        plain = plain._replace(reuseport_changed=0)
    if sock.hashed == EHASH:
        plain = plain._replace(incoming_cpu=NONE, reuseport=0, reuseport_changed=0, group=NONE, ipv6only=0)
    elif sock.hashed == LHASH2:
        plain = plain._replace(daddr=0)
    return plain


def _read_of_group(group: Group) -> Group:
    live = group.slots[: group.num_socks]
    return Group(
        *(0, group.returns, len(live), 0, group.incoming_cpu, 0, group.has_conns),
        *(group.prog, 0, group.verdict, group.select, live),
    )


def _first_field(was: Sock | Group, now: Sock | Group) -> str:
    return next(name for name, one, other in zip(was._fields, was, now, strict=True) if one != other)


def _why_unattached(drawn: Scenario) -> str:
    sock = drawn.socks[drawn.packet.sk]
    if sock.kind != KIND_FULL:
        return "a mini socket"
    if sock.hashed not in (EHASH, LHASH2, UDP_HASHED):
        return "in no table"
    return "of the other protocol, or with SO_REUSEPORT on an old kernel"


class Asked:
    """How many cases were drawn, how many of them were asked as they were, and why others were changed."""

    def __init__(self) -> None:
        self.drawn = 0
        self.changed: Counter[str] = Counter()

    def count(self, why: str) -> None:
        """One more; "" if nothing was changed."""
        self.drawn += 1
        if why:
            self.changed[why] += 1
