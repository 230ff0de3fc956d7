"""The oracle `host`: the running kernel, asked with real sockets in network namespaces of this process."""

import os
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from skdiff.base.errors import CannotRun
from skdiff.cases.addresses import low_word
from skdiff.cases.outcome import ABSENT, Outcome
from skdiff.cases.record import constants
from skdiff.cases.scenario import (
    FOREIGN,
    IPV6_LOOKUPS,
    NONE,
    TCP4,
    TCP6,
    UDP4,
    UDP6,
    UDP_LOOKUPS,
    Packet,
    Program,
    Scenario,
)
from skdiff.oracles.running import bpf, programs
from skdiff.oracles.running.calibration import calibration, hashed_words, packets
from skdiff.oracles.running.hash_key import Observation, find_key
from skdiff.oracles.running.namespaces import Namespaces, udp_size
from skdiff.oracles.running.realisable import Keys, Nearest
from skdiff.oracles.running.socket_calls import Made
from skdiff.variants.version_rules import Rules

T = TypeVar("T")
_PAGE = 4096
# include/net/ip.h IPSKB_L3SLAVE in IPCB(skb)->flags, include/linux/ipv6.h IP6SKB_L3SLAVE in IP6CB(skb)->flags: where
# they stand in the five words of qdisc_skb_cb that a test run may set. The device above is in front of them, where
# qdisc_skb_cb has the length of the packet.
_SLAVE = {False: (0, 0, 0, 1 << 7, 0), True: (0, 0, 1 << 6, 0, 0)}
_NO_SLAVE = (0, 0, 0, 0, 0)
_MOST_SDIF = 1 << 12


class Host:
    """Outcomes of what can be seen of a lookup by a BPF helper: which socket it finds. All else of an Outcome is as
    nothing was. A scenario that cannot be brought about is ABSENT: `refusal` says why, `refused` counts the reasons.

    Belongs to the thread that made it, which is in a network namespace of its own from then on. Raises CannotRun if
    this kernel, or the rights of this process, do not allow it.
    """

    name = "running kernel"

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.refused: Counter[str] = Counter()
        self._namespaces = Namespaces(constants.MAX_NETNS, constants.MAX_SOCKS)
        self.keys = Keys()
        self.nearest = Nearest(rules, self.keys, sorted(os.sched_getaffinity(0)), udp_size())
        map_, self._memory = bpf.shared_memory(_PAGE)
        self._ask = {
            lookup: bpf.TestRun(
                programs.asking(map_, lookup in UDP_LOOKUPS, 36 if lookup in IPV6_LOOKUPS else 12), _MOST_SDIF
            )
            for lookup in (TCP4, TCP6, UDP4, UDP6)
        }
        self._sockets = bpf.sockmap(constants.MAX_SOCKS)
        self._loaded: dict[Program, int] = {}
        self._made: Made | None = None
        self._links: list[int] = []
        self._tables: tuple[object, ...] = ()
        self._cpu = NONE
        self.refusal = ""

    def run(self, scenario: Scenario) -> Outcome:
        """The outcome of a scenario that `nearest` has made."""
        tables = (scenario.socks, scenario.groups, scenario.netns)
        if tables != self._tables:
            self._bring_about(scenario)
            self._tables = tables
        if self.refusal:
            self.refused[self.refusal] += 1
            return Outcome(ended=ABSENT)
        packet = scenario.packet
        self._namespaces.enter(packet.netns)
        if scenario.cpu != self._cpu:
            os.sched_setaffinity(0, {scenario.cpu})
            self._cpu = scenario.cpu
        ipv6 = scenario.lookup in IPV6_LOOKUPS
        self._memory[:36] = _tuple(packet, ipv6)
        # The length of the packet is read as sdif, where a slave of a VRF has that.
        length, cb = (packet.sdif, _SLAVE[ipv6]) if packet.sdif else (0, _NO_SLAVE)
        if not self._ask[scenario.lookup](length, packet.skb_iif, cb):
            return Outcome(sk=NONE)
        mark = struct.unpack_from("<I", self._memory, programs.ANSWER_AT)[0]
        return Outcome(sk=mark - 1 if 1 <= mark <= len(scenario.socks) else FOREIGN)

    def learn_keys(self) -> None:
        """Find out what the kernel hashes IPv4 packets with, in each namespace, if it hashes as its rules say. Takes
        some seconds. Raises CannotRun if it does not.
        """
        for lookup, netns in ((TCP4, 0), (TCP4, 1), (UDP4, 0)):
            key = find_key([*self._choices(lookup, netns, self.rules.lport_added and lookup == TCP4)])
            if netns == 0:
                self.keys.secrets[lookup] = key
            else:  # the difference is that of the hash_mix of the namespaces
                mix = key - self.keys.secrets[lookup] & 0xFFFFFFFF
                self.keys.mixes = {(lookup, netns): mix for lookup in (TCP4, UDP4)}

    def _choices(self, lookup: int, netns: int, lport_added: bool) -> Iterator[Observation]:
        """What a group of as many members as there can be makes of some packets."""
        scenario, members = calibration(lookup, netns)
        for packet in packets(scenario.packet):
            chosen = self.run(scenario._replace(packet=packet)).sk
            if not 0 <= chosen < members:
                raise CannotRun(f"a group of {members} sockets got no packet: {self.refusal or 'nobody was found'}")
            low = -(-(chosen << 32) // members)
            high = -(-((chosen + 1) << 32) // members) - 1
            words, added = hashed_words(packet, lport_added)
            yield Observation(words, added, low, high)

    def close(self) -> None:
        """Close what it has; its namespaces are gone with its thread."""
        self._forget()
        self._namespaces.close()

    def _forget(self) -> None:
        while self._links:
            os.close(self._links.pop())
        if self._made is not None:
            self._made.close()
            self._made = None

    def _bring_about(self, scenario: Scenario) -> None:
        self._forget()
        self.refusal = ""
        try:
            self._made = Made(scenario, self._namespaces)
            for number, net in enumerate(scenario.netns):
                for protocol in ("tcp", "udp"):
                    value = getattr(net, f"{protocol}_l3mdev_accept")
                    self._namespaces.set_l3mdev_accept(number, protocol, value)
                for program in net.progs:
                    self._attach(number, program)
        except OSError as error:
            self.refusal = error.strerror or str(error)

    def _attach(self, number: int, program: Program) -> None:
        assert self._made is not None
        if program.assign >= 0:
            bpf.put(self._sockets, program.assign, self._made.sockets[program.assign].fileno())
        if program not in self._loaded:
            self._loaded[program] = programs.sk_lookup(self._sockets, program)
        self._links.append(bpf.attach_sk_lookup(self._loaded[program], self._namespaces.fds[number]))


def in_own_thread(work: Callable[[Host], T], rules: Rules) -> T:
    """What `work` makes of the running kernel, in a thread with network namespaces of its own: the caller stays in its
    own. Raises CannotRun where the kernel cannot be asked, and what `work` raises.
    """

    def run() -> T:
        host = Host(rules)
        try:
            return work(host)
        finally:
            host.close()

    with ThreadPoolExecutor(1) as threads:
        return threads.submit(run).result()


def _tuple(packet: Packet, ipv6: bool) -> bytes:
    """Struct bpf_sock_tuple, in network order, and zeros behind it."""
    ports = struct.pack(">HH", packet.sport, packet.dport)
    if ipv6:
        return packet.saddr.to_bytes(16, "big") + packet.daddr.to_bytes(16, "big") + ports
    return struct.pack(">II", low_word(packet.saddr), low_word(packet.daddr)) + ports + bytes(24)
