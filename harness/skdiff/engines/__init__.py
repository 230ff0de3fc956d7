"""Engines: where scenarios come from. Each is a module of this package with a `drive` (see `interface.py`)."""

from dataclasses import dataclass
from importlib import import_module

from skdiff.engines.interface import Engine, Run


@dataclass(frozen=True)
class Entry:
    """An engine in the list: its `module` here, what it does in a line, and whether it wants coverage of the C."""

    module: str
    help: str
    guided: bool = False

    def load(self) -> Engine:
        """Its module. No other is loaded: Hypothesis is a third of what a worker's start would take."""
        engine: Engine = import_module(f"{__name__}.{self.module}")
        return engine

    def available(self) -> bool:
        """Whether what it needs is installed."""
        return bool(getattr(self.load(), "available", lambda: True)())


ENGINES = {
    "atheris": Entry("atheris_engine", "guided by the coverage of the kernel's C", guided=True),
    "random": Entry("random_engine", "blind and fast"),
    "wide": Entry("wide_engine", "random cases with one to three fields anywhere in their range"),
    "hypothesis": Entry("hypothesis_engine", "strategies of Hypothesis, with its shrinking"),
    "corpus": Entry("corpus_engine", "the kept cases, then random ones and mutations of the kept ones"),
    "exhaustive": Entry("exhaustive_engine", "all that can happen while tables of up to three sockets are searched"),
}
TABLES = "tables"  # the engine of a sweep, which is a command of its own
_OTHERS = {TABLES: Entry("table_engine", "every small table")}
GUIDED = frozenset(name for name, entry in ENGINES.items() if entry.guided)


def drive(engine: str, run: Run) -> None:
    """Feed a run by one of ENGINES, or by TABLES. Raises KeyError for another name."""
    (ENGINES | _OTHERS)[engine].load().drive(run)
