"""From drawn fields to a valid Scenario: indices into range, and for a reachable one, what a real system would have.

It changes as little as it can, so that a small change of the drawn fields stays a small change of the Scenario.
"""

from collections.abc import Iterable

from skdiff.cases.derived import GROUP_KEY, group_facts, run_array, sk_lookup_enabled
from skdiff.cases.fields import positions
from skdiff.cases.pools import BAD_VERDICT, HERE, PEER, PEER_PORT, Raw
from skdiff.cases.record import constants
from skdiff.cases.scenario import (
    AF_INET,
    DESTRUCTOR_NONE,
    EDEMUX,
    EHASH,
    IPPROTO_TCP,
    IPPROTO_UDP,
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
_G_NUM, _G_CLOSED, _G_PROG, _G_VERDICT, _G_SELECT = positions(
    Group, "num_socks", "num_closed_socks", "prog", "verdict", "select"
)
_G_ID, _G_CPU, _G_INANY = positions(Group, "reuseport_id", "incoming_cpu", "bind_inany")
_VERDICT, _ASSIGN = positions(Program, "verdict", "assign")
(_RUN_ARRAY,) = positions(Netns, "run_array")
_NULLS_XOR, _HOSTILE, _FOREIGN, _ENABLED = positions(
    Scenario, "ehash_nulls_xor", "hostile", "foreign_hashinfo", "sk_lookup_enabled"
)
MAX_SLOTS: int = constants.MAX_SLOTS
_GROUP_KEY = positions(Sock, *GROUP_KEY)
_MOST_REFERENCES = 3


def normalise(raw: Raw) -> Scenario:
    """The valid Scenario nearest to the drawn fields, which are used up. It is its own nearest one."""
    head, packet, netns, groups, socks = raw
    n_netns, n_groups, n_socks = len(netns), len(groups), len(socks)
    packet[_P_NETNS] %= n_netns
    packet[_P_SK] = _in_range(packet[_P_SK], n_socks)
    if packet[_P_DATA_LEN] > packet[_P_LEN]:
        packet[_P_DATA_LEN] = 0
    for sock in socks:
        sock[NETNS] %= n_netns
        if sock[KIND] == KIND_FULL:
            sock[GROUP] = _in_range(sock[GROUP], n_groups)
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
    for fields, slots in groups:
        slots[:] = [slot % n_socks for slot in slots] if n_socks else []
        fields[_G_NUM] = min(fields[_G_NUM], len(slots))
        fields[_G_CLOSED] = min(fields[_G_CLOSED], len(slots) - fields[_G_NUM])
        fields[_G_SELECT] = _in_range(fields[_G_SELECT], n_socks)
    if head[_HOSTILE]:
        made_groups = [Group._make((*fields, tuple(slots))) for fields, slots in groups]
        made_netns = [_netns(fields, progs, socks) for fields, progs in netns]
    else:
        _reachable_packet(packet)
        _reachable_socks(socks)
        made_groups = [_reachable_group(i, fields, slots, socks) for i, (fields, slots) in enumerate(groups)]
        _reachable_in_listen(socks)
        _reachable_requests(socks, packet[_P_SK])
        _reachable_attached(packet, socks)
        made_netns = [_reachable_netns(fields, progs, socks) for fields, progs in netns]
        head[_NULLS_XOR] = head[_FOREIGN] = 0
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


def _reachable_netns(fields: list[int], progs: list[list[int]], socks: list[list[int]]) -> Netns:
    fields[_RUN_ARRAY] = run_array(progs)
    for program in progs:
        if program[_VERDICT] == BAD_VERDICT:
            program[_VERDICT] = SK_PASS
        assign = program[_ASSIGN] = _in_range(program[_ASSIGN], len(socks))
        if assign >= 0:
            sock = socks[assign]
            if sock[HASHED] != LHASH2 or sock[IPV6ONLY]:
                program[_ASSIGN] = LEAVE
    return Netns._make((*fields, tuple(map(Program._make, progs))))


def _reachable_packet(packet: list[int]) -> None:
    packet[_P_USERS], packet[_P_CLONE_FAILS], packet[_P_PULL_FAILS] = 1, 0, 0
    packet[_P_DADDR] = packet[_P_DADDR] or HERE
    doff = packet[_P_DOFF] = max(packet[_P_DOFF], 20)
    if packet[_P_LEN] < doff:
        packet[_P_LEN] = 60
    if packet[_P_DATA_LEN] > packet[_P_LEN] - doff:
        packet[_P_DATA_LEN] = 0


def _reachable_socks(socks: list[list[int]]) -> None:
    connections = set()
    for sock in socks:
        sock[HASH_KIND] = sock[NO_PPREV] = 0
        sock[REFCNT] = min(sock[REFCNT], _MOST_REFERENCES) or 1
        if sock[KIND] != KIND_FULL:
            sock[HASHED] = EHASH
            sock[PROTOCOL] = IPPROTO_TCP
            if sock[KIND] == KIND_REQUEST:
                sock[FAMILY] = AF_INET
                sock[REUSEPORT] = 0
        elif sock[PROTOCOL] != IPPROTO_TCP:
            sock[HASHED] = NOWHERE
            if sock[STATE] != TCP_ESTABLISHED:
                sock[STATE] = TCP_CLOSE
            if sock[PROTOCOL] == IPPROTO_UDP:
                sock[RCU_FREE] = 1
            else:
                sock[GROUP] = NONE
        elif sock[HASHED] == LHASH2:
            sock[STATE] = TCP_LISTEN
            sock[RCU_FREE] = 1
            sock[DADDR] = sock[DPORT] = 0
        elif sock[HASHED] == EHASH:
            if sock[STATE] in (TCP_LISTEN, TCP_CLOSE):
                sock[STATE] = TCP_ESTABLISHED
            sock[GROUP] = NONE
        if sock[HASHED] == EHASH:
            sock[DADDR] = sock[DADDR] or PEER
            sock[RCV_SADDR] = sock[RCV_SADDR] or HERE
            sock[DPORT] = sock[DPORT] or PEER_PORT
            sock[IPV6ONLY] = 0
            connection = (sock[NETNS], sock[DADDR], sock[RCV_SADDR], sock[DPORT], sock[NUM], sock[BOUND])
            if connection in connections:
                _close(sock)
            connections.add(connection)
        elif sock[PROTOCOL] == IPPROTO_TCP and sock[HASHED] == NOWHERE:
            _close(sock)
        if sock[IPV6ONLY]:
            sock[IPV6ONLY] = int(sock[FAMILY] != AF_INET)
            sock[RCV_SADDR] = sock[RCV_SADDR] * (1 - sock[IPV6ONLY])


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
        ):
            sock[KIND], sock[LISTENER], sock[SYNCOOKIE] = KIND_TIMEWAIT, NONE, 0
            sock[STATE] = MINI_STATE[KIND_TIMEWAIT]
        elif sock[SYNCOOKIE] and attached == number and listener[STATE] == TCP_LISTEN:
            sock[HASHED], sock[REFCNT] = NOWHERE, 0
        else:
            sock[SYNCOOKIE] = 0


