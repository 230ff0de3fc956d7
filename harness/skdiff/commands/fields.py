"""skdiff fields."""

import argparse

from skdiff.cases import expectations
from skdiff.cases.case_values import show as shown
from skdiff.cases.field_kinds import Field, Kind
from skdiff.cases.fields import FIELDS
from skdiff.cases.scenario import Event, Group, Netns, Packet, Program, Scenario, Sock
from skdiff.cases.words_keys import ALL, MEANING, SINGLE, Key
from skdiff.commands.output import AGREED, show

NAME = "fields"
HELP = "list the keys of a case, in words and raw"
DESCRIPTION = "List the keys of a case in both formats, with their values and defaults; docs/cases.md says more."
EXIT_CODES = "0 listed; 2 could not run"

_RAW = {
    "[scenario]": Scenario,
    "[packet]": Packet,
    "[[netns]]": Netns,
    "[[netns.progs]]": Program,
    "[[group]]": Group,
    "[[sock]]": Sock,
    "[[event]]": Event,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See commands/interface.py."""
    parser.add_argument("--format", choices=("words", "raw"), help="list one format only (default: both)")


def run(arguments: argparse.Namespace) -> int:
    """See commands/interface.py."""
    if arguments.format != "raw":
        _show_words()
    if arguments.format != "words":
        _show_raw()
    show(f"[expect], of both formats\n  {', '.join(expectations.FIELDS)}")
    show(f"  from: {', '.join(expectations.SOURCES)}")
    return AGREED


def _show_words() -> None:
    show("In words\n")
    for header, keys in ALL.items():
        name = f"[{header}]" if header in SINGLE else f"[[{header}]]" if header else "top"
        show(f"{name}: {MEANING[header]}")
        for key, what in keys.items():
            show(f"  {key:27} {_told(what)}")
        show("")


def _told(key: Key) -> str:
    words = f": {', '.join(key.words)}" if key.words else ""
    default = f" (default: {key.default})" if key.default else " (needed)" if key.needed else ""
    return f"{key.meaning}; {key.what.value.strip()}{words}{default}"


def _show_raw() -> None:
    show("Raw: the fields of csrc/record.h\n")
    for header, record in _RAW.items():
        show(header)
        for name, field in FIELDS[record].items():
            if name != "progs":
                show(f"  {name:27} {_raw(field)}{_default(record, name, field)}")
        show("")


def _raw(field: Field) -> str:
    words = f": {', '.join(field.words.values())}" if field.words else ""
    return f"{field.kind.name.lower()}{words}"


def _default(record: type, name: str, field: Field) -> str:
    defaults = record._field_defaults  # type: ignore[attr-defined]
    if name not in defaults or field.kind is Kind.LIST or (record is Event and field.kind is Kind.SOCKET):
        return ""
    value = "none" if field.kind is Kind.GROUP else shown(field, defaults[name], ())
    return f" (default: {str(value).lower() if isinstance(value, bool) else value})"
