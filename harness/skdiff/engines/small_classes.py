"""Classes of the sockets of small tables: those of a class stand in the same chain, can be in the same group, and can
have the same done to them, so that tables of them are counted without a look at each.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from skdiff.cases.addresses import ipv4_view, low_word
from skdiff.cases.derived import GROUP_KEY, UDP_GROUP_KEY, WILDCARDS, is_handed_over, plain_packet, with_derived
from skdiff.cases.pools import HERE, MANY, PEER, PEER_PORT, PORT
from skdiff.cases.reachable import assignable
from skdiff.cases.scenario import (
    AF_INET6,
    EHASH,
    IPPROTO_TCP,
    IPPROTO_UDP,
    IPV6_LOOKUPS,
    KIND_FULL,
    NONE,
    NOWHERE,
    PFREE,
    UDP_HASHED,
    UDP_LOOKUPS,
    Group,
    Netns,
    Scenario,
    Sock,
)
from skdiff.cases.validity import not_on, problems
from skdiff.engines.small_socks import DIF, JOINS, SDIF, Thing, things
from skdiff.variants.config import Config
from skdiff.variants.version_rules import Rules

NETNS = (Netns(hash_mix=0x5BD1E995), Netns(hash_mix=0xFFFFFFFE))
# How much a socket may differ from a plain one, by the number of sockets in the table: all in all, and where something
# else is special about the table. To be in a group is not counted there.
MOST = {0: 0, 1: 3, 2: 2, 3: 2}
MOST_IF_SPECIAL = {0: 0, 1: 2, 2: 1, 3: 1}
# The chains that a lookup looks through, in the order of a sequence of classes.
MISSED, CONNECTED, EXACT, WILDCARD = range(4)


class Kernel(NamedTuple):
    """What the domain must know of a kernel: what it cannot reach is not in it."""

    rules: Rules
    config: Config


class Reach(NamedTuple):
    """What kernels must have to reach some tables: VRFs, and BPF that can attach a socket with SO_REUSEPORT."""

    l3mdev: bool = True
    assigns_reuseport: bool = True


ALL = Reach()


class Class(NamedTuple):
    """What the tables of a sequence of things have in common: the chain of a thing, of how many sockets it is, whether
    it is a plain one but for being in a group (`light`), whether a packet of a VRF alone can tell it from others
    (`sdif`), whether it is in the second namespace, and

    - `searched`, whether the lookup can find it;
    - `joins`, what the members of its group have in common, () for no group; `closed`, whether it is a closed one;
    - `assignable` by sk_lookup programs; `attachable` to the packet by BPF, and `handed_over` by others; `cookie`, if
      it is nowhere else but there; `asking`, if it
      asks its group, which not all BPF can attach;
    - `remembers`, whether its group may have had a connected member that one does not see.
    """

    chain: int
    sockets: int
    light: bool
    sdif: bool
    far: bool
    searched: bool
    joins: tuple[int, ...]
    closed: bool
    cookie: bool
    assignable: bool
    attachable: bool
    handed_over: bool
    asking: bool
    remembers: bool


def things_of(lookup: int, sockets: int, kernels: Sequence[Kernel], many: bool = False) -> list[Thing]:
    """The things that tables with just so many sockets are made of. In larger tables one that the lookup misses for one
    reason is not made to be missed, or otherwise special, for two.
    """

    def valid(socks: tuple[Sock, ...]) -> bool:
        return is_valid(lookup, socks, kernels)

    found: list[Thing] = []
    for thing in things(lookup, MOST_IF_SPECIAL[sockets] if many else MOST[sockets], valid):
        if many:
            found += _of_many(thing, valid)
            continue
        beside = thing.deviations - (thing.socks[-1].group == JOINS)
        missed = thing.searched and chain_of(lookup, thing.socks[-1]) == MISSED
        if sockets == 1 or beside < 2 or not missed:
            found.append(thing)
    return found


def _of_many(thing: Thing, valid: Callable[[tuple[Sock, ...]], bool]) -> Iterator[Thing]:
    """What is in UDP's tables, on a group of hosts in the place of the packet's address; in that group, or not."""
    sock = thing.socks[0]
    if sock.hashed != UDP_HASHED or sock.group != NONE:
        return
    for refuses in (0, 1):
        moved = sock._replace(rcv_saddr=MANY if sock.rcv_saddr == HERE else sock.rcv_saddr, mc_refuses=refuses)
        if valid((moved,)):
            yield thing._replace(socks=(moved,))


def is_valid(lookup: int, socks: tuple[Sock, ...], kernels: Sequence[Kernel]) -> bool:
    """Whether all of some kernels can reach such sockets, with nothing else in their tables."""
    scenario = alone(lookup, socks)
    return not problems(scenario) and not any(not_on(scenario, *kernel) for kernel in kernels)


def alone(lookup: int, socks: tuple[Sock, ...]) -> Scenario:
    """A case with such sockets and nothing else; a SYN cookie's request hangs on its packet."""
    members = [i for i, sock in enumerate(socks) if sock.group == JOINS]
    closed = [i for i in members if is_closed(socks[i])]
    live = [i for i in members if i not in closed]
    groups = (Group(num_socks=len(live), num_closed_socks=len(closed), slots=(*live, *closed)),) if members else ()
    packet = plain_packet(lookup, HERE)._replace(skb_iif=DIF)
    if socks[-1].syncookie:
        packet = packet._replace(sk=len(socks) - 1, destructor=PFREE)
    return with_derived(Scenario(lookup=lookup, packet=packet, netns=NETNS, groups=groups, socks=socks))


