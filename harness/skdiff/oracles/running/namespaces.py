"""Network namespaces of this process alone: made, given devices, and entered. They are gone when it ends, however it
ends, and nothing outside of them is touched.
"""

import ctypes
import os
import socket
from pathlib import Path

from pyroute2 import IPRoute, NetlinkError

from skdiff.base.errors import CannotRun
from skdiff.oracles.running.wires import Loopback, Wire

RIGHTS = "it takes root, or CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF"
_CLONE_NEWNET = 0x40000000
LO = 1
# Devices that a packet may come in by, besides lo; and those that sockets are bound to while they are made.
DEVICES = (2, 3)
PARKING = 100
_TABLE = 100
_SYSCTLS = Path("/proc/sys/net/ipv4")

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: int) -> None:
    if getattr(_libc, name)(*arguments):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


class Namespaces:
    """Some network namespaces, by their numbers from 0 on, each with lo, `DEVICES`, and `parking` more devices from
    PARKING on. The thread that made them is in one of them from then on. Raises CannotRun if that is not allowed.
    """

    def __init__(self, number: int, parking: int) -> None:
        self.fds: list[int] = []
        self.wires: list[dict[int, Wire | Loopback]] = []
        self.without_wires = ""  # why there are none
        self._open = -1
        for _ in range(number):
            try:
                _call("unshare", _CLONE_NEWNET)
            except OSError as error:
                raise CannotRun(f"a network namespace cannot be made: {error.strerror}; {RIGHTS}") from None
            self.fds.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
            self._make_wires()
            try:
                _make_devices(parking, bool(self.wires))
            except NetlinkError as error:
                raise CannotRun(f"devices cannot be made in a network namespace: {error}; {RIGHTS}") from None
        self.current = number - 1
        self._early_demux = 0
        self._l3mdev: dict[tuple[int, str], int] = {}

    def _make_wires(self) -> None:
        try:
            self.wires.append({LO: Loopback(), **{index: Wire(index) for index in DEVICES}})
        except CannotRun as error:
            self.without_wires = str(error)

    def enter(self, number: int) -> None:
        """Be in a namespace."""
        if number != self.current:
            _call("setns", self.fds[number], _CLONE_NEWNET)
            self.current = number

    def set_l3mdev_accept(self, number: int, protocol: str, value: int) -> None:
        """net.ipv4.tcp_l3mdev_accept and udp_l3mdev_accept of a namespace, which are 0 at first."""
        if self._l3mdev.get((number, protocol), 0) != value:
            self.enter(number)
            (_SYSCTLS / f"{protocol}_l3mdev_accept").write_text(str(value))
            self._l3mdev[number, protocol] = value

    def set_early_demux(self, value: int) -> None:
        """net.ipv4.ip_early_demux of all of them: whether UDP looks for a socket before the packet is routed."""
        if value != self._early_demux:
            for number in range(len(self.fds)):
                self.enter(number)
                (_SYSCTLS / "ip_early_demux").write_text(str(value))
            self._early_demux = value

    def close(self) -> None:
        """Let go of them."""
        for wires in self.wires:
            for wire in wires.values():
                wire.close()
        self.wires.clear()
        while self.fds:
            os.close(self.fds.pop())


def has_l3mdev() -> bool:
    """Whether this kernel has VRFs (CONFIG_NET_L3_MASTER_DEV)."""
    return (_SYSCTLS / "tcp_l3mdev_accept").exists()


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
        for family, everything in ((socket.AF_INET, "0.0.0.0/0"), (socket.AF_INET6, "::/0")):
            routes.route("add", dst=everything, family=family, oif=LO, table=_TABLE, type="local", scope="host")
            for name in ("lo", *(f"tun{index}" for index in DEVICES if wires)):
                # What comes in by it is for this host, whatever its address; lo stands for what goes out as well.
                routes.rule("add", family=family, iifname=name, table=_TABLE, priority=1)
        for index in DEVICES if wires else ():
            # include/net/ip6_route.h rt6_need_strict(): the route of a link-local address is of the packet's device.
            fe80 = {"dst": "fe80::/10", "family": socket.AF_INET6, "table": _TABLE, "type": "local"}
            routes.route("add", oif=index, priority=index, **fe80)
        for index in (LO, *DEVICES):
            # A socket that is bound to a device connects by it, the others by lo. Only connect() asks for the route.
            routes.route("add", dst="0.0.0.0/0", oif=index, priority=index)
            routes.route("add", dst="::/0", family=socket.AF_INET6, oif=index, priority=index)
    (_SYSCTLS / "conf/all/route_localnet").write_text("1")  # 127.0.0.0/8 by any device
    (_SYSCTLS / "conf/all/accept_local").write_text("1")  # a packet from an address of this host
    (_SYSCTLS / "tcp_early_demux").write_text("0")
    (_SYSCTLS / "ip_early_demux").write_text("0")
