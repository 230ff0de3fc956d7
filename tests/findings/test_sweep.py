"""Ranges: what can be swept, what each value gives, and the table and plot of it."""

import json

import pytest

from skdiff.base.errors import CannotRun
from skdiff.cases.addresses import from_text, mapped
from skdiff.cases.case_file import Case, anew, dump
from skdiff.cases.scenario import NONE, Group, Packet
from skdiff.cli import main
from skdiff.findings.sweep import NO_ANSWER, Range, Sweep, read_range, sweep, sweep_text
from skdiff.findings.values import as_it_stands
from skdiff.oracles.model import Model
from tests.helpers import bound, listener, request, scenario

MODEL = Model()
NAMES = ("a", "b", "c")
ADDRESS = mapped(0x0A000001)
GROUP = scenario(
    listener(reuseport=1, group=0),
    listener(reuseport=1, group=0, incoming_cpu=2),
    groups=(Group(num_socks=2, bind_inany=1, incoming_cpu=1, slots=(0, 1)),),
)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("sport=1024..65535", Range("sport", 1024, 65535)),
        (" cpu = 0 .. 7 ", Range("cpu", 0, 7)),
        ("saddr=10.0.0.1..10.0.0.9", Range("saddr", ADDRESS, ADDRESS + 8)),
        ("sport=0..65535", Range("sport", 0, 65535)),
    ],
)
def test_a_range_is_read(words, found):
    assert read_range(words) == found


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("sport", "KEY=FIRST..LAST is needed, as in sport=1024..65535"),
        ("sport=5", "KEY=FIRST..LAST is needed"),
        ("dport=1..2", "dport cannot be swept, only sport, saddr, cpu"),
        ("sport=a..b", "numbers are needed on both sides of .."),
        ("saddr=1..2", "addresses of IPv4 or IPv6 are needed"),
        ("sport=2..1", "the first value is not behind the last one"),
        ("sport=1..65536", "at most 65535"),
        ("cpu=0..8192", "at most 8191"),
        ("saddr=10.0.0.0..10.1.0.0", "65,537 values, 65,536 is the most"),
    ],
)
def test_what_is_no_range_is_refused(words, says):
    with pytest.raises(CannotRun, match="--sweep") as refused:
        read_range(words)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def swept(case, values, kernel, model):
    return sweep(as_it_stands(case), values, kernel, model)


def test_each_value_is_asked():
    found = swept(GROUP, Range("cpu", 0, 3), MODEL, MODEL)
    of_hash = MODEL.run(GROUP).sk
    assert found.winners == {0: of_hash, 1: of_hash, 2: 1, 3: of_hash}
    assert (found.left_out, found.parted) == (0, None)
    ports = swept(GROUP, Range("sport", 1000, 1999), MODEL, MODEL)
    assert sum(count for _, count in ports.counts) == 1000
    assert {sk for sk, _ in ports.counts} == {0, 1}
    assert ports.by_hash


def test_values_that_a_packet_cannot_have_are_left_out_and_counted():
    case = GROUP._replace(packet=Packet(skb_iif=2))  # of another host
    found = swept(case, Range("saddr", mapped(0xDFFFFFFE), mapped(0xE0000001)), MODEL, MODEL)
    assert (len(found.winners), found.left_out) == (2, 2)
    assert "2 values left out: the packet of this case cannot have them." in sweep_text(found, case, NAMES, MODEL)
    with pytest.raises(CannotRun, match=r"the packet of this case can have no saddr from 224.0.0.1 to 224.0.0.2"):
        swept(case, Range("saddr", mapped(0xE0000001), mapped(0xE0000002)), MODEL, MODEL)


def test_the_first_difference_is_kept():
    class Odd:
        name = "patched"

        def run(self, case):
            outcome = MODEL.run(case)
            return outcome._replace(sk=NONE) if case.packet.sport in (12, 14) else outcome

    value, mismatch = swept(GROUP, Range("sport", 10, 20), Odd(), MODEL).parted
    assert (value, mismatch.fields) == (12, ("sk",))


