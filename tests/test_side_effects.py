"""A kernel tree whose lookup writes what it should not, or puts sockets where they do not belong, is reported: nothing
that the lookup touches, and nothing of how the tables were filled, is taken on trust.
"""

from pathlib import Path

import pytest

from skdiff.campaign.finding_files import Origin
from skdiff.campaign.messages import Found
from skdiff.campaign.run import Run
from skdiff.cases.case_file import load
from skdiff.cases.fields import LOOKUPS
from skdiff.cases.find_cases import files
from skdiff.cases.outcome import COMPARED, STUCK
from skdiff.cases.record import constants
from skdiff.cases.scenario import TCP4, TCP6
from skdiff.engines import random_engine
from skdiff.findings.explain import explanation
from skdiff.findings.replay_cases import verdict
from skdiff.findings.triage import cause
from skdiff.kernel.build import build
from skdiff.kernel.source import Tree
from skdiff.oracles.model import Model
from skdiff.oracles.model.functions import FUNCTIONS
from skdiff.oracles.reference import Reference
from tests.helpers import mostly_long
from tests.patched import Edit, edited_tree

INET_HASHTABLES_C = "net/ipv4/inet_hashtables.c"
INET6_HASHTABLES_C, INET6_HASHTABLES_H = "net/ipv6/inet6_hashtables.c", "include/net/inet6_hashtables.h"
REUSEPORT = "net/core/sock_reuseport.c"
UDP4, UDP6 = "net/ipv4/udp.c", "net/ipv6/udp.c"
UNLOCK = r"(rcu_read_unlock\(\);)"

