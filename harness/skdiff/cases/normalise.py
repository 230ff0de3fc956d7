"""From drawn fields to a valid Scenario: indices into range, and for a reachable one, what a real system would have.

It changes as little as it can, so that a small change of the drawn fields stays a small change of the Scenario.
"""

from collections.abc import Iterable

from skdiff.cases.addresses import ANY, MAPPED_ANY, as_ipv4, is_ipv6, is_mapped, other_family
from skdiff.cases.derived import (
    CONNECTION,
    GROUP_KEY,
    NOT_LISTENING,
    group_facts,
    is_of_family,
    run_array,
    sk_lookup_enabled,
)
from skdiff.cases.fields import positions
from skdiff.cases.normalise_packet import reachable_packet
from skdiff.cases.pools import HERE, PEER, PEER_PORT, PORT, Raw
from skdiff.cases.reachable import MOST_CPUS, MOST_REFERENCES
from skdiff.cases.record import constants
from skdiff.cases.scenario import (
    AF_INET,
    AF_INET6,
    DESTRUCTOR_NONE,
    EDEMUX,
    EHASH,
    IPPROTO_TCP,
    IPPROTO_UDP,
    IPV6_LOOKUPS,
    KIND_FULL,
    KIND_REQUEST,
    KIND_TIMEWAIT,
    LEAVE,
    LEAVES,
    LHASH2,
    NONE,
    NOWHERE,
    PFREE,
    PROG_NONE,
    SK_DROP,
    SK_PASS,
    TCP_CLOSE,
    TCP_ESTABLISHED,
    TCP_LISTEN,
    Group,
    Netns,
    Packet,
    Program,
    Scenario,
    Sock,
)
from skdiff.cases.validity import MINI_STATE

# Where each field stands in its list: drawn fields are lists, for speed.
(DADDR, RCV_SADDR, REFCNT, BOUND, CPU, DPORT, NUM, PROTOCOL, HASH_KIND, KIND, FAMILY, IPV6ONLY, STATE, NETNS) = (
    positions(
        Sock,
        *("daddr", "rcv_saddr", "refcnt", "bound_dev_if", "incoming_cpu", "dport", "num", "protocol", "hash_kind"),
        *("kind", "family", "ipv6only", "state", "netns"),
    )
)
(RCU_FREE, REUSEPORT, CHANGED, HASHED, NO_PPREV, RACE, SYNCOOKIE, GROUP, LISTENER) = positions(
    Sock, "rcu_free", "reuseport", "reuseport_changed", "hashed", "no_pprev", "race", "syncookie", "group", "listener"
)
_P_DADDR, _P_DOFF, _P_LEN, _P_DATA_LEN, _P_USERS, _P_CLONE_FAILS, _P_PULL_FAILS = positions(
    Packet, "daddr", "doff", "len", "data_len", "users", "clone_fails", "pull_fails"
)
_P_NETNS, _P_DESTRUCTOR, _P_SK = positions(Packet, "netns", "destructor", "sk")
_P_SADDR, _P_RT_IIF, _P_SKB_IIF, _P_SDIF = positions(Packet, "saddr", "rt_iif", "skb_iif", "sdif")
_G_NUM, _G_CLOSED, _G_PROG, _G_VERDICT, _G_SELECT = positions(
    Group, "num_socks", "num_closed_socks", "prog", "verdict", "select"
)
_G_ID, _G_CPU, _G_INANY = positions(Group, "reuseport_id", "incoming_cpu", "bind_inany")
_VERDICT, _ASSIGN = positions(Program, "verdict", "assign")
(_RUN_ARRAY,) = positions(Netns, "run_array")
_NULLS_XOR, _LOOKUP, _HOSTILE, _FOREIGN, _ENABLED, _CPU = positions(
    Scenario, "ehash_nulls_xor", "lookup", "hostile", "foreign_hashinfo", "sk_lookup_enabled", "cpu"
)
MAX_SLOTS: int = constants.MAX_SLOTS
_GROUP_KEY = positions(Sock, *GROUP_KEY)
_CONNECTION = positions(Sock, *CONNECTION)
_MANY_REFERENCES = 3
_A_DEVICE = 2  # the first that is not lo
_MINI_STATES = (*MINI_STATE.values(),)


