"""Guests without QEMU: what is said on the line, the agent, the file system that a guest starts from, and deaths; and
with QEMU, where it is there, all of it at once.
"""

import gzip
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest

from skdiff.base.errors import CannotRun
from skdiff.campaign.batch_run import ON_THEIR_WAY, BatchRun
from skdiff.campaign.finding_files import Origin
from skdiff.cases import wire
from skdiff.cases.case_file import Case, dump
from skdiff.cases.outcome import ABSENT, CRASHED, STUCK, Outcome
from skdiff.cases.record import SCENARIO_SIZE, constants
from skdiff.cases.scenario import DEMUX, NONE, PFREE, Packet
from skdiff.comparison.compare import compare
from skdiff.comparison.running_kernel import JudgeWithHost
from skdiff.engines import drive
from skdiff.kernel.images import Image
from skdiff.oracles.guests import line as lines
from skdiff.oracles.guests import vm as vms
from skdiff.oracles.guests.agent import serve
from skdiff.oracles.guests.initramfs import Archive, initramfs
from skdiff.oracles.guests.line import CANNOT, CASES, FAILED, HELLO, KEYS, RULES, Broken, Line
from skdiff.oracles.guests.qemu import QEMU
from skdiff.oracles.guests.vm import LOST, Vm
from skdiff.oracles.model import Model
from skdiff.variants.version_rules import Rules
from tests.helpers import bound, connected, connection, datagram, listener, scenario
from tests.kernels import PVH, bzimage_of, elf
from tests.running import SKDIFF
from tests.udp_cases import ON_V6, V6_HERE, V6_PEER, udp4, udp6

ROOT = Path(__file__).resolve().parents[3]
OF_VRF6 = datagram(saddr=V6_PEER, daddr=V6_HERE, skb_iif=4, sdif=5)
IMAGE = Image(Path("/nowhere/vmlinuz"), "7.3.4", "nowhere", {})


def drawn(tables: int, packets: int) -> list:
    draw, found = Random(7).randbytes, []
    for _ in range(tables):
        first = wire.decode(draw(wire.SIZE))
        found += [first, *(wire.other_packet(first, draw(wire.FRAME_SIZE)) for _ in range(packets - 1))]
    return found


# --- the line ---


def test_cases_pass_the_line_as_they_are_and_tables_pass_once():
    sent = drawn(5, 4)
    body = lines.cases(sent)
    read = [*lines.read_cases(body)]
    assert read == sent
    assert len(body) < 5 * (SCENARIO_SIZE + 1) + 15 * 200
    for i in range(0, 20, 4):
        assert all(read[i].socks is other.socks for other in read[i + 1 : i + 4])  # the agent makes them once


def test_answers_pass_the_line_as_they_are():
    shown = Outcome(sk=3, shown=((1, 2, 3), (4,)), warns=("x",))
    told = [(Outcome(sk=5), ""), (Outcome(sk=NONE), ""), (Outcome(ended=ABSENT), "Address in use"), (shown, "")]
    assert lines.read_answers(lines.answers(told)) == told


@pytest.mark.parametrize("body", [b"", b"{", b"[1.5]", b"[[1,2]]", b"7"])
def test_an_answer_that_cannot_be_read_is_a_broken_line(body):
    with pytest.raises(Broken):
        lines.read_answers(body)


def test_a_line_that_is_closed_or_makes_noise_is_broken():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"Qxxxx\xff\xff\xff\xff" + bytes(9))
        with pytest.raises(Broken, match="a message of"):
            Line(ours.fileno()).receive()
    ours, theirs = socket.socketpair()
    with ours:
        theirs.sendall(b"Q")
        theirs.close()
        with pytest.raises(Broken, match="closed"):
            Line(ours.fileno()).receive()


# --- the agent ---


