"""How the driver calls a tree's root: with the arguments that this tree's __inet_lookup_skb() declares."""

import re
from collections.abc import Iterable

from skdiff.base.errors import CannotRun
from skdiff.kernel.index import Definition
from skdiff.kernel.syntax import captures, parse, text_of

ROOT = "__inet_lookup_skb"
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


def root_call(kernel: Iterable[Definition]) -> str:
    """The C expression that calls the root among a kernel's definitions, for csrc/driver/roots.c; "" without a root.

    Each argument is known by its name, or by a type of which a lookup has only one. Raises CannotRun for one that is
    not: what to pass is not to be guessed.
    """
    roots = [d for d in kernel if d.kind == "function" and d.name == ROOT]
    if not roots:
        return ""
    root = roots[-1]
    values = [_value(root, kind, name) for kind, name in parameters(root)]
    return f"{ROOT}({', '.join(values)})"


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
        f"{root.file}:{root.line}: {ROOT}() has an argument that skdiff does not know: '{kind} {name}'. Say what a"
        " lookup passes there in BY_NAME of harness/skdiff/kernel/root_call.py, and if that needs something new, in"
        " call_root() of csrc/driver/roots.c"
    )
