"""A case as a drawing: the packet, the tables that were searched, the sockets, and who gets the packet on each side."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import graphviz

from skdiff.base.errors import CannotRun
from skdiff.base.files import from_json, to_json
from skdiff.cases.addresses import joined, mapped, with_port
from skdiff.cases.case_file import Case
from skdiff.cases.case_values import address
from skdiff.cases.event_text import action_text, point_text
from skdiff.cases.events import brought
from skdiff.cases.fields import FAMILIES, KINDS, PROTOCOLS, STATES
from skdiff.cases.scenario import (
    AF_INET,
    EHASH,
    IPPROTO_TCP,
    KIND_FULL,
    LHASH2,
    NONE,
    STALE,
    TCP4,
    TCP6,
    UDP4,
    UDP6,
    UDP_HASHED,
    Packet,
    Program,
    Sock,
)
from skdiff.cases.steps import VALUES, Step
from skdiff.comparison.mismatch_text import names_of
from skdiff.comparison.parting import Parting
from skdiff.findings.step_words import SOCKETS
from skdiff.oracles.model.functions import FUNCTIONS

# Dot and the browser measure text with fonts of their own; a character of these is 0.6 em wide in either.
FONT = "Courier,monospace"
TABLES = {EHASH: "ehash", LHASH2: "lhash2", UDP_HASHED: "UDP's tables"}
TCP = (TCP4, TCP6)
UDP = (UDP4, UDP6)


def named(what: str, lookups: Sequence[int] = (*TCP, *UDP)) -> frozenset[str]:
    """The names of a kernel function in lookups that have it; `what` is a field of Functions."""
    return frozenset(getattr(FUNCTIONS[lookup], what) for lookup in lookups) - {""}


# A step of one of these functions says that the table was searched, even if the search never returned.
SEARCHES = {
    EHASH: named("established") | named("match", TCP) | {"refcount_inc_not_zero", "sock_gen_put"},
    LHASH2: named("walk", TCP) | named("score", TCP),
    UDP_HASHED: named("walk", UDP)
    | named("score", UDP)
    | named("connected", UDP)
    | named("demux", UDP)
    | named("mcast_demux", UDP),
}
WALKS = {LHASH2: named("walk", TCP), UDP_HASHED: named("walk", UDP)}
FINDERS = (
    named("walk")
    | named("established")
    | named("connected")
    | named("fallback")
    | named("demux")
    | named("mcast_demux")
)
GROUPS = named("reuseport")
PROGRAMS, IIF = named("run_array"), named("iif")
ANSWERS = named("lookup_skb") | named("lookup")
STEALS = named("steal_sock") | {"skb_steal_sock"}
BOTH, FIRST, SECOND, MET, PLAIN = "#b9f0c0", "#ffd3a6", "#bcdcff", "#fff9c9", "#ffffff"
QUIET, GREEN = "#757575", "#1b6e2f"


@dataclass(frozen=True)
class Side:
    """One side of a drawing: the oracle's name, and its steps."""

    name: str
    steps: Sequence[Step]

    @property
    def returned(self) -> bool:
        """Whether the lookup came to an answer: one that crashed or did not end has none."""
        return self._answer is not None

    @property
    def winner(self) -> int:
        """The index of the socket that gets the packet, or NONE."""
        return NONE if self._answer is None else max(self._answer, NONE)

    @property
    def _answer(self) -> int | None:
        """What the last step that can be an answer says. For the whole road of a datagram no function of the kernel is
        called: a socket that was stolen is the answer, and nobody if nothing follows. TCP asks for the device of IPv6
        before that, and for that of IPv4 behind it.
        """
        last = next((step for step in reversed(self.steps) if step.function in ANSWERS | STEALS), None)
        if last is None:
            return None
        over = last is self.steps[-1] and self.steps[0].function not in IIF
        return last.values[0] if last.function in ANSWERS or last.values[0] != NONE or over else None

    @property
    def met(self) -> set[int]:
        """The indexes of the sockets that a step names."""
        named = ((VALUES[step.function], step.values) for step in self.steps)
        return {v for names, values in named for name, v in zip(names, values, strict=False) if name in SOCKETS}

    @property
    def found(self) -> set[int]:
        """The indexes of the sockets that a search in a table ended with; for a member of a group that answered, the
        socket whose group was asked: that one is in the chain. A search that found nobody adds nobody.
        """
        found: set[int] = set()
        asked = answered = NONE
        for step in self.steps:
            if step.function in GROUPS:
                asked, answered = step.values
            elif step.function in FINDERS and (sk := step.values[-1]) >= 0:
                found.add(asked if sk == answered and asked >= 0 else sk)
            if step.function in FINDERS:
                asked = answered = NONE
        return found

    def searched(self, table: int) -> bool:
        """Whether the lookup searched a table, EHASH or LHASH2."""
        return any(step.function in SEARCHES[table] for step in self.steps)