def is_closed(sock: Sock) -> bool:
    """Whether a member of a group is in its closed section."""
    return sock.protocol == IPPROTO_TCP and sock.hashed == NOWHERE


def chain_of(lookup: int, sock: Sock) -> int:
    """Where a lookup of the packets of `small_packets.py` meets a socket: whether it fits is another question."""
    if sock.netns or sock.num != PORT or (sock.hashed != UDP_HASHED) == (lookup in UDP_LOOKUPS):
        return MISSED
    ipv6 = lookup in IPV6_LOOKUPS
    if sock.hashed == NOWHERE or (ipv6 and sock.family != AF_INET6):
        return MISSED
    address, peer = low_word(sock.rcv_saddr), low_word(sock.daddr)
    if ipv6 and (sock.rcv_saddr >> 32 == 0xFFFF or sock.daddr >> 32 == 0xFFFF):
        return MISSED
    if not ipv6:
        address, peer = ipv4_view(sock.rcv_saddr), ipv4_view(sock.daddr)
    if sock.hashed == EHASH:
        fits = (address, peer, sock.dport) == (low_word(HERE), low_word(PEER), PEER_PORT)
        return CONNECTED if fits else MISSED
    if not address:
        return WILDCARD
    return EXACT if address in (low_word(HERE), low_word(MANY)) else MISSED


def class_of(lookup: int, thing: Thing, sockets: int, reach: Reach = ALL) -> Class:
    """The class of a thing in tables with so many sockets that are in reach of some kernels."""
    last = thing.socks[-1]
    chains = [chain_of(lookup, sock) for sock in thing.socks]
    member = next((sock for sock in thing.socks if sock.group != NONE), None)
    keys = UDP_GROUP_KEY if member is not None and member.hashed == UDP_HASHED else GROUP_KEY
    udp = lookup in UDP_LOOKUPS
    elsewhere = last.protocol == IPPROTO_UDP and last.hashed == NOWHERE and not udp
    light = thing.deviations - (member is not None) <= MOST_IF_SPECIAL[sockets]
    free = light and not last.netns and last.refcnt < 2  # of one that hangs on the packet the count says nothing new
    return Class(
        chain=chains[0] or chains[-1],
        sockets=len(thing.socks),
        light=light,
        sdif=any(sock.bound_dev_if == SDIF for sock in thing.socks),
        far=any(sock.netns for sock in thing.socks),
        searched=thing.searched,
        joins=tuple(getattr(member, key) for key in keys) if member is not None else (),
        closed=member is not None and is_closed(member),
        cookie=bool(last.syncookie),
        # Nothing else is special about tables with one that is not light.
        assignable=light and assignable(lookup, last),
        attachable=free and (last.hashed != NOWHERE or elsewhere),
        handed_over=free and is_handed_over(lookup, last),
        asking=light and not reach.assigns_reuseport and last.kind == KIND_FULL and bool(last.reuseport),
        remembers=light
        and member is not None
        and member.protocol == IPPROTO_UDP
        and not last.daddr
        and last.rcv_saddr not in WILDCARDS,
    )
