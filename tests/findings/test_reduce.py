"""Reduced cases: valid, no larger, still with their difference, and with nothing left that could go."""

import os
import re
import signal
from random import Random

import pytest
from hypothesis import given, settings

from skdiff import cli
from skdiff.base.errors import CannotRun
from skdiff.base.paths import command
from skdiff.base.signals import interrupts_noted
from skdiff.campaign.finding_files import SAID, Origin, write_finding
from skdiff.campaign.messages import Finding
from skdiff.cases import wire
from skdiff.cases.addresses import mapped
from skdiff.cases.case_file import Case, dump, load
from skdiff.cases.other_lookup import as_lookup
from skdiff.cases.outcome import SHOWN_SK_LOOKUP
from skdiff.cases.pools import OTHER_HERE, OTHER_PORT
from skdiff.cases.scenario import (
    AF_INET,
    AF_INET6,
    EDEMUX,
    FILTER,
    IPV6_LOOKUPS,
    LEAVE,
    NONE,
    PFREE,
    SK_DROP,
    SK_REUSEPORT,
    SYSCTL,
    TCP4,
    Event,
    Group,
    Netns,
    Packet,
    Program,
    Scenario,
    Sock,
)
from skdiff.cases.validity import problems
from skdiff.comparison.compare import compare
from skdiff.findings.reduce import reduce, size, steps, without_socks
from skdiff.findings.reduce_findings import reduce_findings, reduced
from skdiff.oracles.guarded import Guarded
from skdiff.oracles.model import Model
from skdiff.variants.abilities import lacking
from skdiff.variants.version_rules import EPOCHS
from tests.arbitrary import valid_scenarios
from tests.helpers import connection, listener, request, scenario, timewait, udp
from tests.patched import Patch, patched_tree
from tests.running import made as made_of
from tests.test_patched_trees import INET_HASHTABLES_C

MANY = tuple(listener(num=1000 + i, rcv_saddr=mapped(i % 3), refcnt=1 + i % 3, bound_dev_if=i % 4) for i in range(16))


def group_of(members, **fields):
    plain = {"slots": tuple(members), "num_socks": len(members), "bind_inany": 1}
    return Group(**{**plain, **fields})


def crowd():
    """Sixteen sockets of all kinds, with a group, programs and two namespaces; reachable."""
    members = [listener(group=0, reuseport=1, incoming_cpu=i - 1) for i in range(4)]
    others = [
        connection(refcnt=2, bound_dev_if=1),
        timewait(num=OTHER_PORT),
        request(listener=8, dport=40001),
        udp(netns=1, group=1, reuseport=1, num=OTHER_PORT),
        *(listener(num=OTHER_PORT, rcv_saddr=OTHER_HERE, bound_dev_if=i) for i in range(4)),
        *(udp(rcv_saddr=OTHER_HERE, num=2000 + i) for i in range(4)),
    ]
    case = scenario(
        *members,
        *others,
        packet=Packet(sport=40001, dport=OTHER_PORT, sk=4, destructor=EDEMUX, skb_iif=3, sdif=2, len=60, doff=24),
        hash_secret=0x9E3779B1,
        ehash_size=16,
        lhash2_size=4,
        cpu=2,
        sk_lookup_enabled=1,
        netns=(
            Netns(run_array=1, tcp_l3mdev_accept=1, progs=(Program(assign=0), Program(SK_DROP), Program(assign=9))),
            Netns(hash_mix=0x5BD1E995, run_array=1, progs=(Program(SK_DROP, assign=NONE),)),
        ),
        groups=(
            group_of([3, 0, 2, 1], slots=(3, 0, 2, 1, 9), incoming_cpu=3, prog=SK_REUSEPORT, select=2),
            group_of([7], reuseport_id=2, prog=FILTER, returns=7),
        ),
    )
    assert len(case.socks) == 16
    assert problems(case) == []
    return case