class Host:
    """Answers as the model does; port 1 is refused, port 2 is an error of ours."""

    def __init__(self, rules: Rules) -> None:
        self.refusal, self.model, self.rules = "", Model(rules), rules
        self.keys = SimpleNamespace(secrets={}, mixes={})
        self.nearest = SimpleNamespace(by_packets=True, vrfs=False, tables_a_cpu=0)

    def told(self) -> list[str]:
        return ["no VRFs"]

    def run(self, case) -> Outcome:
        if case.packet.sport == 2:
            raise ValueError("an error of ours")
        self.refusal = "no port 1" if case.packet.sport == 1 else ""
        return Outcome(ended=ABSENT) if self.refusal else Outcome(sk=self.model.run(case).sk)


@pytest.fixture
def agent():
    """Our end of the line to an agent that serves in a thread, and the hosts that it made."""
    ours, theirs = socket.socketpair()
    hosts = []

    def host_of(rules: Rules) -> Host:
        hosts.append(Host(rules))
        return hosts[-1]

    thread = threading.Thread(target=serve, args=(Line(theirs.fileno()), host_of))
    thread.start()
    yield Line(ours.fileno()), hosts
    ours.close()
    thread.join(10)
    assert not thread.is_alive()
    theirs.close()


def begin(line: Line, **rules: bool) -> dict:
    line.send(RULES, json.dumps({**vars(Rules()), **rules}).encode())
    kind, body = line.receive()
    assert kind == HELLO
    return json.loads(body)


def ask(line: Line, *cases) -> list[tuple[Outcome, str]]:
    line.send(CASES, lines.cases(cases))
    kind, body = line.receive()
    assert kind == lines.ANSWERS, body
    return lines.read_answers(body)


def test_the_agent_answers_in_order_and_says_what_is_refused(agent):
    line, hosts = agent
    hello = begin(line, hash4=True)
    assert hosts[0].rules == Rules(hash4=True)
    assert hello["able"] == {"by_packets": True, "vrfs": False}
    assert (hello["told"], hello["release"]) == (["no VRFs"], os.uname().release)
    one = scenario(connection(), listener())
    refused = one._replace(packet=one.packet._replace(sport=1))
    nobody = one._replace(packet=one.packet._replace(dport=99))
    assert ask(line, one, refused, nobody) == [
        (Outcome(sk=0), ""),
        (Outcome(ended=ABSENT), "no port 1"),
        (Outcome(sk=NONE), ""),
    ]
    line.send(KEYS, json.dumps([{"0": 7}, {"1": 9}]).encode())
    assert ask(line, one) == [(Outcome(sk=0), "")]
    assert (hosts[0].keys.secrets, hosts[0].keys.mixes) == ({0: 7}, {1: 9})


def test_an_error_of_the_agent_is_no_death_of_its_kernel(agent):
    line, _ = agent
    begin(line)
    line.send(CASES, lines.cases([scenario(listener(), packet=Packet(sport=2))]))
    kind, body = line.receive()
    assert kind == FAILED
    assert body.decode().strip().endswith("ValueError: an error of ours")


def test_a_kernel_that_cannot_be_asked_is_told():
    def host_of(rules: Rules) -> Host:
        raise CannotRun("no BPF here")

    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"R" + (2).to_bytes(4, "little") + b"{}")
        serve(Line(theirs.fileno()), host_of)
        assert Line(ours.fileno()).receive() == (CANNOT, b"no BPF here")


# --- the file system ---


