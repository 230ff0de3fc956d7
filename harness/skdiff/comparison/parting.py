"""Where two traces of one case part: the kernel function that took another way than it should."""

from collections.abc import Sequence
from dataclasses import dataclass

from skdiff.cases.addresses import ipv4_view
from skdiff.cases.outcome import CRASHED, SHOWN_FILTER, SHOWN_SK_LOOKUP, SHOWN_SK_REUSEPORT, STUCK, Outcome
from skdiff.cases.scenario import AF_INET6, IPV6_LOOKUPS, UDP_LOOKUPS, Scenario
from skdiff.cases.steps import CHOOSY, VALUES, Step, above, of_kernel, parting
from skdiff.kernel.call_graph import Callers
from skdiff.oracles.model import Model
from skdiff.oracles.model.functions import FUNCTIONS
from skdiff.oracles.model.hash_tables import Tables
from skdiff.oracles.model.score import WEIGHTS, compute_score
from skdiff.oracles.model.state import State

# Asked of each socket of a bucket, and noted only for what has to do with the packet, or what they take all the same.
_ASKED_OF_EACH = frozenset(name for name in CHOOSY if {"score", "matches"} & {*VALUES[name]})
# Values of a step that the function was given: it did not make them, so they are another function's doing.
_GIVEN = frozenset({"bound", "hash", "buckets", "asked", "daddr", "first_half", "last_half"})
_ASKED = frozenset({"counted", "score", "matches", "refcnt"})  # beside one of these, `sk` is given too
# Which function asks for these is not a step: early demux, which a case may begin with.
_EARLY_DEMUX = {
    "__udp4_lib_demux_lookup": "udp_v4_early_demux",
    "__udp4_lib_mcast_demux_lookup": "udp_v4_early_demux",
    "__udp6_lib_demux_lookup": "udp_v6_early_demux",
}
_RUNS = {SHOWN_FILTER: "run_bpf_filter", SHOWN_SK_REUSEPORT: "bpf_run_sk_reuseport"}


@dataclass(frozen=True)
class Parting:
    """Two traces of one case, and what came of each: `at` is the first step at which they part, None if they do not;
    `callers` are the functions that each function returns to, `model` is what says what is right. `visits_in` is the
    function in which they come to a point differently often (`visits.py`), "" for none.
    """

    names: tuple[str, str]
    traces: tuple[list[Step], list[Step]]
    at: int | None
    callers: Callers
    scenario: Scenario
    outcomes: tuple[Outcome, Outcome]
    model: Model
    visits_in: str = ""

    @property
    def function(self) -> str:
        """The kernel function in which the sides part: where its text and the rules do."""
        if self.visits_in:
            return self.visits_in
        if left := self._left():
            return left
        found = culprit(*self.traces, self.callers, self.scenario, self.model, self.outcomes[0].ended == STUCK)
        return found or (self._of_outcomes() if self.outcomes[0] != self.outcomes[1] else "")

    @property
    def suspects(self) -> tuple[str, ...]:
        """Where the kernel may have crashed, the innermost function first: in that from which the other side returns
        next, or on the way from the last one that it surely was in. Else the `function` alone.
        """
        ours, theirs = map(of_kernel, self.traces)
        at = parting(ours, theirs)
        if self.outcomes[0].ended != CRASHED or at is None or len(ours) > at:
            return (self.function,)
        names = [step.function for step in road(theirs, at, self.callers)]
        inside = {step.function for step in road(theirs, at - 1, self.callers)[1:]} if at else set()
        last = next((i for i, name in enumerate(names) if name in inside), len(names) - 1)
        return tuple(names[: last + 1])

    def _left(self) -> str:
        """The search for the connection, if it never ends by the rules and the kernel is out of it; "" otherwise."""
        if self.outcomes[1].ended != STUCK or self.outcomes[0].ended == STUCK:
            return ""
        search = connection_search(self.scenario.lookup)
        ours, theirs = map(of_kernel, self.traces)
        at = parting(ours, theirs)
        if at is None or any(step.function == search for step in road(ours, at, self.callers)):
            return ""
        inside = at == len(theirs) or any(step.function == search for step in road(theirs, at, self.callers))
        return search if inside else ""

    def _of_outcomes(self) -> str:
        """The function, if all steps are the same: whose warning or whose program one side lacks, else the one that
        all of them return to.
        """
        ours, theirs = self.outcomes
        for one, other in ((ours, theirs), (theirs, ours)):
            for warn in one.warns:
                if warn not in other.warns:
                    return warn.partition(":")[0]
        for i in range(max(len(ours.shown), len(theirs.shown))):
            here, there = (shown[i : i + 1] for shown in (ours.shown, theirs.shown))
            if here != there:
                kind = (here or there)[0][0]
                if kind == SHOWN_SK_LOOKUP:
                    return f"bpf_sk_lookup_run_v{6 if self.scenario.lookup in IPV6_LOOKUPS else 4}"
                return _RUNS[kind]
        trace = of_kernel(self.traces[1] or self.traces[0])
        return trace[-1].function if trace else FUNCTIONS[self.scenario.lookup].lookup_skb


def connection_search(lookup: int) -> str:
    """The kernel function that looks for the packet's own connection."""
    functions = FUNCTIONS[lookup]
    return functions.connected if lookup in UDP_LOOKUPS else functions.established


