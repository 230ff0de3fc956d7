"""The end of a sweep, for people."""

from rich.console import Console
from rich.table import Table

from skdiff.base.paths import command
from skdiff.base.words import counted, up_to
from skdiff.findings.listed import lines_of
from skdiff.runs.table_run import Swept


def show(console: Console, summary: Swept) -> None:
    """The end of a sweep: what was asked, what no table has, and what was found."""

    def line(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    table = Table(box=None, pad_edge=False)
    table.add_column("lookup")
    table.add_column("sockets", justify="right")
    table.add_column("tables", justify="right")
    table.add_column("lookups", justify="right")
    for size in summary.sizes:
        table.add_row(size.lookup, str(size.sockets), f"{size.tables:,}", f"{size.cases:,}")
    console.print(table)
    line("left out, of the values that cases are drawn from:")
    for field in summary.left_out:
        line(f"  {field}")
    for note in summary.kernel.notes:
        line(f"note: {note}")
    if summary.gave_up:
        line(f"not done: {summary.gave_up}")
    for lost in summary.unwritten:
        line(f"{lost.count:6} x {lost.signature}: not written ({lost.why}); this is its case:\n{lost.case}")
    for mismatch in summary.known:
        line(f"{mismatch.count:6} x {mismatch.signature}: known, see corpus/known.toml")
    part = f" of part {summary.part} of {summary.parts}" if summary.parts > 1 else ""
    of = f"{counted(summary.tables, 'table')} of up to {up_to(summary.sockets, 'socket')}{part}"
    rate = f" ({summary.now / summary.seconds:,.0f}/s)" if summary.seconds else ""
    line(
        f"Linux {summary.kernel.label} and the model: {counted(summary.now, 'lookup')} in {summary.seconds:.1f} s{rate}"
    )
    if summary.missing_rules:
        line(f"missing rules, each a difference: {', '.join(summary.missing_rules)}")
    elif not summary.mismatches and not summary.unwritten:
        agreed = "no new difference" if summary.known else "no difference"
        if summary.complete:
            line(f"all {of}, {counted(summary.cases, 'lookup')}: {agreed}")
        else:
            line(f"{agreed} in {summary.done:,} of {counted(summary.cases, 'lookup')} in the {of}: no verdict")
    for mismatch in summary.mismatches:
        for text in lines_of(mismatch):
            line(text)
    if not summary.complete:
        line(f"go on: {command()} {summary.again}")
