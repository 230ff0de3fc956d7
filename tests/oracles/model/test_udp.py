"""UDP's lookups: who scores how much, how a walk of hash2 goes on, and what is asked in which order (net/ipv4/udp.c,
net/ipv6/udp.c).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from skdiff.cases.addresses import mapped
from skdiff.cases.outcome import SHOWN_FILTER, SHOWN_SK_LOOKUP, SHOWN_SK_REUSEPORT
from skdiff.cases.scenario import (
    AF_INET6,
    EFREE,
    FILTER,
    HELPER,
    NONE,
    PFREE,
    SK_DROP,
    SK_REUSEPORT,
    TCP_CLOSE,
    UDP_LOOKUPS,
    UNSET,
    Group,
    Netns,
    Program,
    Scenario,
    Sock,
)
from skdiff.oracles.model import Model
from skdiff.oracles.reference import Reference
from skdiff.variants.version_rules import Rules
from tests.helpers import (
    ELSEWHERE,
    HERE,
    PEER,
    agree,
    bound,
    connected,
    connection,
    datagram,
    listener,
    scenario,
    secret_for,
)
from tests.udp_cases import MANY, MANY6, ON_V6, V6_ENDS, V6_HERE, V6_PEER, udp4, udp6

V6 = {"family": AF_INET6}
# Of udp4: each is worth 4. A peer's half is what only a hostile state has.
DEVICE, CPU, ADDRESS, PORT = {"bound_dev_if": 1}, {"incoming_cpu": 0}, {"daddr": PEER}, {"dport": 40000}
TWO = Netns(), Netns()


def both_ways(reference: Reference, make: Any, better: Sock, worse: Sock) -> None:
    """Whoever was bound last, the better one gets it."""
    agree(reference, make(better, worse, hostile=1), sk=0)
    agree(reference, make(worse, better, hostile=1), sk=1)


# --- scores ---


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({}, V6),
        (CPU, {}),
        (V6 | CPU, V6),
        (DEVICE, CPU),
        (V6 | DEVICE, CPU),
        (ADDRESS, CPU),
        (PORT, CPU),
        (DEVICE, V6 | DEVICE),
        (DEVICE | CPU, DEVICE),
        (ADDRESS | PORT, DEVICE | CPU),
        (V6 | ADDRESS | PORT, DEVICE | CPU),
        (ADDRESS | PORT | DEVICE, ADDRESS | PORT | CPU),
    ],
)
def test_the_score_of_udp4(reference: Reference, better: dict[str, int], worse: dict[str, int]) -> None:
    """2 for AF_INET and 1 for AF_INET6, 4 for a device, for a peer's address and for its port, 1 for this CPU."""
    both_ways(reference, udp4, bound(**better), bound(**worse))


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (DEVICE, {}),
        (CPU, {}),
        (PORT, {}),
        ({"daddr": V6_PEER}, {}),
        (DEVICE | CPU, PORT),
        ({"daddr": V6_PEER, **PORT}, DEVICE),
        ({"daddr": V6_PEER, **PORT, **CPU}, {"daddr": V6_PEER, **PORT}),
    ],
)
def test_the_score_of_udp6(reference: Reference, better: dict[str, int], worse: dict[str, int]) -> None:
    """Each of the four counts 1, and a plain socket 0, with which it is found."""
    both_ways(reference, udp6, bound(**ON_V6, **better), bound(**ON_V6, **worse))
    agree(reference, udp6(bound(**V6)), sk=0, via=("wildcard",))


EQUAL = [
    (udp4, {}, {}),
    (udp4, {}, V6 | CPU),
    (udp4, DEVICE, PORT),
    (udp4, DEVICE, ADDRESS),
    (udp6, V6 | DEVICE, V6 | CPU),
    (udp6, V6 | DEVICE, V6 | PORT),
    (udp6, V6, V6 | {"ipv6only": 1}),
]


@pytest.mark.parametrize(("make", "one", "other"), EQUAL)
def test_of_equals_the_last_bound_gets_it(
    reference: Reference, make: Any, one: dict[str, int], other: dict[str, int]
) -> None:
    agree(reference, make(bound(**one), bound(**other), hostile=1), sk=1)
    agree(reference, make(bound(**other), bound(**one), hostile=1), sk=1)


