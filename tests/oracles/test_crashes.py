"""A kernel tree that crashes, loops or kills the process: each is an outcome, and its case survives."""

import json
import re

import pytest

from skdiff.base.errors import CannotRun
from skdiff.cases.case_file import load
from skdiff.cases.outcome import CRASHED, RETURNED, STUCK
from skdiff.cases.record import OUTCOME_SIZE, outcome
from skdiff.cases.scenario import LHASH2, PFREE, TCP_ESTABLISHED, Group, Packet, Scenario, Sock
from skdiff.cli import main
from skdiff.kernel.build import build
from skdiff.kernel.source import Tree
from skdiff.oracles.reference import Reference
from tests.helpers import mostly_long, scenario
from tests.patched import Patch, patched_tree

REUSEPORT = "net/core/sock_reuseport.c"


def fuzz(tree, folder, cases):
    summary = folder / "summary.json"
    command = ["fuzz", "--engine", "random", "--kernel", str(tree), "--cases", str(cases), "--seed", "3"]
    status = main([*command, "--json", str(summary), "--findings", str(folder / "findings")])
    return status, json.loads(summary.read_text())


def test_two_kernels_in_one_process_do_not_lose_each_others_crashes(kernel_tree, tmp_path):
    """The guard of the kernel that was loaded last has the signals: it passes on what is not its own."""
    nothing_assigned = Scenario(hostile=1, packet=Packet(destructor=PFREE))
    loops = Patch(REUSEPORT, "reuseport_select_sock_by_hash", 2, "num_socks", "i")
    crashes = Patch("include/net/request_sock.h", "skb_steal_sock", 0, "!", "")
    trees = [patched_tree(kernel_tree.path, tmp_path / str(i), p) for i, p in enumerate((crashes, loops))]
    first, second = (Reference(build(Tree(tree, kernel_tree.version, "test"))) for tree in trees)
    plain = Reference(build(kernel_tree))
    members = tuple(Sock(hashed=LHASH2, state=TCP_ESTABLISHED, reuseport=1, group=0) for _ in range(5))
    looping = Scenario(hostile=1, socks=members, groups=(Group(num_socks=5, slots=(0, 1, 2, 3, 4)),), hash_secret=3)
    for _ in range(2):
        assert first.run(nothing_assigned).ended == CRASHED
        assert plain.run(nothing_assigned).ended == RETURNED
        assert plain.run(looping).ended == RETURNED
        assert second.run(looping).ended == STUCK
        assert first.run(nothing_assigned).ended == CRASHED


ENDS = {
    # NULL is dereferenced: the guard catches the signal.
    "null": (Patch("include/net/request_sock.h", "skb_steal_sock", 0, "!", ""), "crashed", 100),
    # The stack overflows, which no handler survives: the parent finds the case in flight.
    "stack-overflow": (
        Patch("include/linux/math.h", "reciprocal_scale", 1, "val", "(reciprocal_scale(val, ep_ro) + 1)"),
        "crashed",
        400,
    ),
    # The end of a chain sends the walk back to its start: it runs out of fuel.
    "endless-walk": (Patch("net/ipv4/inet_hashtables.c", "__inet_lookup_established", 1, "!=", "=="), "stuck", 300),
    # A loop that touches no chain: the watchdog sees that the case makes no progress.
    "endless-loop": (Patch(REUSEPORT, "reuseport_select_sock_by_hash", 2, "num_socks", "i"), "stuck", 2500),
}


@pytest.mark.parametrize(("patch", "ended", "cases"), mostly_long(ENDS.values()), ids=ENDS)
def test_how_a_case_ends_is_an_outcome(patch, ended, cases, kernel_tree, tmp_path, capfd):
    tree = patched_tree(kernel_tree.path, tmp_path / "tree", patch)
    status, summary = fuzz(tree, tmp_path, cases)
    kept = list((tmp_path / "findings").rglob("case*.toml"))
    assert status == 1, capfd.readouterr()
    assert summary["mismatches"]
    shown = {}
    for case in kept:
        assert load(case).found["kernel"] == kernel_tree.version
        assert main(["replay", "--kernel", str(tree), str(case)]) == 1
        shown[case] = capfd.readouterr().out
    assert any(re.search(rf"> +ended +{ended} +returned", text) for text in shown.values())


def test_a_crash_of_the_driver_is_no_outcome_of_the_kernel(reference: Reference) -> None:
    """Without a record to read it crashes before the kernel's function is called."""
    module = reference.build.load()
    written = bytearray(OUTCOME_SIZE)
    pointer = module.ffi.cast("struct outcome_record *", module.ffi.from_buffer(written))
    module.lib.reference_call(module.ffi.NULL, pointer)
    with pytest.raises(CannotRun, match=r"csrc/driver crashed \(signal 11\) outside the kernel's text"):
        outcome(written, 0)
    assert reference.run(scenario()).ended == RETURNED
