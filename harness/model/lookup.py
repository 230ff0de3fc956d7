"""The road of a packet: __inet_lookup_skb() of include/net/inet_hashtables.h."""

from harness.model.state import DROP, State, Stuck
from harness.model.steal import inet_steal_sock
from harness.model.tables import Tables, inet_lookup_established, inet_lookup_listener
from harness.outcome import STUCK, Outcome
from harness.scenario import NONE, Scenario
from harness.steps import Step, tidy


def inet_lookup_skb(state: State) -> int:
    """__inet_lookup_skb(): a socket on the sk_buff first; an error there ends the lookup; else the tables."""
    chosen = inet_steal_sock(state)
    state.note("inet_steal_sock", chosen)
    if chosen == NONE:
        state.note("inet_iif", state.dif)
        chosen = inet_lookup(state)
        state.note("__inet_lookup", chosen)
    chosen = NONE if chosen == DROP else chosen
    state.note("__inet_lookup_skb", chosen)
    return chosen


def inet_lookup(state: State) -> int:
    """__inet_lookup(): the connection's own socket, refcounted; else a listener, which is not."""
    state.refcounted = 1
    chosen = inet_lookup_established(state)
    state.note("__inet_lookup_established", chosen)
    if chosen == NONE:
        state.refcounted = 0
        chosen = inet_lookup_listener(state)
        chosen = NONE if chosen == DROP else chosen
        state.note("__inet_lookup_listener", chosen)
    return chosen


# What the caller finds in tables that are not those of the packet's namespace: nobody there is of that namespace.
_EMPTY = Tables(())


class Model:
    """The oracle that states the rules."""

    name = "model"

    def __init__(self) -> None:
        self._tables = _EMPTY

    def run(self, scenario: Scenario) -> Outcome:
        """The outcome that the rules give for `scenario`, which must be a valid one (see `harness.rules`)."""
        return self._run(scenario, None)

    def trace(self, scenario: Scenario) -> list[Step]:
        """The steps that lead to that outcome."""
        steps: list[Step] = []
        self._run(scenario, steps)
        return tidy(steps)

    def _run(self, scenario: Scenario, steps: list[Step] | None) -> Outcome:
        tables = self._tables
        if tables.socks is not scenario.socks:  # else: another packet for them
            tables = self._tables = Tables(scenario.socks)
        state = State(scenario, _EMPTY if scenario.foreign_hashinfo else tables, steps)
        try:
            chosen = inet_lookup_skb(state)
        except Stuck:
            return Outcome(ended=STUCK, via=("stuck",))
        packet = scenario.packet
        return Outcome(
            sk=chosen,
            skb_sk=state.skb_sk,
            refcounted=state.refcounted,
            destructor=state.destructor,
            skb_len=packet.len,
            skb_data_len=state.data_len,
            skb_users=packet.users,
            refcnt=tuple(state.refcnt),
            listener=tuple(state.listener),
            warns=tuple(state.warns),
            shown=tuple(state.shown),
            via=tuple(state.via) or ("none",),
        )
