"""The report page: what runs left in a folder as one HTML file that needs nothing else, for a phone and for a desk.

Each section takes what it knows of a summary; one that is not as it should be costs a line under "not read".
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

from skdiff.campaign.run import CLASSES
from skdiff.nightly.plots import Line, day, plot
from skdiff.nightly.summaries import Finding, Summary, collect, findings, fresh, latest, picture

_WRONG = (KeyError, TypeError, ValueError, AttributeError, IndexError)  # what a summary of another shape raises
_LONG = 40  # characters of a cell, from which on it may have several lines
_ROWS = 80  # of a table that is made of whatever a summary holds
_OWN = {"fuzz", "mutants", "coverage", "replay", "nightly"}  # these have sections of their own
_REST = ("edges of the C", "lines of the model", "engine", "workers", "seed")
_NOT_RUN = ("skipped", "not begun")  # what became of a step of a night that was left out
_WORDS = {0: "agreed", 1: "difference", 2: "could not run"}


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def page(folder: Path) -> tuple[str, str]:
    """The page of a folder of summaries, and a line that says what is on it. Raises CannotRun without the folder."""
    summaries, broken = collect(folder)
    night = latest(summaries)
    tonight = [s for s in summaries if s.night == night]
    wrong = list(broken)

    def section(title: str, make: Callable[[], Iterable[str]]) -> str:
        body = "".join(make())
        return f'<section><h2 id="{_anchor(title)}">{escape(title)}</h2>{body}</section>' if body else ""

    def each(of: Sequence[Summary], make: Callable[[Summary], str]) -> Iterator[str]:
        for summary in of:
            try:
                yield make(summary)
            except _WRONG as error:
                wrong.append(f"{summary.path.relative_to(folder)}: {type(error).__name__}: {error}")

    def kind(name: str) -> list[Summary]:
        return [s for s in tonight if s.kind == name]

    found: list[Finding] = []
    for summary in tonight:
        try:
            found += findings(summary, folder)
        except _WRONG as error:
            wrong.append(f"{summary.path.relative_to(folder)}: its findings: {type(error).__name__}: {error}")
    new = fresh(summaries, folder)
    rows = list(each(kind("fuzz"), _agreement_row))
    sections = [
        section("Steps", lambda: each(kind("nightly"), _steps)),
        section("Agreement", lambda: _agreement(rows)),
        section("Findings", lambda: (_finding(finding, finding in new) for finding in found)),
        section("Over time", lambda: _over_time(kind("fuzz"), summaries, wrong)),
        section("Classes of cases", lambda: _classes(kind("fuzz"))),
        section("Replay of the corpus", lambda: each(kind("replay"), _replay)),
        section("Mutants", lambda: each(kind("mutants"), _mutants)),
        section("Coverage", lambda: each(kind("coverage"), _coverage)),
        section("Other runs", lambda: each([s for s in tonight if s.kind not in _OWN], _anything)),
        section("Kernel text", lambda: each(kind("coverage"), _text)),
        section("Nights", lambda: _nights(summaries, folder)),
    ]
    if wrong:
        sections.append(section("Not read", lambda: [_list(wrong)]))
    signatures = {finding.signature for finding in found}
    words = [_many(len(tonight), "summary") + (f" of {night}" if night else "")]
    cases = sum(map(_cases, tonight))
    words.append(_many(cases, "case"))
    steps = [step for summary in kind("nightly") for step in _steps_of(summary)]
    compared = cases or any(step.get("compares") and str(step.get("status")).startswith("ok") for step in steps)
    nothing = "no difference" if compared else "nothing was compared"
    words.append(f"{_many(len(signatures), 'difference')}, {len(new)} new" if signatures else nothing)
    unsure = sum(map(_unseen, tonight))
    if unsure:
        words.append(f"{unsure} without a verdict: not all of the new text was looked at")
    if left_out := sum(step.get("status") in _NOT_RUN for step in steps):
        words.append(f"{_many(left_out, 'step')} left out")
    if failed := [str(step.get("name")) for step in steps if step.get("code") and step.get("status") not in _NOT_RUN]:
        words.append(f"not well: {', '.join(failed)}")
    if wrong:
        words.append(f"{len(wrong)} not read")
    line = ", ".join(words)
    links = " ".join(
        f'<a href="#{_anchor(t)}">{escape(t)}</a>' for t in re.findall(r"<h2 id=[^>]*>([^<]+)", "".join(sections))
    )
    state = "bad" if signatures or failed else "none" if unsure or not compared else "good"
    body = (
        f'<header><h1>skdiff</h1><p class="{state} verdict">{escape(line)}</p>'
        f'<p class="quiet">written {datetime.now(UTC):%Y-%m-%d %H:%M} UTC</p><nav>{links}</nav></header>'
    )
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    style = (
        f'<meta name="color-scheme" content="light dark"><title>skdiff: {escape(line)}</title><style>{STYLE}</style>'
    )
    main = "".join(sections) or "<p>There is no summary in this folder.</p>"
    return (
        f'<!doctype html><html lang="en"><head>{head}{style}</head><body>{body}<main>{main}</main></body></html>',
        line,
    )


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun if count == 1 else noun.removesuffix('y') + ('ies' if noun[-1] == 'y' else 's')}"


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _cell(value: Any) -> str:
    """One cell: numbers to the right, in groups of three digits."""
    if isinstance(value, Html):
        return f"<td>{value}</td>"
    if isinstance(value, bool) or not isinstance(value, int | float):
        text = str("" if value is None else value)
        return f"<td{' class=long' if len(text) > _LONG else ''}>{escape(text)}</td>"
    return f'<td class="n">{value:,}</td>' if isinstance(value, int) else f'<td class="n">{value:,.4g}</td>'


def _table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table that scrolls within the page where the screen is narrow; "" without rows."""
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    head = "".join(f"<th>{escape(head)}</th>" for head in heads)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead>{body}</table></div>' if body else ""


