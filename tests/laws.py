"""Laws of the lookup: what holds of any oracle, said without the model.

A law draws a case of a lookup, runs an oracle on it, mostly on a changed case as well, and asserts how the outcomes
belong together. It returns whether its precondition was met: a law that never applies says nothing (see test_laws.py).
It holds for all lookups, unless it is one of ONLY.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

from hypothesis import note
from hypothesis import strategies as st

from skdiff.cases import wire
from skdiff.cases.addresses import is_ipv6, is_mapped, mapped, other_family
from skdiff.cases.derived import pkt_type_of
from skdiff.cases.events import lost as lost_meanwhile
from skdiff.cases.fields import LOOKUPS
from skdiff.cases.moments import moments
from skdiff.cases.outcome import RETURNED, SHOWN_FILTER, SHOWN_NAMES, SHOWN_SK_LOOKUP, Outcome
from skdiff.cases.pools import HERE
from skdiff.cases.record import constants
from skdiff.cases.scenario import (
    AF_INET,
    AF_INET6,
    AT_LINK,
    AT_MEMBERS,
    AT_NODE,
    AT_PROGRAM,
    AT_RAN,
    AT_TAKEN,
    AT_TAKING,
    BOUND,
    COMES,
    CONNECTS,
    DESTRUCTOR_NONE,
    DISCONNECTS,
    EHASH,
    FILTER,
    HASH_OWN,
    HASH_PACKET,
    HASH_WRONG,
    HELPER,
    INT_MAX,
    IPPROTO_SCTP,
    IPPROTO_TCP,
    IPPROTO_UDP,
    IPV6_LOOKUPS,
    KIND_FULL,
    KIND_REQUEST,
    KIND_TIMEWAIT,
    LEAVE,
    LEAVES,
    LHASH2,
    MOVES,
    NONE,
    NOWHERE,
    PACKET_HOST,
    PFREE,
    PROG_NONE,
    REBOUND,
    RECEIVE,
    REFCOUNT_SATURATED,
    REUSED,
    SK_PASS,
    SK_REUSEPORT,
    TCP4,
    TCP6,
    TCP_CLOSE,
    TCP_ESTABLISHED,
    TCP_LISTEN,
    UDP4,
    UDP6,
    UDP_HASHED,
    UDP_LOOKUPS,
    Event,
    Netns,
    Packet,
    Program,
    Scenario,
    Sock,
)
from skdiff.cases.validity import problems
from skdiff.engines.aimed_events import aim
from tests import transform
from tests.transform import (
    as_ipv4_alone,
    blind,
    closed,
    ipv4_view_of,
    ipv6_image,
    moved,
    moved_outcome,
    opened,
    without,
)


@dataclass(frozen=True)
class Draw:
    """What a law draws with; its cases are of one lookup."""

    draw: Callable[[st.SearchStrategy[Any]], Any]
    lookup: int

    def __call__(self, strategy: st.SearchStrategy[Any]) -> Any:
        return self.draw(strategy)


Run = Callable[[Scenario], Outcome]
Law = Callable[[Draw, Run], bool]

_BYTES = st.binary(min_size=wire.SIZE, max_size=wire.SIZE)
CASES = _BYTES.map(wire.decode)
_INT = st.integers(0, (1 << 31) - 1)
_U32 = st.integers(0, (1 << 32) - 1)
_FLAG = st.integers(0, 1)
_NEW_ADDRESS, _NEW_PORT, _NEW_DEVICE = mapped(0xC6336401), 999, 77  # in no pool


@cache
def _cases(lookup: int, reachable: bool) -> st.SearchStrategy[Scenario]:
    def made(data: bytes) -> Scenario:
        changed = bytearray(data)
        wire.put(changed, "head", 0, "lookup", lookup)
        wire.put(changed, "head", 0, "caller", RECEIVE)  # a law of its own is about BPF helpers
        if reachable:
            wire.put(changed, "head", 0, "hostile", 0)
        return wire.decode(changed)

    return _BYTES.map(made)


def _case(draw: Draw, reachable: bool = False) -> Scenario:
    case: Scenario = draw(_cases(draw.lookup, reachable))
    return case


def _ipv6(case: Scenario) -> bool:
    return case.lookup in IPV6_LOOKUPS


def _new_address(case: Scenario) -> int:
    """An address of the packet's family that nobody has."""
    return other_family(_NEW_ADDRESS) if _ipv6(case) else _NEW_ADDRESS


def _without_attached(case: Scenario) -> Scenario:
    """The case with nothing on the sk_buff; a SYN cookie's request, which is nowhere else, goes."""
    if case.packet.sk != NONE and case.socks[case.packet.sk].syncookie:
        return closed(case, case.packet.sk)
    return case._replace(packet=case.packet._replace(sk=NONE, destructor=DESTRUCTOR_NONE))


def _listening(draw: Draw) -> Scenario:
    """A reachable case in which listeners decide: nothing hangs on the packet, there are no connections, and all
    listen on the packet's port, on its address or on the wildcard.
    """
    case = _without_attached(_case(draw, reachable=True))
    packet = case.packet
    for i, sock in enumerate(case.socks):
        if sock.hashed == EHASH:
            case = closed(case, i)

    def at_the_packet(sock: Sock) -> Sock:
        if sock.hashed != LHASH2:
            return sock
        sock = sock._replace(num=packet.dport, netns=packet.netns)
        if not sock.rcv_saddr or (_ipv6(case) and sock.family != AF_INET6):
            return sock
        ipv6only = sock.ipv6only if not packet.daddr else int(is_ipv6(packet.daddr))
        return sock._replace(rcv_saddr=packet.daddr, ipv6only=ipv6only)

    return case._replace(socks=tuple(map(at_the_packet, case.socks)))


def _in_use(scenario: Scenario) -> Netns:
    return scenario.netns[scenario.packet.netns]


def dif(scenario: Scenario) -> int:
    """The packet's device: the route's, else the one that it came in by; in an L3 domain IPv6 knows the latter only."""
    packet = scenario.packet
    return packet.skb_iif if _ipv6(scenario) and packet.sdif else packet.rt_iif or packet.skb_iif


def fits(scenario: Scenario, sock: Sock) -> bool:
    """Whether the packet's device is one that the socket takes."""
    packet = scenario.packet
    if not sock.bound_dev_if:
        net = _in_use(scenario)
        return not packet.sdif or bool(
            net.udp_l3mdev_accept if scenario.lookup in UDP_LOOKUPS else net.tcp_l3mdev_accept
        )
    return sock.bound_dev_if in {dif(scenario), packet.sdif}


