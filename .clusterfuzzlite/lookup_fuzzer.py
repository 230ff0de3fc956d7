"""The fuzz target of ClusterFuzzLite and OSS-Fuzz: bytes are a Scenario, both oracles run it, a difference is raised.

libFuzzer keeps the bytes; the error's text has the case as TOML, for `skdiff replay` and `skdiff explain`.
"""

import sys
from pathlib import Path
from typing import Any

import atheris

from skdiff.base.files import read_json
from skdiff.cases import wire
from skdiff.cases.case_file import Case, dump
from skdiff.comparison.compare import compare
from skdiff.comparison.mismatch_text import render
from skdiff.engines.atheris_engine import make_libfuzzer_global
from skdiff.kernel.summary import Kernel
from skdiff.oracles import compiled_model
from skdiff.oracles.model import Model
from skdiff.oracles.reference import Reference
from skdiff.variants.config import Config

# Beside this file, or where a packed one is unpacked: the compiled lookup, and what it was made from (prepare.py).
FOLDER = Path(getattr(sys, "_MEIPASS", Path(__file__).parent)) / "reference"


class Differs(Exception):
    """The kernel and the model give different outcomes."""


class Target:
    """The oracles, opened with the first case: libFuzzer must be there before the C that feeds it."""

    oracles: tuple[Any, ...] = ()

    def case(self, data: bytes) -> None:
        """Compare the oracles on what some bytes mean. Raises Differs."""
        if not self.oracles:
            self.open()
        scenario = wire.decode(data)
        outcomes = [oracle.run(scenario) for oracle in self.oracles]
        mismatch = compare([oracle.name for oracle in self.oracles], outcomes)
        if mismatch is not None:
            case = Case(scenario)
            again = "skdiff replay case.toml"
            text = render(mismatch, case, self.kernel.version, self.kernel.closure, again)
            raise Differs(f"{mismatch.signature}\n{text}\ncase.toml:\n{dump(case)}")

    def open(self) -> None:
        """Load the reference, and the model with its rules."""
        if "atheris.core_with_libfuzzer" in sys.modules:  # else the sanitizer's library has brought libFuzzer
            make_libfuzzer_global()
        self.kernel = read_json(FOLDER / "reference.json", Kernel, "what a reference was made of")
        reference = Reference.of(FOLDER)
        reference.name = f"Linux {self.kernel.version}"
        compiled = (FOLDER / "model").is_dir()
        model = compiled_model.load(FOLDER / "model") if compiled else Model
        print(f"the model is {'compiled' if compiled else 'interpreted'}", file=sys.stderr)
        self.oracles = reference, model(self.kernel.rules.plain, Config())


if __name__ == "__main__":
    atheris.Setup(sys.argv, Target().case)
    atheris.Fuzz()
