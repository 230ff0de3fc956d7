"""Scenario and Outcome as bytes: the layout is that of record.h, and nothing is lost on the way."""

import re
import struct
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from cffi import FFI
from hypothesis import given

from skdiff.base.errors import CannotRun
from skdiff.cases import addresses, native, record, scenario, validity
from skdiff.cases import outcome as outcomes
from skdiff.cases.addresses import halves
from skdiff.cases.outcome import ABSENT, BROKEN, CRASHED, RETURNED, STUCK, Outcome
from skdiff.cases.scenario import TCP6, Event, Group, Netns, Packet, Program, Scenario, Sock
from skdiff.cases.steps import FUNCTIONS, Step
from skdiff.oracles.model.state import DROP
from tests.arbitrary import valid_scenarios

ffi = FFI()
ffi.cdef(record.cdef())


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("packet_record", Packet._fields),
        ("sock_record", Sock._fields),
        ("program_record", Program._fields),
        ("netns_record", Netns._fields),
        ("group_record", Group._fields),
        ("event_record", Event._fields),
        ("scenario_record", Scenario._fields),
    ],
)
def test_fields_are_those_of_the_record_in_its_order(name: str, fields: tuple[str, ...]) -> None:
    assert record.names(name) == fields


def test_outcome_begins_with_the_fields_of_its_record() -> None:
    names = [name for name, _ in ffi.typeof("struct outcome_record").fields]
    plain = names[: names.index("signal")]
    assert tuple(plain) == Outcome._fields[: len(plain)]
    assert Outcome._fields[len(plain) :][:4] == ("refcnt", "listener", "written", "warns")


NAMES = [
    name
    for name in dir(record.constants)
    if name.isupper() and not name.startswith(("WRITTEN_", "PLANTED_", "SECTION_"))
]
PREFIXES = ("", "LOOKUP_", "HASHED_", "DESTRUCTOR_", "PROG_", "ENDED_", "CALLER_", "HASH2_", "ACTION_")
OTHER_NAMES = {"HASHED_UDP": "UDP_HASHED"}
LIMITS = {
    *("MAX_SOCKS", "MAX_NETNS", "MAX_PROGS", "MAX_GROUPS", "MAX_SLOTS"),
    *("MAX_TABLE", "MAX_CROWD", "MAX_STEPS", "MAX_EDGES", "MAX_EVENTS"),
}


@pytest.mark.parametrize("name", sorted(n for n in NAMES if n not in LIMITS))
def test_constants_are_those_of_the_record(name: str) -> None:
    """DESTRUCTOR_PFREE is just PFREE in Python, and so on."""
    ours = {**vars(addresses), **vars(scenario), **vars(outcomes), "DROP": DROP}
    names = [name, *(name.removeprefix(prefix) for prefix in PREFIXES if name.startswith(prefix))]
    names += [OTHER_NAMES.get(name, name.replace("PKT_", "PACKET_").replace("POINT_", "AT_"))]
    assert getattr(record.constants, name) == next(ours[n] for n in names if n in ours)


def test_what_is_written_to_has_the_names_of_the_record() -> None:
    there = {name: getattr(record.constants, name) for name in dir(record.constants) if name.startswith("WRITTEN_")}
    assert sorted(there.values()) == list(range(len(outcomes.WRITTEN_NAMES)))
    words = {"sock": "socket", "netns": "namespace", "kernel": "kernel object"}
    words |= {"chain": "place in a chain", "members": "place in a group", "udp table": "table of UDP"}
    for name, number in there.items():
        word = name.removeprefix("WRITTEN_").lower().replace("_", " ")
        bucket = " bucket" if word.endswith(("hash", "hash2")) else ""
        if "udp hash" in word:
            word, bucket = word.replace("udp ", ""), " slot"
        assert outcomes.WRITTEN_NAMES[number] == words.get(word, word) + bucket

    assert outcomes.WRITTEN_SOCK == record.constants.WRITTEN_SOCK


def test_kinds_of_programs_have_a_word_each() -> None:
    kinds = (outcomes.SHOWN_SK_LOOKUP, outcomes.SHOWN_FILTER, outcomes.SHOWN_SK_REUSEPORT)
    assert dict(zip(kinds, ("sk_lookup", "filter", "sk_reuseport"), strict=True)) == outcomes.SHOWN_KINDS


def test_a_record_lies_at_a_multiple_of_eight() -> None:
    assert [record.aligned(n) for n in (0, 1, 7, 8, 9, 16, 17)] == [0, 8, 8, 8, 16, 16, 24]


