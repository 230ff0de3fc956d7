"""Network namespaces of this process alone: made, given devices, and entered. They are gone when it ends, however it
ends, and nothing outside of them is touched.
"""

import ctypes
import os
import socket
from pathlib import Path

from pyroute2 import IPRoute

from skdiff.base.errors import CannotRun

_CLONE_NEWNET = 0x40000000
LO = 1
# Devices that a packet may come in by, besides lo; and those that sockets are bound to while they are made.
DEVICES = (2, 3)
PARKING = 100
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
        self._open = -1
        for _ in range(number):
            try:
                _call("unshare", _CLONE_NEWNET)
            except OSError as error:
                raise CannotRun(
                    f"a network namespace cannot be made: {error.strerror}; it takes CAP_SYS_ADMIN (root)"
                ) from None
            self.fds.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
            _make_devices(parking)
        self.current = number - 1
        self._l3mdev: dict[tuple[int, str], int] = {}

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

    def close(self) -> None:
        """Let go of them."""
        while self.fds:
            os.close(self.fds.pop())


def has_l3mdev() -> bool:
    """Whether this kernel has VRFs (CONFIG_NET_L3_MASTER_DEV)."""
    return (_SYSCTLS / "tcp_l3mdev_accept").exists()


def udp_size() -> int:
    """How many hash slots UDP's tables have in this namespace (net.ipv4.udp_hash_entries, from 6.2 on; negative where
    the tables are not its own). Before that it is not told; few kernels had fewer than these.
    """
    try:
        return abs(int((_SYSCTLS / "udp_hash_entries").read_text()))
    except OSError:
        return 256


def _make_devices(parking: int) -> None:
    """A bridge needs no module on most kernels, and no peer."""
    with IPRoute() as routes:
        routes.link("set", index=LO, state="up")
        for index in (*DEVICES, *range(PARKING, PARKING + parking)):
            routes.link("add", ifname=f"br{index}", index=index, kind="bridge")
            routes.link("set", index=index, state="up")
        for index in (LO, *DEVICES):
            # A socket that is bound to a device connects by it, the others by lo. Only connect() asks for the route.
            routes.route("add", dst="0.0.0.0/0", oif=index, priority=index)
            routes.route("add", dst="::/0", family=socket.AF_INET6, oif=index, priority=index)
    (_SYSCTLS / "conf/all/route_localnet").write_text("1")  # 127.0.0.0/8 by any device
