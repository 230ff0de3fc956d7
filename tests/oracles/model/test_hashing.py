"""The hash of a connection: against lookup3's published check values, and as the kernel's programs are shown it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skdiff.cases.addresses import from_text, low_word, mapped, other_family
from skdiff.cases.outcome import SHOWN_SK_REUSEPORT
from skdiff.cases.scenario import AF_INET6, NONE, SK_DROP, SK_REUSEPORT, TCP6, Group, Netns, Packet, Scenario
from skdiff.oracles.model import Model, hashing
from skdiff.oracles.reference import Reference
from skdiff.variants.version_rules import EPOCHS, Rules
from tests.helpers import HERE, PEER, agree, hash_of, hashlittle, listener, scenario, whole_hash_of
from tests.running import made

WORD = st.integers(0, 0xFFFFFFFF)
PORT = st.integers(0, 65535)


@pytest.mark.parametrize(
    ("data", "seed", "value"),
    [
        (b"", 0, 0xDEADBEEF),
        (b"", 0xDEADBEEF, 0xBD5B7DDE),
        (b"Four score and seven years ago", 0, 0x17770551),
        (b"Four score and seven years ago", 1, 0xCD628161),
    ],
)
def test_the_judge_gives_the_published_check_values(data: bytes, seed: int, value: int) -> None:
    assert hashlittle(data, seed) == value


@given(WORD, WORD, WORD, st.integers(0, (1 << 33) - 1))
def test_three_words_hash_as_their_twelve_bytes(a: int, b: int, c: int, seed: int) -> None:
    data = b"".join(word.to_bytes(4, "little") for word in (a, b, c))
    assert hashing.jhash_3words(a, b, c, seed) == hashlittle(data, seed & 0xFFFFFFFF)


@pytest.mark.parametrize(
    ("words", "seed", "value"),
    [((0, 0, 0), 0, 0x1B68E557), ((1, 2, 3), 4, 0x8103143F), ((0x72756F46, 0x6F637320, 0x61206572), 0, 0xCCDA323B)],
)
def test_known_values(words: tuple[int, int, int], seed: int, value: int) -> None:
    assert hashing.jhash_3words(*words, seed) == value


@pytest.mark.parametrize("value", [0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
@pytest.mark.parametrize("buckets", [1, 2, 3, 8, 65535])
def test_reciprocal_scale_cuts_the_range_into_equal_parts(value: int, buckets: int) -> None:
    assert hashing.reciprocal_scale(value, buckets) == int(value / 2**32 * buckets)


@pytest.mark.parametrize("buckets", [1, 2, 3, 8])
def test_reciprocal_scale_reaches_each_bucket_from_its_first_value(buckets: int) -> None:
    for bucket in range(buckets):
        first = -(-(bucket << 32) // buckets)
        assert hashing.reciprocal_scale(first, buckets) == bucket
        assert first == 0 or hashing.reciprocal_scale(first - 1, buckets) == bucket - 1


KEYS = [(0, 0), (1, 0), (0, 1), (0x9E3779B1, 0x5BD1E995), (0xFFFFFFFF, 2)]
PACKETS = [
    Packet(),
    Packet(saddr=mapped(0x01020304), daddr=mapped(0x05060708), sport=0x1122, dport=0x3344),
    Packet(saddr=mapped(0xFFFFFFFF), daddr=mapped(0x80000000), sport=0xFFFF, dport=0x00FF),
]


@pytest.mark.parametrize(("secret", "mix"), KEYS)
@pytest.mark.parametrize("packet", PACKETS)
@pytest.mark.parametrize("wildcard", [False, True])
def test_programs_are_shown_the_connections_hash(
    reference: Reference, secret: int, mix: int, packet: Packet, wildcard: bool
) -> None:
    local = 0 if wildcard else packet.daddr
    case = scenario(
        listener(rcv_saddr=local, num=packet.dport, reuseport=1, group=0),
        packet=packet,
        hash_secret=secret,
        netns=(Netns(hash_mix=mix),),
        groups=(Group(num_socks=1, prog=SK_REUSEPORT, verdict=SK_DROP, bind_inany=int(wildcard), slots=(0,)),),
    )
    shown = (SHOWN_SK_REUSEPORT, 0, 0, hash_of(case, local), 1, int(wildcard), NONE, NONE, 1, 20)
    agree(reference, case, shown=(shown,))


@given(secret=WORD, mix=WORD, saddr=WORD, sport=st.integers(0, 65535), dport=st.integers(0, 65535))
def test_the_model_hashes_any_packet_as_the_judge_does(
    secret: int, mix: int, saddr: int, sport: int, dport: int
) -> None:
    packet = Packet(saddr=mapped(saddr), sport=sport, dport=dport)
    case = scenario(packet=packet, hash_secret=secret, netns=(Netns(hash_mix=mix),))
    assert hashing.inet_ehashfn(secret + mix, low_word(HERE), dport, saddr, sport, False) == hash_of(case, HERE)


# --- IPv6 ---

ADDRESS6 = st.integers(0, (1 << 128) - 1)
V6_PACKETS = [
    Packet(saddr=other_family(PEER), daddr=other_family(HERE)),
    Packet(from_text("2001:db8:3:4:5:6:7:8"), from_text("fe80:1:2:3:4:5:6:7"), sport=0x1122, dport=0x3344),
    Packet(saddr=(1 << 128) - 1, daddr=1 << 127, sport=0xFFFF, dport=0x00FF),
]


@given(WORD, WORD, WORD, WORD, st.integers(0, (1 << 33) - 1))
def test_four_words_hash_as_their_sixteen_bytes(a: int, b: int, c: int, d: int, seed: int) -> None:
    data = b"".join(word.to_bytes(4, "little") for word in (a, b, c, d))
    assert hashing.jhash_4words((a, b, c, d), seed) == hashlittle(data, seed & 0xFFFFFFFF)


def _ipv6(packet: Packet, **fields: Any) -> Scenario:
    return scenario(packet=packet, lookup=TCP6, **fields)


@given(secret=WORD, secret6=WORD, mix=WORD, saddr=ADDRESS6, daddr=ADDRESS6, sport=PORT, dport=PORT)
def test_the_model_hashes_any_packet_of_ipv6_as_the_judge_does(
    secret: int, secret6: int, mix: int, saddr: int, daddr: int, sport: int, dport: int
) -> None:
    case = _ipv6(
        Packet(saddr, daddr, sport, dport), hash_secret=secret, hash_secret6=secret6, netns=(Netns(hash_mix=mix),)
    )
    ends = (daddr, dport, saddr, sport)
    assert hashing.inet6_ehashfn(secret + mix, secret6, *ends, lport_added=False) == hash_of(case, daddr)
    without_port = case._replace(packet=case.packet._replace(dport=0))
    added = hashing.inet6_ehashfn(secret + mix, secret6, *ends, lport_added=True)
    assert added == (hash_of(without_port, daddr) + dport) & 0xFFFFFFFF
    assert hashing.inet6_whole_hash(secret6, mix, *ends) == whole_hash_of(case, daddr)


def _asked(packet: Packet, wildcard: bool, secrets: tuple[int, int], mix: int) -> Scenario:
    """A group's program is shown the hash of a packet of IPv6, and drops it."""
    local = 0 if wildcard else packet.daddr
    return scenario(
        listener(family=AF_INET6, ipv6only=int(not wildcard), rcv_saddr=local, num=packet.dport, reuseport=1, group=0),
        packet=packet,
        lookup=TCP6,
        hash_secret=secrets[0],
        hash_secret6=secrets[1],
        netns=(Netns(hash_mix=mix),),
        groups=(Group(num_socks=1, prog=SK_REUSEPORT, verdict=SK_DROP, bind_inany=int(wildcard), slots=(0,)),),
    )