def test_there_is_room_for_what_each_kind_of_program_is_shown() -> None:
    room = len(ffi.new("struct shown_record *").args)
    for names in outcomes.SHOWN_NAMES.values():
        assert len(names) + sum(name in ("saddr", "daddr") for name in names) <= room  # an address is two numbers
    assert len(outcomes.SHOWN_NAMES) == 3


# --- what goes to the C ---

# How each struct lies in memory: types, in the words of the module struct, and gaps.
FORMATS = {
    "packet_record": "=16s16sHHiiiIIIIBBBBBb",
    "sock_record": "=16s16sIiiHHHHBBBBBBBBBBBBBbb",
    "program_record": "=BbB",
    "netns_record": "=IBBBBB",
    "group_record": "=IIHHHBBBBBbB32b",
    "event_record": "=iBBBBbbb",
    "scenario_record": "=IIIIIIiBBBBBBBBB",
    "outcome_record": "=IiiIIiIIIIixxxxQQiiIIQ64I64i3i",
}


def test_structs_lie_in_memory_as_their_types_say() -> None:
    for name, text in FORMATS.items():
        form, names = record.layout(name)
        assert form.format == text
        assert names == tuple(n for n, _ in ffi.typeof(f"struct {name}").fields)[: len(names)]
        assert len(form.unpack(bytes(form.size))) == len(names) + sum(
            int(count) - 1 for count in re.findall(r"(\d+)[^\ds]", text)
        )


def test_gaps_are_left_where_the_compiler_leaves_them() -> None:
    gappy = FFI()
    gappy.cdef(
        "struct gappy { uint8_t a; int64_t b; uint16_t c; uint8_t d[3]; uint32_t e; struct { int f; } g; uint8_t h; };"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record, "ffi", gappy)
        form, names = record.layout("gappy")
        assert (form.format, names) == ("=BxxxxxxxqH3BxxxI", ("a", "b", "c", "d", "e"))
        assert record.ranges("gappy") == {
            "h": (0, 255),
            "a": (0, 255),
            "b": (-(1 << 63), (1 << 63) - 1),
            "c": (0, 65535),
            "e": (0, (1 << 32) - 1),
        }


def test_ranges_are_what_the_types_hold() -> None:
    bits = {"B": (0, 255), "b": (-128, 127), "H": (0, 65535), "I": (0, 0xFFFFFFFF), "i": (-(1 << 31), (1 << 31) - 1)}
    bits["16s"] = 0, (1 << 128) - 1
    for name in ("packet_record", "sock_record", "program_record", "netns_record"):
        letters = re.findall(r"\d+s|[A-Za-z]", FORMATS[name])
        assert list(record.ranges(name).values()) == [bits[letter] for letter in letters]
    assert record.ranges("group_record")["n_slots"] == (0, 255)
    assert "slots" not in record.ranges("group_record")
    assert record.ranges("scenario_record")["cpu"] == bits["i"]


RECORDS = {
    Scenario: "scenario_record",
    Packet: "packet_record",
    Netns: "netns_record",
    Program: "program_record",
    Group: "group_record",
    Sock: "sock_record",
    Event: "event_record",
}


def filled(
    number: Callable[[Any, str], int],
    netns: int = 2,
    progs: int = 3,
    groups: int = 4,
    socks: int = 64,
    events: int = 64,
) -> Scenario:
    """A scenario, valid or not, as large as can be or smaller, with a number for each field."""

    def one(kind: Any, **more: Any) -> Any:
        return kind(**more, **{name: number(kind, name) for name in kind._fields if name not in more})

    return one(
        Scenario,
        packet=one(Packet),
        netns=tuple(one(Netns, progs=tuple(one(Program) for _ in range(progs - i))) for i in range(netns)),
        groups=tuple(one(Group, slots=tuple(number(Sock, "group") for _ in range(8 * i + 8))) for i in range(groups)),
        socks=tuple(one(Sock) for _ in range(socks)),
        events=tuple(one(Event) for _ in range(events)),
    )


def extreme(end: int) -> Scenario:
    return filled(lambda kind, name: record.ranges(RECORDS[kind])[name][end])


def counted(**sizes: int) -> Scenario:
    """Neighbours differ in whatever is counted."""
    counter = count(1)
    return filled(lambda kind, name: next(counter) % 97 + 3, **sizes)


def filled_scenarios() -> list[Scenario]:
    return [Scenario(), extreme(0), extreme(1), counted(), counted(netns=1, progs=1, groups=1, socks=5, events=2)]


