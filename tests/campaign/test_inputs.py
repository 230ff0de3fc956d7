"""Inputs that are kept: what bytes mean goes with them, so another layout is never misread."""

import json
import shutil
from functools import cache
from itertools import islice
from random import Random

import pytest

from skdiff.base.errors import CannotRun
from skdiff.campaign import inputs
from skdiff.campaign.inputs import add, converted, name_of, opened, seeded
from skdiff.campaign.merge_inputs import FEW
from skdiff.cases import wire
from skdiff.cases.scenario import AF_INET, TCP4
from skdiff.cli import main
from skdiff.engines import atheris_engine, seed_inputs
from tests.running import made


@cache
def seeds():
    """The corpus's, read once."""
    return tuple(seed_inputs.seeds())


@pytest.fixture(autouse=True)
def _corpus_is_read_once(monkeypatch):
    monkeypatch.setattr(inputs, "seeds", seeds)


NEEDS_ATHERIS = pytest.mark.skipif(not atheris_engine.available(), reason="no atheris for this Python")


def another_layout(seed):
    """Our layout as an older or newer skdiff might have it: kinds and fields in another order, values with other
    shares, a field that we lack, one of ours missing, fewer sockets."""
    draw = Random(seed)
    kinds = json.loads(json.dumps(wire.layout()))
    for kind in kinds:
        for field in kind[2]:
            values = field[1]
            draw.shuffle(values)
            moved = draw.randrange(values[0][1])
            values[0][1] -= moved
            values[-1][1] += moved
        draw.shuffle(kind[2])
    sock = next(kind for kind in kinds if kind[0] == "sock")
    sock[1] = 9
    sock[2].append(["gone", [[7, 256]]])
    draw.shuffle(kinds)
    return kinds


def written(scenario_bytes, layout):
    """The bytes in a layout that mean what bytes in ours mean."""
    ours, data = inputs.places_of(wire.layout()), []
    scenario_bytes = bytes(scenario_bytes).ljust(wire.MOST, b"\0")
    for kind, count, fields in layout:
        for index in range(count):
            for name, values in fields:
                table = [value for value, share in values for _ in range(share)]
                key = (kind, index, name)
                at = ours[key][0] if key in ours else None
                wanted = wire.value(at, scenario_bytes[at]) if at is not None else 7
                data.append(table.index(wanted) if wanted in table else 0)
    return bytes(data)


@pytest.mark.parametrize("seed", range(40))
def test_inputs_of_another_layout_mean_the_same_in_ours(seed):
    draw, layout = Random(seed), another_layout(seed)
    data = bytearray(draw.randbytes(wire.MOST))
    data[2] = wire.byte(2, draw.randrange(10))  # no more sockets than the other layout has
    fresh = converted(written(data, layout), inputs.places_of(layout))
    assert wire.decode(fresh) == wire.decode(data)


def test_what_is_ours_stays_as_it_is():
    for data in [*islice(seeds(), 0, None, 4), b"", Random(1).randbytes(wire.SIZE)]:
        assert wire.decode(converted(data, inputs.places_of(wire.layout()))) == wire.decode(data)


def test_a_value_or_a_field_that_is_gone_becomes_the_plainest():
    layout = json.loads(json.dumps(wire.layout()))
    packet = next(kind for kind in layout if kind[0] == "packet")
    [sport] = [field for field in packet[2] if field[0] == "sport"]
    sport[1] = [[4, 256]]
    [dport] = [field for field in packet[2] if field[0] == "dport"]
    packet[2].remove(dport)
    plain = wire.decode(b"").packet
    packet = wire.decode(converted(b"\xff" * wire.SIZE, inputs.places_of(layout))).packet
    assert (packet.sport, packet.dport) == (plain.sport, plain.dport)


def test_addresses_of_32_bits_become_ipv4_ones():
    # Layouts from before IPv6 had IPv4's addresses as numbers of 32 bits.
    layout = json.loads(json.dumps(wire.layout()))
    for kind, _, fields in layout:
        for field in fields:
            if kind in ("packet", "sock") and field[0] in ("saddr", "daddr", "rcv_saddr"):
                field[1] = [[value & 0xFFFFFFFF, share] for value, share in field[1]]
    for data in islice(seeds(), 0, None, 4):
        case = wire.decode(data)
        if case.lookup == TCP4 and all(sock.family == AF_INET for sock in case.socks):
            assert wire.decode(converted(data, inputs.places_of(layout))) == case


