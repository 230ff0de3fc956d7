"""Reduction: the smallest case that still shows the same difference.

A step is one change of a Scenario that makes it smaller; what that entails in a reachable one (a group that has lost a
member counts one less) is left to `normalise`. `reduce` takes each step that keeps the difference, until none does.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skdiff.cases.addresses import other_family
from skdiff.cases.derived import UDP_HEADER, with_derived
from skdiff.cases.field_kinds import Kind
from skdiff.cases.fields import FIELDS, LOOKUPS, of_kind
from skdiff.cases.fields import derived as derived_fields
from skdiff.cases.normalise import normalise
from skdiff.cases.normalise_events import with_events
from skdiff.cases.on_kernel import as_it_is
from skdiff.cases.other_lookup import as_lookup, raw_of
from skdiff.cases.pools import OTHER, OTHER_PROTOCOL, OTHER_TABLE
from skdiff.cases.scenario import (
    IPV6_LOOKUPS,
    KIND_FULL,
    LEAVE,
    NONE,
    TCP4,
    TCP_CLOSE,
    UDP_LOOKUPS,
    Event,
    Group,
    Netns,
    Packet,
    Program,
    Scenario,
    Sock,
)
from skdiff.cases.validity import problems
from skdiff.variants.abilities import NOTHING, Ability

LIMIT, LIMIT_OF_ALL = 5.0, 60.0  # seconds for one finding, and for all of a run


Place = tuple[Any, int, int]  # a class of scenario.py and where its thing stands, a program in its namespace


# What a field may become, the plainest first: its default, then its pool. An index may become any smaller one.
_CHOICES: dict[Any, dict[str, tuple[int, ...]]] = {
    record: {
        name: tuple(dict.fromkeys((record._field_defaults[name], *(value for value, _ in field.pool))))
        for name, field in fields.items()
        if field.kind is not Kind.LIST  # whose pool is of how many there are
    }
    for record, fields in FIELDS.items()
}
_CHOICES[Scenario]["hash_secret"] = tuple(range(16))  # any small one may show a difference


def _choices_of(lookup: int) -> dict[Any, dict[str, tuple[int, ...]]]:
    """The same in a lookup: addresses and sockets of IPv6 are of the other family, sockets of UDP of the other
    protocol, in other tables.
    """
    choices = {record: dict(names) for record, names in _CHOICES.items()}
    if lookup in IPV6_LOOKUPS:
        for record in FIELDS:
            for name in of_kind(record, Kind.ADDRESS):
                choices[record][name] = tuple(map(other_family, choices[record][name]))
        choices[Sock]["family"] = tuple(OTHER.get(family, family) for family in _CHOICES[Sock]["family"])
    if lookup in UDP_LOOKUPS:
        choices[Packet]["doff"] = (UDP_HEADER,)
        for name, other in (("protocol", OTHER_PROTOCOL), ("hashed", OTHER_TABLE)):
            choices[Sock][name] = tuple(other.get(value, value) for value in choices[Sock][name])
    return choices


_CHOICES_OF = {lookup: _choices_of(lookup) for lookup in LOOKUPS}
# Fields whose values mean the same things, so that a value can be changed in all of them at once.
_ALIKE: tuple[dict[Any, tuple[str, ...]], ...] = tuple(
    {record: names for record in FIELDS if (names := of_kind(record, kind))}
    for kind in (Kind.ADDRESS, Kind.PORT, Kind.DEVICE, Kind.CPU)
)


@dataclass(frozen=True)
class Reduction:
    """What became of a scenario: `tried` scenarios were run, `kept` of them were steps; `finished` unless stopped."""

    scenario: Scenario
    tried: int
    kept: int
    seconds: float
    finished: bool


@dataclass
class _State:
    """The smallest scenario so far. The passes below read it anew after each candidate that they yield."""

    best: Scenario


def never_stopped() -> bool:
    """Nobody asks to stop."""
    return False


def reduce(
    scenario: Scenario,
    differs: Callable[[Scenario], bool],
    limit_seconds: float = LIMIT,
    stopped: Callable[[], bool] = never_stopped,
    lacks: frozenset[Ability] = NOTHING,
) -> Reduction:
    """The smallest scenario in reach for which `differs` holds, as it does for `scenario`, which is valid.

    The same input gives the same result, if the time suffices. `differs` is asked about valid scenarios only, each
    smaller (see `size`) than the best so far; a hostile one becomes reachable if it can. A finished result is
    1-minimal: `differs` holds for none of `steps(result)`. These have every valid scenario with one event, socket,
    slot, group, program or namespace less, and every valid one with one field at its default, which is the one of its
    class in `scenario.py`; in a reachable scenario also those that are valid with what the change entails. What a
    kernel that `lacks` some abilities cannot reach is hostile here.
    """
    start = time.monotonic()
    scenario = as_it_is(scenario, lacks)
    state, least = _State(scenario), size(scenario)
    seen = {scenario}
    kept = 0
    while True:
        before = state.best
        for raw in _candidates(state):
            if stopped() or time.monotonic() - start >= limit_seconds:
                return Reduction(state.best, len(seen) - 1, kept, time.monotonic() - start, finished=False)
            repaired = repair(raw)
            candidate = repaired and as_it_is(repaired, lacks)
            if candidate is None or candidate in seen or size(candidate) >= least:
                continue
            seen.add(candidate)
            if differs(candidate):
                kept += 1
                state.best, least = candidate, size(candidate)
        if state.best is before:
            return Reduction(state.best, len(seen) - 1, kept, time.monotonic() - start, finished=True)


def steps(scenario: Scenario) -> Iterator[Scenario]:
    """The valid scenarios that are one step smaller than this one."""
    for raw in _candidates(_State(scenario)):
        candidate = repair(raw)
        if candidate is not None and size(candidate) < size(scenario):
            yield candidate


def size(scenario: Scenario) -> tuple[int, ...]:
    """What "smaller" means: reachable before hostile, then fewer events, sockets, groups, slots, programs,
    namespaces, then fewer fields that are not at their defaults, then plainer values.
    """
    fields = ranks = 0
    all_choices = _choices(scenario)
    for (kind, _, _), thing in _things(scenario):
        derived: frozenset[str] = frozenset() if scenario.hostile else derived_fields(kind)
        if kind is Group and not thing.num_socks:
            derived = derived - {"bind_inany"}  # nobody there that it could follow from
        for name, choices in all_choices[kind].items():
            value = getattr(thing, name)
            if value != choices[0] and name not in derived:
                fields += 1
                ranks += _rank(value, choices, _met(kind, name, scenario.packet))
    slots = sum(len(group.slots) for group in scenario.groups)
    progs = sum(len(net.progs) for net in scenario.netns)
    counts = len(scenario.socks), len(scenario.groups), slots, progs, len(scenario.netns)
    return (scenario.hostile, len(scenario.events), *counts, fields, ranks)


def repair(s: Scenario) -> Scenario | None:
    """The valid scenario nearest to this one: itself if it is valid; None if there is none near."""
    if problems(s) and not s.hostile:
        s = with_derived(s)  # often enough, and `normalise` would give up more
    if not problems(s):
        return s
    normalised = with_events(normalise(raw_of(s)), s.events)
    return None if problems(normalised) else normalised


# --- steps -----------------------------------------------------------------------------------------------------------


def _candidates(state: _State) -> Iterator[Scenario]:
    """One pass; each step of a hostile scenario is tried as a reachable one first."""
    yield state.best._replace(hostile=0)
    for candidate in _pass(state):
        if candidate.hostile:
            yield candidate._replace(hostile=0)
        yield candidate


def _pass(state: _State) -> Iterator[Scenario]:
    """Things are dropped from the last to the first, so that a step does not renumber those to come."""
    yield as_lookup(state.best, TCP4)
    for i in reversed(range(len(state.best.events))):
        events = state.best.events
        yield state.best._replace(events=events[:i] + events[i + 1 :])
    yield from _fewer_socks(state)
    yield from _fewer_others(state)
    for name, choices in _choices(state.best)[Sock].items():
        yield state.best._replace(socks=tuple(_with(sock, name, choices[0]) for sock in state.best.socks))
    yield from _plainer_fields(state)
    for alike in _ALIKE:
        yield from _renamed(state, alike)


def _fewer_socks(state: _State) -> Iterator[Scenario]:
    count = len(state.best.socks) // 2
    while count:
        for end in range(len(state.best.socks), 0, -count):
            yield without_socks(state.best, range(end - count, end))
        count //= 2
    for i in reversed(range(len(state.best.socks))):
        before = state.best
        for heir in (NONE, *range(len(before.socks))):
            if heir != i and state.best is before:
                yield without_socks(before, [i], heir)


def without_socks(s: Scenario, gone: Iterable[int], heir: int = NONE) -> Scenario:
    """The scenario without some sockets, not repaired. What named one of them names the heir, or nothing; a slot of
    nothing goes, a program with nothing to assign leaves the choice.
    """
    left = [i for i in range(len(s.socks)) if i not in set(gone)]
    at = {old: new for new, old in enumerate(left)} | {NONE: NONE, LEAVE: LEAVE}
    at |= {} if heir == NONE else dict.fromkeys(gone, at[heir])
    groups = [_with_slots(group, [slot in at for slot in group.slots]) for group in s.groups]
    netns = [[p._replace(assign=at.get(p.assign, LEAVE)) for p in net.progs] for net in s.netns]
    return s._replace(
        packet=s.packet._replace(sk=at.get(s.packet.sk, NONE)),
        netns=tuple(net._replace(progs=tuple(progs)) for net, progs in zip(s.netns, netns, strict=True)),
        groups=tuple(g._replace(select=at.get(g.select, NONE), slots=tuple(at[i] for i in g.slots)) for g in groups),
        socks=tuple(s.socks[i]._replace(listener=at.get(s.socks[i].listener, NONE)) for i in left),
        events=tuple(
            event._replace(at=at.get(event.at, NONE), sk=at[event.sk], other=at[event.other])
            for event in s.events
            if event.sk in at and event.other in at
        ),
    )


def _with_slots(group: Group, keep: Sequence[bool]) -> Group:
    """The group with the slots that are to be kept; the first are live, the last are closed."""
    return group._replace(
        slots=tuple(slot for slot, kept in zip(group.slots, keep, strict=True) if kept),
        num_socks=sum(keep[: group.num_socks]),
        num_closed_socks=sum(keep[len(keep) - group.num_closed_socks :]),
    )


def _fewer_others(state: _State) -> Iterator[Scenario]:
    for order in ([1, 0], [0], [1]):
        if len(state.best.netns) > 1:
            yield _in_namespaces(state.best, order)
    for i in reversed(range(len(state.best.groups))):
        s = state.best
        at = {old: old - (old > i) for old in range(NONE, len(s.groups))} | {i: NONE}
        socks = tuple(sock._replace(group=at[sock.group]) for sock in s.socks)
        yield s._replace(groups=s.groups[:i] + s.groups[i + 1 :], socks=socks)
    for i in range(len(state.best.groups)):
        for j in reversed(range(len(state.best.groups[i].slots))):
            group = state.best.groups[i]
            if j >= len(group.slots):  # the last step took more than one
                continue
            less = _put(state.best, (Group, i, 0), _with_slots(group, [k != j for k in range(len(group.slots))]))
            yield less
            member = group.slots[j]
            yield _put(less, (Sock, member, 0), less.socks[member]._replace(group=NONE))
    for i in range(len(state.best.netns)):
        for j in reversed(range(len(state.best.netns[i].progs))):
            net = state.best.netns[i]
            yield _put(state.best, (Netns, i, 0), net._replace(progs=net.progs[:j] + net.progs[j + 1 :]))


def _in_namespaces(s: Scenario, order: Sequence[int]) -> Scenario:
    """The scenario with its namespaces in another order, or with one of them, where everything moves."""
    at = [order.index(i) if i in order else 0 for i in range(len(s.netns))]
    return s._replace(
        netns=tuple(s.netns[i] for i in order),
        packet=s.packet._replace(netns=at[s.packet.netns]),
        socks=tuple(sock._replace(netns=at[sock.netns]) for sock in s.socks),
    )


def _plainer_fields(state: _State) -> Iterator[Scenario]:
    for place in dict(_things(state.best)):
        for name, choices in _choices(state.best)[place[0]].items():
            before = state.best
            thing = dict(_things(before)).get(place)
            if thing is None:  # an event that the last step has made impossible
                break
            met = _met(place[0], name, before.packet)
            ranks = {value: _rank(value, choices, met) for value in (*choices, met, getattr(thing, name))}
            for choice in sorted(choices if met is None else {*choices, met}, key=ranks.__getitem__):
                if ranks[choice] >= ranks[getattr(thing, name)] or state.best is not before:
                    break
                yield _put(before, place, _with(thing, name, choice))


def _renamed(state: _State, alike: Mapping[Any, Sequence[str]]) -> Iterator[Scenario]:
    """A value changed wherever it stands, or two of them exchanged."""

    def values(thing: Any) -> dict[str, int]:
        return {name: getattr(thing, name) for name in alike.get(type(thing), ())}

    def renamed(thing: Any, new: Mapping[int, int]) -> Any:
        return thing._replace(**{name: new.get(value, value) for name, value in values(thing).items()})

    kind, names = next(iter(alike.items()))
    targets = sorted({value for name in names for value in _choices(state.best)[kind][name]})
    for old in sorted({value for _, thing in _things(state.best) for value in values(thing).values()}):
        for new in targets:
            for at in ({old: new}, {old: new, new: old}):
                packet, socks = renamed(state.best.packet, at), tuple(renamed(sock, at) for sock in state.best.socks)
                yield renamed(state.best, at)._replace(packet=packet, socks=socks)


def _choices(scenario: Scenario) -> dict[Any, dict[str, tuple[int, ...]]]:
    return _CHOICES_OF[scenario.lookup]


def _rank(value: int | None, choices: Sequence[int], met: int | None) -> int:
    """How plain a value is: 0 for the default, then what the packet has there, then the pool's values."""
    if value == choices[0]:
        return 0
    if value == met:
        return 1
    return choices.index(value) + 1 if value in choices else 1000


