"""What the kernel's functions are called in each lookup, for the steps."""

from collections.abc import Mapping
from typing import NamedTuple

from skdiff.cases.scenario import TCP4, TCP6, UDP4, UDP6


class Functions(NamedTuple):
    """Kernel functions by what they do; `run_bpf` is what `run_sk_lookup` was before the rule `shared_sk_lookup`. TCP
    searches `established` and `listener`, of which `walk` looks into one chain; UDP `walk`s hash2, `connected` is
    its search of hash4 and `fallback` that of hash; `demux` and `mcast_demux` are what early demux asks.
    """

    lookup_skb: str
    lookup: str
    steal_sock: str
    iif: str
    match: str
    walk: str
    reuseport: str
    run_sk_lookup: str
    run_bpf: str
    run_array: str
    score: str
    established: str = ""
    listener: str = ""
    connected: str = ""
    fallback: str = ""
    demux: str = ""
    mcast_demux: str = ""


FUNCTIONS: Mapping[int, Functions] = {
    TCP4: Functions(
        lookup_skb="__inet_lookup_skb",
        lookup="__inet_lookup",
        steal_sock="inet_steal_sock",
        iif="inet_iif",
        established="__inet_lookup_established",
        match="inet_match",
        listener="__inet_lookup_listener",
        walk="inet_lhash2_lookup",
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
        walk="inet6_lhash2_lookup",
        reuseport="inet6_lookup_reuseport",
        run_sk_lookup="inet6_lookup_run_sk_lookup",
        run_bpf="inet6_lookup_run_bpf",
        run_array="bpf_sk_lookup_run_v6",
        score="compute_score__net_ipv6_inet6_hashtables_c",
    ),
    UDP4: Functions(
        lookup_skb="__udp4_lib_lookup_skb",
        lookup="__udp4_lib_lookup",
        steal_sock="inet_steal_sock",
        iif="inet_iif",
        match="inet_match",
        walk="udp4_lib_lookup2",
        connected="udp4_lib_lookup4",
        fallback="udp4_lib_lookup1",
        demux="__udp4_lib_demux_lookup",
        mcast_demux="__udp4_lib_mcast_demux_lookup",
        reuseport="inet_lookup_reuseport",
        run_sk_lookup="inet_lookup_run_sk_lookup",
        run_bpf="udp4_lookup_run_bpf",
        run_array="bpf_sk_lookup_run_v4",
        score="compute_score__net_ipv4_udp_c",
    ),
    UDP6: Functions(
        lookup_skb="__udp6_lib_lookup_skb",
        lookup="__udp6_lib_lookup",
        steal_sock="inet6_steal_sock",
        iif="inet6_iif",
        match="inet6_match",
        walk="udp6_lib_lookup2",
        connected="udp6_lib_lookup4",
        fallback="udp6_lib_lookup1",
        demux="__udp6_lib_demux_lookup",
        reuseport="inet6_lookup_reuseport",
        run_sk_lookup="inet6_lookup_run_sk_lookup",
        run_bpf="udp6_lookup_run_bpf",
        run_array="bpf_sk_lookup_run_v6",
        score="compute_score__net_ipv6_udp_c",
    ),
}
