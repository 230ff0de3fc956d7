"""`skdiff who`, in prepared network namespaces: it names who really gets the packet, and changes nothing."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from skdiff.cases.addresses import from_text
from skdiff.cases.case_file import load
from skdiff.cases.scenario import TCP4, TCP6, UDP4
from skdiff.cli import main
from skdiff.commands.output import console, errors
from skdiff.kernel import images
from skdiff.oracles.guests.initramfs import initramfs
from skdiff.oracles.guests.line import ANSWERS
from skdiff.oracles.guests.qemu import QEMU, Machine
from skdiff.oracles.running.arriving import why_dropped
from skdiff.oracles.running.host_net import Device
from tests import guest_who
from tests.rooms import Room, room
from tests.running import SKDIFF

ROOT = Path(__file__).resolve().parents[2]
TO_TRY = 600.0  # seconds, with a guest's start


@dataclass(frozen=True)
class Told:
    """What the command said: its exit code, its lines and its summary."""

    code: int
    text: str
    error: str
    summary: dict[str, Any]

    def cookies(self) -> dict[str, int]:
        """The sockets that it names, and their cookies."""
        return {told["name"]: told["cookie"] for told in self.summary["sockets"]} | {"none": 0}

    @property
    def parts(self) -> dict[int, float]:
        return {self.cookies()[part["sk"]]: part["share"] for part in self.summary["chance"]}

    @property
    def kernels(self) -> set[int]:
        return {self.cookies()[name] for name in self.summary["kernel"]}


def who(at: Room, *arguments: str, folder: Path) -> Told:
    summary = folder / "who.json"
    summary.unlink(missing_ok=True)
    with console.capture() as out, errors.capture() as wrong:
        code = main(["who", "--netns", str(at.pid), "--json", str(summary), *arguments])
    assert "Traceback" not in wrong.get()
    return Told(code, out.get(), wrong.get(), json.loads(summary.read_text()) if summary.exists() else {})


def agreed(at: Room, *arguments: str, folder: Path) -> Told:
    told = who(at, *arguments, folder=folder)
    assert (told.code, told.summary["verdict"]) == (0, "agrees"), told.text + told.error
    return told


def test_who_listens_on_the_address_comes_before_the_wildcard(tmp_path: Path) -> None:
    with room('tcp("127.0.0.1"); tcp(port=81, reuseport=1); tcp("127.0.0.9", 81, reuseport=1)') as here:
        for to, port in (("127.0.0.1", 80), ("127.0.0.2", 80), ("127.0.0.1", 81), ("127.0.0.9", 81), ("127.0.0.1", 82)):
            told = agreed(here, "--to", f"{to}:{port}", "--from", "127.0.0.1:5000", folder=tmp_path)
            real = here.run(f'result = connected(("{to}", {port}), ("127.0.0.1", 5000))')
            assert told.parts == {real: 1.0}


def test_the_hash_of_a_group_is_the_kernels(tmp_path: Path) -> None:
    with room("for _ in range(5): tcp(reuseport=1)") as here:
        told = agreed(here, "--to", "127.0.0.1:80", folder=tmp_path)
        assert told.parts == dict.fromkeys(here.run("result = cookies()"), pytest.approx(0.2))
        assert told.kernels == set(told.parts)
        for port in range(5000, 5006):
            client = ("--from", f"127.0.0.1:{port}", "--case", str(tmp_path / "case.toml"))
            told = agreed(here, "--to", "127.0.0.1:80", *client, folder=tmp_path)
            real = here.run(f'result = connected(("127.0.0.1", 80), ("127.0.0.1", {port}))')
            assert told.kernels == {real}
            names = {cookie: name for name, cookie in told.cookies().items()}
            assert f"Answer: {names[real]} gets the packet" in told.text


def test_a_member_that_has_closed_leaves_its_slot_to_the_last(tmp_path: Path) -> None:
    with room("for _ in range(4): tcp(reuseport=1)\nsockets.pop(0).close()") as here:
        told = agreed(here, "--to", "127.0.0.1:80", folder=tmp_path)
        _, second, third = here.run("result = cookies()")
        first = here.run("result = cookies()")[0]
        [group] = [line for line in told.text.splitlines() if line.startswith("  group0: live")]
        names = {cookie: name for name, cookie in told.cookies().items()}
        assert [group.index(names[cookie]) for cookie in (third, first, second)] == sorted(
            group.index(name) for name in names.values() if name in group
        )


@pytest.mark.skipif(os.sched_getaffinity(0) < {0, 1}, reason="one CPU")
def test_a_listener_that_asked_for_the_cpu(tmp_path: Path) -> None:
    with room("tcp(reuseport=1, cpu=1); tcp(reuseport=1); tcp(reuseport=1, cpu=0)") as here:
        for cpu in (0, 1):
            told = agreed(here, "--to", "127.0.0.1:80", "--cpu", str(cpu), folder=tmp_path)
            connect = 'result = connected(("127.0.0.1", 80), ("127.0.0.1", 5000))'
            real = here.run(f"os.sched_setaffinity(0, {{{cpu}}}); {connect}")
            assert told.parts == {real: 1.0}
            assert f"On CPU {1 - cpu}: " in told.text


def test_two_families(tmp_path: Path) -> None:
    setup = 'tcp("::", 80); tcp("::", 81, v6only=1); tcp("0.0.0.0", 81); tcp("::1", 82); tcp("::ffff:127.0.0.1", 83)'
    with room(setup) as here:
        for to, text, source in (("127.0.0.1", "127.0.0.1", "127.0.0.1"), ("::1", "[::1]", "::1")):
            for port in range(80, 84):
                client = ("--from", f"[{source}]:5000" if ":" in source else f"{source}:5000")
                told = agreed(here, "--to", f"{text}:{port}", *client, folder=tmp_path)
                real = here.run(f'result = connected(("{to}", {port}), ("{source}", 5000))')
                assert told.parts == {real: 1.0}, (to, port)


def test_groups_of_ipv6(tmp_path: Path) -> None:
    with room('for _ in range(3): tcp("::", reuseport=1)\ntcp("0.0.0.0", reuseport=1)') as here:
        assert len(agreed(here, "--to", "127.0.0.1:80", folder=tmp_path).parts) == 1
        told = agreed(here, "--to", "[::1]:80", folder=tmp_path)
        assert sorted(told.parts) == sorted(here.run("result = cookies()")[:3])
        told = agreed(here, "--to", "[::1]:80", "--from", "[::1]:5000", folder=tmp_path)
        assert told.kernels == {here.run('result = connected(("::1", 80), ("::1", 5000))')}


def wired(here: Room, there: Room) -> None:
    """Both rooms have a device v0, with 10.9.9.1 and 2001:db8:9::1 here, .2 and ::2 there."""
    add = 'routes.link("add", ifname="v0", kind="veth", peer={"ifname": "v0", "net_ns_pid": PID})'
    here.run(f"with IPRoute() as routes: {add}".replace("PID", str(there.pid)))
    for number, one in enumerate((here, there), 1):
        one.run(
            "with IPRoute() as routes:\n"
            ' [v0] = routes.link_lookup(ifname="v0")\n'
            ' routes.link("set", index=v0, state="up")\n'
            f' routes.addr("add", index=v0, address="10.9.9.{number}", prefixlen=24)\n'
            f' routes.addr("add", index=v0, address="2001:db8:9::{number}", prefixlen=64, flags=2)'  # no DAD
        )


@pytest.mark.parametrize("server", ["10.9.9.1", "2001:db8:9::1"])
def test_bound_to_a_device(server: str, tmp_path: Path) -> None:
    anywhere, to = ("::", f"[{server}]") if ":" in server else ("0.0.0.0", server)
    with room() as here, room() as there:
        wired(here, there)
        # Met first is who was opened last, of AF_INET6 with SO_REUSEPORT who was opened first.
        opened = [f'tcp("{anywhere}", reuseport=1)', f'tcp("{anywhere}", device="v0", reuseport=1)']
        here.run("; ".join(opened[:: -1 if ":" in server else 1]) + f'; tcp("{anywhere}", 81, device="lo")')
        cookies = here.run("result = cookies()")
        by_device, by_none = cookies[:2] if ":" in server else cookies[1::-1]
        client = server[:-1] + "2"
        for port, source, expected in (
            *((80, client, by_device), (80, server, by_device)),
            *((81, client, 0), (81, server, 0)),
        ):
            end = f"[{source}]:5000" if ":" in source else f"{source}:5000"
            told = agreed(here, "--to", f"{to}:{port}", "--from", end, folder=tmp_path)
            assert told.parts == {expected: 1.0}
            if source == server:
                assert here.run(f'result = connected(("{server}", {port}), ("{source}", 5000))') == expected
            else:
                assert from_there(here, there, (server, port), (source, 5000)) == expected
        told = agreed(here, "--to", f"{to}:80", "--dev", "lo", folder=tmp_path)
        assert told.parts == {by_device: 1.0}
        assert "comes in by lo, as one of v0, which has the address." in told.text
        told = agreed(here, "--to", f"{to}:80", folder=tmp_path)
        assert told.parts == {by_device: 1.0}
        assert "comes in by v0, as nothing else is said (--dev)." in told.text
        told = agreed(here, "--to", "[::1]:80" if ":" in server else "127.0.0.1:80", folder=tmp_path)
        assert told.parts == {by_none: 1.0}
        assert "By v0: " in told.text


def from_there(here: Room, there: Room, to: tuple[str, int], source: tuple[str, int]) -> int:
    """The cookie of who accept()s a connection from the other room, 0 for nobody."""
    there.run(
        f'peer = socket.socket(socket.AF_INET6 if ":" in "{to[0]}" else socket.AF_INET)\n'
        'peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))\n'
        f"peer.bind({source})"
    )
    if there.run(f"result = peer.connect_ex({to})"):
        there.run("peer.close()")
        return 0
    accept = "[one] = select.select(listening(), [], [], 2)[0]; one.accept()[0].close(); result = cookie(one)"
    cookie: int = here.run(accept)
    there.run("peer.close()")
    return cookie


ACCEPTED = (
    "tcp(); client = socket.socket(); client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
    'client.bind(("127.0.0.1", 5000)); client.connect(("127.0.0.1", 80)); accepted = sockets[0].accept()[0]\n'
)
OF_CLIENT = ("--to", "127.0.0.1:80", "--from", "127.0.0.1:5000")


def test_a_connection_gets_its_packets(tmp_path: Path) -> None:
    with room(ACCEPTED) as here:
        told = agreed(here, *OF_CLIENT, folder=tmp_path)
        assert told.parts == {here.run("result = cookie(accepted)"): 1.0}
        assert here.run('client.send(b"?"); result = len(accepted.recv(9))') == 1
        told = agreed(here, "--to", "127.0.0.1:80", folder=tmp_path)
        assert told.parts == {here.run("result = cookies()")[0]: 1.0}


def test_an_old_connection_gets_its_packets(tmp_path: Path) -> None:
    with room(ACCEPTED + "accepted.close(); client.recv(9); client.close(); time.sleep(0.2)") as here:
        told = agreed(here, *OF_CLIENT, folder=tmp_path)
        [listener] = here.run("result = cookies()")
        assert [name for name, cookie in told.cookies().items() if cookie in told.parts] == ["timewait 1"]
        names = {cookie: name for name, cookie in told.cookies().items()}
        [after] = [line for line in told.text.splitlines() if line.startswith("Next: timewait 1 is a timewait socket.")]
        assert f"tcp_v4_rcv() looks for a listener, which is {names[listener]}: it gets the SYN" in after
        assert here.run('result = connected(("127.0.0.1", 80), ("127.0.0.1", 5000))') == listener


SYN = """
with IPRoute() as routes:
    routes.link("add", ifname="br0", kind="bridge")
    [br0] = routes.link_lookup(ifname="br0")
    routes.addr("add", index=br0, address="10.9.9.1", prefixlen=24)
    routes.link("set", index=br0, state="up")
    routes.neigh("add", dst="10.9.9.7", lladdr="02:00:00:00:00:07", ifindex=br0, state=128)  # NUD_PERMANENT
