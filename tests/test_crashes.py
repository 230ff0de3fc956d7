"""A kernel tree that crashes, loops or kills the process: each is an outcome, and its case survives."""

import json
import re

import pytest

from harness.cli import main
from harness.text import load
from tests.patched import Patch, patched_tree

REUSEPORT = "net/core/sock_reuseport.c"


def fuzz(tree, folder, cases):
    summary = folder / "summary.json"
    command = ["fuzz", "--engine", "random", "--kernel", str(tree), "--cases", str(cases), "--seed", "3"]
    status = main([*command, "--json", str(summary), "--findings", str(folder / "findings")])
    return status, json.loads(summary.read_text())


@pytest.mark.parametrize(
    ("patch", "ended", "cases"),
    [
        # NULL is dereferenced: the guard catches the signal.
        (Patch("include/net/request_sock.h", "skb_steal_sock", 0, "!", ""), "crashed", 2000),
        # The end of a chain sends the walk back to its start: it runs out of fuel.
        (Patch("net/ipv4/inet_hashtables.c", "__inet_lookup_established", 1, "!=", "=="), "stuck", 2000),
        # A loop that touches no chain: the watchdog sees that the case makes no progress.
        (Patch(REUSEPORT, "reuseport_select_sock_by_hash", 2, "num_socks", "i"), "stuck", 2000),
        # The stack overflows, which no handler survives: the parent finds the case in flight.
        (
            Patch("include/linux/math.h", "reciprocal_scale", 1, "val", "(reciprocal_scale(val, ep_ro) + 1)"),
            "crashed",
            80,
        ),
    ],
    ids=["null", "endless-walk", "endless-loop", "stack-overflow"],
)
def test_how_a_case_ends_is_an_outcome(patch, ended, cases, kernel_tree, tmp_path, capfd):
    tree = patched_tree(kernel_tree.path, tmp_path / "tree", patch)
    status, summary = fuzz(tree, tmp_path, cases)
    kept = list((tmp_path / "findings").rglob("case*.toml"))
    assert status == 1, capfd.readouterr()
    assert summary["mismatches"]
    assert any(ended in path.parent.name for path in kept)
    case = next(path for path in kept if ended in path.parent.name)
    assert load(case).found["kernel"] == kernel_tree.version
    assert main(["replay", "--kernel", str(tree), str(case)]) == 1
    assert re.search(rf"> +ended +{ended} +returned", capfd.readouterr().out)
