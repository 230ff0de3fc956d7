"""SO_REUSEPORT groups: which member gets the packet (net/core/sock_reuseport.c)."""

from skdiff.cases.outcome import SHOWN_FILTER, SHOWN_SK_REUSEPORT
from skdiff.cases.scenario import (
    AT_MEMBERS,
    AT_PROGRAM,
    AT_RAN,
    NONE,
    PROG_NONE,
    SK_PASS,
    SK_REUSEPORT,
    TCP_ESTABLISHED,
    Group,
)
from skdiff.oracles.model.hashing import inet6_ehashfn, inet6_whole_hash, inet_ehashfn, reciprocal_scale
from skdiff.oracles.model.state import DROP, State

# include/linux/skbuff.h: the bytes of skb->cb, and how many of them BPF programs may use (BPF_SKB_CB_LEN).
_CB, _BPF_CB = 48, 20


def inet_lookup_reuseport(state: State, index: int, daddr: int) -> int:
    """inet_lookup_reuseport(), inet6_lookup_reuseport(): the choice of the socket's group, NONE if it has no say.

    Only the flag SO_REUSEPORT of the socket found asks the group. `daddr` is what the search was for: the wildcard
    search asks for 0.0.0.0, so all packets to a wildcard group share that part of the hash.
    """
    chosen = NONE
    if state.socks[index].reuseport:
        phash = _hash_of_packet(state, daddr)
        chosen = reuseport_select_sock(state, index, phash)
        state.note("reuseport_select_sock", index, phash, chosen)
    state.note(state.functions.reuseport, index, chosen)
    return chosen


def reuseport_has_conns(state: State, index: int) -> bool:
    """reuseport_has_conns(): whether a member of the socket's group has been connected. Who has left its group
    meanwhile has none to ask.
    """
    number = state.socks[index].group
    return number != NONE and bool(state.groups[number].has_conns)


def _hash_of_packet(state: State, daddr: int) -> int:
    """The hash of a connection between the packet's source and `daddr`."""
    packet, case, rules = state.packet, state.scenario, state.rules
    ends = (daddr, packet.dport, state.saddr, packet.sport)
    lport_added = rules.lport_added and not state.udp
    if not state.ipv6:
        return inet_ehashfn(case.hash_secret + state.netns.hash_mix, *ends, lport_added)
    if rules.whole_hash6 and not state.udp:
        return inet6_whole_hash(case.hash_secret6, state.netns.hash_mix, *ends)
    return inet6_ehashfn(case.hash_secret + state.netns.hash_mix, case.hash_secret6, *ends, lport_added)


def reuseport_select_sock(state: State, index: int, phash: int) -> int:
    """reuseport_select_sock(): the group's program chooses, if there is an sk_buff to show; where it does not, the hash
    of the connection does.

    A socket without a group, or a group without live members, has no say.
    """
    number = state.socks[index].group
    if number == NONE:
        return NONE
    group = state.groups[number]
    members = group.num_socks  # read once: more or fewer may be there by now
    state.visit(AT_MEMBERS)
    if not members:
        return NONE
    chosen = NONE
    if state.helper:
        pass  # no program runs without an sk_buff
    elif group.prog == SK_REUSEPORT:
        chosen = bpf_run_sk_reuseport(state, number, group, index, phash)
        state.note("bpf_run_sk_reuseport", chosen)
    elif group.prog != PROG_NONE:
        chosen = run_bpf_filter(state, number, group, members)
        state.note("run_bpf_filter", chosen)
    if chosen != NONE:
        state.via.append("group by program" if chosen != DROP else "drop")
        return chosen
    chosen = reuseport_select_sock_by_hash(state, number, members, phash)
    state.note("reuseport_select_sock_by_hash", chosen)
    if chosen != NONE:
        state.via.append("group by hash")
    return chosen


def bpf_run_sk_reuseport(state: State, number: int, group: Group, index: int, phash: int) -> int:
    """net/core/filter.c bpf_run_sk_reuseport(): a program of type SK_REUSEPORT selects a socket, nothing, or a drop."""
    state.shown.append(
        (
            *(SHOWN_SK_REUSEPORT, number, index, phash, group.reuseport_id, group.bind_inany),
            *(NONE, NONE, 1, state.packet.len - state.data_len),
        )
    )
    state.visit(AT_PROGRAM)
    state.visit(AT_RAN)
    return group.select if group.verdict == SK_PASS else DROP


def run_bpf_filter(state: State, number: int, group: Group, members: int) -> int:
    """run_bpf_filter(): a classic or socket filter returns the index of a live member; out of range it has no say.

    It sees the payload, so the header is pulled for its time. A packet that others hold too is cloned first. Without
    memory for the clone or the pull, or when the packet is shorter than its header, it is not run at all. Pulling
    moves what it needs from the pages into the linear part for good, unless a clone was pulled.
    """
    packet = state.packet
    shared = packet.users != 1
    if shared and packet.clone_fails:
        return NONE
    data_len = state.data_len
    missing = packet.doff - (packet.len - data_len)
    if missing > 0:
        if packet.doff > packet.len or packet.pull_fails:
            return NONE
        data_len -= missing
        if not shared:
            state.data_len = data_len
    cb_bytes_kept = _CB - _BPF_CB if group.cb_access else _CB
    state.shown.append(
        (SHOWN_FILTER, number, int(shared), packet.doff, packet.len - packet.doff, data_len, cb_bytes_kept, 0)
    )
    state.visit(AT_PROGRAM)
    state.visit(AT_RAN)
    chosen: int = state.groups[number].slots[group.returns] if group.returns < members else NONE
    return chosen


def reuseport_select_sock_by_hash(state: State, number: int, members: int, phash: int) -> int:
    """reuseport_select_sock_by_hash(): from the live member that the hash points to, and on in a circle.

    Connected members (UDP has them) take no new peers. As long as no member asked for a CPU (SO_INCOMING_CPU) the
    first one wins; else the first that asked for this CPU, and if none did, the first all the same.
    """
    group: Group = state.groups[number]
    live = group.slots[:members]
    start = reciprocal_scale(phash, members)
    state.note("reciprocal_scale", phash, members, start)
    willing = [i for i in live[start:] + live[:start] if state.socks[i].state != TCP_ESTABLISHED]
    if group.incoming_cpu:
        cpu = state.cpu
        for i in willing:
            if state.socks[i].incoming_cpu == cpu:
                return i
    return willing[0] if willing else NONE