ends = socket.inet_aton("10.9.9.7") + socket.inet_aton("10.9.9.1")
segment = struct.pack(">HHIIBBHHH", 5000, 80, 1, 0, 5 << 4, 2, 1024, 0, 0)
total = sum(struct.unpack(f">{(len(ends) + 24) // 2}H", ends + struct.pack(">HH", 6, 20) + segment))
while total >> 16:
    total = (total & 0xFFFF) + (total >> 16)
segment = segment[:16] + struct.pack(">H", ~total & 0xFFFF) + segment[18:]
header = struct.pack(">BBHHHBBH", 0x45, 0, 40, 0, 0, 64, 6, 0) + ends
tcp(reuseport=1); tcp(reuseport=1); tcp(reuseport=1)
socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW).sendto(header + segment, ("10.9.9.1", 0))
"""


def test_a_request_belongs_to_its_listener(tmp_path: Path) -> None:
    with room(SYN) as here:
        told = agreed(here, "--to", "10.9.9.1:80", "--from", "10.9.9.7:5000", folder=tmp_path)
        assert [name for name, cookie in told.cookies().items() if cookie in told.parts] == ["request 3"]
        assert "Next: request 3 is a request of " in told.text


def test_datagrams(tmp_path: Path) -> None:
    setup = (
        'udp("127.0.0.1", 53, reuseaddr=1).connect(("127.0.0.1", 5000)); udp("127.0.0.1", 53, reuseaddr=1)\n'
        'udp("0.0.0.0", 53, reuseaddr=1); udp("::", 53, reuseaddr=1); udp("127.0.0.1", 54, reuseport=1)\n'
        'udp("127.0.0.1", 54, reuseport=1); udp("127.0.0.1", 54, reuseport=1).connect(("127.0.0.1", 5000))\n'
        'udp("0.0.0.0", 55).connect(("127.0.0.1", 5000))'
    )
    with room(setup) as here:
        for to, port, source in (
            *(("127.0.0.1", port, source) for port in (53, 54, 55, 56) for source in (5000, 5001, 5002)),
            *(("127.0.0.2", 53, 5000), ("::1", 53, 5000)),
        ):
            own = "::1" if ":" in to else "127.0.0.1"
            ends = [f"[{to}]:{port}", f"[{own}]:{source}"] if ":" in to else [f"{to}:{port}", f"{own}:{source}"]
            told = agreed(here, "--proto", "udp", "--to", ends[0], "--from", ends[1], folder=tmp_path)
            real = here.run(f'result = sent(("{to}", {port}), ("{own}", {source}))')
            assert told.kernels == {real}, (to, port, source)
            assert real in told.parts


ATTACH = """
from skdiff.cases.scenario import Program
from skdiff.oracles.running import bpf, programs
tcp(port=80); tcp(port=81)
chosen = bpf.sockmap(2)
bpf.put(chosen, 0, sockets[1].fileno())
netns = os.open("/proc/self/ns/net", os.O_RDONLY)
link = bpf.attach_sk_lookup(programs.sk_lookup(bpf.shared_memory(4096)[0], chosen, PROGRAM, 0, 0), netns)
"""


@pytest.mark.parametrize("program", ["Program(assign=0)", "Program(verdict=0)", "Program()"])
def test_an_sk_lookup_program_is_asked(program: str, tmp_path: Path) -> None:
    with room() as here:
        here.run(ATTACH.replace("PROGRAM", program))
        out = tmp_path / "case.toml"
        told = agreed(here, *OF_CLIENT, "--case", str(out), folder=tmp_path)
        assert told.parts == {here.run('result = connected(("127.0.0.1", 80), ("127.0.0.1", 5000))'): 1.0}
        assert "The sk_lookup program skdiff (number " in told.text
        assert load(out).scenario.netns[0].progs


@pytest.mark.parametrize(
    "attach",
    [
        "sockets[0].setsockopt(socket.SOL_SOCKET, 52, programs.of_group(bpf.shared_memory(4096)[0], 0, 0, 1, -1))",
        "import ctypes; code = ctypes.create_string_buffer(struct.pack('@HBBI', 0x06, 0, 0, 1), 8)  # BPF_RET | BPF_K\n"
        'sockets[0].setsockopt(socket.SOL_SOCKET, 51, struct.pack("@HP", 1, ctypes.addressof(code)))',
    ],
    ids=["extended", "classic"],
)
def test_the_program_of_a_group_is_seen_and_not_asked(attach: str, tmp_path: Path) -> None:
    setup = "from skdiff.oracles.running import bpf, programs\ntcp(reuseport=1); tcp(reuseport=1); tcp(reuseport=1)\n"
    with room(setup + attach) as here:
        told = agreed(here, *OF_CLIENT, folder=tmp_path)
        assert told.summary["sk"] is None
        assert "Answer: the group's program chooses, among " in told.text
        assert here.run('result = connected(("127.0.0.1", 80), ("127.0.0.1", 5000))') in told.parts


def test_a_vrf(tmp_path: Path) -> None:
    with room() as here, room() as there:
        wired(here, there)
        made = here.run(
            "try:\n with IPRoute() as routes:\n"
            '  routes.link("add", ifname="red", kind="vrf", vrf_table=10)\n'
            '  [red], [v0] = (routes.link_lookup(ifname=name) for name in ("red", "v0"))\n'
            '  routes.link("set", index=red, state="up")\n'
            '  routes.link("set", index=v0, master=red)\n'
            ' result = ""\n'
            "except Exception as error:\n result = str(error)"
        )
        if made:
            pytest.skip(f"this kernel makes no VRF: {made}")
        here.run('tcp(device="red", reuseport=1); tcp(reuseport=1); tcp(device="v0", reuseport=1)')
        told = agreed(here, "--to", "10.9.9.1:80", "--from", "10.9.9.2:5000", "--dev", "v0", folder=tmp_path)
        assert told.kernels == {from_there(here, there, ("10.9.9.1", 80), ("10.9.9.2", 5000))}


@pytest.mark.guest
@pytest.mark.parametrize("version", ["6.12", "7.3"])
def test_vrfs_in_a_guest(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which(QEMU) is None:
        pytest.skip(f"no {QEMU}")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'harness'}:{ROOT}")
    image = images.find(version, print)
    if "tcp_diag" not in image.modules:
        pytest.skip(
            f"{image.kernel.parent} was fetched without the modules that tell sockets: remove it, and try again"
        )
    machine = Machine(image.kernel, initramfs(image.modules, "tests.guest_who"), "tcg")
    try:
        machine.wait_at_most(TO_TRY)
        try:
            kind, body = machine.line.receive()
        except OSError as error:
            pytest.fail(f"{error}: {machine.last_words()}")
        assert kind == ANSWERS, body.decode()
        asked, wrong = json.loads(body)
    finally:
        machine.close()
    assert not wrong, "\n".join(wrong)
    assert asked == 2 * 4 * len(guest_who.TABLES) * 3


STATE = """
from pathlib import Path
from skdiff.oracles.running import socket_dump
def options(made):
    return [made.getsockopt(socket.SOL_SOCKET, number) for number in (2, 15, 36, 49, 13)]
