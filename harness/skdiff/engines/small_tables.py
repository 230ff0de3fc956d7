"""Every small table of a lookup, once, in a fixed order: how many there are, and each by its number.

A block has the tables of one sequence of classes of sockets, with one thing that is special about them: it is a product
of lists, so its size is known without a look at its tables.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import prod

from skdiff.cases.derived import group_facts, has_conns
from skdiff.cases.scenario import EDEMUX, KIND_FULL, NONE, UDP4, UDP_LOOKUPS, Group, Scenario, Sock
from skdiff.engines.small_classes import Class, Kernel, Reach, class_of, things_of
from skdiff.engines.small_special import Members, Sequel, Special, specials
from skdiff.variants.abilities import ASSIGN_REUSEPORT, lacking

Lists = tuple[tuple[tuple[Sock, ...], ...], ...]


@dataclass(frozen=True, slots=True)
class Block:
    """Tables of a lookup: one of each of `lists`, which have the sockets as the tables have them, in this order. There
    are so many `tables`.
    """

    lookup: int
    lists: Lists
    groups: tuple[Members, ...]
    special: Special
    tables: int

    def some(self, start: int, stop: int) -> Iterator[list[Scenario]]:
        """The lookups in the tables from one number up to another, table by table; those in one share its tuples."""
        special, heads = self.special, self.special.heads(self.lookup)
        for number in range(start, stop):
            socks = self._socks(number)
            groups = tuple([self._group(i, members, socks) for i, members in enumerate(self.groups)])
            tables = special.netns, groups, tuple(socks), ()
            yield [Scenario._make((*head, packet, *tables)) for head, packet in heads]

    def _socks(self, number: int) -> list[Sock]:
        chosen: list[tuple[Sock, ...]] = []
        for things in reversed(self.lists):
            number, at = divmod(number, len(things))
            chosen.append(things[at])
        socks = [sock for thing in reversed(chosen) for sock in thing]
        special = self.special
        if special.attached != NONE:
            socks[special.attached] = _held(socks[special.attached], special.destructor)
        return socks

    def _group(self, number: int, members: Members, socks: Sequence[Sock]) -> Group:
        special = self.special
        here = special.group == number
        live = members.live[::-1] if here and special.turned else members.live
        everybody = [socks[i] for i in (*members.live, *members.closed)]
        conns = has_conns(everybody, special.has_conns if here else 0)
        facts = group_facts(number, [sock.incoming_cpu for sock in everybody], everybody[0].rcv_saddr, 0, conns)
        group = Group(
            reuseport_id=facts.reuseport_id,
            num_socks=len(live),
            num_closed_socks=len(members.closed),
            incoming_cpu=facts.incoming_cpu,
            bind_inany=facts.bind_inany,
            has_conns=facts.has_conns,
            slots=(*live, *members.closed),
        )
        return group._replace(**special.program) if here and special.program else group


def _held(sock: Sock, destructor: int) -> Sock:
    """A socket that hangs on the packet, with the packet's reference if it has one."""
    counted = destructor == EDEMUX or sock.kind != KIND_FULL or not sock.rcu_free
    return sock._replace(refcnt=max(sock.refcnt, 2)) if counted and not sock.syncookie else sock


class Tables:
    """The tables of some lookups with up to so many sockets that all of some kernels can reach, by their numbers."""

    def __init__(self, lookups: Sequence[int], sockets: int, kernels: Sequence[Kernel]) -> None:
        self.blocks = [
            block for lookup in lookups for count in range(sockets + 1) for block in blocks(lookup, count, kernels)
        ]
        self._ends = list(accumulate(block.tables for block in self.blocks))
        self.tables = self._ends[-1] if self._ends else 0
        self.cases = self.count(0, self.tables)

    def __iter__(self) -> Iterator[list[Scenario]]:
        return self.some(0, self.tables)

    def some(self, start: int, stop: int) -> Iterator[list[Scenario]]:
        """The lookups in the tables from one number up to another, table by table."""
        at = bisect_right(self._ends, start)
        while start < stop:
            block, end = self.blocks[at], self._ends[at]
            first, last = end - block.tables, min(stop, end)
            yield from block.some(start - first, last - first)
            start, at = last, at + 1

    def count(self, start: int, stop: int) -> int:
        """How many lookups the tables from one number up to another have."""
        total, at = 0, bisect_right(self._ends, start)
        while start < stop:
            end = min(stop, self._ends[at])
            total += (end - start) * len(self.blocks[at].special.frames)
            start, at = end, at + 1
        return total


