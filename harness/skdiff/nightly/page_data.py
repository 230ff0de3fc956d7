"""What the sections of the report page show, as plain values for their templates: counts, rows, words and states.

A state is a class of the page's style: "good", "bad" (a difference, or a step that failed), "none" (no verdict, left
out), "quiet". Functions take what they know of a summary, and raise KeyError, TypeError, ValueError, AttributeError or
IndexError for one of another shape.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from skdiff.campaign.run import CLASSES
from skdiff.nightly.plots import Line, day, plot
from skdiff.nightly.summaries import Summary
from skdiff.variants import version_rules

WRONG = (KeyError, TypeError, ValueError, AttributeError, IndexError)  # what a summary of another shape raises
NOT_RUN = ("skipped", "not begun", "stopped")  # what became of a step of a night that has no verdict


def many(count: int, noun: str) -> str:
    """A count with its noun: "1 case", "1,200 cases"."""
    return f"{count:,} {noun if count == 1 else noun.removesuffix('y') + ('ies' if noun[-1] == 'y' else 's')}"


def number(value: Any) -> int:
    """An int of a summary, 0 for anything else."""
    return value if isinstance(value, int) else 0


def kernel_names(summaries: Iterable[Summary]) -> dict[tuple[str, str], str]:
    """A short name for each kernel and tree: the version, and of trees as much of their path as tells them apart."""
    kernels = list(dict.fromkeys((s.kernel, s.tree) for s in summaries))
    names = {}
    for kernel, tree in kernels:
        parts = PurePath(tree).parts
        others = [PurePath(other).parts for of, other in kernels if of == kernel and other and other != tree]
        length = next((n for n in range(1, len(parts)) if all(p[-n:] != parts[-n:] for p in others)), len(parts))
        names[kernel, tree] = f"{kernel} ({PurePath(*parts[-length:])})" if parts else kernel
    return names


def cases_of(summary: Summary) -> int:
    """How many cases a run has compared."""
    cases = summary.data.get("cases")
    if summary.kind in ("fuzz", "diff"):
        return number(cases)
    return len(cases) if summary.kind == "replay" and isinstance(cases, list) else 0


def without_verdict(summary: Summary) -> bool:
    """Whether a run left something of a kernel's new text unseen (see harness/skdiff/proof/new_text.py)."""
    found = summary.data.get("unseen")
    return isinstance(found, Mapping) and any(
        found.get(key) for key in ("lines", "names", "options", "stand_ins", "why")
    )


