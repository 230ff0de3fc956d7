"""The report page and the issue texts: what they say of good, bad, missing and broken summaries."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from skdiff import cli
from skdiff.base.paths import PACKAGE
from skdiff.campaign.messages import Running
from skdiff.campaign.progress import SAMPLES, Series
from skdiff.campaign.run import CLASSES
from skdiff.cases.case_file import Case, dump
from skdiff.cases.scenario import Scenario
from skdiff.nightly import plots, summaries
from skdiff.nightly.page import page
from skdiff.nightly.page_data import kernel_names
from skdiff.proof.mutants.score_all import OF
from tests.helpers import listener


class Shape(HTMLParser):
    """The text of a page, and whether each element that was opened is closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.links, self.text = [], set(), [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.seen.add(tag)
        self.links += [value for name, value in attributes if name in ("src", "href") and not value.startswith("#")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.seen.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def fuzz(started="2026-01-02T03:00:00+00:00", **changes):
    return {
        "command": "fuzz",
        "started": started,
        "kernel": {"version": "6.12.117", "config": "", "rules": {}},
        "engine": "atheris",
        "seed": 5,
        "cases": 12345,
        "seconds": 10.0,
        "cases_per_second": 1234,
        "series": [[1.0, 1000, 100, 90.5, 0.9], [2.0, 2500, 120, 91.0, 1.8], [3.0, 4000, 130, 91.2, 2.7]],
        "classes": {"stolen": 6000, "none": 6345},
        "edges": [200, 226],
        "lines": [300, 323],
        "workers": [{"cases": 6345, "deaths": 0}, {"cases": 6000, "deaths": 1}],
        "mismatches": [],
        "known": [],
        "unwritten": [],
        **changes,
    }


def found(
    folder, signature="inet_lhash2_lookup-sk", report="MISMATCH\n\nreplay: skdiff replay --kernel 6.12 old/case.toml\n"
):
    """A finding on the disk, and its entry in a summary, which names a path of long ago."""
    place = folder / "findings" / signature
    place.mkdir(parents=True)
    (place / "case.toml").write_text(dump(Case(Scenario(socks=(listener(),)))))
    (place / "report.txt").write_text(report)
    return {"signature": signature, "file": f"/long/ago/findings/{signature}/case.toml", "count": 7}


def put(folder, name, data):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(data if isinstance(data, str) else json.dumps(data))


def test_a_good_night(tmp_path):
    put(tmp_path / "monday", "fuzz.json", fuzz())
    text, line = page(tmp_path)
    assert line == "1 summary of monday, 12,345 cases, no difference"
    shape = Shape(text)
    assert shape.open == []
    assert shape.links == []
    assert "script" not in shape.seen
    assert {"svg", "table", "style"} <= shape.seen
    words = ("agreed", "12,345", "200 of 226", "300 of 323", "stolen", "48.6 %", "atheris", "workers")
    for word in (*words, "Cases a second, in this run", "Memory of all workers, MiB, in this run"):
        assert word in shape.text
    assert 'name="viewport"' in text
    assert "prefers-color-scheme:dark" in text
    assert "Not read" not in shape.text


def test_a_finding_comes_with_its_explanation_its_drawing_and_its_command(tmp_path):
    entry = found(
        tmp_path / "monday", report="the sides <part> here\nreplay: skdiff replay --kernel 6.12 x/case.toml\n"
    )
    put(tmp_path / "monday", "fuzz.json", fuzz(mismatches=[entry]))
    text, line = page(tmp_path)
    assert "1 difference, 1 new" in line
    shape = Shape(text)
    assert "the sides <part> here" in shape.text
    assert "skdiff replay --kernel 6.12 x/case.toml" in shape.text
    assert "listener0" in shape.text
    assert "[[sock]]" in shape.text
    if shutil.which("dot") is None:
        pytest.skip("no dot of Graphviz, which draws")
    assert "gets the packet" in re.sub(r"\s+", " ", shape.text)


def test_a_run_of_an_older_skdiff_is_read_too(tmp_path):
    old = fuzz(series=[[1.0, 1000, 100], [2.0, 2500, 120]])
    put(tmp_path, "fuzz.json", {key: old[key] for key in old if key not in ("lines", "workers", "unwritten")})
    text, line = page(tmp_path)
    assert "no difference" in line
    assert "Cases a second, in this run" in text
    assert "Not read" not in text


def test_a_finding_that_no_disk_had_room_for_is_on_the_page(tmp_path):
    case = dump(Case(Scenario(socks=(listener(),))))
    lost = {"kind": "finding", "signature": "lost-sk", "file": "", "why": "No space left", "case": case, "count": 3}
    put(tmp_path, "fuzz.json", fuzz(unwritten=[lost]))
    text, line = page(tmp_path)
    assert "1 difference, 1 new" in line
    shape = Shape(text)
    assert "lost-sk" in shape.text
    assert "[[sock]]" in shape.text
    assert "agreed" not in shape.text


def test_a_signature_of_an_earlier_night_is_not_new(tmp_path):
    for night, started, signatures in (("a", "2026-01-01", ["old-sk"]), ("b", "2026-01-02", ["old-sk", "new-sk"])):
        entries = [found(tmp_path / night, signature) for signature in signatures]
        put(tmp_path / night, "fuzz.json", fuzz(started, mismatches=entries))
    assert [f.signature for f in summaries.fresh(summaries.collect(tmp_path)[0], tmp_path)] == ["new-sk"]
    assert cli.main(["report", str(tmp_path), "--issues", str(tmp_path / "issues")]) == 0
    [path] = (tmp_path / "issues").iterdir()
    assert path.name == "new-sk-6.12.117.md"
    title, *rest = path.read_text().splitlines()
    assert title == "# new-sk: Linux 6.12.117 and the model differ"
    assert "skdiff replay --kernel 6.12 case.toml" in rest
    assert "[[sock]]" in rest
    shape = Shape((tmp_path / "report.html").read_text())
    assert "seen before" in shape.text
    assert "Cases, run by run" in shape.text


def test_another_kernel_makes_it_new_and_another_stable_level_does_not(tmp_path):
    for night, started, version in (("a", "2026-01-01", "6.12.1"), ("b", "2026-01-02", "6.12.2")):
        put(
            tmp_path / night, "f.json", fuzz(started, mismatches=[found(tmp_path / night)], kernel={"version": version})
        )
    assert summaries.fresh(summaries.collect(tmp_path)[0], tmp_path) == []
    put(
        tmp_path / "b",
        "g.json",
        fuzz("2026-01-02", mismatches=[found(tmp_path / "b" / "g")], kernel={"version": "6.1.9"}),
    )
    assert [f.summary.kernel for f in summaries.fresh(summaries.collect(tmp_path)[0], tmp_path)] == ["6.1.9"]


BROKEN = [
    ("cut.json", '{"command": "fuzz", "cas', "cut.json"),
    ("list.json", "[1, 2]", "list.json: not a summary"),
    ("empty.json", {"command": "fuzz", "started": "2026-01-02"}, "empty.json: "),
    ("odd.json", {"command": "fuzz", "mismatches": "many"}, "odd.json: not a summary of `skdiff fuzz`: "),
    ("mutants.json", {"command": "mutants", "functions": 5}, "mutants.json: "),
    ("coverage.json", {"command": "coverage", "functions": [{}]}, "coverage.json: "),
    ("series.json", fuzz(series=[["x"]]), "series.json: not a summary of `skdiff fuzz`: Expected `array`"),
    ("replay.json", {"command": "replay", "cases": [{"verdict": 1}]}, "replay.json: "),
    ("nightly.json", {"command": "nightly", "steps": [{}]}, "nightly.json: "),
    ("newer.json", fuzz(schema=2), "newer.json: a summary of schema 2, and this skdiff reads 1: make it anew"),
]


@pytest.mark.parametrize(("name", "data", "words"), BROKEN, ids=[name for name, _, _ in BROKEN])
def test_what_is_broken_costs_a_line_and_not_the_page(name, data, words, tmp_path):
    put(tmp_path, "good.json", fuzz())
    put(tmp_path, name, data)
    text, line = page(tmp_path)
    shape = Shape(text)
    assert shape.open == []
    assert "Not read" in shape.text
    assert words in shape.text
    assert "not read" in line
    assert "12,345" in shape.text


def test_a_finding_without_its_files_is_still_told(tmp_path):
    put(tmp_path, "f.json", fuzz(mismatches=[{"signature": "lost-sk", "file": "gone/case.toml", "count": 1}]))
    shape = Shape(page(tmp_path)[0])
    assert "Its report is not among the files." in shape.text
    assert "skdiff replay gone/case.toml" in shape.text
    assert "1 case." in shape.text


def test_a_summary_of_any_shape_is_shown(tmp_path):
    rows = [{"function": "compute_score", "change": "<gone>"}]
    put(tmp_path, "sizes.json", {"command": "sizes", "against": "mainline", "functions": rows, "nested": {"a": [1, 2]}})
    shape = Shape(page(tmp_path)[0])
    for word in ("sizes", "mainline", "compute_score", "<gone>", "nested", "1, 2"):
        assert word in shape.text


def test_no_folder_is_one_line_and_an_empty_one_a_page(tmp_path, capsys):
    assert cli.main(["report", str(tmp_path / "none")]) == 2
    assert "no such folder" in capsys.readouterr().err
    assert cli.main(["report", str(tmp_path)]) == 0
    assert "There is no summary" in (tmp_path / "report.html").read_text()
    assert cli.main(["report", str(tmp_path), "-o", "/no/such/folder/page.html"]) == 2


@pytest.mark.long
def test_real_summaries_fill_the_page(kernel_tree, tmp_path, capsys):
    if shutil.which("gcov") is None:
        pytest.skip("no gcov, which counts lines")
    out = tmp_path / "night"
    out.mkdir()
    assert cli.main(["fuzz", "--cases", "3000", "--seed", "1", "--json", str(out / "fuzz.json")]) == 0
    # 1 where another compiler has numbered the branches
    assert cli.main(["coverage", "--cases", "0", "--json", str(out / "coverage.json")]) in (0, 1)
    printed = capsys.readouterr().out
    assert "__inet_lookup_established" in printed
    assert "inet_hashtables" in Path(printed.split("pages: ")[1].strip()).read_text()
    assert cli.main(["replay", "--json", str(out / "replay.json")]) == 0
    text, line = page(tmp_path)
    shape = Shape(text)
    assert "no difference" in line
    assert "not read" not in line
    assert "Agreement" in shape.text
    assert "the corpus alone" in shape.text
    assert re.search(r"tcp6: \d+ of \d+ lines, \d+ of \d+ branches; \d+ missing", shape.text)
    source = re.search(r"<pre class=\"src\">.*?compute_score.*?</pre>", text, re.DOTALL)
    assert source is not None
    assert len(re.findall(r'class="hit"', text)) > 300
    assert "all agreed" in shape.text or re.search(r"\d+ agreed", shape.text)


def cells(html):
    """The words of a page, those of each element apart."""
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def test_classes_are_shown_for_each_lookup(tmp_path):
    seen = dict.fromkeys(CLASSES, 10)
    lookups = {"tcp4": {"cases": 200, "classes": seen}, "tcp6": {"cases": 100, "classes": {**seen, "drop": 0}}}
    put(tmp_path, "one.json", fuzz(lookups=lookups))
    put(tmp_path, "two.json", fuzz(lookups={"tcp4": {"cases": 200, "classes": {"drop": 5}}}))
    rows = cells(page(tmp_path)[0])
    assert "class tcp4 share tcp6 share" in rows
    assert "drop 15 3.8 % 0 0.0 %" in rows
    assert rows.endswith("no case of tcp6 : drop")
    assert "no case of tcp4" not in rows


def test_a_summary_from_before_there_were_lookups_has_its_classes(tmp_path):
    put(tmp_path, "old.json", fuzz())
    rows = cells(page(tmp_path)[0])
    assert "class all share" in rows
    assert "stolen 6,000 48.6 %" in rows
    assert "no case of all" in rows


def test_a_series_stays_short_and_even():
    series = Series()
    for i in range(1, 5001):
        numbers = {"cases": i * 10, "seconds": i / 2, "processor": i / 3, "memory": 2048 * i, "edges": (i, 9999)}
        series.add(Running(**numbers, lookups={}, lines=(0, 0), mismatches=[], inputs=0, deaths=0))
    assert SAMPLES / 2 - 1 <= len(series.samples) <= SAMPLES
    gaps = {round(b[0] - a[0], 1) for a, b in zip(series.samples, series.samples[1:], strict=False)}
    assert len(gaps) == 1
    seconds, cases, edges, memory, processor = series.samples[-1]
    assert (cases, edges, memory) == (20 * seconds, 2 * seconds, 4 * seconds)
    assert processor == pytest.approx(2 * seconds / 3, abs=0.01)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 7), (0, 226), (0, 1e6), (3, 3), (0, 0)])
