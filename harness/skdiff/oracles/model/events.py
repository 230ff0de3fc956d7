"""What another CPU does while the lookup runs: the events of a case, each at a visit of its point.

Each action is a generator, which stops before each of its steps: the stores that a lookup can see, in the order in
which the kernel's writers make them.
"""

from collections.abc import Callable, Iterator, Mapping

from skdiff.cases.events import TIMEWAIT_REFERENCES, leaves_group
from skdiff.cases.record import constants
from skdiff.cases.scenario import (
    ATTACHED,
    COMES,
    DETACHED,
    EHASH,
    GOES_ON,
    HASH_OWN,
    INT_MAX,
    KIND_TIMEWAIT,
    LEAVES,
    LHASH2,
    LISTENS,
    NONE,
    PROG_NONE,
    REBOUND,
    REPLACED,
    REUSED,
    SK_LOOKUP,
    SK_PASS,
    SK_REUSEPORT,
    SYSCTL,
    TCP_LISTEN,
    Event,
    Group,
    Scenario,
    Sock,
)
from skdiff.cases.steps import EVENT
from skdiff.oracles.model.chains import Chains, Hashes
from skdiff.oracles.model.state import State

_U16 = 0xFFFF
_PLACE = {name: place for place, name in enumerate(Sock._fields)}


def absent(scenario: Scenario) -> list[int]:
    """The sockets that are in no table until an event brings them."""
    return [e.sk if e.action == COMES else e.other for e in scenario.events]  # `other`: NONE, but of REPLACED


