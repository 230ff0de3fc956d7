"""The first process of a guest that tries `skdiff who` with a VRF: who it names, and who really gets the packet.

The guest has a VRF `red` with a TUN device `tun5` below it, and one besides, `tun2`. For each port some sockets are
opened; packets come in by each device, and from the VRF itself. What is wrong goes over the line, as a list in JSON.
"""

import json
import os
import select
import socket
import struct
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pyroute2 import IPRoute

from skdiff.cases.addresses import from_text
from skdiff.cases.derived import plain_packet
from skdiff.cases.scenario import IPPROTO_TCP, TCP4, TCP6, UDP4, UDP6, Packet
from skdiff.findings.who import AGREES, rules_of, who
from skdiff.findings.who_text import lines, summary
from skdiff.oracles.guests import init
from skdiff.oracles.guests.line import ANSWERS, FAILED
from skdiff.oracles.running.programs import ACK, RST
from skdiff.oracles.running.read_host import Question, read
from skdiff.oracles.running.wires import SYN, Segment, Wire, datagram, segment
from skdiff.variants.config import Config

RED, CLIENT_PORT = 9, 5000


def address(device: str, version: int, host: int) -> str:
    """Of this host (1) or another one (2) in the network of a device; the VRF has that of the device below it."""
    network = 8 if device == "tun2" else 9
    return f"10.9.{network}.{host}" if version == 4 else f"2001:db8:{network}::{host}"


# Of each port the sockets, in their order: their devices ("" for none).
TABLES = [
    ["red", "", "tun5"],
    ["tun5", "red", ""],
    ["", "tun5", "red"],
    ["red"],
    ["tun5"],
    ["tun2", ""],
    [""],
]
LOOKUPS = {(4, True): TCP4, (6, True): TCP6, (4, False): UDP4, (6, False): UDP6}
COOKIE, NODAD, SYSCTLS = 57, 2, Path("/proc/sys/net/ipv4")


def set_up() -> dict[str, Wire]:
    wires = {f"tun{index}": Wire(index) for index in (2, 5)}
    with IPRoute() as routes:
        routes.link("set", index=1, state="up")
        routes.link("add", ifname="red", index=RED, kind="vrf", vrf_table=10)
        routes.link("set", index=RED, state="up")
        routes.link("set", index=5, master=RED)
        for index in (2, 5):
            routes.link("set", index=index, state="up")
            routes.addr("add", index=index, address=address(f"tun{index}", 4, 1), prefixlen=24)
            routes.addr("add", index=index, address=address(f"tun{index}", 6, 1), prefixlen=64, flags=NODAD)
    return wires


def opened(version: int, tcp: bool, port: int, device: str) -> socket.socket:
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    made = socket.socket(family, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT if tcp else socket.SO_REUSEADDR, 1)
    if device:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    if version == 6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    made.bind(("", port))
    if tcp:
        made.listen()
    return made


def cookie(made: socket.socket) -> int:
    return int.from_bytes(made.getsockopt(socket.SOL_SOCKET, COOKIE, 8), "little")


def ready(made: list[socket.socket]) -> int:
    """Who has got something: its cookie, 0 for nobody."""
    found, _, _ = select.select(made, [], [], 0.2)
    for one in found:
        if one.type == socket.SOCK_STREAM:
            one.accept()[0].close()
        else:
            one.recv(100)
    return cookie(found[0]) if found else 0


def packet(device: str, version: int, tcp: bool, port: int) -> Packet:
    plain = plain_packet(LOOKUPS[version, tcp], from_text(address(device, version, 1)))
    return plain._replace(saddr=from_text(address(device, version, 2)), sport=CLIENT_PORT, dport=port)