def sysctls():
    found = {}
    for path in sorted(Path("/proc/sys/net").rglob("*")):
        try:
            found[str(path)] = path.read_text()
        except OSError:
            pass
    return found
result = [
    sorted(map(list, socket_dump.everybody(6) + socket_dump.everybody(17))),
    sysctls(),
    sorted((str(fd), str(fd.readlink())) for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink()),
    [options(made) for made in sockets],
    [Path(f"/proc/self/net/{name}").read_text() for name in ("dev", "route", "if_inet6", "protocols")],
    Path("/proc/self/net/snmp").read_text(),
]
"""


def test_it_changes_nothing(tmp_path: Path) -> None:
    with room(ACCEPTED + "for _ in range(3): tcp(port=81, reuseport=1)\nudp(port=53)") as here:
        here.run(STATE)  # what it imports is there
        before = here.run(STATE)
        for arguments in (("127.0.0.1:80",), ("127.0.0.1:81",), ("127.0.0.1:53", "--proto", "udp"), OF_CLIENT[1:]):
            agreed(here, "--to", *arguments, folder=tmp_path)
        assert here.run(STATE) == before


def test_without_rights_it_says_what_it_did_not_see(tmp_path: Path) -> None:
    if os.getuid():
        pytest.skip("only root can become somebody else")
    code = (
        "import os, sys; import skdiff.commands.who; from skdiff.cli import main\n"  # who is nobody may not read it
        "os.setgroups([]); os.setuid(65534); sys.exit(main(sys.argv[1:]))"
    )
    with room("tcp(); tcp(port=81, reuseport=1); tcp(port=81, reuseport=1)") as here:
        for port in (80, 81):
            done = subprocess.run(
                [
                    "nsenter",
                    f"--net=/proc/{here.pid}/ns/net",
                    SKDIFF[0],
                    "-c",
                    code,
                    "who",
                    "--to",
                    f"127.0.0.1:{port}",
                ],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            for words in ("The running kernel was not asked: ", "CAP_BPF", "Not seen: SO_REUSEPORT", "CAP_NET_ADMIN"):
                assert words in done.stdout
        assert "listener 0   50.0 %" in done.stdout
        done = subprocess.run(
            [SKDIFF[0], "-c", code, "who", "--to", "127.0.0.1:80", "--netns", str(here.pid)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert "it takes" in done.stderr


ETH0 = Device(2, "eth0")


@pytest.mark.parametrize(
    ("lookup", "saddr", "daddr", "device", "own", "sysctl", "said"),
    [
        (TCP4, "10.0.0.1", "10.0.0.2", ETH0, False, "", ""),
        (TCP4, "127.0.0.1", "10.0.0.2", ETH0, True, "", "127.0.0.1 is of this host alone: eth0 brings no packet"),
        (TCP4, "10.0.0.1", "127.0.0.1", ETH0, False, "", "127.0.0.1 is of this host alone"),
        (TCP4, "127.0.0.1", "10.0.0.2", ETH0, True, "route_localnet", ""),
        (TCP4, "127.0.0.1", "10.0.0.2", Device(1, "lo"), True, "", ""),
        (TCP4, "10.0.0.2", "10.0.0.2", ETH0, True, "", "10.0.0.2 is an address of this host"),
        (TCP4, "10.0.0.2", "10.0.0.2", ETH0, True, "accept_local", ""),
        (TCP4, "10.0.0.2", "10.0.0.2", Device(1, "lo"), True, "", ""),
        (TCP4, "0.0.0.5", "10.0.0.2", ETH0, False, "", "no packet from 0.0.0.5 to 10.0.0.2 is routed"),
        (UDP4, "224.0.0.1", "10.0.0.2", ETH0, False, "", "224.0.0.1 is an address of many"),
        (TCP4, "240.0.0.1", "10.0.0.2", ETH0, False, "", ""),  # which hosts may have, to Linux
        (TCP6, "::1", "2001:db8::2", ETH0, True, "", "::1 is of this host alone"),
        (TCP6, "2001:db8::2", "2001:db8::2", ETH0, True, "", ""),
    ],
)
def test_which_packets_never_arrive(lookup, saddr, daddr, device, own, sysctl, said) -> None:
    ends = (from_text(saddr), from_text(daddr))
    why = why_dropped(lookup, ends, device, own, sysctl.__eq__)
    assert why.startswith(said)
    assert bool(why) == bool(said)


def test_a_case_for_standard_output_is_there_alone_and_says_that_its_client_is_made_up(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with console.capture() as out, errors.capture() as answer:
        assert main(["who", "--to", "127.0.0.1:9", "--case", "-"]) == 0
    (tmp_path / "case.toml").write_text(out.get())
    case = load(tmp_path / "case.toml")
    assert case.why.endswith("No client was named: 127.0.0.1:1024 is made up, and stands for any.")
    assert "Answer: " in answer.get()
    assert not (tmp_path / "-").exists()
    with console.capture() as out:
        main(["who", "--to", "127.0.0.1:9", "--case", "open.toml"])
        main(["who", "--to", "127.0.0.1:9", "--from", "127.0.0.1:1024", "--case", "one.toml"])
    told = [
        line.split(" by the kernel's text: ")[0] for line in out.get().splitlines() if "the kernel's text: " in line
    ]
    assert told == ["The same for one client, which is made up,", "The same"]
    assert "made up" not in load(tmp_path / "one.toml").why


def test_a_namespace_may_be_named_by_its_file() -> None:
    if os.geteuid():
        pytest.skip("no rights to enter a namespace")
    own = f"/proc/{os.getpid()}/ns/net"
    with console.capture() as out:
        assert main(["who", "--to", "127.0.0.1:9", "--netns", own]) == 0
    assert f"The network namespace of {own} " in out.get()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--to", "10.0.0.2"], "its port is missing"),
        (["--to", "*:80"], "a packet has an address"),
        (["--to", "10.0.0.2:0"], "a packet has a port"),
        (["--to", "10.0.0.2:70000"], "is no port"),
        (["--to", "[::ffff:10.0.0.2]:80"], "such packets are of IPv4: write 10.0.0.2:80"),
        (["--to", "0.0.0.0:80"], "a packet has an address"),
        (["--to", "[::]:80"], "a packet has an address"),
        (["--to", "10.0.0.2:80", "--from", "[::1]:80"], "both are of IPv4, or both of IPv6"),
        (["--to", "10.0.0.2:80", "--netns", "no-such"], "no namespace of that name"),
        (["--to", "10.0.0.2:80", "--netns", "99999999"], "no namespace of that name"),
        (["--to", "10.0.0.2:80", "--netns", "../x"], "no namespace of that name"),
        (["--to", "10.0.0.2:80", "--dev", "no-such"], "no such device there, only lo"),
        (["--to", "10.0.0.2:80", "--case", "/no/such/folder/x"], "there is no folder"),
        (["--to", "10.0.0.2:80", "--netns", "/etc/passwd"], "/etc/passwd"),
        (["--to", "10.0.0.2:80", "--cpu", "70000"], "--cpu 70000: this machine has no such CPU"),
        (["--to", "[fe80::1%lo]:80"], "no device here: it is --dev lo"),
        (["--to", "127.0.0.1:80", "--from", "224.0.0.1:5000"], "224.0.0.1 is an address of many"),
        (["--to", "127.0.0.1:80", "--from", "255.255.255.255:5000"], "255.255.255.255 is an address of many"),
        (["--to", "[::1]:80", "--from", "[ff02::1]:5000"], "ff02::1 is an address of many"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], said: str) -> None:
    with console.capture() as out, errors.capture() as wrong:
        assert main(["who", *arguments]) == 2
    assert out.get() == ""
    assert said in wrong.get()
    assert len(wrong.get().splitlines()) == 1
