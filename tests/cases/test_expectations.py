"""Expectations: any compared field may be expected, is read as it was written, and is told where it is not met."""

from typing import Any

import pytest

from skdiff.base.errors import CannotRun
from skdiff.cases.case_file import Case, dump, parse
from skdiff.cases.expectations import FIELDS, SOURCES, unmet
from skdiff.cases.field_kinds import Kind
from skdiff.cases.outcome import COMPARED, CRASHED, SHOWN_KINDS, STUCK, WRITTEN_NAMES, Outcome
from skdiff.cases.outcome_fields import SHOWN_FIELDS
from skdiff.cases.scenario import FOREIGN, GOES_ON, NONE, PFREE, UNSET, Event, Sock
from tests.helpers import HERE, PEER, scenario

SOCKS = ("a", "b")
TEXT = 'version = 1\n[scenario]\nhostile = true\n[[sock]]\nname = "a"\n[expect]\n'
SK_LOOKUP = (1, 0, 1, 2, 6, PEER, 40000, HERE, 80, 1, NONE, 0, 0)
FILTER = (2, 0, 1, 20, 40, 0, -1, 0)
SK_REUSEPORT = (3, 0, 1, 0x89ABCDEF, 1, 1, NONE, NONE, 1, 20)
SEEN = Outcome(
    sk=1,
    skb_sk=NONE,
    refcounted=1,
    destructor=PFREE,
    skb_data=-4,
    skb_len=24,
    skb_data_len=8,
    skb_users=2,
    skb_cb=20,
    clones=1,
    freed=0b11,
    fired=0b101,
    sections=1,
    refcnt=(3, 1),
    listener=(NONE, 0),
    written=(WRITTEN_NAMES.index("group"), 0, 12),
    warns=("f", "g"),
    shown=(SK_LOOKUP, FILTER, SK_REUSEPORT),
)
MET: dict[str, Any] = {
    "ended": "returned",
    "sk": "b",
    "skb_sk": "none",
    "refcounted": True,
    "destructor": "sock_pfree",
    "skb_data": -4,
    "skb_len": 24,
    "skb_data_len": 8,
    "skb_users": 2,
    "skb_cb": 20,
    "clones": 1,
    "freed": ["b", "a"],
    "fired": [1, 3],
    "sections": 1,
    "refcnt": {"a": 3, "b": 1},
    "listener": {"a": "none", "b": "a"},
    "written": "group",
    "warns": ["f", "g"],
    "shown": [
        {"kind": "sk_lookup", "family": "AF_INET", "protocol": "tcp", "saddr": "10.0.0.1", "selected_sk": "none"},
        {"kind": "filter"},
        {"kind": "sk_reuseport", "sk": "b", "hash": 0x89ABCDEF, "bind_inany": True},
    ],
}
FALSE: list[tuple[str, Any, str]] = [
    ("ended", "stuck", "ended is returned, expected stuck"),
    ("sk", "a", "sk is b, expected a"),
    ("sk", "none", "sk is b, expected none"),
    ("skb_sk", "a", "skb_sk is none, expected a"),
    ("refcounted", False, "refcounted is True, expected False"),
    ("destructor", "none", "destructor is sock_pfree, expected none"),
    ("skb_data", 0, "skb_data is -4, expected 0"),
    ("skb_len", 20, "skb_len is 24, expected 20"),
    ("skb_data_len", 0, "skb_data_len is 8, expected 0"),
    ("skb_users", 1, "skb_users is 2, expected 1"),
    ("skb_cb", 0, "skb_cb is 20, expected 0"),
    ("clones", 0, "clones is 1, expected 0"),
    ("freed", ["a"], "freed is ['a', 'b'], expected ['a']"),
    ("freed", [], "freed is ['a', 'b'], expected []"),
    ("fired", [1], "fired is [1, 3], expected [1]"),
    ("sections", 0, "sections is 1, expected 0"),
    ("refcnt", {"a": 3, "b": 2}, "refcnt of b is 1, expected 2"),
    ("listener", {"b": "none"}, "listener of b is a, expected none"),
    ("written", "nothing", "written is group, expected nothing"),
    ("warns", [], "warns is ['f', 'g'], expected []"),
    ("shown", [], "shown is ['sk_lookup', 'filter', 'sk_reuseport'], expected []"),
    (
        "shown",
        [{"kind": "filter"}, {"kind": "sk_lookup"}, {"kind": "sk_reuseport"}],
        "shown is ['sk_lookup', 'filter', 'sk_reuseport'], expected ['filter', 'sk_lookup', 'sk_reuseport']",
    ),
]
# The value of each argument that a program was shown, as it is written, and one that it is not.
ARGUMENTS = [
    *((0, name, got, wrong) for name, got, wrong in (("netns", 0, 1), ("prog", 1, 0), ("sport", 40000, 80))),
    *((0, name, got, wrong) for name, got, wrong in (("family", "AF_INET", "AF_INET6"), ("protocol", "tcp", "udp"))),
    *((0, name, got, wrong) for name, got, wrong in (("saddr", "10.0.0.1", "10.0.0.2"), ("dport", 80, 81))),
    *((0, name, got, wrong) for name, got, wrong in (("daddr", "10.0.0.2", "10.0.0.1"), ("ingress_ifindex", 1, 2))),
    *((0, name, got, wrong) for name, got, wrong in (("selected_sk", "none", "a"), ("no_reuseport", False, True))),
    *((1, name, got, wrong) for name, got, wrong in (("group", 0, 1), ("clone", 1, 0), ("data", 20, 0))),
    *((1, name, got, wrong) for name, got, wrong in (("len", 40, 20), ("data_len", 0, 1), ("cb_bytes_kept", -1, 0))),
    *((number, name, 0, 1) for number, name in ((0, "ipv6"), (1, "other_bytes"))),
    *((2, name, got, wrong) for name, got, wrong in (("group", 0, 1), ("sk", "b", "a"), ("hash", 0x89ABCDEF, 0))),
    *((2, name, got, wrong) for name, got, wrong in (("reuseport_id", 1, 2), ("bind_inany", True, False))),
    *((2, name, got, wrong) for name, got, wrong in (("selected_sk", "none", "b"), ("migrating_sk", "none", "b"))),
    *((2, name, got, wrong) for name, got, wrong in (("own_skb", 1, 0), ("headlen", 20, 0))),
]