def _same_but_for_the_member(scenario: Scenario, one: Outcome, other: Outcome) -> None:
    """The outcomes differ in nothing, or in which member of a group they name."""
    assert one._replace(sk=0) == other._replace(sk=0)
    if one.sk != other.sk:
        assert any({one.sk, other.sk} <= {*group.slots[: group.num_socks]} for group in scenario.groups)


# --- nothing changes -------------------------------------------------------------------------------------------------


def the_same_case_gives_the_same_answer(draw: Draw, run: Run) -> bool:
    """Nothing is left behind by a lookup, nor by one of another case."""
    case, other = _case(draw), draw(CASES)
    first = run(case)
    run(other)
    assert run(case) == first
    return True


def a_table_s_size_does_not_matter(draw: Draw, run: Run) -> bool:
    """More buckets hold the same sockets: who shares a bucket with whom changes nothing."""
    case = _case(draw)
    sizes = st.sampled_from([1, 2, 4, 8, 256])
    assert run(case._replace(ehash_size=draw(sizes), lhash2_size=draw(sizes))) == run(case)
    return True


def the_hash_only_chooses_the_member(draw: Draw, run: Run) -> bool:
    """The boot's secrets and a namespace's hash_mix choose among the members of a group, and nothing else, where no two
    addresses of UDP have slots of their own: by those somebody may be met who is not where its address is looked for.
    """
    case = _case(draw)._replace(udp_size=1)
    nets = tuple(net._replace(hash_mix=draw(_U32)) for net in case.netns)
    other = case._replace(hash_secret=draw(_U32), hash_secret6=draw(_U32), netns=nets)
    one, two = (blind(run(c), "hash") for c in (case, other))
    _same_but_for_the_member(case, one, two)
    return one.sk != NONE


def _ends(scenario: Scenario, sock: Sock) -> tuple[int, int]:
    """The socket's addresses, its peer's first, as a lookup of this family sees them: IPv4's sees what an AF_INET6
    socket has as its IPv4 ones.
    """
    if _ipv6(scenario):
        return sock.daddr, sock.rcv_saddr
    return ipv4_view_of(sock, sock.daddr), ipv4_view_of(sock, sock.rcv_saddr)


def _place(scenario: Scenario, sock: Sock) -> tuple[int, ...]:
    """Sockets of different places cannot match one packet in one step of the lookup."""
    daddr, rcv_saddr = _ends(scenario, sock)
    if sock.hashed == EHASH:
        return (EHASH, sock.netns, daddr, rcv_saddr, sock.dport, sock.num)
    return (sock.hashed, sock.netns, rcv_saddr, sock.num)


def sockets_of_different_places_may_change_their_order(draw: Draw, run: Run) -> bool:
    """Only among those of one connection, and among listeners on one address and port, does the order count."""
    case = _case(draw)
    places = [_place(case, sock) for sock in case.socks]
    shuffled = draw(st.permutations(range(len(places))))
    left = {place: iter([i for i, other in enumerate(places) if other == place]) for place in places}
    order = [next(left[places[i]]) for i in shuffled]
    assert run(moved(case, order)) == moved_outcome(run(case), order)
    return order != sorted(order)


def devices_are_only_told_apart(draw: Draw, run: Run) -> bool:
    """Other ifindexes for the same devices change nothing."""
    case = _case(draw)
    names = dict(zip((1, 2, 3), draw(st.lists(_INT.filter(bool), min_size=3, max_size=3, unique=True)), strict=True))
    renamed = run(transform.devices_renamed(case, names))
    assert renamed == transform.shown_as(run(case), ingress_ifindex=lambda device: names.get(device, device))
    return bool(dif(case)) and any(sock.bound_dev_if for sock in case.socks)


def cpus_are_only_told_apart(draw: Draw, run: Run) -> bool:
    """Other numbers for the same CPUs change nothing."""
    case = _case(draw)
    names = dict(zip((0, 1, 2), draw(st.lists(_INT, min_size=3, max_size=3, unique=True)), strict=True))
    assert run(transform.cpus_renamed(case, names)) == run(case)
    return any(sock.incoming_cpu >= 0 and sock.kind == KIND_FULL for sock in case.socks)


def namespaces_are_only_told_apart(draw: Draw, run: Run) -> bool:
    """Two namespaces under each other's number change nothing."""
    case = _case(draw)
    swapped = run(transform.netns_swapped(case))
    assert swapped == transform.shown_as(run(case), netns=lambda number: 1 - number)
    return any(sock.netns != case.packet.netns for sock in case.socks)


def groups_are_only_told_apart(draw: Draw, run: Run) -> bool:
    """Other numbers for the same groups change nothing."""
    case = _case(draw)
    order = draw(st.permutations(range(len(case.groups))))
    renumbered = run(transform.groups_renumbered(case, order))
    assert renumbered == transform.shown_as(run(case), group=order.index)
    return order != sorted(order)


def what_is_behind_a_group_s_members_does_not_matter(draw: Draw, run: Run) -> bool:
    """A slot behind the live ones is never looked at, whoever it still points to."""
    case = _case(draw)
    if not case.socks:
        return False
    index = st.integers(0, len(case.socks) - 1)
    groups = tuple(
        group._replace(
            num_closed_socks=0,
            incoming_cpu=(
                group.incoming_cpu
                if case.hostile
                else sum(case.socks[i].incoming_cpu >= 0 for i in group.slots[: group.num_socks])
            ),
            slots=(
                *group.slots[: group.num_socks],
                *draw(st.lists(index, max_size=constants.MAX_SLOTS - group.num_socks)),
            ),
        )
        for group in case.groups
    )
    assert run(case._replace(groups=groups)) == run(case)
    return groups != case.groups and any(group.num_socks for group in groups)


def a_namespace_may_have_tables_of_its_own(draw: Draw, run: Run) -> bool:
    """It is the namespace that tells sockets apart, not the tables that they are in."""
    case = _case(draw)
    if case.foreign_hashinfo:
        return False
    nets = tuple(net._replace(own_hashinfo=draw(_FLAG)) for net in case.netns)
    assert run(case._replace(netns=nets)) == run(case)
    return nets != case.netns


def l3mdev_accept_is_for_unbound_sockets_and_slaves(draw: Draw, run: Run) -> bool:
    """tcp_l3mdev_accept matters to sockets without a device and packets of an L3 domain alone, UDP's never."""
    case = _case(draw)
    unbound = any(sock.netns == case.packet.netns and not sock.bound_dev_if for sock in case.socks)
    matters = bool(case.packet.sdif) and unbound
    nets = tuple(
        net._replace(
            udp_l3mdev_accept=1 - net.udp_l3mdev_accept,
            tcp_l3mdev_accept=net.tcp_l3mdev_accept if matters else 1 - net.tcp_l3mdev_accept,
        )
        for net in case.netns
    )
    assert run(case._replace(netns=nets)) == run(case)
    return not matters


