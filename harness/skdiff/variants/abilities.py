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
    """

    rule: str
    where: str
    since: str
    commit: str
    title: str
    without: str

    def refusal(self) -> str:
        """Why a case is not reachable on a kernel without it, for people."""
        return f"{self.without} before Linux {self.since}, {self.commit} ({self.where})"


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
ABILITIES = (ASSIGN_REUSEPORT, ASSIGN_TCP_REQSK)


def lacking(kernels: Iterable[Rules]) -> frozenset[Ability]:
    """The abilities that any of these kernels has not."""
    return frozenset(ability for rules in kernels for ability in ABILITIES if not getattr(rules, ability.rule))


NOTHING: frozenset[Ability] = frozenset()