@pytest.mark.parametrize(
    "misfit",
    [
        {"netns": 1},
        {"num": 81},
        {"rcv_saddr": ELSEWHERE},
        {"bound_dev_if": 2},
        {"daddr": ELSEWHERE},
        {"dport": 40001},
        {"family": AF_INET6, "ipv6only": 1},
        ON_V6,
    ],
)
def test_who_does_not_fit_is_not_found_by_udp4(reference: Reference, misfit: dict[str, int]) -> None:
    agree(reference, udp4(bound(**misfit), netns=TWO, hostile=1), sk=NONE, via=("none",))


@pytest.mark.parametrize(
    "misfit",
    [
        {"netns": 1},
        {"num": 81},
        {"rcv_saddr": V6_HERE + 1},
        {"rcv_saddr": V6_HERE ^ 1 << 127},
        {"bound_dev_if": 2},
        {"daddr": V6_PEER + 1},
        {"daddr": V6_PEER ^ 1 << 127},
        {"dport": 40001},
        {"family": 2, "rcv_saddr": 0},
        {"rcv_saddr": mapped(0x0A000002)},
    ],
)
def test_who_does_not_fit_is_not_found_by_udp6(reference: Reference, misfit: dict[str, int]) -> None:
    agree(reference, udp6(bound(**ON_V6 | misfit), netns=TWO, hostile=1), sk=NONE, via=("none",))


def test_a_peer_counts_connected_or_not(reference: Reference) -> None:
    """The score asks for addresses, the state says whether that is the end of it."""
    peer = ADDRESS | PORT
    case = udp4(bound(**peer, rcv_saddr=HERE, state=TCP_CLOSE), bound(**DEVICE, rcv_saddr=HERE), hostile=1)
    agree(reference, case, sk=0, via=("exact",))
    agree(reference, udp4(connected(), bound(**DEVICE, rcv_saddr=HERE)), sk=0, via=("exact", "connected"))


@pytest.mark.parametrize(("make", "family"), [(udp4, {}), (udp6, V6)])
@pytest.mark.parametrize("tcp", [0, 1])
@pytest.mark.parametrize("accept", [0, 1])
def test_udp_s_own_sysctl_lets_unbound_sockets_have_packets_of_a_vrf(
    reference: Reference, make: Any, family: dict[str, int], tcp: int, accept: int
) -> None:
    netns = (Netns(tcp_l3mdev_accept=tcp, udp_l3mdev_accept=accept),)
    packet = make().packet._replace(skb_iif=2, sdif=3)
    agree(reference, make(bound(**family), packet=packet, netns=netns), sk=0 if accept else NONE)
    for device in (2, 3):
        case = make(bound(**family, bound_dev_if=device), packet=packet, netns=netns)
        agree(reference, case, sk=0)
    agree(reference, make(bound(**family, bound_dev_if=4), packet=packet, netns=netns), sk=NONE)


# --- groups in a walk ---


def group(*socks: Sock, make: Callable[..., Scenario] = udp4, **fields: Any) -> Scenario:
    """Of these sockets the members (group 0) are in a group; the others are there as well. Who was bound later is met
    earlier.
    """
    members = tuple(i for i, sock in enumerate(socks) if sock.group == 0)
    plain: dict[str, Any] = {
        "num_socks": len(members),
        "slots": members,
        "bind_inany": int(not socks[members[0]].rcv_saddr),
    }
    own = {name: fields.pop(name) for name in tuple(fields) if name in Group._fields}
    return make(*socks, groups=(Group(**plain | own),), **fields)


def member(**fields: Any) -> Sock:
    return bound(**{"rcv_saddr": HERE, "reuseport": 1, "group": 0, **fields})


def alone(**fields: Any) -> Sock:
    return bound(**{"rcv_saddr": HERE, **fields})


SELECTS: dict[str, Any] = {"prog": SK_REUSEPORT, "select": 0}
DROPS: dict[str, Any] = {"prog": SK_REUSEPORT, "verdict": SK_DROP}


@pytest.mark.parametrize("wanted", [0, 1, 2])
def test_the_hash_chooses_the_member(reference: Reference, wanted: int) -> None:
    case = secret_for(group(member(), member(), member()), HERE, 3, wanted)
    agree(reference, case, sk=wanted, via=("exact", "group by hash"))


