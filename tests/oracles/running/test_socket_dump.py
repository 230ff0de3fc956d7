"""What sock_diag tells, recorded on Linux 6.18.44 in a namespace of which the comments say what was there."""

import json
from pathlib import Path
from typing import Any

from skdiff.cases.addresses import from_text
from skdiff.cases.scenario import (
    AF_INET,
    AF_INET6,
    IPPROTO_TCP,
    IPPROTO_UDP,
    KIND_FULL,
    KIND_REQUEST,
    KIND_TIMEWAIT,
    TCP_CLOSE,
    TCP_ESTABLISHED,
    TCP_LISTEN,
    TCP_NEW_SYN_RECV,
    TCP_TIME_WAIT,
)
from skdiff.oracles.running.socket_dump import Seen, parsed

RECORDED: dict[str, list[dict[str, Any]]] = json.loads((Path(__file__).parent / "sock_diag.json").read_text())
HERE = from_text("127.0.0.1")


def recorded(name: str, protocol: int = IPPROTO_TCP) -> list[Seen]:
    return parsed(RECORDED[name], protocol)


def test_listeners_are_told_in_the_order_in_which_they_are_met() -> None:
    # All with SO_REUSEPORT: *:80, [::]:80, [::]:80 v6only, *:80, 127.0.0.1:80, [::]:80, [::ffff:127.0.0.1]:80
    listeners = recorded("listeners")
    assert {(seen.kind, seen.state, seen.port, seen.dport) for seen in listeners} == {(KIND_FULL, TCP_LISTEN, 80, 0)}
    wild = [seen for seen in listeners if not seen.address]
    opened = [seen.inode for seen in sorted(wild, key=lambda seen: seen.inode)]
    assert [opened.index(seen.inode) for seen in wild] == [3, 0, 1, 2, 4]
    assert [seen.family for seen in wild] == [AF_INET, AF_INET, AF_INET6, AF_INET6, AF_INET6]
    assert [seen.v6only for seen in wild] == [None, None, 0, 1, 0]
    assert [(seen.family, seen.address) for seen in listeners if seen.address] == [(AF_INET, HERE), (AF_INET6, HERE)]


def test_what_is_no_listener() -> None:
    connection, request = recorded("connections")
    [old] = recorded("old")
    assert (connection.kind, connection.state) == (KIND_FULL, TCP_ESTABLISHED)
    assert (connection.address, connection.port, connection.peer, connection.dport) == (HERE, 80, HERE, 5000)
    assert (request.kind, request.state, request.inode) == (KIND_REQUEST, TCP_NEW_SYN_RECV, 0)
    assert (request.address, request.peer) == (from_text("10.9.9.1"), from_text("10.9.9.7"))
    assert (old.kind, old.state, old.inode) == (KIND_TIMEWAIT, TCP_TIME_WAIT, 0)


def test_sockets_of_udp_are_told_a_family_at_a_time() -> None:
    told = recorded("udp", IPPROTO_UDP)
    assert [seen.family for seen in told] == [AF_INET, AF_INET, AF_INET, AF_INET6]
    assert [seen.state for seen in told] == [TCP_CLOSE, TCP_CLOSE, TCP_ESTABLISHED, TCP_CLOSE]
    assert [seen.peer for seen in told] == [0, 0, HERE, 0]


def test_a_raw_socket_is_none() -> None:
    assert not parsed([{**RECORDED["listeners"][0], "idiag_sport": 0}], IPPROTO_TCP)


def test_an_answer_of_a_kernel_without_the_module_has_no_sockets() -> None:
    assert not parsed([{"attrs": [], "header": {"type": 3, "error": None}}], IPPROTO_TCP)  # NLMSG_DONE
