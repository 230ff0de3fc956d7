"""What the sections of the report page show, as plain values for their templates: counts, rows, words and states.

A state is a class of the page's style: "good", "bad" (a difference, or a step that failed), "none" (no verdict, left
out), "quiet".
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Any

import msgspec

from skdiff.base.summary import Other, Summary
from skdiff.campaign.messages import summed_lookups
from skdiff.campaign.run import CLASSES, classes_of
from skdiff.findings.diff_summary import DiffSummary, Group
from skdiff.findings.replay_cases import ReplaySummary
from skdiff.kernel.drift import Drift
from skdiff.nightly.night import NightSummary, StepResult
from skdiff.nightly.plots import Line, day, plot
from skdiff.nightly.summaries import SummaryFile, of_kind
from skdiff.proof.corpus_coverage import CoverageSummary
from skdiff.proof.kernel_coverage import totals, totals_by_lookup
from skdiff.runs.fuzz_run import FuzzSummary
from skdiff.variants import version_rules

AnyFile = SummaryFile[Summary]
FuzzFile = SummaryFile[FuzzSummary]
NOT_RUN = ("skipped", "not begun", "stopped")  # what became of a step of a night that has no verdict


def many(count: int, noun: str) -> str:
    """A count with its noun: "1 case", "1,200 cases"."""
    return f"{count:,} {noun if count == 1 else noun.removesuffix('y') + ('ies' if noun[-1] == 'y' else 's')}"


def kernel_names(summaries: Iterable[AnyFile]) -> dict[tuple[str, str], str]:
    """A short name for each kernel and tree: the version, and of trees as much of their path as tells them apart."""
    kernels = list(dict.fromkeys((s.kernel, s.tree) for s in summaries))
    names = {}
    for kernel, tree in kernels:
        parts = PurePath(tree).parts
        others = [PurePath(other).parts for of, other in kernels if of == kernel and other and other != tree]
        length = next((n for n in range(1, len(parts)) if all(p[-n:] != parts[-n:] for p in others)), len(parts))
        names[kernel, tree] = f"{kernel} ({PurePath(*parts[-length:])})" if parts else kernel
    return names


def cases_of(file: AnyFile) -> int:
    """How many cases a run has compared."""
    match file.summary:
        case FuzzSummary() | DiffSummary() as run:
            return run.cases
        case ReplaySummary() as replayed:
            return len(replayed.cases)
    return 0


def without_verdict(file: AnyFile) -> bool:
    """Whether a run left something of a kernel's new text unseen (see harness/skdiff/proof/new_text.py)."""
    summary = file.summary
    return isinstance(summary, FuzzSummary | DiffSummary) and summary.unseen is not None and summary.unseen.anything


def state(step: StepResult) -> str:
    """The state of a step: what is neither done nor left out is bad."""
    return "good" if step.ok else "none" if step.status in NOT_RUN else "bad"


def steps(file: SummaryFile[NightSummary]) -> dict[str, Any]:
    """What a night was made of: all its steps, those that failed, and those without a verdict by their reason."""
    rows = file.summary.steps
    left_out: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if state(row) == "none":
            left_out.setdefault((row.status, row.why), []).append(row.name)
    counts = Counter((row.status, state(row)) for row in rows)
    order = sorted(counts, key=lambda count: (count[1] == "good", count[1]))
    return {
        "steps": rows,
        "failed": [row for row in rows if state(row) == "bad"],
        "left_out": left_out,
        "counts": [(counts[word, its_state], word, its_state) for word, its_state in order],
    }


def agreement(file: FuzzFile, name: str) -> dict[str, Any]:
    """One run of fuzzing as a row."""
    run = file.summary
    new, known = len(run.mismatches) + len(run.unwritten), len(run.known)
    return {
        "run": run,
        "name": name,
        "label": file.label,
        "verdict": many(new, "difference") if new else "no verdict" if without_verdict(file) else "agreed",
        "state": "bad" if new else "none" if without_verdict(file) else "good",
        "more": (f" ({known} known)" if known else "") + (" ended early" if run.gave_up else ""),
    }


