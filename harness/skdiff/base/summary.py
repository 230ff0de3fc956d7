"""Summaries: what a command writes for programs (--json). Each is a Struct, made where the work is done."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from skdiff.base.files import BadFile, read_json

SCHEMA = 1  # more than 1 once a key means something else, or is gone


class Summary(msgspec.Struct, kw_only=True):
    """What each summary begins with. The command line fills in the command, and the time of its start (UTC, ISO 8601);
    one from before the first schema has none, and the same keys.
    """

    schema: int = SCHEMA
    command: str = ""
    started: str = ""


class Other(Summary, kw_only=True):
    """A summary of a command whose values nobody here asks for: they are as they stand in the file."""

    values: dict[str, Any]


Kinds: TypeAlias = Mapping[str, Sequence[type[Summary]]]  # the kinds of summaries that a command writes


def read_summary(path: Path, kinds: Kinds) -> Summary:
    """The summary in a file: of the kinds that its command has, the first one that it fits; of a command without any,
    an Other. Raises BadFile for what is no summary, or one of another schema.
    """
    found = read_json(path, dict[str, Any], "a summary")
    schema, command = found.get("schema", SCHEMA), str(found.get("command", path.stem))
    if schema != SCHEMA:
        raise BadFile(
            f"{path}: a summary of schema {schema!r}, and this skdiff reads {SCHEMA}: make it anew with this skdiff, or"
            " read it with the one that wrote it"
        )
    why: list[ValueError] = []
    for kind in kinds.get(command, ()):
        try:
            return msgspec.convert(found, kind, str_keys=True)
        except ValueError as error:
            why.append(error)
    if why:
        raise BadFile(f"{path}: not a summary of `skdiff {command}`: {why[0]}")
    return Other(command=command, started=str(found.get("started", "")), values=found)
