"""What a replay prints: for people, as KTAP (the kernel's test output), or as JUnit's XML (of CI services)."""

import re
import xml.etree.ElementTree as Xml
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from skdiff.findings.replay_cases import AGREED, GOOD, NOT_RUN, Replayed, ReplaySummary, summary_line


class Text:
    """What is wrong, for people, and a summary."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def begin(self, count: int) -> None:
        """See replay_cases.Report."""

    def case(self, result: Replayed, lines: Sequence[str]) -> None:
        """See replay_cases.Report."""
        for line in lines:
            self._console.print(line, markup=False, soft_wrap=True)

    def end(self, summary: ReplaySummary) -> None:
        """See replay_cases.Report."""
        self._console.print(summary_line(summary), markup=False, soft_wrap=True)


# What became of a case, as (result, directive) of KTAP. What was not looked at has not passed.
_KTAP = {
    "agreed": ("ok", ""),
    "known": ("ok", "XFAIL"),
    "absent": ("ok", "SKIP"),
    NOT_RUN: ("ok", "SKIP"),
    "unreadable": ("not ok", "ERROR"),
}


class Ktap:
    """The Kernel Test Anything Protocol, version 1 (Documentation/dev-tools/ktap.rst): a line for each case, behind
    what is to be said about it.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._number = 0

    def begin(self, count: int) -> None:
        """See replay_cases.Report."""
        self._line("KTAP version 1")
        self._line(f"1..{count}")

    def case(self, result: Replayed, lines: Sequence[str]) -> None:
        """See replay_cases.Report."""
        self._number += 1
        self._remarks(lines)
        if result.needs:
            self._remarks([f"what it expects is not looked at: this kernel is not {', '.join(result.needs)}"])
        self._remarks(result.unreachable)
        word, directive = _KTAP.get(result.verdict, ("not ok", ""))
        name = _in_a_line(result.file).replace("#", "_")  # a # ends the name
        why = _in_a_line("; ".join(result.why)) if directive else ""
        self._line(f"{word} {self._number} - {name}" + (f" # {directive} {why}".rstrip() if directive else ""))

    def end(self, summary: ReplaySummary) -> None:
        """See replay_cases.Report."""
        verdicts = [case.verdict for case in summary.cases]
        counts = dict.fromkeys(("pass", "fail", "xfail", "xpass", "skip", "error"), 0)
        names = {"XFAIL": "xfail", "SKIP": "skip", "ERROR": "error", "": "pass"}
        for verdict in verdicts:
            counts[names[_KTAP[verdict][1]] if verdict in _KTAP else "fail"] += 1
        self._remarks([summary_line(summary), "Totals: " + " ".join(f"{name}:{n}" for name, n in counts.items())])

    def _remarks(self, lines: Sequence[str]) -> None:
        for line in lines:
            for part in line.rstrip().split("\n"):
                self._line(f"# {part}".rstrip())

    def _line(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)


class Junit:
    """XML as JUnit writes it and CI services read it, at the end: a <testcase> for each case, of the class of its
    folder; a difference is a <failure>, a file that cannot be read an <error>, what was not looked at <skipped>.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._cases: list[Xml.Element] = []

    def begin(self, count: int) -> None:
        """See replay_cases.Report."""

    def case(self, result: Replayed, lines: Sequence[str]) -> None:
        """See replay_cases.Report."""
        path = Path(result.file)
        folder = ".".join(part for part in path.parent.parts if part not in ("/", ".", ".."))
        names = {"classname": folder or "skdiff", "name": path.stem, "file": result.file}
        case = _element("testcase", names)
        text, why = "\n".join(lines), "; ".join(result.why)
        if result.verdict == AGREED:
            if text:
                case.append(_element("system-out", {}, text))
        elif result.verdict in (*GOOD, NOT_RUN):
            case.append(_element("skipped", {"message": f"{result.verdict}: {why}"}))
        else:
            kind = "error" if result.verdict == "unreadable" else "failure"
            case.append(_element(kind, {"type": result.verdict, "message": why}, text or why))
        self._cases.append(case)

    def end(self, summary: ReplaySummary) -> None:
        """See replay_cases.Report."""
        tags = [child.tag for case in self._cases for child in case]
        counts = {name: str(tags.count(tag)) for name, tag in _COUNTED.items()}
        numbers = {"name": f"skdiff replay, Linux {summary.kernel.label}", "tests": str(len(self._cases)), **counts}
        suite = _element("testsuite", numbers)
        suite.extend(self._cases)
        suite.append(_element("system-out", {}, summary_line(summary)))
        root = _element("testsuites", {"tests": numbers["tests"], **counts})
        root.append(suite)
        Xml.indent(root)
        text = Xml.tostring(root, encoding="unicode")
        self._console.print(f'<?xml version="1.0" encoding="UTF-8"?>\n{text}', markup=False, soft_wrap=True)


_COUNTED = {"failures": "failure", "errors": "error", "skipped": "skipped"}
REPORTS: Mapping[str, type[Text] | type[Ktap] | type[Junit]] = {"text": Text, "ktap": Ktap, "junit": Junit}


def _element(tag: str, attributes: Mapping[str, str], text: str = "") -> Xml.Element:
    element = Xml.Element(tag, {name: _of_xml(value) for name, value in attributes.items()})
    element.text = _of_xml(text) or None
    return element


def _of_xml(text: str) -> str:
    """The text without characters that XML cannot have."""
    return re.sub(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "?", text)


def _in_a_line(text: str) -> str:
    return " ".join(text.split())
