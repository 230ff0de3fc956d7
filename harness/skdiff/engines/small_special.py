"""What is special about a small table beside its sockets: one thing at a time, or nothing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from skdiff.cases.scenario import (
    DESTRUCTOR_NONE,
    EDEMUX,
    FILTER,
    LEAVE,
    NONE,
    PFREE,
    SK_DROP,
    SK_PASS,
    SK_REUSEPORT,
    UDP_LOOKUPS,
    Netns,
    Packet,
    Program,
)
from skdiff.engines.small_classes import ALL, NETNS, Class, Reach
from skdiff.engines.small_packets import (
    DEMUXED,
    HASHED,
    HELPERS,
    IN_VRF,
    MANY_DEMUXED,
    OWN,
    OWN_IN_VRF,
    PAGED,
    PLAIN,
    PULLED,
    WIDE,
    Frame,
    frames_of,
    made,
)


class Members(NamedTuple):
    """A group: the positions of its live members and of the closed ones."""

    live: tuple[int, ...]
    closed: tuple[int, ...]


class Special(NamedTuple):
    """What a block of tables has beside its sockets: the frames that it is asked for, namespaces with their sk_lookup
    programs, the fields that the program of a group sets, whether slots are in the other order, whether a member that
    has left was connected, and what hangs on the packet and who has attached it.
    """

    frames: tuple[Frame, ...]
    netns: tuple[Netns, ...]
    group: int = NONE
    program: Mapping[str, Any] = {}
    turned: bool = False
    has_conns: int = 0
    attached: int = NONE
    destructor: int = DESTRUCTOR_NONE

    def heads(self, lookup: int) -> list[tuple[tuple[int, ...], Packet]]:
        """The head of the case and the packet of each frame."""
        enabled = any(net.progs for net in self.netns)
        return [made(lookup, frame, enabled, self.attached, self.destructor) for frame in self.frames]


@dataclass(frozen=True)
class Sequel:
    """A sequence of classes of a lookup, the sockets of which are at `places` (of a request, its own one), and their
    groups. `ordered` if no other order of it is the same for those who look into one chain; `many` if the packets go to
    a group of hosts.
    """

    lookup: int
    classes: tuple[Class, ...]
    groups: tuple[Members, ...]
    ordered: bool
    many: bool = False
    reach: Reach = ALL

    @property
    def sockets(self) -> int:
        """How many sockets they are."""
        return sum(one.sockets for one in self.classes)

    @property
    def places(self) -> list[int]:
        """Where the last socket of each is."""
        found, at = [], -1
        for one in self.classes:
            at += one.sockets
            found.append(at)
        return found

    @property
    def netns(self) -> tuple[Netns, ...]:
        """The namespaces of their sockets."""
        return NETNS if any(one.far for one in self.classes) else NETNS[:1]

    def asked(self, *frames: Frame) -> tuple[Frame, ...]:
        """Those of some frames that the lookup has. Without a VRF, its devices are two that do not fit: tables that
        have the one need not be asked, since others have the other.
        """
        sdif = any(one.sdif for one in self.classes)
        return tuple(frame for frame in frames_of(self.lookup, frames, self.reach.l3mdev) if SDIF_OF[frame] or not sdif)

    def found(self) -> bool:
        """Whether each of them can be found, or is closed in a group of others."""
        joined = [one.joins for one in self.classes if one.searched]
        return all(one.searched or (one.closed and one.joins in joined) for one in self.classes)


def specials(of: Sequel) -> Iterator[Special]:
    """What can be special about the tables of a sequence; a frame at least each."""
    return (special for special in _specials(of) if special.frames)


def _specials(of: Sequel) -> Iterator[Special]:
    if of.many:
        yield Special(of.asked(*MANY_DEMUXED), of.netns)
        yield Special(_in_vrf(of.asked(*MANY_DEMUXED)), _accepting(of.lookup, of.netns))
        return
    if not of.ordered:
        # Early demux looks at whoever is first in a slot, of whichever chain.
        yield from _plain(of, DEMUXED)
        return
    cookie = any(one.cookie for one in of.classes)
    if of.found() and not cookie:
        yield from _plain(of, _USUAL[of.sockets])
    if not all(one.light for one in of.classes):
        return
    yield from _attached(of)
    if of.found() and not cookie:
        yield from _of_groups(of)
        yield from _of_programs(of)
        if len(of.netns) > 1 and of.sockets < 3:
            yield Special(of.asked(PLAIN, *DEMUXED), (of.netns[0], of.netns[1]._replace(own_hashinfo=1)))


_ALL = (PLAIN, WIDE, IN_VRF, OWN, OWN_IN_VRF, *HELPERS, *DEMUXED, *PULLED)
_USUAL = {0: _ALL, 1: _ALL, 2: (PLAIN, WIDE, IN_VRF, *DEMUXED), 3: (PLAIN, IN_VRF)}
SDIF_OF = {frame: frame.devices[2] for frame in (*_ALL, *MANY_DEMUXED, *HASHED, PAGED)}


def _plain(of: Sequel, frames: Sequence[Frame]) -> Iterator[Special]:
    yield Special(of.asked(*frames), of.netns)
    yield Special(_in_vrf(of.asked(*frames)), _accepting(of.lookup, of.netns))


def _in_vrf(frames: Sequence[Frame]) -> tuple[Frame, ...]:
    return tuple(frame for frame in frames if SDIF_OF[frame])


def _accepting(lookup: int, netns: tuple[Netns, ...]) -> tuple[Netns, ...]:
    udp = lookup in UDP_LOOKUPS
    return (netns[0]._replace(tcp_l3mdev_accept=int(not udp), udp_l3mdev_accept=int(udp)), *netns[1:])


def _attached(of: Sequel) -> Iterator[Special]:
    """A socket that hangs on the packet. What else is in the tables does not matter then, but for its group."""
    joined = {one.joins for one in of.classes}
    if len(of.classes) > 1 and (len(joined) > 1 or () in joined):
        return
    cookies = sum(one.cookie for one in of.classes)
    if cookies > 1:
        return  # each hangs on a packet of its own
    frames = of.asked(PLAIN, IN_VRF, DEMUXED[0], *(HASHED[:4] if len(of.classes) > 1 else ()))
    for one, place in zip(of.classes, of.places, strict=True):
        if one.cookie or (one.attachable and not cookies and (of.reach.assigns_reuseport or not one.asking)):
            yield Special(frames, of.netns, attached=place, destructor=PFREE)
            if one.joins and of.sockets < 3:
                (live, _) = of.groups[0]
                for program in _programs(live):
                    shown = of.asked(PLAIN, PAGED)
                    yield Special(shown, of.netns, 0, program, attached=place, destructor=PFREE)
        if one.handed_over and not cookies:
            yield Special(frames, of.netns, attached=place, destructor=EDEMUX)


def _of_groups(of: Sequel) -> Iterator[Special]:
    secrets = of.asked(*(HASHED if of.sockets < 3 else HASHED[:2]))
    for number, (live, _) in enumerate(of.groups):
        if len(live) > 1:
            yield Special(secrets, of.netns)
            yield Special(secrets, of.netns, group=number, turned=True)
        if all(one.remembers for one in of.classes if one.joins):
            yield Special(of.asked(PLAIN, *HASHED[:2]), of.netns, group=number, has_conns=1)
        for program in _programs(live):
            shown = (PAGED, HELPERS[0]) if of.sockets < 3 else ()
            yield Special(of.asked(PLAIN, *shown), of.netns, group=number, program=program)


def _programs(live: Sequence[int]) -> Iterator[Mapping[str, Any]]:
    for returned in (*range(len(live) + 1), 0xFFFFFFFF):
        yield {"prog": FILTER, "returns": returned, "cb_access": returned & 1}
    for select in (NONE, *live):
        yield {"prog": SK_REUSEPORT, "verdict": SK_PASS, "select": select}
    yield {"prog": SK_REUSEPORT, "verdict": SK_DROP, "select": live[0] if live else NONE}


def _of_programs(of: Sequel) -> Iterator[Special]:
    """sk_lookup programs, of the packet's namespace, or of the other one alone."""
    frames = of.asked(*((HASHED[0], IN_VRF, HELPERS[0]) if of.sockets < 3 else (HASHED[0],)))
    home, *others = of.netns
    places = [place for one, place in zip(of.classes, of.places, strict=True) if one.assignable]
    for programs in _said(places, of.sockets < 3):
        yield Special(frames, (home._replace(run_array=1, progs=programs), *others))
    if of.sockets < 3:
        away = NETNS[1]._replace(run_array=1, progs=(Program(SK_DROP),))
        yield Special(frames, (home, away))


def _said(places: Sequence[int], two: bool) -> Iterator[tuple[Program, ...]]:
    drop, nobody = Program(SK_DROP), Program(SK_PASS, NONE)
    if two:
        yield from ((drop,), (nobody,), (Program(SK_PASS, LEAVE),))
    for place in places:
        chosen = Program(SK_PASS, place)
        yield (chosen,)
        yield (chosen._replace(no_reuseport=1),)
        if two:
            yield from ((Program(SK_DROP, place),), (chosen, drop), (drop, chosen), (chosen, nobody))
            yield from ((chosen, Program(SK_PASS, other, 1)) for other in places if other != place)
