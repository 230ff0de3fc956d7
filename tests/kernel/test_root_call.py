"""The call of a root: each argument is known by its name or kind, and what is not known is an error."""

import dataclasses

import pytest

from skdiff.base.errors import CannotRun
from skdiff.cases.fields import LOOKUPS
from skdiff.kernel.build import build
from skdiff.kernel.index import definitions
from skdiff.kernel.root_call import ROOTS, calls, has_lookup, parameters, root_call
from skdiff.oracles.reference import Reference
from skdiff.variants.config import Config
from tests.helpers import agree, connection, scenario
from tests.patched import Edit, edited_tree


def text(arguments):
    return definitions(f"static inline struct sock *__inet_lookup_skb({arguments})\n{{\n}}\n".encode(), "root.h")


def test_arguments_are_known_by_their_names_in_any_order():
    call = root_call(text("const int sdif, const __be16 dport, struct sk_buff *skb, bool *refcounted"), "tcp4")
    assert call == "__inet_lookup_skb(in->packet.sdif, htons(in->packet.dport), &arena.skb, refcounted)"


def test_arguments_with_other_names_are_known_by_a_type_of_which_there_is_one():
    call = root_call(text("const struct net *n, struct inet_hashinfo *h, struct sk_buff *packet"), "tcp4")
    assert call == "__inet_lookup_skb(net_at(in->packet.netns), hashinfo_of_caller(), &arena.skb)"


def test_room_for_an_answer_is_zeroed_room():
    assert root_call(text("enum skb_drop_reason *reason, int *why"), "tcp4") == (
        "__inet_lookup_skb(zeroed_answer(), zeroed_answer())"
    )


@pytest.mark.parametrize(
    "argument", ["int flags", "struct flow *flow", "u32 hash", "const u8 *key", "struct sk_buff **skbs"]
)
def test_another_argument_says_what_to_change(argument):
    with pytest.raises(CannotRun) as error:
        root_call(text(f"struct sk_buff *skb, {argument}"), "tcp4")
    assert argument.split()[-1].lstrip("*") in str(error.value)
    assert "root.h:1" in str(error.value) and "root_call.py" in str(error.value) and "call_root()" in str(error.value)


def test_the_root_of_ipv6_gets_the_devices_that_its_caller_passes():
    both = [
        *text("struct sk_buff *skb, int sdif"),
        *definitions(
            b"static inline struct sock *__inet6_lookup_skb(struct sk_buff *skb, int iif, int sdif)\n{\n}\n", "six.h"
        ),
    ]
    assert root_call(both, "tcp4") == "__inet_lookup_skb(&arena.skb, in->packet.sdif)"
    assert root_call(both, "tcp6") == "__inet6_lookup_skb(&arena.skb, iif_of_caller(), sdif_of_caller())"
    assert root_call(both[:1], "tcp6") == ""


def test_a_datagram_is_stolen_by_what_the_tree_has_and_a_helper_has_no_sk_buff():
    old = definitions(b"static struct sock *skb_steal_sock(struct sk_buff *skb, bool *refcounted)\n{\n}\n", "a.h")
    new = definitions(
        b"static struct sock *inet_steal_sock(struct net *net, struct sk_buff *skb, int doff, const __be32 saddr,"
        b" const __be16 sport, bool *refcounted, inet_ehashfn_t *ehashfn)\n{\n}\n",
        "b.h",
    )
    lookup = definitions(
        b"struct sock *__udp4_lib_lookup(const struct net *net, __be32 saddr, __be16 sport, __be32 daddr, __be16 dport,"
        b" int dif, int sdif, struct udp_table *udptable, struct sk_buff *skb)\n{\n}\n",
        "c.c",
    )
    assert calls(old, "udp4") == {"STEAL_CALL_UDP4": "skb_steal_sock(&arena.skb, refcounted)"}
    assert calls([*old, *new, *lookup], "udp4") == {
        "STEAL_CALL_UDP4": "inet_steal_sock(net_at(in->packet.netns), &arena.skb, in->packet.doff, SADDR,"
        " htons(in->packet.sport), refcounted, udp_ehashfn)",
        "HELPER_CALL_UDP4": "__udp4_lib_lookup(net_at(in->packet.netns), SADDR, htons(in->packet.sport), DADDR,"
        " htons(in->packet.dport), in->packet.skb_iif, in->packet.sdif, udp_table_of_caller(), NULL)",
    }


def test_a_lookup_of_ipv6_is_there_with_its_configuration():
    assert {*ROOTS} == {*LOOKUPS.values()}
    for lookup in ROOTS:
        assert has_lookup(lookup, Config())
        assert has_lookup(lookup, Config(ipv6=False)) == (lookup in ("tcp4", "udp4"))


def test_only_what_a_pointer_points_to_keeps_its_const():
    [root] = text("const struct net *net, u8 protocol")
    assert parameters(root) == [("const struct net *", "net"), ("u8", "protocol")]


def test_a_patch_that_adds_arguments_at_the_end_runs(kernel_tree, tmp_path):
    file, root = "include/net/inet_hashtables.h", "__inet_lookup_skb"
    more = r"\1, enum skb_drop_reason *reason, const struct net *netns)"
    edited_tree(kernel_tree.path, tmp_path, [Edit(file, root, r"(bool \*refcounted)\)", more)])
    made = build(dataclasses.replace(kernel_tree, path=tmp_path))
    assert agree(Reference(made), scenario(connection()), sk=0, refcounted=1, refcnt={0: 2}).sk == 0
