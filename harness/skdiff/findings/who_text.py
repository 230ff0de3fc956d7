"""The answer to who gets a packet on this host, for people and for programs."""

import os
from collections.abc import Iterator

import msgspec

from skdiff.base.summary import Summary
from skdiff.base.words import counted, share
from skdiff.cases.addresses import text, with_port
from skdiff.cases.scenario import NONE, UDP_LOOKUPS
from skdiff.comparison.mismatch_text import describe_case
from skdiff.findings.answer import Part
from skdiff.findings.chance import HASHES, winner_name
from skdiff.findings.story import story
from skdiff.findings.who import AGREES, NOT_ASKED, Shares, Who, shares
from skdiff.oracles.running.asking import Found
from skdiff.oracles.running.read_host import devices_of
from skdiff.variants import version_rules

_BEFORE = (
    "what comes before the lookup: netfilter (NAT, TPROXY, drops) and programs of devices (tc, XDP) may change the"
    " packet, drop it, or attach a socket to it"
)


class ToldSocket(msgspec.Struct):
    """A socket of a summary: its name in the answer, its cookie and inode (`ss -e` shows both), and the numbers of the
    processes that have it.
    """

    name: str
    cookie: int
    inode: int
    pids: list[int]


class WhoSummary(Summary, kw_only=True):
    """Who gets a packet: the packet's ends, whether it stands for any client, its device and CPU, whether its address
    is one of the namespace; the rules of the model; by it who gets the packet ("none": nobody; None: a program, or a
    hash that is not known) and each socket's part; whether the running kernel agrees ("not asked"), and how many of its
    answers were for whom ("": a socket that was not read); what happens, what was not seen, and the sockets.
    """

    running: str
    rules: list[str]
    packet: str
    any_client: bool
    device: str
    cpu: int
    local: bool
    sk: str | None
    chance: list[Part]
    verdict: str
    kernel: dict[str, int]
    story: list[str]
    unseen: list[str]
    sockets: list[ToldSocket]


def lines(who: Who) -> Iterator[str]:
    """The answer for people."""
    yield f"Linux {os.uname().release}, {version_rules.describe(who.model.rules)}"
    yield _where(who)
    yield from who.answered.holds_for()
    yield from (f"  {line}" for line in describe_case(who.case, who.model.rules, who.model.config))
    yield ""
    packet = who.situation.packet
    client = f" to a packet of {with_port(packet.saddr, packet.sport)}"
    yield f"What happens{client if who.situation.question.client is None else ''}:"
    for number, sentence in enumerate(_story(who), 1):
        yield f"{number:3}. {sentence}"
    yield ""
    yield from _chance(who)
    yield from (f"Next: {sentence}" for sentence in who.answered.next)
    yield from _elsewhere(who)
    yield from (note for note in who.notes if note[0].isupper())
    yield _kernel(who)
    yield from (f"Not seen: {line}." for line in unseen(who))
    yield ""
    yield last(who)


def _story(who: Who) -> list[str]:
    return story(who.case, who.model.trace(who.case.scenario), who.model.config)


def _name(who: Who, sk: int) -> str:
    return winner_name(sk, who.case.socks)


def _where(who: Who) -> str:
    situation = who.situation
    asked, packet = situation.question, situation.packet
    named = f"of {asked.netns}" if asked.netns else "of this process"
    client = "any client" if asked.client is None else with_port(packet.saddr, packet.sport)
    chosen = "" if asked.device else ", as nothing else is said (--dev)"
    device = situation.device.name
    of_route = packet.rt_iif or (packet.sdif if situation.device.is_vrf and packet.sdif != packet.skb_iif else 0)
    if of_route:
        device += f", as one of {situation.net.device(of_route)}, which has the address"
    local = "has" if situation.route.local else "does not have"
    return (
        f"The network namespace {named} (net:[{situation.net.inode}]) {local} the address {text(packet.daddr)}. The"
        f" packet is from {client}, and comes in by {device}{chosen}."
    )


def _parts(who: Who, found: Shares) -> str:
    ranked = sorted(found.items(), key=lambda part: -part[1])
    return ", ".join(f"{_name(who, sk)} {share(part, HASHES)}" for sk, part in ranked)


def _chance(who: Who) -> Iterator[str]:
    """How much the hash gives to whom."""
    if who.program:
        yield (
            "A program of the group chooses; what it would choose is not known, as nothing but a packet asks it. Where"
            " it leaves the choice to the hash, that gives " + _parts(who, who.shares)
        )
    elif len(who.shares) > 1:
        what = "datagram" if who.case.scenario.lookup in UDP_LOOKUPS else "connection"
        yield f"Chance: the hash of the {what}'s ends chooses, with a secret of this boot. Of all clients it gives"
        width = max(len(_name(who, sk)) for sk in who.shares)
        for sk, part in sorted(who.shares.items(), key=lambda part: -part[1]):
            yield f"  {_name(who, sk):<{width}} {share(part, HASHES):>8}"


def _elsewhere(who: Who) -> Iterator[str]:
    """Who gets the packet on other CPUs, and by other devices, where that is somebody else."""
    scenario = who.case.scenario
    own = shares(scenario, who.model)
    cpus = sorted({sock.incoming_cpu for sock in scenario.socks if sock.incoming_cpu >= 0})
    for cpu in cpus:
        found = shares(scenario._replace(cpu=cpu), who.model)
        if found != own:
            yield f"On CPU {cpu}: {_parts(who, found)}."
    if who.situation.question.device is not None:
        return
    bound = {sock.bound_dev_if for sock in scenario.socks if sock.bound_dev_if}
    for device in who.situation.net.devices:
        if not bound or device.number == who.situation.device.number:
            continue
        devices = devices_of(device, who.situation.route, who.situation.question.ipv6)
        packet = scenario.packet._replace(**devices)
        found = shares(scenario._replace(packet=packet), who.model)
        if found != own:
            yield f"By {device.name}: {_parts(who, found)}."


