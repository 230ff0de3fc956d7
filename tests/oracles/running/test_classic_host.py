"""The running kernel, asked by an ordinary user: without BPF, in a user namespace."""

import json
import shutil
import subprocess
import sys
from functools import cache

import pytest

from skdiff.cases.case import Case
from skdiff.cases.outcome import UNSEEN_SHOWN, Outcome
from skdiff.cases.scenario import FILTER, HELPER, NONE, RECEIVE, Group, Netns, Packet, Program
from skdiff.comparison.compare import Mismatch
from skdiff.comparison.mismatch_text import render
from skdiff.comparison.running_kernel import agrees
from skdiff.findings.replay_on_host import question, why_not
from skdiff.oracles.model import Model
from skdiff.oracles.running.drawing import needs_bpf
from skdiff.oracles.running.namespace_calls import _why_no_user_namespace
from skdiff.oracles.running.realisable import Keys, Nearest
from skdiff.variants.version_rules import Rules
from tests.helpers import connection, listener, scenario, timewait
from tests.running import SKDIFF
from tests.udp_cases import bound, grouped, udp4

TABLES, PACKETS = 160, 8  # of each lookup
# Who is root gives up all of it, once what an ordinary user may not be able to read is loaded.
ASK = f"""
import ctypes, json, os, sys
from random import Random
from pyroute2 import IPRoute
from skdiff.base.errors import CannotRun
from skdiff.cases import wire
from skdiff.cases.other_lookup import as_lookup
from skdiff.cases.scenario import IPV6_LOOKUPS
from skdiff.comparison.running_kernel import agrees
from skdiff.oracles.model import Model
from skdiff.oracles.running import hash_key
from skdiff.oracles.running.classic_host import in_own_thread
from skdiff.oracles.running.namespace_calls import enter_user_namespace
from skdiff.variants.version_rules import Rules, changed_by_hand
from tests.mistakes import MISTAKES, made

rules = changed_by_hand(Rules(), ".".join(os.uname().release.split(".")[:2]))
draw = Random(3).randbytes
with IPRoute() as routes:
    routes.get_links()
wire.decode(draw(wire.SIZE))
hash_key._library()
if not os.getuid():
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE: or /proc/self is root's

def work(host):
    host.learn_keys()
    host.nearest.tables_a_cpu = 16
    asked = []
    for lookup in range(4):
        for _ in range({TABLES}):
            tables = as_lookup(wire.decode(draw(wire.SIZE)), lookup)
            for packet in range({PACKETS}):
                case = host.nearest(wire.other_packet(tables, draw(wire.FRAME_SIZE)) if packet else tables)
                asked.append((case, host.run(case)))
    return asked, host.told(), dict(host.nearest.asked.changed), dict(host.refused)

def wrong(asked):
    model = Model(rules)
    for case, outcome in asked:
        expected = model.run(case)
        secret = case.lookup in IPV6_LOOKUPS and "group by hash" in expected.via
        if not secret and not agrees(outcome, expected):
            yield case, outcome.sk, expected.sk, expected.via

try:
    enter_user_namespace()
    asked, told, changed, refused = in_own_thread(work, rules)
except CannotRun as error:
    sys.exit(f"cannot: {{error}}")
seen = []
for mistake in MISTAKES:
    with made(mistake):
        if any(wrong(asked)):
            seen.append(mistake.name)
print(json.dumps({{
    "asked": len(asked), "found": sum(outcome.sk >= 0 for _, outcome in asked), "told": told, "changed": changed,
    "refused": refused, "wrong": [*map(str, wrong(asked))], "seen": seen,
}}))
"""
MAY_NOT = ("user namespace", "without CAP_BPF packets alone can ask", "keys fit what the kernel chose by hash")


@cache
def asked() -> dict:
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=False)
    if done.stderr.startswith("cannot: ") and any(why in done.stderr for why in MAY_NOT):
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_for_an_ordinary_user_the_running_kernel_does_as_the_model_says():
    told = asked()
    if not told["told"]:
        pytest.skip("this kernel lets ordinary users load BPF programs")
    assert told["wrong"] == []
    assert (told["asked"], told["refused"]) == (TABLES * PACKETS * 4, {})
    assert told["found"] > told["asked"] / 4
    assert told["told"][0].startswith("without CAP_BPF: packets ask")
    assert told["changed"]["needs CAP_BPF: an sk_lookup program"] > told["asked"] / 4


