"""SO_REUSEPORT groups: the member that a program or the connection's hash chooses."""

from typing import Any

import pytest

from skdiff.cases.outcome import SHOWN_FILTER, SHOWN_SK_REUSEPORT
from skdiff.cases.scenario import (
    FILTER,
    NONE,
    PFREE,
    SK_DROP,
    SK_PASS,
    SK_REUSEPORT,
    TCP_CLOSE,
    TCP_ESTABLISHED,
    TCP_SYN_SENT,
    Group,
    Packet,
    Scenario,
    Sock,
)
from skdiff.oracles.reference import Reference
from tests.helpers import HERE, agree, hash_of, listener, scenario, secret_for, udp

BY_HASH = ("wildcard listener", "group by hash")
BY_PROGRAM = ("wildcard listener", "group by program")
ALONE = ("wildcard listener",)


def grouped(*slots: int, packet: Packet | None = None, members: int = 3, **fields: Any) -> Scenario:
    """`members` listeners on the wildcard in one group with these slots, of which as many are live; then two strangers.

    `cpus` are the members', the rest the group's fields, but for `hostile`."""
    cpus = fields.pop("cpus", [NONE] * members)
    hostile = fields.pop("hostile", 0)
    socks = [listener(reuseport=1, group=0, incoming_cpu=cpu) for cpu in cpus]
    plain = {"num_socks": members, "bind_inany": 1, "incoming_cpu": sum(cpu >= 0 for cpu in cpus), "slots": slots}
    group = Group(**{**plain, **fields})
    return scenario(*socks, Sock(num=81), Sock(num=81), packet=packet, groups=(group,), hostile=hostile)


def filtered(index: int, packet: Packet | None = None, **fields: Any) -> Scenario:
    """A group of 2, 0, 1 with a filter; its hash points to slot 0, socket 2."""
    case = grouped(2, 0, 1, packet=packet, prog=FILTER, returns=index, **fields)
    return secret_for(case, 0, 3, 0)


def shown(packet: Packet, data_len: int, clone: int = 0, cb_bytes_kept: int = 48) -> tuple[tuple[int, ...], ...]:
    return ((SHOWN_FILTER, 0, clone, packet.doff, packet.len - packet.doff, data_len, cb_bytes_kept, 0),)


# --- by hash ---


@pytest.mark.parametrize("wanted", range(3))
def test_the_hash_points_to_one_of_the_live_members(reference: Reference, wanted: int) -> None:
    case = secret_for(grouped(2, 0, 1), 0, 3, wanted)
    agree(reference, case, sk=(2, 0, 1)[wanted], shown=(), via=BY_HASH)


@pytest.mark.parametrize("wanted", range(3))
def test_a_group_on_an_address_is_asked_for_that_address(reference: Reference, wanted: int) -> None:
    socks = [listener(rcv_saddr=HERE, reuseport=1, group=0)] * 3
    plain = scenario(*socks, groups=(Group(num_socks=3, slots=(0, 2, 1)),))
    case = secret_for(plain, HERE, 3, wanted, unlike=0)
    agree(reference, case, sk=(0, 2, 1)[wanted], via=("exact listener", "group by hash"))


@pytest.mark.parametrize("wanted", range(3))
def test_a_group_on_the_wildcard_is_asked_for_the_wildcard(reference: Reference, wanted: int) -> None:
    case = secret_for(grouped(0, 2, 1), 0, 3, wanted, unlike=HERE)
    agree(reference, case, sk=(0, 2, 1)[wanted])


@pytest.mark.parametrize("secret", range(20))
def test_stale_and_closed_slots_are_not_chosen(reference: Reference, secret: int) -> None:
    case = grouped(0, 1, 2, 2, 2, 2, 2, 2, members=1, num_closed_socks=1, hostile=1)
    agree(reference, case._replace(hash_secret=secret), sk=0, via=BY_HASH)


def test_the_chosen_member_need_not_fit_the_packet(reference: Reference) -> None:
    """SO_BINDTODEVICE after bind(): the device is not looked at in the group."""
    case = grouped(0, 1, members=2)
    socks = (case.socks[0]._replace(bound_dev_if=9), *case.socks[1:])
    agree(reference, secret_for(case._replace(socks=socks), 0, 2, 0), sk=0, via=BY_HASH)


# --- who has no say ---


def test_without_so_reuseport_the_group_is_not_asked(reference: Reference) -> None:
    groups = (Group(num_socks=1, bind_inany=1, prog=SK_REUSEPORT, verdict=SK_DROP, slots=(0,)),)
    agree(reference, scenario(listener(group=0), groups=groups), sk=0, shown=(), via=ALONE)


def test_so_reuseport_without_a_group_means_nothing(reference: Reference) -> None:
    agree(reference, scenario(*[listener(reuseport=1, reuseport_changed=1)] * 2), sk=1, shown=(), via=ALONE)


