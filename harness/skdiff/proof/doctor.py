"""`skdiff doctor`: what is here, what is missing, and whether coverage and mutation really reach libFuzzer."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
from rich.console import Console
from rich.markup import escape

from skdiff.base.compiler import compiler, is_clang
from skdiff.base.errors import CannotRun
from skdiff.base.files import from_json, to_json
from skdiff.base.scratch import scratch
from skdiff.cases.other_lookup import fitting
from skdiff.cases.scenario import LHASH2, TCP_LISTEN, Scenario, Sock
from skdiff.comparison.compare import compare
from skdiff.engines.atheris_engine import available, make_libfuzzer_global
from skdiff.engines.mutation import Mutator
from skdiff.kernel import images
from skdiff.kernel.build import Build
from skdiff.kernel.compilation import preload
from skdiff.oracles.guarded import Guarded
from skdiff.oracles.guests import qemu
from skdiff.oracles.model import Model
from skdiff.oracles.reference import Reference
from skdiff.oracles.running.classic_host import in_own_thread
from skdiff.oracles.running.namespace_calls import enter_user_namespace
from skdiff.variants import version_rules

RUNS = 3000
# Takes branches that the plain case does not: a listener is found.
LISTENER = Scenario(socks=(Sock(state=TCP_LISTEN, hashed=LHASH2, rcu_free=1),))


@dataclass(frozen=True)
class Check:
    """One line of the doctor's report; `ok` None is a choice that is not there but need not be."""

    name: str
    ok: bool | None
    detail: str


class _Trial(msgspec.Struct):
    """What the trial run saw: edges of the plain case, of that with a listener too, and of all; and how many times our
    mutator was called.
    """

    edges: tuple[int, int, int] = (0, 0, 0)
    mutations: int = 0


def examine(made: Callable[..., Build]) -> Iterator[Check]:
    """All checks, one after the other; `made(guided=...)` fetches and builds the default kernel. A check that another
    one needs is left out when that one fails.
    """
    yield Check("Python", True, f"{sys.version.split()[0]}")
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    yield Check("Python headers", headers.exists(), str(headers) if headers.exists() else "apt install python3-dev")
    try:
        cc = compiler()
        yield Check("C compiler", True, f"{cc} ({'clang' if is_clang(cc) else 'gcc'})")
        plain = made()
    except CannotRun as error:
        yield Check("kernel and compiler", False, str(error))
        return
    yield Check(
        "kernel source", True, f"Linux {plain.tree.version}, {plain.tree.origin}; {version_rules.describe(plain.rules)}"
    )
    try:
        with Guarded(plain) as reference:  # it may be a build that this process cannot load (SAN=asan)
            outcomes = [reference.run(LISTENER), Model(plain.rules, plain.config).run(LISTENER)]
    except CannotRun as error:
        yield Check("reference", False, str(error))
        return
    agree = compare([reference.name, "model"], outcomes) is None and outcomes[0].sk == 0
    yield Check("reference", agree, f"closure {plain.closure[:16]}, {len(plain.kernel)} definitions of the kernel's")
    yield _running_kernel(plain)
    yield _guests()
    if not available():
        yield Check(
            "atheris",
            None,
            "not installed (pip install 'atheris>=3.0', if there is one for this Python): fuzz uses the random engine",
        )
        return
    try:
        yield from _guided(made(guided=True))
    except CannotRun as error:
        yield Check("guided build", False, str(error))


def _running_kernel(build: Build) -> Check:
    release = f"Linux {os.uname().release}"
    try:
        enter_user_namespace()
        left_out = in_own_thread(lambda host: (host.run(host.nearest(LISTENER)), host.told())[1], build.rules)
    except CannotRun as error:
        return Check("running kernel", None, f"{release} cannot be asked (fuzz --oracle host): {error}")
    return Check("running kernel", True, "; ".join([f"{release} can be asked (fuzz --oracle host)", *left_out]))


def _guests() -> Check:
    """Whether kernels can be booted, and which are here; that one boots takes too long to be tried."""
    try:
        found = qemu.need()
    except CannotRun as error:
        return Check("guests", None, f"{error}: fuzz --oracle vm:7.3")
    kvm = qemu.without_kvm()
    speed = f"without KVM, so slowly ({kvm})" if kvm else "with KVM, if it boots a kernel here"
    here = ", ".join(sorted({image.version for image in images.cached()})) or "none, they are fetched when asked for"
    return Check("guests", True, f"{found}, {speed} (fuzz --oracle vm:7.3); images that are here: {here}")


def _guided(build: Build) -> Iterator[Check]:
    kind = (
        "clang's inline counters" if is_clang(build.compiler) else "gcc's hooks (apt install clang for exact counters)"
    )
    if build.variant == "asan":
        yield Check(
            "coverage of the C", None, "AddressSanitizer's runtime takes it from libFuzzer: SAN=asan runs blind"
        )
        return
    yield Check("coverage of the C", True, f"{kind}, {build.compiler}")
    with scratch() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "skdiff.proof.doctor", str(build.folder)],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            timeout=120,
            env={**os.environ, **preload(build.variant)},
        )
    told = re.search(r"^DOCTOR (.*)$", done.stdout, re.MULTILINE)
    features = [int(n) for n in re.findall(r"\bft: (\d+)", done.stderr)]
    if told is None or not features:
        said = done.stderr.strip().splitlines()[-1:] or ["nothing"]
        yield Check("libFuzzer", False, f"the trial run failed: {said[0]}")
        return
    seen = from_json(told[1], _Trial)
    plain, more, total = seen.edges
    yield Check("counters arrive", plain < more, f"{plain} edges by the plain case, {more} of {total} with a listener")
    grown = features[-1] > features[0]
    yield Check("libFuzzer sees them", grown, f"{features[0]} features at the start, {features[-1]} after {RUNS} runs")
    yield Check("our mutator is called", seen.mutations > RUNS // 10, f"{seen.mutations} times in {RUNS} runs")


def show(console: Console, checks: Iterator[Check]) -> bool:
    """Print the checks as they come; returns whether none failed."""
    well = True
    for check in checks:
        mark = {True: "[green]ok[/]", False: "[bold red]FAILED[/]", None: "[yellow]absent[/]"}[check.ok]
        console.print(f"{check.name:22} {mark:6} {escape(check.detail)}", soft_wrap=True)
        well = well and check.ok is not False
    clang = shutil.which("clang")
    if clang is None:
        console.print("clang is not installed: gcc's hooks guide instead", soft_wrap=True)
    return well


def main() -> None:
    """The trial run: two known cases, then libFuzzer for RUNS runs; says what happened on a line of its own."""
    import atheris

    from skdiff.cases.wire import decode

    mutator, seen = Mutator(1), _Trial()
    reference: Reference | None = None
    runs = 0

    def case(data: bytes) -> None:
        nonlocal reference, runs
        if reference is None:
            make_libfuzzer_global()
            reference = Reference.of(Path(sys.argv[1]))
            reference.run(Scenario())
            plain = len(reference.edges()[0])
            reference.run(LISTENER)
            more, total = reference.edges()
            seen.edges = (plain, len(more), total)
        reference.run(fitting(decode(data), reference.lookups))
        runs += 1
        if runs == RUNS - 10:  # the process ends inside libFuzzer
            print("\nDOCTOR", to_json(seen), flush=True)

    def mutate(data: bytes, most: int, _seed: int) -> bytes:
        seen.mutations += 1
        return mutator.mutate(data, most)

    atheris.Setup([sys.argv[0], f"-runs={RUNS}", "-use_value_profile=1"], case, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
