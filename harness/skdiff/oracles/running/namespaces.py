"""Network namespaces of this process alone: made, given devices, and entered. They are gone when it ends, however it
ends, and nothing outside of them is touched.
"""

import contextlib
import errno
import os
import socket
import threading
from pathlib import Path

from skdiff.base.errors import CannotRun
from skdiff.cases.addresses import is_ipv6, low_word
from skdiff.cases.derived import LOOPBACK_IFINDEX as LO
from skdiff.oracles.running.namespace_calls import CLONE_NEWNET, RIGHTS, setns, unshare
from skdiff.oracles.running.programs import OURS
from skdiff.oracles.running.rtnetlink import EGRESS, INGRESS, Refused, Routes
from skdiff.oracles.running.wires import Own, Sender, Wire

_OPTIONS = "it takes bridges and policy routing (CONFIG_BRIDGE, CONFIG_IP_MULTIPLE_TABLES, CONFIG_IPV6_MULTIPLE_TABLES)"
# Devices that a packet may come in by, besides lo; a VRF and the device below it, where the kernel makes VRFs; and
# those that sockets are bound to while they are made.
DEVICES = (2, 3)
VRF, SLAVE = 4, 5
PARKING = 100
_TABLE, _MAIN, _LOCAL, _LAST = 100, 254, 255, 30000
_INTO_VRF, _TABLE_OF_VRF = 98, 99
_OWN_TABLE = 300
_MOST_SOURCES, _MARK_BITS = 100, 8  # the marks of sockets have these bits
_NODAD, _NOPREFIXROUTE = 0x02, 0x200  # include/uapi/linux/if_addr.h
_VETH = b"\x02\0\0\0\0\1"  # the link layer address of each veth device: a frame is the same for all
_SYSCTLS = Path("/proc/sys/net/ipv4")
_LINK_LOCAL = "fe80::/10"
_EVERYTHING = ((socket.AF_INET, "0.0.0.0/0"), (socket.AF_INET6, "::/0"))

_here = threading.local()  # .fd: the namespace that this thread is in, of whichever object


