"""hash4, which Linux has since 6.13: UDP's connected sockets by both ends (net/ipv4/udp.c udp4_lib_lookup4(),
net/ipv6/udp.c udp6_lib_lookup4()). Each case stands before it as well, where the score decides.
"""

from dataclasses import replace
from typing import Any

import pytest

from skdiff.cases import validity
from skdiff.cases.addresses import MAPPED_ANY
from skdiff.cases.outcome import RETURNED, STUCK
from skdiff.cases.scenario import AF_INET6, HELPER, NONE, SK_DROP, STALE, Netns, Program, Scenario
from skdiff.oracles.model import Model
from skdiff.oracles.reference import Reference
from skdiff.variants.config import Config
from skdiff.variants.version_rules import Rules, changed_by_hand
from tests.helpers import ELSEWHERE, HERE, PEER, agree, bound, connected
from tests.running import made
from tests.udp_cases import V6_ENDS, udp4, udp6

NEW = changed_by_hand(Rules(), "7.1")
MAPPED = {"family": AF_INET6, "rcv_saddr": HERE, "daddr": PEER}
# Of both lookups, and an IPv4 connection of an AF_INET6 socket, which has IPv4's hash.
CONNECTIONS = [(udp4, {}), (udp4, MAPPED), (udp6, V6_ENDS)]
FOUND, WALKED = ("connected",), ("exact", "connected")


@pytest.fixture(scope="module", params=["model", pytest.param("7.3", marks=pytest.mark.long)])
def newest(request: pytest.FixtureRequest) -> Any:
    """Who has hash4: the model with the rules of Linux 7.1, and Linux 7.3 itself."""
    return Model(NEW) if request.param == "model" else Reference(made(request.param))


def finds(oracle: Any, case: Scenario, sk: int, via: tuple[str, ...] = (), sizes: tuple[int, ...] = (1, 2, 64)) -> None:
    assert validity.problems(case) == []
    for size in sizes:
        sized = case._replace(udp_size=size)
        answer, told = oracle.run(sized), Model(NEW).run(sized)
        assert (answer.ended, answer.sk) == (told.ended, told.sk) == (RETURNED, sk)
        assert answer.shown == told.shown
        assert not via or told.via == via


@pytest.mark.parametrize(("make", "ends"), CONNECTIONS)
def test_the_last_connected_wins_whatever_it_asked_for(
    newest: Any, reference: Reference, make: Any, ends: dict[str, int]
) -> None:
    """Before, who is bound to the device does, or has the CPU."""
    plain = connected(**ends)
    for more in ({"bound_dev_if": 1}, {"incoming_cpu": 0}):
        asks = connected(**ends, **more)
        for socks, before in (((asks, plain), 0), ((plain, asks), 1)):
            case = make(*socks, hostile=1)
            finds(newest, case, 1, FOUND)
            agree(reference, case, sk=before, via=WALKED)


@pytest.mark.parametrize(("make", "ends"), CONNECTIONS)
@pytest.mark.parametrize("other", [{"dport": 40001}, {"num": 81}, {"netns": 1}, {"bound_dev_if": 2}])
def test_another_connection_is_not_found(newest: Any, make: Any, ends: dict[str, int], other: dict[str, int]) -> None:
    finds(newest, make(connected(**ends, **other), netns=(Netns(), Netns()), hostile=1), NONE)
    # The one before it is.
    case = make(connected(**ends), connected(**ends, **other), netns=(Netns(), Netns()), hostile=1)
    finds(newest, case, 0, FOUND)


@pytest.mark.parametrize(("make", "ends"), [(udp4, {}), (udp6, V6_ENDS)])
@pytest.mark.parametrize("end", ["rcv_saddr", "daddr"])
def test_another_address_is_another_connection(newest: Any, make: Any, ends: dict[str, int], end: str) -> None:
    sock = connected(**ends)
    for bit in (0, 31) if make is udp4 else (0, 31, 32, 64, 127):
        other = sock._replace(**{end: getattr(sock, end) ^ 1 << bit})
        finds(newest, make(other, hostile=1), NONE, ("none",))


