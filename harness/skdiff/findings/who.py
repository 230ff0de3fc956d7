"""Who gets a packet on this host: the model's answer for the sockets that were read, held against the kernel's own."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace
from math import sqrt

from skdiff.base.errors import CannotRun
from skdiff.cases import case_file, words_writing
from skdiff.cases.case import Case
from skdiff.cases.reachable import NOT_OF_HELPER, PLAIN
from skdiff.cases.record import constants
from skdiff.cases.scenario import AF_INET, HELPER, IPPROTO_TCP, NONE, SK_DROP, Program, Scenario
from skdiff.cases.validity import problems
from skdiff.findings.answer import Answer, answer
from skdiff.findings.chance import HASHES, chance, is_by_hash
from skdiff.findings.who_case import HostCase, host_case
from skdiff.oracles.model import Model
from skdiff.oracles.running.asking import Found
from skdiff.oracles.running.read_host import Situation
from skdiff.oracles.running.socket_dump import Seen
from skdiff.variants import version_rules
from skdiff.variants.config import Config
from skdiff.variants.version_rules import Rules

_SECRETS = 4096  # that are tried: a group has 32 members at most
_SIGMAS = 6  # a share that is further away than so many standard deviations is another one
AGREES, DIFFERS, NOT_ASKED = "agrees", "differs", "not asked"

Shares = dict[int, int]  # by socket (NONE: nobody), how many of the HASHES give it the packet


@dataclass(frozen=True)
class Who:
    """An answer: the situation, its case, and what the `model` says of it. `shares` are those of the packet's sockets;
    a `program` of a group decides instead if there is one. The kernel's `verdict` is AGREES, DIFFERS or NOT_ASKED;
    `kernel` counts its answers by socket, and `strangers` are those that are none of the case. `notes` say what is not
    known, or was taken from the kernel's answer.
    """

    situation: Situation
    host: HostCase
    model: Model
    answered: Answer
    shares: Shares
    program: bool
    verdict: str
    kernel: Counter[int]
    strangers: tuple[Found, ...]
    notes: tuple[str, ...]

    @property
    def case(self) -> Case:
        """The case of the situation."""
        return self.host.case


def rules_of(release: str, version: str) -> tuple[Rules, str]:
    """The rules of a running kernel by what uname() says, and a line if they are a guess. Debian's release has no point
    release, its version has. Raises CannotRun for one that is too old.
    """
    debian = re.search(r"Debian (\d+\.\d+\.\d+)", version)
    name = debian[1] if debian else release
    version_rules.check_supported(name)
    numbers = version_rules.numbers(name)
    if len(numbers) < 2 or numbers[1] > version_rules.LAST_KNOWN.get(numbers[0], -1):
        major, minor = max(version_rules.LAST_KNOWN.items())
        newest = f"{major}.{minor}"
        return _rules(newest), f"the rules of Linux {name} are not known here: those of {newest} are followed"
    return _rules(name), ""


def _rules(version: str) -> Rules:
    none = Rules(**dict.fromkeys(version_rules.NAMES, False))
    return version_rules.rules_to_follow(none, version=version)


def who(situation: Situation, rules: Rules, config: Config) -> Who:
    """The answer. Raises CannotRun if the case is too large, or no system receives such a packet.

    UDP's sockets are told a family at a time, so which of two of different families was bound last is not known: where
    that matters the order is one with which the kernel agrees.
    """
    model = Model(rules, config)
    found = _answered(situation, model)
    if situation.question.protocol == IPPROTO_TCP or situation.question.ipv6:
        return found
    other = _answered(replace(situation, sockets=_families_swapped(situation.sockets)), model)
    if _by_cookie(found) == _by_cookie(other):
        return found
    note = "which of UDP's sockets of both families was bound last, and the answer rests on it"
    better = other if (found.verdict, other.verdict) == (DIFFERS, AGREES) else found
    if better.verdict == AGREES:
        note += ": it is taken from the kernel's answer"
    return replace(better, notes=(*better.notes, note))


def _families_swapped(sockets: Sequence[Seen]) -> tuple[Seen, ...]:
    return tuple(sorted(sockets, key=lambda seen: seen.family == AF_INET))


def _by_cookie(found: Who) -> dict[int, int]:
    return {found.host.cookies[sk] if sk >= 0 else NONE: part for sk, part in found.shares.items()}


def _answered(situation: Situation, model: Model) -> Who:
    effects, notes = _effects(situation, model)
    host = _with_secret(situation, host_case(situation, effects), model)
    case = host.case
    if wrong := problems(case.scenario):
        raise CannotRun(f"no case can be made of it: {wrong[0]}")
    steps = model.trace(case.scenario)
    kernel, strangers = _answers(situation, host)
    program = any(step.function in ("bpf_run_sk_reuseport", "run_bpf_filter") for step in steps)
    return Who(
        situation=situation,
        host=host,
        model=model,
        answered=answer(case, model, model, steps),
        shares=shares(case.scenario, model),
        program=program,
        verdict=_verdict(situation, host, model, kernel, strangers),
        kernel=kernel,
        strangers=strangers,
        notes=tuple(notes),
    )


def shares(scenario: Scenario, model: Model) -> Shares:
    """Who gets the packet, for how many of all hashes."""
    found = chance(scenario, model, model)
    if found is not None:
        return dict(found.shares)
    return {max(model.run(scenario).sk, NONE): HASHES}


def by_helper(scenario: Scenario) -> Scenario:
    """The same question as a BPF helper asks it, on the device that the lookup goes by."""
    packet = scenario.packet
    packet = packet._replace(skb_iif=packet.rt_iif or packet.skb_iif)
    packet = packet._replace(**{name: getattr(PLAIN, name) for name in NOT_OF_HELPER})
    return scenario._replace(caller=HELPER, packet=packet)


# --- what the kernel said


def _answers(situation: Situation, host: HostCase) -> tuple[Counter[int], tuple[Found, ...]]:
    """The kernel's answers by socket, and those that are none of the case's."""
    kernel: Counter[int] = Counter()
    strangers: list[Found] = []
    for _, found in situation.answers.given if situation.answers else ():
        places = _places(host, found)
        if places:
            kernel[min(places)] += 1
        elif found is not None:
            strangers.append(found)
    return kernel, tuple(strangers)


def _places(host: HostCase, found: Found | None) -> Set[int]:
    """The sockets that an answer may mean: the one of its cookie; without it all that look the same."""
    if found is None:
        return {NONE}
    if found.cookie is not None:
        place = host.index(found.cookie)
        return set() if place is None else {place}
    return {
        i
        for i, sock in enumerate(host.case.scenario.socks)
        if (sock.family, sock.state, sock.num, sock.dport, sock.bound_dev_if)
        == (found.family, found.state, found.port, found.dport, found.device)
        and sock.rcv_saddr == found.address
        and (not sock.dport or sock.daddr == found.peer)
    }


def _verdict(
    situation: Situation, host: HostCase, model: Model, kernel: Counter[int], strangers: Sequence[Found]
) -> str:
    if situation.answers is None or not situation.answers.given:
        return NOT_ASKED
    if strangers:
        return DIFFERS
    answers = situation.answers
    if situation.programs and len(answers.given) > 1:  # the case has what they do for its own packet alone
        answers = replace(answers, given=answers.given[:1])
        kernel, _ = _answers(replace(situation, answers=answers), host)
    asked = by_helper(host.case.scenario)
    expected = _expected(asked, model)
    if answers.blind:
        told = [_places(host, found) for _, found in answers.given]
        return AGREES if all(places & expected.keys() for places in told) else DIFFERS
    if not kernel.keys() <= expected.keys():
        return DIFFERS
    number = kernel.total()
    for sk, part in expected.items():
        p = part / HASHES
        if part and number > 1 and abs(kernel[sk] - number * p) > _SIGMAS * sqrt(number * p * (1 - p)) + 1:
            return DIFFERS
    return AGREES


def _expected(asked: Scenario, model: Model) -> Shares:
    """As `shares`; where one number does not say it all, nobody of a group is out of the question."""
    if chance(asked, model, model) is None and is_by_hash(model.trace(asked)):
        return dict.fromkeys((i for group in asked.groups for i in group.slots), 0)
    return shares(asked, model)


def _with_secret(situation: Situation, host: HostCase, model: Model) -> HostCase:
    """The case with a secret of the hash with which the model chooses as the kernel did for its packet, if there is one
    among the first few: the kernel tells its own to nobody.
    """
    given = situation.answers.given if situation.answers else ()
    scenario = host.case.scenario
    if not given or given[0][0] != situation.packet or not is_by_hash(model.trace(by_helper(scenario))):
        return host
    wanted = _places(host, given[0][1])
    for secret in range(_SECRETS):
        tried = scenario._replace(hash_secret=secret, hash_secret6=secret)
        if max(model.run(by_helper(tried)).sk, NONE) in wanted:
            return replace(host, case=replace(host.case, scenario=tried))
    return host


# --- sk_lookup programs


def _effects(situation: Situation, model: Model) -> tuple[list[Program], list[str]]:
    """What the namespace's sk_lookup programs do for the packet, as a case has it, and what is to be said of that: the
    kernel's answer tells it, as its helper asks them too (net/core/filter.c bpf_sk_lookup()).
    """
    if not situation.programs:
        return [], []
    number = min(len(situation.programs), constants.MAX_PROGS)
    told = ", ".join(f"{name or 'without a name'} (number {n})" for n, name in situation.programs)
    passing = [Program()] * number
    if situation.answers is None or not situation.answers.given:
        return passing, [f"what the sk_lookup program {told} does: it may choose any socket, or drop the packet"]
    host = host_case(situation, passing)
    kernel, strangers = _answers(situation, host)
    if not strangers and kernel.keys() <= _expected(by_helper(host.case.scenario), model).keys():
        return passing, [
            f"The sk_lookup program {told} was asked, and left the choice to the lookup, or chose the same."
        ]
    answers = [_places(host, found) for _, found in situation.answers.given]
    for effect in _possible(min(answers[0], default=NONE)):
        trial = host_case(situation, [*passing[1:], effect])
        if problems(trial.case.scenario):
            continue
        expected = _expected(by_helper(trial.case.scenario), model).keys()
        if answers[0] & expected:
            does = "drops the packet" if effect.verdict == SK_DROP else "chooses the socket"
            line = f"The sk_lookup program {told} {does}: that is taken from the kernel's answer."
            others = [places for places in answers if not places & expected]
            if others:
                line += f" It decides by the client: for {len(others)} of {len(answers)} it says another."
            return [*passing[1:], effect], [line]
    return passing, []


def _possible(sk: int) -> Iterator[Program]:
    if sk == NONE:
        yield Program(verdict=SK_DROP)
    else:
        yield Program(assign=sk)
        yield Program(assign=sk, no_reuseport=1)


# --- the case as a file


def case_text(who: Who, why: str) -> str:
    """The case as a file, in words where that can be said."""
    case = replace(who.case, why=why)
    try:
        return words_writing.dump(case)
    except words_writing.NotInWords:
        return case_file.dump(case)
