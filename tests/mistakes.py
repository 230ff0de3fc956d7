"""Mistakes that one could have made in the model, each a few words of one function, to see who notices."""

import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, reduce
from importlib import import_module
from types import CodeType
from typing import Any, NamedTuple


class Mistake(NamedTuple):
    """In a function of the model, `where` ("module.name"), the one `old` becomes `new`."""

    name: str
    where: str
    old: str
    new: str

    @property
    def function(self) -> Any:
        """The function."""
        module, *names = self.where.split(".")
        return reduce(getattr, names, import_module(f"skdiff.oracles.model.{module}"))


MISTAKES = [
    Mistake("a device does not score", "score.compute_score", "return score + weights.device if", "return score if"),
    Mistake("SO_INCOMING_CPU does not score", "score.compute_score", "(sock.incoming_cpu == state.cpu)", "0"),
    Mistake("ipv6only is not asked for", "score.compute_score", "if sock.ipv6only and", "if not sock and"),
    Mistake("AF_INET does not score", "score.compute_score", "score += weights.ipv4", "score += 0"),
    Mistake("a peer does not score", "score.compute_score", "score += weights.peer * (", "score += 0 * ("),
    Mistake("of equal listeners the last one", "listeners._best_listener", "score > best_score", "score >= best_score"),
    Mistake(
        "a group does not end the search",
        "listeners._best_listener",
        "                return member",
        "                best, best_score = member, score\n                continue",
    ),
    Mistake(
        "a wildcard's group hashes the address", "listeners._best_listener", "index, daddr)", "index, state.daddr)"
    ),
    Mistake("members are not at the tail", "hash_tables.Tables.__init__", "side = tails if", "side = heads if"),
    Mistake(
        "the oldest connection first",
        "hash_tables.Tables.__init__",
        "connections = {key: indices[::-1]",
        "connections = {key: indices",
    ),
    Mistake("a connection takes any device", "established._first_match", "if fits:", "if fits or True:"),
    Mistake(
        "sdif does not count", "device.inet_sk_bound_dev_eq", "bound in (state.dif, sdif)", "bound in (state.dif,)"
    ),
    Mistake("an early drop stands", "sk_lookup.bpf_sk_lookup_run", "if chosen == NONE and any(", "if any("),
    Mistake("the first program's choice stands", "sk_lookup._choice", "in reversed(progs)", "in progs"),
    Mistake("no_reuseport is not heard", "sk_lookup.inet_lookup_run_sk_lookup", "if no_reuseport:", "if not state:"),
    Mistake("what is attached is not chosen anew", "steal.inet_steal_sock", "if sock.state != listening:", "if state:"),
    Mistake(
        "a cleared SO_REUSEPORT is not seen",
        "reuseport.inet_lookup_reuseport",
        "if state.socks[index].reuseport:",
        "if state:",
    ),
    Mistake(
        "the next slot",
        "reuseport.reuseport_select_sock_by_hash",
        "start = reciprocal_scale(phash, members)",
        "start = (reciprocal_scale(phash, group.num_socks) + 1) % group.num_socks",
    ),
    Mistake(
        "a group does not ask for the CPU",
        "reuseport.reuseport_select_sock_by_hash",
        "if group.incoming_cpu:",
        "if not state:",
    ),
    Mistake(
        "a group's program does not drop",
        "reuseport.bpf_run_sk_reuseport",
        "group.verdict == SK_PASS",
        "group.verdict >= 0",
    ),
    Mistake(
        "a filter's index wraps",
        "reuseport.run_bpf_filter",
        "state.groups[number].slots[group.returns] if group.returns < members else NONE",
        "group.slots[group.returns % group.num_socks]",
    ),
    Mistake(
        "the local port is hashed", "reuseport._hash_of_packet", "rules.lport_added and", "not rules.lport_added and"
    ),
    Mistake(
        "a connected one of UDP is no answer yet", "udp._search", "if exact not in (NONE, DROP) and", "if not state and"
    ),
    Mistake(
        "UDP's programs are asked for what is found",
        "udp._search",
        "if exact != NONE:",
        "if exact == NONE and not state:",
    ),
    Mistake("has_conns is not seen", "udp._best", "if not reuseport_has_conns(state, index):", "if state:"),
    Mistake("hash4 takes any device", "hash4.inet_match", "return fits", "return fits or True"),
    Mistake(
        "a program is shown no device", "sk_lookup.bpf_sk_lookup_run", "(packet.dport, state.dif", "(packet.dport, 0"
    ),
    Mistake("a program is shown another hash", "reuseport.bpf_run_sk_reuseport", "index, phash,", "index, phash ^ 1,"),
    Mistake(
        "a group's program chooses nobody", "reuseport.bpf_run_sk_reuseport", "return group.select if", "return NONE if"
    ),
    Mistake("the listeners come first", "lookup.inet_lookup", "if chosen == NONE:", "if state:"),
]


@cache
def _code(mistake: Mistake) -> CodeType:
    source = textwrap.dedent(inspect.getsource(mistake.function))
    old, new = mistake.old.strip(), mistake.new.strip()
    assert source.count(old) == 1, mistake.name
    names: dict[str, Any] = {}
    exec(compile(source.replace(old, new), mistake.name, "exec"), mistake.function.__globals__, names)
    code: CodeType = names[mistake.function.__name__].__code__
    return code


@contextmanager
def made(mistake: Mistake) -> Iterator[None]:
    """The model makes this mistake, for a while."""
    function, right = mistake.function, mistake.function.__code__
    function.__code__ = _code(mistake)
    try:
        yield
    finally:
        function.__code__ = right