@pytest.mark.parametrize(("make", "ends"), [(udp4, {}), (udp6, V6_ENDS)])
@pytest.mark.parametrize(("tcp", "udp"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_tcp_s_sysctl_lets_a_connection_have_packets_of_a_vrf(
    newest: Any, reference: Reference, make: Any, ends: dict[str, int], tcp: int, udp: int
) -> None:
    """udp4_lib_lookup4() goes by inet_match(). Where that refuses, the walk of hash2 goes by UDP's, as it always did:
    who wanted neither must switch off both.
    """
    netns = (Netns(tcp_l3mdev_accept=tcp, udp_l3mdev_accept=udp),)
    case = make(connected(**ends), packet=make().packet._replace(skb_iif=2, sdif=3), netns=netns, hostile=1)
    finds(newest, case, 0 if tcp or udp else NONE, FOUND if tcp else WALKED if udp else ("none",))
    agree(reference, case, sk=0 if udp else NONE)


@pytest.mark.parametrize(("make", "ends"), CONNECTIONS)
def test_programs_have_no_say(newest: Any, reference: Reference, make: Any, ends: dict[str, int]) -> None:
    netns = (Netns(run_array=1, progs=(Program(SK_DROP),)),)
    for caller in (0, HELPER):
        case = make(connected(**ends), netns=netns, sk_lookup_enabled=1, caller=caller, hostile=1)
        finds(newest, case, 0, FOUND)
        assert Model().run(case).sk == reference.run(case).sk == 0
        assert Model(NEW).run(case).shown == ()


@pytest.mark.parametrize("address", [0, MAPPED_ANY])
def test_who_connected_without_a_local_address_is_not_in_it(newest: Any, address: int) -> None:
    """Such a socket is only met on the wildcard, where the score decides."""
    ends = {"family": AF_INET6, "rcv_saddr": address, "daddr": PEER}
    socks = (connected(**ends, bound_dev_if=1), connected(**ends))
    finds(newest, udp4(*socks, hostile=1), 0, ("wildcard", "connected"))


def test_who_is_in_the_middle_of_connect_is_not_in_it_yet(newest: Any) -> None:
    stale = bound(rcv_saddr=HERE, daddr=PEER, dport=40000, hash2=STALE)
    finds(newest, udp4(stale), 0, ("fallback",), sizes=(64,))
    late = connected(**MAPPED, hash2=STALE)
    finds(newest, udp4(late), 0, ("fallback",), sizes=(64,))
    finds(newest, udp4(late), 0, WALKED, sizes=(1,))


def test_who_has_a_peer_and_is_not_connected_is_not_in_it(newest: Any) -> None:
    finds(newest, udp4(bound(rcv_saddr=HERE, daddr=PEER, dport=40000), hostile=1), 0, ("exact",))


def test_an_end_mark_that_is_not_its_own_is_walked_to_for_ever(newest: Any, reference: Reference) -> None:
    """Somebody is in the slot, and the packet is not its own."""
    other = connected(dport=40001)
    case = udp4(other, bound(), ehash_nulls_xor=1, hostile=1)
    assert validity.problems(case) == []
    assert newest.run(case).ended == STUCK
    agree(reference, case, sk=1, via=("wildcard",))
    # Who is found is found before the end; and where nobody of the slot connected nobody walks.
    finds(newest, udp4(connected(), ehash_nulls_xor=1, hostile=1), 0, FOUND)
    finds(newest, udp4(bound(), ehash_nulls_xor=1, hostile=1), 0, ("wildcard",))


def test_it_is_only_walked_if_somebody_in_it_has_the_slot_of_the_packet_s_address(newest: Any) -> None:
    """Of whichever port and namespace, in the same tables. A wrong end mark tells."""
    two, own = (Netns(), Netns()), (Netns(), Netns(own_hashinfo=1))
    elsewhere = udp4(connected(rcv_saddr=ELSEWHERE), ehash_nulls_xor=1, netns=two, hostile=1)
    finds(newest, elsewhere, NONE, ("none",), sizes=(64,))
    assert newest.run(elsewhere).ended == STUCK
    for sock in (connected(num=81), connected(netns=1)):
        assert newest.run(elsewhere._replace(socks=(sock,))).ended == STUCK
    finds(newest, elsewhere._replace(socks=(connected(netns=1),), netns=own), NONE, ("none",))
    # Who has no local address is not in it, and not counted.
    finds(newest, elsewhere._replace(socks=(connected(rcv_saddr=0, dport=40001),)), NONE, ("none",))


def test_a_kernel_that_is_built_small_has_none() -> None:
    case = udp4(connected(bound_dev_if=1), connected(), hostile=1)
    small = Model(NEW, replace(Config(), base_small=True))
    assert (small.run(case).sk, small.run(case).via) == (0, WALKED)
    assert Model(NEW).run(case).sk == 1


def test_a_rule_alone_makes_the_difference() -> None:
    case = udp4(connected(bound_dev_if=1), connected(), hostile=1)
    assert Model(replace(Rules(), hash4=True)).run(case).via == FOUND
    assert Model(replace(NEW, hash4=False)).run(case).via == WALKED
