"""Cases of files, asked of the running kernel."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from skdiff.base.errors import CannotRun
from skdiff.base.paths import command, shell_path
from skdiff.base.summary import Summary
from skdiff.campaign.worker import judge_with_host
from skdiff.cases.case_file import Case, load
from skdiff.cases.fields import LOOKUPS
from skdiff.cases.outcome import ABSENT
from skdiff.cases.scenario import DEMUX, NONE, PROG_NONE, Scenario
from skdiff.comparison.mismatch_text import render
from skdiff.kernel.build import Build
from skdiff.oracles.model import Model
from skdiff.oracles.reference import Reference
from skdiff.oracles.running.host import Host, in_own_thread

AGREED, DIFFERS, NOT_REALISABLE, UNREADABLE = "agreed", "differs", "not realisable", "unreadable"


class AskedSummary(Summary, kw_only=True):
    """What the `running` kernel said of cases: `verdicts` by file, and why for those that could not be asked."""

    running: str
    verdicts: dict[str, str]
    why: dict[str, str]

    def count(self, verdict: str) -> int:
        """How many cases have this verdict."""
        return Counter(self.verdicts.values())[verdict]


def why_not(scenario: Scenario, nearest: Scenario) -> str:
    """Why the running kernel is not asked for a scenario, "" if the question to it is the same: a helper's question is
    that of the receive path where nothing hangs on the packet and no program of a group sees it.
    """
    packet = scenario.packet
    if scenario.hostile:
        return "it is hostile"
    if packet.sk != NONE or scenario.caller == DEMUX:
        return "a socket on the packet, and early demux, take a packet"
    if any(group.prog != PROG_NONE and group.num_socks for group in scenario.groups):
        return "a program of a group takes a packet"
    if packet.rt_iif and packet.rt_iif != packet.skb_iif:
        return "a device of the route takes a packet"
    if any(getattr(packet, name) != getattr(nearest.packet, name) for name in ("skb_iif", "sdif", "daddr")):
        return f"its devices are not 1, 2 or 3: skb_iif {packet.skb_iif}, sdif {packet.sdif}"
    if [sock._replace(refcnt=1) for sock in scenario.socks] != [sock._replace(refcnt=1) for sock in nearest.socks]:
        return "one of its sockets takes packets, or other devices"
    live = [(group.slots[: group.num_socks], group.has_conns) for group in scenario.groups]
    if live != [(group.slots, group.has_conns) for group in nearest.groups]:
        return "the slots of a group are in an order of their own"
    if [net.progs for net in scenario.netns] != [net.progs for net in nearest.netns]:
        return "a program assigns what it cannot"
    return ""


def replay_on_host(
    paths: Sequence[Path], made: Build, kernel: str, console: Console, say: Callable[[str], None]
) -> AskedSummary:
    """Ask the running kernel for the cases of files, beside the kernel's text and the model; print what differs, and
    where a case expects another socket. Raises CannotRun where it cannot be asked.
    """
    judge = judge_with_host(made)
    summary = AskedSummary(running=judge.host, verdicts={}, why={})
    text, model = Reference(made), Model(made.rules, made.config)

    def verdict(host: Host, case: Case, path: Path) -> tuple[str, str]:
        nearest = host.nearest(case.scenario)
        reason = why_not(case.scenario, nearest)
        if not reason and LOOKUPS[nearest.lookup] not in made.lookups:
            reason = "this kernel's text has not its lookup"
        if reason:
            return NOT_REALISABLE, reason
        asked = host.run(nearest)
        if asked.ended == ABSENT:
            return NOT_REALISABLE, f"this kernel refuses it: {host.refusal}"
        expected = model.run(nearest)
        mismatch = judge(nearest, [asked, text.run(nearest), expected])
        if mismatch is None:
            return AGREED, ""
        again = f"{command()} replay --oracle host --kernel {kernel} {shell_path(path)}"
        shown = render(mismatch, case, made.label, made.closure, again, rules=made.rules)
        console.print(f"{shell_path(path)}:\n{shown}", markup=False, soft_wrap=True)
        return DIFFERS, ""

    def work(host: Host) -> None:
        host.learn_keys()
        for path in paths:
            try:
                word, reason = verdict(host, load(path), path)
            except CannotRun as error:
                say(f"skdiff: {error}")
                word, reason = UNREADABLE, str(error)
            summary.verdicts[str(path)] = word
            if reason:
                summary.why[str(path)] = reason

    in_own_thread(work, made.rules)
    return summary


def show(summary: AskedSummary, console: Console) -> None:
    """The end of it, for people: how many agreed, and why the others were not asked."""
    counts = [f"{summary.count(word):,} {word}" for word in (AGREED, DIFFERS, NOT_REALISABLE, UNREADABLE)]
    told = ", ".join(text for text in counts if not text.startswith("0 ")) or "no case"
    for why, count in Counter(
        summary.why[path] for path, word in summary.verdicts.items() if word == NOT_REALISABLE
    ).most_common():
        console.print(f"{count:6} x not realisable: {why}", markup=False, soft_wrap=True)
    console.print(f"{summary.running}: {len(summary.verdicts):,} cases, {told}", markup=False, soft_wrap=True)