@pytest.mark.parametrize("prog", [FILTER, SK_REUSEPORT])
def test_a_group_without_live_members_has_no_say(reference: Reference, prog: int) -> None:
    case = grouped(1, num_socks=0, num_closed_socks=1, prog=prog, verdict=SK_DROP, members=1, hostile=1)
    agree(reference, case, sk=0, shown=(), via=ALONE)


# --- connected members and CPUs ---


def udp_group(*states: int, packet: Packet | None = None) -> Scenario:
    """An assigned UDP socket, number 0, whose group has more members in these states."""
    socks = [udp(reuseport=1, group=0, state=state) for state in (TCP_CLOSE, *states)]
    slots = tuple(range(len(socks)))
    groups = (Group(num_socks=len(socks), bind_inany=1, slots=(*slots[1:], 0)),)
    return scenario(*socks, packet=Packet(sk=0, destructor=PFREE), groups=groups)


@pytest.mark.parametrize(("wanted", "sk"), [(0, 2), (1, 2), (2, 0), (3, 0)])
def test_connected_members_are_passed_by_in_a_circle(reference: Reference, wanted: int, sk: int) -> None:
    case = secret_for(udp_group(TCP_ESTABLISHED, TCP_CLOSE, TCP_ESTABLISHED), HERE, 4, wanted)
    agree(reference, case, sk=sk, skb_sk=NONE, destructor=0)


def test_the_circle_begins_anew_behind_the_last_live_member(reference: Reference) -> None:
    case = udp_group(TCP_CLOSE, TCP_ESTABLISHED)
    live = case.groups[0]._replace(num_socks=2, slots=(1, 2, 0))
    case = secret_for(case._replace(groups=(live,), hostile=1), HERE, 2, 1)
    agree(reference, case, sk=1, skb_sk=NONE, destructor=0)


def test_a_group_of_connected_members_has_no_say(reference: Reference) -> None:
    connected = udp_group(TCP_ESTABLISHED, TCP_ESTABLISHED)
    live = connected.groups[0]._replace(num_socks=2)
    case = connected._replace(groups=(live,), hostile=1)
    agree(reference, case, sk=0, skb_sk=NONE, destructor=0, via=("stolen",))


@pytest.mark.parametrize("state", [TCP_CLOSE, TCP_SYN_SENT])
def test_only_established_members_are_connected(reference: Reference, state: int) -> None:
    case = secret_for(udp_group(state)._replace(hostile=1), HERE, 2, 0)
    agree(reference, case, sk=1, skb_sk=NONE, destructor=0)


CPUS = [
    # asked-for CPUs of sockets 0, 1, 2 in slots 0, 1, 2; this CPU; where the hash points to; who is chosen
    ((0, 1, 2), 1, 0, 1),
    ((0, 1, 2), 1, 2, 1),
    ((1, 0, 1), 1, 1, 2),
    ((1, 0, 1), 1, 0, 0),
    ((NONE, NONE, 2), 2, 0, 2),
    ((0, 1, 2), 3, 1, 1),
    ((0, NONE, NONE), 3, 2, 2),
    ((NONE, NONE, NONE), 3, 1, 1),
]


@pytest.mark.parametrize(("cpus", "cpu", "wanted", "sk"), CPUS)
def test_the_first_member_that_asked_for_this_cpu_is_chosen_else_the_first(
    reference: Reference, cpus: tuple[int, ...], cpu: int, wanted: int, sk: int
) -> None:
    case = secret_for(grouped(0, 1, 2, cpus=cpus)._replace(cpu=cpu), 0, 3, wanted)
    agree(reference, case, sk=sk, via=BY_HASH)


def test_cpus_are_not_looked_at_where_the_group_counts_none(reference: Reference) -> None:
    case = grouped(0, 1, 2, cpus=(0, 1, 2), incoming_cpu=0, hostile=1)._replace(cpu=1)
    agree(reference, secret_for(case, 0, 3, 0), sk=0)


def test_a_connected_member_is_passed_by_though_it_asked_for_this_cpu(reference: Reference) -> None:
    case = udp_group(TCP_ESTABLISHED, TCP_CLOSE)
    socks = (case.socks[0], case.socks[1]._replace(incoming_cpu=5), case.socks[2])
    groups = (case.groups[0]._replace(incoming_cpu=1),)
    case = secret_for(case._replace(socks=socks, groups=groups, cpu=5), HERE, 3, 0)
    agree(reference, case, sk=2, skb_sk=NONE, destructor=0)


# --- programs of type SK_REUSEPORT ---


def program(verdict: int, select: int, packet: Packet | None = None, **fields: Any) -> Scenario:
    """A group of 2, 0, 1 with a program; its hash points to slot 0, socket 2."""
    case = grouped(2, 0, 1, packet=packet, prog=SK_REUSEPORT, verdict=verdict, select=select, **fields)
    return secret_for(case, 0, 3, 0)


