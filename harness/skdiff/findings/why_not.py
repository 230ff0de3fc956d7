"""Why a socket did not get the packet, and one change that would have given it to it, tried on the model."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from skdiff.base.errors import CannotRun
from skdiff.base.words import share
from skdiff.cases.addresses import ANY, MAPPED_ANY, ipv4_view, joined, mapped
from skdiff.cases.case_file import Case
from skdiff.cases.case_values import address
from skdiff.cases.outcome import Outcome
from skdiff.cases.scenario import (
    AF_INET6,
    EDEMUX,
    EHASH,
    FILTER,
    IPV6_LOOKUPS,
    LHASH2,
    NONE,
    NOWHERE,
    PFREE,
    TCP_ESTABLISHED,
    UDP_HASHED,
    UDP_LOOKUPS,
    Scenario,
)
from skdiff.cases.steps import Step
from skdiff.cases.validity import problems
from skdiff.comparison.mismatch_text import names_of
from skdiff.findings.chance import HASHES, chance
from skdiff.findings.changes import Change, Others, changes, reopened
from skdiff.findings.lost_meanwhile import lost_meanwhile
from skdiff.findings.step_words import devices_of
from skdiff.findings.story_of_tcp import Story
from skdiff.findings.story_of_udp import UdpStory
from skdiff.findings.values import WithValue, as_it_stands
from skdiff.oracles.model import Model
from skdiff.oracles.model.functions import FUNCTIONS
from skdiff.oracles.model.score import WEIGHTS
from skdiff.oracles.model.state import DROP

MOST_CHANGES = 3  # that are told


@dataclass(frozen=True)
class WhyNot:
    """The name of a socket, why it did not get the packet, and changes of one thing with each of which it would."""

    name: str
    reason: str
    changes: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """The same for a reader."""
        yield f"Why not {self.name}: {self.reason}."
        if not self.changes:
            yield f"No single change was found with which {self.name} would get the packet."
        for change in self.changes:
            yield f"{self.name} would get it {change}."


def index_of(case: Case, name: str) -> int:
    """The index of the socket of that name. Raises CannotRun if there is none, or if it gets the packet."""
    socks = names_of(case)[0]
    if name not in socks:
        there = ", ".join(map(shlex.quote, socks)) or "none at all"
        raise CannotRun(f"--why-not {name}: the case has no such socket, only {there}")
    return socks.index(name)


def why_not(case: Case, name: str, model: Model, made: WithValue | None = None) -> WhyNot:
    """Why the socket of that name did not get the packet by the rules of `model`; `made` has the case with other values
    of its packet (see `values.py`; without it, as it stands). Raises CannotRun if it did, or if the case has no such
    socket.
    """
    index = index_of(case, name)
    outcome = model.run(case.scenario)
    if outcome.sk == index:
        raise CannotRun(f"--why-not {name}: {name} gets the packet")
    told = UdpStory if case.scenario.lookup in UDP_LOOKUPS else Story
    when = lost_meanwhile(case, index, outcome, model)
    there = replace(case, scenario=when.scenario)
    outcome, steps = model.run(there.scenario), model.trace(there.scenario)
    reasons = _Reasons(there, index, outcome, steps, told(there, model.config))
    reason = when.reason or reasons.reason()
    others = Others(names_of(case)[0], devices_of(case), model, made or as_it_stands(case.scenario))
    return WhyNot(name, reason, tuple(_found(case, index, others, "others" if when.reason else reasons.about)))


def _found(case: Case, index: int, others: Others, about: str) -> list[str]:
    """The changes that give the socket the packet, in the words behind "would get it": first those that are `about`
    what decided against it. One that leaves it to the hash must give the socket a greater part of the hash's range than
    it has, and says which.
    """
    scenario, model = case.scenario, others.model
    before = _part(scenario, index, model)
    found: list[str] = []
    every = changes(scenario, index, others)
    for change in sorted(every, key=lambda change: change.about != about):
        if len(found) == MOST_CHANGES:
            break
        tried = [change, reopened(change, index)] if change.about == "bound" else [change]
        found += [words for one in tried if (words := _helps(one, index, scenario, before, model))][:1]
    return found


def _helps(change: Change, index: int, scenario: Scenario, before: int, model: Model) -> str:
    """The words of a change if it helps a socket that gets the packet for `before` of all hashes, else ""."""
    if not _is_valid(change, scenario, model):
        return ""
    part = _part(change.scenario, change.moved.get(index, index), model)
    if part == HASHES or (change.about == "hash" and part):
        return change.words
    return f"{change.words}, for {share(part, HASHES)} of all hashes" if part > before else ""


def _part(scenario: Scenario, index: int, model: Model) -> int:
    """For how many of all hashes a socket gets the packet: all, if it gets it and no hash is asked."""
    shares = chance(scenario, model, model)
    if shares is None:
        return HASHES * (model.run(scenario).sk == index)
    return dict(shares.shares).get(index, 0)


def _is_valid(change: Change, before: Scenario, model: Model) -> bool:
    """A reachable case stays one: on this kernel, if it was."""
    rules = None if before.hostile or problems(before, model.rules) else model.rules
    return not problems(change.scenario, rules)


class _Reasons:
    """Looks for the step that decided against a socket."""

    def __init__(self, case: Case, index: int, outcome: Outcome, steps: Sequence[Step], story: Story) -> None:
        self.scenario, self.index, self.outcome, self.steps = case.scenario, index, outcome, steps
        self.story = story
        self.functions = FUNCTIONS[case.scenario.lookup]
        self.sock = case.scenario.socks[index]
        self.udp = case.scenario.lookup in UDP_LOOKUPS
        self.ipv6 = case.scenario.lookup in IPV6_LOOKUPS
        self.about = "bound"  # what decided: a word of changes.ABOUT
        # Who gets the packet, in a sentence.
        self.winner = story.name(outcome.sk) if outcome.sk >= 0 else "nobody"

    def reason(self) -> str:
        """The rule by which it lost, as a clause."""
        for why in (
            self._ends_early(),
            self._hung_on(),
            self._in_no_table(),
            self._unlike_the_packet(),
            self._connection(),
            self._by_program(),
            self._scored(),
            self._by_group(),
            self._searched_later(),
        ):
            if why:
                return why
        return f"{self.winner} was found first, and the search ended there"

    def _ends_early(self) -> str:
        if self.outcome.ended:
            return "the lookup does not end"
        if self.scenario.foreign_hashinfo and not self._met_anybody():
            return "the caller passes foreign tables, in which nobody is found"
        if self.udp and "delivery" in self.outcome.via:
            return "a datagram for many goes to all who want it, which is no lookup"
        return ""

    def _met_anybody(self) -> bool:
        """Whether any search met a socket."""
        return any(step.function in (self.functions.score, self.functions.match) for step in self.steps)

    def _hung_on(self) -> str:
        if "stolen" not in self.outcome.via:
            return ""
        p = self.scenario.packet
        hows = {PFREE: "BPF assigned it", EDEMUX: "early demux or TPROXY put it there"}
        hung = "early demux put it there" if p.sk == NONE else hows.get(p.destructor, "it was there")
        if self.outcome.sk == NONE:
            return self._by_group() or "an error ended the lookup, as a socket hung on the packet"
        if "re-selected" not in self.outcome.via:
            return f"{self.winner} hung on the packet ({hung}), and no table is searched then"
        group = self.scenario.socks[self.outcome.sk].group
        if self.sock.group == group != NONE:
            return self._choice_of_group(group)
        return f"the group of the socket that hung on the packet chose {self.winner}, and no table is searched then"

    def _in_no_table(self) -> str:
        tables = (UDP_HASHED,) if self.udp else (EHASH, LHASH2)
        if self.sock.hashed in tables:
            return ""
        protocol = "UDP" if self.udp else "TCP"
        if self.sock.hashed == NOWHERE:
            return "it is in no table, so no search meets it"
        return f"the packet is {protocol}, and it is not in {protocol}'s tables"

    def _unlike_the_packet(self) -> str:
        """What of the socket fits neither search: the one for the packet's address nor that on the wildcard."""
        s, story = self.sock, self.story
        if s.hashed == EHASH:
            why = story.not_connected(self.index)
            return f"it {why}" if why else ""
        daddr = self.scenario.packet.daddr
        if isinstance(story, UdpStory):
            exact, wild = story.not_there(s, daddr), story.not_there(s, ANY)
        else:
            exact, wild = story.not_listening(s, daddr), story.not_listening(s, ANY)
        if not (exact and wild):
            return ""
        # One of the searches is for another address anyhow: what else is amiss is the reason.
        others = [why for why in (exact, wild) if not why.startswith("is bound to") or "bound to port" in why]
        return f"it {others[0]}" if others else f"it {exact}, and the packet is for {address(daddr)}"

    def _connection(self) -> str:
        if not self.udp and "established" in self.outcome.via:
            whose = f"{self.winner} is the packet's own connection"
            if self.sock.hashed == EHASH:
                return f"{whose} too, and is met first"
            return f"{whose}; listeners are looked for only if there is none"
        if self.sock.hashed == EHASH:
            return self._dying() or self._refused()
        if self.udp and any(step.function == self.functions.connected for step in self.steps):
            return f"{self.winner} has this very connection, which is looked for first"
        return ""

    def _dying(self) -> str:
        for step in self.steps:
            if step.function == "refcount_inc_not_zero" and not step.values[0]:
                return "the first match of the table of connections has no reference left, which ends that search"
        return ""

    def _by_program(self) -> str:
        if "sk_lookup" in self.outcome.via and self.outcome.sk >= 0:
            if self.sock.group != NONE and self.sock.group == self.scenario.socks[self.outcome.sk].group:
                return self._choice_of_group(self.sock.group)
            return f"an sk_lookup program chose {self.winner}" + self._where_else()
        run = next((step for step in self.steps if step.function == self.functions.run_array), None)
        if run is not None and run.values[0] == DROP:
            return "an sk_lookup program dropped the packet"
        return ""

    def _where_else(self) -> str:
        return "" if self.udp else ", and no listener is looked for then"

    def _scored(self) -> str:
        """What its score was, if it was scored: refused, less than another's, or as much and met later."""
        scores = {step.values[0]: step.values[1] for step in self.steps if step.function == self.functions.score}
        if self.index not in scores:
            return ""
        own = scores[self.index]
        if own == WEIGHTS[self.scenario.lookup].refused:
            return self._refused()
        winner = self.outcome.sk
        if why := self._by_group():
            return why
        asked = self._group_answered()
        if asked != NONE and asked != self.index and scores.get(asked, own) <= own:
            return f"the group of {self.story.name(asked)} was met first, and its answer ended the search"
        best = scores.get(asked if asked != NONE else winner)
        who = self.story.name(asked if asked != NONE else winner) if best is not None else self.winner
        if best is None or winner < 0:
            return f"it scores {own}, and yet {self.winner} gets the packet"
        if own < best:
            return f"it scores {own}, {who} {best}"
        if own == best:
            self.about = "order"
            return f"it scores {own} as {who} does, {self._order(asked if asked != NONE else winner)}"
        return f"{who} ended the search, though it scores {own}, {who} {best}"

    def _order(self, winner: int) -> str:
        """Who is met first of those that score the same: net/ipv4/inet_hashtables.c inet_hash(), and UDP's bind()."""
        tail, mine = self._at_tail(winner), self._at_tail(self.index)
        if mine and not tail:
            return "which is met first: AF_INET6 sockets with SO_REUSEPORT stand behind all others"
        return f"which was opened {'before it' if tail else 'later'} and is met first"

    def _at_tail(self, index: int) -> bool:
        sock = self.scenario.socks[index]
        return self.story.config.ipv6 and sock.family == AF_INET6 and sock.reuseport != sock.reuseport_changed

    def _refused(self) -> str:
        s, story = self.sock, self.story
        if isinstance(story, UdpStory) and (why := story.refusal(s)):
            return why.removeprefix(": ")
        if s.ipv6only and not self.ipv6:
            return "it is for IPv6 only"
        p = self.scenario.packet
        self.about = "device"
        if s.bound_dev_if:
            below = f", below it {story.device_name(p.sdif)}" if p.sdif else ""
            device = story.device_name(self._device())
            return (
                f"it is bound to device {story.device_name(s.bound_dev_if)}, and the packet's device is {device}{below}"
            )
        if not p.sdif:
            return ""
        self.about = "host"
        return f"it is bound to no device, the packet is of an L3 domain, and net.ipv4.{story.sysctl} is off"

    def _device(self) -> int:
        found = next((step.values[0] for step in self.steps if step.function == self.functions.iif), None)
        p = self.scenario.packet
        return p.skb_iif if found is None else found

    def _group_answered(self) -> int:
        """The socket whose group gave the last answer, NONE if no group did."""
        answered = [s.values[0] for s in self.steps if s.function == self.functions.reuseport and s.values[1] != NONE]
        return answered[-1] if answered else NONE

    def _by_group(self) -> str:
        """What its own group said, or a group that dropped the packet."""
        answers = [s.values for s in self.steps if s.function == self.functions.reuseport and s.values[1] != NONE]
        for asked, sk in reversed(answers):
            group = self.scenario.socks[asked].group
            if group == self.sock.group and sk == self.outcome.sk:
                return self._choice_of_group(group)
            if sk == DROP and (group == self.sock.group or self.outcome.sk == NONE):
                self.about = "group"
                whose = "its group" if group == self.sock.group else f"the group of {self.story.name(asked)}"
                return f"the program of {whose} dropped the packet"
        return ""

    def _choice_of_group(self, number: int) -> str:
        group, winner = self.scenario.groups[number], self.outcome.sk
        if self.index not in group.slots[: group.num_socks]:
            return "it is no live member of its group, which chose"
        if self.sock.state == TCP_ESTABLISHED and self.udp:
            return f"it is connected, and its group gives new peers to others: it chose {self.winner}"
        if "group by program" in self.outcome.via:
            self.about = "group"
            if group.prog == FILTER:
                return f"the filter of its group returns {group.returns}, which is {self.winner}"
            return f"the program of its group selects {self.winner}"
        cpu = self.story.cpu
        self.about = "cpu"
        if group.incoming_cpu and winner >= 0 and self.scenario.socks[winner].incoming_cpu == cpu:
            if self.sock.incoming_cpu == cpu:
                return f"{self.winner} asked for CPU {cpu} as well (SO_INCOMING_CPU), and the hash points nearer to it"
            return f"{self.winner} of its group asked for CPU {cpu} (SO_INCOMING_CPU), on which the lookup runs"
        self.about = "hash"
        if "group by hash" in self.outcome.via:
            return f"the hash chose {self.winner} among the members of their group"
        return f"their group chose {self.winner}"

    def _searched_later(self) -> str:
        """Who is only looked for once another search has found nobody."""
        walks = [step for step in self.steps if step.function == self.functions.walk]
        if not walks or self.outcome.sk < 0:
            return ""
        *halves, _ = walks[-1].values
        searched = joined(*halves) if len(halves) == 2 else mapped(halves[0])
        own = self.sock.rcv_saddr if self.ipv6 else mapped(ipv4_view(self.sock.rcv_saddr))
        wildcard = own in (ANY, MAPPED_ANY)
        if wildcard and searched not in (ANY, MAPPED_ANY):
            return (
                f"it is on the wildcard, and {self.winner} was found on the packet's address, which is searched first"
            )
        asked = self._group_answered()
        if asked != NONE:
            return f"the group of {self.story.name(asked)} was met first, and its answer ended the search"
        return ""