def culprit(
    ours: Sequence[Step],
    theirs: Sequence[Step],
    callers: Callers,
    scenario: Scenario | None = None,
    model: Model | None = None,
    stuck: bool = False,
) -> str:
    """The kernel function in which two traces part, "" if they do not; `ours` is the kernel's, and `stuck` tells that
    it never ended. `callers` are the functions that each step's function returns to.

    The function that was given the same and made something else of it; or, where one side goes on in a function from
    which the other returns, that function; or the nearest one from which both have still to return. What the kernel
    took of a bucket, and should not have by the rules of the `model`, is the fault of what took it.
    """
    ours, theirs = of_kernel(ours), of_kernel(theirs)
    at = parting(ours, theirs)
    if at is None:
        return ""
    one, other = road(ours, at, callers), road(theirs, at, callers)
    if not one:
        return _where_it_ended(other, stuck)
    before = ours[at - 1] if at else None
    if before is not None and before.function == "refcount_inc_not_zero" and not before.values[0] and other:
        return other[0].function  # a match that is dying ends the search, and nobody may be asked after it
    below = one if not other else one[: _meeting(one, other)]
    asked = next((i for i, step in enumerate(below) if _is_taken(step)), None)
    common = one[len(below)].function if len(below) < len(one) else ""
    noted = max(i for i, step in enumerate(one) if step.values or not VALUES[step.function])
    for step in below[:noted]:
        if not step.values and step.function in _ASKED_OF_EACH:
            return step.function  # it asked more of a socket than it should have, and refused it all the same
    if asked is not None and asked + 1 < len(one) and (not other or asked + 1 == len(below)):
        step, walk = one[asked : asked + 2]
        fits = scenario is not None and model is not None and _fits(step, walk, ours[:at], scenario, model)
        return walk.function if fits else step.function
    demux = [_EARLY_DEMUX[step.function] for step in (*one, *other) if step.function in _EARLY_DEMUX]
    return common or (demux or [one[0].function])[0]


def _meeting(one: Sequence[Step], other: Sequence[Step]) -> int:
    """The first place on one road that is on the other too, above all that were given something else there."""
    there: dict[str, Step] = {}
    for step in other:
        there.setdefault(step.function, step)
    common = [i for i, step in enumerate(one) if step.function in there]

    def differs(i: int) -> bool:
        step = there[one[i].function]
        return bool(one[i].values and step.values) and _given(one[i]) != _given(step)

    last = max((i for i in common if differs(i)), default=-1)
    return next((i for i in common if i > last), len(one))


def _is_taken(step: Step) -> bool:
    """Whether a socket of a bucket was asked, and may have the packet."""
    refused = min(weights.refused for weights in WEIGHTS.values())
    return (
        step.function in _ASKED_OF_EACH
        and bool(step.values)
        and step.values[1] > (refused if "udp" in step.function else 0)
    )


def road(trace: Sequence[Step], at: int, callers: Callers) -> list[Step]:
    """A step, the step in which its function returns to that which called it, and so on; nothing behind the end. What
    is not noted, since nothing was taken, and where the trace ends before they return, those of the call graph, are
    without values, the nearest first.
    """
    if at >= len(trace):
        return []
    found = [trace[at]]
    for step in trace[at + 1 :]:
        below = found[-1].function
        if step.function in callers.get(below, ()):
            found.append(step)
        elif step.function in above(below, callers):
            between = (f for f in callers[below] if f in _ASKED_OF_EACH and step.function in callers[f])
            found += [*(Step(f, ()) for f in between), step]
    seen = {step.function for step in found}
    return found + [Step(name, ()) for name in above(found[-1].function, callers) if name not in seen]


def _given(step: Step) -> tuple[int, ...]:
    """What the function of a step was given, as far as it is noted."""
    names = VALUES[step.function]
    asked = bool(_ASKED & {*names})
    return tuple(
        value for name, value in zip(names, step.values, strict=False) if name in _GIVEN or (asked and name == "sk")
    )


def _where_it_ended(theirs: Sequence[Step], stuck: bool) -> str:
    """The function in which the kernel crashed, where the other side returns from these; or whose loop never ends."""
    names = [step.function for step in theirs]
    last = max((i for i, name in enumerate(names) if name in _ASKED_OF_EACH), default=-1) if stuck else -1
    return names[last + 1] if last + 1 < len(names) else names[0]


def _fits(step: Step, walk: Step, before: Sequence[Step], scenario: Scenario, model: Model) -> bool:
    """Whether the rules let a socket that is asked have the packet; `before` is what came before, and what both sides
    said there holds. Of one that another CPU changes meanwhile nobody says so.
    """
    number, packet = step.values[0], scenario.packet
    if step in before:
        return True
    if not 0 <= number < len(scenario.socks) or any(number in (event.sk, event.other) for event in scenario.events):
        return False
    sock = scenario.socks[number]
    state = State(scenario, Tables((), model.config, scenario.lookup in IPV6_LOOKUPS), model.rules, model.config, None)
    if sock.num != packet.dport or (model.config.net_ns and sock.netns != packet.netns):
        return False
    if state.ipv6 and sock.family != AF_INET6:
        return False
    daddr, rcv_saddr = (at if state.ipv6 else ipv4_view(at) for at in (sock.daddr, sock.rcv_saddr))
    if "matches" in VALUES[step.function]:
        return (daddr, rcv_saddr, sock.dport) == (state.saddr, state.daddr, packet.sport)
    if compute_score(state, sock) <= WEIGHTS[scenario.lookup].refused:
        return False
    return bool(rcv_saddr) != _is_wild(walk) if walk.values else True


def _is_wild(walk: Step) -> bool:
    """Whether a walk looks for what is bound to no address."""
    halves = [value for name, value in zip(VALUES[walk.function], walk.values, strict=False) if name in _GIVEN]
    return not any(halves)