def by_wire(wire: Wire, asked: Packet, version: int, tcp: bool, made: list[socket.socket]) -> int:
    """Who gets a connection, or a datagram, that comes in by a TUN device."""
    if not tcp:
        wire.receive(datagram(asked._replace(len=asked.doff), version == 6))
        return ready(made)
    wire.receive(segment(asked, version == 6, Segment(SYN, 1)))
    answer = answered(wire.fileno(), asked.dport)
    if answer is None:
        return 0
    wire.receive(segment(asked, version == 6, Segment(ACK, 2, answer + 1)))
    got = ready(made)
    wire.receive(segment(asked, version == 6, Segment(RST, 2)))
    return got


def answered(fd: int, port: int) -> int | None:
    """The sequence number of the answer to a SYN, None for a reset."""
    while select.select([fd], [], [], 0.2)[0]:
        frame = os.read(fd, 2000)[10:]  # struct virtio_net_hdr
        protocol, tcp = (frame[6], frame[40:]) if frame[0] >> 4 == 6 else (frame[9], frame[20:])
        if protocol != IPPROTO_TCP:
            continue
        source, _, sequence, _, _, flags = struct.unpack_from(">HHIIBB", tcp)
        if source == port:
            return None if flags & RST else int(sequence)
    return None


def by_vrf(version: int, tcp: bool, port: int, made: list[socket.socket]) -> int:
    """Who gets what a socket of the VRF sends to the VRF's own address."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"red")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.bind((address("red", version, 1), CLIENT_PORT))
        client.settimeout(0.5)
        try:
            client.connect((address("red", version, 1), port))
            if not tcp:
                client.send(b"?")
        except OSError:
            return 0
        return ready(made)


def told(device: str, version: int, tcp: bool, port: int) -> tuple[str, int | None, str]:
    """What `skdiff who` says: its verdict, the cookie of who gets the packet, and its answer."""
    asked, client = packet(device, version, tcp, port), from_text(address(device, version, 1 if device == "red" else 2))
    question = Question(LOOKUPS[version, tcp], asked.daddr, port, (client, CLIENT_PORT), device)
    release = os.uname().release
    found = who(read(question), rules_of(release, os.uname().version)[0], Config())
    said = summary(found)
    cookies: dict[str, int | None] = {each.name: each.cookie for each in said.sockets} | {"none": 0}
    [part] = said.chance
    return said.verdict, cookies[part.sk], "; ".join(lines(found))[-600:]


def questions() -> Iterator[tuple[int, bool, int, list[str]]]:
    for version in (4, 6):
        for tcp in (True, False):
            for number, devices in enumerate(TABLES):
                yield version, tcp, 80 + number, devices


def tried() -> tuple[int, list[str]]:
    """How many questions were asked, and what was wrong."""
    wires, wrong, asked = set_up(), [], 0
    for accept in (0, 1):
        for name in ("tcp", "udp"):
            (SYSCTLS / f"{name}_l3mdev_accept").write_text(str(accept))
        for version, tcp, port, devices in questions():
            made = [opened(version, tcp, port, device) for device in devices]
            for device in ("tun2", "tun5", "red"):
                verdict, named, said = told(device, version, tcp, port)
                if device == "red":
                    real = by_vrf(version, tcp, port, made)
                else:
                    real = by_wire(wires[device], packet(device, version, tcp, port), version, tcp, made)
                asked += 1
                if (verdict, named) != (AGREES, real):
                    names = {cookie(one): which or "*" for one, which in zip(made, devices, strict=True)} | {0: "none"}
                    what = f"IPv{version} tcp {tcp} {devices} by {device}, l3mdev_accept {accept}"
                    wrong.append(f"{what}: {verdict} {names.get(named)}, really {names[real]}: {said}")
            for one in made:
                one.close()
    return asked, wrong


def main() -> None:
    """Try it, and say what was wrong."""
    line, wrong = init.begin()
    try:
        line.send(FAILED if wrong else ANSWERS, json.dumps(wrong or tried()).encode())
    except Exception:  # noqa: BLE001  it must not look like a death of the kernel
        line.send(FAILED, traceback.format_exc().encode())
    with suppress(OSError):  # until it has been read
        line.receive()
    init.end()
