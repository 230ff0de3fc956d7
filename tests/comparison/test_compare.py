"""The comparison: each field counts, whoever differs; what is for the reader does not."""

import re
from pathlib import Path

from skdiff.cases.outcome import (
    COMPARED,
    CRASHED,
    ENDED_NAMES,
    RETURNED,
    SHOWN_NAMES,
    STUCK,
    UNSEEN,
    UNSEEN_SHOWN,
    Outcome,
)
from skdiff.comparison.compare import Mismatch, compare

PLAIN = Outcome(
    *(RETURNED, 1, 2, 1, 3, -4, 60, 40, 2, 5, 6, 7, 8),
    refcnt=(1, 2),
    listener=(-1, 0),
    written=(1, 2, 3),
    warns=("a", "b"),
    shown=((2, 0, 1, 2, 3, 4, 5), (1, *range(11))),
)
FIELDS = ("ended", "sk", "skb_sk", "refcounted", "destructor", "skb_data", "skb_len", "skb_data_len", "skb_users")
FIELDS = (*FIELDS, "skb_cb", "clones", "freed", "fired", "sections", "refcnt", "listener", "written", "warns", "shown")


def others(value):
    """Values that differ from this one in as little as can be: one number, one name, one item less or more."""
    if isinstance(value, int):
        return [value + 1, value - 1]
    if isinstance(value, str):
        return [value + "x"]
    changed = [(*value[:i], other, *value[i + 1 :]) for i in range(len(value)) for other in others(value[i])]
    return [*changed, value[:-1], value[1:], value[::-1], (*value, value[0])]


def test_equal_outcomes_are_no_mismatch():
    for count in (1, 2, 3):
        assert compare(["a", "b", "c"][:count], [Outcome(*PLAIN) for _ in range(count)]) is None


def test_the_compared_fields_are_these():
    assert Outcome._fields[:COMPARED] == FIELDS
    assert Outcome._fields[COMPARED:] == ("via", "signal")


def test_each_change_of_a_compared_field_is_told_whoever_gave_it():
    names = ["one", "two", "three"]
    for field in FIELDS:
        for value in others(getattr(PLAIN, field)):
            for who in range(3):
                outcomes = [PLAIN] * 3
                outcomes[who] = PLAIN._replace(**{field: value})
                assert compare(names, outcomes) == Mismatch(tuple(names), tuple(outcomes), (field,)), (field, value)
                assert compare(names[:2], outcomes[:2]) is None or who < 2


def test_all_fields_that_differ_are_told_in_their_order():
    ours = PLAIN._replace(sk=2, warns=(), freed=0)
    assert compare(["a", "b"], [PLAIN, ours]).fields == ("sk", "freed", "warns")
    assert compare(["a", "b", "c"], [PLAIN, ours, PLAIN._replace(ended=STUCK)]).fields == (
        "ended",
        "sk",
        "freed",
        "warns",
    )
    assert compare(["a", "b"], [Outcome(*[None] * COMPARED), PLAIN]).fields == FIELDS


def test_what_is_for_the_reader_is_not_compared():
    assert compare(["a", "b"], [PLAIN._replace(via=("stolen",)), PLAIN]) is None
    assert compare(["a", "b"], [PLAIN._replace(signal=11), PLAIN._replace(signal=6)]) is None


def signature(*outcomes):
    return compare(["a", "b", "c"][: len(outcomes)], outcomes).signature


def test_a_signature_names_how_the_socket_was_found_and_the_fields():
    model = PLAIN._replace(via=("exact listener", "group by hash"))
    assert signature(PLAIN._replace(sk=5, freed=1), model) == "exact_listener-group_by_hash-sk-freed"
    assert signature(model, PLAIN._replace(sk=5)) == "exact_listener-group_by_hash-sk"
    assert signature(PLAIN._replace(via=("none",)), model._replace(sk=5)) == "none-sk"
    assert signature(PLAIN, PLAIN._replace(sk=5)) == "?-sk"
    assert signature(PLAIN, PLAIN._replace(sk=5, via=("v. 1",))) == "v__1-sk"


def test_what_a_referee_says_comes_first():
    outcomes = (PLAIN._replace(sk=5), PLAIN._replace(via=("none",)))
    assert Mismatch(("a", "b"), outcomes, ("sk",), "reselect+no-IPV6").signature == "reselect+no-IPV6-none-sk"
    assert Mismatch(("a", "b"), outcomes, ("sk",)).signature == "none-sk"


