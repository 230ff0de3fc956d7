"""From drawn fields to a valid Scenario: indices into range, and for a reachable one, what a real system would have.

It changes as little as it can, so that a small change of the drawn fields stays a small change of the Scenario.
"""

from skdiff.cases.addresses import ANY, MAPPED_ANY, as_ipv4, is_ipv6, is_mapped, other_family
from skdiff.cases.derived import CONNECTION, UDP_HEADER, is_for_many, is_handed_over, run_array, sk_lookup_enabled
from skdiff.cases.events import MOST_REFERENCES
from skdiff.cases.fields import positions
from skdiff.cases.pools import HERE, PORT, Raw
from skdiff.cases.reachable import MOST_CPUS
from skdiff.cases.scenario import (
    AF_INET,
    AF_INET6,
    BOUND,
    DEMUX,
    DESTRUCTOR_NONE,
    EDEMUX,
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
    PACKET_MULTICAST,
    PFREE,
    RECEIVE,
    SK_DROP,
    SK_PASS,
    TCP_CLOSE,
    TCP_ESTABLISHED,
    TCP_LISTEN,
    UDP_HASHED,
    UDP_LOOKUPS,
    Group,
    Netns,
    Packet,
    Program,
    Scenario,
    Sock,
)
from skdiff.cases.validity import MINI_STATE
from tests.by_python.normalise_groups import fit_family, reachable_group
from tests.by_python.normalise_packet import come_in, reachable_packet
from tests.by_python.normalise_udp import connect, go_with, into_udp_tables, settle
from tests.by_python.places import (
    ASSIGN,
    CALLER,
    CHANGED,
    DADDR,
    DEVICE,
    DPORT,
    ENABLED,
    FAMILY,
    FOREIGN,
    G_CLOSED,
    G_NUM,
    G_SELECT,
    GROUP,
    H_CPU,
    HASH2,
    HASH_KIND,
    HASHED,
    HOSTILE,
    IPV6ONLY,
    KIND,
    LISTENER,
    LOOKUP,
    MC_REFUSES,
    NETNS,
    NO_PPREV,
    NULLS_XOR,
    NUM,
    P_DADDR,
    P_DATA_LEN,
    P_DESTRUCTOR,
    P_DOFF,
    P_LEN,
    P_NETNS,
    P_PKT_TYPE,
    P_SADDR,
    P_SK,
    PROTOCOL,
    RCU_FREE,
    RCV_SADDR,
    REFCNT,
    REUSEPORT,
    RUN_ARRAY,
    STATE,
    SYNCOOKIE,
    VERDICT,
)

_CONNECTION = positions(Sock, *CONNECTION)
_MANY_REFERENCES = 3
_MINI_STATES = (*MINI_STATE.values(),)


