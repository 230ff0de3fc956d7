"""What each field of a case is, said once: its kind, the values that it is drawn from, and what follows from that.

From these tables come the text of a case (`case_values.py`), which values are valid (`valid_values.py`), the wire
format, the engine "wide", mutation, reduction, and what tests draw. `csrc/record.h` has the layout. The order here is
that of record.h and of the classes of `scenario.py`, which is checked when this module is loaded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from skdiff.base.errors import CannotRun
from skdiff.cases.addresses import ANY, MAPPED_ANY
from skdiff.cases.event_fields import EVENT_FIELDS
from skdiff.cases.field_kinds import Field, Kind, numbered
from skdiff.cases.pools import (
    DEVICE,
    FLAG,
    HERE,
    LOOPBACK6,
    MANY,
    MANY6,
    OTHER_HERE,
    OTHER_PEER,
    OTHER_PEER_PORT,
    OTHER_PORT,
    PEER,
    PEER_PORT,
    PORT,
    RARE,
    SECRETS,
    SOME,
    SWAPPED_HERE,
    SWAPPED_LOOPBACK6,
    SWAPPED_MANY,
    SWAPPED_OTHER_HERE,
    SWAPPED_OTHER_PEER,
    SWAPPED_PEER,
    VERDICT,
    Pool,
    index,
)
from skdiff.cases.record import constants, names, ranges
from skdiff.cases.scenario import (
    AF_INET,
    AF_INET6,
    BOUND,
    DEMUX,
    DESTRUCTOR_NONE,
    DESTRUCTOR_OTHER,
    EDEMUX,
    EFREE,
    EHASH,
    FILTER,
    HASH_OWN,
    HASH_PACKET,
    HASH_WRONG,
    HELPER,
    INT_MAX,
    IPPROTO_SCTP,
    IPPROTO_TCP,
    IPPROTO_UDP,
    KIND_FULL,
    KIND_REQUEST,
    KIND_TIMEWAIT,
    LEAVE,
    LHASH2,
    NONE,
    NOWHERE,
    PACKET_BROADCAST,
    PACKET_HOST,
    PACKET_MULTICAST,
    PFREE,
    PROG_NONE,
    RECEIVE,
    REFCOUNT_SATURATED,
    REHASHED,
    SK_DROP,
    SK_PASS,
    SK_REUSEPORT,
    STALE,
    TCP4,
    TCP6,
    TCP_CLOSE,
    TCP_CLOSE_WAIT,
    TCP_CLOSING,
    TCP_ESTABLISHED,
    TCP_FIN_WAIT1,
    TCP_FIN_WAIT2,
    TCP_LAST_ACK,
    TCP_LISTEN,
    TCP_NEW_SYN_RECV,
    TCP_SYN_RECV,
    TCP_SYN_SENT,
    UDP4,
    UDP6,
    UDP_HASHED,
    Event,
    Group,
    Netns,
    Packet,
    Program,
    Scenario,
    Sock,
)

LOOKUPS = numbered("tcp4", "tcp6", "udp4", "udp6")
CALLERS = numbered("receive", "demux", "helper")
KINDS = numbered("full", "request", "timewait")
DESTRUCTORS = numbered("none", "sock_pfree", "sock_edemux", "other", "sock_efree")
PKT_TYPES = numbered("host", "broadcast", "multicast")
STATES = numbered(
    *("0", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT"),
    *("LAST_ACK", "LISTEN", "CLOSING", "NEW_SYN_RECV"),
)
FAMILIES = {AF_INET: "AF_INET", AF_INET6: "AF_INET6"}
PROTOCOLS = {IPPROTO_TCP: "tcp", IPPROTO_UDP: "udp", IPPROTO_SCTP: "sctp"}
VERDICTS = {SK_DROP: "drop", SK_PASS: "pass"}
_SIZE: Pool = ((1, 4), (2, 3), (4, 2), (16, 1))
_U32 = (1 << 32) - 1

HEAD_FIELDS: dict[str, Field] = {
    "hash_secret": Field(Kind.HEX, SECRETS, frame=True),
    "hash_secret6": Field(Kind.HEX, SECRETS, frame=True),
    "ehash_size": Field(Kind.SIZE, _SIZE, frame=True),
    "lhash2_size": Field(Kind.SIZE, _SIZE, frame=True),
    "udp_size": Field(Kind.SIZE, _SIZE, frame=True, range=(1, 65536)),  # include/linux/udp.h UDP_HTABLE_SIZE_MAX
    "ehash_nulls_xor": Field(Kind.HEX, ((0, 60), (1, 1), (0x40000000, 1))),
    "cpu": Field(Kind.CPU, ((0, 6), (1, 3), (2, 1)), frame=True),
    "lookup": Field(Kind.WORD, ((TCP4, 1), (TCP6, 1), (UDP4, 1), (UDP6, 1)), LOOKUPS),
    "caller": Field(Kind.WORD, ((RECEIVE, 6), (DEMUX, 5), (HELPER, 1)), CALLERS),
    "hostile": Field(Kind.FLAG, FLAG),
    "foreign_hashinfo": Field(Kind.FLAG, RARE),
    "sk_lookup_enabled": Field(Kind.FLAG, FLAG, derived=True),
}
PACKET_FIELDS: dict[str, Field] = {
    "saddr": Field(Kind.ADDRESS, ((PEER, 20), (OTHER_PEER, 2), (HERE, 2), (SWAPPED_PEER, 1)), frame=True),
    "daddr": Field(
        Kind.ADDRESS,
        ((HERE, 30), (OTHER_HERE, 3), (ANY, 3), (SWAPPED_HERE, 1), (MANY, 1), (MANY6, 1), (LOOPBACK6, 2)),
        frame=True,
    ),
    "sport": Field(Kind.PORT, ((PEER_PORT, 10), (OTHER_PEER_PORT, 1), (PORT, 1)), frame=True),
    "dport": Field(Kind.PORT, ((PORT, 20), (OTHER_PORT, 1), (PEER_PORT, 1)), frame=True),
    "rt_iif": Field(Kind.DEVICE, ((0, 4), (1, 4), (2, 2), (3, 1)), frame=True),
    "skb_iif": Field(Kind.DEVICE, ((1, 4), (2, 2), (3, 1), (0, 1)), frame=True),
    "sdif": Field(Kind.DEVICE, ((0, 8), (2, 3), (3, 1), (1, 1)), frame=True),
    # th->doff has four bits and counts words of four bytes: include/linux/tcp.h __tcp_hdrlen().
    "doff": Field(Kind.NUMBER, ((20, 5), (24, 2), (60, 2), (0, 1)), range=(0, 60)),
    # Far beyond what an sk_buff holds, but with room for the header that early demux has before it.
    "len": Field(Kind.NUMBER, ((20, 4), (60, 3), (1460, 3), (8, 1)), range=(0, INT_MAX)),
    "data_len": Field(Kind.NUMBER, ((0, 5), (1, 1), (8, 1), (50, 1), (1440, 1)), range=(0, INT_MAX)),
    "users": Field(Kind.NUMBER, ((1, 3), (2, 1)), range=(1, _U32)),  # whoever has the sk_buff is one
    "clone_fails": Field(Kind.FLAG, SOME),
    "pull_fails": Field(Kind.FLAG, SOME),
    "netns": Field(Kind.NETNS, ((0, 4), (1, 1))),
    "destructor": Field(
        Kind.WORD,
        ((DESTRUCTOR_NONE, 2), (PFREE, 6), (EDEMUX, 3), (DESTRUCTOR_OTHER, 1), (EFREE, 1)),
        DESTRUCTORS,
    ),
    "pkt_type": Field(Kind.WORD, ((PACKET_HOST, 8), (PACKET_MULTICAST, 3), (PACKET_BROADCAST, 1)), PKT_TYPES),
    "sk": Field(Kind.SOCKET, index(none=60, first=5, rest=1, most=16)),
}
SOCK_FIELDS: dict[str, Field] = {
    # Each with its like in the other family: an AF_INET socket has that one where the packet is of IPv6.
    "daddr": Field(
        Kind.ADDRESS,
        (
            *((ANY, 2), (PEER, 30), (OTHER_PEER, 2), (HERE, 2)),
            *((SWAPPED_PEER, 1), (SWAPPED_OTHER_PEER, 1), (SWAPPED_HERE, 1)),
        ),
        meets="saddr",
    ),
    "rcv_saddr": Field(
        Kind.ADDRESS,
        (
            *((ANY, 10), (HERE, 24), (OTHER_HERE, 2), (PEER, 2)),
            *((SWAPPED_HERE, 2), (SWAPPED_OTHER_HERE, 1), (SWAPPED_PEER, 1), (MAPPED_ANY, 1)),
            *((MANY, 1), (MANY6, 1), (SWAPPED_MANY, 1), (LOOPBACK6, 1), (SWAPPED_LOOPBACK6, 1)),
        ),
        meets="daddr",
    ),
    "refcnt": Field(
        Kind.NUMBER,
        (
            *((1, 10), (2, 3), (3, 1), (0, 3), (INT_MAX - 1, 1), (INT_MAX, 1), (REFCOUNT_SATURATED, 1)),
            (0xFFFFFFFF, 1),
        ),
    ),
    "bound_dev_if": Field(Kind.DEVICE, DEVICE),
    "incoming_cpu": Field(Kind.CPU, ((NONE, 8), (0, 4), (1, 2), (2, 1))),
    "dport": Field(Kind.PORT, ((0, 1), (PEER_PORT, 12), (OTHER_PEER_PORT, 1), (PORT, 1)), meets="sport"),
    "num": Field(Kind.PORT, ((PORT, 20), (OTHER_PORT, 1), (PEER_PORT, 1)), meets="dport"),
    "protocol": Field(Kind.WORD, ((IPPROTO_TCP, 10), (IPPROTO_UDP, 3), (IPPROTO_SCTP, 1)), PROTOCOLS, open=True),
    "hash_kind": Field(
        Kind.WORD,
        ((HASH_OWN, 24), (HASH_WRONG, 1), (HASH_PACKET, 3)),
        numbered("own", "wrong", "packet"),
    ),
    "kind": Field(Kind.WORD, ((KIND_FULL, 8), (KIND_REQUEST, 2), (KIND_TIMEWAIT, 2)), KINDS),
    "family": Field(Kind.WORD, ((AF_INET, 9), (AF_INET6, 4)), FAMILIES, open=True),
    "ipv6only": Field(Kind.FLAG, ((0, 14), (1, 1))),
    "state": Field(
        Kind.WORD,
        (
            *((TCP_CLOSE, 5), (TCP_LISTEN, 10), (TCP_ESTABLISHED, 10), (TCP_SYN_SENT, 1), (TCP_SYN_RECV, 1)),
            *((TCP_FIN_WAIT1, 1), (TCP_FIN_WAIT2, 1), (TCP_CLOSE_WAIT, 1), (TCP_LAST_ACK, 1), (TCP_CLOSING, 1)),
        ),
        STATES,
        range=(TCP_ESTABLISHED, TCP_NEW_SYN_RECV),  # sk_fullsock() shifts by it
    ),
    "netns": Field(Kind.NETNS, ((0, 5), (1, 1))),
    "rcu_free": Field(Kind.FLAG, FLAG),
    "reuseport": Field(Kind.FLAG, FLAG),
    "reuseport_changed": Field(Kind.FLAG, SOME),
    "hashed": Field(
        Kind.WORD,
        ((NOWHERE, 1), (LHASH2, 8), (EHASH, 5), (UDP_HASHED, 1)),
        numbered("nowhere", "ehash", "lhash2", "udp"),
    ),
    "hash2": Field(Kind.WORD, ((BOUND, 12), (REHASHED, 3), (STALE, 1)), numbered("bound", "rehashed", "stale")),
    "mc_refuses": Field(Kind.FLAG, SOME),
    "no_pprev": Field(Kind.FLAG, RARE),
    "syncookie": Field(Kind.FLAG, ((0, 2), (1, 1))),
    "group": Field(Kind.GROUP, ((NONE, 3), (0, 5), (1, 3), (2, 1), (3, 1))),
    "listener": Field(Kind.SOCKET, index(none=3, first=4, rest=1, most=16)),
}
GROUP_FIELDS: dict[str, Field] = {
    "reuseport_id": Field(Kind.NUMBER, ((1, 12), (2, 4), (3, 1), (4, 1), (0xFFFFFFFF, 2)), derived=True),
    "returns": Field(Kind.NUMBER, ((0, 3), (1, 3), (2, 2), (3, 1), (4, 1), (7, 1), (8, 1), (0xFFFFFFFF, 1))),
    "num_socks": Field(
        Kind.NUMBER,
        ((0, 2), (1, 6), (2, 8), (3, 6), (4, 4), *((n, 1) for n in range(5, 9))),
        range=(0, constants.MAX_SLOTS),
        derived=True,
    ),
    "num_closed_socks": Field(Kind.NUMBER, ((0, 4), (1, 1)), range=(0, constants.MAX_SLOTS)),
    "incoming_cpu": Field(Kind.NUMBER, ((0, 12), (1, 6), *((n, 1) for n in range(2, 9))), derived=True),
    "bind_inany": Field(Kind.FLAG, FLAG, derived=True),
    "has_conns": Field(Kind.FLAG, SOME),
    "prog": Field(
        Kind.WORD,
        ((PROG_NONE, 1), (FILTER, 1), (SK_REUSEPORT, 1)),
        numbered("none", "filter", "sk_reuseport"),
    ),
    "cb_access": Field(Kind.FLAG, FLAG),
    "verdict": Field(Kind.WORD, VERDICT, VERDICTS, open=True),
    "select": Field(Kind.SOCKET, index(none=5, first=4, rest=1, most=16)),
    "slots": Field(Kind.LIST, ((0, 2), (1, 2), (2, 6), (3, 6), (4, 6), *((n, 2) for n in range(5, 9)))),
}
NETNS_FIELDS: dict[str, Field] = {
    "hash_mix": Field(Kind.HEX, ((0, 2), (0x5BD1E995, 1), (0xFFFFFFFE, 1))),
    "tcp_l3mdev_accept": Field(Kind.FLAG, FLAG),
    "udp_l3mdev_accept": Field(Kind.FLAG, FLAG),
    "own_hashinfo": Field(Kind.FLAG, ((0, 5), (1, 1))),
    "run_array": Field(Kind.FLAG, FLAG, derived=True),
    "progs": Field(Kind.LIST, ((0, 4), (1, 2), (2, 2), (3, 1))),
}
PROGRAM_FIELDS: dict[str, Field] = {
    "verdict": Field(Kind.WORD, VERDICT, VERDICTS, open=True),
    "assign": Field(
        Kind.SOCKET,
        ((LEAVE, 8), (NONE, 2), (0, 4), (1, 4), *((i, 1) for i in range(2, 16))),
        range=(LEAVE, constants.MAX_SOCKS - 1),
    ),
    "no_reuseport": Field(Kind.FLAG, SOME),
}
STRUCTS = {
    Scenario: "scenario_record",
    Packet: "packet_record",
    Netns: "netns_record",
    Program: "program_record",
    Group: "group_record",
    Sock: "sock_record",
    Event: "event_record",
}


def _with_range(field: Field, holds: tuple[int, int]) -> Field:
    """A field with the least and the greatest value that is valid, where record.h `holds` those."""
    if field.range is not None:
        return field
    match field.kind:
        case Kind.FLAG:
            holds = 0, 1
        case Kind.WORD if not field.open:
            holds = min(field.words), max(field.words)
        case Kind.SIZE:
            holds = 1, constants.MAX_TABLE
        case Kind.NETNS:
            holds = 0, constants.MAX_NETNS - 1
        case Kind.GROUP:
            holds = NONE, constants.MAX_GROUPS - 1
        case Kind.SOCKET:
            holds = NONE, constants.MAX_SOCKS - 1
    return replace(field, range=holds)


def _with_ranges(record: Any, fields: Mapping[str, Field]) -> dict[str, Field]:
    holds = ranges(STRUCTS[record])
    return {name: _with_range(field, holds[name]) if name in holds else field for name, field in fields.items()}


# The fields of each record, but for those of a Scenario that are records themselves.
FIELDS: dict[Any, dict[str, Field]] = {
    record: _with_ranges(record, fields)
    for record, fields in (
        (Scenario, HEAD_FIELDS),
        (Packet, PACKET_FIELDS),
        (Netns, NETNS_FIELDS),
        (Program, PROGRAM_FIELDS),
        (Group, GROUP_FIELDS),
        (Sock, SOCK_FIELDS),
        (Event, EVENT_FIELDS),
    )
}


def pools(record: Any) -> dict[str, Pool]:
    """The pool of each field of a record, in its order."""
    return {name: field.pool for name, field in FIELDS[record].items()}


def of_kind(record: Any, kind: Kind) -> tuple[str, ...]:
    """The names of a record's fields of a kind, in its order."""
    return tuple(name for name, field in FIELDS[record].items() if field.kind is kind)


