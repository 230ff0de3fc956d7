"""The steps of a lookup, as every oracle that can tell them tells them: which kernel function returned what."""

from typing import NamedTuple

# enum step of csrc/record.h, in its order: the kernel function, and the names of up to three values.
FUNCTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("", ()),
    ("sk_is_refcounted", ("sk", "counted")),
    ("skb_steal_sock", ("sk", "refcounted")),
    ("inet_steal_sock", ("sk",)),
    ("inet_iif", ("dif",)),
    ("inet_bound_dev_eq", ("bound", "fits")),
    ("refcount_inc_not_zero", ("taken", "refcnt")),
    ("__inet_lookup_established", ("sk",)),
    ("bpf_sk_lookup_run_v4", ("sk", "no_reuseport")),
    ("inet_lookup_run_sk_lookup", ("sk",)),
    ("compute_score", ("sk", "score")),
    ("reciprocal_scale", ("hash", "buckets", "start")),
    ("reuseport_select_sock_by_hash", ("sk",)),
    ("run_bpf_filter", ("sk",)),
    ("bpf_run_sk_reuseport", ("sk",)),
    ("reuseport_select_sock", ("asked", "hash", "sk")),
    ("inet_lookup_reuseport", ("asked", "sk")),
    ("inet_lhash2_lookup", ("daddr", "sk")),
    ("__inet_lookup_listener", ("sk",)),
    ("__inet_lookup", ("sk",)),
    ("__inet_lookup_skb", ("sk",)),
    ("inet_match", ("sk", "matches")),
    ("sock_gen_put", ("sk", "refcnt")),
    ("inet_lookup_run_bpf", ("sk",)),
)
VALUES = dict(FUNCTIONS)
# Who calls whom: a step's function returns to one of these.
CALLERS: dict[str, tuple[str, ...]] = {
    "sk_is_refcounted": ("skb_steal_sock",),
    "skb_steal_sock": ("inet_steal_sock", "__inet_lookup_skb"),
    "inet_steal_sock": ("__inet_lookup_skb",),
    "inet_iif": ("__inet_lookup_skb",),
    "inet_bound_dev_eq": ("inet_match", "compute_score"),
    "inet_match": ("__inet_lookup_established",),
    "refcount_inc_not_zero": ("__inet_lookup_established",),
    "sock_gen_put": ("__inet_lookup_established",),
    "__inet_lookup_established": ("__inet_lookup",),
    "bpf_sk_lookup_run_v4": ("inet_lookup_run_sk_lookup", "inet_lookup_run_bpf"),
    "inet_lookup_run_sk_lookup": ("__inet_lookup_listener",),
    "inet_lookup_run_bpf": ("__inet_lookup_listener",),
    "compute_score": ("inet_lhash2_lookup",),
    "reciprocal_scale": ("reuseport_select_sock_by_hash",),
    "reuseport_select_sock_by_hash": ("reuseport_select_sock",),
    "run_bpf_filter": ("reuseport_select_sock",),
    "bpf_run_sk_reuseport": ("reuseport_select_sock",),
    "reuseport_select_sock": ("inet_lookup_reuseport",),
    "inet_lookup_reuseport": (
        *("inet_steal_sock", "inet_lookup_run_sk_lookup", "inet_lookup_run_bpf", "inet_lhash2_lookup"),
    ),
    "inet_lhash2_lookup": ("__inet_lookup_listener",),
    "__inet_lookup_listener": ("__inet_lookup",),
    "__inet_lookup": ("__inet_lookup_skb",),
    "__inet_lookup_skb": (),
}
# Noted for what has to do with the packet alone, or what they take all the same.
CHOOSY = ("inet_match", "compute_score")


class Step(NamedTuple):
    """`function` returned; `values` are named by VALUES. A socket is an index, NONE, or DROP for an error pointer."""

    function: str
    values: tuple[int, ...]


def parting(ours: list[Step], theirs: list[Step]) -> int | None:
    """The index of the first step at which two traces part, None if they do not."""
    for i, (one, other) in enumerate(zip(ours, theirs, strict=False)):
        if one != other:
            return i
    return None if len(ours) == len(theirs) else min(len(ours), len(theirs))


def above(function: str) -> list[str]:
    """All functions that a step's function may return to, at whatever distance, the nearest first."""
    found = list(CALLERS[function])
    for caller in found:
        found += [f for f in CALLERS[caller] if f not in found]
    return found


def culprit(ours: list[Step], theirs: list[Step]) -> str:
    """The kernel function in which two traces part, "" if they do not; `ours` is the kernel's.

    The function whose values differ; or, where one side returns from a function in which the other goes on to call
    something, that function; or the nearest one above both.
    """
    at = parting(ours, theirs)
    if at is None:
        return ""
    if at >= len(ours) or at >= len(theirs):
        return (ours if at < len(ours) else theirs)[at].function
    one, other = ours[at].function, theirs[at].function
    if one == other:
        return one
    # One side is through with a function in which the other goes on: it is that function that chose to, unless what
    # the kernel called there took something that it should not even have looked at.
    if one in above(other):
        return one
    if other in above(one):
        rest = [step.function for step in ours[at:]]
        extra = rest[: rest.index(other)] if other in rest else rest
        return next((f for f in extra if f in CHOOSY and other in above(f)), other)
    return next((f for f in above(one) if f in above(other)), one)
