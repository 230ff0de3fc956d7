"""Devices, addresses, routes, rules and filters of a network namespace, made by messages of rtnetlink(7).

pyroute2 can do all of this. But it is two thirds of what an emulated guest loads, and each of its requests takes one of
these 17 ms: with it ten seconds of a boot are spent here.
"""

import os
import socket
import struct
from typing import Self

NLM_F_REQUEST, NLM_F_ACK, NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE = 0x1, 0x4, 0x100, 0x200, 0x400
_NEW = NLM_F_CREATE | NLM_F_EXCL
# include/uapi/linux/rtnetlink.h
_NEWLINK, _NEWADDR, _NEWROUTE, _DELROUTE, _NEWRULE, _DELRULE, _NEWQDISC, _NEWTFILTER = 16, 20, 24, 25, 32, 33, 36, 44
_NLMSG_ERROR = 2
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence number, port
_RTPROT_STATIC, _UNIVERSE, _HOST_SCOPE, _UNICAST, _LOCAL = 4, 0, 254, 1, 2
_IFF_UP, _IFF_NOARP = 0x1, 0x80
_TO_TABLE, _BLACKHOLE = 1, 6  # include/uapi/linux/fib_rules.h
_CLSACT, _CLSACT_PARENT = 0xFFFF0000, 0xFFFFFFF1
INGRESS, EGRESS = 0xFFFFFFF2, 0xFFFFFFF3  # include/uapi/linux/pkt_sched.h TC_H_MIN_INGRESS, TC_H_MIN_EGRESS
_ETH_P_ALL = socket.htons(3)
_READ = 1 << 16


class Refused(OSError):
    """The kernel has not done what a message asked for; `errno` says why."""


