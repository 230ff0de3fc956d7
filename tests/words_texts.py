"""A strategy for cases in words: sockets that meet, and calls in any order."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from skdiff.cases.words_text import table

ADDRESSES = {
    False: ["10.0.0.2", "0.0.0.0", "192.168.1.6"],
    True: ["[2001:db8::2]", "[::]", "[::ffff:10.0.0.2]"],
}
PEERS = {False: "10.0.0.1:40000", True: "[2001:db8::1]:40000"}
DEVICES = ["eth0", "eth1", "red", "lo"]
HEAD = """version = 1
packet = "{packet}"
proto = "{proto}"
in = "{device}"
cpu = {cpu}

[devices]
eth0 = 2
eth1 = {{ index = 9, master = "red" }}
red = 5
"""


def _maybe(draw: DrawFn, values: dict[str, Any], key: str, choices: list[Any]) -> None:
    if draw(st.integers(0, 3)) == 0:
        values[key] = draw(st.sampled_from(choices))


def _socket(draw: DrawFn, udp: bool, ipv6: bool) -> tuple[str, dict[str, Any]]:
    own_ipv6 = ipv6 or draw(st.booleans())
    kinds = ["udp", "udp", "bound"] if udp else ["listener"] * 4 + ["connection", "timewait", "bound"]
    kind = draw(st.sampled_from(kinds))
    address = draw(st.sampled_from(ADDRESSES[own_ipv6]))
    values: dict[str, Any] = {}
    if kind in ("connection", "timewait"):
        own = "[2001:db8::2]" if ipv6 else "10.0.0.2"
        values |= {"from": PEERS[ipv6], "to": f"{own}:80"}
    else:
        values[{"listener": "listen"}.get(kind, "bind")] = f"{address}:80"
        values["reuseport"] = draw(st.booleans())
        _maybe(draw, values, "incoming_cpu", [0, 1])
        if address == "[::]":
            _maybe(draw, values, "v6only", [True])
    if kind == "bound" and udp:
        values["proto"] = "udp"
    if kind == "udp":
        values["reuseaddr"] = True
        if draw(st.booleans()):
            source = {"0.0.0.0": "10.0.0.2", "[::]": "2001:db8::2"}
            if address in source:
                values["source"] = source[address]
            values["connect"] = "10.0.0.1:40000" if "ffff" in address else PEERS[address.startswith("[")]
    if kind != "bound":
        _maybe(draw, values, "device", DEVICES)
    return kind, values


@st.composite
def words_texts(draw: DrawFn) -> str:
    """The text of a case in words, which bind() may refuse."""
    udp, ipv6 = draw(st.booleans()), draw(st.booleans())
    packet = "[2001:db8::1]:40000 -> [2001:db8::2]:80" if ipv6 else "10.0.0.1:40000 -> 10.0.0.2:80"
    head = HEAD.format(
        packet=packet, proto="udp" if udp else "tcp", device=draw(st.sampled_from(DEVICES)), cpu=draw(st.integers(0, 1))
    )
    tables = []
    names: list[tuple[str, str]] = []
    for number in range(draw(st.integers(1, 6))):
        kind, values = _socket(draw, udp, ipv6)
        tables.append((kind, {"name": f"s{number}", **values}))
        names.append((f"s{number}", kind))
        if names and draw(st.integers(0, 4)) == 0:
            name, what = draw(st.sampled_from(names))
            act = draw(st.sampled_from(["close", "setsockopt", *(["shutdown"] if what == "listener" else [])]))
            said: dict[str, Any] = {"socket": name}
            if act == "setsockopt":
                said["reuseport"] = draw(st.booleans())
            tables.append((act, said))
            names = [pair for pair in names if pair[0] != name]
    if draw(st.booleans()):
        migrate = '\n[sysctl]\n"net.ipv4.tcp_migrate_req" = 1\n'
        head += migrate
    return "\n".join([head, *(table(f"[[{kind}]]", values) for kind, values in tables)])
