"""sk_lookup programs: the namespace's say over packets that belong to no connection."""

from typing import Any

import pytest

from skdiff.cases.addresses import mapped
from skdiff.cases.outcome import SHOWN_SK_LOOKUP, SHOWN_SK_REUSEPORT
from skdiff.cases.scenario import (
    AF_INET,
    IPPROTO_TCP,
    NONE,
    SK_DROP,
    SK_PASS,
    SK_REUSEPORT,
    TCP_ESTABLISHED,
    Group,
    Netns,
    Packet,
    Program,
    Scenario,
    Sock,
)
from skdiff.oracles.reference import Reference
from tests.helpers import HERE, PEER, agree, connection, listener, scenario, secret_for

PASS, DROP = Program(), Program(verdict=SK_DROP)
BAD = 2
FIRST, SECOND, IN_TABLE = 0, 1, 2


def assign(sock: int, verdict: int = SK_PASS, no_reuseport: int = 0) -> Program:
    return Program(verdict, sock, no_reuseport)


def programs(*progs: Program, packet: Packet | None = None, **fields: Any) -> Scenario:
    """Sockets 0 and 1 listen on other ports, socket 2 on the packet's; these programs are attached."""
    netns = (Netns(run_array=1, progs=progs),)
    socks = fields.pop("socks", (listener(num=81), listener(num=82), listener(rcv_saddr=HERE)))
    return scenario(*socks, packet=packet, **{"netns": netns, "sk_lookup_enabled": 1, **fields})


def shown(*selected: tuple[int, int], packet: Packet | None = None, dif: int = 1) -> tuple[tuple[int, ...], ...]:
    """What each program saw; (chosen so far, its no_reuseport) by program."""
    p = packet or Packet()
    return tuple(
        (SHOWN_SK_LOOKUP, 0, i, AF_INET, IPPROTO_TCP, p.saddr, p.sport, p.daddr, p.dport, dif, *seen, 0)
        for i, seen in enumerate(selected)
    )


NOTHING_YET = (NONE, 0)
CHOSEN: dict[str, Any] = {"via": ("sk_lookup",)}
LISTENER: dict[str, Any] = {"sk": IN_TABLE, "via": ("exact listener",)}
DROPPED: dict[str, Any] = {"sk": NONE, "via": ("drop",)}


# --- whether they are run ---


def test_the_choice_of_a_program_comes_before_any_listener(reference: Reference) -> None:
    agree(reference, programs(assign(FIRST)), sk=FIRST, refcounted=0, shown=shown(NOTHING_YET), **CHOSEN)


def test_a_connection_comes_before_programs(reference: Reference) -> None:
    case = programs(DROP, socks=(connection(), listener()))
    agree(reference, case, sk=0, refcounted=1, refcnt={0: 2}, shown=())


def test_a_dying_connection_leaves_it_to_the_programs(reference: Reference) -> None:
    case = programs(assign(1), socks=(connection(refcnt=0), listener(num=81)), hostile=1)
    agree(reference, case, sk=1, refcounted=0, **CHOSEN, ran=(SHOWN_SK_LOOKUP,))


def test_a_stolen_socket_comes_before_programs(reference: Reference) -> None:
    case = programs(DROP, socks=(connection(refcnt=2),), packet=Packet(sk=0, destructor=2))
    agree(reference, case, sk=0, refcounted=1, skb_sk=NONE, destructor=0, shown=())


def test_programs_are_not_run_while_the_static_key_is_off(reference: Reference) -> None:
    agree(reference, programs(DROP, sk_lookup_enabled=0, hostile=1), shown=(), **LISTENER)


def test_programs_are_not_run_where_the_namespace_has_no_array(reference: Reference) -> None:
    netns = (Netns(run_array=0, progs=(DROP,)),)
    agree(reference, programs(netns=netns, hostile=1), shown=(), **LISTENER)


def test_an_empty_array_has_no_say(reference: Reference) -> None:
    agree(reference, programs(hostile=1), shown=(), **LISTENER)


def test_programs_of_another_namespace_are_not_run(reference: Reference) -> None:
    netns = (Netns(), Netns(run_array=1, progs=(DROP,)))
    agree(reference, programs(netns=netns), shown=(), **LISTENER)


def test_a_namespace_runs_its_own_programs(reference: Reference) -> None:
    netns = (Netns(run_array=1, progs=(DROP,)), Netns(run_array=1, progs=(PASS, assign(FIRST))))
    case = programs(netns=netns, packet=Packet(netns=1))
    outcome = agree(reference, case, sk=FIRST, **CHOSEN, ran=(SHOWN_SK_LOOKUP, SHOWN_SK_LOOKUP))
    assert [seen[1:3] for seen in outcome.shown] == [(1, 0), (1, 1)]


