"""What a lookup changes while it runs, as the model keeps it."""

from typing import Any

from skdiff.cases.addresses import low_word
from skdiff.cases.scenario import HELPER, IPV6_LOOKUPS, NONE, UDP_LOOKUPS, UNSET, Scenario
from skdiff.cases.steps import Step
from skdiff.oracles.model.functions import FUNCTIONS
from skdiff.oracles.model.hash_tables import ONE, Tables
from skdiff.oracles.model.udp_tables import UdpTables
from skdiff.variants.config import Config
from skdiff.variants.version_rules import Rules

# A lookup step answers with a socket's index, with NONE, or with DROP: an error pointer in the kernel. DROP is an
# answer: nothing else is tried, and the packet finds no socket.
DROP = -4


class Stuck(Exception):
    """The walk never ends: an end mark or a node is wrong and nobody will mend it."""


class State:
    """The mutable side of one lookup: the sk_buff, reference counts, requests' listeners, and what was noted; and the
    `rules` and the `config` that it follows.
    """

    __slots__ = (
        *(
            "scenario",
            "rules",
            "config",
            "packet",
            "socks",
            "groups",
            "netns",
            "tables",
            "udp_tables",
            "dif",
            "sdif",
            "functions",
            "ipv6",
            "udp",
            "helper",
            "saddr",
            "daddr",
            "foreign",
            "place",
            "cpu",
            "refcounted",
            "skb_sk",
            "destructor",
            "data_len",
            "freed",
        ),
        *("refcnt", "listener", "warns", "shown", "via", "steps"),
        "schedule",
    )

    def __init__(
        self, scenario: Scenario, tables: Tables | UdpTables, rules: Rules, config: Config, steps: list[Step] | None
    ) -> None:
        self.tables: Tables
        self.udp_tables: UdpTables
        if isinstance(tables, UdpTables):
            self.udp_tables = tables
        else:
            self.tables = tables
        self.rules = rules
        self.config = config
        self.cpu = scenario.cpu if config.smp else 0
        packet = scenario.packet
        socks = scenario.socks
        self.scenario = scenario
        self.packet = packet
        # Where others write meanwhile these are lists of the State's own.
        self.socks: Any = socks
        self.groups: Any = scenario.groups
        self.netns = scenario.netns[packet.netns]
        self.functions = FUNCTIONS[scenario.lookup]
        self.ipv6 = scenario.lookup in IPV6_LOOKUPS
        self.udp = scenario.lookup in UDP_LOOKUPS
        # Whether a BPF helper asks, without an sk_buff.
        self.helper = scenario.caller == HELPER
        # The packet's addresses as its family has them: 32 bits, or 128.
        self.saddr, self.daddr = packet.saddr, packet.daddr
        if not self.ipv6:
            self.saddr, self.daddr = low_word(packet.saddr), low_word(packet.daddr)
        # include/net/route.h inet_iif(): the route's input interface, else the device the packet came in by.
        self.dif, self.sdif = packet.rt_iif or packet.skb_iif, packet.sdif
        if self.ipv6 and packet.sdif:
            # include/linux/ipv6.h inet6_iif(), inet6_sdif(): below an L3 master its device, and the one that IP6CB has;
            # without CONFIG_NET_L3_MASTER_DEV nobody asks whether it is below one.
            self.dif, self.sdif = (packet.skb_iif, packet.sdif) if config.l3mdev else (packet.sdif, 0)
        elif self.udp and not config.l3mdev:  # include/net/ip.h inet_sdif(); TCP's caller passes it
            self.sdif = 0
        if self.helper:  # net/core/filter.c __bpf_skc_lookup() passes both
            self.dif, self.sdif = packet.skb_iif, packet.sdif
        # Whether the tables are somebody else's, where the caller may pass them.
        self.foreign = scenario.foreign_hashinfo and not (rules.udp_own_tables if self.udp else rules.own_tables)
        self.place = packet.netns if config.net_ns else ONE
        self.refcounted = UNSET  # skb_steal_sock() writes it, first of all, and TCP's search of ehash
        self.skb_sk = packet.sk
        self.destructor = packet.destructor
        self.data_len = packet.data_len
        self.freed = 0
        self.refcnt = [sock.refcnt for sock in socks]
        self.listener = [sock.listener for sock in socks]
        self.warns: list[str] = []
        self.shown: list[tuple[int, ...]] = []
        self.via: list[str] = []
        self.steps = steps
        self.schedule: Any = None  # of `events.py`, if there are any
        if scenario.events:
            self.socks, self.groups = list(socks), list(scenario.groups)

    def visit(self, point: int, at: int = NONE) -> None:
        """The lookup comes to a point where another CPU may get between (see `events.py`), which has to do with this
        socket, if with any.
        """
        if self.schedule is not None:
            self.schedule.visit(point, at)

    def note(self, function: str, *values: int) -> None:
        """A kernel function returns; told to whoever wants to follow the steps (see harness/skdiff/cases/steps.py)."""
        if self.steps is not None:
            self.steps.append(Step(function, values))

    def warn(self, function: str, text: str = "") -> None:
        """A WARN_ON_ONCE() of `function`, or a WARN_ONCE() with a text: it is noted once."""
        name = f"{function}: {text}" if text else function
        if name not in self.warns:
            self.warns.append(name)
