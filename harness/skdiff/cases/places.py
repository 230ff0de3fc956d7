"""Where fields stand in their lists: those of a Raw."""

from skdiff.cases.fields import positions
from skdiff.cases.scenario import Group, Packet, Scenario, Sock

FAMILY, IPV6ONLY, STATE, HASHED, HASH2, KIND, DEVICE, GROUP, MC_REFUSES = positions(
    Sock, "family", "ipv6only", "state", "hashed", "hash2", "kind", "bound_dev_if", "group", "mc_refuses"
)
P_DOFF, P_DATA_LEN, P_DESTRUCTOR, P_PKT_TYPE, P_SK = positions(
    Packet, "doff", "data_len", "destructor", "pkt_type", "sk"
)
(G_CLOSED,) = positions(Group, "num_closed_socks")
CALLER, HOSTILE = positions(Scenario, "caller", "hostile")
