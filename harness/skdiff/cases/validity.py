"""Which Scenarios are valid: what the C accepts without undefined behaviour, and what a real system can reach.

`problems` is the judge; `normalise.py` makes valid Scenarios, and is held against it by a test.
"""

from collections.abc import Iterator
from operator import attrgetter
from typing import Any

from skdiff.cases.derived import GROUP_KEY
from skdiff.cases.fields import FIELDS, Kind, valid_range
from skdiff.cases.record import constants
from skdiff.cases.scenario import (
    AF_INET,
    AF_INET6,
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
    SK_DROP,
    SK_PASS,
    TCP_CLOSE,
    TCP_ESTABLISHED,
    TCP_LISTEN,
    TCP_NEW_SYN_RECV,
    TCP_TIME_WAIT,
    Scenario,
    Sock,
)

_key = attrgetter(*GROUP_KEY)
MINI_STATE = {KIND_REQUEST: TCP_NEW_SYN_RECV, KIND_TIMEWAIT: TCP_TIME_WAIT}


def problems(scenario: Scenario) -> list[str]:
    """What is wrong with a scenario, a line each; empty for a valid one. A scenario that is not marked as hostile must
    be reachable by system calls and BPF helpers as well.
    """
    found = list(_out_of_range(scenario)) or list(_structure(scenario))
    if not found and not scenario.hostile:
        found = list(_unreachable(scenario))
    return found


_RANGES = {
    record: {name: valid_range(record, name) for name, field in fields.items() if field.kind is not Kind.LIST}
    for record, fields in FIELDS.items()
}


def _out_of_range(s: Scenario) -> Iterator[str]:
    """Values that their fields cannot hold: nothing else may be asked of a scenario that has one."""
    things: list[tuple[str, Any]] = [("the scenario", s), ("the packet", s.packet)]
    things += [(f"namespace {i}", net) for i, net in enumerate(s.netns)]
    things += [(f"a program of namespace {i}", program) for i, net in enumerate(s.netns) for program in net.progs]
    things += [(f"group {i}", group) for i, group in enumerate(s.groups)]
    things += [(f"socket {i}", sock) for i, sock in enumerate(s.socks)]
    for what, thing in things:
        for name, (least, most) in _RANGES[type(thing)].items():
            if not least <= getattr(thing, name, least) <= most:
                yield f"{what}: {name} is {getattr(thing, name)}, it can be {least} to {most}"


def _structure(s: Scenario) -> Iterator[str]:
    socks, groups = range(len(s.socks)), range(len(s.groups))
    limits = (("namespaces", s.netns, constants.MAX_NETNS), ("groups", s.groups, constants.MAX_GROUPS))
    for what, things, most in (*limits, ("sockets", s.socks, constants.MAX_SOCKS)):
        if len(things) > most:
            yield f"{len(things)} {what}, there is room for {most}"
    for name, size in (("ehash_size", s.ehash_size), ("lhash2_size", s.lhash2_size)):
        if not 0 < size <= constants.MAX_TABLE or size & (size - 1):
            yield f"{name} is {size}: a power of two up to {constants.MAX_TABLE} is needed"
    p = s.packet
    if p.netns not in range(len(s.netns)):
        yield f"the packet's namespace {p.netns} is not there"
    if p.sk != NONE and p.sk not in socks:
        yield f"the packet's socket {p.sk} is not there"
    if p.data_len > p.len:
        yield f"data_len {p.data_len} is more than len {p.len}"
    if p.users < 1:
        yield "an sk_buff has at least one user"
    for i, sock in enumerate(s.socks):
        mini = sock.kind != KIND_FULL
        if sock.netns not in range(len(s.netns)):
            yield f"socket {i}: namespace {sock.netns} is not there"
        if sock.group != NONE and (sock.group not in groups or mini):
            yield f"socket {i}: group {sock.group} is not there, or the socket is a mini socket"
        if sock.listener != NONE and (sock.listener not in socks or sock.kind != KIND_REQUEST):
            yield f"socket {i}: listener {sock.listener} is not there, or the socket is no request"
        if mini and (sock.state != MINI_STATE[sock.kind] or sock.rcu_free or sock.hashed == LHASH2):
            yield f"socket {i}: a mini socket has its kind's state, no socket flags, and is no listener"
        if not mini and sock.state in MINI_STATE.values():
            yield f"socket {i}: a full socket in state {sock.state} would be taken for a mini socket"
        if sock.race and (sock.hashed != EHASH or sock.no_pprev):
            yield f"socket {i}: what is not in ehash, or is marked as unhashed, cannot leave it"
        if sock.syncookie and sock.kind != KIND_REQUEST:
            yield f"socket {i}: only a request has a SYN cookie"
        if sock.reuseport_changed and sock.hashed != LHASH2:
            yield f"socket {i}: only a listener has SO_REUSEPORT changed since listen()"
        if sock.race == LEAVES and sock.refcnt == 1 and i in _named(s):
            yield f"socket {i}: the lookup frees it, and something else still names it"
    for i, group in enumerate(s.groups):
        if len(group.slots) > constants.MAX_SLOTS:
            yield f"group {i}: {len(group.slots)} slots, there is room for {constants.MAX_SLOTS}"
        if any(slot not in socks for slot in group.slots):
            yield f"group {i}: a slot without a socket"
        if group.num_socks + group.num_closed_socks > len(group.slots):
            yield f"group {i}: {group.num_socks} live and {group.num_closed_socks} closed in {len(group.slots)} slots"
        if group.select != NONE and group.select not in socks:
            yield f"group {i}: its program selects socket {group.select}, which is not there"
    for i, net in enumerate(s.netns):
        if len(net.progs) > constants.MAX_PROGS:
            yield f"namespace {i}: {len(net.progs)} programs, there is room for {constants.MAX_PROGS}"
        for program in net.progs:
            if program.assign not in (NONE, LEAVE) and (
                program.assign not in socks or s.socks[program.assign].kind != KIND_FULL
            ):
                yield f"namespace {i}: a program assigns {program.assign}, which is no full socket"


