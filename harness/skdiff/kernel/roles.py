"""Which function of a tree does what the lookup's functions are known for: by its name, else by its place in the call
tree and by what it mentions, so that a rename changes nothing.
"""

from collections.abc import Iterable, Mapping

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


def roles(kernel: Iterable[Definition]) -> dict[str, str]:
    """For each function of EVIDENCE, and the root, the name that it has in a kernel's definitions. One that is not
    there, or of which there could be several, is left out.
    """
    functions: dict[str, list[Definition]] = {}
    for definition in kernel:
        if definition.kind == "function":
            functions.setdefault(definition.name, []).append(definition)
    mentioned = {name: {r.name for d in found for r in d.references} for name, found in functions.items()}
    reached = _reached(ROOT, mentioned)
    found = {ROOT: ROOT} if ROOT in functions else {}
    for role, evidence in EVIDENCE.items():
        wanted = {found.get(name, name) for name in evidence}
        taken = {*EVIDENCE, *found.values()}
        playing = [name for name in reached if wanted <= mentioned[name] and name not in taken]
        if role not in reached and len(playing) == 1:
            found[role] = playing[0]
        elif role in functions:
            found[role] = role
    return found


def _reached(root: str, mentioned: Mapping[str, set[str]]) -> list[str]:
    """The functions that one comes to from the root, each once."""
    reached, fresh = dict.fromkeys([root] if root in mentioned else []), [root]
    while fresh:
        names = sorted(name for name in mentioned.get(fresh.pop(), ()) if name in mentioned and name not in reached)
        reached |= dict.fromkeys(names)
        fresh += names
    return list(reached)