class Schedule:
    """The events of a case while its lookup runs, and TCP's chains, which they change. `fired` is a bit mask of those
    that came about.
    """

    def __init__(self, state: State, hashes: Hashes | None) -> None:
        self.state = state
        self.events = state.scenario.events
        self.left = [event.nth for event in self.events]
        self._places = [(event.point, event.at) for event in self.events]
        self.fired = 0
        if hashes is not None:  # of UDP they are others
            self.chains = Chains(state.scenario, state.rules, hashes)
            self.chains.fill(absent(state.scenario))
        self._begun: Iterator[None] | None = None

    def visit(self, point: int, at: int) -> None:
        """The lookup comes to a point, which has to do with this socket, if with any."""
        for number, (place, only) in enumerate(self._places):
            if place != point or not self.left[number] or (only != NONE and only != at):
                continue
            self.left[number] -= 1
            if not self.left[number]:
                event = self.events[number]
                self.go_on()
                if self._is_possible(event):
                    self.fired |= 1 << number
                    self._begin(event)
                self.state.note(EVENT, number, self.fired >> number & 1)

    def _begin(self, event: Event) -> None:
        writer = self._writer(event)
        for done, _ in enumerate(writer):
            if event.steps and done == event.steps:
                self._begun = writer
                return

    def _writer(self, event: Event) -> Iterator[None]:
        """What comes about, step by step."""
        return _ACTIONS[event.action](self, event)

    def go_on(self) -> None:
        """Who stands still in the middle goes on, to its end."""
        begun, self._begun = self._begun, None
        for _ in begun or ():
            pass

    def is_hashed(self, index: int) -> bool:
        """Whether a socket is in a chain."""
        return self.chains.where[index] is not None

    def _is_possible(self, event: Event) -> bool:
        """Whether an event can come about as things are by now: nothing happens to who is freed. Who comes, or takes
        somebody's place, does so once (`wrong_event()` of `cases/events.py`).
        """
        if event.sk != NONE and self.state.freed >> event.sk & 1:
            return False
        if event.action == COMES:
            return not (event.value and self._is_full(event.value - 1))
        if event.action not in (LEAVES, REUSED, LISTENS, REPLACED):
            return True
        sock = self.state.socks[event.sk]
        if not self.is_hashed(event.sk) or (event.action != LEAVES and sock.hashed != EHASH):
            return False
        return event.action != REPLACED or sock.dport == self.state.socks[event.other].dport

    def _is_full(self, number: int) -> bool:
        group: Group = self.state.groups[number]
        return bool(group.num_socks + group.num_closed_socks >= constants.MAX_SLOTS)

    # --- what they do -------------------------------------------------------------------------------------------------

    def _change(self, index: int, **values: int) -> None:
        fields = list(self.state.socks[index])
        for name, value in values.items():
            fields[_PLACE[name]] = value
        self.state.socks[index] = Sock._make(fields)

    def _take_out(self, index: int) -> Iterator[None]:
        """inet_unhash(): a listener leaves its group first."""
        sock = self.state.socks[index]
        if leaves_group(sock):
            yield
            self._change(index, group=NONE)
            self._detach(index, sock.group)
        yield
        self.chains.remove(index)

    def _detach(self, index: int, number: int) -> None:
        """reuseport_detach_sock(): of the live members the last takes its slot. Closed ones, which have the last slots,
        are in no chain, unless they are hostile: of these the first does.
        """
        group = self.state.groups[number]
        slots, live = list(group.slots), group.slots[: group.num_socks]
        closed_at = constants.MAX_SLOTS - group.num_closed_socks
        if index in slots[closed_at:]:
            slots[slots.index(index, closed_at)] = slots[closed_at]
            group = group._replace(num_closed_socks=group.num_closed_socks - 1)
        elif index in live:
            slots[live.index(index)] = live[-1]
            group = group._replace(num_socks=group.num_socks - 1)
        else:
            return
        asked = self.state.socks[index].incoming_cpu >= 0
        self.state.groups[number] = group._replace(slots=tuple(slots), incoming_cpu=(group.incoming_cpu - asked) & _U16)

    def _leaves(self, event: Event) -> Iterator[None]:
        yield from self._take_out(event.sk)
        yield
        self._put(event.sk)

    def _put(self, index: int) -> None:
        if 0 < self.state.refcnt[index] <= INT_MAX:
            self.state.refcnt[index] -= 1

    def _is_reused(self, event: Event) -> Iterator[None]:
        """The last reference goes, and its memory becomes another socket, which has as many of its own before it is
        hashed. If the lookup has taken a reference meanwhile it was not the last one.
        """
        refcnt, count = self.state.refcnt, self.state.refcnt[event.sk]
        yield from self._take_out(event.sk)
        yield
        if refcnt[event.sk] != count:
            self._put(event.sk)
            return
        refcnt[event.sk] = 0
        self.chains.keep_hash(event.sk, self.state.socks[event.sk])
        self._change(event.sk, dport=event.value, hash_kind=HASH_OWN)
        yield
        refcnt[event.sk] = count
        yield from self._insert(event.sk)

    def _listens(self, event: Event) -> Iterator[None]:
        """disconnect(), and then listen(). It has no peer from now on, which nobody asks of a listener."""
        yield from self._take_out(event.sk)
        sock = self.state.socks[event.sk]
        self._change(event.sk, hashed=LHASH2, state=TCP_LISTEN, reuseport_changed=sock.reuseport)
        yield from self._insert(event.sk)

    def _insert(self, index: int) -> Iterator[None]:
        self.chains.prepare(index, self.state.socks[index])
        yield
        self.chains.publish(index)

    def _comes(self, event: Event) -> Iterator[None]:
        """inet_hash(): into its group, and then into its chain."""
        yield from self._joined(event)
        yield from self._insert(event.sk)

    def _joined(self, event: Event) -> Iterator[None]:
        if event.value:
            yield
            self._join(event.sk, event.value - 1)
            yield
            self._change(event.sk, group=event.value - 1)

    def _join(self, index: int, number: int) -> None:
        """__reuseport_add_sock()."""
        group = self.state.groups[number]
        live = group.num_socks
        asks = self.state.socks[index].incoming_cpu >= 0
        self.state.groups[number] = group._replace(
            slots=(*group.slots[:live], index, *group.slots[live + 1 :]),
            num_socks=live + 1,
            incoming_cpu=(group.incoming_cpu + asks) & _U16,
        )

    def _is_replaced(self, event: Event) -> Iterator[None]:
        """A timewait socket takes the place of its connection, or inet_ehash_insert(), which takes the old one's
        reference away: without the rule `ehash_replace` there is a moment with neither.
        """
        if self.state.socks[event.other].kind == KIND_TIMEWAIT:
            yield from self._comes_to_timewait(event)
            return
        yield
        if self.state.rules.ehash_replace:
            self.chains.replace(event.sk, event.other)
            self.state.refcnt[event.sk] -= 1
            return
        self.chains.remove(event.sk)
        self.state.refcnt[event.sk] -= 1
        yield from self._insert(event.other)

    def _comes_to_timewait(self, event: Event) -> Iterator[None]:
        """inet_twsk_hashdance_schedule(): without the rule `twsk_replace` the timewait socket comes first, and has no
        reference until its connection is gone, so that it ends the search of who meets it.
        """
        if self.state.rules.twsk_replace:
            yield
            self.state.refcnt[event.other] = TIMEWAIT_REFERENCES
            yield
            self.chains.replace(event.sk, event.other)
            return
        yield from self._insert(event.other)
        yield
        self.chains.remove(event.sk)
        yield
        self.state.refcnt[event.other] = TIMEWAIT_REFERENCES

    def _is_rebound(self, event: Event) -> Iterator[None]:
        yield
        self._change(event.sk, bound_dev_if=event.value)

    def _sysctl_is_set(self, event: Event) -> Iterator[None]:
        yield
        self.state.netns = self.state.netns._replace(tcp_l3mdev_accept=event.value)

    def _is_detached(self, event: Event) -> Iterator[None]:
        yield
        self.state.groups[event.value] = self.state.groups[event.value]._replace(prog=PROG_NONE)

    def _is_attached(self, event: Event) -> Iterator[None]:
        """reuseport_attach_prog(): who runs the old program does not see it."""
        yield
        self.state.groups[event.value] = self.state.groups[event.value]._replace(
            prog=SK_REUSEPORT, select=event.sk, verdict=SK_PASS
        )

    def _sk_lookup_is_set(self, event: Event) -> Iterator[None]:
        """kernel/bpf/net_namespace.c: the array of a namespace's programs is there, or is not."""
        yield
        self.state.netns = self.state.netns._replace(run_array=event.value)

    def _goes_on(self, event: Event) -> Iterator[None]:
        yield from ()


_ACTIONS: Mapping[int, Callable[[Schedule, Event], Iterator[None]]] = {
    LEAVES: Schedule._leaves,
    REUSED: Schedule._is_reused,
    LISTENS: Schedule._listens,
    COMES: Schedule._comes,
    REPLACED: Schedule._is_replaced,
    REBOUND: Schedule._is_rebound,
    SYSCTL: Schedule._sysctl_is_set,
    DETACHED: Schedule._is_detached,
    GOES_ON: Schedule._goes_on,
    ATTACHED: Schedule._is_attached,
    SK_LOOKUP: Schedule._sk_lookup_is_set,
}
