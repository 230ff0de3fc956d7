"""What follows from the rest of a reachable case. `normalise.py` makes cases with it, `reduce.py` smaller ones."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from skdiff.cases.scenario import Scenario

# net/ipv4/inet_hashtables.c inet_reuseport_add_sock(): what the members of a group have in common. The device is not in
# it: SO_BINDTODEVICE may move a listener later.
GROUP_KEY = ("netns", "protocol", "family", "ipv6only", "rcv_saddr", "num")


class GroupFacts(NamedTuple):
    """Fields of a group that its members decide."""

    reuseport_id: int
    incoming_cpu: int
    bind_inany: int


def group_facts(number: int, cpus: Iterable[int], address: int | None, bind_inany: int) -> GroupFacts:
    """net/core/sock_reuseport.c reuseport_alloc(), __reuseport_add_sock(): the group of that number, whose members have
    these SO_INCOMING_CPU, and the first of them this local address (None without members: `bind_inany` stays).
    """
    return GroupFacts(number + 1, sum(cpu >= 0 for cpu in cpus), bind_inany if address is None else int(address == 0))


def run_array(progs: Sequence[object]) -> int:
    """kernel/bpf/net_namespace.c: whether a namespace has an array of programs."""
    return int(bool(progs))


def sk_lookup_enabled(progs: Iterable[Sequence[object]]) -> int:
    """kernel/bpf/net_namespace.c: the static key bpf_sk_lookup_enabled is on if any namespace has a program."""
    return int(any(progs))


def with_derived(s: Scenario) -> Scenario:
    """A reachable scenario with those derived fields that need nothing else to change."""
    groups = []
    for i, group in enumerate(s.groups):
        members = [sock for sock in s.socks if sock.group == i]
        address = members[0].rcv_saddr if members else None
        facts = group_facts(i, (sock.incoming_cpu for sock in members), address, group.bind_inany)
        groups.append(group._replace(**facts._asdict()))
    return s._replace(
        sk_lookup_enabled=sk_lookup_enabled(net.progs for net in s.netns),
        netns=tuple(net._replace(run_array=run_array(net.progs)) for net in s.netns),
        groups=tuple(groups),
    )