def test_the_table_and_the_plot():
    winners = {value: 0 if value < 1064 else NONE if value % 2 else 1 for value in range(1000, 1128)}
    lines = list(sweep_text(Sweep(Range("sport", 1000, 1127), winners, 0, False, None), scenario(), NAMES, MODEL))
    assert lines == [
        "sport 1000 to 1127:",
        "",
        "  who      values    share",
        "  a            64   50.0 %  ####################",
        "  b            32   25.0 %  ##########",
        "  nobody       32   25.0 %  ##########",
        "",
        f"  a      |{'@' * 32}{' ' * 32}|",
        f"  b      |{' ' * 32}{'+' * 32}|",
        f"  nobody |{' ' * 32}{'+' * 32}|",
        "          1000 to 1127, 2 values or less a column; from . for few to @ for all",
    ]


def test_a_short_range_has_a_column_each():
    found = swept(GROUP, Range("cpu", 1, 3), MODEL, MODEL)
    told = list(sweep_text(found, GROUP, NAMES, MODEL))
    assert told[0] == ("cpu 1 to 3, with the hash's secret of this case (0x0; on a host it is random at each boot):")
    assert "  b   | @ |" in told or "  b   |@@@|" in told
    stuck = Sweep(Range("cpu", 1, 1), {1: NO_ANSWER}, 0, False, None)
    assert "  no answer        1  100.0 %" in list(sweep_text(stuck, scenario(), NAMES, MODEL))[3]


def test_explain_sweeps(kernel_tree, tmp_path, capsys):
    case, summary = tmp_path / "case.toml", tmp_path / "summary.json"
    case.write_text(dump(Case(GROUP, socks=("a", "b"), groups=("g",))))
    assert main(["explain", str(case), "--sweep", "cpu=0..3", "--json", str(summary)]) == 0
    told = capsys.readouterr().out
    assert "\ncpu 0 to 3, with the hash's secret of this case" in told
    assert told.splitlines()[-1].startswith("Answer: ")
    found = json.loads(summary.read_text())["sweep"]
    assert (found["key"], found["first"], found["last"], found["left_out"]) == ("cpu", "0", "3", 0)
    assert sum(found["counts"].values()) == 4
    assert found["differs_at"] is None


WORDS = """
version = 1
packet = "10.0.0.1:40000 -> 10.0.0.2:80"
listener = [{ name = "a", listen = "*:80", reuseport = true }, { name = "b", listen = "*:80", reuseport = true }]

[[program]]
type = "filter"
attach = "a"
by = "KEY"
table = { "VALUE" = 1, "else" = 0 }
"""


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("source port", "40002", "sport=40000..40003"),
        ("cpu", "2", "cpu=0..3"),
        ("source address", "10.0.0.3", "saddr=10.0.0.1..10.0.0.4"),
    ],
)
def test_a_program_that_decides_by_what_is_swept_is_asked_for_each_value(
    key, value, words, kernel_tree, tmp_path, capsys
):
    case = tmp_path / "case.toml"
    case.write_text(WORDS.replace("KEY", key).replace("VALUE", value))
    assert main(["explain", str(case), "--sweep", words]) == 0
    told = capsys.readouterr().out.splitlines()
    assert "  a   |@@ @|" in told
    assert "  b   |  @ |" in told


def test_a_case_without_programs_is_not_made_anew():
    assert anew('version = 1\npacket = "10.0.0.1:1 -> 10.0.0.2:80"\n') is None
    assert anew(dump(Case(GROUP))) is None
    made = anew(WORDS.replace("KEY", "cpu").replace("VALUE", "1"))
    assert made("saddr", mapped(0x0A000009)).packet.saddr == mapped(0x0A000009)
    assert made("saddr", from_text("2001:db8::1")) is None


def test_the_devices_of_a_case_have_names(kernel_tree, tmp_path, capsys):
    case = tmp_path / "case.toml"
    case.write_text(
        'version = 1\npacket = "10.0.0.1:40000 -> 10.0.0.2:80"\nin = "eth1"\n'
        'devices = { eth1 = { index = 9, master = "red" }, red = 5 }\nlistener = [{ name = "web", listen = "*:80" }]\n'
    )
    assert main(["explain", str(case), "--why-not", "web"]) == 0
    told = capsys.readouterr().out
    assert "inet_iif(): the packet's device is the L3 master red (5), it came in by its slave eth1 (9)." in told
    assert "web would get it if it were bound to device red (5) (SO_BINDTODEVICE)." in told


def test_a_sweep_is_refused_before_a_kernel_is_built(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("skdiff.kernel.options.build", None)
    case = tmp_path / "case.toml"
    case.write_text(dump(Case(scenario(bound(), listener(), request(listener=1)))))
    assert main(["explain", str(case), "--sweep", "sport=9..1"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