@pytest.mark.parametrize(("make", "place"), [(udp4, {"rcv_saddr": 0}), (udp6, {"rcv_saddr": 0, **V6})])
def test_the_wildcard_s_group_is_asked_with_the_wildcard(
    reference: Reference, make: Any, place: dict[str, int]
) -> None:
    """What was searched for is hashed, not the packet's address."""
    case = group(member(**place), member(**place), make=make)
    for wanted in (0, 1):
        keyed = secret_for(case, 0, 2, wanted, unlike=case.packet.daddr)
        agree(reference, keyed, sk=wanted, via=("wildcard", "group by hash"))


def test_the_hash_passes_over_who_is_connected(reference: Reference) -> None:
    """A member that connected keeps its place in the group (before 6.13), and takes no packets of others."""
    for wanted in (0, 1):
        other = connected(daddr=ELSEWHERE, reuseport=1, group=0)
        case = secret_for(group(other, member(), has_conns=1), HERE, 2, wanted)
        agree(reference, case, sk=1, via=("exact", "group by hash", "has_conns"))


def test_who_is_connected_does_not_ask_its_group(reference: Reference) -> None:
    case = group(connected(reuseport=1, group=0), member(), has_conns=1, prog=SK_REUSEPORT, verdict=SK_DROP)
    # The other member is met first and asks: what it gets, a drop, a better score undoes.
    outcome = agree(reference, case, sk=0, via=("exact", "connected"), ran=(SHOWN_SK_REUSEPORT,))
    assert outcome.shown[0][2] == 1


def test_a_group_s_choice_ends_the_walk(reference: Reference) -> None:
    """A better socket that is met later is not looked at."""
    agree(reference, group(alone(**DEVICE), member()), sk=1, via=("exact", "group by hash"))
    agree(reference, group(member(), alone(**DEVICE)), sk=1, via=("exact",))


def test_a_group_that_has_connections_does_not(reference: Reference) -> None:
    agree(reference, group(alone(**DEVICE), member(), has_conns=1, hostile=1), sk=0, via=("exact",))
    case = group(alone(), member(), has_conns=1, hostile=1)
    agree(reference, case, sk=1, via=("exact", "group by hash", "has_conns"))


def test_a_socket_without_a_group_s_answer_stays(reference: Reference) -> None:
    """SO_REUSEPORT without a group, and a group that has nobody."""
    agree(reference, udp4(alone(reuseport=1), hostile=1), sk=0, via=("exact",))
    agree(reference, udp4(alone(**DEVICE), alone(reuseport=1), hostile=1), sk=0)
    empty = udp4(alone(reuseport=1, group=0), groups=(Group(),), hostile=1)
    agree(reference, empty, sk=0, via=("exact",))


def test_a_drop_ends_the_walk_and_the_search(reference: Reference) -> None:
    ran = (SHOWN_SK_REUSEPORT,)
    case = group(bound(), alone(**DEVICE), member(), **DROPS)
    agree(reference, case, sk=NONE, via=("exact", "drop"), ran=ran)


@pytest.mark.parametrize(("other", "sk"), [(DEVICE, 0), (CPU, 0), ({}, NONE), (V6, NONE)])
def test_a_drop_of_a_group_with_connections_stands_but_against_a_better_one(
    reference: Reference, other: dict[str, int], sk: int
) -> None:
    """It counts as much as who asked."""
    if "family" in other:
        other = other | {"rcv_saddr": HERE}
    case = group(alone(**other), member(), has_conns=1, hostile=1, **DROPS)
    via = ("exact", "drop", "has_conns") if sk == NONE else ("exact",)
    agree(reference, case, sk=sk, via=via, ran=(SHOWN_SK_REUSEPORT,))


@pytest.mark.parametrize(
    ("chosen", "later", "sk"),
    [
        (CPU, {}, 1),  # 3, and 2
        (CPU, CPU, 1),  # 3, and 3
        (CPU, DEVICE, 0),  # 3, and 6
        ({}, CPU, 0),  # 2, and 3
        ({}, {}, 1),  # 2, and 2
    ],
)
def test_what_a_group_with_connections_chose_counts_its_own_score(
    reference: Reference, chosen: dict[str, int], later: dict[str, int], sk: int
) -> None:
    """The plain member asks, with a score of 2; its program chooses another one, whose score then stands."""
    case = group(alone(**later), member(**chosen), member(), has_conns=1, hostile=1, prog=SK_REUSEPORT, select=1)
    via = ("exact", "group by program", "has_conns") if sk else ("exact",)
    agree(reference, case, sk=sk, via=via, ran=(SHOWN_SK_REUSEPORT,))


