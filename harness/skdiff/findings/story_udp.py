"""The steps of a lookup of UDP as sentences: what is not as TCP's (see `story.py`)."""

from collections.abc import Callable, Iterator, Mapping

from skdiff.cases.addresses import ANY, MAPPED_ANY, ipv4_view, is_ipv6, low_word, mapped
from skdiff.cases.case_values import address
from skdiff.cases.derived import pkt_type_of
from skdiff.cases.scenario import (
    AF_INET,
    AF_INET6,
    HELPER,
    NONE,
    PACKET_HOST,
    STALE,
    TCP_ESTABLISHED,
    UDP_HASHED,
    Sock,
)
from skdiff.findings.story import Story
from skdiff.oracles.model.state import DROP


class UdpStory(Story):
    """Knows a case of UDP."""

    l3mdev = "udp_l3mdev_accept"
    demuxed = NONE  # whom early demux has put on the sk_buff
    walking = False  # whether the socket that a group chooses is one of a search, which may go on

    def own(self) -> Mapping[str, Callable[..., Iterator[str]]]:
        """What to say of steps that TCP's lookups have not, or not so."""
        functions = self.functions
        found = {
            functions.connected: self.connected,
            functions.fallback: self.fallback,
            functions.demux: self.demux,
            functions.mcast_demux: self.mcast_demux,
        }
        return {name: describe for name, describe in found.items() if name}

    def steal(self, sk: int, refcounted: int) -> Iterator[str]:
        if self.demuxed == NONE:
            yield from super().steal(sk, refcounted)
        else:
            kept = "with a reference" if refcounted else "without a reference"
            yield (
                f"skb_steal_sock(): {self.name(sk)} hangs on the sk_buff (early demux found it); the caller takes it,"
                f" {kept}."
            )

    def stolen(self, sk: int) -> Iterator[str]:
        yield from super().stolen(sk)
        packet = self.scenario.packet
        if sk == NONE and pkt_type_of(self.scenario.lookup, packet.daddr) != PACKET_HOST:
            yield (
                f"{address(packet.daddr)} is for many: the datagram is delivered to all who want it,"
                " which is not looked at here."
            )

    def demux(self, sk: int) -> Iterator[str]:
        self.demuxed = sk
        end = f"{self.name(sk)} is connected to the sender, and hangs on the sk_buff from now on"
        if sk == NONE:
            end = "the first socket of the chain is not connected to the sender, or there is none"
        yield f"{self.functions.demux}(): {end}."

    def mcast_demux(self, sk: int) -> Iterator[str]:
        self.demuxed = sk
        end = f"{self.name(sk)} alone wants it, and hangs on the sk_buff from now on"
        if sk == NONE:
            end = "nobody wants it, or several do, or the chain of the port has more than 10 sockets"
        yield f"{self.functions.mcast_demux}(): {end}."

    def connected(self, sk: int) -> Iterator[str]:
        if sk != NONE:
            yield (
                f"{self.functions.connected}(): {self.name(sk)} is connected to the sender, and met first: that is"
                " final, without a score."
            )

    def score(self, sk: int, score: int) -> Iterator[str]:
        self.scored.add(sk)
        self.walking = True
        if score < 0:
            yield f"compute_score(): {self.name(sk)} may not have the packet."
            return
        s = self.scenario.socks[sk]
        parts = [f"{0 if self.ipv6 else 2 if s.family == AF_INET else 1} for the match"]
        points = 1 if self.ipv6 else 4
        for has, why in (
            (self.peer(s), f"{points} for its peer's address"),
            (s.dport, f"{points} for its peer's port"),
            (s.bound_dev_if, f"{points} for its device"),
            (s.incoming_cpu == self.cpu, "1 for its CPU"),
        ):
            if has:
                parts.append(why)
        yield f"compute_score(): {self.name(sk)} scores {score} ({', '.join(parts)})."

    def peer(self, s: Sock) -> bool:
        """Whether a socket has a peer's address as this lookup sees it."""
        return bool(s.daddr) if self.ipv6 else bool(low_word(s.daddr)) and not is_ipv6(s.daddr)

    def reuseport(self, asked: int, sk: int) -> Iterator[str]:
        s = self.scenario.socks[asked] if 0 <= asked < len(self.socks) else Sock()
        conns = self.walking and s.group != NONE and self.scenario.groups[s.group].has_conns
        if conns and sk != NONE:
            answers = "with an error" if sk == DROP else self.name(sk)
            yield (
                f"{self.functions.reuseport}(): the group of {self.name(asked)} answers {answers}; as it has had"
                " connections, the search goes on for somebody better."
            )
        else:
            yield from super().reuseport(asked, sk)

    def listeners(self, daddr: int, sk: int) -> Iterator[str]:
        where = address(daddr) if daddr else f"the wildcard {'::' if self.ipv6 else address(daddr)}"
        losers = [
            f"{self.name(i)} {why}"
            for i, s in enumerate(self.scenario.socks)
            if s.hashed == UDP_HASHED and i not in self.scored and (why := self.not_listening(s, daddr))
        ]
        text = f"{self.functions.walk}(): among sockets on {where} "
        if sk == DROP:
            text += "an error decides"
        elif sk == NONE:
            text += "nobody is found"
        else:
            final = self.scenario.socks[sk].state == TCP_ESTABLISHED and daddr
            text += f"{self.name(sk)} wins" + (", which is connected: that is final" if final else "")
        yield text + (f" ({'; '.join(losers)})." if losers else ".")
        self.scored.clear()
        self.walking = False

    def programs(self, sk: int, no_reuseport: int) -> Iterator[str]:
        self.walking = False
        yield from super().programs(sk, no_reuseport)

    def not_listening(self, s: Sock, daddr: int) -> str:
        """Why a socket was not scored in the search for `daddr`."""
        p = self.scenario.packet
        if self.config.net_ns and s.netns != p.netns:
            return "is of another namespace"
        if s.num != p.dport:
            return f"is bound to port {s.num}"
        if self.ipv6 and s.family != AF_INET6:
            return "is of AF_INET"
        if s.ipv6only and self.config.ipv6 and not self.ipv6:
            return "is for IPv6 only"
        own = s.rcv_saddr if self.ipv6 else mapped(ipv4_view(s.rcv_saddr))
        if s.hash2 == STALE and daddr and own == daddr:
            return "is in the wildcard's chain still"
        if own != daddr:
            return f"is bound to {address(own) if own not in (ANY, MAPPED_ANY) else 'the wildcard'}"
        return ""

    def fallback(self, sk: int) -> Iterator[str]:
        end = "nobody" if sk == NONE else self.name(sk)
        yield (
            f"{self.functions.fallback}(): among all sockets of the port, which one may have been moved meanwhile,"
            f" {end} is found."
        )
        self.scored.clear()

    def asked(self, sk: int) -> Iterator[str]:
        if self.scenario.caller == HELPER:
            yield from super().asked(max(sk, NONE))
