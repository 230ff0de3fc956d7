"""The guided engine: coverage and mutation reach libFuzzer, its flags pass or are refused, findings go on."""

import json
import shutil
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from skdiff.cases import validity, wire
from skdiff.cli import main
from skdiff.engines import atheris_engine
from skdiff.engines.mutation import Mutator
from skdiff.engines.seed_inputs import seeds, translated
from skdiff.oracles.guests.qemu import QEMU
from skdiff.proof.doctor import examine
from tests.arbitrary import hostile_scenarios as any_scenarios
from tests.helpers import mostly_long
from tests.patched import Patch, patched_tree
from tests.running import made

pytestmark = pytest.mark.skipif(not atheris_engine.available(), reason="no atheris for this Python")


def fuzz(tmp_path, *arguments):
    summary = tmp_path / "summary.json"
    status = main(["fuzz", "--json", str(summary), "--findings", str(tmp_path / "findings"), *arguments])
    return status, json.loads(summary.read_text()) if summary.exists() else {}


def test_atheris_is_the_default_and_agrees(kernel_tree, tmp_path, capsys):
    status, told = fuzz(tmp_path, "--cases", "3000", "--seed", "1")
    assert status == 0, capsys.readouterr()
    assert told["engine"] == "atheris"
    assert told["cases"] >= 3000
    taken, edges = told["edges"]
    assert 100 < taken <= edges
    assert told["inputs"] > 50
    assert "edges of the extracted C" in capsys.readouterr().out


def test_without_atheris_the_random_engine_runs_and_says_so(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(atheris_engine, "available", lambda: False)
    status, told = fuzz(tmp_path, "--cases", "200")
    assert status == 0
    assert told["engine"] == "random"
    assert "atheris is not installed: the random engine runs instead" in capsys.readouterr().err


@pytest.mark.parametrize("compiler", mostly_long(["clang", "gcc"]))
def test_the_doctor_is_all_green(compiler, monkeypatch):
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    monkeypatch.setenv("CC", compiler)
    checks = list(examine(lambda guided=False: made("6.12", guided=guided)))
    optional = [] if shutil.which(QEMU) else ["guests"]
    assert [check.name for check in checks if check.ok is not True] == optional
    assert {"counters arrive", "libFuzzer sees them", "our mutator is called"} <= {check.name for check in checks}


@pytest.mark.long
def test_a_run_goes_on_after_a_finding(kernel_tree, tmp_path):
    patch = Patch("net/ipv4/inet_hashtables.c", "inet_lhash2_lookup", 0, ">", ">=")
    tree = patched_tree(kernel_tree.path, tmp_path / "tree", patch)
    status, told = fuzz(tmp_path, "--kernel", str(tree), "--cases", "4000", "--seed", "2")
    assert status == 1
    assert told["cases"] >= 4000
    assert sum(m["count"] for m in told["mismatches"]) > len(told["mismatches"])


@pytest.mark.parametrize("sanitizer", ["asan", "ubsan"])
@pytest.mark.long
def test_guidance_works_with_sanitizers(sanitizer, kernel_tree, monkeypatch, tmp_path):
    monkeypatch.setenv("SAN", sanitizer)
    status, told = fuzz(tmp_path, "--cases", "1500", "--seed", "1")
    assert status == 0
    assert told["kernel"]["variant"] == sanitizer
    assert told["edges"][0] > 100


def test_flags_of_libfuzzer_set_the_budget_and_the_seed(tmp_path):
    status, told = fuzz(tmp_path, "--", "-runs=500", "-seed=9", "-use_value_profile=0", "-max_len=400")
    assert status == 0
    assert 500 <= told["cases"] < 600
    assert told["seed"] == 9
    status, told = fuzz(tmp_path, "--", "-runs=-1", "-max_total_time=2")  # as libFuzzer says: no bound
    assert told["seconds"] > 1.5


def test_a_folder_of_inputs_is_read_and_written(tmp_path):
    folder = tmp_path / "inputs"
    folder.mkdir()
    (folder / "one").write_bytes(b"\1\2\3" * 50)
    assert fuzz(tmp_path, "--cases", "3000", "--", str(folder))[0] == 0
    assert len(list(folder.iterdir())) > 1


@pytest.mark.parametrize("flag", ["-merge=1", "-fork=2", "-jobs=2", "-minimize_crash=1", "/no/such/folder", "-runs=x"])
def test_what_cannot_work_is_refused_with_the_reason(flag, tmp_path, capsys):
    assert fuzz(tmp_path, "--", flag)[0] == 2
    assert flag in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flag", "why"),
    [
        ("-foo=1", "libFuzzer has no such flag"),
        ("-max_lenn=5", "libFuzzer has no such flag; it has -max_len"),
        ("--max_len=5", "a flag of libFuzzer is -NAME=VALUE"),
        ("-runs", "a flag of libFuzzer is -NAME=VALUE"),
    ],
)
def test_a_flag_that_libfuzzer_does_not_know_is_refused(flag, why, tmp_path, capsys):
    assert fuzz(tmp_path, "--", flag)[0] == 2
    assert f"skdiff: {flag}: {why}" in capsys.readouterr().err.splitlines()


