"""The figures that the documentation quotes, taken from --json files of the commands that print them.

`python -m skdiff.proof.figures OUT FILE...` writes OUT from files of `coverage` and `mutants`. `make figures` does all.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from skdiff.base.errors import CannotRun
from skdiff.base.files import BadFile, write_json
from skdiff.base.summary import Kinds, read_summary
from skdiff.proof.corpus_coverage import CoverageSummary
from skdiff.proof.kernel_coverage import totals, totals_by_lookup
from skdiff.proof.mutants.report import MutantsSummary, Row

KINDS: Kinds = {"coverage": (CoverageSummary,), "mutants": (MutantsSummary,)}


def _counts(row: Row) -> dict[str, object]:
    counts: dict[str, object] = {"mutants": row.mutants, "judged": row.judged, "survivors": row.survivors}
    return counts | ({"sweepable": row.sweepable, "swept": row.swept} if row.sweepable else {})


def figures(paths: Iterable[Path]) -> dict[str, Mapping[str, object]]:
    """The counts of these summaries. Raises BadFile for another file."""
    found: dict[str, Mapping[str, object]] = {}
    for path in paths:
        match read_summary(path, KINDS):
            case CoverageSummary() as told:
                whole = totals(told.functions)
                found["coverage"] = {
                    "kernel": told.kernel.version,
                    "lines": whole.lines,
                    "branches": whole.branches,
                    "unreachable": whole.excused,
                    "missing": len(told.missing),
                    "missing_in_the_model": len(told.model),
                    "lookups": {
                        name: {"lines": row.lines, "branches": row.branches, "unreachable": row.excused}
                        for name, row in totals_by_lookup(told.functions).items()
                    },
                }
            case MutantsSummary() as told:
                for report in told.mutants:
                    counts = _counts(report.functions[-1])
                    if report.lookups:
                        counts["lookups"] = {row.function: _counts(row) for row in report.lookups}
                    found[f"mutants_{report.of}"] = counts
            case other:
                raise BadFile(f"{path}: a summary of `skdiff {other.command}`, not of coverage or mutants")
    return found


def main(arguments: Sequence[str]) -> int:
    """Write the file; returns the exit code: 0 written, 2 a file is no summary of these commands."""
    out, *paths = map(Path, arguments)
    try:
        write_json(out, figures(paths))
    except (OSError, CannotRun) as error:
        print(f"skdiff: no figures: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
