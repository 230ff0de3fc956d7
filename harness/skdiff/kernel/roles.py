"""Which function of a tree does what the lookup's functions are known for: by its name, else by its place in the call
tree and by what it mentions, so that a rename changes nothing.
"""

from collections.abc import Iterable, Mapping

from skdiff.kernel.file_scope import is_local
from skdiff.kernel.index import Definition

ROOT = "__inet_lookup_skb"
# What only the function of that name mentions, of those that the root reaches: names of functions, macros and fields. A
# name that is a role itself stands for whatever plays it. Callees come before their callers.
EVIDENCE: Mapping[str, tuple[str, ...]] = {
    "inet_ehashfn": ("__inet_ehashfn",),
    "inet_match": ("sk_portpair", "sk_addrpair"),
    "inet_lookup_reuseport": ("reuseport_select_sock", "sk_reuseport"),
    "inet_lookup_run_bpf": ("bpf_sk_lookup_run_v4", "inet_lookup_reuseport", "inet_hashinfo"),  # before 6.6
    "inet_lookup_run_sk_lookup": ("bpf_sk_lookup_run_v4", "inet_lookup_reuseport"),
    "compute_score": ("ipv6_only_sock", "sk_rcv_saddr"),
    "inet_lhash2_lookup": ("compute_score", "inet_lookup_reuseport"),
    "__inet_lookup_established": ("inet_match", "inet_ehash_bucket"),
    "__inet_lookup_listener": ("inet_lhash2_lookup", "inet_lhash2_bucket"),
    "skb_steal_sock": ("skb_sk_is_prefetched", "destructor"),
    "inet_steal_sock": ("skb_steal_sock", "inet_lookup_reuseport"),
}
# What TCP's lookup names beside its own, and UDP's own texts know by this name.
_NO_ROLE = {"udp_ehashfn"}


class Functions:
    """The functions of a kernel's definitions: by name, and by the file that keeps it to itself ("" for none)."""

    def __init__(self, kernel: Iterable[Definition]) -> None:
        self._found: dict[str, dict[str, list[Definition]]] = {}
        for d in kernel:
            if d.kind == "function":
                self._found.setdefault(d.name, {}).setdefault(d.file if is_local(d) else "", []).append(d)

    def seen(self, name: str, file: str) -> list[Definition]:
        """The definitions that a file means by a name: its own, or else those that all files see."""
        there = self._found.get(name, {})
        return there.get(file) or there.get("", [])

    def any(self, name: str) -> list[Definition]:
        """The definitions of a name: those that all files see, or else those of the first file that has it."""
        there = self._found.get(name, {})
        return there.get("") or next(iter(there.values()), [])


def players(functions: Functions) -> dict[str, list[Definition]]:
    """For each function of EVIDENCE, and the root, its definitions in a kernel. One that is not there, or of which
    there could be several, is left out. Of twins, the one that the root comes to is meant.
    """
    reached = _reached(functions)
    by_name = {found[0].name: found for found in reversed(reached)}
    mentioned = [({r.name for d in found for r in d.references}, found) for found in reached]
    playing = {ROOT: functions.any(ROOT)} if functions.any(ROOT) else {}
    for role, evidence in EVIDENCE.items():
        wanted = {playing[name][0].name if name in playing else name for name in evidence}
        taken = {*EVIDENCE, *_NO_ROLE, *(found[0].name for found in playing.values())}
        could = [found for words, found in mentioned if wanted <= words and found[0].name not in taken]
        if role in by_name:
            playing[role] = by_name[role]
        elif len(could) == 1:
            playing[role] = could[0]
        elif functions.any(role):
            playing[role] = functions.any(role)
    return playing


def roles(kernel: Iterable[Definition]) -> dict[str, str]:
    """The names of these functions in a kernel's definitions."""
    return {role: found[0].name for role, found in players(Functions(kernel)).items()}


def _reached(functions: Functions) -> list[list[Definition]]:
    """The functions that one comes to from the root, each once: the definitions of each."""
    root = functions.any(ROOT)
    reached, fresh = [root] if root else [], [root] if root else []
    known = {id(found) for found in reached}
    while fresh:
        user = fresh.pop()
        for name in sorted({r.name for d in user for r in d.references}):
            for found in (functions.seen(name, file) for file in dict.fromkeys(d.file for d in user)):
                if found and id(found) not in known:
                    known.add(id(found))
                    reached.append(found)
                    fresh.append(found)
    return reached
