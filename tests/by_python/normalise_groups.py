"""Drawn groups as a system can have them: the part of `normalise.py` that is about groups and their members."""

from skdiff.cases.addresses import as_ipv4, is_ipv6
from skdiff.cases.derived import GROUP_KEY, NOT_LISTENING, UDP_GROUP_KEY, WILDCARDS, group_facts
from skdiff.cases.fields import positions
from skdiff.cases.pools import DRAWN_SLOTS, DRAWN_SOCKS
from skdiff.cases.record import constants
from skdiff.cases.scenario import (
    AF_INET6,
    BOUND,
    EHASH,
    IPPROTO_TCP,
    IPPROTO_UDP,
    LHASH2,
    NONE,
    NOWHERE,
    PROG_NONE,
    UDP_HASHED,
    Group,
    Sock,
)
from tests.by_python.normalise_udp import fit_members_address, settle
from tests.by_python.places import (
    CPU,
    DADDR,
    FAMILY,
    G_CLOSED,
    G_CONNS,
    G_CPU,
    G_ID,
    G_INANY,
    G_NUM,
    G_PROG,
    G_SELECT,
    GROUP,
    HASH2,
    HASHED,
    IPV6ONLY,
    PROTOCOL,
    RCV_SADDR,
)

_GROUP_KEY, _UDP_GROUP_KEY = positions(Sock, *GROUP_KEY), positions(Sock, *UDP_GROUP_KEY)


def fit_family(sock: list[int]) -> None:
    """A socket has addresses of its family; a listener on one of IPv6 is ipv6only, as bind() makes it."""
    if sock[FAMILY] != AF_INET6:
        sock[DADDR], sock[RCV_SADDR] = as_ipv4(sock[DADDR]), as_ipv4(sock[RCV_SADDR])
    elif sock[HASHED] == LHASH2 and is_ipv6(sock[RCV_SADDR]):
        sock[IPV6ONLY] = 1


def reachable_group(number: int, fields: list[int], slots: list[int], socks: list[list[int]]) -> Group:
    """The group of that number, whose members become alike in what they must have in common."""
    live, closed, alone = _members(number, socks)
    members = live + closed if closed else live
    if len(members) > 1:
        _make_alike([socks[i] for i in members])
    first, last = _by_slot(live, slots), _by_slot(closed, slots)
    stale = [slot for slot in slots[fields[G_NUM] :] if slot not in members][: _most(socks) - len(members)]
    fields[G_NUM], fields[G_CLOSED] = len(live), len(closed)
    address = (NOT_LISTENING if alone else socks[members[0]][RCV_SADDR]) if members else None
    conns = _has_conns([socks[i] for i in members], fields[G_CONNS])
    facts = group_facts(number, [socks[i][CPU] for i in members], address, fields[G_INANY], conns)
    fields[G_ID], fields[G_CPU], fields[G_INANY], fields[G_CONNS] = facts
    if not members:
        fields[G_PROG] = PROG_NONE
    select = fields[G_SELECT]
    if select not in live:
        fields[G_SELECT] = live[select % len(live)] if live and select != NONE else NONE
    return Group._make((*fields, (*first, *stale, *last)))


def _make_alike(members: list[list[int]]) -> None:
    first, *others = members
    if is_ipv6(first[RCV_SADDR]):  # a connected one need not be, but the others are bound
        first[IPV6ONLY] = 1
    keys = _UDP_GROUP_KEY if any(sock[HASHED] == UDP_HASHED for sock in members) else _GROUP_KEY
    if keys is _UDP_GROUP_KEY:
        fit_members_address(first)  # it may be in no table itself
    for sock in others:
        for key in keys:
            sock[key] = first[key]
        fit_family(sock)
        if sock[HASHED] == UDP_HASHED:
            settle(sock)


def _has_conns(members: list[list[int]], drawn: int) -> int:
    if any(sock[HASHED] == UDP_HASHED and sock[DADDR] for sock in members):
        return 1
    bound = any(sock[PROTOCOL] == IPPROTO_UDP and sock[RCV_SADDR] not in WILDCARDS for sock in members)
    return drawn if bound else 0


def _by_slot(members: list[int], slots: list[int]) -> list[int]:
    if len(members) < 2:
        return members
    return sorted(members, key=lambda i: slots.index(i) if i in slots else len(slots) + i)


def _most(socks: list[list[int]]) -> int:
    """How many slots a group has at most: of a case that is larger than drawn ones, as many as there is room for."""
    return DRAWN_SLOTS if len(socks) <= DRAWN_SOCKS else constants.MAX_SLOTS


def _members(number: int, socks: list[list[int]]) -> tuple[list[int], list[int], bool]:
    """The live members of a group and the closed ones, and whether the only one never listened. Who cannot be in it has
    no group any more.
    """
    live: list[int] = []
    closed: list[int] = []
    connected: list[int] = []
    protocol, most = None, _most(socks)
    for i, sock in enumerate(socks):
        if sock[GROUP] != number:
            continue
        if sock[HASHED] == EHASH:
            connected.append(i)
        elif (
            len(live) + len(closed) == most
            or protocol not in (None, sock[PROTOCOL])
            or (sock[HASHED] == UDP_HASHED and not _stays(sock, socks[live[0]] if live else sock))
        ):
            sock[GROUP] = NONE
        else:
            protocol = sock[PROTOCOL]
            (closed if protocol == IPPROTO_TCP and sock[HASHED] == NOWHERE else live).append(i)
    if not connected:
        return live, closed, False
    alone = not live and not closed
    for i in connected[alone:]:
        socks[i][GROUP] = NONE
    return connected[:1] if alone else live, closed, alone


def _stays(sock: list[int], first: list[int]) -> bool:
    """Whether a socket of UDP is still in its group: connect() from the wildcard has it leave."""
    return sock[HASH2] == BOUND and not (sock[DADDR] and first[RCV_SADDR] in WILDCARDS)
