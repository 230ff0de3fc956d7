"""The figures that the documentation quotes, taken from --json files of the commands that print them.

`python -m skdiff.proof.figures OUT FILE...` writes OUT from files of `coverage` and `mutants`. `make figures` does all.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from skdiff.base.files import write_whole


def figures(summaries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The counts of these summaries. Raises KeyError or StopIteration for a file of another command."""
    found: dict[str, Any] = {}
    for summary in summaries:
        if summary["command"] == "coverage":
            functions = summary["functions"]
            found["coverage"] = {
                "kernel": summary["kernel"]["version"],
                "lines": _sums(function["lines"] for function in functions),
                "branches": _sums(function["branches"] for function in functions),
                "unreachable": sum(function["excused"] for function in functions),
                "missing": len(summary["missing"]),
                "missing_in_the_model": len(summary["model"]),
            }
            continue
        for result in summary["mutants"]:
            whole = next(row for row in result["functions"] if row["function"] == "all")
            counts = {name: whole[name] for name in ("mutants", "judged", "survivors")}
            found[f"mutants_{result['of']}"] = counts
    return found


def _sums(pairs: Any) -> list[int]:
    """The sums of [reached, in all]."""
    reached, whole = zip(*pairs, strict=True)
    return [sum(reached), sum(whole)]


def main(arguments: Sequence[str]) -> int:
    """Write the file; returns the exit code: 0 written, 2 a file is no summary of these commands."""
    out, *paths = map(Path, arguments)
    try:
        found = figures([json.loads(path.read_text()) for path in paths])
        write_whole(out, json.dumps(found, indent=1) + "\n")
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
        print(f"skdiff: no figures: {error!r}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