def test_another_layout_has_another_name():
    assert name_of(wire.layout()) == name_of(json.loads(json.dumps(wire.layout())))
    assert len({name_of(another_layout(seed)) for seed in range(5)} | {name_of(wire.layout())}) == 6


def other_folder(folder, layout, cases):
    place = folder / name_of(layout)
    place.mkdir(parents=True)
    place.with_suffix(".json").write_text(json.dumps(layout))
    for data in cases:
        add(place, written(data, layout))
    return place


def test_a_folder_is_converted_with_a_word(tmp_path):
    draw, said = Random(3), []
    cases = []
    for _ in range(20):
        data = bytearray(draw.randbytes(wire.SIZE))
        data[2] = wire.byte(2, draw.randrange(10))
        cases.append(bytes(data))
    place = other_folder(tmp_path, another_layout(1), cases)
    opened(tmp_path, said.append)
    ours = seeded(tmp_path)
    found = {wire.decode(path.read_bytes()) for path in ours.iterdir()}
    assert {wire.decode(data) for data in cases} <= found
    assert sorted(tmp_path.iterdir()) == sorted([ours, ours.with_suffix(".json")])
    assert [line for line in said if f"20 inputs of layout {place.name}" in line] == said
    opened(tmp_path, said.append)
    assert len(said) == 1


@pytest.mark.parametrize(
    ("break_it", "word"),
    [
        (lambda place: place.with_suffix(".json").unlink(), "No such file"),
        (lambda place: place.with_suffix(".json").write_text("{"), "not a layout of inputs"),
        (lambda place: place.with_suffix(".json").write_text("[[1]]"), "not a layout of inputs"),
        (lambda place: (place.parent / "loose").write_bytes(b"x"), "1 files are left out"),
    ],
    ids=["missing", "no-json", "another", "loose"],
)
def test_what_means_nothing_is_left_out_with_a_word(break_it, word, tmp_path):
    said: list[str] = []
    layout = wire.layout() if word.startswith("1 ") else another_layout(2)
    place = other_folder(tmp_path, json.loads(json.dumps(layout)), [b"\1" * wire.SIZE])
    break_it(place)
    opened(tmp_path, said.append)
    assert [line for line in said if word in line] == said != []
    assert list(place.iterdir())  # nothing is thrown away
    assert {path.read_bytes() for path in seeded(tmp_path).iterdir()} >= set(seeds())


def test_a_table_of_another_size_is_no_layout():
    layout = json.loads(json.dumps(wire.layout()))
    layout[0][2][0][1][0][1] += 1
    with pytest.raises(ValueError, match=r"count\.netns has 257 values"):
        inputs.places_of(layout)


def test_a_folder_that_cannot_be_used_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotRun, match="for inputs"):
        opened(tmp_path / "file", lambda line: None)
    assert main(["fuzz", "--cases", "1", "--engine", "random", "--inputs", str(tmp_path / "x")]) == 2
    assert "atheris engine" in capsys.readouterr().err


@pytest.mark.long
@NEEDS_ATHERIS
def test_a_run_with_kept_inputs_starts_where_the_last_one_ended(kernel_tree, tmp_path):
    def fuzz(cases, name):
        words = ["--seed", "1", "--jobs", "2", "--inputs", str(tmp_path / "inputs"), "--findings", str(tmp_path / "f")]
        assert main(["fuzz", "--cases", str(cases), *words, "--json", str(tmp_path / name)]) == 0
        return json.loads((tmp_path / name).read_text())

    made("6.12", guided=True)
    first = fuzz(12_000, "one")
    kept = len(list(seeded(tmp_path / "inputs").iterdir()))
    assert first["inputs"] == kept > len(set(seeds()))
    again = fuzz(2 * kept, "two")  # each worker looks at them once
    # gcc's hooks number the edges as they are met: libFuzzer takes some inputs for equal that are not quite.
    lost = 0 if shutil.which("clang") else FEW * first["edges"][0]
    assert again["edges"][0] >= first["edges"][0] - lost
    assert again["inputs"] >= kept
