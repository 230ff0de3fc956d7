"""What was probably meant by a key or a value that a case cannot have."""

import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches

LIKE = 0.75  # how much of a known word one has at least that is told of: what is less like it was no slip of the pen
_LONGEST = 40  # characters of a key that is shown; longer ones are no misspelt key
_STATES = re.compile(r"TCP_([A-Z_0-9]+)")
# As `ss` has them.
_OF_SS = {
    "ESTAB": "ESTABLISHED",
    "SYN-SENT": "SYN_SENT",
    "SYN-RECV": "SYN_RECV",
    "FIN-WAIT-1": "FIN_WAIT1",
    "FIN-WAIT-2": "FIN_WAIT2",
    "TIME-WAIT": "TIME_WAIT",
    "UNCONN": "CLOSE",
    "CLOSE-WAIT": "CLOSE_WAIT",
    "LAST-ACK": "LAST_ACK",
}
_MASK = re.compile(r"(.+)/\d+")
_DEVICE = re.compile(r"[A-Za-z][\w.@-]*")


def shown(word: object) -> str:
    """A key or value as an error shows it: not longer than a line."""
    text = word if isinstance(word, str) and re.fullmatch(r"[\w-]+", word) else repr(word)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text)} characters)"


def near(word: object, known: Collection[str], meant: Mapping[str, str] | None = None) -> str:
    """A hint, "; did you mean X?", for a word that is none of the `known` ones; `meant` has what people write for
    these. "" for one that is like nothing.
    """
    if not isinstance(word, str) or len(word) > _LONGEST:
        return ""
    for table in (meant or {}, _OF_SS):
        found = table.get(word) or table.get(word.lower()) or table.get(word.upper())
        if found and (table is meant or found in known):
            return f"; did you mean {found}?"
    if (state := _STATES.fullmatch(word.upper())) and state[1] in known:
        return f"; did you mean {state[1]}?"
    folded = {name.lower().replace("-", "_"): name for name in known}
    close = get_close_matches(word.lower().replace("-", "_"), folded, 1, LIKE)
    return f"; did you mean {folded[close[0]]}?" if close else ""


def instead_of_address(text: str) -> str:
    """What to write in the place of a text that is no address; "" if nothing is known of it."""
    if mask := _MASK.fullmatch(text):
        return f"; an address has no mask here: {mask[1]}"
    if "%" in text:
        return f"; the device is the socket's: {text.partition('%')[0]} here, and device = ..."
    if text == "*":
        return '; the wildcard is "0.0.0.0", or "::" of an AF_INET6 socket'
    if re.fullmatch(r"\[.*\]", text):
        return "; without the brackets"
    if re.fullmatch(r".+[.\]]\d*:\d+", text) or re.fullmatch(r"\[.+\]:\d+", text):
        return "; a port has a key of its own"
    return ""


def instead_of_socket(key: str, word: object) -> str:
    """What to do in the place of a text that names no socket of an event; "" if nothing is known of it."""
    if word in ("", "any", "none"):
        return "; left out, any visit counts" if key == "at" else "; left out, there is none"
    return ""


def instead_of_number(value: object, is_device: bool) -> str:
    """The same of a value that should be a number; that of a device is its index."""
    if is_device and isinstance(value, str) and _DEVICE.fullmatch(value):
        return "; a device is its index here, the number before its name in `ip link`"
    return ""