@pytest.mark.parametrize(
    "misfit", [{"daddr": ELSEWHERE, "dport": 1}, {"bound_dev_if": 2}, {"num": 81}, {"rcv_saddr": ELSEWHERE}]
)
def test_what_a_group_with_connections_chose_stays_even_if_it_does_not_fit(
    reference: Reference, misfit: dict[str, int]
) -> None:
    """It then counts what the one that asked did: this CPU would undo it, an equal does not."""
    for later, sk in (({}, 1), (CPU, 0), (DEVICE, 0)):
        socks = (alone(**later), member(**{**CPU, **misfit}), member())
        case = group(*socks, has_conns=1, hostile=1, prog=SK_REUSEPORT, select=1)
        agree(reference, case, sk=sk, ran=(SHOWN_SK_REUSEPORT,))


def test_the_asked_one_s_score_stays_if_it_is_the_better(reference: Reference) -> None:
    """The member that asked has 3, the chosen one 2: who has 3 as well, and is met later, is not better."""
    case = group(alone(**CPU), member(), member(**CPU), has_conns=1, hostile=1, prog=SK_REUSEPORT, select=1)
    agree(reference, case, sk=1, via=("exact", "group by program", "has_conns"), ran=(SHOWN_SK_REUSEPORT,))


def test_a_filter_sees_what_is_behind_udp_s_header(reference: Reference) -> None:
    case = group(member(), member(), prog=FILTER, returns=1, packet=datagram(len=12))
    shown = ((SHOWN_FILTER, 0, 0, 8, 4, 0, 48, 0),)
    agree(reference, case, sk=1, via=("exact", "group by program"), shown=shown)


# --- what is asked in which order ---


def programs(case: Scenario, *progs: Program) -> Scenario:
    first, *others = case.netns
    return case._replace(netns=(first._replace(run_array=1, progs=progs), *others), sk_lookup_enabled=1)


ASSIGN, DROP, PASS = Program(assign=0), Program(SK_DROP), Program()
TARGET = bound(num=81)
ASKED: dict[str, Any] = {"ran": (SHOWN_SK_LOOKUP,)}
CHOSEN: dict[str, Any] = {"sk": 0, "via": ("sk_lookup",), **ASKED}
DROPPED: dict[str, Any] = {"sk": NONE, "via": ("drop",), **ASKED}


def test_who_is_on_the_address_comes_before_who_is_on_the_wildcard(reference: Reference) -> None:
    both_ways(reference, udp4, alone(), bound(**DEVICE, **CPU))
    both_ways(reference, udp6, bound(**ON_V6), bound(**V6, **DEVICE, **CPU))


def test_programs_are_not_asked_about_a_connected_socket_s_packet(reference: Reference) -> None:
    case = programs(udp4(TARGET, connected()), ASSIGN)
    agree(reference, case, sk=1, shown=(), via=("exact", "connected"))
    case = programs(udp6(bound(**V6, num=81), connected(**V6_ENDS, ipv6only=1)), ASSIGN)
    agree(reference, case, sk=1, shown=(), via=("exact", "connected"))


def test_programs_come_before_who_is_not_connected(reference: Reference) -> None:
    for sock in (alone(), bound(), bound(**DEVICE)):
        agree(reference, programs(udp4(TARGET, sock), ASSIGN), **CHOSEN)
        agree(reference, programs(udp4(TARGET, sock), DROP), **DROPPED)


def test_programs_come_before_who_is_connected_on_the_wildcard(reference: Reference) -> None:
    """TCP_ESTABLISHED counts in the search for the packet's own address alone."""
    case = programs(udp4(TARGET, connected(rcv_saddr=0), hostile=1), ASSIGN)
    agree(reference, case, **CHOSEN)


def test_programs_that_choose_nobody_change_nothing(reference: Reference) -> None:
    agree(reference, programs(udp4(TARGET, alone()), PASS), sk=1, via=("exact",), **ASKED)
    agree(reference, programs(udp4(TARGET, bound()), PASS), sk=1, via=("wildcard",), **ASKED)