def _list(lines: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def _more(title: str, body: str, opened: bool = False) -> str:
    """A part that is closed until somebody wants it."""
    return f"<details{' open' if opened else ''}><summary>{escape(title)}</summary>{body}</details>"


def _word(text: str, state: str) -> Html:
    return Html(f'<span class="{state}">{escape(text)}</span>')


def _bar(part: float, whole: float) -> Html:
    """A share as a bar with its percentage."""
    share = 100 * part / whole if whole else 0.0
    return Html(f'<span class="bar"><i style="width:{min(share, 100):.1f}%"></i></span> {share:.1f} %')


def _cases(summary: Summary) -> int:
    """How many cases a run has compared."""
    cases = summary.data.get("cases")
    if summary.kind in ("fuzz", "diff"):
        return _number(cases)
    return len(cases) if summary.kind == "replay" and isinstance(cases, list) else 0


def _steps_of(summary: Summary) -> list[Mapping[str, Any]]:
    steps = summary.data.get("steps")
    return [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []


def _steps(summary: Summary) -> str:
    """What a night was made of."""
    states = {"ok": "good", "ok, they differ": "good", "skipped": "quiet"}
    rows = [
        (s["name"], _word(s["status"], states.get(s["status"], "bad")), float(s["seconds"]), s.get("why", ""))
        for s in summary.data["steps"]
    ]
    bad = [row for row, step in zip(rows, summary.data["steps"], strict=True) if states.get(step["status"]) != "good"]
    table = _table(("step", "outcome", "seconds", "what it said"), rows)
    good = len(rows) - len(bad)
    return _table(("step", "outcome", "seconds", "what it said"), bad) + _more(f"{good} of {len(rows)} done", table)


def _unseen(summary: Summary) -> bool:
    """Whether a run left something of a kernel's new text unseen (see harness/skdiff/proof/new_text.py)."""
    found = summary.data.get("unseen")
    return isinstance(found, Mapping) and any(
        found.get(key) for key in ("lines", "names", "options", "stand_ins", "why")
    )


def _agreement_row(summary: Summary) -> str:
    data = summary.data
    new, known = len(data["mismatches"]) + len(data.get("unwritten", [])), len(data.get("known", []))
    agreed = _word("no verdict", "none") if _unseen(summary) else _word("agreed", "good")
    word = _word(_many(new, "difference"), "bad") if new else agreed
    known_word = f" ({known} known)" if known else ""
    sides = [data.get(side, (0, 0)) for side in ("edges", "lines")]
    row = (
        f"{summary.kernel} ({summary.tree})" if summary.tree else summary.kernel,
        summary.config or "default",
        Html(f"{word}{known_word}{' ended early' if data.get('gave_up') else ''}"),
        int(data["cases"]),
        int(data["cases_per_second"]),
        *(f"{taken} of {among}" if among else "" for taken, among in sides),
        data["engine"],
        len(data.get("workers", [])) or 1,
        Html(f"<code>{int(data['seed'])}</code>"),
    )
    return f"<tr>{''.join(map(_cell, row))}</tr>"


def _agreement(rows: Sequence[str]) -> Iterator[str]:
    heads = ("Linux", "configuration", "kernel and model", "cases", "a second", *_REST)
    if rows:
        head = "".join(f"<th>{head}</th>" for head in heads)
        yield f'<div class="wide"><table><thead><tr>{head}</tr></thead>{"".join(rows)}</table></div>'


def _finding(finding: Finding, new: bool) -> str:
    word = _word("new", "bad") if new else _word("seen before", "quiet")
    parts = [
        f"<h3>{escape(finding.signature)} {word}</h3>",
        f"<p>Linux {escape(finding.summary.label)}, {_many(finding.count, 'case')}.</p>",
        f"<pre>{escape(finding.replay)}</pre>",
    ]
    if finding.report:
        parts.append(_more("Where they part, and why", f"<pre>{escape(finding.report)}</pre>", opened=new))
    else:
        parts.append("<p>Its report is not among the files.</p>")
    svg = picture(finding)
    if svg:
        drawn = f'<div class="drawing wide">{svg[svg.index("<svg") :]}</div>'
        parts.append(_more("Drawing", drawn, opened=new))
    if finding.case:
        parts.append(_more("Case", f"<pre>{escape(finding.case)}</pre>"))
    return f"<article>{''.join(parts)}</article>"


def _over_time(runs: Sequence[Summary], summaries: Sequence[Summary], wrong: list[str]) -> Iterator[str]:
    """How the runs of the night went on, and how the nights did."""
    rates, edges, memory = [], [], []
    for run in (r for r in runs if not r.config):
        try:
            samples = run.data.get("series", [])
            series = [(float(s), int(n), int(e)) for s, n, e, *_ in samples]
            name = f"{run.kernel}, {run.data['engine']}"
            pairs = [(b[0], (b[1] - a[1]) / (b[0] - a[0])) for a, b in pairwise([(0.0, 0, 0), *series]) if b[0] > a[0]]
            rates.append(Line(name, pairs))
            if any(e for _, _, e in series):
                edges.append(Line(name, [(s, e) for s, _, e in series]))
            memory.append(Line(name, [(float(s), float(m)) for s, _, _, m, *_ in (x for x in samples if len(x) > 3)]))
        except _WRONG as error:
            wrong.append(f"{run.path.name}: its series: {error}")
    titles = {"Cases a second": rates, "Edges of the C taken": edges, "Memory of all workers, MiB": memory}
    plots = [plot(f"{title}, in this run", lines, "s") for title, lines in titles.items()]
    plots += _history(summaries)
    shown = "".join(plots)
    if shown:
        yield f'<div class="plots">{shown}</div>'
    if runs and len({s.night for s in summaries}) < 2:
        yield '<p class="quiet">One night so far: the plots over nights come with the second.</p>'


def _history(summaries: Sequence[Summary]) -> Iterator[str]:
    """Throughput and coverage of the default configuration, night by night."""
    points: dict[str, dict[str, list[tuple[float, float]]]] = {"cases_per_second": {}, "edges": {}, "cases": {}}
    for run in (s for s in summaries if s.kind == "fuzz" and not s.config):
        try:
            when = datetime.fromisoformat(run.started).timestamp()
            name = f"{'.'.join(run.kernel.split('.')[:2])}, {run.data['engine']}"
            values = {**run.data, "edges": run.data["edges"][0]}
            for key, lines in points.items():
                if values[key]:
                    lines.setdefault(name, []).append((when, float(values[key])))
        except _WRONG:  # a run of no date is in no plot
            continue
    titles = {"cases_per_second": "Cases a second", "edges": "Edges of the C taken", "cases": "Cases"}
    for key, lines in points.items():
        yield plot(f"{titles[key]}, run by run", [Line(n, p) for n, p in lines.items()], "", day)


def _classes(runs: Sequence[Summary]) -> Iterator[str]:
    by_kernel: dict[str, Counter[str]] = {}
    cases: Counter[str] = Counter()
    for run in runs:
        counted = run.data.get("classes")
        if isinstance(counted, dict):
            by_kernel.setdefault(run.kernel, Counter()).update({str(k): _number(v) for k, v in counted.items()})
            cases[run.kernel] += _number(run.data.get("cases"))
    parts = []
    for kernel, classes in by_kernel.items():
        names = [*CLASSES, *sorted(set(classes) - set(CLASSES))]
        rows = [(name, classes[name], _bar(classes[name], cases[kernel])) for name in names]
        parts.append(f"<div><h3>Linux {escape(kernel)}</h3>{_table(('class', 'cases', 'share'), rows)}</div>")
    if parts:
        yield f'<div class="plots">{"".join(parts)}</div>'


def _replay(summary: Summary) -> str:
    cases = summary.data["cases"]
    counts = Counter(case["verdict"] for case in cases)
    told = ", ".join(f"{count} {word}" for word, count in counts.most_common())
    bad = [case for case in cases if case["verdict"] not in ("agreed", "known")]
    wrong = [f"{case['file']}: {case['verdict']}: {', '.join(case['why'])}" for case in bad]
    word = _word(told, "bad" if bad else "good")
    return f"<p>Linux {escape(summary.label)}: {len(cases)} cases, {word}.</p>" + (_list(wrong) if wrong else "")


def _mutants(summary: Summary) -> str:
    return "".join(_mutants_of(summary, data) for data in summary.data["mutants"])


def _mutants_of(summary: Summary, data: Mapping[str, Any]) -> str:
    rows = [
        (
            row["function"],
            row["mutants"],
            row["corpus"],
            row["fuzzing"],
            f"{row['cases'][0]:,.0f}" if row["cases"] else "",
            row["judged"],
            _word(str(row["survivors"]), "bad") if row["survivors"] else "",
        )
        for row in reversed(data["functions"])
    ]
    heads = ("function", "mutants", "corpus", "fuzzing", "cases needed", "equal", "alive")
    alive = [s["mutant"] for s in data["survivors"]]
    share = _word(f"{data['corpus_kills']:.1%}", "good" if data["good"] else "bad")
    whose = {
        "c": f"Linux {summary.label}: the corpus",
        "model": "The model: the corpus",
        "harness": "The harness: its tests",
    }
    parts = [f"<p>{escape(whose[data['of']])} alone kills {share} of those that are not equal.</p>"]
    parts.append(_table(heads, rows[:1]))
    parts.append(_more(f"{len(rows) - 1} functions", _table(heads, rows[1:])))
    lists = {"alive": alive, "judged equal, but killed": data["judged_but_killed"]}
    parts += [_more(f"{len(lines)} {title}", _list(lines), opened=True) for title, lines in lists.items() if lines]
    return "".join(parts)


def _coverage(summary: Summary) -> str:
    data = summary.data
    rows = data["functions"]
    totals = {key: [sum(row[key][i] for row in rows) for i in range(2)] for key in ("lines", "branches")}
    missing = _word(f"{len(data['missing'])} missing", "bad" if data["missing"] else "good")
    told = ", ".join(f"{a} of {b} {key}" for key, (a, b) in totals.items())
    excused = sum(row["excused"] for row in rows)
    cells = [
        (
            row["function"],
            Html(f"{row['lines'][0]} of {row['lines'][1]}"),
            _bar(*row["lines"]),
            f"{row['branches'][0]} of {row['branches'][1]}" if row["branches"][1] else "",
            row["excused"] or "",
            _word(str(row["missing"]), "bad") if row["missing"] else "",
        )
        for row in rows
    ]
    heads = ("function", "lines", "", "branches", "cannot be reached", "missing")
    intro = f"<p>Linux {escape(summary.label)}, the corpus alone: {told}; {missing}, {excused} cannot be reached.</p>"
    lists = [*data["missing"], *data["reached_after_all"]]
    return intro + (_list(lists) if lists else "") + _more(f"{len(rows)} functions", _table(heads, cells))


def _text(summary: Summary) -> str:
    """The kernel's text with how often the corpus ran each line."""
    parts = [f"<h3>Linux {escape(summary.label)}</h3>"] if summary.data.get("text") else []
    for function in summary.data.get("text", []):
        lines, bad = [], 0
        for number, text, runs, taken, branches, why in function["lines"]:
            missed = runs is not None and (runs == 0 or taken < branches)
            state = ("out" if why else "bad") if missed else "hit" if runs else ""
            bad += state == "bad"
            count = "" if runs is None else f"{runs:,}" + (f" {taken}/{branches}" if taken < branches else "")
            note = f' title="{escape(why, quote=True)}"' if missed and why else ""
            lines.append(f'<span class="{state}"{note}><b>{count:>12} {number:5} </b>{escape(text)}</span>')
        title = f"{function['function']}()  {function['file']}" + (f"  {bad} missed" if bad else "")
        parts.append(_more(title, f'<pre class="src">{"".join(lines)}</pre>'))
    return "".join(parts)


def _anything(summary: Summary) -> str:
    """A summary that has no section of its own: its plain values, and its lists as tables."""
    plain, parts = [], []
    for key, value in summary.data.items():
        name = key.replace("_", " ")
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            heads = list(dict.fromkeys(k for item in value[:_ROWS] for k in item))
            rows = [[_short(item.get(head)) for head in heads] for item in value[:_ROWS]]
            more = f" ({_ROWS} of {len(value)})" if len(value) > _ROWS else ""
            parts.append(_more(f"{name}: {len(value)}{more}", _table(heads, rows)))
        elif value not in ([], {}, None, ""):
            plain.append((name, _short(value)))
    title = f"{summary.kind}: {summary.path.stem}" if summary.kind != summary.path.stem else summary.kind
    return f"<h3>{escape(title)}</h3>" + _table(("", ""), plain) + "".join(parts)


def _short(value: Any) -> Any:
    """A value in a cell."""
    if isinstance(value, bool | int | float | str) or value is None:
        return value
    if isinstance(value, dict):
        text = ", ".join(f"{key}: {_short(item)}" for key, item in value.items())
    elif isinstance(value, list):
        text = ", ".join(str(_short(item)) for item in value)
    else:
        text = str(value)
    return text if len(text) < 400 else text[:400] + " ..."


def _nights(summaries: Sequence[Summary], folder: Path) -> Iterator[str]:
    """What each night saw, the newest first."""
    nights: dict[str, list[Summary]] = {}
    for summary in reversed(summaries):
        nights.setdefault(summary.night, []).append(summary)
    rows: list[Sequence[Any]] = []
    for night, of in nights.items():
        signatures: set[str] = set()
        for summary in of:
            try:
                signatures |= {finding.signature for finding in findings(summary, folder)}
            except _WRONG:  # it is under "not read" if it is tonight's
                continue
        word = _word(", ".join(sorted(signatures)), "bad") if signatures else _word("none", "good")
        cases = sum(_number(s.data.get("cases")) for s in of if s.kind == "fuzz")
        rows.append((night or "(this folder)", len(of), cases, word))
    if len(nights) > 1:
        yield _table(("night", "summaries", "cases", "differences"), rows)


def told(status: int | None) -> str:
    """What an exit code of skdiff means; None stands for a step that was ended."""
    return "took too long" if status is None else _WORDS.get(status, f"ended with {status}")


STYLE = """
:root{--fg:#1c2127;--bg:#fff;--soft:#f2f4f7;--edge:#d5dae1;--quiet:#5d6773;--good:#18733a;--bad:#b3261e;--out:#8a6100;
--link:#0b57b0;--c0:#1f6fb5;--c1:#c05a00;--c2:#23803b;--c3:#8b4bb0;--c4:#b1305f;--c5:#5f6b00}
@media (prefers-color-scheme:dark){:root{--fg:#e4e7eb;--bg:#14171b;--soft:#1f242a;--edge:#3a424c;--quiet:#9aa5b1;
--good:#69c786;--bad:#ff8d83;--out:#e0b34d;--link:#85b9f5;--c0:#6db3f2;--c1:#f4a259;--c2:#7bd18d;--c3:#cba0ea;
--c4:#f28bb2;--c5:#c8d24a}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:72rem;padding:0 1rem 4rem;color:var(--fg);background:var(--bg);
font:16px/1.5 system-ui,sans-serif;-webkit-text-size-adjust:100%}
h1{font-size:1.5rem;margin:1.2rem 0 .3rem}h2{font-size:1.2rem;margin:2.2rem 0 .6rem;border-bottom:1px solid var(--edge)}
h3{font-size:1rem;margin:1.2rem 0 .4rem;overflow-wrap:anywhere}p{margin:.4rem 0}
a{color:var(--link)}nav{display:flex;flex-wrap:wrap;gap:.2rem 1rem}nav a{padding:.25rem 0}
.verdict{font-weight:600}.good{color:var(--good)}.bad{color:var(--bad)}.quiet{color:var(--quiet)}
.wide{overflow-x:auto;max-width:100%}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
th{text-align:left;font-weight:600;color:var(--quiet);white-space:nowrap}
th,td{padding:.3rem .8rem .3rem 0;border-bottom:1px solid var(--edge);vertical-align:top}td{white-space:nowrap}
td.long{white-space:normal;min-width:14rem;max-width:26rem;overflow-wrap:anywhere}td.n{text-align:right}
.bar{display:inline-block;width:5rem;height:.7rem;background:var(--soft);border:1px solid var(--edge)}
.bar i{display:block;height:100%;background:var(--c0)}
pre{overflow-x:auto;background:var(--soft);padding:.6rem;font:12.5px/1.45 ui-monospace,monospace;margin:.5rem 0;
border-radius:4px}
code{font:.9em ui-monospace,monospace}
details{margin:.4rem 0}summary{cursor:pointer;padding:.3rem 0;overflow-wrap:anywhere}
article{border-left:3px solid var(--bad);padding-left:.8rem;margin:1rem 0}
.plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(22rem,100%),1fr));gap:1rem}.plots>*{min-width:0}
figure{margin:0}figcaption{font-weight:600;font-size:.95rem}figure svg{width:100%;height:auto;display:block}
figure text{font:11px system-ui,sans-serif;fill:var(--quiet)}text.y{text-anchor:end}
.grid{stroke:var(--edge);stroke-width:1}.line{fill:none;stroke-width:2;stroke-linejoin:round}
.legend{display:flex;flex-wrap:wrap;gap:.1rem .9rem;font-size:.85rem}
.legend i{display:inline-block;width:.8rem;height:.8rem;margin-right:.35rem;border-radius:2px}
.drawing{background:#fff;border-radius:4px;padding:.4rem}.drawing svg{max-width:100%;min-width:30rem;height:auto}
.src span{display:block;min-width:max-content}.src b{font-weight:400;color:var(--quiet)}
.src .hit b{color:var(--good)}.src .bad{background:color-mix(in srgb,var(--bad) 18%,transparent)}
.src .bad b{color:var(--bad)}.src .out b{color:var(--out)}
""" + "".join(
    f"line.c{n},polyline.c{n}{{stroke:var(--c{n})}}circle.c{n}{{fill:var(--c{n})}}i.c{n}{{background:var(--c{n})}}"
    for n in range(6)
)
