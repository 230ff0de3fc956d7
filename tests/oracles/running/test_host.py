"""The running kernel, asked: where this process may, with real sockets in network namespaces of its own."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest

from skdiff.base.errors import CannotRun
from skdiff.cases.addresses import from_text, low_word
from skdiff.cases.derived import is_routed
from skdiff.cases.outcome import ABSENT, SHOWN_SK_LOOKUP, UNSEEN, Outcome
from skdiff.cases.pools import HERE
from skdiff.cases.scenario import (
    AF_INET6,
    AT_TAKEN,
    DEMUX,
    FILTER,
    HELPER,
    LEAVES,
    NONE,
    PFREE,
    TCP4,
    TCP6,
    Event,
    Group,
    Netns,
    Packet,
)
from skdiff.cli import main
from skdiff.comparison.compare import compare
from skdiff.comparison.running_kernel import JudgeWithHost
from skdiff.findings.replay_on_host import question, why_not
from skdiff.oracles.model import Model
from skdiff.oracles.model.hashing import inet_ehashfn
from skdiff.oracles.running.calibration import SETS, calibration, hashed_words, packets
from skdiff.oracles.running.hash_key import MEMBERS, Question, find_key
from skdiff.oracles.running.namespaces import Namespaces
from skdiff.oracles.running.realisable import Keys, Nearest
from skdiff.variants.version_rules import EPOCHS, Rules, changed_by_hand
from tests.helpers import connection, datagram, listener, scenario, timewait, udp
from tests.running import SKDIFF
from tests.udp_cases import V6_ENDS, bound, connected, grouped, udp4, udp6

TABLES, PACKETS = 60, 8  # of each lookup
# In a process of its own: namespaces are gone with it. The rules that the model follows may be changed by hand.
ASK = f"""
import json, os, sys
from random import Random
from skdiff.base.errors import CannotRun
from skdiff.cases import wire
from skdiff.cases.other_lookup import as_lookup
from skdiff.comparison.running_kernel import agrees
from skdiff.oracles.model import Model
from skdiff.oracles.running import bpf, wires
from skdiff.oracles.running.host import Host
from skdiff.variants.version_rules import EPOCHS, Rules, changed_by_hand

if os.environ.get("AS_NOBODY"):
    os.setgroups([])
    os.setuid(65534)
rules = changed_by_hand(Rules(), ".".join(os.uname().release.split(".")[:2]))
if os.environ.get("WITHOUT_LINKS"):
    def refused(*_):
        raise OSError
    bpf.attach_to_device = refused
if os.environ.get("WITHOUT_TUN"):
    def missing(*_):
        raise CannotRun("no TUN")
    wires.Wire.__init__ = missing
try:
    host = Host(rules)
except CannotRun as error:
    sys.exit(f"cannot: {{error}}")
host.nearest.tables_a_cpu = 8  # to move to another one takes longer than to ask
draw, model = Random(2).randbytes, Model(changed_by_hand(rules, os.environ.get("WRONG", "")))
told = {{"left_out": host.told(), "asked": 0, "found": 0, "shown": 0, "wrong": []}}
for lookup in range(4):
    for _ in range({TABLES}):
        tables = as_lookup(wire.decode(draw(wire.SIZE)), lookup)
        for packet in range({PACKETS}):
            case = host.nearest(wire.other_packet(tables, draw(wire.FRAME_SIZE)) if packet else tables)
            outcome, expected = host.run(case), model.run(case)
            told["asked"] += 1
            told["found"] += outcome.sk >= 0
            if not agrees(outcome, expected) and "group by hash" not in expected.via:
                told["wrong"].append((lookup, outcome.sk, expected.sk, expected.via, outcome.shown, expected.shown))
            told["shown"] += len(outcome.shown)