def unpacked(archive: bytes) -> dict[str, tuple[int, bytes]]:
    """The mode and body of each file of a cpio archive ("newc")."""
    found, at = {}, 0
    while True:
        assert archive[at : at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        mode, size, length = fields[1], fields[6], fields[11]
        name = archive[at + 110 : at + 110 + length - 1].decode()
        body = (at + 110 + length + 3) // 4 * 4
        if name == "TRAILER!!!":
            return found
        assert name not in found
        found[name] = mode, archive[body : body + size]
        at = (body + size + 3) // 4 * 4


def test_an_archive_has_the_folders_above_its_files():
    archive = Archive()
    archive.file("/a/b/c", b"12345", 0o755)
    archive.file("a/d", b"")
    archive.character_device("dev/console", os.makedev(5, 1))
    found = unpacked(archive.bytes())
    assert [*found] == ["a", "a/b", "a/b/c", "a/d", "dev", "dev/console"]
    assert found["a/b/c"] == (stat.S_IFREG | 0o755, b"12345")
    assert stat.S_ISDIR(found["a/b"][0])
    assert stat.S_ISCHR(found["dev/console"][0])


def test_the_file_system_has_all_that_the_agent_needs(tmp_path):
    found = unpacked(initramfs({"tun": b"first", "bridge": b"second"}))
    assert found["modules/00-tun.ko"][1] == b"first"
    assert found["modules/01-bridge.ko"][1] == b"second"
    mode, init = found["init"]
    python = init.decode().splitlines()[0].removeprefix("#!").split()[0]
    assert mode & 0o111
    assert found[python.strip("/")][1] == Path(python).read_bytes()
    assert not [name for name in found if name.endswith(".py")]
    if os.getuid():
        pytest.skip("chroot(2), which tries it, needs root")
    for name, (kind, body) in found.items():
        path = tmp_path / name
        if stat.S_ISDIR(kind):
            path.mkdir()
        elif stat.S_ISREG(kind):
            path.write_bytes(body)
            path.chmod(stat.S_IMODE(kind))
    # It reads no C there, and what takes long to load is not loaded.
    told = "print(main.__module__, {'pyroute2', 'pycparser', 'cffi'} & sys.modules.keys(), sorted(LAYOUT))"
    layout = "from skdiff.cases import record\nLAYOUT = [record.SCENARIO_SIZE, record.constants.MAX_SOCKS]"
    start = init.decode().partition("\n")[2].replace("main()", f"{layout}\n{told}")

    def enter() -> None:
        os.chroot(tmp_path)
        os.chdir("/")

    command = [python, "-SE", "-c", start]
    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=enter)
    same = sorted([SCENARIO_SIZE, constants.MAX_SOCKS])
    assert (done.stdout, done.returncode) == (f"skdiff.oracles.guests.init set() {same}\n", 0), done.stderr


# --- a guest that lives and dies: a program that acts like QEMU, with an agent that asks the model ---