# What a lookup must not do, each in one function, with the field of the Outcome that tells of it.
WRITES = {
    "frees the packet": (Edit(REUSEPORT, "run_bpf_filter", r"consume_skb\(nskb\)", "consume_skb(skb)"), "skb_users"),
    "writes to the socket that it found": (
        Edit(INET_HASHTABLES_C, "inet_lhash2_lookup", r"(score = compute_score)", r"sk->sk_incoming_cpu ^= 4; \1"),
        "written",
    ),
    "writes to the group": (
        Edit(REUSEPORT, "reuseport_select_sock", UNLOCK, r"if (reuse) reuse->num_closed_socks++; \1"),
        "written",
    ),
    "writes to the group's time": (
        Edit(REUSEPORT, "reuseport_select_sock", UNLOCK, r"if (reuse) reuse->synq_overflow_ts++; \1"),
        "written",
    ),
    "moves a bucket's chain": (
        Edit(
            INET_HASHTABLES_C,
            "__inet_lookup_established",
            r"(sk = NULL;)",
            r"if (!hlist_nulls_empty(&head->chain)) head->chain.first = head->chain.first->next; \1",
        ),
        "written",
    ),
    "marks the socket": (
        Edit(INET_HASHTABLES_C, "__inet_lookup_established", r"(goto found;)", r"{ sk->sk_state ^= 16; \1 }"),
        "written",
    ),
    "writes to a socket that was freed": (
        Edit(INET_HASHTABLES_C, "__inet_lookup_established", r"(sock_gen_put\(sk\);)", r"\1 sk->sk_bound_dev_if = 0;"),
        "written",
    ),
    "reads a socket that was freed": (
        Edit(
            INET_HASHTABLES_C,
            "__inet_lookup_established",
            r"(sock_gen_put\(sk\);)",
            r"\1 if (sk->sk_net_refcnt) goto out;",
        ),
        "sk",
    ),
    "frees a timewait socket as a request": (
        Edit(INET_HASHTABLES_C, "sock_gen_put", r"inet_twsk_free\(inet_twsk\(sk\)\)", "reqsk_free(inet_reqsk(sk))"),
        "freed",
    ),
    "writes to what the kernel reads for each packet": (
        Edit(INET_HASHTABLES_C, "__inet_lookup_listener", r"(done:)", r"if (!result) inet_ehash_secret++; \1"),
        "written",
    ),
    "clears a bit of the group that is for UDP": (
        Edit(REUSEPORT, "reuseport_select_sock", r"(prog = rcu)", r"reuse->has_conns = 0; \1"),
        "written",
    ),
    "clears what nobody reads of the packet": (
        Edit("include/net/inet_hashtables.h", "__inet_lookup_skb", r"(sk = inet_steal)", r"skb->mark = 0; \1"),
        "written",
    ),
    "clears what nobody reads of a socket": (
        Edit(INET_HASHTABLES_C, "inet_lhash2_lookup", r"(result = sk;)", r"\1 sk->sk_reuse = 0;"),
        "written",
    ),
    "writes behind the table of connections": (
        Edit(
            INET_HASHTABLES_C,
            "__inet_lookup_established",
            r"(sk = NULL;)",
            r"hashinfo->ehash[hashinfo->ehash_mask + 1].chain.first = (void *)hashinfo; \1",
        ),
        "written",
    ),
    "ends a section of another kind": (
        Edit("include/linux/filter.h", "bpf_prog_run_save_cb", r"migrate_enable", "rcu_read_unlock"),
        "sections",
    ),
    "frees the clone before the program sees it": (
        Edit(
            REUSEPORT,
            "run_bpf_filter",
            r"(index = bpf_prog_run_save_cb\(prog, skb\);)(\s*__skb_push\(skb, hdr_len\);)\s*consume_skb\(nskb\);",
            r"consume_skb(nskb); \1\2",
        ),
        "shown",
    ),
    "shows a filter another network header": (
        Edit(
            REUSEPORT,
            "run_bpf_filter",
            r"(index = bpf_prog_run_save_cb\(prog, skb\);)",
            r"skb->network_header += 4; \1 skb->network_header -= 4;",
        ),
        "shown",
    ),
    "writes to the listener that IPv6 found": (
        Edit(INET6_HASHTABLES_C, "inet6_lhash2_lookup", r"(score = compute_score)", r"sk->sk_incoming_cpu ^= 4; \1"),
        "written",
    ),
    "marks the connection that IPv6 found": (
        Edit(INET6_HASHTABLES_C, "__inet6_lookup_established", r"(goto found;)", r"{ sk->sk_state ^= 16; \1 }"),
        "written",
    ),
    "clears what nobody reads of IPv6's packet": (
        Edit(INET6_HASHTABLES_H, "__inet6_lookup_skb", r"(sk = inet6_steal)", r"skb->mark = 0; \1"),
        "written",
    ),
    "writes to what IPv6 has in skb->cb": (
        Edit(INET6_HASHTABLES_H, "__inet6_lookup_skb", r"(sk = inet6_steal)", r"skb->cb[0] ^= 1; \1"),
        "skb_cb",
    ),
    "keeps a reference to another connection of IPv6": (
        Edit(INET6_HASHTABLES_C, "__inet6_lookup_established", r"sock_gen_put\(sk\);", ""),
        "refcnt",
    ),
    "shows an sk_lookup program an IPv4 address beside IPv6's": (
        Edit(
            "include/linux/filter.h",
            "bpf_sk_lookup_run_v6",
            r"(\.family\s*= AF_INET6,)",
            r"\1 .v4.saddr = (__force __be32)1,",
        ),
        "shown",
    ),
    "warns each time for IPv6": (
        Edit(INET6_HASHTABLES_H, "inet6_steal_sock", r"WARN_ON_ONCE", "WARN_ON"),
        "warns",
    ),
    "shows an sk_lookup program an IPv6 address": (
        Edit(
            "include/linux/filter.h",
            "bpf_sk_lookup_run_v4",
            r"(\.family\s*= AF_INET,)",
            r"\1 .v6.saddr = (const struct in6_addr *)psk,",
        ),
        "shown",
    ),
    "warns where nothing is wrong": (
        Edit(INET_HASHTABLES_C, "inet_lookup_reuseport", r"(return reuse_sk;)", r"WARN_ON_ONCE(reuse_sk); \1"),
        "warns",
    ),
    "warns each time": (
        Edit("include/net/inet_hashtables.h", "inet_steal_sock", r"WARN_ON_ONCE", "WARN_ON"),
        "warns",
    ),
    "warns with another text": (
        Edit("lib/refcount.c", "refcount_warn_saturate", r"saturated; leaking memory", "underflow; use-after-free"),
        "warns",
    ),
    "writes to the socket that UDP scored": (
        Edit(UDP4, "udp4_lib_lookup2", r"(score = compute_score)", r"sk->sk_incoming_cpu ^= 4; \1"),
        "written",
    ),
    "counts one more in a port's slot": (
        Edit(UDP4, "udp4_lib_lookup1", r"(return result;)", r"hslot->count++; \1"),
        "written",
    ),
    "makes UDP's table smaller": (
        Edit(UDP6, "__udp6_lib_lookup", r"(result = udp6_lib_lookup1)", r"udptable->mask >>= 1; \1"),
        "written",
    ),
    "moves a chain of UDP's table": (
        Edit(
            UDP4,
            "__udp4_lib_demux_lookup",
            r"(return NULL;)",
            r"if (hslot2->head.first) hslot2->head.first = hslot2->head.first->next; \1",
        ),
        "written",
    ),
    "keeps the lock of a slot of UDP's": (
        Edit(UDP4, "__udp4_lib_mcast_demux_lookup", r"(result = NULL;)", r"spin_lock(&hslot->lock); \1"),
        "sections",
    ),
    "keeps a reference of early demux": (
        Edit(
            UDP6,
            "__udp6_lib_demux_lookup",
            r"(return sk;)",
            r"{ if (refcount_inc_not_zero(&sk->sk_refcnt)) \1 }",
        ),
        "refcnt",
    ),
    "clears what nobody reads of a datagram": (
        Edit(UDP4, "__udp4_lib_lookup_skb", r"(return __udp4_lib_lookup)", r"skb->mark = 0; \1"),
        "written",
    ),
    "writes to what IPv6 has in skb->cb of a datagram": (
        Edit(UDP6, "__udp6_lib_lookup_skb", r"(return __udp6_lib_lookup)", r"skb->cb[0] ^= 1; \1"),
        "skb_cb",
    ),
}
# How the tables and groups are filled: what both sides must not take on trust.
INSERTIONS = {
    "the ends of a chain exchanged": Edit(
        INET_HASHTABLES_C, "__inet_hash", r"sk->sk_family == AF_INET6", "sk->sk_family != AF_INET6"
    ),
    "addresses of a connection's hash exchanged": Edit(
        INET_HASHTABLES_C,
        "sk_ehashfn",
        r"sk->sk_rcv_saddr, sk->sk_num,\s*sk->sk_daddr, sk->sk_dport\);\s*}$",
        "sk->sk_daddr, sk->sk_num, sk->sk_rcv_saddr, sk->sk_dport); }",
    ),
    "a connection at the end of its chain": Edit(
        INET_HASHTABLES_C, "inet_ehash_insert", r"__sk_nulls_add_node_rcu", "__sk_nulls_add_node_tail_rcu"
    ),
    "AF_INET6 listeners in another bucket": Edit(
        INET_HASHTABLES_C, "inet_lhash2_bucket_sk", r"sk->sk_family == AF_INET6", "sk->sk_family == AF_INET"
    ),
    "a listener that RCU does not free": Edit(
        INET_HASHTABLES_C, "__inet_hash", r"sock_set_flag\(sk, SOCK_RCU_FREE\);", ""
    ),
    "members of a group in the other order": Edit(
        REUSEPORT,
        "__reuseport_add_sock",
        r"reuse->socks\[reuse->num_socks\] = sk;",
        "memmove(reuse->socks + 1, reuse->socks, reuse->num_socks * sizeof(sk)); reuse->socks[0] = sk;",
    ),
    "a member's CPU not counted": Edit(REUSEPORT, "reuseport_get_incoming_cpu", r">= 0", "> 100"),
    "a node at the end that does not know who points to it": Edit(
        "include/linux/rculist_nulls.h", "hlist_nulls_add_tail_rcu", r"n->pprev = &last->next", "n->pprev = &n->next"
    ),
    "a node that does not know who came before it": Edit(
        "include/linux/rculist_nulls.h", "hlist_nulls_add_head_rcu", r"if \(!is_a_nulls\(first\)\)", "if (0)"
    ),
    "a closed member one slot too far": Edit(
        REUSEPORT, "__reuseport_add_closed_sock", r"num_closed_socks - 1\] = sk", "num_closed_socks - 2] = sk"
    ),
    "a closed member's CPU not counted": Edit(
        REUSEPORT, "__reuseport_add_closed_sock", r"reuseport_get_incoming_cpu\(sk, reuse\);", ""
    ),
    "connections that are established at the end of their chain": Edit(
        INET_HASHTABLES_C,
        "inet_ehash_insert",
        r"(__sk_nulls_add_node_rcu\(sk, list\);)",
        r"{ if (sk->sk_state == TCP_ESTABLISHED) __sk_nulls_add_node_tail_rcu(sk, list); else \1 }",
    ),
    "addresses of an IPv6 connection's hash exchanged": Edit(
        INET_HASHTABLES_C,
        "sk_ehashfn",
        r"&sk->sk_v6_rcv_saddr, sk->sk_num,\s*&sk->sk_v6_daddr, sk->sk_dport\)",
        "&sk->sk_v6_daddr, sk->sk_num, &sk->sk_v6_rcv_saddr, sk->sk_dport)",
    ),
    "a mapped address of another hash": Edit(
        "include/net/ipv6.h", "ipv6_portaddr_hash", r"s6_addr32\[3\]", "s6_addr32[2]"
    ),
}
# What is wrong in the text of IPv6 alone, with the function that a finding is named after.
IN_IPV6 = {
    "no point for SO_INCOMING_CPU": (
        Edit(
            INET6_HASHTABLES_C,
            "compute_score",
            r"if \(READ_ONCE\(sk->sk_incoming_cpu\) == raw_smp_processor_id\(\)\)\s*score\+\+;",
            "",
        ),
        FUNCTIONS[TCP6].score,
    ),
    "no point for a device": (
        Edit(INET6_HASHTABLES_C, "compute_score", r"sk->sk_bound_dev_if \? 2 : 1", "1"),
        FUNCTIONS[TCP6].score,
    ),
    "connections of any device": (
        Edit(INET6_HASHTABLES_H, "inet6_match", r"return inet_sk_bound_dev_eq\([^;]*;", "return true;"),
        "__inet6_lookup",  # inet6_match() calls nobody any more who could be told
    ),
    "connections of any namespace": (
        Edit(INET6_HASHTABLES_H, "inet6_match", r"!net_eq\(sock_net\(sk\), net\) \|\|", ""),
        "inet6_match",
    ),
    "half of an address compared": (
        Edit(
            INET6_HASHTABLES_H,
            "inet6_match",
            r"!ipv6_addr_equal\(&sk->sk_v6_daddr, saddr\)",
            "sk->sk_v6_daddr.s6_addr32[0] != saddr->s6_addr32[0]",
        ),
        "inet6_match",
    ),
    "the wildcard asked with the packet's address": (
        Edit(
            INET6_HASHTABLES_C,
            "inet6_lookup_listener",
            r"(?s)saddr, sport, &in6addr_any, hnum",
            "saddr, sport, daddr, hnum",
        ),
        "inet6_lookup_listener",
    ),
    "no program asked": (
        Edit(INET6_HASHTABLES_C, "inet6_lookup_listener", r"static_branch_unlikely\(&bpf_sk_lookup_enabled\)", "0"),
        "inet6_lookup_listener",
    ),
    "no group asked of what BPF assigned": (
        # All of it is as before Linux 6.6.
        Edit(INET6_HASHTABLES_H, "inet6_steal_sock", r"if \(!prefetched \|\| !sk_fullsock\(sk\)\)", "if (1)"),
        "without-reselect",
    ),
}