def member(s, **fields):
    """Whether a live member of a group has these fields."""
    live = [s.socks[i] for g in s.groups for i in g.slots[: g.num_socks]]
    return any(all(getattr(k, name) == value for name, value in fields.items()) for k in live)


def checked(case, differs):
    """The reduction of a case, after a look at everything that is promised of any."""
    asked = []

    def watched(candidate):
        assert problems(candidate) == []
        asked.append(candidate)
        return differs(candidate)

    reduction = reduce(case, watched)
    small = reduction.scenario
    assert reduction.finished
    assert reduction.tried == len(asked) == len(set(asked))
    assert problems(small) == []
    assert differs(small)
    assert size(small) <= size(case)
    assert reduction.kept or small == case
    assert not any(differs(step) for step in steps(small))
    for what, candidate in single_removals(small):
        assert candidate == small or problems(candidate) or not differs(candidate), what
    again = reduce(case, differs)
    assert (again.scenario, again.tried, again.kept) == (small, reduction.tried, reduction.kept)
    return small


def single_removals(s: Scenario):
    """Each thing gone and each field at its default, alone: what the reducer itself does is not asked."""
    for i in range(len(s.socks)):
        yield f"socket {i}", without_socks(s, [i])
    for i, group in enumerate(s.groups):
        if all(sock.group == NONE for sock in s.socks):
            yield f"group {i}", s._replace(groups=s.groups[:i] + s.groups[i + 1 :])
        for j in range(len(group.slots)):
            slots = group.slots[:j] + group.slots[j + 1 :]
            for live in {group.num_socks, max(0, group.num_socks - 1)}:
                yield f"slot {j}", put(s, "groups", i, group._replace(slots=slots, num_socks=live))
    for i, net in enumerate(s.netns):
        for j in range(len(net.progs)):
            progs = net.progs[:j] + net.progs[j + 1 :]
            less = put(s, "netns", i, net._replace(progs=progs))
            yield f"program {j}", less
            yield (
                f"program {j} and its switches",
                put(
                    less._replace(sk_lookup_enabled=int(any(n.progs for n in less.netns))),
                    "netns",
                    i,
                    net._replace(progs=progs, run_array=int(bool(progs))),
                ),
            )
            for name, value in Program()._asdict().items():
                changed = net.progs[j]._replace(**{name: value})
                yield f"program's {name}", put(s, "netns", i, net._replace(progs=(*net.progs[:j], changed, *progs[j:])))
    if len(s.netns) == 2 and not any(k.netns for k in (s.packet, *s.socks)):
        yield "namespace 1", s._replace(netns=s.netns[:1])
    for name in Scenario._fields[: Scenario._fields.index("packet")]:
        if name != "lookup":  # addresses change with it
            yield name, s._replace(**{name: getattr(Scenario(), name)})
    if size(as_lookup(s, TCP4)) < size(s):
        yield "lookup", as_lookup(s, TCP4)
    plain_sock = Sock(family=AF_INET6 if s.lookup in IPV6_LOOKUPS else AF_INET)
    plain_packet = as_lookup(Scenario(), s.lookup).packet
    for name, value in plain_packet._asdict().items():
        yield f"packet's {name}", s._replace(packet=s.packet._replace(**{name: value}))
    for things, plain in (
        ("netns", Netns()),
        ("groups", Group()),
        ("socks", plain_sock),
    ):
        for i, thing in enumerate(getattr(s, things)):
            for name, value in plain._asdict().items():
                if name not in ("progs", "slots"):
                    yield f"{things} {i}'s {name}", put(s, things, i, thing._replace(**{name: value}))


def put(s, things, i, thing):
    old = getattr(s, things)
    return s._replace(**{things: (*old[:i], thing, *old[i + 1 :])})


