"""The rules in which kernel versions differ, in a table: what a version should have, and what a kernel's text has."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import msgspec

from skdiff.base.summary import Summary
from skdiff.kernel import drift
from skdiff.variants import version_rules

_HEAD = ("rule", "since", "commit", "CVE", "stable levels")
_WORDS = {True: "yes", False: "no", None: "cannot tell"}


class RuleRow(msgspec.Struct, kw_only=True):
    """A rule and where it comes from; of a kernel also whether its `version` should have it, and whether its `text` has
    it, None where that cannot be told.
    """

    rule: str
    since: str
    commit: str
    title: str
    cve: str
    levels: dict[str, int]
    silent: bool
    version: bool | msgspec.UnsetType = msgspec.UNSET
    text: bool | msgspec.UnsetType | None = msgspec.UNSET


class RuleTable(Summary, kw_only=True):
    """All rules, or a kernel's: `missing` are those that its version should have and its text has not."""

    version: str = ""
    rules: list[RuleRow]
    missing: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The table for people, a line for each rule, and one for each that is missing."""
        cells: list[tuple[str, ...]] = [(*_HEAD, "version", "text") if self.version else _HEAD]
        for row in self.rules:
            levels = " ".join(f"{series}.{point}" for series, point in row.levels.items())
            kernel = [_WORDS[said] for said in (row.version, row.text) if said is not msgspec.UNSET]
            cells.append((row.rule, row.since, row.commit, row.cve, levels, *kernel))
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        table = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in cells]
        return [*table, *(f"missing rule {name} ({version_rules.origin(name)})" for name in self.missing)]


def of_all() -> RuleTable:
    """The table of the rules alone."""
    return RuleTable(
        rules=[
            RuleRow(rule=rule.name, **{**rule.metadata, "levels": dict(rule.metadata["levels"] or {})})
            for rule in fields(version_rules.Rules)
        ]
    )


def of_kernel(kernel: str, stubs: tuple[Path, ...], say: Callable[[str], None]) -> tuple[RuleTable, str]:
    """The table of a kernel, and the line that describes it. It is a version, which is fetched if need be, or the path
    of a tree. Raises CannotRun.
    """
    tree, record = drift.record_of(kernel, say, stubs)
    should = version_rules.expected(tree.version)

    def in_text(name: str) -> bool | None:
        return None if name in record.unknown_rules else bool(getattr(record.rules, name))

    table = of_all()
    for row in table.rules:
        row.version, row.text = row.rule in should, in_text(row.rule)
    table.version = tree.version
    table.missing = version_rules.missing(record.rules, record.unknown_rules, tree.version)
    return table, f"Linux {tree.version} ({tree.origin}), {version_rules.describe(record.rules)}"
