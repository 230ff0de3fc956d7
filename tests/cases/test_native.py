"""csrc/cases/ against the same in Python (tests/by_python), and under the sanitizers."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skdiff.cases import native, record, wire
from skdiff.cases.case_file import load
from skdiff.cases.fields import LOOKUPS
from skdiff.cases.find_cases import files
from skdiff.cases.normalise import come_in, normalise, scenario_of
from skdiff.cases.normalise_events import with_events
from skdiff.cases.other_lookup import raw_of
from skdiff.cases.pools import Raw
from skdiff.cases.scenario import Netns, Scenario, Sock
from skdiff.kernel.compilation import preload
from skdiff.proof.mutants.drawn_cases import DRAWN
from skdiff.proof.mutants.drawn_fields import EXTREMES, MAKERS, some_bytes
from tests.arbitrary import any_bytes, hostile_scenarios
from tests.by_python import normalise as rules
from tests.by_python import normalise_packet
from tests.by_python import record as records
from tests.by_python import wire as bytes_of_python


def the_same(data: bytes, frame: bytes) -> None:
    """All that both make of some bytes."""
    case = wire.decode(data)
    assert case == bytes_of_python.decode(data)
    assert wire.draw(data) == bytes_of_python.draw(data)
    assert wire.other_packet(case, frame) == bytes_of_python.other_packet(case, frame)
    ours, theirs = bytearray(record.SCENARIO_SIZE), bytearray(record.SCENARIO_SIZE)
    native.encode(case, ours)
    records.encode(case, theirs)
    assert ours == theirs
    assert native.decode(theirs) == records.decode(ours) == case
    native.encode_frame(bytes_of_python.other_packet(case, frame), ours)
    records.encode_frame(wire.other_packet(case, frame), theirs)
    assert ours == theirs


def frame(random: Random) -> bytes:
    return random.randbytes(wire.FRAME_SIZE)


def test_drawn_cases_are_those_of_python() -> None:
    random = Random(1)
    for data in (*EXTREMES, *(some_bytes(random) for _ in range(DRAWN))):
        the_same(data, frame(random))


@given(any_bytes, st.binary(min_size=wire.FRAME_SIZE, max_size=wire.FRAME_SIZE))
def test_what_any_bytes_mean_is_what_they_mean_in_python(data: bytes, more: bytes) -> None:
    the_same(data, more)


@pytest.mark.parametrize("make", MAKERS)
def test_fields_of_any_value_are_made_valid_as_in_python(make: Callable[[Random], Raw]) -> None:
    random = Random(2)
    for _ in range(DRAWN):
        raw = make(random)
        assert normalise(deepcopy(raw)) == rules.normalise(raw)


@given(hostile_scenarios(), st.integers(0, 1), st.sampled_from(sorted(LOOKUPS)))
def test_any_case_is_made_one_of_any_lookup_as_in_python(case: Scenario, hostile: int, lookup: int) -> None:
    case = case._replace(hostile=hostile, lookup=lookup)
    assert normalise(raw_of(case)) == rules.normalise(raw_of(case))
    assert raw_of(native.of_lookup(case)) == bytes_of_python.of_lookup(raw_of(case))
    ours, theirs = list(case.packet), list(case.packet)
    come_in(ours, lookup, case.caller)
    normalise_packet.come_in(theirs, lookup, case.caller)
    assert ours == theirs


def test_the_cases_of_the_corpus_are_their_own_nearest_in_both() -> None:
    for path in files([]):
        case = load(path).scenario
        assert normalise(raw_of(case)) == rules.normalise(raw_of(case))
        assert with_events(scenario_of(raw_of(case)), case.events) == case


def test_a_case_is_of_a_lookup_that_is_wanted_and_each_has_its_share() -> None:
    random = Random(3)
    drawn = [random.randbytes(wire.SIZE) for _ in range(4000)]
    for wanted in ((0,), (3,), (1, 3), (0, 2, 3), (0, 1, 2, 3)):
        found = Counter(wire.decode(data, bytes(wanted)).lookup for data in drawn)
        assert sorted(found) == list(wanted)
        assert all(abs(count - len(drawn) / len(wanted)) < 200 for count in found.values())
    for data in drawn[:100]:
        case = wire.decode(data)
        assert wire.decode(data, bytes([case.lookup])) == case
        other = bytearray(data)
        wire.put(other, "head", 0, "lookup", 3)
        assert wire.decode(data, b"\3") == wire.decode(bytes(other))


def test_what_is_no_case_is_refused() -> None:
    buffer = bytearray(record.SCENARIO_SIZE)
    with pytest.raises(ValueError, match="has a namespace"):
        native.normalised(Scenario(netns=()))
    with pytest.raises(ValueError, match="a record has"):
        native.encode(Scenario(), bytearray(record.SCENARIO_SIZE - 1))
    with pytest.raises(ValueError, match="a record has"):
        native.decode(buffer[:-1])
    with pytest.raises(TypeError, match="is no"):
        native.encode(Scenario(socks=(Sock()[:-1],)), buffer)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="is no tuple"):
        native.encode(Scenario(netns=[Netns()]), buffer)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="is no"):
        native.encode(Scenario(packet=None), buffer)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="too few bytes"):
        wire.other_packet(Scenario(), bytes(wire.FRAME_SIZE - 1))
    with pytest.raises(TypeError):
        wire.decode("text")  # type: ignore[arg-type]


def test_cases_leave_no_memory_behind() -> None:
    random = Random(4)
    drawn = [random.randbytes(wire.SIZE) for _ in range(200)]
    buffer = bytearray(record.SCENARIO_SIZE)

    def some() -> None:
        for data in drawn:
            case = wire.other_packet(wire.decode(data), frame(random))
            native.encode(case, buffer)
            native.normalised(native.decode(buffer))

    some()
    before = sys.getallocatedblocks()
    for _ in range(5):
        some()
    assert sys.getallocatedblocks() - before < 200


# --- under the sanitizers ---

SANITIZED = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
SCRIPT = """
import sys
from random import Random
from skdiff.base.compiler import load_module
from skdiff.cases import native
loaded = load_module(native.MODULE, sys.argv[1])
native.give_tables(loaded)
native.module = lambda: loaded
from skdiff.cases import wire
wire.module = native.module
from tests.cases import test_native as tests
random = Random(int(sys.argv[2]))
for _ in range(400):
    tests.the_same(tests.some_bytes(random), tests.frame(random))
for make in tests.MAKERS:
    tests.test_fields_of_any_value_are_made_valid_as_in_python(make)
tests.test_the_cases_of_the_corpus_are_their_own_nearest_in_both()
tests.test_what_is_no_case_is_refused()
print("clean")
"""


@pytest.mark.long
def test_nothing_is_wrong_under_the_sanitizers() -> None:
    done = sanitized(SCRIPT)
    assert done.stdout == "clean\n", done.stderr


def test_the_sanitizers_would_see_it() -> None:
    done = sanitized("import ctypes\nctypes.string_at(ctypes.addressof((ctypes.c_char * 8)()), 4096)\n")
    assert "AddressSanitizer" in done.stderr or done.returncode


def sanitized(script: str) -> subprocess.CompletedProcess[str]:
    """Run a script with the sanitized module's file as its argument, where AddressSanitizer is loaded."""
    built = native.library(SANITIZED)
    environment = {**os.environ, **preload("asan"), "UBSAN_OPTIONS": "print_stacktrace=1", "PYTHONMALLOC": "malloc"}
    environment["ASAN_OPTIONS"] = "detect_leaks=0:halt_on_error=1:abort_on_error=1"
    command = [sys.executable, "-c", script, str(built), "5"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