@pytest.mark.parametrize("hostile", [0, 1])
@pytest.mark.parametrize("wanted", [0, 7, 15])
def test_one_of_sixteen_sockets(wanted, hostile):
    case = scenario(*MANY, hostile=hostile)
    small = checked(case, lambda s: any(k.num == 1000 + wanted for k in s.socks))
    assert small == scenario(Sock(num=1000 + wanted))


def test_two_of_sixteen_sockets_in_their_order():
    def differs(s):
        numbers = [k.num for k in s.socks]
        return 1003 in numbers and 1012 in numbers and numbers.index(1003) < numbers.index(1012)

    assert checked(scenario(*MANY), differs) == scenario(Sock(num=1003), Sock(num=1012))


def test_no_socket_at_all():
    assert checked(crowd(), lambda s: True) == Scenario()


def test_a_group_member_keeps_its_group():
    small = checked(crowd(), lambda s: member(s, incoming_cpu=2))
    assert small.socks == (listener(group=0, incoming_cpu=2),)
    assert small.groups == (group_of([0], incoming_cpu=1),)
    assert small == scenario(*small.socks, groups=small.groups)


def test_a_group_of_two():
    small = checked(crowd(), lambda s: any(g.num_socks == 2 for g in s.groups))
    assert small.groups[0].slots in ((0, 1), (1, 0))
    assert small == scenario(*(listener(group=0),) * 2, groups=(group_of(small.groups[0].slots),))


def test_a_stale_slot_stays_behind_the_live_ones():
    small = checked(crowd(), lambda s: any(g.num_socks and len(g.slots) > g.num_socks for g in s.groups))
    assert small.socks == (listener(group=0),)  # behind itself will do
    assert (small.groups[0].slots, small.groups[0].num_socks) == ((0, 0), 1)


def test_a_program_brings_its_switches():
    small = checked(crowd(), lambda s: any(p.verdict == SK_DROP for net in s.netns for p in net.progs))
    assert small == Scenario(sk_lookup_enabled=1, netns=(Netns(run_array=1, progs=(Program(SK_DROP),)),))


def test_a_program_and_what_it_assigns():
    def differs(s):
        programs = [p for net in s.netns for p in net.progs]
        return any(p.assign >= 0 and s.socks[p.assign].num == OTHER_PORT for p in programs)

    small = checked(crowd(), differs)
    assert small.socks == (listener(num=OTHER_PORT),)
    assert [net.progs for net in small.netns] == [(Program(assign=0),)]


def test_two_fields():
    small = checked(crowd(), lambda s: s.cpu == 2 and s.packet.sport == 40001)
    assert small == Scenario(cpu=2, packet=Packet(sport=40001))


def test_the_second_namespace_becomes_the_only_one():
    small = checked(crowd(), lambda s: any(s.netns[k.netns].hash_mix for k in s.socks))
    assert small == scenario(Sock(), netns=(Netns(hash_mix=0x5BD1E995),))


def test_the_packets_socket_is_still_the_packets_when_it_is_renumbered():
    small = checked(crowd(), lambda s: s.packet.sk != NONE and bool(s.socks[s.packet.sk].dport))
    assert small.packet == Packet(sk=0, destructor=small.packet.destructor)
    assert len(small.socks) == 1


def test_a_request_keeps_its_listener():
    small = checked(crowd(), lambda s: any(k.listener != NONE for k in s.socks))
    assert len(small.socks) == 2


def test_a_hostile_case_becomes_reachable_if_it_can():
    case = crowd()._replace(hostile=1, ehash_nulls_xor=1, foreign_hashinfo=1)
    assert checked(case, lambda s: s.packet.sport == 40001) == Scenario(packet=Packet(sport=40001))
    assert checked(case, lambda s: s.ehash_nulls_xor == 1) == Scenario(hostile=1, ehash_nulls_xor=1)


