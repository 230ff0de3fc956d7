"""Every small table of a lookup, once, in a fixed order: how many there are, and each by its number.

A block has the tables of one sequence of classes of sockets, with one thing that is special about them: it is a product
of lists, so its size is known without a look at its tables.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from skdiff.cases.derived import group_facts, has_conns
from skdiff.cases.scenario import EDEMUX, KIND_FULL, NONE, UDP4, Group, Packet, Scenario, Sock
from skdiff.engines.small_classes import Class, Kernel, class_of, things_of
from skdiff.engines.small_special import Members, Sequel, Special, specials

Lists = tuple[tuple[tuple[Sock, ...], ...], ...]


@dataclass(frozen=True)
class Block:
    """Tables of a lookup: one of each of `lists`, which have the sockets as the tables have them, in this order."""

    lookup: int
    lists: Lists
    groups: tuple[Members, ...]
    special: Special

    @cached_property
    def tables(self) -> int:
        """How many there are."""
        size = 1
        for things in self.lists:
            size *= len(things)
        return size

    @cached_property
    def heads(self) -> list[tuple[tuple[int, ...], Packet]]:
        """What the lookups of each table have beside it."""
        return self.special.heads(self.lookup)

    def table(self, number: int) -> list[Scenario]:
        """The lookups in the table of a number, from 0 on; they share its very tuples."""
        chosen: list[tuple[Sock, ...]] = []
        for things in reversed(self.lists):
            number, at = divmod(number, len(things))
            chosen.append(things[at])
        special = self.special
        socks = [sock for thing in reversed(chosen) for sock in thing]
        if special.attached != NONE:
            socks[special.attached] = _held(socks[special.attached], special.destructor)
        groups = tuple([self._group(i, members, socks) for i, members in enumerate(self.groups)])
        tables = special.netns, groups, tuple(socks)
        return [Scenario._make((*head, packet, *tables)) for head, packet in self.heads]

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
            first = end - block.tables
            for number in range(start, min(stop, end)):
                yield block.table(number - first)
            start, at = min(stop, end), at + 1

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
    for many in (False, True) if lookup == UDP4 and 0 < sockets < 3 else (False,):
        classes: dict[Class, list[tuple[Sock, ...]]] = {}
        for thing in things_of(lookup, sockets, kernels, many):
            if len(thing.socks) <= sockets:
                classes.setdefault(class_of(lookup, thing, sockets), []).append(thing.socks)
        l3mdev = all(kernel.config.l3mdev for kernel in kernels)
        for chosen, ordered in _sequences(sorted(classes), sockets):
            if ordered or many or sockets < 3:
                yield from _blocks(lookup, chosen, classes, ordered, many, l3mdev)


def _sequences(classes: Sequence[Class], sockets: int, after: int = 0) -> Iterator[tuple[tuple[Class, ...], bool]]:
    """The sequences of classes of just so many sockets, and whether their chains come one after the other: of sockets
    in different chains the order does not matter to who looks into one of them.
    """
    if not sockets:
        yield (), True
        return
    for first in classes:
        if first.sockets <= sockets:
            for rest, ordered in _sequences(classes, sockets - first.sockets, first.chain):
                yield (first, *rest), ordered and after <= first.chain


def _blocks(
    lookup: int,
    chosen: tuple[Class, ...],
    classes: dict[Class, list[tuple[Sock, ...]]],
    ordered: bool,
    many: bool,
    l3mdev: bool,
) -> Iterator[Block]:
    keys = list(dict.fromkeys(one.joins for one in chosen if one.joins))
    if any(one.closed != other.closed and one.joins == other.joins == () for one in chosen for other in chosen):
        return
    lists, members, at = [], [([], []) for _ in keys], 0  # type: ignore[var-annotated]
    for one in chosen:
        number = keys.index(one.joins) if one.joins else NONE
        lists.append(tuple(tuple(_placed(sock, number, at) for sock in socks) for socks in classes[one]))
        if one.joins:
            members[number][one.closed].append(at + [sock.group != NONE for sock in classes[one][0]].index(True))
        at += one.sockets
    groups = tuple(Members(tuple(live), tuple(closed)) for live, closed in members)
    sequel = Sequel(lookup, chosen, groups, ordered, many, l3mdev)
    for special in specials(sequel):
        yield Block(lookup, tuple(lists), groups, special)


def _placed(sock: Sock, group: int, at: int) -> Sock:
    """A socket with the number of its group, and that of its listener, in a table where its own thing begins there."""
    if sock.group != NONE:
        sock = sock._replace(group=group)
    return sock._replace(listener=at + sock.listener) if sock.listener != NONE else sock
