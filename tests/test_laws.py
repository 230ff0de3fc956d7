"""The laws hold on both oracles, apply to a good share of the cases, and fail where the lookup is broken."""

from collections import Counter
from itertools import count

import pytest
from hypothesis import HealthCheck, Phase, event, given, note, seed, settings
from hypothesis import strategies as st

from skdiff.cases import validity
from skdiff.cases.case_file import Case, dump
from skdiff.cases.fields import LOOKUPS
from skdiff.cases.other_lookup import as_lookup
from skdiff.cases.scenario import AT_LINK, EHASH, HELPER, INT_MAX, NONE, NOWHERE, PROG_NONE, TCP4, TCP6, UDP6
from skdiff.kernel.build import build
from skdiff.kernel.source import Tree
from skdiff.oracles.model import Model, listeners, udp
from skdiff.oracles.reference import Reference
from tests import laws, transform
from tests.helpers import mostly_long
from tests.laws import LAWS, Draw, lookups_of
from tests.patched import Patch, patched_tree
from tests.transform import plain

HASHTABLES, REUSEPORT = "net/ipv4/inet_hashtables.c", "net/core/sock_reuseport.c"
HASHTABLES6 = "net/ipv6/inet6_hashtables.c"


def _name(law):
    return law.__name__


ROWS = [(law, lookup) for law in LAWS for lookup in lookups_of(law)]


def _of_lookup(row):
    law, lookup, *_ = row
    return f"{law.__name__}-{LOOKUPS[lookup]}"


@pytest.mark.parametrize(("law", "lookup"), ROWS, ids=map(_of_lookup, ROWS))
@given(data=st.data())
def test_law(law, lookup, oracle, data):
    asked = []

    def run(scenario):
        asked.append(scenario)
        return plain(oracle.run(scenario))

    try:
        event("applies" if law(Draw(data.draw, lookup), run) else "does not apply")
    except AssertionError:
        for scenario in asked:
            note(dump(Case(scenario)))
        raise