def test_a_full_record_is_decoded_to_what_was_encoded() -> None:
    for case in filled_scenarios():
        comes_back(case)


def test_a_full_record_is_what_the_c_compiler_sees() -> None:
    for case in filled_scenarios():
        seen_by_c(case)


def test_a_frame_is_the_head_and_the_packet_and_no_more() -> None:
    ours, theirs = counted(), extreme(1)
    whole, frame, both = (bytearray(b"\xa5") * record.SCENARIO_SIZE for _ in range(3))
    native.encode(ours, whole)
    native.encode_frame(ours, frame)
    native.encode(theirs, both)
    native.encode_frame(ours, both)
    assert native.decode(both) == ours._replace(
        netns=theirs.netns, groups=theirs.groups, socks=theirs.socks, events=theirs.events
    )
    end = ffi.offsetof("struct scenario_record", "netns")
    assert frame[:end] == whole[:end]
    assert set(frame[end:]) == {0xA5}


def test_a_slot_is_a_byte_and_so_is_each_of_its_values() -> None:
    ((at, size, values),) = native.format_of_bytes()[6]
    assert (at, size) == (0, ffi.sizeof("int8_t"))
    assert values == bytes(number for number in range(16) for _ in range(16))


def test_a_socket_that_the_record_has_no_room_for_is_refused() -> None:
    for case in (Scenario(socks=(Sock(),) * 65), Scenario(groups=(Group(),) * 5), Scenario(events=(Event(),) * 65)):
        with pytest.raises(IndexError, match="more than the record has room for"):
            native.encode(case, bytearray(record.SCENARIO_SIZE))
    native.encode(Scenario(socks=(Sock(),) * 64, groups=(Group(),) * 4), bytearray(record.SCENARIO_SIZE))


@given(valid_scenarios)
def test_what_is_encoded_is_decoded_whatever_was_in_the_buffer(case: Scenario) -> None:
    assert validity.problems(case) == []
    comes_back(case)


def comes_back(case: Scenario) -> None:
    for filler in (0, 0xA5):
        buffer = bytearray([filler]) * (record.SCENARIO_SIZE + 3)
        native.encode(case, buffer)
        assert native.decode(buffer) == case
        assert buffer[record.SCENARIO_SIZE :] == bytes([filler]) * 3


@given(valid_scenarios)
def test_the_c_compilers_view_of_a_record_is_ours(case: Scenario) -> None:
    seen_by_c(case)


def seen_by_c(case: Scenario) -> None:
    buffer = bytearray(record.SCENARIO_SIZE)
    native.encode(case, buffer)
    seen = ffi.cast("struct scenario_record *", ffi.from_buffer(buffer))

    def plain(view: Any, ours: Any) -> dict[str, int]:
        found = {name: getattr(view, name) for name in ours._fields if isinstance(getattr(ours, name), int)}
        return {
            name: value if isinstance(value, int) else int.from_bytes(value, "big") for name, value in found.items()
        }

    def wanted(ours: Any) -> dict[str, int]:
        return {name: value for name, value in ours._asdict().items() if isinstance(value, int)}

    assert (seen.n_netns, seen.n_groups, seen.n_socks) == (len(case.netns), len(case.groups), len(case.socks))
    assert seen.n_events == len(case.events)
    for view, event in zip(seen.events, case.events, strict=False):
        assert plain(view, event) == wanted(event)
    assert plain(seen, case) == wanted(case)
    assert plain(seen.packet, case.packet) == wanted(case.packet)
    for view, sock in zip(seen.socks, case.socks, strict=False):
        assert plain(view, sock) == wanted(sock)
    for view, group in zip(seen.groups, case.groups, strict=False):
        assert plain(view, group) == wanted(group)
        assert list(view.slots) == [*group.slots, *[-1] * (32 - len(group.slots))]
        assert view.n_slots == len(group.slots)
    for view, net in zip(seen.netns, case.netns, strict=False):
        assert plain(view, net) == wanted(net)
        assert view.n_progs == len(net.progs)
        for program, ours in zip(view.progs, net.progs, strict=False):
            assert plain(program, ours) == wanted(ours)


