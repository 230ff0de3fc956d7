"""Network namespaces of this process alone: made, given devices, and entered. They are gone when it ends, however it
ends, and nothing outside of them is touched.
"""

import contextlib
import errno
import os
import socket
import threading
from pathlib import Path

from pyroute2 import IPRoute, NetlinkError

from skdiff.base.errors import CannotRun
from skdiff.cases.addresses import is_ipv6, low_word
from skdiff.cases.derived import LOOPBACK_IFINDEX as LO
from skdiff.oracles.running.namespace_calls import CLONE_NEWNET, RIGHTS, setns, unshare
from skdiff.oracles.running.programs import OURS
from skdiff.oracles.running.wires import Own, Sender, Wire

_OPTIONS = "it takes bridges and policy routing (CONFIG_BRIDGE, CONFIG_IP_MULTIPLE_TABLES, CONFIG_IPV6_MULTIPLE_TABLES)"
# Devices that a packet may come in by, besides lo; a VRF and the device below it, where the kernel makes VRFs; and
# those that sockets are bound to while they are made.
DEVICES = (2, 3)
VRF, SLAVE = 4, 5
PARKING = 100
_TABLE, _LOCAL, _LAST = 100, 255, 30000
_INTO_VRF, _TABLE_OF_VRF = 98, 99
_OWN_TABLE = 300
_MOST_SOURCES, _MARK_BITS = 100, 8  # the marks of sockets have these bits
_NODAD, _NOPREFIXROUTE = 0x02, 0x200  # include/uapi/linux/if_addr.h
_VETH = b"\x02\0\0\0\0\1"  # the link layer address of each veth device: a frame is the same for all
_SYSCTLS = Path("/proc/sys/net/ipv4")
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
            except NetlinkError as error:
                takes = _OPTIONS if error.code in (errno.EOPNOTSUPP, errno.EAFNOSUPPORT) else RIGHTS
                said = os.strerror(error.code)
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
            except NetlinkError as also:
                self.without_wires = f"{error}, nor are there veth devices: {os.strerror(also.code)}"
                return {}
        self.wires.append({LO: Sender("lo", OURS), **wires})
        self.owns.append({index: Own(OURS + index) for index in (LO, *DEVICES)})
        return names

    def _make_pairs(self, number: int, names: dict[int, str]) -> dict[int, Wire | Sender]:
        others = {index: f"other{number}-{index}" for index in names}
        with IPRoute() as routes:
            for index, name in names.items():
                other = {"ifname": others[index], "net_ns_fd": self.spare}
                # Without ARP, as a TUN device: what leaves by it has no neighbour to wait for.
                routes.link("add", ifname=name, index=index, kind="veth", address=_VETH.hex(":"), peer=other)
                routes.link("set", index=index, arp=False)
        here = self.fds[number]
        self._enter(self.spare)
        try:
            for name in others.values():
                Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")
            with IPRoute() as routes:
                for name in others.values():
                    routes.link("set", ifname=name, state="up")
            return {index: Sender(name, OURS, _VETH) for index, name in others.items()}
        finally:
            self._enter(here)

    def _make_vrf(self) -> None:
        with IPRoute() as routes:
            try:
                routes.link("add", ifname=f"vrf{VRF}", index=VRF, kind="vrf", vrf_table=_TABLE_OF_VRF)
            except NetlinkError as error:
                self.without_vrf = f"this kernel makes no VRFs (CONFIG_NET_VRF): {os.strerror(error.code)}"
                return
            # What comes in by its device is a packet of the VRF: drivers/net/vrf.c vrf_ip_rcv().
            self.wires[-1][VRF] = self.wires[-1][SLAVE] = Wire(SLAVE, f"tun{SLAVE}")
            _set_up(routes, SLAVE, f"tun{SLAVE}", master=VRF)
            routes.link("set", index=VRF, state="up")
            # A socket on the wildcard of IPv6 takes an address of its VRF in connect(), if there is one.
            routes.addr("add", index=VRF, address="::1", prefixlen=128, flags=_NODAD)
            for family, everything in _EVERYTHING:
                # net/ipv4/ip_input.c ip_rcv_finish() looks for the route by the device, net/ipv6/ip6_input.c
                # ip6_rcv_finish() by the VRF.
                for name in (f"tun{SLAVE}", f"vrf{VRF}"):
                    routes.rule("add", family=family, iifname=name, table=_INTO_VRF, priority=1)
                local = {"type": "local", "scope": "host"}
                routes.route("add", family=family, dst=everything, oif=VRF, table=_INTO_VRF, **local)
                # A socket that is bound to the VRF, or to the device, connects by the device.
                routes.route("add", family=family, dst=everything, oif=SLAVE, table=_TABLE_OF_VRF)
            # drivers/net/vrf.c vrf_ip6_input_dst() looks there for the route of a link-local address.
            fe80 = {"dst": "fe80::/10", "family": socket.AF_INET6, "table": _TABLE_OF_VRF, "type": "local"}
            routes.route("add", oif=SLAVE, **fe80)

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
        with IPRoute() as routes:
            for family in (socket.AF_INET, socket.AF_INET6):
                unmarked = {"iifname": "lo", "fwmark": 0, "fwmask": 0xFFFFFFFF}
                routes.rule("add", family=family, action="blackhole", priority=0, **unmarked)

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
            except NetlinkError as error:
                raise OSError(0, f"no own end at an address: {os.strerror(error.code)}") from None
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
    try:
        with IPRoute() as routes:
            with contextlib.suppress(NetlinkError):  # it is there
                routes.tc("add", "clsact", index)
            parent = "ffff:fff3" if leaving else "ffff:fff2"
            how = {"fd": program, "name": "skdiff", "classid": 1, "direct_action": True}
            routes.tc("add-filter", "bpf", index, ":1", parent=parent, **how)
    except NetlinkError as error:
        raise OSError(error.code, os.strerror(error.code)) from None


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
    with IPRoute() as routes:
        if family == socket.AF_INET6:
            flags = _NODAD | _NOPREFIXROUTE
            routes.addr("replace", index=VRF if in_vrf else LO, address=text, prefixlen=128, flags=flags)
        else:  # in a table where everything is this host's, anything may be a source
            routes.route("add", dst=everything, oif=LO, table=table, type="local", scope="host")
        for index in (SLAVE,) if in_vrf else (LO, *DEVICES):
            routes.route("add", family=family, dst=everything, oif=index, table=table, prefsrc=text, priority=index)
        if family == socket.AF_INET:
            routes.route("del", dst=everything, oif=LO, table=table, type="local", scope="host")
        routes.rule("add", family=family, fwmark=table << _MARK_BITS, table=table, priority=0)


