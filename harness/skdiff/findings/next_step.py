"""What the receive path does with the socket that a lookup gave, where that is not the end, in a sentence."""

from collections.abc import Iterator, Sequence

from skdiff.cases.addresses import ipv4_view, with_port
from skdiff.cases.case_file import Case
from skdiff.cases.outcome import RETURNED, Outcome
from skdiff.cases.scenario import (
    DESTRUCTOR_NONE,
    EHASH,
    HELPER,
    IPPROTO_TCP,
    IPV6_LOOKUPS,
    KIND_FULL,
    KIND_REQUEST,
    KIND_TIMEWAIT,
    NONE,
    NOWHERE,
    TCP_LISTEN,
    UDP_LOOKUPS,
    Scenario,
    Sock,
)
from skdiff.comparison.mismatch_text import names_of
from skdiff.findings.chance import is_by_hash
from skdiff.oracles.model import Model


def next_steps(case: Case, outcome: Outcome, model: Model) -> list[str]:
    """What happens next to the packet of a case that had this outcome, a sentence each; none where the lookup's answer
    is the last word. Who comes next is asked of the model.
    """
    scenario = case.scenario
    if outcome.ended != RETURNED or not 0 <= outcome.sk < len(scenario.socks):
        return []
    return list(_next(case, outcome, model))


def _next(case: Case, outcome: Outcome, model: Model) -> Iterator[str]:
    scenario, names = case.scenario, names_of(case)[0]
    name, sock = names[outcome.sk], scenario.socks[outcome.sk]
    if _hung_on(scenario, outcome.sk) and (other := _another_tuple(scenario, sock)):
        yield (
            f"{_who_hung(scenario, names, outcome.sk)}, and nobody compares its ends with the packet's: {other}."
            f" The packet's addresses may have been changed behind early demux (NAT), or a program or TPROXY chose"
            f" the socket: {name} gets it all the same."
        )
    if scenario.lookup in UDP_LOOKUPS or sock.protocol != IPPROTO_TCP:
        return
    if scenario.caller == HELPER:
        if sock.kind == KIND_REQUEST:
            listener = outcome.listener[outcome.sk]
            whom = f"its listener {names[listener]}" if listener >= 0 else "nothing, as it has no listener"
            yield f"bpf_skc_lookup_tcp() gives the program {name}; bpf_sk_lookup_tcp() gives it {whom}."
        elif sock.kind == KIND_TIMEWAIT:
            yield f"bpf_skc_lookup_tcp() gives the program {name}; bpf_sk_lookup_tcp() gives it nothing."
        return
    receive = "tcp_v6_rcv" if scenario.lookup in IPV6_LOOKUPS else "tcp_v4_rcv"
    if sock.kind == KIND_TIMEWAIT:
        yield _behind_timewait(scenario, names, name, receive, model)
    elif sock.kind == KIND_REQUEST:
        yield _behind_request(scenario, names, outcome, receive, model)


def _hung_on(scenario: Scenario, sk: int) -> bool:
    """Whether a socket hung on the packet, or is of the group of the one that did."""
    hung = scenario.packet.sk
    return hung != NONE and (hung == sk or scenario.socks[hung].group == scenario.socks[sk].group != NONE)


def _who_hung(scenario: Scenario, names: Sequence[str], sk: int) -> str:
    """Which socket hung on the packet, if that is the one that gets it, or one of its group."""
    hung = names[scenario.packet.sk]
    return f"{hung} hung on the packet" if scenario.packet.sk == sk else f"{names[sk]} is of the group of {hung}"