def test_programs_are_not_run_for_the_tables_of_somebody_else(reference: Reference) -> None:
    case = programs(DROP, foreign_hashinfo=1, hostile=1)
    agree(reference, case, sk=NONE, shown=(), via=("none",))


@pytest.mark.parametrize("own_hashinfo", [0, 1])
def test_programs_are_run_for_tables_of_the_namespaces_own(reference: Reference, own_hashinfo: int) -> None:
    netns = (Netns(own_hashinfo=own_hashinfo, run_array=1, progs=(assign(FIRST),)),)
    agree(reference, programs(netns=netns), sk=FIRST, **CHOSEN, ran=(SHOWN_SK_LOOKUP,))


@pytest.mark.parametrize(
    ("packet", "dif"),
    [
        (Packet(), 1),
        (Packet(rt_iif=3), 3),
        (Packet(skb_iif=2, sdif=3), 2),
        (
            Packet(saddr=mapped(0x01020304), daddr=mapped(0xC0000201), sport=1, dport=0xFF00, skb_iif=0x7FFFFFFF),
            0x7FFFFFFF,
        ),
    ],
)
def test_a_program_is_shown_the_packet(reference: Reference, packet: Packet, dif: int) -> None:
    case = programs(DROP, packet=packet)
    agree(reference, case, shown=shown(NOTHING_YET, packet=packet, dif=dif), **DROPPED)


# --- what they say together: (programs, what each saw, the answer) ---

CHOICES = {
    "a pass without a choice leaves it to the listeners": ((PASS,), [NOTHING_YET], LISTENER),
    "NULL is no choice": ((assign(NONE),), [NOTHING_YET], LISTENER),
    "a drop is final": ((DROP,), [NOTHING_YET], DROPPED),
    "a choice that is not passed is dropped": ((assign(FIRST, SK_DROP),), [NOTHING_YET], DROPPED),
    "all of them run, in order": ((PASS, PASS, assign(FIRST)), [NOTHING_YET] * 3, {"sk": FIRST, **CHOSEN}),
    "one drop among passes drops": ((PASS, DROP, PASS), [NOTHING_YET] * 3, DROPPED),
    "the last choice counts": ((assign(FIRST), assign(SECOND)), [NOTHING_YET, (FIRST, 0)], {"sk": SECOND, **CHOSEN}),
    "a choice stands when the next passes": ((assign(FIRST), PASS), [NOTHING_YET, (FIRST, 0)], {"sk": FIRST, **CHOSEN}),
    "a choice stands when the next drops": ((assign(FIRST), DROP), [NOTHING_YET, (FIRST, 0)], {"sk": FIRST, **CHOSEN}),
    "a choice wins over an earlier drop": ((DROP, assign(FIRST)), [NOTHING_YET] * 2, {"sk": FIRST, **CHOSEN}),
    "NULL does not take back a choice": (
        (assign(FIRST), assign(NONE), PASS),
        [NOTHING_YET, (FIRST, 0), (FIRST, 0)],
        {"sk": FIRST, **CHOSEN},
    ),
    "a dropped choice does not replace one": (
        (assign(FIRST), assign(SECOND, SK_DROP), PASS),
        [NOTHING_YET, (FIRST, 0), (FIRST, 0)],
        {"sk": FIRST, **CHOSEN},
    ),
    "NULL with a drop drops": ((assign(NONE, SK_DROP), PASS), [NOTHING_YET] * 2, DROPPED),
    "two drops are one": ((DROP, DROP), [NOTHING_YET] * 2, DROPPED),
    "the flag is remembered with its choice": (
        (assign(FIRST, no_reuseport=1), PASS, PASS),
        [NOTHING_YET, (FIRST, 1), (FIRST, 1)],
        {"sk": FIRST, **CHOSEN},
    ),
    "the flag of a dropped choice is not remembered": (
        (assign(FIRST), assign(SECOND, SK_DROP, 1), PASS),
        [NOTHING_YET, (FIRST, 0), (FIRST, 0)],
        {"sk": FIRST, **CHOSEN},
    ),
    "the flag of NULL is not remembered": (
        (assign(FIRST), assign(NONE, SK_PASS, 1), PASS),
        [NOTHING_YET, (FIRST, 0), (FIRST, 0)],
        {"sk": FIRST, **CHOSEN},
    ),
}


@pytest.mark.parametrize(("progs", "seen", "answer"), CHOICES.values(), ids=CHOICES)
def test_all_programs_decide_together(
    reference: Reference, progs: tuple[Program, ...], seen: list[tuple[int, int]], answer: dict[str, Any]
) -> None:
    agree(reference, programs(*progs), shown=shown(*seen), **answer)