def references_are_only_counted(draw: Draw, run: Run) -> bool:
    """Who has one reference is found like who has many, and none of them gets lost."""
    case = _case(draw)
    more = draw(st.integers(1, 1000))
    counts = [sock.refcnt + more * (1 <= sock.refcnt < 1000) for sock in case.socks]
    socks = tuple(sock._replace(refcnt=count) for sock, count in zip(case.socks, counts, strict=True))
    before, after = run(case), run(case._replace(socks=socks))
    added = zip(before.refcnt, counts, case.socks, strict=True) if before.ended == RETURNED else ()
    kept = before._replace(refcnt=tuple(old + new - sock.refcnt for old, new, sock in added))
    # What left its table with its last reference has more of them now, and a request among that keeps its listener.
    listener = tuple(
        sock.listener if before.freed >> i & 1 else old
        for i, (old, sock) in enumerate(zip(before.listener, case.socks, strict=False))
    )
    assert after == kept._replace(freed=0, listener=listener)
    return before.sk != NONE


def without_a_filter_the_bytes_do_not_matter(draw: Draw, run: Run) -> bool:
    """Only a socket filter pulls and sees the header: else the lookup is blind to doff, and to how the bytes lie."""
    case = _case(draw)
    groups = tuple(g._replace(prog=PROG_NONE if g.prog == FILTER else g.prog) for g in case.groups)
    case = case._replace(groups=groups)
    length = draw(st.integers(0, 70000))
    packet = case.packet._replace(
        doff=draw(st.integers(0, 100)),
        len=length,
        data_len=draw(st.integers(0, length)),
        users=draw(st.integers(1, 3)),
        clone_fails=draw(_FLAG),
        pull_fails=draw(_FLAG),
    )
    before, after = (blind(run(c), "headlen") for c in (case, case._replace(packet=packet)))
    if before.ended == RETURNED:
        before = before._replace(skb_len=length, skb_data_len=packet.data_len, skb_users=packet.users)
    assert after == before
    return before.sk != NONE


def _stolen_or_connected(scenario: Scenario, outcome: Outcome) -> bool:
    """Whether a listener had no chance: the packet had its socket, or has a connection, or the walk of the connections
    never ends, which a dying one in the packet's way may have kept from showing.
    """
    spoilt = outcome.ended != RETURNED or bool(scenario.ehash_nulls_xor)
    return scenario.packet.sk != NONE or bool(outcome.refcounted) or spoilt


def listeners_take_anyone(draw: Draw, run: Run) -> bool:
    """Who sends the packet matters to connections, to programs and to the choice of a group's member."""
    case = _listening(draw) if draw(_FLAG) else _case(draw)
    before = run(case)
    if _stolen_or_connected(case, before):
        return False
    other = run(case._replace(packet=case.packet._replace(saddr=_new_address(case), sport=_NEW_PORT)))
    _same_but_for_the_member(case, *(blind(outcome, "saddr", "sport", "hash") for outcome in (before, other)))
    return before.sk != NONE


def the_wildcard_takes_any_address(draw: Draw, run: Run) -> bool:
    """What is bound to 0.0.0.0 or :: does not see which of the host's addresses the packet is for, nor its group."""
    case = transform.without_programs(_listening(draw) if draw(_FLAG) else _case(draw))
    socks = (sock._replace(rcv_saddr=0) if sock.hashed == LHASH2 else sock for sock in case.socks)
    case = case._replace(socks=tuple(socks))
    before = run(case)
    if _stolen_or_connected(case, before) or not case.packet.daddr:
        return False
    assert run(case._replace(packet=case.packet._replace(daddr=_new_address(case)))) == before
    return before.sk != NONE


# --- somebody comes in -----------------------------------------------------------------------------------------------


@cache
def _misfits() -> dict[str, Callable[[Scenario, Sock], Sock]]:
    """Each spoils one thing of a socket that would get the packet."""
    return {
        "another local port": lambda case, sock: sock._replace(num=sock.num ^ 1),
        "another local address": lambda case, sock: sock._replace(rcv_saddr=_new_address(case)),
        "another namespace": lambda case, sock: sock._replace(netns=1 - sock.netns),
        "another device": lambda case, sock: sock._replace(bound_dev_if=_NEW_DEVICE),
        "in no table": lambda case, sock: sock._replace(hashed=NOWHERE),
        "closed": lambda case, sock: sock._replace(hashed=NOWHERE, state=TCP_CLOSE),
        "UDP's": lambda case, sock: sock._replace(hashed=NOWHERE, state=TCP_CLOSE, protocol=IPPROTO_UDP),
        "SCTP's": lambda case, sock: sock._replace(hashed=NOWHERE, state=TCP_CLOSE, protocol=IPPROTO_SCTP),
    }


def _of_the_other_family(case: Scenario, sock: Sock) -> Sock:
    """AF_INET6, as IPv4 connections and listeners on IPv4 addresses may be, too."""
    rcv_saddr, daddr = other_family(sock.rcv_saddr), other_family(sock.daddr)
    return sock._replace(family=AF_INET6, rcv_saddr=rcv_saddr, daddr=daddr, ipv6only=int(is_ipv6(rcv_saddr)))


def _of_the_other_family_alone(case: Scenario, sock: Sock) -> Sock:
    if _ipv6(case):
        return sock._replace(family=AF_INET, rcv_saddr=0, ipv6only=0)
    return sock._replace(family=AF_INET6, ipv6only=1)


@cache
def _misfit_listeners() -> dict[str, Callable[[Scenario, Sock], Sock]]:
    return {
        **_misfits(),
        "of the other family alone": _of_the_other_family_alone,
        "on the other family's address": _of_the_other_family,
        "unbound, in an L3 domain": lambda case, sock: sock._replace(bound_dev_if=0),
    }


@cache
def _misfit_connections() -> dict[str, Callable[[Scenario, Sock], Sock]]:
    return {
        **_misfits(),
        "another peer": lambda case, sock: sock._replace(daddr=_new_address(case)),
        "another port of the peer": lambda case, sock: sock._replace(dport=sock.dport ^ 1),
        "both ends swapped": lambda case, sock: sock._replace(
            daddr=sock.rcv_saddr, rcv_saddr=sock.daddr, dport=sock.num, num=sock.dport
        ),
        "another hash": lambda case, sock: sock._replace(hash_kind=HASH_WRONG),
        "of the other family": _of_the_other_family,
    }