def run_plots(runs: Sequence[FuzzFile], names: Mapping[tuple[str, str], str]) -> list[str]:
    """How the runs of the default configuration went on."""
    rates, edges, memory = [], [], []
    for run in (r for r in runs if not r.config):
        samples, name = run.summary.series, f"{names[run.kernel, run.tree]}, {run.summary.engine}"
        pairs = pairwise([[0.0, 0, 0], *samples])
        rates.append(Line(name, [(b[0], (b[1] - a[1]) / (b[0] - a[0])) for a, b in pairs if b[0] > a[0]]))
        edges.append(Line(name, [(x[0], x[2]) for x in samples if x[2]]))  # before the first report there are none
        memory.append(Line(name, [(x[0], x[3]) for x in samples if len(x) > 3 and x[3]]))  # older ones have none
    return [
        plot("Cases a second, in this run", rates, "s"),
        plot("Edges of the C taken, in this run", edges, "s", from_zero=False),
        plot("Memory of all workers, MiB, in this run", memory, "s"),
    ]


def history_plots(summaries: Sequence[AnyFile]) -> list[str]:
    """Throughput and coverage of the default configuration, night by night; a series of stable kernels is one line."""
    points: dict[str, dict[str, list[tuple[float, float]]]] = {"cases_per_second": {}, "edges": {}, "cases": {}}
    names = kernel_names(summaries)
    for file in of_kind(summaries, FuzzSummary):
        run = file.summary
        try:
            when = datetime.fromisoformat(run.started).timestamp()
        except ValueError:  # a run of no date is in no plot
            continue
        tree = names[file.kernel, file.tree].removeprefix(file.kernel)
        name = f"{'.'.join(file.kernel.split('.')[:2])}{tree}, {run.engine}"
        values = {"cases_per_second": run.cases_per_second, "edges": run.edges[0], "cases": run.cases}
        for key, value in values.items() if not file.config else ():
            if value:
                points[key].setdefault(name, []).append((when, value))
    titles = {"cases_per_second": "Cases a second", "edges": "Edges of the C taken", "cases": "Cases"}
    return [
        plot(f"{titles[key]}, run by run", [Line(*line) for line in lines.items()], "", day, from_zero=key != "edges")
        for key, lines in points.items()
    ]


def classes(runs: Sequence[FuzzFile], names: Mapping[tuple[str, str], str]) -> dict[str, dict[str, Any]]:
    """For each kernel the cases of each lookup ("all" in summaries from before there were several), by their classes;
    and the classes that a lookup of it has no case of.
    """
    by_kernel: dict[str, list[FuzzSummary]] = {}
    for run in runs:
        by_kernel.setdefault(names[run.kernel, run.tree], []).append(run.summary)
    found = {}
    for name, of in by_kernel.items():
        lookups = summed_lookups(run.counts for run in of)
        more = {word for counts in lookups.values() for word in counts.classes} - {*CLASSES}
        rows = {
            word: [(counts.classes.get(word, 0), counts.cases) for counts in lookups.values()]
            for word in [*CLASSES, *sorted(more)]
        }
        empty = {
            lookup: [word for word in classes_of(lookup) if not counts.classes.get(word)]
            for lookup, counts in lookups.items()
            if counts.cases
        }
        found[name] = {"lookups": [*lookups], "rows": rows, "empty": {k: words for k, words in empty.items() if words}}
    return found


def replay(file: SummaryFile[ReplaySummary]) -> dict[str, Any]:
    """A replay of the corpus: how many cases had which verdict, and a line for each that is not as it should be."""
    counts = Counter(case.verdict for case in file.summary.cases)
    return {
        "cases": len(file.summary.cases),
        "counts": ", ".join(f"{count} {word}" for word, count in counts.most_common()),
        "wrong": [f"{case.file}: {case.verdict}: {', '.join(case.why)}" for case in file.summary.wrong],
    }