host.close()
print(json.dumps({{**told, "refused": host.refused.total()}}))
"""


def ask(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", ASK], capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )


@cache
def may_ask() -> bool:
    """Whether this process may make namespaces and load programs."""
    probe = (
        "from skdiff.oracles.running.host import Host; from skdiff.variants.version_rules import Rules; Host(Rules())"
    )
    return subprocess.run([sys.executable, "-c", probe], capture_output=True, check=False).returncode == 0


def here() -> tuple[list[str], list[str]]:
    """The devices of this namespace, and its listeners and sockets of UDP."""
    devices = sorted(path.name for path in Path("/sys/class/net").iterdir())
    tables = [Path(f"/proc/net/{name}").read_text().count("\n") for name in ("raw", "dev")]
    return devices, [str(lines) for lines in tables]


def test_the_running_kernel_does_as_the_model_says_and_nothing_is_left():
    if not may_ask():
        pytest.skip("no rights to ask the running kernel")
    before = here()
    done = ask()
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["wrong"] == []
    assert told["asked"] == TABLES * PACKETS * 4
    assert told["refused"] == 0
    assert told["found"] > told["asked"] / 4
    assert told["shown"] > told["asked"] / 4
    assert here() == before


def test_the_older_way_to_show_packets_to_programs_does_the_same():
    if not may_ask():
        pytest.skip("no rights to ask the running kernel")
    told = json.loads(ask(WITHOUT_LINKS="1").stdout)
    if told["left_out"] and "VRF" not in told["left_out"][0]:
        pytest.skip(told["left_out"][0])
    assert (told["wrong"], told["refused"]) == ([], 0)
    assert told["found"] > told["asked"] / 4


def test_without_tun_packets_come_in_by_pairs_of_devices():
    if not may_ask():
        pytest.skip("no rights to ask the running kernel")
    told = json.loads(ask(WITHOUT_TUN="1").stdout)
    if told["left_out"]:
        pytest.skip(told["left_out"][0])
    assert (told["wrong"], told["refused"]) == ([], 0)
    assert told["shown"] > told["asked"] / 4


@pytest.mark.long
def test_a_model_of_another_kernel_is_found_out():
    """Without hash4 a packet goes by the scores of UDP's connected sockets."""
    if not may_ask() or not changed_by_hand(Rules(), ".".join(os.uname().release.split(".")[:2])).hash4:
        pytest.skip("no rights to ask the running kernel, or it is older")
    told = json.loads(ask(WRONG="no-hash4").stdout)
    assert {lookup for lookup, *_ in told["wrong"]} <= {2, 3}
    assert told["wrong"]


def test_without_rights_one_line_says_what_is_missing():
    if os.getuid():
        pytest.skip("this is nobody already")
    done = ask(AS_NOBODY="1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "cannot: a network namespace cannot be made: Operation not permitted;"
        " it takes root, or CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF\n"
    )