def _best_listener(case: Scenario) -> Sock:
    """A listener that nothing beats."""
    packet = case.packet
    return Sock(
        rcv_saddr=packet.daddr,
        num=packet.dport,
        netns=packet.netns,
        bound_dev_if=dif(case) or packet.sdif,
        incoming_cpu=case.cpu,
        family=AF_INET6 if _ipv6(case) else AF_INET,
        ipv6only=int(is_ipv6(packet.daddr)),
        state=TCP_LISTEN,
        hashed=LHASH2,
        rcu_free=1,
    )


def _connection(case: Scenario) -> Sock:
    """The packet's own connection. One of IPv6 whose peer has a mapped address has IPv4's hash, else."""
    packet = case.packet
    return Sock(
        daddr=packet.saddr,
        rcv_saddr=packet.daddr,
        dport=packet.sport,
        num=packet.dport,
        netns=packet.netns,
        bound_dev_if=dif(case) or packet.sdif,
        family=AF_INET6 if _ipv6(case) else AF_INET,
        hash_kind=HASH_PACKET if _ipv6(case) and is_mapped(packet.saddr) else HASH_OWN,
        state=TCP_ESTABLISHED,
        hashed=EHASH,
        refcnt=2,
    )


def _newcomer(draw: Draw, case: Scenario) -> Sock | None:
    if draw(_FLAG):
        ways, sock = _misfit_listeners(), _best_listener(case)._replace(reuseport=draw(_FLAG))
    else:
        ways, sock = _misfit_connections(), _connection(case)
        kind = draw(st.sampled_from([KIND_FULL, KIND_REQUEST, KIND_TIMEWAIT]))
        state = {KIND_FULL: TCP_ESTABLISHED, KIND_REQUEST: 12, KIND_TIMEWAIT: 6}[kind]
        hash_kind = draw(st.sampled_from([sock.hash_kind, HASH_PACKET]))
        sock = sock._replace(kind=kind, state=state, hash_kind=hash_kind)
    way = draw(st.sampled_from(sorted(ways)))
    if way in ("closed", "UDP's", "SCTP's"):
        sock = sock._replace(kind=KIND_FULL)
    misfit = ways[way](case, sock)
    note(f"newcomer: {way}: {misfit}")
    no_misfit = misfit == sock or (way == "unbound, in an L3 domain" and fits(case, misfit))
    no_misfit |= ways[way] is _of_the_other_family and (misfit.daddr, misfit.rcv_saddr) == (sock.daddr, sock.rcv_saddr)
    no_misfit |= way == "both ends swapped" and (sock.daddr, sock.dport) == (sock.rcv_saddr, sock.num)
    no_misfit |= way == "another local address" and case.packet.daddr == _new_address(case)
    return None if no_misfit else misfit


def who_cannot_match_changes_nothing(draw: Draw, run: Run) -> bool:
    """One more socket, in no group, that fits in all but one thing: as if it were not there."""
    case = _case(draw)
    if len(case.socks) == transform.MAX_SOCKS:
        return False
    if len(case.netns) == 1:  # its twin: the same tables, the same hashes
        case = case._replace(netns=(*case.netns, case.netns[0]._replace(progs=())))
    sock = _newcomer(draw, case)
    if sock is None:
        return False
    at = draw(st.integers(0, len(case.socks)))
    before, after = run(case), run(opened(case, at, sock))
    if before.ended != RETURNED:
        assert after == before
        return False
    assert after.refcnt[at] == sock.refcnt
    assert moved_outcome(after, without(len(case.socks) + 1, at)) == before
    return True


def the_connection_s_own_socket_wins(draw: Draw, run: Run) -> bool:
    """Whatever listens: a packet of a connection goes to that connection, with a reference, and no program is run."""
    case = _case(draw)
    if case.packet.sk != NONE or case.foreign_hashinfo or len(case.socks) == transform.MAX_SOCKS:
        return False
    sock = _connection(case)
    if not fits(case, sock):
        return False
    new = len(case.socks)
    outcome = run(opened(case, new, sock))
    before = tuple(s.refcnt for s in case.socks)
    assert (outcome.sk, outcome.refcounted, outcome.shown) == (new, 1, ())
    assert outcome.refcnt == (*before, sock.refcnt + 1)
    return True


def a_program_that_chooses_nobody_changes_nothing(draw: Draw, run: Run) -> bool:
    """An sk_lookup program that passes without a socket, or takes back what others chose, is only run."""
    case = _case(draw)
    net = _in_use(case)
    if len(net.progs) == constants.MAX_PROGS or (net.progs and not (case.sk_lookup_enabled and net.run_array)):
        return False
    program = Program(SK_PASS, draw(st.sampled_from([LEAVE, NONE])), draw(_FLAG))
    more = transform.with_program(case, draw(st.integers(0, len(net.progs))), program)
    if not case.sk_lookup_enabled and any(other.progs for other in case.netns):
        return False

    def others(outcome: Outcome) -> Outcome:
        return outcome._replace(shown=tuple(s for s in outcome.shown if s[0] != SHOWN_SK_LOOKUP))

    before, after = run(case), run(more)
    assert others(after) == others(before)
    return len(after.shown) == len(before.shown) + 1


def the_last_choice_of_the_programs_wins(draw: Draw, run: Run) -> bool:
    """A listener chosen by the last sk_lookup program, past its group, wins over other choices, drops and listeners."""
    case = _case(draw)
    listeners = [i for i, sock in enumerate(case.socks) if sock.hashed == LHASH2]
    if not listeners or case.foreign_hashinfo:
        return False
    if _stolen_or_connected(case, run(case)):
        return False
    progs = _in_use(case).progs[: constants.MAX_PROGS - 1]
    nets = tuple(net._replace(progs=progs) if net == _in_use(case) else net for net in case.netns)
    chosen = draw(st.sampled_from(listeners))
    more = transform.with_program(case._replace(netns=nets), len(progs), Program(SK_PASS, chosen, no_reuseport=1))
    outcome = run(more)
    assert (outcome.sk, outcome.refcounted) == (chosen, 0)
    return True


def _bind_winner(draw: Draw, run: Run, change: Callable[[Scenario, Sock], Sock]) -> bool:
    case = _listening(draw)
    before = run(case)
    if _stolen_or_connected(case, before) or before.sk == NONE:
        return False
    winner = case.socks[before.sk]
    better = change(case, winner)
    if better == winner:
        return False
    socks = (*case.socks[: before.sk], better, *case.socks[before.sk + 1 :])
    groups = list(case.groups)
    if winner.group != NONE:
        group = groups[winner.group]
        asked = (better.incoming_cpu >= 0) - (winner.incoming_cpu >= 0)
        groups[winner.group] = group._replace(incoming_cpu=group.incoming_cpu + asked)
    assert run(case._replace(socks=socks, groups=tuple(groups))).sk == before.sk
    return True


