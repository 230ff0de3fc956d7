"""QEMU: a process that runs a kernel, its console, and the line to the agent in it."""

import ctypes
import os
import select
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from skdiff.base.errors import CannotRun
from skdiff.base.paths import cache
from skdiff.oracles.guests.line import Line

QEMU = "qemu-system-x86_64"
ACCELERATORS = {"kvm": ("kvm", "host"), "tcg": ("tcg,thread=multi", "max")}  # and the CPU of each
CPUS = 2  # SO_INCOMING_CPU takes two
_MEMORY = "512M"
_PR_SET_PDEATHSIG = 1
_LAST_LINES = 60
# A death of the kernel ends QEMU; a warning of it is as good as a death.
_COMMAND_LINE = (
    "console=ttyS0 quiet loglevel=4 panic=-1 panic_on_warn=1 oops=panic softlockup_panic=1 mitigations=off nokaslr"
    # Not asked here: whether its ciphers work, and whether its timer comes, which a busy machine delays.
    " rcupdate.rcu_expedited=1 random.trust_cpu=on cryptomgr.notests no_timer_check"
)

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_KVM_ERROR = "KVM internal error"  # then QEMU waits for somebody to look at it

_libc = ctypes.CDLL(None)


def need() -> str:
    """The path of QEMU. Raises CannotRun where it is not installed."""
    found = shutil.which(QEMU)
    if found is None:
        raise CannotRun(f"{QEMU} is missing, which boots kernels (on Debian: apt install qemu-system-x86)")
    return found


def without_kvm() -> str:
    """Why KVM is of no use here, "" if it may be: that shows when a kernel boots, or does not (in a virtual machine's
    virtual machine, often), which is remembered until this machine is booted anew.
    """
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "/dev/kvm is not there, or not for this process"
    try:
        failed = _kvm_failed().read_text() == _BOOT_ID.read_text()
    except OSError:
        return ""
    return "no kernel boots with /dev/kvm here" if failed else ""


def note_that_kvm_fails() -> None:
    """See `without_kvm`."""
    with suppress(OSError):
        _kvm_failed().write_text(_BOOT_ID.read_text())


def _kvm_failed() -> Path:
    return cache() / "kvm-failed"


class Machine:
    """A machine that has begun to boot a kernel. It ends when it is closed, and with the thread that made it, however
    that ends. It has no network, no disk, and no devices but a console and the line. The kernel is the file of a
    bzImage, or the ELF file in one.
    """

    def __init__(self, kernel: Path | bytes, initramfs: bytes, accelerator: str) -> None:
        qemu = need()
        accel, cpu = ACCELERATORS[accelerator]
        with ExitStack() as files:
            archive = files.enter_context(_memory("skdiff-initramfs", initramfs))
            passed = [archive]
            if isinstance(kernel, bytes):
                passed.append(files.enter_context(_memory("skdiff-kernel", kernel)))
                kernel = Path(f"/proc/self/fd/{passed[-1]}")
            ours, theirs = socket.socketpair()
            self._console = os.memfd_create("skdiff-console")
            parent = os.getpid()
            self.process = subprocess.Popen(
                [
                    *(qemu, "-nodefaults", "-no-user-config", "-display", "none", "-nic", "none", "-no-reboot"),
                    *("-machine", "q35", "-accel", accel, "-cpu", cpu, "-smp", str(CPUS), "-m", _MEMORY),
                    *("-kernel", str(kernel), "-initrd", f"/proc/self/fd/{archive}", "-append", _COMMAND_LINE),
                    *("-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"),
                    *("-device", "virtio-serial-pci", "-chardev", f"socket,id=line,fd={theirs.fileno()}"),
                    *("-device", "virtserialport,chardev=line,name=skdiff"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=self._console,
                stderr=self._console,
                pass_fds=(*passed, theirs.fileno()),
                start_new_session=True,  # Ctrl-C is for skdiff, which ends it
                preexec_fn=lambda: _end_with(parent),
            )
            theirs.close()
        self._socket = ours
        self.line = Line(ours.fileno())

    def speaks_within(self, seconds: float) -> bool:
        """Whether there is something to read on the line in time, be it its end."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([self._socket], [], [], min(left, 0.5))[0]:
                return True
            if any(_KVM_ERROR in line for line in self.last_words()):
                return False
        return False

    def wait_at_most(self, seconds: float) -> None:
        """What the line is read for from now on must come in time; else `Line` raises BlockingIOError."""
        whole = int(seconds)
        timeout = (whole).to_bytes(8, "little") + int((seconds - whole) * 1e6).to_bytes(8, "little")
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)

    def last_words(self) -> list[str]:
        """The last lines of its console."""
        with os.fdopen(os.dup(self._console), "rb") as file:
            file.seek(0)
            lines = [line.rstrip() for line in file.read().decode(errors="replace").splitlines()]
        return [line for line in lines if line][-_LAST_LINES:]

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        self._socket.close()
        os.close(self._console)


def _end_with(parent: int) -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


@contextmanager
def _memory(name: str, data: bytes) -> Iterator[int]:
    """A file descriptor of a file with this data that is in memory alone."""
    fd = os.memfd_create(name)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        yield fd
    finally:
        os.close(fd)
