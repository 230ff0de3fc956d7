"""Rules: found in a kernel's text, followed by the model, and wrong where they are not the text's."""

import json
import re
from dataclasses import fields, replace
from random import Random

import pytest

from skdiff.base.errors import CannotRun
from skdiff.base.paths import CORPUS
from skdiff.cases import wire
from skdiff.cases.addresses import from_text
from skdiff.cases.case_file import Case, dump, load, parse
from skdiff.cases.expectations import unmet
from skdiff.cases.fields import LOOKUPS
from skdiff.cases.find_cases import files
from skdiff.cases.other_lookup import as_lookup
from skdiff.cases.outcome import RETURNED, STUCK
from skdiff.cases.scenario import AF_INET6, HELPER, PFREE, TCP4, TCP6, UDP4, Group, Netns, Packet, Program, Scenario
from skdiff.cli import main
from skdiff.comparison.compare import compare
from skdiff.engines.aimed_events import fresh
from skdiff.findings import keep_cases
from skdiff.findings.replay_cases import verdict
from skdiff.kernel import drift
from skdiff.kernel.build import build
from skdiff.kernel.detect import detect
from skdiff.kernel.index import definitions
from skdiff.kernel.manifest import Manifest
from skdiff.kernel.roles import EVIDENCE
from skdiff.kernel.root_call import has_lookup
from skdiff.kernel.source import Tree, find
from skdiff.oracles.model import Model
from skdiff.oracles.reference import Reference
from skdiff.variants import version_rules
from skdiff.variants.config import MATRIX, Config
from skdiff.variants.requirements import unmet_needs
from skdiff.variants.version_rules import (
    EPOCHAL,
    EPOCHS,
    NAMES,
    Rules,
    changed_by_hand,
    describe,
    describe_doubts,
    epoch_of_version,
    nearest_epoch,
    of_version,
)
from tests.helpers import connection, cookie, hash_of, listener, mostly_long, scenario, secret_for, whole_hash_of
from tests.patched import Edit, copied_tree, edited_tree
from tests.running import made

HASHTABLES_C, HASHTABLES_H = "net/ipv4/inet_hashtables.c", "include/net/inet_hashtables.h"
HASHTABLES6_C, HASHTABLES6_H = "net/ipv6/inet6_hashtables.c", "include/net/inet6_hashtables.h"
DELETE_AND_ADD = "sk_nulls_del_node_init_rcu(osk); if (ret) __sk_nulls_add_node_rcu(sk, list);"
TIMEWAIT_C = "net/ipv4/inet_timewait_sock.c"
ADD_AND_DELETE = (
    "hlist_nulls_add_head_rcu(&tw->tw_node, &inet_ehash_bucket(hashinfo, sk->sk_hash)->chain);"
    " __sk_nulls_del_node_init_rcu(sk); refcount_set(&tw->tw_refcnt, 3);"
)
UDP_C, UDP6_C = "net/ipv4/udp.c", "net/ipv6/udp.c"
SEARCHES = ("__inet_lookup_established", "__inet_lookup_listener")
SEARCHES6 = ("__inet6_lookup_established", "inet6_lookup_listener")
# Of each family: where its text stands, and the names of its functions.
FAMILIES = [
    (HASHTABLES_C, HASHTABLES_H, "__inet_lookup_skb", "__inet_lookup", SEARCHES),
    (HASHTABLES6_C, HASHTABLES6_H, "__inet6_lookup_skb", "__inet6_lookup", SEARCHES6),
]


def own_tables(text, header, root, lookup, searches):
    """The functions of a family without the hashinfo that the caller passes."""
    inside = [(header, root), (header, lookup), *((text, name) for name in searches)]
    return [
        *(Edit(file, function, r"struct inet_hashinfo \*hashinfo,\s*", "") for file, function in inside),
        *(Edit(header, name, r"\bhashinfo, ", "") for name in (root, lookup)),
        *(
            Edit(text, name, r"(?s)\A([^{]*\{)", r"\1 struct inet_hashinfo *hashinfo = NET_TABLES(net);")
            for name in searches
        ),
        *(Edit(text, name, r"NET_TABLES\(net\)", "net->ipv4.tcp_death_row.hashinfo") for name in searches),
    ]