@pytest.mark.parametrize(("prog", "expected"), [(ASSIGN, CHOSEN), (DROP, DROPPED)])
def test_programs_replace_a_drop(reference: Reference, prog: Program, expected: dict[str, Any]) -> None:
    case = programs(group(TARGET, member(), **DROPS), prog)
    agree(reference, case, **{**expected, "ran": (SHOWN_SK_REUSEPORT, SHOWN_SK_LOOKUP)})


def test_a_drop_that_programs_leave_ends_the_search(reference: Reference) -> None:
    """Who is on the wildcard does not get it."""
    case = programs(group(bound(), member(), **DROPS), PASS)
    agree(reference, case, sk=NONE, via=("exact", "drop"), ran=(SHOWN_SK_REUSEPORT, SHOWN_SK_LOOKUP))


def test_a_program_s_choice_stands_for_its_group_which_may_have_connections(reference: Reference) -> None:
    """has_conns has no say here; the hash is that of the packet's address."""
    targets = (member(num=81), member(num=81))
    for has_conns in (0, 1):
        for wanted in (0, 1):
            case = programs(group(*targets, alone(**DEVICE), has_conns=has_conns), ASSIGN)
            case = secret_for(case, HERE, 2, wanted)
            agree(reference, case, sk=wanted, via=("sk_lookup", "group by hash"), **ASKED)
        case = programs(group(*targets, has_conns=has_conns), Program(assign=1, no_reuseport=1))
        agree(reference, case, sk=1, via=("sk_lookup",), **ASKED)


def test_a_drop_of_the_group_that_a_program_chose_finds_nobody(reference: Reference) -> None:
    case = programs(group(member(num=81), alone(), **DROPS), ASSIGN)
    agree(reference, case, sk=NONE, via=("sk_lookup", "drop"), ran=(SHOWN_SK_LOOKUP, SHOWN_SK_REUSEPORT))


def test_a_program_is_shown_a_datagram(reference: Reference) -> None:
    case = programs(udp4(TARGET), ASSIGN)
    shown = (SHOWN_SK_LOOKUP, 0, 0, 2, 17, PEER, 40000, HERE, 80, 1, NONE, 0, 0)
    agree(reference, case, sk=0, shown=(shown,))
    case = programs(udp6(bound(**V6, num=81)), ASSIGN)
    shown = (SHOWN_SK_LOOKUP, 0, 0, AF_INET6, 17, V6_PEER, 40000, V6_HERE, 80, 1, NONE, 0, 1)
    agree(reference, case, sk=0, shown=(shown,))


# --- what hangs on the packet, and who is not looked for ---


def attached(*socks: Sock, destructor: int = PFREE, **fields: Any) -> Scenario:
    """A case of udp4 whose packet has the first of these sockets."""
    return udp4(*socks, packet=datagram(sk=0, destructor=destructor), **fields)


TAKEN: dict[str, Any] = {"skb_sk": NONE, "destructor": 0}


def test_an_assigned_socket_gets_it(reference: Reference) -> None:
    agree(reference, attached(bound(num=81), alone()), sk=0, via=("stolen",), **TAKEN)
    agree(reference, attached(connected(num=81), alone()), sk=0, via=("stolen",), **TAKEN)


def test_an_assigned_socket_stands_for_its_group_unless_it_is_connected(reference: Reference) -> None:
    case = secret_for(group(member(), member(), packet=datagram(sk=0, destructor=PFREE)), HERE, 2, 1)
    agree(reference, case, sk=1, via=("stolen", "group by hash", "re-selected"), **TAKEN)
    socks = (connected(reuseport=1, group=0), member())
    case = group(*socks, has_conns=1, packet=datagram(sk=0, destructor=PFREE))
    agree(reference, case, sk=0, via=("stolen",), **TAKEN)


def test_a_drop_of_an_assigned_socket_s_group_finds_nobody(reference: Reference) -> None:
    """No table is searched any more."""
    case = group(member(), alone(**DEVICE), packet=datagram(sk=0, destructor=PFREE), **DROPS)
    agree(reference, case, sk=NONE, ran=(SHOWN_SK_REUSEPORT,), **TAKEN)


