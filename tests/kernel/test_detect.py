"""The rules of UDP's lookups in a kernel's text: those of the kernels at hand, and small texts around each."""

from collections.abc import Mapping

import pytest

from skdiff.kernel.detect import TextRules, detect
from skdiff.kernel.index import definitions
from skdiff.kernel.manifest import Manifest
from skdiff.kernel.source import find
from skdiff.variants.version_rules import expected

UDP_RULES = (
    *("udp_pernet", "demux_pfree", "hash4", "hash4_again", "unhash4_first", "wildcard_unhash4", "lookup1"),
    *("udp_own_tables", "udp_sk_lookup_always"),
)
# lookup1 came to 6.1 and 6.12 as a fix; 6.12.8 is older than that.
OF_KERNELS: Mapping[str, tuple[str, ...]] = {
    "6.12": ("udp_pernet", "demux_pfree", "lookup1"),
    "6.1": ("lookup1",),
    "6.12.8": ("udp_pernet", "demux_pfree"),
    "6.17.8": ("udp_pernet", "demux_pfree", "hash4", "lookup1"),
    "6.18.15": ("udp_pernet", "demux_pfree", "hash4", "lookup1"),
    "7.1.13": (
        *("udp_pernet", "demux_pfree", "hash4", "wildcard_unhash4", "lookup1"),
        *("udp_own_tables", "udp_sk_lookup_always"),
    ),
    "7.2": UDP_RULES,
    "7.3": UDP_RULES,
}
AT_HAND = ("6.12", "6.1")  # what other short tests need as well


@pytest.mark.parametrize(
    "kernel", [pytest.param(name, marks=() if name in AT_HAND else pytest.mark.long) for name in OF_KERNELS]
)
def test_which_kernel_has_which(kernel: str) -> None:
    manifest = Manifest.load()
    tree = find(kernel, manifest.files, optional=manifest.optional)
    names = [name for name in (*manifest.files, *manifest.optional) if (tree.path / name).exists()]
    told = detect(d for name in names for d in definitions((tree.path / name).read_bytes(), name))
    assert told.unknown == ()
    assert tuple(name for name in UDP_RULES if getattr(told.rules, name)) == OF_KERNELS[kernel]
    assert {name for name in expected(tree.version) if name in UDP_RULES} == {*OF_KERNELS[kernel]}


# UDP's functions with all of these rules, in few words, and what takes each of them out.
TEXT = """
static inline struct sock *__udp4_lib_lookup_skb(struct sk_buff *skb, __be16 sport, __be16 dport)
{ return __udp4_lib_lookup(skb, sport, dport); }
struct sock *__udp4_lib_lookup(struct sk_buff *skb, __be16 sport, __be16 dport)
{
	struct udp_table *udptable = net->ipv4.udp_table;
	struct sock *sk = udp4_lib_lookup4(udptable);
	if (bpf_sk_lookup_enabled)
		sk = inet_lookup_run_sk_lookup(net, skb);
	return sk ?: udp4_lib_lookup1(udptable);
}
static struct sock *__udp4_lib_mcast_demux_lookup(struct net *net)
{
	struct udp_table *udptable = net->ipv4.udp_table;
	return first(udptable->hash);
}
static bool attach(struct sk_buff *skb, struct sock *sk)
{ skb->destructor = sock_pfree; return true; }
void udp_lib_hash4(struct sock *sk, u16 hash)
{ if (udp_hashed4(sk)) udp_rehash4(udptable, sk, hash); }
void udp_lib_rehash(struct sock *sk, u16 hash)
{ if (inet_rcv_saddr_any(sk)) udp_unhash4(udptable, sk); }
int udp_disconnect(struct sock *sk, int flags)
{ udp_unhash4_on_disconnect(sk); return 0; }
int udp_v4_early_demux(struct sk_buff *skb)
{ struct sock *sk = __udp4_lib_mcast_demux_lookup(net); return attach(skb, sk); }
"""
CHANGED = {
    "udp_pernet": [("net->ipv4.udp_table;\n\treturn", "&udp_table;\n\treturn")],
    "demux_pfree": [("sock_pfree", "sock_efree")],
    "lookup1": [("?: udp4_lib_lookup1(udptable)", "")],
    "hash4_again": [("udp_rehash4(udptable, sk, hash)", "return")],
    "unhash4_first": [("udp_unhash4_on_disconnect(sk); ", "")],
    "wildcard_unhash4": [("udp_unhash4(udptable, sk)", "return")],
    "udp_own_tables": [("skb, __be16 sport, __be16 dport)\n{ return", "skb, struct udp_table *udptable)\n{ return")],
    "udp_sk_lookup_always": [("bpf_sk_lookup_enabled)", "bpf_sk_lookup_enabled && udptable == net->ipv4.udp_table)")],
}
HASH4 = [("= udp4_lib_lookup4(udptable)", "= udp_has_hash4(slot) ? udp4_lib_lookup4(udptable) : NULL")]


