"""A mismatch for people: the scenario in words, both outcomes side by side, and how to see it again."""

from collections.abc import Iterator, Sequence
from io import StringIO
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table

from skdiff.base.words import counted
from skdiff.cases.addresses import with_port
from skdiff.cases.case_file import Case, default_names
from skdiff.cases.case_values import show
from skdiff.cases.event_text import event_text
from skdiff.cases.events import brought
from skdiff.cases.field_kinds import Kind
from skdiff.cases.fields import DESTRUCTORS, FAMILIES, PKT_TYPES, PROTOCOLS, STATES, VERDICTS
from skdiff.cases.outcome import COMPARED, RETURNED, SHOWN_KINDS, UNSEEN, WRITTEN_NAMES, WRITTEN_SOCK, Outcome
from skdiff.cases.outcome_fields import OUTCOME_FIELDS, SHOWN_FIELDS
from skdiff.cases.overlooked import overlooked, twins
from skdiff.cases.scenario import (
    DEMUX,
    EHASH,
    FILTER,
    KIND_FULL,
    LEAVE,
    LHASH2,
    NONE,
    PROG_NONE,
    RECEIVE,
    SK_REUSEPORT,
    UDP_HASHED,
    UDP_LOOKUPS,
    Group,
    Netns,
    Scenario,
    Sock,
)
from skdiff.cases.validity import not_on
from skdiff.comparison.compare import Mismatch
from skdiff.variants.config import Config
from skdiff.variants.version_rules import Rules

_UNSEEN = "not seen"


def names_of(case: Case) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of a case's sockets and groups, made up where it has none."""
    socks, groups = default_names(case.scenario)
    return case.socks or socks, case.groups or groups


def describe_case(case: Case, rules: Rules | None = None, config: Config | None = None) -> list[str]:
    """The scenario, a line for each thing in it, in a reader's words, and whether it is reachable: on a kernel of these
    `rules` and in this configuration, if there are any.
    """
    scenario = case.scenario
    socks, groups = names_of(case)
    lines = [_packet(scenario, socks)]
    later = brought(scenario.events)
    lines += [_sock(socks[i], sock, socks, groups, i in later) for i, sock in enumerate(scenario.socks)]
    lines += [_group(name, group, socks) for name, group in zip(groups, scenario.groups, strict=True)]
    lines += [_netns(i, net, socks) for i, net in enumerate(scenario.netns)]
    lines += [f"event {i}: {event_text(event, socks, groups)}." for i, event in enumerate(scenario.events, 1)]
    lines += [*overlooked(scenario, socks), *twins(scenario, socks)]
    sizes = f"{scenario.ehash_size} ehash and {scenario.lhash2_size} lhash2 buckets"
    if scenario.lookup in UDP_LOOKUPS:
        sizes = f"{counted(scenario.udp_size, 'slot')} in each of UDP's tables"
    extra = [
        f"{sizes}, secret {scenario.hash_secret:#x}",
        f"CPU {scenario.cpu}",
        f"sk_lookup programs switched {'on' if scenario.sk_lookup_enabled else 'off'}",
    ]
    if scenario.ehash_nulls_xor:
        extra.append(f"spoilt end marks ({scenario.ehash_nulls_xor:#x}) in ehash and hash4")
    if scenario.foreign_hashinfo:
        extra.append("the caller passes foreign tables")
    elsewhere = not_on(scenario, rules, config) if rules is not None and not scenario.hostile else []
    extra += elsewhere or ["hostile" if scenario.hostile else "reachable"]
    return [*lines, "; ".join(extra) + "."]


def _packet(scenario: Scenario, socks: Sequence[str]) -> str:
    p = scenario.packet
    udp = scenario.lookup in UDP_LOOKUPS
    text = (
        f"{'UDP ' * udp}packet: {with_port(p.saddr, p.sport)} to {with_port(p.daddr, p.dport)} in namespace {p.netns},"
        f" rt_iif {p.rt_iif}, skb_iif {p.skb_iif}, sdif {p.sdif}, doff {p.doff}, {p.len} bytes"
    )
    if p.data_len:
        text += f" ({p.data_len} of them in pages)"
    if p.users != 1:
        text += f", shared by {p.users}"
    if p.pkt_type:
        text += f", {PKT_TYPES[p.pkt_type]} by its link layer"
    for flag, meaning in ((p.clone_fails, "no memory for a clone"), (p.pull_fails, "no memory for a pull")):
        text += f", {meaning}" if flag else ""
    if p.sk != NONE:
        text += f"; {socks[p.sk]} hangs on it, destructor {DESTRUCTORS[p.destructor]}"
    if scenario.caller != RECEIVE:
        asks = "early demux asks first" if scenario.caller == DEMUX else "a BPF helper asks, without an sk_buff"
        text += f"; {asks}"
    return text + "."