def blocks(lookup: int, sockets: int, kernels: Sequence[Kernel]) -> Iterator[Block]:
    """The blocks of the tables of a lookup with just so many sockets."""
    reach = Reach(
        l3mdev=all(kernel.config.l3mdev for kernel in kernels),
        assigns_reuseport=ASSIGN_REUSEPORT not in lacking(kernel.rules for kernel in kernels),
    )
    for many in (False, True) if lookup == UDP4 and 0 < sockets < 3 else (False,):
        classes: dict[Class, list[tuple[Sock, ...]]] = {}
        for thing in things_of(lookup, sockets, kernels, many):
            if len(thing.socks) <= sockets:
                classes.setdefault(class_of(lookup, thing, sockets, reach), []).append(thing.socks)
        placed = _Placed(classes)
        for chosen, ordered in _sequences(sorted(classes), sockets, disordered=sockets < 3 and lookup in UDP_LOOKUPS):
            if len(chosen) == 1 or all(one.searched or one.joins for one in chosen):
                yield from _blocks(lookup, chosen, placed, ordered, many, reach)


def _sequences(
    classes: Sequence[Class], sockets: int, disordered: bool, after: int = 0
) -> Iterator[tuple[tuple[Class, ...], bool]]:
    """The sequences of classes of just so many sockets, and whether their chains come one after the other: of sockets
    in different chains the order does not matter to who looks into one of them, so others are left out unless
    `disordered` ones are wanted.
    """
    if not sockets:
        yield (), True
        return
    for first in classes:
        ordered = after <= first.chain
        if first.sockets <= sockets and (ordered or disordered):
            for rest, rest_ordered in _sequences(classes, sockets - first.sockets, disordered, first.chain):
                yield (first, *rest), ordered and rest_ordered


class _Placed:
    """The sockets of a class as they are in a table: with the number of their group, where their thing begins there."""

    def __init__(self, classes: Mapping[Class, Sequence[tuple[Sock, ...]]]) -> None:
        self.classes = classes
        self._made: dict[tuple[Class, int, int], tuple[tuple[Sock, ...], ...]] = {}

    def __call__(self, one: Class, group: int, at: int) -> tuple[tuple[Sock, ...], ...]:
        key = one, group, at
        if key not in self._made:
            things = self.classes[one]
            self._made[key] = tuple(tuple(_placed(sock, group, at) for sock in socks) for socks in things)
        return self._made[key]

    def member(self, one: Class) -> int:
        """Which socket of a thing is in the group."""
        return next(place for place, sock in enumerate(self.classes[one][0]) if sock.group != NONE)


def _blocks(
    lookup: int, chosen: tuple[Class, ...], placed: _Placed, ordered: bool, many: bool, reach: Reach
) -> Iterator[Block]:
    keys = list(dict.fromkeys(one.joins for one in chosen if one.joins))
    lists: list[tuple[tuple[Sock, ...], ...]] = []
    live: list[list[int]] = [[] for _ in keys]
    closed: list[list[int]] = [[] for _ in keys]
    at = 0
    for one in chosen:
        number = keys.index(one.joins) if one.joins else NONE
        lists.append(placed(one, number, at))
        if one.joins:
            (closed if one.closed else live)[number].append(at + placed.member(one))
        at += one.sockets
    groups = tuple(Members(tuple(ones), tuple(others)) for ones, others in zip(live, closed, strict=True))
    tables = prod(map(len, lists))
    for special in specials(Sequel(lookup, chosen, groups, ordered, many, reach)):
        yield Block(lookup, tuple(lists), groups, special, tables)


def _placed(sock: Sock, group: int, at: int) -> Sock:
    if sock.group != NONE:
        sock = sock._replace(group=group)
    return sock._replace(listener=at + sock.listener) if sock.listener != NONE else sock