def test_flags_are_for_the_guided_engine_only(tmp_path, capsys):
    assert fuzz(tmp_path, "--engine", "random", "--", "-runs=5")[0] == 2
    assert "atheris engine" in capsys.readouterr().err


@given(st.binary(max_size=wire.SIZE), st.binary(max_size=wire.SIZE), st.integers(0, 2**32))
def test_mutants_of_cases_are_cases(one, other, seed):
    mutator = Mutator(seed)
    for data in (mutator.mutate(one), mutator.cross(one, other)):
        assert len(data) <= wire.MOST
        scenario = wire.decode(data)
        assert validity.problems(scenario) == []
        assert wire.decode(wire.encode(scenario)) == scenario
    assert len(mutator.mutate(one, 50)) <= 50


def test_mutation_is_fixed_by_its_seed():
    def sequence(seed):
        mutator, data, found = Mutator(seed), b"", []
        for _ in range(100):
            data = mutator.mutate(data)
            found.append(data)
        return found

    assert sequence(1) == sequence(1)
    assert sequence(1) != sequence(2)


def test_mutation_makes_things_meet():
    """From the plainest case, a few hundred mutations find every way to get a packet, without any guidance."""
    from skdiff.oracles.model import Model

    mutator, draw, ways = Mutator(3), Random(3), set()
    pool = [b""]
    for _ in range(4000):
        data = mutator.mutate(draw.choice(pool[-50:]))
        pool.append(data)
        ways.update(Model().run(wire.decode(data)).via)
    assert {"stolen", "established", "exact listener", "wildcard listener", "group by hash", "sk_lookup"} <= ways


def test_the_corpus_is_where_a_run_starts():
    found = list(seeds())
    assert len(found) > 50
    assert len(set(found)) > 40


@given(any_scenarios(), st.data())
def test_translation_keeps_who_is_equal_to_whom(scenario, data):
    """Addresses over the whole range are hardly ever equal: a socket's ends are drawn from the packet's, too."""
    packet = scenario.packet
    assume(packet.saddr != packet.daddr and packet.saddr and packet.daddr)
    assume(packet.sport != packet.dport and packet.sport and packet.dport)
    addresses, ports = (
        st.sampled_from((packet.saddr, packet.daddr, 0)),
        st.sampled_from((packet.sport, packet.dport, 0)),
    )
    socks = [
        sock._replace(
            rcv_saddr=data.draw(addresses | st.just(sock.rcv_saddr)),
            daddr=data.draw(addresses | st.just(sock.daddr)),
            num=data.draw(ports | st.just(sock.num)),
            dport=data.draw(ports | st.just(sock.dport)),
        )
        for sock in scenario.socks
    ]
    moved = translated(scenario._replace(socks=tuple(socks)))
    for old, new in zip(socks, moved.socks, strict=True):
        for end in ("saddr", "daddr"):
            theirs, theirs_moved = getattr(packet, end), getattr(moved.packet, end)
            assert (old.rcv_saddr == theirs) == (new.rcv_saddr == theirs_moved)
            assert (old.daddr == theirs) == (new.daddr == theirs_moved)
        for end in ("sport", "dport"):
            theirs, theirs_moved = getattr(packet, end), getattr(moved.packet, end)
            assert (old.num == theirs) == (new.num == theirs_moved)
            assert (old.dport == theirs) == (new.dport == theirs_moved)
        assert (bool(old.rcv_saddr), bool(old.daddr)) == (bool(new.rcv_saddr), bool(new.daddr))
        assert (bool(old.num), bool(old.dport)) == (bool(new.num), bool(new.dport))


def test_every_reachable_edge_is_taken_from_the_seeds(kernel_tree, tmp_path):
    _, told = fuzz(tmp_path, "--cases", "20000", "--seed", "1")
    taken, edges = told["edges"]
    # What is left: freeing a socket whose last reference goes while it is looked at, and counts' other accidents.
    assert taken >= 0.85 * edges
