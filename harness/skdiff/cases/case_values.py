"""The values of a case as its text has them: words, flags, addresses, names of sockets, and their ranges."""

from collections.abc import Mapping, Sequence
from ipaddress import AddressValueError, IPv4Address
from typing import Any

from skdiff.cases.outcome import ENDED_NAMES
from skdiff.cases.scenario import (
    FOREIGN,
    LEAVE,
    NONE,
)

KINDS = ("full", "request", "timewait")


HASHED = ("nowhere", "ehash", "lhash2")


SK_HASHES = ("own", "wrong", "packet")


RACES = ("stays", "leaves", "reused")


DESTRUCTORS = ("none", "sock_pfree", "sock_edemux", "other")


PROGS = ("none", "filter", "sk_reuseport")


STATES = (
    *("0", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT"),
    *("LAST_ACK", "LISTEN", "CLOSING", "NEW_SYN_RECV"),
)


FAMILIES = {2: "AF_INET", 10: "AF_INET6"}


PROTOCOLS = {6: "tcp", 17: "udp", 132: "sctp"}


VERDICTS = {0: "drop", 1: "pass"}


_FLAGS = frozenset(
    {
        *("hostile", "foreign_hashinfo", "sk_lookup_enabled", "clone_fails", "pull_fails", "ipv6only", "rcu_free"),
        *("reuseport", "no_pprev", "syncookie", "no_reuseport", "tcp_l3mdev_accept", "udp_l3mdev_accept"),
        *("own_hashinfo", "run_array", "bind_inany", "cb_access", "refcounted"),
    }
)


_ADDRESSES = frozenset({"saddr", "daddr", "rcv_saddr"})


_SOCKETS = frozenset({"sk", "listener", "assign", "select", "skb_sk", "selected_sk", "migrating_sk"})


HEX = frozenset({"hash_secret", "hash_mix", "hash", "ehash_nulls_xor"})


ENUMS: dict[str, Mapping[int, str]] = {
    "kind": dict(enumerate(KINDS)),
    "hashed": dict(enumerate(HASHED)),
    "hash_kind": dict(enumerate(SK_HASHES)),
    "race": dict(enumerate(RACES)),
    "destructor": dict(enumerate(DESTRUCTORS)),
    "prog": dict(enumerate(PROGS)),
    "state": dict(enumerate(STATES)),
    "family": FAMILIES,
    "protocol": PROTOCOLS,
    "verdict": VERDICTS,
    "ended": dict(enumerate(ENDED_NAMES)),
}


class BadError(Exception):
    """Something in a case's text that does not fit; becomes a CannotRun that names file and line.

    `place` is where: the table's header ("sock", "netns.progs", "" for the top), which one of that name (from 0), and
    the key there.
    """

    def __init__(self, message: str, place: tuple[str, int, str] = ("", 0, "")) -> None:
        super().__init__(message)
        self.place = place


def address(value: int) -> str:
    """An address in host byte order as a dotted quad."""
    return str(IPv4Address(value))


def show(name: str, value: Any, socks: Sequence[str]) -> Any:
    """A field's value as a reader wants it: a name for a socket, a dotted quad for an address, ..."""
    if name in _FLAGS and value in (0, 1):
        return bool(value)
    if name in _ADDRESSES:
        return address(value)
    if name in _SOCKETS:
        if value == LEAVE:
            return "leave"
        return socks[value] if 0 <= value < len(socks) else {NONE: "none", FOREIGN: "foreign"}.get(value, value)
    if name in ENUMS:
        return ENUMS[name].get(value, value)
    return value


def lookup(value: Any, names: Mapping[str, int], key: str) -> int:
    """The number that a word stands for. Raises BadError, which names the key."""
    if not isinstance(value, str) or value not in names:
        raise BadError(f"{key}: {value!r} is none of {', '.join(names) or 'nothing'}")
    return names[value]


_LIMITS = (-(1 << 31), (1 << 32) - 1)


def read_value(name: str, value: Any, where: str, socks: Mapping[str, int]) -> int:
    """The number of a field's value, where `socks` are the names of sockets. Raises BadError, which names `where`."""
    if name in _FLAGS:
        if not isinstance(value, bool):
            raise BadError(f"{where}: true or false is needed, not {value!r}")
        return int(value)
    if name in _ADDRESSES:
        try:
            return int(IPv4Address(value)) if isinstance(value, str) else read_number(value, where)
        except AddressValueError:
            raise BadError(f"{where}: {value!r} is no IPv4 address") from None
    if name in _SOCKETS:
        return lookup(value, {**socks, "none": NONE, "leave": LEAVE}, where)
    if name in ENUMS and isinstance(value, str):
        by_name = {text: number for number, text in ENUMS[name].items()}
        return lookup(value, by_name, where)
    return read_number(value, where)


def read_number(value: Any, where: str) -> int:
    """A number of 32 bits, signed or not. Raises BadError, which names `where`."""
    if isinstance(value, bool) or not isinstance(value, int) or not _LIMITS[0] <= value <= _LIMITS[1]:
        raise BadError(f"{where}: a number of 32 bits is needed, not {value!r}")
    return value
