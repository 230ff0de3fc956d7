"""Abilities: what user space can do to a lookup on some kernels only, as data beside the rules of versions.

A case that needs an ability is not reachable on a kernel without it (see `harness/skdiff/cases/on_kernel.py`).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from skdiff.variants.version_rules import Rules


@dataclass(frozen=True)
class Ability:
    """Something that a helper does since Linux `since`, by the `commit` with that `title`; `where` has file and
    function. A kernel has it if it has the `rule`: both came by one commit, or in one series. `without` says what
    happens on a kernel that has it not.

    With `until` it is the other way: that commit took it away, and a kernel has it if it has not the rule.
    """

    rule: str
    where: str
    since: str
    commit: str
    title: str
    without: str
    until: bool = False

    def refusal(self) -> str:
        """Why a case is not reachable on a kernel without it, for people."""
        return f"{self.without} {'since' if self.until else 'before'} Linux {self.since}, {self.commit} ({self.where})"

    def is_of(self, rules: Rules) -> bool:
        """Whether a kernel of these rules has it."""
        return bool(getattr(rules, self.rule)) != self.until


ASSIGN_REUSEPORT = Ability(
    rule="reselect",
    where="net/core/filter.c bpf_sk_assign()",
    since="6.6",
    commit="9c02bec95954",
    title="bpf, net: Support SO_REUSEPORT sockets with bpf_sk_assign",
    without="bpf_sk_assign() refuses full sockets with SO_REUSEPORT, by ESOCKTNOSUPPORT,",
)
ASSIGN_TCP_REQSK = Ability(
    rule="syncookie",
    where="net/core/filter.c bpf_sk_assign_tcp_reqsk()",
    since="6.9",
    commit="e472f88891ab",
    title="bpf: tcp: Support arbitrary SYN Cookie.",
    without="there is no bpf_sk_assign_tcp_reqsk(), which makes a request of a SYN cookie,",
)
CONNECTED_MEMBER = Ability(
    rule="hash4",
    where="net/ipv4/udp.c udp_lib_hash4()",
    since="6.13",
    commit="78c91ae2c6de",
    title="ipv4/udp: Add 4-tuple hash for connected socket",
    without="connect() takes a UDP socket out of its group",
    until=True,
)
# Its commit mends what came with hash4, in the same version.
PEER_BEFORE_ADDRESS = Ability(
    rule="hash4",
    where="net/ipv4/datagram.c __ip4_datagram_connect()",
    since="6.13",
    commit="51a00be6a099",
    title="udp: fix l4 hash after reconnect",
    without="connect() of IPv4 sets the peer when it has rehashed for the local address",
)
ADDRESS_BEFORE_PEER = Ability(
    rule="hash4",
    where="net/ipv4/datagram.c __ip4_datagram_connect()",
    since="6.13",
    commit="51a00be6a099",
    title="udp: fix l4 hash after reconnect",
    without="connect() of IPv4 sets the peer before it rehashes for the local address",
    until=True,
)
ABILITIES = (ASSIGN_REUSEPORT, ASSIGN_TCP_REQSK, CONNECTED_MEMBER, PEER_BEFORE_ADDRESS, ADDRESS_BEFORE_PEER)


def lacking(kernels: Iterable[Rules]) -> frozenset[Ability]:
    """The abilities that any of these kernels has not."""
    return frozenset(ability for rules in kernels for ability in ABILITIES if not ability.is_of(rules))


NOTHING: frozenset[Ability] = frozenset()
