"""A kernel tree that is wrong only while others write is reported: by events of cases that a system can reach."""

from itertools import count
from random import Random

import pytest

from skdiff.cases.scenario import Scenario
from skdiff.cases.wire import decode
from skdiff.comparison.compare import compare
from skdiff.engines.aimed_events import fresh
from skdiff.kernel.build import build
from skdiff.kernel.source import Tree
from skdiff.oracles.model import Model
from skdiff.oracles.reference import Reference
from tests.helpers import mostly_long
from tests.patched import Patch, patched_tree

HASHTABLES, HASHTABLES6 = "net/ipv4/inet_hashtables.c", "net/ipv6/inet6_hashtables.c"
REUSEPORT = "net/core/sock_reuseport.c"
TIMEWAIT, HASHDANCE = "net/ipv4/inet_timewait_sock.c", "inet_twsk_hashdance_schedule"
ESTABLISHED, ESTABLISHED6 = "__inet_lookup_established", "__inet6_lookup_established"
DELETE, INSERT = "ret = sk_nulls_del_node_init_rcu(osk);", "if (ret) __sk_nulls_add_node_rcu(sk, list);"
COUNTED = "refcount_set ( & tw -> tw_refcnt , 3 ) ;"
PUBLISHED = "hlist_nulls_replace_init_rcu ( & sk -> sk_nulls_node , & tw -> tw_node ) ;"
UNHASHED = "hlist_nulls_unhashed_lockless"

PATCHES = {
    "no second look": Patch(HASHTABLES, ESTABLISHED, 0, "! inet_match", "0 && !inet_match"),
    "no unhashed check": Patch(HASHTABLES, ESTABLISHED, 0, UNHASHED, f"0 && {UNHASHED}"),
    "no put": Patch(HASHTABLES, ESTABLISHED, 0, "sock_gen_put ( sk ) ;", ";"),
    "no look at the end": Patch(HASHTABLES, ESTABLISHED, 0, "!= slot", "!= slot && 0"),
    "no second look, IPv6": Patch(HASHTABLES6, ESTABLISHED6, 0, "! inet6_match", "0 && !inet6_match"),
    "no unhashed check, IPv6": Patch(HASHTABLES6, ESTABLISHED6, 0, UNHASHED, f"0 && {UNHASHED}"),
    "no put, IPv6": Patch(HASHTABLES6, ESTABLISHED6, 0, "sock_gen_put ( sk ) ;", ";"),
    "no look at the end, IPv6": Patch(HASHTABLES6, ESTABLISHED6, 0, "!= slot", "!= slot && 0"),
    "dying sockets": Patch("include/linux/refcount.h", "__refcount_add_not_zero", 0, "if ( ! old )", "if (0 && !old)"),
    "members counted twice": Patch(
        REUSEPORT, "reuseport_select_sock", 0, "( reuse , hash , socks )", "(reuse, hash, reuse->num_socks)"
    ),
    "members counted twice, in the circle": Patch(
        REUSEPORT, "reuseport_select_sock_by_hash", 0, ">= num_socks", ">= reuse->num_socks"
    ),
    "inserted at the tail": Patch(
        HASHTABLES, "inet_ehash_insert", 0, "__sk_nulls_add_node_rcu", "__sk_nulls_add_node_tail_rcu"
    ),
    "deleted before the insertion": Patch(
        HASHTABLES,
        "inet_ehash_insert",
        0,
        "ret = sk_nulls_replace_node_init_rcu ( osk , sk ) ;",
        f"{DELETE} {INSERT}",
    ),
    "timewait without a reference": Patch(
        TIMEWAIT, HASHDANCE, 0, f"{COUNTED} smp_wmb ( ) ; {PUBLISHED}", f"{PUBLISHED} {COUNTED}"
    ),
}
MOST_CASES = 60_000
MOST_EVENTS = 2


def first_difference(one: Reference | Model, other: Reference | Model) -> Scenario:
    """The first reachable case with at most two events for which they differ, of those that engines draw."""
    random, others = Random(1), Random(2)
    for number in count():
        case = decode(fresh(random, others))
        if not 1 <= len(case.events) <= MOST_EVENTS or case.hostile:
            assert number < MOST_CASES
        elif compare(("one", "other"), (one.run(case), other.run(case))) is not None:
            return case
    raise AssertionError


@pytest.mark.parametrize("name", mostly_long(PATCHES))
def test_a_tree_that_is_wrong_while_others_write_is_reported(name, kernel_tree, reference, tmp_path):
    tree = Tree(patched_tree(kernel_tree.path, tmp_path / "tree", PATCHES[name]), kernel_tree.version, name)
    case = first_difference(Reference(build(tree)), Model())
    assert compare(("kernel", "model"), (reference.run(case), Model().run(case))) is None
