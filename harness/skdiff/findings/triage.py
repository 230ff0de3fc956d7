"""Triage: the findings of a run by their cause, one small case each, told as a story."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
from rich.console import Console

from skdiff.base.errors import CannotRun
from skdiff.base.files import write_whole
from skdiff.base.paths import command, shell_path
from skdiff.base.signals import interrupts_noted
from skdiff.campaign.finding_files import SAID, report_of, steps_of
from skdiff.campaign.messages import Finding
from skdiff.cases.case_file import Case, dump, load
from skdiff.cases.outcome import COMPARED
from skdiff.cases.validity import not_on
from skdiff.comparison.compare import Mismatch
from skdiff.findings import drawing
from skdiff.findings.explain import Explanation, explanation
from skdiff.findings.listed import in_order, ways_in_words
from skdiff.kernel.build import Build
from skdiff.oracles.guarded import Guarded
from skdiff.oracles.model import Model
from skdiff.variants import version_rules
from skdiff.variants.config import Config
from skdiff.variants.version_rules import Rules

WIDTH = 110
T = TypeVar("T")


@dataclass(frozen=True)
class Described(Generic[T]):
    """What a case shows: `suspects`, the functions in which the sides may part (several only of a crash), the
    `rule` that alone would explain it ("" for none), and its `way`; `told` is all of it, `reachable` whether the
    kernels can reach it, `report` its text for people, by the name of the finding, how many cases show it in which
    ways, and the file that the case comes to lie in; `sides` are those of its drawing.
    """

    suspects: tuple[str, ...]
    rule: str
    way: str
    told: T
    reachable: bool
    report: Callable[[str, dict[str, int], Path], str]
    sides: Sequence[drawing.Side]


Names = Callable[[Sequence[Described[T]]], Sequence[str]]


def names_of_causes(shown: Sequence[Described[Any]], missing: Collection[str]) -> list[str]:
    """What the causes of a run's cases are called: "without-RULE" for a missing rule, or else the kernel function in
    which the sides part. How the outcomes differ is not in it: one mistake shows in many ways.

    A rule of the kernel's version that its text lacks (`missing`) is a cause. One that its text has is only if all that
    goes wrong in these functions is explained by it: a mistake may happen to do the same in some of its cases.
    """
    functions = functions_of([one.suspects for one in shown])
    unexplained = {function for function, one in zip(functions, shown, strict=True) if not one.rule}
    chance = {one.rule for function, one in zip(functions, shown, strict=True) if function in unexplained} - {*missing}
    return [
        f"without-{one.rule}" if one.rule and one.rule not in chance else function
        for function, one in zip(functions, shown, strict=True)
    ]


def functions_of(suspects: Sequence[tuple[str, ...]]) -> list[str]:
    """The function of each case: of crashes the fewest that can explain them all, and of these the innermost."""
    found = {functions: functions[0] for functions in suspects}
    left = {functions for functions in suspects if len(functions) > 1}
    while left:
        counts = Counter(name for functions in suspects if functions in left for name in functions)
        most = max(counts.values())
        name = min(
            (name for name in sorted(counts) if counts[name] == most),
            key=lambda name: max(functions.index(name) for functions in left if name in functions),
        )
        found |= {functions: name for functions in left if name in functions}
        left = {functions for functions in left if name not in functions}
    return [found[functions] for functions in suspects]


def cause(told: Explanation, build: Build) -> str:
    """The cause that a case shows, on its own."""
    assert told.mismatch is not None
    [name] = names_of_causes([_described(told, without_rule(told.case, told.mismatch, build))], build.missing_rules)
    return name


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


def report(
    told: Explanation, signature: str, build: Build, kernel: str, path: Path, rule: str = "", ways: str = ""
) -> str:
    """A finding for people: what, where the sides part, and the commands to go on with. `rule` is the one without which
    the model would do as the kernel; `ways` says in a line how all of its cases show it.
    """
    out = StringIO()
    console = Console(file=out, width=WIDTH, color_system=None, highlight=False)
    console.print(f"MISMATCH {signature}", markup=False, soft_wrap=True)
    console.print(f"kernel {build.label}, closure {build.closure}", markup=False, soft_wrap=True)
    if ways:
        console.print(ways, markup=False, soft_wrap=True)
    if rule:
        console.print(
            f"the kernel does as without the rule {rule} ({version_rules.origin(rule)})", markup=False, soft_wrap=True
        )
    if signature in told.parted.suspects[1:]:
        console.print(
            f"Nothing tells in which of these it went wrong: {', '.join(told.parted.suspects)}. That it was in"
            f" {signature}() explains the other cases of this run as well.",
            markup=False,
            soft_wrap=True,
        )
    console.print()
    told.show(console)
    console.print()
    for verb in ("replay", "explain"):
        console.print(f"{verb}: {command()} {verb} --kernel {kernel} {shell_path(path)}", markup=False, soft_wrap=True)
    return out.getvalue()


def _described(told: Explanation, rule: str, build: Build | None = None, kernel: str = "") -> Described[Explanation]:
    def text(name: str, ways: dict[str, int], path: Path) -> str:
        assert build is not None
        return report(told, name, build, kernel, path, rule, ways_in_words(ways))

    assert told.mismatch is not None
    reachable = can_reach(told.case, told.rules, told.config)
    return Described(told.parted.suspects, rule, told.mismatch.way, told, reachable, text, drawing.sides(told.parted))


def can_reach(case: Case, rules: Rules, config: Config) -> bool:
    """Whether a kernel can reach a case that is valid."""
    return not case.scenario.hostile and not not_on(case.scenario, rules, config)


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

            def tell(case: Case) -> Described[Explanation] | None:
                told = explanation(case, reference, Model(build.rules, build.config))
                if told.mismatch is None:
                    return None
                return _described(told, without_rule(case, told.mismatch, build), build, kernel)

            def names(shown: Sequence[Described[Explanation]]) -> Sequence[str]:
                return names_of_causes(shown, build.missing_rules)

            return sort_by_cause(mismatches, tell, names, folder)[0]
    except (CannotRun, OSError) as error:
        say(f"not sorted by cause: {error}")
        return list(mismatches)


@dataclass
class _Cause(Generic[T]):
    """What is known of a cause: how many cases by their ways, their files, and the best of each way: one that can be
    reached before others, then the smallest (in bytes of its text).
    """

    ways: Counter[str] = field(default_factory=Counter)
    files: list[Path] = field(default_factory=list)
    best: dict[str, tuple[tuple[bool, int], Case, Described[T]]] = field(default_factory=dict)


def sort_by_cause(
    mismatches: Sequence[Finding], describe: Callable[[Case], Described[T] | None], names: Names[T], folder: Path
) -> tuple[list[Finding], dict[str, Described[T]]]:
    """Sort findings by the causes that `names` gives to all that was described: the best case of each cause moves to
    `folder`/name/case.toml, the best of each other way beside it, the others go. What cannot be described stays where
    it is, as it is; so does what is left at Ctrl-C. Returns the findings, those that can be reached first, and what the
    case of each says.
    """
    left: dict[str, Finding] = {}
    shown: list[tuple[Path, int, Case, Described[T]]] = []
    files = [(finding, file) for finding in mismatches for file in (finding.file, *finding.others)]
    with interrupts_noted() as stopped:
        for finding, file in files:
            case = load(Path(file))
            told = None if stopped() else describe(case)
            count = finding.count_of(file)
            if told is None:
                one = left.get(finding.signature)
                if one is None:
                    left[finding.signature] = msgspec.structs.replace(finding, file=file, others=[], count=count)
                else:
                    one.others.append(file)
                    one.count += count
                continue
            shown.append((Path(file), count, case, told))
    found: dict[str, _Cause[T]] = {}
    for name, (path, count, case, told) in zip(names([one[-1] for one in shown]), shown, strict=True):
        known = found.setdefault(name, _Cause())
        known.ways[told.way] += count
        known.files.append(path)
        size = (not told.reachable, len(dump(Case(case.scenario))))
        if told.way not in known.best or size < known.best[told.way][0]:
            known.best[told.way] = (size, case, told)
    sorted_out = [_settle(name, known, folder) for name, known in found.items()]
    best = {finding.signature: told for finding, told in sorted_out}
    return [*in_order(finding for finding, _ in sorted_out), *left.values()], best


def _settle(name: str, cause: _Cause[T], folder: Path) -> tuple[Finding, Described[T]]:
    """Write the best case of each way of a cause to its place, then remove what they came from."""
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    own: set[Path] = set(cause.files)
    kept: list[Path] = []
    best = sorted(cause.best.items(), key=lambda entry: entry[1][0])
    ways = {way: cause.ways[way] for way, _ in best}
    words = {way: _said(case) for way, (_, case, _) in best}  # before another case takes its place
    for way, (_, case, told) in best:
        path = _free(place, f"case-{way}" if kept else "case", own, kept)
        said = words[way]
        found = {**case.found, "signature": name}
        write_whole(path, dump(replace(case, found=found)))
        write_whole(report_of(path), told.report(name, ways, path) + said)
        write_whole(steps_of(path), drawing.sides_text(told.sides))
        kept.append(path)
    for old in own - {*kept}:
        for file in (old, report_of(old), steps_of(old)):
            file.unlink(missing_ok=True)
        if not any(old.parent.iterdir()):
            old.parent.rmdir()
    first, *others = map(str, kept)
    _, (_, _, told) = best[0]
    count = cause.ways.total()
    return Finding(signature=name, file=first, count=count, others=others, ways=ways, reachable=told.reachable), told


def _said(case: Case) -> str:
    """What the process said when it died of a case, as its report has it."""
    if case.path is None or not report_of(case.path).exists():
        return ""
    _, mark, rest = report_of(case.path).read_text().partition(SAID)
    return mark + rest


def _free(place: Path, stem: str, own: Collection[Path], kept: Collection[Path]) -> Path:
    """The first file of a name that is free, or was of this run."""
    number, path = 1, place / f"{stem}.toml"
    while path in kept or (path.exists() and path not in own):  # another run's
        number += 1
        path = place / f"{stem}-{number}.toml"
    return path
