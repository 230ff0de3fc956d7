"""A kernel tree whose UDP is wrong only while others write is reported: by events of cases that a system can reach."""

from functools import cache
from itertools import count
from random import Random

import pytest

from skdiff.cases.fields import LOOKUPS
from skdiff.cases.scenario import UDP_LOOKUPS, Scenario
from skdiff.cases.wire import decode
from skdiff.comparison.compare import compare
from skdiff.engines.aimed_events import fresh
from skdiff.kernel.build import build
from skdiff.kernel.manifest import Manifest
from skdiff.kernel.source import Tree, find
from skdiff.oracles.model import Model
from skdiff.oracles.reference import Reference
from tests.patched import Patch, patched_tree

UDP, UDP6, REUSEPORT = "net/ipv4/udp.c", "net/ipv6/udp.c", "net/core/sock_reuseport.c"
MOVED = "if ( hslot2 != nhslot2 ) {"
LEFT = "hlist_del_init_rcu ( & udp_sk ( sk ) -> udp_portaddr_node )"
PATCHES = {
    "no search by port": Patch(UDP, "__udp4_lib_lookup", 0, "udp4_lib_lookup1", "NULL; (void)udp4_lib_lookup1"),
    "no search by port, IPv6": Patch(UDP6, "__udp6_lib_lookup", 0, "udp6_lib_lookup1", "NULL; (void)udp6_lib_lookup1"),
    "members counted twice": Patch(
        REUSEPORT, "reuseport_select_sock", 0, "( reuse , hash , socks )", "(reuse, hash, reuse->num_socks)"
    ),
    "rehashed within the group": Patch(UDP, "udp_lib_rehash", 0, "reuseport_detach_sock ( sk )", "(void)0"),
    "unhashed but for hash2": Patch(UDP, "udp_lib_unhash", 0, LEFT, "(void)0"),
}
# Of a kernel with hash4.
HASH4 = {
    "no look at the end of hash4": Patch(UDP, "udp4_lib_lookup4", 0, "!= slot", "!= slot && 0"),
    "no look at the end of hash4, IPv6": Patch(UDP6, "udp6_lib_lookup4", 0, "!= slot", "!= slot && 0"),
    "rehashed in hash4 alone": Patch(UDP, "udp_lib_rehash", 0, MOVED, "if (0 && hslot2 != nhslot2) {"),
    "rehashed without hash4": Patch(UDP, "udp_rehash4", 0, "hslot4 != nhslot4", "0 && hslot4 != nhslot4"),
    "disconnected within hash4": Patch(UDP, "udp_unhash4_on_disconnect", 0, "! udp_hashed4", "1 || !udp_hashed4"),
}
EACH = [
    *(pytest.param("6.12", patch, id=f"6.12, {name}") for name, patch in PATCHES.items()),
    *(
        pytest.param("7.3", patch, id=f"7.3, {name}", marks=pytest.mark.long)
        for name, patch in (PATCHES | HASH4).items()
    ),
]
MOST_CASES = 120_000
MOST_EVENTS = 2


@cache
def unpatched(kernel: str) -> tuple[Tree, Reference, Model]:
    """A kernel's tree, what is built of it, and its rules."""
    manifest = Manifest.load()
    tree = find(kernel, manifest.files, optional=manifest.optional)
    made = build(tree)
    return tree, Reference(made), Model(made.rules)


def first_difference(one: Reference, other: Model) -> Scenario:
    """The first reachable case of UDP with at most two events for which they differ, of those that engines draw."""
    random, others = Random(1), Random(2)
    for number in count():
        data = fresh(random, others)
        assert number < MOST_CASES
        case = decode(data)
        if 1 <= len(case.events) <= MOST_EVENTS and not case.hostile and case.lookup in UDP_LOOKUPS:
            answers = one.run(case), other.run(case)
            if compare(("one", "other"), answers) is not None:
                return case
    raise AssertionError


@pytest.mark.parametrize(("kernel", "patch"), EACH)
def test_a_tree_whose_udp_is_wrong_while_others_write_is_reported(kernel, patch, tmp_path):
    whole, reference, model = unpatched(kernel)
    tree = Tree(patched_tree(whole.path, tmp_path / "tree", patch), whole.version, str(patch))
    case = first_difference(Reference(build(tree)), model)
    assert compare(("kernel", "model"), (reference.run(case), model.run(case))) is None
    assert case.lookup in LOOKUPS