OWN_TABLES = [edit for family in FAMILIES for edit in own_tables(*family)]
# inet6_ehashfn() of Linux 7.1 in the place of what 6.12 returns.
WHOLE_HASH6 = """
	u32 a, b, c;

	a = b = c = tcp_ipv6_hash_secret;
	a += (__force u32)laddr->s6_addr32[0] ^ net_hash_mix(net);
	b += (__force u32)laddr->s6_addr32[1];
	c += (__force u32)laddr->s6_addr32[2];
	__jhash_mix(a, b, c);
	a += (__force u32)laddr->s6_addr32[3];
	b += (__force u32)faddr->s6_addr32[0];
	c += (__force u32)faddr->s6_addr32[1];
	__jhash_mix(a, b, c);
	a += (__force u32)faddr->s6_addr32[2];
	b += (__force u32)faddr->s6_addr32[3];
	c += (__force u32)fport;
	__jhash_final(a, b, c);
	return lport + c;
"""
# What takes Linux 6.12 over the boundary of each rule, in one direction or the other.
CHANGES = {
    "no-reselect": [
        Edit(
            HASHTABLES_H,
            "__inet_lookup_skb",
            r"inet_steal_sock\([^;]*",
            "skb_steal_sock(skb, refcounted, &(bool){ 0 })",
        ),
        Edit(
            HASHTABLES6_H,
            "__inet6_lookup_skb",
            r"inet6_steal_sock\([^;]*",
            "skb_steal_sock(skb, refcounted, &(bool){ 0 })",
        ),
        # UDP has no function of its own for it.
        Edit(HASHTABLES_H, "inet_steal_sock", "!prefetched", "1"),
        Edit(HASHTABLES6_H, "inet6_steal_sock", "!prefetched", "1"),
    ],
    "no-shared_sk_lookup": [
        Edit(HASHTABLES_C, "__inet_lookup_listener", "inet_lookup_run_sk_lookup", "inet_lookup_run_bpf"),
        Edit(HASHTABLES_C, "inet_lookup_run_sk_lookup", "inet_lookup_run_sk_lookup", "inet_lookup_run_bpf"),
        Edit(HASHTABLES6_C, "inet6_lookup_listener", "inet6_lookup_run_sk_lookup", "inet6_lookup_run_bpf"),
        Edit(HASHTABLES6_C, "inet6_lookup_run_sk_lookup", "inet6_lookup_run_sk_lookup", "inet6_lookup_run_bpf"),
        Edit(UDP_C, "__udp4_lib_lookup", "inet_lookup_run_sk_lookup", "inet_lookup_run_bpf"),
        Edit(UDP6_C, "__udp6_lib_lookup", "inet6_lookup_run_sk_lookup", "inet6_lookup_run_bpf"),
    ],
    "no-syncookie": [
        Edit("include/net/request_sock.h", "skb_steal_sock", r"sk->sk_state == [^)]*\)->syncookie", "0"),
    ],
    "lport_added": [
        Edit(HASHTABLES_C, "inet_ehashfn", r"__inet_ehashfn\(laddr, lport", "lport + __inet_ehashfn(laddr, 0"),
        Edit(HASHTABLES6_C, "inet6_ehashfn", r"__inet6_ehashfn\(lhash, lport", "lport + __inet6_ehashfn(lhash, 0"),
    ],
    "whole_hash6": [
        Edit(HASHTABLES6_C, "inet6_ehashfn", r"(?s)u32 lhash, fhash;|lhash = .*;", ""),
        Edit(HASHTABLES6_C, "inet6_ehashfn", r"\}\s*$", WHOLE_HASH6 + "}"),
    ],
    "own_tables": OWN_TABLES,
    "sk_lookup_always": [
        Edit(text, searches[1], r"&&\s*hashinfo == net->ipv4.tcp_death_row.hashinfo", "")
        for text, *_, searches in FAMILIES
    ],
    "no-unhashed_check": [
        Edit(text, searches[0], r"hlist_nulls_unhashed_lockless\([^|]*\|\|", "") for text, *_, searches in FAMILIES
    ],
    "no-demux_pfree": [
        edit
        for text, function in ((UDP_C, "udp_v4_early_demux"), (UDP6_C, "udp_v6_early_demux"))
        for edit in (
            Edit(text, function, r"if \(!sk\)", "if (!sk || !refcount_inc_not_zero(&sk->sk_refcnt))"),
            Edit(text, function, "sock_pfree", "sock_efree"),
        )
    ],
    "no-lookup1": [
        Edit(UDP_C, "__udp4_lib_lookup", r"result = udp4_lib_lookup1\([^;]*;", ";"),
        Edit(UDP6_C, "__udp6_lib_lookup", r"result = udp6_lib_lookup1\([^;]*;", ";"),
    ],
    "udp_own_tables": [
        edit
        for text, version in ((UDP_C, 4), (UDP6_C, 6))
        for edit in (
            Edit(text, f"__udp{version}_lib_lookup_skb", r",\s*struct udp_table \*udptable\)", ")"),
            Edit(text, f"__udp{version}_lib_lookup_skb", r"\budptable, ", ""),
            Edit(text, f"__udp{version}_lib_lookup", r"struct udp_table \*udptable,\s*", ""),
            Edit(
                text,
                f"__udp{version}_lib_lookup",
                r"(?s)\A([^{]*\{)",
                r"\1 struct udp_table *udptable = NET_TABLE(net);",
            ),
            Edit(text, f"__udp{version}_lib_lookup", r"NET_TABLE\(net\)", "net->ipv4.udp_table"),
        )
    ],
    "udp_sk_lookup_always": [
        Edit(UDP_C, "__udp4_lib_lookup", r"&&\s*udptable == net->ipv4.udp_table", ""),
        Edit(UDP6_C, "__udp6_lib_lookup", r"&&\s*udptable == net->ipv4.udp_table", ""),
    ],
    "no-ehash_replace": [Edit(HASHTABLES_C, "inet_ehash_insert", r"\w*replace\w*\(osk, sk\);", DELETE_AND_ADD)],
    "no-twsk_replace": [
        Edit(TIMEWAIT_C, "inet_twsk_hashdance_schedule", r"refcount_set\([^;]*;", ""),
        Edit(TIMEWAIT_C, "inet_twsk_hashdance_schedule", r"\w*replace\w*\([^;]*;", ADD_AND_DELETE),
    ],
}
TREES = {
    **{word: (word,) for word in CHANGES},
    "6.6": ("no-syncookie", "no-demux_pfree"),
    "tables": ("lport_added", "own_tables", "sk_lookup_always"),
    "before-6.6": ("no-reselect", "no-shared_sk_lookup", "no-syncookie", "no-demux_pfree"),
}
# No small change of 6.12 makes or unmakes these; 6.1 is without both, and 6.17 and later have hash4.
NOT_MADE = {"udp_pernet", "hash4", "hash4_again", "unhash4_first", "wildcard_unhash4"}
# Outcomes do not tell whether a kernel has these: steps do.
SILENT = {"shared_sk_lookup"}
ASSIGNED = Packet(sk=0, destructor=PFREE)