def _sock(name: str, s: Sock, socks: Sequence[str], groups: Sequence[str], comes_later: bool) -> str:
    table = {EHASH: "ehash", LHASH2: "lhash2", UDP_HASHED: "UDP's tables"}.get(s.hashed, "no table")
    parts = [
        f"{name}: {FAMILIES.get(s.family, s.family)} {PROTOCOLS.get(s.protocol, s.protocol)} {STATES[s.state]}",
        f"{with_port(s.rcv_saddr, s.num)}" + (f" from {with_port(s.daddr, s.dport)}" if s.daddr or s.dport else ""),
        f"comes into {table} of namespace {s.netns} later" if comes_later else f"in {table} of namespace {s.netns}",
    ]
    if s.bound_dev_if:
        parts.append(f"bound to device {s.bound_dev_if}")
    if s.ipv6only:
        parts.append("ipv6only")
    if s.incoming_cpu != NONE:
        parts.append(f"{'SO_INCOMING_CPU' if s.kind == KIND_FULL else 'rcv_wnd'} {s.incoming_cpu}")
    if s.reuseport:
        parts.append("SO_REUSEPORT")
    if s.reuseport_changed:
        when = "bind()" if s.hashed == UDP_HASHED else "listen()"
        parts.append(f"{'no ' if s.reuseport else ''}SO_REUSEPORT in {when}")
    if s.hash2:
        parts.append(("", "rehashed by connect()", "not rehashed yet, in the middle of connect()")[s.hash2])
    if s.mc_refuses:
        parts.append("refuses this multicast")
    if s.group != NONE:
        parts.append(f"in {groups[s.group]}")
    if s.rcu_free:
        parts.append("SOCK_RCU_FREE")
    if s.syncookie:
        parts.append("SYN cookie validated by BPF")
    if s.listener != NONE:
        parts.append(f"request to {socks[s.listener]}")
    if s.hash_kind:
        parts.append(("", "sk_hash is wrong", "sk_hash is the packet's")[s.hash_kind])
    if s.no_pprev:
        parts.append("marked as unhashed")
    return ", ".join([*parts, f"refcnt {s.refcnt}"]) + "."


def _group(name: str, g: Group, socks: Sequence[str]) -> str:
    live = ", ".join(socks[i] for i in g.slots[: g.num_socks]) or "nobody"
    text = f"{name}: live {live}"
    if len(g.slots) > g.num_socks:
        text += f"; stale or closed {', '.join(socks[i] for i in g.slots[g.num_socks :])}"
    if g.has_conns:
        text += "; has had connections"
    if g.incoming_cpu:
        text += f"; {g.incoming_cpu} asked for a CPU"
    if g.prog == FILTER:
        text += f"; a filter returns {g.returns}" + (" and uses skb->cb" if g.cb_access else "")
    elif g.prog == SK_REUSEPORT:
        chosen = socks[g.select] if g.select != NONE else "nothing"
        text += f"; an sk_reuseport program selects {chosen} and says {VERDICTS.get(g.verdict, g.verdict)}"
    elif g.prog == PROG_NONE:
        text += "; no program"
    return text + "."


def _netns(i: int, net: Netns, socks: Sequence[str]) -> str:
    text = f"namespace {i}: hash_mix {net.hash_mix:#x}, {'own' if net.own_hashinfo else 'shared'} tables"
    text += f", tcp_l3mdev_accept {net.tcp_l3mdev_accept}"
    if net.udp_l3mdev_accept:
        text += f", udp_l3mdev_accept {net.udp_l3mdev_accept}"
    for j, program in enumerate(net.progs):
        assigns = {LEAVE: "leaves the choice", NONE: "assigns NULL"}.get(program.assign)
        assigns = assigns or f"assigns {socks[program.assign]}"
        flag = ", no_reuseport" if program.no_reuseport else ""
        text += f"; sk_lookup program {j} {assigns}{flag} and says {VERDICTS.get(program.verdict, program.verdict)}"
    if net.progs and not net.run_array:
        text += " (but the array is not there)"
    return text + "."


