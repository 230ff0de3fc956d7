"""Cases of files, asked of the running kernel."""

import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from skdiff.base.errors import CannotRun
from skdiff.base.paths import command, shell_path
from skdiff.base.summary import Summary
from skdiff.campaign.worker import judge_with_host
from skdiff.cases.case_file import Case, load
from skdiff.cases.derived import LOOPBACK_IFINDEX
from skdiff.cases.expectations import unmet
from skdiff.cases.fields import LOOKUPS
from skdiff.cases.outcome import ABSENT, Outcome
from skdiff.cases.reachable import NOT_OF_HELPER, PLAIN
from skdiff.cases.scenario import HELPER, NONE, PROG_NONE, RECEIVE, Scenario
from skdiff.comparison.mismatch_text import render
from skdiff.comparison.running_kernel import JudgeWithHost
from skdiff.kernel.build import Build
from skdiff.oracles.asked import prepare, with_oracle
from skdiff.oracles.model import Model
from skdiff.oracles.reference import Reference
from skdiff.oracles.running.drawing import DEVICES_OF_CASES, needs_bpf, what_changed
from skdiff.oracles.running.host import Host
from skdiff.oracles.running.namespaces import SLAVE, VRF
from skdiff.variants.requirements import unmet_needs

AGREED, DIFFERS, NOT_REALISABLE, UNREADABLE = "agreed", "differs", "not realisable", "unreadable"


class AskedSummary(Summary, kw_only=True):
    """What the `running` kernel said of cases: `verdicts` by file, and why for those that could not be asked."""

    running: str
    verdicts: dict[str, str]
    why: dict[str, str]

    def count(self, verdict: str) -> int:
        """How many cases have this verdict."""
        return Counter(self.verdicts.values())[verdict]

    @property
    def agreed(self) -> list[Path]:
        """The cases that it agrees with."""
        return [Path(path) for path, verdict in self.verdicts.items() if verdict == AGREED]


def question(scenario: Scenario, by_bpf: bool = True) -> Scenario:
    """The scenario as the running kernel is asked: by a helper, on any device, where that is the same question as the
    receive path's, since nothing hangs on the packet and no program of a group sees it; else, or without BPF, by a
    packet.
    """
    packet = scenario.packet
    if packet.rt_iif == packet.skb_iif:
        packet = packet._replace(rt_iif=0)
    sees = any(group.prog != PROG_NONE and group.num_socks for group in scenario.groups)
    if not by_bpf or scenario.caller != RECEIVE or packet.sk != NONE or sees or packet.rt_iif:
        return _with_devices_here(scenario._replace(packet=packet))
    same = {name: getattr(PLAIN, name) for name in NOT_OF_HELPER}
    return _with_devices_here(scenario._replace(caller=HELPER, packet=packet._replace(**same)))


def _with_devices_here(scenario: Scenario) -> Scenario:
    """The scenario with the numbers of devices that there are, if it has no more devices than that: what they are
    called makes no difference. A packet of a VRF comes in by the one that there is.
    """
    packet = scenario.packet
    used = {getattr(packet, name) for name in _DEVICES} | {sock.bound_dev_if for sock in scenario.socks}
    vrf = scenario.caller != HELPER and packet.sdif and packet.sdif != packet.skb_iif
    of_vrf = {packet.skb_iif: VRF, packet.sdif: SLAVE} if vrf else {}
    others = sorted(used - {0, *DEVICES_OF_CASES} - set(of_vrf))
    kept = used - set(of_vrf)
    free = [device for device in DEVICES_OF_CASES if device not in kept and device != LOOPBACK_IFINDEX]
    if len(others) > len(free) or not (others or of_vrf):
        return scenario
    here = {**of_vrf, **dict(zip(others, free, strict=False))}
    moved = {name: here.get(getattr(packet, name), getattr(packet, name)) for name in _DEVICES}
    socks = [sock._replace(bound_dev_if=here.get(sock.bound_dev_if, sock.bound_dev_if)) for sock in scenario.socks]
    return scenario._replace(packet=packet._replace(**moved), socks=tuple(socks))


