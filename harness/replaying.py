"""Replay: cases from files, on the reference and the model, against each other and against what they expect."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from harness import known
from harness.compare import Mismatch, compare
from harness.errors import CannotRun
from harness.explain import explanation
from harness.guarded import Guarded
from harness.kernel.build import Build
from harness.known import CORPUS, KNOWN
from harness.model import Model
from harness.mutants.common import JUDGED
from harness.report import render, shell_path
from harness.text import Case, load, unmet
from harness.triage import cause

# Files of the corpus that hold no case.
LISTS = (KNOWN.name, JUDGED.name)
WORDS = ("agreed", "known", "mismatch", "unexpected", "gone", "unreadable")


def files(paths: Sequence[Path]) -> Iterator[Path]:
    """The case files that are meant by files and folders; the corpus if there are none. Raises CannotRun."""
    for path in paths or [CORPUS]:
        if path.is_dir():
            yield from (found for found in sorted(path.rglob("*.toml")) if found.name not in LISTS)
        elif path.exists():
            yield path
        else:
            raise CannotRun(f"{path}: no such file or folder")


def verdict(case: Case, reference: Any, model: Any) -> tuple[str, list[str], Mismatch | None]:
    """("agreed", "mismatch" or "unexpected"; what is unmet; the mismatch) for one case."""
    outcomes = [reference.run(case.scenario), model.run(case.scenario)]
    mismatch = compare([reference.name, model.name], outcomes)
    if mismatch is not None:
        return "mismatch", list(mismatch.fields), mismatch
    wrong = unmet(case, outcomes[0])
    return ("unexpected" if wrong else "agreed"), wrong, None


def _still_known(
    entry: known.Known, case: Case, traced: Callable[[], Build], model: Model
) -> tuple[str, list[str], Mismatch | None]:
    """Whether a known difference is still what it was ("known"), or has gone ("gone"): then its entry must go too."""
    with Guarded(traced()) as oracle:
        told = explanation(case, oracle, model)
    now = cause(told, told.mismatch) if told.mismatch is not None else "no difference"
    if now == entry.signature:
        return "known", [entry.reason], None
    return "gone", [f"listed in {known.KNOWN.name} as {entry.signature}, but shows {now}"], None


def replay(
    paths: Sequence[Path],
    reference: Build,
    kernel: str,
    console: Console,
    say: Callable[[str], None],
    traced: Callable[[], Build],
) -> dict[str, Any]:
    """Replay all cases, print what is wrong, and return the summary. An unreadable file does not stop the others."""
    results: list[dict[str, Any]] = []
    model = Model()
    listed = {e.case.resolve(): e for e in known.load() if e.covers(reference.tree.version)}
    with Guarded(reference) as oracle:
        for path in files(paths):
            try:
                case = load(path)
            except CannotRun as error:
                say(f"skdiff: {error}")
                results.append({"file": str(path), "verdict": "unreadable", "why": [str(error)]})
                continue
            word, why, mismatch = verdict(case, oracle, model)
            if path.resolve() in listed:
                word, why, mismatch = _still_known(listed[path.resolve()], case, traced, model)
            results.append({"file": str(path), "verdict": word, "why": why})
            if mismatch is not None:
                again = f"skdiff replay --kernel {kernel} {shell_path(path)}"
                text = render(mismatch, case, reference.tree.version, reference.closure, again)
                console.print(f"{shell_path(path)}:\n{text}", markup=False, soft_wrap=True)
            for line in why if word in ("unexpected", "gone") else ():
                console.print(f"{shell_path(path)}: {line}", markup=False, soft_wrap=True)
    counts = {w: sum(r["verdict"] == w for r in results) for w in WORDS}
    console.print(
        f"Linux {reference.tree.version}: {len(results)} cases, "
        + ", ".join(f"{n} {w}" for w, n in counts.items() if n or w == "agreed")
    )
    return {"kernel": {"version": reference.tree.version, "closure": reference.closure}, "cases": results}