class Namespaces:
    """Some network namespaces, by their numbers from 0 on, each with lo, `DEVICES`, `VRF` and `SLAVE`, and `parking`
    more devices from PARKING on; and a `spare` one without devices. The thread that made them is in one of them from
    then on. Raises CannotRun if that is not allowed.
    """

    def __init__(self, number: int, parking: int) -> None:
        self.fds: list[int] = []
        self.wires: list[dict[int, Wire | Sender]] = []
        self.owns: list[dict[int, Own]] = []  # of packets of a namespace's own, by the device of their route
        self.names: dict[int, str] = {}  # of the devices that packets come in by, besides lo
        self.without_wires = self.without_vrf = ""  # why there are none
        self.spare = _here.fd = _unshared()
        for this in range(number):
            self.fds.append(_unshared())
            _here.fd = self.fds[-1]
            try:
                self.names = self._make_wires(this)
                _make_devices(parking, self.names)
                if self.wires and not self.without_vrf:
                    self._make_vrf()
            except Refused as error:
                takes = _OPTIONS if error.errno in (errno.EOPNOTSUPP, errno.EAFNOSUPPORT) else RIGHTS
                said = error.strerror
                raise CannotRun(f"devices cannot be made in a network namespace: {said}; {takes}") from None
        self._early_demux = 0
        self._l3mdev: dict[tuple[int, str], int] = {}
        self._sysctls: dict[tuple[int, str], int] = {}
        self._sources: dict[tuple[int, int, bool], int] = {}

    def _make_wires(self, number: int) -> dict[int, str]:
        """The names of the devices that packets come in by, besides lo: TUN devices, or else pairs whose other ends are
        in the spare namespace. Without these there are none, and none of lo either.
        """
        names = {index: f"tun{index}" for index in DEVICES}
        try:
            wires: dict[int, Wire | Sender] = {index: Wire(index, name) for index, name in names.items()}
        except CannotRun as error:
            names = {index: f"veth{index}" for index in DEVICES}
            self.without_vrf = str(error)
            try:
                wires = self._make_pairs(number, names)
            except Refused as also:
                self.without_wires = f"{error}, nor are there veth devices: {also.strerror}"
                return {}
        self.wires.append({LO: Sender("lo", OURS), **wires})
        self.owns.append({index: Own(OURS + index) for index in (LO, *DEVICES)})
        return names

    def _make_pairs(self, number: int, names: dict[int, str]) -> dict[int, Wire | Sender]:
        others = {index: f"other{number}-{index}" for index in names}
        with Routes() as routes:
            for index, name in names.items():
                # Without ARP, as a TUN device: what leaves by it has no neighbour to wait for.
                routes.add_pair(index, name, _VETH, others[index], self.spare)
                routes.without_arp(index)
        here = self.fds[number]
        self._enter(self.spare)
        try:
            for name in others.values():
                Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")
            with Routes() as routes:
                for name in others.values():
                    routes.up_by_name(name)
            return {index: Sender(name, OURS, _VETH) for index, name in others.items()}
        finally:
            self._enter(here)

    def _make_vrf(self) -> None:
        with Routes() as routes:
            routes.add_vrf(VRF, f"vrf{VRF}", _TABLE_OF_VRF)
            try:
                routes.do()
            except Refused as error:
                self.without_vrf = f"this kernel makes no VRFs (CONFIG_NET_VRF): {error.strerror}"
                return
            # What comes in by its device is a packet of the VRF: drivers/net/vrf.c vrf_ip_rcv().
            self.wires[-1][VRF] = self.wires[-1][SLAVE] = Wire(SLAVE, f"tun{SLAVE}")
            _set_up(routes, SLAVE, f"tun{SLAVE}", master=VRF)
            routes.up(VRF)
            # A socket on the wildcard of IPv6 takes an address of its VRF in connect(), if there is one.
            routes.put_ipv6(VRF, "::1", _NODAD)
            for family, everything in _EVERYTHING:
                # net/ipv4/ip_input.c ip_rcv_finish() looks for the route by the device, net/ipv6/ip6_input.c
                # ip6_rcv_finish() by the VRF.
                for name in (f"tun{SLAVE}", f"vrf{VRF}"):
                    routes.rule(family, _INTO_VRF, 1, comes_by=name)
                routes.local(everything, VRF, _INTO_VRF)
                # A socket that is bound to the VRF, or to the device, connects by the device.
                routes.route(everything, SLAVE, _TABLE_OF_VRF)
            # drivers/net/vrf.c vrf_ip6_input_dst() looks there for the route of a link-local address.
            routes.local(_LINK_LOCAL, SLAVE, _TABLE_OF_VRF)

    def enter(self, number: int) -> None:
        """Be in a namespace."""
        self._enter(self.fds[number])

    def _enter(self, fd: int) -> None:
        if fd != getattr(_here, "fd", None):
            setns(fd, CLONE_NEWNET)
            _here.fd = fd

    def silence(self, number: int) -> None:
        """Let a namespace send nothing by itself: what has no mark goes nowhere, such as ICMP's errors."""
        self.enter(number)
        with Routes() as routes:
            for family in (socket.AF_INET, socket.AF_INET6):
                routes.drop_unmarked(family)

    def set_l3mdev_accept(self, number: int, protocol: str, value: int) -> None:
        """net.ipv4.tcp_l3mdev_accept and udp_l3mdev_accept of a namespace, which are 0 at first."""
        if self._l3mdev.get((number, protocol), 0) != value:
            self._set(number, f"{protocol}_l3mdev_accept", value)
            self._l3mdev[number, protocol] = value

    def set_early_demux(self, value: int) -> None:
        """net.ipv4.ip_early_demux of all of them: whether UDP looks for a socket before the packet is routed."""
        if value != self._early_demux:
            for number in range(len(self.fds)):
                self._set(number, "ip_early_demux", value)
            self._early_demux = value

    def source(self, number: int, address: int, device: int) -> int:
        """A mark (SO_MARK) with which connect() from the wildcard, of a socket that is bound to a device, takes this
        address of an own end. Raises OSError if the kernel cannot have it.
        """
        in_vrf = device in (VRF, SLAVE)
        key = (number, address, in_vrf)
        if key not in self._sources:
            self._sources[key] = 0
            table = _TABLE + len(self._sources)
            if len(self._sources) > _MOST_SOURCES:
                raise OSError(0, "too many addresses of own ends")
            self.enter(number)
            try:
                _add_source(address, table, in_vrf)
            except Refused as error:
                raise OSError(0, f"no own end at an address: {error.strerror}") from None
            self._sources[key] = table << _MARK_BITS
        if not self._sources[key]:
            raise OSError(0, "no own end at an address")
        return self._sources[key]

    def _set(self, number: int, name: str, value: int) -> None:
        if (number, name) not in self._sysctls:  # an open one stays that of its namespace
            self.enter(number)
            self._sysctls[number, name] = os.open(_SYSCTLS / name, os.O_WRONLY | os.O_CLOEXEC)
        os.pwrite(self._sysctls[number, name], str(value).encode(), 0)

    def close(self) -> None:
        """Let go of them."""
        _here.fd = None
        for wire in {wire for wires in self.wires for wire in wires.values()}:
            wire.close()
        for own in (own for owns in self.owns for own in owns.values()):
            own.close()
        self.wires.clear()
        self.owns.clear()
        while self._sysctls:
            os.close(self._sysctls.popitem()[1])
        for fd in (*self.fds, self.spare):
            os.close(fd)
        self.fds.clear()


