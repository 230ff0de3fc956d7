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
    DEMUX,
    FOREIGN,
    HELPER,
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
from skdiff.oracles.running.namespaces import RIGHTS, Namespaces, has_l3mdev
from skdiff.oracles.running.realisable import Keys, Nearest
from skdiff.oracles.running.socket_calls import Made, Maps
from skdiff.oracles.running.wires import datagram, segment
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
    """Outcomes of what can be seen of a lookup: which socket gets a packet, or is found by a BPF helper. All else of an
    Outcome is as nothing was. A scenario that cannot be brought about is ABSENT: `refusal` says why, `refused` counts
    the reasons.

    Belongs to the thread that made it, which is in a network namespace of its own from then on. Raises CannotRun if
    this kernel, or the rights of this process, do not allow it.
    """

    name = "running kernel"

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.refused: Counter[str] = Counter()
        self.keys = Keys()
        try:
            self._set_up(rules)
        except OSError as error:
            raise CannotRun(f"the running kernel cannot be asked: {error.strerror or error}; {RIGHTS}") from None

    def _set_up(self, rules: Rules) -> None:
        self._namespaces = Namespaces(constants.MAX_NETNS + 1, constants.MAX_SOCKS)
        self.nearest = Nearest(rules, self.keys, sorted(os.sched_getaffinity(0)))
        memory, self._memory = bpf.shared_memory(_PAGE)
        self._maps = Maps(memory, bpf.sockmap(constants.MAX_SOCKS), bpf.sockarray(constants.MAX_SOCKS))
        self._ask = {
            lookup: bpf.TestRun(
                programs.asking(memory, lookup in UDP_LOOKUPS, 36 if lookup in IPV6_LOOKUPS else 12), _MOST_SDIF
            )
            for lookup in (TCP4, TCP6, UDP4, UDP6)
        }
        self._loaded: dict[Program, int] = {}
        self._made: Made | None = None
        self._links: list[int] = []
        self._attachable: set[int] = set()
        self._tables: tuple[object, ...] = ()
        self._cpu = NONE
        self.refusal = ""
        self.nearest.by_packets, self.nearest.vrfs = bool(self._namespaces.wires), has_l3mdev()
        self._staying = [*self._attach_programs()]

    def run(self, scenario: Scenario) -> Outcome:
        """The outcome of a scenario that `nearest` has made."""
        tables = (scenario.socks, scenario.groups, scenario.netns)
        if tables != self._tables:
            self._bring_about(scenario)
            self._tables = tables
        if self.refusal:
            self.refused[self.refusal] += 1
            return Outcome(ended=ABSENT)
        try:
            return self._asked(scenario)
        except OSError as error:  # of this packet alone
            self.refused[error.strerror or str(error)] += 1
            return Outcome(ended=ABSENT)

    def _asked(self, scenario: Scenario) -> Outcome:
        packet = scenario.packet
        self._namespaces.enter(packet.netns)
        if scenario.cpu != self._cpu:
            os.sched_setaffinity(0, {scenario.cpu})
            self._cpu = scenario.cpu
        ipv6 = scenario.lookup in IPV6_LOOKUPS
        if scenario.caller != HELPER:
            return self._receive(scenario, ipv6)
        self._memory[:36] = _tuple(packet, ipv6)
        # The length of the packet is read as sdif, where a slave of a VRF has that.
        length, cb = (packet.sdif, _SLAVE[ipv6]) if packet.sdif else (0, _NO_SLAVE)
        if not self._ask[scenario.lookup](length, packet.skb_iif, cb):
            return Outcome(sk=NONE)
        mark = struct.unpack_from("<I", self._memory, programs.ANSWER_AT)[0]
        return Outcome(sk=mark - 1 if 1 <= mark <= len(scenario.socks) else FOREIGN)

    def _receive(self, scenario: Scenario, ipv6: bool) -> Outcome:
        """The outcome for a packet that comes in."""
        packet = scenario.packet
        if packet.sk != NONE and packet.sk not in self._attachable:
            assert self._made is not None
            bpf.put(self._maps.sockets, packet.sk, self._made.sockets[packet.sk].fileno())
            self._attachable.add(packet.sk)
        self._namespaces.set_early_demux(int(scenario.caller == DEMUX))
        self._namespaces.enter(packet.netns)
        struct.pack_into("<II", self._memory, programs.GOT_AT, 0, packet.sk + 1)
        made = (datagram if scenario.lookup in UDP_LOOKUPS else segment)(packet, ipv6)
        self._namespaces.wires[packet.netns][packet.skb_iif].receive(made)
        return Outcome(sk=struct.unpack_from("<I", self._memory, programs.GOT_AT)[0] - 1)

    def told(self) -> list[str]:
        """What this kernel, or the rights of this process, leave out, a line each."""
        if not self.nearest.by_packets:
            return [f"no packet comes in, BPF helpers ask alone: {self._namespaces.without_wires}"]
        if not self.nearest.by_attaching:
            return ["no socket is attached to packets: this kernel has no links of programs to devices (Linux 6.6)"]
        return []

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
                self.keys.mixes[netns] = mix

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

    def _attach_programs(self) -> Iterator[int]:
        """Links of programs that stay: an sk_lookup program where no packet comes, for its static key takes long to
        switch, and one on each device that attaches sockets to packets. Before 6.6 there are no such links.
        """
        yield bpf.attach_sk_lookup(programs.sk_lookup(self._maps.sockets, Program()), self._namespaces.fds[-1])
        if not self.nearest.by_packets:
            return
        program = programs.attaching(*self._maps[:2])
        try:
            for number in range(constants.MAX_NETNS):
                self._namespaces.enter(number)
                for index in self._namespaces.wires[number]:
                    yield bpf.attach_ingress(program, index)
        except OSError:
            self.nearest.by_attaching = False

    def _forget(self) -> None:
        self._attachable.clear()
        while self._links:
            os.close(self._links.pop())
        if self._made is not None:
            self._made.close()
            self._made = None

    def _bring_about(self, scenario: Scenario) -> None:
        self._forget()
        self.refusal = ""
        try:
            self._made = Made(scenario, self._namespaces, self._maps)
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
            bpf.put(self._maps.sockets, program.assign, self._made.sockets[program.assign].fileno())
        if program not in self._loaded:
            self._loaded[program] = programs.sk_lookup(self._maps.sockets, program)
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