def told(outcome: Outcome, **expect: Any) -> list[str]:
    return unmet(expect, SOCKS, outcome)


def test_every_field_that_is_compared_can_be_expected() -> None:
    assert tuple(MET) == tuple(FIELDS) == Outcome._fields[:COMPARED]
    assert {key for key, _, _ in FALSE} == {*FIELDS}
    shown = {(number, name) for number, kind in enumerate(SHOWN_KINDS) for name in SHOWN_FIELDS[kind]}
    assert {(number, name) for number, name, _, _ in ARGUMENTS} == shown


def test_an_expectation_is_read_as_it_was_written() -> None:
    for source in ("", *SOURCES):
        for expect in (MET, dict(reversed(MET.items()))):
            read = parse(
                dump(
                    Case(
                        scenario(Sock(), Sock(), events=(Event(action=GOES_ON),) * 3),
                        expect=expect,
                        said_by=source,
                        socks=SOCKS,
                    )
                )
            )
            assert (read.expect, read.said_by) == (MET, source)


def test_an_outcome_that_is_as_expected_is_not_unmet() -> None:
    assert told(SEEN, **MET) == []
    assert told(SEEN) == []
    assert told(Outcome(), written="nothing", freed=[], shown=[], warns=[]) == []


@pytest.mark.parametrize(("key", "wanted", "line"), FALSE)
def test_an_outcome_that_is_not_as_expected_is_told(key: str, wanted: Any, line: str) -> None:
    assert told(SEEN, **{**MET, key: wanted})[0] == line


@pytest.mark.parametrize(("number", "name", "got", "wrong"), ARGUMENTS)
def test_each_argument_of_a_program_can_be_expected(number: int, name: str, got: Any, wrong: Any) -> None:
    def expecting(value: Any) -> list[dict[str, Any]]:
        return [{"kind": kind, **({name: value} if i == number else {})} for i, kind in enumerate(SHOWN_KINDS.values())]

    assert told(SEEN, shown=expecting(got)) == []
    assert told(SEEN, shown=expecting(wrong)) == [f"{name} of shown {number} is {got}, expected {wrong}"]


def test_a_program_that_ran_once_more_is_told() -> None:
    assert told(SEEN, shown=MET["shown"][:2]) == [
        "shown is ['sk_lookup', 'filter', 'sk_reuseport'], expected ['sk_lookup', 'filter']"
    ]


def test_an_address_may_be_written_as_a_number() -> None:
    shown = [{"kind": "sk_lookup", "saddr": 0x0A000001}, {"kind": "filter"}, {"kind": "sk_reuseport"}]
    assert told(SEEN, shown=shown) == []


def test_all_that_is_unmet_is_told() -> None:
    assert len(told(SEEN, sk="a", refcounted=False, refcnt={"a": 0, "b": 0})) == 4