def steps_of(summary: Summary) -> list[Mapping[str, Any]]:
    """The steps of a night, those that are steps."""
    steps = summary.data.get("steps")
    return [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []


def step_state(status: str) -> str:
    """The state of a step: what is neither done nor left out is bad."""
    return "good" if status.startswith("ok") else "none" if status in NOT_RUN else "bad"


class StepRow(NamedTuple):
    """A step of a night: what became of it, the seconds it took, and what it said."""

    name: str
    status: str
    seconds: float
    why: str

    @property
    def state(self) -> str:
        """The state of its status."""
        return step_state(self.status)


def steps(summary: Summary) -> dict[str, Any]:
    """What a night was made of: all its steps, those that failed, and those without a verdict by their reason."""
    rows = [
        StepRow(str(step["name"]), str(step["status"]), float(step["seconds"]), str(step.get("why", "")))
        for step in summary.data["steps"]
    ]
    left_out: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row.state == "none":
            left_out.setdefault((row.status, row.why), []).append(row.name)
    counts = Counter(row.status for row in rows)
    order = sorted(counts, key=lambda status: (step_state(status) == "good", step_state(status)))
    return {
        "steps": rows,
        "failed": [row for row in rows if row.state == "bad"],
        "left_out": left_out,
        "counts": [(counts[status], status, step_state(status)) for status in order],
    }


def agreement(summary: Summary, name: str) -> dict[str, Any]:
    """One run of fuzzing as a row."""
    data = summary.data
    new, known = len(data["mismatches"]) + len(data.get("unwritten", [])), len(data.get("known", []))
    unsure = without_verdict(summary)
    sides = {side: data.get(side, (0, 0)) for side in ("edges", "lines")}
    return {
        "name": name,
        "label": summary.label,
        "config": summary.config,
        "verdict": many(new, "difference") if new else "no verdict" if unsure else "agreed",
        "state": "bad" if new else "none" if unsure else "good",
        "more": (f" ({known} known)" if known else "") + (" ended early" if data.get("gave_up") else ""),
        "cases": int(data["cases"]),
        "cases_per_second": int(data["cases_per_second"]),
        **{side: f"{taken} of {among}" if among else "" for side, (taken, among) in sides.items()},
        "engine": data["engine"],
        "workers": len(data.get("workers", [])) or 1,
        "seed": int(data["seed"]),
    }


def run_plots(runs: Sequence[Summary], names: Mapping[tuple[str, str], str], wrong: list[str]) -> list[str]:
    """How the runs of the default configuration went on; a run of another shape adds a line to `wrong`."""
    rates, edges, memory = [], [], []
    for run in (r for r in runs if not r.config):
        try:
            samples = run.data.get("series", [])
            series = [(float(s), int(n), int(e)) for s, n, e, *_ in samples]
            name = f"{names[run.kernel, run.tree]}, {run.data['engine']}"
            pairs = [(b[0], (b[1] - a[1]) / (b[0] - a[0])) for a, b in pairwise([(0.0, 0, 0), *series]) if b[0] > a[0]]
            rates.append(Line(name, pairs))
            edges.append(Line(name, [(s, e) for s, _, e in series if e]))  # before the first report there are none
            memory.append(
                Line(name, [(float(s), float(m)) for s, _, _, m, *_ in (x for x in samples if len(x) > 3) if m])
            )
        except WRONG as error:
            wrong.append(f"{run.path.name}: its series: {error}")
    return [
        plot("Cases a second, in this run", rates, "s"),
        plot("Edges of the C taken, in this run", edges, "s", from_zero=False),
        plot("Memory of all workers, MiB, in this run", memory, "s"),
    ]


def history_plots(summaries: Sequence[Summary]) -> list[str]:
    """Throughput and coverage of the default configuration, night by night; a series of stable kernels is one line."""
    points: dict[str, dict[str, list[tuple[float, float]]]] = {"cases_per_second": {}, "edges": {}, "cases": {}}
    names = kernel_names(summaries)
    for run in (s for s in summaries if s.kind == "fuzz" and not s.config):
        try:
            when = datetime.fromisoformat(run.started).timestamp()
            tree = names[run.kernel, run.tree].removeprefix(run.kernel)
            name = f"{'.'.join(run.kernel.split('.')[:2])}{tree}, {run.data['engine']}"
            values = {**run.data, "edges": run.data["edges"][0]}
            for key, lines in points.items():
                if values[key]:
                    lines.setdefault(name, []).append((when, float(values[key])))
        except WRONG:  # a run of no date is in no plot
            continue
    titles = {"cases_per_second": "Cases a second", "edges": "Edges of the C taken", "cases": "Cases"}
    return [
        plot(f"{titles[key]}, run by run", [Line(*line) for line in lines.items()], "", day, from_zero=key != "edges")
        for key, lines in points.items()
    ]


def classes(runs: Sequence[Summary], names: Mapping[tuple[str, str], str]) -> dict[str, tuple[dict[str, int], int]]:
    """For each kernel the cases of each class, and all its cases."""
    found: dict[str, tuple[Counter[str], int]] = {}
    for run in runs:
        counted = run.data.get("classes")
        if isinstance(counted, dict):
            name = names[run.kernel, run.tree]
            before, cases = found.get(name, (Counter(), 0))
            before.update({str(key): number(value) for key, value in counted.items()})
            found[name] = before, cases + number(run.data.get("cases"))
    return {
        name: ({of: counts[of] for of in [*CLASSES, *sorted(set(counts) - set(CLASSES))]}, cases)
        for name, (counts, cases) in found.items()
    }


def replay(summary: Summary) -> dict[str, Any]:
    """A replay of the corpus: how many cases had which verdict, and a line for each that is not as it should be."""
    cases = summary.data["cases"]
    counts = Counter(case["verdict"] for case in cases)
    bad = [case for case in cases if case["verdict"] not in ("agreed", "known")]
    return {
        "cases": len(cases),
        "counts": ", ".join(f"{count} {word}" for word, count in counts.most_common()),
        "wrong": [f"{case['file']}: {case['verdict']}: {', '.join(case['why'])}" for case in bad],
    }


def coverage(summary: Summary) -> dict[str, Any]:
    """The sums of a coverage: lines and branches that were taken, and of how many; how many cannot be reached."""
    rows = summary.data["functions"]
    sums = {key: [sum(row[key][i] for row in rows) for i in range(2)] for key in ("lines", "branches")}
    return {**sums, "excused": sum(row["excused"] for row in rows)}


def text(summary: Summary) -> dict[str, Any]:
    """The kernel's text with how often the corpus ran each line."""
    functions = []
    for function in summary.data.get("text", []):
        lines = []
        for place, line, runs, taken, branches, why in function["lines"]:
            missed = runs is not None and (runs == 0 or taken < branches)
            state = ("out" if why else "bad") if missed else "hit" if runs else ""
            count = "" if runs is None else f"{runs:,}" + (f" {taken}/{branches}" if taken < branches else "")
            lines.append(
                {"number": place, "text": line, "count": count, "state": state, "why": why if missed and why else ""}
            )
        bad = sum(line["state"] == "bad" for line in lines)
        title = f"{function['function']}(), {function['file']}" + (f", {bad} missed" if bad else "")
        functions.append({"title": title, "lines": lines})
    return {"functions": functions}


def diff(summary: Summary) -> dict[str, Any]:
    """Two kernels against each other: the groups of findings with their causes, and the rules that B should have."""
    data = summary.data
    groups = [
        {"cause": _cause(group), "findings": sorted(group["findings"], key=lambda finding: -int(finding["count"]))}
        for group in data["groups"]
    ]
    missing = [f"B lacks the rule {rule} ({version_rules.origin(rule)})" for rule in data.get("missing_rules", [])]
    return {"sides": data["kernels"], "groups": groups, "missing": missing}


def _cause(group: Mapping[str, Any]) -> str:
    """Why the kernels differ, in a line: rules, or the function in which a kernel is not as its model."""
    where = f"in {group['function']}()" if group["function"] else ""
    rules = [
        f"{rule['rule'].removeprefix('no-')} in {'A' if rule['rule'].startswith('no-') else 'B'} only"
        f" ({rule['origin']})"
        for rule in group["rules"]
    ]
    if not group["unlike"]:
        return " and ".join(rules)
    unlike = f"{' and '.join(group['unlike'])} unlike its model {where}".rstrip()
    kind = "no difference, but " if group["alike"] else "no known rule: " if not rules else ""
    return f"{kind}{unlike}" + (f", as if {' and '.join(rules)}" if rules else "")


def nights(summaries: Sequence[Summary], signatures: Mapping[Path, set[str]]) -> list[dict[str, Any]]:
    """What each night saw, the newest first; `signatures` are those of each summary's findings."""
    found: dict[str, list[Summary]] = {}
    for summary in reversed(summaries):
        found.setdefault(summary.night, []).append(summary)
    return [
        {
            "night": night,
            "summaries": len(of),
            "cases": sum(number(s.data.get("cases")) for s in of if s.kind == "fuzz"),
            "signatures": sorted(set().union(*(signatures.get(s.path, set()) for s in of))),
        }
        for night, of in found.items()
    ]


def anything(summary: Summary) -> dict[str, Any]:
    """A summary of a command that has no section: its lists of rows apart from its other values."""
    tables = {key: value for key, value in summary.data.items() if _is_table(value)}
    plain = {
        key: value
        for key, value in summary.data.items()
        if key not in ("command", *tables) and value not in ([], {}, None, "")
    }
    title = f"{summary.kind}: {summary.path.stem}" if summary.kind != summary.path.stem else summary.kind
    return {"title": title, "plain": plain, "tables": tables}


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys of all rows, in the order in which they first come."""
    return list(dict.fromkeys(key for row in rows for key in row))
