"""Who gets the packet by the steps of a lookup."""

from collections.abc import Sequence

from skdiff.cases.derived import pkt_type_of
from skdiff.cases.scenario import HELPER, NONE, PACKET_HOST, UDP_LOOKUPS, Scenario
from skdiff.cases.steps import Step
from skdiff.oracles.model.functions import FUNCTIONS


def answer(scenario: Scenario, steps: Sequence[Step]) -> int | None:
    """The index of the socket that gets the packet, NONE for nobody, None if the steps break off: of a lookup that
    crashed or did not end.

    A BPF helper asks a function of its own. A datagram is looked up only if nothing was attached to it, also by early
    demux, and if it is not for many.
    """
    functions = FUNCTIONS[scenario.lookup]

    def last(*names: str) -> int | None:
        found = [step.values[0] for step in steps if step.function in names]
        return max(found[-1], NONE) if found else None

    if scenario.caller == HELPER:
        return last(functions.lookup)
    found = last(functions.lookup_skb)
    if found is not None or scenario.lookup not in UDP_LOOKUPS:
        return found
    stolen = [step.values[0] for step in steps if step.function in (functions.steal_sock, "skb_steal_sock")][-1:]
    delivered = pkt_type_of(scenario.lookup, scenario.packet.daddr) != PACKET_HOST
    return max(*stolen, NONE) if stolen and (stolen != [NONE] or delivered) else None