def sides(parted: Parting) -> list[Side]:
    """The sides of two traces."""
    return [Side(name, steps) for name, steps in zip(parted.names, parted.traces, strict=True)]


def draw(path: Path, case: Case, sides: Sequence[Side], picture: str = "") -> None:
    """Write the drawing of a case to a file: dot's own text, or a picture ("svg"). Raises CannotRun."""
    graph = drawing(case, sides)
    try:
        path.write_bytes(graph.pipe(picture) if picture else graph.source.encode())
    except graphviz.ExecutableNotFound as error:
        raise CannotRun("no dot to draw with: install graphviz, or use --dot") from error
    except graphviz.CalledProcessError as error:
        raise CannotRun(f"dot cannot draw {path}: it ended with {error.returncode}") from error
    except OSError as error:
        raise CannotRun(f"cannot write {path}: {error.strerror}") from error


def svg(case: Case, sides: Sequence[Side]) -> str:
    """The drawing as an <svg> element to put into a page; "" without dot, or where dot fails."""
    try:
        text = str(drawing(case, sides).pipe("svg", encoding="utf-8"))
    except (graphviz.ExecutableNotFound, graphviz.CalledProcessError, OSError):
        return ""
    return text[text.index("<svg") :]


def sides_text(sides: Sequence[Side]) -> str:
    """The sides of a finding, a line of JSON each, to draw them later without a kernel: `read_sides` reads it."""
    return "".join(to_json(side) + "\n" for side in sides)


def read_sides(text: str) -> list[Side]:
    """What `sides_text` wrote, without steps that nobody knows any more. Raises ValueError for another text."""
    sides = [from_json(line, Side) for line in text.splitlines()]
    return [Side(side.name, [step for step in side.steps if step.function in VALUES]) for side in sides]


def drawing(case: Case, sides: Sequence[Side]) -> graphviz.Digraph:
    """The tables and the walked path. What a side met is yellow; who gets the packet is green, or, if the sides do not
    agree, orange for the first and blue for the second. Tables that nobody searched are grey and have no arrows. A bold
    arrow leads to what a search found: one that found nobody has none.
    """
    graph = graphviz.Digraph(
        graph_attr={"rankdir": "LR", "nodesep": "0.2", "ranksep": "0.45", "fontname": FONT},
        node_attr={"shape": "box", "fontname": FONT, "fontsize": "12", "margin": "0.16,0.09"},
        edge_attr={"fontname": FONT, "fontsize": "11"},
    )
    graph.node("skb", _label("packet", _packet(case.scenario.packet)), shape="cds", margin="0.25,0.15")
    _draw_sockets(graph, case, sides)
    _draw_tables(graph, case, sides)
    _draw_groups(graph, case)
    _draw_programs(graph, case, sides)
    _draw_events(graph, case)
    _draw_winners(graph, case.scenario.lookup, sides)
    return graph


