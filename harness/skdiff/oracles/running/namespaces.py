"""Network namespaces of this process alone: made, given devices, and entered. They are gone when it ends, however it
ends, and nothing outside of them is touched.
"""

import contextlib
import ctypes
import os
import socket
import threading
from pathlib import Path

from pyroute2 import IPRoute, NetlinkError

from skdiff.base.errors import CannotRun
from skdiff.cases.addresses import is_ipv6, low_word
from skdiff.cases.derived import LOOPBACK_IFINDEX as LO
from skdiff.oracles.running.programs import OURS
from skdiff.oracles.running.wires import Loopback, Own, Wire

RIGHTS = "it takes root, or CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF"
_CLONE_NEWNET = 0x40000000
# Devices that a packet may come in by, besides lo; and those that sockets are bound to while they are made.
DEVICES = (2, 3)
PARKING = 100
_TABLE, _LOCAL, _LAST = 100, 255, 30000
_OWN_TABLE = 300
_MOST_SOURCES, _MARK_BITS = 100, 8  # the marks of sockets have these bits
_NODAD, _NOPREFIXROUTE = 0x02, 0x200  # include/uapi/linux/if_addr.h
_SYSCTLS = Path("/proc/sys/net/ipv4")

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: int) -> None:
    if getattr(_libc, name)(*arguments):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


_here = threading.local()  # .fd: the namespace that this thread is in, of whichever object


class Namespaces:
    """Some network namespaces, by their numbers from 0 on, each with lo, `DEVICES`, and `parking` more devices from
    PARKING on; and a `spare` one without devices. The thread that made them is in one of them from then on. Raises
    CannotRun if that is not allowed.
    """

    def __init__(self, number: int, parking: int) -> None:
        self.fds: list[int] = []
        self.wires: list[dict[int, Wire | Loopback]] = []
        self.owns: list[dict[int, Own]] = []  # of packets of a namespace's own, by the device of their route
        self.without_wires = ""  # why there are none
        for _ in range(number):
            self.fds.append(_unshared())
            self._make_wires()
            try:
                _make_devices(parking, bool(self.wires))
            except NetlinkError as error:
                raise CannotRun(f"devices cannot be made in a network namespace: {error}; {RIGHTS}") from None
        self.spare = _here.fd = _unshared()
        self._early_demux = 0
        self._l3mdev: dict[tuple[int, str], int] = {}
        self._sysctls: dict[tuple[int, str], int] = {}
        self._sources: dict[tuple[int, int], int] = {}

    def _make_wires(self) -> None:
        try:
            self.wires.append({LO: Loopback(OURS), **{index: Wire(index) for index in DEVICES}})
            self.owns.append({index: Own(OURS + index) for index in (LO, *DEVICES)})
        except CannotRun as error:
            self.without_wires = str(error)

    def enter(self, number: int) -> None:
        """Be in a namespace."""
        fd = self.fds[number]
        if fd != getattr(_here, "fd", None):
            _call("setns", fd, _CLONE_NEWNET)
            _here.fd = fd

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

    def source(self, number: int, address: int) -> int:
        """A mark (SO_MARK) with which connect() from the wildcard takes this address of an own end. Raises OSError if
        the kernel cannot have it.
        """
        key = (number, address)
        if key not in self._sources:
            self._sources[key] = 0
            table = _TABLE + len(self._sources)
            if len(self._sources) > _MOST_SOURCES:
                raise OSError(0, "too many addresses of own ends")
            self.enter(number)
            try:
                _add_source(address, table)
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
        for wire in (wire for wires in self.wires for wire in wires.values()):
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
        _call("unshare", _CLONE_NEWNET)
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


def _add_source(address: int, table: int) -> None:
    """Routes of a table, by each device, from an address."""
    if is_ipv6(address):
        family, everything, numbers = socket.AF_INET6, "::/0", address.to_bytes(16, "big")
    else:
        family, everything, numbers = socket.AF_INET, "0.0.0.0/0", low_word(address).to_bytes(4, "big")
    text = socket.inet_ntop(family, numbers)
    with IPRoute() as routes:
        if family == socket.AF_INET6:
            routes.addr("replace", index=LO, address=text, prefixlen=128, flags=_NODAD | _NOPREFIXROUTE)
        else:  # in a table where everything is this host's, anything may be a source
            routes.route("add", dst=everything, oif=LO, table=table, type="local", scope="host")
        for index in (LO, *DEVICES):
            routes.route("add", family=family, dst=everything, oif=index, table=table, prefsrc=text, priority=index)
        if family == socket.AF_INET:
            routes.route("del", dst=everything, oif=LO, table=table, type="local", scope="host")
        routes.rule("add", family=family, fwmark=table << _MARK_BITS, table=table, priority=0)


def _make_devices(parking: int, wires: bool) -> None:
    """To park on, bridges: they need no module on most kernels, and no peer."""
    with IPRoute() as routes:
        routes.link("set", index=LO, state="up")
        for index in (*(() if wires else DEVICES), *range(PARKING, PARKING + parking)):
            routes.link("add", ifname=f"br{index}", index=index, kind="bridge")
            routes.link("set", index=index, state="up")
        for index in DEVICES if wires else ():
            # No router solicitations (IN6_ADDR_GEN_MODE_NONE).
            (_SYSCTLS.parent / f"ipv6/conf/tun{index}/addr_gen_mode").write_text("1")
            routes.link("set", index=index, state="up")
        for family in (socket.AF_INET, socket.AF_INET6):  # behind the others, not in front of them
            routes.rule("add", family=family, table=_LOCAL, priority=_LAST)
            routes.rule("del", family=family, table=_LOCAL, priority=0)
        # A reset comes from an address of this host alone: net/ipv4/devinet.c __ip_dev_find() looks into that table.
        routes.route("add", dst="0.0.0.0/0", oif=LO, table=_LOCAL, type="local", scope="host")
        for family, everything in ((socket.AF_INET, "0.0.0.0/0"), (socket.AF_INET6, "::/0")):
            routes.route("add", dst=everything, family=family, oif=LO, table=_TABLE, type="local", scope="host")
            for index in (LO, *DEVICES):  # rt_iif is that of the local route: net/ipv4/route.c __mkroute_output()
                table = _OWN_TABLE + index
                routes.route("add", dst=everything, family=family, oif=index, table=table, type="local", scope="host")
                routes.rule("add", family=family, fwmark=OURS + index, table=table, priority=0)
            for name in ("lo", *(f"tun{index}" for index in DEVICES if wires)):
                # What comes in by it is for this host, whatever its address; lo stands for what goes out as well.
                routes.rule("add", family=family, iifname=name, table=_TABLE, priority=1)
        for index in DEVICES if wires else ():
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
