"""What each field of an Outcome is, and of what BPF programs were shown: these have no pools, for nobody draws them."""

from skdiff.cases.field_kinds import Field, Kind, numbered
from skdiff.cases.fields import PACKET_FIELDS, SOCK_FIELDS
from skdiff.cases.outcome import ENDED_NAMES, SHOWN_NAMES, Outcome

_NUMBER, _SOCKET, _FLAG = Field(Kind.NUMBER), Field(Kind.SOCKET), Field(Kind.FLAG)

OUTCOME_FIELDS: dict[str, Field] = {
    **dict.fromkeys(Outcome._fields, _NUMBER),
    **dict.fromkeys(("sk", "skb_sk"), _SOCKET),
    "ended": Field(Kind.WORD, words=numbered(*ENDED_NAMES)),
    "refcounted": _FLAG,
    "destructor": PACKET_FIELDS["destructor"],
    "freed": Field(Kind.SOCKETS),
    "fired": Field(Kind.EVENTS),
    "refcnt": Field(Kind.NUMBER, each=True),
    "listener": Field(Kind.SOCKET, each=True),
    "written": Field(Kind.WRITTEN),
    "warns": Field(Kind.TEXTS),
    "shown": Field(Kind.SHOWN),
}
_SHOWN: dict[str, Field] = {
    **dict.fromkeys(("saddr", "daddr"), Field(Kind.ADDRESS)),
    **dict.fromkeys(("sk", "selected_sk", "migrating_sk"), _SOCKET),
    **dict.fromkeys(("no_reuseport", "bind_inany"), _FLAG),
    "family": SOCK_FIELDS["family"],
    "protocol": SOCK_FIELDS["protocol"],
    "hash": Field(Kind.HEX),
}
SHOWN_FIELDS: dict[int, dict[str, Field]] = {
    kind: {name: _SHOWN.get(name, _NUMBER) for name in names} for kind, names in SHOWN_NAMES.items()
}