def test_ticks_span_the_range_with_few_round_numbers(low, high):
    found = plots.ticks(low, high)
    assert found[0] <= low
    assert found[-1] >= high
    assert 2 <= len(found) <= 7


def test_a_plot_needs_two_points_and_stays_in_its_frame():
    assert plots.plot("t", [plots.Line("one", [(1, 1)])], "s") == ""
    svg = plots.plot("t<", [plots.Line("a&b", [(0, 5), (10, 0), (20, 17)])], "s")
    [points] = re.findall(r'points="([^"]*)"', svg)
    for point in points.split():
        x, y = map(float, point.split(","))
        assert 0 <= x <= plots.WIDTH
        assert 0 <= y <= plots.HEIGHT
    assert "t&lt;" in svg
    assert "a&amp;b" in svg


def test_what_was_not_looked_at_is_no_agreement(tmp_path):
    place = {"file": "a.c", "line": 3, "function": "f", "text": "x();"}
    left = {"new": 2, "lines": [place], "names": [], "options": [], "why": ""}
    put(tmp_path / "monday", "fuzz.json", fuzz(unseen=left))
    put(tmp_path / "monday", "other.json", fuzz(unseen={**left, "lines": []}))
    text, line = page(tmp_path)
    assert line.endswith("no difference, 1 without a verdict: not all of the new text was looked at")
    assert Shape(text).text.count("no verdict") == 1
    assert '<li class="none">1 without a verdict' in text


