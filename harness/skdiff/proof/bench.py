"""`skdiff bench`: where the time of a case goes. Ratios within one run; never an assertion."""

import os
import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Any

import msgspec
from rich.bar import Bar
from rich.console import Console
from rich.table import Table

from skdiff.base.files import read_json
from skdiff.base.paths import ROOT
from skdiff.base.scratch import scratch
from skdiff.campaign.finding_files import Origin
from skdiff.campaign.run import Run
from skdiff.campaign.supervisor import supervise
from skdiff.campaign.worker import Job, Subject
from skdiff.cases.fields import LOOKUPS
from skdiff.cases.native import encode
from skdiff.cases.outcome import Outcome
from skdiff.cases.record import outcome
from skdiff.cases.scenario import EHASH, LHASH2, TCP_ESTABLISHED, TCP_LISTEN, Scenario, Sock
from skdiff.cases.wire import FRAME_SIZE, SIZE, decode, other_packet
from skdiff.comparison.compare import compare
from skdiff.engines import GUIDED, atheris_engine, random_engine
from skdiff.engines.interface import PACKETS
from skdiff.kernel.build import Build
from skdiff.kernel.summary import BuiltKernelSummary
from skdiff.oracles import compiled_model
from skdiff.oracles.interface import Oracle
from skdiff.oracles.model import Model
from skdiff.oracles.model.hash_tables import Tables
from skdiff.oracles.model.lookup import inet_lookup_skb
from skdiff.oracles.model.state import State
from skdiff.oracles.reference import Reference

ROUNDS = 5
MODEL = "model"
SCALING_ROUNDS, SCALING_SECONDS = 3, 5.0
CASES = 8000
MEMORY_CASES = 1_000_000
CASES_OF_C, CALLS = 500, 200
CALLS_OF_LIMIT = 10


class BigTable(msgspec.Struct):
    """Nanoseconds of one lookup on each side among so many unrelated sockets."""

    sockets: int
    c_ns: float
    model_ns: float


class Memory(msgspec.Struct):
    """Peak resident memory (KiB) after a tenth of so many cases, and after all of them: flat if they are the same."""

    early: int
    late: int
    cases: int


class Scaling(msgspec.Struct):
    """Cases a second of an engine by one worker and by `jobs`, and how many times as many these are."""

    engine: str
    jobs: int
    one_per_second: float
    all_per_second: float
    times: float


class BenchSummary(BuiltKernelSummary, kw_only=True):
    """Where the time of a case goes: microseconds of each step, medians of ROUNDS; what more workers bring; and
    the cases a second of each lookup, as the random engine has them, but drawn before, and those of the C alone.
    `limit_per_second` are the cases of that model (`compiled` or not) and the C alone, records ready, of cases as the
    random engine draws them: what a run would do that cost nothing else. `times` is how many times as many cases each
    engine did in a second as before C drew them, as docs/figures/speed.json has it: measured in turns, on one machine.
    """

    microseconds: dict[str, float]
    cases_per_second: float
    reference_alone_per_second: float
    whole_to_model_and_reference: float
    limit_per_second: float = 0.0
    compiled: bool = False
    times: Mapping[str, float] = MappingProxyType({})
    big_tables: list[BigTable]
    memory_kib: Memory
    scaling: Sequence[Scaling] = ()
    lookups: Mapping[str, float] = MappingProxyType({})
    lookups_of_c: Mapping[str, float] = MappingProxyType({})


