"""The keys of the format of words: what each may be, and what it means. `skdiff fields` prints these tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from skdiff.cases.event_fields import ACTIONS, MOST_STEPS, MOST_VISITS, POINTS
from skdiff.cases.fields import CALLERS, STATES
from skdiff.cases.scenario import (
    INT_MAX,
    TCP_CLOSE,
    TCP_ESTABLISHED,
    TCP_LISTEN,
    TCP_NEW_SYN_RECV,
    TCP_TIME_WAIT,
)


class What(Enum):
    """What a key's value is, as people are told."""

    TEXT = "a text"
    FLAG = "true or false"
    NUMBER = "a number"
    HEX = "a number, perhaps 0x... "
    WORD = "a word"
    ENDS = '"10.0.0.1:40000 -> 10.0.0.2:80"'
    END = '"10.0.0.2:80" or "[2001:db8::2]:80"'
    ADDRESS = '"10.0.0.2" or "2001:db8::2"'
    DEVICE = "a device's name"
    SOCKET = "a socket's name"
    NAMESPACE = "a namespace's name"
    TABLE = "a table"
    LIST = "a list"


@dataclass(frozen=True)
class Key:
    """A key: what its value is, what it means, its default in words, and, by what it is, the `words` that it may have
    (with what each stands for), or the least and the greatest number.
    """

    what: What
    meaning: str
    default: str = ""
    needed: bool = False
    words: Mapping[str, int] = None  # type: ignore[assignment]
    range: tuple[int, int] = (0, (1 << 32) - 1)


def _words(*words: str) -> dict[str, int]:
    return {word: number for number, word in enumerate(words)}


HOST = "host"  # the namespace that need not be said
TCP, UDP, SCTP = "tcp", "udp", "sctp"
BPF, EARLY_DEMUX, TPROXY = "bpf", "early demux", "tproxy"
SK_LOOKUP, SK_REUSEPORT, FILTER = "sk_lookup", "sk_reuseport", "filter"
PASS, DROP, ELSE = "pass", "drop", "else"
SOURCE_PORT, DESTINATION_PORT = "source port", "destination port"
SOURCE, DESTINATION, CPU, DEVICE = "source address", "destination address", "cpu", "device"
BY = (SOURCE_PORT, DESTINATION_PORT, SOURCE, DESTINATION, CPU, DEVICE)

_CONNECTED = {
    word: number
    for number, word in STATES.items()
    if number >= TCP_ESTABLISHED and number not in (TCP_LISTEN, TCP_CLOSE, TCP_TIME_WAIT, TCP_NEW_SYN_RECV)
}
_NAME = Key(What.TEXT, "what it is called in [expect] and in answers", "its kind and number: listener0")
_DEVICE = Key(What.DEVICE, "SO_BINDTODEVICE", "none")
_NAMESPACE = Key(What.NAMESPACE, "its network namespace", HOST)
_REFCNT = Key(What.NUMBER, "sk_refcnt before the lookup", "1, and 1 for a packet that holds one")
_REUSEPORT = Key(What.FLAG, "SO_REUSEPORT", "false")
_REUSEADDR = Key(
    What.FLAG, "SO_REUSEADDR: with it on both, two sockets that do not listen may have one address and port", "false"
)
_V6ONLY = Key(What.FLAG, "IPV6_V6ONLY", "false; bind() to an address of IPv6 sets it")
_INCOMING_CPU = Key(What.NUMBER, "SO_INCOMING_CPU", "not set", range=(0, INT_MAX))
_FROM = Key(What.END, "the other end", needed=True)
_TO = Key(What.END, "its own end; with brackets it is an AF_INET6 socket", needed=True)
_ONCE_LISTENED = Key(What.FLAG, "it has listened before, and so is SOCK_RCU_FREE", "false")
_SOCKET = Key(What.SOCKET, "whose", needed=True)

# What every socket may have.
COMMON = {"name": _NAME, "device": _DEVICE, "namespace": _NAMESPACE, "refcnt": _REFCNT}