def test_a_socket_that_was_not_assigned_comes_with_its_reference(reference: Reference) -> None:
    case = group(member(refcnt=2), member(), packet=datagram(sk=0, destructor=EFREE), hostile=1)
    agree(reference, case, sk=0, refcounted=1, via=("stolen",), **TAKEN)


@pytest.mark.parametrize(("make", "daddr"), [(udp4, MANY), (udp4, mapped(0xFFFFFFFF)), (udp6, MANY6)])
def test_who_gets_a_multicast_datagram_is_not_looked_at(reference: Reference, make: Any, daddr: int) -> None:
    sock = bound(**V6) if make is udp6 else bound()
    case = make(sock, packet=make().packet._replace(daddr=daddr), hostile=1)
    agree(reference, case, sk=NONE, via=("delivery",))
    agree(reference, case._replace(caller=HELPER), sk=0, via=("wildcard",), refcounted=UNSET)


def test_the_tables_of_somebody_else_have_nobody(reference: Reference) -> None:
    """Programs are asked for the namespace's own alone. Newer kernels have no such argument."""
    case = programs(udp4(alone(), hostile=1, foreign_hashinfo=1), ASSIGN)
    agree(reference, case, sk=NONE, shown=(), via=("none",))
    asks = Model(replace(Rules(), udp_sk_lookup_always=True)).run(case)
    assert (asks.sk, asks.via) == (0, ("sk_lookup",))
    own = Model(replace(Rules(), udp_own_tables=True)).run(case._replace(sk_lookup_enabled=0))
    assert (own.sk, own.via) == (0, ("exact",))


# --- a BPF helper's lookup ---


@pytest.mark.parametrize("make", [udp4, scenario])
def test_a_helper_has_no_packet_to_show_to_a_group_s_program(reference: Reference, make: Any) -> None:
    """The hash chooses then. UDP's lookup takes no reference, nor does TCP's of a listener."""
    udp = make().lookup in UDP_LOOKUPS
    member_of = {"rcv_saddr": HERE, "reuseport": 1, "group": 0}
    socks = [bound(**member_of) if udp else listener(**member_of) for _ in range(2)]
    for fields in (SELECTS, DROPS, {"prog": FILTER, "returns": 0}):
        case = group(*socks, make=make, caller=HELPER, **fields)
        case = secret_for(case, HERE, 2, 1)
        found = "exact" if udp else "exact listener"
        agree(reference, case, sk=1, shown=(), refcounted=UNSET if udp else 0, via=(found, "group by hash"))


def test_a_helper_s_lookup_asks_programs_of_sk_lookup(reference: Reference) -> None:
    case = programs(udp4(TARGET, alone(), caller=HELPER), ASSIGN)
    agree(reference, case, refcounted=UNSET, **CHOSEN)
    case = programs(scenario(listener(num=81), listener(), caller=HELPER), ASSIGN)
    agree(reference, case, refcounted=0, **CHOSEN)


def test_a_helper_s_lookup_of_tcp_takes_a_reference_of_a_connection(reference: Reference) -> None:
    case = scenario(connection(), listener(), caller=HELPER)
    agree(reference, case, sk=0, refcounted=1, refcnt={0: 2}, via=("established",))


@pytest.mark.parametrize("make", [udp4, scenario])
def test_a_helper_passes_the_device_by_which_the_packet_came(reference: Reference, make: Any) -> None:
    """Not its route's, which the receive path goes by."""
    udp = make().lookup in UDP_LOOKUPS
    make_sock, refcounted = (bound, UNSET) if udp else (listener, 0)
    for device, received, asked in ((1, NONE, 0), (2, 0, NONE)):
        case = make(make_sock(bound_dev_if=device), packet=make().packet._replace(rt_iif=2), hostile=1)
        agree(reference, case, sk=received, refcounted=0)
        agree(reference, case._replace(caller=HELPER), sk=asked, refcounted=refcounted)


def test_a_helper_never_finds_what_hangs_on_a_packet_nor_the_other_protocol_s(reference: Reference) -> None:
    agree(reference, udp4(listener(), caller=HELPER), sk=NONE, refcounted=UNSET, via=("none",))
    agree(reference, scenario(bound(), caller=HELPER), sk=NONE, refcounted=0, via=("none",))
