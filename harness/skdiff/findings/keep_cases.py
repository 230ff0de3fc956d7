"""The corpus: keeping a finding as a regression, and distilling the seeds to a covering set."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any

import tomlkit

from skdiff.base.errors import CannotRun
from skdiff.base.files import write_whole
from skdiff.base.paths import CORPUS
from skdiff.cases import wire
from skdiff.cases.case_file import Case, dump, load, parse, read_text, told
from skdiff.cases.case_values import show
from skdiff.cases.expectations import MODEL, SOURCES, table, unmet
from skdiff.cases.find_cases import STDIN, files
from skdiff.cases.outcome import RETURNED
from skdiff.cases.outcome_fields import OUTCOME_FIELDS
from skdiff.cases.scenario import UNSET, Scenario
from skdiff.cases.steps import VALUES
from skdiff.comparison.mismatch_text import names_of
from skdiff.findings.reduce import reduce
from skdiff.oracles.model import Model
from skdiff.oracles.reference import Reference
from skdiff.variants.requirements import WORDS, with_one_changed

REGRESSIONS = CORPUS / "regressions"
SEEDS = CORPUS / "seeds"
LIMIT = 5.0  # seconds to make one seed small
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def keep(path: Path, name: str, why: str, model: Model, text: str | None = None) -> Path:
    """Move a finding into the regressions as NAME.toml, with what the rules expect of it; returns where it is. Its
    `text` is given if it was read already, as standard input can be read only once.

    Raises CannotRun for a name that is no plain file name or is taken, a file that is no case, or one whose expectation
    does not say who said so.
    """
    if not _NAME.fullmatch(name):
        raise CannotRun(f"{name!r} is no name for a case: lower-case letters, digits, - and _ are")
    text = read_text(path) if text is None else text
    case = parse(text, told(path))
    target = REGRESSIONS / f"{name}.toml"
    if target.exists():
        raise CannotRun(f"{target.name} is there already: choose another name")
    document = tomlkit.parse(text)  # the text itself, with its comments
    document["why"] = why or case.why
    if case.expect and not case.said_by:
        raise CannotRun(f"{path}: [expect] does not say who said so: from is one of {', '.join(SOURCES)}")
    if not case.expect:
        case = replace(case, expect=expectation(case, model), said_by=MODEL)
        document["expect"] = table(case.expect, case.said_by)
    needs = case.needs or needed(case, model)
    if needs:
        document["needs"] = list(needs)
    parse(tomlkit.dumps(document), str(target))
    try:
        REGRESSIONS.mkdir(parents=True, exist_ok=True)
        write_whole(target, tomlkit.dumps(document))
        if path != STDIN:
            path.unlink()
    except OSError as error:
        raise CannotRun(f"cannot move {path} to {target}: {error.strerror}") from error
    return target


def expectation(case: Case, model: Model) -> dict[str, Any]:
    """What the rules say of a case, as an [expect] table."""
    outcome = model.run(case.scenario)
    if outcome.ended != RETURNED:
        return {"ended": show(OUTCOME_FIELDS["ended"], outcome.ended, case.socks)}
    found: dict[str, Any] = {"sk": show(OUTCOME_FIELDS["sk"], outcome.sk, case.socks)}
    if outcome.refcounted != UNSET:  # a helper's lookup of UDP has no such thing to write to
        found["refcounted"] = bool(outcome.refcounted)
    if outcome.warns:
        found["warns"] = list(outcome.warns)
    if case.scenario.events:  # one that does not come about tests nothing; and counts are what a race leaves wrong
        found["fired"] = show(OUTCOME_FIELDS["fired"], outcome.fired, case.socks)
        counts = zip(case.socks, case.scenario.socks, outcome.refcnt, strict=False)
        after = {name: count for name, sock, count in counts if count != sock.refcnt}
        found |= {"refcnt": after} if after else {}
    return found


def needed(case: Case, model: Model) -> tuple[str, ...]:
    """What the case's expectation needs of a kernel, beginning with the one that the model follows, which meets it:
    the rules and options with which it falls when they alone are turned over, and the later one of each two with which
    it falls only together (an option rather than a rule: most kernels have it).
    """

    def turned(*words: str) -> tuple[str, bool]:
        """The need for the last of the words, and whether the expectation falls with all of them turned over."""
        need, rules, config = "", model.rules, model.config
        for word in words:
            need, rules, config = with_one_changed(word, rules, config)
        return need, bool(unmet(case.expect, case.socks, Model(rules, config).run(case.scenario)))

    found: dict[str, str] = {}
    for words in (*combinations(WORDS, 1), *combinations(WORDS, 2)):
        if not {*words} & {*found}:
            need, falls = turned(*words)
            if falls:
                found[words[-1]] = need
    return tuple(found.values())


def features(reference: Reference, model: Model, scenario: Scenario) -> frozenset[tuple[object, ...]]:
    """What a case is worth keeping for: each function's kinds of answers in the C, and each class of case."""
    found: set[tuple[object, ...]] = {("via", *model.run(scenario).via)}
    for step in reference.trace(scenario):
        names = VALUES[step.function]
        kinds = tuple(
            (value > 0) - (value < 0) if name not in ("score", "start", "buckets") else min(value, 9)
            for name, value in zip(names, step.values, strict=False)
            if name not in ("hash", "refcnt", "daddr", "first_half", "last_half")
        )
        found.add((step.function, *kinds))
    outcome = reference.run(scenario)
    found.add(("ended", outcome.ended, outcome.sk >= 0, outcome.refcounted, outcome.skb_sk >= 0, len(outcome.shown)))
    found.update(("warns", warn) for warn in outcome.warns)
    return frozenset(found)


