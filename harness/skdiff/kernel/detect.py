"""Which rules a kernel's text has: each is a small question about a function's syntax tree."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from skdiff.kernel.index import Definition
from skdiff.kernel.roles import Functions, players
from skdiff.kernel.syntax import captures, parse, text_of
from skdiff.variants.version_rules import Rules

_ROOT, _LISTENERS, _ESTABLISHED = "__inet_lookup_skb", "__inet_lookup_listener", "__inet_lookup_established"
_STEAL, _EHASHFN, _INSERT = "skb_steal_sock", "inet_ehashfn", "inet_ehash_insert"
_TIMEWAIT, _TIMEWAIT_BEFORE = "inet_twsk_hashdance_schedule", "inet_twsk_hashdance"  # 6.10 renamed it
_EHASHFN6, _ESTABLISHED6 = "inet6_ehashfn", "__inet6_lookup_established"
_UDP, _UDP_ROOT, _UDP_BPF = "__udp4_lib_lookup", "__udp4_lib_lookup_skb", "udp4_lookup_run_bpf"
_DEMUX, _MCAST_DEMUX = "udp_v4_early_demux", "__udp4_lib_mcast_demux_lookup"
_HASH4, _DISCONNECT, _REHASH = "udp_lib_hash4", "udp_disconnect", "udp_lib_rehash"
# These have no other names: nobody else is known by what they mention. UDP's twins of IPv6 have the same rules.
_BY_NAME = (
    *(_INSERT, _TIMEWAIT, _EHASHFN6, _ESTABLISHED6, _UDP, _UDP_ROOT, _UDP_BPF, _DEMUX, _MCAST_DEMUX),
    *(_HASH4, _DISCONNECT, _REHASH),
)
# The functions whose text tells of a rule: without any of them it cannot be told.
_SHOWN_BY = {
    "reselect": (_ROOT,),
    "shared_sk_lookup": (_LISTENERS,),
    "syncookie": (_STEAL,),
    "lport_added": (_EHASHFN,),
    "whole_hash6": (_EHASHFN6,),
    "own_tables": (_ROOT,),
    "sk_lookup_always": (_LISTENERS,),
    "unhashed_check": (_ESTABLISHED,),
    "ehash_replace": (_INSERT,),
    "twsk_replace": (_TIMEWAIT,),
    "udp_pernet": (_MCAST_DEMUX,),
    "demux_pfree": (_DEMUX,),
    "hash4": (_UDP,),
    "hash4_again": (),  # see below
    "unhash4_first": (_DISCONNECT,),
    "wildcard_unhash4": (_REHASH,),
    "lookup1": (_UDP,),
    "udp_own_tables": (_UDP_ROOT,),
    "udp_sk_lookup_always": (_UDP,),
}


@dataclass(frozen=True)
class TextRules:
    """The rules that a text has; `unknown` are those of which it does not tell, for want of the function; `roles` as in
    `harness/skdiff/kernel/roles.py`.
    """

    rules: Rules
    unknown: tuple[str, ...]
    roles: Mapping[str, str]


def detect(kernel: Iterable[Definition]) -> TextRules:
    """The rules in the definitions of a kernel's files. What cannot be told counts as off, and is named."""
    functions = Functions(kernel)
    playing = players(functions)
    played = {role: found[0].name for role, found in playing.items()} | {name: name for name in _BY_NAME}

    def texts(role: str) -> list[Definition]:
        if role == _TIMEWAIT:
            return functions.any(role) or functions.any(_TIMEWAIT_BEFORE)
        return functions.any(role) if role in _BY_NAME else playing.get(role, [])

    def helpers(role: str) -> list[Definition]:
        """The functions of the same file that a function calls and that have no part of their own."""
        own = texts(role)
        files, names = {d.file for d in own}, {r.name for d in own for r in d.references} - {*played.values()}
        found = (d for name in sorted(names) for file in sorted(files) for d in functions.seen(name, file))
        return [*dict.fromkeys(d for d in found if d.file in files)]

    def mentions(role: str, word: str) -> bool:
        """Whether a function, or a helper of its, names another one, or a member, whose name has the word in it."""
        return any(word in reference.name for d in (*texts(role), *helpers(role)) for reference in d.references)

    asks = next((role for role in _ASKS_PROGRAMS if role in played and mentions(_LISTENERS, played[role])), "")
    stealing = played.get("inet_steal_sock", "")
    rules = Rules(
        reselect=bool(stealing)
        and mentions(_ROOT, stealing)
        and mentions("inet_steal_sock", played.get(_REUSEPORT, _REUSEPORT)),
        shared_sk_lookup=asks == _ASKS_PROGRAMS[0],
        syncookie=mentions(_STEAL, "syncookie"),
        lport_added=any(map(_leaves_the_port_out, texts(_EHASHFN))),
        whole_hash6=bool(texts(_EHASHFN6)) and not mentions(_EHASHFN6, "__inet6_ehashfn"),
        own_tables=bool(texts(_ROOT)) and not any("inet_hashinfo" in _parameters(d) for d in texts(_ROOT)),
        sk_lookup_always=bool(texts(_LISTENERS))
        and not any(map(_compares_tables, (*texts(_LISTENERS), *helpers(_LISTENERS), *texts(asks)))),
        # A tree that has it for one family only differs for the other.
        unhashed_check=mentions(_ESTABLISHED, "unhashed") or mentions(_ESTABLISHED6, "unhashed"),
        ehash_replace=mentions(_INSERT, "replace"),
        twsk_replace=mentions(_TIMEWAIT, "replace"),
        udp_pernet=any(r.kind == "field" and r.name == "udp_table" for d in texts(_MCAST_DEMUX) for r in d.references),
        demux_pfree=mentions(_DEMUX, "sock_pfree"),
        hash4=mentions(_UDP, "hash4"),
        hash4_again=any(r.name == "udp_rehash4" for d in texts(_HASH4) for r in d.references),
        unhash4_first=mentions(_DISCONNECT, "unhash4"),
        wildcard_unhash4=any(r.name == "udp_unhash4" for d in texts(_REHASH) for r in d.references),
        lookup1=mentions(_UDP, "lookup1"),
        udp_own_tables=bool(texts(_UDP_ROOT)) and not any("udp_table" in _parameters(d) for d in texts(_UDP_ROOT)),
        udp_sk_lookup_always=bool(texts(_UDP))
        and not any(map(_compares_tables, (*texts(_UDP), *helpers(_UDP), *texts(_UDP_BPF)))),
    )
    unknown = [rule for rule, needed in _SHOWN_BY.items() if not all(map(texts, needed))]
    if not asks:  # the programs may be asked anywhere
        unknown += [rule for rule in ("shared_sk_lookup", "sk_lookup_always") if rule not in unknown]
    if (rules.hash4 or not texts(_UDP)) and not texts(_HASH4):  # a tree without hash4 has no such function
        unknown.append("hash4_again")
    return TextRules(rules, tuple(unknown), played)


