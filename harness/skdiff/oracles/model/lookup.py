"""The road of a packet: __inet_lookup_skb() of include/net/inet_hashtables.h, __inet6_lookup_skb(), and UDP's."""

from skdiff.cases.outcome import STUCK, Outcome
from skdiff.cases.scenario import HELPER, IPV6_LOOKUPS, NONE, UDP_LOOKUPS, Scenario
from skdiff.cases.steps import Step
from skdiff.oracles.model.established import inet_lookup_established
from skdiff.oracles.model.events import Schedule
from skdiff.oracles.model.hash_tables import Tables
from skdiff.oracles.model.listeners import inet_lookup_listener
from skdiff.oracles.model.state import DROP, State, Stuck
from skdiff.oracles.model.steal import inet_steal_sock, skb_steal_sock
from skdiff.oracles.model.udp import udp_lib_lookup, udp_rcv
from skdiff.oracles.model.udp_events import UdpSchedule
from skdiff.oracles.model.udp_tables import UdpTables
from skdiff.variants.config import Config
from skdiff.variants.version_rules import Rules


def inet_lookup_skb(state: State) -> int:
    """__inet_lookup_skb(), __inet6_lookup_skb(): a socket on the sk_buff first; an error there ends the lookup; else
    the tables.

    Without the rule `reselect` the socket on the sk_buff gets the packet as it is.
    """
    if state.ipv6:  # net/ipv6/tcp_ipv6.c tcp_v6_rcv() passes it
        state.note(state.functions.iif, state.dif)
    if state.rules.reselect:
        chosen = inet_steal_sock(state)
        state.note(state.functions.steal_sock, chosen)
    else:
        chosen = skb_steal_sock(state)
    if chosen == NONE:
        if not state.ipv6:
            state.note(state.functions.iif, state.dif)
        chosen = inet_lookup(state)
        state.note(state.functions.lookup, chosen)
    chosen = NONE if chosen == DROP else chosen
    state.note(state.functions.lookup_skb, chosen)
    return chosen


def inet_lookup(state: State) -> int:
    """__inet_lookup(), __inet6_lookup(): the connection's own socket, refcounted; else a listener, which is not."""
    state.refcounted = 1
    chosen = inet_lookup_established(state)
    state.note(state.functions.established, chosen)
    if chosen == NONE:
        state.refcounted = 0
        chosen = inet_lookup_listener(state)
        chosen = NONE if chosen == DROP else chosen
        state.note(state.functions.listener, chosen)
    return chosen


def helper_lookup(state: State) -> int:
    """net/core/filter.c sk_lookup(), of TCP: bpf_sk_lookup_tcp() looks into the tables alone."""
    chosen = inet_lookup(state)
    state.note(state.functions.lookup, chosen)
    return chosen


# Of TCP, and of UDP.
_RECEIVERS = (inet_lookup_skb, udp_rcv)
_HELPERS = (helper_lookup, udp_lib_lookup)
_RULES, _CONFIG = Rules(), Config()
# What the caller finds in tables that are not those of the packet's namespace: nobody there is of that namespace.
_EMPTY = Tables((), _CONFIG, ipv6=False)


class Model:
    """The oracle that states the rules: those of the kernel that it is compared with, in the configuration in which it
    was built; by default Linux 6.12 as distributions build it.
    """

    name = "model"

    def __init__(self, rules: Rules = _RULES, config: Config = _CONFIG) -> None:
        self.rules = rules
        self.config = config
        self._tables: Tables | UdpTables = _EMPTY

    def run(self, scenario: Scenario) -> Outcome:
        """The outcome that the rules give for `scenario`, which must be a valid one (see `skdiff.cases.validity`)."""
        return self._run(scenario, None)

    def trace(self, scenario: Scenario) -> list[Step]:
        """The steps that lead to that outcome."""
        steps: list[Step] = []
        self._run(scenario, steps)
        return steps

    def _run(self, scenario: Scenario, steps: list[Step] | None) -> Outcome:
        tables = self._tables
        ipv6, kind = scenario.lookup in IPV6_LOOKUPS, UdpTables if scenario.lookup in UDP_LOOKUPS else Tables
        # Else: another packet for them, or tables that change, which `events.py` has.
        meanwhile = bool(scenario.events)
        same = tables.socks is scenario.socks and tables.ipv6 is ipv6 and type(tables) is kind
        if not (same or meanwhile):
            tables = self._tables = kind(scenario.socks, self.config, ipv6)
        foreign = scenario.foreign_hashinfo and not self.rules.own_tables and kind is Tables
        state = State(scenario, _EMPTY if foreign else tables, self.rules, self.config, steps)
        if meanwhile:
            state.schedule = UdpSchedule(state) if state.udp else Schedule(state)
        search = _HELPERS if scenario.caller == HELPER else _RECEIVERS
        try:
            chosen = search[state.udp](state)
        except Stuck:
            return Outcome(ended=STUCK, via=("stuck",))
        schedule, state.schedule = state.schedule, None  # each has the other, which garbage collection alone would free
        if schedule is not None:
            schedule.go_on()
        packet = scenario.packet
        return Outcome(
            sk=chosen,
            skb_sk=state.skb_sk,
            refcounted=state.refcounted,
            destructor=state.destructor,
            skb_len=packet.len,
            skb_data_len=state.data_len,
            skb_users=packet.users,
            freed=state.freed,
            fired=schedule.fired if schedule is not None else 0,
            refcnt=tuple(state.refcnt),
            listener=tuple(state.listener),
            warns=tuple(state.warns),
            shown=tuple(state.shown),
            via=tuple(state.via) or ("none",),
        )
