"""Engines: where scenarios come from. Each is a function that starts a Run and feeds it until it is over."""

from collections.abc import Callable

from harness.engines import atheris_engine, corpus_engine, hypothesis_engine, random_engine
from harness.run import Run

ENGINES: dict[str, Callable[[Run], None]] = {
    "atheris": atheris_engine.drive,
    "random": random_engine.drive,
    "hypothesis": hypothesis_engine.drive,
    "corpus": corpus_engine.drive,
}
# Engines that want coverage of the extracted C.
GUIDED = frozenset({"atheris"})