TOP: dict[str, Key] = {
    "version": Key(What.NUMBER, "of this format: 1", needed=True),
    "why": Key(What.TEXT, "the story: what the case shows"),
    "needs": Key(What.LIST, "what a kernel must have for [expect] to hold: rules and options, or no- and one of them"),
    "packet": Key(What.ENDS, "where the packet is from, and where it goes; with brackets it is IPv6", needed=True),
    "proto": Key(What.WORD, "its protocol", TCP, words=_words(TCP, UDP)),
    "in": Key(What.DEVICE, "the device that it comes in by; of a slave of a VRF the rest follows", "lo"),
    "sender_device": Key(What.DEVICE, "of a packet of this host: the device that has its address", "none"),
    "cpu": Key(What.NUMBER, "the CPU that it is looked up on", "0", range=(0, INT_MAX)),
    "in_namespace": Key(What.NAMESPACE, "the network namespace that it comes in to", HOST),
    "caller": Key(
        What.WORD,
        "who asks: the receive path, UDP's early demux and then the receive path, or a BPF helper",
        "receive",
        words={word: number for number, word in CALLERS.items()},
    ),
    "attached": Key(What.SOCKET, "the socket that hangs on the packet before the lookup", "none"),
    "attached_by": Key(
        What.WORD,
        "who has attached it: bpf_sk_assign(), early demux, TPROXY",
        BPF,
        words=_words(BPF, EARLY_DEMUX, TPROXY),
    ),
    "header": Key(What.NUMBER, "bytes of the TCP or UDP header", "20, of UDP 8", range=(0, 60)),
    "bytes": Key(What.NUMBER, "bytes from that header on", "20", range=(0, INT_MAX)),
    "paged": Key(What.NUMBER, "how many of them are not in the linear part", "0", range=(0, INT_MAX)),
}
# A device is its index, or a table of these.
DEVICES: dict[str, Key] = {
    "index": Key(What.NUMBER, "its interface index", needed=True, range=(1, INT_MAX)),
    "master": Key(What.TEXT, "the VRF that it is a slave of", "none"),
    "vrf": Key(What.FLAG, "it is a VRF, without a slave that is named here", "false"),
}
SYSCTL: dict[str, Key] = {
    "net.ipv4.tcp_l3mdev_accept": Key(What.FLAG, "TCP sockets of no VRF take packets of all", "0"),
    "net.ipv4.udp_l3mdev_accept": Key(What.FLAG, "the same of UDP", "0"),
    "net.ipv4.tcp_migrate_req": Key(What.FLAG, "shutdown() keeps a listener in its group, for its requests", "0"),
}
HASH: dict[str, Key] = {
    "secret": Key(What.HEX, "the secret of the hashes; random on a host", "0"),
    "secret6": Key(What.HEX, "the second one, of IPv6", "0"),
    "mix": Key(What.HEX, "net_hash_mix() of the namespace", "0"),
    "ehash_size": Key(What.NUMBER, "buckets of the table of connections, a power of two", "1"),
    "lhash2_size": Key(What.NUMBER, "buckets of the table of listeners, a power of two", "1"),
    "udp_size": Key(What.NUMBER, "slots of UDP's tables, a power of two", "1"),
    "own_tables": Key(What.FLAG, "the namespace has hash tables of its own", "false"),
}
NAMESPACE: dict[str, Key] = {
    "name": Key(What.TEXT, "what it is called", needed=True),
    "mix": HASH["mix"],
    "own_tables": HASH["own_tables"],
    "sysctl": Key(What.TABLE, "its sysctls, as in [sysctl]"),
}
LISTENER: dict[str, Key] = {
    "listen": Key(What.END, "what bind() and listen() were told; *:80 or 0.0.0.0:80, and [::]:80", needed=True),
    **COMMON,
    "reuseport": _REUSEPORT,
    "v6only": _V6ONLY,
    "incoming_cpu": _INCOMING_CPU,
}
CONNECTION: dict[str, Key] = {
    "from": _FROM,
    "to": _TO,
    **COMMON,
    "state": Key(What.WORD, "its state", "ESTABLISHED", words=_CONNECTED),
    "reuseport": _REUSEPORT,
    "v6only": _V6ONLY,
    "incoming_cpu": _INCOMING_CPU,
    "once_listened": _ONCE_LISTENED,
}
TIMEWAIT: dict[str, Key] = {
    "from": _FROM,
    "to": _TO,
    **COMMON,
    "reuseport": _REUSEPORT,
    "v6only": _V6ONLY,
}
REQUEST: dict[str, Key] = {
    "from": _FROM,
    "to": Key(What.END, "this host's end; its family is the listener's", needed=True),
    "listener": Key(What.SOCKET, "who got its SYN", needed=True),
    **COMMON,
    "v6only": _V6ONLY,
    "syncookie": Key(What.FLAG, "BPF has made it of a SYN cookie: it hangs on the packet alone", "false"),
}
UDP_SOCKET: dict[str, Key] = {
    "bind": Key(What.END, "what bind() was told; *:53 or 0.0.0.0:53, and [::]:53", needed=True),
    "connect": Key(What.END, "what connect() was told", "not connected"),
    "source": Key(What.ADDRESS, "the local address that connect() gave to a socket on the wildcard"),
    **COMMON,
    "reuseport": _REUSEPORT,
    "reuseaddr": _REUSEADDR,
    "v6only": _V6ONLY,
    "incoming_cpu": _INCOMING_CPU,
    "left_group": Key(What.FLAG, "connect() has taken it out of its group, as it does from Linux 6.13 on", "false"),
    "mc_refuses": Key(What.FLAG, "it is no member of the multicast group that the packet goes to", "false"),
}
BOUND: dict[str, Key] = {
    "bind": Key(What.END, "what bind() was told", needed=True),
    "proto": Key(What.WORD, "its protocol", TCP, words=_words(TCP, UDP, SCTP)),
    **COMMON,
    "reuseport": _REUSEPORT,
    "reuseaddr": _REUSEADDR,
    "v6only": _V6ONLY,
    "incoming_cpu": _INCOMING_CPU,
    "once_listened": _ONCE_LISTENED,
}
PROGRAM: dict[str, Key] = {
    "type": Key(
        What.WORD,
        "what kind of program: filter is SO_ATTACH_REUSEPORT_CBPF or a socket filter",
        needed=True,
        words=_words(SK_LOOKUP, SK_REUSEPORT, FILTER),
    ),
    "attach": Key(What.SOCKET, "of sk_reuseport and filter: a member of the group that it is attached to"),
    "namespace": Key(What.NAMESPACE, "of sk_lookup: the namespace that it is attached to", HOST),
    "select": Key(
        What.SOCKET, 'the socket that it selects; of sk_lookup "none" is bpf_sk_assign() with NULL', "nobody"
    ),
    "verdict": Key(What.WORD, "what it returns then", PASS, words={DROP: 0, PASS: 1}),
    "no_reuseport": Key(What.FLAG, "of sk_lookup: BPF_SK_LOOKUP_F_NO_REUSEPORT", "false"),
    "returns": Key(What.NUMBER, "of filter: the index of a member", "0"),
    "reads_cb": Key(What.FLAG, "of filter: it uses skb->cb", "false"),
    "by": Key(What.WORD, "what it decides by", "always the same", words=_words(*BY)),
    "table": Key(
        What.TABLE,
        'what it does for which value: a socket\'s name, "pass" or "drop", of filter a number; "else" for the others',
    ),
}
SETSOCKOPT: dict[str, Key] = {
    "socket": _SOCKET,
    "reuseport": Key(What.FLAG, "SO_REUSEPORT, after listen() or bind()"),
    "device": Key(What.DEVICE, 'SO_BINDTODEVICE, after listen() or bind(); "none" takes it off'),
    "incoming_cpu": Key(What.NUMBER, "SO_INCOMING_CPU", range=(0, INT_MAX)),
}
ENDING: dict[str, Key] = {"socket": _SOCKET}