def _reachable_group(number: int, fields: list[int], slots: list[int], socks: list[list[int]]) -> Group:
    members: list[int] = []
    for i, sock in enumerate(socks):
        if sock[GROUP] != number:
            continue
        if len(members) == MAX_SLOTS or (members and sock[PROTOCOL] != socks[members[0]][PROTOCOL]):
            sock[GROUP] = NONE
            continue
        members.append(i)
        for key in _GROUP_KEY:
            sock[key] = socks[members[0]][key]
    order = sorted(members, key=lambda i: slots.index(i) if i in slots else len(slots) + i)
    stale = [slot for slot in slots[fields[_G_NUM] :] if slot not in members][: MAX_SLOTS - len(members)]
    fields[_G_NUM], fields[_G_CLOSED] = len(members), 0
    address = socks[members[0]][RCV_SADDR] if members else None
    facts = group_facts(number, [socks[i][CPU] for i in members], address, fields[_G_INANY])
    fields[_G_ID], fields[_G_CPU], fields[_G_INANY] = facts
    if not members:
        fields[_G_PROG] = PROG_NONE
    if fields[_G_VERDICT] == BAD_VERDICT:
        fields[_G_VERDICT] = SK_PASS
    select = fields[_G_SELECT]
    if select not in members:
        fields[_G_SELECT] = members[select % len(members)] if members and select != NONE else NONE
    return Group._make((*fields, tuple(order + stale)))


def _reachable_attached(packet: list[int], socks: list[list[int]]) -> None:
    index = packet[_P_SK]
    if index == NONE:
        packet[_P_DESTRUCTOR] = DESTRUCTOR_NONE
        return
    sock = socks[index]
    if packet[_P_DESTRUCTOR] not in (PFREE, EDEMUX):
        packet[_P_DESTRUCTOR] = EDEMUX
    if sock[SYNCOOKIE]:
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
