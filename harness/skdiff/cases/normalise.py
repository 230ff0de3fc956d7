"""From drawn fields to a valid Scenario: the rules are in `csrc/cases/normalise.c`."""

from skdiff.cases.native import normalised, with_packet_come_in
from skdiff.cases.pools import Raw
from skdiff.cases.scenario import Group, Netns, Packet, Program, Scenario, Sock


def normalise(raw: Raw) -> Scenario:
    """The valid Scenario nearest to the drawn fields. It is its own nearest one.

    The fields may have any values of `valid_values.valid_range`, not only those of their pools.
    Events are not among them: `normalise_events.py`.
    """
    return normalised(scenario_of(raw))


def come_in(packet: list[int], lookup: int, caller: int) -> None:
    """Let the packet of a lookup have devices and addresses with which a real one comes in."""
    packet[:] = with_packet_come_in(Scenario(lookup=lookup, caller=caller, packet=Packet._make(packet))).packet


def scenario_of(raw: Raw) -> Scenario:
    """The fields as they are, valid or not, in the classes of a Scenario, without events."""
    return Scenario._make(
        (
            *raw.head,
            Packet._make(raw.packet),
            tuple(Netns._make((*fields, tuple(map(Program._make, progs)))) for fields, progs in raw.netns),
            tuple(Group._make((*fields, tuple(slots))) for fields, slots in raw.groups),
            tuple(map(Sock._make, raw.socks)),
            (),
        )
    )