@pytest.mark.parametrize("select", range(3))
def test_a_program_selects_a_member(reference: Reference, select: int) -> None:
    agree(reference, program(SK_PASS, select), sk=select, via=BY_PROGRAM, ran=(SHOWN_SK_REUSEPORT,))


def test_a_program_that_selects_nobody_leaves_it_to_the_hash(reference: Reference) -> None:
    agree(reference, program(SK_PASS, NONE), sk=2, via=BY_HASH, ran=(SHOWN_SK_REUSEPORT,))


@pytest.mark.parametrize("select", [NONE, 0])
@pytest.mark.parametrize(("verdict", "hostile"), [(SK_DROP, 0), (2, 1), (255, 1)])
def test_any_other_verdict_drops_whatever_was_selected(
    reference: Reference, verdict: int, hostile: int, select: int
) -> None:
    case = program(verdict, select, hostile=hostile)
    agree(reference, case, sk=-1, via=("wildcard listener", "drop"), ran=(SHOWN_SK_REUSEPORT,))


def test_a_selected_socket_is_not_looked_at(reference: Reference) -> None:
    case = program(SK_PASS, 3, hostile=1)
    agree(
        reference,
        case._replace(socks=(*case.socks[:3], Sock(state=TCP_ESTABLISHED, refcnt=0))),
        sk=3,
        ran=(SHOWN_SK_REUSEPORT,),
    )


@pytest.mark.parametrize(
    ("packet", "headlen"), [(Packet(), 20), (Packet(len=1460, data_len=1440), 20), (Packet(len=60), 60)]
)
def test_a_program_is_shown_its_group_and_the_socket_that_was_found(
    reference: Reference, packet: Packet, headlen: int
) -> None:
    case = program(SK_PASS, 1, packet)
    seen = (SHOWN_SK_REUSEPORT, 0, 2, hash_of(case, 0), 1, 1, NONE, NONE, 1, headlen)
    agree(reference, case, sk=1, shown=(seen,))


def test_a_program_is_shown_the_groups_own_numbers(reference: Reference) -> None:
    groups = (Group(), Group(reuseport_id=0xFFFFFFFF, num_socks=1, bind_inany=0, prog=SK_REUSEPORT, slots=(0,)))
    case = scenario(listener(reuseport=1, group=1), groups=groups, hostile=1)
    seen = (SHOWN_SK_REUSEPORT, 1, 0, hash_of(case, 0), 0xFFFFFFFF, 0, NONE, NONE, 1, 20)
    agree(reference, case, sk=0, shown=(seen,))


# --- filters ---


@pytest.mark.parametrize("index", range(3))
def test_a_filter_returns_the_index_of_a_live_member(reference: Reference, index: int) -> None:
    agree(reference, filtered(index), sk=(2, 0, 1)[index], shown=shown(Packet(), 0), via=BY_PROGRAM)