DEADLY, HANGING, DEADLY_ONCE = 40666, 40777, 40888  # the packet's source port
FAKE = f"""#!{sys.executable}
import os, re, sys, time
from pathlib import Path
sys.path[:0] = [{str(ROOT / "harness")!r}, {str(ROOT)!r}]
from types import SimpleNamespace
from skdiff.cases.outcome import Outcome
from skdiff.oracles.guests.agent import serve
from skdiff.oracles.guests.line import Line
from skdiff.oracles.model import Model

here = Path(__file__).parent
with (here / "booted").open("a") as file:
    file.write(f"{{os.getpid()}}\\n")
(here / "arguments").write_text(" ".join(sys.argv))
kernel = sys.argv[sys.argv.index("-kernel") + 1]
if (here / "no-elf").exists() and Path(kernel).read_bytes().startswith(b"\\x7fELF"):
    print("triple fault", flush=True)
    sys.exit(1)
print("Linux version 7.3.4", flush=True)
if (here / "no-boot").exists():
    print("VFS: unable to mount root fs", flush=True)
    sys.exit(1)


class Host:
    def __init__(self, rules):
        self.refusal, self.model = "", Model(rules)
        self.nearest = SimpleNamespace(by_packets=True, by_attaching=False, vrfs=True)
        self.keys = SimpleNamespace(secrets={{}}, mixes={{}})

    def told(self):
        return ["nothing is attached"]

    def run(self, case):
        port = case.packet.sport
        if port == {HANGING}:
            print("watchdog: BUG: soft lockup", flush=True)
            time.sleep(60)
        if port == {DEADLY} or (port == {DEADLY_ONCE} and not (here / "died").exists()):
            (here / "died").touch()
            print("BUG: kernel NULL pointer dereference", flush=True)
            os._exit(0)
        if port == 99:
            print("Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000b00", flush=True)
            os._exit(0)
        found = self.model.run(case)
        sk = -1 if (here / "errs").exists() and port == 40001 else found.sk
        return Outcome(sk=sk, shown=found.shown)


fd = int(re.search(r"socket,id=line,fd=(\\d+)", " ".join(sys.argv))[1])
serve(Line(fd), Host)
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """The folder of the program that acts like QEMU."""
    program = tmp_path / QEMU
    program.write_text(FAKE)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(vms, "initramfs", lambda modules: b"archive")
    monkeypatch.setattr(vms, "without_kvm", lambda: "not here")
    return tmp_path


def boots(fake: Path) -> list[int]:
    return [int(line) for line in (fake / "booted").read_text().split()]


def is_gone(pid: int) -> bool:
    try:
        return "Z" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:1]
    except OSError:
        return True


CASE = scenario(connection(), listener())


def by_port(port: int):
    return CASE._replace(packet=CASE.packet._replace(sport=port))


def test_a_guest_is_asked_and_is_gone_afterwards(fake):
    with Vm(IMAGE, Rules()) as vm:
        assert vm.told()[0] == f"asked: Linux {os.uname().release}, booted under QEMU (emulated, without KVM)"
        assert vm.told()[1:] == ["nothing is attached"]
        assert (vm.nearest.by_packets, vm.nearest.by_attaching) == (True, False)
        vm.ask([CASE, by_port(7)])
        vm.ask([by_port(8)])
        assert vm.waiting == 2
        assert [outcome.sk for outcome in vm.answered()] == [0, 1]
        assert [outcome.sk for outcome in vm.answered()] == [1]
        assert vm.run(CASE) == Outcome(sk=0)
    [pid] = boots(fake)
    assert is_gone(pid)
    arguments = (fake / "arguments").read_text()
    assert "-nic none" in arguments
    assert "panic=-1" in arguments


def test_the_case_that_a_guest_dies_of_is_told_and_the_run_goes_on(fake):
    with Vm(IMAGE, Rules()) as vm:
        vm.ask([CASE, by_port(DEADLY), CASE])
        vm.ask([CASE])
        assert vm.answered() == [Outcome(ended=ABSENT), Outcome(ended=CRASHED), Outcome(ended=ABSENT)]
        assert vm.last_words[-1] == "BUG: kernel NULL pointer dereference"
        assert vm.answered() == [Outcome(ended=ABSENT)]  # it was on its way to the one that died
        assert vm.run(CASE) == Outcome(sk=0)
    assert len(boots(fake)) == 3  # one that died, one that died again, and one that goes on
    assert all(map(is_gone, boots(fake)))
    assert vm.refused == {LOST: 3}


def test_a_death_that_does_not_come_again_is_told_of_the_first_case(fake):
    with Vm(IMAGE, Rules()) as vm:
        vm.ask([CASE, by_port(DEADLY_ONCE)])
        assert vm.answered() == [Outcome(ended=CRASHED), Outcome(ended=ABSENT)]
        assert "another guest did not die" in vm.last_words[-1]
        assert vm.run(CASE) == Outcome(sk=0)
    assert len(boots(fake)) == 2


def test_a_guest_that_does_not_answer_is_stuck(fake, monkeypatch):
    monkeypatch.setattr(vms, "TO_ANSWER", 1.0)
    with Vm(IMAGE, Rules()) as vm:
        assert vm.run(by_port(HANGING)) == Outcome(ended=STUCK)
        assert vm.last_words[-1] == "watchdog: BUG: soft lockup"


def test_keys_are_learned_anew_and_not_while_others_wait(fake, monkeypatch):
    learned = []

    def learn(self: Vm) -> None:
        assert self.waiting == 0
        learned.append(self.guests)
        self.keys.secrets[0] = 1

    monkeypatch.setattr(Vm, "learn_keys", learn)
    with Vm(IMAGE, Rules()) as vm:
        vm.learn_keys()
        vm.ask([by_port(DEADLY)])
        vm.ask([CASE])
        assert vm.answered() == [Outcome(ended=CRASHED)]
        assert vm.answered() == [Outcome(ended=ABSENT)]
    assert learned == [1, 2]


def test_a_kernel_that_does_not_boot_is_no_finding(fake):
    (fake / "no-boot").touch()
    with pytest.raises(CannotRun, match=r"7\.3\.4 does not boot under QEMU \(tcg\): VFS: unable to mount root fs"):
        Vm(IMAGE, Rules())


def test_an_emulated_guest_begins_with_the_kernel_in_its_bzimage(fake):
    image, kernel = fake / "bzImage", elf(PVH)
    image.write_bytes(bzimage_of(gzip.compress(kernel)))
    with Vm(Image(image, "7.3.4", "here", {}), Rules()) as vm:
        assert vm.run(CASE) == Outcome(sk=0)
        assert "-kernel /proc/self/fd/" in (fake / "arguments").read_text()
        [pid] = boots(fake)
        held = {str(path.readlink()): path for path in Path(f"/proc/{pid}/fd").iterdir()}
        [of_kernel] = [path for name, path in held.items() if "skdiff-kernel" in name]
        assert of_kernel.read_bytes() == kernel


@pytest.mark.parametrize("notes", [(PVH,), ()])
def test_a_kernel_that_cannot_begin_so_is_booted_as_its_bzimage(notes, fake):
    """Be it that it is seen before, or that QEMU does not boot it; and from then on it is the bzImage."""
    (fake / "no-elf").touch()
    image = fake / "bzImage"
    image.write_bytes(bzimage_of(gzip.compress(elf(*notes))))
    with Vm(Image(image, "7.3.4", "here", {}), Rules()) as vm:
        assert vm.run(CASE) == Outcome(sk=0)
        assert f"-kernel {image} " in (fake / "arguments").read_text()
        assert len(boots(fake)) == 1 + len(notes)
        assert vm.run(by_port(DEADLY)) == Outcome(ended=CRASHED)
        assert vm.run(CASE) == Outcome(sk=0)
    assert len(boots(fake)) == 2 + len(notes)
    assert f"-kernel {image} " in (fake / "arguments").read_text()


def test_that_the_agent_ends_is_no_finding(fake):
    with Vm(IMAGE, Rules()) as vm, pytest.raises(CannotRun, match="the agent in the guest has ended"):
        vm.run(by_port(99))


def test_kvm_is_tried_once_and_then_emulation(fake, monkeypatch):
    failed = []
    monkeypatch.setattr(vms, "without_kvm", lambda: "")
    monkeypatch.setattr(vms, "note_that_kvm_fails", lambda: failed.append(1))
    program = fake / QEMU
    program.write_text(
        FAKE.replace("import os, re", "import sys; '-accel kvm' in ' '.join(sys.argv) and sys.exit(1)\nimport os, re")
    )
    with Vm(IMAGE, Rules()) as vm:
        assert vm.accelerator == "tcg"
    assert (failed, len(boots(fake))) == ([1], 1)


def test_without_qemu_one_line_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(vms, "initramfs", lambda modules: b"")
    with pytest.raises(CannotRun, match=r"qemu-system-x86_64 is missing, .* apt install qemu-system-x86"):
        Vm(IMAGE, Rules())


def test_a_guest_ends_with_whoever_started_it_however_that_ends(fake):
    code = f"""