@pytest.mark.parametrize(
    "case",
    [
        Scenario(hash_secret=1 << 32),
        Scenario(hash_secret=-1),
        Scenario(packet=Packet(dport=1 << 16)),
        Scenario(packet=Packet(sk=128)),
        Scenario(hash_secret6=1 << 32),
        Scenario(lookup=256),
        Scenario(socks=(Sock(refcnt=-1),)),
        Scenario(groups=(Group(num_socks=1 << 16),)),
        Scenario(netns=(Netns(progs=(Program(verdict=256),)),)),
    ],
)
def test_a_value_out_of_its_fields_range_is_refused(case: Scenario) -> None:
    with pytest.raises(struct.error):
        native.encode(case, bytearray(record.SCENARIO_SIZE))


@pytest.mark.parametrize("address", [-1, 1 << 128])
def test_an_address_of_more_than_128_bits_is_refused(address: int) -> None:
    for case in (Scenario(packet=Packet(saddr=address)), Scenario(socks=(Sock(rcv_saddr=address),))):
        with pytest.raises(OverflowError):
            native.encode(case, bytearray(record.SCENARIO_SIZE))


def test_an_address_lies_as_a_packet_has_it() -> None:
    case = Scenario(lookup=TCP6, packet=Packet(saddr=0x20010DB8 << 96 | 0x01020304))
    buffer = bytearray(record.SCENARIO_SIZE)
    native.encode(case, buffer)
    seen = ffi.cast("struct scenario_record *", ffi.from_buffer(buffer))
    assert bytes(seen.packet.saddr) == bytes.fromhex("20010db8" + "0" * 16 + "01020304")
    assert bytes(seen.packet.daddr) == bytes.fromhex("0" * 20 + "ffff0a000002")
    assert seen.lookup == record.constants.LOOKUP_TCP6


def test_more_than_there_is_room_for_is_refused() -> None:
    for case in (
        Scenario(netns=(Netns(),) * 3),
        Scenario(netns=(Netns(progs=(Program(),) * 4),)),
        Scenario(groups=(Group(slots=(0,) * 33),)),
    ):
        with pytest.raises(IndexError):
            native.encode(case, bytearray(record.SCENARIO_SIZE))


# --- outcomes ---


def written(**fields: Any) -> bytes:
    """The bytes of an outcome record with these fields; 0x77 where nobody wrote."""
    buffer = bytearray(b"\x77") * record.OUTCOME_SIZE
    view = ffi.cast("struct outcome_record *", ffi.from_buffer(buffer))
    for name, _ in ffi.typeof("struct outcome_record").fields:
        if isinstance(getattr(view, name), int):
            setattr(view, name, 0)
    view.written = [0, 0, 0]
    for name, value in fields.items():
        if name == "shown":
            for at, (kind, args) in enumerate(value):
                view.shown[at].program = kind
                for i, arg in enumerate(args):
                    view.shown[at].args[i] = arg
        elif name == "written_member":
            ffi.memmove(view.written_member, value.encode() + b"\0", len(value) + 1)
        elif name == "warns":
            for at, text in enumerate(value):
                ffi.memmove(view.warns[at], text.encode() + b"\0", len(text) + 1)
        elif isinstance(value, list):
            for at, item in enumerate(value):
                getattr(view, name)[at] = item
        else:
            setattr(view, name, value)
    return bytes(buffer)


def test_an_outcome_is_read_field_by_field() -> None:
    plain = {
        "sk": 2,
        "skb_sk": -1,
        "refcounted": 1,
        "destructor": 3,
        "skb_data": -20,
        "skb_len": 60,
        "skb_data_len": 40,
        "skb_users": 2,
        "skb_cb": 7,
        "clones": -1,
        "freed": 5,
        "fired": 9,
        "sections": -2,
    }
    data = written(**plain, refcnt=[1, 0xC0000000, 3], listener=[-1, 0, -3])
    assert record.outcome(data, 3) == Outcome(**plain, refcnt=(1, 0xC0000000, 3), listener=(-1, 0, -3))
    assert record.outcome(written(written=[1, 0, 0], written_member="sk_state"), 0).written == (1, 0, 0, "sk_state")
    data_written = written(written=[1, 2, 40], refcnt=[7], written_member="sk_state")
    assert record.outcome(data_written, 1).written == (1, 2, 40, "sk_state")
    assert record.outcome(data, 1).refcnt == (1,)
    assert record.outcome(written(freed=5, freed_wrong=4), 3).freed == 5 | 4 << 64
    wrong = written(**plain, freed_wrong=4, refcnt=[1, 2], listener=[-1, 0])
    known = {**plain, "freed": 5 | 4 << 64}
    assert record.outcome(wrong, 2) == Outcome(**known, refcnt=(1, 2), listener=(-1, 0))
    assert record.outcome(data, 0).listener == ()
    counts, listeners = tuple(range(100, 164)), tuple(range(-80, -16))
    data = written(refcnt=list(counts), listener=list(listeners))
    for n_socks in (*range(17), 63, 64):
        got = record.outcome(data, n_socks)
        assert (got.refcnt, got.listener) == (counts[:n_socks], listeners[:n_socks])