def a_winner_bound_to_the_packet_s_device_still_wins(draw: Draw, run: Run) -> bool:
    """A listener bound to the packet's device is never worse than the same one unbound."""

    def change(case: Scenario, winner: Sock) -> Sock:
        packet = case.packet
        devices = [device for device in (dif(case), packet.sdif) if device]
        if winner.bound_dev_if or not devices:
            return winner
        return winner._replace(bound_dev_if=draw(st.sampled_from(devices)))

    return _bind_winner(draw, run, change)


def a_winner_that_asks_for_this_cpu_still_wins(draw: Draw, run: Run) -> bool:
    """SO_INCOMING_CPU for the CPU of the packet never costs a listener the packet."""
    return _bind_winner(draw, run, lambda case, winner: winner._replace(incoming_cpu=case.cpu))


# --- somebody goes ---------------------------------------------------------------------------------------------------


def wants(scenario: Scenario, sock: Sock) -> int:
    """How many things a listener asked for that the packet has: a device, IPv4 alone, this CPU. IPv6's lookup has no
    listener of AF_INET.
    """
    return (sock.bound_dev_if > 0) + (sock.family == AF_INET) + (sock.incoming_cpu == scenario.cpu)


def _met(sock: Sock, index: int) -> tuple[int, int]:
    """When a search meets a listener among those of its address and port: who listened last first, but AF_INET6
    sockets with SO_REUSEPORT behind all others, and of them who listened first.
    """
    return (1, index) if sock.family != AF_INET and sock.reuseport != sock.reuseport_changed else (0, -index)


def _candidates(scenario: Scenario, daddr: int) -> list[int]:
    """Listeners on an address that may have the packet, in the order in which the search meets them."""
    packet = scenario.packet
    found = [
        i
        for i, sock in enumerate(scenario.socks)
        if _place(scenario, sock) == (LHASH2, packet.netns, daddr, packet.dport)
        and (sock.family == AF_INET6 if _ipv6(scenario) else not sock.ipv6only)
        and fits(scenario, sock)
    ]
    return sorted(found, key=lambda i: _met(scenario.socks[i], i))


def preference(scenario: Scenario) -> list[int]:
    """All sockets that may have the packet, the preferred first; for cases without groups, programs and an attached
    socket. A connection before a listener, an exact address before the wildcard, who asked for more before who asked
    for less, who is met first.
    """
    packet = scenario.packet
    connection = (EHASH, packet.netns, packet.saddr, packet.daddr, packet.sport, packet.dport)
    connected = [
        i for i, sock in enumerate(scenario.socks) if _place(scenario, sock) == connection and fits(scenario, sock)
    ]
    listening: list[int] = []
    for daddr in dict.fromkeys((packet.daddr, 0)):
        listening += sorted(_candidates(scenario, daddr), key=lambda i: -wants(scenario, scenario.socks[i]))
    return connected[::-1] + listening


def _peeled(case: Scenario, run: Run, most: int) -> Iterator[tuple[Scenario, Outcome]]:
    """The case, the case without its winner, the one without that one's winner, ..."""
    for _ in range(most):
        outcome = run(case)
        yield case, outcome
        if outcome.sk == NONE:
            return
        case = closed(case, outcome.sk)


def without_the_winner_the_next_best_wins(draw: Draw, run: Run) -> bool:
    """Where no group and no program has a say, sockets that are closed as they win come out in order of preference."""
    case = transform.without_programs(transform.dissolved(_listening(draw)))
    if draw(_FLAG) and len(case.socks) < transform.MAX_SOCKS:
        case = opened(case, draw(st.integers(0, len(case.socks))), _connection(case))
    wanted = preference(case)
    for (_, outcome), index in zip(_peeled(case, run, 5), [*wanted, NONE], strict=False):
        assert outcome.sk == index
    return len(wanted) > 1


def _heard(scenario: Scenario, daddr: int) -> tuple[int, bool]:
    """(socket, whether its group answers) of the search on an address. A member that is met before any other
    listener asked for as much makes its group answer, there and then. Without such a one, who asked for most has it.
    """
    best = NONE
    for i in _candidates(scenario, daddr):
        sock = scenario.socks[i]
        if best == NONE or wants(scenario, sock) > wants(scenario, scenario.socks[best]):
            best = i
            if sock.reuseport and sock.group != NONE and scenario.groups[sock.group].num_socks:
                return i, True
    return best, False


def a_group_answers_for_the_first_who_is_heard(draw: Draw, run: Run) -> bool:
    """With groups: the winner is the one that is heard, or somebody of its group, and so on when he is closed."""
    case = transform.without_programs(_listening(draw))
    if draw(_FLAG):  # as it was when the members bound: they may have cleared the flag since
        case = case._replace(socks=tuple(s._replace(reuseport=s.reuseport | (s.group != NONE)) for s in case.socks))
    applies = False
    for now, outcome in _peeled(case, run, 4):
        if outcome.refcounted:
            continue
        index, answers = _heard(now, now.packet.daddr)
        if index == NONE:
            index, answers = _heard(now, 0)
        if answers:
            group = now.groups[now.socks[index].group]
            drops = group.prog == SK_REUSEPORT and group.verdict != SK_PASS
            assert outcome.sk == NONE if drops else outcome.sk in group.slots[: group.num_socks]
            applies = True
        else:
            assert outcome.sk == index
    return applies


# --- what hangs on the packet ---------------------------------------------------------------------------------------


def _cookie(scenario: Scenario) -> bool:
    """Whether a request whose SYN cookie BPF validated hangs on the packet."""
    packet = scenario.packet
    return packet.destructor == PFREE and packet.sk != NONE and bool(scenario.socks[packet.sk].syncookie)


def what_hangs_on_the_packet_gets_it(draw: Draw, run: Run) -> bool:
    """A socket on the sk_buff gets the packet, whatever is in the tables. A listener that BPF assigned, or that its
    request came from, lets its group choose.
    """
    case = _case(draw)
    if not case.socks:
        return False
    packet = case.packet
    if packet.sk == NONE:
        members = [i for i, sock in enumerate(case.socks) if sock.group != NONE and sock.reuseport]
        if members and draw(_FLAG):
            packet = packet._replace(sk=draw(st.sampled_from(members)), destructor=PFREE)
        else:
            packet = packet._replace(sk=draw(st.integers(0, len(case.socks) - 1)), destructor=draw(st.integers(0, 3)))
        case = case._replace(packet=packet)
    first = case.socks[packet.sk].listener if _cookie(case) else packet.sk
    if first == NONE:
        return False
    outcome = run(case)
    empty = tuple(sock._replace(hashed=NOWHERE) for sock in case.socks)
    assert run(transform.without_programs(case._replace(socks=empty))) == outcome
    sock = case.socks[first]
    listens = (sock.protocol, sock.state) in ((IPPROTO_TCP, TCP_LISTEN), (IPPROTO_UDP, TCP_CLOSE))
    assigned = packet.destructor == PFREE and sock.kind == KIND_FULL and listens
    if not (assigned and sock.reuseport and sock.group != NONE and case.groups[sock.group].num_socks):
        assert outcome.sk == first
        return True
    group = case.groups[sock.group]
    chosen = {*group.slots[: group.num_socks]}
    if all(case.socks[i].state == TCP_ESTABLISHED for i in chosen):  # nobody takes new peers
        chosen.add(first)
    if group.prog == SK_REUSEPORT:
        chosen = chosen | {group.select} - {NONE} if group.verdict == SK_PASS else {NONE}
    assert outcome.sk in chosen
    return True