def derived(record: Any) -> frozenset[str]:
    """The names of a record's fields that follow from the rest of a reachable case."""
    return frozenset(name for name, field in FIELDS[record].items() if field.derived)


def positions(record: Any, *names: str) -> tuple[int, ...]:
    """Where fields stand in a record. Raises ValueError for a name that it has not."""
    return tuple(record._fields.index(name) for name in names)


def _check() -> None:
    """A record has the same fields in the same order in record.h, in scenario.py and here, its list last.

    Raises CannotRun, which names what is not everywhere.
    """
    for record, fields in FIELDS.items():
        parts = ("packet", "netns", "groups", "socks", "events") if record is Scenario else ()
        if record._fields != (*fields, *parts):
            raise CannotRun(_differ(f"{record.__name__} of cases/scenario.py", record._fields, (*fields, *parts)))
        if names(STRUCTS[record]) != record._fields:
            raise CannotRun(_differ(f"struct {STRUCTS[record]} of record.h", names(STRUCTS[record]), record._fields))
        if any(fields[name].kind is Kind.LIST for name in record._fields[:-1] if name in fields):
            raise CannotRun(f"{record.__name__}: the list is the last field of a record, also in record.h")


def _differ(where: str, there: Sequence[str], here: Sequence[str]) -> str:
    missing = ", ".join(sorted(set(there) ^ set(here)))
    what = f"{missing} is in one of them only" if missing else "the order is not the same"
    return f"{where} and its table in cases/fields.py differ: {what}"


_check()
