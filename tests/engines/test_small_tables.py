"""The small tables: reachable, each once, counted beforehand, and none left out that says something else."""

from collections import defaultdict
from itertools import islice, product
from random import Random

import pytest

from skdiff.cases import validity, wire
from skdiff.cases.derived import with_derived
from skdiff.cases.fields import FIELDS, LOOKUPS
from skdiff.cases.scenario import (
    DEMUX,
    EHASH,
    IPPROTO_TCP,
    KIND_FULL,
    NONE,
    STALE,
    TCP_CLOSE_WAIT,
    TCP_ESTABLISHED,
    TCP_FIN_WAIT1,
    UDP_HASHED,
    Group,
    Scenario,
    Sock,
)
from skdiff.engines import small_classes
from skdiff.engines.small_classes import Kernel, class_of, is_closed, things_of
from skdiff.engines.small_left_out import left_out
from skdiff.engines.small_packets import made
from skdiff.engines.small_part import CHUNK, Part, bounds
from skdiff.engines.small_socks import LO, SDIF
from skdiff.engines.small_special import Members, Sequel, specials
from skdiff.engines.small_tables import Tables, blocks
from skdiff.oracles.model import Model
from skdiff.variants.config import MINIMAL, Config
from skdiff.variants.version_rules import EPOCHS, Rules
from tests.helpers import mostly_long

KERNEL = Kernel(Rules(), Config())
OLD = Kernel(EPOCHS["6.1"], Config())
each_lookup = pytest.mark.parametrize("lookup", mostly_long(LOOKUPS, every=2), ids=LOOKUPS.values())


@pytest.fixture(scope="module")
def small():
    """The tables of each lookup with up to two sockets."""
    return {lookup: Tables([lookup], 2, [KERNEL]) for lookup in LOOKUPS}


@each_lookup
@pytest.mark.parametrize(
    "kernel", mostly_long([(KERNEL,), (OLD,), (Kernel(Rules(), MINIMAL),)]), ids=["6.12", "6.1", "minimal"]
)
def test_each_table_is_one_that_a_system_can_reach(lookup, kernel):
    random = Random(lookup)
    for sockets, most in enumerate((20, 3000, 50_000, 5000)):
        found = [*islice(blocks(lookup, sockets, [kernel]), most)]
        for block in random.sample(found, min(len(found), 400)):
            number = random.randrange(block.tables)
            for case in next(block.some(number, number + 1)):
                assert case.lookup == lookup and len(case.socks) == sockets
                assert not case.hostile
                assert validity.problems(case, kernel.rules) == []
                assert validity.not_on(case, *kernel) == []


@each_lookup
def test_the_number_of_tables_and_lookups_is_known_before_and_the_same_each_time(small, lookup):
    tables = Tables([lookup], 1, [KERNEL])
    found = [*tables]
    assert len(found) == tables.tables > 5000
    assert sum(map(len, found)) == tables.cases
    assert found == [*Tables([lookup], 1, [KERNEL])]
    assert tables.count(0, tables.tables) == tables.cases
    whole = small[lookup]
    assert [*whole.some(0, tables.tables)] == found  # the tables of two sockets are behind those of one
    for start in (0, 1, 777, whole.tables - 1000):
        some = [*whole.some(start, start + 1000)]
        assert some == [table for n in range(start, start + 1000) for table in whole.some(n, n + 1)]
        assert whole.count(start, start + 1000) == sum(map(len, some))


@each_lookup
def test_no_table_comes_twice(lookup):
    seen = set()
    for table in Tables([lookup], 1, [KERNEL]):
        for case in table:
            assert case not in seen
            seen.add(case)
    random = Random(1)
    of_two = [block for block in blocks(lookup, 2, [KERNEL]) if block.tables < 2000]
    for block in random.sample(of_two, 400):
        cases = [case for table in block.some(0, block.tables) for case in table]
        assert len(set(cases)) == len(cases)
        assert seen.isdisjoint(cases)
        seen.update(cases)