def _draw_sockets(graph: graphviz.Digraph, case: Case, sides: Sequence[Side]) -> None:
    scenario = case.scenario
    many = len(scenario.netns) > 1
    for index, (name, s) in enumerate(zip(names_of(case)[0], scenario.socks, strict=True)):
        lines = [*_socket(s), *([f"namespace {s.netns}"] if many else [])]
        graph.node(f"sock{index}", _label(name, lines), style="filled", fillcolor=_colour(index, sides))
        if s.listener != NONE:
            graph.edge(f"sock{index}", f"sock{s.listener}", label="listener", style="dashed")
    if scenario.packet.sk != NONE:
        met = any(scenario.packet.sk in side.met for side in sides)
        graph.edge("skb", f"sock{scenario.packet.sk}", label="skb->sk", penwidth="2" if met else "1")


def _colour(index: int, sides: Sequence[Side]) -> str:
    winners = [side.returned and side.winner == index for side in sides]
    if any(winners):
        return BOTH if all(winners) else FIRST if winners[0] else SECOND
    return MET if any(index in side.met for side in sides) else PLAIN


def _draw_tables(graph: graphviz.Digraph, case: Case, sides: Sequence[Side]) -> None:
    """The tables with their sockets: those that were searched, and those that hold a socket without being searched. A
    dashed line leads to who comes later, by an event, and is in no table before.
    """
    udp = case.scenario.lookup in UDP
    later = brought(case.scenario.events)
    for table, name in TABLES.items():
        held = [i for i, s in enumerate(case.scenario.socks) if s.hashed == table]
        searchers = [side for side in sides if side.searched(table)] if (table == UDP_HASHED) == udp else []
        if searchers:
            by = "" if len(searchers) == len(sides) else f"by {' and '.join(side.name for side in searchers)} only"
            graph.node(name, _label(name, [by] if by else []), shape="cylinder")
            graph.edge("skb", name, label=_addresses(table, searchers))
        elif held:
            graph.node(name, _label(name, ["not searched"]), shape="cylinder", color=QUIET, fontcolor=QUIET)
        for index in held:
            found = any(index in side.found for side in searchers)
            how = (
                {"penwidth": "2" if found else "1"} if searchers else {"dir": "none", "style": "dotted", "color": QUIET}
            )
            if index in later:
                how |= {"label": "comes later", "style": "dashed" if searchers else "dotted"}
            graph.edge(name, f"sock{index}", **how)


def _addresses(table: int, searchers: Sequence[Side]) -> str:
    """The local addresses that sockets were looked for with, in the order of the searches."""
    walks = WALKS.get(table, frozenset())
    searches = [step.values[:-1] for side in searchers for step in side.steps if step.function in walks]
    return "\n".join(
        f"{'then' if i else 'for'} {daddr}" for i, daddr in enumerate(dict.fromkeys(map(_searched, searches)))
    )


def _searched(values: Sequence[int]) -> str:
    """An address of IPv4, or one of IPv6 in two halves; a wildcard is that of its family."""
    if len(values) == 1:
        return address(mapped(*values))
    return address(joined(*values)) if any(values) else "::"


def _draw_groups(graph: graphviz.Digraph, case: Case) -> None:
    for number, (name, group) in enumerate(zip(names_of(case)[1], case.scenario.groups, strict=True)):
        graph.node(f"group{number}", _label(name, ["reuseport group"]), shape="ellipse", margin="0.05,0.05")
        members = dict.fromkeys(group.slots[: group.num_socks])
        for index in members:
            alike = case.scenario.socks[index].group == number
            only = {} if alike else {"label": "member without sk_reuseport_cb"}
            graph.edge(f"sock{index}", f"group{number}", style="dashed", dir="both" if alike else "back", **only)
        for index, s in enumerate(case.scenario.socks):
            if s.group == number and index not in members:
                why = "stale or closed" if index in group.slots else "no member"
                graph.edge(f"sock{index}", f"group{number}", style="dashed", label=why)


def _draw_programs(graph: graphviz.Digraph, case: Case, sides: Sequence[Side]) -> None:
    """The sk_lookup programs of the packet's namespace, if they ran."""
    if not any(step.function in PROGRAMS for side in sides for step in side.steps):
        return
    for number, program in enumerate(case.scenario.netns[case.scenario.packet.netns].progs):
        name = f"program{number}"
        graph.node(name, _label("sk_lookup program", _program(program)), shape="component")
        graph.edge("skb", name)
        if program.assign >= 0:
            graph.edge(name, f"sock{program.assign}", label="bpf_sk_assign()")


