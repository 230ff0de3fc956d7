"""How the driver calls a tree's roots, __inet_lookup_skb() and its like: with the arguments that this tree declares."""

import re
from collections.abc import Iterable, Mapping

from skdiff.base.errors import CannotRun
from skdiff.kernel.index import Definition
from skdiff.kernel.syntax import captures, parse, text_of
from skdiff.variants.config import Config

# The root of each lookup, and what its caller passes otherwise than others.
ROOTS: Mapping[str, str] = {"tcp4": "__inet_lookup_skb", "tcp6": "__inet6_lookup_skb"}
_OWN: Mapping[str, Mapping[str, str]] = {"tcp6": {"iif": "iif_of_caller()", "sdif": "sdif_of_caller()"}}
# What each argument gets, by its name: an expression of csrc/driver/roots.c, where the call is made.
BY_NAME = {
    "hashinfo": "hashinfo_of_caller()",
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
    roots = [d for d in kernel if d.kind == "function" and d.name == ROOTS[lookup]]
    if not roots:
        return ""
    root = roots[-1]
    own = _OWN.get(lookup, {})
    values = [own.get(name) or _value(root, kind, name) for kind, name in parameters(root)]
    return f"{root.name}({', '.join(values)})"


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