def differ(reference, model, cases, seed=1):
    """The first of random cases about which two oracles differ, None if none of them does."""
    random, others = Random(seed), Random(~seed)
    for _ in range(cases):
        case = wire.decode(fresh(random, others))
        if LOOKUPS[case.lookup] not in reference.build.lookups:
            case = as_lookup(case, TCP4)
        if compare(("kernel", "model"), (reference.run(case), model.run(case))):
            return case
    return None


@pytest.fixture(scope="module")
def changed(kernel_tree, tmp_path_factory):
    """A tree of Linux 6.12 with these changes."""

    def make(words):
        edits = [edit for word in words for edit in CHANGES[word]]
        path = edited_tree(kernel_tree.path, tmp_path_factory.mktemp("tree"), edits)
        return Tree(path, kernel_tree.version, "test")

    return make


def test_each_rule_has_a_change():
    assert {word.removeprefix("no-") for word in CHANGES} == set(NAMES) - NOT_MADE


@pytest.mark.parametrize("name", mostly_long(TREES, every=8))
def test_a_tree_over_a_boundary_is_known_and_clean_and_wrong_by_hand(name, changed):
    words = TREES[name]
    found = build(changed(words))
    assert found.rules == changed_by_hand(Rules(), " ".join(words))
    if name in EPOCHS:
        assert describe(found.rules).startswith(f"epoch {name} ")
    reference = Reference(found)
    assert differ(reference, Model(found.rules), 8000) is None
    for word in set(words) - {f"no-{name}" for name in SILENT}:
        name = word.removeprefix("no-")
        if name == "sk_lookup_always" and found.rules.own_tables:
            continue  # there are no foreign tables then
        wrong = replace(found.rules, **{name: not getattr(found.rules, name)})
        assert differ(reference, Model(wrong), 30000) is not None, word
    for path in files([]):
        case = load(path)
        assert verdict(case, reference, Model(found.rules))[:2] == ("agreed", [])


def test_a_kernel_without_a_hashinfo_argument_never_searches_foreign_tables(changed):
    reference = Reference(build(changed(["own_tables"])))
    foreign = scenario(listener(), hostile=1, foreign_hashinfo=1)
    assert reference.run(foreign).sk == 0
    assert Model(reference.build.rules).run(foreign).sk == 0
    assert Model().run(foreign).sk == -1


def test_linux_6_1_has_the_rules_of_6_1_and_is_clean():
    found = made("6.1")
    assert nearest_epoch(found.rules) == "6.1"
    assert found.missing_rules == found.unknown_rules == ()
    assert differ(Reference(found), Model(found.rules), 20000) is None
    assert differ(Reference(found), Model(), 20000) is not None


def test_the_corpus_on_linux_6_1():
    found = made("6.1")
    reference, model = Reference(found), Model(found.rules)
    for path in files([]):
        assert verdict(load(path), reference, model)[:2] == ("agreed", []), path
    assert any(unmet_needs(load(path).needs, found.rules, Config()) for path in files([]))


def test_both_sides_take_the_same_steps_on_linux_6_1():
    traced = Reference(made("6.1", "traced"))
    draw, model, seen = Random(22).randbytes, Model(traced.build.rules), set()
    for _ in range(3000):
        case = wire.decode(draw(wire.SIZE))
        if model.run(case).ended == RETURNED:
            steps = model.trace(case)
            assert traced.trace(case) == steps
            seen.update(step.function for step in steps)
    assert "inet_lookup_run_bpf" in seen
    assert not seen & {"inet_steal_sock", "inet_lookup_run_sk_lookup"}


LEVELS = [levels for rule in fields(Rules) for levels in [rule.metadata["levels"]] if levels]
# Of two options no rule differs.
TELLING = [options for options in MATRIX if options not in (Config(retpoline=True), Config(rx_queue=False))]
# The first version of each epoch, and the point releases that brought a rule.
RELEASES = sorted({*EPOCHS, *(f"{series}.{point}" for levels in LEVELS for series, point in levels.items())})


@pytest.mark.parametrize("options", TELLING, ids=lambda options: str(options) or "default")
def test_an_expectation_that_falls_on_another_kernel_says_what_it_needs(options):
    followed = {of_version(release) for release in RELEASES}
    cases = [(path, load(path)) for path in files([])]
    there = [(path, case) for path, case in cases if has_lookup(LOOKUPS[case.scenario.lookup], options)]
    for path, case in there:
        for rules in followed:
            wrong = unmet(case.expect, case.socks, Model(rules, options).run(case.scenario))
            assert not wrong or unmet_needs(case.needs, rules, options), path