@pytest.mark.parametrize("dropped", ["net_admin", "sys_admin", "net_raw"])
def test_with_some_of_the_rights_it_asks_or_says_what_is_missing(dropped):
    if not may_ask() or os.getuid() or not shutil.which("setpriv"):
        pytest.skip("no rights to give up, or no setpriv")
    drop = [f"--{kind}=-{dropped}" for kind in ("bounding-set", "inh-caps")]
    done = subprocess.run(["setpriv", *drop, sys.executable, "-c", ASK], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert done.returncode == 0 or done.stderr.startswith("cannot: ")


def test_a_run_asks_it_beside_the_text_and_says_so(tmp_path):
    """Of Linux 7.3's rules none is seen by a helper that 6.18 has not; another kernel may differ, or hash otherwise."""
    if not may_ask():
        pytest.skip("no rights to ask the running kernel")
    command = [*SKDIFF, "fuzz", "--oracle", "host", "--kernel", "7.3", "--cases", "2000", "--seed", "1"]
    command += ["--json", str(tmp_path / "run.json"), "--findings", str(tmp_path / "findings")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    if done.returncode == 2:
        assert "keys fit what the kernel chose by hash" in done.stderr
        return
    summary = json.loads((tmp_path / "run.json").read_text())
    assert summary["running"] == f"Linux {os.uname().release}"
    assert f"the running kernel (Linux {os.uname().release}), Linux 7.3" in done.stdout
    assert "asked of the running kernel: 2,000 cases of 2,000; " in done.stdout
    assert done.returncode == bool(summary["mismatches"])
    assert not summary["mismatches"] or not os.uname().release.startswith("6.18.")


# --- what needs no rights ---

HASHED = [(key, lport_added) for key in (0, 0xFEDCBA98, 0xFFFFFFFF) for lport_added in (False, True)]


def choices(key: int, lport_added: bool) -> tuple[list[Question], list[list[int]]]:
    """What the kernel is asked while its key is looked for, and what one with this key chooses."""
    sets = [[*packets(calibration(TCP4, 0, number).packet, number)] for number in range(SETS)]
    chosen = [
        [
            inet_ehashfn(key, low_word(packet.daddr), packet.dport, low_word(packet.saddr), packet.sport, lport_added)
            * MEMBERS
            >> 32
            for packet in asked
        ]
        for asked in sets
    ]
    return [Question(*hashed_words(packet, lport_added)) for packet in sets[0]], chosen


@pytest.mark.parametrize(("key", "lport_added"), HASHED)
def test_each_key_is_found(key, lport_added):
    assert find_key(*choices(key, lport_added)) == key


def test_choices_by_another_hash_give_no_key():
    asked, chosen = choices(1, lport_added=True)
    with pytest.raises(CannotRun, match="no keys fit what the kernel chose by hash"):
        find_key(asked, [*chosen[:-1], choices(2, lport_added=True)[1][-1]])
    chosen[-1][-1] ^= 1
    with pytest.raises(CannotRun, match="no keys fit what the kernel chose by hash"):
        find_key(asked, chosen)


def test_packets_of_the_calibration_come_from_hosts():
    for number in range(SETS):
        case = calibration(TCP4, 0, number)
        for packet in packets(case.packet, number):
            for address in (packet.saddr, packet.daddr):
                assert is_routed(TCP4, address, HERE)
            assert 0 < packet.sport < 1 << 16


def judge(model: Model | None = None) -> JudgeWithHost:
    names = ("text", "model")
    return JudgeWithHost("running kernel", lambda _, outcomes: compare(names, outcomes), names, model or Model())


def test_of_the_running_kernel_the_socket_is_compared_and_what_programs_were_shown():
    case = scenario(connection(), listener(), caller=HELPER)
    outcome = Model().run(case)
    sides = [outcome, outcome]
    assert judge()(case, [Outcome(sk=0), *sides]) is None
    found = judge()(case, [Outcome(sk=1), *sides])
    assert (found.fields, found.signature, found.half_seen) == (("sk",), "established-sk", ("running kernel",))
    assert judge()(case, [Outcome(sk=NONE), *sides]).fields == ("sk",)
    assert judge()(case, [Outcome(ended=ABSENT), *sides]) is None
    assert judge()(case, [Outcome(ended=ABSENT), outcome._replace(sk=1), outcome]).names == ("text", "model")
    run = outcome._replace(shown=((SHOWN_SK_LOOKUP, 0, 0, 2, 6, 1, 2, 3, 4, 5, NONE, 0, 0),))
    seen = run.shown[0]
    assert judge()(case, [Outcome(sk=0, shown=(seen,)), run, run]) is None
    assert judge()(case, [Outcome(sk=0, shown=((*seen[:-2], UNSEEN, 0),)), run, run]) is None
    assert judge()(case, [Outcome(sk=0, shown=((*seen[:-3], 1, UNSEEN, 0),)), run, run]).fields == ("shown",)
    assert judge()(case, [Outcome(sk=0), run, run]).fields == ("shown",)


def test_who_is_first_in_a_chain_is_not_known_where_others_may_share_it():
    """Early demux takes the first of a chain alone. In 256 slots another address may share it, in 65,536 hardly: then
    the first of the twins gets the packet, and not the one that hash4 has first.
    """
    model = Model(EPOCHS["6.13"])
    twin = connected(**V6_ENDS, ipv6only=1, reuseport=1)
    other = bound(family=AF_INET6, rcv_saddr=from_text("2001:db8::77"), ipv6only=1, num=99)
    cases = (udp6(twin, twin, other, caller=DEMUX, udp_size=256, netns=(Netns(hash_mix=mix),)) for mix in range(10_000))
    case = next(found for found in cases if "early demux" not in model.run(found).via)
    sides = 2 * [model.run(case)]
    assert sides[0].sk == 1
    assert judge(model)(case, [Outcome(sk=0), *sides]) is None
    assert judge(model)(case, [Outcome(sk=2), *sides]) is not None
    assert judge(model)(case, [Outcome(sk=NONE), *sides]) is not None


def test_what_an_unknown_secret_decides_may_be_any_member_that_one_chooses():
    members = [listener(family=10, group=0, reuseport=1) for _ in range(3)]
    case = scenario(
        *members,
        listener(family=10, bound_dev_if=9),
        lookup=TCP6,
        caller=HELPER,
        netns=(Netns(),),
        groups=(Group(num_socks=3, bind_inany=1, slots=(0, 1, 2)),),
    )
    outcome = Model().run(case)
    assert "group by hash" in outcome.via
    asked = judge()
    for sk in range(3):
        assert asked(case, [Outcome(sk=sk), outcome, outcome]) is None
    assert asked.by_chance == 2
    assert asked(case, [Outcome(sk=3), outcome, outcome]) is not None
    assert asked(case, [Outcome(sk=NONE), outcome, outcome]) is not None


# --- cases of files ---


ATTACHED = Packet(sk=0, destructor=PFREE)
OF_VRF = datagram(skb_iif=9, sdif=7)


@pytest.mark.parametrize(
    ("case", "why"),
    [
        (scenario(listener()), ""),
        (scenario(listener(), caller=HELPER), ""),
        (scenario(connection(), packet=Packet(rt_iif=1)), ""),
        (scenario(connection(refcnt=2), packet=ATTACHED), ""),
        (scenario(connection(refcnt=2), packet=ATTACHED._replace(rt_iif=1)), ""),
        (udp4(bound(), caller=DEMUX), ""),
        (grouped(bound(reuseport=1, group=0), prog=FILTER), ""),
        (scenario(connection(refcnt=2), packet=ATTACHED._replace(rt_iif=2)), ""),
        (scenario(connection(refcnt=2), packet=ATTACHED._replace(skb_iif=7)), ""),
        (scenario(udp(), packet=ATTACHED), "no such packet comes in: sk"),
        (scenario(listener(bound_dev_if=9), packet=Packet(skb_iif=7)), ""),
        (
            scenario(listener(bound_dev_if=8), listener(bound_dev_if=9), packet=Packet(skb_iif=7)),
            "no such packet comes",
        ),
        (scenario(connection(refcnt=2), packet=ATTACHED._replace(skb_iif=9, sdif=7)), ""),
        (udp4(bound(bound_dev_if=7), bound(bound_dev_if=8), packet=OF_VRF, caller=DEMUX), ""),
        (udp4(*(bound(bound_dev_if=device) for device in (6, 7, 8)), packet=OF_VRF, caller=DEMUX), ""),
        (udp4(*(bound(bound_dev_if=5 + i) for i in range(5)), packet=OF_VRF, caller=DEMUX), "no such packet comes"),
        (scenario(listener(bound_dev_if=7), packet=Packet(skb_iif=9, sdif=7)), ""),
        (scenario(listener(), hostile=1), "it is hostile"),
        (scenario(timewait()), ""),
        (
            scenario(connection(), events=(Event(point=AT_TAKEN, at=0, action=LEAVES, sk=0),)),
            "system calls do not bring it about here: events on other CPUs",
        ),
        (grouped(*2 * (bound(reuseport=1, group=0),), slots=(1, 0)), ""),
    ],
)
def test_what_the_running_kernel_is_not_asked(case, why):
    asked = question(case)
    nearest = Nearest(Rules(), Keys(), (0, 1))(asked)
    assert why_not(asked, nearest).startswith(why)
    assert bool(why_not(asked, nearest)) == bool(why)
    if not why:
        assert Model().run(nearest).sk == Model().run(case).sk


def test_without_a_vrf_its_packets_are_not_asked_for_but_a_helper_is():
    nearest = Nearest(Rules(), Keys(), (0, 1))
    nearest.by_vrf = False
    by_packet = question(udp4(bound(bound_dev_if=7), packet=OF_VRF, caller=DEMUX))
    assert why_not(by_packet, nearest(by_packet)).startswith("no such packet comes in: ")
    by_helper = question(udp4(bound(bound_dev_if=7), packet=OF_VRF))
    assert why_not(by_helper, nearest(by_helper)) == ""


def replayed(capsys: pytest.CaptureFixture[str], *paths: object) -> tuple[int, str, str]:
    """The exit code of a replay on the running kernel, and what it printed; this process stays in its namespace."""
    code = main(["replay", "--oracle", "host", "--kernel", "7.3", *map(str, paths)])
    return code, *capsys.readouterr()


def test_what_a_case_expects_is_asked_of_the_running_kernel_whatever_stood_before_it(tmp_path, capsys):
    if not may_ask():
        pytest.skip("no rights to ask the running kernel")
    words = 'version = 1\npacket = "10.0.0.1:40000 -> 10.0.0.2:80"\nexpect = { from = "report", sk = "%s" }\n'
    words += '[[listener]]\nname = "a"\nlisten = "10.0.0.2:80"\n[[listener]]\nname = "b"\nlisten = "10.0.0.3:80"\n'
    for name in ("a", "b"):
        (tmp_path / f"{name}.toml").write_text(words % name)
    code, told, _ = replayed(capsys, tmp_path / "a.toml", tmp_path / "b.toml")
    assert code == 1
    assert "b.toml: the running kernel: sk is a, expected b" in told
    assert "2 cases, 1 agreed, 1 differs" in told
    surprises = [f"corpus/surprises/local_connection_{name}.toml" for name in ("by_address", "from_lo")]
    for order in (surprises, surprises[::-1]):
        assert "2 cases, 2 agreed" in replayed(capsys, *order)[1]


def test_what_replay_cannot_do_with_an_oracle_is_refused(tmp_path, capsys):
    refused = replayed(capsys, "--format", "ktap", "corpus/surprises")
    assert refused[:2] == (2, "")
    assert "leave out --format and --first" in refused[2]


def test_the_surprises_that_it_can_be_asked_are_as_it_says(tmp_path, capsys):
    if not may_ask():
        pytest.skip("no rights to ask the running kernel")
    json_file = tmp_path / "asked.json"
    code, told, errors = replayed(capsys, "--json", json_file, "corpus/surprises", "corpus/conformance")
    if code == 2:
        assert "keys fit what the kernel chose by hash" in errors
        return
    asked = json.loads(json_file.read_text())
    words = Counter(asked["verdicts"].values())
    assert f"running kernel {os.uname().release}: {words.total():,} cases, {words['agreed']:,} agreed" in told
    assert words["agreed"] > 100
    assert {*asked["why"]} == {path for path, word in asked["verdicts"].items() if word == "not realisable"}
    assert code == bool(words["differs"])
    assert not words["differs"] or not os.uname().release.startswith("6.18.")


def test_two_of_one_thread_are_each_in_their_own_namespace():
    """diff host host asks both in turns."""
    if not may_ask():
        pytest.skip("no rights to ask the running kernel")

    def entered():
        sides = [Namespaces(1, 1), Namespaces(1, 1)]
        try:
            found = []
            for side in (*sides, *sides):
                side.enter(0)
                found.append(Path("/proc/thread-self/ns/net").readlink())
            return found
        finally:
            for side in sides:
                side.close()

    with ThreadPoolExecutor(1) as threads:
        a, b, *again = threads.submit(entered).result()
    assert a != b
    assert again == [a, b]
