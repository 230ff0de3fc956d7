"""The hash of a connection: against lookup3's published check values, and as the kernel's programs are shown it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skdiff.cases.outcome import SHOWN_SK_REUSEPORT
from skdiff.cases.scenario import NONE, SK_DROP, SK_REUSEPORT, Group, Netns, Packet
from skdiff.oracles.model import hashing
from skdiff.oracles.reference import Reference
from tests.helpers import HERE, agree, hash_of, hashlittle, listener, scenario

WORD = st.integers(0, 0xFFFFFFFF)


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
    Packet(saddr=0x01020304, daddr=0x05060708, sport=0x1122, dport=0x3344),
    Packet(saddr=0xFFFFFFFF, daddr=0x80000000, sport=0xFFFF, dport=0x00FF),
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
    packet = Packet(saddr=saddr, sport=sport, dport=dport)
    case = scenario(packet=packet, hash_secret=secret, netns=(Netns(hash_mix=mix),))
    assert hashing.inet_ehashfn(secret + mix, HERE, dport, saddr, sport, False) == hash_of(case, HERE)
