"""The end of a fuzzing run, for people."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from skdiff.base.words import counted, share
from skdiff.campaign.run import CLASSES, classes_of
from skdiff.findings.listed import lines_of
from skdiff.runs.fuzz_run import FuzzSummary


def show(console: Console, summary: FuzzSummary) -> None:
    """The end of a run: the classes of each lookup's cases, what was found, and what was left unseen."""
    table = Table(box=None, pad_edge=False)
    table.add_column("class of case")
    for lookup in summary.counts:
        table.add_column(lookup, justify="right")
        table.add_column("share", justify="right")
    for name in CLASSES:
        cells: list[str] = []
        for lookup, of in summary.counts.items():
            count = of.classes.get(name, 0)
            cells += (f"{count:,}", share(count, of.cases)) if count or name in classes_of(lookup) else ("", "")
        if any(cells):
            table.add_row(name, *cells)
    table.add_row("all", *(word for of in summary.counts.values() for word in (f"{of.cases:,}", "")))
    console.print(table)
    sides = f"Linux {summary.kernel.label} and the model"
    if summary.running:
        sides = f"the running kernel ({summary.running}), {sides}"
    console.print(
        f"{sides}: {counted(summary.cases, 'case')} in {summary.seconds:.1f} s"
        f" ({summary.cases_per_second:,}/s), seed {summary.seed}",
        soft_wrap=True,
    )
    reached = [f"{taken} of {lines} lines of the model seen" for taken, lines in (summary.lines,) if lines]
    taken, edges = summary.edges
    if edges:
        kept = f"{counted(summary.inputs, 'input')} kept"
        reached = [f"{taken} of {edges} edges of the extracted C taken", *reached, kept]
    if reached:
        console.print(", ".join(reached), soft_wrap=True)
    if summary.running:
        for text in _asked(summary):
            console.print(text, markup=False, soft_wrap=True)
    else:
        for text in summary.told:
            console.print(text, markup=False, soft_wrap=True)
    if len(summary.workers) > 1:
        each = ", ".join(f"{worker.cases:,}" for worker in summary.workers)
        console.print(f"{len(summary.workers)} workers: {each} cases", soft_wrap=True)
    deaths = sum(worker.deaths for worker in summary.workers)
    if deaths:
        console.print(f"workers that died: {deaths}; what each had in hand was looked at or kept")
    for note in summary.kernel.notes:
        console.print(f"note: {note}", markup=False, soft_wrap=True)
    if summary.gave_up:
        console.print(f"ended early: {summary.gave_up}", markup=False, soft_wrap=True)
    for lost in summary.unwritten:
        say = f"{lost.count:6} x {lost.signature}: not written ({lost.why}); this is its case:"
        console.print(f"{say}\n{lost.case}", markup=False, soft_wrap=True)
    for mismatch in summary.known:
        console.print(f"{mismatch.count:6} x {mismatch.signature}: known, see corpus/known.toml", soft_wrap=True)
    for text in summary.unseen.lines_for_people() if summary.unseen is not None else ():
        console.print(text, markup=False, soft_wrap=True)
    if not summary.cases:
        console.print("no case was run")
    elif summary.missing_rules:
        console.print(f"missing rules, each a difference: {', '.join(summary.missing_rules)}", soft_wrap=True)
    elif not summary.mismatches and not summary.unwritten:
        agreed = "no new difference" if summary.known else "no difference"
        if summary.unseen is not None:
            agreed = summary.unseen.verdict(f"{agreed} in {counted(summary.cases, 'case')}")
        console.print(agreed, markup=False, soft_wrap=True)
    for mismatch in summary.mismatches:
        for text in lines_of(mismatch):
            console.print(text, markup=False, soft_wrap=True)


def _asked(summary: FuzzSummary) -> Iterator[str]:
    """What became of the cases that were drawn for the running kernel, a line each."""
    drawn, refused, changed = summary.cases, sum(summary.unrealised.values()), sum(summary.changed.values())
    as_drawn = drawn - changed
    told = (f"{as_drawn:,} as drawn ({share(as_drawn, drawn)})", f"{changed:,} as the nearest that can be")
    yield f"asked of the running kernel: {counted(drawn - refused, 'case')} of {drawn:,}; {', '.join(told)}"
    for what, times in sorted(summary.changed.items(), key=lambda item: -item[1]):
        yield f"{times:8,} x changed: {what}"
    for why, times in sorted(summary.unrealised.items(), key=lambda item: -item[1]):
        yield f"{times:8,} x not realisable: {why}"
