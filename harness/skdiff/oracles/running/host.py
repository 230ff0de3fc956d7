"""The oracle `host`: the running kernel, asked with real sockets in network namespaces of this process."""

import os
import struct
import time
from collections import Counter
from collections.abc import Iterator, Sequence

from skdiff.base.errors import CannotRun
from skdiff.cases.derived import LOOPBACK_IFINDEX as LO
from skdiff.cases.outcome import ABSENT, Outcome
from skdiff.cases.record import constants
from skdiff.cases.scenario import (
    DEMUX,
    EHASH,
    FOREIGN,
    HELPER,
    IPV6_LOOKUPS,
    KIND_FULL,
    KIND_TIMEWAIT,
    NONE,
    RECEIVE,
    TCP4,
    TCP6,
    UDP4,
    UDP6,
    UDP_LOOKUPS,
    Packet,
    Program,
    Scenario,
    Sock,
)
from skdiff.oracles.running import bpf, programs, shown
from skdiff.oracles.running.calibration import SETS, calibration, hashed_words, packets
from skdiff.oracles.running.connections import of_sequence
from skdiff.oracles.running.hash_key import MEMBERS, Question, find_key
from skdiff.oracles.running.helper_call import MOST_TUPLE, TUPLE_SIZE, slave, sock_tuple
from skdiff.oracles.running.namespace_calls import RIGHTS
from skdiff.oracles.running.namespaces import Namespaces, attach_by_tc, has_l3mdev
from skdiff.oracles.running.realisable import Keys, Nearest
from skdiff.oracles.running.socket_calls import Made, Maps
from skdiff.oracles.running.wires import QUESTION, RESET, Own, Segment, Sender, Wire, datagram, segment
from skdiff.variants.version_rules import Rules

_PAGE = 4096
_MOST_SDIF = 1 << 12
_TIMES = 3  # that a question is asked, at most, if nothing answers
PATIENCE, MOMENT = 1.0, 0.0001  # seconds
_RUNS = slice(programs.SHOWN_AT, programs.SHOWN_AT + 4)
_FRAMES = 1 << 16  # that are kept
_WORD = struct.Struct("<I")
_STATE = struct.Struct("<IIII")  # who got a packet, what it is let in with, and what left in reply


