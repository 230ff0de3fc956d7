"""How the driver calls a tree's functions, __inet_lookup_skb() and its like: with the arguments that the tree has."""

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from skdiff.base.errors import CannotRun
from skdiff.kernel.index import Definition
from skdiff.kernel.syntax import captures, parse, text_of
from skdiff.variants.config import Config

# The root of each lookup.
ROOTS: Mapping[str, str] = {
    "tcp4": "__inet_lookup_skb",
    "tcp6": "__inet6_lookup_skb",
    "udp4": "__udp4_lib_lookup_skb",
    "udp6": "__udp6_lib_lookup_skb",
}
# What else the driver calls, by the first word of the macro that it does it with: of several, the first that is there.
_STEAL, _DEMUX, _HELPER = "STEAL", "DEMUX", "HELPER"
CALLS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "tcp4": {_HELPER: ("__inet_lookup",)},
    "tcp6": {_HELPER: ("__inet6_lookup",)},
    "udp4": {
        _STEAL: ("inet_steal_sock", "skb_steal_sock"),
        _DEMUX: ("udp_v4_early_demux",),
        _HELPER: ("__udp4_lib_lookup",),
    },
    "udp6": {
        _STEAL: ("inet6_steal_sock", "skb_steal_sock"),
        _DEMUX: ("udp_v6_early_demux",),
        _HELPER: ("__udp6_lib_lookup",),
    },
}
# What a lookup's callers pass otherwise than others, and what a BPF helper does.
_ADDRESSES6 = {"saddr": "SADDR6", "daddr": "DADDR6"}
_OWN: Mapping[str, Mapping[str, str]] = {
    "tcp4": {},
    "tcp6": {"iif": "iif_of_caller()", "sdif": "sdif_of_caller()", **_ADDRESSES6},
    "udp4": {"ehashfn": "udp_ehashfn"},
    "udp6": {"ehashfn": "udp6_ehashfn", **_ADDRESSES6},
}
_OF_HELPER = {
    "skb": "NULL",
    "doff": "0",
    "dif": "in->packet.skb_iif",
    "iif": "in->packet.skb_iif",
    "sdif": "in->packet.sdif",
}
# What each argument gets, by its name: an expression of csrc/driver/roots.c, where the call is made.
BY_NAME = {
    "hashinfo": "hashinfo_of_caller()",
    "udptable": "udp_table_of_caller()",
    "saddr": "SADDR",
    "daddr": "DADDR",
    "hnum": "in->packet.dport",
    "skb": "&arena.skb",
    "doff": "in->packet.doff",
    "sport": "htons(in->packet.sport)",
    "dport": "htons(in->packet.dport)",
    "sdif": "in->packet.sdif",
    "refcounted": "refcounted",
    "net": "net_at(in->packet.netns)",
    "dif": "inet_iif(&arena.skb)",
    "iif": "inet_iif(&arena.skb)",
}
# What one with another name gets, by its type without const: there is only one of each in a lookup.
BY_TYPE = {
    "struct inet_hashinfo *": BY_NAME["hashinfo"],
    "struct udp_table *": BY_NAME["udptable"],
    "struct sk_buff *": BY_NAME["skb"],
    "struct net *": BY_NAME["net"],
}
# Where a function may leave an answer that the lookup does not need: it gets zeroed room for it.
_ANSWER = re.compile(r"(?:enum \w+|bool|int|long|u8|u16|u32|u64|unsigned int) \*")


def has_lookup(lookup: str, config: Config) -> bool:
    """Whether a kernel of a configuration has a lookup: IPv6's are there with CONFIG_IPV6."""
    return config.ipv6 or not lookup.endswith("6")


def root_call(kernel: Iterable[Definition], lookup: str) -> str:
    """The C expression that calls a lookup's root, if it is among a kernel's definitions, for csrc/driver/roots.c; ""
    without it.

    Each argument is known by its name, or by a type of which a lookup has only one. Raises CannotRun for one that is
    not: what to pass is not to be guessed.
    """
    return _call(kernel, (ROOTS[lookup],), _OWN[lookup])


def calls(kernel: Iterable[Definition], lookup: str, roles: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """The same of what else the driver calls for a lookup, by the names of its macros; `roles` are the names that
    functions which are known here have in this kernel.
    """
    kernel = [*kernel]
    own = {**_OWN[lookup]}
    found = {
        what: _call(kernel, [roles.get(name, name) for name in names], own | _OF_HELPER if what == _HELPER else own)
        for what, names in CALLS[lookup].items()
    }
    return {f"{what}_CALL_{lookup.upper()}": call for what, call in found.items() if call}


def _call(kernel: Iterable[Definition], names: Sequence[str], own: Mapping[str, str]) -> str:
    functions = {d.name: d for d in kernel if d.kind == "function" and d.name in names}
    name = next((name for name in names if name in functions), "")
    if not name:
        return ""
    values = [
        own.get(argument) or _value(functions[name], kind, argument) for kind, argument in parameters(functions[name])
    ]
    return f"{name}({', '.join(values)})"


def parameters(function: Definition) -> list[tuple[str, str]]:
    """Type and name of each parameter of a function, as the text declares them. Only what a pointer points to keeps its
    const.
    """
    lists = captures("(function_declarator parameters: (_) @list)", parse(function.text))
    found = []
    for node in lists[0].node.named_children if lists else ():
        if node.type != "parameter_declaration":
            continue
        text = text_of(node)
        words = re.findall(r"\w+|\*", re.sub(r"\bconst\b", " ", text))
        stars = words.count("*")
        names = [word for word in words if word != "*"]
        kind = names[:-1] if len(names) > 1 else names
        kind = ["const", *kind] if stars and re.search(r"\bconst\b", text.partition("*")[0]) else kind
        found.append((" ".join([*kind, *("*" * stars and ["*" * stars])]), names[-1] if len(names) > 1 else ""))
    return found


def _value(root: Definition, kind: str, name: str) -> str:
    value = BY_NAME.get(name) or BY_TYPE.get(kind.removeprefix("const "))
    if value is not None:
        return value
    if _ANSWER.fullmatch(kind):
        return "zeroed_answer()"
    raise CannotRun(
        f"{root.file}:{root.line}: {root.name}() has an argument that skdiff does not know: '{kind} {name}'. Say what a"
        " lookup passes there in BY_NAME of harness/skdiff/kernel/root_call.py, and if that needs something new, in"
        " call_root() of csrc/driver/roots.c"
    )
