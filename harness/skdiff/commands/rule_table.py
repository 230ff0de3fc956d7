"""The command that lists the rules in which kernel versions differ, and holds a kernel against them."""

import argparse
from dataclasses import fields
from typing import Any

from skdiff.commands.shared import AGREED, MISMATCH, console, say, write_json
from skdiff.kernel import drift as drifting
from skdiff.variants import version_rules


def rules(arguments: argparse.Namespace) -> int:
    """List the rules in which kernel versions differ, each with where it comes from; with --kernel also whether that
    kernel's version should have it, and whether its text has it. Nothing is built.
    """
    rows: list[dict[str, Any]] = [
        {"rule": rule.name, **rule.metadata, "levels": dict(rule.metadata["levels"] or {})}
        for rule in fields(version_rules.Rules)
    ]
    lost: tuple[str, ...] = ()
    version = ""
    if arguments.kernel:
        tree, record = drifting.record_of(arguments.kernel, say)
        version, should = tree.version, version_rules.expected(tree.version)
        lost = version_rules.missing(record.rules, record.unknown_rules, version)
        console.print(
            f"Linux {version} ({tree.origin}), {version_rules.told(record.rules)}", markup=False, soft_wrap=True
        )
        for row in rows:
            name = row["rule"]
            row["version"] = name in should
            row["text"] = None if name in record.unknown_rules else getattr(record.rules, name)
    lines = [("rule", "since", "commit", "CVE", "stable levels", *(("version", "text") if version else ()))]
    words = {True: "yes", False: "no", None: "cannot tell"}
    for row in rows:
        levels = " ".join(f"{series}.{point}" for series, point in row["levels"].items())
        held = (words[row["version"]], words[row["text"]]) if version else ()
        lines.append((row["rule"], row["since"], row["commit"], row["cve"], levels, *held))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        console.print("  ".join(cells).rstrip(), markup=False, soft_wrap=True)
    for name in lost:
        console.print(f"missing rule {name} ({version_rules.origin(name)})", markup=False, soft_wrap=True)
    write_json(arguments.json, {"version": version, "rules": rows, "missing": list(lost)})
    return MISMATCH if lost else AGREED