def distil(
    candidates: Iterable[Scenario], worth: Callable[[Scenario], frozenset[tuple[object, ...]]]
) -> list[Scenario]:
    """A small set of candidates that has every feature that any of them has: plain ones are taken first, and what a
    later choice made needless goes. Raises CannotRun rather than return an empty set.
    """
    pool = sorted({*candidates}, key=lambda s: (len(s.socks), len(dump(Case(s)))))
    worths = {scenario: worth(scenario) for scenario in pool}
    missing = frozenset[tuple[object, ...]]().union(*worths.values()) if worths else frozenset()
    if not missing:
        raise CannotRun("no candidates, or none that reaches anything: the seeds stay as they are")
    chosen: list[Scenario] = []
    for scenario in pool:
        new = worths[scenario] & missing
        if new:
            small = reduce(scenario, lambda s, new=new: new <= worth(s), LIMIT).scenario  # type: ignore[misc]
            worths[small] = worth(small)
            chosen.append(small)
            missing -= worths[small]
    for scenario in list(chosen):  # a later one may have all that an earlier one was taken for
        others = frozenset[tuple[object, ...]]().union(*(worths[c] for c in chosen if c is not scenario))
        if worths[scenario] <= others:
            chosen.remove(scenario)
    return chosen


def write_seeds(scenarios: Sequence[Scenario], model: Model, folder: Path) -> None:
    """Replace the seeds: one file per case, named by how its socket is found."""
    folder.mkdir(parents=True, exist_ok=True)
    fresh = {}
    for number, scenario in enumerate(scenarios):
        via = "-".join(model.run(scenario).via).replace(" ", "_")
        socks, groups = names_of(Case(scenario))
        named = Case(scenario, socks=socks, groups=groups)
        why = f"Covers what no other seed does; found by: {via.replace('-', ', ').replace('_', ' ')}."
        expect = expectation(named, model)
        case = replace(named, why=why, expect=expect, said_by=MODEL)
        fresh[f"{number:03}-{via}.toml"] = dump(replace(case, needs=needed(case, model)))
    for name, text in fresh.items():
        write_whole(folder / name, text)
    for old in folder.glob("*.toml"):
        if old.name not in fresh:
            old.unlink()


def distil_corpus(
    reference: Reference, model: Model, count: int, seed: int, say: Callable[[str], None]
) -> tuple[int, int]:
    """Replace the seeds by a small set that has every feature of the corpus and of `count` random cases; `reference` is
    a traced build. Returns how many seeds there are now, and of how many candidates. Raises CannotRun, and then the
    seeds are as they were.
    """
    candidates = [*(load(path).scenario for path in files([])), *drawn(count, seed)]
    say(f"distilling {len(candidates)} cases")
    chosen = distil(candidates, lambda scenario: features(reference, model, scenario))
    write_seeds(chosen, model, SEEDS)
    return len(chosen), len(candidates)


def drawn(count: int, seed: int) -> Iterable[Scenario]:
    """Random candidates, beside those that are kept already."""
    draw = Random(seed).randbytes
    for _ in range(count):
        yield wire.decode(draw(wire.SIZE))