def test_a_step_may_take_more_slots_than_one():
    case = scenario(
        *(listener(group=0), listener()), groups=(group_of([0], slots=(0, 0, 1, 1), num_socks=2),), hostile=1
    )
    shown = {(1, (0, 0, 1, 1)), (0, (0, 1))}
    small = checked(case, lambda s: any((s.hostile, group.slots) in shown for group in s.groups))
    assert small.groups[0].slots == (0, 1)


def test_a_value_is_changed_wherever_it_stands():
    case = scenario(listener(num=OTHER_PORT), packet=Packet(dport=OTHER_PORT))
    small = checked(case, lambda s: any(k.num == s.packet.dport for k in s.socks))
    assert small == scenario(Sock())


def test_the_packets_own_value_is_plainer_than_another():
    packet = Packet(daddr=mapped(0x01020304))
    case = scenario(connection(rcv_saddr=mapped(0x05060708)), packet=packet)
    small = checked(case, lambda s: s.packet.daddr == mapped(0x01020304) and any(k.rcv_saddr for k in s.socks))
    assert small.socks[0].rcv_saddr == mapped(0x01020304)


def test_what_named_a_lost_socket_names_nothing_or_the_heir():
    case = scenario(
        *(listener(), udp(), request(listener=0), listener()),
        packet=Packet(sk=0, destructor=PFREE),
        hostile=1,
        groups=(Group(slots=(1, 0, 3, 0), num_socks=2, num_closed_socks=1, select=0),),
        netns=(Netns(progs=(Program(assign=0), Program(assign=3), Program(assign=LEAVE))),),
    )
    alone, heir = without_socks(case, [0]), without_socks(case, [0], 3)
    assert (alone.packet.sk, heir.packet.sk) == (NONE, 2)
    assert (alone.socks[1].listener, heir.socks[1].listener) == (NONE, 2)
    assert alone.groups == (Group(slots=(0, 2), num_socks=1, num_closed_socks=0),)
    assert heir.groups == (Group(slots=(0, 2, 2, 2), num_socks=2, num_closed_socks=1, select=2),)
    assert [p.assign for p in alone.netns[0].progs] == [LEAVE, 2, LEAVE]
    assert [p.assign for p in heir.netns[0].progs] == [2, 2, LEAVE]


@pytest.mark.parametrize("most", [0, 1, 5])
def test_it_stops_when_it_is_told_to_with_what_it_has(most):
    asked = []

    def differs(s):
        asked.append(s)
        return any(k.num == 1007 for k in s.socks)

    reduction = reduce(scenario(*MANY), differs, stopped=lambda: len(asked) >= most)
    assert not reduction.finished
    assert reduction.tried == most
    assert differs(reduction.scenario)
    assert problems(reduction.scenario) == []


def test_it_stops_in_time():
    reduction = reduce(crowd(), lambda s: True, limit_seconds=0)
    assert (reduction.scenario, reduction.tried, reduction.finished) == (crowd(), 0, False)


def test_ctrl_c_is_only_told():
    before = signal.getsignal(signal.SIGINT)
    with interrupts_noted() as stopped:
        assert not stopped()
        os.kill(os.getpid(), signal.SIGINT)
        assert stopped()
    assert signal.getsignal(signal.SIGINT) == before


@given(valid_scenarios)
@settings(max_examples=60)
def test_whatever_the_model_says_is_kept(case):
    model = Model()

    def kind(s):
        outcome = model.run(s)
        return outcome.via, outcome.ended, outcome.refcounted, bool(outcome.warns), len(outcome.shown)

    wanted = kind(case)
    checked(case, lambda s: kind(s) == wanted)


@given(valid_scenarios)
@settings(max_examples=60)
def test_what_a_program_is_shown_is_kept(case):
    model = Model()

    def kind(s):
        return {event[0] for event in model.run(s).shown}

    wanted = kind(case)
    small = checked(case, lambda s: kind(s) >= wanted)
    if SHOWN_SK_LOOKUP not in wanted:
        assert not any(net.progs for net in small.netns)


