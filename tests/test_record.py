"""Scenario and Outcome as bytes: the layout is that of record.h, and nothing is lost on the way."""

import struct
from typing import Any

import pytest
from cffi import FFI
from hypothesis import given

from harness import outcome as outcomes
from harness import record, rules, scenario
from harness.model.state import DROP
from harness.outcome import CRASHED, RETURNED, STUCK, Outcome
from harness.scenario import Group, Netns, Packet, Program, Scenario, Sock
from harness.steps import FUNCTIONS
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
        ("scenario_record", Scenario._fields),
    ],
)
def test_fields_are_those_of_the_record_in_its_order(name: str, fields: tuple[str, ...]) -> None:
    assert record.names_agree(name, fields)
    assert not record.names_agree(name, fields[::-1])
    assert not record.names_agree(name, fields[:-1])


def test_outcome_begins_with_the_fields_of_its_record() -> None:
    names = [name for name, _ in ffi.typeof("struct outcome_record").fields]
    plain = names[: names.index("signal")]
    assert tuple(plain) == Outcome._fields[: len(plain)]
    assert Outcome._fields[len(plain) :][:4] == ("refcnt", "listener", "warns", "shown")


NAMES = [name for name in dir(record.constants) if name.isupper()]
PREFIXES = ("", "HASHED_", "DESTRUCTOR_", "PROG_", "ENDED_", "RACE_")
LIMITS = {"MAX_SOCKS", "MAX_NETNS", "MAX_PROGS", "MAX_GROUPS", "MAX_SLOTS", "MAX_TABLE", "MAX_CROWD", "MAX_STEPS"}


@pytest.mark.parametrize("name", sorted(n for n in NAMES if n not in LIMITS and not n.startswith("STEP_")))
def test_constants_are_those_of_the_record(name: str) -> None:
    """DESTRUCTOR_PFREE is just PFREE in Python, and so on."""
    ours = {**vars(scenario), **vars(outcomes), "DROP": DROP}
    names = [name, *(name.removeprefix(prefix) for prefix in PREFIXES if name.startswith(prefix))]
    assert getattr(record.constants, name) == next(ours[n] for n in names if n in ours)


def test_steps_are_those_of_the_record() -> None:
    numbered = {getattr(record.constants, name): name for name in NAMES if name.startswith("STEP_")}
    told = {n: "STEP_" + function.lstrip("_").upper() for n, (function, _) in enumerate(FUNCTIONS) if function}
    assert numbered == told


def test_there_is_room_for_what_each_kind_of_program_is_shown() -> None:
    room = len(ffi.new("struct shown_record *").args)
    assert {len(names) <= room for names in outcomes.SHOWN_NAMES.values()} == {True}
    assert len(outcomes.SHOWN_NAMES) == 3


@given(valid_scenarios)
def test_what_is_encoded_is_decoded_whatever_was_in_the_buffer(case: Scenario) -> None:
    assert rules.problems(case) == []
    for filler in (0, 0xA5):
        buffer = bytearray([filler]) * (record.SCENARIO_SIZE + 3)
        record.encode(case, buffer)
        assert record.decode(buffer) == case
        assert buffer[record.SCENARIO_SIZE :] == bytes([filler]) * 3


@given(valid_scenarios)
def test_the_c_compilers_view_of_a_record_is_ours(case: Scenario) -> None:
    buffer = bytearray(record.SCENARIO_SIZE)
    record.encode(case, buffer)
    seen = ffi.cast("struct scenario_record *", ffi.from_buffer(buffer))

    def plain(view: Any, ours: Any) -> dict[str, int]:
        return {name: getattr(view, name) for name in ours._fields if isinstance(getattr(ours, name), int)}

    def wanted(ours: Any) -> dict[str, int]:
        return {name: value for name, value in ours._asdict().items() if isinstance(value, int)}

    assert (seen.n_netns, seen.n_groups, seen.n_socks) == (len(case.netns), len(case.groups), len(case.socks))
    assert plain(seen, case) == wanted(case)
    assert plain(seen.packet, case.packet) == wanted(case.packet)
    for view, sock in zip(seen.socks, case.socks, strict=False):
        assert plain(view, sock) == wanted(sock)
    for view, group in zip(seen.groups, case.groups, strict=False):
        assert plain(view, group) == wanted(group)
        assert list(view.slots) == [*group.slots, *[-1] * (8 - len(group.slots))]
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
        Scenario(socks=(Sock(refcnt=-1),)),
        Scenario(groups=(Group(num_socks=1 << 16),)),
        Scenario(netns=(Netns(progs=(Program(verdict=256),)),)),
    ],
)
def test_a_value_out_of_its_fields_range_is_refused(case: Scenario) -> None:
    with pytest.raises(struct.error):
        record.encode(case, bytearray(record.SCENARIO_SIZE))


def test_more_than_there_is_room_for_is_refused() -> None:
    for case in (
        Scenario(netns=(Netns(),) * 3),
        Scenario(netns=(Netns(progs=(Program(),) * 4),)),
        Scenario(groups=(Group(slots=(0,) * 9),)),
    ):
        with pytest.raises(IndexError):
            record.encode(case, bytearray(record.SCENARIO_SIZE))


# --- outcomes ---


def written(**fields: Any) -> bytes:
    """The bytes of an outcome record with these fields; 0x77 where nobody wrote."""
    buffer = bytearray(b"\x77") * record.OUTCOME_SIZE
    view = ffi.cast("struct outcome_record *", ffi.from_buffer(buffer))
    for name, _ in ffi.typeof("struct outcome_record").fields:
        if isinstance(getattr(view, name), int):
            setattr(view, name, 0)
    for name, value in fields.items():
        if name == "shown":
            for at, (kind, args) in enumerate(value):
                view.shown[at].program = kind
                for i, arg in enumerate(args):
                    view.shown[at].args[i] = arg
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
    }
    data = written(**plain, refcnt=[1, 0xC0000000, 3], listener=[-1, 0, -3])
    assert record.outcome(data, 3) == Outcome(**plain, refcnt=(1, 0xC0000000, 3), listener=(-1, 0, -3))
    assert record.outcome(data, 1).refcnt == (1,)
    assert record.outcome(data, 0).listener == ()


def test_what_programs_saw_is_read_in_order_with_as_many_numbers_as_their_kind_has() -> None:
    seen = [(outcomes.SHOWN_FILTER, range(6)), (outcomes.SHOWN_SK_LOOKUP, range(-5, 6)), (3, [1 << 40] * 9)]
    got = record.outcome(written(n_shown=3, shown=seen), 0).shown
    assert got == ((2, *range(6)), (1, *range(-5, 6)), (3, *[1 << 40] * 9))
    assert record.outcome(written(n_shown=2, shown=seen), 0).shown == got[:2]


def test_warnings_are_sorted_and_cut_to_the_room() -> None:
    data = written(n_warns=2, warns=["inet_steal_sock", "a_function"])
    assert record.outcome(data, 0).warns == ("a_function", "inet_steal_sock")
    data = written(n_warns=9, warns=["d", "c", "b", "a" * 31])
    assert record.outcome(data, 0).warns == ("a" * 31, "b", "c", "d")


@pytest.mark.parametrize("ended", [STUCK, CRASHED])
def test_a_case_that_did_not_return_has_nothing_but_its_end_and_signal(ended: int) -> None:
    data = written(ended=ended, signal=11, sk=3, n_shown=1, shown=[(2, range(6))], refcnt=[4], n_warns=1, warns=["f"])
    assert record.outcome(data, 1) == Outcome(ended=ended, signal=11)
    assert ended != RETURNED