def _kernel(who: Who) -> str:
    """What the running kernel said."""
    if who.verdict == NOT_ASKED:
        why = who.situation.unasked or "each client that was tried has a socket of its own there"
        return f"The running kernel was not asked: {why}."
    answers = who.situation.answers
    assert answers is not None
    helper = "bpf_sk_lookup_udp()" if who.case.scenario.lookup in UDP_LOOKUPS else "bpf_skc_lookup_tcp()"
    agrees = "agrees" if who.verdict == AGREES else "DIFFERS"
    number = len(answers.given)
    said = ", ".join(f"{_name(who, sk)} ({count:,})" for sk, count in who.kernel.most_common())
    if number == 1:
        said = "".join(_name(who, sk) for sk in who.kernel)
    if who.strangers:
        said = ", ".join(filter(None, (said, f"{_stranger(who.strangers[0])} ({len(who.strangers):,})")))
    asked = f"for {counted(number, 'client')}" if number > 1 else "for this packet"
    how = (
        f" As cookies are not seen ({answers.blind}), sockets that look the same count as one." if answers.blind else ""
    )
    return f"The running kernel {agrees}: {helper} on CPU {who.situation.cpu} {asked} gave {said}.{how}"


def _stranger(found: Found) -> str:
    return f"a socket on {with_port(found.address, found.port)}"


def unseen(who: Who) -> list[str]:
    """What was not seen, and what that could change."""
    situation = who.situation
    found = [note for note in who.notes if not note[0].isupper()]
    found += who.host.unseen
    socks = who.case.scenario.socks
    asked = {socks[sk].group for sk in who.shares if sk >= 0} & {*who.host.unread}
    if asked:
        groups = ", ".join(who.case.groups[number] for number in sorted(asked))
        found.append(
            f"whether {groups} has a program, and the order of its members: a program would decide in the place of the"
            " hash; the order matters only where some members asked for a CPU, or are connected"
        )
    if situation.programs is None:
        found.append(
            "whether the namespace has sk_lookup programs (that takes CAP_NET_ADMIN): they come before the search for"
            " listeners, and may choose any"
        )
    if situation.hidden:
        found.append(
            f"the files of {situation.hidden} processes, which this user may not see: their sockets have no name"
        )
    if situation.moved:
        found.append("what changed meanwhile: sockets came or went while they were read; ask again")
    if situation.question.client is None:
        found.append("who is connected there already: a packet of a connection goes to that (--from asks for one)")
    return [*found, _BEFORE]


def last(who: Who) -> str:
    """The last line."""
    situation = who.situation
    if who.verdict not in (AGREES, NOT_ASKED):
        said = {_name(who, sk) for sk in who.kernel} | {_stranger(found) for found in who.strangers}
        return f"Answer: by the model {_parts(who, who.shares)}; by the running kernel {' or '.join(sorted(said))}."
    if not situation.route.local:
        then = " or ".join(_name(who, sk) for sk in who.shares)
        return (
            f"Answer: nobody, since {text(situation.packet.daddr)} is no address of this network namespace: a packet"
            f" for it is forwarded or dropped. Were it here, the lookup would give it to {then}."
        )
    if who.program:
        members = ", ".join(_name(who, sk) for sk in who.shares)
        return f"Answer: the group's program chooses, among {members}, or drops the packet."
    if len(who.shares) == 1:
        return who.answered.last()
    if (
        situation.question.client is not None
        and len(who.kernel) == 1
        and situation.answers
        and not situation.answers.blind
    ):
        [sk] = who.kernel
        return f"Answer: {_name(who, sk)} gets the packet: the kernel's hash of its ends points to it."
    return f"Answer: one of {counted(len(who.shares), 'socket')}, by the hash of the client's address and port."


def summary(who: Who) -> WhoSummary:
    """The same for programs."""
    situation, names = who.situation, who.case.socks
    packet = situation.packet
    sole = len(who.shares) == 1 and not who.program
    told = {seen.cookie: seen for seen in (*situation.sockets, *situation.more)}
    kernel = {names[sk] if sk >= 0 else "none": count for sk, count in who.kernel.items()}
    return WhoSummary(
        running=os.uname().release,
        rules=[name for name in version_rules.NAMES if getattr(who.model.rules, name)],
        packet=f"{with_port(packet.saddr, packet.sport)} -> {with_port(packet.daddr, packet.dport)}",
        any_client=situation.question.client is None,
        device=situation.device.name,
        cpu=situation.cpu,
        local=situation.route.local,
        sk=("none" if (sk := next(iter(who.shares))) == NONE else names[sk]) if sole else None,
        chance=[Part(names[sk] if sk >= 0 else "none", part, part / HASHES) for sk, part in who.shares.items()],
        verdict=who.verdict,
        kernel=kernel | ({"": len(who.strangers)} if who.strangers else {}),
        story=_story(who),
        unseen=unseen(who),
        sockets=[
            ToldSocket(
                name,
                cookie,
                told[cookie].inode,
                sorted({owner.pid for owner in situation.owners.get(told[cookie].inode, ())}),
            )
            for name, cookie in zip(names, who.host.cookies, strict=True)
        ],
    )
