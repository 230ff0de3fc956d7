"""Engines: where scenarios come from. Each is a module NAME_engine, whose `drive` starts a Run and feeds it until it is
over.
"""

from importlib import import_module

from skdiff.engines.interface import Run

ENGINES = ("atheris", "random", "hypothesis", "corpus")
# Engines that want coverage of the extracted C.
GUIDED = frozenset({"atheris"})


def drive(engine: str, run: Run) -> None:
    """Feed a run by one of ENGINES. No other is loaded: Hypothesis is a third of what a worker's start would take."""
    import_module(f"{__name__}.{engine}_engine").drive(run)
