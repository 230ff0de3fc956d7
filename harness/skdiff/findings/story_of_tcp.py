"""The steps of a lookup of TCP as sentences, and what UDP's have in common with them."""

from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest

from skdiff.cases.addresses import joined, mapped
from skdiff.cases.case_file import Case
from skdiff.cases.case_values import address
from skdiff.cases.scenario import (
    AF_INET,
    DESTRUCTOR_NONE,
    EHASH,
    HELPER,
    IPV6_LOOKUPS,
    LEAVES,
    LHASH2,
    NONE,
    PFREE,
    Sock,
)
from skdiff.cases.steps import Step
from skdiff.comparison.mismatch_text import names_of
from skdiff.findings.step_words import value_text
from skdiff.oracles.model.functions import FUNCTIONS
from skdiff.oracles.model.state import DROP
from skdiff.variants.config import Config


class Story:
    """Knows the case, so that it can say why. `sysctl` decides who takes packets of an L3 domain."""

    sysctl = "tcp_l3mdev_accept"

    def __init__(self, case: Case, config: Config) -> None:
        self.scenario, self.config = case.scenario, config
        self.cpu = case.scenario.cpu if config.smp else 0
        self.socks, self.groups = names_of(case)
        self.functions = FUNCTIONS[case.scenario.lookup]
        self.ipv6 = case.scenario.lookup in IPV6_LOOKUPS
        self.scored: set[int] = set()
        self.helper = case.scenario.caller == HELPER
        self.dif = case.scenario.packet.skb_iif if self.helper else 0
        self.goes_on = False  # whether the next step looks at one more listener: a patched kernel may

    def teller(self) -> dict[str, Callable[..., Iterator[str]]]:
        """What tells of a step, by its function."""
        functions = self.functions
        return {
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
        yield from self.before()
        following = [step.function for step in steps[1:]]
        for step, after in zip_longest(steps, following):
            self.goes_on = after in (self.functions.score, "inet_bound_dev_eq")
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
            yield f"{self.functions.steal_sock}(): the group's error ends the lookup: nobody gets the packet."
        elif sk != NONE:
            yield f"{self.functions.steal_sock}(): {self.name(sk)} gets the packet; no table is searched."

    def iif(self, dif: int) -> Iterator[str]:
        self.dif = dif
        p = self.scenario.packet
        source = "the route" if p.rt_iif and not (self.ipv6 and p.sdif) else "the device that it came in by"
        lower = f", below an L3 master by device {p.sdif}" if p.sdif else ""
        yield f"{self.functions.iif}(): the packet's device is {dif}, from {source}{lower}."

    def device(self, bound: int, fits: int) -> Iterator[str]:
        if fits:
            return
        sdif = self.scenario.packet.sdif
        why = (
            f"a socket bound to device {bound} does not see device {self.dif}" + (f" or {sdif}" if sdif else "")
            if bound
            else f"an unbound socket does not see an L3 domain while {self.sysctl} is off"
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
        yield f"{self.functions.established}(): the search starts anew."

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
        end = {NONE: "choose nobody", DROP: "drop the packet"}.get(sk, f"choose {self.name(sk)}")
        group = ", and leave its group out" if no_reuseport else ""
        yield f"{self.functions.run_array}(): {count} sk_lookup program{'s' * (count != 1)} together {end}{group}."

    def score(self, sk: int, score: int) -> Iterator[str]:
        self.scored.add(sk)
        if not score:
            yield f"compute_score(): {self.name(sk)} may not have the packet."
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
            yield f"{self.functions.reuseport}(): the group of {self.name(asked)} answers {self.name(sk)}{end}."
        elif sk == DROP:
            end = "" if self.goes_on else ": that is final too"
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
            if s.hashed == LHASH2 and i not in self.scored and (why := self.not_listening(s, daddr))
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
