"""Small cases for the oracles: sockets as a test wants them, and a judge that both oracles must satisfy."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from skdiff.cases import validity
from skdiff.cases.addresses import low_word, mapped
from skdiff.cases.outcome import COMPARED, STUCK, Outcome
from skdiff.cases.scenario import (
    EHASH,
    IPPROTO_UDP,
    IPV6_LOOKUPS,
    KIND_REQUEST,
    KIND_TIMEWAIT,
    LHASH2,
    TCP_ESTABLISHED,
    TCP_LISTEN,
    TCP_NEW_SYN_RECV,
    TCP_TIME_WAIT,
    Packet,
    Scenario,
    Sock,
)
from skdiff.oracles.model import Model
from skdiff.oracles.reference import Reference

# The plain packet goes from PEER:40000 to HERE:80 and comes in by device 1.
PEER, HERE, ELSEWHERE = Packet().saddr, Packet().daddr, mapped(0xC0A80105)
MASK = 0xFFFFFFFF


def listener(**fields: Any) -> Sock:
    """A TCP listener on port 80 of the wildcard."""
    return Sock(**{"state": TCP_LISTEN, "hashed": LHASH2, "rcu_free": 1, **fields})


def connection(**fields: Any) -> Sock:
    """The plain packet's connection, in ehash."""
    plain = {"daddr": PEER, "rcv_saddr": HERE, "dport": 40000, "num": 80, "state": TCP_ESTABLISHED, "hashed": EHASH}
    return Sock(**{**plain, **fields})


def timewait(**fields: Any) -> Sock:
    return connection(**{"kind": KIND_TIMEWAIT, "state": TCP_TIME_WAIT, **fields})


def request(**fields: Any) -> Sock:
    return connection(**{"kind": KIND_REQUEST, "state": TCP_NEW_SYN_RECV, **fields})


def cookie(**fields: Any) -> Sock:
    """A request that BPF made of a SYN cookie: in no table, without a reference."""
    return request(**{"syncookie": 1, "hashed": 0, "refcnt": 0, **fields})


def udp(**fields: Any) -> Sock:
    """A UDP socket on port 80 of the wildcard."""
    return Sock(**{"protocol": IPPROTO_UDP, "rcu_free": 1, **fields})


def scenario(*socks: Sock, packet: Packet | None = None, **fields: Any) -> Scenario:
    return Scenario(socks=socks, packet=packet or Packet(), **fields)


def harm_file(path: Path, harm: bytes | None) -> None:
    """Write other bytes into a file, or remove it for None."""
    if harm is None:
        path.unlink()
    else:
        path.write_bytes(harm)


def mostly_long(items: Iterable[Any], every: int = 4) -> list[Any]:
    """The parameters of a test that builds something for each: every fourth, from the first, is one of `make test`, the
    others wait for `make test-long`."""
    rows = [item if isinstance(item, tuple) else (item,) for item in items]
    return [pytest.param(*row, marks=pytest.mark.long if i % every else ()) for i, row in enumerate(rows)]


def agree(reference: Reference, case: Scenario, **expected: Any) -> Outcome:
    """Both oracles give the expected outcome, whatever the tables' sizes; returns the model's.

    What is not expected to differ is as it was: `refcnt` and `listener` name those sockets that change. No program runs
    unless `shown` says what it was shown, or `ran` at least the kind of each that did. `via` is looked at if it is
    given.
    """
    assert validity.problems(case) == []
    sizes = [(case.ehash_size, case.lhash2_size)]
    if sizes == [(1, 1)]:
        sizes += [(2, 1), (1, 2), (64, 64)]
    for ehash_size, lhash2_size in sizes:
        sized = case._replace(ehash_size=ehash_size, lhash2_size=lhash2_size)
        answers = {"kernel": reference.run(sized), "model": Model().run(sized)}
        wanted = _wanted(sized, expected, answers["model"] if "ran" in expected else Outcome())
        for name, answer in answers.items():
            got = dict(zip(Outcome._fields[:COMPARED], answer, strict=False))
            assert {"oracle": name, **got} == {"oracle": name, **wanted}
            if "ran" in expected:
                assert tuple(kind for kind, *_ in answer.shown) == expected["ran"]
    via = expected.get("via")
    assert via is None or answers["model"].via == via
    return answers["model"]


