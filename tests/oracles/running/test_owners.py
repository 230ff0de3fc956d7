"""Who has a socket, of processes in a folder as /proc; and a socket's options."""

import os
import socket
from pathlib import Path

import pytest

from skdiff.oracles.running.owners import Options, Owner, options, owners

SO_COOKIE = 57


def cookie(one: socket.socket) -> int:
    return int.from_bytes(one.getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8), "little")


def process(proc: Path, pid: str, name: str, groups: str, **fds: str) -> None:
    (proc / pid / "fd").mkdir(parents=True)
    (proc / pid / "comm").write_text(f"{name}\n")
    (proc / pid / "cgroup").write_text(groups)
    for fd, target in fds.items():
        (proc / pid / "fd" / fd.removeprefix("fd")).symlink_to(target)


def test_owners_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    process(tmp_path, "10", "server", "", fd3="socket:[7]", fd12="socket:[7]", fd4="/dev/null")
    process(tmp_path, "9", "parent", "", fd5="socket:[7]", fd6="socket:[8]")
    (tmp_path / "sys").mkdir()
    found = owners([7, 0], tmp_path)
    assert found.by_inode == {7: [Owner(9, "parent", 5), Owner(10, "server", 3), Owner(10, "server", 12)]}
    assert found.hidden == 0


def test_a_socket_stays_in_its_group_of_net_cls(tmp_path: Path) -> None:
    process(tmp_path, "self", "skdiff", "2:net_cls,net_prio:/\n1:cpu:/\n0::/\n")
    process(tmp_path, str(os.getpid()), "server", "2:net_cls,net_prio:/web\n1:cpu:/\n0::/\n")
    with socket.socket() as one, pytest.raises(OSError, match="another group of net_cls"):
        options(Owner(os.getpid(), "server", one.fileno()), cookie(one), tmp_path)


def test_options_of_a_socket_and_none_of_another() -> None:
    def fds() -> set[str]:
        return {fd.name for fd in Path("/proc/self/fd").iterdir()}

    with socket.socket() as one, socket.socket() as other:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        before = fds()
        try:
            told = options(Owner(os.getpid(), "server", one.fileno()), cookie(one))
        except PermissionError as error:
            pytest.skip(f"pidfd_getfd(): {error.strerror}")
        assert told == Options(1, -1, None)
        with pytest.raises(OSError, match="another socket"):
            options(Owner(os.getpid(), "server", one.fileno()), cookie(other))
        with Path("/dev/null").open() as null, pytest.raises(OSError):
            options(Owner(os.getpid(), "server", null.fileno()), cookie(one))
        assert fds() == before