def test_a_case_is_kept_with_what_its_expectation_needs(monkeypatch, tmp_path):
    monkeypatch.setattr(keep_cases, "REGRESSIONS", tmp_path / "regressions")
    group = Group(num_socks=1, slots=(1,))
    case = scenario(listener(reuseport=1, group=0), listener(), packet=ASSIGNED, groups=(group,), hostile=1)
    path = tmp_path / "case.toml"
    path.write_text(dump(Case(case)))
    assert main(["keep", str(path), "--name", "new"]) == 0
    kept = load(tmp_path / "regressions" / "new.toml")
    assert (kept.needs, kept.expect["sk"]) == (("reselect",), "listener1")
    path.write_text(dump(Case(case)))
    assert main(["keep", str(path), "--name", "old", "--kernel", "6.1"]) == 0
    kept = load(tmp_path / "regressions" / "old.toml")
    assert (kept.needs, kept.expect["sk"]) == (("no-reselect",), "listener0")
    assert parse(dump(kept)).needs == kept.needs


def test_a_case_is_kept_with_a_need_that_shows_on_a_kernel_without_two_things():
    """Without IPv6 the sockets of a chain are others; that tells only where early demux takes a reference."""
    case = load(CORPUS / "mutants/model-udp-rehash-b39b25d9c692.toml")
    assert keep_cases.needed(case, Model()) == case.needs == ("IPV6",)


def test_a_race_is_kept_with_what_came_about_and_the_counts_that_it_left():
    """Of a put that is lost the answer tells nothing."""
    case = load(CORPUS / "races/unhashed-when-it-was-taken.toml")
    assert keep_cases.expectation(case, Model()) == {
        "sk": "listener",
        "refcounted": False,
        "fired": [1],
        "refcnt": {"conn": 1},
    }


def test_what_a_helper_finds_of_udp_is_expected_without_a_count():
    case = Case(Scenario(lookup=UDP4, caller=HELPER, packet=Packet(doff=8, len=8)))
    assert keep_cases.expectation(case, Model()) == {"sk": "none"}


# --- what the model does with a rule ---


def test_reselect():
    group = Group(num_socks=1, slots=(1,))
    case = scenario(listener(reuseport=1, group=0), listener(), packet=ASSIGNED, groups=(group,))
    assert Model().run(case).sk == 1
    old = Model(EPOCHS["6.1"]).run(case)
    assert (old.sk, old.refcounted, old.skb_sk, old.via) == (0, 0, -1, ("stolen",))


def test_syncookie():
    case = scenario(cookie(listener=1), listener(), packet=ASSIGNED)
    assert Model().run(case).sk == 1
    old = Model(EPOCHS["6.6"]).run(case)
    assert (old.sk, old.refcounted, old.skb_sk, old.listener) == (0, 1, -1, (1, -1))


def test_lport_added():
    members = tuple(listener(rcv_saddr=0, reuseport=1, group=0) for _ in range(2))
    case = scenario(*members, groups=(Group(num_socks=2, slots=(0, 1)),))
    apart = secret_for(case, 0, 2, 1)
    assert Model().run(apart).sk == 1
    # The same twelve bytes without the local port, which is added: an independent hash says where that points.
    without_port = apart._replace(packet=apart.packet._replace(dport=0))
    pointed = (hash_of(without_port, 0) + apart.packet.dport & 0xFFFFFFFF) * 2 >> 32
    assert Model(EPOCHS["6.15"]).run(apart).sk == pointed


def test_whole_hash6():
    members = tuple(listener(family=AF_INET6, reuseport=1, group=0) for _ in range(2))
    packet = Packet(from_text("2001:db8::1"), from_text("2001:db8::2"))
    plain = scenario(*members, packet=packet, lookup=TCP6, groups=(Group(num_socks=2, bind_inany=1, slots=(0, 1)),))
    for secret in range(64):
        case = plain._replace(hash_secret=secret, hash_secret6=3 * secret)
        assert Model().run(case).sk == hash_of(case, 0) * 2 >> 32
        assert Model(EPOCHS["7.1"]).run(case).sk == whole_hash_of(case, 0) * 2 >> 32


def test_a_rule_that_only_one_family_has_is_found():
    """What is said of both must be there in one at least; the model follows it for both, so the other one differs."""
    text = b"""
struct sock *__inet_lookup_skb(struct sk_buff *skb) { return __inet_lookup_established(skb); }
struct sock *__inet_lookup_established(struct sk_buff *skb) { return %s(skb); }
struct sock *__inet6_lookup_established(struct sk_buff *skb) { return %s(skb); }
u32 inet6_ehashfn(const struct net *net) { %s }
"""
    check, none = b"hlist_nulls_unhashed_lockless", b"found"
    for ipv4, ipv6, wanted in ((check, none, True), (none, check, True), (none, none, False), (check, check, True)):
        found = detect(definitions(text % (ipv4, ipv6, b"return __inet6_ehashfn(net);"), "x.c"))
        assert (found.rules.unhashed_check, found.rules.whole_hash6) == (wanted, False)
        assert "whole_hash6" not in found.unknown
    found = detect(definitions(text % (none, none, b"__jhash_final(net); return 0;"), "x.c"))
    assert found.rules.whole_hash6
    without = detect(definitions(b"\n".join((text % (none, none, b"")).splitlines()[:-1]), "x.c"))
    assert not without.rules.whole_hash6
    assert "whole_hash6" in without.unknown


