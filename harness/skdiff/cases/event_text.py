"""An event in words: where the lookup is, and what another CPU does there."""

from collections.abc import Sequence

from skdiff.cases.scenario import (
    AT_LINK,
    AT_MEMBERS,
    AT_NODE,
    AT_PROGRAM,
    AT_RAN,
    AT_TAKEN,
    AT_TAKING,
    ATTACHED,
    COMES,
    CONNECTS,
    DETACHED,
    DISCONNECTS,
    GOES_ON,
    LEAVES,
    LISTENS,
    MOVES,
    NONE,
    REBOUND,
    REPLACED,
    REUSED,
    SK_LOOKUP,
    SYSCTL,
    Event,
)

# With the socket that it has to do with, and without.
_POINTS = {
    AT_LINK: ("before the link of {} is read", "before a link is read"),
    AT_NODE: ("when the link to {} has been read", "when a link has been read"),
    AT_TAKING: ("before a reference to {} is taken", "before a reference is taken"),
    AT_TAKEN: ("when the reference to {} is taken, and not looked at again", "when a reference is taken"),
    AT_MEMBERS: ("", "when the number of a group's members has been read"),
    AT_PROGRAM: ("", "before a BPF program runs"),
    AT_RAN: ("", "behind a BPF program"),
}
_ACTIONS = {
    LEAVES: "{sk} leaves its table, and loses a reference",
    REUSED: "{sk} is freed, and its memory becomes the connection from port {value}",
    LISTENS: "{sk} is disconnected, and listens",
    COMES: "{sk} comes into its table",
    REPLACED: "{other} takes the place of {sk}",
    REBOUND: "{sk} is bound to device {value}",
    SYSCTL: "l3mdev_accept becomes {value}",
    SK_LOOKUP: "the packet's namespace {has} its sk_lookup programs",
    DETACHED: "{group} loses its program",
    ATTACHED: "{group} gets a program, which selects {sk}",
    GOES_ON: "what was begun goes on",
    CONNECTS: "{sk} connects to the sender's port {value}",
    DISCONNECTS: "{sk} is disconnected",
    MOVES: "{sk} is disconnected, and bound to port {value}",
}


def event_text(event: Event, socks: Sequence[str], groups: Sequence[str]) -> str:
    """An event in a sentence without its full stop."""
    return f"{point_text(event, socks)}, {action_text(event, socks, groups)}"


def point_text(event: Event, socks: Sequence[str]) -> str:
    """Where it happens."""
    of_socket, any_ = _POINTS[event.point]
    where = any_ if event.at == NONE or not of_socket else of_socket.format(_name(socks, event.at))
    return where if event.nth == 1 else f"{where}, for the {_ordinal(event.nth)} time"


def action_text(event: Event, socks: Sequence[str], groups: Sequence[str]) -> str:
    """What happens."""
    names = {"sk": _name(socks, event.sk), "other": _name(socks, event.other)}
    text = _ACTIONS[event.action].format(
        value=event.value, has="gets" if event.value else "loses", group=_name(groups, event.value), **names
    )
    if event.action == COMES and event.value:
        text = f"{names['sk']} comes into {_name(groups, event.value - 1)}, and into its table"
    if event.steps:
        steps = "step" if event.steps == 1 else f"{event.steps} steps"
        text += f" (its first {steps} alone; the rest, if there is one, comes later)"
    return text


def _name(names: Sequence[str], index: int) -> str:
    return names[index] if 0 <= index < len(names) else "?"


def _ordinal(number: int) -> str:
    last = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{last}"