def _named(s: Scenario) -> set[int]:
    """The sockets that something of the scenario points to."""
    named = {s.packet.sk, *(sock.listener for sock in s.socks)}
    named.update(index for group in s.groups for index in (group.select, *group.slots))
    named.update(program.assign for net in s.netns for program in net.progs)
    return named


def _unreachable(s: Scenario) -> Iterator[str]:
    p = s.packet
    if s.ehash_nulls_xor or s.foreign_hashinfo:
        yield "spoilt end marks and foreign tables are hostile"
    if s.sk_lookup_enabled != any(net.progs for net in s.netns):
        yield "the static key is on while, and only while, a program is attached"
    for i, net in enumerate(s.netns):
        if net.run_array != bool(net.progs):
            yield f"namespace {i}: there is an array of programs if there are programs"
        for program in net.progs:
            if program.verdict not in (SK_DROP, SK_PASS):
                yield f"namespace {i}: the verifier lets a program return 0 or 1"
            if program.assign >= 0 and not _assignable(s.socks[program.assign]):
                yield f"namespace {i}: bpf_sk_assign() refuses socket {program.assign}"
    if p.users != 1 or p.clone_fails or p.pull_fails or not 20 <= p.doff <= 60 or p.len - p.data_len < p.doff:
        yield "tcp_v4_rcv() has an unshared packet with a whole linear header of 20 to 60 bytes"
    if not p.daddr or not p.saddr:
        yield "a packet has addresses"
    if p.sk == NONE and p.destructor != DESTRUCTOR_NONE:
        yield "a destructor without a socket"
    if p.sk != NONE:
        yield from _attached(s)
    connections = [
        (k.netns, k.daddr, k.rcv_saddr, k.dport, k.num, k.bound_dev_if) for k in s.socks if k.hashed == EHASH
    ]
    if len(set(connections)) < len(connections):
        yield "two sockets of one connection in ehash"
    for i, sock in enumerate(s.socks):
        for problem in _sock(s, i, sock):
            yield f"socket {i}: {problem}"
    for i, group in enumerate(s.groups):
        for problem in _group(s, i):
            yield f"group {i}: {problem}"
        if group.reuseport_id != i + 1:
            yield f"group {i}: ids are unique, {i + 1} here"


def _assignable(sock: Sock) -> bool:
    """net/core/filter.c bpf_sk_lookup_assign(): a TCP listener freed by RCU that accepts IPv4."""
    return (
        sock.kind == KIND_FULL
        and sock.protocol == IPPROTO_TCP
        and sock.state == TCP_LISTEN
        and bool(sock.rcu_free)
        and not sock.ipv6only
    )


def _attached(s: Scenario) -> Iterator[str]:
    p, sock = s.packet, s.socks[s.packet.sk]
    cookie = sock.kind == KIND_REQUEST and sock.syncookie
    if p.destructor not in (PFREE, EDEMUX):
        yield "an attached socket has the destructor of BPF or of early demux"
    if sock.netns != p.netns:
        yield "an attached socket is of the packet's namespace"
    if not cookie and sock.hashed == NOWHERE and not (p.destructor == PFREE and sock.protocol == IPPROTO_UDP):
        yield "an attached socket was found in a table"
    if cookie and p.destructor != PFREE:
        yield "a SYN cookie's request is attached by BPF"
    counted = p.destructor == EDEMUX or sock.kind != KIND_FULL or not sock.rcu_free
    if counted and not cookie and sock.refcnt < 2:
        yield "the packet holds a reference to its socket, beside the table's"