@pytest.mark.parametrize("index", [3, 4, 8, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_an_index_out_of_range_leaves_it_to_the_hash(reference: Reference, index: int) -> None:
    agree(reference, filtered(index), sk=2, shown=shown(Packet(), 0), via=BY_HASH)


@pytest.mark.parametrize("index", [1, 2])
def test_the_index_of_a_stale_slot_leaves_it_to_the_hash(reference: Reference, index: int) -> None:
    case = grouped(0, 1, 1, members=1, prog=FILTER, returns=index)
    agree(reference, case, sk=0, via=BY_HASH, ran=(SHOWN_FILTER,))


def test_a_filter_has_no_verdict_and_selects_by_index_alone(reference: Reference) -> None:
    agree(reference, filtered(1, verdict=SK_DROP, select=1), sk=0, via=BY_PROGRAM, ran=(SHOWN_FILTER,))


def test_a_filter_may_return_a_connected_member(reference: Reference) -> None:
    case = udp_group(TCP_ESTABLISHED)
    groups = (case.groups[0]._replace(prog=FILTER, returns=0),)
    agree(reference, case._replace(groups=groups), sk=1, skb_sk=NONE, destructor=0, ran=(SHOWN_FILTER,))


@pytest.mark.parametrize("packet", [Packet(), Packet(doff=60, len=1460), Packet(doff=24, len=60, data_len=30)])
def test_a_filter_sees_the_payload(reference: Reference, packet: Packet) -> None:
    agree(reference, filtered(1, packet), sk=0, shown=shown(packet, packet.data_len))


@pytest.mark.parametrize(("cb_access", "cb_bytes_kept"), [(0, 48), (1, 28)])
def test_a_filter_that_uses_skb_cb_sees_zeros_and_leaves_no_trace(
    reference: Reference, cb_access: int, cb_bytes_kept: int
) -> None:
    case = filtered(1, cb_access=cb_access)
    agree(reference, case, sk=0, skb_cb=0, shown=shown(Packet(), 0, cb_bytes_kept=cb_bytes_kept))


@pytest.mark.parametrize("doff", [21, 60])
def test_a_filter_is_not_run_on_a_packet_shorter_than_its_header(reference: Reference, doff: int) -> None:
    agree(reference, filtered(1, Packet(doff=doff, len=20), hostile=1), sk=2, shown=(), via=BY_HASH)


@pytest.mark.parametrize("doff", [0, 8])
def test_a_short_header_is_pulled_all_the_same(reference: Reference, doff: int) -> None:
    packet = Packet(doff=doff, len=8)
    agree(reference, filtered(1, packet, hostile=1), sk=0, shown=shown(packet, 0))


@pytest.mark.parametrize(
    ("length", "data_len", "left"), [(60, 40, 40), (60, 41, 40), (60, 50, 40), (60, 60, 40), (20, 1, 0), (20, 20, 0)]
)
def test_a_header_in_the_pages_is_pulled_for_good(reference: Reference, length: int, data_len: int, left: int) -> None:
    packet = Packet(len=length, data_len=data_len)
    case = filtered(1, packet, hostile=1)
    agree(reference, case, sk=0, skb_data_len=left, shown=shown(packet, left))


def test_a_program_behind_a_filter_sees_what_was_pulled(reference: Reference) -> None:
    """The first group's only member is connected, so that it has no say: a better listener of another is asked."""
    first = Group(num_socks=1, prog=FILTER, returns=0xFFFFFFFF, slots=(2,))
    second = Group(num_socks=1, prog=SK_REUSEPORT, select=0, slots=(0,))
    packet = Packet(len=60, data_len=50)
    socks = (
        listener(reuseport=1, group=1, bound_dev_if=1),
        listener(reuseport=1, group=0),
        Sock(state=TCP_ESTABLISHED),
    )
    case = scenario(*socks, packet=packet, groups=(first, second), hostile=1)
    seen = (SHOWN_SK_REUSEPORT, 1, 0, hash_of(case, 0), 1, 0, NONE, NONE, 1, 20)
    agree(reference, case, sk=0, skb_data_len=40, shown=(*shown(packet, 40), seen))


def test_without_memory_to_pull_the_filter_is_not_run(reference: Reference) -> None:
    case = filtered(1, Packet(len=60, data_len=50, pull_fails=1), hostile=1)
    agree(reference, case, sk=2, shown=(), via=BY_HASH)


def test_memory_to_pull_is_only_needed_for_what_is_in_the_pages(reference: Reference) -> None:
    packet = Packet(len=60, data_len=40, pull_fails=1)
    agree(reference, filtered(1, packet, hostile=1), sk=0, shown=shown(packet, 40), via=BY_PROGRAM)


@pytest.mark.parametrize("cb_access", [0, 1])
def test_a_filter_is_run_on_a_clone_of_a_shared_packet(reference: Reference, cb_access: int) -> None:
    packet = Packet(len=60, data_len=50, users=2)
    case = filtered(1, packet, hostile=1, cb_access=cb_access)
    seen = shown(packet, 40, clone=1, cb_bytes_kept=48 - 20 * cb_access)
    agree(reference, case, sk=0, skb_data_len=50, clones=0, skb_users=2, skb_cb=0, shown=seen)


def test_without_memory_for_a_clone_the_filter_is_not_run(reference: Reference) -> None:
    case = filtered(1, Packet(users=2, clone_fails=1), hostile=1)
    agree(reference, case, sk=2, shown=(), via=BY_HASH)


def test_a_packet_that_is_not_shared_is_not_cloned(reference: Reference) -> None:
    case = filtered(1, Packet(clone_fails=1), hostile=1)
    agree(reference, case, sk=0, shown=shown(Packet(), 0), via=BY_PROGRAM)


@pytest.mark.parametrize("packet", [Packet(doff=21), Packet(len=60, data_len=50, pull_fails=1)])
def test_a_clone_that_cannot_be_pulled_is_freed(reference: Reference, packet: Packet) -> None:
    case = filtered(1, packet._replace(users=3), hostile=1)
    agree(reference, case, sk=2, clones=0, shown=(), via=BY_HASH)


@pytest.mark.parametrize("users", [1, 2])
def test_an_sk_reuseport_program_needs_no_clone_and_no_pull(reference: Reference, users: int) -> None:
    packet = Packet(doff=60, len=60, data_len=50, users=users, clone_fails=1, pull_fails=1)
    agree(reference, program(SK_PASS, 1, packet, hostile=1), sk=1, via=BY_PROGRAM, ran=(SHOWN_SK_REUSEPORT,))
