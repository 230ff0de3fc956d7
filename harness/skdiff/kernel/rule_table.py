"""The rules in which kernel versions differ, in a table: what a version should have, and what a kernel's text has."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from skdiff.kernel import drift
from skdiff.variants import version_rules

_HEAD = ("rule", "since", "commit", "CVE", "stable levels")
_WORDS = {True: "yes", False: "no", None: "cannot tell"}


@dataclass(frozen=True)
class RuleTable:
    """All rules, each as a row for programs; with a kernel's `version` each also says whether that version should have
    it ("version") and whether its text has it ("text", None where that cannot be told). `missing` are those that it
    should have and has not; `label` is the line that describes the kernel.
    """

    rows: list[dict[str, Any]]
    version: str = ""
    label: str = ""
    missing: tuple[str, ...] = ()

    def data(self) -> dict[str, Any]:
        """The table for programs."""
        return {"version": self.version, "rules": self.rows, "missing": list(self.missing)}

    def lines(self) -> list[str]:
        """The table for people, a line for each rule, and one for each that is missing."""
        cells: list[tuple[str, ...]] = [(*_HEAD, "version", "text") if self.version else _HEAD]
        for row in self.rows:
            levels = " ".join(f"{series}.{point}" for series, point in row["levels"].items())
            kernel = (_WORDS[row["version"]], _WORDS[row["text"]]) if self.version else ()
            cells.append((row["rule"], row["since"], row["commit"], row["cve"], levels, *kernel))
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        table = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in cells]
        return [*table, *(f"missing rule {name} ({version_rules.origin(name)})" for name in self.missing)]


def of_all() -> RuleTable:
    """The table of the rules alone."""
    return RuleTable(
        [
            {"rule": rule.name, **rule.metadata, "levels": dict(rule.metadata["levels"] or {})}
            for rule in fields(version_rules.Rules)
        ]
    )


def of_kernel(kernel: str, stubs: tuple[Path, ...], say: Callable[[str], None]) -> RuleTable:
    """The table of a kernel: a version, which is fetched if need be, or the path of a tree. Raises CannotRun."""
    tree, record = drift.record_of(kernel, say, stubs)
    should = version_rules.expected(tree.version)

    def in_text(name: str) -> bool | None:
        return None if name in record.unknown_rules else bool(getattr(record.rules, name))

    rows = [{**row, "version": row["rule"] in should, "text": in_text(row["rule"])} for row in of_all().rows]
    label = f"Linux {tree.version} ({tree.origin}), {version_rules.describe(record.rules)}"
    return RuleTable(rows, tree.version, label, version_rules.missing(record.rules, record.unknown_rules, tree.version))
