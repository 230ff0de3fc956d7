"""Case files: TOML for people, in the words of who has sockets (`words_format.py`) or raw (`raw_format.py`).

A case is written in one of both; everything that reads a case reads both.
"""

import stat
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from skdiff.base.errors import CannotRun
from skdiff.base.files import from_toml
from skdiff.cases import raw_format, words_format
from skdiff.cases.case import Case, default_names, role
from skdiff.cases.case_head import KEYS, VERSION
from skdiff.cases.case_values import BadError
from skdiff.cases.did_you_mean import near
from skdiff.cases.faults import Faults
from skdiff.cases.find_cases import STDIN
from skdiff.cases.raw_format import dump
from skdiff.cases.scenario import Scenario
from skdiff.cases.toml_lines import MOST_PARTS, TomlLines

__all__ = [
    "MAX_BYTES",
    "VERSION",
    "Case",
    "default_names",
    "dump",
    "in_words",
    "load",
    "parse",
    "read_text",
    "role",
    "told",
]

MAX_BYTES = 1_000_000
_OF_PACKET = {"from", "to", "in", "proto", "packet"}  # what people write into a table [packet], which is a text


def load(path: Path) -> Case:
    """The case in a file, - for standard input. Raises CannotRun with file, line and what is wrong, a line each."""
    return replace(parse(read_text(path), told(path)), path=path)


def told(path: Path) -> str:
    """What a file is called in errors."""
    return "standard input" if path == STDIN else str(path)


def read_text(path: Path) -> str:
    """The text of a file, - for standard input. Raises CannotRun, which names it, at once also for what never ends."""
    try:
        if path == STDIN and sys.stdin is None:
            raise CannotRun("-: standard input is closed")
        data = sys.stdin.buffer.read(MAX_BYTES + 1) if path == STDIN else _read(path)
    except OSError as error:
        raise CannotRun(f"cannot read {path}: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise CannotRun(f"{told(path)}: larger than {MAX_BYTES} bytes, no case is")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise CannotRun(f"{told(path)}: not UTF-8 text: {error.reason} at byte {error.start}") from error


def _read(path: Path) -> bytes:
    mode = path.stat().st_mode
    piped = path.parts[:2] == ("/", "dev") and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode))
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or piped):
        raise CannotRun(f"{path}: a pipe or a device, not a file; - reads standard input")
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def parse(text: str, where: str = "case") -> Case:
    """The case in a text; `where` names it in errors. Raises CannotRun with what is wrong, a line each, with its line
    number.
    """
    lines = TomlLines(text)
    return _case(_document(text, lines, where), lines, where)


def _case(document: dict[str, Any], lines: TomlLines, where: str) -> Case:
    faults = Faults(where, lines)
    by_words = is_words(document)
    case = words_format.read(document, lines, faults) if by_words else raw_format.read(document, faults)
    faults.check()
    return case


def anew(text: str) -> Callable[[str, int], Scenario | None] | None:
    """For a case in words that has programs: its scenario with the packet's `sport` or `saddr`, or the `cpu`, at a
    value, made anew, as the programs may decide by these; None for a value that it cannot have. None for other texts:
    there nothing else changes with these.
    """
    lines = TomlLines(text)
    document = _document(text, lines, "case")
    if not is_words(document) or "program" not in document:
        return None

    def made(key: str, value: int) -> Scenario | None:
        try:
            return _case(words_format.with_value(document, key, value), lines, "case").scenario
        except (BadError, CannotRun):
            return None

    return made


def is_words(document: dict[str, Any]) -> bool:
    """Whether a document is in the format of words: it has a key that only this format has, or one that is like it."""
    packet = document.get("packet")
    if isinstance(packet, str) or any(key in document for key in words_format.OWN_KEYS):
        return True
    if any(key in document for key in ("scenario", *raw_format.ARRAYS) if key != "event"):
        return False
    like = any(near(key, words_format.ARRAYS) for key in document if key not in ("packet", "event", *KEYS))
    return like or (isinstance(packet, dict) and bool(_OF_PACKET & packet.keys()))


def in_words(text: str) -> bool:
    """The same of a text that parse() takes."""
    return is_words(from_toml(text, dict[str, Any]))


def _document(text: str, lines: TomlLines, where: str) -> dict[str, Any]:
    if lines.too_long:
        raise CannotRun(f"{where}:{lines.too_long}: a key of more than {MOST_PARTS} parts, no case has one")
    try:
        return from_toml(text, dict[str, Any])
    except ValueError as error:
        single = _single_brackets(lines)
        if single:
            raise CannotRun("\n".join(f"{where}:{line}: {said}" for line, said in single)) from error
        if lines.twice:
            told = (f"{where}:{line}: {key} is there already, in line {first}" for line, key, first in lines.twice)
            raise CannotRun("\n".join(told)) from error
        raise CannotRun(f"{where}: not TOML: {error}") from error
    except RecursionError as error:
        raise CannotRun(f"{where}: nested too deeply, no case is") from error


def _single_brackets(lines: TomlLines) -> list[tuple[int, str]]:
    """The tables in single brackets of which a case may have many: TOML refuses the second of them."""
    arrays = (*raw_format.ARRAYS, *words_format.ARRAYS)
    return [
        (line, f"[{header}]: write [[{header}]], with two brackets: there may be several")
        for line, header, double in lines.headers
        if header in arrays and not double
    ]