def normalise(raw: Raw) -> Scenario:
    """The valid Scenario nearest to the drawn fields, which are used up. It is its own nearest one.

    The fields may have any values of `valid_values.valid_range`, not only those of their pools.
    """
    head, packet, netns, groups, socks = raw
    n_netns, n_groups, n_socks = len(netns), len(groups), len(socks)
    ipv6 = head[LOOKUP] in IPV6_LOOKUPS
    if not ipv6:
        packet[P_SADDR], packet[P_DADDR] = as_ipv4(packet[P_SADDR]), as_ipv4(packet[P_DADDR])
    packet[P_NETNS] %= n_netns
    packet[P_SK] = _in_range(packet[P_SK], n_socks)
    if packet[P_DATA_LEN] > packet[P_LEN]:
        packet[P_DATA_LEN] = 0
    udp = head[LOOKUP] in UDP_LOOKUPS
    if udp:
        packet[P_DOFF] = UDP_HEADER
    elif head[CALLER] == DEMUX:
        head[CALLER] = RECEIVE
    if head[CALLER] == HELPER:
        packet[P_SK], packet[P_DESTRUCTOR] = NONE, DESTRUCTOR_NONE
    for sock in socks:
        sock[NETNS] %= n_netns
        if sock[KIND] == KIND_FULL:
            if sock[STATE] in _MINI_STATES:
                sock[STATE] = TCP_CLOSE
            if sock[GROUP] >= n_groups:
                sock[GROUP] = sock[GROUP] % n_groups if n_groups else NONE
            sock[LISTENER] = NONE
            sock[SYNCOOKIE] = 0
            if sock[HASHED] == UDP_HASHED:
                sock[PROTOCOL] = IPPROTO_UDP
                sock[NUM] = sock[NUM] or PORT
        else:
            sock[STATE] = MINI_STATE[sock[KIND]]
            sock[GROUP] = NONE
            sock[RCU_FREE] = 0
            if sock[HASHED] in (LHASH2, UDP_HASHED):
                sock[HASHED] = EHASH
            sock[LISTENER] = _in_range(sock[LISTENER], n_socks) if sock[KIND] == KIND_REQUEST else NONE
            if sock[KIND] != KIND_REQUEST:
                sock[SYNCOOKIE] = 0
        fit_family(sock)
    for fields, slots in groups:
        slots[:] = [slot % n_socks for slot in slots] if n_socks else []
        fields[G_NUM] = min(fields[G_NUM], len(slots))
        fields[G_CLOSED] = min(fields[G_CLOSED], len(slots) - fields[G_NUM])
        fields[G_SELECT] = _in_range(fields[G_SELECT], n_socks)
    if udp:
        into_udp_tables(packet, socks, bool(head[HOSTILE]))
    if head[HOSTILE]:
        made_groups = [Group._make((*fields, tuple(slots))) for fields, slots in groups]
        made_netns = [_netns(fields, progs, socks) for fields, progs in netns]
    else:
        daddr = packet[P_DADDR]
        reachable_packet(packet, head[LOOKUP], head[CALLER])
        if packet[P_PKT_TYPE] == PACKET_MULTICAST and packet[P_DADDR] != daddr:
            go_with(packet, socks, daddr)
        _reachable_socks(socks)
        made_groups = [reachable_group(i, fields, slots, socks) for i, (fields, slots) in enumerate(groups)]
        _reachable_in_listen(socks)
        _reachable_requests(socks, packet[P_SK])
        _reachable_attached(packet, socks, head[LOOKUP])
        if packet[P_SK] == NONE and packet[P_PKT_TYPE]:
            come_in(packet, head[LOOKUP], head[CALLER])  # it may have lost a socket, whose group moved it
        made_netns = [_reachable_netns(fields, progs, socks, head[LOOKUP]) for fields, progs in netns]
        head[NULLS_XOR] = head[FOREIGN] = 0
        if not 0 <= head[H_CPU] < MOST_CPUS:
            head[H_CPU] = 0
        head[ENABLED] = sk_lookup_enabled(net.progs for net in made_netns)
    for sock in socks:
        if sock[HASHED] == UDP_HASHED:
            if sock[HASH2] and sock[RCV_SADDR] in (ANY, MAPPED_ANY):
                sock[HASH2] = BOUND
        else:
            sock[HASH2], sock[MC_REFUSES] = BOUND, 0
            if sock[HASHED] != LHASH2:
                sock[CHANGED] = 0
    return Scenario._make(
        (*head, Packet._make(packet), tuple(made_netns), tuple(made_groups), tuple(map(Sock._make, socks)), ())
    )


def _in_range(index: int, count: int) -> int:
    return index if index < count else (index % count if count else NONE)


def _netns(fields: list[int], progs: list[list[int]], socks: list[list[int]]) -> Netns:
    for program in progs:
        assign = program[ASSIGN] = _in_range(program[ASSIGN], len(socks))
        if assign >= 0 and socks[assign][KIND] != KIND_FULL:
            program[ASSIGN] = LEAVE
    return Netns._make((*fields, tuple(map(Program._make, progs))))


def _reachable_netns(fields: list[int], progs: list[list[int]], socks: list[list[int]], lookup: int) -> Netns:
    fields[RUN_ARRAY] = run_array(progs)
    for program in progs:
        if program[VERDICT] not in (SK_DROP, SK_PASS):
            program[VERDICT] = SK_PASS
        assign = program[ASSIGN] = _in_range(program[ASSIGN], len(socks))
        if assign >= 0:
            sock = socks[assign]
            other = sock[FAMILY] == AF_INET if lookup in IPV6_LOOKUPS else sock[IPV6ONLY]
            table, state = (UDP_HASHED, TCP_CLOSE) if lookup in UDP_LOOKUPS else (LHASH2, TCP_LISTEN)
            if sock[HASHED] != table or sock[STATE] != state or other:
                program[ASSIGN] = LEAVE
    return Netns._make((*fields, tuple(map(Program._make, progs))))


