"""Outcome: what a lookup returned and every side effect that it had."""

from typing import NamedTuple

from skdiff.cases.scenario import DESTRUCTOR_NONE, NONE

RETURNED, STUCK, CRASHED, BROKEN, ABSENT = range(5)  # the last two are no outcomes: see record.outcome()
ENDED_NAMES = ("returned", "stuck", "crashed")

SHOWN_SK_LOOKUP, SHOWN_FILTER, SHOWN_SK_REUSEPORT = 1, 2, 3
SHOWN_KINDS = {SHOWN_SK_LOOKUP: "sk_lookup", SHOWN_FILTER: "filter", SHOWN_SK_REUSEPORT: "sk_reuseport"}
# What each kind of BPF program was shown: the kernel's context fields, in the order of `struct shown_record`.
SHOWN_NAMES: dict[int, tuple[str, ...]] = {
    SHOWN_SK_LOOKUP: (
        *("netns", "prog", "family", "protocol", "saddr", "sport", "daddr", "dport", "ingress_ifindex"),
        *("selected_sk", "no_reuseport", "ipv6"),
    ),
    SHOWN_FILTER: ("group", "clone", "data", "len", "data_len", "cb_bytes_kept", "other_bytes"),
    SHOWN_SK_REUSEPORT: (
        *("group", "sk", "hash", "reuseport_id", "bind_inany", "selected_sk", "migrating_sk", "own_skb", "headlen"),
    ),
}
# What a lookup may change that has no name of its own: the objects of csrc/record.h's enum written, in its order.
WRITTEN_NAMES = (
    *("nothing", "socket", "group", "program", "namespace", "device", "route", "packet", "data", "table"),
    *("ehash bucket", "own ehash bucket", "lhash2 bucket", "own lhash2 bucket", "kernel object"),
    *(
        "place in a chain",
        "place in a group",
        "table of UDP",
        "hash slot",
        "own hash slot",
        "hash2 slot",
        "own hash2 slot",
    ),
    *("hash4 slot", "own hash4 slot"),
)
WRITTEN_SOCK = WRITTEN_NAMES.index("socket")
MAX_SHOWN = 16
UNSEEN = -(1 << 40)  # in the place of an argument that an oracle cannot see
UNSEEN_SHOWN = ((UNSEEN,),)  # in the place of what programs were shown, all of it
MAX_WARNS = 4


class Outcome(NamedTuple):
    """The first `COMPARED` fields are compared, the rest is for the reader.

    Sockets are indices, NONE or FOREIGN (a pointer that is no socket's); `refcounted` is UNSET as long as nobody wrote
    it; `skb_data` counts bytes from the TCP header, `skb_cb` the changed bytes of skb->cb, `clones` those that leaked;
    `freed` is a bit mask of sockets (and MAX_SOCKS bits higher, of those that were freed as what they are not);
    `fired` is a bit mask of the events that came about;
    `sections` counts sections that were opened and not closed, each kind in a place of its own (csrc/record.h, enum
    section); `listener` is each request's rsk_listener, NONE
    for other sockets; `written` is what else was changed, () for nothing: which object of WRITTEN_NAMES, which of them,
    the first byte in it, and the name of the member there, "" for none; `warns` are the functions that warned, each
    with its text if it has one, in their order; each of `shown` is (kind, arguments named by SHOWN_NAMES).
    `via` says how the socket was found, where the oracle can tell; `signal` what a crash came with. A case that did not
    return has no other field.
    """

    ended: int = RETURNED
    sk: int = NONE
    skb_sk: int = NONE
    refcounted: int = 0
    destructor: int = DESTRUCTOR_NONE
    skb_data: int = 0
    skb_len: int = 0
    skb_data_len: int = 0
    skb_users: int = 0
    skb_cb: int = 0
    clones: int = 0
    freed: int = 0
    fired: int = 0
    sections: int = 0
    refcnt: tuple[int, ...] = ()
    listener: tuple[int, ...] = ()
    written: tuple[int | str, ...] = ()
    warns: tuple[str, ...] = ()
    shown: tuple[tuple[int, ...], ...] = ()
    via: tuple[str, ...] = ()
    signal: int = 0


COMPARED = Outcome._fields.index("via")
