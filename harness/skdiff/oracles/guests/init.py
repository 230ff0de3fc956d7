"""The first process of a guest: mounts, loads its modules, and becomes the agent."""

import ctypes
import os
import sys
import time
from pathlib import Path

from skdiff.oracles.guests.agent import serve
from skdiff.oracles.guests.line import FAILED, Line
from skdiff.oracles.running.host import Host

MODULES = Path("/modules")  # in the order in which they are to be loaded
_FINIT_MODULE = 313  # x86_64
_TO_COME = 20.0  # seconds
_POWER_OFF = 0x4321FEDC  # include/uapi/linux/reboot.h LINUX_REBOOT_CMD_POWER_OFF

_libc = ctypes.CDLL(None, use_errno=True)


def _mount(kind: str, at: str) -> None:
    Path(at).mkdir(exist_ok=True)
    _libc.mount(kind.encode(), at.encode(), kind.encode(), 0, None)  # it may be there already


def _load(module: Path) -> str:
    """Load a module; what went wrong, "" if nothing did."""
    with module.open("rb") as file:
        if _libc.syscall(_FINIT_MODULE, file.fileno(), b"", 0):
            return f"{module.name}: {os.strerror(ctypes.get_errno())}"
    return ""


def _port() -> int:
    """The line to skdiff, which comes a moment after its driver. Ends the guest if it does not come."""
    end = time.monotonic() + _TO_COME
    while not (ports := sorted(Path("/dev").glob("vport*"))):
        if time.monotonic() > end:
            sys.exit("skdiff: this kernel has no virtio serial port (CONFIG_VIRTIO_PCI, CONFIG_VIRTIO_CONSOLE)")
        time.sleep(0.1)
    return os.open(ports[0], os.O_RDWR)


def _softirqs_at_once() -> None:
    """Let ksoftirqd go before all others. It takes over what takes long, and before Linux 6.4 all that comes while it
    runs (kernel/softirq.c ksoftirqd_running()); now that is done when a system call returns, and with it a packet that
    was sent on lo.
    """
    for name in Path("/proc").glob("[0-9]*/comm"):
        if name.read_text().startswith("ksoftirqd/"):
            os.sched_setscheduler(int(name.parent.name), os.SCHED_FIFO, os.sched_param(1))


def begin() -> tuple[Line, str]:
    """Set the guest up; the line to skdiff, and which modules could not be loaded, "" for none."""
    _mount("proc", "/proc")
    _mount("devtmpfs", "/dev")
    wrong = [why for module in sorted(MODULES.iterdir()) if (why := _load(module))]
    _softirqs_at_once()
    return Line(_port()), "; ".join(wrong)


def end() -> None:
    """End the guest: the first process never returns to the kernel, which would panic."""
    _libc.reboot(_POWER_OFF)


def main() -> None:
    """Serve until skdiff is gone."""
    line, wrong = begin()
    if wrong:
        line.send(FAILED, wrong.encode())
    else:
        serve(line, Host)
    end()
