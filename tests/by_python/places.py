"""Where each field stands in its list while a case is made: drawn fields are lists, for speed."""

from skdiff.cases.fields import positions
from skdiff.cases.scenario import Group, Netns, Packet, Program, Scenario, Sock

(DADDR, RCV_SADDR, REFCNT, DEVICE, CPU, DPORT, NUM, PROTOCOL, HASH_KIND, KIND, FAMILY, IPV6ONLY, STATE, NETNS) = (
    positions(
        Sock,
        *("daddr", "rcv_saddr", "refcnt", "bound_dev_if", "incoming_cpu", "dport", "num", "protocol", "hash_kind"),
        *("kind", "family", "ipv6only", "state", "netns"),
    )
)
(RCU_FREE, REUSEPORT, CHANGED, HASHED, HASH2, MC_REFUSES, NO_PPREV, SYNCOOKIE, GROUP, LISTENER) = positions(
    Sock,
    *("rcu_free", "reuseport", "reuseport_changed", "hashed", "hash2", "mc_refuses", "no_pprev", "syncookie"),
    *("group", "listener"),
)
P_SADDR, P_DADDR, P_RT_IIF, P_SKB_IIF, P_SDIF, P_DOFF, P_LEN, P_DATA_LEN, P_USERS = positions(
    Packet, "saddr", "daddr", "rt_iif", "skb_iif", "sdif", "doff", "len", "data_len", "users"
)
P_CLONE_FAILS, P_PULL_FAILS, P_NETNS, P_DESTRUCTOR, P_PKT_TYPE, P_SK = positions(
    Packet, "clone_fails", "pull_fails", "netns", "destructor", "pkt_type", "sk"
)
G_ID, G_NUM, G_CLOSED, G_CPU, G_INANY, G_CONNS, G_PROG, G_SELECT = positions(
    Group,
    *("reuseport_id", "num_socks", "num_closed_socks", "incoming_cpu", "bind_inany", "has_conns", "prog", "select"),
)
VERDICT, ASSIGN = positions(Program, "verdict", "assign")
(RUN_ARRAY,) = positions(Netns, "run_array")
NULLS_XOR, LOOKUP, CALLER, HOSTILE, FOREIGN, ENABLED, H_CPU = positions(
    Scenario, "ehash_nulls_xor", "lookup", "caller", "hostile", "foreign_hashinfo", "sk_lookup_enabled", "cpu"
)
