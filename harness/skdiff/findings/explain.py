"""Which socket gets this packet, and why: the steps of a lookup in a reader's words, and where two oracles part."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Protocol

import msgspec
from rich.console import Console
from rich.table import Table

from skdiff.cases import case_values
from skdiff.cases.case_file import Case
from skdiff.cases.case_values import address
from skdiff.cases.fields import OUTCOME_FIELDS
from skdiff.cases.outcome import Outcome
from skdiff.cases.scenario import (
    AF_INET,
    DESTRUCTOR_NONE,
    EHASH,
    LEAVES,
    LHASH2,
    NONE,
    PFREE,
    Scenario,
    Sock,
)
from skdiff.cases.steps import VALUES, Step, culprit, parting
from skdiff.cases.validity import not_on
from skdiff.comparison.compare import Mismatch, compare
from skdiff.comparison.mismatch_text import describe_case, names_of, outcomes_table
from skdiff.kernel.build import Build
from skdiff.kernel.call_graph import Callers
from skdiff.kernel.summary import BuiltKernelSummary, Kernel
from skdiff.oracles.model import Model
from skdiff.oracles.model.state import DROP
from skdiff.variants.config import Config
from skdiff.variants.version_rules import Rules

TOLD = ("ended", "sk", "refcounted")  # of an outcome, to programs: the others are steps, or stay as they were
FLAGS = frozenset({"counted", "refcounted", "fits", "taken", "no_reuseport", "matches"})
SOCKETS = frozenset({"sk", "asked"})


class Tracing(Protocol):
    """An oracle that can tell its steps."""

    name: str
    build: Build

    def run(self, scenario: Scenario) -> Outcome:
        """The outcome for a valid scenario."""
        ...

    def trace(self, scenario: Scenario) -> list[Step]:
        """The steps that lead to it."""
        ...


@dataclass(frozen=True)
class Parting:
    """Two traces of one case: `at` is the first step at which they part, None if they do not; `callers` are the
    functions that each function returns to.
    """

    names: tuple[str, str]
    traces: tuple[list[Step], list[Step]]
    at: int | None
    callers: Callers

    @property
    def function(self) -> str:
        """The kernel function of the first differing step: where the kernel's text and the rules part."""
        return culprit(*self.traces, self.callers)


class ToldStep(msgspec.Struct):
    """A step of a summary: the kernel function, and the step in a line."""

    function: str
    text: str


class ExplainSummary(BuiltKernelSummary, kw_only=True):
    """A case in words, whether the kernel can reach it, what happens in sentences, the steps of each oracle and who
    gets the packet by it, the number (from 0) of the first step at which they part and the function in which they do,
    and the name of the mismatch: None, "" and None if they do not.
    """

    words: list[str]
    reachable: bool
    story: list[str]
    steps: dict[str, list[ToldStep]]
    outcomes: dict[str, dict[str, Any]]
    part_at: int | None
    part_in: str
    mismatch: str | None


@dataclass(frozen=True)
class Explanation:
    """A case, how two oracles came to their answers, these, and the mismatch if they differ; the kernel's
    configuration and rules.
    """

    case: Case
    parted: Parting
    outcomes: tuple[Outcome, Outcome]
    mismatch: Mismatch | None
    config: Config
    rules: Rules

    def show(self, console: Console) -> None:
        """Print it: the case, the story, and for a mismatch where the sides part."""
        for line in describe_case(self.case, self.rules):
            console.print("  " + line, markup=False, soft_wrap=True)
        console.print()
        _, model = self.parted.names
        console.print(f"{model}:" if self.mismatch else "What happens:", markup=False)
        for i, sentence in enumerate(story(self.case, self.parted.traces[1], self.config), 1):
            console.print(f"{i:3}. {sentence}", markup=False, soft_wrap=True)
        if self.mismatch is not None:
            console.print()
            console.print(f"The sides part in {self.parted.function or 'nothing that a step shows'}():", markup=False)
            console.print(side_by_side(self.parted, self.case))
            console.print()
            console.print(outcomes_table(self.mismatch, self.case))

    def summary(self, kernel: Kernel) -> ExplainSummary:
        """The same for programs."""
        socks, _ = names_of(self.case)
        return ExplainSummary(
            kernel=kernel,
            words=describe_case(self.case, self.rules),
            reachable=not self.case.scenario.hostile and not not_on(self.case.scenario, self.rules),
            story=story(self.case, self.parted.traces[1], self.config),
            steps={
                name: [ToldStep(step.function, step_text(step, socks)) for step in trace]
                for name, trace in zip(self.parted.names, self.parted.traces, strict=True)
            },
            outcomes={
                name: {field: case_values.show(OUTCOME_FIELDS[field], getattr(outcome, field), socks) for field in TOLD}
                for name, outcome in zip(self.parted.names, self.outcomes, strict=True)
            },
            part_at=self.parted.at,
            part_in=self.parted.function,
            mismatch=None if self.mismatch is None else self.mismatch.signature,
        )