@pytest.mark.parametrize("verdict", [BAD, 255])
def test_a_verdict_that_is_neither_drops_nothing_and_chooses_nothing(reference: Reference, verdict: int) -> None:
    agree(reference, programs(Program(verdict), hostile=1), **LISTENER, ran=(SHOWN_SK_LOOKUP,))
    agree(reference, programs(assign(FIRST, verdict), hostile=1), **LISTENER, ran=(SHOWN_SK_LOOKUP,))
    agree(
        reference,
        programs(assign(FIRST), assign(SECOND, verdict), hostile=1),
        sk=FIRST,
        **CHOSEN,
        ran=(SHOWN_SK_LOOKUP, SHOWN_SK_LOOKUP),
    )


def test_a_drop_leaves_nothing_to_listeners(reference: Reference) -> None:
    case = programs(DROP, socks=(listener(rcv_saddr=HERE), listener(bound_dev_if=1)))
    agree(reference, case, **DROPPED, ran=(SHOWN_SK_LOOKUP,))


def test_a_chosen_socket_is_not_compared_with_the_packet(reference: Reference) -> None:
    chosen = Sock(num=7, rcv_saddr=PEER, bound_dev_if=9, state=TCP_ESTABLISHED, refcnt=0, netns=1)
    case = programs(assign(0), socks=(chosen,), netns=(Netns(run_array=1, progs=(assign(0),)), Netns()), hostile=1)
    agree(reference, case, sk=0, refcounted=0, **CHOSEN, ran=(SHOWN_SK_LOOKUP,))


# --- the group of the chosen socket ---


def with_group(*progs: Program, **fields: Any) -> Scenario:
    """Sockets 0, 1 and 2 are a group on port 81 of the wildcard, in slots 1, 2, 0; socket 3 has the packet's port."""
    socks = (*[listener(num=81, reuseport=1, group=0)] * 3, listener())
    group = {"num_socks": 3, "bind_inany": 1, "slots": (1, 2, 0), **fields}
    return programs(*progs, socks=socks, groups=(Group(**group),))


@pytest.mark.parametrize("wanted", range(3))
def test_a_chosen_socket_stands_for_its_group_with_the_packets_own_address(reference: Reference, wanted: int) -> None:
    case = secret_for(with_group(assign(0)), HERE, 3, wanted, unlike=0)
    agree(reference, case, sk=(1, 2, 0)[wanted], via=("sk_lookup", "group by hash"), ran=(SHOWN_SK_LOOKUP,))


def test_no_reuseport_leaves_the_group_out(reference: Reference) -> None:
    case = secret_for(with_group(assign(0, no_reuseport=1)), HERE, 3, 1)
    agree(reference, case, sk=0, **CHOSEN, ran=(SHOWN_SK_LOOKUP,))


def test_no_reuseport_holds_when_a_later_program_passes(reference: Reference) -> None:
    case = secret_for(with_group(assign(0, no_reuseport=1), PASS, assign(NONE)), HERE, 3, 1)
    agree(reference, case, sk=0, **CHOSEN, ran=(SHOWN_SK_LOOKUP, SHOWN_SK_LOOKUP, SHOWN_SK_LOOKUP))


def test_a_later_choice_of_the_same_socket_takes_no_reuseport_back(reference: Reference) -> None:
    case = secret_for(with_group(assign(0, no_reuseport=1), assign(0)), HERE, 3, 1)
    agree(reference, case, sk=2, via=("sk_lookup", "group by hash"), ran=(SHOWN_SK_LOOKUP, SHOWN_SK_LOOKUP))


def test_a_chosen_socket_without_so_reuseport_stands_for_itself(reference: Reference) -> None:
    case = with_group(assign(0))
    socks = (case.socks[0]._replace(reuseport=0), *case.socks[1:])
    agree(reference, secret_for(case._replace(socks=socks), HERE, 3, 1), sk=0, **CHOSEN, ran=(SHOWN_SK_LOOKUP,))


def test_a_chosen_socket_whose_group_has_no_say_stands_for_itself(reference: Reference) -> None:
    case = with_group(assign(0), num_socks=0)._replace(hostile=1)
    agree(reference, case, sk=0, **CHOSEN, ran=(SHOWN_SK_LOOKUP,))


def test_the_drop_of_the_chosen_sockets_group_ends_the_lookup(reference: Reference) -> None:
    case = with_group(assign(0), prog=SK_REUSEPORT, verdict=SK_DROP)
    agree(reference, case, sk=NONE, via=("sk_lookup", "drop"), ran=(SHOWN_SK_LOOKUP, SHOWN_SK_REUSEPORT))


def test_no_reuseport_leaves_out_a_group_that_would_drop(reference: Reference) -> None:
    case = with_group(assign(0, no_reuseport=1), prog=SK_REUSEPORT, verdict=SK_DROP)
    agree(reference, case, sk=0, **CHOSEN, ran=(SHOWN_SK_LOOKUP,))
