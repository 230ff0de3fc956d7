"""What the corpus reaches, of the kernel's text and of the model, and what random cases reach of the former."""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from skdiff.base.paths import CORPUS
from skdiff.kernel.build import Build
from skdiff.kernel.summary import Kernel
from skdiff.proof import kernel_coverage, model_coverage
from skdiff.proof.kernel_coverage import Listing, Reached
from skdiff.proof.mutants import model as model_mutants
from skdiff.proof.mutants.common import LISTED, series
from skdiff.variants.config import Config


class Random(msgspec.Struct):
    """What so many random cases miss, a line each."""

    cases: int
    missing: list[str]


class CoverageSummary(Reached, kw_only=True):
    """What the corpus reaches: of the kernel's text, which it has too; what it misses of the `model`, a line each; and
    what random cases miss, if there were any.
    """

    kernel: Kernel
    text: Sequence[Listing] = ()
    model: Sequence[str] = ()
    random: Random | None = None

    @property
    def about(self) -> Kernel:
        """See KernelSummary."""
        return self.kernel


def measure(build: Build, cases: int, say: Callable[[str], None]) -> tuple[CoverageSummary, Path]:
    """Count in a build of the variant "coverage", with so many random cases, if any; with the HTML page of the corpus.
    Raises CannotRun.
    """
    version = build.tree.version
    say("the corpus")
    counted = kernel_coverage.count_runs(build, str(CORPUS))
    spots, reasons = (
        kernel_coverage.spots(build, counted),
        kernel_coverage.judged_unreachable(version, config=build.config),
    )
    listed = series(version) in LISTED and build.config == Config()
    result = CoverageSummary(
        kernel=build.told(),
        text=kernel_coverage.listing(build, spots, reasons),
        **msgspec.structs.asdict(kernel_coverage.summary(spots, reasons, listed)),
    )
    page = kernel_coverage.write_html(build, counted, build.folder.with_name(f"{build.folder.name}-corpus"))
    if note := kernel_coverage.note_on_compiler(build.compiler):
        say(note)
    say("the model")
    kept = model_mutants.cases()
    result.model = model_coverage.measure((case.scenario, case.rules, case.config) for case in kept)
    if cases:
        say(f"{cases:,} random cases")
        by_chance = kernel_coverage.count_runs(build, "random", str(cases))
        found = kernel_coverage.summary(kernel_coverage.spots(build, by_chance), reasons, listed)
        kernel_coverage.write_html(build, by_chance, build.folder.with_name(f"{build.folder.name}-random"))
        result.random = Random(cases, found.missing)
    return result, page