def _set_up(routes: IPRoute, index: int, name: str, **how: int) -> None:
    """Set a device up, which sends no router solicitations (IN6_ADDR_GEN_MODE_NONE)."""
    (_SYSCTLS.parent / f"ipv6/conf/{name}/addr_gen_mode").write_text("1")
    routes.link("set", index=index, state="up", **how)


def _make_devices(parking: int, wires: dict[int, str]) -> None:
    """To park on, bridges: they need no module on most kernels, and no peer."""
    with IPRoute() as routes:
        routes.link("set", index=LO, state="up")
        for index in (*(() if wires else DEVICES), *range(PARKING, PARKING + parking)):
            routes.link("add", ifname=f"br{index}", index=index, kind="bridge")
            routes.link("set", index=index, state="up")
        for index, name in wires.items():
            _set_up(routes, index, name)
        for family in (socket.AF_INET, socket.AF_INET6):  # behind the others, not in front of them
            routes.rule("add", family=family, table=_LOCAL, priority=_LAST)
            routes.rule("del", family=family, table=_LOCAL, priority=0)
        # A reset comes from an address of this host alone: net/ipv4/devinet.c __ip_dev_find() looks into that table.
        routes.route("add", dst="0.0.0.0/0", oif=LO, table=_LOCAL, type="local", scope="host")
        for family, everything in _EVERYTHING:
            routes.route("add", dst=everything, family=family, oif=LO, table=_TABLE, type="local", scope="host")
            for index in (LO, *DEVICES):  # rt_iif is that of the local route: net/ipv4/route.c __mkroute_output()
                table = _OWN_TABLE + index
                routes.route("add", dst=everything, family=family, oif=index, table=table, type="local", scope="host")
                routes.rule("add", family=family, fwmark=OURS + index, table=table, priority=0)
            for name in ("lo", *wires.values()):
                # What comes in by it is for this host, whatever its address; lo stands for what goes out as well.
                routes.rule("add", family=family, iifname=name, table=_TABLE, priority=1)
        for index in wires:
            # include/net/ip6_route.h rt6_need_strict(): the route of a link-local address is of the packet's device.
            fe80 = {"dst": "fe80::/10", "family": socket.AF_INET6, "table": _TABLE, "type": "local"}
            routes.route("add", oif=index, priority=index, **fe80)
        for index in (LO, *DEVICES, *range(PARKING, PARKING + parking)):
            # A socket that is bound to a device connects by it, the others by lo.
            routes.route("add", dst="0.0.0.0/0", oif=index, priority=index)
            routes.route("add", dst="::/0", family=socket.AF_INET6, oif=index, priority=index)
    (_SYSCTLS / "conf/all/route_localnet").write_text("1")  # 127.0.0.0/8 by any device
    (_SYSCTLS / "conf/all/accept_local").write_text("1")  # a packet from an address of this host
    # Requests are made of each SYN, and a timewait socket answers whatever it does not expect.
    for name in ("tcp_early_demux", "ip_early_demux", "tcp_syncookies", "tcp_invalid_ratelimit"):
        (_SYSCTLS / name).write_text("0")
