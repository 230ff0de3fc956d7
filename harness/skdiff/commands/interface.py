"""What a command is: a module with these names."""

import argparse
from typing import Protocol


class Command(Protocol):
    """A module of a command: its NAME, its HELP in a line, what it does in a DESCRIPTION of some lines, and what its
    exit codes mean. It reads its arguments, calls one thing, prints, and returns an exit code.
    """

    NAME: str
    HELP: str
    DESCRIPTION: str
    EXIT_CODES: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add its own arguments and options."""
        ...

    def run(self, arguments: argparse.Namespace) -> int:
        """Run it; returns the exit code. Raises CannotRun."""
        ...
