"""What differs between two closures: definitions are matched by name, then text, then file."""

from skdiff.kernel.build import Line
from skdiff.kernel.text_changes import CHANGED, GONE, NEW, Change, changes


def line(file: str, text: str, named: str = "", number: int = 1) -> Line:
    return Line("score", "function", file, number, number, text, "", True, (), named)


def test_twins_are_matched_by_their_files() -> None:
    before = [line("net/a.c", "1"), line("net/b.c", "2", "score__net_b_c"), line("net/c.c", "3", "score__net_c_c")]
    after = [line("net/c.c", "30", "score__net_c_c"), line("net/a.c", "1"), line("net/b.c", "20", "score__net_b_c")]
    assert changes(before, after) == [
        Change(CHANGED, "function", "score__net_b_c", "net/b.c:1", "net/b.c:1"),
        Change(CHANGED, "function", "score__net_c_c", "net/c.c:1", "net/c.c:1"),
    ]


def test_one_that_moved_and_changed_is_what_is_left() -> None:
    before = [line("net/a.c", "1"), line("net/b.c", "2")]
    assert changes(before, [line("net/d.c", "10"), line("net/b.c", "20")]) == [
        Change(CHANGED, "function", "score", "net/a.c:1", "net/d.c:1"),
        Change(CHANGED, "function", "score", "net/b.c:1", "net/b.c:1"),
    ]
    assert [c.what for c in changes(before, [line("net/b.c", "20")])] == [GONE, CHANGED]
    assert [c.what for c in changes(before[:1], [line("net/b.c", "20"), line("net/a.c", "1")])] == [NEW]


def test_a_text_that_only_moved_is_the_same() -> None:
    assert changes([line("net/a.c", "1")], [line("net/b.c", "1", number=7)]) == []