def _met(kind: Any, name: str, packet: Packet) -> int | None:
    return getattr(packet, FIELDS[kind][name].meets) if kind is Sock and FIELDS[kind][name].meets else None


def _with(thing: Any, name: str, value: int) -> Any:
    """The thing with one field changed; a mini socket that becomes a full one cannot keep its state."""
    if name == "kind" and value == KIND_FULL and thing.kind != KIND_FULL:
        return thing._replace(kind=value, state=TCP_CLOSE)
    return thing._replace(**{name: value})


def _things(s: Scenario) -> Iterator[tuple[Place, Any]]:
    yield (Scenario, 0, 0), s
    yield (Packet, 0, 0), s.packet
    for i, net in enumerate(s.netns):
        yield (Netns, i, 0), net
        yield from (((Program, i, j), program) for j, program in enumerate(net.progs))
    yield from (((Group, i, 0), group) for i, group in enumerate(s.groups))
    yield from (((Sock, i, 0), sock) for i, sock in enumerate(s.socks))
    yield from (((Event, i, 0), event) for i, event in enumerate(s.events))


def _put(s: Scenario, place: Place, thing: Any) -> Scenario:
    kind, i, j = place
    if kind is Scenario:
        return s._replace(**thing._asdict())
    if kind is Packet:
        return s._replace(packet=thing)
    if kind is Program:
        progs = s.netns[i].progs
        kind, thing = Netns, s.netns[i]._replace(progs=(*progs[:j], thing, *progs[j + 1 :]))
    name = {Netns: "netns", Group: "groups", Sock: "socks", Event: "events"}[kind]
    things = getattr(s, name)
    fields: dict[str, Any] = {name: (*things[:i], thing, *things[i + 1 :])}
    return s._replace(**fields)