def _unshared() -> int:
    """A new network namespace, in which this thread is from now on. Raises CannotRun."""
    try:
        unshare(CLONE_NEWNET)
    except OSError as error:
        raise CannotRun(f"a network namespace cannot be made: {error.strerror}; {RIGHTS}") from None
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def attach_by_tc(program: int, index: int, leaving: bool) -> None:
    """Show a program each packet that comes in by a device of this namespace, or that is leaving, by its qdisc clsact,
    which older kernels have too. Raises OSError where they have not cls_bpf.
    """
    with Routes() as routes:
        routes.clsact(index)
        with contextlib.suppress(Refused):  # it is there
            routes.do()
        routes.show(index, EGRESS if leaving else INGRESS, program, "skdiff")


def has_l3mdev() -> bool:
    """Whether this kernel has VRFs (CONFIG_NET_L3_MASTER_DEV)."""
    return (_SYSCTLS / "tcp_l3mdev_accept").exists()


def _add_source(address: int, table: int, in_vrf: bool) -> None:
    """Routes of a table, by each device, from an address. A socket of a VRF has routes of its devices alone, and their
    addresses: net/ipv4/fib_semantics.c fib_select_path(), net/ipv6/addrconf.c __ipv6_chk_addr_and_flags().
    """
    if is_ipv6(address):
        family, everything, numbers = socket.AF_INET6, "::/0", address.to_bytes(16, "big")
    else:
        family, everything, numbers = socket.AF_INET, "0.0.0.0/0", low_word(address).to_bytes(4, "big")
    text = socket.inet_ntop(family, numbers)
    with Routes() as routes:
        if family == socket.AF_INET6:
            routes.put_ipv6(VRF if in_vrf else LO, text, _NODAD | _NOPREFIXROUTE)
        else:  # in a table where everything is this host's, anything may be a source
            routes.local(everything, LO, table)
        for index in (SLAVE,) if in_vrf else (LO, *DEVICES):
            routes.route(everything, index, table, index, text)
        if family == socket.AF_INET:
            routes.no_local(everything, LO, table)
        routes.do()
        routes.rule(family, table, 0, mark=table << _MARK_BITS)


def _set_up(routes: Routes, index: int, name: str, master: int = 0) -> None:
    """Set a device up, which sends no router solicitations (IN6_ADDR_GEN_MODE_NONE)."""
    (_SYSCTLS.parent / f"ipv6/conf/{name}/addr_gen_mode").write_text("1")
    routes.up(index, master)


def _make_devices(parking: int, wires: dict[int, str]) -> None:
    """To park on, bridges: they need no module on most kernels, and no peer."""
    with Routes() as routes:
        routes.up(LO)
        for index in (*(() if wires else DEVICES), *range(PARKING, PARKING + parking)):
            routes.add_device(index, f"br{index}", "bridge")
            routes.up(index)
        for index, name in wires.items():
            _set_up(routes, index, name)
        for family in (socket.AF_INET, socket.AF_INET6):  # behind the others, not in front of them
            routes.rule(family, _LOCAL, _LAST)
            routes.no_rule(family, _LOCAL, 0)
        # A reset comes from an address of this host alone: net/ipv4/devinet.c __ip_dev_find() looks into that table.
        routes.local("0.0.0.0/0", LO, _LOCAL)
        for family, everything in _EVERYTHING:
            routes.local(everything, LO, _TABLE)
            for index in (LO, *DEVICES):  # rt_iif is that of the local route: net/ipv4/route.c __mkroute_output()
                table = _OWN_TABLE + index
                routes.local(everything, index, table)
                routes.rule(family, table, 0, mark=OURS + index)
            for name in ("lo", *wires.values()):
                # What comes in by it is for this host, whatever its address; lo stands for what goes out as well.
                routes.rule(family, _TABLE, 1, comes_by=name)
        for index in wires:
            # include/net/ip6_route.h rt6_need_strict(): the route of a link-local address is of the packet's device.
            routes.local(_LINK_LOCAL, index, _TABLE, index)
        for index in (LO, *DEVICES, *range(PARKING, PARKING + parking)):
            # A socket that is bound to a device connects by it, the others by lo.
            for _, everything in _EVERYTHING:
                routes.route(everything, index, _MAIN, index)
    (_SYSCTLS / "conf/all/route_localnet").write_text("1")  # 127.0.0.0/8 by any device
    (_SYSCTLS / "conf/all/accept_local").write_text("1")  # a packet from an address of this host
    # Requests are made of each SYN, and a timewait socket answers whatever it does not expect.
    for name in ("tcp_early_demux", "ip_early_demux", "tcp_syncookies", "tcp_invalid_ratelimit"):
        (_SYSCTLS / name).write_text("0")
