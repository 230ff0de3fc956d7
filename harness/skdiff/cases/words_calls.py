"""The calls that lead to a Scenario, as the entries of a case in words: sockets in their order, and what came later.

Not all that is written leads there: `words_writing.py` reads it again, so that nothing here has to be complete.
"""

from collections.abc import Iterator
from typing import Any

import tomlkit

from skdiff.cases import case_head
from skdiff.cases.addresses import ANY, MAPPED_ANY, is_ipv6
from skdiff.cases.case import Case, default_names
from skdiff.cases.derived import plain_packet
from skdiff.cases.fields import CALLERS, STATES
from skdiff.cases.scenario import (
    AF_INET6,
    EDEMUX,
    EHASH,
    HELPER,
    IPPROTO_SCTP,
    IPPROTO_TCP,
    IPPROTO_UDP,
    IPV6_LOOKUPS,
    KIND_REQUEST,
    KIND_TIMEWAIT,
    LEAVE,
    LHASH2,
    NONE,
    NOWHERE,
    PROG_NONE,
    REHASHED,
    SK_DROP,
    SK_REUSEPORT,
    STALE,
    TCP_CLOSE,
    TCP_ESTABLISHED,
    UDP_HASHED,
    UDP_LOOKUPS,
    Group,
    Sock,
)
from skdiff.cases.words_events import event_values
from skdiff.cases.words_keys import EARLY_DEMUX
from skdiff.cases.words_sockets import is_alike, meet
from skdiff.cases.words_text import Hex, table
from skdiff.cases.words_values import End, address_text, end_text

_PROTOCOLS = {IPPROTO_TCP: "tcp", IPPROTO_UDP: "udp", IPPROTO_SCTP: "sctp"}
_SECOND = "second"  # the other namespace

Values = dict[str, Any]


class NotInWords(Exception):
    """A scenario that the format of words cannot say exactly: str() says what it is."""


