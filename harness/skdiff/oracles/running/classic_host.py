"""The oracle `host` without BPF: packets ask, and the counters of sockets tell who has got one."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from skdiff.base.errors import CannotRun
from skdiff.cases.derived import LOOPBACK_IFINDEX as LO
from skdiff.cases.outcome import UNSEEN_SHOWN, Outcome
from skdiff.cases.scenario import DEMUX, NONE, Packet, Scenario
from skdiff.oracles.running import bpf
from skdiff.oracles.running.classic_filters import Witness, dropped
from skdiff.oracles.running.host import MOMENT, PATIENCE, Host
from skdiff.oracles.running.wires import RESET, Segment
from skdiff.variants.version_rules import Rules

T = TypeVar("T")


class ClassicHost(Host):
    """As Host, for a process that may not load BPF programs. What takes one is not asked, and what filters were shown
    is not seen.
    """

    def _set_up(self, rules: Rules) -> None:
        self._begin(rules)
        if not self.nearest.by_packets:
            raise CannotRun(
                f"without CAP_BPF packets alone can ask, and none comes in: {self._namespaces.without_wires}"
            )
        self.nearest.by_bpf = self.nearest.by_attaching = self.nearest.by_segments = self.nearest.by_vrf = False
        self._maps = None
        self._counted: dict[int, int] = {}
        self._witnesses = []
        for number in range(len(self._namespaces.fds)):
            self._namespaces.silence(number)
            names = {LO: "lo", **self._namespaces.names}
            # By lo goes more than what we send; from one end of a pair to the other a mark is lost.
            self._witnesses.append({index: Witness(name, marked=index == LO) for index, name in names.items()})

    def _seen(self, scenario: Scenario) -> Outcome:
        return Outcome(sk=self._receive(scenario), shown=UNSEEN_SHOWN if self._programs else ())

    def _receive(self, scenario: Scenario) -> int:
        packet = scenario.packet
        self._namespaces.set_early_demux(int(scenario.caller == DEMUX))
        wire, frame = self._way_in(packet, scenario.lookup, RESET)
        witness = self._witnesses[packet.netns][packet.skb_iif]
        self._namespaces.enter(packet.netns)
        wire.receive(frame)
        # It has come in once it has been seen: who sees it runs on the CPU that the packet has until it is dropped.
        until = time.monotonic() + PATIENCE
        while not witness.saw_one():
            if time.monotonic() > until:
                self._tables = ()  # it may come yet, to sockets that are closed by then
                raise OSError(0, "a packet does not come in")
            time.sleep(MOMENT)
        assert self._made is not None
        got = []
        for index, made in self._made.sockets.items():
            if self._counted[index] != (count := dropped(made)):
                self._counted[index] = count
                got.append(index)
        if len(got) > 1:
            raise OSError(0, "several sockets got a packet")
        return got[0] if got else NONE

    def _bring_about(self, scenario: Scenario) -> None:
        super()._bring_about(scenario)
        if self._made is not None:
            self._counted = {index: dropped(made) for index, made in self._made.sockets.items()}

    def inject(self, packet: Packet, ipv6: bool, said: Segment, attached: int | None = None) -> None:
        """Nothing is made of segments here."""
        raise OSError(0, "needs CAP_BPF")

    def told(self) -> list[str]:
        """See `Host`."""
        return [
            "without CAP_BPF: packets ask, by AF_PACKET and classic filters, and the counters of sockets tell who has"
            " got one; what a filter is shown is not seen"
        ]

    def close(self) -> None:
        """See `Host`."""
        for witness in (each for witnesses in self._witnesses for each in witnesses.values()):
            witness.close()
        super().close()


def opened(rules: Rules) -> Host:
    """The running kernel, with BPF where this process may. Raises CannotRun where it cannot be asked."""
    return Host(rules) if bpf.allowed() else ClassicHost(rules)


def in_own_thread(work: Callable[[Host], T], rules: Rules) -> T:
    """What `work` makes of the running kernel, in a thread with network namespaces of its own: the caller stays in its
    own. Raises CannotRun where the kernel cannot be asked, and what `work` raises.
    """

    def run() -> T:
        host = opened(rules)
        try:
            return work(host)
        finally:
            host.close()

    with ThreadPoolExecutor(1) as threads:
        return threads.submit(run).result()
