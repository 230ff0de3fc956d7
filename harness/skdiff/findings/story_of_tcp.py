"""The steps of a lookup of TCP as sentences, and what UDP's have in common with them."""

from collections.abc import Callable, Container, Iterator, Sequence

from skdiff.cases.addresses import joined, mapped
from skdiff.cases.case_file import Case
from skdiff.cases.case_values import address
from skdiff.cases.event_text import action_text, event_text, point_text
from skdiff.cases.scenario import (
    AF_INET,
    AT_TAKEN,
    COMES,
    DESTRUCTOR_NONE,
    EHASH,
    HELPER,
    IPV6_LOOKUPS,
    LHASH2,
    NONE,
    PFREE,
    TCP_ESTABLISHED,
    Group,
    Sock,
)
from skdiff.cases.steps import EVENT, Step
from skdiff.comparison.mismatch_text import names_of
from skdiff.findings.step_words import device_text, devices_of, value_text
from skdiff.oracles.model.functions import FUNCTIONS
from skdiff.oracles.model.state import DROP
from skdiff.variants.config import Config


class Story:
    """Knows the case, so that it can say why. `sysctl` decides who takes packets of an L3 domain. The steps are those
    of whichever kernel: what the rules say besides is said only where they lead to the same.
    """

    sysctl = "tcp_l3mdev_accept"
    hashed = "connection"  # what a group's hash is made of

    def __init__(self, case: Case, config: Config) -> None:
        self.scenario, self.config = case.scenario, config
        self.cpu = case.scenario.cpu if config.smp else 0
        self.socks, self.groups = names_of(case)
        self.devices = devices_of(case)
        self.functions = FUNCTIONS[case.scenario.lookup]
        self.ipv6 = case.scenario.lookup in IPV6_LOOKUPS
        self.scored: set[int] = set()
        # Sockets that are not as the case has them, by events: what the case says of them is no reason for anything.
        self.changed = {e.sk if e.action == COMES else e.other for e in case.scenario.events} - {NONE}
        self.helper = case.scenario.caller == HELPER
        self.dif = case.scenario.packet.skb_iif if self.helper else 0
        self.steps: Sequence[Step] = ()
        self.at = 0  # the number of the step that is told

    def teller(self) -> dict[str, Callable[..., Iterator[str]]]:
        """What tells of a step, by its function."""
        functions = self.functions
        return {
            EVENT: self.event,
            "skb_steal_sock": self.steal,
            functions.steal_sock: self.stolen,
            functions.iif: self.iif,
            "inet_bound_dev_eq": self.device,
            "refcount_inc_not_zero": self.refcount,
            "sock_gen_put": self.put,
            functions.established: self.established,
            functions.run_array: self.programs,
            functions.score: self.score,
            "reciprocal_scale": self.scale,
            "reuseport_select_sock_by_hash": self.by_hash,
            "run_bpf_filter": self.filter,
            "bpf_run_sk_reuseport": self.sk_reuseport,
            functions.reuseport: self.reuseport,
            functions.walk: self.walk_ipv6 if self.ipv6 else self.walk,
            functions.lookup if self.helper else functions.lookup_skb: self.result,
        }

    def sentences(self, steps: Sequence[Step]) -> Iterator[str]:
        """What each step did, one or several sentences for those that a reader wants to know of."""
        describe = self.teller()
        self.steps = steps
        yield from self.before()
        for self.at, step in enumerate(steps):
            if self.at == len(steps) - 1:  # the last one says who gets the packet
                yield from self.missed({step.values[0] for step in steps if step.function == EVENT})
            if step.function in describe:
                yield from describe[step.function](*step.values)

    def next_of(self, *functions: str) -> Step | None:
        """The nearest step behind this one that is of one of these functions."""
        return next((step for step in self.steps[self.at + 1 :] if step.function in functions), None)

    def last_of(self, *functions: str) -> Step | None:
        """The nearest step before this one that is of one of these functions."""
        return next((step for step in reversed(self.steps[: self.at]) if step.function in functions), None)

    def is_final(self, sk: int) -> bool:
        """Whether the function that asked a group returns with its answer at once: a patched kernel may go on."""
        if self.at + 1 >= len(self.steps):
            return True
        after, functions = self.steps[self.at + 1], self.functions
        enders = (functions.walk, functions.steal_sock, functions.run_sk_lookup, functions.run_bpf)
        return after.function in enders and after.values[-1] == sk

    def event(self, number: int, came: int) -> Iterator[str]:
        event = self.scenario.events[number]
        where, what = point_text(event, self.socks), action_text(event, self.socks, self.groups)
        if came:
            self.changed |= {event.sk, event.other} - {NONE}
            yield f"Meanwhile, on another CPU, {where}: {what}."
        else:
            yield f"Event {number + 1} does not come about {where}: as things are by now, it cannot be that {what}."

    def missed(self, visited: Container[int]) -> Iterator[str]:
        """The events whose points the lookup does not come to, or not as often."""
        for number, event in enumerate(self.scenario.events):
            if number not in visited:
                text = event_text(event, self.socks, self.groups)
                how = "never comes there" if event.nth == 1 else "does not come there as often"
                yield f"Event {number + 1} ({text}) does not come about: the lookup {how}."

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
            yield f"{self.functions.steal_sock}(): the group's error ends the lookup: nobody gets the packet."
        elif sk != NONE:
            yield f"{self.functions.steal_sock}(): {self.name(sk)} gets the packet; no table is searched."

    def iif(self, dif: int) -> Iterator[str]:
        self.dif = dif
        p = self.scenario.packet
        if p.sdif and dif == p.skb_iif != p.sdif:
            yield (
                f"{self.functions.iif}(): the packet's device is the L3 master {self.device_name(dif)}, it came in by"
                f" its slave {self.device_name(p.sdif)}."
            )
            return
        source = "the route" if p.rt_iif and not (self.ipv6 and p.sdif) else "the device that it came in by"
        lower = f"; sdif, the device below an L3 master, is {self.device_name(p.sdif)}" if p.sdif else ""
        yield f"{self.functions.iif}(): the packet's device is {self.device_name(dif)}, from {source}{lower}."

    def device_name(self, device: int) -> str:
        """A device in a sentence: its number, behind its name if the case has one."""
        return device_text(device, self.devices)

    def device(self, bound: int, fits: int) -> Iterator[str]:
        if fits:
            return
        # The function does not know whose device it compares: the step that is behind it does.
        after = self.steps[self.at + 1] if self.at + 1 < len(self.steps) else None
        named = after is not None and after.function in (self.functions.score, self.functions.match)
        who = self.name(after.values[0]) if after is not None and named else "a socket"
        # A whole connection is compared by inet_match(), of UDP too: with TCP's sysctl.
        connection = after is not None and after.function == self.functions.match
        sysctl = "tcp_l3mdev_accept" if connection else self.sysctl
        sdif = self.scenario.packet.sdif
        if bound:
            seen = self.device_name(self.dif) + (f" or {self.device_name(sdif)}" if sdif else "")
            why = f"{who} is bound to device {self.device_name(bound)}, and does not see device {seen}"
        else:
            why = (
                f"{who} is bound to no device, and does not see packets of an L3 domain while net.ipv4.{sysctl} is off"
            )
        yield f"inet_bound_dev_eq(): {why}."

    def refcount(self, taken: int, refcnt: int) -> Iterator[str]:
        before = self.last_of(self.functions.match, self.functions.demux)
        who = self.name(before.values[0]) if before is not None else "the match"
        came = self.steps[self.at - 1] if self.at else None
        if not taken:
            how = f"{who} is dying (no reference left): the established search is over"
        elif came is not None and came.function == EVENT and self.scenario.events[came.values[0]].point == AT_TAKEN:
            how = f"the reference was taken just before that; the count is {refcnt} now"
        else:
            how = f"a reference is taken, {refcnt} now"
        yield f"refcount_inc_not_zero(): {how}."

    def put(self, sk: int, refcnt: int) -> Iterator[str]:
        rest = f"{refcnt} left" if refcnt else "the last one: it is freed"
        yield f"sock_gen_put(): {self.name(sk)} is no match any more: the reference is given back ({rest})."
        yield f"{self.functions.established}(): by the rules the search starts anew now."

    def established(self, sk: int) -> Iterator[str]:
        connected = [i for i, s in enumerate(self.scenario.socks) if s.hashed == EHASH]
        if sk != NONE:
            yield f"{self.functions.established}(): {self.name(sk)} is the packet's own connection."
        elif connected:
            others = "; ".join(f"{self.name(i)} {why}" for i in connected if (why := self.not_connected(i)))
            yield f"{self.functions.established}(): no connection matches{f' ({others})' if others else ''}."
        else:
            yield f"{self.functions.established}(): the table of connections is empty."

    def not_connected(self, index: int) -> str:
        """Why a socket in ehash is not the packet's."""
        if index in self.changed:
            return ""
        p, s = self.scenario.packet, self.scenario.socks[index]
        if self.ipv6 and s.family == AF_INET:
            return "is of AF_INET"
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
        one = count == 1
        chooses, drops, leaves = ("chooses", "drops", "leaves") if one else ("choose", "drop", "leave")
        end = {NONE: f"{chooses} nobody", DROP: f"{drops} the packet"}.get(sk, f"{chooses} {self.name(sk)}")
        group = f", and {leaves} its group out" if no_reuseport else ""
        who = "the sk_lookup program" if one else f"{count} sk_lookup programs together"
        yield f"{self.functions.run_array}(): {who} {end}{group}."

    def score(self, sk: int, score: int) -> Iterator[str]:
        self.scored.add(sk)
        if not score:
            yield f"compute_score(): {self.name(sk)} may not have the packet."
            return
        if sk in self.changed:
            yield f"compute_score(): {self.name(sk)} scores {score}."
            return
        s = self.scenario.socks[sk]
        parts = ["1 for the match"]
        for has, why in (
            (s.bound_dev_if, "1 for its device"),
            (s.family == AF_INET and not self.ipv6, "1 for AF_INET"),
            (s.incoming_cpu == self.cpu, "1 for its CPU"),
        ):
            if has:
                parts.append(why)
        why = ", ".join(parts)
        if score != len(parts):
            why = f"by the rules {len(parts)}: {why}"
        yield f"compute_score(): {self.name(sk)} scores {score} ({why})."

    def scale(self, hash_: int, buckets: int, start: int) -> Iterator[str]:
        yield f"reciprocal_scale(): the hash {hash_:#x} of the {self.hashed} points to member {start} of {buckets}."

    def asked_group(self) -> Group | None:
        """The group whose choice is told: that of the socket which the step that ends the choice names."""
        after = self.next_of("reuseport_select_sock", self.functions.reuseport)
        asked = NONE if after is None else after.values[0]
        number = self.scenario.socks[asked].group if 0 <= asked < len(self.socks) else NONE
        return None if number == NONE else self.scenario.groups[number]

    def by_hash(self, sk: int) -> Iterator[str]:
        group, before = self.asked_group(), self.steps[self.at - 1] if self.at else None
        start = before.values[2] if before is not None and before.function == "reciprocal_scale" else 0
        why = "" if group is None else self.why_by_hash(group, start, sk)
        yield f"reuseport_select_sock_by_hash(): {why or f'{self.name(sk)} is chosen by the hash'}."

    def why_by_hash(self, group: Group, start: int, sk: int) -> str:
        """What else than the hash had a say in reuseport_select_sock_by_hash(); "" if nothing had."""
        live = group.slots[: group.num_socks]
        if not self.changed.isdisjoint(live):
            return ""
        in_turn = live[start:] + live[:start]
        willing = [i for i in in_turn if self.scenario.socks[i].state != TCP_ESTABLISHED]
        if not willing:
            return "all members are connected and take no new peer, so nobody is chosen" if sk == NONE else ""
        first = self.name(willing[0])
        points = f"the hash points to {first}"
        if willing[0] != in_turn[0]:
            points = f"{self.name(in_turn[0])}, to which the hash points, is connected, and {first} is the next"
        asked = {i: self.scenario.socks[i].incoming_cpu for i in live if self.scenario.socks[i].incoming_cpu >= 0}
        mine = [i for i in willing if asked.get(i) == self.cpu]
        if not group.incoming_cpu or sk != (mine or willing)[0]:
            return f"{points}, which is chosen" if willing[0] != in_turn[0] and sk == willing[0] else ""
        if not mine:
            others = ", ".join(f"{self.name(i)} for {cpu}" for i, cpu in asked.items())
            others = f" ({others})" if others else ""
            return f"nobody who could be chosen asked for CPU {self.cpu}{others}, so {first} stays: {points}"
        if mine[0] == willing[0]:
            return f"{points}, and {first} asked for CPU {self.cpu} (SO_INCOMING_CPU): {first} is chosen"
        return (
            f"{points}, but {self.name(sk)} asked for CPU {self.cpu} (SO_INCOMING_CPU), on which the lookup runs:"
            f" {self.name(sk)} is chosen"
        )

    def filter(self, sk: int) -> Iterator[str]:
        group, end = self.asked_group(), "decides nothing"
        if sk != NONE:
            end = f"chooses {self.name(sk)}"
            if group is not None and group.returns < len(group.slots) and group.slots[group.returns] == sk:
                end = f"returns {group.returns} and chooses {self.name(sk)}"
        elif self.scenario.events:  # the group may have fewer members by now
            end = "decides nothing, and the hash chooses"
        elif group is not None and group.returns >= group.num_socks:
            members = "member 0 alone" if group.num_socks == 1 else f"members 0 to {group.num_socks - 1}"
            end = f"returns {group.returns}, but the group has {members}: it decides nothing, and the hash chooses"
        elif group is not None:
            end = "is not run, for want of memory or of a whole header: it decides nothing, and the hash chooses"
        yield f"run_bpf_filter(): the group's filter {end}."

    def sk_reuseport(self, sk: int) -> Iterator[str]:
        nobody = "selects nobody, and the hash chooses"
        end = {NONE: nobody, DROP: "drops the packet"}.get(sk, f"selects {self.name(sk)}")
        yield f"bpf_run_sk_reuseport(): the group's program {end}."

    def reuseport(self, asked: int, sk: int) -> Iterator[str]:
        s = self.scenario.socks[asked] if 0 <= asked < len(self.socks) else Sock()
        if sk >= 0:
            end = ": that is final" if self.is_final(sk) else ""
            yield f"{self.functions.reuseport}(): the group of {self.name(asked)} answers {self.name(sk)}{end}."
        elif sk == DROP:
            end = ": that is final too" if self.is_final(sk) else ""
            yield f"{self.functions.reuseport}(): the group of {self.name(asked)} answers with an error{end}."
        elif s.reuseport:
            yield f"{self.functions.reuseport}(): {self.name(asked)} has SO_REUSEPORT, but no group that decides."

    def walk(self, daddr: int, sk: int) -> Iterator[str]:
        yield from self.listeners(mapped(daddr), sk)

    def walk_ipv6(self, first_half: int, last_half: int, sk: int) -> Iterator[str]:
        yield from self.listeners(joined(first_half, last_half), sk)

    def listeners(self, daddr: int, sk: int) -> Iterator[str]:
        where = address(daddr) if daddr else f"the wildcard {'::' if self.ipv6 else address(daddr)}"
        losers = [
            f"{self.name(i)} {why}"
            for i, s in enumerate(self.scenario.socks)
            if s.hashed == LHASH2 and i not in self.scored | self.changed and (why := self.not_listening(s, daddr))
        ]
        text = f"{self.functions.walk}(): among listeners on {where} "
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
            (s.family == AF_INET and self.ipv6, "is of AF_INET"),
            (s.ipv6only and self.config.ipv6 and not self.ipv6, "is for IPv6 only"),
        ):
            if loses:
                return what
        return ""

    def result(self, sk: int) -> Iterator[str]:
        root = self.functions.lookup if self.helper else self.functions.lookup_skb
        what = "is found" if self.helper else "gets the packet"
        yield f"{root}(): {self.name(sk)} {what}." if sk != NONE else f"Nobody {what}."

    def before(self) -> Iterator[str]:
        """What is to be known before the first step."""
        if self.helper:
            yield (
                "A BPF helper asks, without an sk_buff: nothing can hang on it, and no program of a group runs."
                f" The packet's device is {self.dif}."
            )