@pytest.mark.parametrize("family", [0, pytest.param(1, marks=pytest.mark.long)])
def test_a_check_that_one_family_lost_is_a_difference_in_its_lookup(family, kernel_tree, tmp_path):
    edit = CHANGES["no-unhashed_check"][family]
    found = build(Tree(edited_tree(kernel_tree.path, tmp_path / "tree", [edit]), kernel_tree.version, "test"))
    assert found.rules == Rules()
    sock = connection(no_pprev=1)
    packet = Packet(from_text("2001:db8::1"), from_text("2001:db8::2"))
    six = sock._replace(family=AF_INET6, rcv_saddr=packet.daddr, daddr=packet.saddr)
    cases = [scenario(sock, hostile=1), scenario(six, packet=packet, lookup=TCP6, hostile=1)]
    assert [Model().run(case).ended for case in cases] == [STUCK, STUCK]
    reference = Reference(found)
    assert [reference.run(case).ended == STUCK for case in cases] == [family == 1, family == 0]
    assert differ(reference, Model(), 30000).lookup == family


def test_sk_lookup_always():
    net = Netns(run_array=1, progs=(Program(assign=0),))
    case = scenario(listener(hashed=0), hostile=1, foreign_hashinfo=1, sk_lookup_enabled=1, netns=(net,))
    assert Model().run(case).sk == -1
    assert Model(replace(Rules(), sk_lookup_always=True)).run(case).sk == 0


def test_unhashed_check():
    case = scenario(connection(no_pprev=1), hostile=1)
    assert Model().run(case).ended == STUCK
    old = Model(replace(Rules(), unhashed_check=False)).run(case)
    assert (old.sk, old.refcnt) == (0, (2,))


# --- names, by hand, doubts ---


@pytest.mark.parametrize(
    ("version", "epoch"),
    [
        *(("6.1.192", "6.1"), ("6.5", "6.2"), ("6.6", "6.6"), ("6.12.117", "6.9"), ("6.14", "6.13")),
        *(("6.15-rc3", "6.15"), ("6.18", "6.18"), ("7.0", "6.18"), ("7.1", "7.1"), ("7.3", "7.1"), ("next", "6.1")),
    ],
)
def test_the_epoch_of_a_version(version, epoch):
    assert epoch_of_version(version) == epoch


def test_epochs_are_what_they_are_named_after():
    assert list(EPOCHS) == ["6.1", "6.2", "6.6", "6.9", "6.13", "6.15", "6.18", "7.1"]
    for epoch, rules in EPOCHS.items():
        assert nearest_epoch(rules) == epoch
        assert describe(rules) == f"epoch {epoch}"
        whole = replace(
            rules, **dict.fromkeys(version_rules.expected(f"{epoch}.1"), True)
        )  # with those of stable levels
        assert nearest_epoch(whole) == epoch
        assert describe_doubts(whole, (), f"{epoch}.1") == []
    assert nearest_epoch(Rules()) == "6.9"


def test_rules_of_no_epoch_are_said():
    odd = changed_by_hand(Rules(), "6.9 no-reselect")
    assert (
        describe(odd) == "no known epoch: 6.9 but no-reselect with unhashed_check, ehash_replace, twsk_replace, lookup1"
    )
    [missing_one, early] = describe_doubts(odd, (), "6.12.1")
    assert missing_one.startswith("missing rule reselect (Linux 6.6, 9c02bec95954, ")
    assert early.startswith("its text has unhashed_check, ehash_replace, twsk_replace, lookup1 besides")
    lines = describe_doubts(EPOCHS["6.6"], (), "6.12.1")
    assert [line.split()[2] for line in lines] == ["syncookie", "demux_pfree"]
    assert version_rules.told(odd).but == ("no-reselect",)


def test_rules_by_hand():
    assert changed_by_hand(Rules(), "") == Rules()
    old = changed_by_hand(Rules(), "6.1")
    assert [getattr(old, name) for name in EPOCHAL] == [False] * len(EPOCHAL)
    assert old.unhashed_check
    assert changed_by_hand(Rules(), "6.1, reselect no-unhashed_check") == replace(
        old, reselect=True, unhashed_check=False
    )
    for words in ("x", "6", "6.x", "no-", "no-no-reselect", "re-select"):
        with pytest.raises(CannotRun, match="no epoch or rule"):
            changed_by_hand(Rules(), words)


def test_a_version_whose_rules_nobody_knows_is_no_epoch():
    recorded = [path.name.removesuffix(drift.SUFFIX) for path in drift.RECORDS.glob(f"*{drift.SUFFIX}")]
    known = [*recorded, *(rule.metadata["since"] for rule in fields(Rules))]
    for version in known:
        assert changed_by_hand(Rules(), version).syncookie == (version_rules.numbers(version) >= (6, 9))
    assert max(version_rules.numbers(version)[:2] for version in known) == max(version_rules.LAST_KNOWN.items())
    for version in ("9.9", "7.5", "6.20", "6.20.3", "8.0"):
        with pytest.raises(CannotRun) as refused:
            changed_by_hand(Rules(), version)
        text = f"the rules of Linux {version} are not known; known are 6.1 to 6.19, 7.0 to 7.4"
        assert str(refused.value) == text
    with pytest.raises(CannotRun, match="is older than 6"):
        changed_by_hand(Rules(), "5.15")