def explanation(case: Case, reference: Tracing, model: Model) -> Explanation:
    """Ask both oracles for their steps and outcomes."""
    names = (reference.name, model.name)
    outcomes = (reference.run(case.scenario), model.run(case.scenario))
    traces = (reference.trace(case.scenario), model.trace(case.scenario))
    parted = Parting(names, traces, parting(*traces), reference.build.callers)
    return Explanation(case, parted, outcomes, compare(names, outcomes), model.config, model.rules)


def value_text(name: str, value: int, socks: Sequence[str]) -> str:
    """A value of a step for people."""
    if name in SOCKETS:
        return {NONE: "none", DROP: "error"}.get(value) or (socks[value] if 0 <= value < len(socks) else "?")
    if name in FLAGS:
        return "yes" if value else "no"
    if name == "daddr":
        return address(value)
    return f"{value:#x}" if name == "hash" else str(value)


def step_text(step: Step, socks: Sequence[str]) -> str:
    """A step in one line, as the kernel would say it: function and values."""
    values = zip(VALUES[step.function], step.values, strict=False)
    return f"{step.function}: " + ", ".join(f"{name} {value_text(name, v, socks)}" for name, v in values)


def side_by_side(parted: Parting, case: Case) -> Table:
    """Both traces, from a few steps before the parting to a few behind it; `>` marks the first that differs."""
    socks, _ = names_of(case)
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for name in ("step", *parted.names):
        table.add_column(name, overflow="fold")
    longest = max(map(len, parted.traces))
    at = longest if parted.at is None else parted.at
    for i in range(max(0, at - 3), min(longest, at + 4)):
        cells = [step_text(t[i], socks) if i < len(t) else "(over)" for t in parted.traces]
        differs = cells[0] != cells[1]
        table.add_row(
            ">" if i == at else "", str(i + 1), *cells, style="bold red" if i == at else "dim" if differs else ""
        )
    return table


def story(case: Case, steps: Sequence[Step], config: Config | None = None) -> list[str]:
    """The steps as sentences, for somebody who follows the kernel's source for the first time."""
    return list(_Story(case, config or Config()).sentences(steps))