@pytest.mark.parametrize(("secret", "mix"), KEYS)
@pytest.mark.parametrize("secret6", [0, 1, 0xCAFEBABE])
@pytest.mark.parametrize("packet", V6_PACKETS)
@pytest.mark.parametrize("wildcard", [False, True])
def test_programs_are_shown_the_hash_of_an_ipv6_connection(
    reference: Reference, secret: int, mix: int, secret6: int, packet: Packet, wildcard: bool
) -> None:
    case = _asked(packet, wildcard, (secret, secret6), mix)
    hashed = hash_of(case, 0 if wildcard else packet.daddr)
    agree(reference, case, shown=((SHOWN_SK_REUSEPORT, 0, 0, hashed, 1, int(wildcard), NONE, NONE, 1, 20),))


@pytest.mark.parametrize("packet", V6_PACKETS)
@pytest.mark.parametrize("wildcard", [False, True])
def test_since_linux_7_1_they_are_shown_a_hash_of_both_addresses_whole(packet: Packet, wildcard: bool) -> None:
    build = made("7.1.13")
    assert build.rules.whole_hash6
    for secrets, mix in ((0, 0), 0), ((1, 0xCAFEBABE), 0x9E3779B1):
        case = _asked(packet, wildcard, secrets, mix)
        shown = [oracle.run(case).shown for oracle in (Reference(build), Model(build.rules))]
        hashed = whole_hash_of(case, 0 if wildcard else packet.daddr)
        assert shown == [((SHOWN_SK_REUSEPORT, 0, 0, hashed, 1, int(wildcard), NONE, NONE, 1, 20),)] * 2


def test_a_whole_hash_does_not_depend_on_the_first_secret() -> None:
    case = _asked(V6_PACKETS[1], False, (1, 2), 3)
    other = case._replace(hash_secret=77)
    for rules, same in ((EPOCHS["7.1"], True), (Rules(), False)):
        assert (Model(rules).run(case).shown == Model(rules).run(other).shown) is same