def _another_tuple(scenario: Scenario, sock: Sock) -> str:
    """What of a socket's ends is not the packet's, "" if they fit."""
    p = scenario.packet
    ipv6 = scenario.lookup in IPV6_LOOKUPS

    def fits(own: int, packets: int) -> bool:
        return not own or own == packets or (not ipv6 and ipv4_view(own) in (0, ipv4_view(packets)))

    parts = []
    if not fits(sock.rcv_saddr, p.daddr) or sock.num != p.dport:
        parts.append(f"it is on {with_port(sock.rcv_saddr, sock.num)}, the packet is for {with_port(p.daddr, p.dport)}")
    if (sock.daddr or sock.dport) and (not fits(sock.daddr, p.saddr) or sock.dport not in (0, p.sport)):
        parts.append(
            f"its peer is {with_port(sock.daddr, sock.dport)}, the packet comes from {with_port(p.saddr, p.sport)}"
        )
    return "; ".join(parts)


def listener_for(scenario: Scenario, model: Model) -> tuple[int, bool]:
    """Who would get a new SYN with the packet's ends if there were no connection, by inet_lookup_listener() and
    inet6_lookup_listener(): a socket's index or NONE, and whether a hash chose it.
    """
    return _looked_up(scenario, model, [i for i, sock in enumerate(scenario.socks) if sock.hashed == EHASH])


def _looked_up(scenario: Scenario, model: Model, without: Sequence[int]) -> tuple[int, bool]:
    """The winner without these sockets of ehash, and without one on the packet."""
    socks = tuple(
        sock._replace(hashed=NOWHERE, no_pprev=0) if i in without else sock for i, sock in enumerate(scenario.socks)
    )
    asked = scenario._replace(
        socks=socks,
        packet=scenario.packet._replace(sk=NONE, destructor=DESTRUCTOR_NONE),
        ehash_nulls_xor=0,
        foreign_hashinfo=0,
        events=(),
    )
    return max(model.run(asked).sk, NONE), is_by_hash(model.trace(asked))


def _behind_timewait(scenario: Scenario, names: Sequence[str], name: str, receive: str, model: Model) -> str:
    """net/ipv4/tcp_ipv4.c tcp_v4_rcv(), do_time_wait; net/ipv4/tcp_minisocks.c tcp_timewait_state_process()."""
    found, by_hash = listener_for(scenario, model)
    asks = f"{name} is a timewait socket. If the packet is a new SYN, {receive}() looks for a listener"
    if found == NONE:
        return f"{asks}, and finds nobody: then {name} answers it, as it answers all else."
    chosen = " (chosen by the hash)" if by_hash else ""
    return f"{asks}, which is {names[found]}{chosen}: it gets the SYN, and {name} goes. All else {name} answers itself."


def _behind_request(scenario: Scenario, names: Sequence[str], outcome: Outcome, receive: str, model: Model) -> str:
    """net/ipv4/tcp_ipv4.c tcp_v4_rcv(): a request's listener, tcp_check_req(), reuseport_migrate_sock()."""
    name, listener = names[outcome.sk], outcome.listener[outcome.sk]
    if listener < 0:
        return f"{name} is a request without a listener, which {receive}() does not expect."
    owner = names[listener]
    sock = scenario.socks[listener]
    if sock.kind == KIND_FULL and sock.state == TCP_LISTEN:
        return (
            f"{name} is a request of {owner}: {receive}() asks that listener, whoever would get a new SYN. With the ACK"
            f" that ends the handshake the request becomes a connection, which {owner} will accept."
        )
    found, _ = _looked_up(scenario, model, [outcome.sk])
    other = f"finds {names[found]}" if found >= 0 else "finds nobody"
    if sock.group == NONE or not scenario.groups[sock.group].num_socks:
        return (
            f"{name} is a request of {owner}, which does not listen any more, nor does anybody of a group of its:"
            f" {receive}() drops the request, looks again, and {other}."
        )
    return (
        f"{name} is a request of {owner}, which does not listen any more: {receive}() gives it to another listener of"
        f" that group, if requests may migrate (net.ipv4.tcp_migrate_req, or a program that says so); if not, it drops"
        f" the request, looks again, and {other}."
    )
