"""The fuzzers' bytes: total, canonical, local, and zeros are the plainest."""

import json
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from skdiff.cases import validity, wire
from skdiff.cases.addresses import as_ipv4, other_family
from skdiff.cases.pools import COUNTS, DRAWN_SOCKS, HERE, OTHER_PORT, PEER, PEER_PORT, PORT, SLOT, Pool
from skdiff.cases.record import constants
from skdiff.cases.scenario import (
    AF_INET,
    AF_INET6,
    AT_NODE,
    CONNECTS,
    EHASH,
    IPPROTO_UDP,
    IPV6_LOOKUPS,
    KIND_REQUEST,
    KIND_TIMEWAIT,
    LEAVE,
    SYSCTL,
    TCP4,
    TCP6,
    TCP_CLOSE,
    TCP_ESTABLISHED,
    TCP_LISTEN,
    TCP_NEW_SYN_RECV,
    TCP_TIME_WAIT,
    UDP4,
    UDP6,
    UDP_HASHED,
    UDP_LOOKUPS,
    Event,
    Group,
    Netns,
    Packet,
    Program,
    Scenario,
    Sock,
)
from skdiff.cases.wire import (
    FIXED_SIZE,
    FRAME_SIZE,
    GROUP,
    HEAD,
    NETNS,
    PACKET,
    PROGRAM,
    SIZE,
    SOCK,
    SOCK_SIZE,
    as_bytes,
    as_put,
    decode,
    draw,
    encode,
    near,
    other_packet,
    put,
    put_all,
    put_bytes,
    take,
)
from skdiff.cases.wire_events import DRAWN_EVENTS
from tests.arbitrary import any_bytes, hostile_scenarios
from tests.by_python.normalise_packet import come_in
from tests.by_python.wire import of_lookup

HOSTILE_AT = len(COUNTS) + list(HEAD).index("hostile")
N_SOCKS_AT = list(COUNTS).index("socks")
PACKET_PLACE = Scenario._fields.index("packet")
whole = st.binary(min_size=SIZE, max_size=SIZE)


def with_byte(data: bytes, at: int, value: int) -> bytes:
    return data[:at] + bytes([value]) + data[at + 1 :]


def leaves(value: Any) -> Iterator[int]:
    if isinstance(value, int):
        yield value
    else:
        for item in value:
            yield from leaves(item)


# --- by example: what the properties below say of all bytes, of some that are always the same ---

TABLES = {"head": HEAD, "packet": PACKET, "netns": NETNS, "group": GROUP, "sock": SOCK}
MOST = {"head": 1, "packet": 1, "netns": 2, "group": 4, "sock": 16}
DRAWN = [*(Random(i).randbytes(SIZE) for i in range(12)), bytes(SIZE), b"\xff" * SIZE]
WAIT, REQUEST = Sock(kind=KIND_TIMEWAIT, state=TCP_TIME_WAIT), Sock(kind=KIND_REQUEST, state=TCP_NEW_SYN_RECV)


def pool_of(kind: str, name: str) -> Pool:
    """The pool of a field as wire.put() names it; those of programs and slots end in a number."""
    if kind in ("netns", "group") and name[-1].isdigit():
        return SLOT if kind == "group" else PROGRAM[name[:-1]]
    return TABLES[kind][name]


def places() -> list[tuple[str, int, str]]:
    """All fields of all things, in the order of their bytes."""
    netns = [*NETNS, *(f"{name}{i}" for i in range(3) for name in PROGRAM)]
    group = [*GROUP, *(f"slot{i}" for i in range(8))]
    names = {"head": list(HEAD), "packet": list(PACKET), "netns": netns, "group": group, "sock": list(SOCK)}
    return [(kind, i, name) for kind, most in MOST.items() for i in range(most) for name in names[kind]]


