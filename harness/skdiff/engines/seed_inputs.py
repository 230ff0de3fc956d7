"""Where a guided run starts: the corpus as wire bytes, in the pools' own addresses and ports."""

from collections.abc import Iterator
from pathlib import Path

from skdiff.base.errors import CannotRun
from skdiff.base.paths import CORPUS
from skdiff.cases import wire
from skdiff.cases.case_file import load
from skdiff.cases.pools import ANY, HERE, OTHER_HERE, OTHER_PORT, PEER, PEER_PORT, PORT
from skdiff.cases.scenario import Scenario


def seeds(folder: Path = CORPUS) -> Iterator[bytes]:
    """Each readable case of a folder, as near as the wire format gets to it; an unreadable one is no seed."""
    for path in sorted(folder.rglob("*.toml")):
        try:
            yield wire.near(translated(load(path).scenario))
        except CannotRun:  # `skdiff replay` says what is wrong with it
            continue


def translated(scenario: Scenario) -> Scenario:
    """The same case with the pools' addresses and ports: what was the packet's still is, what differed still does."""
    p = scenario.packet
    addresses = {ANY: ANY, p.daddr: HERE, p.saddr: PEER}
    ports = {0: 0, p.dport: PORT, p.sport: PEER_PORT}
    return scenario._replace(
        packet=p._replace(
            saddr=addresses[p.saddr], daddr=addresses[p.daddr], sport=ports[p.sport], dport=ports[p.dport]
        ),
        socks=tuple(
            sock._replace(
                daddr=addresses.get(sock.daddr, OTHER_HERE),
                rcv_saddr=addresses.get(sock.rcv_saddr, OTHER_HERE),
                dport=ports.get(sock.dport, OTHER_PORT),
                num=ports.get(sock.num, OTHER_PORT),
            )
            for sock in scenario.socks
        ),
    )
