"""The case of what was read from a host: a lookup among its sockets, in the order in which they came in."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from skdiff.base.errors import CannotRun
from skdiff.cases.addresses import ANY, ipv4_view, is_ipv6
from skdiff.cases.case import Case
from skdiff.cases.derived import is_own_packet, with_derived
from skdiff.cases.record import constants
from skdiff.cases.scenario import (
    AF_INET,
    AF_INET6,
    BOUND,
    DEMUX,
    EHASH,
    FILTER,
    IPPROTO_TCP,
    KIND_FULL,
    KIND_REQUEST,
    LHASH2,
    NONE,
    PROG_NONE,
    RECEIVE,
    REHASHED,
    SK_REUSEPORT,
    TCP_ESTABLISHED,
    TCP_LISTEN,
    UDP_HASHED,
    Group,
    Netns,
    Program,
    Scenario,
    Sock,
)
from skdiff.findings.who_names import names_of_sockets
from skdiff.oracles.running import asking
from skdiff.oracles.running.read_host import Situation
from skdiff.oracles.running.socket_dump import Seen

_BPF_SK_REUSEPORT = 21  # include/uapi/linux/bpf.h BPF_PROG_TYPE_SK_REUSEPORT


@dataclass(frozen=True)
class HostCase:
    """A case, the cookies of its sockets in their order, and what was not seen of them, a line each. `unread` are the
    numbers of groups that were not read from the kernel: whether they have programs is not known.
    """

    case: Case
    cookies: tuple[int, ...]
    unseen: tuple[str, ...]
    unread: tuple[int, ...] = ()

    def index(self, cookie: int | None) -> int | None:
        """The socket of a cookie, None for one that is not there."""
        return self.cookies.index(cookie) if cookie in self.cookies else None


class _Made(NamedTuple):
    """The sockets of a case with what was seen of each, and its groups: places of their live members."""

    seen: list[Seen]
    socks: list[Sock]
    groups: list[list[int]]


def host_case(situation: Situation, programs: Sequence[Program] = ()) -> HostCase:
    """The case of a situation, with sk_lookup programs that do what is said. Raises CannotRun if it is too large."""
    question = situation.question
    everybody = [*situation.sockets, *situation.more]
    first = _build(situation, everybody)
    if not _fits(first):
        kept = [seen for seen in everybody if seen in situation.more or can_matter(seen, situation)]
        first = _build(situation, kept)
        if not _fits(first):
            raise CannotRun(_too_large(first))
    made = first
    names = names_of_sockets(situation, made.seen, made.socks)
    groups, unread = _groups(situation, made)
    scenario = with_derived(
        Scenario(
            cpu=situation.cpu,
            lookup=question.lookup,
            caller=_caller(situation),
            packet=situation.packet,
            netns=(
                Netns(
                    tcp_l3mdev_accept=int(bool(situation.net.sysctls.get("tcp_l3mdev_accept"))),
                    udp_l3mdev_accept=int(bool(situation.net.sysctls.get("udp_l3mdev_accept"))),
                    progs=tuple(programs),
                ),
            ),
            groups=tuple(groups),
            socks=tuple(made.socks),
        )
    )
    case = Case(
        scenario,
        socks=tuple(names),
        groups=tuple(f"group{number}" for number in range(len(groups))),
        devices={device.number: device.name for device in situation.net.devices},
    )
    return HostCase(case, tuple(seen.cookie for seen in made.seen), tuple(_unseen(situation, made, names)), unread)


def can_matter(seen: Seen, situation: Situation) -> bool:
    """Whether a lookup may give a socket, or what it does may hang on it. Listeners and UDP's sockets are searched for
    by the packet's own address, and by the wildcard: net/ipv4/inet_hashtables.c compute_score(), net/ipv4/udp.c
    compute_score(). A connected socket of UDP wants its peer alone, but keeps its slot of a group.
    """
    question, packet = situation.question, situation.packet
    if question.ipv6 and seen.family == AF_INET:
        return False
    if not question.ipv6 and seen.v6only:
        return False
    wanted = (question.daddr, ANY) if question.ipv6 else (ipv4_view(question.daddr), ANY)
    if (seen.address if question.ipv6 else ipv4_view(seen.address)) not in wanted:
        return False
    if question.protocol == IPPROTO_TCP or not seen.dport:
        return True
    if (seen.peer, seen.dport) == (packet.saddr, packet.sport):
        return True
    known = situation.options.get(seen.cookie)
    return known is None or bool(known.reuseport)


def _fits(made: _Made) -> bool:
    return (
        len(made.socks) <= constants.MAX_SOCKS
        and len(made.groups) <= constants.MAX_GROUPS
        and all(len(group) <= constants.MAX_SLOTS for group in made.groups)
    )


def _too_large(made: _Made) -> str:
    largest = max(map(len, made.groups), default=0)
    return (
        f"{len(made.socks)} sockets could get the packet, in {len(made.groups)} groups, the largest of {largest};"
        f" skdiff takes {constants.MAX_SOCKS} sockets, {constants.MAX_GROUPS} groups, {constants.MAX_SLOTS} in a group"
    )


def _caller(situation: Situation) -> int:
    """UDP's early demux asks for what comes by a device: a packet by lo has its route already (net/ipv4/ip_input.c
    ip_rcv_finish_core()).
    """
    sysctls, packet = situation.net.sysctls, situation.packet
    demux = sysctls.get("ip_early_demux") and sysctls.get("udp_early_demux")
    return DEMUX if situation.question.protocol != IPPROTO_TCP and demux and not is_own_packet(packet) else RECEIVE


# --- sockets


def _build(situation: Situation, kept: Sequence[Seen]) -> _Made:
    """The sockets in an order of insertion that gives the chains that were seen."""
    tcp = situation.question.protocol == IPPROTO_TCP
    order = _order_of_tcp(situation, kept) if tcp else [(one, False) for one in reversed(kept)]
    seen = [one for one, _ in order]
    changed = {one.cookie for one, moved in order if moved}
    shared = _shared(situation, seen)
    groups = _members(situation, seen, changed, shared)
    number = {place: n for n, group in enumerate(groups) for place in group}
    socks = [_sock(situation, one, number.get(i, NONE), one.cookie in shared) for i, one in enumerate(seen)]
    socks = [
        sock._replace(reuseport_changed=_changed(sock, one.cookie in changed))
        for sock, one in zip(socks, seen, strict=True)
    ]
    listeners = [i for i, sock in enumerate(socks) if sock.hashed == LHASH2]
    for i, sock in enumerate(socks):
        if sock.kind == KIND_REQUEST:
            socks[i] = sock._replace(listener=_listener_of(situation, seen, listeners, sock))
    return _Made(seen, socks, groups)


def _changed(sock: Sock, moved: bool) -> int:
    """Whether SO_REUSEPORT is not what it was: who came into a group had it then, who has it and no group had it not,
    nor had one of AF_INET6 that is not at the tail of its chain.
    """
    if sock.hashed not in (LHASH2, UDP_HASHED):
        return 0
    if sock.group != NONE:
        return int(not sock.reuseport)
    return int(bool(sock.reuseport) and (moved or sock.hashed == LHASH2))


def _order_of_tcp(situation: Situation, kept: Sequence[Seen]) -> list[tuple[Seen, bool]]:
    """Listeners and connections in an order of insertion, and whether a listener's place in its chain shows that it had
    no SO_REUSEPORT in listen(): net/ipv4/inet_hashtables.c inet_hash() puts those of AF_INET6 that have it at the tail,
    and all others at the head.
    """
    chains: dict[int, list[Seen]] = {}
    for one in kept:
        if one.state == TCP_LISTEN:
            key = one.address if is_ipv6(one.address) else ipv4_view(one.address)
            chains.setdefault(key, []).append(one)
    order: list[tuple[Seen, bool]] = []
    for chain in chains.values():
        tail = [_at_tail(situation, one, chain) for one in chain]
        last_head = max((i for i, at_tail in enumerate(tail) if not at_tail), default=-1)
        heads = [(one, at_tail) for one, at_tail in zip(chain, tail, strict=True)][: last_head + 1]
        order += [*reversed(heads), *((one, False) for one in chain[last_head + 1 :])]
    connections = [(one, False) for one in reversed(kept) if one.state != TCP_LISTEN]
    return [*order, *connections]


def _at_tail(situation: Situation, one: Seen, chain: Sequence[Seen]) -> bool:
    return one.family == AF_INET6 and _reuseport(situation, one, _shared(situation, chain))


def _reuseport(situation: Situation, one: Seen, shared: set[int]) -> bool:
    """Whether a socket had SO_REUSEPORT in listen() or bind(), as far as one can tell: its group says it, if it is
    known, or else the option that it has now.
    """
    groups = situation.answers.groups if situation.answers and not situation.answers.blind else {}
    if any(one.cookie in group.members for group in _seen_groups(situation)):
        return True
    if one.cookie in groups:
        return False
    known = situation.options.get(one.cookie)
    return bool(known.reuseport) if known else one.cookie in shared


def _key(one: Seen) -> tuple[object, ...]:
    """What members of a group have in common when they come in: inet_reuseport_add_sock(), udp_reuseport_add_sock()."""
    return (one.family, one.address, one.port, one.device, one.uid, bool(one.v6only))


def _shared(situation: Situation, everybody: Sequence[Seen]) -> set[int]:
    """The cookies of sockets that must have had SO_REUSEPORT: listeners of one address, port and device, of which the
    kernel takes no second one otherwise; and who is a member of a group that was seen.
    """
    listening = [one for one in everybody if one.state == TCP_LISTEN]
    count = Counter(map(_key, listening))
    return {one.cookie for one in listening if count[_key(one)] > 1} | {
        cookie for group in _seen_groups(situation) for cookie in group.members
    }


def _seen_groups(situation: Situation) -> list[asking.Group]:
    found = situation.answers.groups.values() if situation.answers else ()
    return [*dict.fromkeys(group for group in found if group is not None)]


def _members(situation: Situation, seen: Sequence[Seen], changed: set[int], shared: set[int]) -> list[list[int]]:
    """The live members of each group, in the order of their slots: as they were read from the kernel; of the others in
    the order in which they came.
    """
    place = {one.cookie: i for i, one in enumerate(seen)}
    groups = [[place[c] for c in group.members if c in place] for group in _seen_groups(situation)]
    read = {seen[i].cookie for group in groups for i in group}
    others: dict[tuple[object, ...], list[int]] = {}
    for i, one in enumerate(seen):
        may = one.state == TCP_LISTEN or one.protocol != IPPROTO_TCP
        if one.cookie in read | changed or not may or _moved(one) or not _reuseport(situation, one, shared):
            continue
        others.setdefault(_key(one), []).append(i)
    every = [*groups, *others.values()]
    return sorted((group for group in every if group), key=min)


def _moved(one: Seen) -> bool:
    """Whether a socket of UDP is connected: of those that are not seen in a group it is taken that connect() gave them
    their address, as it does with clients, and so took them out (net/ipv4/udp.c udp_lib_rehash()).
    """
    return one.protocol != IPPROTO_TCP and one.state == TCP_ESTABLISHED


def _sock(situation: Situation, one: Seen, group: int, shared: bool) -> Sock:
    known = situation.options.get(one.cookie)
    sock = Sock(
        daddr=one.peer,
        rcv_saddr=one.address,
        bound_dev_if=one.device,
        dport=one.dport,
        num=one.port,
        protocol=one.protocol,
        kind=one.kind,
        family=one.family,
        state=one.state,
        group=group,
    )
    if one.kind != KIND_FULL or (one.protocol == IPPROTO_TCP and one.state != TCP_LISTEN):
        return sock._replace(hashed=EHASH)
    v6only = known.v6only if known and known.v6only is not None else one.v6only
    udp = one.protocol != IPPROTO_TCP
    moved = udp and one.state == TCP_ESTABLISHED and group == NONE
    if moved and not is_ipv6(one.address):
        v6only = 0
    elif is_ipv6(one.address) and not moved:
        v6only = 1
    return sock._replace(
        hashed=UDP_HASHED if udp else LHASH2,
        hash2=REHASHED if moved else BOUND,
        rcu_free=1,
        ipv6only=int(bool(v6only)),
        incoming_cpu=known.incoming_cpu if known else -1,
        reuseport=known.reuseport if known else int(shared or group != NONE),
    )


def _listener_of(situation: Situation, seen: Sequence[Seen], listeners: Sequence[int], request: Sock) -> int:
    """The listener that has a request, as the kernel told, or else one that could have got its SYN."""
    told = situation.answers.listener if situation.answers else None
    for i in listeners:
        if told is not None and seen[i].cookie == told.cookie:
            return i
    fits = [i for i in listeners if seen[i].family == request.family and seen[i].address in (request.rcv_saddr, ANY)]
    return next(iter(fits), NONE)


# --- groups


def _groups(situation: Situation, made: _Made) -> tuple[list[Group], tuple[int, ...]]:
    """The groups, and the numbers of those that were not read. What a program would say is not known: it is written as
    one that leaves it to the hash.
    """
    read = {frozenset(group.members): group for group in _seen_groups(situation)}
    groups: list[Group] = []
    unread: list[int] = []
    for number, places in enumerate(made.groups):
        told = read.get(frozenset(made.seen[i].cookie for i in places))
        if told is None:
            unread.append(number)
        prog = PROG_NONE
        if told is not None and told.program is not None:
            prog = SK_REUSEPORT if told.program == _BPF_SK_REUSEPORT else FILTER
        groups.append(
            Group(
                num_socks=len(places),
                slots=tuple(places),
                has_conns=told.has_conns if told else 0,
                prog=prog,
                returns=len(places) if prog == FILTER else 0,
            )
        )
    return groups, tuple(unread)


# --- what was not seen


def _unseen(situation: Situation, made: _Made, names: Sequence[str]) -> Iterator[str]:
    """What is not known of the sockets, and what that could change, a line each."""
    guessed = [
        name
        for name, one, sock in zip(names, made.seen, made.socks, strict=True)
        if sock.hashed in (LHASH2, UDP_HASHED) and one.cookie not in situation.options
    ]
    if guessed:
        yield (
            f"SO_REUSEPORT and SO_INCOMING_CPU of {', '.join(guessed)}: the process may not be asked, or is not there."
            " SO_REUSEPORT is taken as set where several listen on one address or a group was seen, SO_INCOMING_CPU as"
            " not set: a socket that asked for the CPU would come before its like"
        )
    moved = [
        name
        for name, one, sock in zip(names, made.seen, made.socks, strict=True)
        if _moved(one) and sock.group == NONE and sock.reuseport
    ]
    if moved:
        yield (
            f"whether {', '.join(moved)} is still in a group: it is if bind() had an address, and then its slot is"
            " skipped, which gives its share to the next member"
        )