def why_not(asked: Scenario, nearest: Scenario, by_bpf: bool = True) -> str:
    """Why the running kernel cannot be asked a question, of which this is the nearest that it can; "" if it can be."""
    if asked.hostile:
        return "it is hostile"
    if not by_bpf and needs_bpf(asked):
        return what_changed(asked, nearest, by_bpf)
    if asked.caller != nearest.caller:
        return "packets cannot come in here: there is neither TUN nor veth"
    differs = [name for name in _SEEN if getattr(asked.packet, name) != getattr(nearest.packet, name)]
    if differs:
        values = ", ".join(f"{name} {getattr(asked.packet, name)}" for name in differs if name in _DEVICES)
        return f"no such packet comes in: {values or ' and '.join(differs)}"
    changed = what_changed(asked, nearest)
    return f"system calls do not bring it about here: {changed}" if changed else ""


_DEVICES = ("rt_iif", "skb_iif", "sdif")
_SEEN = ("saddr", "daddr", "sport", "dport", "netns", "sk", "destructor", *_DEVICES)


def replay_on_host(
    paths: Sequence[Path], oracle: str, made: Build, kernel: str, console: Console, say: Callable[[str], None]
) -> AskedSummary:
    """Ask a running kernel for the cases of files, beside the kernel's text and the model; print what differs, and
    where a case expects another socket. Raises CannotRun where it cannot be asked.
    """
    prepare(oracle)
    summary = AskedSummary(running="", verdicts={}, why={})
    text, model = Reference(made) if made.has_text else None, Model(made.rules, made.config)

    def verdict(host: Host, judge: JudgeWithHost, case: Case, path: Path) -> tuple[str, str]:
        by_bpf = host.nearest.by_bpf
        asked = question(case.scenario, by_bpf)
        nearest = host.nearest(asked)
        reason = why_not(asked, nearest, by_bpf)
        if not reason and LOOKUPS[nearest.lookup] not in made.lookups:
            reason = "this kernel's text has not its lookup"
        if reason:
            return NOT_REALISABLE, reason
        outcome = host.run(nearest)
        if outcome.ended == ABSENT:
            return NOT_REALISABLE, f"this kernel refuses it: {host.refusal}"
        expected = model.run(nearest)
        mismatch = judge(nearest, [outcome, *([text.run(nearest)] if text else []), expected])
        if mismatch is None:
            return as_expected(case, path, outcome, expected)
        again = f"{command()} replay --oracle {shlex.quote(oracle)} --kernel {kernel} {shell_path(path)}"
        shown = render(mismatch, case, made.label, made.closure, again, rules=made.rules)
        console.print(f"{shell_path(path)}:\n{shown}", markup=False, soft_wrap=True)
        return DIFFERS, ""

    def as_expected(case: Case, path: Path, outcome: Outcome, expected: Outcome) -> tuple[str, str]:
        # Where a hash chooses, the running kernel has another secret than the case.
        asked = "sk" in case.expect and not unmet_needs(case.needs, made.rules, made.config)
        if not asked or expected.sk != model.run(case.scenario).sk:
            return AGREED, ""
        wrong = unmet({"sk": case.expect["sk"]}, case.socks, outcome)
        for line in wrong:
            console.print(f"{shell_path(path)}: the running kernel: {line}", markup=False, soft_wrap=True)
        return (DIFFERS, wrong[0]) if wrong else (AGREED, "")

    def work(host: Host) -> None:
        for line in host.told():
            say(line)
        judge = judge_with_host(made, host)
        summary.running = judge.host
        for path in paths:
            try:
                case = load(path)
            except CannotRun as error:
                say(f"skdiff: {error}")
                summary.verdicts[str(path)], summary.why[str(path)] = UNREADABLE, str(error)
                continue
            if case.scenario.groups and not host.keys.secrets:  # nothing else chooses by a hash
                host.learn_keys()
            word, reason = verdict(host, judge, case, path)
            summary.verdicts[str(path)] = word
            if reason:
                summary.why[str(path)] = reason

    with_oracle(oracle, made, work, say)
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
