"""The Makefile: what `make help` lists is there, and how an exit code of skdiff comes out of make."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAKEFILE = (ROOT / "Makefile").read_text()


def make(*words, venv=".venv"):
    command = ["make", "--no-print-directory", "-C", str(ROOT), f"VENV={venv}", *words]
    # Under `make test` they would hand its variables on.
    clean = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=clean)


def test_every_target_is_listed_and_is_no_file():
    shown = make("help").stdout.partition("\n\n")[0]
    listed = [line.split()[0] for line in shown.splitlines()]
    defined = re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE)
    [phony] = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert listed == defined
    assert sorted(phony.split()) == sorted(defined)


def test_every_variable_is_listed_with_its_default():
    variables = dict(re.findall(r"^([A-Z]+) +\?= *(.*)$", MAKEFILE, re.MULTILINE))
    listed = {}
    for line in re.findall(r"^#: (.*)$", MAKEFILE, re.MULTILINE):
        listed.update(word.split("=") for word in re.split(r" {2,}", line)[0].split())
        assert f"  {line}" in make("help").stdout.splitlines()
    assert set(listed) == {*variables, "CASES", "SEEDS", "MINUTES", "CC"}
    assert {name for name, value in listed.items() if value != variables.get(name, "")} == {
        "KERNELS",  # many words
        "OF",
        "MINUTES",
    }


@pytest.mark.parametrize(("code", "ends"), [(0, 0), (1, 2), (2, 2)])
def test_make_ends_with_0_or_2_and_prints_which_code_it_was(code, ends, tmp_path):
    script = tmp_path / "bin/skdiff"
    script.parent.mkdir()
    script.write_text(f"#!/bin/sh\nexit {code}\n")
    script.chmod(0o755)
    (tmp_path / "ready").touch()
    done = make("fuzz", venv=tmp_path)
    assert done.returncode == ends
    assert re.findall(r"Error (\d)", done.stderr) == ([str(code)] if code else [])


def test_what_a_target_runs_is_a_command_of_skdiff_with_its_options(tmp_path):
    script = tmp_path / "bin/skdiff"
    script.parent.mkdir()
    script.write_text('#!/bin/sh\nfor word; do echo "<$word>"; done\n')
    script.chmod(0o755)
    (tmp_path / "ready").touch()
    done = make("diff", "A=my tree", "PATCH=a b.mbox", "ARGS=--json x.json", "SECONDS=9", venv=tmp_path)
    words = ["diff", "my tree", "--patch", "a b.mbox", "--seconds", "9", "--json", "x.json"]
    assert [line[1:-1] for line in done.stdout.splitlines() if line.startswith("<")] == words
    for target in ("fuzz", "diff"):
        told = make(target, "LOOKUP=tcp6", venv=tmp_path).stdout
        assert "<--lookup>\n<tcp6>\n" in told
