"""The table of commands in Markdown: what docs show is what the commands say of themselves."""

import subprocess
import sys

from skdiff.commands import NAMES, diff, keep, load
from skdiff.commands.markdown_table import markdown_table, usage


def test_a_usage_has_what_must_be_typed_and_what_may_stand_behind_it():
    assert usage(diff) == "diff A [B] [FILE ...]"
    assert usage(keep) == "keep --name NAME FINDING"


def test_each_command_has_one_row_in_the_order_of_the_help():
    head, line, *rows = markdown_table().splitlines()
    assert (head, line) == ("| command | what it does | exit codes |", "| --- | --- | --- |")
    assert [row.split("`")[1].split()[0] for row in rows] == list(NAMES)
    for row, command in zip(rows, map(load, NAMES), strict=True):
        assert row.endswith(f" | {command.HELP} | {command.EXIT_CODES} |")


def test_a_bar_in_a_cell_begins_no_other_cell():
    [row] = markdown_table(["mutants"]).splitlines()[2:]
    assert row.startswith(r"| `mutants [c\|driver\|model\|harness ...]` | ")


def test_it_is_printed_by_its_module():
    command = [sys.executable, "-m", "skdiff.commands.markdown_table"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (markdown_table(), "")
