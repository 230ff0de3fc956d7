"""The sentences of a story of TCP: who is told of, and why, where more than one thing had a say."""

import pytest

from skdiff.cases.case_file import Case
from skdiff.cases.scenario import (
    AT_NODE,
    AT_TAKEN,
    EDEMUX,
    FILTER,
    LEAVES,
    SK_DROP,
    SK_REUSEPORT,
    UDP4,
    Event,
    Group,
    Netns,
    Packet,
    Program,
)
from skdiff.cases.steps import Step
from skdiff.cases.validity import problems
from skdiff.findings.story import story
from skdiff.oracles.model import Model
from tests.helpers import HERE, bound, connected, connection, datagram, listener, scenario
from tests.udp_cases import grouped

MODEL = Model()
NAMES = ("t0", "t1", "t2", "t3")
MEMBER = {"reuseport": 1, "group": 0}
VRF = Packet(skb_iif=5, sdif=9)


def in_group(*cpus, cpu=0, **fields):
    """A group of listeners that asked for these CPUs."""
    socks = [listener(**MEMBER, incoming_cpu=asked) for asked in cpus]
    asked = sum(one >= 0 for one in cpus)
    plain = {"num_socks": len(cpus), "bind_inany": 1, "slots": tuple(range(len(cpus))), "incoming_cpu": asked}
    return scenario(*socks, cpu=cpu, groups=(Group(**{**plain, **fields}),))


def with_programs(*programs):
    return {"netns": (Netns(run_array=1, progs=programs),), "sk_lookup_enabled": 1}


def told(case, steps=None):
    assert problems(case) == []
    return story(Case(case, socks=NAMES[: len(case.socks)]), MODEL.trace(case) if steps is None else steps)


BY_HASH = "reuseport_select_sock_by_hash(): "