def kernel(tree=""):
    return {"version": "6.12.117", "origin": f"tree {tree}" if tree else "Debian", "config": "", "rules": {}}


def step(name, status, why="", **more):
    return {"name": name, "status": status, "seconds": 1.0, "why": why, "code": 0, "compares": True, **more}


def test_steps_without_a_verdict_are_seen_at_once(tmp_path):
    steps = [
        step("replay-6.1", "ok"),
        step("diff-6.1-6.12", "ok, they differ"),
        step("fuzz-7.3", "skipped", "cannot be had here"),
        step("drift-7.3", "skipped", "cannot be had here"),
        step("mutants-6.1", "not begun", "the 3 minutes were over", code=2),
        step("fuzz-6.12", "broke off", "KeyError: 5", code=2),
    ]
    put(tmp_path, "night.json", {"command": "nightly", "started": "2026-01-02", "steps": steps})
    text, line = page(tmp_path)
    assert line.endswith("no difference, 3 steps left out, not well: fuzz-6.12")
    assert '<li class="none">3 steps left out</li>' in text
    assert '<li class="bad">not well: fuzz-6.12</li>' in text
    shown = text[text.index('id="steps"') : text.index("<details")]  # what needs no click
    assert "fuzz-7.3, drift-7.3" in shown
    for words in ("cannot be had here", "mutants-6.1", "the 3 minutes were over", "fuzz-6.12", "KeyError: 5"):
        assert words in shown
    assert "replay-6.1" not in shown
    assert '<span class="bad">1 broke off</span>' in shown


