"""What the kernel's functions are called in each lookup, for the steps."""

from collections.abc import Mapping
from typing import NamedTuple

from skdiff.cases.scenario import TCP4, TCP6


class Functions(NamedTuple):
    """Kernel functions by what they do; `run_bpf` is what `run_sk_lookup` was before the rule `shared_sk_lookup`."""

    lookup_skb: str
    lookup: str
    steal_sock: str
    iif: str
    established: str
    match: str
    listener: str
    lhash2: str
    reuseport: str
    run_sk_lookup: str
    run_bpf: str
    run_array: str
    score: str


FUNCTIONS: Mapping[int, Functions] = {
    TCP4: Functions(
        lookup_skb="__inet_lookup_skb",
        lookup="__inet_lookup",
        steal_sock="inet_steal_sock",
        iif="inet_iif",
        established="__inet_lookup_established",
        match="inet_match",
        listener="__inet_lookup_listener",
        lhash2="inet_lhash2_lookup",
        reuseport="inet_lookup_reuseport",
        run_sk_lookup="inet_lookup_run_sk_lookup",
        run_bpf="inet_lookup_run_bpf",
        run_array="bpf_sk_lookup_run_v4",
        score="compute_score",
    ),
    TCP6: Functions(
        lookup_skb="__inet6_lookup_skb",
        lookup="__inet6_lookup",
        steal_sock="inet6_steal_sock",
        iif="inet6_iif",
        established="__inet6_lookup_established",
        match="inet6_match",
        listener="inet6_lookup_listener",
        lhash2="inet6_lhash2_lookup",
        reuseport="inet6_lookup_reuseport",
        run_sk_lookup="inet6_lookup_run_sk_lookup",
        run_bpf="inet6_lookup_run_bpf",
        run_array="bpf_sk_lookup_run_v6",
        score="compute_score__net_ipv6_inet6_hashtables_c",
    ),
}
