"""Network namespaces for tests, each with a process that runs what it is told and has sockets there."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest

_ROOM = """
import ctypes, json, os, select, socket, struct, sys, time
from pyroute2 import IPRoute
if ctypes.CDLL(None, use_errno=True).unshare(0x40000000):
    sys.exit(os.strerror(ctypes.get_errno()))
with IPRoute() as routes:
    routes.link("set", index=1, state="up")
print(json.dumps("ready"), flush=True)


def tcp(address="0.0.0.0", port=80, **options):
    return bound(socket.SOCK_STREAM, address, port, listens=True, **options)


def udp(address="0.0.0.0", port=80, **options):
    return bound(socket.SOCK_DGRAM, address, port, **options)


def bound(kind, address, port, device=None, reuseport=0, reuseaddr=0, v6only=None, cpu=None, listens=False):
    made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    if v6only is not None:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, reuseport)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuseaddr)
    if device:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    if cpu is not None:
        made.setsockopt(socket.SOL_SOCKET, 49, cpu)
    made.bind((address, port))
    if listens:
        made.listen()
    sockets.append(made)
    return made


def cookie(made):
    return int.from_bytes(made.getsockopt(socket.SOL_SOCKET, 57, 8), "little")


def cookies():
    return [cookie(made) for made in sockets]


def connected(to, source):
    # Who accept()s a connection: its cookie, 0 for nobody.
    client = socket.socket(socket.AF_INET6 if ":" in to[0] else socket.AF_INET)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    client.bind(source)
    client.settimeout(2)
    try:
        client.connect(to)
    except OSError:
        client.close()
        return 0
    ready, _, _ = select.select(listening(), [], [], 2)
    [one] = ready
    accepted, _ = one.accept()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    accepted.close()
    return cookie(one)


def listening():
    return [made for made in sockets if made.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)]


def sent(to, source):
    # Who recv()s a datagram: its cookie, 0 for nobody.
    client = socket.socket(socket.AF_INET6 if ":" in to[0] else socket.AF_INET, socket.SOCK_DGRAM)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    client.bind(source)
    client.sendto(b"?", to)
    ready, _, _ = select.select([made for made in sockets if made.type == socket.SOCK_DGRAM], [], [], 0.5)
    client.close()
    for one in ready:
        one.recv(9)
    assert len(ready) < 2
    return cookie(ready[0]) if ready else 0


sockets, told = [], globals()
for line in sys.stdin:
    told["result"] = None
    exec(json.loads(line), told)
    print(json.dumps(told["result"]), flush=True)
"""


class Room:
    """A process in a network namespace of its own: `run` lets it run statements, and gives their `result`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _ROOM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self._process.pid
        assert self._answer() == "ready"

    def run(self, code: str) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(code) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the process of the namespace has ended"
        return json.loads(line)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@contextmanager
def room(setup: str = "") -> Iterator[Room]:
    """A room with what `setup` makes there; a test is skipped where none can be made."""
    if why := _cannot():
        pytest.skip(f"no network namespace can be made here: {why}")
    made = Room()
    try:
        made.run(setup)
        yield made
    finally:
        made.close()


@cache
def _cannot() -> str:
    code = (
        "import ctypes, os; failed = ctypes.CDLL(None, use_errno=True).unshare(0x40000000)\n"
        "print(os.strerror(ctypes.get_errno()) if failed else '')"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
