"""A kernel tree with one changed operator is reported, whichever function it is in."""

from pathlib import Path

import pytest

from skdiff.campaign.finding_files import Origin
from skdiff.campaign.messages import Found
from skdiff.campaign.run import Run
from skdiff.cases.case_file import load
from skdiff.engines import random_engine
from skdiff.findings.replay_cases import verdict
from skdiff.kernel.build import build
from skdiff.kernel.source import Tree
from skdiff.oracles.model import Model
from skdiff.oracles.reference import Reference
from tests.helpers import mostly_long
from tests.patched import Patch, patched_tree

INET_HASHTABLES_C = "net/ipv4/inet_hashtables.c"
INET_HASHTABLES_H = "include/net/inet_hashtables.h"
REUSEPORT = "net/core/sock_reuseport.c"
FILTER_H = "include/linux/filter.h"

PATCHES = [
    Patch("include/net/request_sock.h", "skb_steal_sock", 0, "==", "!="),
    Patch("include/net/request_sock.h", "skb_steal_sock", 0, "!", ""),
    Patch("include/net/sock.h", "sk_is_refcounted", 0, "||", "&&"),
    Patch("include/net/sock.h", "sk_fullsock", 0, "~", ""),
    Patch(INET_HASHTABLES_H, "inet_steal_sock", 0, "!=", "=="),
    Patch(INET_HASHTABLES_H, "inet_steal_sock", 1, "!=", "=="),
    Patch(INET_HASHTABLES_H, "inet_steal_sock", 0, "||", "&&"),
    Patch(INET_HASHTABLES_H, "inet_match", 0, "!=", "=="),
    Patch(INET_HASHTABLES_H, "inet_match", 1, "||", "&&"),
    Patch(INET_HASHTABLES_H, "__inet_lookup_skb", 0, "NULL", "sk"),
    Patch(INET_HASHTABLES_H, "__inet_lookup", 0, "false", "true"),
    Patch("include/net/inet_sock.h", "inet_bound_dev_eq", 0, "||", "&&"),
    Patch("include/net/inet_sock.h", "inet_bound_dev_eq", 1, "||", "&&"),
    Patch("include/net/route.h", "inet_iif", 0, "&&", "||"),
    Patch(INET_HASHTABLES_C, "compute_score", 0, "!=", "=="),
    Patch(INET_HASHTABLES_C, "compute_score", 0, "2", "1"),
    Patch(INET_HASHTABLES_C, "compute_score", 2, "==", "!="),
    Patch(INET_HASHTABLES_C, "inet_lhash2_lookup", 0, ">", ">="),
    Patch(INET_HASHTABLES_C, "inet_lookup_run_sk_lookup", 0, "||", "&&"),
    Patch(INET_HASHTABLES_C, "__inet_lookup_listener", 0, "==", "!="),
    Patch(INET_HASHTABLES_C, "__inet_lookup_established", 0, "!", ""),
    Patch(INET_HASHTABLES_C, "__inet_lookup_established", 0, "!=", "=="),
    Patch(INET_HASHTABLES_C, "inet_ehashfn", 0, "+", "-"),
    Patch(REUSEPORT, "reuseport_select_sock_by_hash", 0, "!=", "=="),
    Patch(REUSEPORT, "reuseport_select_sock_by_hash", 0, ">=", ">"),
    Patch(REUSEPORT, "run_bpf_filter", 0, ">=", ">"),
    Patch(REUSEPORT, "reuseport_select_sock", 0, "==", "!="),
    Patch("net/core/filter.c", "bpf_run_sk_reuseport", 0, "==", "!="),
    Patch(FILTER_H, "bpf_sk_lookup_run_v4", 0, "==", "!="),
    Patch("include/linux/jhash.h", "jhash_3words", 0, "3", "2"),
    Patch("include/linux/refcount.h", "__refcount_add_not_zero", 0, "<", ">"),
    Patch("include/linux/math.h", "reciprocal_scale", 0, "32", "31"),
]


@pytest.mark.parametrize("patch", mostly_long(PATCHES, every=12), ids=str)
def test_a_changed_operator_is_reported(patch, kernel_tree, reference, tmp_path):
    tree = Tree(patched_tree(kernel_tree.path, tmp_path / "tree", patch), kernel_tree.version, str(patch))
    findings, told = tmp_path / "findings", []
    origin = Origin(tree.version, "", "random", 1)
    oracles = [Reference(build(tree)), Model()]
    run = Run(lambda: oracles, origin, findings, told.append, cases=20000, first=True)
    random_engine.drive(run)
    finding = next(message.finding for message in told if isinstance(message, Found))
    case = load(Path(finding.file))
    assert verdict(case, *oracles)[0] == "mismatch"
    assert verdict(case, reference, Model())[0] == "agreed"  # the kernel as it is does not show it