def test_each_field_has_its_byte_in_the_order_of_the_format() -> None:
    assert len(places()) == SIZE - len(COUNTS)
    assert len(places()) - 16 * len(SOCK) == FIXED_SIZE - len(COUNTS)
    assert len(SOCK) == SOCK_SIZE
    for at, (kind, index, name) in enumerate(places(), start=len(COUNTS)):
        pool = pool_of(kind, name)
        for byte in (0, 1, 100, 255):
            data = with_byte(bytes(SIZE), at, byte)
            assert take(data, kind, index, name) == wire.value(at, byte)
            assert wire.value(at, byte) in dict(pool)
        assert {wire.value(at, byte) for byte in range(256)} == set(dict(pool))
        for value, _ in pool:
            data = bytearray(b"\xff") * SIZE
            put(data, kind, index, name, value)
            first = next(byte for byte in range(256) if wire.value(at, byte) == value)
            assert (data[at], wire.byte(at, value)) == (first, first)
            assert data.count(b"\xff") >= SIZE - 1
        put(data, kind, index, name, -12345)
        assert (data[at], wire.byte(at, -12345)) == (0, 0)


def test_a_value_has_its_weights_share_of_the_byte_and_the_first_of_the_weightiest_the_rest() -> None:
    for at, (kind, _, name) in enumerate(places()[: FIXED_SIZE + SOCK_SIZE - len(COUNTS)], start=len(COUNTS)):
        pool = pool_of(kind, name)
        total = sum(weight for _, weight in pool)
        found = [wire.value(at, byte) for byte in range(256)]
        assert list(dict.fromkeys(found)) == [value for value, _ in pool]
        wanted = {value: max(1, weight * 256 // total) for value, weight in pool}
        most = max(wanted, key=lambda value: wanted[value])
        assert Counter(found) == {**wanted, most: wanted[most] + 256 - sum(wanted.values())}


def test_a_value_of_little_weight_has_a_byte_all_the_same() -> None:
    assert wire.table(((7, 1), (8, 1000), (9, 1))) == (7, *(8,) * 254, 9)


def test_a_field_that_is_not_there_has_no_byte() -> None:
    for kind, name in (("netns", "verdict3"), ("group", "slot8"), ("sock", "slots"), ("head", "saddr")):
        with pytest.raises(KeyError):
            take(bytes(SIZE), kind, 0, name)


def test_counts_say_how_much_there_is() -> None:
    for i, (n_netns, n_groups, n_socks) in enumerate([(1, 0, 0), (2, 4, 16), (1, 1, 3), (2, 2, 1)]):
        data = bytearray(Random(i).randbytes(SIZE))
        data[:3] = (wire.byte(at, n) for at, n in enumerate((n_netns, n_groups, n_socks)))
        raw = draw(bytes(data))
        assert (len(raw.netns), len(raw.groups), len(raw.socks)) == (n_netns, n_groups, n_socks)
        drawn_as_taken(bytes(data))


def test_examples_are_drawn_as_they_are_taken() -> None:
    for data in DRAWN:
        drawn_as_taken(data)


def test_examples_have_one_encoding_and_need_no_more_bytes() -> None:
    for data in DRAWN:
        one_encoding(data)
        smallest(encode(decode(data)))
        for size in (0, 2, FIXED_SIZE - 1, FIXED_SIZE, FIXED_SIZE + SOCK_SIZE - 1, SIZE - 1):
            assert draw(data[:size]) == draw(data[:size].ljust(SIZE, b"\0"))
        assert draw(data + b"\xff" * 9) == draw(data)


def test_a_mini_sockets_state_is_that_of_its_kind_and_has_no_byte() -> None:
    at = FIXED_SIZE + list(SOCK).index("state")
    for sock in (WAIT, REQUEST):
        for i in range(16):
            data = near(Scenario(hostile=1, socks=(Sock(state=TCP_LISTEN),) * i + (sock,)))
            assert data[at + i * SOCK_SIZE] == 0
            assert decode(data).socks[i].state == sock.state


def test_near_takes_what_is_in_no_pool_for_the_plainest_and_leaves_what_is_not_there() -> None:
    strange = Sock(*(12345 + i for i in range(len(Sock._fields))))
    data = near(
        Scenario(*range(1001, 1001 + PACKET_PLACE), packet=Packet(*range(2001, 2018)), socks=(strange, strange))
    )
    assert len(data) == FIXED_SIZE + 2 * SOCK_SIZE
    assert draw(data)._replace(netns=[], groups=[], socks=[]) == draw(bytes(SIZE))._replace(
        netns=[], groups=[], socks=[]
    )
    assert data[3:] == bytes(len(data) - 3)
    full = Scenario(
        netns=(Netns(0xFFFFFFFE, 1, 1, 1, 1, (Program(0, 15, 1),) * 3),) * 2,
        groups=(Group(0xFFFFFFFF, 7, 8, 1, 1, 1, 1, 2, 1, 0, 15, (15,) * 8),) * 4,
    )
    raw = draw(near(full))
    assert raw.netns == [([0xFFFFFFFE, 1, 1, 1, 1], [[0, 15, 1]] * 3)] * 2
    assert raw.groups == [([0xFFFFFFFF, 7, 8, 1, 1, 1, 1, 2, 1, 0, 15], [15] * 8)] * 4
    small = near(full._replace(netns=(Netns(progs=(Program(),)),), groups=(Group(slots=(1,)),)))
    assert draw(small).netns == [([0, 0, 0, 0, 0], [[1, LEAVE, 0]])]
    assert draw(small).groups == [([1, 0, 0, 0, 0, 0, 0, 0, 0, 1, -1], [1])]
    plain = bytearray(near(Scenario(groups=(Group(),), netns=(Netns(),))))
    plain[:3] = bytes(3)
    assert plain == bytes(FIXED_SIZE)


def test_what_has_no_encoding_is_refused() -> None:
    for case in (Scenario(packet=Packet(dport=81)), Scenario(socks=(Sock(state=TCP_LISTEN),))):
        with pytest.raises(ValueError, match="no wire format: a value is in no pool, or decoding would change it"):
            encode(case)


def test_another_packet_is_for_the_same_tables() -> None:
    heads = ("hash_secret", "hash_secret6", "ehash_size", "lhash2_size", "udp_size", "cpu")
    pools_of = [HEAD[name] for name in heads] + [PACKET[name] for name in Packet._fields[:7]]
    assert len(pools_of) == FRAME_SIZE
    for data in DRAWN:
        case = decode(data)
        for i, pool in enumerate(pools_of):
            for byte in (0, 128, 220, 255):
                got = other_packet(case, with_byte(bytes(FRAME_SIZE), i, byte))
                values = [values[0][0] for values in pools_of]
                values[i] = drawn(pool, byte)
                fields = [*values[len(heads) :], *case.packet[7:]]
                fields[:2] = map(other_family if case.lookup in IPV6_LOOKUPS else as_ipv4, fields[:2])
                if not case.hostile:
                    come_in(fields, case.lookup, case.caller)
                head = dict(zip(heads, values, strict=False))
                assert got == case._replace(packet=Packet(*fields), **head)
                for kind in ("netns", "groups", "socks"):
                    assert getattr(got, kind) is getattr(case, kind)


@given(any_bytes, st.binary(min_size=FRAME_SIZE, max_size=FRAME_SIZE))
def test_another_packet_is_as_valid_as_the_first(data: bytes, more: bytes) -> None:
    assert validity.problems(other_packet(decode(data), more)) == []


def drawn(pool: Pool, byte: int) -> int:
    """What a byte means in a table of this pool: any place of the format with that pool tells."""
    at = next(at for at, place in enumerate(places(), start=len(COUNTS)) if pool_of(place[0], place[2]) is pool)
    return wire.value(at, byte)


# --- total ---


@given(any_bytes)
def test_all_bytes_mean_a_valid_scenario(data: bytes) -> None:
    assert validity.problems(decode(data)) == []


@given(any_bytes, st.binary(max_size=40))
def test_bytes_that_are_not_there_are_zeros_and_those_beyond_the_end_mean_nothing(data: bytes, more: bytes) -> None:
    full = data[: wire.MOST].ljust(wire.MOST, b"\0")
    assert decode(full) == decode(data)
    assert decode(full + more) == decode(data)


@given(any_bytes)
def test_the_same_bytes_mean_the_same(data: bytes) -> None:
    assert decode(bytes(bytearray(data))) == decode(data)


# --- canonical ---


@given(any_bytes)
def test_a_scenario_has_one_encoding_that_means_it(data: bytes) -> None:
    one_encoding(data)


def one_encoding(data: bytes) -> None:
    case = decode(data)
    canonical = encode(case)
    assert decode(canonical) == case
    assert encode(decode(canonical)) == canonical
    assert len(canonical) == FIXED_SIZE + len(case.socks) * SOCK_SIZE


@given(any_bytes)
def test_no_byte_of_an_encoding_can_be_smaller(data: bytes) -> None:
    smallest(encode(decode(data)))


def smallest(canonical: bytes) -> None:
    for at, byte in enumerate(canonical):
        if byte:
            assert draw(with_byte(canonical, at, byte - 1)) != draw(canonical)


@given(whole, st.integers(0, SIZE - 1), st.integers(0, 255))
def test_different_scenarios_have_different_encodings(one: bytes, at: int, value: int) -> None:
    two = with_byte(one, at, value)
    assert (encode(decode(one)) == encode(decode(two))) == (decode(one) == decode(two))


@pytest.mark.parametrize(
    "case",
    [
        Scenario(packet=Packet(dport=81)),
        Scenario(ehash_size=8),
        Scenario(hash_secret=1),
        Scenario(socks=(Sock(refcnt=7),)),
        Scenario(groups=(Group(slots=(17,)),)),
        Scenario(netns=(Netns(progs=(Program(verdict=3),)),)),
    ],
)
def test_a_value_that_is_in_no_pool_has_no_encoding(case: Scenario) -> None:
    with pytest.raises(ValueError, match="no wire format"):
        encode(case)


@pytest.mark.parametrize(
    "case",
    [
        Scenario(packet=Packet(users=2)),
        Scenario(packet=Packet(sk=0)),
        Scenario(socks=(Sock(group=0),)),
        Scenario(socks=(Sock(state=10),)),
        Scenario(foreign_hashinfo=1),
    ],
)
def test_a_scenario_that_no_bytes_mean_has_no_encoding(case: Scenario) -> None:
    with pytest.raises(ValueError, match="no wire format"):
        encode(case)


# --- near ---


@given(any_bytes)
def test_near_is_exact_for_what_bytes_mean(data: bytes) -> None:
    assert decode(near(decode(data))) == decode(data)


@given(hostile_scenarios())
def test_near_keeps_counts_and_all_values_that_are_in_their_pools(case: Scenario) -> None:
    copy = decode(near(case))
    for kind in ("netns", "groups", "socks"):
        assert len(getattr(copy, kind)) == len(getattr(case, kind))
    for name in ("lookup", "hostile", "foreign_hashinfo", "sk_lookup_enabled"):
        assert getattr(copy, name) == getattr(case, name)
    for sock, ours in zip(copy.socks, case.socks, strict=True):
        names = ("kind", "family", "hashed", "group", "listener")
        for name in names if case.lookup not in UDP_LOOKUPS else ("family",):  # where others become sockets of UDP
            if getattr(ours, name) in dict(SOCK[name]):
                assert getattr(sock, name) == getattr(ours, name)


# --- fields by name ---


@given(whole, st.sampled_from(sorted(TABLES)), st.data())
def test_what_is_put_into_a_field_is_taken_from_it_and_nothing_else_moves(
    data: bytes, kind: str, more: st.DataObject
) -> None:
    name = more.draw(st.sampled_from(sorted(TABLES[kind])))
    index = more.draw(st.integers(0, MOST[kind] - 1))
    value = more.draw(st.sampled_from([value for value, _ in TABLES[kind][name]]))
    changed = bytearray(data)
    put(changed, kind, index, name, value)
    assert take(changed, kind, index, name) == value
    assert sum(a != b for a, b in zip(data, changed, strict=True)) <= 1
    for other in TABLES[kind]:
        assert other == name or take(changed, kind, index, other) == take(data, kind, index, other)


@given(whole)
def test_a_field_is_taken_as_it_is_drawn(data: bytes) -> None:
    drawn_as_taken(data)


def drawn_as_taken(data: bytes) -> None:
    raw = of_lookup(draw(data))  # back to what the bytes say: it is its own inverse
    for i, fields in enumerate(raw.socks):
        assert [take(data, "sock", i, name) for name in SOCK] == fields
    for i, (fields, slots) in enumerate(raw.groups):
        assert [take(data, "group", i, name) for name in GROUP] == [*fields, len(slots)]
        assert [take(data, "group", i, f"slot{j}") for j in range(len(slots))] == slots
    for i, (fields, progs) in enumerate(raw.netns):
        assert [take(data, "netns", i, name) for name in NETNS] == [*fields, len(progs)]
        assert [[take(data, "netns", i, f"{name}{j}") for name in PROGRAM] for j in range(len(progs))] == progs
    assert [take(data, "head", 0, name) for name in HEAD] == raw.head
    assert [take(data, "packet", 0, name) for name in PACKET] == raw.packet


def test_a_value_that_its_pool_lacks_becomes_the_plainest() -> None:
    data = bytearray(b"\xff") * SIZE
    put(data, "sock", 3, "num", 12345)
    assert take(data, "sock", 3, "num") == SOCK["num"][0][0]


# --- plainest ---


@pytest.mark.parametrize("size", [0, 1, FIXED_SIZE - 1, FIXED_SIZE, SIZE, SIZE + 1])
def test_zeros_are_the_plainest_scenario(size: int) -> None:
    assert decode(bytes(size)) == Scenario()


def test_the_plainest_scenario_is_zeros() -> None:
    assert encode(Scenario()) == bytes(FIXED_SIZE)


def test_a_socket_of_zeros_is_the_plainest_socket() -> None:
    data = with_byte(bytes(SIZE), N_SOCKS_AT, 255)
    (*_, last) = decode(data).socks
    assert last == Sock()


def test_a_group_and_a_program_of_zeros_are_the_plainest_but_for_their_number() -> None:
    case = decode(with_byte(bytes(SIZE), list(COUNTS).index("groups"), 255))
    assert case.groups == tuple(Group(reuseport_id=i + 1) for i in range(len(case.groups)))
    assert len(case.groups) == 4
    n_progs_at = len(COUNTS) + len(HEAD) + len(PACKET) + list(NETNS).index("progs")
    case = decode(with_byte(bytes(SIZE), n_progs_at, 255))
    assert case.netns == (Netns(run_array=1, progs=(Program(),) * 3),)


# --- local ---

socket_bytes = st.tuples(st.integers(0, SIZE - FIXED_SIZE - 1), st.integers(0, 255))


@given(whole, socket_bytes)
def test_a_byte_of_a_socket_draws_one_field_of_that_socket(data: bytes, change: tuple[int, int]) -> None:
    (offset, value) = change
    other = draw(with_byte(data, FIXED_SIZE + offset, value))
    before = draw(data)
    assert other._replace(socks=[]) == before._replace(socks=[])
    assert len(other.socks) == len(before.socks)
    number, field = divmod(offset, SOCK_SIZE)
    for i, (one, two) in enumerate(zip(before.socks, other.socks, strict=True)):
        assert {k for k, (a, b) in enumerate(zip(one, two, strict=True)) if a != b} <= (
            {field} if i == number else set()
        )


@given(whole, socket_bytes)
def test_a_byte_of_a_hostile_socket_changes_that_socket_and_who_may_assign_it(
    data: bytes, change: tuple[int, int]
) -> None:
    data = with_byte(data, HOSTILE_AT, 255)
    number = change[0] // SOCK_SIZE
    one, two = decode(data), decode(with_byte(data, FIXED_SIZE + change[0], change[1]))
    assume(number < len(one.socks))
    assert one.hostile

    def rest(case: Scenario) -> Scenario:
        others = (*case.socks[:number], *case.socks[number + 1 :])
        netns = tuple(
            net._replace(progs=tuple(p._replace(assign=LEAVE) if p.assign == number else p for p in net.progs))
            for net in case.netns
        )
        return case._replace(socks=others, netns=netns)

    assert rest(one) == rest(two)


@given(whole, st.integers(len(COUNTS), FIXED_SIZE - 1), st.integers(0, 255))
def test_a_byte_before_the_sockets_draws_one_field_but_for_counts(data: bytes, at: int, value: int) -> None:
    one, two = of_lookup(draw(data)), of_lookup(draw(with_byte(data, at, value)))  # as the bytes say it
    assert one.socks == two.socks
    before, after = list(leaves(one)), list(leaves(two))
    if len(before) == len(after):
        assert sum(a != b for a, b in zip(before, after, strict=True)) <= 1


@given(whole, st.integers(0, SIZE - 1), st.integers(0, 255))
def test_a_count_keeps_what_it_still_counts(data: bytes, n_socks: int, value: int) -> None:
    one, two = draw(data), draw(with_byte(data, N_SOCKS_AT, value))
    shorter = min(len(one.socks), len(two.socks))
    assert one.socks[:shorter] == two.socks[:shorter]
    assert one._replace(socks=[]) == two._replace(socks=[])


# --- each value has its byte ---


def pools() -> Iterator[tuple[str, Pool]]:
    for table in (COUNTS, HEAD, PACKET, NETNS, PROGRAM, GROUP, SOCK):
        yield from table.items()
    yield "slot", SLOT


@pytest.mark.parametrize(("name", "pool"), list(pools()))
def test_values_of_a_pool_differ_and_have_weight(name: str, pool: Pool) -> None:
    values = [value for value, _ in pool]
    assert len(set(values)) == len(values), name
    assert min(weight for _, weight in pool) > 0
    assert len(values) <= 256


@pytest.mark.parametrize("field", list(SOCK))
def test_each_value_of_a_sockets_pool_can_be_drawn_as_often_as_its_weight_says(field: str) -> None:
    at = FIXED_SIZE + list(SOCK).index(field)
    one_socket = with_byte(bytes(SIZE), N_SOCKS_AT, 60)
    drawn = [draw(with_byte(one_socket, at, byte)).socks[0][list(SOCK).index(field)] for byte in range(256)]
    total = sum(weight for _, weight in SOCK[field])
    assert drawn[0] == SOCK[field][0][0]
    assert set(drawn) == {value for value, _ in SOCK[field]}
    for value, weight in SOCK[field]:
        assert abs(drawn.count(value) - 256 * weight / total) <= 1 + len(SOCK[field])


def test_fields_are_drawn_in_the_order_of_their_class() -> None:
    assert (tuple(HEAD), tuple(PACKET), tuple(SOCK)) == (Scenario._fields[:PACKET_PLACE], Packet._fields, Sock._fields)
    assert (tuple(NETNS), tuple(PROGRAM), tuple(GROUP)) == (Netns._fields, Program._fields, Group._fields)


def test_the_layout_says_what_each_byte_means() -> None:
    at = 0
    kinds = json.loads(json.dumps(wire.layout()))
    for kind, count, fields in kinds:
        for index in range(count):
            for name, values in fields:
                table = [value for value, share in values for _ in range(share)]
                assert [wire.value(at, byte) for byte in range(256)] == table
                if kind != "count":
                    data = bytearray(wire.MOST)
                    data[at] = 255
                    assert wire.take(data, kind, index, name) == table[255]
                at += 1
    assert at == wire.MOST
    assert [(kind, count) for kind, count, _ in kinds] == [
        *(("count", 1), ("head", 1), ("packet", 1)),
        *(("netns", constants.MAX_NETNS), ("group", constants.MAX_GROUPS), ("sock", DRAWN_SOCKS)),
        *(("events", 1), ("event", DRAWN_EVENTS)),
    ]
    assert [name for name, _ in kinds[0][2]] == ["netns", "groups", "socks"]


@given(st.binary(max_size=wire.SIZE))
def test_cut_bytes_mean_the_same(data: bytes) -> None:
    short = wire.cut(bytearray(data.ljust(wire.SIZE, b"\0")))
    assert wire.decode(short) == wire.decode(data)
    assert len(short) == wire.FIXED_SIZE + len(wire.decode(data).socks) * wire.SOCK_SIZE


# --- what engines write ---


def test_places_say_where_the_first_of_a_kind_stands_and_how_far_it_is_to_the_next() -> None:
    found = dict(wire.PLACES)
    for at, (kind, index, name) in enumerate(places(), start=len(COUNTS)):
        start, size = found[kind, name]
        assert start + index * size == at
    assert found["events", "count"][0] == SIZE
    for i, name in enumerate(Event._fields):
        assert found["event", name] == (SIZE + 1 + i, len(Event._fields))
    assert len(found) == len({(kind, name) for kind, _, name in places()}) + 1 + len(Event._fields)


def test_the_lookup_of_bytes_is_the_one_of_their_case() -> None:
    at = len(COUNTS) + list(HEAD).index("lookup")
    for byte in range(256):
        assert wire.lookup_of(with_byte(DRAWN[0], at, byte)) == byte // 64
        for lookups in (b"", bytes([UDP4]), bytes([TCP6, UDP6]), bytes([UDP6, TCP4, TCP6])):
            data = with_byte(DRAWN[byte % 4], at, byte)
            assert wire.lookup_of(data, lookups) == decode(data, lookups).lookup
            wanted = byte // 64 if byte // 64 in lookups or not lookups else lookups[byte % len(lookups)]
            assert wire.lookup_of(data, lookups) == wanted


SOME_FIELDS = {"num": OTHER_PORT, "refcnt": 12345, "family": AF_INET6, "hashed": EHASH}


def test_fields_that_are_put_together_are_those_that_are_put_one_by_one() -> None:
    for index in (0, 3, 15):
        one_by_one, together, later = (bytearray(b"\xff") * SIZE for _ in range(3))
        for name, value in SOME_FIELDS.items():
            put(one_by_one, "sock", index, name, value)
        put_all(together, "sock", index, SOME_FIELDS)
        assert together == one_by_one
        put_bytes(later, index * SOCK_SIZE, as_bytes("sock", SOME_FIELDS))
        assert later == one_by_one


def test_the_bytes_of_fields_have_their_places() -> None:
    sock = list(SOCK)
    at = FIXED_SIZE + sock.index("family")
    assert as_bytes("sock", {"family": AF_INET6}) == [(at, wire.byte(at, AF_INET6))]
    assert [at for at, _ in as_bytes("sock", SOME_FIELDS)] == [FIXED_SIZE + sock.index(name) for name in SOME_FIELDS]
    data = bytearray(6)
    put_bytes(data, 2, [(0, 7), (3, 9)])
    assert data == bytes([0, 0, 7, 0, 0, 9])


def test_a_field_of_the_packet_is_put_into_a_socket_by_a_table() -> None:
    pairs = (("daddr", "saddr"), ("rcv_saddr", "daddr"), ("daddr", "daddr"), ("num", "sport"), ("netns", "netns"))
    for ours, theirs in pairs:
        at, of_packet, means = as_put("sock", ours, theirs)
        assert at == FIXED_SIZE + list(SOCK).index(ours)
        assert of_packet == len(COUNTS) + len(HEAD) + list(PACKET).index(theirs)
        assert len(means) == 256
        data = bytearray(SIZE)
        for byte in range(256):
            data[of_packet] = byte
            put(data, "sock", 0, ours, take(data, "packet", 0, theirs))
            assert means[byte] == data[at]


# --- events ---

# Of two sockets one is in ehash, where something happens to it twice.
GONE, FLAGGED = Event(sk=0), Event(value=1, point=AT_NODE, nth=2, action=SYSCTL)
CONNECTED = {"hashed": EHASH, "state": TCP_ESTABLISHED, "daddr": PEER, "dport": PEER_PORT, "rcv_saddr": HERE}


def with_two_events() -> bytearray:
    data = bytearray(wire.MOST)
    data[N_SOCKS_AT] = wire.byte(N_SOCKS_AT, 2)
    put_all(data, "sock", 0, {**CONNECTED, "refcnt": 2})
    put(data, "sock", 15, "listener", 1)
    put(data, "events", 0, "count", 2)
    for i, event in enumerate((GONE, FLAGGED)):
        put_all(data, "event", i, event._asdict())
    return data


def test_what_is_behind_the_last_socket_means_events() -> None:
    data = bytes(with_two_events())
    case = decode(data)
    assert case.events == (GONE, FLAGGED)
    assert case._replace(events=()) == decode(data[:SIZE])
    assert decode(data[: SIZE + 1]).events == (Event(sk=0), Event(sk=0))
    assert decode(data[:SIZE]).events == decode(data[:SIZE] + b"\0").events == ()


def test_near_writes_events_behind_the_last_socket_that_may_be() -> None:
    case = decode(bytes(with_two_events()))
    data = near(case)
    assert len(data) == wire.MOST
    assert data[:SIZE] == near(case._replace(events=())).ljust(SIZE, b"\0")
    assert take(data, "events", 0, "count") == 2
    for i, event in enumerate((GONE, FLAGGED)):
        assert [take(data, "event", i, name) for name in Event._fields] == list(event)
    assert decode(data) == case


def test_near_leaves_out_what_drawn_cases_have_no_room_for() -> None:
    socks = tuple(Sock(num=OTHER_PORT, refcnt=1 + i % 2) for i in range(19))
    assert near(Scenario(socks=socks)) == near(Scenario(socks=socks[:16]))
    assert len(near(Scenario(socks=socks))) == SIZE
    groups = (Group(slots=(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)), Group(reuseport_id=0))
    fewer = (groups[0]._replace(slots=groups[0].slots[:8]), groups[1])
    assert near(Scenario(groups=groups)) == near(Scenario(groups=fewer))
    assert draw(near(Scenario(groups=groups))).groups[0][1] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_near_takes_a_family_that_is_in_no_pool_for_the_plainest_in_any_lookup() -> None:
    at = FIXED_SIZE + list(SOCK).index("family")
    for lookup in (TCP4, TCP6):
        for other in (AF_INET, AF_INET6):
            sock = Sock(*(other for _ in Sock._fields))._replace(family=5)
            assert near(Scenario(lookup=lookup, socks=(sock,)))[at] == 0


def test_bytes_are_cut_behind_what_counts() -> None:
    events = with_two_events()
    assert wire.cut(events) == events
    assert wire.cut(events + b"\1\2\3") == events
    assert wire.cut(events[: SIZE + 1]) == events[: SIZE + 1]
    for last in (0, 255):
        events[SIZE - 1] = last
        assert wire.cut(events) == events
        none = events.copy()
        none[SIZE] = 0
        for data in (none, none[:SIZE], none[: SIZE + 1]):
            assert wire.cut(data) == events[: FIXED_SIZE + 2 * SOCK_SIZE]


def test_another_packet_has_the_events_that_go_with_it() -> None:
    here, peer = other_family(HERE), other_family(PEER)
    free = Sock(num=PORT, hashed=UDP_HASHED, protocol=IPPROTO_UDP, state=TCP_CLOSE, refcnt=2, family=AF_INET6)
    connects, leaves = Event(value=PEER_PORT, action=CONNECTS, sk=0), Event(sk=1)
    case = Scenario(lookup=UDP6, hostile=1, packet=Packet(peer, here, doff=8), socks=(free, free))
    case = case._replace(events=(leaves, connects, leaves._replace(nth=2)))
    assert validity.problems(case) == []
    same = other_packet(case, bytes(FRAME_SIZE))
    assert same == case
    assert same.events is case.events  # so the C is told of the packet alone
    got = other_packet(case, with_byte(bytes(FRAME_SIZE), 6, 255))  # another sender
    assert got.packet == Packet(PEER, here, doff=8)  # to whom no socket of IPv6 connects
    assert got == case._replace(packet=got.packet, events=(leaves, leaves._replace(nth=2)))
