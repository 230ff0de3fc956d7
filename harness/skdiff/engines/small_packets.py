"""The packets that a small table is asked for, each with what a case has beside its tables: its frame."""

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from skdiff.cases.derived import UDP_HEADER, plain_packet
from skdiff.cases.pools import HERE, MANY, PEER, SECRETS
from skdiff.cases.scenario import (
    DEMUX,
    DESTRUCTOR_NONE,
    HELPER,
    IPV6_LOOKUPS,
    NONE,
    RECEIVE,
    UDP_LOOKUPS,
    Packet,
    Scenario,
    Sock,
)
from skdiff.engines.small_socks import DIF, LO, SDIF, THIS_CPU, of_lookup

_HEAD = Scenario._fields[: Scenario._fields.index("packet")]
_EHASH, _LHASH2, _UDP = 16, 4, 16  # buckets of wide tables


class Frame(NamedTuple):
    """A packet and who asks for it; in a VRF if it has `sdif`; `wide` tables have more than one bucket; `secret` is the
    number of one of SECRETS.
    """

    name: str
    caller: int = RECEIVE
    devices: tuple[int, int, int] = (0, DIF, 0)  # rt_iif, skb_iif, sdif
    wide: bool = False
    secret: int = 0
    bytes: tuple[int, int] = (20, 0)  # len, data_len
    doff: int = 20  # of TCP
    many: bool = False  # it goes to a group of hosts

    @property
    def sdif(self) -> int:
        """The device below the VRF by which it came in, 0 for none."""
        return self.devices[2]


_VRF = (0, DIF, SDIF)
PLAIN, WIDE, IN_VRF = Frame("plain"), Frame("wide tables", wide=True, secret=1), Frame("in a VRF", devices=_VRF)
# Of this host, by lo or by its VRF, with the device that has the address.
OWN = Frame("of this host", devices=(DIF, LO, 0))
OWN_IN_VRF = Frame("of this host, in a VRF", devices=(SDIF, DIF, DIF))
HELPERS = (Frame("a helper's", caller=HELPER), Frame("a helper's in a VRF", caller=HELPER, devices=_VRF))
DEMUXED = (
    Frame("early demux", caller=DEMUX),
    Frame("early demux, wide tables", caller=DEMUX, wide=True, secret=1),
    Frame("early demux in a VRF", caller=DEMUX, devices=_VRF),
)
# The header is pulled first: it is in the pages.
PULLED = (Frame("early demux, paged", caller=DEMUX, bytes=(20, 14)), Frame("too short", caller=DEMUX, bytes=(8, 8)))
MANY_DEMUXED = (
    Frame("early demux for many", caller=DEMUX, many=True),
    Frame("early demux for many, wide tables", caller=DEMUX, many=True, wide=True, secret=1),
    Frame("early demux for many in a VRF", caller=DEMUX, many=True, devices=_VRF),
)
PAGED = Frame("paged", bytes=(64, 40), doff=24)
HASHED = tuple(Frame(f"secret {number}", secret=number) for number in range(2, 10))


def frames_of(lookup: int, frames: Iterable[Frame], l3mdev: bool = True) -> tuple[Frame, ...]:
    """Those of some frames that a lookup can have, with VRFs or without."""
    udp = lookup in UDP_LOOKUPS
    return tuple(
        frame
        for frame in frames
        if (udp or frame.caller != DEMUX) and (l3mdev or not frame.sdif) and not (frame.many and lookup in IPV6_LOOKUPS)
    )


@cache
def made(
    lookup: int, frame: Frame, enabled: bool, attached: int = NONE, destructor: int = DESTRUCTOR_NONE
) -> tuple[tuple[int, ...], Packet]:
    """The head of a case up to its packet, and that packet: `enabled` if there are sk_lookup programs."""
    ends = of_lookup(lookup, Sock(daddr=PEER, rcv_saddr=MANY if frame.many else HERE))
    rt_iif, skb_iif, sdif = frame.devices
    packet = plain_packet(lookup, ends.rcv_saddr)._replace(
        saddr=ends.daddr,
        rt_iif=rt_iif,
        skb_iif=skb_iif,
        sdif=sdif,
        len=frame.bytes[0],
        data_len=frame.bytes[1],
        doff=UDP_HEADER if lookup in UDP_LOOKUPS else frame.doff,
        sk=attached,
        destructor=destructor,
    )
    sizes = (_EHASH, _LHASH2, _UDP) if frame.wide else (1, 1, 1)
    secret = SECRETS[frame.secret][0]
    case = Scenario(
        hash_secret=secret,
        hash_secret6=secret ^ 0x5A5A5A5A,
        ehash_size=sizes[0],
        lhash2_size=sizes[1],
        udp_size=sizes[2],
        cpu=THIS_CPU,
        lookup=lookup,
        caller=frame.caller,
        sk_lookup_enabled=int(enabled),
        packet=packet,
    )
    return tuple(getattr(case, name) for name in _HEAD), packet
