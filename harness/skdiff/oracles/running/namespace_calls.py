"""unshare(2) and setns(2), and the user namespace in which an ordinary user may make network namespaces."""

import ctypes
import os
from pathlib import Path

from skdiff.base.errors import CannotRun

CLONE_NEWNET, CLONE_NEWUSER = 0x40000000, 0x10000000  # include/uapi/linux/sched.h
RIGHTS = "it takes root, or CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF"
_NEEDED = sum(1 << number for number in (12, 13, 21))  # CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN
# What forbids user namespaces, on kernels that have it, and the value that does.
_SYSCTLS = {
    "user/max_user_namespaces": "0",
    "kernel/unprivileged_userns_clone": "0",
    "kernel/apparmor_restrict_unprivileged_userns": "1",
}

_libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """Raises OSError."""
    _call("unshare", flags)


def setns(fd: int, flags: int) -> None:
    """Raises OSError."""
    _call("setns", fd, flags)


def _call(name: str, *arguments: int) -> None:
    if getattr(_libc, name)(*arguments):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def enter_user_namespace() -> None:
    """Let this process, which has one thread, and its children make network namespaces: as root of a user namespace of
    its own, if it may not make them as it is. Files stay those of its user. Raises CannotRun where that is forbidden.
    """
    if _capabilities() & _NEEDED == _NEEDED:
        return
    user, group = os.geteuid(), os.getegid()
    try:
        unshare(CLONE_NEWUSER)
        Path("/proc/self/setgroups").write_text("deny")  # user_namespaces(7): or gid_map takes CAP_SETGID
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    except OSError as error:
        raise CannotRun(f"the running kernel cannot be asked: {RIGHTS}; {_why_no_user_namespace(error)}") from None


def _capabilities() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff:"))


def _why_no_user_namespace(error: OSError, sysctls: Path = Path("/proc/sys")) -> str:
    """In a line, with the sysctl that forbids it, if one does."""
    for name, value in _SYSCTLS.items():
        try:
            forbids = (sysctls / name).read_text().strip() == value
        except OSError:
            continue
        if forbids:
            return f"an ordinary user needs a user namespace, which sysctl {name.replace('/', '.')}={value} forbids"
    return f"an ordinary user needs a user namespace: {error.strerror}"