class _Story:
    """Knows the case, so that it can say why."""

    def __init__(self, case: Case, config: Config) -> None:
        self.scenario, self.config = case.scenario, config
        self.cpu = case.scenario.cpu if config.smp else 0
        self.socks, self.groups = names_of(case)
        self.scored: set[int] = set()
        self.dif = 0
        self.goes_on = False  # whether the next step looks at one more listener: a patched kernel may

    def sentences(self, steps: Sequence[Step]) -> Iterator[str]:
        """What each step did, one or several sentences for those that a reader wants to know of."""
        describe: dict[str, Callable[..., Iterator[str]]] = {
            "skb_steal_sock": self.steal,
            "inet_steal_sock": self.stolen,
            "inet_iif": self.iif,
            "inet_bound_dev_eq": self.device,
            "refcount_inc_not_zero": self.refcount,
            "sock_gen_put": self.put,
            "__inet_lookup_established": self.established,
            "bpf_sk_lookup_run_v4": self.programs,
            "compute_score": self.score,
            "reciprocal_scale": self.scale,
            "reuseport_select_sock_by_hash": self.by_hash,
            "run_bpf_filter": self.filter,
            "bpf_run_sk_reuseport": self.sk_reuseport,
            "inet_lookup_reuseport": self.reuseport,
            "inet_lhash2_lookup": self.lhash2,
            "__inet_lookup_skb": self.result,
        }
        following = [step.function for step in steps[1:]]
        for step, after in zip_longest(steps, following):
            self.goes_on = after in ("compute_score", "inet_bound_dev_eq")
            if step.function in describe:
                yield from describe[step.function](*step.values)

    def name(self, index: int) -> str:
        """A socket's name in a sentence."""
        return value_text("sk", index, self.socks)

    def steal(self, sk: int, refcounted: int) -> Iterator[str]:
        p = self.scenario.packet
        if p.sk == NONE:
            yield "skb_steal_sock(): nothing hangs on the sk_buff, so the tables are searched."
            return
        how = "BPF assigned it" if p.destructor == PFREE else "it was put there before, with a reference"
        if p.destructor == DESTRUCTOR_NONE:
            how = "it has no destructor"
        if sk == p.sk:
            kept = "with a reference" if refcounted else "without a reference"
            yield f"skb_steal_sock(): {self.name(sk)} hangs on the sk_buff ({how}); the caller takes it, {kept}."
        else:
            end = f"its listener {self.name(sk)} is taken, without a reference, and the request stays"
            if sk == NONE:
                end = "it has no listener any more, so nothing is taken and the tables are searched; the request stays"
            yield (
                f"skb_steal_sock(): {self.name(p.sk)} on the sk_buff is a request whose SYN cookie BPF validated:"
                f" {end}."
            )

    def stolen(self, sk: int) -> Iterator[str]:
        if sk == DROP:
            yield "inet_steal_sock(): the group's error ends the lookup: nobody gets the packet."
        elif sk != NONE:
            yield f"inet_steal_sock(): {self.name(sk)} gets the packet; no table is searched."

    def iif(self, dif: int) -> Iterator[str]:
        self.dif = dif
        p = self.scenario.packet
        source = "the route" if p.rt_iif else "the device that it came in by"
        lower = f", below an L3 master by device {p.sdif}" if p.sdif else ""
        yield f"inet_iif(): the packet's device is {dif}, from {source}{lower}."

    def device(self, bound: int, fits: int) -> Iterator[str]:
        if fits:
            return
        sdif = self.scenario.packet.sdif
        why = (
            f"a socket bound to device {bound} does not see device {self.dif}" + (f" or {sdif}" if sdif else "")
            if bound
            else "an unbound socket does not see an L3 domain while tcp_l3mdev_accept is off"
        )
        yield f"inet_bound_dev_eq(): {why}."

    def refcount(self, taken: int, refcnt: int) -> Iterator[str]:
        yield (
            f"refcount_inc_not_zero(): a reference is taken, {refcnt} now."
            if taken
            else "refcount_inc_not_zero(): the match is dying (no reference left): the established search is over."
        )

    def put(self, sk: int, refcnt: int) -> Iterator[str]:
        left = self.scenario.socks[sk].race == LEAVES
        why = "was unhashed" if left else "became another connection's"
        rest = f"{refcnt} left" if refcnt else "the last one: it is freed"
        yield f"sock_gen_put(): {self.name(sk)} {why} meanwhile: the reference is given back ({rest})."
        yield "__inet_lookup_established(): the search starts anew."

    def established(self, sk: int) -> Iterator[str]:
        connected = [i for i, s in enumerate(self.scenario.socks) if s.hashed == EHASH]
        if sk != NONE:
            yield f"__inet_lookup_established(): {self.name(sk)} is the packet's own connection."
        elif connected:
            others = "; ".join(f"{self.name(i)} {why}" for i in connected if (why := self.not_connected(i)))
            yield f"__inet_lookup_established(): no connection matches{f' ({others})' if others else ''}."
        else:
            yield "__inet_lookup_established(): the table of connections is empty."

    def not_connected(self, index: int) -> str:
        """Why a socket in ehash is not the packet's."""
        p, s = self.scenario.packet, self.scenario.socks[index]
        for mine, theirs, what in (
            (s.netns, p.netns if self.config.net_ns else s.netns, "is of another namespace"),
            (s.daddr, p.saddr, "has another peer"),
            (s.rcv_saddr, p.daddr, "has another address of its own"),
            (s.dport, p.sport, "has another peer's port"),
            (s.num, p.dport, "has another port of its own"),
        ):
            if mine != theirs:
                return what
        return ""

    def programs(self, sk: int, no_reuseport: int) -> Iterator[str]:
        count = len(self.scenario.netns[self.scenario.packet.netns].progs)
        end = {NONE: "choose nobody", DROP: "drop the packet"}.get(sk, f"choose {self.name(sk)}")
        group = ", and leave its group out" if no_reuseport else ""
        yield f"bpf_sk_lookup_run_v4(): {count} sk_lookup program{'s' * (count != 1)} together {end}{group}."

    def score(self, sk: int, score: int) -> Iterator[str]:
        self.scored.add(sk)
        if not score:
            yield f"compute_score(): {self.name(sk)} may not have the packet."
            return
        s = self.scenario.socks[sk]
        parts = ["1 for the match"]
        for has, why in (
            (s.bound_dev_if, "1 for its device"),
            (s.family == AF_INET, "1 for AF_INET"),
            (s.incoming_cpu == self.cpu, "1 for its CPU"),
        ):
            if has:
                parts.append(why)
        yield f"compute_score(): {self.name(sk)} scores {score} ({', '.join(parts)})."

    def scale(self, hash_: int, buckets: int, start: int) -> Iterator[str]:
        yield f"reciprocal_scale(): the hash {hash_:#x} of the connection points to member {start} of {buckets}."

    def by_hash(self, sk: int) -> Iterator[str]:
        yield f"reuseport_select_sock_by_hash(): {self.name(sk)} is chosen by the hash."

    def filter(self, sk: int) -> Iterator[str]:
        end = "decides nothing" if sk == NONE else f"chooses {self.name(sk)}"
        yield f"run_bpf_filter(): the group's filter {end}."

    def sk_reuseport(self, sk: int) -> Iterator[str]:
        end = {NONE: "selects nobody", DROP: "drops the packet"}.get(sk, f"selects {self.name(sk)}")
        yield f"bpf_run_sk_reuseport(): the group's program {end}."

    def reuseport(self, asked: int, sk: int) -> Iterator[str]:
        s = self.scenario.socks[asked] if 0 <= asked < len(self.socks) else Sock()
        if sk >= 0:
            end = "" if self.goes_on else ": that is final"
            yield f"inet_lookup_reuseport(): the group of {self.name(asked)} answers {self.name(sk)}{end}."
        elif sk == DROP:
            end = "" if self.goes_on else ": that is final too"
            yield f"inet_lookup_reuseport(): the group of {self.name(asked)} answers with an error{end}."
        elif s.reuseport:
            yield f"inet_lookup_reuseport(): {self.name(asked)} has SO_REUSEPORT, but no group that decides."

    def lhash2(self, daddr: int, sk: int) -> Iterator[str]:
        where = address(daddr) if daddr else "the wildcard 0.0.0.0"
        losers = [
            f"{self.name(i)} {why}"
            for i, s in enumerate(self.scenario.socks)
            if s.hashed == LHASH2 and i not in self.scored and (why := self.not_listening(s, daddr))
        ]
        text = f"inet_lhash2_lookup(): among listeners on {where} "
        text += "nobody is found" if sk == NONE else "an error decides" if sk == DROP else f"{self.name(sk)} wins"
        yield text + (f" ({'; '.join(losers)})." if losers else ".")
        self.scored.clear()

    def not_listening(self, s: Sock, daddr: int) -> str:
        """Why a listener was not scored in the search for `daddr`."""
        p = self.scenario.packet
        for loses, what in (
            (self.config.net_ns and s.netns != p.netns, "is of another namespace"),
            (s.num != p.dport, f"listens on port {s.num}"),
            (s.rcv_saddr != daddr, f"is bound to {address(s.rcv_saddr) if s.rcv_saddr else 'the wildcard'}"),
            (s.ipv6only and self.config.ipv6, "is for IPv6 only"),
        ):
            if loses:
                return what
        return ""

    def result(self, sk: int) -> Iterator[str]:
        yield f"__inet_lookup_skb(): {self.name(sk)} gets the packet." if sk != NONE else "Nobody gets the packet."