def test_what_strangers_wrote_is_text(tmp_path):
    evil = "<script>alert(1)</script>\"'&"
    entry = found(tmp_path, report=f"{evil}\nreplay: skdiff {evil}\n") | {"signature": evil}
    put(tmp_path, "f.json", fuzz(mismatches=[entry], engine=evil, classes={evil: 1}, kernel=kernel(evil)))
    put(tmp_path, "night.json", {"command": "nightly", "steps": [step(evil, evil, evil)]})
    replayed = {"cases": [{"file": evil, "verdict": evil, "why": [evil]}], "kernel": kernel(evil)}
    put(tmp_path, "replay.json", {"command": "replay", **replayed})
    change = {"what": evil, "kind": evil, "name": evil, "before": evil, "after": evil}
    lists = {"definitions": [change], "replaced": [], "rules": [evil], "missing": [evil]}
    put(tmp_path, "drift.json", {"command": "drift", "version": evil, "record": evil, **lists})
    put(tmp_path, "diff.json", a_diff(evil))
    put(tmp_path, "any.json", {"command": evil, evil: [{evil: evil}], "b": {evil: [evil]}})
    line = [3, evil, 0, 0, 1, evil]
    function = {"function": evil, "file": evil, "lines": [line]}
    coverage = {"functions": [], "missing": [evil], "reached_after_all": [], "gone": [], "good": False}
    coverage |= {"command": "coverage", "text": [function], "kernel": kernel(evil)}
    put(tmp_path, "coverage.json", coverage)
    text, line = page(tmp_path)
    assert "not read" not in line
    shape = Shape(text)
    assert shape.open == []
    assert shape.text.count(evil) > 25
    assert "script" not in shape.seen
    assert "&amp;lt;" not in text


def a_diff(word="x"):
    rule = {"rule": "reselect", "origin": "Linux 6.6"}
    found = {"signature": word, "count": 3, "file": "gone/case.toml"}
    group = {"rules": [rule], "unlike": [], "alike": False, "function": "", "findings": [found]}
    side = {"version": "6.1.1", "origin": word, "config": "", "notes": [word]}
    change = {"what": "changed", "kind": "function", "name": "compute_score", "before": "a.c:1", "after": "a.c:2"}
    data = {"kernels": {"A": side, "B": {**side, "version": "6.12.2"}}, "text": [change], "groups": [group]}
    more = {"seed": 4113445478, "cases": 1000, "seconds": 5.0, "differ": True, "gave_up": "", "missing_rules": []}
    return {"command": "diff", **data, **more}