TABLES = "net->ipv4.tcp_death_row.hashinfo"
UDP_TABLE = "net->ipv4.udp_table"
OLD_HASH6 = """
	u32 lhash = (__force u32)laddr->s6_addr32[3], fhash = __ipv6_addr_jhash(faddr, tcp_ipv6_hash_secret);

	return lport + __inet6_ehashfn(lhash, 0, fhash, fport, inet6_ehash_secret + net_hash_mix(net));
"""
# What takes a rule out of Linux 7.3 that 6.12 has not; the others go as there.
OF_7_3 = {
    **CHANGES,
    "no-lport_added": [
        Edit(HASHTABLES_C, "inet_ehashfn", r"lport \+ __inet_ehashfn\(laddr, 0", "__inet_ehashfn(laddr, lport")
    ],
    "no-whole_hash6": [
        Edit(HASHTABLES6_C, "inet6_ehashfn", r"(?s)u32 a, b, c;.*return lport \+ c;", OLD_HASH6),
    ],
    "no-own_tables": [
        edit
        for text, header, root, lookup, searches in FAMILIES
        for edit in (
            Edit(header, root, r"\(struct sk_buff \*skb", "(struct inet_hashinfo *hashinfo, struct sk_buff *skb"),
            *(
                Edit(file, name, r"\((const )?struct net \*net", r"(\1struct net *net, struct inet_hashinfo *hashinfo")
                for file, name in ((header, lookup), *((text, name) for name in searches))
            ),
            Edit(header, root, rf"{lookup}\(net", f"{lookup}(net, hashinfo"),
            *(Edit(header, lookup, rf"{name}\(net", f"{name}(net, hashinfo") for name in searches),
            *(Edit(text, name, r"struct inet_hashinfo \*hashinfo;|hashinfo = net->[^;]*;", "") for name in searches),
        )
    ],
    "no-sk_lookup_always": [
        Edit(
            text,
            searches[1],
            r"if \(static_branch_unlikely\(&bpf_sk_lookup_enabled\)",
            rf"hashinfo = {TABLES};\n\tif (static_branch_unlikely(&bpf_sk_lookup_enabled) && hashinfo == {TABLES}",
        )
        for text, *_, searches in FAMILIES
    ],
    "no-hash4": [
        Edit(text, f"__udp{version}_lib_lookup", r"(?s)if \(udp_has_hash4.*?\n\t\}\n", "")
        for text, version in ((UDP_C, 4), (UDP6_C, 6))
    ],
    "no-hash4_again": [Edit(UDP_C, "udp_lib_hash4", r"udp_rehash4\(udptable, sk, hash\)", "(void)0")],
    "no-unhash4_first": [Edit(UDP_C, "udp_disconnect", r"udp_unhash4_on_disconnect\(sk\)", "(void)0")],
    "no-wildcard_unhash4": [
        Edit(
            UDP_C,
            "udp_lib_rehash",
            r"if \(inet_rcv_saddr_any\(sk\)\) \{\s*udp_unhash4\(udptable, sk\);\s*\} else \{",
            "{",
        )
    ],
    "no-udp_own_tables": [
        edit
        for text, version in ((UDP_C, 4), (UDP6_C, 6))
        for edit in (
            Edit(text, f"__udp{version}_lib_lookup_skb", r"dport\)\n", "dport, struct udp_table *udptable)"),
            Edit(text, f"__udp{version}_lib_lookup_skb", r"\(skb\), skb\);", "(skb), udptable, skb);"),
            Edit(text, f"__udp{version}_lib_lookup", r"(struct sk_buff \*skb\))", r"struct udp_table *udptable, \1"),
            Edit(text, f"__udp{version}_lib_lookup", r"struct udp_table \*udptable = [^;]*;", ""),
            Edit(text, f"udp{version}_lib_lookup", r"NULL\);", f"{UDP_TABLE}, NULL);"),
            Edit(text, f"udp{version}_lib_lookup_skb", r"NULL\);", f"{UDP_TABLE}, NULL);"),
        )
    ],
    "no-udp_sk_lookup_always": [
        Edit(
            text,
            f"__udp{version}_lib_lookup",
            r"static_branch_unlikely\(&bpf_sk_lookup_enabled\)",
            rf"static_branch_unlikely(&bpf_sk_lookup_enabled) && udptable == {UDP_TABLE}",
        )
        for text, version in ((UDP_C, 4), (UDP6_C, 6))
    ],
}
REMOVED = [word for word in CHANGES if word.startswith("no-")]
LOST_BY_7_3 = [rule for rule in NAMES if rule != "udp_pernet"]  # no small change unmakes that one
# Seen only while other CPUs connect, disconnect, and leave timewait sockets.
SELDOM = {"hash4_again": 30000, "unhash4_first": 30000, "wildcard_unhash4": 30000, "twsk_replace": 100000}
SHOWN_BY = {"wildcard_unhash4": "7.1.13"}  # and not by 7.3, where it follows from unhash4_first
OF_SEEDS = {"wildcard_unhash4"}  # two events in a row: drawn cases have them once in 300,000


