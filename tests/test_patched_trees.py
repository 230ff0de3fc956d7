"""The whole road: a kernel tree with one changed operator is reported, whichever function it is in."""

import json

import pytest

from harness.cli import main
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


@pytest.mark.parametrize("patch", PATCHES, ids=str)
def test_a_changed_operator_is_reported(patch, kernel_tree, tmp_path, capsys):
    tree = patched_tree(kernel_tree.path, tmp_path / "tree", patch)
    summary = tmp_path / "summary.json"
    command = ["fuzz", "--engine", "random", "--kernel", str(tree), "--cases", "10000", "--seed", "1", "--json", str(summary)]
    status = main([*command, "--findings", str(tmp_path / "findings")])
    assert status == 1, capsys.readouterr()
    mismatches = json.loads(summary.read_text())["mismatches"]
    assert mismatches
    for mismatch in mismatches:
        case = tmp_path / "findings" / mismatch["signature"] / "case.toml"
        assert case.exists()
    assert main(["replay", "--kernel", str(tree), str(tmp_path / "findings")]) == 1
    assert main(["replay", str(tmp_path / "findings")]) == 0  # the kernel as it is agrees on the same cases