def _sock(s: Scenario, i: int, sock: Sock) -> Iterator[str]:
    if sock.hash_kind or sock.no_pprev:
        yield "a spoilt hash or node is hostile"
    if not sock.num or sock.family not in (AF_INET, AF_INET6):
        yield "a bound inet socket has a port"
    if sock.ipv6only and (sock.family == AF_INET or sock.rcv_saddr):
        yield "ipv6only is for AF_INET6 sockets on the wildcard"
    if sock.hashed == EHASH:
        if not (sock.daddr and sock.rcv_saddr and sock.dport) or sock.ipv6only or sock.protocol != IPPROTO_TCP:
            yield "a connection has two addresses and two ports, and is TCP's"
        if sock.state in (TCP_LISTEN, TCP_CLOSE):
            yield "listeners and closed sockets are not in ehash"
    cookie = sock.kind == KIND_REQUEST and sock.syncookie
    if not cookie and not 1 <= sock.refcnt <= 1000:
        yield "a socket that somebody can find has references"
    if sock.kind == KIND_REQUEST:
        listener = s.socks[sock.listener] if sock.listener != NONE else None
        if listener is None or listener.kind != KIND_FULL or listener.protocol != IPPROTO_TCP:
            yield "a request has a TCP listener"
        elif listener.netns != sock.netns or listener.state not in (TCP_LISTEN, TCP_CLOSE):
            yield "a request's listener is of its namespace, listening or closed since"
        if sock.family != AF_INET or sock.reuseport:
            yield "an IPv4 request is AF_INET, and takes no SO_REUSEPORT from its listener"
        if cookie and (s.packet.sk != i or sock.hashed != NOWHERE or sock.refcnt or sock.listener == NONE):
            yield "a SYN cookie's request hangs on the packet alone, without a reference"
        if cookie and listener is not None and listener.state != TCP_LISTEN:
            yield "bpf_sk_assign_tcp_reqsk() wants a listener"
        if not cookie and sock.hashed != EHASH:
            yield "a request is in ehash"
    elif sock.kind == KIND_TIMEWAIT:
        if sock.hashed != EHASH:
            yield "a timewait socket is in ehash"
    elif sock.protocol == IPPROTO_TCP:
        if sock.hashed == LHASH2 and not (sock.state == TCP_LISTEN and sock.rcu_free):
            yield "__inet_hash() hashes listeners, and marks them SOCK_RCU_FREE"
        if sock.hashed == LHASH2 and sock.group == NONE and sock.reuseport != sock.reuseport_changed:
            yield "net/ipv4/inet_hashtables.c inet_hash(): who has SO_REUSEPORT in listen() comes into a group"
        if sock.hashed == NOWHERE and sock.state != TCP_CLOSE:
            yield "an unhashed TCP socket is closed"
        if sock.state in (TCP_LISTEN, TCP_CLOSE) and (sock.daddr or sock.dport):
            yield "a listening or closed socket has no peer"
        if sock.group != NONE and sock.state != TCP_LISTEN:
            yield "a TCP socket is in a group as long as it listens"
    else:
        if sock.hashed != NOWHERE or sock.state not in (TCP_CLOSE, TCP_ESTABLISHED):
            yield "a socket of another protocol is in none of TCP's tables"
        if sock.protocol == IPPROTO_UDP and not sock.rcu_free:
            yield "a bound UDP socket is SOCK_RCU_FREE"
        if sock.protocol != IPPROTO_UDP and sock.group != NONE:
            yield "groups are TCP's and UDP's"


def _group(s: Scenario, i: int) -> Iterator[str]:
    group = s.groups[i]
    members = [n for n, sock in enumerate(s.socks) if sock.group == i]
    live = group.slots[: group.num_socks]
    if sorted(live) != members or group.num_closed_socks:
        yield "its live slots are its members, each once"
    if len({_key(s.socks[n]) for n in members}) > 1:
        yield "its members share namespace, protocol, family, address and port"
    if group.incoming_cpu != sum(s.socks[n].incoming_cpu >= 0 for n in members):
        yield "incoming_cpu counts the members that asked for a CPU"
    if group.prog != PROG_NONE and not members:
        yield "a program without members"
    if group.verdict not in (SK_DROP, SK_PASS) or (group.select != NONE and group.select not in members):
        yield "sk_select_reuseport() selects members, and the verdict is 0 or 1"
    if members and group.bind_inany != (s.socks[members[0]].rcv_saddr == 0):
        yield "bind_inany tells whether its members are bound to the wildcard"