def _wanted(case: Scenario, expected: Mapping[str, Any], shown_as: Outcome) -> dict[str, Any]:
    if expected.get("ended") == STUCK:
        return dict(zip(Outcome._fields[:COMPARED], Outcome(ended=STUCK), strict=False))
    packet = case.packet
    wanted = Outcome(
        skb_sk=packet.sk,
        destructor=packet.destructor,
        skb_len=packet.len,
        skb_data_len=packet.data_len,
        skb_users=packet.users,
        refcnt=_changed([sock.refcnt for sock in case.socks], expected.get("refcnt", {})),
        listener=_changed([sock.listener for sock in case.socks], expected.get("listener", {})),
        shown=shown_as.shown,
    )
    plain = {k: v for k, v in expected.items() if k not in ("refcnt", "listener", "ran", "via")}
    return dict(zip(Outcome._fields[:COMPARED], wanted._replace(**plain), strict=False))


def _changed(values: Sequence[int], changes: Mapping[int, int]) -> tuple[int, ...]:
    return tuple(changes.get(i, value) for i, value in enumerate(values))


# --- an independent judge of hashes: Bob Jenkins' hashlittle() of lookup3.c, byte by byte ---


def hashlittle(data: bytes, seed: int) -> int:
    """lookup3.c hashlittle() for any length; its published check values are in test_hashing.py."""
    a = b = c = 0xDEADBEEF + len(data) + seed & MASK

    def rot(x: int, k: int) -> int:
        return (x << k & MASK) | x >> 32 - k

    while len(data) > 12:
        a, b, c = (x + int.from_bytes(data[i : i + 4], "little") & MASK for x, i in ((a, 0), (b, 4), (c, 8)))
        a = a - c & MASK ^ rot(c, 4)
        c = c + b & MASK
        b = b - a & MASK ^ rot(a, 6)
        a = a + c & MASK
        c = c - b & MASK ^ rot(b, 8)
        b = b + a & MASK
        a = a - c & MASK ^ rot(c, 16)
        c = c + b & MASK
        b = b - a & MASK ^ rot(a, 19)
        a = a + c & MASK
        c = c - b & MASK ^ rot(b, 4)
        b = b + a & MASK
        data = data[12:]
    if not data:
        return c
    data = data.ljust(12, b"\0")
    a, b, c = (x + int.from_bytes(data[i : i + 4], "little") & MASK for x, i in ((a, 0), (b, 4), (c, 8)))
    c = (c ^ b) - rot(b, 14) & MASK
    a = (a ^ c) - rot(c, 11) & MASK
    b = (b ^ a) - rot(a, 25) & MASK
    c = (c ^ b) - rot(b, 16) & MASK
    a = (a ^ c) - rot(c, 4) & MASK
    b = (b ^ a) - rot(a, 14) & MASK
    return (c ^ b) - rot(b, 24) & MASK


def hash_of(case: Scenario, laddr: int) -> int:
    """What the kernel hashes a packet to for a local address: twelve bytes, of which only the local port is not in
    network order, and a key. Of IPv6 addresses these have the last word, and a hash of all four."""
    packet = case.packet
    mix = case.netns[packet.netns].hash_mix
    peer = low_word(packet.saddr).to_bytes(4, "big")
    if case.lookup in IPV6_LOOKUPS:
        peer = hashlittle(packet.saddr.to_bytes(16, "big"), case.hash_secret6).to_bytes(4, "little")
    data = b"".join(
        (
            low_word(laddr).to_bytes(4, "big"),
            peer,
            packet.sport.to_bytes(2, "big"),
            packet.dport.to_bytes(2, "little"),
        )
    )
    return hashlittle(data, case.hash_secret + mix & MASK)


def whole_hash_of(case: Scenario, laddr: int) -> int:
    """What kernels hash a packet of IPv6 to since Linux 7.1: both addresses, whole, and the peer's port, without what
    lookup3 has for a start value of its own; hash_mix goes into the first word, and the local port is added."""
    packet = case.packet
    ours = laddr.to_bytes(16, "big")
    first = int.from_bytes(ours[:4], "little") ^ case.netns[packet.netns].hash_mix
    data = first.to_bytes(4, "little") + ours[4:] + packet.saddr.to_bytes(16, "big") + packet.sport.to_bytes(2, "big")
    data += bytes(2)
    return hashlittle(data, case.hash_secret6 - 0xDEADBEEF - len(data) & MASK) + packet.dport & MASK


def secret_for(case: Scenario, laddr: int, members: int, wanted: int, unlike: int | None = None) -> Scenario:
    """The case with a secret that makes the packet's hash for `laddr` point to slot `wanted` of `members`, and the one
    for `unlike` to another."""
    for secret in range(10_000):
        keyed = case._replace(hash_secret=secret)
        if hash_of(keyed, laddr) * members >> 32 == wanted and (
            unlike is None or hash_of(keyed, unlike) * members >> 32 != wanted
        ):
            return keyed
    raise AssertionError("no such secret")