# --- the whole road --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tree(kernel_tree, tmp_path_factory):
    """A later listener takes the packet from an equal one: two sockets show it."""
    folder = tmp_path_factory.mktemp("patched") / "tree"
    return str(patched_tree(kernel_tree.path, folder, Patch(INET_HASHTABLES_C, "inet_lhash2_lookup", 0, ">", ">=")))


def finding_of_sixteen(reference):
    draw, model = Random(3).randbytes, Model()
    while True:
        data = bytearray(draw(wire.SIZE))
        data[2] = wire.byte(2, 16)  # how many sockets
        case = wire.decode(bytes(data))
        mismatch = compare([reference.name, model.name], [reference.run(case), model.run(case)])
        if mismatch is not None:
            assert len(case.socks) == 16
            return case, mismatch


def test_the_findings_of_a_run_are_reduced(tree, tmp_path, capsys):
    command = ["fuzz", "--kernel", tree, "--engine", "random", "--cases", "8000", "--seed", "7", "--lookup", "tcp4"]
    assert cli.main([*command, "--findings", str(tmp_path)]) == 1
    told = capsys.readouterr()
    paths = sorted(tmp_path.rglob("case*.toml"))
    assert paths
    for path in paths:
        case = load(path)
        assert len(case.scenario.socks) <= 3
        assert re.fullmatch(r"\d+ to \d sockets? in \d+ steps", case.found["reduced"])
        assert case.found["engine"] == "random"
        assert str(path) in told.out
    assert re.findall(r"^found [\w-]+$", told.err, re.MULTILINE) == []  # names come when they are sorted by cause
    [kinds] = re.findall(r"^found (\d+) kinds of differences, before they are sorted by cause$", told.err, re.MULTILINE)
    assert int(kinds) >= 4
    assert "MISMATCH" not in told.err
    assert told.out.count("MISMATCH") == min(3, len({path.parent for path in paths}))  # one for each cause
    assert not list(tmp_path.rglob("*.new"))
    assert cli.main(["replay", "--kernel", tree, str(tmp_path)]) == 1
    assert f"{len(paths)} mismatch" in capsys.readouterr().out


def test_a_file_of_sixteen_sockets(tree, kernel_tree, tmp_path, capsys):
    with Guarded(made_of(tree)) as reference:
        case, _ = finding_of_sixteen(reference)
    path = tmp_path / "big.toml"
    path.write_text(text := dump(Case(case, why="it is big", expect={"refcounted": False})))
    assert cli.main(["reduce", str(path), "--kernel", tree]) == 0
    small = load(tmp_path / "big-reduced.toml")
    assert path.read_text() == text
    assert len(small.scenario.socks) <= 3
    assert small.why == "it is big"
    out = capsys.readouterr().out
    assert f"16 to {len(small.scenario.socks)} sockets in " in out
    assert f"replay: {command()} replay --kernel {tree} {tmp_path / 'big-reduced.toml'}" in out
    assert cli.main(["replay", str(tmp_path / "big-reduced.toml"), "--kernel", tree]) == 1
    assert cli.main(["reduce", str(path), "-o", str(tmp_path / "other.toml")]) == 2
    assert not (tmp_path / "other.toml").exists()
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].endswith(f"Linux {kernel_tree.version} and the model agree about it, there is nothing to reduce")


