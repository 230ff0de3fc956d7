"""The steps of a lookup of UDP as sentences."""

from collections.abc import Callable, Iterator, Sequence

from skdiff.cases.addresses import MAPPED_ANY, ipv4_view, is_ipv6, mapped
from skdiff.cases.case_values import address
from skdiff.cases.scenario import (
    AF_INET,
    AF_INET6,
    DEMUX,
    NONE,
    STALE,
    TCP_ESTABLISHED,
    UDP_HASHED,
    Sock,
)
from skdiff.cases.steps import Step
from skdiff.findings.story_of_tcp import Story
from skdiff.oracles.model.score import WEIGHTS, peer_of
from skdiff.oracles.model.state import DROP


class UdpStory(Story):
    """The same for datagrams."""

    sysctl = "udp_l3mdev_accept"
    hashed = "datagram"

    def teller(self) -> dict[str, Callable[..., Iterator[str]]]:
        functions = self.functions
        return {
            **super().teller(),
            functions.demux: self.demux,
            functions.mcast_demux: self.mcast_demux,
            functions.connected: self.connected,
            functions.fallback: self.fallback,
        }

    def sentences(self, steps: Sequence[Step]) -> Iterator[str]:
        self.demuxed = NONE
        yield from super().sentences(steps)
        if steps and steps[-1].function in (self.functions.steal_sock, "skb_steal_sock"):
            stolen = steps[-1].values[0]
            if stolen == NONE:
                to = address(self.scenario.packet.daddr)
                yield f"A datagram to {to} goes to all sockets that want it, which skdiff does not look at."
            else:
                yield "Nobody gets the packet." if stolen == DROP else f"{self.name(stolen)} gets the packet."

    def before(self) -> Iterator[str]:
        yield from super().before()
        if self.scenario.caller == DEMUX and self.scenario.packet.sk == NONE:
            self.dif = self.scenario.packet.skb_iif
            yield f"Early demux looks first; the packet's device is {self.dif}, that of the sk_buff."

    def steal(self, sk: int, refcounted: int) -> Iterator[str]:
        if self.demuxed == NONE or sk == NONE:
            yield from super().steal(sk, refcounted)
            return
        how = "with a reference" if refcounted else "without a reference"
        yield f"skb_steal_sock(): {self.name(sk)}, which early demux put on the sk_buff, is taken, {how}."

    def stolen(self, sk: int) -> Iterator[str]:
        if self.demuxed not in (NONE, sk) and sk >= 0:
            yield (
                f"{self.functions.steal_sock}(): {self.name(self.demuxed)} came as if BPF had assigned it, so that its"
                f" group chose anew: {self.name(sk)} gets the packet."
            )
        else:
            yield from super().stolen(sk)

    def demux(self, sk: int) -> Iterator[str]:
        self.demuxed = sk
        if sk == NONE:
            yield f"{self.functions.demux}(): nobody is attached; only the first of the chain is asked whether it fits."
        else:
            yield f"{self.functions.demux}(): {self.name(sk)} has this very connection, and is attached to the packet."

    def mcast_demux(self, sk: int) -> Iterator[str]:
        self.demuxed = sk
        if sk == NONE:
            yield (
                f"{self.functions.mcast_demux}(): nobody is attached; one socket alone must want the packet, and no"
                " more than ten be in the slot of its port."
            )
        else:
            yield f"{self.functions.mcast_demux}(): {self.name(sk)} alone wants the packet, and is attached to it."

    def connected(self, sk: int) -> Iterator[str]:
        # Who connects while the walk is on its way may come too late for it.
        of_several = "met first" if self.changed else "connected last"
        yield (
            f"{self.functions.connected}(): {self.name(sk)} has this very connection; of several the one {of_several}"
            " wins, whatever its device: that is final."
        )

    def fallback(self, sk: int) -> Iterator[str]:
        if sk == NONE:
            yield f"{self.functions.fallback}(): nor is anybody found by the port alone."
            return
        s = self.scenario.socks[sk]
        why = "it is not in the chain of its address"
        if s.hash2 == STALE:
            why = "connect() has given it this address, and not moved it to the chain of that yet"
        elif is_ipv6(s.rcv_saddr) and not self.ipv6:
            why = "its IPv6 address counts as 127.0.0.6 here, and is in another chain"
        yield f"{self.functions.fallback}(): by the port alone {self.name(sk)} is found: {why}."

    def score(self, sk: int, score: int) -> Iterator[str]:
        self.scored.add(sk)
        s, weights = self.scenario.socks[sk], WEIGHTS[self.scenario.lookup]
        if sk in self.changed:
            told = "may not have the packet" if score == weights.refused else f"scores {score}"
            yield f"compute_score(): {self.name(sk)} {told}."
            return
        if score == weights.refused:
            yield f"compute_score(): {self.name(sk)} may not have the packet{self.refusal(s)}."
            return
        parts, total = [f"{weights.base} for the match"], weights.base
        for has, count, why in (
            (s.family == AF_INET and weights.ipv4, weights.ipv4, "AF_INET"),
            (peer_of(s, self.ipv6), weights.peer, "its peer's address"),
            (s.dport, weights.peer, "its peer's port"),
            (s.bound_dev_if, weights.device, "its device"),
            (s.incoming_cpu == self.cpu, 1, "its CPU"),
        ):
            if has:
                parts.append(f"{count} for {why}")
                total += count
        why = ", ".join(parts)
        if score != total:
            why = f"by the rules {total}: {why}"
        end = ", and is connected" if s.state == TCP_ESTABLISHED else ""
        if not score and weights.refused < 0 and self.ipv6:
            end += ": more than the -1 that the search begins with"
        yield f"compute_score(): {self.name(sk)} scores {score} ({why}){end}."

    def refusal(self, s: Sock) -> str:
        """Why a socket on the packet's port was refused, as far as it is not its device."""
        p = self.scenario.packet
        peer = peer_of(s, self.ipv6)
        if s.ipv6only and self.config.ipv6 and not self.ipv6:
            return ": it is for IPv6 only"
        if peer and peer != (p.saddr if self.ipv6 else ipv4_view(p.saddr)):
            return ": it has another peer"
        return ": it has another peer's port" if s.dport and s.dport != p.sport else ""

    def reuseport(self, asked: int, sk: int) -> Iterator[str]:
        yield from super().reuseport(asked, sk)
        group = self.scenario.socks[asked].group if 0 <= asked < len(self.socks) else NONE
        if group != NONE and self.scenario.groups[group].has_conns and sk != NONE and not self.is_final(sk):
            yield (
                "reuseport_has_conns(): a member of that group has been connected, so the search goes on for a better"
                " socket" + (", and the answer is scored itself." if sk >= 0 else ".")
            )

    def listeners(self, daddr: int, sk: int) -> Iterator[str]:
        wildcard = f"the wildcard {'::' if self.ipv6 else address(daddr)}"
        where = address(daddr) if daddr not in (0, MAPPED_ANY) else wildcard
        losers = [
            f"{self.name(i)} {why}"
            for i, s in enumerate(self.scenario.socks)
            if s.hashed == UDP_HASHED and i not in self.scored | self.changed and (why := self.not_there(s, daddr))
        ]
        text = f"{self.functions.walk}(): among sockets on {where} "
        text += "nobody is found" if sk == NONE else "an error decides" if sk == DROP else f"{self.name(sk)} wins"
        yield text + (f" ({'; '.join(losers)})." if losers else ".")
        self.scored.clear()

    def not_there(self, s: Sock, daddr: int) -> str:
        """Why a socket was not scored in the search for `daddr`."""
        p = self.scenario.packet
        here = s.rcv_saddr if self.ipv6 else mapped(ipv4_view(s.rcv_saddr))
        wanted = daddr if self.ipv6 else mapped(ipv4_view(daddr))
        for loses, what in (
            (self.config.net_ns and s.netns != p.netns, "is of another namespace"),
            (s.num != p.dport, f"is bound to port {s.num}"),
            (self.ipv6 and s.family != AF_INET6, "is of AF_INET"),
            (here != wanted, f"is bound to {address(s.rcv_saddr) if s.rcv_saddr else 'the wildcard'}"),
            (s.hash2 == STALE, "is still in the chain of the wildcard"),
        ):
            if loses:
                return what
        return ""