def _reachable_socks(socks: list[list[int]]) -> None:
    requests = set()
    for sock in socks:
        sock[HASH_KIND] = sock[NO_PPREV] = 0
        if not 1 <= sock[REFCNT] <= MOST_REFERENCES:
            sock[REFCNT] = _MANY_REFERENCES if sock[REFCNT] else 1
        if sock[DEVICE] < 0:
            sock[DEVICE] = 0
        if not sock[NUM]:
            sock[NUM] = PORT
        if sock[FAMILY] != AF_INET and sock[FAMILY] != AF_INET6:
            sock[FAMILY] = AF_INET
        if sock[PROTOCOL] == IPPROTO_TCP and is_ipv6(sock[RCV_SADDR]) and is_for_many(sock[RCV_SADDR]):
            sock[RCV_SADDR] = other_family(HERE)
        if sock[KIND] != KIND_FULL:
            sock[HASHED] = EHASH
            sock[PROTOCOL] = IPPROTO_TCP
            if sock[KIND] == KIND_REQUEST:
                sock[REUSEPORT] = 0
        elif sock[HASHED] == UDP_HASHED:
            settle(sock)
            continue
        elif sock[PROTOCOL] != IPPROTO_TCP:
            sock[HASHED] = NOWHERE
            if sock[STATE] != TCP_ESTABLISHED:
                sock[STATE] = TCP_CLOSE
            if sock[PROTOCOL] == IPPROTO_UDP:
                sock[RCU_FREE] = 1
        elif sock[HASHED] == LHASH2:
            sock[STATE] = TCP_LISTEN
            sock[RCU_FREE] = 1
            sock[DPORT] = 0
        elif sock[HASHED] == NOWHERE:
            sock[STATE] = TCP_CLOSE
        elif sock[STATE] in (TCP_LISTEN, TCP_CLOSE):
            sock[STATE] = TCP_ESTABLISHED
        if sock[HASHED] == EHASH:
            connect(sock)
            if sock[KIND] == KIND_REQUEST:
                connection = tuple([sock[place] for place in _CONNECTION])
                if connection in requests:
                    _close(sock)
                requests.add(connection)
        elif sock[FAMILY] == AF_INET6 and sock[RCV_SADDR]:
            if sock[STATE] != TCP_ESTABLISHED or is_mapped(sock[RCV_SADDR]):
                sock[IPV6ONLY] = int(is_ipv6(sock[RCV_SADDR]))
        elif sock[FAMILY] == AF_INET:
            sock[IPV6ONLY] = 0


def _reachable_in_listen(socks: list[list[int]]) -> None:
    """Who has SO_REUSEPORT in listen() comes into a group there; who is in none has set it later."""
    for sock in socks:
        if sock[HASHED] == LHASH2 and sock[GROUP] == NONE and sock[REUSEPORT] != sock[CHANGED]:
            sock[CHANGED] = sock[REUSEPORT]


def _close(sock: list[int]) -> None:
    """A bound socket that is in no table."""
    sock[KIND], sock[HASHED], sock[STATE], sock[GROUP] = KIND_FULL, NOWHERE, TCP_CLOSE, NONE
    sock[DADDR] = sock[DPORT] = sock[SYNCOOKIE] = 0
    sock[LISTENER] = NONE
    sock[IPV6ONLY] = int(is_ipv6(sock[RCV_SADDR]))


def _reachable_requests(socks: list[list[int]], attached: int) -> None:
    for number, sock in enumerate(socks):
        if sock[KIND] != KIND_REQUEST:
            continue
        listener = socks[sock[LISTENER]] if sock[LISTENER] != NONE else None
        if (
            listener is None
            or listener[KIND] != KIND_FULL
            or listener[PROTOCOL] != IPPROTO_TCP
            or listener[NETNS] != sock[NETNS]
            or listener[STATE] not in (TCP_LISTEN, TCP_CLOSE)
            or (listener[IPV6ONLY] and not is_ipv6(sock[RCV_SADDR]))
            or (listener[FAMILY] != AF_INET6 and is_ipv6(sock[RCV_SADDR]))
        ):
            sock[KIND], sock[LISTENER], sock[SYNCOOKIE] = KIND_TIMEWAIT, NONE, 0
            sock[STATE] = MINI_STATE[KIND_TIMEWAIT]
            continue
        sock[FAMILY] = listener[FAMILY]
        if sock[SYNCOOKIE] and attached == number and listener[STATE] == TCP_LISTEN:
            sock[HASHED], sock[REFCNT] = NOWHERE, 0
        else:
            sock[SYNCOOKIE] = 0


def _reachable_attached(packet: list[int], socks: list[list[int]], lookup: int) -> None:
    index = packet[P_SK]
    if index == NONE:
        packet[P_DESTRUCTOR] = DESTRUCTOR_NONE
        return
    sock = socks[index]
    if packet[P_DESTRUCTOR] not in (PFREE, EDEMUX):
        packet[P_DESTRUCTOR] = EDEMUX
    if not is_handed_over(lookup, Sock._make(sock)):
        packet[P_DESTRUCTOR] = PFREE
    by_bpf = packet[P_DESTRUCTOR] == PFREE
    elsewhere = sock[PROTOCOL] == IPPROTO_UDP and lookup not in UDP_LOOKUPS
    found = sock[HASHED] != NOWHERE or sock[SYNCOOKIE] or elsewhere
    if sock[NETNS] != packet[P_NETNS] or not found:
        packet[P_SK], packet[P_DESTRUCTOR] = NONE, DESTRUCTOR_NONE
        if sock[SYNCOOKIE]:
            sock[SYNCOOKIE], sock[HASHED], sock[REFCNT] = 0, EHASH, 1
        return
    if not sock[SYNCOOKIE] and (not by_bpf or sock[KIND] != KIND_FULL or not sock[RCU_FREE]):
        sock[REFCNT] = max(sock[REFCNT], 2)