def _program(program: Program) -> Iterator[str]:
    if program.assign == NONE:
        yield "assigns NULL"
    if program.no_reuseport:
        yield "NO_REUSEPORT"
    yield "says SK_PASS" if program.verdict else "says SK_DROP"


def _draw_events(graph: graphviz.Digraph, case: Case) -> None:
    """What other CPUs do meanwhile, and when; arrows lead to whom it happens to."""
    socks, groups, *_ = names_of(case)
    for number, event in enumerate(case.scenario.events, 1):
        lines = [point_text(event, socks), action_text(event, socks, groups)]
        graph.node(f"event{number}", _label(f"event {number}", lines), shape="octagon")
        for index in (event.sk, event.other):
            if index != NONE:
                graph.edge(f"event{number}", f"sock{index}", style="dotted")


def _draw_winners(graph: graphviz.Digraph, lookup: int, sides: Sequence[Side]) -> None:
    """Who gets the packet: one sign if the sides agree, one for each if they do not."""
    agreed = len({(side.returned, side.winner) for side in sides}) == 1
    names = [" and ".join(side.name for side in sides)] if agreed else [side.name for side in sides]
    for number, (name, side) in enumerate(zip(names, sides, strict=False)):
        colour = BOTH if agreed else (FIRST, SECOND)[number % 2]
        graph.node(f"end{number}", _label(name, [_end(lookup, side)]), shape="note", style="filled", fillcolor=colour)
        if side.winner != NONE:
            graph.edge(f"sock{side.winner}", f"end{number}", color=GREEN, penwidth="3")
        else:
            graph.edge("skb", f"end{number}", style="invis")


def _end(lookup: int, side: Side) -> str:
    """What became of the packet."""
    if not side.returned:
        return "no answer: it does not return"
    if side.winner != NONE:
        return "gets the packet"
    last = side.steps[-1] if side.steps else None
    # Nobody was on the sk_buff, nor an error, and yet UDP's tables were not searched.
    if lookup in UDP and last is not None and last.function in STEALS and last.values[0] == NONE:
        return "delivery to many, not looked at"
    return "nobody gets the packet"


def _label(title: str, lines: Iterator[str] | Sequence[str]) -> str:
    """A label of several lines, the first bold, in dot's own kind of HTML."""
    rest = "".join(f"<br/>{escape(line)}" for line in lines)
    return f"<<b>{escape(title)}</b>{rest}>"


def _packet(p: Packet) -> list[str]:
    lines = [f"from {with_port(p.saddr, p.sport)}", f"to {with_port(p.daddr, p.dport)}"]
    lines.append(f"device {p.rt_iif or p.skb_iif}" + (f", sdif {p.sdif}" if p.sdif else ""))
    return [*lines, f"namespace {p.netns}"] if p.netns else lines


def _socket(s: Sock) -> Iterator[str]:
    """What the lookup looks at of a socket, a line each."""
    family = "" if s.family == AF_INET else f" {FAMILIES.get(s.family, s.family)}"
    protocol = "" if s.protocol == IPPROTO_TCP else f" {PROTOCOLS.get(s.protocol, s.protocol)}"
    kind = f" ({KINDS[s.kind]})" if s.kind != KIND_FULL else ""
    yield f"{STATES[s.state]}{family}{protocol}{kind}"
    yield f"at {with_port(s.rcv_saddr, s.num)}"
    if s.daddr or s.dport:
        yield f"peer {with_port(s.daddr, s.dport)}"
    yield f"device {s.bound_dev_if}" if s.bound_dev_if else "any device"
    if s.hash2 == STALE:
        yield "in the wildcard's chain still"
    if s.reuseport:
        yield "SO_REUSEPORT"
    if s.kind == KIND_FULL and s.incoming_cpu != NONE:
        yield f"SO_INCOMING_CPU {s.incoming_cpu}"
