"""What may be a mistake of who wrote a case: sockets that its lookup does not look at, and connections of one kind."""

from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter

from skdiff.cases.derived import CONNECTION
from skdiff.cases.outcome import RETURNED, Outcome
from skdiff.cases.scenario import EHASH, IPPROTO_UDP, LHASH2, NOWHERE, UDP_HASHED, UDP_LOOKUPS, Scenario, Sock


def overlooked(scenario: Scenario, socks: Sequence[str]) -> Iterator[str]:
    """A line for those in the tables of the other protocol, and one for those of UDP in none, if the packet is of UDP;
    `socks` are the names. What hangs on the packet, or is assigned by a program, is looked at.
    """
    udp = scenario.lookup in UDP_LOOKUPS
    packet, other = ("UDP", "TCP") if udp else ("TCP", "UDP")
    named = {scenario.packet.sk, *(program.assign for net in scenario.netns for program in net.progs)}
    named |= {sock.listener for i, sock in enumerate(scenario.socks) if i in named}

    def told(why: str, fits: Callable[[Sock], bool]) -> Iterator[str]:
        found = [socks[i] for i, sock in enumerate(scenario.socks) if i not in named and fits(sock)]
        if found:
            many = len(found) > 1
            who = f"socks {', '.join(found)} are" if many else f"sock {found[0]} is"
            yield f"This packet is {packet}: {who} not looked at, being {why}."

    yield from told(f"in {other}'s tables", lambda sock: sock.hashed in ((EHASH, LHASH2) if udp else (UDP_HASHED,)))
    if udp:
        nowhere = 'in none (hashed = "udp" puts a socket into UDP\'s)'
        yield from told(nowhere, lambda sock: sock.protocol == IPPROTO_UDP and sock.hashed == NOWHERE)


def missed_events(scenario: Scenario, outcome: Outcome) -> list[int]:
    """The events, from 1 on, that did not come about: the lookup was not at the point, or not as often, or things were
    not so any more that it could be. None of a lookup that does not end, whose outcome does not say what came about.
    """
    if outcome.ended != RETURNED:
        return []
    return [number + 1 for number in range(len(scenario.events)) if not outcome.fired >> number & 1]


def twins(scenario: Scenario, socks: Sequence[str]) -> Iterator[str]:
    """A line for each connection that has the ends of an earlier one, by the same device or none: connect() refuses the
    second (net/ipv4/inet_hashtables.c __inet_check_established()). Such sockets come about, but not by connect() alone.
    Who comes to take another one's place is no such socket.
    """
    ends = attrgetter(*(name for name in CONNECTION if name != "bound_dev_if"))
    successors = {event.other for event in scenario.events}
    earlier: list[tuple[int, Sock]] = []
    for i, sock in enumerate(scenario.socks):
        if sock.hashed != EHASH or scenario.hostile or i in successors:
            continue
        for n, other in earlier:
            devices = {sock.bound_dev_if, other.bound_dev_if}
            if ends(sock) == ends(other) and (0 in devices or len(devices) == 1):
                yield (
                    f"{socks[i]} has the same ends as {socks[n]}: connect() refuses that as long as one of them has no"
                    " device, or both have the same; they had others then."
                )
                break
        earlier.append((i, sock))