def test_which_events_came_about_is_named_where_nothing_else_differs():
    model = PLAIN._replace(via=("none",), fired=3)
    assert signature(PLAIN._replace(fired=1), model) == "none-fired"
    assert (
        signature(PLAIN._replace(fired=1, sk=5), model) == signature(PLAIN._replace(fired=3, sk=5), model) == "none-sk"
    )
    both = compare(["a", "b"], [PLAIN._replace(fired=1, refcnt=(7, 7)), model])
    assert (both.fields, both.telling, both.way) == (("fired", "refcnt"), ("refcnt",), "refcnt")
    alone = compare(["a", "b"], [PLAIN._replace(fired=1), model])
    assert (alone.telling, alone.way) == (("fired",), "fired")


def test_a_signature_names_how_it_ended_rather_than_fields():
    stuck, crashed = (Outcome(ended=ended) for ended in (STUCK, CRASHED))
    model = PLAIN._replace(via=("established",))
    assert signature(stuck, model) == "established-stuck"
    assert signature(stuck, crashed) == "?-stuck-crashed"
    assert signature(stuck._replace(via=("stuck",)), crashed, stuck) == "stuck-stuck-crashed"
    assert (
        signature(
            crashed,
            stuck,
            crashed,
        )
        == "?-crashed-stuck"
    )


def test_a_mismatch_says_of_itself_no_more_than_it_was_told():
    found = compare(["a", "b"], [PLAIN, PLAIN._replace(sk=5)])
    assert (found.cause, found.alike, found.half_seen, found.said) == ("", False, (), ())
    told = Mismatch(("a", "b"), (PLAIN, PLAIN), ("sk",), "reselect", True, ("a",), ("Oops", "BUG"))
    assert (told.cause, told.alike, told.half_seen, told.said) == ("reselect", True, ("a",), ("Oops", "BUG"))


def test_the_way_is_the_first_field_that_tells_or_how_one_ended():
    stuck, crashed = (Outcome(ended=ended) for ended in (STUCK, CRASHED))
    for outcomes, way in (
        ((PLAIN, PLAIN._replace(sk=5, freed=1, warns=())), "sk"),
        ((PLAIN, PLAIN._replace(fired=1, warns=())), "warns"),
        ((stuck, PLAIN), "stuck"),
        ((PLAIN, crashed), "crashed"),
        ((stuck, crashed), "crashed"),
        ((crashed, stuck, PLAIN), "crashed"),
    ):
        assert compare(["a", "b", "c"][: len(outcomes)], outcomes).way == way


def test_ends_have_names():
    assert [ENDED_NAMES[end] for end in (RETURNED, STUCK, CRASHED)] == ["returned", "stuck", "crashed"]
    assert len(ENDED_NAMES) == 3


def test_a_plain_outcome_is_that_nothing_happened():
    assert Outcome() == (RETURNED, -1, -1, 0, 0, *(0,) * 9, (), (), (), (), (), (), 0)


# How the C says what a program was shown, where it has another name for it.
_SAID = {"number": "prog group", "skb": "own_skb data", "data_end": "headlen", "0": "cb_bytes_kept", "ipv6": "ipv6"}


def test_what_programs_are_shown_is_named_as_the_c_writes_it():
    text = (Path(__file__).parents[2] / "csrc" / "driver" / "outcome.c").read_text()
    body = text[text.index("static void read_seen") : text.index("static void read_outcome")]
    kinds = re.split(r"shown->program = \w+;", body)[1:]
    assert len(kinds) == len(SHOWN_NAMES)
    for kind, names in zip(kinds, SHOWN_NAMES.values(), strict=True):
        at = 0
        for name in names:
            address = name in ("saddr", "daddr")
            here = rf"show_address\(args \+ {at}, (.*)\);" if address else rf"args\[{at}\] = (.*);"
            said = re.findall(r"\w+", re.search(here, kind)[1])
            assert name in [word for part in said for word in (part, *_SAID.get(part, "").split())], name
            at += 2 if address else 1
        assert f"args[{at}]" not in kind


def test_what_an_oracle_cannot_see_is_no_value_that_a_program_is_shown():
    assert UNSEEN < -(1 << 32)  # which an argument of 32 bits is not, with a sign or without
    assert UNSEEN_SHOWN == ((UNSEEN,),)