class Routes:
    """Requests to the network namespace that the thread is in: they are collected, and done in their order by `do`, or
    when the context is left. Devices are given by their index, tables by their number, networks as text
    ("fe80::/10").
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._messages: list[bytes] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        with self._socket:
            if kind is None:
                self.do()

    def do(self) -> None:
        """Let the kernel do what was asked for, all of it. Raises Refused for the first that it refuses."""
        if not self._messages:
            return
        # Only who asks, or is refused, is answered: net/netlink/af_netlink.c netlink_rcv_skb().
        last = len(self._messages) - 1
        self._socket.send(b"".join(_numbered(body, i, i == last) for i, body in enumerate(self._messages)))
        self._messages = []
        refused = 0
        while True:
            answers, at = self._socket.recv(_READ), 0
            while at < len(answers):
                length, kind, _, number, _ = _HEADER.unpack_from(answers, at)
                if kind == _NLMSG_ERROR:
                    (error,) = struct.unpack_from("=i", answers, at + _HEADER.size)
                    refused = refused or -error
                    if number == last:
                        if refused:
                            raise Refused(refused, os.strerror(refused))
                        return
                at += _aligned(length)

    def _ask(self, kind: int, flags: int, head: bytes, *attributes: bytes) -> None:
        self._messages.append(_HEADER.pack(0, kind, flags, 0, 0) + head + b"".join(attributes))

    def add_device(self, index: int, name: str, kind: str, *more: bytes, data: bytes = b"") -> None:
        """Make a device of a kind ("bridge"). `data` are attributes of the kind, `more` those of any device."""
        of_kind = _attribute(1, kind.encode()), _attribute(2, data) if data else b""  # IFLA_INFO_KIND, IFLA_INFO_DATA
        # IFLA_IFNAME, IFLA_LINKINFO
        self._ask(_NEWLINK, _NEW, _device(index), _attribute(3, _text(name)), *more, _attribute(18, b"".join(of_kind)))

    def add_vrf(self, index: int, name: str, table: int) -> None:
        """Make a VRF."""
        self.add_device(index, name, "vrf", data=_number(1, table))  # IFLA_VRF_TABLE

    def add_pair(self, index: int, name: str, address: bytes, other: str, namespace: int) -> None:
        """Make a pair of veth devices, of which this one has a link layer address, and the other one is in the
        namespace of a file descriptor.
        """
        peer = _device(0) + _attribute(3, _text(other)) + _number(28, namespace)  # IFLA_NET_NS_FD
        # IFLA_ADDRESS, VETH_INFO_PEER
        self.add_device(index, name, "veth", _attribute(1, address), data=_attribute(1, peer))

    def without_arp(self, index: int) -> None:
        """Let a device look for no neighbours."""
        self._ask(_NEWLINK, 0, _device(index, _IFF_NOARP))

    def up(self, index: int, master: int = 0) -> None:
        """Set a device up, as one of a master's if there is one."""
        self._ask(_NEWLINK, 0, _device(index, _IFF_UP), _number(10, master) if master else b"")  # IFLA_MASTER

    def up_by_name(self, name: str) -> None:
        """Set a device up whose index is not known."""
        self._ask(_NEWLINK, 0, _device(0, _IFF_UP), _attribute(3, _text(name)))  # IFLA_IFNAME

    def put_ipv6(self, index: int, address: str, flags: int) -> None:
        """Give a device an address of IPv6, which it may have already."""
        head = struct.pack("=BBBBi", socket.AF_INET6, 128, flags & 0xFF, 0, index)
        packed = _attribute(1, _address(address)[1])  # IFA_ADDRESS
        self._ask(_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, head, packed, _number(8, flags))  # IFA_FLAGS

    def route(self, to: str, index: int, table: int, priority: int = 0, source: str = "") -> None:
        """Add a route by a device, whose packets have a `source` address if there is one."""
        prefer = _attribute(7, _address(source)[1]) if source else b""  # RTA_PREFSRC
        self._route(_NEWROUTE, to, index, table, (_UNIVERSE, _UNICAST), _number(6, priority), prefer)  # RTA_PRIORITY

    def local(self, to: str, index: int, table: int, priority: int = 0) -> None:
        """Add a route: who is sent to there is this host."""
        self._route(_NEWROUTE, to, index, table, (_HOST_SCOPE, _LOCAL), _number(6, priority))

    def no_local(self, to: str, index: int, table: int) -> None:
        """Take a route of `local` away."""
        self._route(_DELROUTE, to, index, table, (_HOST_SCOPE, _LOCAL))

    def _route(
        self, asked: int, to: str, index: int, table: int, scope_and_type: tuple[int, int], *more: bytes
    ) -> None:
        text, _, bits = to.partition("/")
        family, packed = _address(text)
        head = struct.pack("=8BI", family, int(bits), 0, 0, 0, _RTPROT_STATIC, *scope_and_type, 0)
        goal = _attribute(1, packed) if int(bits) else b""  # RTA_DST
        flags = _NEW if asked == _NEWROUTE else 0
        self._ask(asked, flags, head, goal, _number(4, index), _number(15, table), *more)  # RTA_OIF, RTA_TABLE

    def rule(self, family: int, table: int, priority: int, mark: int = 0, comes_by: str = "") -> None:
        """Add a rule: look into a table for what has a mark, or comes in by a device; for all without these."""
        # FRA_IIFNAME, FRA_FWMARK
        of = (_attribute(3, _text(comes_by)) if comes_by else b"", _number(10, mark) if mark else b"")
        self._ask(_NEWRULE, _NEW, _rule(family), _number(15, table), _number(6, priority), *of)

    def no_rule(self, family: int, table: int, priority: int) -> None:
        """Take a rule away."""
        self._ask(_DELRULE, 0, _rule(family), _number(15, table), _number(6, priority))  # FRA_TABLE, FRA_PRIORITY

    def drop_unmarked(self, family: int) -> None:
        """Add a rule, before all others: what is sent here and has no mark goes nowhere."""
        of = _attribute(3, _text("lo")), _number(10, 0), _number(16, 0xFFFFFFFF)  # FRA_FWMASK
        self._ask(_NEWRULE, _NEW, _rule(family, _BLACKHOLE), _number(6, 0), *of)

    def clsact(self, index: int) -> None:
        """Give a device the qdisc that shows programs its packets."""
        head = struct.pack("=BxxxiIII", 0, index, _CLSACT, _CLSACT_PARENT, 0)
        self._ask(_NEWQDISC, _NEW, head, _attribute(1, _text("clsact")))  # TCA_KIND

    def show(self, index: int, parent: int, program: int, name: str) -> None:
        """Show a program the packets of a device that has clsact: those that come in (INGRESS), or leave (EGRESS)."""
        head = struct.pack("=BxxxiIII", 0, index, 1, parent, _ETH_P_ALL)
        # TCA_BPF_FD, TCA_BPF_NAME, TCA_BPF_CLASSID, TCA_BPF_FLAGS: TCA_BPF_FLAG_ACT_DIRECT
        options = _number(6, program), _attribute(7, _text(name)), _number(3, 1), _number(8, 1)
        # TCA_KIND, TCA_OPTIONS
        self._ask(_NEWTFILTER, _NEW, head, _attribute(1, _text("bpf")), _attribute(2, b"".join(options)))


def _numbered(message: bytes, number: int, answered: bool) -> bytes:
    _, kind, flags, _, _ = _HEADER.unpack_from(message)
    flags |= NLM_F_REQUEST | (NLM_F_ACK if answered else 0)
    return _HEADER.pack(len(message), kind, flags, number, 0) + message[_HEADER.size :]


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def _attribute(kind: int, value: bytes) -> bytes:
    length = 4 + len(value)
    return struct.pack("=HH", length, kind) + value + bytes(_aligned(length) - length)


def _number(kind: int, value: int) -> bytes:
    return struct.pack("=HHI", 8, kind, value)


def _text(text: str) -> bytes:
    return text.encode() + b"\0"


def _address(text: str) -> tuple[int, bytes]:
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    return family, socket.inet_pton(family, text)


def _device(index: int, flags: int = 0) -> bytes:
    """A struct ifinfomsg, and which of its flags are set."""
    return struct.pack("=BxHiII", 0, 0, index, flags, flags)


def _rule(family: int, action: int = _TO_TABLE) -> bytes:
    """A struct fib_rule_hdr."""
    return struct.pack("=8BI", family, 0, 0, 0, 0, 0, 0, action, 0)