def _seconds(work: Callable[[], object]) -> float:
    """Processor seconds of the fastest way to say it: one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _run(oracles: Sequence[Any], cases: int, seed: int) -> Run:
    run = Run(lambda: oracles, Origin("bench", "", "random", seed), Path("findings"), lambda message: None, cases=cases)
    random_engine.drive(run)
    return run


def small_cases(count: int, seed: int) -> list[bytes]:
    """Drawn bytes of `count` cases with 0 to 8 sockets."""
    draw = Random(seed).randbytes
    found: list[bytes] = []
    while len(found) < count:
        data = draw(SIZE)
        if len(decode(data).socks) <= 8:
            found.append(data)
    return found


def rate_of_c(reference: Reference, lookup: int, seed: int) -> float:
    """The cases a second of one lookup by the C alone, records ready: each of some drawn cases many times."""
    draw = Random(seed).randbytes
    buffer, _ = reference.buffers()
    call, taken, cases = reference.call, 0.0, 0
    while cases < CASES_OF_C:
        scenario = decode(draw(SIZE))
        if scenario.lookup == lookup:
            encode(scenario, buffer)
            taken += _seconds(lambda: [call() for _ in range(CALLS)])
            cases += 1
    reference.buffers()
    return CASES_OF_C * CALLS / taken


def rate(oracles: Sequence[Oracle], lookup: int, seed: int) -> float:
    """The cases a second of one lookup through all oracles: CASES, with as many packets for a set of tables as the
    random engine has.
    """
    draw = Random(seed).randbytes
    tables: list[tuple[bytes, list[bytes]]] = []
    while len(tables) < CASES // PACKETS:
        data = draw(SIZE)
        if decode(data).lookup == lookup:
            tables.append((data, [draw(FRAME_SIZE) for _ in range(PACKETS - 1)]))
    origin = Origin("bench", "", "random", seed)
    run = Run(lambda: oracles, origin, Path("findings"), lambda message: None, lookups=(lookup,))
    run.start()

    def work() -> None:
        for data, frames in tables:
            scenario = decode(data)
            run.case(scenario)
            for frame in frames:
                run.case(other_packet(scenario, frame))

    taken = _seconds(work)
    return run.done / taken


def measure_all(build: Callable[[bool], Build], say: Callable[[str], None]) -> BenchSummary:
    """Where the time of a case goes, and what more workers bring; `build` makes the plain or the guided reference."""
    compiled_model.prepare(say)
    result = measure(build(False))
    engines = ("random", "atheris") if atheris_engine.available() else ("random",)
    jobs = max(2, os.cpu_count() or 1)
    result.times = recorded_times()
    result.scaling = [scaling(build(engine in GUIDED), engine, jobs) for engine in engines]
    return result


class _Ratio(msgspec.Struct):
    """Of docs/figures/speed.json, which tests/speed.py writes."""

    times: float


def recorded_times(path: Path = ROOT / "docs/figures/speed.json") -> dict[str, float]:
    """How many times as fast as before each engine is, on all lookups; nothing where there are no such figures, as in
    an installed package. Raises BadFile.
    """
    if not path.exists():
        return {}
    read = read_json(path, dict[str, dict[str, _Ratio] | int | str], "figures of speed")
    return {engine: of["all"].times for engine, of in read.items() if isinstance(of, dict) and "all" in of}


def measure(build: Build) -> BenchSummary:
    """Medians over ROUNDS, in microseconds a case, scenarios of 0 to 8 sockets, one core."""
    kind = compiled_model.fastest()
    reference, model = Reference(build), kind(build.rules, build.config)
    steps: dict[str, list[float]] = {}
    for round_ in range(ROUNDS):
        data = small_cases(CASES, round_)
        scenarios: list[Scenario] = []
        theirs: list[Outcome] = []
        ours: list[Outcome] = []
        buffer, out = reference.buffers()
        call = reference.call

        def add(name: str, work: Callable[[], object]) -> None:
            steps.setdefault(name, []).append(_seconds(work) / CASES * 1e6)

        def calls() -> None:
            for _ in range(CASES):
                call()

        def encodes() -> None:
            for scenario in scenarios:
                encode(scenario, buffer)

        def read() -> None:
            for _ in range(CASES):
                outcome(out, 4)

        # One list at a time, so that each step is alone with the clock.
        add("generate", lambda: scenarios.extend([decode(d) for d in data]))
        add("encode", encodes)
        add("C alone, ready record", calls)
        add("read outcome", read)
        add("reference (encode, C, read)", lambda: theirs.extend([reference.run(s) for s in scenarios]))
        add(MODEL, lambda: ours.extend([model.run(s) for s in scenarios]))
        names = (reference.name, model.name)
        add("compare", lambda: [compare(names, pair) for pair in zip(theirs, ours, strict=True)])
        add("whole, random engine", lambda: _run([reference, model], CASES, round_))
    medians = {name: statistics.median(values) for name, values in steps.items()}
    both = medians["reference (encode, C, read)"] + medians[MODEL]
    return BenchSummary(
        kernel=build.told(),
        microseconds=medians,
        cases_per_second=1e6 / medians["whole, random engine"],
        reference_alone_per_second=1e6 / medians["C alone, ready record"],
        whole_to_model_and_reference=medians["whole, random engine"] / both,
        limit_per_second=1e6 / statistics.median(limit(reference, model, seed) for seed in range(ROUNDS)),
        compiled=kind is not Model,
        lookups={
            LOOKUPS[lookup]: statistics.median(rate([reference, model], lookup, seed) for seed in range(ROUNDS))
            for lookup in reference.lookups
        },
        lookups_of_c={
            LOOKUPS[lookup]: statistics.median(rate_of_c(reference, lookup, seed) for seed in range(ROUNDS))
            for lookup in reference.lookups
        },
        big_tables=big_tables(reference, Model(build.rules, build.config)),
        memory_kib=_memory(reference, model),
    )


def limit(reference: Reference, model: Model, seed: int) -> float:
    """Microseconds of model and C alone for a case as the random engine has them."""
    draw = Random(seed).randbytes
    tables = [decode(draw(SIZE)) for _ in range(CASES // PACKETS)]
    mix = [[case, *(other_packet(case, draw(FRAME_SIZE)) for _ in range(PACKETS - 1))] for case in tables]
    buffer, _ = reference.buffers()
    in_c = 0.0

    def calls() -> None:
        for _ in range(CALLS_OF_LIMIT):
            reference.call()

    for cases in mix:
        for case in cases:
            encode(case, buffer)
            in_c += _seconds(calls) / CALLS_OF_LIMIT
    in_model = _seconds(lambda: [model.run(case) for cases in mix for case in cases])
    return (in_c + in_model) / CASES * 1e6


def big_tables(reference: Reference, model: Model) -> list[BigTable]:
    """One lookup on each side against the number of unrelated sockets, in tables of 65536 buckets."""
    found = []
    for count in (4, 16, 64, 256, 1024, 4096, 16384, 65536, 100_000):
        case = Scenario(ehash_size=65536, lhash2_size=65536, socks=(Sock(state=TCP_LISTEN, hashed=LHASH2, rcu_free=1),))
        crowd = tuple(
            Sock(
                rcv_saddr=0x0B000000 + i,
                num=1024 + i % 50000,
                daddr=0x0C000000 + i if i % 2 else 0,
                dport=1024 + i % 60000 if i % 2 else 0,
                state=TCP_ESTABLISHED if i % 2 else TCP_LISTEN,
                hashed=EHASH if i % 2 else LHASH2,
            )
            for i in range(count)
        )
        crowded = case._replace(socks=(*case.socks, *crowd))
        tables = Tables(crowded.socks, model.config, ipv6=False)
        # Copies a count for each socket, which is no part of a lookup.
        state = State(crowded, tables, model.rules, model.config, None)

        def look(state: State = state) -> None:
            for _ in range(2000):
                inet_lookup_skb(state)

        found.append(
            BigTable(
                sockets=count,
                c_ns=statistics.median(reference.crowded(case, count, 20000) for _ in range(ROUNDS)),
                model_ns=statistics.median(_seconds(look) / 2000 * 1e9 for _ in range(ROUNDS)),
            )
        )
    return found


def scaling(build: Build, engine: str, jobs: int) -> Scaling:
    """Cases a second of one worker and of `jobs`, medians of runs that take turns, each with findings and inputs of its
    own. `build` is one for the engine.
    """
    rates: dict[int, list[float]] = {1: [], jobs: []}
    for round_ in range(SCALING_ROUNDS):
        for workers, found in rates.items():
            with scratch() as folder:
                job = Job(
                    subjects=(Subject.of(build),),
                    again="",
                    variant=build.variant,
                    engine=engine,
                    seed=round_,
                    cases=0,
                    seconds=SCALING_SECONDS,
                    findings=str(folder),
                )
                total = supervise(job, build.closure, lambda message: None, workers)
            found.append(total.cases / total.seconds)
    one, all_ = (statistics.median(found) for found in rates.values())
    return Scaling(engine, jobs, one, all_, all_ / one)


def _memory(reference: Reference, model: Model) -> Memory:
    _run([reference, model], MEMORY_CASES // 10, 1)
    early = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    _run([reference, model], MEMORY_CASES - MEMORY_CASES // 10, 2)
    return Memory(early, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, MEMORY_CASES)


def _of_the_limit(result: BenchSummary) -> str:
    run_at = {"random": result.cases_per_second} | {of.engine: of.one_per_second for of in result.scaling}
    reached = ", ".join(f"{name} reaches {rate / result.limit_per_second:.0%} of that" for name, rate in run_at.items())
    model = "compiled" if result.compiled else "interpreted"
    return f"{model} model and C alone could do {result.limit_per_second:,.0f} cases a second: {reached}"


def show(console: Console, result: BenchSummary) -> None:
    """Print the result as a table."""
    table = Table(box=None, pad_edge=False)
    for heading in ("step", "us a case", "share of the whole"):
        table.add_column(heading, justify="left" if heading == "step" else "right")
    steps = result.microseconds
    for name, us in steps.items():
        table.add_row(name, f"{us:.2f}", f"{100 * us / steps['whole, random engine']:.0f} %")
    console.print(table)
    console.print(
        f"Linux {result.kernel.version}: {result.cases_per_second:,.0f} cases a second through both sides,"
        f" {result.whole_to_model_and_reference:.2f} times model and reference alone;"
        f" the C alone {result.reference_alone_per_second:,.0f} a second"
    )
    if result.limit_per_second:
        console.print(_of_the_limit(result), soft_wrap=True)
    if result.times:
        times = ", ".join(f"{name} {times:.2f} times as many" for name, times in sorted(result.times.items()))
        told = f"cases a second against before C drew them, as docs/figures/speed.json has it: {times}"
        console.print(told, soft_wrap=True)
    for what, found in (("through both sides", result.lookups), ("the C alone", result.lookups_of_c)):
        rates = ", ".join(f"{name} {rate:,.0f}" for name, rate in found.items())
        console.print(f"cases a second of each lookup, {what}: {rates}")
    table = Table(box=None, pad_edge=False)
    for heading in ("unrelated sockets", "C, ns", "", "model, ns", ""):
        table.add_column(heading, justify="right" if heading else "left")
    most = [max(values) for values in zip(*((row.c_ns, row.model_ns) for row in result.big_tables), strict=True)]
    for row in result.big_tables:
        bars = [Bar(end, 0, ns, width=30) for end, ns in zip(most, (row.c_ns, row.model_ns), strict=True)]
        table.add_row(f"{row.sockets:,}", f"{row.c_ns:.0f}", bars[0], f"{row.model_ns:.0f}", bars[1])
    console.print(table)
    for of in result.scaling:
        rates = f"{of.one_per_second:,.0f} cases a second by one worker, {of.all_per_second:,.0f} by {of.jobs}"
        console.print(f"{of.engine}: {rates}, {of.times:.2f} times as many", soft_wrap=True)
    memory = result.memory_kib
    console.print(f"peak memory {memory.early} KiB early, {memory.late} KiB after {memory.cases:,} cases")
