"""Who calls whom among the functions that a traced build watches, read off a text."""

import textwrap

from skdiff.cases.scenario import TCP6
from skdiff.cases.steps import KINDS, above
from skdiff.kernel.call_graph import callers, merged
from skdiff.kernel.index import definitions
from skdiff.oracles.model import functions

FUNCTIONS = [kind.name for kind in KINDS]


def graph(text: str, functions: list[str], **roles: str):
    return callers(definitions(textwrap.dedent(text).encode(), "net/a.c"), functions, roles)


def test_helpers_and_macros_that_are_not_watched_are_looked_through():
    text = """
    static int leaf(int x) { return x; }
    #define LEAF(x) leaf(x)
    static int helper(int x) { return LEAF(x) + other(x); }
    static int other(int x) { return helper(x - 1); }
    static int middle(int x) { return helper(x) + middle(x - 1); }
    static int top(int x) { return middle(x) + leaf(x) + x; }
    """
    found = graph(text, ["leaf", "middle", "top"])
    assert found == {"leaf": ("middle", "top"), "middle": ("top",), "top": ()}
    assert above("leaf", found) == ["middle", "top"]


def test_a_function_of_another_name_is_called_by_its_role():
    text = """
    static int score(int x) { return x; }
    static int walk(int x) { return score(x); }
    """
    found = graph(text, ["compute_score", "inet_lhash2_lookup"], compute_score="score", inet_lhash2_lookup="walk")
    assert found == {"compute_score": ("inet_lhash2_lookup",), "inet_lhash2_lookup": ()}


def test_what_a_text_has_not_returns_to_the_root():
    found = graph("int __inet_lookup_skb(int x) { return x; }", ["inet_steal_sock", "__inet_lookup_skb"])
    assert found == {"inet_steal_sock": ("__inet_lookup_skb",), "__inet_lookup_skb": ()}


def test_two_kernels_have_the_callers_of_both():
    assert merged([{"f": ("a", "b"), "a": ()}, {"f": ("c", "a"), "c": ("f",)}]) == {
        "f": ("a", "b", "c"),
        "a": (),
        "c": ("f",),
    }


def test_every_function_of_a_kernel_returns_to_its_root(reference):
    found = reference.build.callers
    assert list(found) == FUNCTIONS
    demux = ("__udp4_lib_demux_lookup", "__udp6_lib_demux_lookup")
    roots = {"__inet_lookup_skb", "__inet6_lookup_skb", "__udp4_lib_lookup_skb", "__udp6_lib_lookup_skb"}
    roots |= {*demux, "__udp4_lib_mcast_demux_lookup"}  # early demux, which no step tells of
    for function in set(FUNCTIONS) - roots:
        assert roots & {*above(function, found)}, function
    twin = functions.FUNCTIONS[TCP6].score
    scores = {table.score for table in functions.FUNCTIONS.values()}
    wants = {"__udp4_lib_mcast_demux_lookup"}
    assert set(found["inet_bound_dev_eq"]) == {*scores, "inet_match", "inet6_match", *wants}
    assert (found["compute_score"], found[twin]) == (("inet_lhash2_lookup",), ("inet6_lhash2_lookup",))
    assert set(found["inet6_lookup_reuseport"]) == {
        "inet6_steal_sock",
        "inet6_lookup_run_sk_lookup",
        "inet6_lhash2_lookup",
        "udp6_lib_lookup2",
    }
    assert set(found["inet_lookup_reuseport"]) == {
        "inet_steal_sock",
        "inet_lookup_run_sk_lookup",
        "inet_lhash2_lookup",
        "udp4_lib_lookup2",
    }
