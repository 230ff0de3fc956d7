"""Changes of one thing of a case that could give the packet to a socket: of the socket, its order, the host, others."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from skdiff.cases.addresses import ANY, MAPPED_ANY, is_ipv6, is_mapped
from skdiff.cases.case_values import address
from skdiff.cases.derived import GROUP_KEY, UDP_GROUP_KEY, with_derived
from skdiff.cases.events import brought
from skdiff.cases.record import constants
from skdiff.cases.scenario import (
    AF_INET,
    AF_INET6,
    BOUND,
    DESTRUCTOR_NONE,
    EHASH,
    FILTER,
    IPPROTO_TCP,
    IPV6_LOOKUPS,
    KIND_FULL,
    LHASH2,
    NONE,
    NOWHERE,
    PROG_NONE,
    REHASHED,
    SK_PASS,
    SK_REUSEPORT,
    TCP_CLOSE,
    TCP_ESTABLISHED,
    TCP_LISTEN,
    UDP_HASHED,
    UDP_LOOKUPS,
    Group,
    Scenario,
    Sock,
)
from skdiff.findings.step_words import device_text
from skdiff.findings.values import WithValue
from skdiff.oracles.model import Model

ABOUT = ("bound", "device", "cpu", "order", "host", "group", "others", "hash")
PORTS_TRIED = 1024  # by how many other source ports another hash is looked for


@dataclass(frozen=True)
class Change:
    """A scenario with one change, in the words behind "would get it", and what it is about: a word of ABOUT; `moved`
    are the indices of sockets that have another one there.
    """

    words: str
    about: str
    scenario: Scenario
    moved: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Others:
    """What changes are made and told with: the names of the sockets, those of devices by their numbers, the model that
    says who gets the packet now, and the case with other values of its packet.
    """

    names: Sequence[str]
    devices: Mapping[int, str]
    model: Model
    made: WithValue


def changes(s: Scenario, i: int, others: Others) -> Iterator[Change]:
    """The changes for socket `i`, whether they help or not: what an operator has at hand first. What follows from a
    change (the group that a socket is in, counts) follows as the kernel's own calls would make it.
    """
    if s.socks[i].kind == KIND_FULL:
        yield from _of_socket(s, i, others)
        yield from _of_order(s, i)
    yield from _of_host(s)
    yield from _of_group(s, i)
    yield from _of_others(s, i, others)
    yield from _of_packet(s, i, others)
    yield from _of_events(s)


def _of_socket(s: Scenario, i: int, others: Others) -> Iterator[Change]:
    """What bind(), listen() and setsockopt() of the socket could do otherwise."""
    sock, p = s.socks[i], s.packet
    udp = s.lookup in UDP_LOOKUPS
    table = UDP_HASHED if udp else LHASH2
    if sock.hashed == NOWHERE and sock.protocol == IPPROTO_TCP and not udp:
        listens = sock._replace(state=TCP_LISTEN, hashed=LHASH2, rcu_free=1)
        yield Change("if it listened", "bound", rejoined(s, i, listens))
    if sock.hashed == EHASH and not udp:
        yield from _bound_to_device(s, i, others.devices)
    if sock.hashed != table:
        return
    if sock.num != p.dport:
        yield Change(f"if it were on port {p.dport}", "bound", rejoined(s, i, sock._replace(num=p.dport)))
    if sock.netns != p.netns:
        yield Change("if it were in the packet's namespace", "bound", rejoined(s, i, sock._replace(netns=p.netns)))
    if sock.ipv6only and s.lookup not in IPV6_LOOKUPS:
        dual = sock._replace(ipv6only=0, rcv_saddr=ANY)
        yield Change("if it were on the wildcard without IPV6_V6ONLY", "bound", rejoined(s, i, dual))
    if sock.family == AF_INET and s.lookup in IPV6_LOOKUPS:
        six = sock._replace(family=AF_INET6, rcv_saddr=ANY)
        yield Change("if it were an AF_INET6 socket on ::", "bound", rejoined(s, i, six))
    yield from _bound_to_address(s, i)
    yield from _bound_to_device(s, i, others.devices)
    if udp and (sock.daddr or sock.dport):
        free = sock._replace(daddr=0, dport=0, state=TCP_CLOSE, hash2=BOUND)
        yield Change("if it were not connected to another peer", "bound", rejoined(s, i, free))
    if udp and sock.state != TCP_ESTABLISHED:
        moved = REHASHED if sock.rcv_saddr in (ANY, MAPPED_ANY) else sock.hash2
        here = sock._replace(rcv_saddr=p.daddr, daddr=p.saddr, dport=p.sport, state=TCP_ESTABLISHED, hash2=moved)
        here = here._replace(ipv6only=sock.ipv6only if is_ipv6(p.daddr) else 0)
        yield Change("if it were connected to where the packet comes from", "bound", rejoined(s, i, here))
    if sock.incoming_cpu != s.cpu:
        yield Change(f"if it had SO_INCOMING_CPU {s.cpu}", "cpu", rejoined(s, i, sock._replace(incoming_cpu=s.cpu)))
    if not sock.reuseport and sock.hashed in (LHASH2, UDP_HASHED):
        yield Change("if it had SO_REUSEPORT", "group", rejoined(s, i, sock._replace(reuseport=1, reuseport_changed=0)))


def _bound_to_address(s: Scenario, i: int) -> Iterator[Change]:
    sock, daddr = s.socks[i], s.packet.daddr
    if sock.rcv_saddr != daddr:
        only = 1 if sock.family == AF_INET6 and is_ipv6(daddr) else 0 if is_mapped(daddr) else sock.ipv6only
        here = sock._replace(rcv_saddr=daddr, ipv6only=only)
        yield Change(f"if it were bound to {address(daddr)}, the packet's address", "bound", rejoined(s, i, here))
    if sock.rcv_saddr not in (ANY, MAPPED_ANY):
        only = sock.ipv6only if s.lookup in IPV6_LOOKUPS else 0
        everywhere = sock._replace(rcv_saddr=ANY, ipv6only=only)
        yield Change("if it were bound to the wildcard", "bound", rejoined(s, i, everywhere))


def _bound_to_device(s: Scenario, i: int, devices: Mapping[int, str]) -> Iterator[Change]:
    sock, p = s.socks[i], s.packet
    if sock.bound_dev_if:
        yield Change("if it were bound to no device", "device", rejoined(s, i, sock._replace(bound_dev_if=0)))
    for device in dict.fromkeys((p.rt_iif or p.skb_iif, p.skb_iif, p.sdif)):
        if device and device != sock.bound_dev_if:
            here = sock._replace(bound_dev_if=device)
            name = device_text(device, devices)
            yield Change(f"if it were bound to device {name} (SO_BINDTODEVICE)", "device", rejoined(s, i, here))


def _of_order(s: Scenario, i: int) -> Iterator[Change]:
    if i != len(s.socks) - 1:
        yield moved_to(Change("if it were opened last", "order", s), i, len(s.socks) - 1)
    if i:
        yield moved_to(Change("if it were opened first", "order", s), i, 0)


def reopened(change: Change, i: int) -> Change:
    """The same change of socket `i`, which is opened again for it, and so last."""
    return moved_to(replace(change, words=f"{change.words}, and opened last"), i, len(change.scenario.socks) - 1)


def moved_to(change: Change, i: int, at: int) -> Change:
    """The same change with socket `i` at another place in the order of opening, the first or the last."""
    order = [j for j in range(len(change.scenario.socks)) if j != i]
    order.insert(at, i)
    moved = {old: new for new, old in enumerate(order)}
    return Change(change.words, change.about, renumbered(change.scenario, i, order), moved)


def _of_host(s: Scenario) -> Iterator[Change]:
    net = s.netns[s.packet.netns]
    name = "udp_l3mdev_accept" if s.lookup in UDP_LOOKUPS else "tcp_l3mdev_accept"
    other = 1 - getattr(net, name)
    nets = tuple(n._replace(**{name: other}) if k == s.packet.netns else n for k, n in enumerate(s.netns))
    yield Change(f"if net.ipv4.{name} were {other}", "host", s._replace(netns=nets))


def _of_group(s: Scenario, i: int) -> Iterator[Change]:
    """What the program of its group could say."""
    number = s.socks[i].group
    if number == NONE or i not in s.groups[number].slots[: s.groups[number].num_socks]:
        return
    group = s.groups[number]

    def changed(new: Group) -> Scenario:
        return s._replace(groups=tuple(new if k == number else g for k, g in enumerate(s.groups)))

    at = group.slots.index(i)
    if group.prog == FILTER and group.returns != at:
        yield Change(f"if the filter of its group returned {at}", "group", changed(group._replace(returns=at)))
    elif group.prog == SK_REUSEPORT and (group.select, group.verdict) != (i, SK_PASS):
        selects = group._replace(select=i, verdict=SK_PASS)
        yield Change("if the program of its group selected it", "group", changed(selects))
    if group.prog != PROG_NONE:
        yield Change("if its group had no program", "group", changed(group._replace(prog=PROG_NONE, select=NONE)))


def _of_others(s: Scenario, i: int, others: Others) -> Iterator[Change]:
    """What others could do: go away, give up what they asked for; programs of sk_lookup."""
    names, winner = others.names, others.model.run(s).sk
    if winner >= 0 and winner != i and s.socks[winner].kind == KIND_FULL:
        sock = s.socks[winner]
        if sock.incoming_cpu >= 0:
            yield Change(
                f"if {names[winner]} had no SO_INCOMING_CPU", "cpu", rejoined(s, winner, sock._replace(incoming_cpu=-1))
            )
        if sock.bound_dev_if:
            yield Change(
                f"if {names[winner]} were bound to no device",
                "device",
                rejoined(s, winner, sock._replace(bound_dev_if=0)),
            )
    net = s.netns[s.packet.netns]
    if net.progs:
        without = tuple(n._replace(progs=()) if k == s.packet.netns else n for k, n in enumerate(s.netns))
        yield Change("if there were no sk_lookup programs", "others", _derived(s._replace(netns=without)))
    if winner >= 0 and winner != i:
        yield Change(f"if {names[winner]} were closed", "others", closed(s, winner))


def _of_packet(s: Scenario, i: int, others: Others) -> Iterator[Change]:
    """A packet that nothing hangs on, on another CPU, or from another port."""
    p, sock, model = s.packet, s.socks[i], others.model
    if p.sk != NONE:
        yield Change(
            "if no socket hung on the packet",
            "others",
            s._replace(packet=p._replace(sk=NONE, destructor=DESTRUCTOR_NONE)),
        )
    if sock.kind == KIND_FULL and sock.incoming_cpu >= 0 and sock.incoming_cpu != s.cpu:
        there = others.made("cpu", sock.incoming_cpu)
        if there is not None:
            yield Change(f"if the lookup ran on CPU {sock.incoming_cpu}", "cpu", there)
    if "group by hash" in model.run(s).via:
        for sport in range(p.sport + 1, p.sport + 1 + PORTS_TRIED):
            port = sport & 0xFFFF or 1
            other = others.made("sport", port)
            if other is None or (outcome := model.run(other)).sk != i:
                continue
            by_hash = "group by hash" in outcome.via
            why = ", whose hash points to it (with the secret of this case)" if by_hash else ""
            yield Change(f"if the packet came from port {port}{why}", "hash", other)
            return


def _of_events(s: Scenario) -> Iterator[Change]:
    """Other CPUs that do one thing less meanwhile."""
    for number in range(len(s.events)):
        yield Change(f"if event {number + 1} did not come about", "others", without_events(s, [number]))


def without_events(s: Scenario, gone: Collection[int]) -> Scenario:
    """The scenario without the events of these numbers: whom they would have brought stays out of all tables."""
    left = tuple(event for number, event in enumerate(s.events) if number not in gone)
    never = {*brought([s.events[number] for number in gone])} - {*brought(left)}
    return s._replace(events=left, socks=tuple(out_of_tables(k) if i in never else k for i, k in enumerate(s.socks)))


def out_of_tables(sock: Sock) -> Sock:
    """The socket as it is in no table and in no group: a full one is closed."""
    gone = sock._replace(hashed=NOWHERE, group=NONE, hash2=BOUND, mc_refuses=0, reuseport_changed=0)
    return gone._replace(state=TCP_CLOSE, daddr=0, dport=0) if sock.kind == KIND_FULL else gone


def rejoined(s: Scenario, i: int, sock: Sock) -> Scenario:
    """The scenario with another socket in the place of socket `i`: it leaves its group if the members have other
    things in common, and with SO_REUSEPORT it joins those that have the same as it.
    """
    key = UDP_GROUP_KEY if sock.hashed == UDP_HASHED else GROUP_KEY
    before = s.socks[i]
    alike = all(getattr(before, name) == getattr(sock, name) for name in key)
    if alike and before.reuseport == sock.reuseport and before.hashed == sock.hashed:
        return _derived(_with_sock(s, i, sock))
    s = _left(_with_sock(s, i, sock._replace(group=NONE)), i)
    if not sock.reuseport:
        return _derived(s)
    fellows = (
        other.group
        for j, other in enumerate(s.socks)
        if j != i and other.group != NONE and all(getattr(other, name) == getattr(sock, name) for name in key)
    )
    number = next(fellows, len(s.groups))
    groups = list(s.groups)
    if number == len(groups):
        if number == constants.MAX_GROUPS:
            return s
        groups.append(Group(bind_inany=int(not sock.rcv_saddr)))
    group = groups[number]
    live = group.slots[: group.num_socks]
    groups[number] = group._replace(slots=(*live, i, *group.slots[group.num_socks :]), num_socks=group.num_socks + 1)
    s = _with_sock(s, i, sock._replace(group=number, reuseport_changed=0))
    return _derived(s._replace(groups=tuple(groups)))


def _derived(s: Scenario) -> Scenario:
    """What follows from a change: in a hostile case nothing does."""
    return s if s.hostile else with_derived(s)


def _with_sock(s: Scenario, i: int, sock: Sock) -> Scenario:
    return s._replace(socks=(*s.socks[:i], sock, *s.socks[i + 1 :]))


def _left(s: Scenario, i: int) -> Scenario:
    """The groups without a socket; net/core/sock_reuseport.c __reuseport_detach_sock() puts the last into its place."""
    groups = []
    for group in s.groups:
        live, rest = list(group.slots[: group.num_socks]), group.slots[group.num_socks :]
        if i in live:
            at = live.index(i)
            live[at] = live[-1]
            live.pop()
        closed_ = tuple(j for j in rest if j != i)
        lost = (len(rest) - len(closed_)) if group.num_closed_socks else 0
        select = NONE if group.select == i else group.select
        group = group._replace(
            slots=(*live, *closed_),
            num_socks=len(live),
            num_closed_socks=max(0, group.num_closed_socks - lost),
            select=select,
        )
        if not live and not closed_:
            group = group._replace(prog=PROG_NONE, select=NONE, has_conns=0)
        groups.append(group)
    return s._replace(groups=tuple(groups))


def closed(s: Scenario, i: int) -> Scenario:
    """The scenario without what socket `i` has: it is in no table, no group and hangs on nothing, and no event is about
    it; its requests are gone as well (net/ipv4/inet_connection_sock.c inet_csk_listen_stop()).
    """
    s = without_events(s, [n for n, event in enumerate(s.events) if i in (event.at, event.sk, event.other)])
    s = _left(_with_sock(s, i, out_of_tables(s.socks[i])), i)
    if s.packet.sk == i:
        s = s._replace(packet=s.packet._replace(sk=NONE, destructor=DESTRUCTOR_NONE))
    nets = tuple(
        n._replace(progs=tuple(prog for prog in n.progs if prog.assign != i)) if n.progs else n for n in s.netns
    )
    return _derived(without_sock(s._replace(netns=nets), i) if _is_free(s, i) else s._replace(netns=nets))


def _is_free(s: Scenario, i: int) -> bool:
    """Whether nothing else names a socket, so that it can go without a trace."""
    return all(sock.listener != i for sock in s.socks) and not any(i in group.slots for group in s.groups)


def without_sock(s: Scenario, i: int) -> Scenario:
    """The scenario with a plain socket on another port in the place of one that nobody names: indices stay."""
    return _with_sock(s, i, Sock(num=1 if s.packet.dport != 1 else 2, netns=s.socks[i].netns))


def renumbered(s: Scenario, i: int, order: Sequence[int]) -> Scenario:
    """The scenario with its sockets in another order of opening: `order` has their indices of before, and `i` is the
    one that is opened at the end, or at the start. In its group it is there as well.
    """
    new = {old: at for at, old in enumerate(order)}

    def turned(index: int) -> int:
        return new.get(index, index)

    def members(group: Group) -> tuple[int, ...]:
        live, rest = group.slots[: group.num_socks], group.slots[group.num_socks :]
        if i in live:
            others = tuple(j for j in live if j != i)
            live = (*others, i) if order[-1] == i else (i, *others)
        return tuple(map(turned, (*live, *rest)))

    groups = tuple(group._replace(slots=members(group), select=turned(group.select)) for group in s.groups)
    nets = tuple(
        net._replace(progs=tuple(prog._replace(assign=turned(prog.assign)) for prog in net.progs)) for net in s.netns
    )
    socks = tuple(s.socks[j]._replace(listener=turned(s.socks[j].listener)) for j in order)
    events = tuple(
        event._replace(at=turned(event.at), sk=turned(event.sk), other=turned(event.other)) for event in s.events
    )
    packet = s.packet._replace(sk=turned(s.packet.sk))
    return s._replace(socks=socks, groups=groups, netns=nets, packet=packet, events=events)
