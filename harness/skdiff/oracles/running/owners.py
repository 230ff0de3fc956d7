"""Which processes have a socket, and its options that sock_diag does not tell: by a duplicate of their file descriptor,
which is closed at once.
"""

import ctypes
import os
import socket
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_PIDFD_GETFD = 438  # of all architectures: scripts/syscall.tbl
_SO_COOKIE, _SO_INCOMING_CPU = 57, 49

_libc = ctypes.CDLL(None, use_errno=True)


class Owner(NamedTuple):
    """A process that has a socket: its name (comm), and the file descriptor."""

    pid: int
    name: str
    fd: int


class Options(NamedTuple):
    """Options of a socket as getsockopt() tells them; `incoming_cpu` is -1 if it is not set."""

    reuseport: int
    incoming_cpu: int
    v6only: int | None


class Owners(NamedTuple):
    """The owners of sockets by their inodes, each in the order of the pids, and how many processes did not show theirs
    (PTRACE_MODE_READ_FSCREDS).
    """

    by_inode: dict[int, list[Owner]]
    hidden: int


def owners(inodes: Collection[int], proc: Path = Path("/proc")) -> Owners:
    """Who has the sockets with these inodes, of the processes that /proc shows."""
    found: dict[int, list[Owner]] = {}
    hidden = 0
    wanted = {f"socket:[{inode}]": inode for inode in inodes if inode}
    for pid in sorted(int(entry.name) for entry in proc.iterdir() if entry.name.isdigit()):
        folder = proc / str(pid)
        try:
            fds = sorted((link for link in (folder / "fd").iterdir()), key=lambda link: int(link.name))
        except PermissionError:
            hidden += 1
            continue
        except OSError:  # it has ended
            continue
        for fd in fds:
            with suppress(OSError):
                inode = wanted.get(os.readlink(fd))  # noqa: PTH115  # it is no path
                if inode is not None:
                    name = (folder / "comm").read_text().strip()
                    found.setdefault(inode, []).append(Owner(pid, name, int(fd.name)))
    return Owners(found, hidden)


def options(owner: Owner, cookie: int, proc: Path = Path("/proc")) -> Options:
    """The options of the socket with that cookie. Raises OSError: a process may not be asked, or has closed it."""
    if _net_groups(proc / str(owner.pid)) != _net_groups(proc / "self"):
        raise OSError(0, "the socket would come into another group of net_cls or net_prio")
    pidfd = os.pidfd_open(owner.pid)
    try:
        fd = _libc.syscall(_PIDFD_GETFD, pidfd, owner.fd, 0)
        if fd < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))
    finally:
        os.close(pidfd)
    try:
        same = socket.socket(fileno=fd)
    except OSError:
        os.close(fd)
        raise
    with same:
        if int.from_bytes(same.getsockopt(socket.SOL_SOCKET, _SO_COOKIE, 8), "little") != cookie:
            raise OSError(0, "it has another socket there by now")
        v6only = None
        if same.family == socket.AF_INET6:
            v6only = same.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
        return Options(
            same.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT),
            same.getsockopt(socket.SOL_SOCKET, _SO_INCOMING_CPU),
            v6only,
        )


def _net_groups(process: Path) -> list[str]:
    """The groups of a process in the controllers net_cls and net_prio of cgroup v1, which each process that receives a
    socket puts it into: net/core/scm.c __receive_sock(), which pidfd_getfd() calls.
    """
    found = (process / "cgroup").read_text().splitlines()
    return [line for line in found if {"net_cls", "net_prio"} & {*line.split(":")[1].split(",")}]