class Host:
    """Outcomes of what can be seen of a lookup: which socket gets a packet, or is found by a BPF helper, and what
    programs were shown. All else of an Outcome is as nothing was. A scenario that cannot be brought about is ABSENT:
    `refusal` says why, `refused` counts the reasons.

    What whoever asks a kernel uses, be it this one or one of a virtual machine in which this runs: `nearest`, which
    makes each scenario one that `run` can bring about, and counts what it changes in `nearest.asked`; `learn_keys()`,
    before packets of a group are compared; `told()`, what this kernel leaves out; `run()`; `refused` and `refusal`.

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
        self._begin(rules)
        memory, self._memory = bpf.shared_memory(_PAGE)
        self._maps: Maps | None = Maps(memory, bpf.sockmap(constants.MAX_SOCKS), bpf.sockarray(constants.MAX_SOCKS))
        self._ask = {
            lookup: bpf.TestRun(
                programs.asking(memory, lookup in UDP_LOOKUPS, TUPLE_SIZE[lookup in IPV6_LOOKUPS]), _MOST_SDIF
            )
            for lookup in (TCP4, TCP6, UDP4, UDP6)
        }
        self._staying = [*self._attach_programs()]

    def _begin(self, rules: Rules) -> None:
        """What needs no BPF."""
        self._namespaces = Namespaces(constants.MAX_NETNS, constants.MAX_SOCKS)
        self.nearest = Nearest(rules, self.keys, sorted(os.sched_getaffinity(0)))
        self.nearest.by_packets, self.nearest.vrfs = bool(self._namespaces.wires), has_l3mdev()
        self.nearest.by_vrf = self.nearest.by_packets and not self._namespaces.without_vrf
        self._loaded: dict[tuple[Program, int, int], int] = {}
        self._made: Made | None = None
        self._links: list[int] = []
        self._attachable: set[int] = set()
        self._socks: tuple[Sock, ...] = ()
        self._tables: tuple[object, ...] = ()
        self._minis: dict[object, list[int]] = {}
        self._frames: dict[object, bytes] = {}
        self._programs = False
        self._cpu = NONE
        self.refusal = ""

    def run(self, scenario: Scenario) -> Outcome:
        """The outcome of a scenario that `nearest` has made."""
        tables, udp = self._tables, scenario.lookup in UDP_LOOKUPS
        rest = (scenario.groups, scenario.netns, udp, scenario.packet.sk)
        if not tables or tables[0] is not scenario.socks or tables[1:] != rest:
            fresh = (scenario.socks, *rest)
            if tables != fresh:
                self._bring_about(scenario)
            self._tables = fresh
        if self.refusal:
            self.refused[self.refusal] += 1
            return Outcome(ended=ABSENT)
        try:
            if scenario.cpu != self._cpu:
                os.sched_setaffinity(0, {scenario.cpu})
                self._cpu = scenario.cpu
            return self._seen(scenario)
        except OSError as error:  # of this packet alone
            self.refused[error.strerror or str(error)] += 1
            return Outcome(ended=ABSENT)

    def _seen(self, scenario: Scenario) -> Outcome:
        """What is seen of a lookup; its sockets are there. Raises OSError."""
        if not self._programs:
            return Outcome(sk=self._asked(scenario))
        shown.forget(self._memory)
        sk = self._asked(scenario)
        return Outcome(sk=sk, shown=shown.shown(self._memory, scenario.lookup in self.keys.secrets))

    def _asked(self, scenario: Scenario) -> int:
        if scenario.caller != HELPER:
            return self._receive(scenario)
        mark = self._ask_helper(scenario.packet, scenario.lookup)
        return self._by_mark(scenario.packet, mark)

    def _by_mark(self, packet: Packet, mark: int) -> int:
        """The socket with a mark; a mini socket, which has none, is the newest of its ends, state and device."""
        if mark != programs.MINI:
            return mark if mark == NONE else mark - 1 if mark <= len(self._socks) else FOREIGN
        fits = self._state_and_device()
        among = self._minis.get(_ends_of_packet(packet), ())
        return next((i for i in among if (self._socks[i].state, self._socks[i].bound_dev_if) == fits), FOREIGN)

    def _state_and_device(self) -> tuple[int, int]:
        state, ifindex = struct.unpack_from("<II", self._memory, programs.STATE_AT)
        return state, ifindex

    def _ask_helper(self, packet: Packet, lookup: int) -> int:
        """The mark of the socket that a BPF helper finds, or NONE."""
        self._namespaces.enter(packet.netns)
        ipv6 = lookup in IPV6_LOOKUPS
        self._memory[:MOST_TUPLE] = sock_tuple(packet, ipv6)
        length, cb = slave(packet, ipv6)
        if not self._ask[lookup](length, packet.rt_iif or packet.skb_iif, cb):
            return NONE
        mark: int = _WORD.unpack_from(self._memory, programs.ANSWER_AT)[0]
        return mark

    def _receive(self, scenario: Scenario) -> int:
        """Who gets a packet that comes in."""
        packet, lookup = scenario.packet, scenario.lookup
        armed = programs.PLAIN
        if packet.sk != NONE:
            armed = programs.ATTACHED + packet.sk
            if packet.sk not in self._attachable:
                assert self._made is not None and self._maps is not None
                bpf.put(self._maps.sockets, packet.sk, self._made.sockets[packet.sk].fileno())
                self._attachable.add(packet.sk)
        self._namespaces.set_early_demux(int(scenario.caller == DEMUX))
        if not self._minis:
            wire, frame = self._way_in(packet, lookup, RESET)
            self._namespaces.enter(packet.netns)
            self._let_in(wire, frame, armed)
            got: int = _WORD.unpack_from(self._memory, programs.GOT_AT)[0]
            return got - 1
        minis = self._minis.get(_ends_of_packet(packet), ()) if packet.sk == NONE else ()
        asks = any(self._socks[i].kind == KIND_TIMEWAIT for i in minis)
        wire, frame = self._way_in(packet, lookup, QUESTION if asks else RESET)
        self._namespaces.enter(packet.netns)
        for _ in range(_TIMES):
            self._let_in(wire, frame, armed)
            got, _, flags, sequence = _STATE.unpack_from(self._memory, programs.GOT_AT)
            if got or not asks:
                return self._request_of(packet, lookup, minis, got - 1) if minis else got - 1
            # A timewait socket answers, with its own sequence number; for nobody a reset does.
            if flags & programs.RST:
                return NONE
            if flags and (index := of_sequence(sequence.to_bytes(4, "little"))) in minis:
                return index
        raise OSError(0, "nobody gets a packet, and nothing says so")

    def _way_in(self, packet: Packet, lookup: int, said: Segment) -> tuple[Wire | Sender | Own, bytes]:
        """By what a packet comes in, and as what."""
        key = (packet[:4], bool(packet.rt_iif), packet.skb_iif == LO, packet.doff, packet.len, lookup, said)
        frame = self._frames.get(key)
        wire: Wire | Sender | Own = self._namespaces.wires[packet.netns][packet.skb_iif]
        if packet.rt_iif:
            wire = self._namespaces.owns[packet.netns][packet.rt_iif]
        if frame is None:
            if len(self._frames) >= _FRAMES:
                self._frames.clear()
            frame = self._frames[key] = wire.frame(_bytes(packet, lookup, said))
        return wire, frame

    def _request_of(self, packet: Packet, lookup: int, minis: Sequence[int], got: int) -> int:
        """Who got a packet that requests may have got: one lets its listener have the packet, so a helper is asked
        which of the two it was.
        """
        if any(self._socks[i].listener == got for i in minis):
            runs = self._memory[_RUNS]
            found = self._by_mark(packet, self._ask_helper(packet, lookup))
            self._memory[_RUNS] = runs  # what programs are shown again is not of this packet
            if found in minis and self._socks[found].listener == got:
                return found
        return got

    def inject(self, packet: Packet, ipv6: bool, said: Segment, attached: int | None = None) -> None:
        """Let a segment come in, while sockets are made."""
        wire = self._namespaces.wires[packet.netns][packet.skb_iif]
        self._namespaces.enter(packet.netns)
        armed = programs.PLAIN if attached is None else programs.ATTACHED + attached
        self._let_in(wire, wire.frame(segment(packet, ipv6, said)), armed)

    def _let_in(self, wire: Wire | Sender | Own, frame: bytes, armed: int) -> None:
        """Let a packet come in, as `armed` says. Raises OSError if it does not."""
        memory = self._memory
        _STATE.pack_into(memory, programs.GOT_AT, 0, armed, 0, 0)
        wire.receive(frame)
        if memory[programs.ARMED_AT] and self.nearest.by_attaching:  # ksoftirqd has it still, which is on this CPU
            until = time.monotonic() + PATIENCE
            while memory[programs.ARMED_AT]:
                if time.monotonic() > until:
                    raise OSError(0, "a packet does not come in")
                time.sleep(MOMENT)

    def mini_at(self, packet: Packet, ipv6: bool) -> tuple[int, int] | None:
        """State and device of the mini socket that a helper finds, None if it finds none."""
        mark = self._ask_helper(packet, TCP6 if ipv6 else TCP4)
        return self._state_and_device() if mark == programs.MINI else None

    def told(self) -> list[str]:
        """What this kernel, or the rights of this process, leave out, a line each."""
        if not self.nearest.by_packets:
            return [f"no packet comes in, BPF helpers ask alone: {self._namespaces.without_wires}"]
        lines = []
        if not self.nearest.by_attaching:
            lines.append(
                "no socket is attached to packets, and connections are established: this kernel shows programs no"
                " packets of devices, neither by links (Linux 6.6) nor by tc (CONFIG_NET_CLS_BPF)"
            )
        if not self.nearest.by_vrf:
            lines.append(f"no packet comes in by a VRF: {self._namespaces.without_vrf}")
        return lines

    def learn_keys(self) -> None:
        """Find out what the kernel hashes IPv4 packets with, in each namespace, if it hashes as its rules say. Takes
        a second. Raises CannotRun if it does not.
        """
        for lookup, netns in ((TCP4, 0), (TCP4, 1), (UDP4, 0)):
            lport_added = self.rules.lport_added and lookup == TCP4
            first = packets(calibration(lookup, netns, 0).packet, 0)
            asked = [Question(*hashed_words(packet, lport_added)) for packet in first]
            key = find_key(asked, [self._choices(lookup, netns, number) for number in range(SETS)])
            if netns == 0:
                self.keys.secrets[lookup] = key
            else:  # the difference is that of the hash_mix of the namespaces
                mix = key - self.keys.secrets[lookup] & 0xFFFFFFFF
                self.keys.mixes[netns] = mix
        self.nearest.forget()

    def _choices(self, lookup: int, netns: int, number: int) -> list[int]:
        """Whom a group of as many members as there can be chooses, for each packet of a set."""
        scenario = calibration(lookup, netns, number)
        if not self.nearest.by_bpf:
            scenario = scenario._replace(caller=RECEIVE)
        asked = [scenario._replace(packet=packet) for packet in packets(scenario.packet, number)]
        chosen = [outcome.sk for outcome in self._run_all(asked)]
        if not all(0 <= sk < MEMBERS for sk in chosen):
            raise CannotRun(f"a group of {MEMBERS} sockets got no packet: {self.refusal or 'nobody was found'}")
        return chosen

    def _run_all(self, scenarios: Sequence[Scenario]) -> list[Outcome]:
        """The outcomes of scenarios that have the same tables."""
        return [self.run(scenario) for scenario in scenarios]

    def close(self) -> None:
        """Close what it has; its namespaces are gone with its thread."""
        self._forget()
        self._namespaces.close()

    def _attach_programs(self) -> Iterator[int]:
        """Links of programs that stay: an sk_lookup program where no packet comes, for its static key takes long to
        switch, and two on each device, for what comes in and what leaves. Before 6.6 there are no such links, but the
        older way.
        """
        assert self._maps is not None
        memory, sockets, _ = self._maps
        yield bpf.attach_sk_lookup(programs.sk_lookup(memory, sockets, Program(), 0, 0), self._namespaces.spare)
        if not self.nearest.by_packets:
            self.nearest.by_segments = False
            return
        coming = {lo: programs.coming_in(memory, sockets, lo) for lo in (False, True)}
        leaving = programs.leaving(memory)
        try:
            for number in range(constants.MAX_NETNS):
                self._namespaces.enter(number)
                for index in self._namespaces.wires[number]:
                    for program, leaves in ((coming[index == LO], False), (leaving, True)):
                        try:
                            yield bpf.attach_to_device(program, index, leaves)
                        except OSError:
                            attach_by_tc(program, index, leaves)
        except OSError:
            self.nearest.by_attaching = self.nearest.by_segments = False

    def _forget(self) -> None:
        self._attachable.clear()
        while self._links:
            os.close(self._links.pop())
        if self._made is not None:
            made, self._made = self._made, None
            made.close()

    def _bring_about(self, scenario: Scenario) -> None:
        self._forget()
        self._tables, self._socks, self.refusal = (), scenario.socks, ""
        self._minis = {} if scenario.lookup in UDP_LOOKUPS else _minis(scenario.socks)
        self._programs = any(net.progs for net in scenario.netns) or any(group.prog for group in scenario.groups)
        try:
            self._made = Made(scenario, self._namespaces, self._maps, self)
            for number, net in enumerate(scenario.netns):
                for protocol in ("tcp", "udp"):
                    value = getattr(net, f"{protocol}_l3mdev_accept")
                    self._namespaces.set_l3mdev_accept(number, protocol, value)
                for index, program in enumerate(net.progs):
                    self._attach(number, index, program)
        except OSError as error:
            self.refusal = error.strerror or str(error)

    def _attach(self, number: int, index: int, program: Program) -> None:
        assert self._made is not None and self._maps is not None
        if program.assign >= 0:
            bpf.put(self._maps.sockets, program.assign, self._made.sockets[program.assign].fileno())
        key = (program, number, index)
        if key not in self._loaded:
            self._loaded[key] = programs.sk_lookup(*self._maps[:2], program, number, index)
        self._links.append(bpf.attach_sk_lookup(self._loaded[key], self._namespaces.fds[number]))


def _minis(socks: Sequence[Sock]) -> dict[object, list[int]]:
    """Mini sockets by the ends of the packets that may meet them, the newest first."""
    made: dict[object, list[int]] = {}
    for index in range(len(socks) - 1, -1, -1):
        sock = socks[index]
        if sock.hashed == EHASH and sock.kind != KIND_FULL:
            made.setdefault((sock.netns, sock.daddr, sock.rcv_saddr, sock.dport, sock.num), []).append(index)
    return made


def _ends_of_packet(packet: Packet) -> object:
    return (packet.netns, *packet[:4])


def _bytes(packet: Packet, lookup: int, said: Segment) -> bytes:
    ipv6 = lookup in IPV6_LOOKUPS
    return datagram(packet, ipv6) if lookup in UDP_LOOKUPS else segment(packet, ipv6, said)
