"""`make detection`: how long each engine takes to find a changed operator, over thirty patched trees and some seeds.

Not a test: it prints the table of docs/performance.md. Seconds and cases are counted inside the worker, from its first
case.
"""

import os
import statistics
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from skdiff.campaign.supervisor import supervise
from skdiff.campaign.worker import Job, Subject
from skdiff.engines.atheris_engine import GUIDE_BY_MODEL, NO_COVERAGE, OWN_MUTATOR
from skdiff.kernel.build import build
from skdiff.kernel.manifest import Manifest
from skdiff.kernel.source import Tree, find
from tests.patched import Patch, patched_tree

HASHTABLES_C, HASHTABLES_H = "net/ipv4/inet_hashtables.c", "include/net/inet_hashtables.h"
REUSEPORT = "net/core/sock_reuseport.c"
UDP4, UDP6 = "net/ipv4/udp.c", "net/ipv6/udp.c"
PATCHES = [
    Patch("include/net/request_sock.h", "skb_steal_sock", 0, "==", "!="),
    Patch("include/net/request_sock.h", "skb_steal_sock", 0, "&&", "||"),
    Patch("include/net/sock.h", "sk_is_refcounted", 0, "||", "&&"),
    Patch(HASHTABLES_H, "inet_steal_sock", 1, "!=", "=="),
    Patch(HASHTABLES_H, "inet_steal_sock", 1, "==", "!="),
    Patch(HASHTABLES_H, "inet_match", 0, "||", "&&"),
    Patch(HASHTABLES_H, "inet_match", 1, "||", "&&"),
    Patch("include/net/inet_sock.h", "inet_bound_dev_eq", 0, "||", "&&"),
    Patch("include/net/inet_sock.h", "inet_bound_dev_eq", 1, "||", "&&"),
    Patch("include/net/route.h", "inet_iif", 0, "&&", "||"),
    Patch(HASHTABLES_C, "compute_score", 0, "2", "1"),
    Patch(HASHTABLES_C, "compute_score", 2, "==", "!="),
    Patch(HASHTABLES_C, "inet_lhash2_lookup", 0, ">", ">="),
    Patch(HASHTABLES_C, "inet_lookup_run_sk_lookup", 0, "||", "&&"),
    Patch(HASHTABLES_C, "__inet_lookup_listener", 0, "==", "!="),
    Patch(HASHTABLES_C, "__inet_lookup_established", 0, "!=", "=="),
    Patch(REUSEPORT, "reuseport_select_sock_by_hash", 0, "==", "!="),
    Patch(REUSEPORT, "run_bpf_filter", 0, ">=", ">"),
    Patch("include/linux/refcount.h", "__refcount_add_not_zero", 0, "<", ">"),
    Patch("include/linux/skbuff.h", "pskb_may_pull_reason", 1, ">", ">="),
    Patch(UDP4, "compute_score", 0, "||", "&&"),
    Patch(UDP4, "udp4_lib_lookup2", 0, ">", ">="),
    Patch(UDP4, "udp_v4_early_demux", 0, "==", "!="),
    Patch(UDP4, "__udp4_lib_lookup", 0, "&&", "||"),
    Patch(UDP4, "__udp_is_mcast_sock", 1, "&&", "||"),
    Patch(UDP6, "compute_score", 2, "!=", "=="),
    Patch(UDP6, "udp6_lib_lookup2", 0, "==", "!="),
    Patch(UDP6, "__udp6_lib_lookup", 1, "==", "!="),
    Patch(UDP6, "__udp6_lib_demux_lookup", 0, "&&", "||"),
    Patch(UDP6, "udp_v6_early_demux", 0, "==", "!="),
]
# name: engine, environment
ENGINES = {
    "random": ("random", {}),
    "atheris": ("atheris", {}),
    "atheris, libFuzzer's mutations alone": ("atheris", {OWN_MUTATOR: "0"}),
    "atheris, guided by the model too": ("atheris", {GUIDE_BY_MODEL: "1"}),
    "atheris, C without coverage": ("atheris", {NO_COVERAGE: "1", GUIDE_BY_MODEL: "1"}),
    "hypothesis": ("hypothesis", {}),
}
SECONDS = 30
_BUILDING = Lock()  # build() keeps cffi from talking by turning stdout away, and stdout is all threads'


def one(tree: Tree, engine: str, seed: int, budget: float = SECONDS, variant: str = "plain") -> tuple[float, int, bool]:
    """Seconds and cases to the first finding, and whether there was one within `budget` seconds."""
    with _BUILDING:
        made = build(tree, variant, guided=engine == "atheris")
    with tempfile.TemporaryDirectory() as findings:
        subjects, again = [Subject.of(made)], f"replay --kernel {tree.path}"
        job = Job(
            subjects=tuple(subjects),
            again=again,
            variant=variant,
            engine=engine,
            seed=seed,
            cases=0,
            seconds=budget,
            findings=findings,
            first=True,
        )
        total = supervise(job, made.closure, lambda message: None)
    return total.seconds, total.cases, bool(total.mismatches)


def main(seeds: int = 10) -> None:
    manifest = Manifest.load()
    kernel = find("6.12", manifest.files, optional=manifest.optional)
    with tempfile.TemporaryDirectory() as folder:
        trees = []
        for i, patch in enumerate(PATCHES):
            path = patched_tree(kernel.path, Path(folder) / str(i), patch)
            trees.append(Tree(path, kernel.version, str(patch)))
        print("| engine | found | median s | slowest s | median cases | cases/s |")
        print("| --- | --- | --- | --- | --- | --- |")
        for name, (engine, environment) in ENGINES.items():
            os.environ.update(environment)
            with ThreadPoolExecutor(2) as pool:
                results = list(
                    pool.map(lambda job: one(*job), [(t, engine, s) for t in trees for s in range(1, seeds + 1)])
                )
            for key in environment:
                del os.environ[key]
            seconds = [r[0] for r in results]
            cases = [r[1] for r in results]
            print(
                f"| {name} | {sum(r[2] for r in results)} of {len(results)} | {statistics.median(seconds):.2f}"
                f" | {max(seconds):.1f} | {statistics.median(cases):,.0f} | {sum(cases) / sum(seconds):,.0f} |",
                flush=True,
            )
            slow = [
                (r[0], str(t.origin)) for r, t in zip(results, [t for t in trees for _ in range(seeds)], strict=True)
            ]
            print(f"  slowest: {sorted(slow, reverse=True)[:3]}", file=sys.stderr)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