@pytest.mark.parametrize(
    ("case", "line"),
    [
        (in_group(-1, -1), f"{BY_HASH}t1 is chosen by the hash."),
        (
            in_group(0, 1, 2, 3, cpu=1),
            f"{BY_HASH}the hash points to t3, but t1 asked for CPU 1 (SO_INCOMING_CPU), on which the lookup runs: t1 is"
            " chosen.",
        ),
        (
            in_group(0, 1, 2, 3, cpu=3),
            f"{BY_HASH}the hash points to t3, and t3 asked for CPU 3 (SO_INCOMING_CPU): t3 is chosen.",
        ),
        (
            in_group(0, 1, -1, 3, cpu=6),
            f"{BY_HASH}nobody who could be chosen asked for CPU 6 (t0 for 0, t1 for 1, t3 for 3), so t3 stays: the hash"
            " points to t3.",
        ),
        (
            grouped(connected(**MEMBER, dport=7), bound(**MEMBER, rcv_saddr=HERE), has_conns=1, bind_inany=0),
            f"{BY_HASH}t0, to which the hash points, is connected, and t1 is the next, which is chosen.",
        ),
        (
            in_group(-1, -1, -1, -1, prog=FILTER, returns=12),
            "run_bpf_filter(): the group's filter returns 12, but the group has members 0 to 3: it decides nothing, and"
            " the hash chooses.",
        ),
        (
            in_group(-1, prog=FILTER, returns=1),
            "run_bpf_filter(): the group's filter returns 1, but the group has member 0 alone: it decides nothing, and"
            " the hash chooses.",
        ),
        (
            in_group(-1, -1, prog=FILTER, returns=0),
            "run_bpf_filter(): the group's filter returns 0 and chooses t0.",
        ),
        (
            in_group(-1, -1, prog=FILTER)._replace(hostile=1, packet=Packet(users=2, clone_fails=1)),
            "run_bpf_filter(): the group's filter is not run, for want of memory or of a whole header: it decides"
            " nothing, and the hash chooses.",
        ),
        (
            in_group(-1, -1, prog=SK_REUSEPORT),
            "bpf_run_sk_reuseport(): the group's program selects nobody, and the hash chooses.",
        ),
        (
            scenario(listener(), packet=VRF),
            "inet_iif(): the packet's device is the L3 master 5, it came in by its slave 9.",
        ),
        (
            scenario(listener(), packet=VRF),
            "inet_bound_dev_eq(): t0 is bound to no device, and does not see packets of an L3 domain while"
            " net.ipv4.tcp_l3mdev_accept is off.",
        ),
        (
            scenario(bound(), packet=datagram(skb_iif=5, sdif=9), lookup=UDP4),
            "inet_bound_dev_eq(): t0 is bound to no device, and does not see packets of an L3 domain while"
            " net.ipv4.udp_l3mdev_accept is off.",
        ),
        (
            scenario(listener(), listener(bound_dev_if=7), packet=VRF),
            "inet_bound_dev_eq(): t1 is bound to device 7, and does not see device 5 or 9.",
        ),
        (
            scenario(connection(), connection(refcnt=0), hostile=1),
            "refcount_inc_not_zero(): t1 is dying (no reference left): the established search is over.",
        ),
        (
            scenario(connection(refcnt=2), events=(Event(point=AT_NODE, at=0, action=LEAVES, sk=0),)),
            "refcount_inc_not_zero(): a reference is taken, 2 now.",
        ),
        (
            scenario(connection(refcnt=2), events=(Event(point=AT_TAKEN, at=0, action=LEAVES, sk=0),)),
            "refcount_inc_not_zero(): the reference was taken just before that; the count is 2 now.",
        ),
        (
            scenario(listener(), **with_programs(Program(assign=0))),
            "bpf_sk_lookup_run_v4(): the sk_lookup program chooses t0.",
        ),
        (
            scenario(listener(), **with_programs(Program(assign=0, no_reuseport=1), Program())),
            "bpf_sk_lookup_run_v4(): 2 sk_lookup programs together choose t0, and leave its group out.",
        ),
        (
            scenario(**with_programs(Program(SK_DROP))),
            "bpf_sk_lookup_run_v4(): the sk_lookup program drops the packet.",
        ),
        (
            grouped(bound(**MEMBER), bound(**MEMBER)),
            "reciprocal_scale(): the hash 0xd56592c8 of the datagram points to member 1 of 2.",
        ),
        (
            scenario(connection(refcnt=2), packet=Packet(sk=0, destructor=EDEMUX)),
            "skb_steal_sock(): t0 hangs on the sk_buff (it was put there before, with a reference); the caller"
            " takes it, with a reference.",
        ),
    ],
)
def test_a_sentence_of_a_story(case, line):
    assert line in told(case)


def test_what_a_kernel_does_against_the_rules_is_told_without_their_reasons():
    case = in_group(0, 1)
    asked = Step("reuseport_select_sock", (0, 5, 1))
    [line] = told(case, [Step("reuseport_select_sock_by_hash", (1,)), asked])
    assert line == f"{BY_HASH}t1 is chosen by the hash."
    [line] = told(scenario(listener()), [Step("compute_score", (0, 5))])
    assert line == "compute_score(): t0 scores 5 (by the rules 2: 1 for the match, 1 for AF_INET)."


@pytest.mark.parametrize(
    ("behind", "final"),
    [
        ([], True),
        ([Step("inet_lhash2_lookup", (0, 1))], True),
        ([Step("inet_lhash2_lookup", (0, 0))], False),
        ([Step("inet_steal_sock", (1,))], True),
        ([Step("compute_score", (0, 2))], False),
        ([Step("reciprocal_scale", (1, 2, 0))], False),
        ([Step("inet_bound_dev_eq", (0, 1))], False),
    ],
)
def test_a_group_has_the_last_word_only_if_the_walk_returns_what_it_said(behind, final):
    line, *_ = told(in_group(-1, -1), [Step("inet_lookup_reuseport", (0, 1)), *behind])
    assert line == "inet_lookup_reuseport(): the group of t0 answers t1" + (": that is final." if final else ".")
