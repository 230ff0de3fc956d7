"""Triage: the findings of a run by their cause, one small case each, told as a story."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from rich.console import Console

from skdiff.base.errors import CannotRun
from skdiff.base.files import write_whole
from skdiff.base.paths import command, shell_path
from skdiff.base.signals import interrupts_noted
from skdiff.campaign.finding_files import SAID, report_of, steps_of
from skdiff.campaign.messages import Finding
from skdiff.cases.case_file import Case, dump, load
from skdiff.cases.outcome import COMPARED, ENDED_NAMES, RETURNED
from skdiff.comparison.compare import Mismatch
from skdiff.findings import drawing
from skdiff.findings.explain import Explanation, explanation
from skdiff.kernel.build import Build
from skdiff.oracles.guarded import Guarded
from skdiff.oracles.model import Model
from skdiff.variants import version_rules

WIDTH = 110


def cause(told: Explanation, mismatch: Mismatch) -> str:
    """The signature by cause: the kernel function in which the sides part, and the first thing that came of it.

    Stable over seeds and engines; a patch with several effects may have several.
    """
    ended = [ENDED_NAMES[o.ended] for o in mismatch.outcomes if o.ended != RETURNED]
    return f"{told.parted.function or 'outcome'}-{sorted(ended)[0] if ended else mismatch.fields[0]}"


def without_rule(case: Case, mismatch: Mismatch, build: Build) -> str:
    """The rule without which the model does as the kernel does in a case of a mismatch; "" if there is none such. Of
    several the one that the kernel's text lacks, or else the newest.
    """
    kernel = mismatch.outcomes[0][:COMPARED]
    newest_first = [name for name in reversed(version_rules.NAMES) if getattr(build.rules, name)]
    for name in sorted(newest_first, key=lambda name: name not in build.missing_rules):
        turned_off: dict[str, Any] = {name: False}
        if Model(replace(build.rules, **turned_off), build.config).run(case.scenario)[:COMPARED] == kernel:
            return name
    return ""


class Described(NamedTuple):
    """What a case shows: the name of its cause, the report for the file that it comes to lie in, and the sides of its
    drawing.
    """

    name: str
    report: Callable[[Path], str]
    sides: Sequence[drawing.Side]


def report(told: Explanation, signature: str, build: Build, kernel: str, path: Path, rule: str = "") -> str:
    """A finding for people: what, where the sides part, and the commands to go on with. `rule` is the one without which
    the model would do as the kernel.
    """
    out = StringIO()
    console = Console(file=out, width=WIDTH, color_system=None, highlight=False)
    console.print(f"MISMATCH {signature}", markup=False, soft_wrap=True)
    console.print(f"kernel {build.label}, closure {build.closure}", markup=False, soft_wrap=True)
    if rule:
        console.print(
            f"the kernel does as without the rule {rule} ({version_rules.origin(rule)})", markup=False, soft_wrap=True
        )
    console.print()
    told.show(console)
    console.print()
    for verb in ("replay", "explain"):
        console.print(f"{verb}: {command()} {verb} --kernel {kernel} {shell_path(path)}", markup=False, soft_wrap=True)
    return out.getvalue()


def triage(
    mismatches: Sequence[Finding],
    make: Callable[[], Build],
    kernel: str,
    folder: Path,
    say: Callable[[str], None],
) -> list[Finding]:
    """Sort a run's findings, kernel against model, by their cause. Never raises CannotRun."""
    try:
        with Guarded(make()) as reference:
            build = reference.build

            def tell(case: Case) -> Described | None:
                told = explanation(case, reference, Model(build.rules, build.config))
                if told.mismatch is None:
                    return None
                rule = without_rule(case, told.mismatch, build)
                name = (f"without-{rule}-" if rule else "") + cause(told, told.mismatch)
                return Described(
                    name, lambda path: report(told, name, build, kernel, path, rule), drawing.sides(told.parted)
                )

            return sort_by_cause(mismatches, tell, folder)
    except (CannotRun, OSError) as error:
        say(f"not sorted by cause: {error}")
        return list(mismatches)


@dataclass
class _Cause:
    """What is known of a cause: how many cases, their files, and the smallest of them (`size` in bytes of its text)."""

    count: int = 0
    files: list[Path] = field(default_factory=list)
    best: tuple[Case, Described] | None = None
    size: int = 0


def sort_by_cause(
    mismatches: Sequence[Finding], describe: Callable[[Case], Described | None], folder: Path
) -> list[Finding]:
    """Sort findings by the name that `describe` gives them: the smallest case of each name moves to
    `folder`/name/case.toml, the others go. What has no name stays where it is, as it is; so does what is left at
    Ctrl-C. Returns signature, file and count of each.
    """
    left: dict[str, Finding] = {}
    found: dict[str, _Cause] = {}
    files = [(finding, file) for finding in mismatches for file in (finding.file, *finding.others)]
    with interrupts_noted() as stopped:
        for finding, file in files:
            case = load(Path(file))
            told = None if stopped() else describe(case)
            count = finding.count if file == finding.file else 0
            if told is None:
                fresh = msgspec.structs.replace(finding, file=file, others=[], count=count)
                one = left.setdefault(finding.signature, fresh)
                one.others += [file] if file != one.file else []
                continue
            cause = found.setdefault(told.name, _Cause())
            cause.count += count
            cause.files.append(Path(file))
            size = len(dump(Case(case.scenario)))
            if cause.best is None or size < cause.size:
                cause.best, cause.size = (case, told), size
    sorted_out = [_settle(name, cause, folder) for name, cause in found.items()]
    return sorted(sorted_out, key=lambda finding: -finding.count) + list(left.values())


def _settle(name: str, cause: _Cause, folder: Path) -> Finding:
    """Write the best case of a cause to its place, then remove what it came from."""
    assert cause.best is not None
    case, told = cause.best
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    own, number = set(cause.files), 1
    path = place / "case.toml"
    while path.exists() and path not in own:  # another run's
        number += 1
        path = place / f"case-{number}.toml"
    said = ""
    if case.path is not None and report_of(case.path).exists():
        _, mark, rest = report_of(case.path).read_text().partition(SAID)
        said = mark + rest
    found = {**case.found, "signature": name}
    write_whole(path, dump(replace(case, found=found)))
    write_whole(report_of(path), told.report(path) + said)
    write_whole(steps_of(path), drawing.sides_text(told.sides))
    for old in own - {path}:
        for file in (old, report_of(old), steps_of(old)):
            file.unlink(missing_ok=True)
        if not any(old.parent.iterdir()):
            old.parent.rmdir()
    return Finding(signature=name, file=str(path), count=cause.count)