@pytest.mark.long
def test_kernels_have_the_same_tables_unless_one_cannot_reach_some():
    newer = Kernel(list(EPOCHS.values())[-1], Config())
    for lookup in LOOKUPS:
        counts = {kernel: Tables([lookup], 1, [kernel]).tables for kernel in (KERNEL, newer, OLD)}
        assert counts[OLD] < counts[KERNEL]  # its bpf_sk_assign() refuses what is in a group
        both = Tables([lookup], 1, [KERNEL, OLD])
        assert both.tables <= counts[OLD]


def test_each_table_is_of_just_one_part(small):
    for tables in (small[0].tables, CHUNK, CHUNK + 1, 1, 0):
        for parts in (1, 2, 3, 16):
            chunks = [chunk for part in range(1, parts + 1) for chunk in Part(2, part, parts, "").chunks(tables)]
            numbers = [number for chunk in sorted(chunks) for number in range(*bounds(chunk, tables))]
            assert numbers == [*range(tables)]


# --- what is left out says nothing that the rest does not ---


def _answer(case: Scenario, model: Model) -> tuple[object, ...]:
    """What a lookup gives, whatever the numbers of the sockets."""
    outcome = model.run(case)
    found = case.socks[outcome.sk] if outcome.sk >= 0 else outcome.sk
    refcnt = sorted(zip(map(_named, case.socks), outcome.refcnt, strict=True))
    return _named(found), outcome.refcounted, outcome.via, tuple(refcnt), bool(outcome.freed), outcome.warns


def _named(sock: Sock | int) -> tuple[int, ...]:
    return tuple(sock._replace(group=int(sock.group != NONE), listener=NONE)) if isinstance(sock, Sock) else (sock,)


def _question(case: Scenario) -> tuple[object, ...]:
    packet = case.packet
    asked = (case.caller, packet.rt_iif, packet.skb_iif, packet.sdif, packet.daddr, case.ehash_size, case.hash_secret)
    return *asked, case.netns, tuple(sorted(map(_named, case.socks)))


def _all_orders(lookup: int) -> list[Scenario]:
    """Every pair of sockets that are plain but for one thing, in both orders, with nothing special: made here anew."""
    found = []
    things = [thing for thing in things_of(lookup, 2, [KERNEL]) if thing.deviations < 2 and len(thing.socks) == 1]
    for one, other in product(things, things):
        if not (one.searched and other.searched):
            continue
        socks = [one.socks[0], other.socks[0]]
        classes = tuple(class_of(lookup, thing, 2) for thing in (one, other))
        members = [i for i in range(2) if socks[i].group != NONE]
        together = len(members) == 2 and classes[0].joins == classes[1].joins
        if len(members) == 2 and not together:
            socks[1] = socks[1]._replace(group=1)
        slots = [tuple(members)] if together else [(i,) for i in members]
        groups = tuple(Group(num_socks=len(live), slots=live) for live in slots)
        of_groups = tuple(Members(live, ()) for live in slots)
        for special in list(specials(Sequel(lookup, classes, of_groups, True)))[:2]:  # plain, and accepting
            for frame in special.frames:
                seen = [s._replace(bound_dev_if=LO) if s.bound_dev_if == SDIF and not frame.sdif else s for s in socks]
                head, packet = made(lookup, frame, False)
                found.append(with_derived(Scenario._make((*head, packet, special.netns, groups, tuple(seen), ()))))
    return found


@pytest.mark.parametrize("lookup", mostly_long(LOOKUPS, every=4), ids=LOOKUPS.values())
def test_the_order_that_is_left_out_changes_nothing(small, lookup):
    """Of sockets in different chains one order is left out, and tables whose devices differ in their numbers alone:
    each lookup in each order of each pair gives what one of the tables gives."""
    model = Model()
    whole = _all_orders(lookup)
    assert len(whole) > 1000
    wanted = defaultdict(set)
    for case in whole:
        wanted[_question(case)].add(_answer(case, model))
    got = defaultdict(set)
    for table in small[lookup]:
        for case in table:
            question = _question(case)
            if question in wanted:
                got[question].add(_answer(case, model))
    missing = {question: answers - got[question] for question, answers in wanted.items() if answers - got[question]}
    assert not missing, next(iter(missing.items()))