def coverage(file: SummaryFile[CoverageSummary]) -> dict[str, Any]:
    """The sums of a coverage, of all and of each lookup."""
    functions = file.summary.functions
    return {"totals": totals(functions), "lookups": totals_by_lookup(functions)}


def text(file: SummaryFile[CoverageSummary]) -> dict[str, Any]:
    """The kernel's text with how often the corpus ran each line."""
    functions = []
    for function in file.summary.text:
        lines = []
        for place, line, runs, taken, branches, why in function.lines:
            missed = runs is not None and (runs == 0 or taken < branches)
            state = ("out" if why else "bad") if missed else "hit" if runs else ""
            count = "" if runs is None else f"{runs:,}" + (f" {taken}/{branches}" if taken < branches else "")
            lines.append(
                {"number": place, "text": line, "count": count, "state": state, "why": why if missed and why else ""}
            )
        bad = sum(line["state"] == "bad" for line in lines)
        title = f"{function.function}(), {function.file}" + (f", {bad} missed" if bad else "")
        functions.append({"title": title, "lines": lines})
    return {"functions": functions}


def drift(file: SummaryFile[Drift]) -> dict[str, Any]:
    """What a kernel's text became since it was recorded."""
    drifted = file.summary
    return {
        "name": file.path.stem.removeprefix("drift-"),
        "missing": [f"{name} is not found" for name in drifted.missing],
        "rules": [f"the rule differs: {rule} now" for rule in drifted.rules],
        "count": len(drifted.definitions) + len(drifted.replaced) + len(drifted.rules) + len(drifted.missing),
    }


def missing_rules(run: DiffSummary) -> list[str]:
    """The rules that the second of two kernels should have, a line each."""
    return [
        f"B lacks the rule {rule}" + (f" ({version_rules.origin(rule)})" if rule in version_rules.NAMES else "")
        for rule in run.missing_rules
    ]


def cause(group: Group) -> str:
    """Why the kernels differ, in a line: rules, or the function in which a kernel is not as its model."""
    where = f"in {group.function}()" if group.function else ""
    rules = [
        f"{rule.rule.removeprefix('no-')} in {'A' if rule.rule.startswith('no-') else 'B'} only ({rule.origin})"
        for rule in group.rules
    ]
    if not group.unlike:
        return " and ".join(rules)
    unlike = f"{' and '.join(group.unlike)} unlike its model {where}".rstrip()
    kind = "no difference, but " if group.alike else "no known rule: " if not rules else ""
    return f"{kind}{unlike}" + (f", as if {' and '.join(rules)}" if rules else "")


def nights(summaries: Sequence[AnyFile], signatures: Mapping[Path, set[str]]) -> list[dict[str, Any]]:
    """What each night saw, the newest first; `signatures` are those of each summary's findings."""
    found: dict[str, list[AnyFile]] = {}
    for summary in reversed(summaries):
        found.setdefault(summary.night, []).append(summary)
    return [
        {
            "night": night,
            "summaries": len(of),
            "cases": sum(s.summary.cases for s in of_kind(of, FuzzSummary)),
            "signatures": sorted(set().union(*(signatures.get(s.path, set()) for s in of))),
        }
        for night, of in found.items()
    ]


def anything(file: AnyFile) -> dict[str, Any]:
    """A summary of a command that has no section: its lists of rows apart from its other values."""
    summary, name = file.summary, file.path.stem
    values = summary.values if isinstance(summary, Other) else msgspec.to_builtins(summary)
    tables = {key: value for key, value in values.items() if _is_table(value)}
    plain = {
        key: value
        for key, value in values.items()
        if key not in ("command", *tables) and value not in ([], {}, None, "")
    }
    title = f"{summary.command}: {name}" if summary.command != name else name
    return {"title": title, "plain": plain, "tables": tables}


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys of all rows, in the order in which they first come."""
    return list(dict.fromkeys(key for row in rows for key in row))