def first_finding(kernel_tree, tmp_path, edit, cases=1_000_000, lookups=()):
    """What a run over a patched tree, of the lookups that may come by the edit, finds first: the finding's case and its
    oracles, or None.
    """
    lookups = lookups or ((TCP4, TCP6) if edit.file == INET_HASHTABLES_C else tuple(LOOKUPS))
    tree = Tree(edited_tree(kernel_tree.path, tmp_path / "tree", [edit]), kernel_tree.version, edit.function)
    told: list[object] = []
    oracles = [Reference(build(tree)), Model()]
    origin = Origin(tree.version, "", "random", 1)
    run = Run(lambda: oracles, origin, tmp_path / "findings", told.append, cases=cases, first=True, lookups=lookups)
    random_engine.drive(run)
    finding = next((message.finding for message in told if isinstance(message, Found)), None)
    return finding and (load(Path(finding.file)), oracles)


@pytest.mark.parametrize("what", mostly_long(sorted(WRITES), every=10))
def test_a_side_effect_is_reported(what, kernel_tree, reference, tmp_path):
    edit, field = WRITES[what]
    case, oracles = first_finding(kernel_tree, tmp_path, edit)
    outcomes = [oracle.run(case.scenario) for oracle in oracles]
    assert getattr(outcomes[0], field) != getattr(outcomes[1], field)
    assert verdict(case, reference, Model())[0] == "agreed"


