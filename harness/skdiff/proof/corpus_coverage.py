"""What the corpus reaches, of the kernel's text and of the model, and what random cases reach of the former."""

from collections.abc import Callable
from typing import Any

from skdiff.base.paths import CORPUS
from skdiff.kernel.build import Build
from skdiff.proof import kernel_coverage, model_coverage
from skdiff.proof.mutants import model as model_mutants
from skdiff.proof.mutants.common import LISTED, series


def measure(build: Build, cases: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Count in a build of the variant "coverage", with so many random cases, if any; "page" is the HTML page of the
    corpus. Raises CannotRun.
    """
    version = build.tree.version
    say("the corpus")
    counted = kernel_coverage.count_runs(build, str(CORPUS))
    spots, reasons = kernel_coverage.spots(build, counted), kernel_coverage.judged_unreachable(version)
    listed = series(version) in LISTED
    result = kernel_coverage.summary(spots, reasons, listed)
    result |= {"kernel": {"version": version, "config": str(build.config)}}
    result["text"] = kernel_coverage.listing(build, spots, reasons)
    result["page"] = kernel_coverage.write_html(build, counted, build.folder.with_name(f"{build.folder.name}-corpus"))
    if note := kernel_coverage.note_on_compiler(build.compiler):
        say(note)
    say("the model")
    kept = model_mutants.cases()
    result["model"] = model_coverage.measure((case.scenario, case.rules, case.config) for case in kept)
    if cases:
        say(f"{cases:,} random cases")
        by_chance = kernel_coverage.count_runs(build, "random", str(cases))
        found = kernel_coverage.summary(kernel_coverage.spots(build, by_chance), reasons, listed)
        kernel_coverage.write_html(build, by_chance, build.folder.with_name(f"{build.folder.name}-random"))
        result["random"] = {"cases": cases, "missing": found["missing"]}
    return result
