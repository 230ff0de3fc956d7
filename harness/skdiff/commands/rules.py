"""skdiff rules."""

import argparse
from dataclasses import fields
from typing import Any

from skdiff.commands import arguments as common
from skdiff.commands.output import AGREED, DIFFERENCE, say, show, write_json
from skdiff.kernel import drift as drifting
from skdiff.variants import version_rules

NAME = "rules"
HELP = "list the rules in which kernel versions differ"
DESCRIPTION = (
    "List the rules in which kernel versions differ, each with where it comes from; with --kernel also whether that"
    " kernel's version should have it, and whether its text has it. Nothing is built."
)
EXIT_CODES = "0 listed; 1 the kernel lacks a rule that its version should have; 2 could not run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See commands/interface.py."""
    parser.add_argument("--kernel", metavar="K", help="compare the rules with those of a version or source tree")
    common.add_stubs(parser)
    common.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """See commands/interface.py."""
    rows: list[dict[str, Any]] = [
        {"rule": rule.name, **rule.metadata, "levels": dict(rule.metadata["levels"] or {})}
        for rule in fields(version_rules.Rules)
    ]
    lost: tuple[str, ...] = ()
    version = ""
    if arguments.kernel:
        tree, record = drifting.record_of(arguments.kernel, say, common.build_options(arguments).stubs)
        version, should = tree.version, version_rules.expected(tree.version)
        lost = version_rules.missing(record.rules, record.unknown_rules, version)
        show(f"Linux {version} ({tree.origin}), {version_rules.told(record.rules)}")
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
        show("  ".join(cells).rstrip())
    for name in lost:
        show(f"missing rule {name} ({version_rules.origin(name)})")
    write_json(arguments, {"version": version, "rules": rows, "missing": list(lost)})
    return DIFFERENCE if lost else AGREED