import sys, time
sys.path[:0] = [{str(ROOT / "harness")!r}]
from pathlib import Path
from skdiff.oracles.guests.qemu import Machine
machine = Machine(Path("/nowhere"), b"", "tcg")
print("up", flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "up\n"
        end = time.monotonic() + 20
        while not (fake / "booted").exists() and time.monotonic() < end:
            time.sleep(0.05)
        [pid] = boots(fake)
        assert not is_gone(pid)
        parent.send_signal(signal.SIGKILL)
    while not is_gone(pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert is_gone(pid)


# --- runs ---


def seen(outcome: Outcome) -> Outcome:
    """What a running kernel shows of an outcome."""
    return Outcome(sk=outcome.sk, shown=outcome.shown)


def run_of(tmp_path: Path, guest, model: Model, told: list, cases: int) -> BatchRun:
    judge = JudgeWithHost("guest", lambda _, both: compare(("model",), both), ("model",), model, lambda: ["oops"])
    return BatchRun(
        lambda: [guest, model],
        Origin("7.3.4", "", "random", 1),
        tmp_path / "findings",
        told.append,
        cases,
        packets=6,
        judge=judge,
        guest=guest,
    )


class Guest:
    """Answers as the model, but for what `wrong` changes; counts what was on its way at once."""

    name = "guest"

    def __init__(self, wrong) -> None:
        self.model, self.sent, self.most, self.wrong, self.batches = Model(), [], 0, wrong, []

    def ask(self, scenarios) -> None:
        self.sent.append(scenarios)
        self.batches.append(len(scenarios))
        self.most = max(self.most, len(self.sent))

    def answered(self) -> list[Outcome]:
        return [self.wrong(case, seen(self.model.run(case))) for case in self.sent.pop(0)]

    def run(self, case) -> Outcome:
        raise AssertionError("it is asked in batches")


def batches(tmp_path: Path, wrong, cases: int = 300) -> tuple[BatchRun, Guest]:
    guest, told = Guest(wrong), []
    run = run_of(tmp_path, guest, Model(), told, cases)
    drive("random", run)
    run.finish()
    assert not guest.sent
    return run, guest


def test_a_run_asks_tables_by_tables_and_compares_each_case_once(tmp_path):
    run, guest = batches(tmp_path, lambda case, outcome: outcome)
    assert run.done == 300
    assert sum(guest.batches) == 300
    assert set(guest.batches) == {6}
    assert guest.most == ON_THEIR_WAY
    assert not run.mismatches


def test_each_case_is_compared_with_its_own_answer(tmp_path):
    """One in a hundred answers is wrong, and these are the ones that are found."""
    wrong = []

    def of(case, outcome):
        if case.packet.sport % 50 or outcome.sk < 0:
            return outcome
        wrong.append(case)
        return outcome._replace(sk=NONE)

    run, _ = batches(tmp_path, of, 600)
    assert wrong
    assert sum(kind.count for kind in run.mismatches.values()) == len(wrong)


def test_a_death_is_a_finding_with_the_last_words(tmp_path):
    run, _ = batches(tmp_path, lambda case, outcome: Outcome(ended=CRASHED) if case.packet.dport == 80 else outcome, 60)
    assert run.mismatches
    assert all(signature.endswith("crashed") for signature in run.mismatches)
    reports = [*(tmp_path / "findings").rglob("report.txt")]
    assert reports
    assert all("said: oops" in report.read_text() for report in reports)


def bzimage(path: Path, release: str) -> Path:
    body = bytearray(0x4000)
    body[0x202:0x206] = b"HdrS"
    body[0x20E:0x210] = (0x3000 - 0x200).to_bytes(2, "little")
    body[0x3000 : 0x3000 + len(release)] = release.encode()
    path.write_bytes(body)
    return path


def run_skdiff(fake: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, which finds the program that acts like QEMU."""
    return subprocess.run([*SKDIFF, *words], capture_output=True, text=True, check=False, cwd=fake)


@pytest.mark.usefixtures("kernel_tree")
def test_a_run_asks_a_guest_beside_the_text_and_the_model(fake):
    """The whole of it, on a kernel that a user names; the guest's answers are a model's."""
    oracle = f"vm:{bzimage(fake / 'bzImage', '6.12.117-mine')}"
    done = run_skdiff(fake, "fuzz", "--oracle", oracle, "--cases", "600", "--seed", "1", "--json", "run.json")
    assert "Traceback" not in done.stderr
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the image is of Linux 6.12.117-mine, its text beside it of 6.12" in done.stderr
    assert "nothing is attached" in done.stderr
    summary = json.loads((fake / "run.json").read_text())
    assert (summary["cases"], summary["mismatches"], summary["unrealised"]) == (600, [], {})
    assert summary["running"] == "Linux 6.12.117-mine in a guest"
    assert all(map(is_gone, boots(fake)))


@pytest.mark.long
@pytest.mark.usefixtures("kernel_tree")
def test_what_a_guest_does_otherwise_is_a_finding_that_can_be_replayed(fake):
    oracle = f"vm:{bzimage(fake / 'bzImage', '6.12.117-mine')}"
    (fake / "errs").touch()
    done = run_skdiff(fake, "fuzz", "--oracle", oracle, "--cases", "600", "--seed", "1", "--first")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    [path] = (fake / "findings").glob("*/case.toml")
    report = (path.parent / "report.txt").read_text()
    for name in (f"running kernel {os.uname().release}", "Linux 6.12.", "model"):
        assert name.split()[0] in report
    assert f"--oracle {oracle}" in report
    done = run_skdiff(fake, "replay", "--oracle", oracle, str(path))
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    (fake / "errs").unlink()
    done = run_skdiff(fake, "replay", "--oracle", oracle, str(path))
    assert (done.returncode, "1 agreed" in done.stdout) == (0, True)
    assert all(map(is_gone, boots(fake)))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fuzz", "--oracle", "vm:"], "'vm:' is none: host, or vm: and a version or the path of a bzImage"),
        (["replay", "--oracle", "here"], "'here' is none"),
        (["fuzz", "--oracle", "vm:./nothing"], "nothing: No such file"),
        (["fuzz", "--oracle", "vm:six"], "'six' is neither a kernel version"),
        (["diff", "vm:six", "6.12"], "'six' is neither a kernel version"),
    ],
)
def test_what_is_no_oracle_is_one_line(words, said, fake):
    done = run_skdiff(fake, *words)
    assert done.returncode == 2
    assert said in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr


# --- with QEMU ---


@pytest.mark.guest
@pytest.mark.parametrize(("version", "wrong"), [("6.12", "hash4"), ("7.3", "no-hash4")])
def test_a_kernel_that_is_booted_does_as_its_text_and_the_model_say(version, wrong, tmp_path):
    if shutil.which(QEMU) is None:
        pytest.skip(f"no {QEMU}")
    command = [*SKDIFF, "fuzz", "--oracle", f"vm:{version}", "--cases", "3000", "--seed", "1"]
    command += ["--json", str(tmp_path / "run.json"), "--findings", str(tmp_path / "findings")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    summary = json.loads((tmp_path / "run.json").read_text())
    assert (done.returncode, summary["mismatches"]) == (0, [])
    assert summary["cases"] == 3000
    assert summary["unrealised"] == {}
    assert summary["running"].startswith(f"Linux {version}")
    # Which of two connections wins: the newer one by the rule, the one that is bound to the device by the score.
    twins = udp4(connected(bound_dev_if=2), connected(), packet=datagram(skb_iif=2))
    (tmp_path / "twins.toml").write_text(dump(Case(twins, why="The rule of the version decides.")))
    # Packets of a VRF that no helper can stand for.
    of_vrf = Packet(skb_iif=4, sdif=5, sk=0, destructor=PFREE)
    (tmp_path / "vrf.toml").write_text(dump(Case(scenario(listener(bound_dev_if=4), packet=of_vrf))))
    by_demux = udp6(
        *(bound(**ON_V6, ipv6only=1, bound_dev_if=device) for device in (4, 5, 2)), packet=OF_VRF6, caller=DEMUX
    )
    (tmp_path / "demux.toml").write_text(dump(Case(by_demux)))
    command = [*SKDIFF, "replay", "--oracle", f"vm:{version}", *map(str, tmp_path.glob("*.toml"))]
    for words, code in (([], 0), (["--epoch", wrong], 1)):
        done = subprocess.run([*command, *words], capture_output=True, text=True, check=False)
        assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stdout + done.stderr
        assert ("3 agreed" if not code else "2 agreed, 1 differs") in done.stdout