# --- the ledger ------------------------------------------------------------------------------------------------------


def _held(scenario: Scenario, index: int, sk: int, destructor: int) -> int:
    """References to a socket that an sk_buff holds: one to the socket that hangs on it, none if BPF assigned a socket
    that needs none.
    """
    sock = scenario.socks[index]
    return int(sk == index and not (destructor == PFREE and sock.kind == KIND_FULL and sock.rcu_free))


def every_reference_is_accounted_for(draw: Draw, run: Run) -> bool:
    """What a socket's count grew by is what sk_buff and caller hold more than before; else the kernel warns.

    A request whose SYN cookie BPF validated is an exception that balances: it stays on the sk_buff as it was, and
    hands its listener, which needs no reference, or a member of that one's group to the caller. A connection that left
    its table meanwhile has lost the table's reference, and is freed if that was the last, a request with its listener.
    """
    case = _case(draw)
    outcome = run(case)
    if outcome.ended != RETURNED:
        return False
    packet = case.packet
    cookie = _cookie(case)
    stolen = packet.sk != NONE and not cookie
    assert (outcome.skb_sk, outcome.destructor) == (
        (NONE, DESTRUCTOR_NONE) if stolen else (packet.sk, packet.destructor)
    )
    assert outcome.listener == tuple(
        NONE if (cookie and i == packet.sk) or outcome.freed >> i & 1 else sock.listener
        for i, sock in enumerate(case.socks)
    )
    if cookie and case.socks[packet.sk].listener != NONE:
        assert not outcome.refcounted
    assert (outcome.sections, outcome.clones, outcome.skb_data, outcome.skb_cb) == (0, 0, 0, 0)
    assert outcome.skb_users == packet.users
    assert outcome.refcounted in (0, 1)
    if outcome.warns:  # a count that would overflow, or a reference that nobody holds any more
        return False
    for i, sock in enumerate(case.socks):
        before = _held(case, i, packet.sk, packet.destructor)
        after = _held(case, i, outcome.skb_sk, outcome.destructor) + (outcome.refcounted and outcome.sk == i)
        lost = after - before - (outcome.refcnt[i] - sock.refcnt)
        assert 0 <= lost <= lost_meanwhile(case.events, i)
        assert not outcome.freed >> i & 1 or (lost and not outcome.refcnt[i])
    return outcome.sk != NONE


def a_filter_s_run_pulls_the_header_and_nothing_else(draw: Draw, run: Run) -> bool:
    """run_bpf_filter(): the header that lies in pages is pulled for a filter, of a shared packet into a clone, which is
    shown to the filter behind the header, and freed. Where that fails no filter runs, and the packet stays as it was.
    """
    case = _case(draw)
    packet = case.packet
    members = [i for i, s in enumerate(case.socks) if s.group != NONE and s.reuseport and s.kind == KIND_FULL]
    if members and draw(st.integers(0, 3)):
        packet = packet._replace(sk=draw(st.sampled_from(members)), destructor=PFREE)
    length = draw(st.integers(20, 80))
    packet = packet._replace(
        doff=draw(st.integers(20, 60)),
        len=length,
        data_len=draw(st.integers(0, length)),
        users=draw(st.integers(1, 2)),
    )
    case = case._replace(packet=packet, groups=tuple(group._replace(prog=FILTER) for group in case.groups))
    outcome = run(case)
    if outcome.ended != RETURNED:
        return False
    missing = max(0, packet.doff - (packet.len - packet.data_len))
    shared = packet.users != 1
    runs = [
        dict(zip(SHOWN_NAMES[SHOWN_FILTER], args, strict=True)) for kind, *args in outcome.shown if kind == SHOWN_FILTER
    ]
    left = packet.data_len - (missing if runs and not shared else 0)
    assert (outcome.skb_data_len, outcome.skb_len, outcome.skb_data) == (left, packet.len, 0)
    assert (outcome.skb_users, outcome.clones, outcome.skb_cb) == (packet.users, 0, 0)
    if runs:
        assert packet.doff <= packet.len
        assert not (shared and packet.clone_fails)
        assert not (missing and packet.pull_fails)
    seen = {"clone": int(shared), "data": packet.doff, "len": packet.len - packet.doff}
    for one in runs:
        assert one == {**one, **seen, "data_len": packet.data_len - missing}
    return bool(runs)


def _taken(case: Scenario, outcome: Outcome) -> bool:
    """Whether the lookup took a reference to a connection that is in its table."""
    found = outcome.sk
    return found >= 0 and case.socks[found].hashed == EHASH and outcome.refcnt[found] == case.socks[found].refcnt + 1


def _connected(draw: Draw) -> Scenario:
    """A case, now and then with the packet's own connection."""
    case = _case(draw)
    if draw(_FLAG) and len(case.socks) < transform.MAX_SOCKS:
        case = opened(case, draw(st.integers(0, len(case.socks))), _connection(case))
    return case


def a_count_that_would_overflow_is_pinned(draw: Draw, run: Run) -> bool:
    """refcount_inc_not_zero(): a count at its end, or beyond, is found like any other, pinned in the middle of the
    upper half with a warning, and nobody else's is touched.
    """
    case = _connected(draw)
    before = run(case)
    if not _taken(case, before):
        return False
    count = draw(st.sampled_from((INT_MAX, INT_MAX + 1, REFCOUNT_SATURATED, (1 << 32) - 1)))
    socks = tuple(s._replace(refcnt=count) if i == before.sk else s for i, s in enumerate(case.socks))
    after = run(case._replace(socks=socks))
    assert any("saturated" in warning for warning in after.warns)
    counts = tuple(REFCOUNT_SATURATED if i == before.sk else n for i, n in enumerate(before.refcnt))
    assert after == before._replace(refcnt=counts, warns=after.warns)
    return True


