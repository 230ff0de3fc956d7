"""Where fields stand in their lists: those of a Raw."""

from skdiff.cases.fields import positions
from skdiff.cases.scenario import Packet, Scenario, Sock

FAMILY, IPV6ONLY, STATE, HASHED = positions(Sock, "family", "ipv6only", "state", "hashed")
(P_DOFF,) = positions(Packet, "doff")
CALLER, HOSTILE = positions(Scenario, "caller", "hostile")