def test_what_programs_saw_is_read_in_order_with_as_many_numbers_as_their_kind_has() -> None:
    large = [n << 40 for n in range(1, 10)]
    peer, here = 0x20010DB8 << 96 | 7, 0xFE80 << 112 | 0xFFFFFFFF
    lookup = [-15, -14, -13, -12, *halves(peer), -11, *halves(here), *range(-10, -5)]
    seen = [(outcomes.SHOWN_FILTER, range(1, 8)), (outcomes.SHOWN_SK_LOOKUP, lookup), (3, large)]
    got = record.outcome(written(n_shown=3, shown=seen), 0).shown
    assert got == ((2, *range(1, 8)), (1, -15, -14, -13, -12, peer, -11, here, *range(-10, -5)), (3, *large))
    assert record.outcome(written(n_shown=2, shown=seen), 0).shown == got[:2]
    many = [(outcomes.SHOWN_FILTER, [n] * 7) for n in range(outcomes.MAX_SHOWN)]
    for n_shown in (outcomes.MAX_SHOWN, outcomes.MAX_SHOWN + 1):
        assert record.outcome(written(n_shown=n_shown, shown=many), 0).shown == tuple((2, *args) for _, args in many)


def test_warnings_stay_in_their_order_and_are_cut_to_the_room() -> None:
    data = written(n_warns=2, warns=["inet_steal_sock", "a_function"])
    assert record.outcome(data, 0).warns == ("inet_steal_sock", "a_function")
    data = written(n_warns=9, warns=["d", "c", "b", "a" * 95])
    assert record.outcome(data, 0).warns == ("d", "c", "b", "a" * 95)


def test_a_crash_of_the_driver_is_no_outcome() -> None:
    with pytest.raises(
        CannotRun, match=r"^csrc/driver crashed \(signal 11\) outside the kernel's text: a fault of skdiff$"
    ):
        record.outcome(written(ended=BROKEN, signal=11), 0)


def test_a_lookup_that_is_not_there_is_no_outcome() -> None:
    with pytest.raises(CannotRun, match=r"^this kernel has no such lookup in this configuration$"):
        record.outcome(written(ended=ABSENT), 0)


def test_a_case_that_did_not_return_has_nothing_but_its_end_and_signal() -> None:
    rest = {"sk": 3, "n_shown": 1, "shown": [(2, range(6))], "refcnt": [4], "n_warns": 1, "warns": ["f"]}
    for ended in (STUCK, CRASHED):
        assert record.outcome(written(ended=ended, signal=11, **rest), 1) == Outcome(ended=ended, signal=11)
        assert ended != RETURNED


# --- steps ---


def traced(steps: list[tuple[int, list[int]]], n_steps: int, at: int = 0) -> bytes:
    """The bytes of a trace record behind `at` others; 0x77 where nobody wrote."""
    buffer = bytearray(b"\x77") * record.TRACE_SIZE
    view = ffi.cast("struct trace_record *", ffi.from_buffer(buffer))
    view.n_steps = n_steps
    for i, (step, values) in enumerate(steps):
        view.steps[i].step = step
        for j, value in enumerate(values):
            view.steps[i].values[j] = value
    return bytes(at) + bytes(buffer)


def test_steps_are_read_in_order_with_as_many_values_as_they_have() -> None:
    told = [(n, [n, -n, n << 40]) for n in range(len(FUNCTIONS))]
    wanted = [Step(name, (n, -n, n << 40)[: len(names)]) for n, (name, names) in enumerate(FUNCTIONS)]
    assert record.steps(traced(told, len(told))) == wanted
    assert record.steps(traced(told, 3)) == wanted[:3]
    assert record.steps(traced(told, len(told), at=5), 5) == wanted
    assert record.steps(traced([], 0)) == []


def test_more_steps_than_there_is_room_for_are_cut() -> None:
    room = record.constants.MAX_STEPS
    told = [(3, [n, 0, 0]) for n in range(room)]
    for count_ in (room, room + 1, 2 * room):
        assert record.steps(traced(told, count_)) == [Step("inet_steal_sock", (n,)) for n in range(room)]
