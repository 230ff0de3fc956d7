"""The table of commands in Markdown, for README.md and docs/: `python -m skdiff.commands.markdown_table`."""

import argparse
import re
from collections.abc import Iterable
from typing import Any

from skdiff.commands import NAMES, load
from skdiff.commands.interface import Command

HEAD = ("command", "what it does", "exit codes")


class _Recorder(argparse.ArgumentParser):
    """A parser that knows which arguments were added to it."""

    def __init__(self) -> None:
        super().__init__(add_help=False)
        self.added: list[argparse.Action] = []

    def add_argument(self, *names: Any, **options: Any) -> argparse.Action:
        self.added.append(super().add_argument(*names, **options))
        return self.added[-1]


def usage(command: Command) -> str:
    """What a user has to type for a command, and may type behind it: its name, the options that it needs, and its
    positional arguments: "diff A [B] [FILE ...]".
    """
    recorder = _Recorder()
    command.add_arguments(recorder)
    needed = [action for action in recorder.added if action.required and action.option_strings]
    positional = [action for action in recorder.added if not action.option_strings]
    formatter = argparse.HelpFormatter(prog=command.NAME, width=200)
    formatter.add_usage(None, [*needed, *positional], [], prefix="")
    return formatter.format_help().strip()


def markdown_table(names: Iterable[str] = NAMES) -> str:
    """A row for each of these commands, with its usage, its help, and its own exit codes. Ends with a newline."""
    rows = [(f"`{usage(command)}`", command.HELP, command.EXIT_CODES) for command in map(load, names)]
    lines = [_row(HEAD), _row(["---"] * len(HEAD)), *(_row(row) for row in rows)]
    return "".join(f"{line}\n" for line in lines)


def _row(cells: Iterable[str]) -> str:
    # A bar in a cell must be escaped, also within backticks.
    return "| " + " | ".join(re.sub(r"\|", r"\\|", cell) for cell in cells) + " |"


if __name__ == "__main__":
    print(markdown_table(), end="")
