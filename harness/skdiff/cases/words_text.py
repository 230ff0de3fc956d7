"""A case in words as TOML text: tables of several kinds in any order, which a document of tomlkit cannot have."""

from collections.abc import Mapping
from typing import Any

import tomlkit


class Hex(int):
    """A number that is written in hexadecimal."""


def table(head: str, values: Mapping[str, Any]) -> str:
    """A table with its header and its keys, a line each."""
    return "".join(f"{line}\n" for line in (head, *(f"{_key(k)} = {_value(v)}" for k, v in values.items())))


def _key(key: str) -> str:
    return f'"{key}"' if "." in key else key


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, Hex):
        return hex(value)
    return str(value).lower() if isinstance(value, bool | int) else tomlkit.item(value).as_string()
