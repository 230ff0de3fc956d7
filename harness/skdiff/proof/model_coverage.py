"""How much of the model the kept cases run through: every line and every branch, or what is missing."""

import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

import msgspec

import skdiff.oracles.model
from skdiff.base.errors import CannotRun
from skdiff.base.files import read_json
from skdiff.base.scratch import scratch
from skdiff.cases.scenario import Scenario
from skdiff.variants.config import Config
from skdiff.variants.version_rules import Rules

MODEL = Path(skdiff.oracles.model.__file__).parent


class _File(msgspec.Struct):
    missing_lines: list[int]
    missing_branches: list[tuple[int, int]]


class _Report(msgspec.Struct):
    """What coverage.py writes."""

    files: dict[str, _File]


def measure(cases: Iterable[tuple[Scenario, Rules, Config]]) -> list[str]:
    """What of the model no case reaches, "file:line" or "file:from -> to" (a negative end leaves the function). A case
    is a scenario, and the kernel's rules and configuration that the model follows.

    Raises CannotRun without coverage.py.
    """
    try:
        from coverage import Coverage
    except ImportError as error:
        raise CannotRun("coverage.py is not installed: pip install 'coverage>=7.10'") from error
    counted = Coverage(branch=True, data_file=None, config_file=False, include=[f"{MODEL}/*"])
    ours = {name: module for name, module in sys.modules.items() if f"{name}.".startswith("skdiff.oracles.model.")}
    for name in ours:
        del sys.modules[name]
    try:
        counted.start()
        loaded = import_module("skdiff.oracles.model").Model
        for scenario, rules, config in cases:
            model = loaded(rules, config)
            model.run(scenario)
            model.trace(scenario)
    finally:
        counted.stop()
        sys.modules.update(ours)
        skdiff.oracles.model = ours["skdiff.oracles.model"]
    with scratch() as folder:
        report = folder / "coverage.json"
        counted.json_report(outfile=str(report))
        files = read_json(report, _Report, "a report of coverage.py").files
    found = []
    for file, data in sorted(files.items()):
        name = Path(file).name
        found += [f"{name}:{line}" for line in data.missing_lines]
        found += [f"{name}:{start} -> {end}" for start, end in data.missing_branches]
    return found