def _tried(law, run, cases=500, lookup=TCP4):
    """How often a law applies (True) and does not (False), in cases that are always the same. Raises what it raises."""
    applied = Counter()

    @seed(1)
    @settings(
        max_examples=cases,
        database=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def trial(data):
        applied[law(Draw(data.draw, lookup), lambda scenario: plain(run(scenario)))] += 1

    trial()
    return applied


@pytest.mark.parametrize(("law", "lookup"), mostly_long(ROWS), ids=map(_of_lookup, ROWS))
def test_a_law_applies_to_a_good_share_of_the_cases(law, lookup):
    applied = _tried(law, Model().run, lookup=lookup)
    assert applied[True] >= LAWS[law] * applied.total()


def test_a_law_s_cases_are_of_the_lookup_that_it_is_asked_for():
    for lookup in LOOKUPS:
        seen = set()

        def run(scenario, seen=seen):
            seen.add(scenario.lookup)
            return Model().run(scenario)

        _tried(laws.a_table_s_size_does_not_matter, run, 20, lookup)
        assert seen == {lookup}


# --- each law fails where the lookup is broken in its way -----------------------------------------------------------

PATCHES = {
    Patch(HASHTABLES, "__inet_lookup_listener", 4, "hash2", "hash2 + 1"): [laws.a_table_s_size_does_not_matter],
    Patch(HASHTABLES, "compute_score", 0, "==", ">="): [
        laws.sockets_of_different_places_may_change_their_order,
        laws.who_cannot_match_changes_nothing,
    ],
    Patch(HASHTABLES, "inet_lhash2_lookup", 0, ">", ">="): [
        laws.without_the_winner_the_next_best_wins,
        laws.a_group_answers_for_the_first_who_is_heard,
    ],
    Patch(HASHTABLES, "inet_lookup_reuseport", 1, "hnum", "hnum + doff"): [
        laws.without_a_filter_the_bytes_do_not_matter
    ],
    Patch(REUSEPORT, "reuseport_select_sock_by_hash", 0, ">=", ">"): [
        laws.what_is_behind_a_group_s_members_does_not_matter
    ],
    Patch("include/linux/refcount.h", "__refcount_add_not_zero", 0, "!", "1 =="): [
        laws.references_are_only_counted,
        laws.every_reference_is_accounted_for,
    ],
    Patch("include/net/inet_hashtables.h", "inet_steal_sock", 1, "!=", "=="): [laws.what_hangs_on_the_packet_gets_it],
    Patch("include/linux/filter.h", "bpf_sk_lookup_run_v4", 0, "==", "!="): [
        laws.a_program_that_chooses_nobody_changes_nothing,
        laws.the_last_choice_of_the_programs_wins,
    ],
}


# The same in the text of IPv6, for its lookup.
PATCHES6 = {
    Patch(HASHTABLES6, "inet6_lookup_listener", 4, "hash2", "hash2 + 1"): [laws.a_table_s_size_does_not_matter],
    Patch(HASHTABLES6, "compute_score", 0, "==", ">="): [
        laws.sockets_of_different_places_may_change_their_order,
        laws.who_cannot_match_changes_nothing,
    ],
    Patch(HASHTABLES6, "inet6_lhash2_lookup", 0, ">", ">="): [
        laws.without_the_winner_the_next_best_wins,
        laws.a_group_answers_for_the_first_who_is_heard,
    ],
    Patch("include/net/inet6_hashtables.h", "inet6_steal_sock", 1, "!=", "=="): [laws.what_hangs_on_the_packet_gets_it],
    Patch("include/linux/filter.h", "bpf_sk_lookup_run_v6", 0, "==", "!="): [
        laws.a_program_that_chooses_nobody_changes_nothing,
        laws.the_last_choice_of_the_programs_wins,
    ],
}
ALL_PATCHES = PATCHES | PATCHES6


@pytest.mark.parametrize(("patch", "broken"), mostly_long(ALL_PATCHES.items(), every=8), ids=map(str, ALL_PATCHES))
def test_a_patched_kernel_breaks_its_laws(patch, broken, kernel_tree, tmp_path):
    tree = Tree(patched_tree(kernel_tree.path, tmp_path / "tree", patch), kernel_tree.version, str(patch))
    reference = Reference(build(tree))
    for law in broken:
        with pytest.raises(AssertionError):
            _tried(law, reference.run, 4000, TCP6 if patch in PATCHES6 else TCP4)


def _with_netns(case, change):
    return case._replace(netns=tuple(map(change, case.netns)))


def _restless(numbers=None):
    """Every third lookup is another CPU's."""
    numbers = count()
    return lambda case: case._replace(cpu=case.cpu + (next(numbers) % 3 == 0))


# What a broken lookup takes a case for.
MISTAKES = {
    laws.the_same_case_gives_the_same_answer: _restless(),
    laws.the_hash_only_chooses_the_member: lambda case: case._replace(foreign_hashinfo=case.hash_secret & 1),
    laws.devices_are_only_told_apart: lambda case: transform.devices_renamed(case, {3: 0}),
    laws.cpus_are_only_told_apart: lambda case: transform.cpus_renamed(case, {1: 0}),
    laws.namespaces_are_only_told_apart: lambda case: case._replace(packet=case.packet._replace(netns=0)),
    laws.groups_are_only_told_apart: lambda case: case._replace(
        groups=(*(group._replace(prog=PROG_NONE) for group in case.groups[:1]), *case.groups[1:])
    ),
    laws.a_namespace_may_have_tables_of_its_own: lambda case: case._replace(
        foreign_hashinfo=case.netns[case.packet.netns].own_hashinfo
    ),
    laws.l3mdev_accept_is_for_unbound_sockets_and_slaves: lambda case: _with_netns(
        case, lambda net: net._replace(tcp_l3mdev_accept=net.udp_l3mdev_accept)
    ),
    laws.listeners_take_anyone: lambda case: case._replace(
        packet=case.packet._replace(dport=case.packet.dport ^ (case.packet.sport & 1))
    ),
    laws.the_wildcard_takes_any_address: lambda case: case._replace(
        hash_secret=(case.hash_secret ^ case.packet.daddr) & 0xFFFFFFFF
    ),
    laws.the_connection_s_own_socket_wins: lambda case: case._replace(
        socks=tuple(
            sock._replace(hashed=NOWHERE) if sock.hashed == EHASH and sock.bound_dev_if else sock for sock in case.socks
        )
    ),
}


def _with_socks(case, change):
    return case._replace(socks=tuple(map(change, case.socks)))


MISTAKES |= {
    laws.a_filter_s_run_pulls_the_header_and_nothing_else: lambda case: case._replace(
        packet=case.packet._replace(pull_fails=0)
    ),
    laws.a_count_that_would_overflow_is_pinned: lambda case: _with_socks(
        case, lambda sock: sock._replace(refcnt=min(sock.refcnt, INT_MAX - 1))
    ),
    laws.a_connection_that_goes_while_it_is_taken_is_not_found: lambda case: case._replace(events=()),
    laws.the_answer_is_that_of_some_moment: lambda case: _with_socks(
        case, lambda sock: sock._replace(num=1) if any(event.point != AT_LINK for event in case.events) else sock
    ),
    laws.who_connects_to_the_sender_is_found_all_the_while: lambda case: _with_socks(
        case, lambda sock: sock._replace(num=1) if any(event.steps for event in case.events) else sock
    ),
    laws.its_image_in_ipv6_has_the_same_winner: lambda case: (
        _with_socks(case, lambda sock: sock._replace(bound_dev_if=0)) if case.lookup == TCP6 else case
    ),
    laws.a_datagram_s_image_in_ipv6_has_the_same_winner: lambda case: (
        _with_socks(case, lambda sock: sock._replace(bound_dev_if=0)) if case.lookup == UDP6 else case
    ),
    laws.who_is_connected_to_the_sender_gets_the_datagram: lambda case: _with_socks(
        case, lambda sock: sock._replace(hashed=NOWHERE) if sock.dport and sock.bound_dev_if else sock
    ),
    laws.a_bpf_helper_finds_who_gets_the_packet: lambda case: (
        case._replace(packet=case.packet._replace(skb_iif=0)) if case.caller == HELPER else case
    ),
}


MISTAKEN = [(law, lookup, mistaken) for law, mistaken in MISTAKES.items() for lookup in lookups_of(law)]


@pytest.mark.parametrize(("law", "lookup", "mistaken"), MISTAKEN, ids=map(_of_lookup, MISTAKEN))
def test_a_mistaken_model_breaks_its_law(law, lookup, mistaken):
    model = Model()
    with pytest.raises(AssertionError):
        _tried(law, lambda case: model.run(mistaken(case)), 4000, lookup)


WORST_FIRST = (
    laws.a_winner_bound_to_the_packet_s_device_still_wins,
    laws.a_winner_that_asks_for_this_cpu_still_wins,
)


@pytest.mark.parametrize("lookup", LOOKUPS)
@pytest.mark.parametrize("law", WORST_FIRST, ids=_name)
def test_a_model_that_prefers_the_worst_breaks_the_laws_of_the_best(law, lookup, monkeypatch):
    score = listeners.compute_score
    monkeypatch.setattr(listeners, "compute_score", lambda state, sock: (s := score(state, sock)) and 9 - s)
    monkeypatch.setattr(udp, "compute_score", lambda state, sock: s if (s := score(state, sock)) < 0 else 99 - s)
    with pytest.raises(AssertionError):
        _tried(law, Model().run, 1000, lookup)


def test_every_law_can_fail():
    assert {*LAWS} == {*MISTAKES, *WORST_FIRST, *(law for broken in PATCHES.values() for law in broken)}


# --- the changes themselves -----------------------------------------------------------------------------------------


@given(data=st.data())
def test_changed_cases_are_valid(data):
    case = data.draw(laws.CASES)
    order = data.draw(st.permutations(range(len(case.socks))))
    assert validity.problems(transform.moved(case, order)) == []
    assert validity.problems(transform.netns_swapped(case)) == []
    assert validity.problems(transform.without_programs(case)) == []
    if order and case.packet.sk == NONE:
        assert validity.problems(transform.closed(case, order[0])) == []
    alone = transform.as_ipv4_alone(as_lookup(case, TCP4))._replace(hostile=1)
    assert validity.problems(alone) == []
    assert validity.problems(transform.ipv6_image(alone)) == []


@given(data=st.data())
def test_what_is_moved_back_is_as_it_was(data):
    case = data.draw(laws.CASES)
    order = data.draw(st.permutations(range(len(case.socks))))
    back = [order.index(i) for i in range(len(order))]
    outcome = plain(Model().run(case))
    assert transform.moved(transform.moved(case, order), back) == case
    assert transform.moved_outcome(transform.moved_outcome(outcome, order), back) == outcome


@given(data=st.data())
def test_what_is_opened_can_be_left_out_again(data):
    case = data.draw(laws.CASES)
    at = data.draw(st.integers(0, len(case.socks)))
    more = transform.opened(case, at, laws.Sock(num=1))
    assert more.socks[at].num == 1
    assert transform.moved(more, transform.without(len(more.socks), at)) == case
