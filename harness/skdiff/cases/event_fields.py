"""What each field of an event is: the part of `fields.py` about what other CPUs do meanwhile."""

from skdiff.cases.field_kinds import Field, Kind, numbered
from skdiff.cases.pools import OTHER_PEER_PORT, OTHER_PORT, PEER_PORT, PORT, index
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
    REBOUND,
    REPLACED,
    REUSED,
    SK_LOOKUP,
    SYSCTL,
)

POINTS = numbered("link", "node", "taking", "taken", "members", "program", "verdict")
ACTIONS = numbered(
    *("leaves", "reused", "listens", "comes", "replaced", "rebound", "sysctl", "detached", "goes on"),
    *("attached", "sk_lookup", "connects", "disconnects", "moves"),
)
MOST_VISITS, MOST_STEPS = 32, 11
EVENT_FIELDS: dict[str, Field] = {
    "value": Field(
        Kind.NUMBER,
        (
            *((n, 2) for n in range(4)),
            (OTHER_PEER_PORT, 2),
            (PEER_PORT, 2),
            (PORT, 2),
            (OTHER_PORT, 1),
            *((n, 1) for n in range(40001, 40005)),
        ),
    ),
    "point": Field(
        Kind.WORD,
        ((AT_LINK, 4), (AT_NODE, 4), (AT_TAKING, 3), (AT_TAKEN, 4), (AT_MEMBERS, 3), (AT_PROGRAM, 1), (AT_RAN, 1)),
        POINTS,
    ),
    "nth": Field(Kind.NUMBER, ((1, 8), (2, 3), (3, 1), (4, 1)), range=(1, MOST_VISITS)),
    "action": Field(
        Kind.WORD,
        (
            *((LEAVES, 6), (REUSED, 3), (LISTENS, 2), (COMES, 5), (REPLACED, 3), (REBOUND, 2), (SYSCTL, 1)),
            *((DETACHED, 1), (GOES_ON, 2), (ATTACHED, 1), (SK_LOOKUP, 1), (CONNECTS, 5), (DISCONNECTS, 3), (MOVES, 3)),
        ),
        ACTIONS,
    ),
    "steps": Field(Kind.NUMBER, ((0, 5), (1, 2), *((n, 1) for n in range(2, MOST_STEPS + 1))), range=(0, MOST_STEPS)),
    "at": Field(Kind.SOCKET, index(none=20, first=3, rest=1, most=16)),
    "sk": Field(Kind.SOCKET, index(none=1, first=8, rest=3, most=16)),
    "other": Field(Kind.SOCKET, index(none=1, first=6, rest=3, most=16)),
}
