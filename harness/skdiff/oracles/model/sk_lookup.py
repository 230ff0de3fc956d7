"""BPF sk_lookup programs: a namespace's say over who gets a new connection (include/linux/filter.h)."""

from skdiff.cases.outcome import SHOWN_SK_LOOKUP
from skdiff.cases.scenario import AF_INET, IPPROTO_TCP, LEAVE, NONE, SK_DROP, SK_PASS
from skdiff.oracles.model.reuseport import inet_lookup_reuseport
from skdiff.oracles.model.state import DROP, State


def inet_lookup_run_sk_lookup(state: State) -> int:
    """net/ipv4/inet_hashtables.c inet_lookup_run_sk_lookup(), or inet_lookup_run_bpf() before 6.6: the programs' choice
    stands for its SO_REUSEPORT group, unless they asked to leave the group out. The group's hash uses the packet's own
    address.
    """
    chosen, no_reuseport = bpf_sk_lookup_run_v4(state)
    state.note("bpf_sk_lookup_run_v4", chosen, no_reuseport)
    if chosen == DROP:
        state.via.append("drop")
    if chosen in (NONE, DROP):
        return chosen
    state.via.append("sk_lookup")
    if no_reuseport:
        return chosen
    member = inet_lookup_reuseport(state, chosen, state.packet.daddr)
    return chosen if member == NONE else member


def bpf_sk_lookup_run_v4(state: State) -> tuple[int, int]:
    """bpf_sk_lookup_run_v4() and BPF_PROG_SK_LOOKUP_RUN_ARRAY(): what all programs say together.

    All of them run, in order. Each starts from the last remembered choice and may replace it; it is remembered if the
    program passes and leaves a socket chosen. A choice wins over any drop; without one, a single drop drops.
    """
    packet, number = state.packet, state.packet.netns
    chosen, no_reuseport = NONE, 0
    dropped = False
    if not state.netns.run_array:
        return NONE, 0
    for i, program in enumerate(state.netns.progs):
        state.shown.append(
            (
                *(SHOWN_SK_LOOKUP, number, i, AF_INET, IPPROTO_TCP, packet.saddr, packet.sport, packet.daddr),
                *(packet.dport, state.dif, chosen, no_reuseport),
            )
        )
        mine, mine_no_reuseport = chosen, no_reuseport
        if program.assign != LEAVE:
            mine, mine_no_reuseport = program.assign, program.no_reuseport
        if program.verdict == SK_PASS and mine != NONE:
            chosen, no_reuseport = mine, mine_no_reuseport
        elif program.verdict == SK_DROP:
            dropped = True
    if dropped and chosen == NONE:
        return DROP, 0
    return chosen, no_reuseport