def normalise(raw: Raw) -> Scenario:
    """The valid Scenario nearest to the drawn fields, which are used up. It is its own nearest one.

    The fields may have any values of `valid_values.valid_range`, not only those of their pools.
    """
    head, packet, netns, groups, socks = raw
    n_netns, n_groups, n_socks = len(netns), len(groups), len(socks)
    ipv6 = head[_LOOKUP] in IPV6_LOOKUPS
    if not ipv6:
        packet[_P_SADDR], packet[_P_DADDR] = as_ipv4(packet[_P_SADDR]), as_ipv4(packet[_P_DADDR])
    packet[_P_NETNS] %= n_netns
    packet[_P_SK] = _in_range(packet[_P_SK], n_socks)
    if packet[_P_DATA_LEN] > packet[_P_LEN]:
        packet[_P_DATA_LEN] = 0
    for sock in socks:
        sock[NETNS] %= n_netns
        if sock[KIND] == KIND_FULL:
            if sock[STATE] in _MINI_STATES:
                sock[STATE] = TCP_CLOSE
            if sock[GROUP] >= n_groups:
                sock[GROUP] = sock[GROUP] % n_groups if n_groups else NONE
            sock[LISTENER] = NONE
            sock[SYNCOOKIE] = 0
        else:
            sock[STATE] = MINI_STATE[sock[KIND]]
            sock[GROUP] = NONE
            sock[RCU_FREE] = 0
            if sock[HASHED] == LHASH2:
                sock[HASHED] = EHASH
            sock[LISTENER] = _in_range(sock[LISTENER], n_socks) if sock[KIND] == KIND_REQUEST else NONE
            if sock[KIND] != KIND_REQUEST:
                sock[SYNCOOKIE] = 0
        _fit_family(sock)
    for fields, slots in groups:
        slots[:] = [slot % n_socks for slot in slots] if n_socks else []
        fields[_G_NUM] = min(fields[_G_NUM], len(slots))
        fields[_G_CLOSED] = min(fields[_G_CLOSED], len(slots) - fields[_G_NUM])
        fields[_G_SELECT] = _in_range(fields[_G_SELECT], n_socks)
    if head[_HOSTILE]:
        made_groups = [Group._make((*fields, tuple(slots))) for fields, slots in groups]
        made_netns = [_netns(fields, progs, socks) for fields, progs in netns]
    else:
        reachable_packet(packet, head[_LOOKUP])
        _reachable_socks(socks)
        made_groups = [_reachable_group(i, fields, slots, socks) for i, (fields, slots) in enumerate(groups)]
        _reachable_in_listen(socks)
        _reachable_requests(socks, packet[_P_SK])
        _reachable_attached(packet, socks, head[_LOOKUP])
        made_netns = [_reachable_netns(fields, progs, socks, head[_LOOKUP]) for fields, progs in netns]
        head[_NULLS_XOR] = head[_FOREIGN] = 0
        if not 0 <= head[_CPU] < MOST_CPUS:
            head[_CPU] = 0
        head[_ENABLED] = sk_lookup_enabled(net.progs for net in made_netns)
    freed = []
    for number, sock in enumerate(socks):
        if sock[RACE] and (sock[HASHED] != EHASH or sock[NO_PPREV]):
            sock[RACE] = 0
        if sock[CHANGED] and sock[HASHED] != LHASH2:
            sock[CHANGED] = 0
        if sock[RACE] == LEAVES and sock[REFCNT] == 1:
            freed.append(number)
    if freed:
        _keep_named(freed, packet, made_groups, made_netns, socks)
    return Scenario._make(
        (*head, Packet._make(packet), tuple(made_netns), tuple(made_groups), tuple(map(Sock._make, socks)))
    )


def _fit_family(sock: list[int]) -> None:
    """A socket has addresses of its family; a listener on one of IPv6 is ipv6only, as bind() makes it."""
    if sock[FAMILY] != AF_INET6:
        sock[DADDR], sock[RCV_SADDR] = as_ipv4(sock[DADDR]), as_ipv4(sock[RCV_SADDR])
    elif sock[HASHED] == LHASH2 and is_ipv6(sock[RCV_SADDR]):
        sock[IPV6ONLY] = 1


def _keep_named(
    freed: Iterable[int], packet: list[int], groups: list[Group], netns: list[Netns], socks: list[list[int]]
) -> None:
    """A socket that the lookup frees, and that something else still names, has one reference more."""
    named = {packet[_P_SK], *(sock[LISTENER] for sock in socks)}
    named.update(index for group in groups for index in (group.select, *group.slots))
    named.update(program.assign for net in netns for program in net.progs)
    for number in freed:
        if number in named:
            socks[number][REFCNT] = 2


def _in_range(index: int, count: int) -> int:
    return index if index < count else (index % count if count else NONE)


def _netns(fields: list[int], progs: list[list[int]], socks: list[list[int]]) -> Netns:
    for program in progs:
        assign = program[_ASSIGN] = _in_range(program[_ASSIGN], len(socks))
        if assign >= 0 and socks[assign][KIND] != KIND_FULL:
            program[_ASSIGN] = LEAVE
    return Netns._make((*fields, tuple(map(Program._make, progs))))


def _reachable_netns(fields: list[int], progs: list[list[int]], socks: list[list[int]], lookup: int) -> Netns:
    fields[_RUN_ARRAY] = run_array(progs)
    for program in progs:
        if program[_VERDICT] not in (SK_DROP, SK_PASS):
            program[_VERDICT] = SK_PASS
        assign = program[_ASSIGN] = _in_range(program[_ASSIGN], len(socks))
        if assign >= 0:
            sock = socks[assign]
            other = sock[FAMILY] == AF_INET if lookup in IPV6_LOOKUPS else sock[IPV6ONLY]
            if sock[HASHED] != LHASH2 or other:
                program[_ASSIGN] = LEAVE
    return Netns._make((*fields, tuple(map(Program._make, progs))))