EVENT: dict[str, Key] = {
    "point": Key(What.WORD, "where the lookup is", needed=True, words=_words(*POINTS.values())),
    "nth": Key(What.NUMBER, "how often it has come there by then", "1", range=(1, MOST_VISITS)),
    "at": Key(What.SOCKET, "the socket that this has to do with; others do not count", "any visit"),
    "action": Key(What.WORD, "what another CPU does", needed=True, words=_words(*ACTIONS.values())),
    "sk": Key(What.SOCKET, "the socket that it happens to"),
    "other": Key(What.SOCKET, "the socket that takes its place"),
    "value": Key(
        What.NUMBER,
        "a device, a peer's port, a group's number, or 0 and 1, as the action has it",
        "0",
        range=(0, INT_MAX),
    ),
    "steps": Key(
        What.NUMBER, "how many of its steps are done, and the others later", "all at once", range=(0, MOST_STEPS)
    ),
}

SOCKETS: dict[str, dict[str, Key]] = {
    "listener": LISTENER,
    "connection": CONNECTION,
    "timewait": TIMEWAIT,
    "request": REQUEST,
    "udp": UDP_SOCKET,
    "bound": BOUND,
}
# What happens later, in the order of the file.
ACTS: dict[str, dict[str, Key]] = {
    "program": PROGRAM,
    "setsockopt": SETSOCKOPT,
    "shutdown": ENDING,
    "close": ENDING,
    "event": EVENT,
}
ENTRIES = {**SOCKETS, **ACTS}
SINGLE: dict[str, dict[str, Key]] = {"devices": DEVICES, "sysctl": SYSCTL, "hash": HASH}
MEANING = {
    "": "at the top, above the first table",
    "devices": 'the devices that are named: eth0 = 2, or eth1 = { index = 9, master = "red" }; lo is 1',
    "sysctl": "sysctls of the host",
    "hash": "hash tables and their secrets",
    "namespace": "one more network namespace",
    "listener": "a TCP socket that listens",
    "connection": "a TCP connection",
    "timewait": "a TCP connection in TIME_WAIT",
    "request": "a TCP connection of which only the SYN has come",
    "udp": "a UDP socket, which is bound",
    "bound": "a socket that is bound, and in none of the tables that are searched",
    "program": "a BPF program",
    "setsockopt": "a call of setsockopt() at this point of the file",
    "shutdown": "a call of shutdown() for a listener at this point of the file",
    "close": "a call of close() at this point of the file",
    "event": "what another CPU does in the middle of the lookup",
}
ALL: dict[str, dict[str, Key]] = {"": TOP, **SINGLE, "namespace": NAMESPACE, **ENTRIES}
# What people write for these keys.
MEANT: dict[str, dict[str, str]] = {
    "": {
        "iif": "in",
        "device": "in",
        "dev": "in",
        "interface": "in",
        "protocol": "proto",
        "lookup": 'proto = "tcp" or "udp"; the addresses say which IP it is',
        "netns": "in_namespace",
        "sock": "[[listener]], [[connection]] or [[udp]]",
        "listeners": "[[listener]]",
        "connections": "[[connection]]",
        "device_names": "[devices]",
        "sk": "attached",
        "len": "bytes",
        "sysctls": "[sysctl]",
        "flow": "packet",
    },
    "listener": {
        "port": 'listen = "ADDRESS:PORT"',
        "address": 'listen = "ADDRESS:PORT"',
        "addr": 'listen = "ADDRESS:PORT"',
        "local": "listen",
        "bind": "listen",
        "cpu": "incoming_cpu",
        "iif": "device",
        "dev": "device",
        "interface": "device",
        "ipv6only": "v6only",
        "state": "[[connection]], which has one; a [[listener]] listens",
    },
    "connection": {"local": "to", "peer": "from", "remote": "from", "src": "from", "dst": "to"},
    "udp": {"listen": "bind", "local": "bind", "port": 'bind = "ADDRESS:PORT"', "peer": "connect", "from": "connect"},
    "program": {"kind": "type", "socket": "attach", "assign": "select", "group": "attach", "map": "table"},
    "setsockopt": {"name": "socket", "cpu": "incoming_cpu"},
    "close": {"name": "socket"},
    "shutdown": {"name": "socket"},
}
for _header in ("timewait", "request"):
    MEANT[_header] = MEANT["connection"]
for _header in ("connection", "udp", "bound", "timewait", "request"):
    MEANT[_header] = {
        "cpu": "incoming_cpu",
        "iif": "device",
        "dev": "device",
        "interface": "device",
        "ipv6only": "v6only",
        **MEANT.get(_header, {}),
    }
