"""The format of a case in the words of who has sockets: what `ss` and a configuration show, and what follows from it.

`words_keys.py` has its keys. A text becomes entries (`words_reading.py`), and these a Scenario by the kernel's own
calls (`words_deriving.py`); `words_writing.py` does the reverse, where it can be said exactly.
"""

from collections.abc import Mapping
from typing import Any

from skdiff.cases import case_head, words_reading
from skdiff.cases.addresses import is_ipv6
from skdiff.cases.case import Case, default_names
from skdiff.cases.case_head import Things, check_expect, check_scenario
from skdiff.cases.case_values import BadError
from skdiff.cases.faults import Faults
from skdiff.cases.toml_lines import TomlLines
from skdiff.cases.words_deriving import derive
from skdiff.cases.words_reading import ARRAYS, OWN_KEYS
from skdiff.cases.words_values import end_text, read_ends

__all__ = ["ARRAYS", "OWN_KEYS", "read", "with_value"]


def read(document: Mapping[str, Any], lines: TomlLines, faults: Faults) -> Case:
    """The case of a document, which means nothing if there are faults."""
    head = case_head.read(document, faults)
    words = words_reading.read(document, lines, faults)
    derived = derive(words, faults)
    names = tuple(entry.name for entry in words.entries if entry.name)
    there = tuple(told.split(" ", 1)[1] for told, _ in derived.socks)
    n_events = sum(entry.kind == "event" for entry in words.entries)
    check_expect(head, {name: i for i, name in enumerate(there if not faults else names)}, n_events, faults)
    if not faults:
        things = Things(derived.socks, derived.groups, ("", 0, "packet"), table="hash", hostile=False)
        check_scenario(derived.scenario, things, faults)
    groups = default_names(derived.scenario)[1]
    return Case(
        derived.scenario,
        head.why,
        head.found,
        head.expect,
        head.said_by,
        there,
        groups,
        needs=head.needs,
        devices={device.index: name for name, device in words.devices.items()},
    )


def with_value(document: Mapping[str, Any], key: str, value: int) -> dict[str, Any]:
    """The document with its packet's `sport` or `saddr`, or its `cpu`, at another value. Raises BadError."""
    if key == "cpu":
        return {**document, key: value}
    source, destination = read_ends(document["packet"], "packet")
    if key == "saddr" and is_ipv6(value) and not source.ipv6:
        raise BadError("a packet of IPv4 has no such address")
    source = source._replace(port=value) if key == "sport" else source._replace(address=value)
    return {**document, "packet": f"{end_text(source)} -> {end_text(destination)}"}