def _reachable_socks(socks: list[list[int]]) -> None:
    requests = set()
    for sock in socks:
        sock[HASH_KIND] = sock[NO_PPREV] = 0
        if not 1 <= sock[REFCNT] <= MOST_REFERENCES:
            sock[REFCNT] = _MANY_REFERENCES if sock[REFCNT] else 1
        if sock[BOUND] < 0:
            sock[BOUND] = 0
        if not sock[NUM]:
            sock[NUM] = PORT
        if sock[FAMILY] != AF_INET and sock[FAMILY] != AF_INET6:
            sock[FAMILY] = AF_INET
        if sock[KIND] != KIND_FULL:
            sock[HASHED] = EHASH
            sock[PROTOCOL] = IPPROTO_TCP
            if sock[KIND] == KIND_REQUEST:
                sock[REUSEPORT] = 0
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
            _connect(sock)
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


def _connect(sock: list[int]) -> None:
    """Both ends of a connection have addresses, of one family, and ports. Any would do; those of a packet are found."""
    ipv6 = is_ipv6(sock[RCV_SADDR]) or (is_ipv6(sock[DADDR]) and sock[RCV_SADDR] in (ANY, MAPPED_ANY))
    for place, plain in ((DADDR, PEER), (RCV_SADDR, HERE)):
        if sock[place] in (ANY, MAPPED_ANY):
            sock[place] = other_family(plain) if ipv6 else plain
        elif is_ipv6(sock[place]) != ipv6:
            sock[place] = other_family(plain) if ipv6 else as_ipv4(sock[place]) or plain
    sock[DPORT] = sock[DPORT] or PEER_PORT
    if not ipv6:
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


def _reachable_group(number: int, fields: list[int], slots: list[int], socks: list[list[int]]) -> Group:
    live, closed, alone = _members(number, socks)
    members = live + closed if closed else live
    if len(members) > 1:
        first_member = socks[members[0]]
        if is_ipv6(first_member[RCV_SADDR]):  # a connected one need not be, but the others are bound
            first_member[IPV6ONLY] = 1
        for i in members[1:]:
            for key in _GROUP_KEY:
                socks[i][key] = first_member[key]
            _fit_family(socks[i])

    first, last = _by_slot(live, slots), _by_slot(closed, slots)
    stale = [slot for slot in slots[fields[_G_NUM] :] if slot not in members][: MAX_SLOTS - len(members)]
    fields[_G_NUM], fields[_G_CLOSED] = len(live), len(closed)
    address = (NOT_LISTENING if alone else socks[members[0]][RCV_SADDR]) if members else None
    facts = group_facts(number, [socks[i][CPU] for i in members], address, fields[_G_INANY])
    fields[_G_ID], fields[_G_CPU], fields[_G_INANY] = facts
    if not members:
        fields[_G_PROG] = PROG_NONE
    select = fields[_G_SELECT]
    if select not in live:
        fields[_G_SELECT] = live[select % len(live)] if live and select != NONE else NONE
    return Group._make((*fields, (*first, *stale, *last)))


def _by_slot(members: list[int], slots: list[int]) -> list[int]:
    if len(members) < 2:
        return members
    return sorted(members, key=lambda i: slots.index(i) if i in slots else len(slots) + i)


def _members(number: int, socks: list[list[int]]) -> tuple[list[int], list[int], bool]:
    """The live members of a group and the closed ones, and whether the only one never listened. Who cannot be in it has
    no group any more.
    """
    live: list[int] = []
    closed: list[int] = []
    connected: list[int] = []
    protocol = None
    for i, sock in enumerate(socks):
        if sock[GROUP] != number:
            continue
        if sock[HASHED] == EHASH:
            connected.append(i)
        elif len(live) + len(closed) == MAX_SLOTS or protocol not in (None, sock[PROTOCOL]):
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


def _reachable_attached(packet: list[int], socks: list[list[int]], lookup: int) -> None:
    index = packet[_P_SK]
    if index == NONE:
        packet[_P_DESTRUCTOR] = DESTRUCTOR_NONE
        return
    sock = socks[index]
    if packet[_P_DESTRUCTOR] not in (PFREE, EDEMUX):
        packet[_P_DESTRUCTOR] = EDEMUX
    if sock[SYNCOOKIE] or not is_of_family(lookup, sock[FAMILY], sock[RCV_SADDR]):
        packet[_P_DESTRUCTOR] = PFREE
    by_bpf = packet[_P_DESTRUCTOR] == PFREE
    found = sock[HASHED] != NOWHERE or sock[SYNCOOKIE] or (by_bpf and sock[PROTOCOL] == IPPROTO_UDP)
    if sock[NETNS] != packet[_P_NETNS] or not found:
        packet[_P_SK], packet[_P_DESTRUCTOR] = NONE, DESTRUCTOR_NONE
        if sock[SYNCOOKIE]:
            sock[SYNCOOKIE], sock[HASHED], sock[REFCNT] = 0, EHASH, 1
        return
    if not sock[SYNCOOKIE] and (not by_bpf or sock[KIND] != KIND_FULL or not sock[RCU_FREE]):
        sock[REFCNT] = max(sock[REFCNT], 2)
