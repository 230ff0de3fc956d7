"""Engines: where scenarios come from. Each is a function that feeds a Run until it is over."""

from collections.abc import Callable

from harness.engines import hypothesis_engine, random_engine
from harness.run import Run

ENGINES: dict[str, Callable[[Run], None]] = {
    "random": random_engine.drive,
    "hypothesis": hypothesis_engine.drive,
}