def a_connection_that_goes_while_it_is_taken_is_not_found(draw: Draw, run: Run) -> bool:
    """__inet_lookup_established() looks again after it took its reference: who has left the table by then, or is
    another connection, gets nothing, and the packet goes where it would go without it.
    """
    case = _connected(draw)
    before = run(case)
    if not _taken(case, before):
        return False
    gone = closed(case, before.sk)
    if gone._replace(socks=case.socks) != case:  # a program may still choose it, by its name
        return False
    sk = before.sk
    leaves = Event(point=AT_TAKEN, at=sk, action=LEAVES, sk=sk)
    reused = Event(point=AT_TAKING, at=sk, action=REUSED, sk=sk, value=case.socks[sk].dport ^ 1)
    event = draw(st.sampled_from((leaves, reused)))
    after, without_it = run(case._replace(events=(event,))), run(gone)
    assert after.ended == without_it.ended
    if after.ended == RETURNED:
        assert (after.sk, after.refcounted) == (without_it.sk, without_it.refcounted)
        assert after.freed == (event == leaves and case.socks[sk].refcnt == 1) << sk
    return True


def _meanwhile(draw: Draw) -> Scenario:
    """A reachable case in which one thing happens meanwhile."""
    case = bytearray(draw(_BYTES)) + bytes(wire.MOST - wire.SIZE)
    wire.put(case, "head", 0, "lookup", draw.lookup)
    aim(case, Random(draw(_INT)))
    for name, value in (("lookup", draw.lookup), ("caller", RECEIVE), ("hostile", 0)):
        wire.put(case, "head", 0, name, value)
    wire.put(case, "events", 0, "count", 1)
    wire.put(case, "head", 0, "udp_size", draw(st.sampled_from((1, 2))))
    return wire.decode(bytes(case))


_CHANGE_GROUPS = (LEAVES, COMES, REBOUND, CONNECTS, DISCONNECTS)


def the_answer_is_that_of_some_moment(draw: Draw, run: Run) -> bool:
    """Linearisability: who gets the packet would have got it from tables that stand as they do at some moment of the
    lookup. Not so where a group is counted and then changes, or where a connection that dies ends the search though
    another one would fit; of UDP, where a socket takes the walk along into another slot of hash2, or connects between
    its score and the look at its state: corpus/races has these.
    """
    case = _meanwhile(draw)
    if len(case.events) != 1 or case.packet.sk != NONE:
        return False
    [event] = case.events
    ends = {(sock.netns, sock.daddr, sock.rcv_saddr, sock.dport, sock.num) for sock in case.socks}
    counted = event.point in (AT_MEMBERS, AT_PROGRAM, AT_RAN) and event.action in _CHANGE_GROUPS
    carried = event.action == CONNECTS or (event.action in (DISCONNECTS, MOVES) and case.udp_size > 1)
    twins = len(ends) != len(case.socks) and case.lookup not in UDP_LOOKUPS
    if counted or carried or twins:
        return False
    outcome = run(case)
    if not outcome.fired:
        return False
    assert outcome.sk in {run(moment).sk for moment in moments(case)}
    return True


def who_connects_to_the_sender_is_found_all_the_while(draw: Draw, run: Run) -> bool:
    """A socket that takes the packet now, and will when it is connected to its sender, takes it in the middle of
    connect(), wherever the lookup is by then: what udp4_lib_lookup1() is for.
    """
    case = _without_attached(_case(draw, reachable=True))
    sock = Sock(protocol=IPPROTO_UDP, hashed=UDP_HASHED, rcu_free=1, num=case.packet.dport, netns=case.packet.netns)
    sock = sock._replace(family=AF_INET6 if _ipv6(case) else AF_INET, rcv_saddr=draw(st.sampled_from((0, 1))))
    if sock.rcv_saddr:
        sock = sock._replace(rcv_saddr=case.packet.daddr, ipv6only=int(is_ipv6(case.packet.daddr)))
    nets = tuple(net._replace(run_array=0, progs=()) for net in case.netns)
    case = case._replace(socks=(sock,), groups=(), netns=nets, sk_lookup_enabled=0)
    event = Event(action=CONNECTS, sk=0, value=case.packet.sport, point=draw(st.sampled_from((AT_LINK, AT_NODE))))
    event = event._replace(nth=draw(st.integers(1, 4)), steps=draw(st.integers(0, 8)))
    case = case._replace(events=(event,))
    if problems(case) or not fits(case, sock):
        return False
    outcome = run(case)
    assert outcome.sk == 0
    return bool(outcome.fired)


# --- the other family ------------------------------------------------------------------------------------------------


def its_image_in_ipv6_has_the_same_winner(draw: Draw, run: Run) -> bool:
    """A case of IPv4 and the same one with addresses of IPv6 end alike, and programs see the same but for the family.

    That is so where all sockets are of one family: an AF_INET listener has a point for it, which tells it from those of
    AF_INET6; IPv6's lookup has no such point, nor such listeners. There are no groups, for the hashes, which choose the
    members, differ; no SO_REUSEPORT, for AF_INET6 listeners that have it are met last; and no packet of an L3 domain
    with a device of its route, which only IPv4 looks at.
    """
    case = as_ipv4_alone(_case(draw))
    image = ipv6_image(case)
    if dif(case) != dif(image):
        return False
    ours, theirs = run(case), run(image)
    assert theirs == transform.shown_as(
        ours, family=lambda _: AF_INET6, saddr=other_family, daddr=other_family, ipv6=lambda _: 1
    )
    return ours.sk != NONE


def _datagram(draw: Draw) -> Scenario:
    """A reachable case of UDP that is looked up: nothing hangs on the packet, which is for one host, and no early demux
    asks before. Nobody is in a group, or in the middle of connect(), or has an IPv6 peer that it was connected to.
    """
    case = transform.dissolved(_without_attached(_case(draw, reachable=True)))
    here = other_family(HERE) if _ipv6(case) else HERE
    packet = case.packet
    daddr = packet.daddr if packet.pkt_type == PACKET_HOST else here
    packet = packet._replace(daddr=daddr, pkt_type=PACKET_HOST)

    def done(sock: Sock) -> Sock:
        if sock.hashed != UDP_HASHED:
            return sock
        if sock.state == TCP_CLOSE:
            sock = sock._replace(daddr=0, dport=0)
        return sock._replace(hash2=BOUND)

    return case._replace(caller=RECEIVE, packet=packet, socks=tuple(map(done, case.socks)))


def a_datagram_s_image_in_ipv6_has_the_same_winner(draw: Draw, run: Run) -> bool:
    """A case of UDP over IPv4 and the same one with addresses of IPv6 have the same winner.

    That is so where all sockets are of one family, as for TCP. A peer and a device have four points in IPv4 and one in
    IPv6, a CPU has one in both: so nobody asks for a CPU.
    """
    case = as_ipv4_alone(_datagram(draw))
    case = case._replace(socks=tuple(sock._replace(incoming_cpu=NONE) for sock in case.socks))
    image = ipv6_image(case)
    if dif(case) != dif(image):
        return False
    ours = run(case)
    assert run(image).sk == ours.sk
    return ours.sk != NONE