def test_an_ordinary_user_sees_mistakes_of_the_model():
    """Those of programs, attached sockets and mini sockets take BPF."""
    assert {*asked()["seen"]} >= {
        "a device does not score",
        "SO_INCOMING_CPU does not score",
        "ipv6only is not asked for",
        "AF_INET does not score",
        "of equal listeners the last one",
        "a group does not end the search",
        "members are not at the tail",
        "the oldest connection first",
        "a connection takes any device",
        "a cleared SO_REUSEPORT is not seen",
        "the next slot",
        "the listeners come first",
    }


def test_where_user_namespaces_are_forbidden_one_line_says_by_what(tmp_path):
    if not (shutil.which("unshare") and shutil.which("setpriv")):
        pytest.skip("no unshare or setpriv")
    forbid = 'echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all --inh-caps=-all "$@"'
    command = ["unshare", "--user", "--map-root-user", "sh", "-c", forbid, "sh", *SKDIFF]
    command += ["fuzz", "--oracle", "host", "--findings", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "unshare" in done.stderr:
        pytest.skip(done.stderr)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "skdiff: the running kernel cannot be asked: it takes root, or CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_NET_RAW and"
        " CAP_BPF; an ordinary user needs a user namespace, which sysctl user.max_user_namespaces=0 forbids\n"
    )


# --- what needs no rights ---


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("kernel/unprivileged_userns_clone", "0\n", "which sysctl kernel.unprivileged_userns_clone=0 forbids"),
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1\n",
            "which sysctl kernel.apparmor_restrict_unprivileged_userns=1 forbids",
        ),
        ("kernel/unprivileged_userns_clone", "1\n", "user namespace: Operation not permitted"),
    ],
)
def test_the_sysctl_that_forbids_user_namespaces_is_named(name, value, said, tmp_path):
    (tmp_path / "kernel").mkdir()
    (tmp_path / name).write_text(value)
    error = OSError(1, "Operation not permitted")
    assert _why_no_user_namespace(error, tmp_path).endswith(said)


PROGRAM = (Netns(progs=(Program(assign=0),)),)


@pytest.mark.parametrize(
    ("case", "what"),
    [
        (scenario(listener()), ""),
        (scenario(connection()), ""),
        (udp4(bound()), ""),
        (grouped(bound(reuseport=1, group=0), prog=FILTER), ""),
        (scenario(listener(), caller=HELPER), "a BPF helper"),
        (scenario(listener(), netns=PROGRAM), "an sk_lookup program"),
        (scenario(connection(refcnt=2), packet=Packet(sk=0, destructor=1)), "a socket on the packet"),
        (scenario(timewait()), "a timewait socket or a request"),
        (scenario(connection(state=4)), "a connection that is not established"),
    ],
)
def test_what_needs_bpf_is_not_asked_without(case, what):
    nearest = Nearest(Rules(), Keys(), (0, 1))
    nearest.by_bpf = nearest.by_attaching = nearest.by_segments = False
    asked = question(case, by_bpf=False)
    made = nearest(asked)
    assert needs_bpf(asked).startswith(what)
    assert bool(needs_bpf(asked)) == bool(what)
    assert needs_bpf(made) == ""
    assert made.caller == RECEIVE
    assert nearest(made) == made
    why = why_not(asked, made, by_bpf=False)
    assert why == (f"needs CAP_BPF: {needs_bpf(asked)}" if what else "")
    assert [*nearest.asked.changed] == ([f"needs CAP_BPF: {needs_bpf(asked)}"] if what else [])


def test_what_programs_are_shown_need_not_be_seen_but_who_gets_it():
    case = scenario(listener(reuseport=1, group=0), groups=(Group(num_socks=1, slots=(0,), prog=FILTER),))
    outcome = Model().run(case)
    assert outcome.shown
    assert agrees(Outcome(sk=outcome.sk, shown=UNSEEN_SHOWN), outcome)
    assert not agrees(Outcome(sk=NONE, shown=UNSEEN_SHOWN), outcome)
    assert not agrees(Outcome(sk=outcome.sk), outcome)
    names = ("running kernel", "model")
    found = Mismatch(names, (Outcome(shown=UNSEEN_SHOWN), outcome), ("sk",), half_seen=names[:1])
    told = render(found, Case(case), "", "", "")
    assert [line.split()[3:5] for line in told.splitlines() if "program run 0" in line] == [["not", "seen"]]
