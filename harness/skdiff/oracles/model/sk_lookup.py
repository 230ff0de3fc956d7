"""BPF sk_lookup programs: a namespace's say over who gets a new connection (include/linux/filter.h)."""

from collections.abc import Sequence

from skdiff.cases.outcome import SHOWN_SK_LOOKUP
from skdiff.cases.scenario import (
    AF_INET,
    AF_INET6,
    AT_PROGRAM,
    AT_RAN,
    IPPROTO_TCP,
    IPPROTO_UDP,
    LEAVE,
    NONE,
    SK_DROP,
    SK_PASS,
    Program,
)
from skdiff.oracles.model.reuseport import inet_lookup_reuseport
from skdiff.oracles.model.state import DROP, State


def ask_programs(state: State, always: bool) -> int:
    """What the programs say; only for the namespace's own tables unless `always`."""
    chosen, shared = NONE, state.rules.shared_sk_lookup
    if always or not state.foreign:
        chosen = inet_lookup_run_sk_lookup(state)
        if shared:
            state.note(state.functions.run_sk_lookup, chosen)
    if not shared:
        state.note(state.functions.run_bpf, chosen)
    return chosen


def inet_lookup_run_sk_lookup(state: State) -> int:
    """net/ipv4/inet_hashtables.c inet_lookup_run_sk_lookup(), or inet_lookup_run_bpf() before 6.6: the programs' choice
    stands for its SO_REUSEPORT group, unless they asked to leave the group out. The group's hash uses the packet's own
    address.
    """
    chosen, no_reuseport = bpf_sk_lookup_run(state)
    state.note(state.functions.run_array, chosen, no_reuseport)
    if chosen == DROP:
        state.via.append("drop")
    if chosen in (NONE, DROP):
        return chosen
    state.via.append("sk_lookup")
    if no_reuseport:
        return chosen
    member = inet_lookup_reuseport(state, chosen, state.daddr)
    return chosen if member == NONE else member


def bpf_sk_lookup_run(state: State) -> tuple[int, int]:
    """bpf_sk_lookup_run_v4(), bpf_sk_lookup_run_v6(), BPF_PROG_SK_LOOKUP_RUN_ARRAY(): what all programs say together.

    All of them run, in order, and each is shown what those before it chose. The last one that passes with a socket of
    its own decides. If there is none, one drop is enough to drop.
    """
    if not state.netns.run_array:
        return NONE, 0
    packet, progs = state.packet, state.netns.progs
    family = AF_INET6 if state.ipv6 else AF_INET
    protocol = IPPROTO_UDP if state.udp else IPPROTO_TCP
    for i in range(len(progs)):
        state.shown.append(
            (
                *(SHOWN_SK_LOOKUP, packet.netns, i, family, protocol, packet.saddr, packet.sport, packet.daddr),
                *(packet.dport, state.dif, *_choice(progs[:i]), int(state.ipv6)),
            )
        )
        state.visit(AT_PROGRAM)
        state.visit(AT_RAN)
    chosen, no_reuseport = _choice(progs)
    if chosen == NONE and any(program.verdict == SK_DROP for program in progs):
        chosen = DROP
    return chosen, no_reuseport


def _choice(progs: Sequence[Program]) -> tuple[int, int]:
    """The socket of the last program that assigned one and passed, and whether its group is left out."""
    for program in reversed(progs):
        if program.verdict == SK_PASS and program.assign not in (NONE, LEAVE):
            return program.assign, program.no_reuseport
    return NONE, 0