def who_is_connected_to_the_sender_gets_the_datagram(draw: Draw, run: Run) -> bool:
    """A socket that is connected to the sender gets its datagram, if nobody else is: programs are not asked, and who is
    not connected has fewer points, whatever its device (with its CPU it may have as many in IPv6, so nobody asks for
    one). There are no groups, whose answer may come before.
    """
    case = _datagram(draw)
    packet, family = case.packet, AF_INET6 if _ipv6(case) else AF_INET
    if not packet.saddr or not packet.daddr or not packet.sport or is_ipv6(packet.saddr) != is_ipv6(packet.daddr):
        return False
    if _ipv6(case) and not is_ipv6(packet.daddr):
        return False
    ends = {"daddr": packet.saddr, "dport": packet.sport, "rcv_saddr": packet.daddr, "num": packet.dport}
    bound = [sock for sock in case.socks if sock.hashed == UDP_HASHED and sock.state == TCP_CLOSE]
    others = tuple(sock._replace(incoming_cpu=NONE) for sock in bound)
    mine = Sock(
        **ends,
        family=family,
        ipv6only=int(_ipv6(case)),
        protocol=IPPROTO_UDP,
        hashed=UDP_HASHED,
        rcu_free=1,
        state=TCP_ESTABLISHED,
        netns=packet.netns,
        bound_dev_if=draw(st.sampled_from([0, dif(case)])),
    )
    if not mine.num or not fits(case, mine):
        return False
    at = draw(st.integers(0, min(len(others), transform.MAX_SOCKS - 1)))
    nets = tuple(net._replace(progs=tuple(p._replace(assign=LEAVE) for p in net.progs)) for net in case.netns)
    socks = (*others[:at], mine, *others[at : transform.MAX_SOCKS - 1])
    assert run(case._replace(socks=socks, netns=nets)).sk == at
    return True


def a_bpf_helper_finds_who_gets_the_packet(draw: Draw, run: Run) -> bool:
    """A helper finds whom a packet with the same addresses, ports, devices and namespace finds, if nothing hangs on
    that and no program of a group runs, which wants an sk_buff.
    """
    case = _without_attached(_case(draw, reachable=True))
    groups = tuple(group._replace(prog=PROG_NONE) for group in case.groups)
    plain = Packet(doff=case.packet.doff)
    packet = case.packet._replace(rt_iif=0, len=plain.len, data_len=0, pkt_type=PACKET_HOST)
    if pkt_type_of(case.lookup, packet.daddr) != PACKET_HOST:
        return False
    case = case._replace(caller=RECEIVE, packet=packet, groups=groups)
    ours, theirs = run(case), run(case._replace(caller=HELPER))
    assert (theirs.ended, theirs.sk, theirs.refcnt, theirs.freed) == (ours.ended, ours.sk, ours.refcnt, ours.freed)
    return ours.sk != NONE


# Laws that do not hold for all lookups, with those for which they do. Of TCP are those about its tables, the order in
# which it searches them, and its references.
TCP, UDP = (TCP4, TCP6), (UDP4, UDP6)
ONLY: dict[Law, tuple[int, ...]] = {
    its_image_in_ipv6_has_the_same_winner: (TCP4,),
    a_datagram_s_image_in_ipv6_has_the_same_winner: (UDP4,),
    who_is_connected_to_the_sender_gets_the_datagram: UDP,
    who_connects_to_the_sender_is_found_all_the_while: UDP,
    **dict.fromkeys(
        (
            l3mdev_accept_is_for_unbound_sockets_and_slaves,
            listeners_take_anyone,
            the_wildcard_takes_any_address,
            who_cannot_match_changes_nothing,
            the_connection_s_own_socket_wins,
            the_last_choice_of_the_programs_wins,
            without_the_winner_the_next_best_wins,
            a_group_answers_for_the_first_who_is_heard,
            what_hangs_on_the_packet_gets_it,
            every_reference_is_accounted_for,
            a_filter_s_run_pulls_the_header_and_nothing_else,
            a_count_that_would_overflow_is_pinned,
            a_connection_that_goes_while_it_is_taken_is_not_found,
        ),
        TCP,
    ),
}


def lookups_of(law: Law) -> tuple[int, ...]:
    """For which lookups a law holds."""
    return ONLY.get(law, (*LOOKUPS,))


# Each law, and in which share of the drawn cases it must at least apply.
LAWS: dict[Law, float] = {
    the_same_case_gives_the_same_answer: 1,
    a_table_s_size_does_not_matter: 1,
    the_hash_only_chooses_the_member: 0.35,
    sockets_of_different_places_may_change_their_order: 0.4,
    devices_are_only_told_apart: 0.4,
    cpus_are_only_told_apart: 0.4,
    namespaces_are_only_told_apart: 0.2,
    groups_are_only_told_apart: 0.2,
    what_is_behind_a_group_s_members_does_not_matter: 0.2,
    a_namespace_may_have_tables_of_its_own: 0.3,
    l3mdev_accept_is_for_unbound_sockets_and_slaves: 0.3,
    references_are_only_counted: 0.4,
    without_a_filter_the_bytes_do_not_matter: 0.3,
    listeners_take_anyone: 0.15,
    the_wildcard_takes_any_address: 0.1,
    who_cannot_match_changes_nothing: 0.4,
    the_connection_s_own_socket_wins: 0.2,
    a_program_that_chooses_nobody_changes_nothing: 0.1,
    the_last_choice_of_the_programs_wins: 0.2,
    a_winner_bound_to_the_packet_s_device_still_wins: 0.1,
    a_winner_that_asks_for_this_cpu_still_wins: 0.1,
    without_the_winner_the_next_best_wins: 0.2,
    a_group_answers_for_the_first_who_is_heard: 0.15,
    what_hangs_on_the_packet_gets_it: 0.4,
    every_reference_is_accounted_for: 0.3,
    a_filter_s_run_pulls_the_header_and_nothing_else: 0.05,
    a_count_that_would_overflow_is_pinned: 0.1,
    a_connection_that_goes_while_it_is_taken_is_not_found: 0.1,
    the_answer_is_that_of_some_moment: 0.1,
    who_connects_to_the_sender_is_found_all_the_while: 0.1,
    its_image_in_ipv6_has_the_same_winner: 0.3,
    a_datagram_s_image_in_ipv6_has_the_same_winner: 0.2,
    who_is_connected_to_the_sender_gets_the_datagram: 0.3,
    a_bpf_helper_finds_who_gets_the_packet: 0.2,
}