def cases_for(rule):
    """How many random cases show that a rule is missing."""
    return str(SELDOM.get(rule, 4000))


@pytest.mark.parametrize("word", mostly_long(REMOVED, every=20))
def test_a_rule_that_a_tree_lost_is_a_difference_with_its_name(word, changed, tmp_path, capsys):
    rule = word.removeprefix("no-")
    tree = str(changed([word]).path)
    command = ["fuzz", "--engine", "random", "--cases", cases_for(rule), "--seed", "5", "--kernel", tree]
    command += ["--findings", str(tmp_path / "findings"), "--json", str(tmp_path / "run.json")]
    assert main(command) == 1
    shown = capsys.readouterr()
    assert f"missing rule {rule} (Linux " in shown.err
    assert version_rules.origin(rule) in shown.err
    assert f"missing rules, each a difference: {rule}" in shown.out
    summary = json.loads((tmp_path / "run.json").read_text())
    assert summary["missing_rules"] == [rule]
    causes = {finding["signature"] for finding in summary["mismatches"]}
    assert bool(causes) == (rule not in SILENT)
    assert causes <= {f"without-{rule}"}
    assert main([*command, "--epoch", "text"]) in (0, 2)  # 2: some of the changed lines cannot run any more
    assert "no difference" in capsys.readouterr().out


def test_each_rule_of_linux_7_3_has_a_change():
    assert {*OF_7_3} >= {f"no-{rule}" for rule in LOST_BY_7_3}


@pytest.mark.long
@pytest.mark.parametrize("rule", LOST_BY_7_3)
def test_a_rule_that_linux_7_3_lost_is_a_difference_with_its_name(rule, tmp_path):
    manifest = Manifest.load()
    whole = find(SHOWN_BY.get(rule, "7.3"), manifest.files, optional=manifest.optional)
    tree = edited_tree(whole.path, tmp_path / "tree", OF_7_3[f"no-{rule}"])
    engine = "atheris" if rule in OF_SEEDS else "random"
    command = ["fuzz", "--engine", engine, "--cases", cases_for(rule), "--seed", "5", "--kernel", str(tree)]
    command += ["--findings", str(tmp_path / "findings"), "--json", str(tmp_path / "run.json")]
    assert main(command) == 1
    summary = json.loads((tmp_path / "run.json").read_text())
    assert summary["missing_rules"] == [rule]
    causes = {finding["signature"] for finding in summary["mismatches"]}
    # Where no foreign tables can be passed, programs are always asked.
    assert bool(causes) == (rule not in SILENT | {"sk_lookup_always", "udp_sk_lookup_always"})
    assert causes <= {f"without-{rule}"}


def test_the_rules_are_listed_and_a_kernel_is_held_against_them(changed, tmp_path, capsys):
    assert main(["rules"]) == 0
    assert re.search(r"unhashed_check +7.4 +CVE-2026-99288 +6.12.117 7.3.4", capsys.readouterr().out)
    tree = str(changed(["no-unhashed_check"]).path)
    assert main(["rules", "--kernel", tree, "--json", str(tmp_path / "rules.json")]) == 1
    shown = capsys.readouterr().out
    assert re.search(r"unhashed_check .* yes +no", shown)
    assert "missing rule unhashed_check" in shown
    assert json.loads((tmp_path / "rules.json").read_text())["missing"] == ["unhashed_check"]


@pytest.mark.long
def test_a_rule_that_is_there_and_dead_is_a_difference_with_its_name(kernel_tree, tmp_path):
    dead = Edit(
        "include/net/request_sock.h",
        "skb_steal_sock",
        r"if \(sk->sk_state == TCP_NEW",
        "if (0 && sk->sk_state == TCP_NEW",
    )
    tree = edited_tree(kernel_tree.path, tmp_path / "tree", [dead])
    command = ["fuzz", "--engine", "random", "--cases", "4000", "--seed", "5", "--kernel", str(tree)]
    command += ["--findings", str(tmp_path / "findings"), "--json", str(tmp_path / "run.json")]
    assert main(command) == 1
    summary = json.loads((tmp_path / "run.json").read_text())
    assert summary["missing_rules"] == []
    assert summary["mismatches"]
    assert [m["signature"] for m in summary["mismatches"]] == ["without-syncookie"]


@pytest.mark.parametrize("word", mostly_long(["no-unhashed_check", "no-ehash_replace", "no-syncookie"]))
def test_a_rule_that_b_lost_is_a_difference_between_kernels(word, changed, tmp_path, capsys):
    tree = str(changed([word]).path)
    assert main(["diff", "6.12", tree, "--cases", "400", "--findings", str(tmp_path / "findings")]) == 1
    assert f"B lacks the rule {word.removeprefix('no-')} of A" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("name", mostly_long([name for name in EVIDENCE if name != "inet_lookup_run_bpf"], every=20))
def test_a_renamed_function_changes_nothing(name, kernel_tree, tmp_path, capsys):
    copied_tree(kernel_tree.path, tmp_path / "tree")
    for path in (tmp_path / "tree").rglob("*.[ch]"):
        path.write_text(re.sub(rf"\b{name}\b", f"{name}_renamed", path.read_text()))
    command = ["fuzz", "--engine", "random", "--cases", "4000", "--seed", "5", "--kernel", str(tmp_path / "tree")]
    assert main([*command, "--findings", str(tmp_path / "findings")]) == 0
    assert "rule" not in capsys.readouterr().err.replace("rules", "")