class Writer:
    """Writes one case: setsockopt() is called for a socket at once if `early`, else when all are there."""

    def __init__(self, case: Case, early: bool) -> None:
        self._early = early
        self._case, self._s = case, case.scenario
        self._names = case.socks or default_names(case.scenario)[0]
        self._devices: dict[int, Values] = {}
        self._spare: dict[int, int] = {}  # the device of a socket in listen(), where it is not the one that it has now
        self._later: list[tuple[str, Values]] = []

    def text(self) -> str:
        """The case in words. Raises NotInWords."""
        entries = [*self._sockets(), *self._later, *self._programs()]
        document = case_head.document(self._case)
        for key, value in self._top().items():
            document[key] = value
        case_head.add_tables(document, self._case)
        parts = [tomlkit.dumps(document)]
        parts += [table(f"[{name}]", values) for name, values in self._tables() if values]
        entries += [("event", event_values(event, self._names)) for event in self._s.events]
        parts += [table(f"[[{name}]]", values) for name, values in (*self._namespaces(), *entries)]
        return "\n".join(parts)

    # --- the top

    def _top(self) -> Values:
        s, p = self._s, self._s.packet
        ipv6 = s.lookup in IPV6_LOOKUPS
        ends = [end_text(End(*end, ipv6)) for end in ((p.saddr, p.sport), (p.daddr, p.dport))]
        plain = plain_packet(s.lookup, p.daddr, s.caller)
        values: Values = {"packet": " -> ".join(ends)}
        if s.lookup in UDP_LOOKUPS:
            values["proto"] = "udp"
        if p.sdif == p.skb_iif and s.caller == HELPER and p.sdif:
            values["in"] = self._device(p.sdif, master=self._device(self._unused_device(), vrf=True))
        elif p.sdif == p.skb_iif:
            values["in"] = self._device(p.sdif, vrf=True)
        elif p.sdif:
            values["in"] = self._device(p.sdif, master=self._device(p.skb_iif))
        else:
            values["in"] = self._device(p.skb_iif)
        if values["in"] == "lo":
            del values["in"]
        if p.rt_iif:
            values["sender_device"] = self._device(p.rt_iif)
        if s.cpu:
            values["cpu"] = s.cpu
        if p.netns:
            values["in_namespace"] = _SECOND
        if s.caller:
            values["caller"] = CALLERS[s.caller]
        if p.sk != NONE:
            values["attached"] = self._names[p.sk]
            if p.destructor == EDEMUX:
                values["attached_by"] = EARLY_DEMUX
        for key, value, usual in (
            ("header", p.doff, plain.doff),
            ("bytes", p.len, plain.len),
            ("paged", p.data_len, 0),
        ):
            if value != usual:
                values[key] = value
        return values

    def _unused_device(self) -> int:
        """An index above those of all devices of the case."""
        return max(0, *(sock.bound_dev_if for sock in self._s.socks), self._s.packet.skb_iif, self._s.packet.sdif) + 100

    def _device(self, index: int, vrf: bool = False, master: str = "") -> str:
        """The name of a device, which is in [devices] if it is not lo."""
        if index <= 1:
            return ("none", "lo")[index] if index >= 0 else str(index)
        said = self._devices.setdefault(index, {"index": index})
        if vrf:
            said["vrf"] = True
        if master:
            said["master"] = master
        return f"dev{index}"

    def _tables(self) -> Iterator[tuple[str, Values]]:
        s = self._s
        net = s.netns[0]
        yield (
            "devices",
            {f"dev{index}": index if len(said) == 1 else said for index, said in sorted(self._devices.items())},
        )
        sysctl = _sysctl(net.tcp_l3mdev_accept, net.udp_l3mdev_accept)
        if any(group.num_closed_socks for group in s.groups):
            sysctl["net.ipv4.tcp_migrate_req"] = 1
        yield "sysctl", sysctl
        hashes: Values = {
            "secret": Hex(s.hash_secret),
            "secret6": Hex(s.hash_secret6),
            "mix": Hex(net.hash_mix),
            "ehash_size": s.ehash_size if s.ehash_size != 1 else 0,
            "lhash2_size": s.lhash2_size if s.lhash2_size != 1 else 0,
            "udp_size": s.udp_size if s.udp_size != 1 else 0,
            "own_tables": bool(net.own_hashinfo),
        }
        yield "hash", {key: value for key, value in hashes.items() if value}

    def _namespaces(self) -> Iterator[tuple[str, Values]]:
        for net in self._s.netns[1:]:
            values: Values = {"name": _SECOND}
            if net.hash_mix:
                values["mix"] = Hex(net.hash_mix)
            if net.own_hashinfo:
                values["own_tables"] = True
            if sysctl := _sysctl(net.tcp_l3mdev_accept, net.udp_l3mdev_accept):
                values["sysctl"] = sysctl
            yield "namespace", values

    # --- sockets

    def _sockets(self) -> list[tuple[str, Values]]:
        s = self._s
        self._choose_spare_devices()
        entries: list[tuple[str, Values]] = []
        waiting: list[tuple[int, int]] = []  # closed members whose group has no live one yet: group, socket
        for i, sock in enumerate(s.socks):
            kind, values = self._entry(i, sock)
            entries.append((kind, values))
            if self._later and (self._early or _joined_later(sock)):
                entries.append(self._later.pop())
            closed = kind == "listener" and sock.hashed == NOWHERE
            if closed:
                waiting.append((sock.group, i))
            live = {s.socks[n].group for n in range(i + 1) if s.socks[n].hashed == LHASH2}
            for group, n in list(waiting):
                if group == NONE or group in live:
                    entries.append(("shutdown", {"socket": self._names[n]}))
                    waiting.remove((group, n))
        entries += [("shutdown", {"socket": self._names[n]}) for _, n in waiting]
        return [*entries, *self._gone()]

    def _gone(self) -> Iterator[tuple[str, Values]]:
        """Members that were connected, and are closed by now: has_conns tells of them."""
        s = self._s
        for number, group in enumerate(s.groups):
            members = [i for i in group.slots if s.socks[i].group == number]
            connected = any(s.socks[i].daddr for i in members)
            if group.has_conns and members and not connected:
                sock = s.socks[members[0]]
                if sock.rcv_saddr in (ANY, MAPPED_ANY):
                    raise NotInWords(f"has_conns of group {number}: connect() takes who is on the wildcard out of it")
                _, values = self._entry(members[0], sock._replace(refcnt=1, incoming_cpu=-1))
                peer = End(s.packet.saddr, s.packet.sport or 1, sock.family == AF_INET6)
                gone = f"gone{number}"
                yield "udp", {**values, "name": gone, "reuseport": True, "connect": end_text(peer)}
                yield "close", {"socket": gone}

    def _entry(self, i: int, sock: Sock) -> tuple[str, Values]:
        end = self._own_end(sock)
        values: Values = {"name": self._names[i]}
        had_reuseport = _had_reuseport(sock)
        if sock.hashed == EHASH or sock.kind:
            kind = {KIND_TIMEWAIT: "timewait", KIND_REQUEST: "request"}.get(sock.kind, "connection")
            peer = End(sock.daddr, sock.dport, sock.family == AF_INET6)
            values |= {"from": end_text(peer), "to": end}
            if kind == "connection":
                if sock.state != TCP_ESTABLISHED:
                    values["state"] = STATES[sock.state]
                values |= {"once_listened": True} if sock.rcu_free else {}
            if kind == "request":
                values["listener"] = self._names[sock.listener]
                values |= {"syncookie": True} if sock.syncookie else {}
            values |= {"v6only": True} if sock.ipv6only else {}
        elif sock.hashed == LHASH2 or self._was_listener(i, sock):
            kind = "listener"
            values |= {"listen": end, **self._v6only(sock)}
        elif sock.hashed == UDP_HASHED:
            kind = "udp"
            values |= self._udp(i, sock, end)
        else:
            kind = "bound"
            values |= {"bind": end, **self._v6only(sock)}
            if sock.protocol != IPPROTO_TCP:
                values["proto"] = _PROTOCOLS.get(sock.protocol, "tcp")
            if sock.rcu_free and sock.protocol != IPPROTO_UDP:
                values["once_listened"] = True
            if any(n != i and _conflicts(sock, other) for n, other in enumerate(self._s.socks)):
                values["reuseaddr"] = True
        values |= {"reuseport": True} if had_reuseport else {}
        device = self._spare.get(i, sock.bound_dev_if)
        if device:
            values["device"] = self._device(device)
        if sock.incoming_cpu != -1:
            values["incoming_cpu"] = sock.incoming_cpu
        if sock.netns:
            values["namespace"] = _SECOND
        if sock.refcnt != self._usual_refcnt(i, sock):
            values["refcnt"] = sock.refcnt
        later: Values = {}
        if device != sock.bound_dev_if:
            later["device"] = self._device(sock.bound_dev_if)
        if sock.reuseport_changed:
            later["reuseport"] = bool(sock.reuseport)
        if later and not any(act["socket"] == self._names[i] for _, act in self._later):
            self._later.append(("setsockopt", {"socket": self._names[i], **later}))
        return kind, values

    def _own_end(self, sock: Sock) -> str:
        return end_text(End(sock.rcv_saddr, sock.num, sock.family == AF_INET6))

    def _was_listener(self, i: int, sock: Sock) -> bool:
        """Whether a closed TCP socket is one that shutdown() was called for, as far as anybody can tell."""
        closed = sock.hashed == NOWHERE and sock.protocol == IPPROTO_TCP and sock.state == TCP_CLOSE
        named = any(other.listener == i for other in self._s.socks)
        return closed and bool(sock.rcu_free) and (sock.group != NONE or named)

    def _v6only(self, sock: Sock) -> Values:
        return {"v6only": True} if sock.ipv6only and not is_ipv6(sock.rcv_saddr) else {}

    def _udp(self, i: int, sock: Sock, end: str) -> Values:
        ipv6 = sock.family == AF_INET6
        values: Values = {"bind": end, **self._v6only(sock)}
        if sock.hash2 == STALE:
            raise NotInWords(f"{self._names[i]} is in the middle of connect(): hash2 is stale")
        if sock.hash2 == REHASHED:
            source = address_text(sock.rcv_saddr, ipv6).strip("[]")
            values = {"bind": end_text(End(ANY, sock.num, ipv6)), "source": source}
            values |= {"v6only": True} if sock.ipv6only else {}
        if sock.state == TCP_ESTABLISHED:
            values["connect"] = end_text(End(sock.daddr, sock.dport, ipv6))
            had_reuseport = _had_reuseport(sock)
            if sock.hash2 != REHASHED and had_reuseport and sock.group == NONE:
                values["left_group"] = True
        elif sock.daddr not in (ANY, MAPPED_ANY):
            raise NotInWords(f"{self._names[i]} is disconnected, and remembers its peer's address")
        if sock.mc_refuses:
            values["mc_refuses"] = True
        if any(n != i and _conflicts(sock, other) for n, other in enumerate(self._s.socks)):
            values["reuseaddr"] = True
        return values

    def _usual_refcnt(self, i: int, sock: Sock) -> int:
        packet = self._s.packet
        if sock.syncookie:
            return 0
        counted = packet.destructor == EDEMUX or sock.kind or not sock.rcu_free
        return 2 if packet.sk == i and counted else 1

    def _choose_spare_devices(self) -> None:
        """bind() refuses two sockets of one address: they were on other devices then, and SO_BINDTODEVICE has moved
        them since. All members of a group were on one.
        """
        socks = self._s.socks
        # whatever bind() of TCP was called for
        listeners = [
            i for i, sock in enumerate(socks) if sock.protocol == IPPROTO_TCP and not sock.kind and sock.hashed != EHASH
        ]
        unit = {i: (socks[i].group, -1) if socks[i].group != NONE else (NONE, i) for i in listeners}
        first = {key: next(i for i in listeners if unit[i] == key) for key in unit.values()}
        device = {key: socks[i].bound_dev_if for key, i in first.items()}
        spare = self._unused_device() + 1
        then = {
            i: socks[i]._replace(bound_dev_if=device[unit[i]], reuseport=_had_reuseport(socks[i])) for i in listeners
        }
        crowded = {
            unit[i]
            for i in listeners
            for n in listeners
            if unit[i] != unit[n]
            and _conflicts(then[i], then[n])
            and not (then[i].reuseport and then[n].reuseport and not is_alike(then[i], then[n]))
        }
        for number, key in enumerate(sorted(crowded)):
            device[key] = spare + number
        for i in listeners:
            if device[unit[i]] != socks[i].bound_dev_if:
                self._spare[i] = device[unit[i]]
        for i, sock in enumerate(socks):  # whom SO_BINDTODEVICE moved has left its group
            had_reuseport = _had_reuseport(sock)
            moved = sock.hashed == UDP_HASHED and had_reuseport and sock.group == NONE and sock.state == TCP_CLOSE
            if moved:
                self._spare[i] = spare + len(socks) + i

    # --- programs

    def _programs(self) -> Iterator[tuple[str, Values]]:
        s = self._s
        for number, group in enumerate(s.groups):
            if group.prog != PROG_NONE:
                yield "program", self._group_program(number, group)
        for number, net in enumerate(s.netns):
            for program in net.progs:
                values: Values = {"type": "sk_lookup"}
                if number:
                    values["namespace"] = _SECOND
                if program.assign != LEAVE:
                    values["select"] = self._names[program.assign] if program.assign >= 0 else "none"
                if program.no_reuseport:
                    values["no_reuseport"] = True
                if program.verdict == SK_DROP:
                    values["verdict"] = "drop"
                yield "program", values

    def _group_program(self, number: int, group: Group) -> Values:
        if not group.num_socks or self._s.socks[group.slots[0]].hashed not in (LHASH2, UDP_HASHED):
            raise NotInWords(f"the program of group {number} was attached to a socket that does not listen")
        member = self._names[group.slots[0]]
        if group.prog == SK_REUSEPORT:
            values: Values = {"type": "sk_reuseport", "attach": member}
            if group.select != NONE:
                values["select"] = self._names[group.select]
            return values | ({"verdict": "drop"} if group.verdict == SK_DROP else {})
        values = {"type": "filter", "attach": member, "returns": group.returns}
        return values | ({"reads_cb": True} if group.cb_access else {})


