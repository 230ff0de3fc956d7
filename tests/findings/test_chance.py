"""Shares of a hash's range: exact, for what the hash can reach, and the same as those of many secrets."""

from random import Random

import pytest

from skdiff.cases import wire
from skdiff.cases.scenario import FILTER, NONE, TCP6, Group
from skdiff.cases.validity import problems
from skdiff.findings.chance import HASHES, chance, chance_text, is_by_hash, pointed
from skdiff.oracles.model import Model
from tests.helpers import HERE, bound, connected, listener, scenario
from tests.udp_cases import grouped, udp4

MODEL = Model()
NAMES = ("a", "b", "c")


def listeners(*fields, **group):
    """A case of TCP whose listeners are in one group; each has these fields besides."""
    socks = [listener(reuseport=1, group=0, **more) for more in fields]
    cpus = sum(sock.incoming_cpu >= 0 for sock in socks)
    plain = {"num_socks": len(socks), "bind_inany": 1, "slots": tuple(range(len(socks))), "incoming_cpu": cpus}
    case = scenario(*socks, groups=(Group(**{**plain, **group}),))
    assert problems(case) == []
    return case


def own_hash(case):
    [found] = {step.values[0] for step in MODEL.trace(case) if step.function == "reciprocal_scale"}
    return found


MEMBER = {"reuseport": 1, "group": 0}


@pytest.mark.parametrize(
    ("case", "shares"),
    [
        (listeners({}, {}), {0: 1 << 31, 1: 1 << 31}),
        # 2**32 is no multiple of 3: the first member has the one hash that is left over
        (listeners({}, {}, {}), {0: 1431655766, 1: 1431655765, 2: 1431655765}),
        # who asked for this CPU has all of it; of two who did, the one in whose part of the circle the hash is
        (listeners({"incoming_cpu": 1}, {"incoming_cpu": 0}, {"incoming_cpu": 2}), {1: HASHES}),
        (listeners({"incoming_cpu": 0}, {"incoming_cpu": 0}, {"incoming_cpu": 2}), {0: 2863311531, 1: 1431655765}),
        (listeners({"incoming_cpu": 5}, {"incoming_cpu": 6}), {0: 1 << 31, 1: 1 << 31}),
        # the filter returns nobody's number
        (listeners({}, {}, prog=FILTER, returns=12), {0: 1 << 31, 1: 1 << 31}),
        # of UDP: a connected member takes no new peer, and its part is the next one's
        (
            grouped(
                bound(**MEMBER, rcv_saddr=HERE),
                connected(**MEMBER, dport=7),
                bound(**MEMBER, rcv_saddr=HERE),
                has_conns=1,
                bind_inany=0,
            ),
            {0: 1431655766, 2: 2863311530},
        ),
    ],
    ids=["half", "thirds", "cpu", "two-of-cpu", "no-such-cpu", "filter", "connected"],
)
def test_shares_are_exact(case, shares):
    assert problems(case) == []
    found = chance(case, MODEL, MODEL)
    assert found is not None
    assert dict(found.shares) == shares
    assert sum(shares.values()) == HASHES
    assert found.parted is None


def test_what_the_hash_cannot_reach_is_not_in_the_shares():
    """The group was asked for one of two; the socket of this very connection scores more, as the search goes on."""
    case = udp4(
        connected(),
        *[bound(**MEMBER, rcv_saddr=HERE)] * 2,
        groups=(Group(num_socks=2, slots=(1, 2), has_conns=1),),
    )
    assert problems(case) == []
    assert is_by_hash(MODEL.trace(case))
    assert dict(chance(case, MODEL, MODEL).shares) == {0: HASHES}


@pytest.mark.parametrize(
    "case",
    [
        scenario(),
        scenario(listener()),
        listeners({}),
        listeners({}, {}, prog=FILTER, returns=1),
        listeners({}, {})._replace(lookup=TCP6),
    ],
    ids=["nobody", "no-group", "alone", "filter", "other-family"],
)
def test_where_no_hash_chose_there_is_no_chance(case):
    assert chance(case, MODEL, MODEL) is None


def drawn_by_hash(count):
    """So many drawn cases in which a hash chose."""
    draw, found = Random(17).randbytes, []
    while len(found) < count:
        case = wire.decode(draw(wire.SIZE))
        if is_by_hash(MODEL.trace(case)):
            found.append(case)
    return found


def test_turned_slots_stand_for_another_hash():
    """The same packet under another secret is given to whom the turned slots give it under the first."""
    for secret, case in enumerate(drawn_by_hash(400), 1000):
        other = case._replace(hash_secret=secret, hash_secret6=secret)
        if is_by_hash(MODEL.trace(other)):
            assert MODEL.run(pointed(case, own_hash(case), own_hash(other))).sk == MODEL.run(other).sk


def test_shares_are_those_of_the_range_for_kernel_and_model(reference):
    for case in drawn_by_hash(200):
        found = chance(case, reference, MODEL)
        assert sum(count for _, count in found.shares) == HASHES
        assert max(MODEL.run(case).sk, NONE) in dict(found.shares)
        assert found.parted is None


def test_many_secrets_give_each_its_share():
    case = listeners({}, {}, {})
    secrets = range(3000)
    got = [MODEL.run(case._replace(hash_secret=secret)).sk for secret in secrets]
    assert all(abs(got.count(sk) / len(secrets) - 1 / 3) < 0.05 for sk in range(3))


def test_a_kernel_that_differs_for_another_hash_alone_is_noticed():
    class FirstIsLost:
        """Does what the model does, but for the group's first member, who gets nothing."""

        name = "patched"

        def run(self, case):
            outcome = MODEL.run(case)
            return outcome._replace(sk=NONE) if outcome.sk == 0 else outcome

    case = listeners({}, {}, {})
    assert MODEL.run(case).sk == 2
    found = chance(case, FirstIsLost(), MODEL)
    assert dict(found.shares)[NONE] == 1431655766
    assert found.parted.fields == ("sk",)


def test_chance_in_words():
    case = listeners({}, {}, {})
    assert chance_text(chance(case, MODEL, MODEL), case, NAMES, "connection") == [
        "the hash of the connection chose. Its secret is random at each boot (this case has 0x0), so after another boot"
        " it may choose another. All hashes are equally likely, and give the packet to",
        "  a   33.3 %",
        "  b   33.3 %",
        "  c   33.3 %",
    ]
    sure = listeners({"incoming_cpu": 0}, {})
    assert chance_text(chance(sure, MODEL, MODEL), sure, NAMES, "connection") == [
        "a hash was asked, but it does not matter here: whatever it is, a gets the packet."
    ]
