"""The sockets of a network namespace, as sock_diag tells them (net/ipv4/inet_diag.c, net/ipv4/tcp_diag.c, udp_diag.c).

A dump walks each chain of a hash table from its head, and so tells in which order a lookup meets those of one chain.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pyroute2 import DiagSocket
from pyroute2.netlink import NLM_F_MATCH, NLM_F_REQUEST, NLM_F_ROOT, nlmsg
from pyroute2.netlink.diag import SOCK_DIAG_BY_FAMILY, inet_diag_req
from pyroute2.netlink.exceptions import NetlinkError

from skdiff.base.errors import CannotRun
from skdiff.cases.addresses import from_text
from skdiff.cases.scenario import (
    AF_INET,
    AF_INET6,
    IPPROTO_TCP,
    IPPROTO_UDP,
    KIND_FULL,
    KIND_REQUEST,
    KIND_TIMEWAIT,
    TCP_LISTEN,
    TCP_NEW_SYN_RECV,
    TCP_SYN_RECV,
    TCP_TIME_WAIT,
)

_TCPDIAG_GETSOCK = 18  # include/uapi/linux/inet_diag.h: of all families at once, which SOCK_DIAG_BY_FAMILY cannot
_ALL_STATES = (1 << 13) - 1
_IN_TIMEWAIT = 3  # idiag_timer: inet_twsk_diag_fill()
_PROC = {IPPROTO_TCP: ("tcp", "tcp6"), IPPROTO_UDP: ("udp", "udp6")}
_FLAGS = NLM_F_REQUEST | NLM_F_ROOT | NLM_F_MATCH


class Seen(NamedTuple):
    """A socket as it is told: addresses as a case has them, ports in host byte order, `peer` and `dport` are the other
    end's. `state` is that of a case, so a request is TCP_NEW_SYN_RECV. `v6only` is None where it is not told, which is
    so for whoever has a peer. `inode` is 0 where no process has it; `uid` is its owner's.
    """

    protocol: int
    family: int
    kind: int
    state: int
    address: int
    port: int
    peer: int
    dport: int
    device: int
    cookie: int
    inode: int
    uid: int
    v6only: int | None


class _OldRequest(nlmsg):  # type: ignore[misc]  # pyroute2 has no types
    """Struct inet_diag_req, of TCPDIAG_GETSOCK."""

    fields = (
        *(("family", "B"), ("src_len", "B"), ("dst_len", "B"), ("ext", "B"), ("sport", ">H"), ("dport", ">H")),
        *(("src", ">4I"), ("dst", ">4I"), ("if", "I"), ("cookie", "Q"), ("states", "I"), ("dbs", "I")),
    )


def listeners(port: int) -> list[Seen]:
    """The TCP listeners of a port in the caller's network namespace, of both families; those with one address in the
    order in which lookups meet them, since they are in one chain. Raises CannotRun.
    """
    return _tcp(1 << TCP_LISTEN, port, 0)


def connections(port: int, peers_port: int) -> list[Seen]:
    """The TCP sockets of connections between a local port and a port of the peer: those of one connection in the order
    in which lookups meet them. Raises CannotRun.
    """
    return _tcp(_ALL_STATES & ~(1 << TCP_LISTEN), port, peers_port)


def of_udp(port: int) -> list[Seen]:
    """The UDP sockets that are bound to a port, each family by itself, the last bound first. Raises CannotRun."""
    found = [
        seen
        for family in (AF_INET, AF_INET6)
        for seen in _asked(_request(family, IPPROTO_UDP, port), SOCK_DIAG_BY_FAMILY, IPPROTO_UDP)
    ]
    _check(found, IPPROTO_UDP, port)
    return found


def everybody(protocol: int) -> list[Seen]:
    """All sockets of a protocol that lookups can give. Raises CannotRun."""
    return _tcp(_ALL_STATES, 0, 0) if protocol == IPPROTO_TCP else of_udp(0)


def _tcp(states: int, sport: int, dport: int) -> list[Seen]:
    request = _OldRequest()
    request["states"], request["sport"], request["dport"] = states, sport, dport
    request["src"] = request["dst"] = (0, 0, 0, 0)
    found = _asked(request, _TCPDIAG_GETSOCK, IPPROTO_TCP)
    if states == 1 << TCP_LISTEN:
        _check(found, IPPROTO_TCP, sport)
    return found


def _request(family: int, protocol: int, sport: int) -> Any:
    request = inet_diag_req()
    request["sdiag_family"], request["sdiag_protocol"] = family, protocol
    request["idiag_states"], request["idiag_sport"] = _ALL_STATES, sport
    return request


def _asked(request: Any, kind: int, protocol: int) -> list[Seen]:
    try:
        with DiagSocket() as diag:
            diag.bind()
            return parsed(diag.nlm_request(request, kind, _FLAGS), protocol)
    except (OSError, NetlinkError) as error:
        raise CannotRun(f"the kernel does not tell its sockets (sock_diag): {error}") from None


def parsed(messages: Iterable[Mapping[str, Any]], protocol: int) -> list[Seen]:
    """The sockets of an answer, of messages as pyroute2 has struct inet_diag_msg; raw sockets are none, nor is what a
    kernel says that has no module for them (NLMSG_DONE with -ENOENT).
    """
    return [_seen(message, protocol) for message in messages if message.get("idiag_sport")]


def _seen(message: Mapping[str, Any], protocol: int) -> Seen:
    told = {attribute[0]: attribute[1] for attribute in message["attrs"]}
    kind, state = KIND_FULL, message["idiag_state"]
    if protocol == IPPROTO_TCP and message["idiag_timer"] == _IN_TIMEWAIT:  # its state may be TCP_FIN_WAIT2
        kind, state = KIND_TIMEWAIT, TCP_TIME_WAIT
    elif protocol == IPPROTO_TCP and state == TCP_SYN_RECV and "INET_DIAG_SHUTDOWN" not in told:
        kind, state = KIND_REQUEST, TCP_NEW_SYN_RECV  # inet_req_diag_fill() tells no more of it
    return Seen(
        protocol=protocol,
        family=message["idiag_family"],
        kind=kind,
        state=state,
        address=from_text(message["idiag_src"]),
        port=message["idiag_sport"],
        peer=from_text(message["idiag_dst"]),
        dport=message["idiag_dport"],
        device=message["idiag_if"],
        cookie=message["idiag_cookie"],
        inode=message["idiag_inode"],
        uid=message["idiag_uid"],
        v6only=told.get("INET_DIAG_SKV6ONLY"),
    )


def _check(found: Sequence[Seen], protocol: int, port: int) -> None:
    """A kernel without the module of a protocol (CONFIG_INET_TCP_DIAG, CONFIG_INET_UDP_DIAG) tells nothing, and no
    error: then /proc/net has sockets that the answer has not. Raises CannotRun.
    """
    if found:
        return
    for name in _PROC[protocol]:
        try:
            lines = Path(f"/proc/thread-self/net/{name}").read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            _, local, _, state = line.split()[:4]
            if int(local.rsplit(":", 1)[1], 16) == port and (protocol == IPPROTO_UDP or int(state, 16) == TCP_LISTEN):
                raise CannotRun(f"the kernel does not tell its sockets: it has no module {_PROC[protocol][0]}_diag")