_REUSEPORT = "inet_lookup_reuseport"
_ASKS_PROGRAMS = ("inet_lookup_run_sk_lookup", "inet_lookup_run_bpf")


# The parameters of a function, and those of what it points to; the names of all of them; what is hashed with all ports;
# and where tables of sockets are compared with one another.
_PARAMETERS = "(parameter_list) @parameters"
_NAMES = "(parameter_declaration declarator: (_) @name)"
_HASHED = """
    (call_expression
      function: (identifier) @function
      arguments: (argument_list) @arguments
      (#match? @function "^__inet_ehashfn"))
"""
_COMPARED = '((binary_expression operator: ["==" "!="]) @tables (#match? @tables "hashinfo|udp_?table"))'


def _texts(definition: Definition, query: str, name: str) -> list[str]:
    """The texts that a query captures by a name in a definition."""
    return [text_of(node) for capture, node in captures(query, parse(definition.text)) if capture == name]


def _parameters(definition: Definition) -> str:
    """A function's parameters, as they stand."""
    return next(iter(_texts(definition, _PARAMETERS, "parameters")), "")


def _leaves_the_port_out(definition: Definition) -> bool:
    """Whether inet_ehashfn() hashes without its third parameter, the local port."""
    parameters, hashed = _texts(definition, _NAMES, "name"), _texts(definition, _HASHED, "arguments")
    return bool(hashed) and not any(re.search(rf"\b{port}\b", text) for port in parameters[2:3] for text in hashed)


def _compares_tables(definition: Definition) -> bool:
    """Whether a function compares tables of sockets with one another."""
    return bool(_texts(definition, _COMPARED, "tables"))