def test_kernel_against_kernel_is_a_table_for_people(tmp_path):
    put(tmp_path, "diff.json", a_diff("reselect-sk"))
    shape = Shape(page(tmp_path)[0])
    words = re.sub(r"\s+", " ", shape.text)
    for part in (
        "6.1.1 (A) and 6.12.2 (B)",
        "reselect in B only (Linux 6.6)",
        "they differ",
        "1 definition with another",
    ):
        assert part in words
    assert "1,000 cases in 5 s, seed 4113445478" in words
    assert "{" not in shape.text.partition("Other runs")[2]


def test_a_drift_says_what_changed(tmp_path):
    change = {"what": "changed", "kind": "function", "name": "compute_score", "before": "a.c:1", "after": "a.c:9"}
    lists = {"definitions": [change], "replaced": [], "rules": ["no-reselect"], "missing": ["gone_function"]}
    put(tmp_path, "drift-x.json", {"command": "drift", "version": "6.1.2", "record": "6.1.1", **lists})
    words = re.sub(r"\s+", " ", Shape(page(tmp_path)[0]).text)
    for part in ("Linux 6.1.2 against the record of 6.1.1: 3 differences", "gone_function is not found", "a.c:9"):
        assert part in words
    assert "the rule differs: no-reselect now" in words


def test_a_seed_is_a_name_and_not_a_number(tmp_path):
    put(tmp_path, "f.json", fuzz(seed=4113445478))
    text = page(tmp_path)[0]
    assert "<code>4113445478</code>" in text
    assert "4,113" not in text


def test_two_trees_of_one_version_are_told_apart(tmp_path):
    agreed = {"file": "a.toml", "verdict": "agreed", "why": []}
    for number, tree in enumerate(("/src/a/linux", "/src/b/linux", "/src/b/other")):
        put(tmp_path, f"fuzz-{number}.json", fuzz(kernel=kernel(tree)))
        put(tmp_path, f"replay-{number}.json", {"command": "replay", "kernel": kernel(tree), "cases": [agreed]})
    put(tmp_path, "fuzz-3.json", fuzz(kernel=kernel()))
    names = set(kernel_names(summaries.collect(tmp_path)[0]).values())
    assert names == {"6.12.117", "6.12.117 (a/linux)", "6.12.117 (b/linux)", "6.12.117 (other)"}
    html = page(tmp_path)[0]
    text = Shape(html).text
    for name in ("6.12.117 (a/linux)", "6.12.117 (b/linux)"):
        assert f"{name}, atheris" in text  # in the plots
        assert f"<h3>Linux {name}</h3>" in html  # over the classes
    assert "Linux 6.12.117 (/src/b/linux): 1 case, 1 agreed" in text  # replay


def test_what_is_wide_scrolls_in_its_own_box(tmp_path):
    put(tmp_path, "f.json", fuzz())
    put(tmp_path, "diff.json", a_diff())
    put(tmp_path, "any.json", {"command": "any", "rows": [{"a": 1}]})
    text = page(tmp_path)[0]
    style = text[text.index("<style>") : text.index("</style>")]
    assert re.search(r"\.wide\{overflow-x:auto;max-width:100%\}", style)
    assert re.search(r"\npre\{[^}]*overflow-x:auto;max-width:100%", style)
    tables = [text[: found.start()].rstrip() for found in re.finditer("<table", text)]
    inner = [before for before in tables if before.rfind('<div class="wide">') <= before.rfind("</div>")]
    assert len(tables) > 4
    assert inner == []


def test_edges_have_a_scale_that_shows_them(tmp_path):
    series = [[0.0, 0, 0, 90.0, 0.1], [1.0, 10, 217, 90.0, 0.9], [2.0, 20, 219, 91.0, 1.8]]
    put(tmp_path, "f.json", fuzz(series=series))
    text = page(tmp_path)[0]
    drawn = re.search(r"<figcaption>Edges of the C taken, in this run.*?</svg>", text, re.DOTALL)
    assert re.findall(r'class="y"[^>]*>([^<]+)', drawn[0])[0] == "214"


def test_the_page_has_a_heading_for_mutants_of_each_kind():
    text = (PACKAGE / "nightly" / "templates" / "mutants.html").read_text()
    for kind in OF:
        assert f'"{kind}": ' in text
