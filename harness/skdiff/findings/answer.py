"""The answer to a case: on which rules it rests, how much of it is chance, what comes next, and who gets the packet."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import msgspec

from skdiff.cases.case_file import Case
from skdiff.cases.expectations import unmet
from skdiff.cases.outcome import CRASHED, RETURNED, STUCK, Outcome
from skdiff.cases.scenario import HELPER, NONE, UDP_LOOKUPS
from skdiff.cases.steps import Step
from skdiff.comparison.mismatch_text import names_of
from skdiff.findings.chance import HASHES, Chance, chance, chance_text, winner_name
from skdiff.findings.endless import where
from skdiff.findings.next_step import next_steps
from skdiff.oracles.interface import Oracle
from skdiff.oracles.model import Model
from skdiff.variants import version_rules
from skdiff.variants.requirements import unmet_needs

HASH_RULES = ("lport_added", "whole_hash6")  # which say how a packet is hashed, and nothing else
_REFERENCE = {0: "without a reference", 1: "with a reference"}


class RestsOn(msgspec.Struct, frozen=True):
    """A rule without which, or, if it is not `on`, with which the model gives another answer: `sk`, `refcounted`."""

    rule: str
    on: bool
    sk: str
    refcounted: bool


class Part(msgspec.Struct, frozen=True):
    """A socket's part of a hash's range: how many of the 2**32 hashes, and as a number from 0 to 1."""

    sk: str
    hashes: int
    share: float


@dataclass(frozen=True)
class Answer:
    """What the kernel's `outcome` of a case means; the `model`'s, and the names of both, are for the last line if they
    do not agree. `rests_on` are the rules that decide it, `chance` is there if a hash was asked: if they agree.
    `endless` says where a lookup goes round that does not end, `next` what the caller does then, `unmet`
    what the case expects and is not so, `needs` what this kernel lacks for that to be looked at.
    """

    case: Case
    names: tuple[str, str]
    outcome: Outcome
    model: Outcome
    rests_on: tuple[RestsOn, ...]
    chance: Chance | None
    endless: str
    next: tuple[str, ...]
    unmet: tuple[str, ...]
    needs: tuple[str, ...]

    @property
    def sk(self) -> str:
        """The name of who gets the packet, "none" for nobody."""
        return names_of(self.case)[0][self.outcome.sk] if self.outcome.sk >= 0 else "none"

    @property
    def parts(self) -> list[Part]:
        """The shares of the hash, for programs."""
        socks = names_of(self.case)[0]
        shares = () if self.chance is None else self.chance.shares
        return [Part(socks[sk] if sk >= 0 else "none", count, count / HASHES) for sk, count in shares]

    def holds_for(self) -> Iterator[str]:
        """The rules that decide it, a line each."""
        for rest in self.rests_on:
            origin = version_rules.origin(rest.rule)
            what, other = ("with", "without") if rest.on else ("without", "with")
            end = _end(self.case, rest.sk, int(rest.refcounted))
            yield f"This holds {what} the rule {rest.rule} ({origin}); {other} it {end}."

    def behind_the_story(self) -> Iterator[str]:
        """What is to be said behind the steps, and before the last line."""
        if self.endless:
            yield self.endless
        if self.chance is not None:
            what = "datagram" if self.case.scenario.lookup in UDP_LOOKUPS else "connection"
            first, *rest = chance_text(self.chance, self.case.scenario, names_of(self.case)[0], what)
            yield f"Chance: {first}"
            yield from rest
        yield from (f"Next: {sentence}" for sentence in self.next)
        if self.needs:
            yield f"What it expects is not looked at: this kernel is not what the case needs ({', '.join(self.needs)})."
        for line in self.unmet:
            yield f"Not as expected: {line} ([expect], from {self.case.said_by or 'nobody'})."

    @property
    def delivered(self) -> bool:
        """Whether the packet goes to many, whom no lookup finds (net/ipv4/udp.c __udp4_lib_mcast_deliver())."""
        return "delivery" in self.model.via

    def last(self) -> str:
        """The last line: who gets the packet, and whether with a reference; by both, if they do not agree."""
        ends = [_outcome(self.case, outcome) for outcome in (self.outcome, self.model)]
        if self.delivered and ends[0] == ends[1]:
            return "Answer: no lookup decides: it goes to all sockets that want it, which skdiff does not look at."
        if ends[0] == ends[1]:
            return f"Answer: {ends[0]}."
        return f"Answer: {'; '.join(f'{name}: {end}' for name, end in zip(self.names, ends, strict=True))}."


def _outcome(case: Case, outcome: Outcome) -> str:
    """What became of the packet, as a clause."""
    if outcome.ended == STUCK:
        return "none, the lookup does not end"
    if outcome.ended == CRASHED:
        return "none, the lookup crashes"
    return _end(case, names_of(case)[0][outcome.sk] if outcome.sk >= 0 else "none", outcome.refcounted)


def _end(case: Case, sk: str, refcounted: int) -> str:
    """Who gets the packet, and how, as a clause."""
    what = "is found" if case.scenario.caller == HELPER else "gets the packet"
    if sk == "none":
        return f"nobody {what}"
    return f"{sk} {what}, {_REFERENCE.get(refcounted, 'and nobody says whether with a reference')}"


def answer(case: Case, kernel: Oracle, model: Model, steps: list[Step]) -> Answer:
    """The kernel's answer to a case; `steps` are the kernel's."""
    scenario = case.scenario
    outcome, by_model = kernel.run(scenario), model.run(scenario)
    needs = unmet_needs(case.needs, model.rules, model.config) if case.expect else ()
    agreed = outcome.ended == RETURNED and _told(outcome) == _told(by_model)
    found = chance(scenario, kernel, model) if agreed else None
    return Answer(
        case=case,
        names=(kernel.name, model.name),
        outcome=outcome,
        model=by_model,
        rests_on=tuple(_rests_on(case, model, found)) if agreed else (),
        chance=found,
        endless=where(case, steps) if outcome.ended == STUCK else "",
        next=tuple(next_steps(case, outcome, model)),
        unmet=() if needs else tuple(unmet(case.expect, case.socks, outcome)),
        needs=tuple(needs),
    )


def _told(outcome: Outcome) -> tuple[int, int, int]:
    return outcome.ended, outcome.sk, outcome.refcounted


def _rests_on(case: Case, model: Model, found: Chance | None) -> Iterator[RestsOn]:
    """The rules that decide the model's answer. One that changes the hash alone, and so who is chosen, is none."""
    socks = names_of(case)[0]
    own = model.run(case.scenario)
    by_hash = {sk for sk, _ in found.shares} if found is not None else set()
    for rule in version_rules.NAMES:
        on = bool(getattr(model.rules, rule))
        other = Model(replace(model.rules, **{rule: not on}), model.config).run(case.scenario)
        if other.ended != RETURNED or (other.sk, other.refcounted) == (own.sk, own.refcounted):
            continue
        if rule in HASH_RULES and {max(other.sk, NONE), max(own.sk, NONE)} <= by_hash:
            continue
        yield RestsOn(rule, on, winner_name(other.sk, socks) if other.sk >= 0 else "none", bool(other.refcounted))