def _conflicts(one: Sock, other: Sock) -> bool:
    """Whether bind() refuses one of two sockets of one namespace that have neither SO_REUSEPORT nor SO_REUSEADDR, or
    would put both into one group.
    """
    devices = (one.bound_dev_if, other.bound_dev_if)
    return (
        (one.protocol, one.netns, one.num) == (other.protocol, other.netns, other.num)
        and (0 in devices or devices[0] == devices[1])
        and meet(one, other)
    )


def _had_reuseport(sock: Sock) -> int:
    """Whether a socket had SO_REUSEPORT in listen(), or of UDP in bind(): a listener in a group had it, unless it was
    taken into one later.
    """
    in_group = sock.hashed == LHASH2 and sock.group != NONE
    return int(not _joined_later(sock) and (in_group or sock.reuseport != sock.reuseport_changed))


def _joined_later(sock: Sock) -> bool:
    """Whether a socket has set SO_REUSEPORT too late, and was taken into a group by one that came after it."""
    return bool(sock.reuseport and sock.reuseport_changed and sock.group != NONE)


def _sysctl(tcp: int, udp: int) -> Values:
    values = {"net.ipv4.tcp_l3mdev_accept": tcp, "net.ipv4.udp_l3mdev_accept": udp}
    return {key: value for key, value in values.items() if value}