def _cells(outcome: Outcome, socks: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(field, text) of each field of an outcome; a field of many sockets is split by socket."""
    value: Any
    for name, value in zip(Outcome._fields[:COMPARED], outcome, strict=False):
        if OUTCOME_FIELDS[name].each:
            for sock, v in zip(socks, value, strict=False):
                if name == "refcnt" or v != NONE:
                    yield f"{name} of {sock}", str(show(OUTCOME_FIELDS[name], v, socks))
        elif name == "shown":
            for i, event in enumerate(value):
                yield f"program run {i}", _event(event, socks)
        elif name in ("warns", "freed"):
            yield name, ", ".join(show(OUTCOME_FIELDS[name], value, socks)) or "none"
        elif name == "written":
            yield name, _written(value, socks)
        else:
            yield name, str(show(OUTCOME_FIELDS[name], value, socks))


def _written(value: tuple[Any, ...], socks: Sequence[str]) -> str:
    if not value:
        return "nothing else"
    kind, number, at, member = value
    which = socks[number] if kind == WRITTEN_SOCK and number < len(socks) else f"{WRITTEN_NAMES[kind]} {number}"
    return f"{member or f'byte {at}'} of {which}"


def _event(event: tuple[int, ...], socks: Sequence[str]) -> str:
    if event[0] == UNSEEN:
        return _UNSEEN
    values = zip(SHOWN_FIELDS[event[0]].items(), event[1:], strict=False)
    return f"{SHOWN_KINDS[event[0]]} " + " ".join(
        f"{name}={v:#x}" if field.kind is Kind.HEX else f"{name}={show(field, v, socks)}"
        for (name, field), v in values
        if v != UNSEEN
    )


def outcomes_table(mismatch: Mismatch, case: Case) -> RenderableType:
    """All outcomes side by side; fields that differ are marked with `>`. Plain fields that agree are left out."""
    socks, _ = names_of(case)
    columns = [dict(_cells(o, socks)) for o in mismatch.outcomes]
    for name, column in zip(mismatch.names, columns, strict=True):
        if name in mismatch.half_seen:
            column.update({field: _UNSEEN for field in column if field not in ("ended", *mismatch.fields)})
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for heading in ("outcome", *mismatch.names):
        table.add_column(heading, overflow="fold")
    plain = dict(_cells(Outcome(), ()))
    ended = any(o.ended != RETURNED for o in mismatch.outcomes)
    for name in dict.fromkeys(name for column in columns for name in column):
        values = [column.get(name, "-") for column in columns]
        seen = {value for value, side in zip(values, mismatch.names, strict=True) if side not in mismatch.half_seen}
        differs = len(seen if _UNSEEN in values else {*values}) > 1 and not (ended and name != "ended")
        told = not ended and set(values) != {plain.get(name)} and not name.startswith("refcnt")
        if differs or told or name in ("ended", "sk", "refcounted"):
            style = "bold red" if differs else ""
            table.add_row(">" if differs else "", name, *values, style=style)
    return table


def render(
    mismatch: Mismatch,
    case: Case,
    kernel: str,
    closure: str,
    replay: str,
    width: int = 110,
    rules: Rules | None = None,
    config: Config | None = None,
) -> str:
    """The whole report as plain text; `rules` and `config` are those of the kernel, which say whether
    it can reach the case.
    """
    out = StringIO()
    console = Console(file=out, width=width, color_system=None, highlight=False)
    console.print(f"MISMATCH {mismatch.signature}", markup=False, soft_wrap=True)
    console.print(f"kernel {kernel}, closure {closure[:16]}", markup=False)
    console.print()
    for line in describe_case(case, rules, config):
        console.print("  " + line, markup=False, soft_wrap=True)
    console.print()
    console.print(outcomes_table(mismatch, case))
    console.print()
    for line in mismatch.said:
        console.print(f"  said: {line}", markup=False, soft_wrap=True)
    console.print(f"replay: {replay}", markup=False, soft_wrap=True)
    return out.getvalue()