@pytest.mark.long  # those of WRITES have some of IPv6
@pytest.mark.parametrize("what", sorted(IN_IPV6))
def test_a_fault_in_the_text_of_ipv6_alone_is_seen_and_named(what, kernel_tree, reference, tmp_path):
    edit, function = IN_IPV6[what]
    case, oracles = first_finding(kernel_tree, tmp_path, edit, lookups=(TCP6,))  # udp6 runs some of these functions too
    assert case.scenario.lookup == TCP6
    assert verdict(case, *oracles)[0] == "mismatch"
    assert verdict(case, reference, Model())[0] == "agreed"
    tree = Tree(tmp_path / "tree", kernel_tree.version, edit.function)
    traced = build(tree, "traced")
    assert cause(explanation(case, Reference(traced), Model()), traced) == function


@pytest.mark.parametrize("what", mostly_long(sorted(INSERTIONS), every=10))
def test_a_broken_insertion_is_reported(what, kernel_tree, reference, tmp_path):
    case, oracles = first_finding(kernel_tree, tmp_path, INSERTIONS[what])
    assert verdict(case, *oracles)[0] == "mismatch"
    assert verdict(case, reference, Model())[0] == "agreed"


def test_each_byte_that_changes_is_told(reference):
    # By its name in the Outcome, or as `written`: nothing of tables, sockets, groups, programs and packet is left out.
    cases = [load(path).scenario for path in files([])]
    ended = [scenario for scenario in cases if reference.run(scenario).ended != STUCK]
    assert len(cases) - len(ended) <= 2 * len(LOOKUPS)
    for scenario in ended[::9]:  # bytes of the same objects: a sample shows what all would
        whole = reference.run(scenario)
        count = reference.plant(0, constants.PLANTED_NEVER)
        assert count > 1500
        try:
            for at in range(count):
                reference.plant(at, constants.PLANTED_BEHIND)
                assert reference.run(scenario)[:COMPARED] != whole[:COMPARED], (scenario, at)
        finally:
            reference.plant(0, constants.PLANTED_NEVER)
        assert reference.run(scenario) == whole