def test_strange_outcomes_meet_no_plain_expectation() -> None:
    assert told(SEEN._replace(sk=FOREIGN), sk="none") == ["sk is foreign, expected none"]
    assert told(SEEN._replace(refcounted=UNSET), refcounted=True) == ["refcounted is 2, expected True"]
    assert told(SEEN._replace(freed=1 << 64), freed=["a"]) == ["freed is ['a as what it is not'], expected ['a']"]
    assert told(Outcome(ended=CRASHED), ended="returned") == ["ended is crashed, expected returned"]
    assert told(Outcome(ended=STUCK), refcnt={"a": 1}) == ["refcnt of a is None, expected 1"]
    assert told(Outcome(ended=STUCK), listener={"a": "none"}) == ["listener of a is None, expected none"]


SHOWN = "[[expect.shown]]\n"
EVENT = '[[event]]\npoint = "link"\naction = "goes on"\n'
WRONG = [
    ('from = "me"\n', 7, f"expect.from: 'me' is none of {', '.join(SOURCES)}"),
    ("from = []\n", 7, "expect.from: [] is none of "),
    ("via = []\n", 7, "expect.via: no such key here; known: clones, destructor, ended, fired, freed, from, "),
    ("signal = 11\n", 7, "expect.signal: no such key here"),
    ("clones = true\n", 7, "expect.clones: a number of 32 bits is needed, not True"),
    ('freed = "a"\n', 7, "expect.freed: a list of names of sockets is needed, not 'a'"),
    ('freed = ["b"]\n', 7, "expect.freed: 'b' is none of a"),
    ('freed = ["none"]\n', 7, "expect.freed: 'none' is none of a"),
    ("fired = 1\n", 7, "expect.fired: a list of numbers of events is needed, from 1 on, not 1"),
    ("fired = [true]\n", 7, "expect.fired: a list of numbers of events is needed, from 1 on, not [True]"),
    ("fired = [1]\n", 7, "expect.fired: there is no event 1: the case has none"),
    ("fired = [7]\n" + EVENT, 7, "expect.fired: there is no event 7: they are counted from 1 to 1"),
    ("fired = [1, 0]\n" + EVENT, 7, "expect.fired: there is no event 0: they are counted from 1 to 1"),
    ("fired = [1, 1]\n" + EVENT, 7, "expect.fired: event 1 is there twice, and comes about once"),
    ("written = []\n", 7, "expect.written: [] is none of nothing, socket, group"),
    ('written = "a"\n', 7, "expect.written: 'a' is none of nothing, socket, group"),
    ("shown = 1\n", 7, "expect.shown: tables [[expect.shown]] are needed, or []"),
    ("shown = [1]\n", 7, "expect.shown: tables [[expect.shown]] are needed, or []"),
    (SHOWN + "data = 20\n", 7, "expect.shown.kind: None is none of sk_lookup, filter, sk_reuseport"),
    (SHOWN + 'kind = "xdp"\n', 8, "expect.shown.kind: 'xdp' is none of sk_lookup, filter, sk_reuseport"),
    (SHOWN + 'kind = "filter"\nsaddr = 1\n', 9, "expect.shown.saddr: no such key here; known: cb_bytes_kept, clone, "),
    (
        SHOWN + 'kind = "filter"\n' + SHOWN + 'kind = "sk_reuseport"\nsk = "b"\n',
        11,
        "expect.shown.sk: 'b' is none of a",
    ),
    (SHOWN + 'kind = "sk_lookup"\nsaddr = "10.0"\n', 9, "expect.shown.saddr: '10.0' is no address of IPv4 or IPv6"),
]


@pytest.mark.parametrize(("text", "line", "message"), WRONG)
def test_what_cannot_be_expected_is_refused(text: str, line: int, message: str) -> None:
    with pytest.raises(CannotRun) as caught:
        parse(TEXT + text, "case.toml")
    assert str(caught.value).startswith(f"case.toml:{line}: {message}")


def test_an_event_that_is_not_there_is_refused_in_words_too() -> None:
    text = f'version = 1\npacket = "10.0.0.1:1 -> 10.0.0.2:80"\n{EVENT}[expect]\n'
    assert parse(f"{text}fired = [1]\n").expect == {"fired": [1]}
    with pytest.raises(CannotRun) as caught:
        parse(f"{text}fired = [2]\n", "case.toml")
    assert str(caught.value) == "case.toml:7: expect.fired: there is no event 2: they are counted from 1 to 1"


def test_kinds_of_sockets_and_lists_have_a_form_of_their_own() -> None:
    """A field that is added to the Outcome as a list is no plain number here."""
    for name, field in FIELDS.items():
        plain = isinstance(getattr(Outcome(), name), int) and name != "freed"
        assert plain == (not field.each and field.kind not in (Kind.SOCKETS, Kind.TEXTS, Kind.WRITTEN, Kind.SHOWN))