def told_of(text: str, *changes: tuple[str, str], file: str = "net/ipv4/udp.c") -> TextRules:
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    return detect(definitions(text.encode(), file))


def of_udp(told: TextRules) -> set[str]:
    return {name for name in UDP_RULES if getattr(told.rules, name)}


@pytest.mark.parametrize("rule", CHANGED)
def test_a_text_that_lost_a_rule_has_the_others(rule: str) -> None:
    told = told_of(TEXT, *HASH4, *CHANGED[rule])
    assert of_udp(told) == {*UDP_RULES} - {rule}
    assert not {*told.unknown} & {*UDP_RULES}


def test_a_text_with_all_of_them_and_one_without_hash4() -> None:
    assert of_udp(told_of(TEXT, *HASH4)) == {*UDP_RULES}
    assert of_udp(told_of(TEXT)) == {*UDP_RULES} - {"hash4"}


def test_a_mention_in_a_comment_or_of_another_function_is_none() -> None:
    other = "struct sock *other(void) { if (udp_has_hash4(slot)) return udp4_lib_lookup1(slot); return sock_pfree; }"
    without = [*CHANGED["demux_pfree"], *CHANGED["lookup1"]]
    text = TEXT
    for change in without:
        text = text.replace(*change)
    comment = ("\tif (bpf_sk", "\t/* hash4, lookup1, sock_pfree */\n\tif (bpf_sk")
    left = {*UDP_RULES} - {"demux_pfree", "hash4", "lookup1"}
    assert of_udp(told_of(text + other, comment)) == left


def test_linux_6_1_asks_for_the_tables_where_it_asks_programs() -> None:
    """Not in the lookup, but in udp4_lookup_run_bpf(), which it calls."""
    calls = ("inet_lookup_run_sk_lookup(net, skb)", "udp4_lookup_run_bpf(net, udptable, skb)")
    asks = "static struct sock *udp4_lookup_run_bpf(struct udp_table *udptable) { if (%s) return NULL; return sk; }\n"
    assert of_udp(told_of(TEXT + asks % "udptable != &udp_table", calls)) == {*UDP_RULES} - {
        "hash4",
        "udp_sk_lookup_always",
    }
    assert "udp_sk_lookup_always" in of_udp(told_of(TEXT + asks % "no_reuseport", calls))


def test_a_helper_of_the_lookup_is_looked_at_too() -> None:
    calls = ("?: udp4_lib_lookup1(udptable)", "?: last(udptable)")
    helper = "static struct sock *last(struct udp_table *udptable) { %s }\n"
    asks = "return udp4_lib_lookup1(udptable);"
    assert of_udp(told_of(TEXT + helper % asks, *HASH4, calls)) == {*UDP_RULES}
    compares = "if (udptable != &udp_table) return NULL;" + asks
    assert of_udp(told_of(TEXT + helper % compares, *HASH4, calls)) == {*UDP_RULES} - {"udp_sk_lookup_always"}


@pytest.mark.parametrize(
    ("function", "rules"),
    [
        ("__udp4_lib_lookup_skb", {"udp_own_tables"}),
        ("__udp4_lib_lookup", {"hash4", "lookup1", "udp_sk_lookup_always"}),
        ("udp_disconnect", {"unhash4_first"}),
        ("__udp4_lib_mcast_demux_lookup", {"udp_pernet"}),
        ("udp_v4_early_demux", {"demux_pfree"}),
    ],
)
def test_without_its_function_a_rule_cannot_be_told(function: str, rules: set[str]) -> None:
    head, _, rest = TEXT.partition(f"{function}(str")
    assert rest
    told = told_of(f"{head}gone(str{rest}", *HASH4)
    assert {*told.unknown} & {*UDP_RULES} == rules
    assert of_udp(told) & rules == set()


def test_the_layout_of_the_text_does_not_matter() -> None:
    words = (
        TEXT.replace("\t", "  ").replace(";\n", ";\n\n").replace("= net->ipv4.udp_table", "=\n net -> ipv4 . udp_table")
    )
    assert of_udp(told_of(words, *HASH4)) == {*UDP_RULES}