def test_a_rule_whose_function_is_gone_cannot_be_told_and_the_version_decides():
    everything = definitions(b"int other(void) { return 0; }", "x.c")
    detected = detect(everything)
    assert set(detected.unknown) == set(NAMES)
    assert version_rules.missing(detected.rules, detected.unknown, "6.12.117") == ()
    assert version_rules.rules_to_follow(detected.rules, detected.unknown, "6.12.117") == Rules()
    assert version_rules.rules_to_follow(detected.rules, detected.unknown, "6.12.8") == EPOCHS["6.9"]
    lines = describe_doubts(detected.rules, detected.unknown, "6.12.117")
    assert len(lines) == len(NAMES)
    assert all(line.startswith("cannot tell rule ") for line in lines)


def test_what_a_version_should_have():
    assert version_rules.expected("6.1.159") == ()
    assert version_rules.expected("6.1.160") == ("ehash_replace",)
    assert "unhashed_check" not in version_rules.expected("6.12.116")
    assert "unhashed_check" in version_rules.expected("6.12.117")
    assert "unhashed_check" not in version_rules.expected("7.2.13")
    assert "unhashed_check" not in version_rules.expected("7.3.0")
    assert set(version_rules.expected("7.3.4")) == set(NAMES)
    assert "ehash_replace" not in version_rules.expected("6.18.15")
    assert "unhashed_check" in version_rules.expected("7.4.0") and "unhashed_check" in version_rules.expected(
        "7.5.0-rc1"
    )
    assert "unhashed_check" not in version_rules.expected("7.4.0-rc2")
    assert "own_tables" in version_rules.expected("6.18.0-rc1")
    assert version_rules.expected("") == version_rules.expected("next") == ()


def test_a_rule_that_came_early_is_followed():
    early = replace(EPOCHS["6.9"], lport_added=True)
    assert version_rules.rules_to_follow(early, (), "6.12.8") == early
    [line] = describe_doubts(early, (), "6.12.8")
    assert "lport_added besides" in line


@pytest.mark.parametrize("words", ["5.10", "2.6", "6.0.5"])
def test_versions_older_than_the_first_epoch_are_refused(words, capsys, kernel_tree, tmp_path):
    assert main(["fuzz", "--cases", "1", "--epoch", words]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert f"Linux {words} is older than 6.1" in line


def test_a_tree_older_than_the_first_epoch_is_refused(capsys, kernel_tree, tmp_path):
    copied_tree(kernel_tree.path, tmp_path)
    makefile = (tmp_path / "Makefile").read_text()
    (tmp_path / "Makefile").write_text(re.sub(r"(?m)^(VERSION|PATCHLEVEL) = \d+", r"\1 = 5", makefile))
    assert main(["fuzz", "--cases", "1", "--kernel", str(tmp_path)]) == 2
    assert "is older than 6.1" in capsys.readouterr().err


def test_detection_reads_the_text_not_its_layout():
    text = b"""
static inline struct sock *
__inet_lookup_skb(const struct inet_hashinfo * h, struct sk_buff *skb) { return inet_steal_sock ( skb ) ; }
struct sock *inet_steal_sock(struct sk_buff *skb) { return inet_lookup_reuseport(skb); }
u32 inet_ehashfn(const struct net *n, const __be32 a, const __u16 own, const __be32 b, const __be16 c)
{ u32 hash = __inet_ehashfn (a, 0, b, c, n->mix); return hash + own; }
"""
    rules = detect(definitions(text, "x.c")).rules
    assert (rules.reselect, rules.own_tables, rules.lport_added) == (True, False, True)
    hashed = detect(definitions(text.replace(b"(a, 0,", b"(a, own,"), "x.c")).rules
    assert not hashed.lport_added
    assert detect([]).rules == EPOCHS["6.1"]


def test_fuzz_follows_the_epoch_that_is_set_by_hand(tmp_path, capsys, monkeypatch):
    summary = tmp_path / "summary.json"
    command = ["fuzz", "--engine", "random", "--cases", "6000", "--seed", "5", "--json", str(summary)]
    command += ["--findings", str(tmp_path / "findings"), "--epoch", "no-reselect"]
    assert main(command) == 1
    captured = capsys.readouterr()
    odd = "no known epoch: 6.9 but no-reselect with unhashed_check, ehash_replace, twsk_replace, lookup1"
    assert f"{odd}, against the model" in captured.err
    assert "rules by hand: no-reselect" in captured.err
    assert "--epoch no-reselect" in captured.out
    assert "note: rules by hand: no-reselect" in captured.out
    found = json.loads(summary.read_text())
    assert found["kernel"]["rules"]["but"] == ["no-reselect"]
    case = found["mismatches"][0]["file"]
    monkeypatch.setenv("EPOCH", "no-reselect")
    assert main(["replay", case]) == 1
    monkeypatch.delenv("EPOCH")
    assert main(["replay", case]) == 0
    assert main(["fuzz", "--epoch", "bogus", "--cases", "1"]) == 2
