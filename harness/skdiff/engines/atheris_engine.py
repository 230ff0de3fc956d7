"""The guided engine: libFuzzer through atheris, fed by coverage of the extracted C, with mutation in our terms.

atheris brings libFuzzer in a module of its own. Once that module's symbols are global, a library with coverage finds
libFuzzer there when it is loaded: no preload, no second process, and the Python mutator stays. So the reference is
opened in the first call, when libFuzzer is there.
"""

import ctypes
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

from skdiff.base.errors import CannotRun
from skdiff.cases.wire import MOST, decode
from skdiff.engines.interface import Run
from skdiff.engines.mutation import Mutator

# The share of mutations that is libFuzzer's own: it knows the operands of the C's compares.
LIBFUZZERS_SHARE = 0.2
# Measured: instrumenting the model as well costs more cases than its coverage is worth (docs/performance.md).
GUIDE_BY_MODEL = "SKDIFF_GUIDE_BY_MODEL"
OWN_MUTATOR = "SKDIFF_OWN_MUTATOR"
NO_COVERAGE = "SKDIFF_NO_COVERAGE"

_REFUSED = {
    "merge": "it runs its command line again, which has no worker to talk to: use skdiff merge",
    "fork": "it runs its command line again, which has no worker to talk to: use --jobs",
    "jobs": "it runs its command line again, which has no worker to talk to: use --jobs",
    "workers": "it goes with -jobs: use --jobs",
    "minimize_crash": "findings are no crashes of the process: skdiff reduce makes them small",
    "cleanse_crash": "findings are no crashes of the process: skdiff reduce makes them small",
}
# These are the run's own budget, whatever the engine.
_BUDGET = {"runs", "max_total_time", "seed"}


def available() -> bool:
    """Whether atheris is there for this Python."""
    return find_spec("atheris") is not None


def check(arguments: Sequence[str]) -> None:
    """Refuse libFuzzer flags that it does not know, or that cannot work here. Raises CannotRun with the reason."""
    known = _flags() if any(argument.startswith("-") for argument in arguments) else frozenset()
    for argument in arguments:
        name, equals, value = argument.removeprefix("-").partition("=")
        if not argument.startswith("-"):
            if not Path(argument).is_dir():
                raise CannotRun(f"{argument}: no such folder of inputs")
        elif not equals or name.startswith("-"):
            raise CannotRun(f"{argument}: a flag of libFuzzer is -NAME=VALUE")
        elif name in _REFUSED and value not in ("", "0"):
            raise CannotRun(f"{argument}: {_REFUSED[name]}")
        elif known and name not in known:
            near = get_close_matches(name, sorted(known), 1)
            raise CannotRun(f"{argument}: libFuzzer has no such flag" + (f"; it has -{near[0]}" if near else ""))


@cache
def _flags() -> frozenset[str]:
    """The flags that this libFuzzer lists in its help, which leaves out internal ones; none if it cannot be asked."""
    ask = "import atheris; atheris.Setup(['fuzz', '-help=1'], lambda data: None); atheris.Fuzz()"
    try:
        done = subprocess.run(
            [sys.executable, "-c", ask], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
    except OSError:
        return frozenset()
    return frozenset(re.findall(r"^ (\w+) *\t", done.stdout + done.stderr, re.MULTILINE))


def budget(arguments: Sequence[str]) -> dict[str, int]:
    """The flags that set the run's budget: runs, max_total_time (seconds; 0 or less: no bound), seed. Raises CannotRun
    for no number.
    """
    found = {}
    for argument in arguments:
        name, _, value = argument.removeprefix("-").partition("=")
        if argument.startswith("-") and name in _BUDGET:
            try:
                found[name] = max(0, int(value))
            except ValueError:
                raise CannotRun(f"{argument}: a number is needed") from None
    return found


def drive(run: Run) -> None:
    """Hand the process to libFuzzer until the run is over; it never returns."""
    import atheris

    ours = [a for a in run.arguments if a.removeprefix("-").partition("=")[0] not in _BUDGET]
    flags = [a for a in ours if a.startswith("-")]
    given = [a for a in ours if not a.startswith("-")]
    names = {a.partition("=")[0] for a in flags}
    defaults = {
        "-use_value_profile": "1",  # ports have 16 bits: libFuzzer's table of compares takes 32 and 64
        "-max_len": str(MOST),
        "-len_control": "0",
        "-verbosity": "0",
        "-timeout": "3600",  # the guard ends an endless case, long before
        "-rss_limit_mb": "0",
        "-artifact_prefix": f"{run.scratch}/",
        # What other workers have found, each second. A lone one would run its own again, at times that no seed fixes.
        "-reload": "0" if run.alone else "1",
    }
    flags += [f"{name}={value}" for name, value in defaults.items() if name not in names]
    # What a run finds goes into the first folder: the user's, if there is one.
    command = [sys.argv[0], *flags, f"-seed={run.seed or 1}", *given, str(run.inputs)]
    state = _State(run, atheris)
    options: dict[str, Any] = {}
    if os.environ.get(OWN_MUTATOR) != "0":
        options = {"custom_mutator": state.mutate, "custom_crossover": state.cross}
    if os.environ.get(GUIDE_BY_MODEL) == "1":
        _instrument_model(atheris)
    run.stop_on_signals()
    atheris.Setup(command, state.case, **options)
    atheris.Fuzz()


class _State:
    """What the callbacks of libFuzzer share."""

    def __init__(self, run: Run, atheris: Any) -> None:
        self._run = run
        self._atheris = atheris
        self._mutator = Mutator(run.seed)
        self._random = Random(run.seed).random
        self._started = False
        self._lookups = bytes(run.lookups)

    def case(self, data: bytes) -> None:
        if not self._started:
            self._started = True
            make_libfuzzer_global()
            self._run.start()
        self._run.case(decode(data, self._lookups))
        if self._run.over():
            self._run.finish()
            os._exit(0)  # libFuzzer has no way out but the end of the process

    def mutate(self, data: bytes, most: int, _seed: int) -> bytes:
        if self._random() < LIBFUZZERS_SHARE:
            mutated: bytes = self._atheris.Mutate(data, most)
            return mutated
        return self._mutator.mutate(data, most)

    def cross(self, one: bytes, other: bytes, most: int, _seed: int) -> bytes:
        return self._mutator.cross(one, other, most)


def make_libfuzzer_global() -> None:
    """Let libraries that are loaded from now on find libFuzzer's coverage functions in atheris's module."""
    core = sys.modules.get("atheris.core_with_libfuzzer")
    if core is None or core.__file__ is None:
        raise CannotRun("this atheris has no libFuzzer of its own: reinstall it, or use ENGINE=random")
    ctypes.CDLL(core.__file__, mode=ctypes.RTLD_GLOBAL | os.RTLD_NOLOAD)


def _instrument_model(atheris: Any) -> None:
    """Let the model's branches guide too."""
    for name, module in list(sys.modules.items()):
        if name.startswith("skdiff.oracles.model."):
            for thing in vars(module).values():
                if inspect.isfunction(thing) and thing.__module__ == name:
                    atheris.instrument_func(thing)
