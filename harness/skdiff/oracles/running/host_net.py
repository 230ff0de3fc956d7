"""A network namespace of this host, as it is: how to be in it, its devices, its sysctls, and which addresses it has."""

import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from errno import EINVAL
from pathlib import Path
from typing import NamedTuple, TypeVar

from pyroute2 import IPRoute, NetlinkError

from skdiff.base.errors import CannotRun
from skdiff.cases.addresses import text
from skdiff.cases.scenario import AF_INET, AF_INET6
from skdiff.oracles.running.namespace_calls import CLONE_NEWNET, setns

T = TypeVar("T")
_NAMED = Path("/run/netns")  # of ip-netns(8)
_RTN_LOCAL, _RTN_BROADCAST, _RTN_MULTICAST = 2, 3, 5  # include/uapi/linux/rtnetlink.h
_RTM_F_FIB_MATCH = 0x2000  # the route as it was set, whose device is not lo for an address of this host
SYSCTLS = (
    "tcp_l3mdev_accept",
    "udp_l3mdev_accept",
    "tcp_migrate_req",
    "ip_early_demux",
    "tcp_early_demux",
    "udp_early_demux",
)


class Device(NamedTuple):
    """A device: its `number` and name, whether it is a VRF, and the number of its master if that is one, 0 for none."""

    number: int
    name: str
    is_vrf: bool = False
    vrf: int = 0


class Net(NamedTuple):
    """A network namespace: its inode, its devices, and those of `SYSCTLS` that this kernel has."""

    inode: int
    devices: tuple[Device, ...]
    sysctls: dict[str, int]

    def device(self, index: int) -> str:
        """The name of a device, its number for one that is not here."""
        return next((device.name for device in self.devices if device.number == index), str(index))


def path_of(netns: str | None) -> Path | None:
    """The file of a namespace of a name of ip-netns(8), of a process's number, or of a path; None for the caller's own.
    Raises CannotRun.
    """
    if netns is None:
        return None
    if "/" in netns and Path(netns).exists():
        return Path(netns)
    named = _NAMED / netns
    if netns and "/" not in netns and netns not in (".", "..") and named.exists():
        return named
    if netns.isdecimal() and Path(f"/proc/{int(netns)}/ns").exists():
        return Path(f"/proc/{int(netns)}/ns/net")
    raise CannotRun(
        f"--netns {netns!r}: no namespace of that name (`ip netns` lists them), no process of that number, no such file"
    )


def within(path: Path | None, cpu: int, work: Callable[[], T]) -> T:
    """What `work` makes of being in a namespace, and on a CPU, if this process may run there: in a thread of its own,
    so the caller stays where it is. Raises CannotRun, and what `work` raises.
    """

    def run() -> T:
        if path is not None:
            _enter(path)
        with suppress(OSError):  # who asks the kernel looks which CPU it is
            os.sched_setaffinity(0, {cpu})
        return work()

    with ThreadPoolExecutor(1) as threads:
        return threads.submit(run).result()


def _enter(path: Path) -> None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise CannotRun(f"{path}: {error.strerror}: it takes root, or be the same user") from None
    try:
        setns(fd, CLONE_NEWNET)
    except OSError as error:
        if error.errno == EINVAL:
            raise CannotRun(f"{path} is no network namespace") from None
        raise CannotRun(f"{path} cannot be entered: {error.strerror}: it takes CAP_SYS_ADMIN") from None
    finally:
        os.close(fd)


def read_net() -> Net:
    """The namespace of the calling thread. Raises CannotRun."""
    try:
        with IPRoute() as routes:
            links = [*routes.get_links()]
    except (OSError, NetlinkError) as error:
        raise CannotRun(f"the kernel does not tell its devices: {error}") from None
    kinds = {link["index"]: _kind(link) for link in links}
    devices = [
        Device(
            number=link["index"],
            name=str(link.get_attr("IFLA_IFNAME")),
            is_vrf=kinds[link["index"]] == "vrf",
            vrf=master if kinds.get(master := link.get_attr("IFLA_MASTER") or 0) == "vrf" else 0,
        )
        for link in links
    ]
    return Net(Path("/proc/thread-self/ns/net").stat().st_ino, tuple(devices), _sysctls())


def _kind(link: object) -> str:
    info = link.get_attr("IFLA_LINKINFO")  # type: ignore[attr-defined]  # pyroute2 has no types
    return str(info.get_attr("IFLA_INFO_KIND")) if info else ""


def _sysctls() -> dict[str, int]:
    found = {}
    for name in SYSCTLS:
        with suppress(OSError, ValueError):
            found[name] = int(Path("/proc/sys/net/ipv4", name).read_text())
    return found


class Route(NamedTuple):
    """Where a packet to an address goes: whether it is one of this host's, or one of many hosts (broadcast, multicast),
    and the device of the route, 0 for none: of an address of this host the device that has it.
    """

    local: bool
    many: bool
    device: int


def route(address: int, ipv6: bool, vrf: int) -> Route:
    """net/ipv4/route.c ip_route_output_key_hash(), net/ipv6/route.c ip6_route_output(): within a VRF, 0 for none."""
    family = AF_INET6 if ipv6 else AF_INET
    try:
        with IPRoute() as routes:
            dst = text(address) if address else _ANY[ipv6]
            [found, *_] = routes.route("get", family=family, dst=dst, oif=vrf or None, flags=_RTM_F_FIB_MATCH)
    except (OSError, NetlinkError, ValueError):  # no route at all
        return Route(local=False, many=False, device=0)
    kind = found["type"]
    return Route(kind == _RTN_LOCAL, kind in (_RTN_BROADCAST, _RTN_MULTICAST), found.get_attr("RTA_OIF") or 0)


_ANY = {False: "0.0.0.0", True: "::"}  # noqa: S104  # no bind()


def device_with(address: int, ipv6: bool) -> int:
    """The number of the device that has an address, 0 for none."""
    family = socket.AF_INET6 if ipv6 else socket.AF_INET
    try:
        with IPRoute() as routes:
            for told in routes.get_addr(family=family):
                if text(address) in (told.get_attr("IFA_LOCAL"), told.get_attr("IFA_ADDRESS")):
                    return int(told["index"])
    except (OSError, NetlinkError):
        pass
    return 0