@pytest.mark.long
def test_that_test_sees_a_chain_that_is_not_told_apart(monkeypatch):
    """Had all sockets that the lookup finds chains of their own, an order would be lost."""
    of_class = small_classes.class_of
    monkeypatch.setattr(
        "skdiff.engines.small_tables.class_of",
        lambda lookup, thing, sockets, reach: of_class(lookup, thing, sockets, reach)._replace(
            chain=thing.socks[0].incoming_cpu + 2
        ),
    )
    with pytest.raises(AssertionError):
        test_the_order_that_is_left_out_changes_nothing({0: Tables([0], 2, [KERNEL])}, 0)


# Fields that small tables never change, of sockets whose rules do not ask for them.
UNREAD = {
    "incoming_cpu": (lambda s: s.hashed == EHASH, (NONE, 0, 1)),
    "reuseport": (lambda s: s.hashed == EHASH and s.kind == KIND_FULL, (0, 1)),
    "state": (
        lambda s: s.hashed == EHASH and s.kind == KIND_FULL,
        (TCP_ESTABLISHED, TCP_FIN_WAIT1, TCP_CLOSE_WAIT),
    ),
    "rcu_free": (lambda s: s.hashed == EHASH and s.kind == KIND_FULL, (0, 1)),
    "mc_refuses": (lambda s: s.hashed == UDP_HASHED, (0, 1)),
}


@pytest.mark.parametrize("name", UNREAD)
def test_what_no_rule_of_a_role_reads_changes_nothing(reference, name):
    """For both oracles, in random cases that a system can reach."""
    applies, values = UNREAD[name]
    random, model, changed = Random(7), Model(), 0
    while changed < 400:
        case = wire.decode(random.randbytes(wire.SIZE))
        places = [i for i, sock in enumerate(case.socks) if applies(sock) and i != case.packet.sk]
        if case.hostile or not places or (name == "mc_refuses" and case.caller == DEMUX):
            continue
        socks = list(case.socks)
        for i in places:
            socks[i] = socks[i]._replace(**{name: random.choice(values)})
        if tuple(socks) == case.socks:
            continue
        other = with_derived(case._replace(socks=tuple(socks)))
        if validity.problems(other):
            continue
        changed += 1
        assert model.run(other) == model.run(case)
        assert reference.run(other)[:11] == reference.run(case)[:11]


def test_what_is_left_out_is_told_from_the_tables(small):
    lines = {line.field: line for line in left_out(small[0])}
    assert "hash" in lines["sock.hash_kind"].field and lines["sock.hash_kind"].lacks == ("wrong", "packet")
    assert "sock.bound_dev_if" not in lines  # all devices of the pool
    assert set(lines["sock.state"].lacks) == {"SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "LAST_ACK", "CLOSING"}
    for line in lines.values():
        assert line.lacks and not set(line.lacks) & set(line.has)
        record = next(r for r, fields in FIELDS.items() if line.field.rpartition(".")[2] in fields)
        assert record is not None


def test_the_roles_that_the_docs_name_are_there(small):
    """A block of each kind: whatever else is left out, these are not."""
    found = set()
    for tables in small.values():
        for block in tables.blocks:
            found |= {("kind", sock.kind) for things in block.lists for socks in things for sock in socks}
            for case in next(block.some(0, 1))[:1]:
                found |= {("closed", bool(g.num_closed_socks)) for g in case.groups}
                found |= {("cookie", bool(sock.syncookie)) for sock in case.socks}
                found |= {("stale", sock.hash2 == STALE) for sock in case.socks}
                found |= {("attached", case.packet.sk != NONE), ("programs", len(case.netns[0].progs))}
                found |= {("other protocol", sock.protocol != IPPROTO_TCP) for sock in case.socks}
                found |= {("closed socket", is_closed(sock)) for sock in case.socks}
    for wanted in ("closed", "cookie", "stale", "attached", "other protocol", "closed socket"):
        assert (wanted, True) in found
    assert {("kind", 0), ("kind", 1), ("kind", 2), ("programs", 2)} <= found