def test_what_cannot_be_reduced_is_left_and_what_is_the_same_is_merged(tree, tmp_path):
    made = made_of(tree)
    said = []
    with Guarded(made) as reference:
        case, mismatch = finding_of_sixteen(reference)
    origin = Origin("6.12", "", "random", 1)
    one, two = (write_finding(tmp_path, case, mismatch, origin) for _ in range(2))
    assert [p.name for p in (one, two)] == ["case.toml", "case-2.toml"]
    (one.parent / "report.txt").write_text(f"MISMATCH\n{SAID}it hurts\n")
    gone = tmp_path / "agreed.toml"
    gone.write_text(dump(Case(Scenario())))
    findings = [
        Finding(signature="none", file=str(gone), count=1),
        Finding(signature="none", file=str(tmp_path / "no-such.toml"), count=1),
        Finding(signature=mismatch.signature, file=str(one), count=2, others=[str(two)]),
    ]
    before = gone.read_text()
    reduce_findings(findings, lambda: [made], f"replay --kernel {tree}", said.append)
    assert gone.read_text() == before
    assert len(said) == 2
    assert "agreed.toml: does not show its difference again" in said[0]
    assert "no-such.toml: not reduced" in said[1]
    assert findings[2].reduced.startswith("16 to ")
    left = Finding(signature=mismatch.signature, file=str(one), count=2, merged=1, reduced=findings[2].reduced)
    assert findings[2] == left
    assert sorted(p.name for p in one.parent.iterdir()) == ["case.toml", "report.txt"]
    report = (one.parent / "report.txt").read_text()
    assert report.startswith(f"MISMATCH {mismatch.signature}\n")
    assert report.endswith(f"{SAID}it hurts\n")
    small = load(one)
    assert len(small.scenario.socks) <= 3
    assert small.found == {**dict(small.found), "kernel": "6.12", "engine": "random", "signature": mismatch.signature}


def test_no_time_and_no_build_leave_the_findings(tree, tmp_path, monkeypatch):
    said = []
    path = tmp_path / "case.toml"
    path.write_text(before := dump(Case(Scenario())))
    findings = [Finding(signature="none", file=str(path), count=1)]

    def cannot():
        raise CannotRun("no compiler")

    reduce_findings(findings, cannot, "replay", said.append)
    monkeypatch.setattr("skdiff.findings.reduce_findings.LIMIT_OF_ALL", 0)
    reduce_findings(findings, lambda: [made_of(tree)], "replay", said.append)
    assert said == ["not reduced: no compiler", "1 of 1 findings are left as they were found"]
    assert path.read_text() == before


class MeetsNoEvent(Model):
    """A lookup that no event comes into; it also finds nobody, if it is `blind`."""

    name = "other"

    def __init__(self, blind):
        super().__init__()
        self._blind = blind

    def run(self, scenario):
        outcome = super().run(scenario)
        return outcome._replace(fired=0, sk=NONE if self._blind else outcome.sk)


@pytest.mark.parametrize(("blind", "fields", "left"), [(True, ("sk",), 0), (False, ("fired",), 1)])
def test_an_event_stays_only_if_the_difference_needs_it(blind, fields, left):
    """That other events come about follows from most mistakes: these are no part of them. Where nothing else differs,
    one has to stay."""
    event = Event(action=SYSCTL, value=1)
    case = Case(scenario(listener(), events=(event, event._replace(nth=2))))
    done, mismatch, reduction = reduced(case, [MeetsNoEvent(blind), Model()])
    assert reduction.finished
    assert (mismatch.fields, len(done.scenario.events)) == (fields, left)
    assert mismatch.signature == f"wildcard_listener-{fields[0]}"


def test_what_the_kernel_cannot_reach_stays_hostile():
    """bpf_sk_assign() of 6.1 refuses such a listener, so the smallest case that shows it is no reachable one there."""
    case = scenario(listener(reuseport=1, reuseport_changed=1), listener(), packet=Packet(sk=0, destructor=PFREE))

    def differs(s):
        p = s.packet
        return p.sk >= 0 and p.destructor == PFREE and bool(s.socks[p.sk].reuseport)

    here, there = reduce(case, differs), reduce(case, differs, lacks=lacking([EPOCHS["6.1"]]))
    assert (here.scenario.hostile, there.scenario.hostile) == (0, 1)
    assert problems(there.scenario, EPOCHS["6.1"]) == []
    assert len(there.scenario.socks) == 1
